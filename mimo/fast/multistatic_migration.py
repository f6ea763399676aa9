"""Image planar bistatic arrays by range migration: back-projection carried out on pairs of plane waves of both sides.

Each side of the path is a sum of plane waves over its own antennas' plane, by Weyl's integral as in
`mimo.fast.scan_migration`,

    exp(+j k R) = integral g(q, d) exp(+j (qx X + qy Y + kz d)) dqx dqy,    kz^2 = k^2 - qx^2 - qy^2,

q being the transmitters' wavenumbers (qx, qy) and p the receivers'. So the back-projected image is a Fourier sum over
pairs of waves, at wavenumbers that lie on no grid,

    x(X, Y, z) = sum_k sum_q sum_p Y_k(q, p) exp(+j ((qx + px) X + (qy + py) Y + kz(q) d_t(z) + kz(p) d_r(z))),
    Y_k(q, p) = g(q) g(p) sum_t,r y_k(t, r) exp(-j (q t + p r)):

a non-uniform FFT of type 1 (Zhuge, Yarovoy, IEEE Trans. Image Processing 21 (2012) 4017 for MIMO arrays on grids; Wang,
Aubry, Yarovoy, IEEE Trans. Geoscience and Remote Sensing 58 (2020) 4730 for irregular ones). The sums over antennas are
matrix products, quicker than transforms for up to hundreds of antennas a side, at any positions; the sum over pairs of
waves is done by ``finufft`` (Barnett, Magland, af Klinteberg, SIAM J. Scientific Computing 41 (2019) C479).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo.extras import needed
from mimo.fast.scan_migration import FRESNEL, STEEPEST, check_medium, depths, even_step
from mimo.fast.wave_axes import taper
from mimo.imaging_operator import ImagingOperator
from mimo.progress import Report

__all__ = ["MultistaticPlan", "load_finufft"]

Floats = npt.NDArray[np.float64]

PAIRS_AT_ONCE = 2**21
"""Pairs of waves in one transform, about so many."""

MAX_PAIRS, MAX_GRID = 2**33, 2**23
"""Largest number of wave pairs of one image, all frequencies together, and of grid points of one side's wavenumbers."""

TOLERANCE = {torch.complex64: 1e-4, torch.complex128: 1e-7}
"""Relative error that ``finufft`` is asked for."""

SECONDS_A_PAIR = 2e-7
"""Seconds for a pair of waves on one core, for predictions."""

SECONDS_A_TERM = 3e-10
"""Seconds for a listed channel in the strength of a pair of waves, likewise."""


def load_finufft() -> Any:
    """Import ``finufft``; the error names the extra that brings it."""
    return needed("finufft", purpose="range migration of a MIMO array", extra="nufft")


@dataclass(frozen=True, eq=False)
class _Side:
    """Holds the geometry of one side, the transmitters or the receivers, and makes its plane waves.

    Attributes
    ----------
    antenna
        Positions along x and y relative to the middle voxel, float64 ``(n, 2)``, metres.
    weight
        Window over the antennas, ``(n,)``.
    depth
        Distance of every plane of voxels from the antennas' plane, ``(n_z,)``, metres.
    slope
        Largest q / kz that the scene needs, along x and y.
    margin
        Slopes beyond that over which waves fade out.
    period
        Length after which the plane repeats, as its spectrum is sampled, along x and y, metres.
    """

    antenna: Floats
    weight: Floats
    depth: Floats
    slope: tuple[float, float]
    margin: float
    period: tuple[float, float]

    @classmethod
    def of(cls, name: str, positions: Floats, A: ImagingOperator, *, padding: float, aperture_taper: float) -> _Side:
        k = A.acquisition.wavenumber
        wavelength = 2 * np.pi / float(k.mean())
        if np.ptp(positions[:, 2]) > wavelength / 32:
            raise ValueError(
                f"the {name} span {np.ptp(positions[:, 2]):.3g} m along z: expected each side in a plane z = const"
            )
        depth = depths(A.grid.z, float(positions[:, 2].mean()))
        near, far = float(depth.min()), float(depth.max())
        margin = FRESNEL * math.sqrt(wavelength / near)
        slope, period, weight = [], [], np.ones(len(positions))
        for along, voxels in ((positions[:, 0], A.grid.x), (positions[:, 1], A.grid.y)):
            reach = max(float(voxels[-1] - along.min()), float(along.max() - voxels[0]), 0.0)
            slope.append(min(reach / near, STEEPEST))
            period.append(padding * (reach + far * (slope[-1] + margin)))
            places, index = np.unique(np.round(along / wavelength, 3), return_inverse=True)
            weight = weight * taper(places, aperture_taper)[index]
        middle = [axis[len(axis) // 2] for axis in (A.grid.x, A.grid.y)]
        return cls(positions[:, :2] - middle, weight, depth, (slope[0], slope[1]), margin, (period[0], period[1]))

    def waves(self, k: float) -> tuple[Floats, Floats, npt.NDArray[np.complex128]]:
        """Return the waves that the scene needs at wavenumber `k`, radians a metre: q (n, 2), kz (n,) and amplitudes.

        The complex amplitudes (n,) are in proportion to ``k / kz^2 (j - 1 / (kz d))`` at a typical depth d, as in
        `mimo.fast.scan_migration`, and fade out beyond the slopes of the scene.
        """
        grids, n_place = [], 1
        for slope, period in zip(self.slope, self.period, strict=True):
            n = math.ceil(k * math.sin(math.atan(slope + self.margin)) * period / (2 * np.pi))
            n_place *= 2 * n + 1
            if n_place > MAX_GRID:
                raise ValueError(_too_many(f"more than {MAX_GRID:.1g} plane waves a side"))
            grids.append(2 * np.pi / period * np.arange(-n, n + 1))
        q = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, 2)
        squared = k**2 - (q**2).sum(1)
        seen = squared > (k / (4 * STEEPEST)) ** 2  # not evanescent, nor nearly so: kz^-2 would grow without bound
        q, kz = q[seen], np.sqrt(squared[seen])
        fade = np.clip(1 - (np.abs(q) / kz[:, None] - self.slope) / self.margin, 0, 1).prod(1)
        fade = fade * fade * (3 - 2 * fade)
        kept = fade > 0
        q, kz, fade = q[kept], kz[kept], fade[kept]
        typical = math.sqrt(float(self.depth[0] * self.depth[-1]))
        area = self.period[0] * self.period[1]
        return q, kz, fade * 2 * np.pi / area * k / kz**2 * (1j - 1 / (kz * typical))

    def n_wave(self, k: float) -> int:
        """Return the number of waves at wavenumber `k`, radians a metre."""
        return len(self.waves(k)[1])

    @property
    def direction(self) -> float:
        """Sign of the propagation along z: 1 where voxels of larger z are farther from the antennas, else -1."""
        return 1.0 if self.depth[-1] >= self.depth[0] else -1.0

    def amplitudes(self, q: Floats, kz: Floats, amplitude: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
        """Return the factor of every antenna in every wave, complex128 (n_wave, n_antenna), phased to the middle voxel.

        finufft counts voxels from the middle one, so the phase of the way there belongs to the strengths.
        """
        phase = kz * self.depth[len(self.depth) // 2]
        return (amplitude * _phasor(phase))[:, None] * _phasor(-q @ self.antenna.T) * self.weight


class MultistaticPlan:
    """Holds everything of a migration that does not depend on the data; parameters as in `mimo.range_migration`.

    The array is one of every pair or a list of channels, whose sum over antennas has a term for each channel.

    Attributes
    ----------
    n_pair
        Pairs of waves of one image, estimated from three of the frequencies.

    Raises
    ------
    ValueError
        When an operator's geometry or medium does not fit, or pairs of waves would be too many.
    ImportError
        When ``finufft`` is not installed.
    """

    def __init__(self, A: ImagingOperator, padding: float, aperture_taper: float, band_taper: float) -> None:
        check_medium(A)
        A.array.check_near("range migration")
        self._A, self._finufft = A, load_finufft()
        self._sides = [
            _Side.of(name, positions, A, padding=padding, aperture_taper=aperture_taper)
            for name, positions in (("transmitters", A.array.tx_pos), ("receivers", A.array.rx_pos))
        ]
        self._step = [even_step(name, axis) for name, axis in zip("xyz", (A.grid.x, A.grid.y, A.grid.z), strict=True)]
        self._band = taper(A.acquisition.wavenumber, band_taper)
        k = A.acquisition.wavenumber
        some = np.quantile(k, (0.0, 0.5, 1.0), method="nearest")
        self.n_pair = len(k) * float(
            np.mean([math.prod(side.n_wave(float(one)) for side in self._sides) for one in some])
        )
        self._channels = A.array.channel_indices() if A.array.paired else None
        if self.seconds() > MAX_PAIRS * SECONDS_A_PAIR:
            listed = "" if self._channels is None else f" of {len(self._channels)} channels each"
            raise ValueError(_too_many(f"{self.n_pair:.2g} pairs of plane waves{listed}"))

    def seconds(self) -> float:
        """Predict the time of `image` on one core, seconds."""
        terms = 0 if self._channels is None else len(self._channels)
        return self.n_pair * (SECONDS_A_PAIR + terms * SECONDS_A_TERM)

    def image(self, y: torch.Tensor, report: Report) -> torch.Tensor:
        """Return the image (n_voxel,) of one scene (n_freq, n_tx, n_rx), or (n_freq, n_channel) of a list."""
        A, (tx, rx) = self._A, self._sides
        plan = self._finufft.Plan(
            1,
            A.volume_shape,
            eps=TOLERANCE[A.dtype],
            isign=1,
            dtype="complex64" if A.dtype == torch.complex64 else "complex128",
            nthreads=torch.get_num_threads(),
        )
        real = np.float32 if A.dtype == torch.complex64 else np.float64
        data = y.cpu().numpy()
        if A.acquisition.reference_path is not None:
            data = data * A.acquisition.reference_phasor().conj().astype(data.dtype)
        image = np.zeros(A.volume_shape, data.dtype)
        for i, k in enumerate(A.acquisition.wavenumber):
            q, kz_t, at = tx.waves(float(k))
            p, kz_r, ar = rx.waves(float(k))
            from_tx = (self._band[i] * tx.amplitudes(q, kz_t, at)).astype(data.dtype)
            from_rx = rx.amplitudes(p, kz_r, ar).astype(data.dtype)
            if self._channels is None:
                rows = data[i] @ from_rx.T  # receivers to their waves once, then some of the transmitters' at a time
            else:  # a row for each channel, so that the product below sums over channels
                from_tx = from_tx[:, self._channels[:, 0]]
                rows = data[i][:, None] * from_rx[:, self._channels[:, 1]].T
            at_once = max(1, PAIRS_AT_ONCE // len(p))
            for first in range(0, len(q), at_once):
                which = slice(first, first + at_once)
                strength = from_tx[which] @ rows
                places = [  # the phase from one voxel to the next along each axis, which finufft takes modulo 2 pi
                    np.add.outer(a[which], b).ravel().astype(real)
                    for a, b in (
                        (q[:, 0] * self._step[0], p[:, 0] * self._step[0]),
                        (q[:, 1] * self._step[1], p[:, 1] * self._step[1]),
                        (tx.direction * kz_t * self._step[2], rx.direction * kz_r * self._step[2]),
                    )
                ]
                plan.setpts(*places)
                image += plan.execute(strength.ravel())
            report((i + 1) / len(self._band))
        # the amplitudes lack the depths, as a transform's strengths cannot depend on the voxel
        image *= (tx.depth * rx.depth).astype(real)
        return torch.as_tensor(image).flatten().to(y.device)


def _too_many(found: str) -> str:
    return (
        f"{found}: expected {MAX_PAIRS:.1g} pairs at most for range migration of an array that is no scan; "
        "backprojection-factorised or backprojection-fast takes as many antennas, padding below 1 needs fewer waves"
    )


def _phasor(phase: Floats) -> npt.NDArray[np.complex128]:
    """exp(j phase)."""
    return np.asarray(np.exp(1j * phase))
