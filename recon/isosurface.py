"""Find the surface of constant magnitude in a volume, as triangles in metres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.measure import marching_cubes

from mimo import VoxelGrid
from mimo.display_defaults import SURFACE_DB
from mimo.grid import voxel_edges

__all__ = ["surface_mesh"]


def surface_mesh(
    volume: npt.ArrayLike,
    grid: VoxelGrid,
    level_db: float = SURFACE_DB,
    *,
    reference: float | None = None,
    step: int = 1,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Find the surface on which the magnitude is `level_db` relative to the reference, by marching cubes.

    The volume is surrounded by zeros at the outer voxels' edges. So a body at the border is closed there, and a grid of
    one voxel along an axis gives a plate as thick as `mimo.grid.voxel_edges` says.

    Parameters
    ----------
    volume
        Complex or real ``(n_x, n_y, n_z)``, of the grid's shape.
    grid
        Voxel centres in metres; the spacing may vary.
    level_db
        Level of the surface, dB relative to the reference, below 0.
    reference
        The magnitude of 0 dB; the volume's own maximum when ``None``.
    step
        Distance of samples along each axis, in voxels: a larger one is coarser and faster.

    Returns
    -------
    vertices : float64 ``(n_vertex, 3)``
        x, y, z in metres.
    faces : int ``(n_face, 3)``
        Vertex indices of each triangle, counter-clockwise seen from outside. Both are empty when nothing reaches the
        level.

    Raises
    ------
    ValueError
        When the shape is not the grid's, a value is not finite, `level_db` is not below 0, or `reference` or `step`
        is not positive.
    """
    magnitude = np.abs(np.asarray(volume))
    if magnitude.shape != grid.shape:
        raise ValueError(f"volume has shape {magnitude.shape}, grid has shape {grid.shape}: expected the same")
    if not np.isfinite(magnitude).all():
        raise ValueError(
            f"volume has {np.count_nonzero(~np.isfinite(magnitude))} NaN or infinite values: expected none"
        )
    if not level_db < 0:
        raise ValueError(f"level_db is {level_db}: expected below 0 dB")
    if reference is not None and not (np.isfinite(reference) and reference > 0):
        raise ValueError(f"reference is {reference}: expected a positive magnitude")
    if step < 1:
        raise ValueError(f"step is {step}: expected 1 or more voxels")
    peak = float(magnitude.max())
    level = 10 ** (level_db / 20)
    if reference is not None and peak > 0:
        level *= reference / peak
    coarse = [slice(None, None, step) if n > 2 * step else slice(None) for n in magnitude.shape]
    magnitude = magnitude[tuple(coarse)].astype(np.float64)
    if peak == 0 or magnitude.max() <= level * peak:
        return np.empty((0, 3)), np.empty((0, 3), np.intp)
    padded = np.pad(magnitude / peak, 1)
    # 'ascent' orders vertices counter-clockwise seen from low magnitude, so that normals point out of the body.
    vertices, faces, _, _ = marching_cubes(padded, level, gradient_direction="ascent", allow_degenerate=False)
    edges = voxel_edges(grid)
    metres = np.empty(vertices.shape)
    for i, name in enumerate(("x", "y", "z")):
        axis = np.concatenate([edges[name][:1], getattr(grid, name)[coarse[i]], edges[name][-1:]])
        metres[:, i] = np.interp(vertices[:, i], np.arange(len(axis)), axis)
    return metres, faces.astype(np.intp)
