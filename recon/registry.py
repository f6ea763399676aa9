"""From the name of a method to an image: what every reconstructor gets and gives, and `reconstruct`, which runs one.

A reconstructor is a function ``run(problem, *, option=default, ...)`` with the decorator `reconstructor`; its
keyword-only arguments are the options that a user may set, its docstring is their help.
"""

from __future__ import annotations

import difflib
import inspect
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, TypeVar

import numpy as np
import torch

from data import Measurement, Reconstruction, divide_gain, restore_reference_path
from mimo import ImagingOperator, VoxelGrid, born_operator
from mimo.linear import DEFAULT_MEMORY

DEFAULT_METHOD = "pnp"
"""What `reconstruct` runs when no method is named."""

BATCH = 16
"""Scenes treated together."""

T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass
class Problem:
    """What a reconstructor works on.

    Attributes
    ----------
    operator
        The Born operator of the measurement's geometry and the grid.
    measurement
        ``(n_scene, *operator.measurement_shape)`` on the operator's device, calibrated.
    noise_std
        Standard deviation of the complex noise of each scene, float64 ``(n_scene,)``, or ``None`` when not known.
    """

    operator: ImagingOperator
    measurement: torch.Tensor
    noise_std: torch.Tensor | None = None
    _shared: dict[str, Any] = field(default_factory=dict, repr=False)

    def shared(self, name: str, make: Callable[[ImagingOperator], T]) -> T:
        """Return what `make` gives for the operator; made once for all scenes, its time counted apart."""
        if name not in self._shared:
            started = time.perf_counter()
            self._shared[name] = make(self.operator)
            self._shared["seconds"] = self._shared.get("seconds", 0.0) + time.perf_counter() - started
        return self._shared[name]


@dataclass
class Images:
    """What a reconstructor gives: images ``(n_scene, n_x, n_y, n_z)``, complex or a magnitude, and what it found out.

    A list in `found` with one entry for each scene is joined over batches; anything else is kept as it is.
    """

    image: torch.Tensor
    found: dict[str, Any] = field(default_factory=dict)
    iterations: int = 0
    history: Any = None


@dataclass(frozen=True)
class Method:
    """A reconstructor by name.

    Attributes
    ----------
    name, summary
        For the command line.
    run
        The function; its keyword-only arguments are the options.
    """

    name: str
    summary: str
    run: Callable[..., Images]

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults."""
        parameters = inspect.signature(self.run).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def parse_option(self, name: str, text: str) -> Any:
        """Read an option's value from text: JSON where it is JSON (numbers, true, false, null), else the text itself.

        Raises
        ------
        ValueError
            When the method has no such option (the nearest is named), or the value is of another kind than its default.
        """
        if name not in self.options:
            raise ValueError(unknown(f"option of {self.name}", name, list(self.options)))
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        default = self.options[name]
        if value is None or isinstance(value, list | dict):
            raise ValueError(f"option {name} of {self.name} is {text!r}: expected something like {default!r}")
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ValueError(f"option {name} of {self.name} is {text!r}: expected true or false")
        if isinstance(default, int | float) and (
            isinstance(value, str) or isinstance(value, bool) is not isinstance(default, bool)
        ):
            raise ValueError(f"option {name} of {self.name} is {text!r}: expected a number")
        return value


METHODS: dict[str, Method] = {}
"""Every method that ships, by name, in the order in which tables list them."""


def reconstructor(name: str, summary: str) -> Callable[[Callable[..., Images]], Callable[..., Images]]:
    """Register a reconstructor under a name."""

    def register(run: Callable[..., Images]) -> Callable[..., Images]:
        METHODS[name] = Method(name, summary, run)
        return run

    return register


def find_method(name: str) -> Method:
    """Return a method by name; `ValueError` names the nearest when there is none."""
    if name not in METHODS:
        raise ValueError(unknown("method", name, list(METHODS)))
    return METHODS[name]


def parse_settings(names: Sequence[str], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``KEY=VALUE`` texts for several methods: options by method; each goes to the methods that have it.

    Raises
    ------
    ValueError
        When a method is not known, a text is of another form, or no method has the option (the nearest is named).
    """
    methods = [find_method(name) for name in names]
    options: dict[str, dict[str, Any]] = {method.name: {} for method in methods}
    for setting in settings:
        key, found, text = setting.partition("=")
        if not found:
            raise ValueError(f"setting {setting!r}: expected KEY=VALUE")
        takers = [method for method in methods if key in method.options]
        if not takers:
            raise ValueError(unknown("option", key, sorted({name for method in methods for name in method.options})))
        for method in takers:
            options[method.name][key] = method.parse_option(key, text)
    return options


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """Say that there is no such thing, and which known one is nearest."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"expected one of {', '.join(known) or 'none at all'}"
    return f"unknown {kind} {name!r}: {hint}"


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
    device: str = "auto",
    dtype: torch.dtype = torch.complex64,
    memory: int = DEFAULT_MEMORY,
) -> Problem:
    """Return what reconstructors work on: gain divided out, removed path lengths restored, the operator made.

    Parameters
    ----------
    measurement
        From a file or a synthesizer. Its background is not subtracted here (`data.subtract_background` does that).
    grid
        Voxels; the measurement's own by default.
    device, dtype, memory
        As in `mimo.BornOperator`; ``auto`` takes CUDA where there is one.

    Raises
    ------
    ValueError
        When there is no grid, a voxel lies on an antenna, or the device is not at hand.
    """
    grid = measurement.grid if grid is None else grid
    if grid is None:
        raise ValueError(
            "the measurement has no grid: give one, such as x=-0.15:0.15:25,y=-0.15:0.15:25,z=0.35:0.65:49"
        )
    if measurement.gain is not None:
        measurement = divide_gain(measurement)
    if measurement.reference_path is not None:
        measurement = restore_reference_path(measurement)
    chosen = pick_device(device)
    operator = born_operator(
        measurement.array,
        measurement.sweep,
        grid,
        permittivity=measurement.permittivity,
        dtype=dtype,
        device=chosen,
        memory=memory,
    )
    y = torch.tensor(measurement.values, dtype=dtype, device=chosen)
    return Problem(operator, y, _noise_std(measurement, y))


def _noise_std(measurement: Measurement, y: torch.Tensor) -> torch.Tensor | None:
    """From the stated SNR (mean power of the noiseless data over that of the noise): total = noise (1 + SNR)."""
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
    device: str = "auto",
    dtype: torch.dtype = torch.complex64,
    memory: int = DEFAULT_MEMORY,
    progress: Progress | None = None,
    source_sha256: str = "",
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
    device, dtype, memory
        As in `make_problem`.
    progress
        Called as ``progress(scenes done, scenes in all)``.
    source_sha256
        Recorded with the result.
    **options
        Options of the method (``METHODS[method].options``); an unknown one is an error that names the nearest.

    Returns
    -------
    data.Reconstruction
        Images with run times of each scene. Work done once for a geometry is in ``parameters["setup_seconds"]``.

    Raises
    ------
    ValueError
        When the method, an option or the geometry does not fit.
    """
    problem = make_problem(measurement, grid, device=device, dtype=dtype, memory=memory)
    return run_method(method, problem, progress=progress, source_sha256=source_sha256, **options)


def run_method(
    method: str, problem: Problem, *, progress: Progress | None = None, source_sha256: str = "", **options: Any
) -> Reconstruction:
    """Run a method on a problem that several methods share; see `reconstruct`."""
    chosen = find_method(method)
    for name in options:
        if name not in chosen.options:
            raise ValueError(unknown(f"option of {method}", name, list(chosen.options)))
    n_scene = len(problem.measurement)
    pieces, seconds, setup = [], np.zeros(n_scene), 0.0
    for start in range(0, n_scene, BATCH):
        stop = min(start + BATCH, n_scene)
        std = None if problem.noise_std is None else problem.noise_std[start:stop]
        part = Problem(problem.operator, problem.measurement[start:stop], std, problem._shared)
        before = problem._shared.get("seconds", 0.0)
        started = time.perf_counter()
        pieces.append(chosen.run(part, **options))
        if problem.operator.device.type == "cuda":
            torch.cuda.synchronize(problem.operator.device)
        once = problem._shared.get("seconds", 0.0) - before
        setup += once
        seconds[start:stop] = (time.perf_counter() - started - once) / (stop - start)
        if progress is not None:
            progress(stop, n_scene)
    image = torch.cat([piece.image for piece in pieces]).cpu().numpy()
    if not math.isfinite(float(np.abs(image).sum())):
        raise ValueError(f"{method} gave NaN or infinite values: the measurement or an option is out of range")
    parameters = {**chosen.options, **options, **_joined(pieces), "setup_seconds": setup}
    return Reconstruction(
        method=method,
        image=image,
        grid=problem.operator.grid,
        parameters=parameters,
        seconds=seconds,
        iterations=max(piece.iterations for piece in pieces),
        version=program_version(),
        source_sha256=source_sha256,
        history=pieces[0].history if len(pieces) == 1 else [p.history for p in pieces if p.history is not None] or None,
    )


def _joined(pieces: list[Images]) -> dict[str, Any]:
    found = dict(pieces[0].found)
    for piece in pieces[1:]:
        for name, value in piece.found.items():
            if isinstance(value, list):
                found[name] = found[name] + value
    return found


def program_version() -> str:
    """Version of the installed program, or ``unknown``."""
    try:
        return metadata.version("mimo-imaging")
    except metadata.PackageNotFoundError:
        return "unknown"
