"""Write point clouds and depth maps of an image: PLY, PCD, CSV, and arrays for numpy and MATLAB."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from mimo import VoxelGrid
from mimo.recon.depth_maps import DepthMap
from mimo.viewer.export_volumes import save_mat, save_npy
from mimo.viewer.projections import to_db

__all__ = [
    "DEPTH_WRITERS",
    "POINT_WRITERS",
    "Columns",
    "columns_of_depth",
    "columns_of_volume",
    "depth_sidecar",
    "write_csv",
    "write_depth_mat",
    "write_depth_npy",
    "write_pcd",
    "write_ply_points",
]

Columns = dict[str, npt.NDArray[np.float32]]
"""Figures of points by name, each ``(n,)``; the first three are x, y, z in metres."""


def columns_of_volume(
    name: str,
    volume: npt.NDArray[Any],
    grid: VoxelGrid,
    *,
    level_db: float = -10.0,
    inside: npt.NDArray[np.bool_] | None = None,
) -> Columns:
    """List the voxels of an image whose magnitude reaches a level, as points with their values.

    Parameters
    ----------
    name
        The image's name, for messages.
    volume
        Complex or real ``(n_x, n_y, n_z)``, of the grid's shape.
    grid
        Voxel centres, metres.
    level_db
        Lowest magnitude, dB relative to the volume's maximum, below 0.
    inside
        Which voxels were imaged; all by default.

    Returns
    -------
    dict
        ``x``, ``y``, ``z`` in metres, ``db``, and ``real`` and ``imag``, or ``magnitude`` where the image has no phase:
        float32 ``(n,)`` each, z varying fastest.

    Raises
    ------
    ValueError
        When the level is not below 0 dB, or the image is all zero.
    """
    if not (np.isfinite(level_db) and level_db < 0):
        raise ValueError(f"level_db is {level_db}: expected below 0 dB")
    magnitude = np.abs(volume)
    peak = float(magnitude.max())
    if peak == 0:
        raise ValueError(f"image {name!r} is all zero: expected something to make points of")
    chosen = magnitude >= 10 ** (level_db / 20) * peak
    if inside is not None:
        chosen &= inside
    at = np.nonzero(chosen)
    columns = {axis: getattr(grid, axis)[i] for axis, i in zip("xyz", at, strict=True)}
    values = volume[at]
    columns["db"] = to_db(values, peak, level_db)
    columns |= {"real": values.real, "imag": values.imag} if np.iscomplexobj(values) else {"magnitude": values}
    return _float32(columns)


def columns_of_depth(name: str, found: DepthMap) -> Columns:
    """List the pixels of a depth map that see something as points, with ``depth`` in metres and ``db``.

    ``ValueError``, naming the image `name`, when no pixel sees anything.
    """
    if not found.seen.any():
        raise ValueError(f"image {name!r} is all zero: expected something to see")
    points = found.points()
    columns = {axis: points[:, i] for i, axis in enumerate("xyz")}
    return _float32(columns | {"depth": found.depth[found.seen], "db": found.decibels[found.seen]})


def _float32(columns: Mapping[str, npt.NDArray[Any]]) -> Columns:
    return {name: np.asarray(values, np.float32) for name, values in columns.items()}


def _records(columns: Columns, extra: Mapping[str, npt.NDArray[np.uint8]] | None = None) -> npt.NDArray[Any]:
    """Return the points one after another, as PLY and PCD store them."""
    everything: dict[str, npt.NDArray[Any]] = {**columns, **(extra or {})}
    records = np.empty(
        len(columns["x"]), [(name, values.dtype.newbyteorder("<")) for name, values in everything.items()]
    )
    for name, values in everything.items():
        records[name] = values
    return records


def write_ply_points(path: Path, columns: Columns, floor_db: float, cmap: str) -> None:
    """Write points as binary PLY, with their figures and a colour for ``db`` from `floor_db` to 0."""
    colors = 255 * colormaps[cmap](1 - np.clip(columns["db"], floor_db, 0) / floor_db)[:, :3]
    shades = {name: colors[:, i].round().astype(np.uint8) for i, name in enumerate(("red", "green", "blue"))}
    lines = ["ply", "format binary_little_endian 1.0", "comment metres", f"element vertex {len(columns['x'])}"]
    lines += [f"property float {name}" for name in columns] + [f"property uchar {name}" for name in shades]
    header = "\n".join([*lines, "end_header", ""])
    path.write_bytes(header.encode() + _records(columns, shades).tobytes())


def write_pcd(path: Path, columns: Columns, floor_db: float, cmap: str) -> None:
    """Write points as binary PCD 0.7, the format of the Point Cloud Library; all fields are float32."""
    n = len(columns["x"])
    lines = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        f"FIELDS {' '.join(columns)}",
        f"SIZE {' '.join('4' for _ in columns)}",
        f"TYPE {' '.join('F' for _ in columns)}",
        f"COUNT {' '.join('1' for _ in columns)}",
        f"WIDTH {n}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {n}",
        "DATA binary",
        "",
    ]
    path.write_bytes("\n".join(lines).encode() + _records(columns).tobytes())


def write_csv(path: Path, columns: Columns, floor_db: float, cmap: str) -> None:
    """Write points as a table with a line of names, metres and dB; the digits give each float32 back exactly."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows(zip(*(map(str, values) for values in columns.values()), strict=True))


POINT_WRITERS = {".ply": write_ply_points, ".pcd": write_pcd, ".csv": write_csv}
"""Functions that write points, by the suffix of the file."""


def _view(found: DepthMap) -> dict[str, Any]:
    """Return the axes of a depth map's pixels by name."""
    view = found.view
    if view.viewpoint is None:
        return {"x": view.across, "y": view.up}
    return {"slope_x": view.across, "slope_y": view.up, "viewpoint": np.array(view.viewpoint)}


def write_depth_npy(path: Path, found: DepthMap, facts: Mapping[str, Any]) -> None:
    """Write the depth as float32 ``(n_x, n_y)``, metres, NaN where nothing is seen."""
    save_npy(path, found.depth.astype(np.float32))


def depth_sidecar(found: DepthMap, facts: Mapping[str, Any]) -> str:
    """Return as JSON what the ``.npy`` of a depth map cannot hold: where its pixels look, and `facts`."""
    axes = {name: values.tolist() for name, values in _view(found).items()}
    return json.dumps({"axes": list(axes)[:2], **axes, **facts}, ensure_ascii=False, indent=1) + "\n"


def write_depth_mat(path: Path, found: DepthMap, facts: Mapping[str, Any]) -> None:
    """Write ``depth`` and ``db``, float64 ``(n_x, n_y)``, with the axes of the pixels, for MATLAB."""
    save_mat(path, {**_view(found), "depth": found.depth, "db": found.decibels, **facts})


DEPTH_WRITERS = {".npy": write_depth_npy, ".mat": write_depth_mat}
"""Functions that write a depth map as an array, by the suffix of the file."""
