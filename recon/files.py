"""From a file to a file: run methods on every scene and write the measurement with its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import data
from data import Measurement, Reconstruction
from mimo import VoxelGrid
from mimo.linear import DEFAULT_MEMORY
from recon.registry import Progress, make_problem, run_method


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
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str = "auto",
    memory: int = DEFAULT_MEMORY,
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
    device, memory
        As in `recon.make_problem`.
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
    problem = make_problem(measurement, device=device, memory=memory)
    sha = data.file_sha256(source)
    for name in methods:
        with watch(name) as progress:
            made = run_method(name, problem, progress=progress, source_sha256=sha, **(options or {}).get(name, {}))
            kept[name] = made
    data.save(out, replace(measurement, grid=problem.operator.grid), reconstructions=list(kept.values()))
    return Written([kept[name] for name in methods], left_behind)
