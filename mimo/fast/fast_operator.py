"""Apply the Born model of a planar scan through plane waves: the operator of iterative methods on large rasters."""

from __future__ import annotations

import torch

from mimo.acquisition import Acquisition
from mimo.born import BornOperator, operator_of
from mimo.fast.scan_migration import ScanPlan
from mimo.imaging_operator import DEFAULT_MEMORY, ImagingOperator, KernelSum
from mimo.progress import Report, silent
from mimo.propagation import BORN, FactorModel

__all__ = ["FAST_TOLERANCE", "FastOperator", "MigrationSum"]

FAST_TOLERANCE = 0.05
"""Residual phase of channels whose transmitter stands apart from its receiver, radians."""


class MigrationSum:
    """Computes the Born sums of a planar scan by `ScanPlan`: `forward` is the exact adjoint of `adjoint`.

    Parameters
    ----------
    A
        The operator whose acquisition, precision and device are used.
    """

    def __init__(self, A: ImagingOperator) -> None:
        self.plan = ScanPlan(A, tolerance=FAST_TOLERANCE, model=BORN)
        self._voxels, self._shape = A.acquisition.voxels, A.grid.shape

    def forward(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_channel) of volumes (n_scene, n_voxel)."""
        volumes = self._voxels.put(x).view(-1, *self._shape)
        seen = []
        for i, one in enumerate(volumes):
            seen.append(self.plan.project(one, lambda share, i=i: report((i + share) / len(volumes))))  # type: ignore[misc]
        return torch.stack(seen)

    def adjoint(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_channel): the conjugate transpose."""
        made = []
        for i, one in enumerate(y):
            made.append(self.plan.image(one, lambda share, i=i: report((i + share) / len(y))))  # type: ignore[misc]
        return self._voxels.pick(torch.stack(made))

    def prepare(self) -> None:
        """Do nothing: the plan is there."""

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the columns of the matrix, (n_freq * n_channel, n), for voxels `first` to `last` - 1, one by one."""
        unit = torch.zeros((1, self._voxels.n_voxel), dtype=self.plan.dtype, device=self.plan.device)
        columns = []
        for i in range(first, last):
            unit.zero_()[0, i] = 1
            columns.append(self.forward(unit).flatten())
        return torch.stack(columns, dim=1)


class FastOperator(BornOperator):
    """Applies the Born model of a planar scan through plane waves: nearly `mimo.PairedBornOperator`, far quicker.

    For scans that `mimo.range_migration` takes, monostatic or of a board that moves as a whole. `adjoint` is the exact
    conjugate transpose of `forward`; both differ from the sums of the exact operator by some hundredths: 2 to 4 % of
    the norm of a measurement, most of it from the edges of the scene's angles and from the residual phase
    (`FAST_TOLERANCE`). Image formers that are called with it are the exact ones.

    Parameters
    ----------
    acquisition
        A planar scan in a homogeneous medium with isotropic antennas.
    dtype, device, memory
        As in `mimo.BornOperator`.

    Raises
    ------
    ValueError
        When the geometry or the medium does not fit.

    Examples
    --------
    >>> from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
    >>> scan = ArrayGeometry.planar_scan(shape=(30, 26), width=0.2)
    >>> grid = VoxelGrid.from_extent(x=(-0.05, 0.05, 9), y=(-0.05, 0.05, 11), z=(0.3, 0.35, 7))
    >>> A = FastOperator(Acquisition(scan, FrequencySweep.linear(10e9, 20e9, 30), grid))
    >>> y = A.forward(torch.ones(9, 11, 7))
    >>> y.shape, A.adjoint(y).shape
    (torch.Size([30, 780]), torch.Size([9, 11, 7]))
    """

    skips_empty = False  # the transforms take as long for few voxels as for many

    def __init__(
        self,
        acquisition: Acquisition,
        *,
        dtype: torch.dtype = torch.complex64,
        device: str | torch.device = "cpu",
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        ImagingOperator.__init__(self, acquisition, dtype=dtype, device=device, memory=memory)

    def _kernel_sum(self, model: FactorModel) -> KernelSum:
        if model is BORN:
            return MigrationSum(self)
        exact = operator_of(self.acquisition, dtype=self.dtype, device=self.device, memory=self.memory)
        return exact.kernel_sum(model)

    @property
    def product_seconds(self) -> float:
        """Predicted seconds of a product with A on one core."""
        made = self.kernel_sum(BORN)
        assert isinstance(made, MigrationSum)  # noqa: S101 - for the type checker
        return made.plan.seconds()
