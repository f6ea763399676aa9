"""Write volumes for other programs, with spacing and origin: VTK grids, NIfTI, numpy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import VoxelGrid
from mimo.extras import needed
from mimo.viewer.projections import voxel_edges

__all__ = ["even_spacing", "npy_sidecar", "write_nifti", "write_npy", "write_vti", "write_vtr"]

Volumes = Mapping[str, npt.NDArray[np.float32]]

MM_PER_M = 1000.0
EVEN = 1e-3  # of a step: how far a voxel may lie from where even spacing puts it
COMMENT = 6  # NIfTI's code of a plain text extension


def even_spacing(grid: VoxelGrid) -> tuple[float, float, float]:
    """Return the distance between voxels along x, y, z in metres; that of a single voxel is from `voxel_edges`.

    Raises
    ------
    ValueError
        When the grid is not evenly spaced: the message names the axis, and the formats that can hold such a grid.
    """
    edges = voxel_edges(grid)
    steps = []
    for name in "xyz":
        axis = getattr(grid, name)
        n = len(axis)
        step = float(axis[-1] - axis[0]) / (n - 1) if n > 1 else float(edges[name][1] - edges[name][0])
        if np.abs(axis - (axis[0] + step * np.arange(n))).max() > EVEN * step:
            each = np.diff(axis)
            raise ValueError(
                f"grid/{name} has steps of {each.min():.4g} to {each.max():.4g} m, this format holds even ones only: "
                "expected .vtr or .npy"
            )
        steps.append(step)
    x, y, z = steps
    return x, y, z


def write_vti(path: Path, volumes: Volumes, grid: VoxelGrid, facts: Mapping[str, Any]) -> None:
    """Write VTK image data for ParaView, with one point array for each volume; origin and spacing in metres."""
    pyevtk = needed("pyevtk.hl", purpose="a volume for ParaView", extra="export")
    origin = (float(grid.x[0]), float(grid.y[0]), float(grid.z[0]))
    spacing = even_spacing(grid)
    pyevtk.imageToVTK(str(path.with_suffix("")), origin=origin, spacing=spacing, pointData=_arrays(volumes))


def write_vtr(path: Path, volumes: Volumes, grid: VoxelGrid, facts: Mapping[str, Any]) -> None:
    """Write a VTK rectilinear grid for ParaView, whose spacing may vary, with a point array for each volume; metres."""
    pyevtk = needed("pyevtk.hl", purpose="a volume for ParaView", extra="export")
    axes = [np.array(getattr(grid, name)) for name in "xyz"]
    pyevtk.gridToVTK(str(path.with_suffix("")), *axes, pointData=_arrays(volumes))


def _arrays(volumes: Volumes) -> dict[str, npt.NDArray[np.float32]]:
    return {name: np.asfortranarray(volume, np.float32) for name, volume in volumes.items()}  # VTK: x varies fastest


def write_nifti(path: Path, volumes: Volumes, grid: VoxelGrid, facts: Mapping[str, Any]) -> None:
    """Write NIfTI-1: one volume, or several along the fourth axis; the affine takes indices to x, y, z in mm.

    The names of the volumes and `facts` are JSON in a comment extension of the header.
    """
    nibabel = needed("nibabel", purpose="a volume as NIfTI", extra="export")
    data = np.stack(list(volumes.values()), axis=-1)
    affine = np.diag([*(MM_PER_M * step for step in even_spacing(grid)), 1.0])
    affine[:3, 3] = [MM_PER_M * float(getattr(grid, name)[0]) for name in "xyz"]
    image = nibabel.Nifti1Image(data[..., 0] if len(volumes) == 1 else data, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"magnitude, {facts['unit']}".encode()[:79]
    text = json.dumps({"images": list(volumes), **facts}, ensure_ascii=False)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(COMMENT, text.encode()))
    image.to_filename(path)


def write_npy(path: Path, volumes: Volumes, grid: VoxelGrid, facts: Mapping[str, Any]) -> None:
    """Write one volume as float32 ``(n_x, n_y, n_z)``, or several as ``(n_image, n_x, n_y, n_z)``."""
    stack = np.stack(list(volumes.values()))
    np.save(path, stack[0] if len(stack) == 1 else stack, allow_pickle=False)


def npy_sidecar(volumes: Volumes, grid: VoxelGrid, facts: Mapping[str, Any]) -> str:
    """Return as JSON what an ``.npy`` cannot hold: names of the axes and images, voxel centres in metres, `facts`."""
    axes = ["x", "y", "z"] if len(volumes) == 1 else ["image", "x", "y", "z"]
    centers = {name: getattr(grid, name).tolist() for name in "xyz"}
    return json.dumps({"axes": axes, "images": list(volumes), **centers, **facts}, ensure_ascii=False, indent=1) + "\n"
