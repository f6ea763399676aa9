"""Refuse what is no regular file before it is opened: a pipe would be waited for, a device never ends."""

from __future__ import annotations

import os
import stat

__all__ = ["InputError", "irregular", "irregular_kind", "refuse_irregular"]

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
