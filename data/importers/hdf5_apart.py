"""Read HDF5 files of unknown origin in a child process: what is in them must not harm the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mimo.data.files.arrays_apart import read_apart
from mimo.data.files.hdf5 import guarded, open_hdf5
from mimo.data.files.limits import open_regular, read_limit
from mimo.data.files.schema import FileError

__all__ = ["complex_of", "hdf5_apart", "is_hdf5"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LAST_START = 2**20
"""The signature of HDF5 stands at 0, 512 or a larger power of two; beyond this nobody's does."""

SPARE = 2**28
"""Bytes that the library may take beside the arrays."""

COMPLEX_FIELDS = (("real", "imag"), ("r", "i"))
"""Names that a pair of floats has in the compound type of a complex dataset: MATLAB's and h5py's."""


def is_hdf5(path: Path) -> bool:
    """Whether a file has the signature of HDF5 where one may stand; the library itself is not asked."""
    try:
        with open_regular(path, "an HDF5 file") as file:
            start = 0
            while start <= LAST_START:
                file.seek(start)
                head = file.read(len(SIGNATURE))
                if head == SIGNATURE:
                    return True
                if len(head) < len(SIGNATURE):
                    return False
                start = 2 * start or 512
    except (OSError, FileError):
        return False
    return False


def hdf5_apart(path: Path, read: Callable[[h5py.File], Any], expected: str) -> Any:
    """Return what `read` returns of the open file, called in a child process within limits of memory and time.

    Parameters
    ----------
    path
        The file.
    read
        May return what `mimo.data.files.arrays_apart.read_apart` says.
    expected
        What the file should be, for messages.

    Raises
    ------
    FileError
        Whatever is wrong with the file.
    """

    def work() -> Any:
        with open_hdf5(path) as file, guarded(path):
            return read(file)

    # an array is there as it is stored, as complex numbers, and on its way to the parent
    return read_apart(path, work, expected, limit=3 * read_limit() + SPARE)


def complex_of(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return complex numbers for a compound of two floats called real and imag, or r and i; else the values."""
    names = values.dtype.names
    if names is None:
        return values
    for real, imag in COMPLEX_FIELDS:
        if tuple(n.lower() for n in names) == (real, imag):
            double = values[names[0]].dtype.itemsize > 4
            result = np.empty(values.shape, np.complex128 if double else np.complex64)
            result.real, result.imag = values[names[0]], values[names[1]]
            return result
    return values
