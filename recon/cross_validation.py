"""Find how much of a measurement a sparse image can explain, by predicting channels that were left out.

What the Born model leaves out (coupling, multiple reflections, dispersion, a wrong permittivity) is no white noise: it
is smooth in frequency, so that an image can be bent to reproduce it, and the likelihood of `mimo.recon.noise` takes it
for signal. But such an image predicts nothing. So some channels are held out with all their frequencies, sparse images
of falling thresholds are made of the others, and the threshold that predicts the channels held out best says how much
is worth explaining: its residual is the noise level that solvers should respect.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mimo import ImagingOperator
from mimo.progress import Report, silent
from mimo.recon.held_out import split

__all__ = ["FEW_CHANNELS", "Predicted", "predict_held_out"]

THRESHOLDS = (0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.055, 0.04, 0.025)
"""Weights of the l1 norm, as shares of the largest magnitude of ``A^H y``, in the order in which they are tried."""

ITERATIONS = 8
"""Iterations at each threshold, from the image of the one before."""

FEW_CHANNELS = 30
"""Channels below which nothing is held out: two or three would decide."""

FOLDS = (1, 2)
"""Seeds of the choices of channels that are held out; the first alone where a choice has `MANY` channels or more."""

MANY = 20

AS_GOOD = 0.9
"""A lower threshold that predicts this share of what the best one does is taken in its place."""

PATIENCE = 2
"""Thresholds that may predict worse than the best one before the search ends."""


@dataclass(frozen=True)
class Predicted:
    """Says what the best sparse image explains, for each scene: float64 ``(n_scene,)`` each.

    Attributes
    ----------
    residual
        Norm of what is left of the data it was made of, over their norm.
    held_out
        Share of the energy held out that it predicts; 0 or less where it predicts nothing.
    """

    residual: torch.Tensor
    held_out: torch.Tensor


def predict_held_out(
    A: ImagingOperator, y: torch.Tensor, norm: float, *, enough: torch.Tensor | None = None, report: Report = silent
) -> Predicted | None:
    """Try thresholds on the channels that are kept and return what the best one explains, for each scene by itself.

    Parameters
    ----------
    A
        The operator, weighted as that of the solver.
    y
        Measurements ``(n_scene, *A.measurement_shape)``.
    norm
        Largest singular value of A, or a number a little below.
    enough
        Share held out at which a scene's search ends, ``(n_scene,)``: all that is asked is whether it is reached.
    report
        Told the share done, 0 to 1.

    Returns
    -------
    Predicted
        ``None`` where there are fewer than `FEW_CHANNELS` channels, too few to hold any out.
    """
    chosen = [held for seed in FOLDS if (held := split(A, seed=seed, fewest=FEW_CHANNELS)) is not None]
    if not chosen:
        return None
    if chosen[0].channels.sum() >= MANY:
        chosen = chosen[:1]
    masks = [held.of_measurement(A) for held in chosen]
    keep = ~torch.stack(masks)  # (n_fold, *measurement)
    mask = A.mask_of_measurements()
    data = y if mask is None else y * mask.reshape(A.measurement_shape)
    best_out = torch.full((len(y),), torch.inf, dtype=torch.float64, device=y.device)
    best_in, worse = torch.ones_like(best_out), torch.zeros_like(best_out)
    active = torch.ones(len(y), dtype=torch.bool, device=y.device)
    image = torch.zeros((len(masks), len(y), *A.volume_shape), dtype=y.dtype, device=y.device)
    step = 1 / (1.05 * norm) ** 2  # the norm is one from below
    kept, held_out = data[None] * keep[:, None], data[None] * ~keep[:, None]
    top = _each(A.adjoint, kept).abs().flatten(2).amax(2)
    for i, threshold in enumerate(THRESHOLDS):
        done = functools.partial(_part_of, report, i)
        image = _fista(A, kept, keep[:, None], image, threshold * top * step, step, done)
        rest = _each(A.forward, image) - data[None]
        out = (_power(rest * ~keep[:, None]) / _power(held_out)).mean(0)
        within = (_power(rest * keep[:, None]) / _power(kept)).mean(0)
        better = active & (out < best_out)
        worse = torch.where(better, 0.0, worse + 1)
        best_out = torch.where(better, out, best_out)
        # of those that predict about as well, the one that explains most
        share = 1 - best_out
        as_good = better | (active & (share > 0) & (1 - out >= AS_GOOD * share))
        best_in = torch.where(as_good, within, best_in)
        # those that are done stay in the batch: how many are in it decides the last digits of the others
        active &= worse < PATIENCE
        if enough is not None:
            active &= 1 - best_out < enough
        if not bool(active.any()):
            break
    report(1.0)
    return Predicted(best_in.sqrt(), 1 - best_out)


def _part_of(report: Report, i: int, share: float) -> None:
    """Tell the share of the whole search that is done when `share` of threshold i is."""
    report((i + share) / len(THRESHOLDS))


def _each(apply: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor) -> torch.Tensor:
    """Apply an operator to values (n_fold, n_scene, ...)."""
    return torch.stack([apply(one) for one in values])


def _fista(
    A: ImagingOperator,
    y: torch.Tensor,
    keep: torch.Tensor,
    image: torch.Tensor,
    threshold: torch.Tensor,
    step: float,
    report: Report,
) -> torch.Tensor:
    """Return the image after `ITERATIONS` of the fast iterative soft-thresholding algorithm (Beck, Teboulle, 2009)."""
    ahead, momentum = image, 1.0
    limit = threshold.to(image.real.dtype)[..., None, None, None]
    for n in range(ITERATIONS):
        moved = ahead - step * _each(A.adjoint, _each(A.forward, ahead) * keep - y)
        size = moved.abs()
        after = moved * ((size - limit).clamp_min(0) / size.clamp_min(1e-30))
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = after + (momentum - 1) / following * (after - image)
        image, momentum = after, following
        report((n + 1) / ITERATIONS)
    return image


def _power(y: torch.Tensor) -> torch.Tensor:
    """Return the energy of measurements (n_fold, n_scene, ...)."""
    return y.abs().double().square().flatten(2).sum(2).clamp_min(1e-300)
