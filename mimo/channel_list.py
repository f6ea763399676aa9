"""Sum over a list of (transmitter, receiver) channels instead of every pair; monostatic scans are such lists."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from mimo import kernels
from mimo.acquisition import Acquisition
from mimo.array import ArrayGeometry
from mimo.compiled_channels import ChannelSums
from mimo.factors import STRIDE, SeparableKernel
from mimo.full_array import FullArraySum
from mimo.imaging_operator import KernelSum
from mimo.progress import Report, silent
from mimo.propagation import FactorModel, phasor

__all__ = ["ChannelListSum", "PickedChannelSum", "every_pair", "paired_sum"]

PAIRS_AT_ONCE = 2**17
"""(channel, voxel) pairs treated together on the torch path."""

SCATTER_UP_TO = 16
"""Up to this many (tx, rx) pairs for each listed channel it is quicker to sum over every pair, as matrix products, and
to pick the listed ones."""

SETUP = 300
"""What the compiled sums spend on a (channel, voxel) pair before its first frequency, as a number of frequencies."""


class PickedChannelSum:
    """Computes the sums over every pair of the antennas and picks the listed channels from them.

    Parameters
    ----------
    every_pair
        The sums over every pair of the same antennas.
    channels
        int64 (n_channel, 2), (tx, rx) of each channel.
    reference
        Phasors of the removed paths, complex (n_freq, n_channel), or ``None``.
    """

    def __init__(self, every_pair: FullArraySum, channels: torch.Tensor, reference: torch.Tensor | None) -> None:
        self._every_pair = every_pair
        self._tx, self._rx = channels[:, 0], channels[:, 1]
        self._reference = reference

    def forward(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_channel) of volumes (n_scene, n_voxel)."""
        y = self._every_pair.forward(x, report)[:, :, self._tx, self._rx]
        return y if self._reference is None else y * self._reference

    def adjoint(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_channel): the conjugate transpose."""
        n_tx, n_rx = self._every_pair.channel_shape
        y = y if self._reference is None else y * self._reference.conj()
        full = torch.zeros((*y.shape[:2], n_tx * n_rx), dtype=y.dtype, device=y.device)
        full.index_add_(2, self._tx * n_rx + self._rx, y)
        return self._every_pair.adjoint(full.view(*y.shape[:2], n_tx, n_rx), report)

    def prepare(self) -> None:
        """Make the factors that will be kept, so that no later call waits for them."""
        self._every_pair.prepare()

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the columns of the matrix, (n_freq * n_channel, n), for voxels `first` to `last` - 1."""
        n_freq = self._every_pair.n_freq
        full = self._every_pair.columns(first, last).view(n_freq, *self._every_pair.channel_shape, last - first)
        columns = full[:, self._tx, self._rx]
        if self._reference is not None:
            columns = columns * self._reference[..., None]
        return columns.flatten(0, 1)


def every_pair(array: ArrayGeometry) -> ArrayGeometry:
    """Return the array of the same antennas in which every transmitter is received by every receiver."""
    return replace(array, channels=None, mask=None, name="")


def paired_sum(
    acquisition: Acquisition, model: FactorModel, *, dtype: torch.dtype, device: torch.device, memory: int
) -> KernelSum:
    """Return the quicker of the two ways to sum over an array's listed channels."""
    array, n_freq = acquisition.array, acquisition.sweep.n_freq
    assert array.channels is not None  # noqa: S101 - the callers' contract, for the type checker
    pairs = array.n_tx * array.n_rx / len(array.channels)
    compiled = device.type == "cpu" and kernels.available() and acquisition.flat
    # cost of a listed channel at a voxel: pairs * n_freq products over every pair, n_freq + SETUP in the compiled list
    if pairs <= SCATTER_UP_TO and not (compiled and pairs * n_freq > n_freq + SETUP):
        full = FullArraySum(
            replace(acquisition, array=every_pair(array), reference_path=None),
            model,
            dtype=dtype,
            device=device,
            memory=memory,
        )
        channels = torch.as_tensor(array.channels.copy(), dtype=torch.long, device=device)
        reference = None
        if acquisition.reference_path is not None:
            reference = torch.as_tensor(acquisition.reference_phasor(), device=device).to(dtype)
        return PickedChannelSum(full, channels, reference)
    return ChannelListSum(acquisition, model, dtype=dtype, device=device, memory=memory)


class ChannelListSum(SeparableKernel):
    """Computes the sums over listed channels one by one: ``y[f, c] = sum_v x[v] B[c, v] exp(-j k_f d[c, v])``.

    d is the path of the channel less its reference path, B the product of its antennas' amplitudes. The kernel is never
    stored. The compiled sums of `mimo.compiled_channels` advance one phasor for each (channel, voxel) pair from
    frequency to frequency. Without them torch does so for a tile of pairs at a time, in the operator's precision, with
    a new exponential at every `STRIDE`-th frequency. Parameters are those of `SeparableKernel`.
    """

    def __init__(
        self, acquisition: Acquisition, model: FactorModel, *, dtype: torch.dtype, device: torch.device, memory: int
    ) -> None:
        super().__init__(acquisition, model, dtype=dtype, device=device, memory=memory)
        assert self.array.channels is not None  # noqa: S101 - the callers' contract, for the type checker
        self._channels = torch.as_tensor(self.array.channels.copy(), dtype=torch.long, device=self.device)
        path = torch.zeros(len(self._channels), dtype=torch.float64)
        if acquisition.reference_path is not None:
            path = torch.as_tensor(acquisition.reference_path.copy())
        self._reference_path = path.to(self.device)
        self._compiled = None
        if self.device.type == "cpu" and kernels.available() and acquisition.flat:
            self._compiled = ChannelSums(acquisition, model, dtype=dtype, memory=memory)
        self._step_or_none = float(self._step) if self.even and self.n_freq > 2 else 0.0

    @property
    def channel_shape(self) -> tuple[int, ...]:
        """(n_channel,)."""
        return (len(self._channels),)

    def forward(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_channel) of volumes (n_scene, n_voxel)."""
        if self._compiled is not None and not self.model.near_field:
            return self._compiled.forward(x, self._step_or_none, report)
        kernels.warn_if_slow(x.numel() * self.n_freq * len(self._channels), self.device, "listed")
        y = torch.zeros((len(x), self.n_freq, *self.channel_shape), dtype=self.dtype, device=self.device)
        for channels, first, last in self._tiles(report):
            for f, kernel in enumerate(self._kernels(channels, first, last)):
                y[:, f, channels] += x[:, first:last] @ kernel.T
        return y

    def adjoint(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_channel): the conjugate transpose."""
        if self._compiled is not None:
            return self._compiled.spread(y, self._step_or_none, report)
        kernels.warn_if_slow(y.numel() * self.voxels.n_voxel, self.device, "listed")
        conj = y.conj().resolve_conj()
        out = torch.zeros((len(y), self.voxels.n_voxel), dtype=self.dtype, device=self.device)
        for channels, first, last in self._tiles(report):
            for f, kernel in enumerate(self._kernels(channels, first, last)):
                out[:, first:last] += conj[:, f, channels] @ kernel
        return out.conj().resolve_conj()

    def prepare(self) -> None:
        """Do nothing: no factors are kept."""

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the columns of the matrix, (n_freq * n_channel, n), for voxels `first` to `last` - 1."""
        every = slice(0, len(self._channels))
        return torch.cat(list(self._kernels(every, first, last)))

    def _tiles(self, report: Report) -> Iterator[tuple[slice, int, int]]:
        """Yield tiles of about `PAIRS_AT_ONCE` (channel, voxel) pairs: channels, first voxel, last voxel + 1."""
        n_channel, n_voxel = len(self._channels), self.voxels.n_voxel
        wide = min(n_channel, max(1, math.isqrt(PAIRS_AT_ONCE)))
        deep = max(1, PAIRS_AT_ONCE // wide)
        for c in range(0, n_channel, wide):
            for first in range(0, n_voxel, deep):
                last = min(first + deep, n_voxel)
                yield slice(c, min(c + wide, n_channel)), first, last
                report((c + (min(c + wide, n_channel) - c) * last / n_voxel) / n_channel)

    def _kernels(self, channels: slice, first: int, last: int) -> Iterator[torch.Tensor]:
        """Yield the kernel of a tile at each frequency in turn, (n_channel, n_voxel) in the kernel's dtype."""
        points = self.points(first, last)
        (tx_path, tx_size), (rx_path, rx_size) = (s.path_and_amplitude(self.model, points) for s in self.sides)
        tx, rx = self._channels[channels].T
        path = tx_path[tx] + rx_path[rx] - self._reference_path[channels, None]
        size = tx_size[..., tx, :] * rx_size[..., rx, :]
        wavenumber = self.wavenumber[:, None, None, None]
        if not (self.uniform and self.n_freq > 2):
            for f in range(self.n_freq):
                yield ((size if size.ndim == 2 else size[f]) * phasor(path, wavenumber[f])[0]).to(self.dtype)
            return
        ratio = phasor(path, self._step)[0].to(self.dtype)
        current = ratio
        for f in range(self.n_freq):
            at_anchor = f % STRIDE == 0
            current = (size * phasor(path, wavenumber[f])[0]).to(self.dtype) if at_anchor else current * ratio
            yield current
