"""Predict the seconds of back-projecting one scene by each way, for `auto-physics` and ``mimo bench --cost``.

Every prediction is a sum of counts times what one of each takes on one core of the machine that `docs/benchmarks.md`
names; machines differ, but choices follow ratios. Factors that stay in memory from one batch of scenes to the next are
not counted as an advantage of the exact sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mimo import ImagingOperator
from mimo.fast.factorised_backprojection import Plan
from mimo.fast.range_migration import migration_seconds

__all__ = [
    "HOPELESS",
    "MODELS",
    "WORTH_A_PLAN",
    "crossings",
    "exact_seconds",
    "factorised_seconds",
    "predict",
    "profile_seconds",
    "quickest",
]

NANO = 1e-9
FACTOR, FACTOR_STEP, TERM = 65 * NANO, 2.4 * NANO, 0.06 * NANO
"""Exact, every pair: an antenna's factors at a voxel, one frequency more of them, one term of the sum."""

PAIR, PAIR_STEP = 6 * NANO, 0.05 * NANO
"""Exact, listed channels: a voxel of a channel, one frequency more of it."""

PROFILE, ROW, TRANSFORM = 1.7 * NANO, 0.2 * NANO, 30 * NANO
"""Range profiles: a voxel of a channel, one of an antenna, and one number of the measurement on its way into them."""

CALL, PLAN = 2e-3, 0.2
"""Calls of the exact sum or of range profiles, and the search for sub-apertures."""

TOLERANCE = 1e-2
"""The default of `backprojection-factorised`."""

WORTH_A_PLAN = 0.5
"""Seconds of the other ways from which on sub-apertures and pairs of plane waves are looked for."""

HOPELESS = 1000
"""A way that takes so many times the quickest is no alternative."""

Seconds = dict[str, list[float]]
"""Of each method at the steps of a ladder; not a number where it does not take a step's geometry."""


def exact_seconds(A: ImagingOperator) -> float:
    """`mimo.backproject`: its factors made anew, and its terms."""
    voxels, channels, n_freq = A.grid.n_voxel, A.array.n_channel, A.sweep.n_freq
    if A.array.paired:
        return CALL + voxels * channels * (PAIR + PAIR_STEP * n_freq)
    antennas = A.array.n_tx + A.array.n_rx
    return CALL + voxels * (antennas * (FACTOR + FACTOR_STEP * n_freq) + channels * n_freq * TERM)


def profile_seconds(A: ImagingOperator) -> float:
    """`mimo.backproject_fast`; `ValueError` when a pattern does not allow range profiles."""
    if not A.acquisition.flat:
        raise ValueError("the antennas' pattern is complex or depends on the frequency: expected a real one")
    channels, antennas = A.array.n_channel, A.array.n_tx + A.array.n_rx
    return CALL + A.grid.n_voxel * (channels * PROFILE + antennas * ROW) + channels * A.sweep.n_freq * TRANSFORM


def factorised_seconds(A: ImagingOperator) -> float:
    """`mimo.backproject_factorised`; `ValueError` when it does not take the geometry. Makes the plan itself."""
    if A.array.paired or A.acquisition.layers is not None or any(A.acquisition.patterns):
        raise ValueError("expected isotropic antennas of every pair in a homogeneous medium for sub-apertures")
    return PLAN + Plan.best(A, TOLERANCE).seconds(A)


MODELS: dict[str, Callable[[ImagingOperator], float]] = {
    "backprojection": exact_seconds,
    "backprojection-fast": profile_seconds,
    "range-migration": migration_seconds,
    "backprojection-factorised": factorised_seconds,
}
"""Seconds for one scene on one core by method; each raises `ValueError` for a geometry that it does not take."""


def predict(A: ImagingOperator, *, all_ways: bool = False) -> dict[str, float]:
    """Seconds for one scene on one core by each method that takes the operator's geometry.

    For arrays of every pair, sub-apertures and plane waves are left out where another way takes less than
    `WORTH_A_PLAN`, unless `all_ways` are asked for; and so is what takes `HOPELESS` times the quickest.
    """
    seconds: dict[str, float] = {}
    for name, model in MODELS.items():
        planned = not A.array.paired and model in (factorised_seconds, migration_seconds)
        if planned and not all_ways and min(seconds.values()) <= WORTH_A_PLAN:
            continue
        try:
            seconds[name] = model(A)
        except (ValueError, ImportError):  # not for this geometry, or without what it needs
            continue
    return {name: value for name, value in seconds.items() if value < HOPELESS * min(seconds.values())}


def quickest(seconds: dict[str, float]) -> str:
    """Return the method of least seconds; the first of equals."""
    return min(seconds, key=lambda name: seconds[name])


def crossings(counts: Sequence[int], seconds: Seconds) -> list[dict[str, float | str]]:
    """Where along a ladder another method becomes the quickest: ``{"count", "from", "to"}``, ascending.

    The count is interpolated on log axes between the two steps around the crossing.
    """
    found: list[dict[str, float | str]] = []
    steps = [quickest({m: s[i] for m, s in seconds.items() if math.isfinite(s[i])}) for i in range(len(counts))]
    for i in range(1, len(counts)):
        before, after = steps[i - 1], steps[i]
        if before == after:
            continue
        low, high = (math.log(seconds[before][j] / seconds[after][j]) for j in (i - 1, i))
        share = 0.5 if not (math.isfinite(low) and high > low) else -low / (high - low)
        count = counts[i - 1] * (counts[i] / counts[i - 1]) ** share
        found.append({"count": float(f"{count:.3g}"), "from": before, "to": after})
    return found
