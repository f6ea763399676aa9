"""Reconstruct files: run methods on every scene and write the measurements with their images.

Every file is made by a task of `mimo.recon.shards`. `reconstruct_file` runs a single task for all scenes of a file, in
this process, and can show the images while they form. `reconstruct_files` runs one task for each shard (a file of some
of the scenes), in any number of processes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import LayeredMedium, VoxelGrid, data
from mimo.data import FileError, Reconstruction
from mimo.data.calibration.scene_extent import guessed_grid
from mimo.data.history import History
from mimo.data.jobs.cluster import automatic_workers, check_workers
from mimo.data.jobs.outputs import Output, Part, remove_leftovers, run_outputs
from mimo.data.jobs.tasks import read_recipe
from mimo.imaging_operator import DEFAULT_MEMORY
from mimo.output_file import place_of, replacing
from mimo.pattern import Patterns
from mimo.recon.registry import find_method
from mimo.recon.run import BATCH, pick_device
from mimo.recon.shards import (
    ImageShard,
    Order,
    Source,
    Watch,
    forget_file,
    forget_operator,
    unwatched,
)

__all__ = [
    "Run",
    "Written",
    "automatic_size",
    "guess_of",
    "in_one_piece",
    "reconstruct_file",
    "reconstruct_files",
    "runs_of",
    "write_history",
]

SHARD_SIZE = 64
"""Most scenes in a shard, a multiple of `mimo.recon.run.BATCH`."""
SHARD_VOXELS = 2**24
"""Most voxels of all scenes in a shard, 128 MiB for each method: on large grids a shard holds fewer scenes."""


@dataclass(frozen=True)
class Run:
    """Holds how a method was run on the scenes of a file: a `mimo.data.Reconstruction` without its images."""

    file: Path
    method: str
    parameters: dict[str, Any]
    seconds: npt.NDArray[np.float64]
    history: Any = None


@dataclass(frozen=True)
class Written:
    """Holds what `reconstruct_file` or `reconstruct_files` wrote.

    Attributes
    ----------
    outputs
        The files, in the order of the sources.
    methods
        Names of the methods, as they were given.
    left_behind
        Whether truth and images on another grid were left out of the outputs.
    missing
        Files and shards that other parts of a job array still have to make; the outputs are complete without any.
    made
        The new images of `reconstruct_file`, fewer than the methods after an interrupt. ``None`` from
        `reconstruct_files`, which leaves its images in the files.
    skipped, replaced, carried
        Of `reconstruct_file`: methods whose images were there already and made with the same options, those whose
        images were there and were made anew, and those that were not asked for and stayed.
    """

    outputs: list[Path]
    methods: list[str]
    left_behind: bool
    missing: list[Path] = field(default_factory=list)
    made: list[Reconstruction] | None = None
    skipped: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)

    def runs(self, *, history: bool = False) -> list[Run]:
        """Return how each method was run on each file, nothing while shards are missing; with histories if wanted."""
        if self.made is not None:
            path = self.outputs[0]
            made = [Run(path, m.method, m.parameters, m.seconds, m.history) for m in self.made]
            return made + runs_of(path, self.skipped, history=history) if self.skipped else made
        outputs = [] if self.missing else self.outputs
        return [run for path in outputs for run in runs_of(path, self.methods, history=history)]


def reconstruct_file(
    source: Path,
    out: Path,
    methods: Sequence[str],
    *,
    grid: VoxelGrid | None = None,
    subtract_background: bool = False,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    region: str | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    memory: int = DEFAULT_MEMORY,
    sums: str = "exact",
    live: int = 0,
    watch: Watch = unwatched,
    check: str = "fast",
    overwrite: bool = False,
    skip_bad: bool = False,
    say: Callable[[str], None] | None = None,
) -> Written:
    """Reconstruct every scene of `source` and write the measurement and all its images to `out`, which may be `source`.

    All scenes are in memory at once. A keyboard interrupt in an iterative method, or in the check of an image, writes
    the images reached so far and ends the run; in any other method it writes the images of the methods before it.

    Parameters
    ----------
    source, out
        Files of the schema. Images that `source` holds are carried over.
    methods
        Names of the methods, which share one operator.
    grid
        Voxels; the file's own by default, or a guess (`guess_of`) where it has none. On another grid the file's truth
        and images are not carried over.
    subtract_background
        Subtract the file's background first. Images that `source` holds, of other data then, are not carried over.
    options
        Options of each method by its name.
    pattern, layers, region, device, memory, sums
        As in `mimo.recon.make_problem`.
    live
        Write `out` every so many iterations of an iterative method, with the images so far; 0: only at the end.
    watch
        Called with a method's name; returns a context manager that yields a `mimo.recon.run.Watcher`, or ``None``.
    check
        As in `mimo.recon.reconstruct`. With ``held-out`` an image that is there without a share of data held out is
        made again.
    overwrite
        Replace images that `out` holds already, and a file of another measurement. Without it images of other methods
        stay in `out`, one made with the same options is not made again, and where another would be lost it is an error
        (`mimo.recon.existing`).
    skip_bad
        Leave out scenes that hold NaN, infinities or damaged blocks, with a warning; `out` then has fewer scenes, and
        among its steps the numbers of those left out. It must not be `source` then.
    say
        Called with a line of text, before a method starts, when it will take long or much memory.

    Raises
    ------
    ValueError
        When a file, a method, an option or the geometry does not fit, or an image would be lost; nothing is written
        then.
    """
    order = Order.of(
        methods,
        options,
        grid=grid,
        subtract_background=subtract_background,
        pattern=pattern,
        layers=layers,
        region=region,
        device=device,
        memory=memory,
        sums=sums,
        check=check,
    )
    out = place_of(out)
    try:
        read = Source.of(Path(source), skip_bad=skip_bad)
        if read.left_out and out.exists() and out.samefile(source):
            raise FileError(out, "would lose its damaged scenes: expected another OUT")
        left_behind = read.leaves_behind(order)
        shard = ImageShard(Path(out), 0, read.n_scene, order, read)
        plan = shard.run(live=live, watch=watch, overwrite=overwrite, say=say)
        remove_leftovers([Path(out)])
    finally:
        forget_file()
        forget_operator()
    stayed = (plan.skipped, plan.replaced, plan.carried)
    return Written([Path(out)], list(methods), left_behind, [], plan.made, *stayed)


def reconstruct_files(
    sources: Sequence[Path],
    out: Path,
    methods: Sequence[str],
    *,
    grid: VoxelGrid | None = None,
    subtract_background: bool = False,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    region: str | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    memory: int = DEFAULT_MEMORY,
    sums: str = "exact",
    workers: int | None = None,
    scheduler: str | None = None,
    shard_size: int | None = None,
    part: Part | None = None,
    progress: bool | Callable[[int, int], None] = False,
    check: str = "fast",
    overwrite: bool = False,
    skip_bad: bool = False,
) -> Written:
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
        scenes has virtual datasets over the shards in the folder ``<stem>-shards`` beside it; keep both together.
    methods, options, grid, subtract_background, pattern, layers, region, device, memory, sums
        As in `reconstruct_file`; the memory is that of each process.
    workers
        Number of processes. More than one are workers of a local dask cluster, which needs the extra ``cluster``. By
        default as many as cores where there are more scenes than fit in a shard, no CUDA device does the work, and
        the extra is installed; else one.
    scheduler
        Address of a dask scheduler (``tcp://host:port``) whose workers do the work instead; they must see sources and
        `out` under the same paths.
    shard_size
        Scenes in a shard; 64 by default, fewer on large grids. A multiple of 16 changes no bit of the arrays.
    part
        The share of the shards that this process makes, one of several that are given the same parameters.
    progress
        ``True`` shows a bar; a function is called with (scenes done, scenes in all).
    check
        As in `mimo.recon.reconstruct`.
    overwrite
        Remove files at the places of outputs, and of their shards, that were made in another way, once every source
        and option has been accepted.
    skip_bad
        Leave out scenes that are damaged, as `reconstruct_file` does.

    Raises
    ------
    ValueError
        When a parameter, a method or the geometry does not fit, or an extra is missing; nothing is written then.
    mimo.data.FileError
        When a file that was made in another way is at the place of an output, unless `overwrite` is set.
    """
    for name, value in (("workers", workers), ("shard_size", shard_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: expected a whole number, 1 or more")
    order = Order.of(
        methods,
        options,
        grid=grid,
        subtract_background=subtract_background,
        pattern=pattern,
        layers=layers,
        region=region,
        device=device,
        memory=memory,
        sums=sums,
        check=check,
    )
    places = _places([Path(source).absolute() for source in sources], Path(out).absolute())
    outputs, left_behind, sizes = [], False, []
    try:
        for path, place in places.items():
            source = Source.of(path, skip_bad=skip_bad)
            left_behind |= source.leaves_behind(order)
            first, _ = source.read(0, 1, order)
            operator, _ = order.operator(first)  # refused here, if it must be, before workers start
            sizes.append(shard_size or automatic_size(operator.grid.n_voxel))
            outputs.append(_output(order, source, place, sizes[-1]))
        if workers is None:
            of = 1 if part is None else part.of
            n_scene = -(-sum(output.n_scene for output in outputs) // of)
            n_task = -(-sum(len(output.tasks) for output in outputs) // of)
            workers = automatic_workers(n_scene, n_task, max(sizes)) if pick_device(device).type == "cpu" else 1
        if overwrite:  # only now, as nothing is refused any more
            if sum(len(output.tasks) for output in outputs) > 1:
                check_workers(workers, scheduler)
            for output in outputs:
                _remove_others(output)
        missing = run_outputs(outputs, workers=workers, scheduler=scheduler, part=part, progress=progress)
    finally:
        forget_file()
    return Written([output.path for output in outputs], list(methods), left_behind, missing)


def guess_of(source: Path, *, skip_bad: bool = False) -> tuple[VoxelGrid, str] | None:
    """Return the grid that is guessed for a file without one, and in words how; ``None`` for a file that has a grid.

    The first scene is looked at; with `skip_bad` the first that is not damaged.
    """
    with data.open_measurement(source) as file:
        if file.grid is not None:
            return None
        for scene in range(file.n_scene - 1 if skip_bad else 0):
            with suppress(FileError):
                return guessed_grid(file.measurement([scene]))
        return guessed_grid(file.measurement([-1 if skip_bad else 0]))


def in_one_piece(source: Path, out: Path, grid: VoxelGrid | None) -> bool:
    """Say whether `reconstruct_file` should be used by default: for few scenes, or when `out` is `source`."""
    if out.is_dir():
        return False
    with data.open_measurement(source) as file:
        grid = file.grid if grid is None else grid
        few = grid is None or file.n_scene <= automatic_size(grid.n_voxel)
        return few or (out.exists() and out.samefile(source))


def automatic_size(n_voxel: int) -> int:
    """Return how many scenes a shard has by default on a grid of `n_voxel` voxels: 64, or fewer on a large grid."""
    n = max(1, min(SHARD_SIZE, SHARD_VOXELS // n_voxel))
    return n if n < BATCH else n // BATCH * BATCH


def runs_of(path: Path, methods: Sequence[str], *, history: bool = False) -> list[Run]:
    """Return how methods were run on the scenes of a file, without images, and with histories when wanted."""
    with data.open_measurement(path) as file:
        runs = []
        for name in methods:
            found = file.run(find_method(name).name)
            recorded = found.get("history") if history else None
            runs.append(Run(path, found["method"], found["parameters"], found["seconds"], recorded))
        return runs


def _output(order: Order, source: Source, place: Path, shard_size: int) -> Output:
    def make(path: Path, start: int, stop: int) -> ImageShard:
        return ImageShard(path, start, stop, order, source)

    n_scene = source.n_scene
    return Output.of_scenes(place, n_scene, shard_size, make, order.describe(source, 0, n_scene))


def _remove_others(output: Output) -> None:
    """Remove the files of an output that were made in another way, so that they are not in its way."""
    found = read_recipe(output.path)
    if output.path.exists() and found != output.recipe:
        output.path.unlink()
    for task in output.tasks if output.joined else ():
        if read_recipe(task.path) not in (None, task.recipe):
            task.path.unlink()


def _places(sources: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Return the output file of each source; `FileError` when two have the same, or one is itself a source."""
    folder = len(sources) > 1 or out.is_dir()
    if folder and out.is_file():
        raise FileError(out, f"is a file: expected a folder for the images of {len(sources)} files")
    places = {source: out / source.name if folder else place_of(out) for source in sources}
    taken: dict[Path, Path] = {}
    for source, place in places.items():
        if place in taken:
            raise FileError(source, f"has the name of {taken[place]}: expected files of different names")
        taken[place] = source
        if place.resolve() in {other.resolve() for other in sources}:
            raise FileError(place, "is a file to reconstruct: expected another place for images made in shards")
    return places


def write_history(path: Path, made: Iterable[Run | Reconstruction]) -> None:
    """Write the history of iterative methods as CSV: a row for each method, scene and iteration.

    Columns are ``method``, ``scene``, ``iteration`` (from 1), ``seconds`` and whatever the methods recorded; a column
    that a method did not record is empty in its rows. Methods without iterations have no rows.
    """
    rows: list[dict[str, Any]] = []
    for each in made:
        for scene, iteration, figures in History.from_json(each.history).rows():
            rows.append({"method": each.method, "scene": scene, "iteration": iteration, **figures})
    columns = dict.fromkeys(["method", "scene", "iteration", "seconds", *(name for row in rows for name in row)])
    with replacing(path) as part, part.open("w", newline="") as file:
        table = csv.DictWriter(file, list(columns))
        table.writeheader()
        table.writerows(rows)
