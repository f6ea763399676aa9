"""Define the inputs and outputs of reconstruction methods, and register the methods by name.

A reconstructor is a function ``run(problem, *, option=default, ...)`` with the decorator `reconstructor`. Its
keyword-only arguments are the options that a user may set; its docstring explains them. `mimo.recon.run` runs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch

from mimo import ImagingOperator, windowed
from mimo.data.history import Entry
from mimo.least_squares import DataStep, data_step
from mimo.options import check_value, is_plain, kinds_of, options_of, read_value, split_settings, unknown
from mimo.progress import Report, silent
from mimo.recon.iteration import Observer
from mimo.solver_choice import choose_solver

__all__ = [
    "ABSENT",
    "DEFAULT_METHOD",
    "FILES",
    "METHODS",
    "Images",
    "Method",
    "Problem",
    "find_method",
    "parse_settings",
    "reconstructor",
    "run_start",
]

DEFAULT_METHOD = "pnp"
"""What `reconstruct` runs when no method is named."""

SOLVES = 40
"""How often least squares are solved for a scene, by default: so often as an iterative method does, for all methods to
choose the same way."""

T = TypeVar("T")


@dataclass
class Problem:
    """Holds what a reconstructor works on: the measurement of some scenes, its operator and its noise.

    Attributes
    ----------
    operator
        The Born operator of the measurement's geometry and the grid.
    measurement
        Calibrated data, complex ``(n_scene, *operator.measurement_shape)`` on the operator's device.
    noise_std
        Standard deviation of the complex noise of each scene, float64 ``(n_scene,)``, or ``None`` when not known.
    truth
        True magnitudes ``(n_scene, n_x, n_y, n_z)``, from which iterative methods record the PSNR, or ``None``.
    observer
        Called after each iteration (`mimo.recon.iteration.Observer`), or ``None``.
    report
        Called with the finished share of the work, 0 to 1, by methods that apply the operator once.
    region
        The region that the operator's acquisition was restricted to, as `mimo.region.Region.parse` reads it; empty when
        nobody said.
    prepared
        Called with the finished share of a preparation, 0 to 1; several may follow each other, each from 0.
    unit
        What measurement and noise of each scene were divided by, float64 ``(n_scene,)``; ``None`` for 1.
    drawn
        Called with the samples of one scene after another, complex ``(n, n_x, n_y, n_z)`` in the unit that the data
        came in, by methods that draw some; ``None`` when nobody wants them.
    """

    operator: ImagingOperator
    measurement: torch.Tensor
    noise_std: torch.Tensor | None = None
    truth: torch.Tensor | None = None
    observer: Observer | None = None
    report: Report = silent
    _shared: dict[str, Any] = field(default_factory=dict, repr=False)
    region: str = ""
    prepared: Report = silent
    unit: torch.Tensor | None = None
    drawn: Callable[[torch.Tensor], None] | None = None

    def of_unit_size(self) -> Problem:
        """Return the problem with each scene's measurement divided by a power of 2 that brings its maximum to 0.5 to 1.

        A power of 2 changes no digit. Sums of squares then neither overflow nor vanish, whatever the data's unit, and
        the least numbers that keep divisions from 0 / 0 are small. A scene without data stays as it is.
        """
        y = self.measurement
        _, exponent = np.frexp(y.abs().flatten(1).amax(1).double().cpu().numpy())
        unit = torch.as_tensor(np.ldexp(1.0, exponent), device=y.device)
        # in two steps, as the reciprocal of a tiny unit is too large for single precision
        for part in (exponent // 2, exponent - exponent // 2):
            factor = torch.as_tensor(np.ldexp(1.0, -part), device=y.device).to(y.real.dtype)
            y = y * factor.reshape(-1, *[1] * (y.ndim - 1))
        std = None if self.noise_std is None else self.noise_std.to(unit.device) / unit
        return replace(self, measurement=y, noise_std=std, unit=unit if self.unit is None else self.unit * unit)

    @property
    def inside(self) -> torch.Tensor | None:
        """The voxels that can hold anything, bool (n_x, n_y, n_z) on the operator's device; ``None`` for all."""
        acquisition, device = self.operator.acquisition, self.operator.device
        if acquisition.inside is None:
            return None
        key = f"inside on {device}"
        if key not in self._shared:
            self._shared[key] = torch.as_tensor(acquisition.inside.copy(), device=device)
        inside: torch.Tensor = self._shared[key]
        return inside

    def restrict(self, image: torch.Tensor) -> torch.Tensor:
        """Return images (..., n_x, n_y, n_z) with zeros outside the region; the same tensor where there is none."""
        inside = self.inside
        return image if inside is None else image * inside.to(image.device)

    def shared(self, name: str, make: Callable[[ImagingOperator], T]) -> T:
        """Return ``make(operator)``, computed once for all scenes and then kept as `name`; its time is set-up time."""
        if name not in self._shared:
            started = time.perf_counter()
            self._shared[name] = make(self.operator)
            self._shared["seconds"] = self._shared.get("seconds", 0.0) + time.perf_counter() - started
        return self._shared[name]

    def data_step(
        self,
        *,
        cache: bool = True,
        solver: str = "auto",
        solves: int = SOLVES,
        one_weight: bool = False,
        seen: str = "",
        operator: ImagingOperator | None = None,
    ) -> DataStep:
        """Return the solver of least squares between measurements and images, prepared once and shared.

        Parameters
        ----------
        cache, solver, one_weight
            As in `mimo.least_squares.data_step`.
        solves
            How often each scene will be solved. The number of scenes does not count, as a scene's image may not depend
            on how many others there are.
        seen, operator
            Another operator than the problem's, such as a weighted one, and a name for it to be shared under.
        """
        A = self.operator if operator is None else operator
        chosen = choose_solver(A, solver, solves=solves, one_weight=one_weight).solver
        return self.shared(
            f"data step {chosen}{seen}",
            lambda _: data_step(A, cache=cache, solver=chosen, one_weight=one_weight, report=self.prepared),
        )

    def form(self, former: Callable[..., torch.Tensor], *, window: str, **options: Any) -> Images:
        """Return the images of an image former, ``former(measurement, operator, **options)``, and report progress.

        The measurement is weighted by `window` before; see `mimo.windowed`.
        """
        with self.operator.watched(self.report):
            return Images(former(windowed(self.measurement, self.operator, window), self.operator, **options))

    def limit(self, iterations: int) -> int:
        """Return how many iterations may be made: `iterations`, or none once the run has been interrupted."""
        return 0 if self._shared.get("interrupted") else iterations

    def scenes(self, start: int, stop: int) -> Problem:
        """Return the problem of scenes `start` to `stop` (excluded), which shares what `shared` keeps."""
        std = None if self.noise_std is None else self.noise_std[start:stop]
        truth = None if self.truth is None else self.truth[start:stop]
        part = self.measurement[start:stop]
        unit = None if self.unit is None else self.unit[start:stop]
        return replace(self, measurement=part, noise_std=std, truth=truth, unit=unit)


@dataclass
class Images:
    """Holds the result of a reconstructor.

    Attributes
    ----------
    image
        ``(n_scene, n_x, n_y, n_z)``, complex, or real where it is a magnitude.
    found
        Values to record with the image, such as a weight that was chosen. A list has one entry for each scene.
    iterations
        Iterations made, the most of any scene; 0 for a direct method.
    history
        One entry for each iteration (`mimo.data.history`), or ``None``.
    interrupted
        Whether a keyboard interrupt ended the method early.
    std
        Standard deviation of the magnitude's error in each voxel, in the image's unit, of the same shape; ``None`` from
        methods that do not predict it.
    quantiles
        `mimo.data.QUANTILES` of the magnitude in each voxel, ``(n_scene, n_quantile, n_x, n_y, n_z)``, or ``None``.
    """

    image: torch.Tensor
    found: dict[str, Any] = field(default_factory=dict)
    iterations: int = 0
    history: list[Entry] | None = None
    interrupted: bool = False
    std: torch.Tensor | None = None
    quantiles: torch.Tensor | None = None


@dataclass(frozen=True)
class Method:
    """Describes a reconstruction method that is run by its name.

    Attributes
    ----------
    name, summary
        Name and one line of explanation, for the command line.
    run
        The function; its keyword-only arguments are the options.
    general
        Whether ``mimo demo`` runs it: it takes every array and grid, does not merely choose among other methods, and
        takes seconds at most.
    scale
        Scale of its images: ``"reflectivity"``, the unit of the truth, or ``"relative"``, known only up to a factor (a
        sum over the data, or a network's image). It is stored with every image.
    homogeneous
        Whether data times a number give the image times that number. A network that answers in units of the brightest
        voxel gives the same image instead.
    """

    name: str
    summary: str
    run: Callable[..., Images]
    general: bool = True
    scale: str = "reflectivity"
    homogeneous: bool = True

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults."""
        return options_of(self.run)

    def parse_option(self, name: str, text: str) -> Any:
        """Read an option's value from text, as `mimo.options.read_value` does.

        Raises
        ------
        ValueError
            When the method has no such option (the nearest is named), or the text does not fit the option's type.
        """
        return read_value(f"option {name} of {self.name}", text, self._kind(name))

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options converted to their types (`mimo.options.check_value`); functions and tensors are not checked.

        Raises
        ------
        ValueError
            When the method has no such option (the nearest is named), or a value is of another type than the option.
        """
        checked = {}
        for name, value in options.items():
            kind = self._kind(name)
            checked[name] = check_value(f"option {name} of {self.name}", value, kind) if is_plain(value) else value
        return checked

    def _kind(self, name: str) -> Any:
        kinds = kinds_of(self.run)
        if name not in kinds:
            raise ValueError(unknown(f"option of {self.name}", name, kinds))
        return kinds[name]


METHODS: dict[str, Method] = {}
"""Every method that ships, by name, in the order in which tables list them."""


def reconstructor(
    name: str, summary: str, *, general: bool = True, scale: str = "reflectivity"
) -> Callable[[Callable[..., Images]], Callable[..., Images]]:
    """Register a reconstructor under a name; for `general` and `scale` see `Method`."""

    def register(run: Callable[..., Images]) -> Callable[..., Images]:
        METHODS[name] = Method(name, summary, run, general, scale)
        return run

    return register


FILES: dict[str, Callable[[str], Method]] = {}
"""Functions that make a method of the path of a file, by the file's suffix."""

ABSENT: dict[str, str] = {}
"""Known methods whose weights do not ship, by name, with the message that tells how to train them."""


def find_method(name: str) -> Method:
    """Return the method of a name or of a file of weights; `ValueError` names the nearest when there is none."""
    for suffix, make in FILES.items():
        if name.endswith(suffix):
            return make(name)
    if name in ABSENT:
        raise ValueError(ABSENT[name])
    if name not in METHODS:
        raise ValueError(unknown("method", name, list(METHODS)))
    return METHODS[name]


def parse_settings(names: Sequence[str], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``KEY=VALUE`` texts and return, for each method by name, those options that it has.

    Raises
    ------
    ValueError
        When a method is not known, a text is not ``KEY=VALUE``, or no method has the option (the nearest is named).
    """
    methods = [find_method(name) for name in names]
    options: dict[str, dict[str, Any]] = {method.name: {} for method in methods}
    for key, text in split_settings(settings).items():
        takers = [method for method in methods if key in method.options]
        if not takers:
            raise ValueError(unknown("option", key, sorted({name for method in methods for name in method.options})))
        for method in takers:
            options[method.name][key] = method.parse_option(key, text)
    return options


def run_start(method: str, problem: Problem) -> torch.Tensor:
    """Run a method with its default options, unobserved, and return its images as initial images of another method.

    A keyboard interrupt during it ends the run: the other method makes no iterations and is marked as interrupted.
    """
    quiet = replace(problem, truth=None, observer=None, report=silent)
    made = find_method(method).run(quiet)
    if made.interrupted:
        problem._shared["interrupted"] = True
    return made.image
