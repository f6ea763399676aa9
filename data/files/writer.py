"""Write files of the schema under a temporary name and then rename them, so that none is ever half written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data.files.safe_file import SafeFile
from mimo.data.files.schema import BY_PATH, FAR_VERSION, SCHEMA_NAME, Field, FileError
from mimo.data.measurement import (
    MEASUREMENT_PATHS,
    Measurement,
    Reconstruction,
    axis_sizes,
    check_permittivity,
    check_region,
    checked_values,
)
from mimo.output_file import OutputError, replacing

__all__ = [
    "FILL",
    "RECIPE_ATTRIBUTE",
    "STORED",
    "FileWriter",
    "create_file",
    "describe",
    "file_sha256",
    "mark_values",
    "new_file",
    "put",
    "put_geometry",
    "put_inside",
    "put_method",
    "put_steps",
    "put_text",
    "save",
    "to_json",
    "writing",
]

CHUNK_BYTES = 2**20
MOST_CHUNK_BYTES = 2**28
RECIPE_ATTRIBUTE = "recipe"

STORED = {"f8": "<f8", "f4": "<f4", "c8": "<c8", "i4": "<i4", "bool": "?"}
FILL = {"c8": np.complex64(np.nan), "f4": np.float32(np.nan)}


@contextmanager
def writing(path: str | PathLike[str], sink: SafeFile | None = None) -> Iterator[None]:
    """Turn an error of the file system into a FileError, at the latest when the ``with`` block is left."""
    try:
        yield
        if sink is not None:
            sink.check()
    except (OSError, RuntimeError) as error:  # h5py has both
        cause = sink.error if sink is not None and sink.error is not None else error
        text = getattr(cause, "strerror", None) or str(cause)
        raise FileError(path, f"cannot be written ({text}): expected a writable folder with room") from error


@contextmanager
def new_file(path: str | PathLike[str], recipe: str = "") -> Iterator[tuple[h5py.File, SafeFile]]:
    """Yield a new HDF5 file and its `SafeFile`; it replaces `path` on a clean exit and is deleted on any other.

    `recipe` states what the file is made from, see `mimo.data.jobs.tasks`.
    """
    path = Path(path)
    with writing(path):
        has_folder = path.parent.is_dir()
    if not has_folder:
        raise FileError(path, f"cannot be written, there is no folder {path.parent}: expected an existing folder")
    try:
        with replacing(path) as temporary:
            with writing(path):
                sink = SafeFile(temporary)
            with sink:
                # the headers of 1.8 have checksums, and room for attributes above 64 kB (seconds of many scenes)
                file = h5py.File(sink, "w", libver=("v108", "latest"))
                try:
                    with writing(path, sink):
                        _put_text(file, "schema", SCHEMA_NAME)
                        file.attrs["schema_version"] = 1
                        file.attrs["created"] = datetime.now(UTC).isoformat(timespec="seconds")
                        file.attrs["creator"] = _creator()
                        _put_text(file, RECIPE_ATTRIBUTE, recipe)
                    yield file, sink
                finally:
                    file.close()
                with writing(path, sink):
                    sink.check()
            with writing(path, sink):
                sink.check()
    except OutputError as error:
        if error.path != str(path):
            raise
        raise FileError(path, error.problem) from error


def _creator() -> str:
    try:
        return f"mimo-imaging {version('mimo-imaging')}"
    except PackageNotFoundError:
        return "mimo-imaging unknown"


def describe(dataset: h5py.Dataset, field: Field) -> None:
    """Give a dataset its unit and description."""
    dataset.attrs["unit"] = field.unit
    dataset.attrs["description"] = field.meaning


def _put_text(owner: h5py.HLObject, name: str, text: str) -> None:
    """Write a fixed-length string: a damaged heap of variable-length ones can hang HDF5. An empty text is left out."""
    if text:
        owner.attrs[name] = np.bytes_(text.encode())


def put(file: h5py.File, field: Field, values: npt.ArrayLike, *, name: str = "") -> None:
    """Write one dataset of the schema, in the schema's dtype."""
    data = np.asarray(values, dtype=STORED[field.dtype])
    describe(file.create_dataset(name or field.path, data=data), field)


def put_text(file: h5py.File, field: Field, text: str, *, name: str = "") -> None:
    """Write one dataset of text, of fixed length."""
    describe(file.create_dataset(name or field.path, data=np.bytes_(text.encode())), field)


def put_steps(file: h5py.File, steps: Sequence[dict[str, Any]]) -> None:
    """Write the processing steps of the values, if there are any."""
    if steps:
        put_text(file, BY_PATH["preparation/steps"], to_json("preparation/steps", list(steps)))


def _scene_chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the chunk shape: one scene, or several up to 1 MiB; above 256 MiB a scene is cut along its first axis."""
    scene = math.prod(shape[1:]) * itemsize
    chunks = [max(1, min(shape[0], CHUNK_BYTES // scene)), *shape[1:]]
    while math.prod(chunks) * itemsize > MOST_CHUNK_BYTES and len(chunks) > 1 and chunks[1] > 1:
        chunks[1] = (chunks[1] + 1) // 2
    return tuple(chunks)


def _empty(file: h5py.File, path: str, shape: tuple[int, ...]) -> h5py.Dataset:
    """Create a dataset to be filled scene by scene; scenes that are never written read as NaN."""
    field = BY_PATH[path]
    dtype = np.dtype(STORED[field.dtype])
    dataset = file.create_dataset(
        path, shape, dtype, chunks=_scene_chunks(shape, dtype.itemsize), fillvalue=FILL[field.dtype]
    )
    describe(dataset, field)
    return dataset


def put_geometry(file: h5py.File, array: ArrayGeometry, sweep: FrequencySweep | None, grid: VoxelGrid | None) -> None:
    """Write array, sweep and grid; a file of an array alone may lack the last two."""
    for name in ("tx_pos", "rx_pos", "channels", "mask", "tx_normal", "rx_normal"):
        value = getattr(array, name)
        if value is not None:
            put(file, BY_PATH[f"array/{name}"], value)
    _put_text(file["array"], "name", array.name)
    if any(array.far):
        _put_text(
            file["array"], "far", ",".join(side for side, far in zip(("tx", "rx"), array.far, strict=True) if far)
        )
        file.attrs["schema_version"] = FAR_VERSION  # older readers refuse it, rather than image it wrongly
    if sweep is not None:
        put(file, BY_PATH["sweep/freq"], sweep.freq)
    if grid is not None:
        for name in "xyz":
            put(file, BY_PATH[f"grid/{name}"], getattr(grid, name))


def mark_values(values: h5py.Dataset, permittivity: float, source: str, region: str | None = None) -> None:
    """Write the attributes of measurement/values: phase sign, permittivity, source and region."""
    values.attrs["phase_sign"] = -1
    values.attrs["permittivity"] = permittivity
    _put_text(values, "source", source)
    _put_text(values, "region", region or "")


def save(
    path: str | PathLike[str],
    measurement: Measurement,
    *,
    reconstructions: Sequence[Reconstruction] = (),
    recipe: str = "",
) -> None:
    """Write a measurement, and images made from it, to a new file that takes the place of `path`.

    `recipe` states what a resumable run made the file from (`mimo.data.jobs.tasks`).

    Raises
    ------
    FileError
        When the file cannot be written (no such folder, no permission, no room); `path` is then as it was.
    ValueError
        When a reconstruction has another number of scenes or another grid than the measurement.
    """
    texts = [_reconstruction_texts(measurement, r) for r in reconstructions]
    to_json("preparation/steps", measurement.steps)  # refused, if it must be, before a file is made
    methods = [r.method for r in reconstructions]
    twice = sorted({m for m in methods if methods.count(m) > 1})
    if twice:
        raise ValueError(f"reconstructions holds {twice[0]} twice: expected each method once")
    with new_file(path, recipe) as (file, sink), writing(path, sink):
        put_geometry(file, measurement.array, measurement.sweep, measurement.grid)
        for name, place in MEASUREMENT_PATHS.items():
            value = getattr(measurement, name)
            if value is not None and BY_PATH[place].per_scene:
                _empty(file, place, value.shape)[...] = value
            elif value is not None:
                put(file, BY_PATH[place], value)
        mark_values(file["measurement/values"], measurement.permittivity, measurement.source, measurement.region)
        put_steps(file, measurement.steps)
        for reconstruction, (parameters, history) in zip(reconstructions, texts, strict=True):
            _put_reconstruction(file, reconstruction, parameters, history)


def _reconstruction_texts(measurement: Measurement, made: Reconstruction) -> tuple[str, str | None]:
    """Return parameters and history as JSON, after a check that the images belong to the measurement."""
    name = f"reconstruction/{made.method}"
    if made.n_scene != measurement.n_scene:
        raise ValueError(f"{name} has {made.n_scene} scenes: expected {measurement.n_scene}, as the measurement")
    if made.grid != measurement.grid:
        has = "no grid" if measurement.grid is None else f"{measurement.grid!r}"
        raise ValueError(f"{name} is on {made.grid!r}, the measurement has {has}: expected the same grid")
    history = None if made.history is None else to_json(f"{name} history", made.history)
    return to_json(f"{name} parameters", made.parameters), history


def _put_reconstruction(file: h5py.File, made: Reconstruction, parameters: str, history: str | None) -> None:
    field = BY_PATH[made.path]
    name = field.at(made.method)
    data = made.image.astype(STORED[field.dtype], copy=False)
    chunks = _scene_chunks(data.shape, data.itemsize)
    describe(file.create_dataset(name, data=data, chunks=chunks), field)
    for part, values in (("std", made.std), ("quantiles", made.quantiles)):
        if values is not None:
            field = BY_PATH[f"reconstruction/<method>/{part}"]
            data = values.astype(STORED[field.dtype], copy=False)
            chunks = _scene_chunks(data.shape, data.itemsize)
            describe(file.create_dataset(field.at(made.method), data=data, chunks=chunks), field)
    put_inside(file, made.method, made.inside)
    put_method(
        file,
        made.method,
        {"parameters": parameters, "version": made.version, "source_sha256": made.source_sha256}
        | ({"scale": made.scale} if made.scale else {}),
        {"seconds": made.seconds, "iterations": made.iterations},
        history,
    )


def put_inside(file: h5py.File, method: str, inside: npt.NDArray[np.bool_] | None) -> None:
    """Write the voxels that a method's images were restricted to, if they were."""
    if inside is not None:
        field = BY_PATH["reconstruction/<method>/inside"]
        put(file, field, inside, name=field.at(method))


def put_method(
    file: h5py.File, method: str, texts: Mapping[str, str], numbers: Mapping[str, npt.ArrayLike], history: str | None
) -> None:
    """Write the attributes and the history (JSON) of a method, whose image is in the file already."""
    group = file[f"reconstruction/{method}"]
    for name, text in {"method": method, **texts}.items():
        _put_text(group, name, text)
    for name, number in numbers.items():
        group.attrs[name] = number
    if history is not None:
        field = BY_PATH["reconstruction/<method>/history"]
        put_text(file, field, history, name=field.at(method))


def to_json(name: str, value: Any) -> str:
    """Return plain and NumPy values as JSON; ``ValueError``, naming `name`, when JSON cannot hold them."""
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be kept as JSON ({error}): expected numbers, text, lists and dicts") from error


def _plain(value: Any) -> Any:
    """Return NumPy numbers and arrays as Python's."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is none of JSON's types")


class FileWriter:
    """Writes a file scene by scene; `create_file` makes it."""

    def __init__(
        self, path: str | PathLike[str], sink: SafeFile, sizes: dict[str, int], datasets: dict[str, h5py.Dataset]
    ) -> None:
        self._path = path
        self._sink = sink
        self._sizes = sizes
        self._datasets = datasets
        self._written = np.zeros(sizes["n_scene"], bool)

    def write(
        self,
        start: int,
        values: npt.ArrayLike,
        truth: npt.ArrayLike | None = None,
        snr_db: npt.ArrayLike | None = None,
    ) -> None:
        """Write the scenes from number `start` on.

        Parameters
        ----------
        start
            Number of the first scene.
        values
            complex64 ``(n, n_freq, n_tx, n_rx)`` or ``(n, n_freq, n_channel)``.
        truth
            complex64 ``(n, n_x, n_y, n_z)``; exactly when the file was created with a truth.
        snr_db
            float32 ``(n,)`` or one number for all, dB; ``None`` means no noise and is kept as +inf.

        Raises
        ------
        ValueError
            When a shape or a value does not fit, or the scenes do not lie within the file.
        """
        n = len(np.atleast_1d(np.asarray(values)))
        n_scene = self._sizes["n_scene"]
        if start < 0 or start + n > n_scene:
            raise ValueError(f"scenes {start} to {start + n - 1} do not fit in: expected 0 to {n_scene - 1}")
        has_truth = "truth/reflectivity" in self._datasets
        if has_truth != (truth is not None):
            raise ValueError(f"truth is {'absent' if has_truth else 'given'}: expected it exactly with with_truth=True")
        snr = np.broadcast_to(np.float32(np.inf) if snr_db is None else np.asarray(snr_db, np.float32), (n,))
        sizes = {**self._sizes, "n_scene": n}
        parts = {"measurement/values": values, "truth/reflectivity": truth, "measurement/snr_db": snr}
        checked = {p: checked_values(p, v, sizes) for p, v in parts.items() if v is not None}
        with writing(self._path, self._sink):
            for place, data in checked.items():
                self._datasets[place][start : start + n] = data
        self._written[start : start + n] = True

    def finish(self) -> None:
        """Raise ``ValueError`` when scenes were never written."""
        if not self._written.all():
            missing = np.flatnonzero(~self._written)
            raise ValueError(
                f"{len(missing)} of {len(self._written)} scenes were not written, the first is {missing[0]}: "
                f"expected every scene"
            )


@contextmanager
def create_file(
    path: str | PathLike[str],
    *,
    array: ArrayGeometry,
    sweep: FrequencySweep,
    grid: VoxelGrid | None,
    n_scene: int,
    permittivity: float = 1.0,
    with_truth: bool = True,
    source: str = "",
    region: str | None = None,
    recipe: str = "",
) -> Iterator[FileWriter]:
    """Create a file of `n_scene` scenes to be written a few at a time; it replaces `path` on a clean exit.

    Chunks hold one scene, or several up to about 1 MiB, so that single scenes are read back fast. On an exception,
    or when scenes were left out, nothing remains and `path` is as it was.

    Raises
    ------
    FileError
        When the file cannot be written.
    ValueError
        When `n_scene` is no count, a truth is asked for without a grid, or scenes were left unwritten.
    """
    if int(n_scene) != n_scene or n_scene < 1:
        raise ValueError(f"n_scene is {n_scene}: expected a whole number, 1 or more")
    if with_truth and grid is None:
        raise ValueError("grid is None: expected a grid for the truth")
    permittivity, region = check_permittivity(permittivity), check_region(region)
    n_scene = int(n_scene)
    with new_file(path, recipe) as (file, sink):
        shapes: dict[str, tuple[int, ...]] = {
            "measurement/values": (n_scene, sweep.n_freq, *array.measurement_shape),
            "measurement/snr_db": (n_scene,),
        }
        if with_truth and grid is not None:
            shapes["truth/reflectivity"] = (n_scene, *grid.shape)
        with writing(path, sink):
            put_geometry(file, array, sweep, grid)
            datasets = {place: _empty(file, place, shape) for place, shape in shapes.items()}
            mark_values(datasets["measurement/values"], permittivity, source, region)
        writer = FileWriter(path, sink, {**axis_sizes(array, sweep, grid), "n_scene": n_scene}, datasets)
        yield writer
        writer.finish()


def file_sha256(path: str | PathLike[str]) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits; of a joined file its own bytes, not its shards'.

    Raises
    ------
    FileError
        When the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}): expected a file") from error
