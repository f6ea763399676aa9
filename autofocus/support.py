"""Compute the model's data, and their derivatives by the radar's geometry, for some voxels of an image."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mimo import Acquisition, FrequencySweep
from mimo.propagation import BORN, Side, phasor

__all__ = ["Fields", "Support"]

STEP = 1e-5
"""Metres, and share of a permittivity, of the central differences of one antenna's factor. In double precision their
error is ``(k STEP)^2 / 6``: 2e-6 at 16 GHz, and 5e-5 at 80 GHz."""

AT_ONCE = 2**27
"""Bytes of the products of two factors that are held at once."""


@dataclass(frozen=True, eq=False)
class Fields:
    """Holds the model's data at some frequencies of the channels that carry data, and their derivatives.

    Attributes
    ----------
    freq
        Hertz, float64 ``(n_freq,)``.
    values
        The model's data, complex128 ``(n_freq, n_channel)``.
    by_tx, by_rx
        Derivatives by the place of the channel's transmitter and receiver along x, y, z, per metre, ``(3, n_freq,
        n_channel)``; empty where nobody asked.
    by_medium
        Derivatives by the permittivities, as shares of them, ``(n_layer, n_freq, n_channel)``; empty where nobody
        asked.
    """

    freq: npt.NDArray[np.float64]
    values: torch.Tensor
    by_tx: torch.Tensor
    by_rx: torch.Tensor
    by_medium: torch.Tensor

    def times(self, response: torch.Tensor) -> Fields:
        """Return the fields of channels of a gain, complex ``(n_freq, n_channel)``."""
        every = (self.values, self.by_tx, self.by_rx, self.by_medium)
        return Fields(self.freq, *(one * response for one in every))


class Support:
    """Computes columns of the Born matrix for a few voxels, and derivatives of the data of an image of these.

    Parameters
    ----------
    acquisition
        The radar.
    points
        Centres of the voxels, float64 ``(n, 3)``, metres.
    freq
        Indices of the frequencies; all by default.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        points: npt.NDArray[np.float64],
        freq: npt.NDArray[np.integer] | None = None,
    ) -> None:
        if freq is not None:
            acquisition = acquisition.replace(sweep=FrequencySweep(acquisition.sweep.freq[freq]))
        self.acquisition = acquisition
        self.points = torch.as_tensor(points)
        self._tx, self._rx = (torch.as_tensor(i.copy()) for i in acquisition.array.channel_indices().astype(int).T)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_freq, n_channel) of the data."""
        return self.acquisition.sweep.n_freq, len(self._tx)

    @functools.cached_property
    def _sides(self) -> list[_Factors]:
        return [_Factors.of(self.acquisition, side, self.points) for side in (0, 1)]

    def columns(self) -> torch.Tensor:
        """Return the columns of the matrix, complex64 ``(n_freq * n_channel, n_voxel)``."""
        tx, rx = (side.values.to(torch.complex64) for side in self._sides)
        out = tx[:, self._tx] * rx[:, self._rx]
        if (reference := _reference(self.acquisition)) is not None:
            out *= reference.to(torch.complex64)[..., None]
        return out.flatten(0, 1)

    def fields(self, image: torch.Tensor, *, places: bool, medium: bool) -> Fields:
        """Return the data of an image ``(n_voxel,)`` and their derivatives by `places` and `medium`, where asked."""
        image = image.to(torch.complex128)
        tx, rx = (side.values for side in self._sides)
        values = self._sum(self.acquisition, tx, rx, image)
        by_tx = by_rx = by_medium = values.new_empty((0, *values.shape))
        if places:  # in single precision, as these only say which way to go
            short, still = image.to(torch.complex64), [factor.to(torch.complex64) for factor in (tx, rx)]
            by_tx = torch.stack([self._sum(self.acquisition, f, still[1], short) for f in self._by_place(0)])
            by_rx = torch.stack([self._sum(self.acquisition, still[0], f, short) for f in self._by_place(1)])
        if medium:
            by_medium = torch.stack(
                [
                    (self._in(above, image) - self._in(below, image)) / (2 * STEP)
                    for above, below in _other_media(self.acquisition)
                ]
            )
        return Fields(self.acquisition.sweep.freq, values, by_tx, by_rx, by_medium)

    def _in(self, acquisition: Acquisition, image: torch.Tensor) -> torch.Tensor:
        tx, rx = (_Factors.of(acquisition, side, self.points).values for side in (0, 1))
        return self._sum(acquisition, tx, rx, image)

    def _by_place(self, side: int) -> Iterator[torch.Tensor]:
        """Yield the derivatives of one side's factors by x, y and z of their antennas, complex64."""
        here = self._sides[side]
        phasors, amplitude = here.phasors.to(torch.complex64), here.amplitude.to(torch.complex64)
        wavenumber = torch.as_tensor(self.acquisition.wavenumber.copy())[:, None, None]
        for axis in range(3):
            step = np.zeros(3)
            step[axis] = STEP
            (path, up), (path_below, down) = (
                _path_and_amplitude(_moved(self.acquisition, side, sign * step), side, self.points) for sign in (1, -1)
            )
            by_path = (path - path_below) / (2 * STEP)
            turn = torch.complex(torch.zeros_like(by_path), by_path).to(torch.complex64) * -wavenumber.float()
            yield (((up - down) / (2 * STEP)).to(torch.complex64) + turn * amplitude) * phasors

    def _sum(self, acquisition: Acquisition, tx: torch.Tensor, rx: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return ``sum_v image[v] tx[f, t, v] rx[f, r, v]`` for the channels, complex128 (n_freq, n_channel)."""
        n_freq, n_channel = self.shape
        if 4 * n_channel >= tx.shape[1] * rx.shape[1]:
            out = ((tx * image) @ rx.transpose(1, 2))[:, self._tx, self._rx].to(torch.complex128)
        else:
            out = torch.empty(self.shape, dtype=torch.complex128)
            some = max(1, AT_ONCE // (32 * n_freq * len(image)))
            for first, last in itertools.pairwise([*range(0, n_channel, some), n_channel]):
                part = tx[:, self._tx[first:last]] * rx[:, self._rx[first:last]]
                out[:, first:last] = part @ image
        reference = _reference(acquisition)
        return out if reference is None else out * reference


@dataclass(frozen=True, eq=False)
class _Factors:
    """Holds one side's factors at points: amplitudes, with a frequency axis or without, and phasors of the paths."""

    amplitude: torch.Tensor
    phasors: torch.Tensor

    @classmethod
    def of(cls, acquisition: Acquisition, side: int, points: torch.Tensor) -> _Factors:
        path, amplitude = _path_and_amplitude(acquisition, side, points)
        return cls(amplitude, phasor(path, torch.as_tensor(acquisition.wavenumber.copy())[:, None, None]))

    @functools.cached_property
    def values(self) -> torch.Tensor:
        """The factors, complex128 (n_freq, n_antenna, n_voxel)."""
        return self.amplitude * self.phasors


def _path_and_amplitude(acquisition: Acquisition, side: int, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return Side(acquisition, side, torch.device("cpu")).path_and_amplitude(BORN, points)


def _moved(acquisition: Acquisition, side: int, step: npt.NDArray[np.float64]) -> Acquisition:
    name = ("tx_pos", "rx_pos")[side]
    return acquisition.with_radar(**{name: getattr(acquisition.array, name) + step})


def _other_media(acquisition: Acquisition) -> Iterator[tuple[Acquisition, Acquisition]]:
    """Yield pairs of acquisitions in which a permittivity is a little higher and a little lower."""
    layers = acquisition.layers
    permittivity = np.array([acquisition.permittivity]) if layers is None else layers.permittivity
    for change in STEP * np.eye(len(permittivity)):
        yield (
            acquisition.with_radar(permittivity=permittivity * (1 + change)),
            acquisition.with_radar(permittivity=permittivity * (1 - change)),
        )


def _reference(acquisition: Acquisition) -> torch.Tensor | None:
    """Return the phasors of removed paths, complex128 (n_freq, n_channel); ``None`` without."""
    if acquisition.reference_path is None:
        return None
    return torch.as_tensor(acquisition.array.list_channels(acquisition.reference_phasor()))
