"""Predict the run time of each way to back-project one scene, for `auto-physics` and ``mimo bench --cost``.

Every prediction is a sum of counts (of voxels, channels, frequencies, ...), each times the seconds that one of them
takes on one core of the machine that `docs/benchmarks.md` names. They are constants, not timed where the program runs,
so that the same measurement gives the same image every time. Machines differ, but the choice depends on ratios alone.
On another machine a prediction may be off by a factor of 3, and the ratio of two by as much: there the choice may be
wrong where two ways are predicted to take similar times, and then costs up to that factor. That the exact sum may keep
its factors in memory from one call to the next is not taken into account.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mimo import ImagingOperator
from mimo.fast.factorised_sum import NODE_TOLERANCE, Plan
from mimo.fast.profile_sum import profile_seconds
from mimo.fast.range_migration import migration_seconds

__all__ = [
    "HOPELESS",
    "MODELS",
    "WORTH_A_PLAN",
    "crossings",
    "exact_seconds",
    "factorised_seconds",
    "former_seconds",
    "predict",
    "quickest",
]

NANO = 1e-9
FACTOR, FACTOR_STEP, TERM = 65 * NANO, 2.4 * NANO, 0.06 * NANO
"""Exact sum of a full array, seconds: the factor of an antenna at a voxel, each frequency of it, a term of the sum."""

PAIR, PAIR_STEP = 6 * NANO, 0.05 * NANO
"""Exact sum of listed channels, seconds: a voxel of a channel, each frequency of it."""

KIRCHHOFF_PROFILES = 3
"""Times that fast Kirchhoff migration takes of fast back-projection: it has three profiles a channel."""

CALL, PLAN = 2e-3, 0.2
"""Seconds that any call of the exact sum takes, and that the planning of sub-apertures takes."""

WORTH_A_PLAN = 0.5
"""Sub-apertures and pairs of plane waves are planned only where every other way takes more than these seconds."""

HOPELESS = 1000
"""A way that takes this many times as long as the quickest is left out of predictions."""

Seconds = dict[str, list[float]]
"""Seconds by method, at each size of a series of growing sizes; NaN where a method does not take the geometry."""


def exact_seconds(A: ImagingOperator) -> float:
    """Predict the seconds of `mimo.backproject`, which computes its factors anew."""
    voxels, channels, n_freq = A.n_voxel, A.array.n_channel, A.sweep.n_freq
    if A.array.paired:
        return CALL + voxels * channels * (PAIR + PAIR_STEP * n_freq)
    antennas = A.array.n_tx + A.array.n_rx
    return CALL + voxels * (antennas * (FACTOR + FACTOR_STEP * n_freq) + channels * n_freq * TERM)


def factorised_seconds(A: ImagingOperator) -> float:
    """Predict the seconds of `mimo.backproject_factorised`, by planning it; `ValueError` for other geometries."""
    if A.array.paired or A.acquisition.layers is not None or any(A.acquisition.patterns):
        raise ValueError("expected isotropic antennas of every pair in a homogeneous medium for sub-apertures")
    return PLAN + Plan.best(A, NODE_TOLERANCE).seconds(A)


MODELS: dict[str, Callable[[ImagingOperator], float]] = {
    "backprojection": exact_seconds,
    "backprojection-fast": profile_seconds,
    "range-migration": migration_seconds,
    "backprojection-factorised": factorised_seconds,
}
"""Seconds for one scene on one core by method; each raises `ValueError` for a geometry that it does not take."""


def predict(A: ImagingOperator, *, all_ways: bool = False) -> dict[str, float]:
    """Predict the seconds for one scene on one core, by method, for each method that takes the operator's geometry.

    For full arrays, sub-apertures and plane waves are left out where another way takes at most `WORTH_A_PLAN` seconds,
    unless `all_ways` is set. Ways that take `HOPELESS` times as long as the quickest are left out too.
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


def former_seconds(name: str, A: ImagingOperator) -> float:
    """Predict the seconds for one scene of an image former by its name; 0 where it refuses the geometry.

    A former without a model of its own, such as Kirchhoff migration, is taken for the exact sum.
    """
    if name == "auto-physics":
        return min(predict(A).values())
    try:
        if name == "kirchhoff-fast":
            return KIRCHHOFF_PROFILES * profile_seconds(A)
        return MODELS.get(name, exact_seconds)(A)
    except (ValueError, ImportError):  # the method says so itself
        return 0.0


def quickest(seconds: dict[str, float]) -> str:
    """Return the method of least seconds; the first of equals."""
    return min(seconds, key=lambda name: seconds[name])


def crossings(counts: Sequence[int], seconds: Seconds) -> list[dict[str, float | str]]:
    """Find where, along a series of growing sizes, another method becomes the quickest.

    Returns a dict ``{"count", "from", "to"}`` for each such place, ascending. The count is interpolated on logarithmic
    axes between the two sizes around it.
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
