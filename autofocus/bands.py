"""Choose the frequencies that errors are found from first: those at which they turn no phase by much."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light

from mimo.autofocus.unknowns import Unknowns

__all__ = ["bands"]

TURN = 1.0
"""Radians that errors may turn a phase by at the top of the first band: a step finds less than half a turn."""

FEWEST = 3
"""Frequencies of the first band at least."""


def bands(unknowns: Unknowns, freq: npt.NDArray[np.float64]) -> list[npt.NDArray[np.int64]]:
    """Return indices of the frequencies of each image, growing twofold from the lowest ones to all.

    Errors of delay and place turn the phase with frequency. A first step finds them where they turn it by no more than
    `TURN`; what it leaves of them is found at higher frequencies, as one goes from a coarse to a fine grid elsewhere.
    Phases and gains turn all alike, and a medium moves the scene before it blurs it: these take all at once.
    """
    seconds = [
        std * {"delay": 1.0, "position": 1 / speed_of_light, "pose": 1 / speed_of_light}.get(kind, 0.0)
        for kind, std in zip(unknowns.kind, unknowns.std, strict=True)
    ]
    order = np.argsort(freq)
    turns = 2 * np.pi * max(seconds, default=0.0)
    if turns * freq.max() <= TURN:
        return [np.arange(len(freq))]
    top = max(TURN / turns, float(freq[order[:FEWEST]].max()))
    chosen = []
    while top < freq.max():
        chosen.append(np.flatnonzero(freq <= top))
        top *= 2
    return [*chosen, np.arange(len(freq))]
