"""Turn triangle meshes (STL, PLY and what else trimesh reads) into voxels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mimo import VoxelGrid
from mimo.extras import needed
from mimo.synth.frame import cell_edges

__all__ = ["from_mesh"]

Floats = npt.NDArray[np.float64]

SUPERSAMPLE = 4
"""Columns that a solid is sampled along, per voxel and cross-range axis; down-range the filling is exact."""
SURFACE_STEP = 0.25
"""Longest edge of the triangles that stand for a surface, in voxels."""
SHIFT = (0.0137, 0.0071)
"""All columns are moved aside by these parts of their spacing, so that none runs along an edge of a tidy model."""
CHUNK = 2_000_000
"""Triangle-column pairs looked at in one go (about 100 bytes each)."""


def from_mesh(
    path: str | os.PathLike[str],
    grid: VoxelGrid,
    *,
    fill: Literal["solid", "surface"] = "solid",
    scale: float = 1.0,
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> npt.NDArray[np.float32]:
    """Voxelise a triangle mesh.

    Vertices are taken to ``scale * vertex + offset``, in metres of the grid's frame.

    Parameters
    ----------
    path
        STL, PLY or another format that trimesh reads.
    grid
        Any rectilinear grid; voxels need not be cubes. An axis of one voxel takes a slice.
    fill
        ``"solid"``: the part of each voxel inside the body, from 16 columns a voxel, exact along z.
        ``"surface"``: a skin that is 1 on the surface and falls to 0 one voxel away from it (measured in voxels along
        each axis).
    scale
        Metres per unit of the file: 1e-3 for a file in millimetres.
    offset
        Metres added after scaling.

    Returns
    -------
    float32 array (n_x, n_y, n_z)
        In [0, 1], maximum exactly 1.

    Raises
    ------
    ImportError
        Without trimesh; the message says how to install it.
    ValueError
        When the file holds no triangles, does not close (``fill="solid"``), or lies outside the grid.
    FileNotFoundError
        When there is no such file.
    """
    if fill not in ("solid", "surface"):
        raise ValueError(f"fill is {fill!r}: expected 'solid' or 'surface'")
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"scale is {scale}: expected metres per unit of the file, more than 0")
    mesh = _load(Path(path))
    mesh.apply_scale(scale)
    mesh.apply_translation(offset)
    if fill == "solid" and not (mesh.is_watertight and mesh.is_winding_consistent):
        raise ValueError(
            f"{path} is no closed surface, it has no inside: expected a watertight mesh, or fill='surface'"
        )

    lone = min((s for s in grid.spacing if s > 0), default=1.0)
    edges = [cell_edges(axis, lone) for axis in (grid.x, grid.y, grid.z)]
    triangles = np.asarray(mesh.triangles, float)
    solid = fill == "solid"
    volume = _fill_solid(triangles, edges, np.sign(mesh.volume)) if solid else _fill_surface(triangles, edges)
    if not volume.max() > 0:
        low, high = np.round(mesh.bounds, 4).tolist()
        box = [(round(float(e[0]), 4), round(float(e[-1]), 4)) for e in edges]
        raise ValueError(
            f"{path} spans {low} to {high} m and fills no voxel: expected it within {box} (scale, offset?)"
        )
    return (volume / volume.max()).astype(np.float32)


def _load(path: Path) -> Any:
    trimesh = needed("trimesh", purpose=f"reading {path.name}", extra="mesh")
    if not path.is_file():
        raise FileNotFoundError(f"no mesh file {path}")
    try:
        mesh = trimesh.load(path, force="mesh")
    except Exception as error:  # the loaders of trimesh raise whatever their parsers do
        raise ValueError(f"{path} cannot be read as a mesh: {error}") from error
    if not len(getattr(mesh, "faces", ())):
        raise ValueError(f"{path} holds no triangles: expected an STL or PLY surface")
    return mesh


def _fill_solid(triangles: Floats, edges: list[Floats], orientation: float) -> Floats:
    """Part of each voxel inside a closed surface: signed crossings of columns along z.

    A column enters the body through a triangle that faces down and leaves it through one that faces up; each crossing
    adds (or takes) everything above it, so bodies that overlap do not confuse it.
    """
    columns, step = zip(*[_columns(edge, shift) for edge, shift in zip(edges[:2], SHIFT, strict=True)], strict=True)
    slack = [s.max() / 2 for s in step]
    n, n_x, n_y = SUPERSAMPLE, len(columns[0]), len(columns[1])
    n_z = len(edges[2]) - 1
    bottom, height = edges[2][:-1], np.diff(edges[2])

    low, high = triangles.min(axis=1), triangles.max(axis=1)
    first = [np.searchsorted(columns[i], low[:, i] - slack[i]) for i in (0, 1)]
    count = [np.searchsorted(columns[i], high[:, i] + slack[i]) - first[i] for i in (0, 1)]
    n_pair = count[0] * count[1]
    keep = np.flatnonzero((n_pair > 0) & (low[:, 2] < edges[2][-1]))
    total = np.zeros((n_x, n_y, n_z))
    ends = np.cumsum(n_pair[keep])
    for part in np.split(keep, np.flatnonzero(np.diff(ends // CHUNK)) + 1):
        owner = np.repeat(part, n_pair[part])
        within = np.arange(len(owner)) - np.repeat(np.cumsum(n_pair[part]) - n_pair[part], n_pair[part])
        ix = first[0][owner] + within // count[1][owner]
        iy = first[1][owner] + within % count[1][owner]
        a, b, c = triangles[owner, 0], triangles[owner, 1], triangles[owner, 2]
        # a voxel's columns are staggered: n^2 different places along x, and along y, where a plain lattice has n
        x = columns[0][ix] + step[0][ix] * ((iy % n + 0.5) / n - 0.5)
        y = columns[1][iy] + step[1][iy] * ((ix % n + 0.5) / n - 0.5)
        area = _cross(b - a, c - a)
        with np.errstate(all="ignore"):  # a triangle seen edge-on has no area, and no column hits it
            weight_b = ((x - a[:, 0]) * (c - a)[:, 1] - (y - a[:, 1]) * (c - a)[:, 0]) / area
            weight_c = ((b - a)[:, 0] * (y - a[:, 1]) - (b - a)[:, 1] * (x - a[:, 0])) / area
            hit = (area != 0) & (weight_b >= 0) & (weight_c >= 0) & (weight_b + weight_c <= 1)
        a, b, c, weight_b, weight_c = a[hit], b[hit], c[hit], weight_b[hit], weight_c[hit]
        ix, iy, sign = ix[hit], iy[hit], -np.sign(area[hit])
        z = a[:, 2] + weight_b * (b - a)[:, 2] + weight_c * (c - a)[:, 2]
        above = 1 - np.clip((z[:, None] - bottom) / height, 0, 1)
        np.add.at(total, (ix, iy), sign[:, None] * above)
    inside = np.clip(orientation * total, 0, 1)
    return inside.reshape(n_x // n, n, n_y // n, n, n_z).mean(axis=(1, 3))


def _columns(edge: Floats, shift: float) -> tuple[Floats, Floats]:
    """Return where columns stand along an axis, `SUPERSAMPLE` a cell, moved by `shift` of their spacing, and that."""
    step = np.repeat(np.diff(edge) / SUPERSAMPLE, SUPERSAMPLE)
    part = np.tile(np.arange(SUPERSAMPLE) + 0.5 + shift, len(edge) - 1)
    return np.repeat(edge[:-1], SUPERSAMPLE) + part * step, step


def _cross(a: Floats, b: Floats) -> Floats:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _fill_surface(triangles: Floats, edges: list[Floats]) -> Floats:
    """Skin of a surface: 1 on it, 0 one voxel away, distances in voxels."""
    import trimesh
    from scipy.spatial import KDTree

    shape = tuple(len(edge) - 1 for edge in edges)
    cell = np.array([np.diff(edge).min() for edge in edges])
    low, high = np.array([e[0] for e in edges]) - cell, np.array([e[-1] for e in edges]) + cell
    near = ((triangles.max(axis=1) >= low) & (triangles.min(axis=1) <= high)).all(axis=1)
    if not near.any():
        return np.zeros(shape)
    soup = triangles[near].reshape(-1, 3) / cell
    fine, _ = trimesh.remesh.subdivide_to_size(soup, np.arange(len(soup)).reshape(-1, 3), SURFACE_STEP, max_iter=30)
    points = np.unique(np.column_stack([_index_of(fine[:, i] * cell[i], edges[i]) for i in range(3)]), axis=0)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
    distance, _ = KDTree(points).query(index, distance_upper_bound=1.0)
    return np.clip(1 - distance, 0, 1).reshape(shape)


def _index_of(position: Floats, edge: Floats) -> Floats:
    """Return positions in voxels: 0 at the first centre, 1 at the second; beyond the ends the end cells go on."""
    index = np.interp(position, edge, np.arange(len(edge)))
    index += np.minimum(position - edge[0], 0) / (edge[1] - edge[0])
    index += np.maximum(position - edge[-1], 0) / (edge[-1] - edge[-2])
    return index - 0.5
