"""Bring operator, measurement and initial image to a common scale, on which all iterative methods work.

The operator is divided by its norm, the measurement by that norm and by the initial image's largest magnitude. So
weights, noise levels and tolerances have the same meaning for any unit of the measurement and any norm of A.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from mimo import ImagingOperator
from mimo.least_squares import ConjugateGradientStep, DataStep, at_best_level
from mimo.recon.admm import csalsa
from mimo.recon.held_out import digest
from mimo.recon.iteration import Observer, Solution
from mimo.recon.noise import Noise, find_noise
from mimo.recon.prox import Prox
from mimo.recon.registry import SOLVES, Images, Problem, run_start
from mimo.region import surrounds
from mimo.weighted_operator import WeightedOperator, column_norms

__all__ = ["Scaled", "Setup", "Start", "Weights", "first_image", "prepare_step", "reweighted", "scale"]

Start = str | torch.Tensor
"""A method's name, or complex images ``(n_scene, n_x, n_y, n_z)``."""


@dataclass(frozen=True)
class Setup:
    """Says how the least squares of a run are set up: options that all solvers share.

    Attributes
    ----------
    solver
        ``auto`` or one of `mimo.least_squares.SOLVERS`.
    sensitivity
        Exponent of the columns' norms by which the image is multiplied before the prior sees it: 1 makes a unit equally
        visible everywhere, 0 leaves it. ``auto`` is 1 where the antennas surround the grid (`mimo.region.surrounds`),
        else 0: seen from one side, the fall of brightness with depth is smooth, and networks were trained with it.
    solves
        How often each scene will be solved.
    one_weight
        Whether kappa is the same in all of them.
    unexplained_start
        What replaces ``tikhonov`` as the initial image where the model explains little of the data
        (`mimo.recon.noise.find_noise`): ``adjoint``, or a method's name. The weight that predicts best is then so large
        that nothing but the adjoint is left of the regularised inverse.
    """

    solver: str = "auto"
    sensitivity: str | float = "auto"
    solves: int = SOLVES
    one_weight: bool = True
    unexplained_start: str = "adjoint"

    def exponent(self, problem: Problem) -> float:
        """Return the exponent as a number; `ValueError` when it is neither ``auto`` nor a finite number."""
        if self.sensitivity == "auto":
            acquisition = problem.operator.acquisition
            return 1.0 if surrounds(acquisition.array, acquisition.grid) else 0.0
        if isinstance(self.sensitivity, str) or not -2 <= self.sensitivity <= 2:
            raise ValueError(f"sensitivity is {self.sensitivity!r}: expected auto or an exponent from -2 to 2")
        return float(self.sensitivity)


@dataclass(frozen=True)
class Weights:
    """Holds the weights of channels in a robust data term.

    Attributes
    ----------
    squares
        Weight of each channel's squares, real ``A.measurement_shape[1:]``, 0 to 1.
    typical
        Median over channels of the rms residual of one measurement, float64 ``(n_scene,)``.
    good, off
        Mean over all channels of the weights of those that fit; and of the weighted energy that those which are off are
        left with, over the square of the typical residual. A bound that left them less would make the image fit them.
    """

    squares: torch.Tensor
    typical: torch.Tensor
    good: float
    off: float

    def noise_std(self, std: torch.Tensor) -> torch.Tensor:
        """Return the rms of weighted residuals where channels that fit have noise of `std`, float64 ``(n_scene,)``."""
        return (std.square() * self.good + self.typical.square() * self.off).sqrt()


@dataclass
class Scaled:
    """Holds a problem on the common scale.

    Attributes
    ----------
    step
        Solver of least squares with A / norm of A.
    data
        The measurement in the coordinates of `step`, complex ``(n_scene, m)``.
    start
        Initial image, complex ``(n_scene, n_x, n_y, n_z)``, its largest magnitude 1.
    noise
        Standard deviation of the noise of one measurement on this scale, ``(n_scene,)``.
    size
        Factor from images on this scale to reflectivity, ``(n_scene,)``.
    columns
        Factor of each voxel from images on this scale to reflectivity, ``(n_x, n_y, n_z)``; ``None`` for 1.
    found
        What to record with the images.
    little
        Which scenes the model explains so little of that data held out had to say how much, bool ``(n_scene,)``.
    """

    step: DataStep
    data: torch.Tensor
    start: torch.Tensor
    noise: torch.Tensor
    size: torch.Tensor
    columns: torch.Tensor | None = None
    found: dict[str, Any] = field(default_factory=dict)
    little: bool | torch.Tensor = False

    def reflectivity(self, image: torch.Tensor) -> torch.Tensor:
        """Return images on this scale as reflectivity."""
        image = image * self.size[:, None, None, None]
        return image if self.columns is None else image * self.columns

    def bound(self, eps: str | float) -> torch.Tensor:
        """Return the bound on the residual's norm, ``(n_scene,)``: from the noise, or a fraction of the data's norm."""
        if eps == "auto":
            return self.noise * self.data.shape[1] ** 0.5
        if isinstance(eps, str) or not 0 <= eps < 1:
            raise ValueError(f"eps is {eps!r}: expected auto or a fraction of the measurement's norm, 0 to below 1")
        return eps * self.data.norm(dim=1)

    def csalsa(self, problem: Problem, prox: Prox, *, eps: str | float, **options: Any) -> Solution:
        """Run C-SALSA (`mimo.recon.admm.csalsa`, whose other options are passed on) under the bound `eps`."""
        return csalsa(
            self.step,
            prox,
            self.data,
            self.bound(eps),
            self.start,
            settled=self.little,
            truth=problem.truth,
            observer=self.observer(problem),
            **options,
        )

    def observer(self, problem: Problem) -> Observer | None:
        """Return an observer that passes images to the problem's own observer as reflectivity."""
        told = problem.observer
        if told is None:
            return None
        return lambda i, of, image, history: told(i, of, lambda: self.reflectivity(image()), history)

    def images(self, solution: Solution, **found: object) -> Images:
        """Return a solution as images of reflectivity, with the values that are recorded with them."""
        found |= {
            "x_step": self.step.name,
            "scene_iterations": solution.iterations,
            "converged": solution.converged,
            "noise_std_relative": (self.noise * self.data.shape[1] ** 0.5 / _norm(self.data)).tolist(),
        }
        return Images(
            self.reflectivity(solution.image),
            found | self.found,
            max(solution.iterations),
            solution.history,
            solution.interrupted,
        )


def scale(problem: Problem, start: Start = "tikhonov", setup: Setup = Setup()) -> Scaled:
    """Bring a problem to the common scale.

    Parameters
    ----------
    problem
        The problem that a reconstructor is given.
    start
        Initial image, or the name of the method that makes it; see `first_image`.
    setup
        How the least squares are set up.

    Raises
    ------
    ValueError
        When the start, or an option of the set-up, does not fit.
    """
    y = problem.measurement
    problem.shared("born factors", lambda A: A.prepare())
    exponent = setup.exponent(problem)
    A, columns, made = prepare_step(problem, setup)
    step = made.restarted()
    norm = step.norm
    noise = _noise_of(problem, step, A, exponent)
    image = _start_of(problem, start, A, columns, noise, setup.unexplained_start)
    size = image.abs().flatten(1).amax(1)
    if not bool((size > 0).all()):  # the noise explains all: a back-projection tells the unit
        seen = (A.adjoint(y).abs().flatten(1).amax(1) / norm**2).to(size.dtype)
        size = torch.where(size > 0, size, torch.where(seen > 0, seen, torch.ones_like(size)))
    found = dict(noise.found)
    if columns is not None:
        found["sensitivity_used"] = exponent
    return Scaled(
        step=step,
        data=step.encode(y) / (norm * size[:, None]),
        start=image / size[:, None, None, None],
        noise=noise.std.to(size.dtype) / (norm * size),
        size=size,
        columns=columns,
        found=found,
        little=noise.little,
    )


def reweighted(
    problem: Problem,
    scaled: Scaled,
    image: torch.Tensor,
    weights: Weights,
) -> Scaled:
    """Bring a problem to the common scale again, its channels weighted, from an image that a solver has reached.

    Parameters
    ----------
    problem
        The problem that a reconstructor is given.
    scaled
        The problem on the scale of the run before.
    image
        Reflectivity, ``(n_scene, n_x, n_y, n_z)``.
    weights
        The channels' weights; their typical residual is the noise level where the file does not state one.
    """
    rows = weights.squares.sqrt().to(problem.measurement.real.dtype)
    A = WeightedOperator(problem.operator, columns=scaled.columns, rows=rows)
    step = ConjugateGradientStep(A)
    std = weights.noise_std(weights.typical if problem.noise_std is None else problem.noise_std)
    start = _seen_from(image, scaled.columns)
    size = start.abs().flatten(1).amax(1)
    size = torch.where(size > 0, size, scaled.size)
    return replace(
        scaled,
        step=step,
        data=step.encode(problem.measurement * rows) / (step.norm * size[:, None]),
        start=start / size[:, None, None, None],
        noise=std.to(size.dtype) / (step.norm * size),
        size=size,
        found=dict(scaled.found),
    )


def prepare_step(
    problem: Problem, setup: Setup, *, cache: bool = True
) -> tuple[ImagingOperator, torch.Tensor | None, DataStep]:
    """Return the operator as priors see it, the factors from such images to reflectivity, and the shared data step.

    The factors are ``(n_x, n_y, n_z)``, ``None`` for 1.
    """
    exponent = setup.exponent(problem)
    told: dict[str, Any] = {"solver": setup.solver, "solves": setup.solves, "one_weight": setup.one_weight}
    if not exponent:
        return problem.operator, None, problem.data_step(**told, cache=cache)
    columns = problem.shared(f"columns {exponent}", lambda A: _columns(A, exponent))
    A = WeightedOperator(problem.operator, columns=columns)
    return A, columns, problem.data_step(**told, cache=cache, seen=f", sensitivity {exponent}", operator=A)


def _columns(A: ImagingOperator, exponent: float) -> torch.Tensor:
    """Return the factors that make columns equally long, to the power `exponent`; their mean inside is about 1."""
    norms = column_norms(A)
    inside = norms > 0
    mean = norms[inside].mean()
    return torch.where(inside, (mean / norms.clamp_min(1e-30)) ** exponent, torch.zeros_like(norms))


def _noise_of(problem: Problem, step: DataStep, A: ImagingOperator, exponent: float) -> Noise:
    """Return the noise of a problem's scenes, found once for a method and the one that makes its initial image."""
    key = (exponent, step.factor is not None, problem.noise_std is None, digest(problem.measurement))
    known: tuple[object, Noise] | None = problem._shared.get("noise")
    if known is None or known[0] != key:
        known = (key, find_noise(problem, step, A))
        problem._shared["noise"] = known
    return known[1]


def _start_of(
    problem: Problem,
    start: Start,
    A: ImagingOperator,
    columns: torch.Tensor | None,
    noise: Noise,
    unexplained_start: str,
) -> torch.Tensor:
    """Return the image to start from, as the solver sees it."""
    y, little = problem.measurement, noise.little[:, None, None, None]
    if start != "tikhonov" or not bool(little.any()):
        return _seen_from(first_image(problem, start), columns)
    if unexplained_start == "adjoint":
        other = at_best_level(A, A.adjoint(y), y)
    else:
        other = _seen_from(run_start(unexplained_start, problem), columns)
    if bool(little.all()):
        return other
    return torch.where(little, other, _seen_from(first_image(problem, start), columns))


def _seen_from(image: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
    """Return images as a solver sees them: divided by the columns' factors, 0 outside."""
    if columns is None:
        return image
    seen = columns > 0
    return torch.where(seen, image / torch.where(seen, columns, torch.ones_like(columns)), torch.zeros_like(image))


def first_image(problem: Problem, start: Start) -> torch.Tensor:
    """Return the image from which an iteration starts, complex ``(n_scene, n_x, n_y, n_z)``.

    A method's image may have any scale (back-projection) or no phase (a network). An image without phase is given that
    of the regularised inverse, and every image the factor that fits the measurement best, ``<A x, y> / |A x|^2``.

    Raises
    ------
    ValueError
        When a tensor has another shape than the images, or no method has that name.
    """
    A, y = problem.operator, problem.measurement
    shape = (len(y), *A.volume_shape)
    if isinstance(start, torch.Tensor):
        if tuple(start.shape) != shape:
            raise ValueError(f"start has shape {tuple(start.shape)}: expected {shape}")
        return start.to(y) if problem.unit is None else (start / _of_images(problem.unit)).to(y)
    if start == "tikhonov":
        return problem.data_step().first_image(y)
    image = run_start(start, problem)
    if not image.is_complex():
        image = torch.polar(image, first_image(problem, "tikhonov").angle())
    return at_best_level(A, image, y)


def _of_images(values: torch.Tensor) -> torch.Tensor:
    """Return one value of each scene, shaped to multiply images."""
    return values[:, None, None, None]


def _norm(data: torch.Tensor) -> torch.Tensor:
    return data.norm(dim=1).clamp_min(1e-30)
