"""Image a planar monostatic scan by range migration: back-projection carried out on plane waves.

Back-projection of a scan over a plane is a convolution over the plane for each wavenumber K = 2 k and each depth d, and
the Fourier transform of its kernel is known in closed form,

    integral exp(+j K R) exp(-j (kx X + ky Y)) dX dY = 2 pi (K / kz^2) (j d - 1 / kz) exp(+j kz d),
    R^2 = X^2 + Y^2 + d^2,    kz^2 = K^2 - kx^2 - ky^2

(Weyl's integral for exp(+j K R) / R, differentiated in K). So the scan is transformed over its plane to (kx, ky), the
sum over frequencies becomes a Fourier sum over the values of kz that the frequencies have there, Stolt's change of
variable (Stolt, Geophysics 43 (1978) 23; for near-field radar Lopez-Sanchez, Fortuny-Guasch, IEEE Trans. Antennas and
Propagation 48 (2000) 728), and the result of each depth is transformed back.

All four sums are matrix products, not FFTs. On two cores a product does some 200 Gop/s where padded FFTs along strided
axes do 5 and interpolation along kz less, so that at hundreds of positions an axis the products are quicker; they need
no even spacing along x and y, compute at the voxels themselves, and need no interpolation along kz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mimo.fast.planar_scan import PlanarScan
from mimo.imaging_operator import ImagingOperator
from mimo.progress import Report

__all__ = ["FRESNEL", "STEEPEST", "MonostaticPlan", "check_medium", "depths", "even_step", "taper"]

STEEPEST = 10.0
"""Largest slope kx / kz, and ky / kz, of a migrated wave: kz^-2 grows without bound for waves along the plane."""

FRESNEL = 2.0
"""Width over which waves steeper than the scene needs fade out, because a sharp cut makes the image ring. In Fresnel
zones, sqrt(2 pi / K * nearest depth) in the plane of the nearest voxels."""

DEPTHS = 16
"""Depths in a group. One table of phasors leads from a group's first depth to its others, another one from group to
group: n_z / 16 + 16 phasors for each wave and frequency instead of n_z."""

PRODUCT_RATE, ELEMENT_SECONDS, CALL_SECONDS = 8e10, 3e-9, 2e-2
"""For predictions, on one core: operations a second of complex matrix products; seconds for a product in memory, and
for all calls and preparations together."""

PRODUCTS_AT_ONCE = 2**23
"""Complex numbers of the largest temporary array."""

QUADRANTS = 4
"""Signs of (kx, ky). Waves that differ in them alone have the same kz, so one table of phasors serves all four."""


@dataclass(frozen=True, eq=False)
class _Waves:
    """Holds the plane waves along one axis, x or y, in pairs of opposite wavenumbers; none is zero.

    Attributes
    ----------
    wavenumber
        The positive wavenumbers, float64 (n,), radians a metre. The 2 n waves of the other attributes are ordered
        (wavenumber, -wavenumber).
    from_positions
        Transform of the scan along the axis into waves, complex128 (2 n, n_position).
    to_voxels
        Transform of waves to voxels, complex128 (n_voxel, 2 n).
    slope
        Largest wavenumber / kz that the scene needs.
    """

    wavenumber: npt.NDArray[np.float64]
    from_positions: npt.NDArray[np.complex128]
    to_voxels: npt.NDArray[np.complex128]
    slope: float

    @classmethod
    def of(
        cls,
        positions: npt.NDArray[np.float64],
        voxels: npt.NDArray[np.float64],
        *,
        depth: tuple[float, float],
        margin: float,
        k_max: float,
        padding: float,
    ) -> _Waves:
        """Choose the waves along one axis.

        Parameters
        ----------
        positions, voxels
            Coordinates along the axis, ascending, metres.
        depth
            Nearest and farthest distance of voxels from the scan's plane, metres.
        margin
            Slopes beyond the largest one that the scene needs over which waves fade out.
        k_max
            Largest K, radians a metre.
        padding
            As in `mimo.range_migration`.
        """
        near, far = depth
        # reach: largest distance between a position and a voxel along the axis. The spectrum is sampled, so the plane
        # repeats; a wave of the largest slope moves far * slope sideways and must not wrap around into the scene.
        reach = max(float(voxels[-1] - positions[0]), float(positions[-1] - voxels[0]), 0.0)
        slope = min(reach / near, STEEPEST)
        period = padding * (reach + far * (slope + margin))
        largest = k_max * math.sin(math.atan(slope + margin))
        n = max(1, math.ceil(largest * period / (2 * math.pi)))
        turns = np.asarray((np.arange(n) + 0.5) / period, np.float64)  # half steps: opposite pairs, and none of zero
        both = np.concatenate([turns, -turns])
        middle = float(positions[0] + positions[-1]) / 2
        leaving = _phasor_of_turns(-np.multiply.outer(both, positions - middle))
        return cls(
            2 * np.pi * turns, leaving, _phasor_of_turns(np.multiply.outer(voxels - middle, both)) / period, slope
        )


class MonostaticPlan:
    """Holds everything of a migration that does not depend on the data; parameters as in `mimo.range_migration`.

    Raises
    ------
    ValueError
        When an operator's geometry or medium does not fit.
    """

    def __init__(self, A: ImagingOperator, padding: float, aperture_taper: float, band_taper: float) -> None:
        check_medium(A)
        scan = PlanarScan.of(A.array, wavelength=2 * np.pi / float(A.acquisition.wavenumber.max()))
        depth = depths(A.grid.z, scan.z)
        self._step = float(depth[-1] - depth[0]) / max(1, len(depth) - 1)
        self._depth, self._scan, self._dtype = depth, scan, A.dtype
        K = 2 * A.acquisition.wavenumber
        near, far = float(depth.min()), float(depth.max())
        self._margin = FRESNEL * math.sqrt(2 * math.pi / float(K.mean()) / near)
        self._x, self._y = (
            _Waves.of(positions, voxels, depth=(near, far), margin=self._margin, k_max=float(K.max()), padding=padding)
            for positions, voxels in ((scan.x, A.grid.x), (scan.y, A.grid.y))
        )

        def put(value: npt.NDArray[np.generic], dtype: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(value, dtype=dtype, device=A.device)

        self._K, self._kx, self._ky = (put(k, torch.float64) for k in (K, self._x.wavenumber, self._y.wavenumber))
        self._to_kx, self._to_ky = put(self._x.from_positions, A.dtype), put(self._y.from_positions, A.dtype)
        self._to_x, self._to_y = put(self._x.to_voxels, A.dtype), put(self._y.to_voxels, A.dtype)
        self._place = put(scan.place, torch.long)
        over = np.multiply.outer(taper(scan.x, aperture_taper), taper(scan.y, aperture_taper)).ravel()
        weight = np.multiply.outer(taper(A.acquisition.wavenumber, band_taper), over[scan.place])
        self._weight = put(
            weight if A.acquisition.reference_path is None else weight * A.acquisition.reference_phasor().conj(),
            A.dtype,
        )
        self._gain = put(2 * np.pi * depth, A.dtype.to_real())
        self._typical = math.sqrt(near * far)

    def seconds(self) -> float:
        """Predict the time of `image` on one core, seconds."""
        (n_x, n_y), (m_x, m_y) = (len(self._scan.x), len(self._scan.y)), (len(self._kx), len(self._ky))
        n_freq, n_z = len(self._K), len(self._depth)
        out = n_freq * 2 * m_y * n_x * (n_y + 2 * m_x)
        back = 2 * m_x * n_z * (2 * m_y * (n_freq + len(self._to_y)) + len(self._to_y) * len(self._to_x))
        touched = m_x * m_y * n_freq * (60 + min(DEPTHS, n_z) + (QUADRANTS + 1) * -(-n_z // DEPTHS))
        return 8 * (out + back) / PRODUCT_RATE + touched * ELEMENT_SECONDS + CALL_SECONDS

    def image(self, y: torch.Tensor, report: Report) -> torch.Tensor:
        """Return the image (n_voxel,) of one scene (n_freq, n_channel)."""
        n_x, n_y, n_freq = len(self._scan.x), len(self._scan.y), len(self._K)
        n_kx, n_ky, n_z = len(self._kx), len(self._ky), len(self._depth)
        # channels at the same point add up; points without a channel stay zero
        scan = torch.zeros((n_x * n_y, n_freq), dtype=y.dtype, device=y.device)
        scan.index_add_(0, self._place, (y * self._weight).T.contiguous())
        # y to ky for all, then for some kx at a time: x to kx, frequencies to depths, ky to y; at last kx to x
        columns = (self._to_ky @ scan.view(n_x, n_y, n_freq)).flatten(1)
        rows = torch.empty((2, n_kx, len(self._to_y), n_z), dtype=y.dtype, device=y.device)
        n_group = -(-n_z // DEPTHS)
        at_once = max(1, PRODUCTS_AT_ONCE // (n_ky * n_freq * QUADRANTS * n_group))
        for first in range(0, n_kx, at_once):
            which = slice(first, first + at_once)
            pair = torch.cat([self._to_kx[:n_kx][which], self._to_kx[n_kx:][which]])
            waves = (pair @ columns).view(2, -1, 2, n_ky, n_freq).permute(1, 3, 0, 2, 4)
            depths = self._migrate(waves, self._kx[which])
            rows[:, which] = self._to_y @ depths
            report(min(1.0, (first + at_once) / n_kx))
        return (self._to_x @ rows.view(2 * n_kx, -1)).flatten()

    def _migrate(self, waves: torch.Tensor, kx: torch.Tensor) -> torch.Tensor:
        """Sum waves (n_kx, n_ky, sign of kx, sign of ky, n_freq) over frequencies: (2, n_kx, 2 n_ky, n_z) by depth.

        Their phasor exp(j kz d) is a product of one from group to group (`far`) and one within a group (`near`).
        """
        n_z, (n_kx, n_ky) = len(self._depth), waves.shape[:2]
        groups = -(-n_z // DEPTHS)
        kz, weight = self._kernel(kx)
        start = weight * _phasor(kz * self._depth[0], self._dtype)
        far = _powers(start, _phasor(kz * (self._step * DEPTHS), self._dtype), groups)
        near = _powers(torch.ones_like(start), _phasor(kz * self._step, self._dtype), min(DEPTHS, n_z))
        product = torch.empty((n_kx, n_ky, QUADRANTS, groups, waves.shape[-1]), dtype=waves.dtype, device=waves.device)
        torch.mul(waves.reshape(n_kx, n_ky, QUADRANTS, 1, -1), far.unsqueeze(2), out=product)
        depths = product.flatten(2, 3) @ near.mT
        depths = depths.view(n_kx, n_ky, 2, 2, -1)[..., :n_z] * self._gain
        return depths.permute(2, 0, 3, 1, 4).reshape(2, n_kx, 2 * n_ky, n_z)

    def _kernel(self, kx: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return kz, float64, and the weight of each wave, complex, both (n_kx, n_ky, n_freq).

        The weight is K / kz^2 (j - 1 / (kz d)) at a typical depth d, as the second term is small beyond a few
        wavelengths, and fades out beyond the slopes of the scene; a factor 2 pi d comes in later (``_gain``).
        """
        real = self._dtype.to_real()
        kz = (self._K**2 - kx[:, None, None] ** 2 - self._ky[:, None] ** 2).clamp_min(0).sqrt()
        kz = torch.maximum(kz, self._K / (4 * STEEPEST))  # finite for steeper and evanescent waves, whose weight is 0
        weight, inverse = (self._K / kz**2).to(real), (1 / kz).to(real)
        for k, slope in ((kx[:, None, None], self._x.slope), (self._ky[:, None], self._y.slope)):  # 1 to 0, smoothly
            fade = (1 - (k.to(real) * inverse - slope) / self._margin).clamp(0, 1)
            weight = weight * (fade * fade * (3 - 2 * fade))
        return kz, torch.complex(-weight * inverse / self._typical, weight).to(self._dtype)


def check_medium(A: ImagingOperator) -> None:
    """Raise ``ValueError`` for a medium in layers and for antenna patterns, which the plane-wave kernel excludes."""
    if A.acquisition.layers is not None:
        raise ValueError("the medium has layers: expected a homogeneous one for range migration")
    if any(A.acquisition.patterns):
        raise ValueError("the antennas have a pattern: expected isotropic ones for range migration")


def _phasor(phase: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """exp(j phase) in a complex dtype; the phase, float64, is reduced to a fraction of a turn first."""
    turns = phase / (2 * math.pi)
    angle = ((turns - turns.round()) * (2 * math.pi)).to(dtype.to_real())
    return torch.polar(torch.ones_like(angle), angle)


def _powers(start: torch.Tensor, factor: torch.Tensor, n: int) -> torch.Tensor:
    """``start factor^i`` for i below n, in the dtype of `start`: (..., n, n_freq) of (..., n_freq)."""
    out = torch.empty((*start.shape[:-1], n, start.shape[-1]), dtype=start.dtype, device=start.device)
    current = start
    for i in range(n):
        out[..., i, :] = current
        current = current * factor
    return out


def depths(z: npt.NDArray[np.float64], plane: float) -> npt.NDArray[np.float64]:
    """Return the distances of the voxel planes `z` from the scan's `plane`, float64 (n_z,), metres, all above zero.

    Raises
    ------
    ValueError
        When the scan's plane lies among the voxels, or `z` is not evenly spaced.
    """
    depth = z - plane
    if depth[0] <= 0 <= depth[-1]:
        raise ValueError(
            f"the grid spans z {z[0]:g} to {z[-1]:g} m, the scan lies at {plane:g} m: expected every voxel on one side"
        )
    even_step("z", z)
    return np.abs(depth)


def even_step(name: str, axis: npt.NDArray[np.float64]) -> float:
    """Return the step of an evenly spaced axis, metres, 0 for a single value; ``ValueError`` for uneven steps."""
    gaps = np.diff(axis)
    if len(gaps) and np.ptp(gaps) > 1e-6 * gaps.mean():
        raise ValueError(f"grid {name} has steps from {gaps.min():.4g} to {gaps.max():.4g} m: expected an even step")
    return float(gaps.mean()) if len(gaps) else 0.0


def _phasor_of_turns(turns: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """exp(2 pi j turns)."""
    return np.exp(2j * np.pi * (turns - np.round(turns)))


def taper(places: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    """Return a tapered-cosine (Tukey) window, float64 (n,), over ascending places.

    `share` of their extent is tapered, half of it at each end. The window is zero half a mean step beyond the ends.
    """
    n = len(places)
    if share == 0 or n == 1:
        return np.ones(n)
    place = (0.5 + (n - 1) * (places - places[0]) / (places[-1] - places[0])) / n
    edge = np.minimum(place, 1 - place)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(2 * edge / share, 0, 1)))
