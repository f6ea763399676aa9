"""Take the offset between transmitter and receiver out of a planar scan's plane waves, to a stated phase error.

A transmitter at m + h and a receiver at m - h see a point at the distance R from their midpoint m over the path

    P = |R - h| + |R + h| = 2 R + delta,    delta = (h^2 - (h R)^2 / R^2) / R + terms of fourth order in h:

what a monostatic radar at m would see, but for delta (multistatic-to-monostatic conversion: Yanik, Torlak, IEEE Access
7 (2019) 31801; Smith, Torlak, arXiv 2305.02064, who take delta at the middle of the scene for every direction). A
plane wave (kx, ky) of the midpoints' spectrum comes from points along one ray from each midpoint, which is
R = d (kx, ky, kz) / kz. So delta is known for each wave but for the depth d, and the phase k delta is taken out at a
*reference depth*. What is left at other depths is k times the difference of two deltas on one ray; where it is too
large the depths are cut into slabs, each with a reference depth of its own. Apart from that the ray itself moves a
little with h: k h^4 / R^3 / 4 at most.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mimo.fast.planar_scan import ScanClass

__all__ = ["Compensation", "Slab", "compensating", "excess_path"]

Floats = npt.NDArray[np.float64]

DIRECTIONS = 9
"""Rays along each of the two axes on which the residual phase is looked at."""


@dataclass(frozen=True)
class Slab:
    """Names the planes of voxels, `start` to `stop` - 1, that share the reference depth `depth`, metres."""

    start: int
    stop: int
    depth: float


@dataclass(frozen=True, eq=False)
class Compensation:
    """Holds the slabs of a scene and the residual phase that they leave.

    Attributes
    ----------
    slabs
        Ranges of voxel planes with their reference depths.
    residual
        Largest phase that stays uncompensated in any channel at any voxel, radians at the highest frequency.
    """

    slabs: tuple[Slab, ...]
    residual: float

    @classmethod
    def of(
        cls,
        classes: Sequence[ScanClass],
        depth: Floats,
        *,
        k_max: float,
        slope: tuple[float, float],
        tolerance: float,
        most: int,
        direction: float = 1.0,
    ) -> Compensation:
        """Cut the depths into as few slabs as leave a residual phase of at most `tolerance`.

        Parameters
        ----------
        classes
            Those of the scan.
        depth
            Distance of each plane of voxels from the scan's plane, metres, evenly spaced.
        k_max
            Largest wavenumber, one way, radians a metre.
        slope
            Largest kx / kz and ky / kz that the scene needs.
        tolerance
            Radians.
        most
            Slabs at most.
        direction
            Sign of the direction along z in which voxels lie.

        Raises
        ------
        ValueError
            When `most` slabs leave more.
        """
        halves = np.unique(np.stack([np.sign(_leading(one.half)) * one.half for one in classes]), axis=0)
        if not halves.any():
            return cls((Slab(0, len(depth), math.sqrt(float(depth[0] * depth[-1]))),), 0.0)
        rays = np.stack(
            np.meshgrid(*(np.linspace(-s, s, DIRECTIONS) for s in slope), [direction], indexing="ij"), axis=-1
        ).reshape(-1, 3)
        largest = max(float((one.half**2).sum()) for one in classes)
        moved = k_max * largest**2 / (4 * float(depth.min()) ** 3)
        n, residual = 1, math.inf
        most = min(most, len(depth))
        while True:
            edges = [len(depth) * i // n for i in range(n + 1)]
            slabs = []
            residual = 0.0
            for start, stop in itertools.pairwise(edges):
                a, b = float(depth[start]), float(depth[stop - 1])
                slab = Slab(start, stop, 2 * a * b / (a + b))  # delta goes with 1 / d: the middle of 1 / a and 1 / b
                there = excess_path(halves, rays * slab.depth)
                for d in (a, b):
                    residual = max(residual, float(np.abs(excess_path(halves, rays * d) - there).max()))
                slabs.append(slab)
            residual = k_max * residual + moved
            if residual <= tolerance:
                return cls(tuple(slabs), residual)
            if n == most:
                raise ValueError(
                    f"transmitters and receivers stand up to {2 * math.sqrt(largest):.3g} m apart, "
                    f"{float(depth.min()):.3g} m from the nearest voxels: {residual:.2g} rad of phase are left with "
                    f"{n} reference depths, expected {tolerance:g} (option tolerance) at most; backprojection-fast "
                    "takes any channels"
                )
            n = min(most, max(n + 1, math.ceil(n * min(residual / tolerance, 2.0))))


def excess_path(half: Floats, ray: Floats) -> Floats:
    """Return |R - h| + |R + h| - 2 |R| for offsets h (n, 3) and rays R (m, 3), float64 (n, m), metres."""
    apart = np.linalg.norm(ray - half[:, None], axis=-1) + np.linalg.norm(ray + half[:, None], axis=-1)
    return np.asarray(apart - 2 * np.linalg.norm(ray, axis=-1))


def compensating(
    half: Floats, kx: torch.Tensor, ky: torch.Tensor, kz: torch.Tensor, K: torch.Tensor, depth: float, sign: float
) -> torch.Tensor:
    """Return exp(+j K delta / 2) for the waves (+-kx, +-ky) at a reference depth.

    Parameters
    ----------
    half
        Offset of a class, (3,), metres.
    kx, ky, kz, K
        Real, broadcasting to (n_node, n_ky, n_kx), radians a metre; kx and ky above zero.
    depth, sign
        Reference depth, metres, and the sign of the direction along z in which it lies.

    Returns
    -------
    torch.Tensor
        Complex (n_node, sign of ky, n_ky, sign of kx, n_kx); a sign that does not matter has length 1.
    """
    over = depth / kz
    size = K * over  # |R|
    square = size * size + float((half**2).sum())
    x, y, z = (2 * float(h) for h in (half[0], half[1], half[2] * sign * depth))

    def phasor(along: torch.Tensor) -> torch.Tensor:
        """Return the phasor where 2 h R is `along`."""
        delta = (square - along).sqrt_() + (square + along).sqrt_() - 2 * size
        angle = delta.mul_(K / 2)
        return torch.complex(angle.cos(), angle.sin())

    by_x, by_y = x * kx * over, y * ky * over
    if z:  # four values
        made = [torch.stack([phasor(a * by_x + b * by_y + z) for a in (1, -1)], dim=2) for b in (1, -1)]
        return torch.stack(made, dim=1)
    if not (x and y):  # h and -h have the same path, so one value
        return phasor(by_x + by_y)[:, None, :, None]
    same, other = phasor(by_x + by_y), phasor(by_x - by_y)
    return torch.stack([torch.stack([same, other], dim=2), torch.stack([other, same], dim=2)], dim=1)


def _leading(half: Floats) -> float:
    """Return the first component that is not zero: h and -h have the same path."""
    places = np.flatnonzero(half)
    return float(half[places[0]]) if len(places) else 1.0
