"""Reconstruct with sparse priors on the magnitude: its l1 norm, or its total variation."""

from __future__ import annotations

from mimo.recon.iteration import Solution
from mimo.recon.prox import TotalVariationProx, l1_norm, magnitude_prox, soft_threshold, total_variation, within
from mimo.recon.registry import Images, Problem, reconstructor
from mimo.recon.robust import run_scaled
from mimo.recon.scaling import Scaled, Setup

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
    solver: str = "auto",
    sensitivity: str | float = "auto",
    loss: str = "squares",
) -> Images:
    """Minimise ``sum |x|`` subject to ``|A x - y| <= eps`` (`mimo.recon.admm.csalsa`).

    `weight` is the threshold of an iteration, relative to the largest magnitude of the initial image; `kappa` weights
    the image in the least squares for x, relative to the largest eigenvalue of A A^H. Both are independent of the unit
    of the measurement and change only how fast the minimiser is reached. `balance` adapts the weight, so that few
    iterations reach it. For bodies of random phase the minimiser is too sparse, and images of earlier iterations are
    better: hence the defaults. For few bright points, set `balance`. `eps` is the bound relative to the measurement's
    norm, or ``auto``: from the file's SNR, or else from what can be explained (`mimo.recon.noise.find_noise`). `start`
    names the method that makes the initial image. `solver` chooses how least squares are solved (``auto``,
    ``spectrum``, ``cholesky``, ``voxels``, ``cg``), `sensitivity` the exponent of the voxels' visibility by which the
    prior sees the image (``auto``: 1 where antennas surround the grid, else 0), and `loss` a data term that stands
    channels which are off (``squares``, ``huber``, ``student``).
    """
    return run_scaled(
        problem,
        start,
        Setup(solver, sensitivity, max_iterations),
        loss,
        lambda scaled: scaled.csalsa(
            problem,
            within(magnitude_prox(soft_threshold), problem.inside),
            eps=eps,
            weight=weight,
            kappa=kappa,
            max_iterations=problem.limit(max_iterations),
            tolerance=tolerance,
            balance=balance or scaled.little,
            prior=l1_norm,
        ),
    )


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
    solver: str = "auto",
    sensitivity: str | float = "auto",
    loss: str = "squares",
) -> Images:
    """Minimise the isotropic total variation of ``|x|`` subject to ``|A x - y| <= eps`` (`mimo.recon.admm.csalsa`).

    Options are those of l1. The proximal map is computed by an inner iteration (`mimo.recon.prox.TotalVariationProx`),
    which starts from its previous dual variable and ends when the relative change of its image is below
    `inner_tolerance`, or after `inner_iterations`.

    The phase is free, so a flat magnitude explains few measurements as well as a structured one does, and the minimiser
    fills the volume. That is why the solver starts from l1's image, whose surroundings are empty, and takes few and
    small steps.
    """
    inside = problem.inside

    def run(scaled: Scaled) -> Solution:
        inner = TotalVariationProx(tolerance=inner_tolerance, max_iterations=inner_iterations, inside=inside)
        return scaled.csalsa(
            problem,
            magnitude_prox(inner),
            eps=eps,
            weight=weight,
            kappa=kappa,
            max_iterations=problem.limit(max_iterations),
            tolerance=tolerance,
            prior=total_variation,
        )

    return run_scaled(problem, start, Setup(solver, sensitivity, max_iterations), loss, run)
