"""Many files as one: the scenes of the shards of a dataset, joined without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from data.measurement import Array
from data.reader import open_measurement
from data.schema import BY_PATH, Field, FileError
from data.writer import FILL, STORED, describe, mark_values, new_file, put, put_geometry, put_steps, writing


@dataclass(frozen=True, eq=False)
class _Shard:
    """What one shard holds: its name in the joined file, what all shards share, and the shapes that count scenes."""

    path: Path
    name: str
    shared: dict[str, Any]
    fixed: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]


def join_shards(path: str | PathLike[str], shards: Sequence[str | PathLike[str]]) -> None:
    """Write a file of all scenes of the shards, in their order, without copying them.

    The datasets with a scene axis become HDF5 virtual datasets. The shards are named relative to the joined file, so
    the folder can be moved as a whole; images of methods in the shards are not joined.

    Parameters
    ----------
    path
        The file to write, in the folder of the shards or above it.
    shards
        Files of the schema with the same array, sweep, grid and permittivity.

    Raises
    ------
    FileError
        When a shard is unfit or differs from the first, naming it, or when the file cannot be written.
    """
    path = Path(path)
    if not shards:
        raise FileError(path, "has no shards: expected at least one")
    parts = [_look(Path(shard), path.parent) for shard in shards]
    first = parts[0]
    for part in parts[1:]:
        _require_same(part, first)
    with new_file(path) as (file, sink), writing(path, sink):
        put_geometry(file, first.shared["array"], first.shared["sweep"], first.shared["grid"])
        for key, value in first.fixed.items():
            put(file, BY_PATH[key], value)
        for key in first.shapes:
            _put_virtual(file, BY_PATH[key], parts)
        mark_values(file["measurement/values"], first.shared["permittivity"], first.shared["source"])
        put_steps(file, first.shared["steps"])


def _look(path: Path, folder: Path) -> _Shard:
    """Open a shard and check what only a shard must be: below `folder`, in the file's own dtypes and phase sign."""
    try:
        name = path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError as error:
        raise FileError(path, f"lies outside {folder}: expected the shards in it or below") from error
    with open_measurement(path) as shard:
        if shard.phase_sign != -1:
            raise FileError(path, "measurement/values phase_sign is +1: expected -1 in a shard")
        shared = {key: getattr(shard, key) for key in ("array", "sweep", "grid", "permittivity", "source", "steps")}
        stored = shard.scene_datasets()
        for key, dataset in stored.items():
            expected = np.dtype(STORED[BY_PATH[key].dtype])
            if dataset.dtype != expected or dataset.is_virtual:
                raise FileError(
                    path, f"{key} has dtype {dataset.dtype}: expected {expected}, stored in the shard itself"
                )
        return _Shard(path, name, shared, shard.fixed_datasets(), {key: d.shape for key, d in stored.items()})


def _require_same(part: _Shard, first: _Shard) -> None:
    for key, value in part.shared.items():
        if value != first.shared[key]:
            raise FileError(part.path, f"{key} differs from that of {first.path}: expected shards of one dataset")
    for has, others in ((part.fixed, first.fixed), (part.shapes, first.shapes)):
        odd = sorted(has.keys() ^ others.keys())
        if odd:
            raise FileError(part.path, f"{odd[0]} is in some shards only: expected it in all or none")
    for key, fixed in part.fixed.items():
        if not np.array_equal(fixed, first.fixed[key]):
            raise FileError(part.path, f"{key} differs from that of {first.path}: expected shards of one dataset")


def _put_virtual(file: h5py.File, field: Field, parts: list[_Shard]) -> None:
    dtype = np.dtype(STORED[field.dtype])
    shapes = [part.shapes[field.path] for part in parts]
    layout = h5py.VirtualLayout((sum(shape[0] for shape in shapes), *shapes[0][1:]), dtype)
    start = 0
    for part, shape in zip(parts, shapes, strict=True):
        layout[start : start + shape[0]] = h5py.VirtualSource(part.name, f"/{field.path}", shape, dtype)
        start += shape[0]
    # h5py's own default, the integer 0, would let a missing shard pass for measured zeros
    describe(file.create_virtual_dataset(field.path, layout, fillvalue=FILL[field.dtype]), field)
