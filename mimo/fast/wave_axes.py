"""Transform a scan along one axis into plane waves, and plane waves into voxels.

Waves along an axis come in pairs of opposite wavenumbers at half steps of the spectrum, so that none is zero and waves
that differ in signs alone share what depends on kx^2 and ky^2. Evenly spaced positions are transformed by FFTs, others
by matrix products; the way from waves to voxels is a product, because the voxels' step has nothing to do with the
spectrum's. Each transform also has its exact adjoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from mimo.fast.fft_engine import fft_rows, next_length

__all__ = ["FftTransform", "ProductTransform", "Transform", "WaveAxis", "even_places", "taper"]

Floats = npt.NDArray[np.float64]

EVEN = 1 / 4096
"""How far positions may lie off an even spacing for an FFT, in wavelengths: 0.003 rad there and back."""

GAPS = 4
"""Places of an even spacing for each position at most."""

FEWEST = 24
"""Positions from which an FFT is quicker than a matrix product."""


class Transform(Protocol):
    """Turns the values at positions along an axis into plane waves; `adjoint` is its exact conjugate transpose."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Waves (..., n_wave) of values (..., n_position)."""
        ...

    def adjoint(self, waves: torch.Tensor) -> torch.Tensor:
        """Values (..., n_position) of waves (..., n_wave)."""
        ...


class ProductTransform:
    """Transforms by a matrix product, at any positions; `matrix` is complex (n_wave, n_position)."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self._matrix = matrix

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """See `Transform`."""
        return values @ self._matrix.T

    def adjoint(self, waves: torch.Tensor) -> torch.Tensor:
        """See `Transform`."""
        return waves @ self._matrix.conj()


class FftTransform:
    """Transforms by an FFT of positions ``first + step place``.

    The waves beyond those that the step can tell apart repeat the others, as the spectrum of samples is periodic.

    Parameters
    ----------
    place
        Places of the positions, int64 (n_position,), from 0 to n - 1.
    n
        Length of the FFT; the period of the plane is n steps.
    order
        Waves as multiples of the spectrum's step, less one half, int64 (n_wave,).
    first
        The first position's phase is that of ``first`` metres from the origin; `step` is in metres, too.
    """

    def __init__(
        self,
        place: npt.NDArray[np.int64],
        n: int,
        order: npt.NDArray[np.int64],
        first: float,
        step: float,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        def put(values: npt.NDArray[np.generic], kind: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(values, dtype=kind, device=device)

        self._n, self._span = n, int(place.max()) + 1
        self._dense = len(place) == self._span
        self._taken: slice | torch.Tensor = slice(0, self._span)
        if not self._dense:
            self._taken = put(place, torch.long)
        self._place, self._wave = put(place, torch.long), put(order % n, torch.long)
        self._apart = len(np.unique(order % n)) == len(order)
        # exp(-j kappa (first + step place)) with kappa = 2 pi (order + 1/2) / (n step), in three factors
        self._before = put(_turned(-0.5 * place / n), dtype)
        self._after = put(_turned(-(order + 0.5) * (first / (n * step))), dtype)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """See `Transform`."""
        values = values * self._before
        if not self._dense:
            spaced = values.new_zeros((*values.shape[:-1], self._span))
            spaced[..., self._place] = values
            values = spaced
        return fft_rows(values, self._n).index_select(-1, self._wave).mul_(self._after)

    def adjoint(self, waves: torch.Tensor) -> torch.Tensor:
        """See `Transform`."""
        spectrum = waves.new_zeros((*waves.shape[:-1], self._n))
        waves = waves * self._after.conj()
        if self._apart:
            spectrum.index_copy_(-1, self._wave, waves)
        else:
            spectrum.index_add_(-1, self._wave, waves)
        return fft_rows(spectrum, self._n, inverse=True)[..., self._taken] * self._before.conj()


@dataclass(frozen=True, eq=False)
class WaveAxis:
    """Holds the plane waves along one axis, x or y, and the transforms that lead to and from them.

    Attributes
    ----------
    wavenumber
        The positive wavenumbers, float64 (n,), radians a metre; waves are ordered (wavenumber, -wavenumber).
    from_positions
        A transform for each class of the scan.
    cosine, sine
        Of each wave at each voxel over the period, real (n_voxel, n): a pair of opposite waves takes half the products
        with these that it takes with complex numbers.
    slope
        Largest wavenumber / kz that the scene needs.
    """

    wavenumber: Floats
    from_positions: tuple[Transform, ...]
    cosine: torch.Tensor
    sine: torch.Tensor
    slope: float

    @classmethod
    def of(
        cls,
        positions: Sequence[Floats],
        voxels: Floats,
        *,
        depth: tuple[float, float],
        margin: float,
        steepest: float,
        k_max: float,
        padding: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> WaveAxis:
        """Choose the waves along one axis.

        Parameters
        ----------
        positions
            Coordinates of each class along the axis, ascending, metres.
        voxels
            Coordinates of the voxels along the axis, ascending, metres.
        depth
            Nearest and farthest distance of voxels from the scan's plane, metres.
        margin
            Slopes beyond the largest one that the scene needs over which waves fade out.
        steepest
            Largest slope that is migrated.
        k_max
            Largest wavenumber of the way there and back, radians a metre.
        padding
            As in `mimo.range_migration`.
        dtype, device
            Those of the transforms.
        """
        near, far = depth
        low, high = min(float(p[0]) for p in positions), max(float(p[-1]) for p in positions)
        # reach: largest distance between a position and a voxel along the axis. The spectrum is sampled, so the plane
        # repeats; a wave of the largest slope moves far * slope sideways and must not wrap around into the scene.
        reach = max(float(voxels[-1]) - low, high - float(voxels[0]), 0.0)
        slope = min(reach / near, steepest)
        period = padding * (reach + far * (slope + margin))
        step, places = even_places(positions, EVEN * 4 * math.pi / k_max)
        length = 0
        if step:
            length = next_length(max(math.ceil(period / step), max(int(p.max()) + 1 for p in places)))
            period = length * step
        largest = k_max * math.sin(math.atan(slope + margin))
        n = max(1, math.ceil(largest * period / (2 * math.pi)))
        order = np.arange(n)
        both = np.concatenate([order, -1 - order])  # less the half: n + 1/2 and -(n + 1/2)
        turns = (both + 0.5) / period
        middle = (low + high) / 2
        transforms: list[Transform] = []
        for i, p in enumerate(positions):
            if step:
                first = float(np.mean(p - step * places[i])) - middle
                transforms.append(FftTransform(places[i], length, both, first, step, dtype=dtype, device=device))
            else:
                leaving = _turned(-np.multiply.outer(turns, p - middle))
                transforms.append(ProductTransform(torch.as_tensor(leaving, dtype=dtype, device=device)))
        arriving = _turned(np.multiply.outer(voxels - middle, turns[:n])) / period
        cosine, sine = (
            torch.as_tensor(p, dtype=dtype.to_real(), device=device) for p in (arriving.real, arriving.imag)
        )
        return cls(2 * np.pi * turns[:n], tuple(transforms), cosine, sine, slope)

    def to_voxels(self, waves: torch.Tensor) -> torch.Tensor:
        """Values at the voxels, (n_voxel, m), of waves (2, n, m), those of positive wavenumber first."""
        plus, minus = waves
        together, apart = torch.view_as_real(plus + minus), torch.view_as_real(1j * (plus - minus))
        made = torch.addmm(self.cosine @ together.flatten(1), self.sine, apart.flatten(1))
        return torch.view_as_complex(made.unflatten(1, (-1, 2)))

    def from_voxels(self, values: torch.Tensor) -> torch.Tensor:
        """Waves (2, n, m) of values (n_voxel, m): the conjugate transpose of `to_voxels`."""
        flat = torch.view_as_real(values.resolve_conj()).flatten(1)
        together, apart = (
            torch.view_as_complex((part.T @ flat).unflatten(1, (-1, 2))) for part in (self.cosine, self.sine)
        )
        apart = 1j * apart
        return torch.stack([together - apart, together + apart])


def even_places(positions: Sequence[Floats], limit: float) -> tuple[float, list[npt.NDArray[np.int64]]]:
    """Find one step on whose multiples the positions of every class lie, each class from a start of its own.

    Returns the step, metres, and the places of each class's positions; 0 and an empty list where there is none, or
    where positions are so few that a product is quicker. Places without a position are allowed. `limit` is how far a
    position may be off, metres.
    """
    most = max(positions, key=len)
    if len(most) < FEWEST:
        return 0.0, []
    gap = float(np.diff(most).min())
    span = max(1, round(float(most[-1] - most[0]) / gap))
    step = float(most[-1] - most[0]) / span
    places = [np.rint((p - p[0]) / step).astype(np.int64) for p in positions]
    for p, place in zip(positions, places, strict=True):
        off = p - step * place
        if np.ptp(off) > 2 * limit or place.max() >= GAPS * max(len(place), FEWEST):
            return 0.0, []
    return step, places


def taper(places: Floats, share: float) -> Floats:
    """Return a tapered-cosine (Tukey) window, float64 (n,), over ascending places.

    `share` of their extent is tapered, half of it at each end. The window is zero half a mean step beyond the ends.
    """
    n = len(places)
    if share == 0 or n == 1:
        return np.ones(n)
    place = (0.5 + (n - 1) * (places - places[0]) / (places[-1] - places[0])) / n
    edge = np.minimum(place, 1 - place)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(2 * edge / share, 0, 1)))


def _turned(turns: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.complex128]:
    """exp(2 pi j turns)."""
    return np.exp(2j * np.pi * (turns - np.round(turns)))
