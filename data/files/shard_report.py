"""Report which shards a file is made of and what is missing of them (``mimo info``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from mimo.data.files.hdf5 import check_shard, guarded, open_hdf5, subgroup, virtual_dataset
from mimo.data.files.schema import FIELDS, METHOD, Field, FileError, UnfitError
from mimo.data.jobs.outputs import read_plan, shard_folder
from mimo.data.jobs.tasks import read_recipe

__all__ = ["Shards", "shards_of"]


@dataclass(frozen=True)
class Shards:
    """Holds the names of a file's shards and what is wrong with them.

    Attributes
    ----------
    names
        Names of the shards, relative to the file's folder, in the order of their scenes.
    missing
        A line for each shard that is absent or damaged, with its scenes.
    n_scene
        Number of scenes of the whole file.
    """

    names: list[str]
    missing: list[str]
    n_scene: int

    def facts(self) -> dict[str, Any]:
        """Return ``shards`` and ``missing`` for `mimo.data.describe_file`."""
        folders = {str(Path(name).parent) for name in self.names}
        first, last = Path(self.names[0]).name, Path(self.names[-1]).name
        there = len(self.names) - len(self.missing)
        found = f"{there} of {len(self.names)} in {', '.join(sorted(folders))}: {first} to {last}"
        return {"shards": found, "missing": self.missing or "none"}


def shards_of(path: Path) -> Shards | None:
    """Check every shard of a joined file, or of a run that has not joined them yet; ``None`` when it has no shards.

    Each is opened and checked as for reading, but its numbers are not read.
    """
    if not path.exists():
        return _planned(path)
    with open_hdf5(path) as file, guarded(path):
        return _joined(path, file)


def _joined(path: Path, file: h5py.File) -> Shards | None:
    scenes: dict[str, tuple[int, int]] = {}
    problems: dict[str, str] = {}
    for name, field, dataset in _virtual_datasets(file):
        for source in dataset.virtual_sources():
            start, stop = source.vspace.get_select_bounds()
            scenes[source.file_name] = start[0], stop[0]
            if source.file_name not in problems:
                problem = _problem(path, dataset, source, field, name)
                if problem:
                    problems[source.file_name] = problem
    if not scenes:
        return None
    names = sorted(scenes, key=lambda name: scenes[name])
    told = {name: f"{name}, scenes {scenes[name][0]} to {scenes[name][1]}" for name in names}
    missing = [f"{told[name]}: {problems[name]}" for name in names if name in problems]
    return Shards(names, missing, max(stop for _, stop in scenes.values()) + 1)


def _virtual_datasets(file: h5py.File) -> Iterator[tuple[str, Field, h5py.Dataset]]:
    methods = subgroup(file, "reconstruction")
    for field in FIELDS:
        places = [field.path]
        if METHOD in field.path:
            places = [field.at(method) for method in methods or ()]
        for place in places:
            found = virtual_dataset(file, place) if field.per_scene else None
            if found is not None:
                yield place, field, found


def _problem(path: Path, dataset: h5py.Dataset, source: Any, field: Field, name: str) -> str:
    try:
        check_shard(path, dataset, source, field, name)
    except FileError as error:
        return f"damaged, {error.problem}"
    except UnfitError as error:
        return str(error) if (path.resolve().parent / source.file_name).is_file() else "missing"
    return ""


def _planned(path: Path) -> Shards | None:
    plan = read_plan(path)
    folder = shard_folder(path)
    missing = []
    for name, (start, stop) in plan.items():
        if not read_recipe(folder / name):
            state = "damaged" if (folder / name).exists() else "not made yet"
            missing.append(f"{folder.name}/{name}, scenes {start} to {stop - 1}: {state}")
    names = [f"{folder.name}/{name}" for name in plan]
    return Shards(names, missing, max(stop for _, stop in plan.values())) if plan else None
