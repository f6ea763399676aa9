"""Compute measurements from reflectivity by the Born model, and the exact adjoint."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from mimo.acquisition import Acquisition, medium_of
from mimo.array import ArrayGeometry
from mimo.channel_list import paired_sum
from mimo.full_array import FullArraySum
from mimo.grid import VoxelGrid
from mimo.imaging_operator import DEFAULT_MEMORY, ImagingOperator, KernelSum
from mimo.layers import LayeredMedium
from mimo.pattern import Patterns
from mimo.propagation import FactorModel
from mimo.sweep import FrequencySweep

__all__ = ["BornOperator", "PairedBornOperator", "born_operator", "operator_of"]


class BornOperator(ImagingOperator):
    """Applies the near-field Born model of an array in which every transmitter is received by every receiver.

    ``y[f, t, r] = sum_v x[v] exp(-j k_f (R_t(v) + R_r(v))) / (4 pi R_t(v) R_r(v))``
    (arXiv 2312.16959, eq. 3; arXiv 2312.16024, eq. 1, in the form of their code).

    Parameters
    ----------
    array, sweep, grid
        Geometry, frequencies and voxels. ``array.mask`` marks missing channels: their data are zero in `forward` and
        do not count in `adjoint`.
    permittivity
        Relative permittivity of the homogeneous medium.
    reference_path
        Path length already removed from the phase of each channel (motion-compensated or deramped data), metres,
        ``(n_tx, n_rx)`` or ``(n_channel,)``: the phase is ``-k (R_t + R_r - reference_path)``, reduced in float64, so
        that kilometres cost no accuracy.
    pattern
        An `AntennaPattern` about the antennas' normals, a pair (transmitters', receivers'), or ``None`` for isotropic
        antennas. Each amplitude is multiplied by both gains; `adjoint` and the image formers apply their conjugates.
    layers
        A `LayeredMedium` crossed by straight rays, instead of `permittivity`.
    dtype
        ``torch.complex64`` or ``torch.complex128``.
    device
        ``"cpu"`` or a CUDA device.
    memory
        Bytes that factors and working space may take, beside data and images. Factors that do not fit are made anew at
        every call, for some voxels and frequencies at a time; the results are the same to the last bit. A smaller
        number than this has no effect: for each thread 32 MiB of factors at most and, in `forward`, 2 KiB for each
        channel and scene (up to four), and some 30 MiB in all.

    Raises
    ------
    ValueError
        When a voxel coincides with an antenna (both are named), or an argument is out of range.

    Notes
    -----
    A call costs ``8 n_freq n_tx n_rx n_voxel`` operations a scene. For a uniform sweep it keeps about
    ``(n_tx + n_rx) n_voxel (1 + n_freq / 16)`` complex factors, for any other ``(n_tx + n_rx) n_voxel n_freq``.

    Examples
    --------
    >>> array = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3)
    >>> grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(0.4, 0.6, 11))
    >>> A = BornOperator(array, FrequencySweep.linear(4e9, 16e9, 4), grid)
    >>> y = A.forward(torch.ones(5, 7, 11))
    >>> y.shape, A.adjoint(y).shape
    (torch.Size([4, 2, 3]), torch.Size([5, 7, 11]))
    """

    def __init__(
        self,
        array: ArrayGeometry,
        sweep: FrequencySweep,
        grid: VoxelGrid,
        *,
        permittivity: float = 1.0,
        reference_path: npt.ArrayLike | None = None,
        pattern: Patterns = None,
        layers: LayeredMedium | None = None,
        dtype: torch.dtype = torch.complex64,
        device: str | torch.device = "cpu",
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        path = None if reference_path is None else np.asarray(reference_path)
        acquisition = Acquisition(array, sweep, grid, medium_of(permittivity, layers), pattern, path)
        super().__init__(acquisition, dtype=dtype, device=device, memory=memory)

    @classmethod
    def of(
        cls,
        acquisition: Acquisition,
        *,
        dtype: torch.dtype = torch.complex64,
        device: str | torch.device = "cpu",
        memory: int = DEFAULT_MEMORY,
    ) -> Self:
        """Return the operator of an acquisition; `dtype`, `device` and `memory` are those of the class."""
        made = cls.__new__(cls)
        ImagingOperator.__init__(made, acquisition, dtype=dtype, device=device, memory=memory)
        return made

    def _kernel_sum(self, model: FactorModel) -> KernelSum:
        if self.array.paired:
            raise ValueError("the array lists channels: use PairedBornOperator, or born_operator, which chooses")
        return FullArraySum(self.acquisition, model, dtype=self.dtype, device=self.device, memory=self.memory)


class PairedBornOperator(BornOperator):
    """Applies the near-field Born model for a list of channels: ``y[f, c]`` for the pairs in ``array.channels``.

    Parameters, errors and methods are those of `BornOperator`; measurements are ``(..., n_freq, n_channel)``.
    """

    def _kernel_sum(self, model: FactorModel) -> KernelSum:
        if not self.array.paired:
            raise ValueError("the array lists no channels: use BornOperator, or born_operator, which chooses")
        return paired_sum(self.acquisition, model, dtype=self.dtype, device=self.device, memory=self.memory)


def born_operator(
    array: ArrayGeometry,
    sweep: FrequencySweep,
    grid: VoxelGrid,
    *,
    permittivity: float = 1.0,
    reference_path: npt.ArrayLike | None = None,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    dtype: torch.dtype = torch.complex64,
    device: str | torch.device = "cpu",
    memory: int = DEFAULT_MEMORY,
) -> ImagingOperator:
    """Return the operator that fits the array: `PairedBornOperator` when it lists channels, else `BornOperator`.

    Parameters are those of `BornOperator`; `operator_of` takes an `Acquisition` instead.
    """
    path = None if reference_path is None else np.asarray(reference_path)
    acquisition = Acquisition(array, sweep, grid, medium_of(permittivity, layers), pattern, path)
    return operator_of(acquisition, dtype=dtype, device=device, memory=memory)


def operator_of(
    acquisition: Acquisition,
    *,
    dtype: torch.dtype = torch.complex64,
    device: str | torch.device = "cpu",
    memory: int = DEFAULT_MEMORY,
) -> ImagingOperator:
    """Return the operator of an acquisition: `PairedBornOperator` when its array lists channels, else `BornOperator`.

    `dtype`, `device` and `memory` are those of `BornOperator`.
    """
    kind = PairedBornOperator if acquisition.array.paired else BornOperator
    return kind.of(acquisition, dtype=dtype, device=device, memory=memory)
