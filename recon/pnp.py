"""Reconstruct by plug-and-play: a deep denoiser of the magnitude is the prior (arXiv 2312.16024).

A denoiser of the magnitude, given a noise level, replaces the proximal map of a regulariser; the phase is kept
(`mimo.recon.prox.magnitude_prox`). Units are such that A has norm 1 and the initial image maximum 1. There are three
splittings:

``admm`` (default)
    That of the paper: C-SALSA (`mimo.recon.admm`) under ``|A x - y| <= eps``, with a constant noise level.
``annealed``
    The alternating direction method of multipliers with a quadratic data term and scaled dual variables d, in which the
    noise level falls geometrically:

        x = argmin |A x - y|^2 + kappa |x - (v - d)|^2      exact, through the factorised A A^H
        v = denoiser(|x + d|, sigma) exp(j arg(x + d))
        d = d + x - v

``hqs``
    The same without dual variables: half-quadratic splitting.

In the last two kappa grows as 1 / sigma^2, with a constant that depends on the noise of the data, and the iteration
goes on at the last noise level until the image hardly changes.
"""

from __future__ import annotations

from pathlib import Path

import torch

from mimo.least_squares import Weight, per_scene
from mimo.models import Denoiser, estimate_level
from mimo.models.precision import resolve_precision
from mimo.recon.iteration import Observer, Solution, State, iterate, relative_change
from mimo.recon.prox import MagnitudeMap, Prox, magnitude_prox, within
from mimo.recon.registry import Images, Problem, reconstructor
from mimo.recon.robust import run_scaled
from mimo.recon.scaling import Scaled, Setup

__all__ = ["CONSTRAINED_KAPPA", "annealed", "denoiser_prox", "named_prox", "pnp"]

SPLITTINGS = ("admm", "annealed", "hqs")
SMALLEST_KAPPA = 3e-3
"""Weight of the image in the data step at the last noise level, when the data have no noise."""
CONSTRAINED_KAPPA = 0.01
"""Weight of the image in the data step of ``admm``."""
LEAST_SIDE = 16
"""Voxels along the sides of the smallest volume that a denoiser is shown."""


def denoiser_prox(denoiser: Denoiser, *, blind: bool = False) -> Prox:
    """Return the denoiser as a proximal map on complex images, whose weight is the noise level (rms).

    With `blind` the denoiser is given no level: it estimates one from each magnitude (`mimo.models.estimate_level`).
    A volume all of whose sides are below `LEAST_SIDE` is put into an empty one of that side: a body that fills all that
    the denoiser sees looks like noise to it, and nothing would be left.
    """

    def denoise(magnitude: torch.Tensor, sigma: Weight) -> torch.Tensor:
        given, shape = magnitude.float(), magnitude.shape[1:]
        small = max(shape) < LEAST_SIDE
        before = [(LEAST_SIDE - n) // 2 if small else 0 for n in shape]
        if small:
            rest = [(first, LEAST_SIDE - n - first) for n, first in zip(shape, before, strict=True)]
            given = torch.nn.functional.pad(given, [pad for pair in reversed(rest) for pad in pair])
        if not blind:
            level = torch.as_tensor(sigma, dtype=torch.float32, device=magnitude.device).expand(len(magnitude))
            made = denoiser(given, level)
        elif small:  # the level of what was there, as the empty space around it has none
            made = denoiser(given, estimate_level(magnitude.float(), corruption=denoiser.corruption))
        else:
            made = denoiser(given)
        for axis, (first, n) in enumerate(zip(before, shape, strict=True), start=1):
            made = made.narrow(axis, first, n)
        return made.to(magnitude.dtype)

    return magnitude_prox(denoise)


@reconstructor("pnp", "plug-and-play: a trained denoiser of the magnitude as the prior")
def pnp(
    problem: Problem,
    *,
    denoiser: str | MagnitudeMap = "denoiser-fast",
    splitting: str = "admm",
    blind: bool = False,
    sigma_start: float = 0.3,
    sigma_end: float = 0.05,
    iterations: int = 15,
    max_iterations: int = 40,
    tolerance: float = 0.02,
    eps: str | float = "auto",
    start: str = "tikhonov",
    solver: str = "auto",
    sensitivity: str | float = "auto",
    loss: str = "squares",
    precision: str = "auto",
) -> Images:
    """Alternate least squares for the data and a denoiser of the magnitude, as the head of this module describes.

    `denoiser` names weights that ship or a safetensors file, or is a function ``(magnitude, sigma) -> magnitude`` of
    tensors ``(n_scene, n_x, n_y, n_z)`` and a level that broadcasts. `splitting` is ``admm`` (constant noise level
    `sigma_end`; bound `eps`, as in l1), ``annealed`` or ``hqs``. In the last two the noise level given to the denoiser
    falls geometrically from `sigma_start` to `sigma_end` over `iterations`. Levels are relative to the initial image's
    largest magnitude; with `blind` the denoiser estimates its own. At the last level a scene stops when the relative
    change of its image is below `tolerance`, or after `max_iterations`. `start` names the method that makes the initial
    image (where the model explains little of the data, l1's replaces ``tikhonov``). `solver`, `sensitivity` and `loss`
    are those of l1. `precision` is that of the denoiser, ``float32``, ``bfloat16`` or ``auto`` for the latter where the
    device has it in hardware; a function computes as it likes, and the precision is not recorded.
    """
    if splitting not in SPLITTINGS:
        raise ValueError(f"splitting is {splitting!r}: expected one of {', '.join(SPLITTINGS)}")
    if not 0 < sigma_end <= sigma_start:
        raise ValueError(f"sigma falls from {sigma_start} to {sigma_end}: expected positive numbers, the larger first")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}: expected 1 or more")
    denoise, computed = named_prox(problem, denoiser, blind, precision)
    prox = within(denoise, problem.inside)
    constrained = splitting == "admm"

    def run(scaled: Scaled) -> Solution:
        limit = problem.limit(max_iterations if constrained else max(iterations, max_iterations))
        if constrained:
            return scaled.csalsa(
                problem,
                prox,
                eps=eps,
                weight=sigma_end,
                kappa=CONSTRAINED_KAPPA,
                max_iterations=limit,
                tolerance=tolerance,
            )
        return annealed(
            scaled,
            prox,
            duals=splitting == "annealed",
            sigma=(sigma_start, sigma_end),
            iterations=iterations,
            max_iterations=limit,
            tolerance=tolerance,
            truth=problem.truth,
            observer=scaled.observer(problem),
        )

    made = run_scaled(problem, start, Setup(solver, sensitivity, max_iterations, constrained, "l1"), loss, run)
    made.found["precision"] = computed
    return made


def annealed(
    scaled: Scaled,
    prox: Prox,
    *,
    duals: bool,
    sigma: tuple[float, float],
    iterations: int,
    max_iterations: int,
    tolerance: float,
    truth: torch.Tensor | None = None,
    observer: Observer | None = None,
) -> Solution:
    """Run the splitting ``annealed`` (with `duals`) or ``hqs`` (without) of this module.

    Parameters
    ----------
    scaled
        The problem in units in which A has norm 1 and the initial image maximum 1.
    prox
        Called with complex images and the noise level of the iteration.
    duals
        Whether there are dual variables.
    sigma
        First and last noise level.
    iterations
        Number of iterations over which the level falls.
    max_iterations, tolerance
        At the last level a scene stops when the relative change of its image is below `tolerance`, or after
        `max_iterations`.
    truth, observer
        As in `mimo.recon.iteration.iterate`.

    Returns
    -------
    Solution
        Its history holds ``relative_change``, ``residual`` (over the norm of the noise, or without noise over that of
        the measurement) and ``sigma``.
    """
    first, last = sigma
    noise_norm = scaled.noise * scaled.data.shape[1] ** 0.5
    reference = torch.where(noise_norm > 0, noise_norm, scaled.data.norm(dim=1).clamp_min(1e-30))

    def update(s: State, i: int) -> tuple[State, dict[str, torch.Tensor], torch.Tensor]:
        level = first * (last / first) ** (min(i, iterations - 1) / max(1, iterations - 1))
        kappa = SMALLEST_KAPPA * (last / level) ** 2 + (s["noise"] / level).square()
        x, ax = scaled.step.solve(s["image"] - s["dual"], s["data"], kappa)
        noisy = x + s["dual"]
        image = prox(noisy, level)
        change = relative_change(image, s["image"])
        figures = {
            "relative_change": change,
            "residual": (ax - s["data"]).norm(dim=1) / s["reference"],
            "sigma": torch.full_like(change, level),
        }
        done = (change < tolerance) & (i + 1 >= iterations)
        return {"image": image, "dual": noisy - image if duals else s["dual"]}, figures, done

    start = scaled.start
    state = {"image": start, "dual": torch.zeros_like(start)}
    state |= {"data": scaled.data, "noise": scaled.noise, "reference": reference}
    return iterate(update, state, max_iterations=max_iterations, truth=truth, observer=observer)


def named_prox(problem: Problem, denoiser: str | MagnitudeMap, blind: bool, precision: str) -> tuple[Prox, str | None]:
    """Return the denoiser as a proximal map, and the precision that it computes in, ``None`` of a function."""
    if not isinstance(denoiser, str):
        return magnitude_prox(lambda magnitude, sigma: denoiser(magnitude, per_scene(sigma, magnitude))), None
    path: str | Path = Path(denoiser) if denoiser.endswith(".safetensors") else denoiser
    network = problem.shared(
        f"denoiser {denoiser} in {precision}",
        lambda A: Denoiser.load(path, device=str(A.device), precision=precision),
    )
    return denoiser_prox(network, blind=blind), resolve_precision(precision, problem.operator.device)
