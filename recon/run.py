"""Run a named method on a measurement: `make_problem`, then `run_method`; `reconstruct` does both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo import Acquisition, FastOperator, ImagingOperator, LayeredMedium, VoxelGrid, operator_of
from mimo.data import Measurement, Reconstruction, divide_gain
from mimo.data.history import Batch, Entry, History
from mimo.imaging_operator import DEFAULT_MEMORY
from mimo.memory import check_voxels
from mimo.pattern import Patterns, describe_patterns
from mimo.progress import Report, silent
from mimo.recon.belief import CHECKS, check_images
from mimo.recon.registry import Images, Method, Problem, find_method
from mimo.region import Region

__all__ = [
    "BATCH",
    "SUMS",
    "Live",
    "Progress",
    "Watcher",
    "build_problem",
    "make_operator",
    "make_problem",
    "pick_device",
    "program_version",
    "reconstruct",
    "region_of",
    "run_method",
]

BATCH = 16
"""Scenes that a method is given at once."""

SUMS = ("exact", "fast")
"""How an operator's sums are computed."""

Progress = Callable[[float, int], None]
"""Called with the number of finished scenes, which may be a fraction, and the number of all scenes."""


@dataclass(frozen=True)
class Watcher:
    """Shows how far a run has come.

    Attributes
    ----------
    progress
        Told of scenes.
    preparing
        Told the finished share of what is prepared for all scenes, 0 to 1: a matrix and its factors, the search for the
        noise level. Several preparations may follow each other, each from 0.
    """

    progress: Progress
    preparing: Report = silent


@dataclass(frozen=True)
class Live:
    """Tells an iterative run to show its images while it goes on.

    Attributes
    ----------
    every
        Iterations between two calls of `show`.
    show
        Called with the images of all scenes so far, marked as interrupted: they are all that there is where the process
        is ended. Scenes that have not been started are 0.
    """

    every: int
    show: Callable[[Reconstruction], None]


def pick_device(device: str) -> torch.device:
    """Return a torch device; ``auto`` is CUDA where there is one, else the processor."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device is {device!r}: expected auto, cpu or cuda") from error
    if chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {device!r}: expected auto, cpu or cuda")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device is {device!r}, {torch.cuda.device_count()} CUDA devices are at hand: expected another"
        )
    return chosen


def make_problem(
    measurement: Measurement,
    grid: VoxelGrid | None = None,
    *,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    region: str | Region | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.complex64,
    memory: int = DEFAULT_MEMORY,
    sums: str = "exact",
) -> Problem:
    """Make the problem that reconstructors work on: divide out the channel gain and make the operator.

    Parameters
    ----------
    measurement
        Data with array, sweep and permittivity. The operator restores a reference path; the background is not
        subtracted (`mimo.data.subtract_background` does that).
    grid
        Voxels; the measurement's own by default.
    pattern, layers
        Antennas' pattern and a layered medium, as in `mimo.BornOperator`; layers replace the file's permittivity.
    region
        Where the scene is (`mimo.region.Region.parse`); the measurement's own by default, else ``auto``. Images are
        computed inside alone and 0 elsewhere.
    device, dtype, memory
        As in `mimo.BornOperator`; ``auto`` takes CUDA where there is one.
    sums
        One of `SUMS`: ``exact``, or ``fast`` (`mimo.FastOperator`), which makes iterations possible on large arrays, to
        an error of a thousandth, or of some hundredths where the array is a planar scan.

    Raises
    ------
    ValueError
        When there is no grid, a voxel lies on an antenna, the pattern sees no voxel, the region holds none, or there is
        no such device.
    """
    acquisition = measurement.acquisition(grid, pattern=pattern, layers=layers)
    check_voxels(acquisition.grid.shape, n_scene=min(measurement.n_scene, BATCH))
    chosen = region_of(region, measurement)
    acquisition = acquisition.replace(inside=chosen.inside(acquisition))
    operator = make_operator(acquisition, device=device, dtype=dtype, memory=memory, sums=sums)
    return build_problem(operator, measurement, region=str(chosen))


def region_of(region: str | Region | None, measurement: Measurement) -> Region:
    """Return the region that is named, else the measurement's own, else ``auto``."""
    return region if isinstance(region, Region) else Region.parse(region or measurement.region or "auto")


def make_operator(
    acquisition: Acquisition,
    *,
    device: str = "auto",
    dtype: torch.dtype = torch.complex64,
    memory: int = DEFAULT_MEMORY,
    sums: str = "exact",
) -> ImagingOperator:
    """Return the operator of an acquisition; arguments and errors are those of `make_problem`."""
    if sums not in SUMS:
        raise ValueError(f"sums is {sums!r}: expected {' or '.join(SUMS)}")
    chosen = pick_device(device)
    make = FastOperator if sums == "fast" else operator_of
    operator = make(acquisition, dtype=dtype, device=chosen, memory=memory)
    if acquisition.pattern is not None:
        full = torch.ones(operator.volume_shape, dtype=dtype, device=chosen)
        if not operator.forward(full).any():
            raise ValueError(
                "the antennas' pattern sees no voxel of the grid: expected antennas that look towards it; their "
                "normals are those of the file; where it has none, +z, or inward where they surround the grid"
            )
    return operator


def build_problem(
    operator: ImagingOperator, measurement: Measurement, shared: dict[str, Any] | None = None, *, region: str = ""
) -> Problem:
    """Make the problem of a measurement with a given operator: divide out the channel gain, find noise and truth.

    `shared` is the store of `Problem.shared`: pass that of an earlier problem with the same operator to reuse it.
    `region` is the text of the region that the operator was restricted to, to be recorded.
    """
    if measurement.gain is not None:
        measurement = divide_gain(measurement)
    y = torch.tensor(measurement.values, dtype=operator.dtype, device=operator.device)
    truth = None
    if measurement.truth is not None and operator.grid == measurement.grid:
        truth = torch.tensor(np.abs(measurement.truth), device=operator.device)
    shared = {} if shared is None else shared
    return Problem(operator, y, _noise_std(measurement, y), truth, _shared=shared, region=region)


def _noise_std(measurement: Measurement, y: torch.Tensor) -> torch.Tensor | None:
    """Noise level of each scene from the stated SNR: power of the data = power of the noise (1 + SNR)."""
    if measurement.snr_db is None:
        return None
    channels = measurement.array.n_channel * measurement.sweep.n_freq
    mask = measurement.array.mask
    data = y if mask is None else y * torch.as_tensor(mask.copy(), device=y.device)
    power = data.abs().double().square().flatten(1).sum(1) / channels
    ratio = torch.tensor(10 ** (measurement.snr_db.astype(float) / 10), device=y.device)
    return (power / (1 + ratio)).sqrt()


def reconstruct(
    method: str,
    measurement: Measurement,
    grid: VoxelGrid | None = None,
    *,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    region: str | Region | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.complex64,
    memory: int = DEFAULT_MEMORY,
    sums: str = "exact",
    progress: Progress | None = None,
    preparing: Report = silent,
    live: Live | None = None,
    source_sha256: str = "",
    check: str = "fast",
    **options: Any,
) -> Reconstruction:
    """Reconstruct every scene of a measurement with a named method.

    Parameters
    ----------
    method
        A name in `METHODS`.
    measurement
        The data.
    grid
        Voxels; the measurement's own by default.
    pattern, layers, region, device, dtype, memory, sums
        As in `make_problem`.
    progress
        Called as ``progress(scenes done, scenes in all)``; unfinished scenes count by the share that is done.
    preparing
        Called with the finished share of what is prepared before; see `Watcher`.
    live
        Gets the images of an iterative method while it goes on.
    source_sha256
        SHA-256 of the measurement's file, to be recorded with the result.
    check
        How it is found out what the images explain (`mimo.recon.belief`), which goes into ``parameters``: ``fast``,
        ``held-out`` (each method is run again without the data held out) or ``none``. It takes no part in the times.
    **options
        Options of the method (``METHODS[method].options``); an unknown one is an error that names the nearest, a value
        of another type one that names what is expected.

    Returns
    -------
    mimo.data.Reconstruction
        Images, and the run time of each scene in seconds. The time of work done once for a geometry is in
        ``parameters["setup_seconds"]``.

    Raises
    ------
    ValueError
        When the method, an option or the geometry does not fit.
    """
    medium: dict[str, Any] = {"pattern": pattern, "layers": layers, "region": region}
    problem = make_problem(measurement, grid, **medium, device=device, dtype=dtype, memory=memory, sums=sums)
    told: dict[str, Any] = {"progress": progress, "preparing": preparing, "live": live}
    return run_method(method, problem, **told, source_sha256=source_sha256, check=check, **options)


def run_method(
    method: str,
    problem: Problem,
    *,
    progress: Progress | None = None,
    preparing: Report = silent,
    live: Live | None = None,
    source_sha256: str = "",
    check: str = "fast",
    **options: Any,
) -> Reconstruction:
    """Run a method on a problem, which several methods may share; the other arguments are those of `reconstruct`.

    After a keyboard interrupt in an iterative method the scenes that had not been started keep their initial image;
    ``parameters["interrupted"]`` says which scenes were cut short. After one in a check the images stay as they are,
    those of scenes that had not been started are 0, and ``parameters["check_interrupted"]`` is true.
    """
    chosen = find_method(method)
    options = chosen.check_options(options)
    if check not in CHECKS:
        raise ValueError(f"check is {check!r}: expected {', '.join(CHECKS[:-1])} or {CHECKS[-1]}")
    n_scene = len(problem.measurement)
    pieces: list[Images] = []
    seconds, setup = np.zeros(n_scene), problem._shared.pop("seconds ahead", 0.0)
    interrupted: list[bool] = []

    def record(images: list[torch.Tensor], *, unfinished: bool = False, **more: Any) -> Reconstruction:
        image = problem.restrict(torch.cat(images)).cpu().numpy()
        if not np.isfinite(image).all():
            raise ValueError(f"{method} gave NaN or infinite values: the measurement or an option is out of range")
        parameters = {**chosen.options, **_named(options), **_joined(pieces), **_medium(problem)}
        parameters["setup_seconds"] = setup
        if unfinished or any(interrupted):
            parameters["interrupted"] = [True] * n_scene if unfinished else interrupted
        return Reconstruction(
            method=chosen.name,
            image=image,
            grid=problem.operator.grid,
            parameters=parameters,
            seconds=seconds,
            version=program_version(),
            source_sha256=source_sha256,
            scale=chosen.scale,
            inside=problem.operator.acquisition.inside,
            std=_gathered("std", pieces, problem, n_scene),
            quantiles=_gathered("quantiles", pieces, problem, n_scene),
            **more,
        )

    for start in range(0, n_scene, BATCH):
        stop = min(start + BATCH, n_scene)
        bare = problem.scenes(start, stop).of_unit_size()

        def observe(
            i: int,
            of: int,
            image: Callable[[], torch.Tensor],
            history: list[Entry],
            start: int = start,
            stop: int = stop,
            bare: Problem = bare,
        ) -> None:
            if progress is not None:
                progress(start + (stop - start) * i / of, n_scene)
            if live is not None and i % live.every == 0:
                now = _restored(chosen, bare, Images(image())).image
                rest = now.new_zeros((n_scene - stop, *now.shape[1:]))
                so_far = _history([*(piece.history for piece in pieces), history], n_scene)
                shown = [*(piece.image for piece in pieces), now, rest]
                live.show(record(shown, unfinished=True, iterations=i, history=so_far))

        def report(share: float, start: int = start, stop: int = stop) -> None:
            if progress is not None:
                progress(start + (stop - start) * share, n_scene)

        told: dict[str, Any] = {"observer": observe, "report": report, "prepared": preparing}
        part = replace(bare, **told)
        before = problem._shared.get("seconds", 0.0)
        started = time.perf_counter()
        made = chosen.run(part, **options)
        pieces.append(_restored(chosen, part, made))
        if problem.operator.device.type == "cuda":
            torch.cuda.synchronize(problem.operator.device)
        cut = pieces[-1].interrupted or bool(problem._shared.get("interrupted"))
        problem._shared["interrupted"] = cut
        interrupted += [cut] * (stop - start)
        once = problem._shared.get("seconds", 0.0) - before
        setup += once
        seconds[start:stop] = (time.perf_counter() - started - once) / (stop - start)
        if check != "none":
            made = replace(made, image=problem.restrict(made.image), interrupted=cut)
            last = pieces[-1]
            try:
                last.found |= check_images(chosen, options, bare, made, check=check)
            except KeyboardInterrupt:
                last.found["check_interrupted"] = True
        if progress is not None:
            progress(stop, n_scene)
        if "check_interrupted" in pieces[-1].found and stop < n_scene:
            reached = pieces[-1].image
            pieces.append(Images(reached.new_zeros((n_scene - stop, *reached.shape[1:])), interrupted=True))
            interrupted += [True] * (n_scene - stop)
            break
    problem._shared.pop("interrupted", None)
    return record(
        [piece.image for piece in pieces],
        iterations=max(piece.iterations for piece in pieces),
        history=_history([piece.history for piece in pieces], n_scene),
    )


def _restored(method: Method, problem: Problem, images: Images) -> Images:
    """Return images of data of unit size in the unit that the data came in."""
    if problem.unit is None or not method.homogeneous:
        return images
    unit = problem.unit[:, None, None, None].to(images.image.real.dtype)
    std = None if images.std is None else images.std * unit
    quantiles = None if images.quantiles is None else images.quantiles * unit[:, None]
    return replace(images, image=images.image * unit, std=std, quantiles=quantiles)


def _gathered(name: str, pieces: Sequence[Images], problem: Problem, n_scene: int) -> npt.NDArray[np.float32] | None:
    """Return a field of `Images` for all scenes, 0 for those whose method was not reached; ``None`` without any."""
    found = [part for piece in pieces if (part := getattr(piece, name)) is not None]
    if not found:
        return None
    missing = n_scene - sum(map(len, found))
    rest = found[0].new_zeros((missing, *found[0].shape[1:]))
    return problem.restrict(torch.cat([*found, rest])).cpu().numpy()


def _history(recorded: Sequence[list[Entry] | None], n_scene: int) -> list[Any] | None:
    """Return the histories of the groups of `BATCH` scenes so far, in the form that files hold."""
    sizes = [min(BATCH, n_scene - start) for start in range(0, n_scene, BATCH)]
    batches = [Batch(entries, n) for entries, n in zip(recorded, sizes, strict=False) if entries is not None]
    return History(batches).to_json(n_scene)


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """Return options in a form that a file can hold: a function by its name, an image as ``given``."""
    plain = {}
    for name, value in options.items():
        plain[name] = "given" if isinstance(value, torch.Tensor) else value
        if callable(value):
            plain[name] = getattr(value, "__qualname__", type(value).__name__)
    return plain


def _medium(problem: Problem) -> dict[str, str]:
    """Return pattern, layers and region of the operator, where they are told, as the command line takes them."""
    wave = problem.operator.acquisition
    told = {"pattern": describe_patterns(wave.pattern), "layers": None if wave.layers is None else str(wave.layers)}
    told["region"] = problem.region or None
    told["sums"] = "fast" if isinstance(problem.operator, FastOperator) else None
    return {name: text for name, text in told.items() if text is not None}


def _joined(pieces: list[Images]) -> dict[str, Any]:
    """Join what was found of the groups of scenes; a list has ``None`` for scenes of a group that did not find it."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for piece in pieces for name in piece.found):
        values = [piece.found.get(name) for piece in pieces]
        found[name] = next((value for value in values if value is not None), None)
        if isinstance(found[name], list):
            each = (v if v is not None else [None] * len(p.image) for v, p in zip(values, pieces, strict=True))
            found[name] = [entry for value in each for entry in value]
    return found


def program_version() -> str:
    """Return the version of the installed program, or ``unknown``."""
    try:
        return metadata.version("mimo-imaging")
    except metadata.PackageNotFoundError:
        return "unknown"
