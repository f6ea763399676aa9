"""Hold the voxels that sums run over: every one of a grid, or those inside a region.

Operators and image formers compute values of these voxels only, in the order of ``volume.ravel()``; `Voxels.pick`
takes them out of volumes and `Voxels.put` makes volumes of them, 0 elsewhere.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import torch

from mimo.grid import VoxelGrid

__all__ = ["Voxels"]

Floats = npt.NDArray[np.float64]


class Voxels:
    """Lists the voxels of a grid that lie inside a region, or all of them.

    Parameters
    ----------
    grid
        The grid.
    inside
        bool, ``grid.shape``: which voxels there are; ``None`` for all.

    Attributes
    ----------
    index
        int64 ``(n_voxel,)``, ascending: places in ``volume.ravel()``; ``None`` for all.
    """

    def __init__(self, grid: VoxelGrid, inside: npt.NDArray[np.bool_] | None = None) -> None:
        self.grid = grid
        self.index: npt.NDArray[np.int64] | None = None if inside is None else np.flatnonzero(inside)
        self._index_on: dict[torch.device, torch.Tensor] = {}
        self._coordinates_on: dict[torch.device, list[torch.Tensor]] = {}

    @property
    def n_voxel(self) -> int:
        """Number of voxels."""
        return self.grid.n_voxel if self.index is None else len(self.index)

    @property
    def listed(self) -> bool:
        """Whether `coordinates` has a number for each voxel, not for each plane of the grid."""
        return self.index is not None

    @functools.cached_property
    def coordinates(self) -> tuple[Floats, Floats, Floats]:
        """The grid's axes x, y, z where all voxels are there; else x, y, z of each voxel, (n_voxel,). Metres."""
        axes = (self.grid.x, self.grid.y, self.grid.z)
        if self.index is not None:
            places = np.unravel_index(self.index, self.grid.shape)
            axes = (axes[0][places[0]], axes[1][places[1]], axes[2][places[2]])
        x, y, z = (np.ascontiguousarray(values) for values in axes)
        return x, y, z

    def points(self, first: int, last: int, device: torch.device | None = None) -> torch.Tensor:
        """Return the centres of voxels `first` to `last` - 1, float64 (n, 3), metres."""
        parts = self._coordinates(torch.device("cpu") if device is None else device)
        if self.index is not None:
            return torch.stack([values[first:last] for values in parts], dim=1)
        index = torch.arange(first, last, device=device)
        _, n_y, n_z = self.grid.shape
        places = (index // (n_y * n_z), index // n_z % n_y, index % n_z)
        return torch.stack([axis[i] for axis, i in zip(parts, places, strict=True)], dim=1)

    def bounds(self) -> tuple[Floats, Floats]:
        """Return the lowest and the highest x, y, z of the voxels' centres, float64 (3,) each, metres."""
        x, y, z = self.coordinates
        return np.array([x.min(), y.min(), z.min()]), np.array([x.max(), y.max(), z.max()])

    def pick(self, volumes: torch.Tensor) -> torch.Tensor:
        """Return the voxels (..., n_voxel) of flattened volumes (..., grid.n_voxel); the same tensor for all."""
        return volumes if self.index is None else volumes.index_select(-1, self._index(volumes.device))

    def put(self, values: torch.Tensor) -> torch.Tensor:
        """Return flattened volumes (..., grid.n_voxel) of voxels (..., n_voxel), 0 elsewhere; the same tensor for all.

        ``RuntimeError`` when there are not `n_voxel` values.
        """
        if self.index is None:
            return values
        volumes = values.new_zeros((*values.shape[:-1], self.grid.n_voxel))
        return volumes.index_copy_(-1, self._index(values.device), values)

    def _index(self, device: torch.device) -> torch.Tensor:
        if device not in self._index_on:
            self._index_on[device] = torch.as_tensor(self.index, device=device)
        return self._index_on[device]

    def _coordinates(self, device: torch.device) -> list[torch.Tensor]:
        if device not in self._coordinates_on:
            own = (values if values.flags.writeable else values.copy() for values in self.coordinates)
            self._coordinates_on[device] = [torch.as_tensor(values, device=device) for values in own]
        return self._coordinates_on[device]
