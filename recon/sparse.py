"""Reconstruct with sparse priors on the magnitude: its l1 norm, or its total variation."""

from __future__ import annotations

from mimo.recon.admm import csalsa
from mimo.recon.prox import TotalVariationProx, l1_norm, magnitude_prox, soft_threshold, total_variation
from mimo.recon.registry import Images, Problem, reconstructor
from mimo.recon.scaling import scale

__all__ = ["l1", "tv"]


@reconstructor("l1", "sparse magnitude: least l1 norm that explains the data to the noise")
def l1(
    problem: Problem,
    *,
    weight: float = 0.01,
    kappa: float = 0.01,
    balance: bool = False,
    eps: str | float = "auto",
    start: str = "tikhonov",
    max_iterations: int = 60,
    tolerance: float = 0.01,
) -> Images:
    """Minimise ``sum |x|`` subject to ``|A x - y| <= eps`` (`mimo.recon.admm.csalsa`).

    `weight` is the threshold of an iteration, relative to the largest magnitude of the first image; `kappa` weighs the
    image in the x step, relative to the largest eigenvalue of A A^H. Both are free of the measurement's unit and change
    only how fast the minimiser is reached; `balance` adapts the weight, so that few iterations reach it. On bodies of
    random phase the minimiser is too sparse, and the images on the way there are better: hence the defaults. On few
    bright points set it. `eps` is the bound relative to the measurement's norm, or ``auto``: from the file's SNR, else
    estimated from the data. `start` names the method whose image is the first.
    """
    scaled = scale(problem, start)
    solution = csalsa(
        scaled.step,
        magnitude_prox(soft_threshold),
        scaled.data,
        scaled.bound(eps),
        scaled.start,
        weight=weight,
        kappa=kappa,
        max_iterations=problem.limit(max_iterations),
        tolerance=tolerance,
        balance=balance,
        prior=l1_norm,
        truth=problem.truth,
        observer=scaled.observer(problem),
    )
    return scaled.images(solution)


@reconstructor("tv", "piecewise constant magnitude: least total variation that explains the data to the noise")
def tv(
    problem: Problem,
    *,
    weight: float = 0.005,
    kappa: float = 0.01,
    eps: str | float = "auto",
    start: str = "l1",
    max_iterations: int = 20,
    tolerance: float = 0.01,
    inner_tolerance: float = 1e-3,
    inner_iterations: int = 50,
) -> Images:
    """Minimise the isotropic total variation of ``|x|`` subject to ``|A x - y| <= eps`` (`mimo.recon.admm.csalsa`).

    Options as in l1. Each proximal map is an inner solver (`mimo.recon.prox.TotalVariationProx`), started from the dual
    of the one before, until its image changes by less than `inner_tolerance`, relative, or for `inner_iterations`.

    The phase is free, so a flat magnitude explains few measurements as well as a structured one: run to the end, the
    minimiser fills the volume. So the solver starts from l1's image, whose surroundings are empty, and takes few and
    small steps.
    """
    inner = TotalVariationProx(tolerance=inner_tolerance, max_iterations=inner_iterations)
    scaled = scale(problem, start)
    solution = csalsa(
        scaled.step,
        magnitude_prox(inner),
        scaled.data,
        scaled.bound(eps),
        scaled.start,
        weight=weight,
        kappa=kappa,
        max_iterations=problem.limit(max_iterations),
        tolerance=tolerance,
        prior=total_variation,
        truth=problem.truth,
        observer=scaled.observer(problem),
        keep=inner.keep,
    )
    return scaled.images(solution)
