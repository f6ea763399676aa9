"""`auto-physics`: back-projection by whichever way is predicted to be the quickest for the geometry.

Every prediction is a sum of counts times what one of each takes on one core of the machine that `docs/benchmarks.md`
names; machines differ, but choices follow ratios. Factors that stay in memory from one batch of scenes to the next are
not counted as an advantage of the exact sum.
"""

from __future__ import annotations

import contextlib

from mimo import ImagingOperator
from mimo.factorised_imaging import Plan
from mimo.stolt import predicted_seconds as migration_seconds
from recon.registry import METHODS, Images, Problem, reconstructor

NANO = 1e-9
FACTOR, FACTOR_STEP, TERM = 65 * NANO, 2.4 * NANO, 0.06 * NANO
"""Exact, every pair: an antenna's factors at a voxel, one frequency more of them, one term of the sum."""

PAIR, PAIR_STEP = 6 * NANO, 0.05 * NANO
"""Exact, listed channels: a voxel of a channel, one frequency more of it."""

PROFILE, TRANSFORM = 2.6 * NANO, 30 * NANO
"""Range profiles: a voxel of a channel, and one number of the measurement on its way into them."""

WORTH_A_PLAN = 0.5
"""Seconds of range profiles from which on sub-apertures are looked for, which takes a fifth of a second."""


def predict(A: ImagingOperator) -> dict[str, float]:
    """Seconds for one scene on one core by each method that takes the operator's geometry."""
    voxels, channels, n_freq = A.grid.n_voxel, A.array.n_channel, A.sweep.n_freq
    if A.array.paired:
        exact = voxels * channels * (PAIR + PAIR_STEP * n_freq)
    else:
        antennas = A.array.n_tx + A.array.n_rx
        exact = voxels * (antennas * (FACTOR + FACTOR_STEP * n_freq) + channels * n_freq * TERM)
    seconds = {"backprojection": exact}
    if A.wave.flat:
        seconds["backprojection-fast"] = channels * (voxels * PROFILE + n_freq * TRANSFORM)
    with contextlib.suppress(ValueError):  # no planar monostatic scan
        seconds["range-migration"] = migration_seconds(A)
    plain = not A.array.paired and A.wave.layers is None and not any(A.wave.patterns)
    if plain and min(seconds.values()) > WORTH_A_PLAN:
        seconds["backprojection-factorised"] = Plan.best(A, 1e-2).seconds(A)
    return seconds


@reconstructor("auto-physics", "back-projection by the way that is quickest for the geometry", general=False)
def auto_physics(problem: Problem) -> Images:
    """The image of `backprojection`, exactly or by the quickest of the fast methods that take the geometry.

    The choice and the seconds predicted for one scene on one core are recorded with the image.
    """
    seconds = problem.shared("auto-physics", predict)
    chosen = min(seconds, key=lambda name: seconds[name])
    made = METHODS[chosen].run(problem)
    rounded = {name: float(f"{value:.3g}") for name, value in seconds.items()}
    return Images(made.image, {**made.found, "chosen": chosen, "predicted_seconds": rounded})
