"""From a file to a file: run methods on every scene and write the measurement with its images."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import data
from data import Measurement, Reconstruction
from mimo import LayeredMedium, VoxelGrid
from mimo.linear import DEFAULT_MEMORY
from mimo.pattern import Patterns
from recon.run import Live, Progress, make_problem, run_method


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
    measurement: Measurement | None = None,
    grid: VoxelGrid | None = None,
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
    measurement
        What to reconstruct instead of what is in `source`, say with its background subtracted.
    grid
        Voxels; the file's own by default. On another grid its truth and images are not carried over.
    options
        Options of each method by its name.
    pattern, layers, device, memory
        As in `recon.make_problem`.
    live
        Write `out` anew every so many iterations of an iterative method, with the images of then; 0: only at the end.
    watch
        Given a method's name, a context that yields ``progress(scenes done, scenes in all)`` or ``None``.

    Raises
    ------
    ValueError
        When a file, a method, an option or the geometry does not fit; nothing is written then.
    """
    measurement = data.load(source) if measurement is None else measurement
    kept = data.load_reconstructions(source)
    other = grid is not None and grid != measurement.grid
    left_behind = other and (measurement.truth is not None or bool(kept))
    if other:
        kept, measurement = {}, replace(measurement, grid=grid, truth=None)
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


def write_history(path: Path, made: Sequence[Reconstruction]) -> None:
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
    batches = history if history and isinstance(history[0], list) else [history or []]
    first = 0
    for batch in batches:
        n_scene = max((len(v) for entry in batch for v in entry.values() if isinstance(v, list)), default=0)
        for scene in range(n_scene):
            for i, entry in enumerate(batch):
                values = {name: v[scene] for name, v in entry.items() if isinstance(v, list)}
                if all(value is None for value in values.values()):
                    break
                yield first + scene, i + 1, {"seconds": entry["seconds"], **values}
        first += n_scene
