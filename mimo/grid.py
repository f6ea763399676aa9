"""Describe the voxel grid on which the reflectivity is imaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mimo._values import frozen_array, points_repr, same_arrays
from mimo.memory import check_memory

__all__ = ["AXES", "VoxelGrid", "voxel_edges"]

AXES = ("x", "y", "z")


@dataclass(frozen=True, eq=False, repr=False)
class VoxelGrid:
    """Describes a rectilinear grid by its voxel centres along x, y (cross-range) and z (down-range), in metres.

    Parameters
    ----------
    x, y, z
        float64 ``(n_x,)``, ``(n_y,)``, ``(n_z,)``, metres, strictly ascending; one voxel along an axis is enough.

    Raises
    ------
    ValueError
        When an axis is empty, not finite or not ascending.

    Examples
    --------
    >>> grid = VoxelGrid.from_extent(x=(-0.15, 0.15, 25), y=(-0.15, 0.15, 25), z=(0.35, 0.65, 49))
    >>> grid.shape, grid.n_voxel
    ((25, 25, 49), 30625)
    >>> eval(repr(grid)) == grid
    True
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    z: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in AXES:
            axis = frozen_array(f"grid {name}", getattr(self, name), np.float64)
            if axis.ndim != 1 or not len(axis):
                raise ValueError(f"grid {name} has shape {axis.shape}: expected (n,) with n at least 1, in metres")
            if not np.isfinite(axis).all():
                raise ValueError(f"grid {name} has a NaN or infinite position: expected metres")
            if (np.diff(axis) <= 0).any():
                raise ValueError(f"grid {name} is not ascending: expected voxel centres from low to high, in metres")
            object.__setattr__(self, name, axis)

    @classmethod
    def from_extent(
        cls, *, x: tuple[float, float, int], y: tuple[float, float, int], z: tuple[float, float, int]
    ) -> VoxelGrid:
        """Return evenly spaced voxels; each axis is (start, stop, count) in metres, both ends included."""
        axes = {}
        for name, (start, stop, count) in zip(AXES, (x, y, z), strict=True):
            if int(count) != count or count < 1:
                raise ValueError(f"grid {name} has count {count}: expected a whole number, 1 or more")
            check_memory(f"grid {name} with {count} voxels", 32.0 * count)
            if count == 1 and start != stop:
                raise ValueError(f"grid {name} has one voxel from {start} to {stop} m: expected start == stop")
            axes[name] = np.linspace(start, stop, int(count))
        return cls(**axes)

    @classmethod
    def parse(cls, text: str) -> VoxelGrid:
        """Read ``x=-0.15:0.15:25,y=-0.15:0.15:25,z=0.35:0.65:49`` (start:stop:count in metres, ends included).

        ``ValueError`` for a text of another form, which the message quotes.

        >>> VoxelGrid.parse("x=0:1:3,y=-1:1:5,z=0.5:0.5:1").shape
        (3, 5, 1)
        """
        axes: dict[str, tuple[float, float, int]] = {}
        for part in text.split(","):
            name, _, extent = part.strip().partition("=")
            numbers = extent.split(":")
            try:
                start, stop, count = float(numbers[0]), float(numbers[1]), int(numbers[2])
            except (IndexError, ValueError):
                numbers = []
            if name not in AXES or name in axes or len(numbers) != 3:
                raise ValueError(
                    f"grid {text!r} is wrong at {part.strip()!r}: expected x=START:STOP:COUNT,y=...,z=... in metres"
                )
            axes[name] = (start, stop, count)
        missing = [name for name in AXES if name not in axes]
        if missing:
            raise ValueError(f"grid {text!r} has no {missing[0]}: expected x=START:STOP:COUNT,y=...,z=... in metres")
        return cls.from_extent(**axes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(n_x, n_y, n_z)``."""
        return len(self.x), len(self.y), len(self.z)

    @property
    def n_voxel(self) -> int:
        """Number of voxels."""
        return len(self.x) * len(self.y) * len(self.z)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mean distance between neighbouring centres along x, y, z, metres; 0 along an axis of one voxel."""
        dx, dy, dz = (float(a[-1] - a[0]) / (len(a) - 1) if len(a) > 1 else 0.0 for a in (self.x, self.y, self.z))
        return dx, dy, dz

    @property
    def center(self) -> tuple[float, float, float]:
        """Middle of the grid, metres."""
        cx, cy, cz = (float(a[0] + a[-1]) / 2 for a in (self.x, self.y, self.z))
        return cx, cy, cz

    def centers(self) -> npt.NDArray[np.float64]:
        """Return voxel centres, float64 ``(n_voxel, 3)``, metres, z varying fastest (as in ``volume.ravel()``)."""
        mesh = np.meshgrid(self.x, self.y, self.z, indexing="ij")
        return np.stack(mesh, axis=-1).reshape(-1, 3)

    def nearest(self, points: npt.ArrayLike) -> npt.NDArray[np.intp]:
        """Return the index (i, j, k) of the voxel nearest each point, ``(n, 3)``; points are ``(n, 3)``, metres."""
        points = np.asarray(points, float)
        columns = [np.abs(axis - points[:, [i]]).argmin(axis=1) for i, axis in enumerate((self.x, self.y, self.z))]
        return np.stack(columns, axis=1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VoxelGrid):
            return NotImplemented
        return all(same_arrays(getattr(self, n), getattr(other, n)) for n in AXES)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, n).tobytes() for n in AXES))

    def __repr__(self) -> str:
        extents = []
        for name in AXES:
            axis = getattr(self, name)
            start, stop = float(axis[0]), float(axis[-1])
            if not np.array_equal(axis, np.linspace(start, stop, len(axis))):
                return f"VoxelGrid({', '.join(f'{n}={points_repr(getattr(self, n))}' for n in AXES)})"
            extents.append(f"{name}=({start!r}, {stop!r}, {len(axis)})")
        return f"VoxelGrid.from_extent({', '.join(extents)})"


def voxel_edges(grid: VoxelGrid) -> dict[str, npt.NDArray[np.float64]]:
    """Return the edges of the voxels along ``x``, ``y`` and ``z``, in metres, ``(n + 1,)`` each.

    Edges are half-way between centres; the outer voxels extend as far outwards as inwards. A single voxel along an axis
    has no spacing: it is made as thick as the mean voxel of the other axes, or 1 m if these are single too.
    """
    spacings = [s for s in grid.spacing if s > 0]
    thickness = float(np.mean(spacings)) if spacings else 1.0
    edges = {}
    for name in ("x", "y", "z"):
        axis = getattr(grid, name)
        if len(axis) == 1:
            edges[name] = axis[0] + thickness * np.array([-0.5, 0.5])
            continue
        middle = (axis[1:] + axis[:-1]) / 2
        edges[name] = np.concatenate([[2 * axis[0] - middle[0]], middle, [2 * axis[-1] - middle[-1]]])
    return edges
