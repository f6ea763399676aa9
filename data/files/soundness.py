"""Read the values of a file to find what is damaged in them, which a look at names and shapes cannot tell."""

from __future__ import annotations

import warnings
from os import PathLike

from mimo.data.files.reader import MeasurementFile, open_measurement
from mimo.data.files.schema import BY_PATH, FileError
from mimo.data.measurement import Measurement
from mimo.data.provenance import recorded

__all__ = ["damage_of", "load_sound", "sound_scenes", "without_scenes"]

MOST_READ = 2**31
"""Bytes of values that are read at most: some seconds from a disk."""

FEW = 8
"""Scenes that are listed in a sentence; of more only the number is told."""


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
        The first problem of each dataset, as ``reconstruction/l1/magnitude is nan at ...``, with the numbers of other
        scenes that have one; how many scenes, from the first, were read.

    Raises
    ------
    FileError
        When the file cannot be opened.
    """
    with open_measurement(path) as file:
        size = sum(data.size * data.dtype.itemsize for data in file.scene_datasets().values())
        images = [data for method in file.methods for _, data in file.method_datasets(method).values()]
        size += sum(data.size * data.dtype.itemsize for data in images)
        n_scene = min(file.n_scene, max(1, most * file.n_scene // max(1, size)))
        found = _problems(file, n_scene)
    problems = []
    for by_scene in found.values():
        first, *others = by_scene
        problems.append(by_scene[first] + (f"; so are others, {_scenes(others)}" if others else ""))
    return problems, n_scene


def sound_scenes(file: MeasurementFile) -> list[int]:
    """Return the numbers of the scenes of a file that are sound; a warning says which are not.

    Raises
    ------
    FileError
        When none is.
    """
    bad: dict[int, str] = {}
    for by_scene in _problems(file, file.n_scene).values():
        bad = {**by_scene, **bad}
    numbers = sorted(bad)
    if len(bad) == file.n_scene:
        raise FileError(file.path, f"{bad[0]}; none of {file.n_scene} scenes is sound")
    if bad:
        told = f"{file.path}: {_scenes(numbers)} of {file.n_scene} left out: {bad[numbers[0]]}"
        warnings.warn(told, RuntimeWarning, stacklevel=2)
    return [scene for scene in range(file.n_scene) if scene not in bad]


def load_sound(path: str | PathLike[str]) -> Measurement:
    """Read the scenes of a measurement that are sound; a step records the numbers of those that are left out.

    A warning names them; `FileError` as for `mimo.data.load`, and when no scene is sound.
    """
    with open_measurement(path) as file:
        numbers = sound_scenes(file)
        return without_scenes(file.measurement(numbers), sorted({*range(file.n_scene)} - {*numbers}))


def without_scenes(measurement: Measurement, left_out: list[int]) -> Measurement:
    """Record in a measurement that scenes of its file were left out, if any were."""
    return recorded(measurement, "leave out bad scenes", scenes=left_out) if left_out else measurement


def _problems(file: MeasurementFile, n_scene: int) -> dict[str, dict[int, str]]:
    """Read the first scenes of a file and return what is damaged, by dataset and scene; only datasets that are."""
    fields = {name: BY_PATH[name] for name in file.scene_datasets()}
    for method in file.methods:
        fields |= {name: field for name, (field, _) in file.method_datasets(method).items()}
    found: dict[str, dict[int, str]] = {}
    try:
        file.fixed_datasets()
    except FileError as error:  # without which no scene can be used
        found["all"] = dict.fromkeys(range(n_scene), error.problem)
    for scene in range(n_scene):
        for name, field in fields.items():
            try:
                file.check_scene(name, field, scene)
            except FileError as error:
                found.setdefault(name, {})[scene] = error.problem
    return {name: found[name] for name in ("all", *fields) if name in found}


def _scenes(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:FEW])) + (f" and {len(numbers) - FEW} more" if len(numbers) > FEW else "")
    return f"scene{'s' * (len(numbers) > 1)} {listed}"
