"""End a loop between two steps when the process is told to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["StopRequest"]


class StopRequest:
    """A context in which SIGINT and SIGTERM (Ctrl-C, a batch system's end) are noted, and raised where that is better.

    A signal is noted while there is something to keep first, and raised as ``KeyboardInterrupt`` when there is nothing,
    or it is the second one.

    Outside the main thread, where signals cannot be caught, it notes nothing.

    Attributes
    ----------
    made
        Whether the process was told to stop.
    something_to_keep
        Whether work would be lost if the program ended at once.
    """

    def __init__(self) -> None:
        self.made = self.something_to_keep = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.made or not self.something_to_keep:
            raise KeyboardInterrupt
        self.made = True
