"""Give networks the measurement model of a problem, and tell them its noise."""

from __future__ import annotations

import torch

from mimo.models.stages import Physics
from mimo.recon.noise import estimate_noise_std
from mimo.recon.registry import Problem


def make_physics(problem: Problem) -> Physics:
    """Return the measurement model of a problem; its data step is made when it is first asked for, and kept."""
    return Physics(problem.operator, problem.data_step)


def noise_of(problem: Problem) -> torch.Tensor:
    """Standard deviation of each scene's noise, as stated, else estimated from the data, float64 ``(n_scene,)``."""
    if problem.noise_std is not None:
        return problem.noise_std.to(problem.operator.device)
    return estimate_noise_std(problem)
