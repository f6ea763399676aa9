"""Draw the surface of constant magnitude in a volume, which `mimo.recon.isosurface` finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LightSource, LinearSegmentedColormap
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from mimo import VoxelGrid
from mimo.display_defaults import SURFACE_DB
from mimo.grid import voxel_edges
from mimo.recon.isosurface import surface_mesh

__all__ = ["AMBIENT", "DEPTH_COLORS", "LIGHT", "draw_surface", "surface_mesh"]

# x to the right, y up, z towards the reader: the front projection's own frame, so that the body is not mirrored.
ELEVATION, AZIMUTH = 22.0, 32.0
LIGHT = LightSource(azdeg=315, altdeg=50)
DEPTH_COLORS = LinearSegmentedColormap.from_list("depth", ["#15157a", "#6a00a8", "#b01e6a", "#c0341d"])
"""Colours of a surface from the smallest z to the largest, brighter with z; all have a contrast of 4.5 to white."""

AMBIENT = 0.45
MAX_CELLS = 1_000_000


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
