"""Stop at once when asked to, also while a library computes that does not look at signals.

Python acts on a signal between two of its own steps, and the factorisation of a large matrix is one step of minutes.
So a thread is told of signals as they arrive; where the program has not acted a second later, it saves what there is to
save and ends the process. A temporary file may then stay: that of an image goes with the next run that makes it, that
of the cache after a day (`mimo.cache`). Locks are the system's, and end with the process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

__all__ = ["Stopper", "stoppable"]

GRACE = 1.0
"""Seconds that the program has to act on a signal by itself."""


class Stopper:
    """Ends the process when a signal is not acted on.

    Attributes
    ----------
    something_to_keep
        Whether an interrupt would be answered by writing what was reached: the first Ctrl-C then waits for it, a second
        one does not.
    keep
        Saves what was reached before the process ends, while the program computes; ``None`` for nothing.
    """

    def __init__(self) -> None:
        self.something_to_keep = False
        self.keep: Callable[[], None] | None = None
        self._acted = threading.Event()
        self._asked = 0

    def act(self, number: int, frame: FrameType | None) -> None:
        """Raise what ends the program in good order: the handler of both signals."""
        self._acted.set()
        if number == signal.SIGTERM:
            raise SystemExit(128 + number)
        raise KeyboardInterrupt

    def watch(self, pipe: int) -> None:
        """Read the numbers of signals from a pipe until it is closed; the work of a thread."""
        while numbers := os.read(pipe, 1):
            number = numbers[0]
            if number not in (signal.SIGINT, signal.SIGTERM):
                continue
            self._asked += 1
            if self._acted.wait(GRACE):
                self._acted.clear()
                continue
            if number == signal.SIGINT and self.something_to_keep and self._asked == 1:
                click.echo("mimo: stopping after this step; Ctrl-C again stops at once", err=True)
                continue
            if self.keep is not None:
                self.keep()
            click.echo("mimo: interrupted", err=True)
            os._exit(128 + number)


@contextmanager
def stoppable() -> Iterator[Stopper]:
    """Act on Ctrl-C and SIGTERM within a second or so; elsewhere than in the main thread nothing is changed."""
    stopper = Stopper()
    if threading.current_thread() is not threading.main_thread():
        yield stopper
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    handlers = {number: signal.signal(number, stopper.act) for number in (signal.SIGINT, signal.SIGTERM)}
    pipe_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread = threading.Thread(target=stopper.watch, args=(reading,), daemon=True, name="signals")
    thread.start()
    try:
        yield stopper
    finally:
        signal.set_wakeup_fd(pipe_before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(writing)
        thread.join()
        os.close(reading)
