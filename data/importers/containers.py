"""Read arrays by name from npz, HDF5 and MATLAB files, and a single one from npy; nothing is unpickled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt

from mimo.data.files.hdf5 import foreign_dataset
from mimo.data.files.limits import check_size, open_regular
from mimo.data.files.schema import SCHEMA_NAME, FileError
from mimo.data.importers.hdf5_apart import ForeignHdf5, complex_of
from mimo.data.importers.matlab import MatFile

__all__ = ["SUFFIXES", "Get", "load_npy", "named_arrays"]

EXPECTED = "an HDF5 file"
SUFFIXES = (".npz", ".h5", ".hdf5", ".mat")
Array = npt.NDArray[Any]
Get = Callable[[str], Array]


@contextmanager
def named_arrays(path: Path) -> Iterator[tuple[Get, tuple[str, ...]]]:
    """Yield a function ``get(name)`` and the top-level names of an npz, HDF5 or MATLAB file.

    Names of fields in MATLAB structures have dots, names of HDF5 datasets in groups slashes.

    Raises
    ------
    FileError
        When the file is of another kind or damaged; `get` raises it, listing what there is, when the name is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise FileError(path, f"ends in {suffix!r}: expected one of {', '.join(SUFFIXES)}")
    if suffix == ".npz":
        with _npz(path) as result:
            yield result
    elif suffix == ".mat":
        with MatFile(path) as file:
            yield file.get, file.names
    else:
        opened = ForeignHdf5(path, partial(_from_hdf5, path), EXPECTED, partial(_refuse_own, path))
        yield opened.get, opened.names


def load_npy(path: Path) -> Array:
    """Read the array of an npy file; FileError when it is damaged or would have to be unpickled."""
    with open_regular(path, "an npy file") as handle, _numpy_errors(path, "one array without pickled objects"):
        _check_npy(path, "its array", handle, path.stat().st_size)
        handle.seek(0)
        values = np.load(handle, allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise FileError(path, "holds several arrays: expected one, npy and not npz")
        return values


@contextmanager
def _npz(path: Path) -> Iterator[tuple[Get, tuple[str, ...]]]:
    with open_regular(path, "an npz file") as handle:
        with _numpy_errors(path, "arrays saved by numpy.savez"):
            file = np.load(handle, allow_pickle=False)
        if not hasattr(file, "files"):
            raise FileError(path, "holds one array without a name: expected npz, several named arrays")

        def get(name: str) -> Array:
            if name not in file.files:
                listed = ", ".join(sorted(file.files))
                raise FileError(path, f"array {name!r} is missing: expected it, there is {listed}")
            with _numpy_errors(path, f"numbers as array {name!r}"):
                member = f"{name}.npy" if f"{name}.npy" in file.zip.namelist() else name
                with file.zip.open(member) as packed:
                    _check_npy(path, name, packed, file.zip.getinfo(member).compress_size)
                return np.asarray(file[name])

        with file:
            yield get, tuple(sorted(file.files))


def _check_npy(path: Path, name: str, file: IO[bytes], n_stored: int) -> None:
    """Refuse an array whose header declares more than may be read, before memory is taken for it."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    check_size(path, name, math.prod(shape) * dtype.itemsize, n_stored)


@contextmanager
def _numpy_errors(path: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except FileError:
        raise
    except Exception as error:  # of numpy, zipfile and the tokenizer that reads headers: any, on a mangled file
        raise FileError(path, f"cannot be read by numpy ({error}): expected {expected}") from error


def _from_hdf5(path: Path, file: h5py.File, name: str) -> Array:
    found = foreign_dataset(path, file, name)
    if found is None:
        listed: list[str] = []
        file.visit(listed.append)
        raise FileError(path, f"dataset {name!r} is missing: expected it, there is {', '.join(listed[:12]) or 'none'}")
    return complex_of(np.asarray(found[()]))


def _refuse_own(path: Path, file: h5py.File) -> None:
    mark = file.attrs.get("schema")
    if mark is not None and str(mark.decode() if isinstance(mark, bytes) else mark) == SCHEMA_NAME:
        raise FileError(path, f"is a {SCHEMA_NAME} file already: expected one of another program; it needs no import")
