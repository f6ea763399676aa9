"""Find a medium's permittivities by the evidence of the data, with a new image for each that is tried.

Another permittivity moves the scene before it blurs it. A step that keeps the image where it was sees the motion alone,
and takes it for an error; so the few numbers of a medium are tried one by one. The evidence ``y^H K^-1 y + log det K``,
minus the logarithm of the data's likelihood with the image integrated out, has its least value at the true medium where
the aperture tells it at all, to a hundredth or so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from mimo.autofocus.marginal import Step
from mimo.autofocus.search import Search

__all__ = ["find_medium"]

TRIED = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
"""Permittivities that are tried first, in units of the prior's standard deviation."""

EXACT = 0.03
"""How exactly the best one is then found, in the same units."""

NEAR = 0.6
"""Distance from the best one within which trials say how certain it is."""

WORTH = 3.0
"""Evidence that a further layer must add, a factor of e cubed in the likelihood."""

Floats = npt.NDArray[np.float64]


def find_medium(search: Search, theta: Floats, freq: npt.NDArray[np.int64]) -> Step:
    """Return `theta` with the permittivities that explain the data best.

    Of several layers the one whose change alone explains most comes first, then the others, as long as they explain
    more (`WORTH`): layers do nearly the same to a scene behind both. A permittivity that the data tell less well than
    its prior stays as it was. In the step that is returned standard deviations and shares of the other unknowns are
    those of their priors.
    """
    unknowns = search.unknowns
    theta, std, determined = theta.copy(), unknowns.std.copy(), np.zeros(len(theta))
    left = [i for i, kind in enumerate(unknowns.kind) if kind == "permittivity"]
    reached = np.inf
    while left:
        tried = {number: _tried(search, theta, number, freq) for number in left}
        number = min(left, key=lambda one: min(tried[one].values()))
        left.remove(number)
        best = min(tried[number], key=lambda z: tried[number][z])
        known = _curvature(tried[number], best)
        if known > 1:
            determined[number] = 1 - 1 / (known + 1)
            std[number] *= np.sqrt(1 - determined[number])
        if tried[number][best] > reached - WORTH or known <= 1:
            break
        reached = tried[number][best]
        theta[number] = best * unknowns.std[number]
    return Step(theta, std, 0, determined)


def _tried(search: Search, theta: Floats, number: int, freq: npt.NDArray[np.int64]) -> dict[float, float]:
    """Return the evidence less the prior's of some values of one unknown, by these in units of its prior."""
    std = search.unknowns.std[number]
    tried: dict[float, float] = {}

    def value(z: float) -> float:
        z = float(z)
        if z not in tried:
            there = theta.copy()
            there[number] = z * std
            _, _, views = search.look(there, freq)
            tried[z] = sum(view.marginal.evidence for view in views) + z**2 / 2
        return tried[z]

    lowest = -0.9 / std  # a permittivity is positive
    first = [z for z in TRIED if z > lowest]
    best = int(np.argmin([value(z) for z in first]))
    around = first[max(0, best - 1)], first[min(best + 1, len(first) - 1)]
    minimize_scalar(value, bounds=around, method="bounded", options={"xatol": EXACT})
    return tried


def _curvature(tried: dict[float, float], at: float) -> float:
    """Return the second derivative of the values near a place, less the prior's; 0 where they tell none."""
    z, values = np.array([*tried]) - at, np.array([*tried.values()])
    near = np.abs(z) <= max(NEAR, float(np.sort(np.abs(z))[min(2, len(z) - 1)]))
    if near.sum() < 3:
        return 0.0
    return max(0.0, float(2 * np.polyfit(z[near], values[near], 2)[0]) - 1)
