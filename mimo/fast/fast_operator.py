"""Apply the Born model by the quickest of the fast sums: the operator of iterative methods on large arrays."""

from __future__ import annotations

import torch

from mimo.acquisition import Acquisition
from mimo.born import BornOperator, operator_of
from mimo.fast.factorised_sum import NODE_TOLERANCE, FactorisedSum, Plan
from mimo.fast.profile_sum import ProfileSum, profile_seconds
from mimo.fast.scan_migration import ScanPlan
from mimo.imaging_operator import DEFAULT_MEMORY, ImagingOperator, KernelSum
from mimo.progress import Report, silent
from mimo.propagation import BORN, FactorModel

__all__ = ["FAST_TOLERANCE", "FastOperator", "MigrationSum"]

FAST_TOLERANCE = 0.05
"""Residual phase of a scan's channels whose transmitter stands apart from its receiver, radians."""

WORTH_A_PLAN = 0.5
"""Nodes of an array of every pair are planned where range profiles take more than these seconds."""


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
    """Applies the Born model through plane waves, nodes or range profiles: nearly the exact operator, far quicker.

    It takes whichever of three sums is predicted to be the quickest for the geometry (`way`):

    - ``"migration"``, for scans that `mimo.range_migration` takes, monostatic or of a board that moves as a whole. It
      differs from the exact operator by some hundredths: 2 to 4 % of the norm of a measurement, most of it from the
      edges of the scene's angles and from the residual phase (`FAST_TOLERANCE`).
    - ``"factorised"``, the sums of `mimo.backproject_factorised`, for arrays of every pair with many antennas;
    - ``"profiles"``, the sums of `mimo.backproject_fast`, for any other array: both within 0.2 % of the norm.

    `adjoint` is the exact conjugate transpose of `forward`, to rounding. Image formers that are called with it are the
    exact ones.

    Parameters
    ----------
    acquisition
        Any array and medium; patterns are real and the same at every frequency.
    dtype, device, memory
        As in `mimo.BornOperator`.

    Attributes
    ----------
    way
        ``"migration"``, ``"factorised"`` or ``"profiles"``.

    Raises
    ------
    ValueError
        When a pattern is complex or depends on the frequency, or a voxel lies on an antenna.

    Examples
    --------
    >>> from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
    >>> scan = ArrayGeometry.planar_scan(shape=(60, 52), width=0.2)
    >>> grid = VoxelGrid.from_extent(x=(-0.05, 0.05, 29), y=(-0.05, 0.05, 31), z=(0.3, 0.35, 17))
    >>> A = FastOperator(Acquisition(scan, FrequencySweep.linear(10e9, 20e9, 30), grid))
    >>> A.way
    'migration'
    >>> y = A.forward(torch.ones(29, 31, 17))
    >>> y.shape, A.adjoint(y).shape
    (torch.Size([30, 3120]), torch.Size([29, 31, 17]))
    """

    way: str

    def __init__(
        self,
        acquisition: Acquisition,
        *,
        dtype: torch.dtype = torch.complex64,
        device: str | torch.device = "cpu",
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        ImagingOperator.__init__(self, acquisition, dtype=dtype, device=device, memory=memory)

    @property
    def skips_empty(self) -> bool:  # type: ignore[override]
        """Whether empty voxels are left out one by one: transforms take as long, and nodes skip empty blocks."""
        return self.way == "profiles"

    def _kernel_sum(self, model: FactorModel) -> KernelSum:
        if model is not BORN:
            exact = operator_of(self.acquisition, dtype=self.dtype, device=self.device, memory=self.memory)
            return exact.kernel_sum(model)
        before = self._sums.get(BORN.name)
        if isinstance(before, ProfileSum):  # of the same channels and other voxels: the same map to rounding
            return ProfileSum(self.acquisition, BORN, dtype=self.dtype, device=self.device, profiles=before.profiles)
        made, seconds = self._chosen()
        self.product_seconds = seconds
        return made

    def _chosen(self) -> tuple[KernelSum, float]:
        """Return the quickest sums, and their predicted seconds of a product on one core."""
        seconds = profile_seconds(self)
        self.way = "profiles"
        if self.array.paired:
            try:
                migration = MigrationSum(self)
            except ValueError:  # no such scan
                pass
            else:
                if migration.plan.seconds() < seconds:
                    self.way = "migration"
                    return migration, migration.plan.seconds()
        elif seconds > WORTH_A_PLAN and not any((*self.acquisition.patterns, *self.array.far, self.acquisition.layers)):
            plan = Plan.best(self, NODE_TOLERANCE, spreading=True)
            if plan.seconds(self) < seconds:
                self.way = "factorised"
                return FactorisedSum(self, BORN, plan=plan), plan.seconds(self)
        return ProfileSum(self.acquisition, BORN, dtype=self.dtype, device=self.device), seconds
