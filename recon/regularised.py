"""Choose the weight of the regularised inverse and apply it, by a factorisation or by a few products."""

from __future__ import annotations

import math

import numpy as np
import torch

from mimo import ImagingOperator
from mimo.krylov import bidiagonalise, krylov_tikhonov, weights_of
from mimo.least_squares import at_best_level
from mimo.recon.cross_validation import FEW_CHANNELS
from mimo.recon.held_out import split
from mimo.recon.registry import Images, Problem
from mimo.recon.scaling import Setup, prepare_step

__all__ = ["held_out_errors", "regularised_inverse"]

RULES = ("auto", "gcv", "discrepancy", "held-out")


def regularised_inverse(problem: Problem, weight: float | str, setup: Setup, cache: bool = True) -> Images:
    """Return the images of ``tikhonov``; for `weight` see there.

    Raises
    ------
    ValueError
        When the weight is neither a rule nor a positive number, or ``discrepancy`` comes without a noise level.
    """
    if isinstance(weight, bool) or (isinstance(weight, str) and weight not in RULES):
        raise ValueError(f"weight is {weight!r}: expected {', '.join(RULES)} or a positive number")
    if not isinstance(weight, str) and not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"weight is {weight}: expected a positive number")
    if weight == "discrepancy" and problem.noise_std is None:
        raise ValueError("weight 'discrepancy' needs noise_std: state the measurement's SNR or use 'gcv'")
    y = problem.measurement
    A, columns, step = prepare_step(problem, setup, cache=cache)
    if not isinstance(weight, str):
        norm = step.norm
        image, _ = step.solve(None, step.encode(y) / norm, weight / norm**2)
        used = torch.full((len(y),), float(weight), dtype=torch.float64)
    else:
        rule = "gcv" if weight in ("auto", "held-out") else weight
        if step.factor is not None:
            image, used = step.factor.tikhonov(y, weight=rule, noise_std=problem.noise_std)
        else:
            image, used = krylov_tikhonov(A, y, weight=rule, noise_std=problem.noise_std)
    found: dict[str, object] = {"x_step": step.name}
    if weight == "held-out" or (weight == "auto" and problem.noise_std is None):
        errors, weights = held_out_errors(A, y, step.norm, used)
        worse = np.ones(len(y), bool) if weight == "held-out" else errors[:, -1] > 1
        if worse.any():
            best = weights[np.arange(len(y)), errors[:, :-1].argmin(1)]
            # hardly more than the adjoint where nothing is predicted, so at the level that fits
            other = at_best_level(A, bidiagonalise(A, y).solution(best), y)
            pick = torch.as_tensor(worse, device=y.device)
            image = torch.where(pick[:, None, None, None], other, image)
            used = torch.where(pick.cpu(), torch.as_tensor(best), used.cpu())
        found["weight_from"] = ["held-out" if one else "gcv" for one in worse]
    if columns is not None:
        image = image * columns
    return Images(image, {**found, "weight_used": [float(w) for w in used.reshape(-1)]})


def held_out_errors(
    A: ImagingOperator, y: torch.Tensor, norm: float, used: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Return how badly the regularised inverse of the channels that are kept predicts those held out.

    Parameters
    ----------
    A, y, norm
        The operator, measurements ``(n_scene, *A.measurement_shape)``, and the operator's norm.
    used
        A weight of each scene to try besides, float64 ``(n_scene,)``.

    Returns
    -------
    errors, weights
        Energy missed over energy held out, float64 ``(n_scene, n_weight + 1)``, the last of `used`, and the weights,
        ``(n_scene, n_weight)``. Without channels to hold out the errors are 0.
    """
    held = split(A, fewest=FEW_CHANNELS)
    if held is None:
        weights = np.tile(weights_of(norm), (len(y), 1))
        return np.zeros((len(y), weights.shape[1] + 1)), weights
    out = held.of_measurement(A)
    found = bidiagonalise(A, y, keep=~out)
    # of an operator's own norm, so that a scene's candidates do not depend on its neighbours
    weights = np.tile(weights_of(norm), (len(y), 1))
    data, mask = y.flatten(1), out.expand(y.shape[1:]).reshape(1, -1)
    size = (data * mask).abs().double().square().sum(1).clamp_min(1e-300)
    errors = []
    for one in [*weights.T, used.cpu().double().numpy()]:
        rest = (found.prediction(one) - data) * mask
        errors.append((rest.abs().double().square().sum(1) / size).cpu().numpy())
    return np.stack(errors, axis=1), weights
