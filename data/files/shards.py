"""Join shards, files of some scenes each, to one file that shows all scenes without a copy of their data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mimo._values import same_arrays
from mimo.data.files.reader import open_measurement
from mimo.data.files.schema import BY_PATH, Field, FileError
from mimo.data.files.writer import (
    FILL,
    STORED,
    describe,
    mark_values,
    new_file,
    put,
    put_geometry,
    put_inside,
    put_method,
    put_steps,
    to_json,
    writing,
)
from mimo.data.history import History
from mimo.data.measurement import Array

__all__ = ["join_shards", "joined_parameters"]

ADDED = ("setup_seconds",)
"""Parameters that are seconds spent: a joined file has their sum."""


@dataclass(frozen=True, eq=False)
class _Shard:
    """Describes one shard.

    Attributes
    ----------
    path, name
        The file, and its path relative to the joined file's folder.
    shared, fixed
        What must be equal in all shards: geometry and attributes, and datasets without a scene axis.
    shapes, fields
        Shape and schema entry of each dataset with a scene axis, by path.
    methods
        Names of the methods whose images it holds.
    """

    path: Path
    name: str
    shared: dict[str, Any]
    fixed: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]
    fields: dict[str, Field]
    methods: tuple[str, ...]

    @property
    def n_scene(self) -> int:
        return self.shapes["measurement/values"][0]


def join_shards(path: str | PathLike[str], shards: Sequence[str | PathLike[str]], *, recipe: str = "") -> None:
    """Write a file of all scenes of the shards, in their order, without copying the data.

    The datasets with a scene axis, images included, become HDF5 virtual datasets. The shards are named relative to the
    joined file, so the folder can be moved as a whole. Of each method the parameters are copied; a parameter that has
    an entry for each scene, or that differs between shards, gets an entry for each scene of the joined file. The
    solvers' histories are put one after another. The program's version and the hash of the measurement's file are kept
    where the shards agree.

    Parameters
    ----------
    path
        The file to write, in the folder of the shards or above it.
    shards
        Files of the schema with the same array, sweep, grid, permittivity, region and methods.
    recipe
        As in `mimo.data.save`.

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
    with new_file(path, recipe) as (file, sink), writing(path, sink):
        put_geometry(file, first.shared["array"], first.shared["sweep"], first.shared["grid"])
        for key, value in first.fixed.items():
            put(file, BY_PATH[key], value)
        for key, field in first.fields.items():
            _put_virtual(file, key, field, parts)
        mark_values(
            file["measurement/values"], first.shared["permittivity"], first.shared["source"], first.shared["region"]
        )
        put_steps(file, first.shared["steps"])
        for method in first.methods:
            _put_run(file, method, parts)


def _look(path: Path, folder: Path) -> _Shard:
    """Open a shard and check what is asked of shards alone: below `folder`, in the schema's dtypes and phase sign."""
    try:
        name = path.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError as error:
        raise FileError(path, f"lies outside {folder}: expected the shards in it or below") from error
    with open_measurement(path) as shard:
        if shard.phase_sign != -1:
            raise FileError(path, "measurement/values phase_sign is +1: expected -1 in a shard")
        names = ("array", "sweep", "grid", "permittivity", "source", "steps", "region")
        shared = {key: getattr(shard, key) for key in names}
        stored = {key: (BY_PATH[key], dataset) for key, dataset in shard.scene_datasets().items()}
        for method in shard.methods:
            stored |= shard.method_datasets(method)
        for key, (field, dataset) in stored.items():
            expected = np.dtype(STORED[field.dtype])
            if dataset.dtype != expected or dataset.is_virtual:
                raise FileError(
                    path, f"{key} has dtype {dataset.dtype}: expected {expected}, stored in the shard itself"
                )
        shapes = {key: dataset.shape for key, (_, dataset) in stored.items()}
        fields = {key: field for key, (field, _) in stored.items()}
        return _Shard(path, name, shared, shard.fixed_datasets(), shapes, fields, shard.methods)


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


def _put_virtual(file: h5py.File, key: str, field: Field, parts: list[_Shard]) -> None:
    dtype = np.dtype(STORED[field.dtype])
    shapes = [part.shapes[key] for part in parts]
    layout = h5py.VirtualLayout((sum(shape[0] for shape in shapes), *shapes[0][1:]), dtype)
    start = 0
    for part, shape in zip(parts, shapes, strict=True):
        layout[start : start + shape[0]] = h5py.VirtualSource(part.name, f"/{key}", shape, dtype)
        start += shape[0]
    # h5py's own default, the integer 0, would let a missing shard pass for measured zeros
    describe(file.create_virtual_dataset(key, layout, fillvalue=FILL[field.dtype]), field)


def _put_run(file: h5py.File, method: str, parts: list[_Shard]) -> None:
    """Write parameters, times and histories of a method, read from one shard after the other."""
    runs, histories = [], []
    for part in parts:
        with open_measurement(part.path) as shard:
            run = shard.run(method)
        histories += History.from_json(run.pop("history", None), part.n_scene).texts()
        runs.append(run)
    for run, part in zip(runs, parts, strict=True):
        if not same_arrays(run.get("inside"), runs[0].get("inside")):
            name = f"reconstruction/{method}/inside"
            raise FileError(part.path, f"{name} differs from that of {parts[0].path}: expected one region for all")
    put_inside(file, method, runs[0].get("inside"))
    counts = [part.n_scene for part in parts]
    parameters = joined_parameters([run["parameters"] for run in runs], counts)
    agreed = (name for name in ("version", "source_sha256", "scale") if len({run[name] for run in runs}) == 1)
    texts = {name: runs[0][name] for name in agreed if runs[0][name]}
    put_method(
        file,
        method,
        {"parameters": to_json(f"reconstruction/{method} parameters", parameters), **texts},
        {
            "seconds": np.concatenate([run["seconds"] for run in runs]),
            "iterations": max(run["iterations"] for run in runs),
        },
        History.join_texts(histories),
    )


def joined_parameters(parameters: Sequence[dict[str, Any]], counts: Sequence[int]) -> dict[str, Any]:
    """Join the parameters of runs over `counts` scenes each, as `join_shards` describes it."""

    def of(name: str) -> Any:
        values = [each.get(name) for each in parameters]
        if name in ADDED and all(isinstance(value, int | float) for value in values):
            return sum(values)
        per_scene = [isinstance(v, list) and len(v) == n for v, n in zip(values, counts, strict=True)]
        if not all(per_scene) and all(value == values[0] for value in values):
            return values[0]
        return list(_entries(values, counts, per_scene))

    return {name: of(name) for name in dict.fromkeys(name for each in parameters for name in each)}


def _entries(values: Sequence[Any], counts: Sequence[int], per_scene: Sequence[bool]) -> Iterator[Any]:
    for value, n, listed in zip(values, counts, per_scene, strict=True):
        yield from value if listed else [value] * n
