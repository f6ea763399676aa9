"""Sums for a list of (tx, rx) channels instead of every pair, monostatic scans included."""

from __future__ import annotations

import torch

from mimo.array import ArrayGeometry
from mimo.factorised import FactorisedSum, SeparableKernel
from mimo.linear import KernelSum

BLOCK_BYTES = 2**22
"""Bytes of the kernel of one block of voxels, (n_freq, n_channel, n_block); a block holds one voxel at least."""

SCATTER_UP_TO = 16
"""Up to this many pairs for each listed channel it is quicker to sum over every pair, as matrix products, and pick."""


class ScatteredSum:
    """Listed channels picked from the sums over every pair of the same antennas."""

    def __init__(self, every_pair: FactorisedSum, channels: torch.Tensor) -> None:
        self._every_pair = every_pair
        self._tx, self._rx = channels[:, 0], channels[:, 1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_channel) of volumes (n_scene, n_voxel)."""
        return self._every_pair.forward(x)[:, :, self._tx, self._rx]

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_channel): the conjugate transpose."""
        n_tx, n_rx = self._every_pair.channel_shape
        full = torch.zeros((*y.shape[:2], n_tx * n_rx), dtype=y.dtype, device=y.device)
        full.index_add_(2, self._tx * n_rx + self._rx, y)
        return self._every_pair.adjoint(full.view(*y.shape[:2], n_tx, n_rx))

    def prepare(self) -> None:
        """Make the factors that will be kept."""
        self._every_pair.prepare()

    def columns(self, first: int, last: int) -> torch.Tensor:
        """The columns of the matrix, (n_freq * n_channel, n), for voxels `first` to `last` - 1."""
        n_freq = self._every_pair.n_freq
        full = self._every_pair.columns(first, last).view(n_freq, *self._every_pair.channel_shape, last - first)
        return full[:, self._tx, self._rx].flatten(0, 1)


def every_pair(array: ArrayGeometry) -> ArrayGeometry:
    """Return the array of the same antennas in which every transmitter is received by every receiver."""
    return ArrayGeometry(array.tx_pos, array.rx_pos, None, None, array.tx_normal, array.rx_normal)


def paired_sum(array: ArrayGeometry, *args: object, **kwargs: object) -> KernelSum:
    """Return the quicker of the two ways to sum over an array's listed channels; arguments of `SeparableKernel`."""
    if array.channels is not None and array.n_tx * array.n_rx <= SCATTER_UP_TO * len(array.channels):
        full = FactorisedSum(every_pair(array), *args, **kwargs)
        channels = torch.as_tensor(array.channels.copy(), dtype=torch.long, device=full.device)
        return ScatteredSum(full, channels)
    return PairedSum(array, *args, **kwargs)


class PairedSum(SeparableKernel):
    """The sums of `mimo.factorised.FactorisedSum` over listed channels: y[f, c] = sum_v x[v] G[f, t_c, v] H[f, r_c, v].

    A block's kernel is made from its antennas' factors, used and dropped, so memory stays near `BLOCK_BYTES`; blocks
    are kept when all of them fit the memory budget.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        assert self.array.channels is not None  # noqa: S101 - the callers' contract, for the type checker
        self._channels = torch.as_tensor(self.array.channels.copy(), dtype=torch.long, device=self.device)
        bytes_per_voxel = self.n_freq * len(self._channels) * self.dtype.itemsize
        size = max(1, BLOCK_BYTES // bytes_per_voxel)
        n_voxel = self.grid.n_voxel
        self._blocks = [(first, min(first + size, n_voxel)) for first in range(0, n_voxel, size)]
        self._keep = n_voxel * bytes_per_voxel <= self.memory
        self._kept: dict[tuple[int, int], torch.Tensor] = {}

    @property
    def channel_shape(self) -> tuple[int, ...]:
        """(n_channel,)."""
        return (len(self._channels),)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_channel) of volumes (n_scene, n_voxel)."""
        y = torch.zeros((len(x), self.n_freq * len(self._channels)), dtype=self.dtype, device=self.device)
        for first, last in self._blocks:
            y += x[:, first:last] @ self.columns(first, last).T
        return y.view(len(x), self.n_freq, *self.channel_shape)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_channel): the conjugate transpose."""
        conj = y.reshape(len(y), -1).conj().resolve_conj()
        parts = [conj @ self.columns(first, last) for first, last in self._blocks]
        return torch.cat(parts, dim=1).conj().resolve_conj()

    def prepare(self) -> None:
        """Make the blocks that will be kept."""
        if self._keep:
            for block in self._blocks:
                self.columns(*block)

    def columns(self, first: int, last: int) -> torch.Tensor:
        """The columns of the matrix, (n_freq * n_channel, n), of voxels `first` to `last` - 1."""
        kernel = self._kept.get((first, last))
        if kernel is None:
            points = self.points(first, last)
            tx, rx = self.factors(0, points), self.factors(1, points)
            kernel = (tx[:, self._channels[:, 0]] * rx[:, self._channels[:, 1]]).flatten(0, 1)
            if self._keep and (first, last) in self._blocks:
                self._kept[first, last] = kernel
        return kernel
