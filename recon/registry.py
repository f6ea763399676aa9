"""Define what a reconstructor is given and gives, and keep the methods by name; `mimo.recon.run` runs them.

A reconstructor is a function ``run(problem, *, option=default, ...)`` with the decorator `reconstructor`; its
keyword-only arguments are the options that a user may set, its docstring is their help.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from mimo import ImagingOperator
from mimo.data.history import Entry
from mimo.least_squares import DataStep, data_step
from mimo.options import check_value, is_plain, kinds_of, options_of, read_value, split_settings, unknown
from mimo.progress import Report, silent
from mimo.recon.iteration import Observer

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

T = TypeVar("T")


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
    truth
        True magnitudes ``(n_scene, n_x, n_y, n_z)``, for the history of an iteration, or ``None``.
    observer
        Told of each iteration (`mimo.recon.iteration.Observer`), or ``None``.
    report
        Told the share of the work that is done, by methods that apply the operator once.
    """

    operator: ImagingOperator
    measurement: torch.Tensor
    noise_std: torch.Tensor | None = None
    truth: torch.Tensor | None = None
    observer: Observer | None = None
    report: Report = silent
    _shared: dict[str, Any] = field(default_factory=dict, repr=False)

    def shared(self, name: str, make: Callable[[ImagingOperator], T]) -> T:
        """Return what `make` gives for the operator; made once for all scenes, its time counted apart."""
        if name not in self._shared:
            started = time.perf_counter()
            self._shared[name] = make(self.operator)
            self._shared["seconds"] = self._shared.get("seconds", 0.0) + time.perf_counter() - started
        return self._shared[name]

    def data_step(self, *, cache: bool = True) -> DataStep:
        """Return the least squares between this problem's measurements and images, prepared once and shared."""
        return self.shared("data step", lambda A: data_step(A, cache=cache))

    def form(self, former: Callable[..., torch.Tensor], **options: Any) -> Images:
        """Return ``former(measurement, operator, **options)``, an image made in one go, telling how far it is."""
        with self.operator.watched(self.report):
            return Images(former(self.measurement, self.operator, **options))

    def limit(self, iterations: int) -> int:
        """Return the most iterations to make: none more once the run has been interrupted."""
        return 0 if self._shared.get("interrupted") else iterations

    def scenes(self, start: int, stop: int) -> Problem:
        """Return the problem of some scenes; what is shared stays shared."""
        std = None if self.noise_std is None else self.noise_std[start:stop]
        truth = None if self.truth is None else self.truth[start:stop]
        part = self.measurement[start:stop]
        return Problem(self.operator, part, std, truth, self.observer, self.report, self._shared)


@dataclass
class Images:
    """What a reconstructor gives: images ``(n_scene, n_x, n_y, n_z)``, complex or a magnitude, and what it found out.

    A list in `found` with one entry for each scene is joined over batches; anything else is kept as it is. `history`
    has an entry for each iteration (`mimo.data.history`).
    """

    image: torch.Tensor
    found: dict[str, Any] = field(default_factory=dict)
    iterations: int = 0
    history: list[Entry] | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class Method:
    """A reconstructor by name.

    Attributes
    ----------
    name, summary
        For the command line.
    run
        The function; its keyword-only arguments are the options.
    general
        Whether it takes every array and grid and is no choice among others: `demo` runs these. A method that does not
        take an array says what it expects.
    scale
        What the numbers of its images are: ``"reflectivity"``, in the unit of the truth, or ``"relative"``, up to a
        factor that nobody knows (a sum over the data, a network's image). It is stored with every image.
    """

    name: str
    summary: str
    run: Callable[..., Images]
    general: bool = True
    scale: str = "reflectivity"

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults."""
        return options_of(self.run)

    def parse_option(self, name: str, text: str) -> Any:
        """Read an option's value from text, as `mimo.options.read_value` does.

        Raises
        ------
        ValueError
            When the method has no such option (the nearest is named), or the text is of another kind than the option.
        """
        return read_value(f"option {name} of {self.name}", text, self._kind(name))

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options as their kinds say (`mimo.options.check_value`); functions and tensors are left to the method.

        Raises
        ------
        ValueError
            When the method has no such option (the nearest is named), or a value is of another kind than the option.
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
"""What makes a method of a file's path, by the end of its name."""

ABSENT: dict[str, str] = {}
"""Methods that do not ship, and how to come by them."""


def find_method(name: str) -> Method:
    """Return a method by name, or by a file that is one; `ValueError` names the nearest when there is none."""
    for suffix, make in FILES.items():
        if name.endswith(suffix):
            return make(name)
    if name in ABSENT:
        raise ValueError(ABSENT[name])
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
    for key, text in split_settings(settings).items():
        takers = [method for method in methods if key in method.options]
        if not takers:
            raise ValueError(unknown("option", key, sorted({name for method in methods for name in method.options})))
        for method in takers:
            options[method.name][key] = method.parse_option(key, text)
    return options


def run_start(method: str, problem: Problem) -> torch.Tensor:
    """Return a method's image as the first image of another, with the method's own defaults and unobserved.

    An interrupt that cuts it short ends the run: the other method makes no iteration, its scenes count as cut short.
    """
    quiet = Problem(problem.operator, problem.measurement, problem.noise_std, _shared=problem._shared)
    made = find_method(method).run(quiet)
    if made.interrupted:
        problem._shared["interrupted"] = True
    return made.image
