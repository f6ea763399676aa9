"""Run a solver with a data term that stands channels which are off: least squares, reweighted by their residuals.

After a first run the rms of each channel's residual over frequencies tells which channels the image does not fit. They
are given less weight, as Huber's or Student's distribution has it, and the solver runs again from the image it has
reached (iteratively reweighted least squares: Holland, Welsch, Commun. Stat. A 6 (1977) 813).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from mimo.recon.iteration import Solution
from mimo.recon.registry import Images, Problem
from mimo.recon.scaling import Scaled, Setup, Start, Weights, reweighted, scale

__all__ = ["LOSSES", "channel_weights", "run_scaled"]

LOSSES = ("squares", "huber", "student")
ROUNDS = 2
"""Times that the weights are found again and the solver runs again."""

HUBER = 1.345
"""Residuals beyond this many times the typical one count linearly: 95 % efficient on normal noise."""

FREEDOM = 3.0
"""Degrees of freedom of Student's distribution."""


def run_scaled(problem: Problem, start: Start, setup: Setup, loss: str, run: Callable[[Scaled], Solution]) -> Images:
    """Bring a problem to the common scale, run a solver on it, and return its images.

    Parameters
    ----------
    problem, start, setup
        As in `mimo.recon.scaling.scale`.
    loss
        One of `LOSSES`.
    run
        The solver.

    Raises
    ------
    ValueError
        When the loss, the start or an option of the set-up does not fit.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}: expected {', '.join(LOSSES)}")
    scaled = scale(problem, start, setup)
    solution = run(scaled)
    history = list(solution.history)
    for _ in range(0 if loss == "squares" else ROUNDS):
        if solution.interrupted:
            break
        image = scaled.reflectivity(solution.image)
        weights = channel_weights(problem, image, loss)
        scaled = reweighted(problem, scaled, image, weights)
        solution = run(scaled)
        before = history[-1]["seconds"] if history else 0.0
        history += [entry | {"seconds": entry["seconds"] + before} for entry in solution.history]
        scaled.found["channel_weights"] = [round(float(w), 4) for w in weights.squares.flatten()]
    solution.history = history
    return scaled.images(solution)


def channel_weights(problem: Problem, image: torch.Tensor, loss: str) -> Weights:
    """Weight channels by how well an image fits them; the scenes share the weights, as a channel is off in all.

    Scenes without data, which every image of zeros fits, have no say.
    """
    A = problem.operator
    rest = problem.measurement - A.forward(image)
    size = rest.abs().double().square().mean(1).sqrt()  # (n_scene, *channels)
    valid = torch.ones(size.shape[1:], dtype=torch.bool, device=A.device)
    if A.array.mask is not None:
        valid = torch.as_tensor(A.array.mask.copy(), device=A.device)
    typical = size[:, valid].median(1).values.clamp_min(1e-300)
    relative = size / typical.reshape(-1, *(1 for _ in size.shape[1:]))
    filled = problem.measurement.flatten(1).any(1)
    relative = (relative[filled] if bool(filled.any()) else relative).square().mean(0).sqrt()
    if loss == "huber":
        weights = (HUBER / relative.clamp_min(1e-30)).clamp(max=1)
    else:
        weights = ((FREEDOM + 1) / (FREEDOM + relative.square())).clamp(max=1)
    off = (relative > HUBER)[valid]
    power = weights[valid] * relative[valid].square()
    good = float(torch.where(off, 0.0, weights[valid]).mean())
    return Weights(weights, typical, good, float(torch.where(off, power, 0.0).mean()))
