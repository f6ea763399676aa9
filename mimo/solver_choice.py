"""Choose how to solve least squares: predict the seconds of each way from counts of operations.

The counts are those of the algorithms, the rates those of two cores of the machine that ``docs/benchmarks.md`` names.
They are constants, not timed where the program runs: the same measurement must give the same bits every time, and only
the order of the predictions matters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mimo.fast.fast_operator import FastOperator
from mimo.gram import MAX_MEASUREMENTS
from mimo.imaging_operator import ImagingOperator
from mimo.mirror import mirror_blocks
from mimo.weighted_operator import WeightedOperator

__all__ = ["CG_PAIRS", "SOLVERS", "Choice", "choose_solver", "pair_seconds"]

SOLVERS = {
    "spectrum": "eigendecomposition of A A^H: any weight",
    "cholesky": "Cholesky factor of A A^H + kappa I: one weight",
    "voxels": "Cholesky factor of A^H A + kappa I: one weight, fewer voxels than measurements",
    "cg": "conjugate gradients: nothing to prepare",
}
"""Ways to solve the data step, by name."""

CG_PAIRS = 9
"""Pairs of products that a solve by conjugate gradients takes on average, started from the solution before."""

EIGEN, CHOLESKY = 60.0, 3.0
"""Operations of a complex eigendecomposition and of a Cholesky factorisation of m rows, in units of m^3."""

RATE = 5e10
"""Real operations a second of products of complex matrices."""

CALL, TERM, PAIR, PAIR_STEP = 1e-3, 0.2e-9, 6e-9, 0.1e-9
"""Seconds of a pair of products: of any; of a voxel of a channel at a frequency; and, of listed channels, of a voxel of
a channel, and of each frequency of it."""

STREAM = 8e9
"""Bytes a second at which a matrix is read from memory, for products with one vector."""


@dataclass(frozen=True)
class Choice:
    """Says which way was chosen, and why.

    Attributes
    ----------
    solver
        One of `SOLVERS`.
    seconds
        Predicted seconds of preparation and of all solves, by solver, for those that come into question.
    """

    solver: str
    seconds: dict[str, float] = field(default_factory=dict)


def choose_solver(
    A: ImagingOperator,
    solver: str = "auto",
    *,
    solves: int | None = None,
    one_weight: bool = False,
) -> Choice:
    """Return the way that is predicted to be done first; arguments and errors are those of `mimo.least_squares`.

    Without a number of solves, preparation does not count: an eigendecomposition where the operator allows one. Nor
    does a factor that happens to be in the cache: the same command would give another image after another run.
    """
    possible = _possible(A, one_weight)
    if solver != "auto":
        if solver not in SOLVERS:
            raise ValueError(f"solver is {solver!r}: expected auto, {', '.join(SOLVERS)}")
        if solver not in possible:
            why = _why_not(A, solver, one_weight)
            raise ValueError(f"solver is {solver!r}: {why}; expected {' or '.join(possible)}")
        return Choice(solver)
    if len(possible) == 1:
        return Choice(possible[0])
    if solves is None and "spectrum" in possible:
        return Choice("spectrum")
    seconds = {}
    for name in possible:
        prepare, each = _seconds(A, name)
        seconds[name] = prepare + (solves or 1) * each
    return Choice(min(seconds, key=lambda name: seconds[name]), seconds)


def _possible(A: ImagingOperator, one_weight: bool) -> list[str]:
    """Return the ways that the sizes allow, conjugate gradients last."""
    names = []
    if A.n_measurement <= MAX_MEASUREMENTS:
        if not isinstance(A, WeightedOperator):  # its weights would have to be in the cache's key, and symmetric
            names.append("spectrum")
        if one_weight:
            names.append("cholesky")
    if one_weight and A.n_voxel <= min(MAX_MEASUREMENTS, A.n_measurement):
        names.append("voxels")
    return [*names, "cg"]


def _why_not(A: ImagingOperator, solver: str, one_weight: bool) -> str:
    """Say why a way is not among the possible ones."""
    if solver != "spectrum" and not one_weight:
        return "a Cholesky factor serves one weight, which must be given as a number"
    if solver == "voxels" and A.n_voxel > A.n_measurement:
        return f"it is for fewer voxels than measurements, not {A.n_voxel} and {A.n_measurement}"
    if solver == "spectrum" and isinstance(A, WeightedOperator):
        return "it does not take weighted voxels or channels (sensitivity, loss)"
    return f"a matrix of {A.n_voxel if solver == 'voxels' else A.n_measurement} rows is above {MAX_MEASUREMENTS}"


def _seconds(A: ImagingOperator, solver: str) -> tuple[float, float]:
    """Return predicted seconds of the preparation and of one solve of one scene."""
    m, n, pair, size = A.n_measurement, A.n_voxel, pair_seconds(A), A.dtype.itemsize
    if solver == "cg":
        return 0.0, CG_PAIRS * pair
    if solver == "spectrum":
        blocks = [(len(block.rows), len(block.voxels)) for block in mirror_blocks(A.acquisition)]
        matrix = sum(4.0 * rows**2 * voxels for rows, voxels in blocks)
        factor = sum(EIGEN * rows**3 for rows, _ in blocks)
        stream = 2 * sum(rows**2 for rows, _ in blocks) * size / STREAM
        return (matrix + factor) / RATE, pair + stream
    side, other = (m, n) if solver == "cholesky" else (n, m)
    return (4.0 * side**2 * other + CHOLESKY * side**3) / RATE, pair + 2 * side**2 * size / STREAM


def pair_seconds(A: ImagingOperator) -> float:
    """Predict the seconds of a product with A and one with its conjugate transpose, for one scene."""
    n, channels, n_freq = A.n_voxel, A.array.n_channel, A.sweep.n_freq
    if isinstance(A, FastOperator):
        return 2 * A.product_seconds
    if A.array.paired:
        return CALL + n * channels * (PAIR + PAIR_STEP * n_freq)
    return CALL + n * channels * n_freq * TERM
