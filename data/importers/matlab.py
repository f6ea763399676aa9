"""Read variables of a MATLAB file, version 5 or 7.3 (HDF5), by dotted name, in MATLAB's own axis order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import mat_struct

from mimo.data.files.arrays_apart import read_apart
from mimo.data.files.hdf5 import foreign_dataset
from mimo.data.files.schema import FileError
from mimo.data.importers.hdf5_apart import ForeignHdf5, complex_of, is_hdf5

__all__ = ["MatFile"]

EXPECTED = "a MATLAB file, version 5 or 7.3"


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
        self._hdf5: ForeignHdf5 | None = None
        if is_hdf5(path):
            self._hdf5 = ForeignHdf5(path, self._from_hdf5, EXPECTED)
        else:
            self._variables = read_apart(path, self._version_5, EXPECTED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._variables = {}

    def _version_5(self) -> dict[str, Any]:
        found = loadmat(self.path, struct_as_record=False, squeeze_me=False)
        return {name: value for name, value in found.items() if not name.startswith("__")}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables at the top level."""
        found = self._variables if self._hdf5 is None else self._hdf5.names
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
        values = self._from_version_5(name) if self._hdf5 is None else self._hdf5.get(name.replace(".", "/"))
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

    def _from_hdf5(self, file: h5py.File, name: str) -> npt.NDArray[Any]:
        found = foreign_dataset(self.path, file, name)
        if found is None:
            raise self._absent_in_hdf5(file, name.replace("/", "."))
        values = np.asarray(found[()])
        if h5py.check_ref_dtype(found.dtype) is h5py.Reference:
            return self._cells(file, name, values)
        values = complex_of(values)
        return values.T  # MATLAB stores columns first, HDF5 shows them reversed

    def _cells(self, file: h5py.File, name: str, references: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the cells that references of a version 7.3 file point at, as an array of arrays."""
        cells = np.empty(references.T.shape, object)
        for at, reference in np.ndenumerate(references.T):
            place = file[reference].name if reference else ""
            found = foreign_dataset(self.path, file, str(place)) if place else None
            if found is None:
                raise FileError(self.path, f"{name} has a cell that points nowhere: expected numbers in each")
            cells[at] = complex_of(np.asarray(found[()])).T
        return cells

    def _absent_in_hdf5(self, file: h5py.File, name: str) -> FileError:
        """Return the error that says which part of the name is missing, and lists what is there instead."""
        parent: Any = file
        for part in name.split(".")[:-1]:
            below = parent.get(part) if part in parent else None
            if not isinstance(below, h5py.Group):
                return self._missing(name, part, tuple(parent))
            parent = below
        return self._missing(name, name.rpartition(".")[2], tuple(parent))

    def _missing(self, name: str, part: str, known: tuple[str, ...]) -> FileError:
        listed = ", ".join(k for k in known if not k.startswith(("#", "__"))) or "nothing"
        return FileError(self.path, f"variable {name} is missing: expected {part} among {listed}")
