"""Run C-SALSA, an alternating direction method of multipliers, for a prior on the magnitude and a bounded residual.

It minimises ``R(|x|)`` subject to ``|A x - y| <= eps`` with the splittings ``v1 = x`` and ``v2 = A x`` and scaled duals
d1, d2 (Afonso, Bioucas-Dias, Figueiredo, IEEE Trans. Image Processing 20 (2011) 681; arXiv 2312.16024, algorithm 1).
One iteration:

    x  = argmin |A x - (v2 + d2)|^2 + kappa |x - (v1 + d1)|^2      the data step
    v1 = prox_{weight R(|.|)}(x - d1)                               the prior, on the magnitude
    v2 = y + (A x - d2 - y) min(1, eps / |A x - d2 - y|)            projection on the ball around y
    d1 = d1 - (x - v1),   d2 = d2 - (A x - v2)

Measurements are in the coordinates of the data step, which preserve norms: in those of the eigenvectors of A A^H no
product with the eigenvectors is needed between iterations. The minimiser does not depend on `weight` and `kappa`, which
are the inverse step sizes of the two splittings; how fast it is reached does.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from mimo.least_squares import DataStep, Weight
from mimo.recon.iteration import Observer, Solution, State, iterate, relative_change
from mimo.recon.prox import Prox

__all__ = ["csalsa"]

BALANCED = 30
"""Iterations in which step sizes are adapted; fixed ones afterwards, so that the iteration converges."""
SETTLED = 20
"""Iterations at least of a scene that starts settled."""
RESIDUAL = 1.01
"""A scene may stop when its residual is below this many times eps."""


def csalsa(
    step: DataStep,
    prox: Prox,
    y: torch.Tensor,
    eps: torch.Tensor,
    start: torch.Tensor,
    *,
    weight: Weight,
    kappa: float,
    max_iterations: int,
    tolerance: float,
    balance: bool | torch.Tensor = False,
    settled: bool | torch.Tensor = False,
    prior: Callable[[torch.Tensor], torch.Tensor] | None = None,
    truth: torch.Tensor | None = None,
    observer: Observer | None = None,
) -> Solution:
    """Run C-SALSA, the iteration at the head of this module.

    Parameters
    ----------
    step
        Solver of the least squares for x (`mimo.least_squares`).
    prox
        Proximal map of ``weight R(|.|)`` on complex images.
    y
        Measurement in the step's coordinates, complex ``(n_scene, m)``.
    eps
        Bound on the residual's norm, ``(n_scene,)``.
    start
        First image, complex ``(n_scene, n_x, n_y, n_z)``.
    weight, kappa
        `weight` is passed to `prox`; `kappa` weights the image against the measurement in the data step.
    max_iterations, tolerance
        A scene stops after `max_iterations`, or earlier when the relative change of its image is below `tolerance` and
        its residual is below 1.01 eps.
    balance
        Which scenes, all or bool ``(n_scene,)``: adapt their weight by residual balancing (relative residuals:
        Wohlberg, arXiv 1704.06209).
    settled
        Which scenes, all or bool ``(n_scene,)``: start ``v2`` from what `start` measures, projected on the ball, not
        from `y`. Where the ball is nearly as large as the measurement, the first images otherwise take up all of what
        cannot be explained, and priors take long to get rid of it. Such a start may be the result for all that the
        stopping rule knows, so at least `SETTLED` iterations are made. And a few digits of the least squares are
        enough: the residual that is allowed is nearly as large as the data.
    prior
        Function that gives R of each scene, ``(n_scene,)``, for the history.
    truth, observer
        As in `mimo.recon.iteration.iterate`.

    Returns
    -------
    Solution
        Its image is v1, the output of `prox`. Its history holds ``relative_change``, ``residual`` (over eps) and
        ``prior``.
    """

    def update(s: State, i: int) -> tuple[State, dict[str, torch.Tensor], torch.Tensor]:
        x, ax = step.solve(s["image"] + s["d1"], s["v2"] + s["d2"], kappa, s["settled"])
        image = prox(x - s["d1"], s["weight"])
        gap = ax - s["d2"] - s["y"]
        v2 = s["y"] + gap * (s["eps"] / gap.norm(dim=1).clamp_min(1e-38)).clamp(max=1)[:, None]
        figures = {
            "relative_change": relative_change(image, s["image"]),
            "residual": (ax - s["y"]).norm(dim=1) / s["eps"].clamp_min(1e-38),
        }
        if prior is not None:
            figures["prior"] = prior(image)
        done = (figures["relative_change"] < tolerance) & (figures["residual"] < RESIDUAL)
        done &= ~s["settled"] | (i + 1 >= SETTLED)
        d1, d2 = s["d1"] - (x - image), s["d2"] - (ax - v2)
        new = {"image": image, "v2": v2, "d1": d1, "d2": d2}
        if some and i < BALANCED:
            factor = _balance(x - image, image - s["image"], image, d1)
            factor = torch.where(s["balanced"], factor, torch.ones_like(factor))
            new |= {"weight": s["weight"] * factor, "d1": d1 * factor[:, None, None, None], "d2": d2 * factor[:, None]}
        return new, figures, done

    first = y
    settled = torch.as_tensor(settled, device=y.device).expand(len(y))
    balanced = torch.as_tensor(balance, device=y.device).expand(len(y))
    some = bool(balanced.any())
    if bool(settled.any()):
        seen = step.forward(start)
        gap = seen - y
        near = y + gap * (eps / gap.norm(dim=1).clamp_min(1e-38)).clamp(max=1)[:, None]
        first = torch.where(settled[:, None], near, y)
    state = {"image": start, "v2": first, "d1": torch.zeros_like(start), "d2": torch.zeros_like(y), "y": y, "eps": eps}
    state["balanced"], state["settled"] = balanced, settled
    state["weight"] = torch.as_tensor(weight, dtype=eps.dtype, device=eps.device).expand(len(y)).clone()
    return iterate(update, state, max_iterations=max_iterations, truth=truth, observer=observer)


def _balance(primal: torch.Tensor, change: torch.Tensor, image: torch.Tensor, dual: torch.Tensor) -> torch.Tensor:
    """Return the factor on the weights that balances relative primal and dual residuals, ``(n_scene,)``, 1/2 to 2."""

    def size(x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1).norm(dim=1).clamp_min(1e-30)

    ratio = (size(change) / size(dual)) / (size(primal) / size(image))
    return ratio.sqrt().clamp(0.5, 2)
