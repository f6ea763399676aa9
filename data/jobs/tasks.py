"""Define resumable tasks, each of which makes one file.

A file stores its *recipe*, the parameters that it was made from. A file that has the task's recipe and validates is not
made again.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import h5py
import torch

from mimo.data.files.hdf5 import attribute
from mimo.data.files.reader import validate
from mimo.data.files.schema import FileError, UnfitError
from mimo.data.files.writer import RECIPE_ATTRIBUTE

__all__ = [
    "Advance",
    "FileTask",
    "check_owner",
    "check_same",
    "fingerprint",
    "is_finished",
    "is_valid",
    "make_file",
    "one_thread",
    "read_recipe",
]

LONGEST_REPR = 200

Advance = Callable[[int], None]
"""A function that is called with the number of scenes finished since the last call."""


@dataclass(frozen=True, eq=False)
class FileTask(ABC):
    """Describes a task: the scenes `start` to `stop` - 1 of a run, and the file that holds them.

    Attributes
    ----------
    path
        The file.
    start, stop
        First scene and last scene + 1.
    maker
        Name of the command that makes such files, for messages.
    """

    path: Path
    start: int
    stop: int
    maker: ClassVar[str] = ""

    @property
    def n_scene(self) -> int:
        """Number of scenes in the file."""
        return self.stop - self.start

    @property
    @abstractmethod
    def recipe(self) -> str:
        """Everything that the file's arrays depend on, a JSON object with ``scenes``; equal texts mean equal arrays."""

    @abstractmethod
    def write(self, advance: Advance) -> None:
        """Write the file with its recipe, so that it appears under its name only when it is complete."""


def make_file(task: FileTask, advance: Advance = lambda n: None) -> int:
    """Make a task's file on one thread, unless it is finished already, and return its number of scenes.

    Raises
    ------
    FileError
        When the file exists and belongs to something else, or cannot be written.
    """
    if is_finished(task):
        advance(task.n_scene)
        return task.n_scene
    check_owner(task)
    try:
        with one_thread():
            task.write(advance)
    except FileError:
        if not is_finished(task):  # else another process of the same run made it first and removed our temporary file
            raise
    return task.n_scene


def is_finished(task: FileTask) -> bool:
    """Whether the file holds exactly the task's scenes, all of them and undamaged."""
    return read_recipe(task.path) == task.recipe and is_valid(task.path)


def check_owner(task: FileTask) -> None:
    """Raise `FileError` when the file exists and holds something that the task must not replace."""
    found = read_recipe(task.path)
    if found is not None:
        check_same(task.path, found, task.recipe, task.maker)


def read_recipe(path: Path) -> str | None:
    """Return the recipe a file states, "" when it states none, ``None`` when there is no file that HDF5 can read."""
    try:
        with h5py.File(path, "r") as file:
            return attribute(file, RECIPE_ATTRIBUTE, "string") or ""
    except UnfitError:
        return ""
    except (OSError, RuntimeError):
        return None


def check_same(path: Path, found: str, recipe: str, maker: str) -> None:
    """Raise `FileError`, naming what differs, when a file's recipe `found` is another one; ``scenes`` may differ."""
    theirs, ours = (json.loads(text) if text else {} for text in (found, recipe))
    if next(iter(theirs), None) != next(iter(ours), None):  # the first entry is the version of the kind of recipe
        raise FileError(path, f"exists and is no file that {maker} can go on with: delete it or choose another name")
    differ = [key for key in {**ours, **theirs} if key != "scenes" and theirs.get(key) != ours.get(key)]
    if differ:
        what = "; ".join(f"{key} is {theirs.get(key)!r}, asked for {ours.get(key)!r}" for key in differ)
        raise FileError(path, f"belongs to a dataset of other parameters ({what}): delete it or choose another name")


def is_valid(path: Path) -> bool:
    """Whether the whole file can be read and follows the schema."""
    try:
        validate(path)
    except (FileError, OSError):
        return False
    return True


def fingerprint(value: object) -> str:
    """Return text that identifies a value in a recipe: its repr, or a hash of that when it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_REPR else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block, so that results do not depend on a process's number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
