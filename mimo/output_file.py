"""Write files so that nothing that is there is lost: beside their place, checked, and only then renamed to it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mimo.input_file import irregular_kind

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and an open file can be neither renamed nor removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["OutputError", "held", "place_of", "refuse_inputs", "remove_leftovers", "replacing", "shared"]

LEFTOVER = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp(?:\.\w+)*")
"""Names of temporary files; the group is the name of the file that was to be written."""
WAIT = 60.0
"""Seconds for which a process waits for another one that writes the same file."""


class OutputError(ValueError):
    """Raised when a file must not or cannot be written; one line names it and what was expected."""

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        super().__init__(str(path), problem)
        self.path = str(path)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


def place_of(path: str | os.PathLike[str]) -> Path:
    """Return where a file of this name is written: the path, or where a link leads.

    Raises
    ------
    OutputError
        When something else than a regular file has the name: it would be lost, and a device of the system with it.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise OutputError(
            path, f"cannot be written ({error.strerror}): expected the name of a file to write"
        ) from error
    if mode is not None and not stat.S_ISREG(mode):
        raise OutputError(path, f"is {irregular_kind(mode)}: expected the name of a file to write")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def refuse_inputs(out: str | os.PathLike[str], inputs: Iterable[str | os.PathLike[str] | None]) -> None:
    """Raise `OutputError` when an output is the same file as an input, however the two are spelled."""
    for source in inputs:
        if source is None:
            continue
        try:
            same = os.path.samefile(out, source)
        except OSError:  # one of them is not there
            same = os.path.realpath(out) == os.path.realpath(source)
        if same:
            raise OutputError(out, f"is the input {source}, which would be lost: expected another name for the output")


@contextmanager
def replacing(path: str | os.PathLike[str], ending: str = "") -> Iterator[Path]:
    """Yield the path of an empty file beside the place of an output, to be filled; then rename it to that place.

    What is at the place stays whole until the new file is complete, and for good when an error leaves the block. A link
    is followed. Temporary files of the same output whose writers were killed are removed first; the file is locked
    while it is written, so that those of living writers stay.

    Parameters
    ----------
    path
        The output.
    ending
        What the temporary name is to end in, for libraries that go by a suffix.

    Raises
    ------
    OutputError
        When the place holds something else than a regular file, the file cannot be written, or what was written is
        empty.
    """
    place = place_of(path)
    remove_leftovers([place])
    try:
        temporary, claim = _claimed(place, ending)
    except OSError as error:
        raise _failed(path, error) from error
    try:
        yield temporary
        try:
            _finish(path, temporary, place)
        except OSError as error:
            raise _failed(path, error) from error
    finally:
        if claim is not None:
            os.close(claim)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _failed(path: str | os.PathLike[str], error: OSError) -> OutputError:
    return OutputError(path, f"cannot be written ({error.strerror}): expected a writable folder with room")


def _finish(path: str | os.PathLike[str], temporary: Path, place: Path) -> None:
    """Move what was written to its place, if it is on the disk."""
    _sync(temporary, os.O_RDWR)  # a full disk of another machine is told here
    if temporary.stat().st_size == 0:
        raise OutputError(path, "nothing was written: expected room on the disk")
    with suppress(OSError):  # an output keeps the permissions that its owner gave it
        os.chmod(temporary, stat.S_IMODE(place.stat().st_mode))
    os.replace(temporary, place)
    with suppress(OSError):  # the file is whole either way; this only makes its new name survive a power cut
        _sync(place.parent, os.O_RDONLY)


def _claimed(place: Path, ending: str) -> tuple[Path, int | None]:
    """Create a temporary file and lock it; another process may take it for a leftover before it is locked."""
    while True:
        temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp{ending}")
        claim = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if fcntl is None:
            os.close(claim)
            return temporary, None
        try:
            if _locked(claim) and _is_still(temporary, claim):
                return temporary, claim
        except BaseException:
            os.close(claim)
            raise
        os.close(claim)


def _locked(handle: int, *, together: bool = False) -> bool:
    """Lock a file for as long as it is open, alone or `together` with others; say whether that was possible.

    Where nothing can be locked, it is so.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if together else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def held(path: str | os.PathLike[str], wait: float = WAIT) -> Iterator[None]:
    """Hold an output for this process alone, while what is there is read and written again.

    Others wait. The lock is the hidden file ``.NAME.lock`` beside the output, which goes when the block is left; one
    that a killed process left behind holds nobody up.

    Raises
    ------
    OutputError
        When another process still holds the output after `wait` seconds; the message says which.
    """
    place = place_of(path)
    lock = place.with_name(f".{place.name}.lock")
    until = time.monotonic() + wait
    while (handle := _opened(lock)) is not None:
        if _locked(handle) and _is_still(lock, handle):
            break
        holder = os.pread(handle, 200, 0)
        os.close(handle)
        if time.monotonic() > until:
            raise OutputError(
                path, f"is being written by {_words(holder)}: expected it alone; run this again after that"
            )
        time.sleep(0.02)
    try:
        if handle is not None:
            _sign(handle)
        yield
    finally:
        if handle is not None:
            with suppress(OSError):
                os.unlink(lock)
            os.close(handle)


@contextmanager
def shared(path: str | os.PathLike[str], recipe: str) -> Iterator[None]:
    """Share an output with all processes that make it by the same recipe; those of another recipe are refused.

    The lock is the hidden file ``.NAME.run`` beside the output, which goes with the last process.

    Raises
    ------
    OutputError
        When a process is at work on the same output by another recipe; the message says which.
    """
    place = place_of(path)
    lock = place.with_name(f".{place.name}.run")
    ours = hashlib.sha256(recipe.encode()).hexdigest().encode()
    until = time.monotonic() + WAIT
    while (handle := _opened(lock)) is not None:
        alone = _locked(handle)
        if (alone or _locked(handle, together=True)) and _is_still(lock, handle):
            if alone:
                _sign(handle, ours)
            theirs, _, holder = os.pread(handle, 400, 0).partition(b" ")
            # the lock is let go for a moment while it changes from alone to together
            if theirs == ours and _locked(handle, together=True) and _is_still(lock, handle):
                break
            if theirs not in (ours, b""):
                os.close(handle)
                raise OutputError(
                    path, f"is being made with other parameters by {_words(holder)}: expected another name, or its end"
                )
        os.close(handle)
        if time.monotonic() > until:
            raise OutputError(path, "is locked by another process: expected to be let in")
        time.sleep(0.02)
    try:
        yield
    finally:
        if handle is not None:
            with suppress(OSError):
                if _locked(handle):  # the last one
                    os.unlink(lock)
            os.close(handle)


def _opened(lock: Path) -> int | None:
    """Open a file to lock; ``None`` where none can be made, and writing the output itself will say so."""
    if fcntl is None:
        return None
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return None


def _is_still(path: Path, handle: int) -> bool:
    """Say whether an open file still has its name."""
    try:
        return os.stat(path).st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _sign(handle: int, purpose: bytes = b"") -> None:
    """Write into a lock file who holds it."""
    text = f"process {os.getpid()} on {socket.gethostname()}".encode()
    with suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(handle, 0)
        os.pwrite(handle, purpose + b" " * bool(purpose) + text, 0)


def _words(holder: bytes) -> str:
    text = holder.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text) or "another process"


def remove_leftovers(paths: Sequence[Path]) -> None:
    """Remove the temporary files that killed processes left of `paths`, which lie in one folder."""
    if fcntl is None or not paths or not paths[0].parent.is_dir():
        return
    names = {path.name for path in paths}
    for found in os.scandir(paths[0].parent):
        unfinished = LEFTOVER.fullmatch(found.name)
        if not unfinished or unfinished[1] not in names or not found.is_file(follow_symlinks=False):
            continue
        with suppress(OSError):
            handle = os.open(found.path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if _locked(handle):
                    os.unlink(found.path)
            finally:
                os.close(handle)
