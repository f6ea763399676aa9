"""Read and write checkpoints, from which a training run resumes exactly. Nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["CHECKPOINT", "load_checkpoint", "save_checkpoint"]

CHECKPOINT = "checkpoint.pt"
"""Name of the checkpoint in the folder of a run."""


def save_checkpoint(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dicts of those, beside the target and then renamed."""
    temporary = path.with_name(path.name + ".part")
    torch.save(dict(checkpoint), temporary)
    temporary.replace(path)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint with ``weights_only=True``.

    Raises
    ------
    FileNotFoundError
        When there is none.
    ValueError
        When the file cannot be read; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises whatever its reader met
        raise ValueError(f"{path}: not a readable checkpoint ({error})") from error
    missing = {"config", "model", "ema", "optimizer", "step"} - set(checkpoint)
    if missing:
        raise ValueError(f"{path}: the checkpoint has no {', '.join(sorted(missing))}")
    return dict(checkpoint)
