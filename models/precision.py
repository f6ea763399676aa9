"""Choose the precision in which a network computes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

__all__ = ["mixed_precision"]


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return the context of a network's work: bfloat16 where it helps, on CUDA."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
