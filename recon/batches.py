"""Many scenes or many files: shards by several processes, taken up again, the same arrays whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry, FrequencySweep, ImagingOperator, LayeredMedium, VoxelGrid, data
from mimo.data import FileError, Measurement, MeasurementFile
from mimo.data.jobs.cluster import automatic_workers
from mimo.data.jobs.outputs import Output, Part, run_outputs
from mimo.data.jobs.tasks import Advance, FileTask, fingerprint
from mimo.imaging_operator import DEFAULT_MEMORY
from mimo.pattern import Patterns, describe_patterns
from mimo.recon.files import take
from mimo.recon.registry import FILES, find_method
from mimo.recon.run import BATCH, make_operator, pick_device, pose, program_version, run_method

RECIPE_VERSION = 2
"""Goes up whenever the same measurement and options would give other images."""
SHARD_SIZE = 64
"""Most scenes in a shard, a multiple of a reconstructor's batch."""
SHARD_VOXELS = 2**24
"""A shard holds fewer scenes on a grid so large that it would hold more voxels than this: 128 MiB an image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """What is asked for of the scenes of one file; fields as the arguments of `reconstruct_files`.

    `weights` has the hash of each method that is a file, by its path.
    """

    source: Path
    source_sha256: str
    methods: tuple[str, ...]
    weights: Mapping[str, str]
    options: Mapping[str, Mapping[str, Any]]
    grid: VoxelGrid | None
    subtract_background: bool
    pattern: Patterns
    layers: LayeredMedium | None
    device: str
    memory: int

    def describe(self, start: int, stop: int) -> str:
        """Return the order and the range of scenes as JSON text; equal texts mean equal arrays."""
        fields: dict[str, Any] = {
            "reconstruct_version": RECIPE_VERSION,
            "program": program_version(),
            "source": self.source_sha256,
            "methods": {find_method(name).name: self.options.get(name, {}) for name in self.methods},
            "weights": self.weights,
            "grid": None if self.grid is None else fingerprint(self.grid),
            "subtract_background": self.subtract_background,
            "pattern": describe_patterns(self.pattern),
            "layers": None if self.layers is None else str(self.layers),
            "device": self.device,
            "scenes": [start, stop],
        }
        return data.to_json("options", fields)

    def operator(self, measurement: Measurement) -> tuple[ImagingOperator, dict[str, Any]]:
        """Operator of the measurement's geometry, and what methods made for it: kept from one shard to the next."""
        path = measurement.reference_path
        return _operator(
            measurement.array,
            measurement.sweep,
            measurement.grid,
            measurement.permittivity,
            None if path is None else (path.shape, path.tobytes()),
            cast(Hashable, self.pattern),
            self.layers,
            self.device,
            self.memory,
        )


@lru_cache(maxsize=1)
def _operator(
    array: ArrayGeometry,
    sweep: FrequencySweep,
    grid: VoxelGrid | None,
    permittivity: float,
    path: tuple[tuple[int, ...], bytes] | None,
    pattern: Any,
    layers: LayeredMedium | None,
    device: str,
    memory: int,
) -> tuple[ImagingOperator, dict[str, Any]]:
    nothing = np.zeros((1, sweep.n_freq, *array.measurement_shape), np.complex64)
    removed = None if path is None else np.frombuffer(path[1]).reshape(path[0])
    geometry = Measurement(nothing, array, sweep, grid, permittivity, reference_path=removed)
    return make_operator(geometry, pattern=pattern, layers=layers, device=device, memory=memory), {}


@lru_cache(maxsize=1)
def _opened(source: Path, source_sha256: str) -> tuple[ExitStack, MeasurementFile]:
    """Open a file for all shards that a process makes: the check of a file of many shards takes as long as an image."""
    stack = ExitStack()
    return stack, stack.enter_context(data.open_measurement(source))


@dataclass(frozen=True, eq=False)
class ImageShard(FileTask):
    """Scenes of a file, to be written with their images."""

    order: Order
    maker = "reconstruct"

    @property
    def recipe(self) -> str:
        """All that the arrays depend on, as JSON."""
        return self.order.describe(self.start, self.stop)

    def write(self, advance: Advance) -> None:
        """Read the scenes, run the methods and write them all."""
        order = self.order
        scenes = slice(self.start, self.stop)
        try:
            _, file = _opened(order.source, order.source_sha256)
            measurement, kept, _ = take(file, scenes, order.grid, order.subtract_background)
        except FileError:
            _opened.cache_clear()  # to be looked at anew when the task is tried again
            raise
        operator, shared = order.operator(measurement)
        problem = pose(operator, measurement, shared)
        for name in order.methods:
            made = run_method(name, problem, source_sha256=order.source_sha256, **order.options.get(name, {}))
            if made.parameters.get("interrupted"):
                raise KeyboardInterrupt  # a shard is finished or absent, never cut short
            kept[made.method] = made
        data.save(self.path, measurement, reconstructions=list(kept.values()), recipe=self.recipe)
        advance(self.n_scene)


@dataclass(frozen=True)
class Batch:
    """What `reconstruct_files` did.

    Attributes
    ----------
    outputs
        The files, in the order of the sources.
    missing
        Files and shards that other parts still have to make; the outputs are complete when there are none.
    left_behind
        Whether truth and images of another grid were left behind.
    """

    outputs: list[Path]
    missing: list[Path]
    left_behind: bool


@dataclass(frozen=True)
class Run:
    """How a method was run on the scenes of a file, without the images; see `mimo.data.Reconstruction`."""

    file: Path
    method: str
    parameters: dict[str, Any]
    seconds: npt.NDArray[np.float64]
    history: Any = None


def reconstruct_files(
    sources: Sequence[Path],
    out: Path,
    methods: Sequence[str],
    *,
    grid: VoxelGrid | None = None,
    subtract_background: bool = False,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    memory: int = DEFAULT_MEMORY,
    workers: int | None = None,
    scheduler: str | None = None,
    shard_size: int | None = None,
    part: Part | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> Batch:
    """Reconstruct every scene of one or several files, in shards that any number of processes can make.

    A shard's arrays depend on the measurement's file, the options and `shard_size` alone: each is made on one thread.
    An interrupted run, killed at any moment, is taken up by calling again with the same parameters: finished files
    that pass validation are kept. Memory is that of a shard for each process, whatever the number of scenes.

    Parameters
    ----------
    sources
        Files of the schema.
    out
        The file for one source, a folder for files of the same names for several. A file of more than `shard_size`
        scenes is a virtual dataset over those of the folder ``<stem>-shards`` beside it, which belong to it.
    methods, options, grid, subtract_background, pattern, layers, device, memory
        As in `mimo.recon.files.reconstruct_file`; the memory is that of each process.
    workers
        Processes, more than one of a local dask cluster; by default as many as cores where there are more scenes
        than fit in a shard and no CUDA device does the work.
    scheduler
        Address of a dask scheduler (``tcp://host:port``) whose workers do the work instead; they must see sources and
        `out` under the same paths.
    shard_size
        Scenes in a shard; 64 by default, fewer on large grids. A multiple of 16 changes no bit of the arrays.
    part
        The share of the shards that this process makes, one of several that are given the same parameters.
    progress
        ``True`` shows a bar; a function is called with (scenes done, scenes in all).

    Raises
    ------
    ValueError
        When a parameter, a method or the geometry does not fit; nothing is written then.
    data.FileError
        When a file in the way was made by something else: nothing is overwritten.
    """
    for name, value in (("workers", workers), ("shard_size", shard_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: expected a whole number, 1 or more")
    files = {
        name: str(Path(name).absolute()) for name in methods if name.endswith(tuple(FILES)) and Path(name).is_file()
    }
    methods = [files.get(name, name) for name in methods]  # workers may run in another folder
    for name in methods:
        find_method(name)
    weights = {name: data.file_sha256(name) for name in files.values()}
    places = _places([Path(source).absolute() for source in sources], Path(out).absolute())
    outputs, left_behind, sizes = [], False, []
    for source, place in places.items():
        with data.open_measurement(source) as file:
            n_scene = file.n_scene
            first, _, behind = take(file, slice(0, 1), grid, subtract_background)
        order = Order(
            source=source,
            source_sha256=data.file_sha256(source),
            methods=tuple(methods),
            weights=weights,
            options=options or {},
            grid=grid,
            subtract_background=subtract_background,
            pattern=pattern,
            layers=layers,
            device=device,
            memory=memory,
        )
        left_behind |= behind
        operator, _ = order.operator(first)  # refused here, if it must be, before workers start
        sizes.append(shard_size or automatic_size(operator.grid.n_voxel))
        outputs.append(_output(order, place, n_scene, sizes[-1]))
    if workers is None:
        of = 1 if part is None else part.of
        n_scene = -(-sum(output.n_scene for output in outputs) // of)
        n_task = -(-sum(len(output.tasks) for output in outputs) // of)
        workers = automatic_workers(n_scene, n_task, max(sizes)) if pick_device(device).type == "cpu" else 1
    try:
        missing = run_outputs(outputs, workers=workers, scheduler=scheduler, part=part, progress=progress)
    finally:
        _opened.cache_clear()
    return Batch([output.path for output in outputs], missing, left_behind)


def in_one_piece(source: Path, out: Path, grid: VoxelGrid | None) -> bool:
    """Whether `reconstruct_file` is enough where nothing is said of processes: few scenes, or in place."""
    if out.is_dir():
        return False
    with data.open_measurement(source) as file:
        grid = file.grid if grid is None else grid
        few = grid is None or file.n_scene <= automatic_size(grid.n_voxel)
        return few or (out.exists() and out.samefile(source))


def automatic_size(n_voxel: int) -> int:
    """Scenes in a shard on a grid of so many voxels: 64, or fewer, in whole batches while there is room for one."""
    n = max(1, min(SHARD_SIZE, SHARD_VOXELS // n_voxel))
    return n if n < BATCH else n // BATCH * BATCH


def runs_of(path: Path, methods: Sequence[str], *, history: bool = False) -> list[Run]:
    """How methods were run on the scenes of a file, read without their images; solvers' records only when wanted."""
    with data.open_measurement(path) as file:
        runs = []
        for name in methods:
            found = file.run(find_method(name).name)
            recorded = found.get("history") if history else None
            runs.append(Run(path, found["method"], found["parameters"], found["seconds"], recorded))
        return runs


def _output(order: Order, place: Path, n_scene: int, shard_size: int) -> Output:
    def make(path: Path, start: int, stop: int) -> ImageShard:
        return ImageShard(path, start, stop, order)

    return Output.of_scenes(place, n_scene, shard_size, make, order.describe(0, n_scene))


def _places(sources: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where the images of each source go; FileError when two would go to one place, or one over a source."""
    folder = len(sources) > 1 or out.is_dir()
    if folder and out.is_file():
        raise FileError(out, f"is a file: expected a folder for the images of {len(sources)} files")
    places = {source: out / source.name if folder else out for source in sources}
    taken: dict[Path, Path] = {}
    for source, place in places.items():
        if place in taken:
            raise FileError(source, f"has the name of {taken[place]}: expected files of different names")
        taken[place] = source
        if place.resolve() in {other.resolve() for other in sources}:
            raise FileError(place, "is a file to reconstruct: expected another place for images made in shards")
    return places
