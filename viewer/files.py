"""Read the images of one scene from a file of the schema, and draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from mimo import VoxelGrid
from mimo.data import FileError, Reconstruction, open_measurement
from mimo.options import unknown
from mimo.viewer.figures import Panel, figure, panels_from
from mimo.viewer.history import curves_from, history_figure
from mimo.viewer.image_names import STD, TRUTH
from mimo.viewer.reference import is_relative

__all__ = ["SceneImages", "figure_of_file", "history_of_file", "images_of_scene"]


@dataclass(frozen=True)
class SceneImages:
    """Holds the images of one scene of a file.

    Attributes
    ----------
    grid
        The voxels, metres.
    truth
        complex64 ``(n_x, n_y, n_z)``, or ``None`` where it is not known.
    reconstructions
        One for each method, each with this scene alone.
    spreads
        Those whose standard deviation is wanted, by its name such as ``two-stage:std``.
    """

    grid: VoxelGrid
    truth: npt.NDArray[np.complex64] | None
    reconstructions: list[Reconstruction]
    spreads: dict[str, Reconstruction] = field(default_factory=dict)

    def magnitudes(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return magnitudes, float32 ``(n_x, n_y, n_z)``, by name, in the images' own unit; the truth first."""
        found = {} if self.truth is None else {TRUTH: np.abs(self.truth).astype(np.float32, copy=False)}
        return found | {image.method: image.magnitude[0] for image in self.reconstructions} | self._spreads()

    def _spreads(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return standard deviations by name."""
        return {name: image.std[0] for name, image in self.spreads.items() if image.std is not None}

    def values(self) -> dict[str, npt.NDArray[Any]]:
        """Return what `magnitudes` does, but complex64 where the image, or the truth, has a phase."""
        found: dict[str, npt.NDArray[Any]] = {} if self.truth is None else {TRUTH: self.truth}
        return found | {image.method: image.image[0] for image in self.reconstructions} | self._spreads()

    def inside(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Return which voxels were imaged, bool ``(n_x, n_y, n_z)``, of the images of a part of the grid, by name."""
        named = {image.method: image for image in self.reconstructions} | self.spreads
        return {name: image.inside for name, image in named.items() if image.inside is not None}

    def relative(self) -> frozenset[str]:
        """Return the names of the images whose numbers are known up to a factor only."""
        named = {image.method: image for image in self.reconstructions} | self.spreads
        return frozenset(name for name, image in named.items() if is_relative(image.method, image.scale))


def images_of_scene(
    path: str | PathLike[str],
    scene: int = 0,
    methods: Sequence[str] = (),
    *,
    always_truth: bool = False,
    spreads: bool = False,
) -> SceneImages:
    """Read the images of one scene.

    Parameters
    ----------
    path
        A file with images or a truth.
    scene
        Which scene, from 0.
    methods
        Whose images, in this order; all that the file holds, and the truth, when empty. ``truth`` names the truth, and
        ``two-stage:std`` the standard deviation of an image, where the file has it.
    always_truth
        Read the truth, where it is known, even when `methods` does not name it.
    spreads
        Read every standard deviation, too, when `methods` is empty.

    Raises
    ------
    mimo.data.FileError
        When the file is not sound, holds no image, or has no such scene or image.
    """
    with open_measurement(path) as source:
        if not 0 <= scene < source.n_scene:
            raise FileError(path, f"there is no scene {scene}: expected one of scenes 0 to {source.n_scene - 1}")
        if source.grid is None or not (source.methods or source.has_truth):
            raise FileError(path, "there is no image yet: run reconstruct first")
        known = [TRUTH, *source.methods] if source.has_truth else list(source.methods)
        beside = [name + STD for name in source.methods if source.has_std(name)]
        for name in methods:
            if name not in known + beside:
                raise FileError(path, unknown("image", name, known + beside))
        wanted = list(dict.fromkeys(methods)) or known + (beside if spreads else [])
        truth = source.truth(scene) if source.has_truth and (always_truth or TRUTH in wanted) else None
        images = [source.reconstruction(name, [scene]) for name in wanted if name in source.methods]
        told = {name: source.reconstruction(name.removesuffix(STD), [scene]) for name in wanted if name in beside}
        return SceneImages(source.grid, truth, [_alone(image, scene) for image in images], told)


def _alone(image: Reconstruction, scene: int) -> Reconstruction:
    """Return an image of one scene with what it explains, which is stored for all scenes, of this scene alone."""
    explained = image.parameters.get("explained")
    if not isinstance(explained, list) or scene >= len(explained):
        return image
    return replace(image, parameters={**image.parameters, "explained": [explained[scene]]})


def figure_of_file(
    path: str | PathLike[str], *, scene: int = 0, methods: Sequence[str] = (), truth: bool = True, **options: Any
) -> Figure:
    """Draw one scene of a file, the truth first where it is known.

    Parameters
    ----------
    path
        A file with images or a truth.
    scene
        Which scene, from 0.
    methods
        Whose images; all that the file holds when empty.
    truth
        Whether the truth is drawn too.
    **options
        As `mimo.viewer.figures.figure` takes them.

    Raises
    ------
    mimo.data.FileError
        When the file is not sound, holds nothing to draw, or has no such scene or image.
    """
    found = images_of_scene(path, scene, methods, always_truth=True)
    panels = [panel for panel in panels_from(found.truth, found.reconstructions) if truth or not panel.truth]
    panels += [_spread_panel(name, image) for name, image in found.spreads.items()]
    if not panels:
        raise FileError(path, "there is no image but the truth: expected one, or the truth to be drawn")
    return figure(panels, found.grid, **options)


def _spread_panel(name: str, image: Reconstruction) -> Panel:
    """Return the panel of a standard deviation, on the scale of its image: 0 dB is an error as large as its maximum."""
    std = np.zeros(image.grid.shape, np.float32) if image.std is None else image.std[0]
    relative = is_relative(image.method, image.scale)
    zero = float(image.magnitude.max()) or None
    return Panel(name, std, "0 dB: the image's maximum", relative, image.inside, zero=zero)


def history_of_file(
    path: str | PathLike[str], *, scene: int = 0, methods: Sequence[str] = (), **options: Any
) -> Figure:
    """Draw what the iterative methods in a file recorded for one scene, against iterations and seconds.

    Methods that recorded nothing are left out.

    Parameters
    ----------
    path, scene, methods
        As in `figure_of_file`.
    **options
        As `mimo.viewer.history.history_figure` takes them.

    Raises
    ------
    mimo.data.FileError
        When the file is not sound, has no such scene or image, or no chosen method recorded anything.
    """
    curves = []
    with open_measurement(path) as source:
        if not 0 <= scene < source.n_scene:
            raise FileError(path, f"there is no scene {scene}: expected one of scenes 0 to {source.n_scene - 1}")
        for name in methods:
            if name not in source.methods:
                raise FileError(path, unknown("image", name, source.methods))
        for name in methods or source.methods:
            recorded = source.reconstruction(name, [scene]).history
            curves += curves_from(name, recorded, scene, source.n_scene)
    if not curves:
        which = ", ".join(methods or source.methods) or "no method at all"
        raise FileError(path, f"no history of {which}: expected a method that iterates, say l1 or pnp")
    return history_figure(curves, **options)
