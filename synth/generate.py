"""Write datasets of scenes to HDF5, by several processes; an interrupted run resumes, and the arrays are the same."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mimo import Acquisition, ArrayGeometry, FrequencySweep, LayeredMedium, VoxelGrid
from mimo.acquisition import medium_of
from mimo.cache import as_text
from mimo.data import create_file
from mimo.data.jobs.outputs import Output, Part, run_outputs, shard_folder
from mimo.data.jobs.tasks import Advance, FileTask
from mimo.memory import WORKING_IMAGES, check_memory, check_voxels
from mimo.output_file import place_of
from mimo.pattern import Patterns
from mimo.synth.noise import Realism, check_snr, with_missing_channels
from mimo.synth.paper import N_FREQ, paper_array, paper_grid, paper_sweep
from mimo.synth.scene import Recipe, batches
from mimo.synth.targets import check_preset

__all__ = ["Shard", "generate"]

SHARD_SIZE = 128
"""Scenes in a shard: a few seconds of work, a multiple of the operator's batch."""


MOST_SHARDS = 100_000
"""Files of a run: more are slow to list, and to join."""


def generate(
    out: str | os.PathLike[str],
    *,
    n: int,
    preset: str = "paper",
    array: ArrayGeometry | None = None,
    sweep: FrequencySweep | None = None,
    grid: VoxelGrid | None = None,
    n_freq: int = N_FREQ,
    permittivity: float = 1.0,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    snr_db: float | tuple[float, float] | None = 30.0,
    seed: int = 0,
    workers: int = 1,
    scheduler: str | None = None,
    shard_size: int = SHARD_SIZE,
    realism: Realism | None = None,
    part: Part | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> Path:
    """Make a dataset of scenes and their measurements.

    Scene ``i`` draws a magnitude (`preset`), a random phase, is measured by the Born operator and gets noise; its
    numbers depend on the parameters, the seed and ``i`` alone (``np.random.SeedSequence([seed, i])``). `workers`,
    `scheduler`, `shard_size` and `n` change no bit of it.

    Parameters
    ----------
    out
        HDF5 file. It appears, under this name, only when it is complete. Above `shard_size` scenes it is a virtual
        dataset over the files of the folder ``<stem>-shards`` beside it, which belong to it.
    n
        Number of scenes.
    preset
        ``"paper"`` or ``"shapes"``, see `mimo.synth.draw`.
    array, sweep, grid
        The geometry; the papers' when ``None``.
    n_freq
        Frequencies from 4 to 16 GHz, when there is no `sweep`.
    permittivity
        Relative permittivity of the medium.
    pattern, layers
        The antennas' pattern and a layered medium, as in `mimo.BornOperator`. The file's source names them; what images
        it must be told them too.
    snr_db
        SNR in dB; (low, high): drawn uniformly for each scene; ``None``: no noise (infinity in the file).
    seed
        Not negative.
    workers
        Processes. One works in this process; more are a local dask cluster, so a script that calls this needs the
        usual ``if __name__ == "__main__"``.
    scheduler
        Address of a dask scheduler (``tcp://host:port``) whose workers do the work instead; they must see the folder of
        `out` under the same path.
    shard_size
        Scenes in a shard; the bar of several processes moves, and an interrupted run loses work, by shards.
    realism
        Departures from the ideal measurement; none when ``None``.
    part
        The share of the shards that this process makes, one of several that are given the same parameters; all for
        ``None``. `out` appears when the last share is done.
    progress
        ``True`` shows a bar with rate and remaining time; a function is called with (scenes done, `n`).

    Returns
    -------
    Path
        Of the file; finished unless other parts are not.

    Raises
    ------
    ValueError
        When a parameter is out of range.
    FileError
        When `out` or its folder of shards holds scenes of other parameters, or something else; the message says which
        parameter differs. Nothing is overwritten.

    Notes
    -----
    An interrupted run, killed at any moment, is taken up by calling again with the same parameters: finished shards
    that pass validation are kept. A finished file of the same parameters is left as it is.
    """
    out = place_of(Path(out).absolute())
    if n_freq != N_FREQ and sweep is not None and n_freq != sweep.n_freq:
        raise ValueError(f"n_freq is {n_freq}, sweep has {sweep.n_freq} frequencies: give one of them")
    for name, value, least in (("n", n, 1), ("workers", workers, 1), ("shard_size", shard_size, 1), ("seed", seed, 0)):
        if int(value) != value or value < least:
            raise ValueError(f"{name} is {value}: expected a whole number, {least} or more")
    n_file = -(-n // shard_size)
    if n_file > MOST_SHARDS:
        raise ValueError(
            f"n is {n} in shards of {shard_size} scenes, {n_file} files: expected at most {MOST_SHARDS} files; "
            f"--shard-size {-(-n // MOST_SHARDS)} lifts the limit"
        )
    check_preset(preset)
    check_memory(f"{n_freq} frequencies", 32.0 * n_freq)
    realism = Realism() if realism is None else realism
    acquisition = Acquisition(
        with_missing_channels(paper_array() if array is None else array, realism.missing_channels, int(seed)),
        paper_sweep(n_freq) if sweep is None else sweep,
        paper_grid() if grid is None else grid,
        medium_of(permittivity, layers),
        pattern,
    )
    check_voxels(acquisition.grid.shape)
    scene = acquisition.grid.n_voxel + math.prod(acquisition.measurement_shape)
    check_memory("a scene and its measurement", 8.0 * WORKING_IMAGES * scene)
    _check_room(out, 8 * n * scene)
    recipe = Recipe(
        preset=preset,
        acquisition=acquisition,
        snr_db=_snr_range(snr_db),
        seed=int(seed),
        realism=realism,
    )
    output = Output.of_scenes(
        out, n, shard_size, lambda path, start, stop: Shard(path, start, stop, recipe), recipe.describe(0, n)
    )
    run_outputs([output], workers=workers, scheduler=scheduler, part=part, progress=progress)
    return out


@dataclass(frozen=True, eq=False)
class Shard(FileTask):
    """Scenes of a recipe and the file they go to."""

    scenes: Recipe
    maker = "generate"

    @property
    def recipe(self) -> str:
        """All that the arrays depend on, as JSON."""
        return self.scenes.describe(self.start, self.stop)

    def write(self, advance: Advance) -> None:
        """Make the scenes, batch by batch."""
        recipe = self.scenes
        with create_file(
            self.path,
            array=recipe.acquisition.array,
            sweep=recipe.acquisition.sweep,
            grid=recipe.acquisition.grid,
            n_scene=self.n_scene,
            permittivity=recipe.acquisition.permittivity,
            with_truth=True,
            source=recipe.title,
            recipe=self.recipe,
        ) as file:
            for batch in batches(recipe, self.start, self.stop):
                file.write(batch.first - self.start, batch.values, batch.truth, batch.snr_db)
                advance(len(batch.values))


def _check_room(out: Path, n_bytes: int) -> None:
    """Raise ValueError when a run that is begun now would fill the disk; of one that goes on a part is there."""
    if out.exists() or shard_folder(out).exists() or not out.parent.is_dir():
        return
    free = shutil.disk_usage(out.parent).free
    if n_bytes > free:
        raise ValueError(
            f"{out}: the scenes take {as_text(n_bytes)}, {as_text(free)} are free in its folder: expected room for "
            "them, a smaller --n or a smaller --grid"
        )


def _snr_range(snr_db: float | tuple[float, float] | None) -> tuple[float, float] | None:
    if snr_db is None:
        return None
    low, high = (float(snr_db), float(snr_db)) if isinstance(snr_db, int | float) else map(float, snr_db)
    for value in (low, high):
        check_snr(value)
    if low > high or (low != high and high == float("inf")):
        raise ValueError(f"snr_db is ({low}, {high}): expected the lower limit first, both finite")
    return None if low == float("inf") else (low, high)
