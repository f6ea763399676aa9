"""Read variables of a MATLAB file, version 5 or 7.3 (HDF5), by dotted name, in MATLAB's own axis order."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import mat_struct

from mimo.data.files.confined import ConfinedError, confined
from mimo.data.files.hdf5 import foreign_dataset, guarded, open_hdf5
from mimo.data.files.schema import FileError

__all__ = ["MatFile", "complex_of"]

COMPLEX_FIELDS = (("real", "imag"), ("r", "i"))
"""Names that a pair of floats has in the compound type of a complex dataset: MATLAB's and h5py's."""


class MatFile:
    """Reads an open MATLAB file.

    Examples
    --------
    >>> with MatFile("scan.mat") as file:  # doctest: +SKIP
    ...     values = file.get("EMData.Values")
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._variables: dict[str, Any] = {}
        self._file: h5py.File | None = None
        self._opened = None
        try:
            is_hdf5 = path.is_file() and h5py.is_hdf5(path)  # a pipe would be waited for
        except OSError as error:
            raise FileError(path, f"cannot be read ({error}): expected a MATLAB file") from error
        if is_hdf5:
            self._opened = open_hdf5(path)
            self._file = self._opened.__enter__()
            return
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "a device" if path.exists() else "no such file"
            raise FileError(path, f"{kind}: expected a MATLAB file")
        try:
            # a mangled file can crash scipy's reader, or make it take any memory or time
            with confined(lambda file: _read_apart(path, file), path.stat().st_size) as file:
                self._variables = _put_together(file)
        except ConfinedError as error:
            raise FileError(path, f"is not a whole MATLAB file ({error}): expected version 5 or 7.3") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:  # fmt: skip
        if self._opened is not None:
            self._opened.__exit__(kind, error, trace)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables at the top level."""
        found = self._file if self._file is not None else self._variables
        return tuple(sorted(name for name in found if not name.startswith(("__", "#"))))

    def has(self, name: str) -> bool:
        """Whether there is such a variable or field."""
        try:
            self.get(name)
        except FileError:
            return False
        return True

    def get(self, name: str) -> npt.NDArray[Any]:
        """Return the numbers of a variable or, with dots, of a structure's field; at least two axes, as in MATLAB.

        Raises
        ------
        FileError
            When it is missing (what there is beside it is listed) or does not hold numbers.
        """
        values = self._from_hdf5(name) if self._file is not None else self._from_version_5(name)
        if values.dtype == object and values.size and all(isinstance(each, np.ndarray) for each in values.flat):
            values = self._stacked(name, [np.squeeze(each) for each in values.flatten(order="F")])
        if values.dtype == object and values.size == 1 and isinstance(values.item(), mat_struct):
            listed = ", ".join(values.item()._fieldnames)
            raise FileError(self.path, f"{name} is a structure: expected one of its fields, {name}.FIELD of {listed}")
        if values.dtype.kind not in "fiuc" or not values.size:
            raise FileError(self.path, f"{name} has dtype {values.dtype}, shape {values.shape}: expected numbers")
        return values

    def vector(self, name: str) -> npt.NDArray[Any]:
        """Return the numbers of a row, a column or a scalar, ``(n,)``; FileError for any other shape."""
        values = self.get(name)
        if values.size != max(values.shape):
            raise FileError(self.path, f"{name} has shape {values.shape}: expected a vector")
        return values.ravel()

    def _stacked(self, name: str, cells: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return the cells of a cell array, without axes of length 1, one behind the other along a first axis."""
        if all(each.dtype.names is None and each.dtype != object for each in cells):
            shapes = [each.shape for each in cells]
            if len(set(shapes)) == 1:
                return np.stack(cells)
            other = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise FileError(
                self.path,
                f"{name}{{{other + 1}}} has shape {shapes[other]}, {name}{{1}} {shapes[0]}: expected one shape",
            )
        raise FileError(self.path, f"{name} holds cells of other things than numbers: expected numbers")

    def _from_version_5(self, name: str) -> npt.NDArray[Any]:
        first, *fields = name.split(".")
        found: Any = self._variables.get(first) if not first.startswith("__") else None
        if found is None:
            raise self._missing(name, first, self.names)
        for depth, field in enumerate(fields):
            if isinstance(found, np.ndarray) and found.dtype == object and found.size == 1:
                found = found.item()
            if not isinstance(found, mat_struct):
                raise FileError(self.path, f"{'.'.join([first, *fields[:depth]])} is no structure: expected {name}")
            if field not in found._fieldnames:
                raise self._missing(name, field, tuple(found._fieldnames))
            found = getattr(found, field)
        if not isinstance(found, np.ndarray):
            raise FileError(self.path, f"{name} is a {type(found).__name__}: expected numbers")
        return found

    def _from_hdf5(self, name: str) -> npt.NDArray[Any]:
        assert self._file is not None  # noqa: S101 - the caller's check, for the type checker
        with guarded(self.path):
            found = foreign_dataset(self.path, self._file, name.replace(".", "/"))
            if found is None:
                raise self._absent_in_hdf5(name)
            values = np.asarray(found[()])
            if h5py.check_ref_dtype(found.dtype) is h5py.Reference:
                return self._cells(name, values)
            values = complex_of(values)
            return values.T  # MATLAB stores columns first, HDF5 shows them reversed

    def _cells(self, name: str, references: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the cells that references of a version 7.3 file point at, as an array of arrays."""
        assert self._file is not None  # noqa: S101 - the caller's check, for the type checker
        cells = np.empty(references.T.shape, object)
        for at, reference in np.ndenumerate(references.T):
            place = self._file[reference].name if reference else ""
            found = foreign_dataset(self.path, self._file, str(place)) if place else None
            if found is None:
                raise FileError(self.path, f"{name} has a cell that points nowhere: expected numbers in each")
            cells[at] = complex_of(np.asarray(found[()])).T
        return cells

    def _absent_in_hdf5(self, name: str) -> FileError:
        """Return the error that says which part of the name is missing, and lists what is there instead."""
        parent: Any = self._file
        for part in name.split(".")[:-1]:
            below = parent.get(part) if part in parent else None
            if not isinstance(below, h5py.Group):
                return self._missing(name, part, tuple(parent))
            parent = below
        return self._missing(name, name.rpartition(".")[2], tuple(parent))

    def _missing(self, name: str, part: str, known: tuple[str, ...]) -> FileError:
        listed = ", ".join(k for k in known if not k.startswith(("#", "__"))) or "nothing"
        return FileError(self.path, f"variable {name} is missing: expected {part} among {listed}")


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


def _read_apart(path: Path, file: BinaryIO) -> None:
    """Read a version 5 file and write its arrays to another, one npy after the other, and then how they belong."""
    arrays: list[npt.NDArray[Any]] = []
    variables = loadmat(path, struct_as_record=False, squeeze_me=False)
    tree = {name: _described(value, arrays) for name, value in variables.items() if not name.startswith("__")}
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    np.save(file, text)
    for values in arrays:
        np.save(file, values, allow_pickle=False)


def _described(value: Any, arrays: list[npt.NDArray[Any]]) -> Any:
    """Return where a value's parts are among `arrays`, to which they are added, in words that JSON has."""
    if isinstance(value, mat_struct):
        return {"fields": {name: _described(getattr(value, name), arrays) for name in value._fieldnames}}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return {"cells": [_described(each, arrays) for each in value.flat], "shape": value.shape}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays.append(value)
        return {"array": len(arrays) - 1}
    return {"kind": type(value).__name__}


def _put_together(file: BinaryIO) -> dict[str, Any]:
    """Return the variables that `_read_apart` has written."""
    tree = json.loads(np.load(file, allow_pickle=False).tobytes())
    arrays: list[npt.NDArray[Any]] = []

    def value(told: dict[str, Any]) -> Any:
        if "array" in told:
            while len(arrays) <= told["array"]:  # they were written in the order in which they are met
                arrays.append(np.load(file, allow_pickle=False))
            return arrays[told["array"]]
        if "fields" in told:
            made = mat_struct()
            made._fieldnames = list(told["fields"])
            for name, each in told["fields"].items():
                setattr(made, name, value(each))
            return made
        if "cells" in told:
            cells = np.empty(len(told["cells"]), object)
            for i, each in enumerate(told["cells"]):
                cells[i] = value(each)
            return cells.reshape(told["shape"])
        return told["kind"]

    return {name: value(each) for name, each in tree.items()}
