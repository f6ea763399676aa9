"""Bring operator, measurement and initial image to a common scale, on which all iterative methods work.

The operator is divided by its norm, the measurement by that norm and by the initial image's largest magnitude. So
weights, noise levels and tolerances have the same meaning for any unit of the measurement and any norm of A.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mimo.least_squares import DataStep, at_best_level
from mimo.recon.iteration import Observer, Solution
from mimo.recon.noise import estimate_noise_std
from mimo.recon.registry import Images, Problem, run_start

__all__ = ["Scaled", "first_image", "scale"]

Start = str | torch.Tensor
"""A method's name, or complex images ``(n_scene, n_x, n_y, n_z)``."""


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
    """

    step: DataStep
    data: torch.Tensor
    start: torch.Tensor
    noise: torch.Tensor
    size: torch.Tensor

    def bound(self, eps: str | float) -> torch.Tensor:
        """Return the bound on the residual's norm, ``(n_scene,)``: from the noise, or a fraction of the data's norm."""
        if eps == "auto":
            return self.noise * self.data.shape[1] ** 0.5
        if isinstance(eps, str) or not 0 <= eps < 1:
            raise ValueError(f"eps is {eps!r}: expected auto or a fraction of the measurement's norm, 0 to below 1")
        return eps * self.data.norm(dim=1)

    def observer(self, problem: Problem) -> Observer | None:
        """Return an observer that passes images to the problem's own observer as reflectivity."""
        told = problem.observer
        if told is None:
            return None
        size = self.size[:, None, None, None]
        return lambda i, of, image, history: told(i, of, lambda: image() * size, history)

    def images(self, solution: Solution, **found: object) -> Images:
        """Return a solution as images of reflectivity, with the values that are recorded with them."""
        found |= {
            "x_step": self.step.name,
            "scene_iterations": solution.iterations,
            "converged": solution.converged,
            "noise_std_relative": (self.noise * self.data.shape[1] ** 0.5 / _norm(self.data)).tolist(),
        }
        image = solution.image * self.size[:, None, None, None]
        return Images(image, found, max(solution.iterations), solution.history, solution.interrupted)


def scale(problem: Problem, start: Start = "tikhonov") -> Scaled:
    """Bring a problem to the common scale.

    Parameters
    ----------
    problem
        The problem that a reconstructor is given.
    start
        Initial image, or the name of the method that makes it; see `first_image`.

    Raises
    ------
    ValueError
        When the start does not fit.
    """
    y = problem.measurement
    problem.shared("born factors", lambda A: A.prepare())
    step = problem.data_step().restarted()
    norm = step.norm
    image = first_image(problem, start)
    size = image.abs().flatten(1).amax(1)
    size = torch.where(size > 0, size, torch.ones_like(size))
    std = problem.noise_std if problem.noise_std is not None else estimate_noise_std(problem)
    return Scaled(
        step=step,
        data=step.encode(y) / (norm * size[:, None]),
        start=image / size[:, None, None, None],
        noise=std.to(size.dtype) / (norm * size),
        size=size,
    )


def first_image(problem: Problem, start: Start) -> torch.Tensor:
    """Return the image from which an iteration starts, complex ``(n_scene, n_x, n_y, n_z)``.

    A method's image may have any scale (back-projection) or no phase (a network). An image without phase is given that
    of the regularised inverse, and every image the factor that fits the measurement best, ``<A x, y> / |A x|^2``.
    Where there are too many measurements to factorise, the adjoint replaces the regularised inverse.

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
        return start.to(y)
    if start == "tikhonov":
        return problem.data_step().first_image(y)
    image = run_start(start, problem)
    if not image.is_complex():
        image = torch.polar(image, first_image(problem, "tikhonov").angle())
    return at_best_level(A, image, y)


def _norm(data: torch.Tensor) -> torch.Tensor:
    return data.norm(dim=1).clamp_min(1e-30)
