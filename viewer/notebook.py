"""Show images in a notebook: the interactive page in a frame, with its data in it, so that it needs no server."""

from __future__ import annotations

import html
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement, Reconstruction, save
from mimo.viewer.standalone import standalone_page

__all__ = ["Shown", "show"]

MEGABYTE = 1e6
FRAME = (
    '<iframe title="mimo-imaging viewer" sandbox="allow-scripts allow-downloads" '
    'style="width:100%;height:{height}px;border:0" srcdoc="{page}"></iframe>'
)

Paths = str | PathLike[str]


@dataclass(frozen=True)
class Shown:
    """Holds a page, which a notebook draws as the last value of a cell.

    Attributes
    ----------
    page
        Text of the page, HTML with all data in it, as `mimo.viewer.save_html` writes it.
    height
        Height of the frame, pixels.
    """

    page: str = field(repr=False)
    height: int

    def save(self, out: Paths) -> None:
        """Write the page to a file, which any browser opens."""
        Path(out).write_text(self.page, encoding="utf-8")

    def __repr__(self) -> str:
        size = len(self.page) / MEGABYTE
        return f"<page of {size:.1f} MB: a notebook draws it, save(out) writes it>"

    def _repr_html_(self) -> str:
        return FRAME.format(height=self.height, page=html.escape(self.page, quote=True))


def show(
    images: Reconstruction | Sequence[Reconstruction] | Mapping[str, npt.ArrayLike] | Paths | Sequence[Paths],
    *,
    grid: VoxelGrid | None = None,
    measurement: Measurement | None = None,
    scenes: Sequence[int] | None = None,
    state: str = "",
    height: int = 720,
) -> Shown:
    """Show images in a notebook on the page of ``mimo view``, to be turned, cut and measured there.

    Parameters
    ----------
    images
        A reconstruction or several on one grid; volumes ``(n_x, n_y, n_z)``, complex or real, by name, with `grid`; or
        files that hold images.
    grid
        Voxels of volumes that are given by name, metres.
    measurement
        The measurement that the images were made of: then the page has antennas, data and the truth, where it is known.
    scenes
        Numbers of the scenes to show, from 0; the first alone by default, since a notebook keeps the page.
    state
        Initial view, as behind ``#`` in the address of the page, such as ``mode=surface&threshold=-8``.
    height
        Height of the frame, pixels.

    Returns
    -------
    Shown
        Drawn when it is the last value of a cell.

    Raises
    ------
    ValueError
        When there is no image, volumes come without `grid`, or images and measurement do not fit together.
    mimo.data.FileError
        When a file is not sound or has no such scene.

    Examples
    --------
    >>> show(reconstruct("l1", measurement, grid), measurement=measurement)  # doctest: +SKIP
    """
    chosen = [0] if scenes is None else list(scenes)
    if isinstance(images, str | PathLike):
        return Shown(standalone_page([Path(images)], scenes=chosen, state=state)[0], height)
    if not isinstance(images, Reconstruction | Mapping) and images and isinstance(images[0], str | PathLike):
        paths = [Path(image) for image in images if isinstance(image, str | PathLike)]
        return Shown(standalone_page(paths, scenes=chosen, state=state)[0], height)
    made = _reconstructions(images, grid)
    with tempfile.TemporaryDirectory(prefix="mimo-show-") as folder:
        path = Path(folder, "images.h5")
        save(path, _beside(made, measurement), reconstructions=made)
        page, _ = standalone_page([path], scenes=chosen, state=state, images_alone=measurement is None)
    return Shown(page, height)


def _reconstructions(images: Any, grid: VoxelGrid | None) -> list[Reconstruction]:
    """Return what is shown as reconstructions on one grid."""
    if isinstance(images, Mapping):
        if grid is None:
            raise ValueError("images are volumes by name, grid is None: expected the grid of their voxels")
        made = [_named(name, np.asarray(volume), grid) for name, volume in images.items()]
    else:
        made = [images] if isinstance(images, Reconstruction) else list(images)
    for image in made:
        if not isinstance(image, Reconstruction):
            raise TypeError(
                f"images holds a {type(image).__name__}: expected reconstructions, volumes by name or files"
            )
    if not made:
        raise ValueError("images is empty: expected at least one to show")
    for image in made:
        if image.grid != made[0].grid or image.n_scene != made[0].n_scene:
            raise ValueError(
                f"{image.method} has {image.n_scene} scenes of {image.grid.shape} voxels, {made[0].method} has "
                f"{made[0].n_scene} of {made[0].grid.shape}: expected the same scenes and grid"
            )
    return made


def _named(name: str, volume: npt.NDArray[Any], grid: VoxelGrid) -> Reconstruction:
    if volume.shape != grid.shape:
        raise ValueError(f"image {name!r} has shape {volume.shape}, grid has shape {grid.shape}: expected the same")
    if np.iscomplexobj(volume):
        return Reconstruction(name, volume.astype(np.complex64)[None], grid, {}, np.zeros(1))
    return Reconstruction(name, np.abs(volume).astype(np.float32)[None], grid, {}, np.zeros(1))


def _beside(made: list[Reconstruction], measurement: Measurement | None) -> Measurement:
    """Return the measurement of a file of images: the given one on their grid, or nothing, which is not shown."""
    grid, n_scene = made[0].grid, made[0].n_scene
    if measurement is None:
        origin = np.zeros((1, 3))
        values = np.zeros((n_scene, 1, 1, 1), np.complex64)
        return Measurement(values, ArrayGeometry(origin, origin), FrequencySweep(np.array([1e9])), grid)
    if len(measurement.values) != n_scene:
        raise ValueError(
            f"measurement has {len(measurement.values)} scenes, {made[0].method} has {n_scene}: expected the same"
        )
    same = measurement.grid == grid
    return replace(measurement, grid=grid, truth=measurement.truth if same else None)
