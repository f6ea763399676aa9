"""Find the extent of the scene, from the file's grid or by a guess from the array, and cover it with a coarse grid."""

from __future__ import annotations

import numpy as np

from mimo import VoxelGrid
from mimo.data.measurement import Measurement
from mimo.region import surrounds
from mimo.sampling import expected_sampling, unambiguous_range

__all__ = ["coarse_grid", "guessed_grid", "parse_box", "scene_box"]

ENCLOSING = 0.25
"""A hull whose shortest extent is below this fraction of its longest holds no scene: the array faces one."""

INSIDE = 0.98
"""Fraction of the box around the antennas that is used, so that no voxel lies on an antenna."""


def scene_box(measurement: Measurement) -> tuple[VoxelGrid, str]:
    """Return the scene's corners as a grid of two voxels an axis, and in words where they come from.

    They are those of the measurement's own grid where it has one. Else they are guessed:

    - where the path removed from the phase is the way to the origin and back: around the origin on z = 0, a quarter of
      the unambiguous range either way;
    - where the antennas surround the scene: the box around them;
    - else: before the array (towards +z), from half its size to two and a half times its size, as wide as the array.
    """
    grid = measurement.grid
    if grid is not None:
        return _box(*([axis[0], axis[-1]] for axis in (grid.x, grid.y, grid.z))), "the file's grid"
    array = measurement.array
    antennas = np.concatenate([array.tx_pos, array.rx_pos])
    low, high = antennas.min(axis=0), antennas.max(axis=0)
    if _removed_to_origin(measurement):
        reach = unambiguous_range(measurement.sweep, permittivity=measurement.permittivity) / 4
        reach = reach if np.isfinite(reach) else 1.0
        return _box([-reach, reach], [-reach, reach], [0.0, 0.0]), "a guess: around the origin"
    extent = high - low
    size = float(extent.max()) or 0.1
    centre, half = (low + high) / 2, INSIDE * extent / 2
    around = _box(*np.stack([centre - half, centre + half], axis=1))
    if extent.min() > ENCLOSING * size and surrounds(array, around):
        return around, "a guess: the box around the antennas"
    across = [
        [c - max(e, size) / 2, c + max(e, size) / 2] for c, e in zip((low + high)[:2] / 2, extent[:2], strict=True)
    ]
    depth = high[2] + np.array([0.5, 2.5]) * size
    return _box(*across, depth), "a guess: before the array, towards +z"


def parse_box(text: str) -> VoxelGrid:
    """Read ``x=-0.1:0.1,y=-0.1:0.1,z=0.3:0.6`` (start:stop in metres) as the two corners of a box; a grid will do too.

    >>> parse_box("x=-1:1,y=0:0,z=2:3").shape
    (2, 1, 2)
    """
    parts = []
    for part in text.split(","):
        numbers = part.partition("=")[2].split(":")
        parts.append(f"{part}:{1 if numbers[0] == numbers[-1] else 2}" if len(numbers) == 2 else part)
    return VoxelGrid.parse(",".join(parts))


def coarse_grid(measurement: Measurement, box: VoxelGrid, *, most: int = 40_000) -> VoxelGrid:
    """Return a grid over the box with voxels half a resolution apart, or coarser so that there are `most` or fewer."""
    sampling = expected_sampling(measurement.array, measurement.sweep, box, permittivity=measurement.permittivity)
    extents = np.array([axis[-1] - axis[0] for axis in (box.x, box.y, box.z)])
    with np.errstate(invalid="ignore"):
        wanted = np.where(extents > 0, np.ceil(2 * extents / np.array(sampling.resolution)) + 1, 1)
    counts = np.clip(np.nan_to_num(wanted, nan=2.0), np.where(extents > 0, 2, 1), 201)
    while counts.prod() > most:
        counts = np.where(counts > 2, np.maximum(2, np.floor(counts * 0.95)), counts)
        if (counts <= 2).all():
            break
    axes = zip((box.x, box.y, box.z), counts.astype(int), strict=True)
    return VoxelGrid(*(np.linspace(axis[0], axis[-1], n) if n > 1 else axis[:1] for axis, n in axes))


def guessed_grid(measurement: Measurement) -> tuple[VoxelGrid, str]:
    """Return a grid over the scene (`scene_box`, `coarse_grid`) for images, and in words where it comes from."""
    box, words = scene_box(measurement)
    return coarse_grid(measurement, box), words


def _removed_to_origin(measurement: Measurement) -> bool:
    """Whether the removed path is the way from transmitter to receiver by way of the origin, to one per cent."""
    path, array = measurement.reference_path, measurement.array
    if any(array.far):
        return True
    if path is None:
        return False
    channels = array.channel_indices()
    listed = path if array.paired else path[channels[:, 0], channels[:, 1]]
    way = np.linalg.norm(array.tx_pos, axis=1)[channels[:, 0]] + np.linalg.norm(array.rx_pos, axis=1)[channels[:, 1]]
    return bool((np.abs(listed - way) <= 0.01 * way).all())


def _box(*limits: object) -> VoxelGrid:
    axes = [np.unique(np.asarray(limit, np.float64)) for limit in limits]
    return VoxelGrid(*axes)
