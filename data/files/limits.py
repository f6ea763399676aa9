"""Open files of unknown origin: regular ones alone, and none that takes more memory than it may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mimo import cache
from mimo.data.files.schema import FileError
from mimo.input_file import irregular
from mimo.memory import machine_memory

__all__ = ["FREE", "MEMORY", "check_size", "open_regular", "read_limit", "read_text"]

MEMORY = 4 * 2**30
"""Bytes that may be read when ``MIMO_READ_MEMORY`` says nothing; half of the machine's memory where that is more."""

FREE = 2**28
"""Bytes that a file of any size may expand to."""

EXPANSION = 100
"""Larger ones may expand to so many times what is stored: noise does not compress, and measurements hold some."""

TEXT = 16
"""How many times its size the numbers of a text take while it is read."""


def read_limit(n_stored: int | None = None) -> int:
    """Return the bytes that may be read at once: ``MIMO_READ_MEMORY``, or what `n_stored` bytes may expand to.

    Raises
    ------
    ValueError
        When ``MIMO_READ_MEMORY`` is no size.
    """
    most = max(MEMORY, machine_memory() // 2)
    if n_stored is not None:
        most = min(most, max(FREE, EXPANSION * n_stored))
    return cache.bytes_from("MIMO_READ_MEMORY", most)


def check_size(path: str | os.PathLike[str], what: str, n_bytes: int, n_stored: int | None = None) -> None:
    """Raise `FileError` when a part of a file takes too much memory; it says the size, the limit and what lifts it.

    Parameters
    ----------
    path, what
        The file, and what of it is to be read: ``measurement/values``.
    n_bytes
        Memory that it takes.
    n_stored
        Bytes that it takes in the file, where it may be compressed.
    """
    limit = read_limit(n_stored)
    if n_bytes > limit:
        stored = "" if n_stored is None else f", {cache.as_text(n_stored)} in the file"
        raise FileError(
            path,
            f"{what} takes {cache.as_text(n_bytes)}{stored}: expected at most {cache.as_text(limit)}; "
            f"MIMO_READ_MEMORY={-(-n_bytes // 2**20)}M lifts the limit",
        )


@contextmanager
def open_regular(path: Path, expected: str) -> Iterator[BinaryIO]:
    """Open a regular file to read bytes; `FileError` for a pipe, a device, a folder, or where there is nothing."""
    if (kind := irregular(path)) is not None:
        raise FileError(path, f"is {kind}: expected {expected}")
    try:
        handle = path.open("rb")
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}): expected {expected}") from error
    with handle:
        yield handle


def read_text(path: Path, expected: str, *, errors: str = "strict") -> str:
    """Read a regular file as UTF-8 text, with or without a mark at its start; `errors` as `bytes.decode` takes it.

    Raises
    ------
    FileError
        When there is none, it is no text, or its numbers would take more memory than they may.
    """
    with open_regular(path, expected) as file:
        size = os.fstat(file.fileno()).st_size
        limit = read_limit() // TEXT
        if size > limit:
            raise FileError(
                path,
                f"has {cache.as_text(size)} of text: expected at most {cache.as_text(limit)}; "
                f"MIMO_READ_MEMORY={-(-size * TEXT // 2**20)}M lifts the limit",
            )
        try:
            return file.read(limit + 1).decode("utf-8-sig", errors)
        except OSError as error:
            raise FileError(path, f"cannot be read ({error.strerror}): expected {expected}") from error
        except UnicodeDecodeError as error:
            raise FileError(path, f"cannot be read as text ({error}): expected {expected}") from error
