"""Check sizes before memory is taken: what is too large is refused in one line, not by the system's killer."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from mimo import cache

__all__ = ["WORKING_IMAGES", "check_memory", "check_voxels", "machine_memory"]

CGROUP = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says how much a container may take."""

WORKING_IMAGES = 3
"""Images that even the simplest method holds at once: the sum, the result, and what is written."""

LARGEST = 2**62
"""Stands for the memory of a machine that does not say how much it has."""


def machine_memory() -> int:
    """Return the bytes of memory that this machine, or this container, has."""
    found = LARGEST
    with suppress(ValueError, OSError, AttributeError):
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        found = min(found, int(CGROUP.read_text()))
    return found


def check_memory(what: str, n_bytes: float, *, otherwise: str = "") -> None:
    """Raise `ValueError` when something takes more than ``MIMO_MEMORY``, by default three quarters of the machine's.

    Parameters
    ----------
    what
        What is too large, the start of the sentence: ``images of 1e9 voxels``.
    n_bytes
        Memory that it takes at least.
    otherwise
        What helps beside a larger limit, such as ``a smaller --grid``.
    """
    limit = cache.bytes_from("MIMO_MEMORY", machine_memory() // 4 * 3)
    if n_bytes > limit:
        ways = f"{otherwise}, or " if otherwise else ""
        lift = f"MIMO_MEMORY={n_bytes / 2**20:.0f}M" if n_bytes < 2**60 else "MIMO_MEMORY"
        raise ValueError(
            f"{what} take at least {cache.as_text(n_bytes)}: expected at most {cache.as_text(limit)}; {ways}{lift} "
            "lifts the limit"
        )


def check_voxels(shape: tuple[int, int, int], *, n_scene: int = 1, n_image: int = WORKING_IMAGES) -> None:
    """Raise `ValueError` when `n_image` complex images of each scene on a grid of this shape do not fit in memory."""
    of = f" of {n_scene} scenes" if n_scene > 1 else ""
    n_byte = 8.0 * math.prod(shape) * n_scene * n_image
    check_memory(f"images{of} on {' x '.join(map(str, shape))} voxels", n_byte, otherwise="a smaller --grid")
