"""Write volumes for other programs, with spacing and origin: VTK grids, NIfTI, numpy, MATLAB."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import savemat

from mimo import VoxelGrid
from mimo.extras import needed
from mimo.grid import voxel_edges

__all__ = [
    "even_spacing",
    "npy_sidecar",
    "save_mat",
    "save_npy",
    "write_mat",
    "write_nifti",
    "write_npy",
    "write_vti",
    "write_vtr",
]

Volumes = Mapping[str, npt.NDArray[Any]]
"""Magnitudes or decibels, float32, or complex64 values ``(n_x, n_y, n_z)``, by name."""

MM_PER_M = 1000.0
EVEN = 1e-3  # of a step: how far a voxel may lie from where even spacing puts it
COMMENT = 6  # NIfTI's code of a plain text extension
MOST_MAT_BYTES = 2**31 - 2**20  # of a variable in a MATLAB 5 file, whose sizes are 32 bits
MAT_NAMES = {"images", "variables", "source", "scene", "unit", "outside_the_region"}


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
    """Return arrays as VTK has them, x varying fastest; of a complex volume magnitude, real and imaginary part."""
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for name, volume in volumes.items():
        parts = {name: np.abs(volume) if np.iscomplexobj(volume) else volume}
        if np.iscomplexobj(volume):  # VTK has no complex numbers
            parts |= {f"{name}_real": volume.real, f"{name}_imag": volume.imag}
        arrays |= {part: np.asfortranarray(values, np.float32) for part, values in parts.items()}
    return arrays


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
    """Write one volume as float32 or complex64 ``(n_x, n_y, n_z)``, or several as ``(n_image, n_x, n_y, n_z)``."""
    stack = np.stack(list(volumes.values()))
    save_npy(path, stack[0] if len(stack) == 1 else stack)


def save_npy(path: Path, values: npt.NDArray[Any]) -> None:
    """Write an array as ``.npy``; ``ValueError`` when it is not whole: numpy says nothing of a full disk."""
    np.save(path, values, allow_pickle=False)
    try:
        np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise ValueError("the array cannot be read back: expected room on the disk") from error


def npy_sidecar(volumes: Volumes, grid: VoxelGrid, facts: Mapping[str, Any]) -> str:
    """Return as JSON what an ``.npy`` cannot hold: names of the axes and images, voxel centres in metres, `facts`."""
    axes = ["x", "y", "z"] if len(volumes) == 1 else ["image", "x", "y", "z"]
    centers = {name: getattr(grid, name).tolist() for name in "xyz"}
    return json.dumps({"axes": axes, "images": list(volumes), **centers, **facts}, ensure_ascii=False, indent=1) + "\n"


def write_mat(path: Path, volumes: Volumes, grid: VoxelGrid, facts: Mapping[str, Any]) -> None:
    """Write a MATLAB 5 file: axes ``x``, ``y``, ``z`` in metres, and a variable ``(n_x, n_y, n_z)`` for each volume.

    A variable has the volume's name with ``_`` for what MATLAB allows in no name; ``images`` lists the names as they
    are, in the order of ``variables``.
    """
    axes = {name: getattr(grid, name) for name in "xyz"}
    variables: dict[str, npt.NDArray[Any]] = {}
    for name, volume in volumes.items():
        variable = re.sub(r"\W", "_", name, flags=re.ASCII)
        variable = variable if variable[0].isalpha() else f"image_{variable}"
        while variable in variables or variable in axes or variable in MAT_NAMES:
            variable += "_"
        variables[variable] = volume
    names = {"images": np.array(list(volumes), object), "variables": np.array(list(variables), object)}
    save_mat(path, {**axes, **variables, **names, **{key.replace(" ", "_"): fact for key, fact in facts.items()}})


def save_mat(path: Path, variables: Mapping[str, Any]) -> None:
    """Write variables to a compressed MATLAB 5 file; ``ValueError`` when one is larger than the format can hold."""
    for name, value in variables.items():
        if np.asarray(value).nbytes > MOST_MAT_BYTES:
            raise ValueError(
                f"{name} takes {np.asarray(value).nbytes / 2**30:.3g} GiB, a MATLAB 5 file holds 2 GiB a variable: "
                "expected .npy, or fewer voxels"
            )
    savemat(path, dict(variables), do_compression=True, oned_as="row", long_field_names=True)
