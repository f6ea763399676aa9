"""What a wave gathers between one antenna and one voxel: distances and the factors of each kernel.

Every kernel of this project is a product of a transmit factor and a receive factor (DESIGN section 2), and every
factor is an amplitude times ``exp(-j k R)``. An image former applies the conjugate of its factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mimo.array import PLUS_Z, ArrayGeometry
from mimo.grid import VoxelGrid

COINCIDENT = 1e-9
"""A voxel nearer to an antenna than this (metres) is taken to lie on it."""

Amplitude = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class FactorModel:
    """One antenna's factor: ``amplitude(distance, cosine, wavenumber) * exp(-j k R)``.

    Attributes
    ----------
    name
        The kernel it belongs to.
    amplitude
        Takes distances (n, m) in metres, cosines against the boresight (n, m) and wavenumbers (n_freq, 1, 1) in
        radians a metre, all float64; returns something that broadcasts to (n_freq, n, m).
    flat
        Whether the amplitude is the same at every frequency, so that factors may advance by a constant ratio.
    divides
        Whether it divides by the distance, so that a voxel on an antenna is an error.
    """

    name: str
    amplitude: Amplitude
    flat: bool
    divides: bool


def _born(distance: torch.Tensor, cosine: torch.Tensor, wavenumber: torch.Tensor) -> torch.Tensor:
    return 1 / (math.sqrt(4 * math.pi) * distance)


def _unit(distance: torch.Tensor, cosine: torch.Tensor, wavenumber: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(distance)


def _kirchhoff(distance: torch.Tensor, cosine: torch.Tensor, wavenumber: torch.Tensor) -> torch.Tensor:
    return (cosine / distance) * (1 - 1j * wavenumber * distance)


def _kirchhoff_compensated(distance: torch.Tensor, cosine: torch.Tensor, wavenumber: torch.Tensor) -> torch.Tensor:
    return 2 * cosine * (1 - 1j * wavenumber * distance)


BORN = FactorModel("born", _born, flat=True, divides=True)
"""``exp(-jkR) / (sqrt(4 pi) R)``: the product of two is the Born kernel (arXiv 2312.16024, as its code has it)."""

BACKPROJECTION = FactorModel("backprojection", _unit, flat=True, divides=False)
"""``exp(-jkR)``: phase alone."""

KIRCHHOFF = FactorModel("kirchhoff", _kirchhoff, flat=False, divides=True)
"""``cos (1 - jkR) exp(-jkR) / R``; two conjugates make ``4 cos cos (1+jkR)(1+jkR) exp(+jk(R+R)) / (4 R R)``.

Zhuge, Yarovoy et al., IEEE TGRS 48 (2010) 2692, in the form of arXiv 2312.16024's code.
"""

KIRCHHOFF_COMPENSATED = FactorModel("kirchhoff-compensated", _kirchhoff_compensated, flat=False, divides=True)
"""``2 cos (1 - jkR) exp(-jkR)``: Kirchhoff without the final division by ``4 R R``."""


def distances(antennas: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Distances in metres from antennas (n, 3) to points (m, 3), float64 (n, m)."""
    return torch.linalg.vector_norm(antennas[:, None, :] - points[None, :, :], dim=-1)


def antenna_normals(normals: npt.NDArray[np.float64] | None, n: int) -> npt.NDArray[np.float64]:
    """Return unit boresight vectors, float64 (n, 3): +z where the array names none."""
    if normals is None:
        return np.tile(np.array(PLUS_Z), (n, 1))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def phasor(distance: torch.Tensor, wavenumber: torch.Tensor) -> torch.Tensor:
    """exp(-j k R), complex128 (n_k, n, m), for distances (n, m) and wavenumbers (n_k, 1, 1).

    The phase is formed in float64 and wrapped before its sine and cosine are taken.
    """
    phase = torch.remainder(wavenumber * distance, 2 * math.pi)
    return torch.polar(torch.ones_like(phase), -phase)


def check_apart(array: ArrayGeometry, grid: VoxelGrid) -> None:
    """Raise `ValueError` naming both when a voxel coincides with an antenna (nearer than `COINCIDENT`)."""
    for side, positions in (("tx", array.tx_pos), ("rx", array.rx_pos)):
        nearest = grid.nearest(positions)
        centre = np.stack([axis[nearest[:, i]] for i, axis in enumerate((grid.x, grid.y, grid.z))], axis=1)
        gap = np.linalg.norm(centre - positions, axis=1)
        if gap.min() < COINCIDENT:
            antenna = int(gap.argmin())
            voxel, where = tuple(map(int, nearest[antenna])), tuple(map(float, centre[antenna]))
            raise ValueError(
                f"voxel {voxel} at {where} m coincides with {side} antenna {antenna}: this kernel divides by their "
                f"distance; move the grid or leave the voxel out"
            )
