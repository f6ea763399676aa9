"""From a file of the schema to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from matplotlib.figure import Figure

from data import FileError, open_measurement
from recon.registry import unknown
from viewer.figure import figure, panels_from


def figure_of_file(path: str | PathLike[str], *, scene: int = 0, methods: Sequence[str] = (), **options: Any) -> Figure:
    """Draw one scene of a file, the truth first where it is known.

    Parameters
    ----------
    path
        A file with images or a truth.
    scene
        Which scene, from 0.
    methods
        Whose images; all that the file holds when empty.
    **options
        As `viewer.figure.figure` takes them.

    Raises
    ------
    data.FileError
        When the file is not sound, holds nothing to draw, or has no such scene or image.
    """
    with open_measurement(path) as source:
        if not 0 <= scene < source.n_scene:
            raise FileError(path, f"there is no scene {scene}: expected one of scenes 0 to {source.n_scene - 1}")
        for name in methods:
            if name not in source.methods:
                raise FileError(path, unknown("image", name, source.methods))
        if source.grid is None or not (source.methods or source.has_truth):
            raise FileError(path, "there is no image yet: run reconstruct first")
        truth = source.truth(scene) if source.has_truth else None
        images = [source.reconstruction(name, [scene]) for name in methods or source.methods]
        return figure(panels_from(truth, images), source.grid, **options)
