"""End a training within a moment when the process is told to stop, without losing a step that was taken."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["StopRequest"]


class StopRequest:
    """A context in which SIGINT and SIGTERM (Ctrl-C, a batch system's end) interrupt all that may be left half done.

    What must be whole is done in `whole`, and a signal that comes meanwhile waits for its end. The handlers from before
    the context are asked first, so that whoever set them may end the program in another way; else a signal raises
    ``KeyboardInterrupt``. Outside the main thread, where signals cannot be caught, nothing is changed.

    Python acts on a signal between two of its own steps, which a library may keep it from for seconds. Another thread
    that waits no longer calls `keep_now`, and may then end the process.

    Parameters
    ----------
    waits
        Note signals only, for one of several processes, which must all end between the same two steps.

    Attributes
    ----------
    made
        Whether the process was told to stop.
    keep
        Saves what was reached; ``None`` as long as there is nothing.
    """

    def __init__(self, *, waits: bool = False) -> None:
        self.waits, self.made = waits, False
        self.keep: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}
        self._lock = threading.RLock()
        self._depth, self._late = 0, 0

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {int(s): signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Let what is done in this context be done to its end, before a signal interrupts and before `keep_now`."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
        if self._late and not self._depth:
            late, self._late = self._late, 0
            self._interrupt(late, None)

    def keep_now(self) -> None:
        """Save what was reached, from any thread."""
        with self.whole():
            if self.keep is not None:
                self.keep()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.made = True
        if self._depth:
            self._late = number
        elif not self.waits:
            self._interrupt(number, frame)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.waits:
            return
        before = self._before.get(number)
        if callable(before):
            before(number, frame)
        raise KeyboardInterrupt
