"""Find the surface of constant magnitude in a volume, as triangles in metres, and draw it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LightSource, LinearSegmentedColormap
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from skimage.measure import marching_cubes

from mimo import VoxelGrid
from mimo.display_defaults import SURFACE_DB
from mimo.viewer.projections import voxel_edges

__all__ = ["AMBIENT", "DEPTH_COLORS", "LIGHT", "draw_surface", "surface_mesh"]

# x to the right, y up, z towards the reader: the front projection's own frame, so that the body is not mirrored.
ELEVATION, AZIMUTH = 22.0, 32.0
LIGHT = LightSource(azdeg=315, altdeg=50)
DEPTH_COLORS = LinearSegmentedColormap.from_list("depth", ["#15157a", "#6a00a8", "#b01e6a", "#c0341d"])
"""Colours of a surface from the smallest z to the largest, brighter with z; all have a contrast of 4.5 to white."""

AMBIENT = 0.45
MAX_CELLS = 1_000_000


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
    one voxel along an axis gives a plate as thick as `mimo.viewer.projections.voxel_edges` says.

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


def draw_surface(
    axes: Axes3D,
    volume: npt.ArrayLike,
    grid: VoxelGrid,
    *,
    level_db: float = SURFACE_DB,
    reference: float | None = None,
    box: tuple[float, float, float] | None = None,
    zoom: float = 1.0,
) -> int:
    """Draw the shaded surface of `volume` on 3D axes, with y up, and set their limits, aspect and point of view.

    Colour shows depth, from dark at the smallest z to bright at the largest. Of more than a million voxels only every
    second (third, ...) along each axis is used. The triangles are rasterised, so that vector files stay small.

    Parameters
    ----------
    axes
        Axes made with ``projection="3d"``.
    volume, grid, level_db, reference
        As in `surface_mesh`.
    box
        Relative lengths of the drawn box along x, y, z; the grid's extent when ``None``.
    zoom
        Size of the box within the axes.

    Returns
    -------
    int
        Number of triangles drawn; 0 leaves the box empty.
    """
    edges = voxel_edges(grid)
    step = int(np.ceil((grid.n_voxel / MAX_CELLS) ** (1 / 3)))
    vertices, faces = surface_mesh(volume, grid, level_db, reference=reference, step=max(1, step))
    if len(faces):
        triangles = vertices[faces]
        colors = _shades(triangles, edges["z"])
        # Edges of the face's own colour: without them, hairlines show between neighbouring triangles.
        mesh = Poly3DCollection(triangles, facecolors=colors, edgecolors=colors, linewidths=0.2)
        mesh.set_rasterized(True)
        axes.add_collection3d(mesh, autolim=False)
    axes.set(xlim=edges["x"][[0, -1]], ylim=edges["y"][[0, -1]], zlim=edges["z"][[0, -1]])
    axes.view_init(elev=ELEVATION, azim=AZIMUTH, vertical_axis="y")
    if box is None:
        x, y, z = (float(edge[-1] - edge[0]) for edge in edges.values())
        box = x, y, z
    zoom *= min(1.0, 0.75 * float(np.linalg.norm(box)) / max(box))  # else a long box leaves the axes
    axes.set_box_aspect(box, zoom=zoom)  # after view_init: the order of its lengths depends on the vertical axis
    axes.patch.set_visible(False)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color((0.97, 0.97, 0.97, 1.0))
    return len(faces)


def _shades(triangles: npt.NDArray[np.float64], z_edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return colours ``(n_face, 3)`` by depth, darkened where the triangle faces away from the light."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normals, axis=1)
    cosine = normals @ LIGHT.direction / np.where(length > 0, length, 1)
    light = AMBIENT + (1 - AMBIENT) * np.clip(0.5 + 0.5 * cosine, 0, 1)
    depth = (triangles[:, :, 2].mean(axis=1) - z_edges[0]) / (z_edges[-1] - z_edges[0])
    return light[:, None] * DEPTH_COLORS(depth)[:, :3]
