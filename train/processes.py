"""Let several processes train one network together, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed

__all__ = ["joined"]


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes of ``torchrun`` while the block runs; outside it, nothing happens.

    Yields
    ------
    torch.device
        Where this process works: with CUDA, the device of its number on this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()
