"""Keep files that are dear to compute in a folder of bounded size, from which the least recently used go first.

The folder is ``MIMO_CACHE_DIR``, or the platform's place for such files; its size ``MIMO_CACHE_SIZE``, or 2 GiB. Only
files that are named as the program names them, ``KIND-HASH.safetensors``, are counted and removed: the folder may hold
other things.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

__all__ = [
    "DEFAULT_SIZE",
    "Report",
    "as_text",
    "bytes_from",
    "clear",
    "folder",
    "make_room",
    "report",
    "size_limit",
    "store",
    "touch",
]

DEFAULT_SIZE = 2 * 2**30
"""Bytes that the folder may hold when ``MIMO_CACHE_SIZE`` says nothing."""

SAY_FROM = 2**29
"""A file of more bytes is not written without a word."""

ABANDONED = 24 * 3600
"""Seconds after which a temporary or lock file belongs to a process that is gone."""

UNITS = {"": 0, "B": 0, "K": 1, "KB": 1, "KIB": 1, "M": 2, "MB": 2, "MIB": 2, "G": 3, "GB": 3, "GIB": 3, "T": 4}
"""Power of 1024 of each unit that ``MIMO_CACHE_SIZE`` may end with."""

KEPT = re.compile(r"[a-z]+-[0-9a-f]{32}\.safetensors")
PASSING = re.compile(r"\.[a-z]+-[0-9a-f]{32}\.safetensors\..+|[a-z]+-[0-9a-f]{32}\.lock")


@dataclass(frozen=True)
class Report:
    """Says what the cache holds.

    Attributes
    ----------
    folder
        Where it is; it may not exist.
    n_file, n_bytes
        Number of files, and the bytes that they take together.
    limit
        Bytes that they may take.
    """

    folder: Path
    n_file: int
    n_bytes: int
    limit: int


def folder() -> Path:
    """Return the folder of the cache: ``MIMO_CACHE_DIR``, or the platform's; it may not exist yet."""
    return Path(os.environ.get("MIMO_CACHE_DIR") or platformdirs.user_cache_dir("mimo-imaging"))


def size_limit() -> int:
    """Return how many bytes the cache may hold: ``MIMO_CACHE_SIZE``, such as 500M or 4G (0: nothing), or 2 GiB.

    Raises
    ------
    ValueError
        When ``MIMO_CACHE_SIZE`` is not a size.
    """
    return bytes_from("MIMO_CACHE_SIZE", DEFAULT_SIZE)


def bytes_from(name: str, default: int) -> int:
    """Return the bytes that an environment variable states, such as 500M or 4G; `ValueError` when it is no size."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    found = re.fullmatch(r"([0-9.]+)\s*([A-Za-z]*)", text)
    if found and found[2].upper() in UNITS:
        with suppress(ValueError, OverflowError):
            return int(float(found[1]) * 1024 ** UNITS[found[2].upper()])
    raise ValueError(f"{name} is {text!r}: expected a number of bytes, or one with a unit, such as 500M or 4G")


def touch(path: Path) -> None:
    """Note that a file was used just now; nothing happens where the folder cannot be written."""
    with suppress(OSError):
        os.utime(path)


def make_room(n_bytes: int, where: Path | None = None) -> bool:
    """Remove the least recently used files until another of `n_bytes` fits, and return whether it does.

    Parameters
    ----------
    n_bytes
        Size of the file to come.
    where
        The folder; that of the cache by default.

    Returns
    -------
    bool
        ``False`` where the file is larger than the whole cache may be; then nothing is removed.
    """
    limit = size_limit()
    if n_bytes > limit:
        return False
    where = folder() if where is None else where
    _remove(_found(where, PASSING), before=time.time() - ABANDONED)
    files = sorted(_found(where, KEPT).items(), key=lambda item: item[1].st_mtime_ns)
    total = sum(facts.st_size for _, facts in files)
    for path, facts in files:
        if total + n_bytes <= limit:
            break
        with suppress(OSError):  # another process may have removed it
            path.unlink()
        total -= facts.st_size
    return True


def store(path: Path, n_bytes: int, write: Callable[[str], object]) -> bool:
    """Write a file into the cache, or nothing where it does not fit; a failure is a warning, as only time is lost.

    The file appears whole under its name or not at all. One larger than half a gigabyte is told of in a warning.

    Parameters
    ----------
    path
        Its place, ``KIND-HASH.safetensors`` with 32 hexadecimal digits, whose folder is made where it is missing.
    n_bytes
        About how large it will be.
    write
        Called with the path of a temporary file, which it fills.

    Returns
    -------
    bool
        Whether it was written.
    """
    temporary = None
    try:
        if not make_room(n_bytes, path.parent):
            limit = as_text(size_limit())
            if n_bytes > SAY_FROM:
                _warn(f"{as_text(n_bytes)} are not kept for the next run: MIMO_CACHE_SIZE is {limit}")
            return False
        if n_bytes > SAY_FROM:
            _warn(f"{as_text(n_bytes)} are kept in {path.parent}: free them by `mimo info --clear-cache`")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # for the owner alone
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        write(temporary)
        os.replace(temporary, path)
        temporary = None
    except Exception as error:  # whatever goes wrong here, the run has what it needs
        _warn(f"{path.name} is not kept for the next run: {error}")
        return False
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    return True


def report() -> Report:
    """Return place, number of files and size of the cache, and how large it may become."""
    files = _found(folder(), KEPT)
    return Report(folder(), len(files), sum(facts.st_size for facts in files.values()), size_limit())


def clear() -> Report:
    """Remove all files of the cache, also what a killed process left there, and return what there was."""
    before = report()
    _remove(_found(before.folder, KEPT), before=math.inf)
    _remove(_found(before.folder, PASSING), before=math.inf)
    return before


def as_text(n_bytes: float) -> str:
    """Return a number of bytes in words, such as ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.3g} GiB"


def _found(where: Path, names: re.Pattern[str]) -> dict[Path, os.stat_result]:
    """Return the files of a folder whose names match, with their facts; none where there is no such folder."""
    files = {}
    with suppress(OSError):
        for entry in os.scandir(where):
            if names.fullmatch(entry.name):
                with suppress(OSError):  # removed meanwhile
                    files[Path(entry.path)] = entry.stat()
    return files


def _remove(files: dict[Path, os.stat_result], *, before: float) -> None:
    for path, facts in files.items():
        if facts.st_mtime < before:
            with suppress(OSError):
                path.unlink()


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)
