"""Compute the transmit and receive factors whose product is the kernel, for a range of voxels at a time."""

from __future__ import annotations

import torch

from mimo.acquisition import Acquisition
from mimo.propagation import FactorModel, Side, check_apart, phasor

__all__ = ["MAKING_BYTES", "MAKING_COST", "STRIDE", "SeparableKernel"]

STRIDE = 16
"""In a uniform sweep only every 16th factor is computed from its phase. Each factor between is the one before times a
constant phasor, which costs less; the complex64 error grows by about 6e-8 a step, so it stays near 1e-6."""

MAKING_BYTES = 2**23
"""Bytes of temporary arrays while factors are made: about a cache, however large the range of voxels."""

MAKING_COST = 112, 64
"""Temporary bytes of one (antenna, voxel) pair, and of its factor at one frequency."""


class SeparableKernel:
    """Holds the geometry as tensors and computes the factors of each side for a range of voxels.

    Parameters
    ----------
    acquisition
        Geometry, medium, patterns and reference paths.
    model
        Amplitude and phase of one antenna's factor, such as `mimo.propagation.BORN`.
    dtype
        complex64 or complex128.
    device
        Where the sums run.
    memory
        Bytes that factors and working space may take; when all factors do not fit they are made at each call.

    Attributes
    ----------
    even
        Whether the frequencies have a constant step.
    uniform
        Whether a factor follows from that of the frequency before by a constant phasor: a constant step, amplitudes
        that do not depend on the frequency, and no near-field term.

    Raises
    ------
    ValueError
        When a voxel coincides with an antenna and the model divides by the distance.
    """

    def __init__(
        self, acquisition: Acquisition, model: FactorModel, *, dtype: torch.dtype, device: torch.device, memory: int
    ) -> None:
        if model.divides:
            check_apart(acquisition)
        self.acquisition, self.array, self.model = acquisition, acquisition.array, model
        self.voxels = acquisition.voxels
        self.dtype, self.device, self.memory = dtype, device, memory
        self.real_dtype = torch.float32 if dtype == torch.complex64 else torch.float64
        self.wavenumber = torch.as_tensor(acquisition.wavenumber.copy(), device=device)
        self.even = acquisition.sweep.is_uniform
        self.uniform = self.even and acquisition.flat and not model.near_field
        self.sides = Side(acquisition, 0, device), Side(acquisition, 1, device)

    @property
    def n_freq(self) -> int:
        """Number of frequencies."""
        return len(self.wavenumber)

    def points(self, first: int, last: int) -> torch.Tensor:
        """Return the centres of voxels `first` to `last` - 1 of `Acquisition.voxels`, float64 (n, 3), metres."""
        return self.voxels.points(first, last, self.device)

    def making(self, n_antenna: int, n_freq: int) -> int:
        """Return how many voxels to make factors of at a time, so that temporary arrays take `MAKING_BYTES`."""
        each, step = MAKING_COST
        return max(1, MAKING_BYTES // (n_antenna * (each + step * n_freq)))

    def factors(self, side: int, points: torch.Tensor) -> torch.Tensor:
        """Return the factors of a side (0: transmitters, 1: receivers) at points (m, 3), metres.

        (n_freq, n, m) in the kernel's dtype. Where `uniform`, the frequencies between two of every `STRIDE` follow from
        each other by multiplication in complex128.
        """
        path, amplitude = self.sides[side].path_and_amplitude(self.model, points)
        if not self.uniform or self.n_freq < 3:
            return (amplitude * phasor(path, self.wavenumber[:, None, None])).to(self.dtype)
        out = torch.empty((self.n_freq, *path.shape), dtype=self.dtype, device=self.device)
        ratio = phasor(path, self._step)[0]
        current = ratio  # replaced at once: the first frequency is computed from its phase
        for f in range(self.n_freq):
            at_anchor = f % STRIDE == 0
            current = (
                amplitude * phasor(path, self.wavenumber[f, None, None, None])[0] if at_anchor else current * ratio
            )
            out[f] = current
        return out

    @property
    def _step(self) -> torch.Tensor:
        """Wavenumber step of a uniform sweep, radians a metre, (1, 1, 1); from its two ends, which rounds least."""
        return ((self.wavenumber[-1] - self.wavenumber[0]) / max(1, self.n_freq - 1)).reshape(1, 1, 1)
