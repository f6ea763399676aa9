"""Plan the files of a run over many scenes: make those that are missing and join them to one file.

A large run writes *shards*, files of some scenes each, to the folder ``<stem>-shards``. The shards are its only state,
and each is either finished or absent. So a run with the same parameters continues an interrupted one, or shares the
work with other processes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from mimo.data.files.reader import open_measurement
from mimo.data.files.schema import FileError
from mimo.data.files.shards import join_shards
from mimo.data.jobs.cluster import Counted, check_workers, counted, run_tasks
from mimo.data.jobs.tasks import FileTask, check_same, is_valid, read_recipe
from mimo.output_file import remove_leftovers, shared

__all__ = ["Output", "Part", "read_plan", "remove_leftovers", "run_outputs", "shard_folder"]

MOST_LOCKS = 100
"""Most outputs that are locked against runs with other parameters: a lock takes a descriptor, and these are few."""
PLAN = ".plan.json"
"""A file in the folder of shards, until these are joined: the names of all shards and their scenes."""


@dataclass(frozen=True)
class Part:
    """Says which share of a run a process does: part `number`, counted from 1, `of` so many."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"part is {self.number}/{self.of}: expected I/N with I from 1 to N")

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``I/N``; ValueError for anything else."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise ValueError(f"part is {text!r}: expected I/N with I from 1 to N, as 3/10")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Output:
    """Describes a file to be made: by one task, or by several whose files are joined.

    Attributes
    ----------
    path
        The file.
    tasks
        The tasks in the order of their scenes; a single task makes the file itself.
    recipe
        Recipe of the whole file, as `FileTask.recipe`.
    """

    path: Path
    tasks: tuple[FileTask, ...]
    recipe: str

    @classmethod
    def of_scenes(
        cls, path: Path, n_scene: int, shard_size: int, make: Callable[[Path, int, int], FileTask], recipe: str
    ) -> Output:
        """Divide `n_scene` scenes among tasks of `shard_size`; `make` is given a file, first scene and last + 1."""
        if n_scene <= shard_size:
            return cls(path, (make(path, 0, n_scene),), recipe)
        folder = shard_folder(path)
        ranges = [(start, min(start + shard_size, n_scene)) for start in range(0, n_scene, shard_size)]
        tasks = (make(folder / f"shard-{i:05d}.h5", *scenes) for i, scenes in enumerate(ranges))
        return cls(path, tuple(tasks), recipe)

    @property
    def n_scene(self) -> int:
        """Number of scenes."""
        return sum(task.n_scene for task in self.tasks)

    @property
    def joined(self) -> bool:
        """Whether the file is joined from shards."""
        return self.tasks[0].path != self.path

    def is_finished(self) -> bool:
        """Whether the file exists and is undamaged, shards included.

        Raises
        ------
        FileError
            When another file has that name: no HDF5, of another recipe, or of another number of scenes.
        """
        if not self.path.exists():
            return False
        found = read_recipe(self.path)
        if found is None:
            raise FileError(self.path, "exists and cannot be read as HDF5: delete it or choose another name")
        check_same(self.path, found, self.recipe, self.tasks[0].maker)
        n_found = json.loads(found)["scenes"][1]
        if n_found != self.n_scene:
            problem = f"holds {n_found} scenes, asked for {self.n_scene}: delete it to make it anew"
            raise FileError(self.path, f"{problem} (its shards are kept)")
        return is_valid(self.path)

    def prepare(self) -> None:
        """Make the folders and write the plan of the shards; `FileError` when a shard belongs to another run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.joined:
            return
        for task in self.tasks:
            found = read_recipe(task.path)
            if found is not None:
                check_same(task.path, found, task.recipe, task.maker)
        folder = shard_folder(self.path)
        folder.mkdir(exist_ok=True)
        plan = {"shards": {task.path.name: [task.start, task.stop] for task in self.tasks}}
        text = json.dumps(plan)
        if not self.path.exists() and read_plan(self.path) != plan["shards"]:
            (folder / PLAN).write_text(text)

    def missing(self) -> list[FileTask]:
        """Return the tasks whose files are absent; of a file that exists only the recipe is read."""
        return [task for task in self.tasks if read_recipe(task.path) != task.recipe]

    def finish(self) -> None:
        """Join the tasks' files, then remove what killed processes left behind."""
        if self.joined:
            if not self._is_joined():
                join_shards(self.path, [task.path for task in self.tasks], recipe=self.recipe)
            (shard_folder(self.path) / PLAN).unlink(missing_ok=True)
        remove_leftovers([self.path])
        if self.joined:
            remove_leftovers([task.path for task in self.tasks])

    def _is_joined(self) -> bool:
        """Whether the joined file exists: where only shards were made again, it and its hash stay as they are."""
        if read_recipe(self.path) != self.recipe:
            return False
        with suppress(FileError), open_measurement(self.path) as file:
            return file.n_scene == self.n_scene
        return False


def run_outputs(
    outputs: Sequence[Output],
    *,
    workers: int,
    scheduler: str | None = None,
    part: Part | None = None,
    progress: Counted = False,
) -> list[Path]:
    """Make files that are not finished, and return the paths of those that other parts still have to make.

    Parameters
    ----------
    outputs
        The files.
    workers, scheduler
        As in `mimo.data.jobs.cluster.run_tasks`.
    part
        Which share of the tasks to do; all for ``None``. The part that finishes last also joins the shards.
    progress
        ``True`` shows a bar with rate and remaining time; a function is called with (scenes done, scenes in all).

    Raises
    ------
    FileError
        When another file has the name of one to be made, or a file cannot be written.
    mimo.output_file.OutputError
        When a process is making one of them with other parameters.
    """
    with ExitStack() as stack:
        for output in outputs[:MOST_LOCKS]:
            output.path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(shared(output.path, output.recipe))
        return _run_outputs(outputs, workers=workers, scheduler=scheduler, part=part, progress=progress)


def _run_outputs(
    outputs: Sequence[Output], *, workers: int, scheduler: str | None, part: Part | None, progress: Counted
) -> list[Path]:
    mine = [task for output in outputs for task in output.tasks]
    if part is not None:
        mine = mine[part.number - 1 :: part.of]
    with counted(progress, sum(task.n_scene for task in mine)) as advance:
        open_ = [output for output in outputs if not output.is_finished()]
        if open_ and len(mine) > 1:
            check_workers(workers, scheduler)
        for output in open_:
            output.prepare()
        wanted = {task.path for output in open_ for task in output.tasks}
        finished = sum(task.n_scene for task in mine if task.path not in wanted)
        if finished:
            advance(finished)
        todo = [task for task in mine if task.path in wanted]
        run_tasks(todo, workers=workers, scheduler=scheduler, advance=advance)
        missing = []
        for output in open_:
            left = output.missing() if part is not None else []
            missing += [task.path for task in left]
            if not left:
                output.finish()
    return missing


def shard_folder(path: Path) -> Path:
    """Return the folder of a joined file's shards."""
    return path.with_name(f"{path.stem}-shards")


def read_plan(path: Path) -> dict[str, list[int]]:
    """Return the shards that an unfinished run for `path` makes, by name: [first scene, last scene + 1]."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        plan = json.loads((shard_folder(path) / PLAN).read_text())["shards"]
        return {str(name): [int(first), int(last)] for name, (first, last) in plan.items()}
    return {}
