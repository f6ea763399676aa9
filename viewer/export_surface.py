"""Write surfaces of constant magnitude in a volume as a triangle mesh, with decibels at each vertex."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from scipy.interpolate import RegularGridInterpolator

from mimo import VoxelGrid
from mimo.display_defaults import COLOR_MAP
from mimo.extras import needed
from mimo.recon.isosurface import surface_mesh
from mimo.viewer.projections import to_db

__all__ = ["SURFACE_WRITERS", "vertex_db", "write_obj", "write_ply", "write_stl"]

Floats = npt.NDArray[np.float64]


def vertex_db(volume: npt.ArrayLike, grid: VoxelGrid, vertices: Floats, floor_db: float = -40.0) -> Floats:
    """Interpolate the magnitude linearly at points between voxel centres, in dB relative to the volume's maximum.

    Parameters
    ----------
    volume
        Magnitude ``(n_x, n_y, n_z)``.
    grid
        Voxel centres, metres. Points beyond the outer centres get the value at the nearest point of the border.
    vertices
        Points, ``(n, 3)``, metres.
    floor_db
        Lowest value, dB.

    Returns
    -------
    numpy.ndarray
        Values in dB, float64 ``(n,)``. On a surface of `mimo.recon.isosurface.surface_mesh` they equal its level, and
        exceed it where the grid cuts the surface off.
    """
    magnitude = np.abs(np.asarray(volume)).astype(np.float64)
    wide = [i for i, n in enumerate(magnitude.shape) if n > 1]
    axes = [getattr(grid, "xyz"[i]) for i in wide]
    if not wide:
        return np.zeros(len(vertices))
    points = np.stack([np.clip(vertices[:, i], a[0], a[-1]) for i, a in zip(wide, axes, strict=True)], axis=-1)
    values = RegularGridInterpolator(axes, magnitude.reshape([magnitude.shape[i] for i in wide]))(points)
    return to_db(values, float(magnitude.max()) or 1.0, floor_db).astype(np.float64)


def write_ply(
    path: Path,
    name: str,
    volume: npt.NDArray[np.float32],
    grid: VoxelGrid,
    *,
    levels_db: Sequence[float] = (-10.0,),
    floor_db: float = -40.0,
    cmap: str = COLOR_MAP,
) -> int:
    """Write surfaces of one volume as binary PLY: vertices in metres, with a property ``db`` and a colour for it.

    Parameters
    ----------
    path
        The file to write.
    name
        The image's name, for messages.
    volume
        Magnitude ``(n_x, n_y, n_z)``, of the grid's shape.
    grid
        Voxel centres, metres.
    levels_db
        Levels in dB relative to the maximum, below 0; each gives a closed surface of its own.
    floor_db, cmap
        The colour map runs from `floor_db` to 0 dB.

    Returns
    -------
    int
        Number of triangles.

    Raises
    ------
    ValueError
        When a level is not below 0 dB or nothing reaches one, or trimesh is not installed.
    """
    trimesh = needed("trimesh", purpose="a surface as PLY", extra="export")
    vertices, faces = _surfaces(name, volume, grid, levels_db)
    decibels = vertex_db(volume, grid, vertices, floor_db)
    colors = (255 * colormaps[cmap](1 - decibels / floor_db)).round().astype(np.uint8)
    mesh = trimesh.Trimesh(vertices, faces, process=False, vertex_colors=colors)
    mesh.vertex_attributes["db"] = decibels.astype(np.float32)
    path.write_bytes(mesh.export(file_type="ply", vertex_normal=False))
    return len(faces)


def _surfaces(
    name: str, volume: npt.NDArray[np.float32], grid: VoxelGrid, levels_db: Sequence[float]
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return the surfaces at all levels as one mesh: vertices in metres, and the corners of each triangle."""
    points, triangles, count = [], [], 0
    for level in levels_db:
        vertices, faces = surface_mesh(volume, grid, level)
        if not len(faces):
            raise ValueError(f"image {name!r} is all zero: expected something to draw a surface around")
        points.append(vertices)
        triangles.append(faces + count)
        count += len(vertices)
    return np.concatenate(points), np.concatenate(triangles)


def write_stl(
    path: Path,
    name: str,
    volume: npt.NDArray[np.float32],
    grid: VoxelGrid,
    *,
    levels_db: Sequence[float] = (-10.0,),
    floor_db: float = -40.0,
    cmap: str = "inferno",
) -> int:
    """Write surfaces of one volume as binary STL, in metres, with the normals of the triangles pointing outwards.

    Parameters and errors are those of `write_ply`; STL holds no colours, so `floor_db` and `cmap` have no effect.
    """
    vertices, faces = _surfaces(name, volume, grid, levels_db)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    records = np.zeros(len(faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    records["normal"] = normals / np.where(lengths > 0, lengths, 1)
    records["corners"] = corners
    header = b"binary STL, metres".ljust(80)  # it must not begin with "solid", which means a text
    path.write_bytes(header + struct.pack("<I", len(faces)) + records.tobytes())
    return len(faces)


def write_obj(
    path: Path,
    name: str,
    volume: npt.NDArray[np.float32],
    grid: VoxelGrid,
    *,
    levels_db: Sequence[float] = (-10.0,),
    floor_db: float = -40.0,
    cmap: str = "inferno",
) -> int:
    """Write surfaces of one volume as Wavefront OBJ, in metres: vertices, triangles and no material.

    Parameters and errors are those of `write_ply`; `floor_db` and `cmap` have no effect.
    """
    vertices, faces = _surfaces(name, volume, grid, levels_db)
    with path.open("w", encoding="ascii") as file:
        file.write("# metres\n")
        np.savetxt(file, vertices, fmt="v %.9g %.9g %.9g")
        np.savetxt(file, faces + 1, fmt="f %d %d %d")
    return len(faces)


SURFACE_WRITERS = {".ply": write_ply, ".stl": write_stl, ".obj": write_obj}
"""Functions that write surfaces, by the suffix of the file."""
