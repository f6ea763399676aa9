"""Reconstruct some scenes of a file as a resumable task: read them, make the images, write a file.

`mimo.recon.files` makes every file by such tasks: one for all scenes of a file, or one for each of its shards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mimo import Acquisition, ImagingOperator, LayeredMedium, VoxelGrid, data
from mimo.data import FileError, Measurement, MeasurementFile, Reconstruction
from mimo.data.calibration.scene_extent import guessed_grid
from mimo.data.files.soundness import sound_scenes, without_scenes
from mimo.data.history import History
from mimo.data.jobs.tasks import Advance, FileTask, fingerprint
from mimo.models.precision import resolve_precision
from mimo.output_file import held
from mimo.pattern import Patterns, describe_patterns
from mimo.progress import silent
from mimo.recon.existing import Plan, images_meanwhile, plan_of, version_of
from mimo.recon.forecast import check_images, forecast, warning
from mimo.recon.registry import FILES, find_method
from mimo.recon.run import (
    BATCH,
    Live,
    Watcher,
    build_problem,
    make_operator,
    pick_device,
    program_version,
    region_of,
    run_method,
)
from mimo.region import Region

__all__ = ["ImageShard", "Order", "Source", "Watch", "forget_file", "forget_operator", "unwatched"]

RECIPE_VERSION = 7
"""Version of the recipe of a shard, raised whenever the same measurement and options would give other images."""

Watch = Callable[[str], AbstractContextManager[Watcher | None]]
"""Called with a method's name; returns a context manager that yields what shows the run, or ``None``."""


def unwatched(name: str) -> AbstractContextManager[Watcher | None]:
    """Report no progress of a method: the default `Watch`."""
    return nullcontext()


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """Holds methods and options that are the same for every file of a run.

    The fields are the arguments of `mimo.recon.files.reconstruct_files`, except that `methods` has the options of each
    method by its name, and `weights` the SHA-256 of each method that is a file of weights.
    """

    methods: Mapping[str, Mapping[str, Any]]
    weights: Mapping[str, str]
    grid: VoxelGrid | None
    subtract_background: bool
    pattern: Patterns
    layers: LayeredMedium | None
    region: str | None
    device: str
    memory: int
    sums: str = "exact"
    check: str = "fast"

    @classmethod
    def of(cls, methods: Sequence[str], options: Mapping[str, Mapping[str, Any]] | None, **rest: Any) -> Order:
        """Check methods and their options and return the order.

        A method that is a file of weights gets its absolute path, so that workers find it from other folders.

        Raises
        ------
        ValueError
            When a method or an option is not known (the nearest is named), or a value is of another type than its
            option.
        """
        checked, weights, options = {}, {}, options or {}
        region = None if rest["region"] is None else Region.parse(rest["region"])
        if region is not None and region.kind == "file":  # absolute, as workers may be in other folders
            region = replace(region, path=str(Path(region.path).absolute()))
        rest["region"] = None if region is None else str(region)
        for name in methods:
            method = find_method(name)
            whole = name
            if name.endswith(tuple(FILES)) and Path(name).is_file():
                whole = str(Path(name).absolute())
                weights[whole] = data.file_sha256(whole)
            given = method.check_options(options.get(name, options.get(method.name, {})))
            if "precision" in method.options:  # what auto means here is part of what identifies an image
                asked = given.get("precision", method.options["precision"])
                given["precision"] = resolve_precision(asked, pick_device(rest["device"]))
            checked[whole] = given
        return cls(methods=checked, weights=weights, **rest)

    def describe(self, source: Source, start: int, stop: int) -> str:
        """Return all that the arrays of scenes `start` to `stop` depend on, as JSON: equal texts mean equal arrays."""
        fields: dict[str, Any] = {
            "reconstruct_version": RECIPE_VERSION,
            "program": program_version(),
            "source": source.sha256,
            "methods": {find_method(name).name: options for name, options in self.methods.items()},
            "weights": self.weights,
            "grid": None if self.grid is None else fingerprint(self.grid),
            "subtract_background": self.subtract_background,
            "pattern": describe_patterns(self.pattern),
            "layers": self.layers_text,
            "region": self.region,
            "region_sha256": data.file_sha256(self.region) if self.region and self.region.endswith(".npy") else None,
            "device": self.device,
            "sums": self.sums,
            "check": self.check,
            "scenes": [start, stop],
        }
        if source.left_out:
            fields["left_out"] = list(source.left_out)
        return data.to_json("options", fields)

    @property
    def layers_text(self) -> str | None:
        """The layers as the command line takes them, or ``None``."""
        return None if self.layers is None else str(self.layers)

    def operator(self, measurement: Measurement) -> tuple[ImagingOperator, dict[str, Any]]:
        """Return the operator of a measurement and the store of `Problem.shared`, kept from one shard to the next."""
        acquisition = measurement.acquisition(pattern=self.pattern, layers=self.layers)
        check_images(acquisition.grid, min(measurement.n_scene, BATCH), [find_method(name) for name in self.methods])
        inside = region_of(self.region, measurement).inside(acquisition)
        return _operator(acquisition.replace(inside=inside), self.device, self.memory, self.sums)


@dataclass(frozen=True)
class Source:
    """Names a file to reconstruct, its SHA-256, and scenes of it that are left out because they are damaged.

    Once read it stays open for the next shard, until `forget_file`. Scenes are counted without those left out.
    """

    path: Path
    sha256: str
    left_out: tuple[int, ...] = ()

    @classmethod
    def of(cls, path: Path, *, skip_bad: bool = False) -> Source:
        """Open and validate a file and compute its hash; `FileError` when it is not sound.

        With `skip_bad` every scene is read, and those that hold NaN, infinities or damaged blocks are left out, with a
        warning.
        """
        file = _open(path)
        left_out = {*range(file.n_scene)} - {*sound_scenes(file)} if skip_bad else ()
        return cls(path, data.file_sha256(path), tuple(sorted(left_out)))

    @property
    def n_scene(self) -> int:
        """Number of scenes."""
        return _open(self.path).n_scene - len(self.left_out)

    def numbers(self, start: int, stop: int) -> Sequence[int]:
        """Return the numbers in the file of the scenes `start` to `stop` (excluded)."""
        if not self.left_out:
            return range(start, stop)
        lost = set(self.left_out)
        return [scene for scene in range(_open(self.path).n_scene) if scene not in lost][start:stop]

    def leaves_behind(self, order: Order) -> bool:
        """Say whether the file's truth or images are on another grid than is asked for, and so not carried over."""
        file = _open(self.path)
        return order.grid not in (None, file.grid) and (file.has_truth or bool(file.methods))

    def read(self, start: int, stop: int, order: Order) -> tuple[Measurement, dict[str, Reconstruction]]:
        """Read scenes `start` to `stop` (excluded), and their existing images that are carried over, by method."""
        try:
            measurement, images = _take(_open(self.path), self.numbers(start, stop), order)
            return without_scenes(measurement, list(self.left_out)), images
        except FileError:
            forget_file()  # to be looked at anew when the task is tried again
            raise


@dataclass(frozen=True, eq=False)
class ImageShard(FileTask):
    """Makes a file with some scenes of a source and their images."""

    order: Order
    source: Source
    maker = "reconstruct"

    @property
    def recipe(self) -> str:
        """All that the arrays depend on, as JSON."""
        return self.order.describe(self.source, self.start, self.stop)

    def write(self, advance: Advance) -> None:
        """Make the file as one of several shards: with its recipe, and finished or absent."""
        self.run(recipe=self.recipe)
        advance(self.n_scene)

    def run(
        self,
        *,
        recipe: str = "",
        watch: Watch = unwatched,
        live: int = 0,
        overwrite: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> Plan:
        """Read the scenes, run the methods, write the file, and return what was made and what stayed.

        Parameters
        ----------
        recipe
            Written into the file, which is then one of several shards and never incomplete: a keyboard interrupt ends
            the run before the file is written. Without a recipe the images reached so far are written, and the methods
            that were to follow are left out; `KeyboardInterrupt` where the method itself has nothing to keep.
        watch
            Shows the progress of each method.
        live
            Write the file every so many iterations of an iterative method, with the images so far; 0: only at the end.
        overwrite
            Replace images that the file holds already (`mimo.recon.existing`); without meaning where there is a recipe.
        say
            Told in a line, before a method starts, of what will take long (`mimo.recon.forecast`).
        """
        known = version_of(self.path)
        measurement, images = self.source.read(self.start, self.stop, self.order)
        if not recipe:
            forget_file()  # nothing else is read from it, and it may be the file to write
        operator, shared = self.order.operator(measurement)
        region = str(region_of(self.order.region, measurement))
        problem = build_problem(operator, measurement, shared, region=region)

        plan = Plan(images, list(self.order.methods))
        if not recipe:
            plan = plan_of(
                self.path,
                self.source.path,
                measurement,
                images,
                self.order.methods,
                medium={
                    "pattern": describe_patterns(self.order.pattern),
                    "layers": self.order.layers_text,
                    "sums": "fast" if self.order.sums == "fast" else None,
                },
                inside=operator.acquisition.inside,
                check=self.order.check,
                overwrite=overwrite,
            )
        images = plan.images

        def write(made: Reconstruction | None = None) -> None:
            nonlocal known
            if made is not None:
                images[made.method] = made
            with held(self.path):
                if not recipe and version_of(self.path) not in (known, None):  # another run has written meanwhile
                    ours = {find_method(name).name for name in plan.todo}
                    images.update(images_meanwhile(self.path, measurement, images, ours, overwrite=overwrite))
                data.save(self.path, measurement, reconstructions=list(images.values()), recipe=recipe)
                known = version_of(self.path)

        for name in plan.todo:
            options = self.order.methods[name]
            try:
                if say is not None and (line := warning(name, forecast(find_method(name), problem, options, name))):
                    say(line)
                with watch(name) as watcher:
                    made = run_method(
                        name,
                        problem,
                        progress=None if watcher is None else watcher.progress,
                        preparing=silent if watcher is None else watcher.preparing,
                        live=Live(live, write) if live else None,
                        source_sha256=self.source.sha256,
                        check=self.order.check,
                        **options,
                    )
            except KeyboardInterrupt:  # of a method that has nothing to keep; those before it have
                if plan.made and not recipe:
                    write()
                raise
            images[made.method] = made
            plan.made.append(made)
            if made.parameters.get("interrupted") or made.parameters.get("check_interrupted"):
                if recipe:
                    raise KeyboardInterrupt
                break
        if plan.made or not plan.skipped:
            write()
        return plan


def forget_file() -> None:
    """Close the file that was read last."""
    _opened.cache_clear()


def forget_operator() -> None:
    """Free the operator that was used last, and all that was made for it."""
    _operator.cache_clear()


@lru_cache(maxsize=1)
def _operator(acquisition: Acquisition, device: str, memory: int, sums: str) -> tuple[ImagingOperator, dict[str, Any]]:
    return make_operator(acquisition, device=device, memory=memory, sums=sums), {}


@lru_cache(maxsize=1)
def _opened(source: Path, version: tuple[int, ...]) -> tuple[ExitStack, MeasurementFile]:
    """Open a file once for all shards that a process makes: validating many shards takes as long as an image."""
    stack = ExitStack()
    return stack, stack.enter_context(data.open_measurement(source))


def _open(source: Path) -> MeasurementFile:
    version: tuple[int, ...] = ()
    with suppress(OSError):  # which opening it tells better
        found = source.stat()
        version = found.st_ino, found.st_size, found.st_mtime_ns
    return _opened(source, version)[1]


def _take(file: MeasurementFile, scenes: Sequence[int], order: Order) -> tuple[Measurement, dict[str, Reconstruction]]:
    chosen = slice(scenes.start, scenes.stop) if isinstance(scenes, range) else scenes
    measurement = file.measurement(chosen)
    if order.subtract_background:
        measurement = data.subtract_background(measurement)
    if order.grid is None and measurement.grid is None:
        return replace(measurement, grid=guessed_grid(measurement)[0]), {}
    if order.grid not in (None, measurement.grid):
        return replace(measurement, grid=order.grid, truth=None), {}
    if order.subtract_background:
        return measurement, {}  # the images are of other data
    kept = {method: file.reconstruction(method, chosen) for method in file.methods}
    if len(scenes) < file.n_scene:
        kept = {method: _of_scenes(made, scenes, file.n_scene) for method, made in kept.items()}
    return measurement, kept


def _of_scenes(made: Reconstruction, scenes: Sequence[int], n_scene: int) -> Reconstruction:
    """Return the images of some of `n_scene` scenes, with the parameters and history of these scenes alone."""
    parameters = {
        name: [value[i] for i in scenes] if isinstance(value, list) and len(value) == n_scene else value
        for name, value in made.parameters.items()
    }
    history = History.from_json(made.history, n_scene).of(scenes)
    return replace(made, parameters=parameters, history=history.to_json())
