"""The measurement model as networks use it (`models.stages.Physics`), from a problem."""

from __future__ import annotations

import torch

from mimo import GramFactor
from mimo.gram import MAX_MEASUREMENTS
from models.stages import Physics, Solver
from recon.least_squares import ConjugateGradientStep, GramStep
from recon.noise import estimate_noise_std, operator_norm
from recon.registry import Problem

N_PROBE = 8
"""Random volumes that the mean gain is estimated from when there are too many measurements to factorise."""


def make_physics(problem: Problem) -> Physics:
    """Return the model of a problem; the solver is made when it is first asked for, and kept with the problem."""

    def solver() -> Solver:
        if problem.operator.n_measurement <= MAX_MEASUREMENTS:
            problem.shared("gram", GramFactor.of)
        return problem.shared("solver", lambda _: _solver(problem))

    return Physics(problem.operator, solver)


def noise_of(problem: Problem) -> torch.Tensor:
    """Standard deviation of each scene's noise, as stated, else estimated from the data, float64 ``(n_scene,)``."""
    if problem.noise_std is not None:
        return problem.noise_std.to(problem.operator.device)
    return estimate_noise_std(problem)


def _solver(problem: Problem) -> Solver:
    A = problem.operator
    if A.n_measurement <= MAX_MEASUREMENTS:
        factor = problem.shared("gram", GramFactor.of)
        scale = float(factor.eigenvalues[-1].sqrt())
        return Solver(GramStep(factor, scale), scale, float(factor.eigenvalues.sum()) / scale**2 / A.grid.n_voxel)
    scale = operator_norm(A)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn((N_PROBE, *A.volume_shape), dtype=A.dtype, generator=rng).to(A.device)
    gain = float(A.forward(x).abs().square().sum() / x.abs().square().sum())
    return Solver(ConjugateGradientStep(A, scale), scale, gain / scale**2)
