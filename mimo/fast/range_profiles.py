"""Turn measurements into range profiles, in which voxels interpolate at a cost that no frequency adds to.

A channel's sum over frequencies depends on a voxel through its path alone. So it is computed once for evenly spaced
paths, the channel's range profile (range compression, a zero-padded transform), and each voxel interpolates in it:

    x[v] = sum_c exp(+j k_c d) sum_f y[f, c] exp(+j (k_f - k_c) d),   d = P_t + P_r - reference_path

with the carrier k_c taken out, so that the inner sum varies slowly with d. Interpolation is by `TAPS` samples with a
Kaiser-Bessel kernel whose own spectrum is divided out of the data before the transform (as in gridding: Beatty,
Nishimura, Pauly, IEEE Trans. Medical Imaging 24 (2005) 799, for the kernel's width and shape).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy.fft import next_fast_len

from mimo import kernels
from mimo.acquisition import Acquisition

__all__ = ["FRACTIONS", "TAPS", "RangeProfiles", "path_bounds"]

TAPS = kernels.CONSTANTS["TAPS"]
"""Samples of a profile that one interpolated value is made of."""

FRACTIONS = kernels.CONSTANTS["PARTS"]
"""Fractions of a sample at which the interpolation kernel is tabulated, as in profiles.h."""

MAX_PROFILE = 2**20
"""Samples of a profile at most: a position in it, in 512ths of a sample, is a 32-bit number."""

DIRECT_BYTES = 2**27
"""For a sweep without a constant step: bytes of the transform's matrix that are made at a time."""


class RangeProfiles:
    """Transforms measurements to range profiles and holds what interpolation in them needs.

    A profile is periodic: `n_profile` samples cover a path of 2 pi / `step`.

    Parameters
    ----------
    acquisition
        Array, sweep, grid, medium and reference paths.
    reference
        float64 ``(n_channel,)``, metres: path already removed from the phase of each channel.
    padding
        As in `backproject_fast`.

    Attributes
    ----------
    n_profile
        Samples in a profile, even.
    step
        Wavenumber whose phase turns once over a profile, radians a metre: the step of a uniform sweep.
    carrier
        Wavenumber that is taken out of the profiles, radians a metre; each voxel multiplies it back.
    middle
        float64 ``(n_channel,)``: path of each channel, tx to voxel to rx, at the middle of its profile, metres.
    weights
        float64 ``(FRACTIONS, TAPS)``: the kernel's values so many fractions of a sample behind a sample.
    """

    def __init__(self, acquisition: Acquisition, reference: npt.NDArray[np.float64], padding: float) -> None:
        wavenumber = acquisition.wavenumber
        n_freq, span = len(wavenumber), float(np.ptp(wavenumber))
        self._even = acquisition.sweep.is_uniform
        if padding * n_freq > MAX_PROFILE:
            raise ValueError(
                f"padding {padding:g} makes {padding * n_freq:.0f} samples of {n_freq} frequencies: expected "
                f"{MAX_PROFILE} at most"
            )
        self.middle = reference
        if self._even:
            self.carrier = float(wavenumber[n_freq // 2])
            self.n_profile = 2 * int(next_fast_len(math.ceil(max(padding * n_freq, 2 * TAPS) / 2)))
            self.step = span / max(1, n_freq - 1)
            self._turn = (np.arange(n_freq) - n_freq // 2) / self.n_profile  # turns of each frequency in a sample
        else:  # without a constant step a profile does not repeat by itself: it covers the paths of the scene
            low, high = path_bounds(acquisition)
            self.carrier = float(wavenumber.max() + wavenumber.min()) / 2
            spacing = 2 * np.pi / (padding * span)
            self.n_profile = 2 * math.ceil(((high - low).max() / spacing + 2 * TAPS) / 2)
            if self.n_profile > MAX_PROFILE:
                raise ValueError(
                    f"the scene's paths span {(high - low).max():g} m, {self.n_profile} samples: expected "
                    f"{MAX_PROFILE} at most; take a smaller grid"
                )
            self.step = 2 * np.pi / (self.n_profile * spacing)
            self._turn = (wavenumber - self.carrier) * spacing / (2 * np.pi)
            self.middle = (low + high) / 2
        shape = math.pi * math.sqrt((TAPS * (1 - 0.5 / padding)) ** 2 - 0.8)  # Beatty et al., eq. 5
        self._phasor = _phasor_of_phase(-reference * self.carrier)
        if not self._even:
            self._phasor = self._phasor * _phasor_of_phase(
                np.multiply.outer(wavenumber - self.carrier, self.middle - reference)
            )
        self._gain = 1 / _spectrum(self._turn, shape)[:, None]
        if self._even:  # alternating signs over frequency shift the transform's result by half a profile
            self._gain[1 - n_freq // 2 % 2 :: 2] *= -1
        self.weights = _kernel(shape)

    def of(self, y: torch.Tensor) -> torch.Tensor:
        """Transform measurements (n_scene, n_freq, n_channel) to profiles (n_scene, n_channel, n_profile + TAPS).

        The profiles have the measurements' dtype. Sample i stands ``i - 1 - n_profile / 2`` samples from the middle;
        the ends repeat the other end, as a profile is periodic.
        """
        # divided by the spectrum of the interpolation kernel, which multiplies it back on interpolation
        gain = torch.as_tensor(self._gain, dtype=y.dtype.to_real(), device=y.device)
        rows = (y * gain * torch.as_tensor(self._phasor, dtype=y.dtype, device=y.device)).mT
        samples = self._fft(rows) if self._even else self._direct(rows)
        return torch.cat([samples[:, :, -1:], samples, samples[:, :, : TAPS - 1]], dim=2)

    def back(self, profiles: torch.Tensor) -> torch.Tensor:
        """Return measurements (n_scene, n_freq, n_channel) of profiles: the conjugate transpose of `of`."""
        samples = profiles[:, :, 1 : 1 + self.n_profile].clone()
        samples[:, :, -1] += profiles[:, :, 0]
        samples[:, :, : TAPS - 1] += profiles[:, :, 1 + self.n_profile :]
        gain = torch.as_tensor(self._gain, dtype=samples.dtype.to_real(), device=samples.device)
        turned = torch.as_tensor(self._phasor, dtype=samples.dtype, device=samples.device).conj()
        rows = self._fft_back(samples) if self._even else self._direct_back(samples)
        return rows.mT * gain * turned

    def _fft(self, rows: torch.Tensor) -> torch.Tensor:
        """Transform rows (n_scene, n_channel, n_freq) by an FFT; the signs in `_gain` centre its result on `middle`."""
        n, half = self.n_profile, rows.shape[2] // 2
        values = rows.new_zeros((*rows.shape[:2], n))
        values[:, :, : rows.shape[2] - half], values[:, :, n - half :] = rows[:, :, half:], rows[:, :, :half]
        return torch.fft.ifft(values, norm="forward")

    def _fft_back(self, samples: torch.Tensor) -> torch.Tensor:
        """Apply the conjugate transpose of `_fft`: rows (n_scene, n_channel, n_freq)."""
        n_freq = len(self._turn)
        values = torch.fft.fft(samples, norm="backward")
        return torch.cat([values[:, :, self.n_profile - n_freq // 2 :], values[:, :, : n_freq - n_freq // 2]], dim=2)

    def _direct(self, rows: torch.Tensor) -> torch.Tensor:
        """Transform rows by a matrix product, for frequencies without a constant step."""
        return torch.cat([rows @ matrix for _, matrix in self._matrices(rows)], dim=2)

    def _direct_back(self, samples: torch.Tensor) -> torch.Tensor:
        """Apply the conjugate transpose of `_direct`."""
        rows = samples.new_zeros((*samples.shape[:2], len(self._turn)))
        for part, matrix in self._matrices(samples):
            rows += samples[:, :, part] @ matrix.mH
        return rows

    def _matrices(self, like: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield parts of the transform's matrix, (n_freq, n), in the dtype of `like`, and the samples they make."""
        at_once = max(1, DIRECT_BYTES // (len(self._turn) * 16))
        for first in range(0, self.n_profile, at_once):
            part = slice(first, min(first + at_once, self.n_profile))
            sample = np.arange(part.start, part.stop) - self.n_profile // 2
            matrix = _phasor_of_phase(2 * np.pi * np.multiply.outer(self._turn, sample))
            yield part, torch.as_tensor(matrix, dtype=like.dtype, device=like.device)


@functools.cache
def _kernel(shape: float) -> npt.NDArray[np.float64]:
    """Tabulate the Kaiser-Bessel kernel, (FRACTIONS, TAPS)."""
    place = np.arange(FRACTIONS)[:, None] / FRACTIONS - (np.arange(TAPS) - (TAPS // 2 - 1))
    table: npt.NDArray[np.float64] = np.i0(shape * np.sqrt(np.clip(1 - (2 * place / TAPS) ** 2, 0, None)))
    return table / np.i0(shape)


def _phasor_of_phase(phase: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """exp(j phase), the phase reduced to a fraction of a turn first."""
    return np.exp(1j * (phase - 2 * np.pi * np.round(phase / (2 * np.pi))))


def _spectrum(turn: npt.NDArray[np.float64], shape: float) -> npt.NDArray[np.float64]:
    """Fourier transform of the Kaiser-Bessel kernel, TAPS samples wide, at the frequencies `turn` in turns a sample."""
    root = np.sqrt(shape**2 - (np.pi * TAPS * turn) ** 2 + 0j)
    return np.real(TAPS * np.where(root == 0, 1.0, np.sinh(root) / np.where(root == 0, 1, root))) / np.i0(shape)


def path_bounds(acquisition: Acquisition) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a lower and an upper bound of each channel's paths to all voxels, float64 (n_channel,) each, metres."""
    low, high = acquisition.voxels.bounds()
    index = np.ones(1) if acquisition.layers is None else np.sqrt(acquisition.layers.permittivity)
    channels = acquisition.array.channel_indices()
    below, above = np.zeros(len(channels)), np.zeros(len(channels))
    array = acquisition.array
    for positions, column, far in zip((array.tx_pos, array.rx_pos), channels.T, array.far, strict=True):
        if far:
            ends = np.stack([-positions * low, -positions * high])
            below += ends.min(axis=0).sum(axis=1)[column]
            above += ends.max(axis=0).sum(axis=1)[column]
            continue
        nearest = np.linalg.norm(np.clip(positions, low, high) - positions, axis=1)
        farthest = np.linalg.norm(np.maximum(np.abs(positions - low), np.abs(positions - high)), axis=1)
        below += index.min() * nearest[column]
        above += index.max() * farthest[column]
    return below, above
