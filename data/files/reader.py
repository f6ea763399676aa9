"""Read files of the schema, checking every link, type, shape and size first: they are untrusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data.files.hdf5 import attribute, check_memory, dataset, guarded, open_hdf5, subgroup
from mimo.data.files.schema import (
    BY_PATH,
    FIELDS,
    METHOD,
    SCHEMA_NAME,
    SCHEMA_VERSION,
    Field,
    UnfitError,
    check_finite,
    check_shape,
    far_sides,
)
from mimo.data.measurement import (
    MEASUREMENT_PATHS,
    Array,
    Measurement,
    Reconstruction,
    Scenes,
    axis_sizes,
    check_permittivity,
    check_region,
    checked_steps,
    scene_numbers,
)

__all__ = ["MeasurementFile", "check_schema", "load", "load_reconstructions", "open_measurement", "validate"]

BLOCK_BYTES = 64 * 2**20
STD = BY_PATH[f"reconstruction/{METHOD}/std"]
QUANTILES = BY_PATH[f"reconstruction/{METHOD}/quantiles"]


class MeasurementFile:
    """Reads an open file of the schema; everything but the scenes is read and checked when it is opened.

    Attributes
    ----------
    path
        The file.
    array, sweep, grid
        As in `Measurement`; `grid` is ``None`` when the file has none.
    n_scene
        Number of scenes.
    permittivity
        Relative permittivity of the medium.
    phase_sign
        -1 or +1, as the file states it; data are read in our convention, -1, either way.
    source
        Where the measurement comes from.
    region
        What is known of where the scene is; see `Measurement`.
    steps
        Processing steps of its values, in order; see `Measurement`.
    methods
        Names of the methods whose images the file holds.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._datasets: dict[str, h5py.Dataset] = {}
        check_schema(file)
        for field in FIELDS:
            if METHOD not in field.path:
                found = dataset(path, file, field.path, field)
                if found is not None:
                    self._datasets[field.path] = found
                elif field.required and "array/tx_pos" in self._datasets and "measurement" not in file:
                    raise UnfitError(
                        "measurement/values is missing, the file holds an array alone: expected a measurement; "
                        "an array serves `synth --array` and `info`"
                    )
                elif field.required:
                    raise UnfitError(
                        f"{field.path} is missing: expected {field.dtype} {field.axes[0]}, {field.meaning}"
                    )
        sizes: dict[str, int] = {}
        for field in FIELDS:
            if field.path in self._datasets:
                check_shape(field, self._datasets[field.path].shape, sizes)
        self._read_attributes()
        self._read_geometry(file)
        sizes = {**axis_sizes(self.array, self.sweep, self.grid), "n_scene": sizes["n_scene"]}
        self.n_scene = sizes["n_scene"]
        if "calibration/delay" in self._datasets and "calibration/gain" not in self._datasets:
            raise UnfitError("calibration/gain is missing: expected it beside calibration/delay, which is there")
        self.steps = self._read_steps()
        self._groups: dict[str, h5py.Group] = {}
        group = subgroup(file, "reconstruction")
        for method in sorted(group) if group is not None else ():
            self._open_method(group, method, sizes)

    def _read_attributes(self) -> None:
        values = self._datasets["measurement/values"]
        sign = attribute(values, "phase_sign", "number")
        if sign is None or sign not in (-1, 1):
            given = "is missing" if sign is None else f"is {sign:g}"
            raise UnfitError(f"measurement/values phase_sign {given}: expected -1 or +1")
        self.phase_sign = int(sign)
        permittivity = attribute(values, "permittivity", "number")
        try:
            self.permittivity = check_permittivity(1.0 if permittivity is None else permittivity)
        except ValueError as error:
            raise UnfitError(f"measurement/values {error}") from error
        self.source: str = attribute(values, "source", "string") or ""
        try:
            self.region = check_region(attribute(values, "region", "string"))
        except ValueError as error:
            raise UnfitError(f"measurement/values {error}") from error

    def _read_steps(self) -> tuple[dict[str, Any], ...]:
        found = self._datasets.get("preparation/steps")
        return () if found is None else checked_steps(_json("preparation/steps", _text(found[()])))

    def _read_geometry(self, file: h5py.File) -> None:
        names = ("tx_pos", "rx_pos", "channels", "mask", "tx_normal", "rx_normal")
        parts: dict[str, Any] = {name: self._whole(f"array/{name}") for name in names}
        if parts["mask"] is not None and parts["mask"].dtype != bool:
            if not np.isin(parts["mask"], (0, 1)).all():
                raise UnfitError("array/mask holds numbers other than 0 and 1: expected bool")
            parts["mask"] = parts["mask"].astype(bool)
        label = attribute(subgroup(file, "array"), "name", "string") or ""
        parts |= far_sides(attribute(subgroup(file, "array"), "far", "string"))
        axes: list[Any] = [self._whole(f"grid/{name}") for name in "xyz"]
        absent = [name for name, axis in zip("xyz", axes, strict=True) if axis is None]
        if len(absent) in (1, 2):
            raise UnfitError(f"grid/{absent[0]} is missing: expected grid/x, grid/y and grid/z together")
        with _field("array/"):
            self.array = ArrayGeometry(**parts, name=label)
        with _field("sweep/"):
            self.sweep = FrequencySweep(self._read("sweep/freq", BY_PATH["sweep/freq"], None))
        self.grid: VoxelGrid | None = None
        if not absent:
            with _field(""):
                self.grid = VoxelGrid(*axes)

    def _open_method(self, parent: h5py.Group, method: str, sizes: dict[str, int]) -> None:
        group = subgroup(parent, method, of="reconstruction/")
        if group is None:
            return
        for field in FIELDS:
            if METHOD in field.path:
                name = field.at(method)
                found = dataset(self.path, group, field.path.rpartition("/")[2], field, name=name)
                if found is not None:
                    check_shape(field, found.shape, sizes, name=name)
                    self._datasets[name] = found
        if self._image(method) is None:
            raise UnfitError(f"reconstruction/{method} holds no image: expected reflectivity or magnitude in it")
        self._groups[method] = group
        self._method_attributes(method)

    def _image(self, method: str) -> tuple[str, Field] | None:
        """Return path and schema entry of a method's image; those of the complex one when there are two."""
        for kind in ("reflectivity", "magnitude"):
            field = BY_PATH[f"reconstruction/{METHOD}/{kind}"]
            if field.at(method) in self._datasets:
                return field.at(method), field
        return None

    def _method_attributes(self, method: str) -> dict[str, Any]:
        group, name = self._groups[method], f"reconstruction/{method}"
        result: dict[str, Any] = {"iterations": 0, "version": "", "source_sha256": "", "scale": ""}
        kinds = {"method": "string", "parameters": "string", "seconds": "numbers", "iterations": "number"}
        for key in ("method", "parameters", "seconds", *result):
            value = attribute(group, key, kinds.get(key, "string"))
            if value is None and key not in result:
                raise UnfitError(f"{name} has no attribute {key}: expected method, parameters and seconds")
            if value is not None:
                result[key] = value
        result["parameters"] = _json(f"{name} parameters", result["parameters"])
        if not isinstance(result["parameters"], dict):
            raise UnfitError(f"{name} parameters is {str(result['parameters'])[:60]!r}: expected a JSON object")
        if result["seconds"].shape != (self.n_scene,):
            raise UnfitError(
                f"{name} seconds has shape {result['seconds'].shape}, measurement/values has {self.n_scene} scenes: "
                f"expected {(self.n_scene,)}"
            )
        if not np.isfinite(result["seconds"]).all():
            raise UnfitError(f"{name} seconds has a NaN or infinite number: expected seconds")
        if result["iterations"] != int(result["iterations"]):
            raise UnfitError(f"{name} iterations is {result['iterations']:g}: expected a whole number")
        result["iterations"] = int(result["iterations"])
        return result

    def _method_facts(self, method: str) -> dict[str, Any]:
        """Return the attributes of a method and, where it has them, its history and the voxels inside its region."""
        facts, name = self._method_attributes(method), f"reconstruction/{method}/history"
        field = BY_PATH[f"reconstruction/{METHOD}/inside"]
        if field.at(method) in self._datasets:
            inside = self._read(field.at(method), field, None)
            if not np.isin(inside, (0, 1)).all():
                raise UnfitError(f"{field.at(method)} holds numbers other than 0 and 1: expected bool")
            facts["inside"] = inside.astype(bool)
        if name in self._datasets:
            facts["history"] = _json(name, _text(self._datasets[name][()]))
        return facts

    # -- data ----------------------------------------------------------------------------------------------------

    def _whole(self, name: str) -> Array | None:
        """Read a dataset without scenes, ``None`` when the file has none."""
        return self._read(name, BY_PATH[name], None) if name in self._datasets else None

    def _read(self, name: str, field: Field, scenes: range | list[int] | None) -> Array:
        """Read scenes of a dataset (everything for ``None``); finite, in our phase convention."""
        source = self._datasets[name]
        check_memory(self.path, source, name, None if scenes is None else len(scenes))
        if scenes is None:
            values = np.asarray(source[()])
            check_finite(field, values, name=name)
        elif isinstance(scenes, range) and scenes.step == 1:
            values = source[scenes.start : scenes.stop]
            _check_scenes(field, values, name, scenes.start)
        else:
            values = np.empty((len(scenes), *source.shape[1:]), source.dtype)
            for i, scene in enumerate(scenes):
                values[i] = source[scene]
                _check_scenes(field, values[i : i + 1], name, scene)
        if source.is_virtual:  # opened again, as HDF5 keeps memory for every shard read through an open dataset
            file, place = source.file, source.name
            source.id.close()
            self._datasets[name] = file[place]
        return values.conj() if self.phase_sign == 1 and field.dtype == "c8" else values

    @property
    def has_truth(self) -> bool:
        """Whether the file holds the true reflectivity."""
        return "truth/reflectivity" in self._datasets

    @property
    def snr_db(self) -> Array | None:
        """Signal to noise ratio, float32 ``(n_scene,)`` in dB, +inf without noise; ``None`` when not known."""
        place = "measurement/snr_db"
        if place not in self._datasets:
            return None
        with guarded(self.path):
            return self._read(place, BY_PATH[place], None).astype(np.float32, copy=False)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods whose images the file holds."""
        return tuple(self._groups)

    def measurement(self, scenes: Scenes | None = None) -> Measurement:
        """Read the chosen scenes (all for ``None``) as a `Measurement`; only these are read from the disk.

        Raises
        ------
        FileError
            When a scene is out of range, or its data is damaged or not finite.
        """
        with guarded(self.path):
            chosen = scene_numbers(scenes, self.n_scene)
            parts = {}
            for name, place in MEASUREMENT_PATHS.items():
                if place in self._datasets:
                    field = BY_PATH[place]
                    parts[name] = self._read(place, field, chosen if field.per_scene else None)
            return Measurement(
                array=self.array,
                sweep=self.sweep,
                grid=self.grid,
                permittivity=self.permittivity,
                source=self.source,
                steps=self.steps,
                region=self.region,
                **parts,
            )

    def truth(self, scene: int) -> Array:
        """Read the true reflectivity of one scene, complex64 ``(n_x, n_y, n_z)``; FileError when there is none."""
        with guarded(self.path):
            if not self.has_truth:
                raise UnfitError("truth/reflectivity is missing: expected a file with the true reflectivity")
            chosen = scene_numbers([scene], self.n_scene)
            values = self._read("truth/reflectivity", BY_PATH["truth/reflectivity"], chosen)
            return values[0].astype(np.complex64, copy=False)

    def reconstruction(self, method: str, scenes: Scenes | None = None) -> Reconstruction:
        """Read a method's images of the chosen scenes (all for ``None``); FileError when the file has none of it."""
        with guarded(self.path):
            found = self._image(method) if method in self._groups else None
            if found is None or self.grid is None:
                known = ", ".join(self.methods) or "none"
                raise UnfitError(f"reconstruction/{method} is missing: expected one of the file's methods ({known})")
            chosen = scene_numbers(scenes, self.n_scene)
            parts = self._method_facts(method)
            parts["seconds"] = parts["seconds"][list(chosen)]
            image = self._read(*found, chosen)
            if found[1].dtype == "f4":
                image = image.astype(np.float32, copy=False)
            for name, field in (("std", STD), ("quantiles", QUANTILES)):
                if (place := field.at(method)) in self._datasets:
                    parts[name] = self._read(place, field, chosen)
            return Reconstruction(image=image, grid=self.grid, **parts)

    def check_scene(self, name: str, field: Field, scene: int) -> None:
        """Read one scene of an open dataset, by its path, and raise FileError if it is damaged or not finite."""
        with guarded(self.path):
            self._read(name, field, range(scene, scene + 1))

    def run(self, method: str) -> dict[str, Any]:
        """Read parameters, times and history of a method: the fields of `Reconstruction` but the images, by name."""
        with guarded(self.path):
            return self._method_facts(method)

    def has_std(self, method: str) -> bool:
        """Whether the file holds the standard deviation of a method's images."""
        return STD.at(method) in self._datasets

    def method_datasets(self, method: str) -> dict[str, tuple[Field, h5py.Dataset]]:
        """Return the schema's entries and the open datasets of a method with a scene axis, by path.

        Its image, and the standard deviation and the quantiles of its magnitude where they are there.
        """
        field, images = self.image_dataset(method)
        found = {field.at(method): (field, images)}
        for more in (STD, QUANTILES):
            if (place := more.at(method)) in self._datasets:
                found[place] = more, self._datasets[place]
        return found

    def image_dataset(self, method: str) -> tuple[Field, h5py.Dataset]:
        """Return the schema's entry and the open dataset of a method's images; KeyError when it has none."""
        found = self._image(method) if method in self._groups else None
        if found is None:
            raise KeyError(method)
        return found[1], self._datasets[found[0]]

    def scene_datasets(self) -> dict[str, h5py.Dataset]:
        """Return the open datasets with a scene axis, by path; without those of the methods."""
        return {path: d for path, d in self._datasets.items() if path in BY_PATH and BY_PATH[path].per_scene}

    def fixed_datasets(self) -> dict[str, Array]:
        """Read the datasets that all scenes share, by path: background, gain, delay and reference path if present."""
        with guarded(self.path):
            found = {path: self._whole(path) for path in MEASUREMENT_PATHS.values() if not BY_PATH[path].per_scene}
        return {path: values for path, values in found.items() if values is not None}

    def blocks(self) -> Iterator[range]:
        """Yield ranges of scenes of which the largest dataset takes about 64 MiB."""
        largest = max(d.size * d.dtype.itemsize for d in self._datasets.values()) // self.n_scene
        step = max(1, BLOCK_BYTES // max(1, largest))
        for start in range(0, self.n_scene, step):
            yield range(start, min(start + step, self.n_scene))


@contextmanager
def open_measurement(path: str | PathLike[str]) -> Iterator[MeasurementFile]:
    """Open a file of the schema to read it scene by scene.

    Raises
    ------
    FileError
        When the file is missing, is no HDF5, is damaged or does not follow the schema.

    Examples
    --------
    >>> with open_measurement("scenes.h5") as file:  # doctest: +SKIP
    ...     for scene in range(file.n_scene):
    ...         one = file.measurement([scene])
    """
    path = Path(path)
    with open_hdf5(path) as file:
        with guarded(path):
            opened = MeasurementFile(path, file)
        yield opened


def load(path: str | PathLike[str], *, scenes: Scenes | None = None) -> Measurement:
    """Read a measurement; of the scenes only those chosen by a slice or a list of numbers, all for ``None``.

    Background and gain are loaded, not applied (see `mimo.data.calibration`). A file whose phase grows with the path
    (``phase_sign`` +1) is conjugated.

    Raises
    ------
    FileError
        When the file is missing, damaged, or does not follow the schema; names the file and the field.
    """
    with open_measurement(path) as file:
        return file.measurement(scenes)


def load_reconstructions(path: str | PathLike[str], *, scenes: Scenes | None = None) -> dict[str, Reconstruction]:
    """Read the images of every method in the file, by method; FileError as for `load`."""
    with open_measurement(path) as file:
        return {method: file.reconstruction(method, scenes) for method in file.methods}


def validate(path: str | PathLike[str]) -> None:
    """Read the whole file, some scenes at a time, and raise FileError at the first thing that is wrong."""
    with open_measurement(path) as file:
        for block in file.blocks():
            scenes = slice(block.start, block.stop)
            file.measurement(scenes)
            for method in file.methods:
                file.reconstruction(method, scenes)


def check_schema(file: h5py.File) -> None:
    """Raise ValueError unless the file says that it follows the schema, in a version that is known."""
    name = attribute(file, "schema", "string")
    if name != SCHEMA_NAME:
        given = "is missing" if name is None else f"is {name[:60]!r}"
        raise UnfitError(f"attribute schema {given}: expected {SCHEMA_NAME!r}")
    version = attribute(file, "schema_version", "number")
    if version is None or version < 1 or version != int(version):
        given = "is missing" if version is None else f"is {version:g}"
        raise UnfitError(f"attribute schema_version {given}: expected a whole number, {SCHEMA_VERSION} or lower")
    if version > SCHEMA_VERSION:
        raise UnfitError(
            f"attribute schema_version is {version:g}: expected {SCHEMA_VERSION} or lower, update the program"
        )


def _check_scenes(field: Field, values: Array, name: str, first: int) -> None:
    """Refuse scenes that are not finite, and say how the others can be used."""
    try:
        check_finite(field, values, name=name, first=first)
    except UnfitError as error:
        raise UnfitError(f"{error} (--skip-bad of reconstruct and prepare leaves such scenes out)") from error


@contextmanager
def _field(group: str) -> Iterator[None]:
    """Put the group before the field that a value object's message starts with."""
    try:
        yield
    except ValueError as error:
        raise UnfitError(group + str(error).replace("grid ", "grid/", 1)) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnfitError(f"{name} is not JSON ({error}): expected what json.dumps writes") from error
