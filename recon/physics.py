"""Make the inputs of learned methods from a problem: its measurement model and its noise level."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from mimo.least_squares import DataStep
from mimo.models.stages import Physics
from mimo.recon.noise import estimate_noise_std
from mimo.recon.registry import Problem

__all__ = ["ProblemPhysics", "make_physics", "noise_of"]


@dataclass(frozen=True, eq=False)
class ProblemPhysics(Physics):
    """Holds the measurement model of a problem, with the data step that the problem shares among its scenes."""

    problem: Problem

    @functools.cached_property
    def data_step(self) -> DataStep:
        """See `Physics`."""
        return self.problem.data_step()


def make_physics(problem: Problem) -> Physics:
    """Return the measurement model of a problem; its data step is made at first use, then kept."""
    return ProblemPhysics(problem.operator, problem)


def noise_of(problem: Problem) -> torch.Tensor:
    """Return each scene's noise standard deviation, stated or else estimated, float64 ``(n_scene,)``."""
    if problem.noise_std is not None:
        return problem.noise_std.to(problem.operator.device)
    return estimate_noise_std(problem, problem.data_step().factor)
