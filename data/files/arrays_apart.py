"""Read arrays in a child process (`mimo.data.files.confined`), from files that can crash or exhaust their reader."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from scipy.io.matlab import mat_struct

from mimo.data.files.confined import ConfinedError, confined
from mimo.data.files.schema import FileError

__all__ = ["read_apart"]

MAPPED = 2**20
"""Arrays of more bytes are not copied from the file that the child has filled."""

Array = npt.NDArray[Any]


def read_apart(path: Path, read: Callable[[], Any], expected: str, *, limit: int | None = None) -> Any:
    """Call a reader in a child process and return what it returns.

    Parameters
    ----------
    path
        The file that it reads; a large one has more time.
    read
        Returns arrays, arrays of them, dicts of all this with text as keys, lists of text, or MATLAB's structures.
    expected
        What the file should be, for messages.
    limit
        Bytes that it may take, as `confined` has it.

    Raises
    ------
    FileError
        As `read` raises it; and where it fails in any other way, crashes, or goes over a limit.
    """
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a device" if path.exists() else "no such file"
        raise FileError(path, f"{kind}: expected {expected}")
    try:
        with confined(lambda file: _write(read, file), os.stat(path).st_size, limit=limit) as file:
            told, arrays = json.loads(_next(file).tobytes()), _Arrays(file)
            if "problem" in told:
                raise FileError(told["path"], told["problem"])
            return _value(told["value"], arrays)
    except (ConfinedError, RecursionError) as error:
        raise FileError(path, f"is not a whole file ({error}): expected {expected}") from error


def _write(read: Callable[[], Any], file: BinaryIO) -> None:
    """Write the arrays of a value to a file, one npy after the other, before them how they belong together."""
    arrays: list[Array] = []
    try:
        told: dict[str, Any] = {"value": _described(read(), arrays)}
    except FileError as error:
        told, arrays = {"path": error.path, "problem": error.problem}, []
    np.save(file, np.frombuffer(json.dumps(told).encode(), np.uint8))
    for values in arrays:
        np.save(file, values, allow_pickle=False)


def _described(value: Any, arrays: list[Array]) -> Any:
    """Return where a value's parts are among `arrays`, to which they are added, in words that JSON has."""
    if isinstance(value, mat_struct):
        return {"fields": {name: _described(getattr(value, name), arrays) for name in value._fieldnames}}
    if isinstance(value, dict):
        return {"table": {name: _described(each, arrays) for name, each in value.items()}}
    if isinstance(value, tuple | list):
        return {"texts": list(value)}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return {"cells": [_described(each, arrays) for each in value.flat], "shape": value.shape}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays.append(value)
        return {"array": len(arrays) - 1}
    return {"kind": type(value).__name__}


class _Arrays:
    """The arrays that the child has written, read in their order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._read: list[Array] = []

    def __getitem__(self, number: int) -> Array:
        while len(self._read) <= number:
            self._read.append(_next(self._file))
        return self._read[number]


def _next(file: BinaryIO) -> Array:
    """Return the next array of a file."""
    start = file.tell()
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if n_bytes < MAPPED:
        file.seek(start)
        return np.asarray(np.load(file, allow_pickle=False))
    offset = file.tell()
    file.seek(offset + n_bytes)
    return np.asarray(np.memmap(file, dtype, "r+", offset, shape, order="F" if fortran else "C"))


def _value(told: dict[str, Any], arrays: _Arrays) -> Any:
    """Undo `_described`."""
    if "array" in told:
        return arrays[told["array"]]
    if "table" in told:
        return {name: _value(each, arrays) for name, each in told["table"].items()}
    if "texts" in told:
        return tuple(told["texts"])
    if "fields" in told:
        made = mat_struct()
        made._fieldnames = list(told["fields"])
        for name, each in told["fields"].items():
            setattr(made, name, _value(each, arrays))
        return made
    if "cells" in told:
        cells = np.empty(len(told["cells"]), object)
        for i, each in enumerate(told["cells"]):
            cells[i] = _value(each, arrays)
        return cells.reshape(told["shape"])
    return told["kind"]
