"""Read the values of a file to find what is damaged in them, which a look at names and shapes cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import Any

from mimo.data.files.reader import MeasurementFile, open_measurement
from mimo.data.files.schema import FileError

__all__ = ["damage_of"]

MOST_READ = 2**31
"""Bytes of values that are read at most: some seconds from a disk."""


def damage_of(path: str | PathLike[str], *, most: int = MOST_READ) -> tuple[list[str], int]:
    """Read the values in a file and say what is damaged: numbers that are NaN or infinite, blocks that cannot be read.

    Parameters
    ----------
    path
        A file of the schema, all of whose shards are there.
    most
        Bytes to read at most; no scene is begun beyond.

    Returns
    -------
    problems, n_scene
        The first problem of the measurement, of the truth and of each method's images, as ``reconstruction/l1 is nan
        at ...``; how many scenes, from the first, were read.

    Raises
    ------
    FileError
        When the file cannot be opened.
    """
    with open_measurement(path) as file:
        parts: dict[str, Callable[[int], Any]] = {"measurement": lambda scene: file.measurement([scene])}
        if file.has_truth:
            parts["truth"] = file.truth
        parts |= {name: _image(file, name) for name in file.methods}
        problems: dict[str, str] = {}
        size = sum(data.size * data.dtype.itemsize for data in file.scene_datasets().values())
        size += sum(data.size * data.dtype.itemsize for _, data in map(file.image_dataset, file.methods))
        n_scene = min(file.n_scene, max(1, most * file.n_scene // max(1, size)))
        for scene in range(n_scene):
            for name in parts.keys() - problems.keys():
                try:
                    parts[name](scene)
                except FileError as error:
                    problems[name] = error.problem
    return [problems[name] for name in parts if name in problems], n_scene


def _image(file: MeasurementFile, name: str) -> Callable[[int], Any]:
    return lambda scene: file.reconstruction(name, [scene])
