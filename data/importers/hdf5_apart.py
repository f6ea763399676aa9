"""Read HDF5 files of unknown origin in a child process: what is in them must not harm the program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mimo.data.files.arrays_apart import read_apart
from mimo.data.files.hdf5 import guarded, open_hdf5
from mimo.data.files.limits import open_regular, read_limit
from mimo.data.files.schema import FileError

__all__ = ["ForeignHdf5", "complex_of", "is_hdf5"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
LAST_START = 2**20
"""The signature of HDF5 stands at 0, 512 or a larger power of two; beyond this nobody's does."""

SPARE = 2**28
"""Bytes that the library may take beside the arrays."""

SMALL, MANY = 2**16, 200
"""Arrays of so many bytes are read when the file is looked at, and so many of them."""

COMPLEX_FIELDS = (("real", "imag"), ("r", "i"))
"""Names that a pair of floats has in the compound type of a complex dataset: MATLAB's and h5py's."""


Array = npt.NDArray[Any]


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


class ForeignHdf5:
    """Reads the arrays of an HDF5 file, each in a child process within limits of memory and time.

    Parameters
    ----------
    path
        The file.
    read
        ``read(file, name)`` returns an array of the open file; arrays of arrays too.
    expected
        What the file should be, for messages.
    check
        Called with the open file first, to refuse it.

    Raises
    ------
    FileError
        Whatever is wrong with the file.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[h5py.File, str], Array],
        expected: str,
        check: Callable[[h5py.File], None] = lambda file: None,
    ) -> None:
        self.path, self._read, self._expected = path, read, expected

        def look(file: h5py.File) -> dict[str, Any]:
            check(file)
            return {"names": sorted(file), "small": _small(file, read)}

        found = self._apart(look)
        self.names: tuple[str, ...] = found["names"]
        self._small: dict[str, Array] = found["small"]

    def get(self, name: str) -> Array:
        """Return an array, by its path with slashes; FileError as `read` raises it."""
        if name in self._small:  # a child takes 0.05 s, and files hold many small arrays
            return self._small[name]
        found: Array = self._apart(lambda file: self._read(file, name))
        return found

    def _apart(self, read: Callable[[h5py.File], Any]) -> Any:
        def work() -> Any:
            with open_hdf5(self.path) as file, guarded(self.path):
                return read(file)

        # an array is there as it is stored, as complex numbers, and on its way to the parent
        return read_apart(self.path, work, self._expected, limit=3 * read_limit() + SPARE)


def _small(file: h5py.File, read: Callable[[h5py.File, str], Array]) -> dict[str, Array]:
    """Return the first small arrays of a file that can be read; those that cannot say so when they are asked for."""
    found: dict[str, Array] = {}

    def look(name: str, entry: Any) -> bool | None:
        if isinstance(entry, h5py.Dataset) and not name.startswith("#") and entry.nbytes <= SMALL:
            with suppress(Exception):
                found[name] = read(file, name)
        return True if len(found) >= MANY else None

    with suppress(Exception):  # of a damaged part; the names of what is whole were found before
        file.visititems(look)
    return found


def complex_of(values: Array) -> Array:
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
