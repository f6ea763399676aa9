"""Replace many antennas and frequencies by a few nodes that give the same image of a small block of voxels.

P_t(v) is the path from antenna t to voxel v. Relative to the centre c of a block, the phase of a channel,
k (P_t(v) + P_r(v) - P_t(c) - P_r(c)), changes slowly from antenna to antenna and from frequency to frequency, for every
voxel v of the block. So it can be interpolated from a few nodes i, which are points among the antennas,

    exp(+j k (P_t(v) - P_t(c))) = sum_i W[i, t] exp(+j k (P_i(v) - P_i(c))),

and the weights W gather the data of many antennas at the nodes. Antennas are divided into groups. The nodes of a group
are the Chebyshev points of a box around it; their interpolation error falls like Bessel functions J_n(s) in the number
of nodes n, s being the largest phase change (the *swing*) from the box's centre to its edge. Frequencies are replaced
by evenly spaced ones with least-squares weights. This is one level of the butterfly algorithm for radar (Demanet,
Ferrara, Maxwell, Poulson, Ying, SIAM J. Imaging Sciences 5 (2012) 203), with nodes for the data, none for the voxels.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import jv

__all__ = ["Blocks", "Floats", "Group", "chebyshev_count", "frequency_nodes", "grouped"]

Floats = npt.NDArray[np.float64]

_BLOCKS_LOOKED_AT = 48
"""Blocks drawn at random that nodes are chosen for, beside those at the grid's corners."""

_MAX_NODES = 128
"""Chebyshev points along one axis of a box at most."""

_MAX_DEPTH = 4
"""Times that a group of antennas is cut in two, one after another."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Divides a grid of voxels into blocks of nearly the same size.

    Attributes
    ----------
    slices
        Voxel ranges of the blocks along x, y and z; a block is one of each.
    center, half
        Centre and half extent of every block, z varying fastest, float64 ``(n_block, 3)``, metres.
    """

    slices: tuple[list[slice], list[slice], list[slice]]
    center: Floats
    half: Floats

    @classmethod
    def of(cls, axes: tuple[Floats, Floats, Floats], size: float) -> Blocks:
        """Divide the voxel centres along x, y and z (metres) into blocks of about `size` metres or less an axis."""
        slices, middles, halves = [], [], []
        for axis in axes:
            extent = float(axis[-1] - axis[0]) * len(axis) / max(1, len(axis) - 1)
            n = min(len(axis), max(1, math.ceil(extent / size - 1e-9)))
            bounds = [len(axis) * i // n for i in range(n + 1)]
            parts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
            slices.append(parts)
            middles.append([float(axis[p][0] + axis[p][-1]) / 2 for p in parts])
            halves.append([float(axis[p][-1] - axis[p][0]) / 2 for p in parts])
        center, half = (np.stack(np.meshgrid(*m, indexing="ij"), axis=-1).reshape(-1, 3) for m in (middles, halves))
        return cls((slices[0], slices[1], slices[2]), center, half)

    def sample(self) -> tuple[Floats, Floats]:
        """Return centres (n, 3) and corners (n, 8, 3), metres, of some blocks, those at the grid's corners included."""
        shape = [len(s) for s in self.slices]
        ends = np.ravel_multi_index(np.array([*itertools.product(*((0, n // 2, n - 1) for n in shape))]).T, shape)
        drawn = np.random.default_rng(0).choice(len(self.center), min(len(self.center), _BLOCKS_LOOKED_AT), False)
        which = np.unique(np.concatenate([ends, drawn]))
        signs = np.array([*itertools.product((-1.0, 1.0), repeat=3)])
        return self.center[which], self.center[which, None] + self.half[which, None] * signs


@dataclass(frozen=True, eq=False)
class Group:
    """Holds a group of antennas and the nodes that replace them.

    Attributes
    ----------
    antenna
        Indices of the antennas, int64 ``(n_antenna,)``.
    node
        Positions of the nodes, float64 ``(n_node, 3)``, metres.
    weight
        Weights W of the interpolation from nodes to antennas, float64 ``(n_node, n_antenna)``.
    """

    antenna: npt.NDArray[np.int64]
    node: Floats
    weight: Floats


def grouped(
    positions: Floats, blocks: Blocks, k_max: float, tolerance: float, *, spreading: bool = False
) -> list[Group]:
    """Divide antennas into groups that need few nodes in all.

    Parameters
    ----------
    positions
        Antennas, float64 ``(n, 3)``, metres.
    blocks
        Blocks of voxels that every node serves.
    k_max
        Largest wavenumber, radians a metre.
    tolerance
        Largest error of an interpolated phasor along one axis.
    spreading
        Whether amplitudes that fall with the distance are interpolated, too.
    """
    sample = blocks.sample()

    def nodes(index: npt.NDArray[np.int64]) -> Group:
        return _nodes(positions, index, sample, k_max, tolerance, spreading=spreading)

    def split(whole: Group, depth: int) -> list[Group]:
        """Cut a group in two, and the halves again, where that leaves fewer nodes; else return it as it is."""
        if depth == 0 or len(whole.node) <= 2:
            return [whole]
        coordinate = _box(positions[whole.antenna])[2]
        tried = []
        for axis in range(3):
            if np.ptp(coordinate[:, axis]) > 1e-9:
                order = np.argsort(coordinate[:, axis], kind="stable")
                gaps = np.diff(coordinate[order, axis])
                # between two sub-arrays, where one gap is clearly the widest; else in the middle
                widest = int(gaps.argmax()) + 1
                cut = widest if gaps[widest - 1] > 4 * np.median(gaps) else len(order) // 2
                halves = (np.sort(whole.antenna[part]) for part in (order[:cut], order[cut:]))
                tried.append([nodes(half) for half in halves])
        fewest = min(tried, key=_count)  # as many nodes as before are allowed here: the halves may be cut again
        if _count(fewest) > len(whole.node):
            return [whole]
        cut_on = [group for half in fewest for group in split(half, depth - 1)]
        return cut_on if _count(cut_on) < len(whole.node) else [whole]

    whole = nodes(np.arange(len(positions)))
    return split(whole, _MAX_DEPTH if len(positions) > 3 else 0)


def _count(groups: list[Group]) -> int:
    return sum(len(group.node) for group in groups)


def _box(points: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit a box to points along their principal axes: centre (3,), axes in rows (3, 3), coordinates in it (n, 3)."""
    mean = points.mean(0)
    axes = np.linalg.eigh((points - mean).T @ (points - mean))[1].T
    coordinate = (points - mean) @ axes.T
    low, high = coordinate.min(0), coordinate.max(0)
    middle = mean + (low + high) / 2 @ axes
    return middle, axes, coordinate - (low + high) / 2


def _nodes(
    positions: Floats,
    index: npt.NDArray[np.int64],
    sample: tuple[Floats, Floats],
    k_max: float,
    tolerance: float,
    *,
    spreading: bool,
) -> Group:
    """Choose the nodes of one group: Chebyshev points of its box, or the antennas where these are as few."""
    middle, axes, coordinate = _box(positions[index])
    half = np.abs(coordinate).max(0)
    half[half < 1e-9] = 0
    center, corner = sample
    # The phase k (P_p(v) - P_p(c)) of an antenna at p has the gradient -k (u(v - p) - u(c - p)) in p, u being unit
    # vectors. Its largest component along an axis, times the box's half extent, bounds the phase change on that axis.
    swing = np.zeros(3)
    for place in itertools.product(*((-1, 0, 1) if h else (0,) for h in half)):
        p = middle + (half * place) @ axes
        turn = _unit(corner - p) - _unit(center - p)[:, None]
        swing = np.maximum(swing, k_max * half * np.abs(turn @ axes.T).max((0, 1)))
    counts = [chebyshev_count(s, tolerance) for s in swing]
    if spreading:
        # An amplitude P_p(c) / P_p(v) is analytic in p up to the complex points at the distance of v from the box; so
        # n nodes leave an error that falls like rho^-n, from about its change |v - c| / P (Bernstein's ellipse).
        away = [points @ axes.T - middle @ axes.T for points in (center[:, None], corner)]
        apart = min(float(np.linalg.norm(np.maximum(np.abs(p) - half, 0), axis=-1).min()) for p in away)
        change = float(np.linalg.norm(corner - center[:, None], axis=-1).max()) / max(apart, 1e-12)
        counts = [
            max(n, _amplitude_count(apart / h, change, tolerance) if h else 1)
            for n, h in zip(counts, half, strict=True)
        ]
    if math.prod(counts) >= len(index):
        return Group(index, positions[index], np.eye(len(index)))
    places = [np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in counts]
    mesh = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, 3)
    weight = np.ones((1, len(index)))
    for i, nodes in enumerate(places):
        along = _lagrange(nodes, coordinate[:, i] / (half[i] or 1.0))
        weight = (weight[:, None] * along).reshape(-1, len(index))
    return Group(index, middle + (mesh * half) @ axes, weight)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def chebyshev_count(swing: float, tolerance: float) -> int:
    """Return how many Chebyshev nodes interpolate exp(j swing x), |x| <= 1, to a tolerance; `swing` in radians.

    exp(j s x) = J_0(s) + 2 sum_n j^n J_n(s) T_n(x): with n nodes the error is about the rest of this series from n on.
    """
    terms = 2 * np.abs(jv(np.arange(_MAX_NODES), swing))
    tail = np.cumsum(terms[::-1])[::-1]
    good = np.flatnonzero(tail < tolerance)
    return max(1, int(good[0])) if len(good) else _MAX_NODES**3  # more than any group has: it keeps its antennas


def _amplitude_count(distance: float, change: float, tolerance: float) -> int:
    """Return how many nodes interpolate an amplitude to a tolerance.

    `distance` is that of its singularity in half extents of the box, `change` its relative change across a block.
    """
    rho = distance + math.hypot(1, distance)
    if rho < 1.01:
        return _MAX_NODES**3
    return max(1, math.ceil(math.log(4 * change / (tolerance * (rho - 1))) / math.log(rho))) if change else 1


def _lagrange(nodes: Floats, at: Floats) -> Floats:
    """Return the Lagrange polynomials of Chebyshev nodes (of the first kind) at points in [-1, 1], (n_node, n_at)."""
    n = len(nodes)
    # sum over degrees of T_m(node) T_m(at), the discrete orthogonality of Chebyshev polynomials
    degree = np.arange(n)
    known = np.cos(np.multiply.outer(degree, np.arccos(nodes)))
    wanted = np.cos(np.multiply.outer(degree, np.arccos(np.clip(at, -1, 1))))
    return np.asarray((known * np.where(degree, 2.0, 1.0)[:, None]).T @ wanted / n)


def frequency_nodes(wavenumber: Floats, path: float, tolerance: float) -> tuple[Floats, Floats] | None:
    """Find evenly spaced wavenumbers (nodes) from which exp(j k d) is interpolated for path differences |d| <= path.

    The weights minimise the squared error integrated over d; the integral of a product of two phasors is a sinc. The
    error is checked at some of the wavenumbers, the outermost among them.

    Parameters
    ----------
    wavenumber
        float64 ``(n_freq,)``, radians a metre.
    path
        Metres.
    tolerance
        Largest error of an interpolated phasor.

    Returns
    -------
    nodes, weights
        float64 ``(n_node,)``, radians a metre, and ``(n_node, n_freq)``; ``None`` when no fewer nodes than frequencies
        are found.
    """
    low, high = float(wavenumber.min()), float(wavenumber.max())
    span = high - low
    at_least = max(2, math.ceil(span * path / np.pi))  # Nyquist: d ranges over 2 path, so steps of pi / path at most
    middle = (low + high) / 2
    offset = wavenumber - middle
    some = offset[np.unique(np.linspace(0, len(offset) - 1, 24).round().astype(int))]
    lengths = path * np.linspace(0, 1, at_least + 12)  # weights are real: what holds for d holds for -d
    goal = np.exp(1j * np.multiply.outer(lengths, some))
    for n in range(at_least, len(wavenumber)):
        for outside in (0.5, 1.0, 1.5, 2.0):  # steps beyond the band's ends, where one-sided interpolation is worse
            if n - 1 <= 2 * outside:
                continue
            reach = span / 2 * (n - 1) / (n - 1 - 2 * outside)
            if reach > 0.95 * middle:  # wavenumbers stay above zero
                continue
            nodes = np.linspace(-reach, reach, n)
            weight = _sinc_weights(nodes, some, path)
            if np.abs(np.exp(1j * np.multiply.outer(lengths, nodes)) @ weight - goal).max() < tolerance:
                return middle + nodes, _sinc_weights(nodes, offset, path)
    return None


def _sinc_weights(nodes: Floats, at: Floats, path: float) -> Floats:
    """Solve for the real least-squares weights (n_node, n_at).

    The added 1e-11 keeps them small where the nodes are more than enough and the matrix is close to singular.
    """
    among = np.sinc(np.subtract.outer(nodes, nodes) * path / np.pi)
    between = np.sinc(np.subtract.outer(nodes, at) * path / np.pi)
    return np.asarray(np.linalg.solve(among + 1e-11 * np.eye(len(nodes)), between))
