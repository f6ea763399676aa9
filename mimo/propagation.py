"""Compute the path and the amplitude between antennas and voxels, of which every kernel is made.

A kernel is the product of a transmit factor and a receive factor; a factor is an amplitude times ``exp(-j k P)``, P
being the optical path in metres. Image formers (back-projection, Kirchhoff) multiply data by the conjugates of their
factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mimo.acquisition import Acquisition
from mimo.array import PLUS_Z
from mimo.region import surrounds

__all__ = [
    "BACKPROJECTION",
    "BORN",
    "KIRCHHOFF",
    "KIRCHHOFF_COMPENSATED",
    "FactorModel",
    "Side",
    "antenna_normals",
    "check_apart",
    "distances",
    "phasor",
]

COINCIDENT = 1e-9
"""A voxel nearer to an antenna than this (metres) is taken to lie on it."""


Weight = Callable[["Side", torch.Tensor], torch.Tensor]
"""Takes the antennas of a side and points (m, 3), metres; returns real numbers (n, m)."""


@dataclass(frozen=True)
class FactorModel:
    """Describes one antenna's factor: ``amplitude(R, cosine) exp(-j k P)``, times ``(1 - j k P)`` in the near field.

    Attributes
    ----------
    name
        Name of the kernel.
    amplitude
        Takes distances R in metres and cosines of the angle off boresight, both float64 (n, m); returns real (n, m).
    near_field
        Whether the near-field term ``1 - j k P`` multiplies it.
    divides
        Whether a voxel on an antenna is an error, because the amplitude divides by the distance.
    weights
        For each side a function of the antennas and points (m, 3) whose real numbers (n, m) multiply the amplitude, or
        ``None``: derivatives of a factor are the factor times such weights (`mimo.radar_derivatives`).
    """

    name: str
    amplitude: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    near_field: bool
    divides: bool
    weights: tuple[Weight | None, Weight | None] = (None, None)


def _born(distance: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
    return 1 / (math.sqrt(4 * math.pi) * distance)


def _unit(distance: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(distance)


def _kirchhoff(distance: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
    return cosine / distance


def _kirchhoff_compensated(distance: torch.Tensor, cosine: torch.Tensor) -> torch.Tensor:
    return 2 * cosine


BORN = FactorModel("born", _born, near_field=False, divides=True)
"""``exp(-jkP) / (sqrt(4 pi) R)``: the product of two is the Born kernel (arXiv 2312.16024, in the form of its code)."""

BACKPROJECTION = FactorModel("backprojection", _unit, near_field=False, divides=False)
"""``exp(-jkP)``: phase alone."""

KIRCHHOFF = FactorModel("kirchhoff", _kirchhoff, near_field=True, divides=True)
"""``cos (1 - jkP) exp(-jkP) / R``; two conjugates make ``4 cos cos (1+jkR)(1+jkR) exp(+jk(R+R)) / (4 R R)``.

Zhuge, Yarovoy et al., IEEE TGRS 48 (2010) 2692, in the form of arXiv 2312.16024's code.
"""

KIRCHHOFF_COMPENSATED = FactorModel("kirchhoff-compensated", _kirchhoff_compensated, near_field=True, divides=True)
"""``2 cos (1 - jkP) exp(-jkP)``: Kirchhoff without the final division by ``4 R R``."""


class Side:
    """Holds the antennas of one side, transmitters (0) or receivers (1), as float64 tensors on a device."""

    def __init__(self, acquisition: Acquisition, side: int, device: torch.device) -> None:
        array = acquisition.array
        self.acquisition, self.index = acquisition, side
        self._far = array.far[side]
        if self._far and acquisition.layers is not None:
            array.check_near("a layered medium")
        self.positions = torch.as_tensor((array.tx_pos, array.rx_pos)[side].copy(), device=device)
        self._normals = torch.as_tensor(antenna_normals(acquisition, side), device=device)
        self._pattern, self._layers = acquisition.patterns[side], acquisition.layers
        self._freq = torch.as_tensor(acquisition.sweep.freq.copy(), device=device)
        self._wavenumber = torch.as_tensor(acquisition.wavenumber.copy(), device=device)

    def same_as(self, other: Side) -> bool:
        """Whether both sides are the same antennas in the same order."""
        same = torch.equal(self.positions, other.positions) and torch.equal(self._normals, other._normals)
        return same and self._far == other._far and self._pattern == other._pattern

    def path(self, points: torch.Tensor, distance: torch.Tensor | None = None) -> torch.Tensor:
        """Return the optical paths P to points (m, 3), float64 (n, m), metres; with layers, metres of free space.

        Those of antennas that are infinitely far away count from the origin.

        `distance` is that of the same antennas and points, where the caller has it already.
        """
        if self._far:
            return -(self.positions @ points.T)
        distance = distances(self.positions, points) if distance is None else distance
        if self._layers is None:
            return distance
        index = self._layers.mean_index(self.positions[:, 2].cpu().numpy(), points[:, 2].cpu().numpy())
        return distance * torch.as_tensor(index, device=distance.device)

    def path_and_amplitude(
        self, model: FactorModel, points: torch.Tensor, which: slice = slice(None), *, near_field: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return paths and amplitudes to points (m, 3), metres, at the frequencies `which`.

        Paths are float64 (n, m), metres. Amplitudes are (n, m), or (n_k, n, m) where they depend on the frequency: with
        the near-field term (unless `near_field` is false) and with patterns that are not flat.
        """
        if self._far:
            return self._plane_waves(model, points, which)
        distance = distances(self.positions, points)
        # without 0 / 0 where a voxel lies on an antenna: Kirchhoff refuses such voxels, a pattern takes a cosine of 0
        toward = self._normals @ points.T - (self._normals * self.positions).sum(1, keepdim=True)
        cosine = toward / distance.clamp_min(1e-300)
        path = self.path(points, distance)
        amplitude = model.amplitude(distance, cosine)
        if (weight := model.weights[self.index]) is not None:
            amplitude = amplitude * weight(self, points)
        if self._pattern is not None:
            amplitude = amplitude * self._pattern.gain(cosine, self._freq[which])
        if model.near_field and near_field:
            amplitude = amplitude * (1 - 1j * self._wavenumber[which, None, None] * path)
        return path, amplitude

    def _plane_waves(self, model: FactorModel, points: torch.Tensor, which: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same of antennas that are infinitely far away: amplitude 1, times the pattern's gain."""
        if model.near_field:
            raise ValueError(
                f"{model.name} with antennas infinitely far away, tx_far or rx_far: expected backprojection, whose "
                "amplitude has no near field"
            )
        path = self.path(points)
        amplitude = torch.ones_like(path)
        if (weight := model.weights[self.index]) is not None:
            amplitude = amplitude * weight(self, points)
        if self._pattern is not None:
            cosine = -(self._normals * self.positions).sum(1, keepdim=True).expand_as(path)
            amplitude = amplitude * self._pattern.gain(cosine, self._freq[which])
        return path, amplitude


def distances(antennas: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return the distances from antennas (n, 3) to points (m, 3), float64 (n, m), all in metres."""
    return torch.linalg.vector_norm(antennas[:, None, :] - points[None, :, :], dim=-1)


def antenna_normals(acquisition: Acquisition, side: int) -> npt.NDArray[np.float64]:
    """Return unit boresight vectors of the transmitters (side 0) or the receivers (1), float64 (n, 3).

    Where the array names none, antennas infinitely far away look towards the origin, antennas that surround the grid
    (`mimo.region.surrounds`) towards the middle of the voxels that are imaged, all others along +z.
    """
    array = acquisition.array
    positions, normals = ((array.tx_pos, array.tx_normal), (array.rx_pos, array.rx_normal))[side]
    if normals is None:
        normals = -positions if array.far[side] else np.tile(np.array(PLUS_Z), (len(positions), 1))
        if surrounds(array, acquisition.grid):
            low, high = acquisition.voxels.bounds()
            inward = (low + high) / 2 - positions
            apart = np.linalg.norm(inward, axis=1) > COINCIDENT
            normals[apart] = inward[apart]
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def phasor(distance: torch.Tensor, wavenumber: torch.Tensor) -> torch.Tensor:
    """exp(-j k R), complex128 (n_k, n, m), for distances (n, m), metres, and wavenumbers (n_k, 1, 1), radians a metre.

    The phase is formed in float64 and wrapped before its sine and cosine are taken.
    """
    phase = torch.remainder(wavenumber * distance, 2 * math.pi)
    return torch.polar(torch.ones_like(phase), -phase)


def check_apart(acquisition: Acquisition) -> None:
    """Raise `ValueError`, naming voxel and antenna, when they coincide (nearer than `COINCIDENT`).

    Voxels outside the acquisition's region do not count.
    """
    array, grid, inside = acquisition.array, acquisition.grid, acquisition.inside
    for side, positions, far in (("tx", array.tx_pos, array.tx_far), ("rx", array.rx_pos, array.rx_far)):
        if far:
            continue
        nearest = grid.nearest(positions)
        centre = np.stack([axis[nearest[:, i]] for i, axis in enumerate((grid.x, grid.y, grid.z))], axis=1)
        gap = np.linalg.norm(centre - positions, axis=1)
        if inside is not None:
            gap[~inside[tuple(nearest.T)]] = np.inf
        if gap.min() < COINCIDENT:
            antenna = int(gap.argmin())
            voxel, where = tuple(map(int, nearest[antenna])), tuple(map(float, centre[antenna]))
            raise ValueError(
                f"voxel {voxel} at {where} m coincides with {side} antenna {antenna}: this kernel divides by their "
                f"distance; move the grid or leave the voxel out, as region auto does"
            )
