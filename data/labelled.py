"""Label numbers with their axes, coordinates and units: datasets of xarray, by the words of the file schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data.files.schema import BY_PATH
from mimo.extras import needed

__all__ = ["labelled_dataset"]

DIMENSIONS = {
    "n_scene": "scene",
    "n_freq": "freq",
    "n_tx": "tx",
    "n_rx": "rx",
    "n_channel": "channel",
    "n_x": "x",
    "n_y": "y",
    "n_z": "z",
}
"""The schema's axes, and what the dimensions of a dataset are called."""

Arrays = Mapping[str, tuple[str, npt.NDArray[Any] | None]]


def labelled_dataset(
    variables: Arrays,
    *,
    array: ArrayGeometry | None = None,
    sweep: FrequencySweep | None = None,
    grid: VoxelGrid | None = None,
    attributes: Mapping[str, Any],
) -> Any:
    """Return an `xarray.Dataset` of some fields of the schema, with coordinates and units.

    Parameters
    ----------
    variables
        For each name the field's path in the schema and its numbers; those that are ``None`` are left out.
    array, sweep, grid
        What the coordinates are taken from: places of the antennas in metres, frequencies in hertz, voxels in metres.
    attributes
        Attributes of the whole; those that are ``None`` or empty are left out.

    Raises
    ------
    MissingExtraError
        When xarray is not installed.
    """
    xarray = needed("xarray", purpose="to_xarray", extra="xarray")
    coordinates: dict[str, Any] = {}
    if sweep is not None:
        coordinates["freq"] = ("freq", sweep.freq, _told("sweep/freq"))
    if grid is not None:
        for axis in "xyz":
            coordinates[axis] = (axis, getattr(grid, axis), _told(f"grid/{axis}"))
    if array is not None:
        coordinates |= _places(array)
    filled = {name: (path, values) for name, (path, values) in variables.items() if values is not None}
    return xarray.Dataset(
        {name: (_dimensions(path, values.ndim), values, _told(path)) for name, (path, values) in filled.items()},
        coordinates,
        {name: value for name, value in attributes.items() if value is not None and value != ""},
    )


def _dimensions(path: str, ndim: int) -> tuple[str, ...]:
    """Return the dimensions' names of a field: those of the alternative with as many axes."""
    axes = next(axes for axes in BY_PATH[path].axes if len(axes) == ndim)
    return tuple(DIMENSIONS[str(axis)] for axis in axes)


def _told(path: str) -> dict[str, str]:
    """Return what the schema says of a field, by the names that xarray puts beside axes."""
    entry = BY_PATH[path]
    return {"long_name": entry.meaning} | ({"units": entry.unit} if entry.unit else {})


def _places(array: ArrayGeometry) -> dict[str, Any]:
    """Return the antennas' places; of listed channels those of each channel's two antennas, and which they are."""
    found: dict[str, Any] = {}
    sides: dict[str, tuple[str, npt.NDArray[Any]]] = {"tx": ("tx", array.tx_pos), "rx": ("rx", array.rx_pos)}
    if array.channels is not None:
        for i, side in enumerate(("tx", "rx")):
            index = array.channels[:, i]
            found[side] = ("channel", index, {"long_name": f"number of the channel's {side}, from 0"})
            sides[side] = ("channel", sides[side][1][index])
    for side, (dimension, places) in sides.items():
        for i, axis in enumerate("xyz"):
            found[f"{side}_{axis}"] = (dimension, np.array(places[:, i]), _told(f"array/{side}_pos"))
    if array.mask is not None:
        found["mask"] = (("tx", "rx"), array.mask, _told("array/mask"))
    return found
