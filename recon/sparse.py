"""Sparse priors on the magnitude: l1, by C-SALSA, with a noise level that is stated or found in the data."""

from __future__ import annotations

import torch

from mimo import GramFactor
from mimo.gram import MAX_MEASUREMENTS
from recon.admm import ConjugateGradientStep, GramStep, XStep, csalsa
from recon.noise import estimate_noise_std, operator_norm
from recon.prox import l1_norm, magnitude_prox, soft_threshold
from recon.registry import Images, Problem, reconstructor


@reconstructor("l1", "sparse magnitude: least l1 norm that explains the data to the noise")
def l1(
    problem: Problem,
    *,
    weight: float = 0.03,
    kappa: float = 0.01,
    eps: str | float = "auto",
    max_iterations: int = 60,
    tolerance: float = 0.01,
) -> Images:
    """Minimise ``sum |x|`` subject to ``|A x - y| <= eps`` (`recon.admm.csalsa`).

    `weight` is the threshold of an iteration, relative to the largest magnitude of the first image; `kappa` weighs the
    image in the x step, relative to the largest eigenvalue of A A^H. Both are free of the measurement's unit. `eps` is
    the bound relative to the measurement's norm, or ``auto``: from the file's SNR, else estimated from the data.
    """
    A, y = problem.operator, problem.measurement
    problem.shared("born factors", lambda A: A.prepare())
    many = A.n_measurement > MAX_MEASUREMENTS
    norm = problem.shared("norm", operator_norm) if many else 0.0
    step: XStep
    if many:
        step = ConjugateGradientStep(A, norm)
        start = A.adjoint(y) / norm**2
    else:
        factor = problem.shared("gram", GramFactor.of)
        norm = float(factor.eigenvalues[-1].sqrt())
        step = GramStep(factor, norm)
        start = factor.tikhonov(y)[0]
    size = start.abs().flatten(1).amax(1)
    size = torch.where(size > 0, size, torch.ones_like(size))
    data = step.encode(y) / (norm * size[:, None])
    if eps == "auto":
        if many and problem.noise_std is None:
            raise ValueError(f"eps auto needs the file's SNR above {MAX_MEASUREMENTS} measurements: give eps a number")
        std = problem.noise_std if problem.noise_std is not None else estimate_noise_std(problem)
        bound = std.to(data.real.dtype) * A.n_measurement**0.5 / (norm * size)
    elif isinstance(eps, str) or not 0 <= eps < 1:
        raise ValueError(f"eps is {eps!r}: expected auto or a fraction of the measurement's norm, 0 to below 1")
    else:
        bound = eps * data.norm(dim=1)
    solution = csalsa(
        step,
        magnitude_prox(soft_threshold),
        data,
        bound,
        start / size[:, None, None, None],
        weight=weight,
        kappa=kappa,
        max_iterations=max_iterations,
        tolerance=tolerance,
        prior=l1_norm,
    )
    found = {"x_step": step.name, "scene_iterations": solution.iterations, "converged": solution.converged}
    if solution.interrupted:
        found["interrupted"] = [True] * len(y)
    image = solution.image * size[:, None, None, None]
    return Images(image, found, iterations=max(solution.iterations), history=solution.history)
