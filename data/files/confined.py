"""Run a reader that a damaged file can crash in a child process, with limits of memory and time.

The child is a fork, so it starts at once and imports nothing. It writes what it has read to a temporary file, from
which the parent goes on. Where processes cannot fork (Windows), the reader runs in this process, without limits.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from mimo import cache

__all__ = ["MEMORY", "SECONDS", "ConfinedError", "confined"]

MEMORY = 4 * 2**30
"""Bytes that a reader may take when ``MIMO_READ_MEMORY`` says nothing."""

SECONDS = 20.0
"""Seconds that a reader may take, beside one for every `PER_SECOND` bytes of the file."""

PER_SECOND = 5e6
FAILED, TOO_LARGE = 3, 4
"""Exit codes of the child: the reader raised an error, or asked for more memory than there is for it."""


class ConfinedError(Exception):
    """The reader failed, crashed or went over a limit; the message says which."""


@contextmanager
def confined(work: Callable[[BinaryIO], None], n_bytes: int = 0, *, limit: int | None = None) -> Iterator[BinaryIO]:
    """Call ``work(file)`` in a child process and yield the file that it has filled, to read from the start.

    Parameters
    ----------
    work
        The reader. It may raise any error.
    n_bytes
        Size of what it reads: large files have more time.
    limit
        Bytes that it may take; ``MIMO_READ_MEMORY`` or `MEMORY` by default.

    Raises
    ------
    ConfinedError
        When it failed, crashed, took too long, or more memory than ``MIMO_READ_MEMORY``.
    """
    limit = cache.bytes_from("MIMO_READ_MEMORY", MEMORY) if limit is None else limit
    with _between() as file:
        if hasattr(os, "fork"):
            _fork(work, file, limit, SECONDS + n_bytes / PER_SECOND)
        else:
            _try(work, file)
        file.seek(0)
        yield file


def _between() -> BinaryIO:
    """Open a file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("mimo"), "w+b")
    return tempfile.TemporaryFile()


def _try(work: Callable[[BinaryIO], None], file: BinaryIO) -> None:
    try:
        work(file)
    except Exception as error:
        raise ConfinedError(str(error) or type(error).__name__) from error


def _fork(work: Callable[[BinaryIO], None], file: BinaryIO, limit: int, seconds: float) -> None:
    """Run the reader in a child and raise `ConfinedError` unless it ends well."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child uses none and ends with _exit
        child = os.fork()
    if not child:
        _be_child(work, file, limit)
    try:
        status = _ended(child, seconds)
    except BaseException:  # a keyboard interrupt
        _kill(child)
        raise
    if status is None:
        _kill(child)
        raise ConfinedError(f"reading takes more than {seconds:.0f} s")
    code = os.waitstatus_to_exitcode(status)
    if code == FAILED:
        file.seek(0)
        raise ConfinedError(file.read(2000).decode(errors="replace"))
    if code == TOO_LARGE:
        allowed = f"more than the {cache.as_text(limit)} that MIMO_READ_MEMORY allows"
        raise ConfinedError(f"reading takes {allowed}; a larger value lifts the limit")
    if code:
        raise ConfinedError(f"the reader crashed ({signal.Signals(-code).name if code < 0 else code})")


def _be_child(work: Callable[[BinaryIO], None], file: BinaryIO, limit: int) -> None:
    """Do the work and end the process, whatever happens: nothing of the parent may run twice."""
    code = FAILED
    try:
        with suppress(ValueError):  # not in the main thread
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        faulthandler.disable()  # a crash is told by the parent, in one line
        _limit_memory(limit)
        warnings.simplefilter("ignore")
        work(file)
        file.flush()
        code = 0
    except MemoryError:
        code = TOO_LARGE
    except BaseException as error:
        with suppress(BaseException):
            file.seek(0)
            file.truncate()
            file.write((str(error) or type(error).__name__).encode())
            file.flush()
    finally:
        os._exit(code)


def _limit_memory(limit: int) -> None:
    """Let the process take `limit` bytes more than it has; nothing happens where the system cannot say or limit."""
    try:
        import resource

        with open("/proc/self/statm") as facts:
            taken = int(facts.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        resource.setrlimit(resource.RLIMIT_AS, (taken + limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, OSError, ValueError):
        return


def _ended(child: int, seconds: float) -> int | None:
    """Wait for a child and return its status, ``None`` when it still runs after `seconds`."""
    stop, pause = time.monotonic() + seconds, 0.001
    while time.monotonic() < stop:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return None


def _kill(child: int) -> None:
    with suppress(OSError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
