"""Choose the precision in which networks compute: bfloat16 where the hardware has it, float32 elsewhere.

Only networks are meant. Operators and data steps compute in float32 and complex64 whatever is chosen here.
"""

from __future__ import annotations

import functools
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "PRECISIONS",
    "autocast",
    "cpu_flags",
    "has_bfloat16",
    "has_bfloat16_flags",
    "resolve_precision",
]

PRECISIONS = ("auto", "float32", "bfloat16")
"""What a user may ask for; `resolve_precision` makes one of the last two of it."""
BFLOAT16_FLAGS = {
    "avx512_bf16": "AVX512-BF16 of Intel and AMD",
    "amx_bf16": "AMX of Intel",
    "bf16": "the BF16 extension of ARM",
}
"""Flags of processors that multiply bfloat16 in hardware, as Linux names them, and what they stand for."""
FLAG_LINES = ("flags", "features")
"""Names of the lines with a processor's flags, on x86 and on ARM."""


def has_bfloat16_flags(text: str) -> bool:
    """Say from the text of ``/proc/cpuinfo`` whether every processor in it multiplies bfloat16 in hardware.

    oneDNN and torch are of no help here: they also say yes where they emulate it, several times slower than float32.
    Processors may differ, as the cores of some ARM machines do; one without is enough for a no.
    """
    lines = [line.partition(":") for line in text.splitlines()]
    flags = [set(values.lower().split()) for name, _, values in lines if name.strip().lower() in FLAG_LINES]
    return bool(flags) and all(not each.isdisjoint(BFLOAT16_FLAGS) for each in flags)


def cpu_flags() -> str:
    """Return what the system tells of its processors' flags, empty where it tells nothing (only Linux does)."""
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


@functools.lru_cache(maxsize=8)
def has_bfloat16(device: torch.device) -> bool:
    """Say whether a device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    return has_bfloat16_flags(cpu_flags())


def resolve_precision(precision: str, device: torch.device | str) -> str:
    """Return ``"float32"`` or ``"bfloat16"`` for what a user asked for.

    Parameters
    ----------
    precision
        ``"auto"`` for bfloat16 where the device has it in hardware, or one of the two by name. bfloat16 works
        everywhere; where it is emulated, a warning says once that it is slow.
    device
        Where the network computes.

    Raises
    ------
    ValueError
        When `precision` is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}: expected one of {', '.join(PRECISIONS)}")
    there = has_bfloat16(torch.device(device))
    if precision == "bfloat16" and not there:
        _warn_emulated(torch.device(device).type)
    if precision == "auto":
        return "bfloat16" if there else "float32"
    return precision


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a network computes with a precision that `resolve_precision` returned."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@functools.lru_cache(maxsize=8)
def _warn_emulated(kind: str) -> None:
    """Warn once in the life of a process."""
    message = f"bfloat16 is emulated on this {kind} device, slower than float32: precision auto would choose float32"
    warnings.warn(message, RuntimeWarning, stacklevel=3)
