"""From a file to a file: run methods on every scene and write the measurement with its images."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mimo import LayeredMedium, VoxelGrid, data
from mimo.data import Measurement, MeasurementFile, Reconstruction
from mimo.data.files.shards import batches_of_history
from mimo.imaging_operator import DEFAULT_MEMORY
from mimo.pattern import Patterns
from mimo.recon.run import Live, Progress, make_problem, run_method


class Made(Protocol):
    """How a method was run: a `mimo.data.Reconstruction`, or what is known of one without its images."""

    @property
    def method(self) -> str:
        """The method's name."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was run with and found out."""

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Run time of each scene."""

    @property
    def history(self) -> Any:
        """What the solver recorded, or ``None``."""


@dataclass(frozen=True)
class Written:
    """What `reconstruct_file` did: the new images, and whether truth and images of another grid were left behind."""

    made: list[Reconstruction]
    left_behind: bool


def reconstruct_file(
    source: Path,
    out: Path,
    methods: Sequence[str],
    *,
    grid: VoxelGrid | None = None,
    subtract_background: bool = False,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    memory: int = DEFAULT_MEMORY,
    live: int = 0,
    watch: Callable[[str], AbstractContextManager[Progress | None]] = lambda name: nullcontext(),
) -> Written:
    """Reconstruct every scene of `source` and write the measurement and all its images to `out`, which may be `source`.

    Parameters
    ----------
    source, out
        Files of the schema. Images that `source` holds are carried over; one of the same method is replaced.
    methods
        Names; they share one operator.
    grid
        Voxels; the file's own by default. On another grid its truth and images are not carried over.
    subtract_background
        Subtract the file's background first.
    options
        Options of each method by its name.
    pattern, layers, device, memory
        As in `mimo.recon.make_problem`.
    live
        Write `out` anew every so many iterations of an iterative method, with the images of then; 0: only at the end.
    watch
        Given a method's name, a context that yields ``progress(scenes done, scenes in all)`` or ``None``.

    Raises
    ------
    ValueError
        When a file, a method, an option or the geometry does not fit; nothing is written then.
    """
    with data.open_measurement(source) as file:
        measurement, kept, left_behind = take(file, None, grid, subtract_background)
    problem = make_problem(measurement, pattern=pattern, layers=layers, device=device, memory=memory)
    sha = data.file_sha256(source)
    written = replace(measurement, grid=problem.operator.grid)

    def write(made: Reconstruction) -> None:
        kept[made.method] = made
        data.save(out, written, reconstructions=list(kept.values()))

    made = []
    for name in methods:
        with watch(name) as progress:
            made.append(
                run_method(
                    name,
                    problem,
                    progress=progress,
                    live=Live(live, write) if live else None,
                    source_sha256=sha,
                    **(options or {}).get(name, {}),
                )
            )
        kept[name] = made[-1]
        if made[-1].parameters.get("interrupted"):
            break
    data.save(out, written, reconstructions=list(kept.values()))
    return Written(made, left_behind)


def take(
    file: MeasurementFile, scenes: slice | None, grid: VoxelGrid | None, subtract_background: bool
) -> tuple[Measurement, dict[str, Reconstruction], bool]:
    """Read scenes and their images by method; the last says whether truth and images of another grid were left behind.

    Parameters are those of `reconstruct_file`, `scenes` ``None`` for all.
    """
    measurement = file.measurement(scenes)
    if subtract_background:
        measurement = data.subtract_background(measurement)
    other = grid is not None and grid != measurement.grid
    if other:
        left_behind = measurement.truth is not None or bool(file.methods)
        return replace(measurement, grid=grid, truth=None), {}, left_behind
    kept = {method: file.reconstruction(method, scenes) for method in file.methods}
    if scenes is not None:
        chosen = range(file.n_scene)[scenes]
        kept = {method: _of_scenes(each, chosen, file.n_scene) for method, each in kept.items()}
    return measurement, kept, False


def _of_scenes(made: Reconstruction, chosen: range, n_scene: int) -> Reconstruction:
    """Images of some scenes with what was recorded of these scenes of `n_scene`; a part of a batch stays a batch."""
    parameters = {
        name: value[chosen.start : chosen.stop] if isinstance(value, list) and len(value) == n_scene else value
        for name, value in made.parameters.items()
    }
    history, first = [], 0
    for batch in batches_of_history(made.history):
        n = scenes_of_batch(batch)
        here = slice(max(chosen.start - first, 0), max(min(chosen.stop - first, n), 0))
        if here.start < here.stop:
            history.append([{k: v[here] if isinstance(v, list) else v for k, v in entry.items()} for entry in batch])
        first += n
    return replace(made, parameters=parameters, history=history or None)


def scenes_of_batch(batch: Sequence[Mapping[str, Any]]) -> int:
    """Number of scenes in a batch of a solver's record."""
    return max((len(v) for entry in batch for v in entry.values() if isinstance(v, list)), default=0)


def write_history(path: Path, made: Iterable[Made]) -> None:
    """Write the figures of each iteration as CSV: a row for each method, scene and iteration.

    Columns are ``method``, ``scene``, ``iteration`` (from 1), ``seconds`` and whatever the methods recorded; a figure
    that a method has not is empty. Methods without iterations have no rows.
    """
    rows: list[dict[str, Any]] = []
    for each in made:
        for scene, iteration, figures in history_rows(each.history):
            rows.append({"method": each.method, "scene": scene, "iteration": iteration, **figures})
    columns = dict.fromkeys(["method", "scene", "iteration", "seconds", *(name for row in rows for name in row)])
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(columns))
        table.writeheader()
        table.writerows(rows)


def history_rows(history: Any) -> Iterator[tuple[int, int, dict[str, float]]]:
    """Yield scene (from 0), iteration (from 1) and figures of a history: of one batch, or a list of several."""
    first = 0
    for batch in batches_of_history(history):
        n_scene = scenes_of_batch(batch)
        for scene in range(n_scene):
            for i, entry in enumerate(batch):
                values = {name: v[scene] for name, v in entry.items() if isinstance(v, list)}
                if all(value is None for value in values.values()):
                    break
                yield first + scene, i + 1, {"seconds": entry["seconds"], **values}
        first += n_scene
