"""Let a run of hours give way to everything else on the machine."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["lower_priority"]


def lower_priority(nice: int) -> None:
    """Set the process's nice value where it is lower: 0 leaves it, 19 waits for everything else.

    Threads that exist already keep theirs, so this comes before the first computation. Where the system has no nice
    values nothing happens.
    """
    if not hasattr(os, "setpriority"):
        return
    with suppress(OSError):
        if os.getpriority(os.PRIO_PROCESS, 0) < nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
