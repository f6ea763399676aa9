"""Read and write geometry files: an array without a measurement, with a sweep and a grid where they are known."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data.files.hdf5 import attribute, dataset, guarded, open_hdf5, subgroup
from mimo.data.files.reader import check_schema
from mimo.data.files.schema import BY_PATH, FileError, UnfitError, check_finite, check_shape, far_sides
from mimo.data.files.writer import new_file, put_geometry, writing

__all__ = ["Geometry", "array_alone", "load_geometry", "save_geometry"]

ARRAY = ("tx_pos", "rx_pos", "channels", "mask", "tx_normal", "rx_normal")
PLACES = (*(f"array/{name}" for name in ARRAY), "sweep/freq", *(f"grid/{name}" for name in "xyz"))


@dataclass(frozen=True)
class Geometry:
    """Holds an array and, where they are known, the sweep and the voxels that belong to it."""

    array: ArrayGeometry
    sweep: FrequencySweep | None = None
    grid: VoxelGrid | None = None


def save_geometry(path: str | PathLike[str], geometry: Geometry) -> None:
    """Write a geometry file, which takes the place of `path`; FileError when it cannot be written."""
    with new_file(path) as (file, sink), writing(path, sink):
        put_geometry(file, geometry.array, geometry.sweep, geometry.grid)


def load_geometry(path: str | PathLike[str]) -> Geometry:
    """Read array, sweep and grid of a geometry file, or of any file of the schema; values are not looked at.

    Raises
    ------
    FileError
        When the file is missing, damaged, or does not follow the schema; names the file and the field.
    """
    path = Path(path)
    with open_hdf5(path) as file, guarded(path):
        check_schema(file)
        parts = _read(path, file)
        for name in ("array/tx_pos", "array/rx_pos"):
            if name not in parts:
                raise UnfitError(f"{name} is missing: expected the antennas' positions")
        if "array/mask" in parts:
            parts["array/mask"] = parts["array/mask"].astype(bool)
        absent = [name for name in "xyz" if f"grid/{name}" not in parts]
        if len(absent) in (1, 2):
            raise UnfitError(f"grid/{absent[0]} is missing: expected grid/x, grid/y and grid/z together")
        label = attribute(subgroup(file, "array"), "name", "string") or ""
        try:
            antennas: dict[str, Any] = {name: parts.get(f"array/{name}") for name in ARRAY}
            antennas |= far_sides(attribute(subgroup(file, "array"), "far", "string"))
            array = ArrayGeometry(**antennas, name=label)
            sweep = FrequencySweep(parts["sweep/freq"]) if "sweep/freq" in parts else None
            grid = None if absent else VoxelGrid(*(parts[f"grid/{name}"] for name in "xyz"))
        except ValueError as error:
            raise UnfitError(str(error)) from error
    return Geometry(array, sweep, grid)


def array_alone(path: str | PathLike[str]) -> Geometry | None:
    """Return what a geometry file holds; ``None`` for a file with a measurement, and for any other kind of file."""
    try:
        with open_hdf5(Path(path)) as file, guarded(Path(path)):
            if "measurement" in file or "array" not in file:
                return None
    except FileError:
        return None  # told by who reads it as a measurement
    return load_geometry(path)


def _read(path: Path, file: h5py.File) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for place in PLACES:
        field = BY_PATH[place]
        found = dataset(path, file, place, field)
        if found is not None:
            check_shape(field, found.shape, sizes)
            values = np.asarray(found[()])
            check_finite(field, values)
            parts[place] = values
    return parts
