"""Summarise a grid by its centre, extent and voxel size, from which the recipes of targets take their lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mimo import VoxelGrid

__all__ = ["GridFrame", "cell_edges"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridFrame:
    """Centre, extent and voxel size of a grid, metres, each float64 ``(3,)``, and its size, one number.

    ``extent`` is 0 along an axis of one voxel, ``spacing`` (the mean) too. ``size`` is the geometric mean of the
    extents that are not 0; 1 for a single voxel.
    """

    center: Floats
    extent: Floats
    spacing: Floats
    size: float

    @classmethod
    def of(cls, grid: VoxelGrid) -> GridFrame:
        """Return the frame of `grid`."""
        extent = np.array([axis[-1] - axis[0] for axis in (grid.x, grid.y, grid.z)])
        wide = extent[extent > 0]
        size = float(np.exp(np.log(wide).mean())) if len(wide) else 1.0
        return cls(np.array(grid.center), extent, np.array(grid.spacing), size)


def cell_edges(axis: npt.NDArray[np.float64], lone_width: float) -> Floats:
    """Return the borders between voxels, float64 ``(n + 1,)``: midpoints of the centres, the ends as far again.

    An axis of one voxel gets a cell of `lone_width` metres around it.
    """
    if len(axis) == 1:
        return np.array([axis[0] - lone_width / 2, axis[0] + lone_width / 2])
    middle = (axis[1:] + axis[:-1]) / 2
    return np.concatenate([[2 * axis[0] - middle[0]], middle, [2 * axis[-1] - middle[-1]]])
