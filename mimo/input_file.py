"""Refuse what is no regular file before it is opened: a pipe would be waited for, a device never ends."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "irregular", "irregular_kind", "refuse_irregular", "whole_input"]

KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
}


class InputError(ValueError):
    """Raised when an input is no regular file; one line names it and what was expected."""


def irregular_kind(mode: int) -> str | None:
    """Return what a file is that is no regular one, in words, by its mode; ``None`` for a regular one."""
    if stat.S_ISREG(mode):
        return None
    return next((name for is_kind, name in KINDS.items() if is_kind(mode)), "no regular file")


def irregular(path: str | os.PathLike[str]) -> str | None:
    """Return what there is at a path instead of a regular file; ``None`` for one, and where nothing is."""
    try:
        return irregular_kind(os.stat(path).st_mode)
    except (OSError, ValueError):  # nothing there, or a name that no file can have: opening it says so
        return None


def refuse_irregular(path: str | os.PathLike[str], expected: str = "a file", *, folder: bool = False) -> None:
    """Raise `InputError` for a pipe, a device, a socket or, unless `folder` allows it, a folder."""
    kind = irregular(path)
    if kind is not None and not (folder and kind == "a folder"):
        raise InputError(f"{os.fspath(path)}: is {kind}: expected {expected}{' or a folder' if folder else ''}")


@contextmanager
def whole_input(path: str | os.PathLike[str], expected: str) -> Iterator[None]:
    """Turn whatever a damaged or hostile file makes its reader raise into one line that names the file.

    What says already that a file is missing stays as it is.

    Parameters
    ----------
    path
        The file.
    expected
        What it should be: ``weights that `mimo train` writes``.

    Raises
    ------
    InputError
        For any error of the reader.
    """
    name = os.fspath(path)
    try:
        yield
    except FileNotFoundError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: does not fit in memory ({error}): expected {expected}") from error
    except Exception as error:  # a mangled file makes any library raise anything
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = " ".join(" ".join(lines[:2]).split())[:300]
        if isinstance(error, ValueError) and said.startswith(f"{name}: "):
            raise
        if not isinstance(error, ValueError) or not said:
            said = f"it may be damaged ({type(error).__name__}{': ' if said else ''}{said}): expected {expected}"
        raise InputError(f"{name}: {said}") from error
