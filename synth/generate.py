"""Datasets: many scenes to HDF5, by several processes, resumable, the same arrays whatever the number of processes."""

from __future__ import annotations

import json
import logging
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
from tqdm import tqdm

from data import FileError, create_file, join_shards, validate
from mimo import ArrayGeometry, FrequencySweep, LayeredMedium, VoxelGrid
from mimo.pattern import Patterns
from synth.noise import Realism, check_snr, with_missing_channels
from synth.paper import N_FREQ, paper_array, paper_grid, paper_sweep
from synth.scene import Recipe, batches, one_thread
from synth.targets import check_preset

RECIPE_ATTRIBUTE = "recipe"
SHARD_SIZE = 128
"""Scenes in a shard: a few seconds of work, a multiple of the operator's batch."""
PART = ".part.h5"
"""How the names of unfinished files end."""

Advance = Callable[[int], None]


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
        ``"paper"`` or ``"shapes"``, see `synth.draw`.
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
    progress
        ``True`` shows a bar with rate and remaining time; a function is called with (scenes done, `n`).

    Returns
    -------
    Path
        Of the finished file.

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
    out = Path(out).absolute()
    if n_freq != N_FREQ and sweep is not None and n_freq != sweep.n_freq:
        raise ValueError(f"n_freq is {n_freq}, sweep has {sweep.n_freq} frequencies: give one of them")
    for name, value, least in (("n", n, 1), ("workers", workers, 1), ("shard_size", shard_size, 1), ("seed", seed, 0)):
        if int(value) != value or value < least:
            raise ValueError(f"{name} is {value}: expected a whole number, {least} or more")
    check_preset(preset)
    if layers is not None and permittivity != 1:
        raise ValueError(f"permittivity is {permittivity:g} beside layers: expected 1, as layers name their own")
    realism = Realism() if realism is None else realism
    recipe = Recipe(
        preset=preset,
        array=with_missing_channels(paper_array() if array is None else array, realism.missing_channels, int(seed)),
        sweep=paper_sweep(n_freq) if sweep is None else sweep,
        grid=paper_grid() if grid is None else grid,
        permittivity=float(permittivity),
        pattern=pattern,
        layers=layers,
        snr_db=_snr_range(snr_db),
        seed=int(seed),
        realism=realism,
    )
    with _progress(progress, n) as advance:
        if _is_finished(out, recipe, n):
            advance(n)
            return out
        out.parent.mkdir(parents=True, exist_ok=True)
        if n <= shard_size:
            if scheduler is None:
                make_shard(Shard(recipe, 0, n, out), advance)
            else:
                _on_cluster([Shard(recipe, 0, n, out)], workers, scheduler, advance)
            _remove_parts(out.parent, out.name)
            return out
        folder = out.with_name(f"{out.stem}-shards")
        shards = [
            Shard(recipe, start, min(start + shard_size, n), folder / f"shard-{i:05d}.h5")
            for i, start in enumerate(range(0, n, shard_size))
        ]
        for shard in shards:
            shard.check_owner()
        folder.mkdir(exist_ok=True)
        if workers == 1 and scheduler is None:
            for shard in shards:
                make_shard(shard, advance)
        else:
            _on_cluster(shards, workers, scheduler, advance)
        _join(out, recipe, n, shards)
    return out


@dataclass(frozen=True)
class Shard:
    """Scenes `start` to `stop` - 1 of a recipe and the file they go to: one task of a cluster."""

    recipe: Recipe
    start: int
    stop: int
    path: Path

    def check_owner(self) -> None:
        """Raise `FileError` when the file exists and holds something that `generate` must not replace."""
        found = read_recipe(self.path)
        if found is not None:
            check_same(self.path, found, self.recipe)

    def is_finished(self) -> bool:
        """Whether the file holds exactly these scenes, and all of them."""
        found = read_recipe(self.path)
        return found == self.recipe.describe(self.start, self.stop) and _is_valid(self.path)


def make_shard(shard: Shard, advance: Advance | None = None) -> int:
    """Write a shard, unless it is finished already, and return its number of scenes.

    The file appears under its name when it is complete. `advance` is called with the number of scenes of each batch.
    """
    n_scene = shard.stop - shard.start
    advance = advance or (lambda n: None)
    if shard.is_finished():
        advance(n_scene)
        return n_scene
    shard.check_owner()
    recipe = shard.recipe
    part = shard.path.with_name(f".{shard.path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{PART}")
    try:
        with (
            one_thread(),
            create_file(
                part,
                array=recipe.array,
                sweep=recipe.sweep,
                grid=recipe.grid,
                n_scene=n_scene,
                permittivity=recipe.permittivity,
                with_truth=True,
                source=recipe.title,
            ) as file,
        ):
            for batch in batches(recipe, shard.start, shard.stop):
                file.write(batch.first - shard.start, batch.values, batch.truth, batch.snr_db)
                advance(len(batch.values))
        _publish(part, shard.path, recipe.describe(shard.start, shard.stop))
    except FileError as error:
        raise FileError(shard.path, error.problem) from error
    finally:
        part.unlink(missing_ok=True)
    return n_scene


def _work(shard: Shard) -> int:
    """Make a shard in a worker of a cluster."""
    return make_shard(shard)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C, which a terminal sends to every process, to the one that owns the cluster and ends the others."""
    with suppress(ValueError):  # only a process's main thread may
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_cluster(shards: list[Shard], workers: int, scheduler: str | None, advance: Advance) -> None:
    """Make shards by the workers of a cluster, a local one unless there is a scheduler's address."""
    from distributed import Client, LocalCluster, as_completed

    with ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            address = stack.enter_context(
                LocalCluster(
                    n_workers=min(workers, len(shards)),
                    threads_per_worker=1,
                    dashboard_address=None,
                    host="127.0.0.1",
                    memory_limit=None,
                    silence_logs=logging.ERROR,
                )
            )
        client = stack.enter_context(Client(address, set_as_default=False))
        if scheduler is None:
            client.run(_ignore_interrupt)
        futures = client.map(_work, shards, pure=False, retries=2)
        del shards
        for future in as_completed(futures, loop=client.loop):
            advance(future.result())
            future.release()


def _join(out: Path, recipe: Recipe, n: int, shards: list[Shard]) -> None:
    """Write the virtual dataset, then remove what killed processes left behind."""
    part = out.with_name(f".{out.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{PART}")
    try:
        join_shards(part, [shard.path for shard in shards])
        _publish(part, out, recipe.describe(0, n))
    finally:
        part.unlink(missing_ok=True)
    _remove_parts(out.parent, out.name)
    for shard in shards:
        _remove_parts(shard.path.parent, shard.path.name)


def _publish(part: Path, path: Path, text: str) -> None:
    """Mark a complete file with its recipe and give it its name."""
    with h5py.File(part, "r+") as file:
        file.attrs[RECIPE_ATTRIBUTE] = text
    part.replace(path)


def _remove_parts(folder: Path, name: str) -> None:
    """Remove the unfinished files of `name`: hidden, named after it, and marked as unfinished."""
    for path in folder.iterdir():
        if path.name.startswith(".") and path.name.lstrip(".").startswith(f"{name}.") and PART in path.name:
            path.unlink(missing_ok=True)


def _is_finished(out: Path, recipe: Recipe, n: int) -> bool:
    """Whether `out` is the finished dataset; `FileError` when it is anything else but a damaged one."""
    if not out.exists():
        return False
    found = read_recipe(out)
    if found is None:
        raise FileError(out, "exists and cannot be read as HDF5: delete it or choose another name")
    check_same(out, found, recipe)
    n_found = json.loads(found)["scenes"][1]
    if n_found != n:
        raise FileError(out, f"holds {n_found} scenes, asked for {n}: delete it to make it anew (its shards are kept)")
    return _is_valid(out)


def read_recipe(path: Path) -> str | None:
    """Return the recipe a file states, "" when it states none, ``None`` when there is no file that HDF5 can read."""
    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs.get(RECIPE_ATTRIBUTE, ""))
    except OSError:
        return None


def check_same(path: Path, found: str, recipe: Recipe) -> None:
    """Raise `FileError`, naming what differs, when a file was made by other parameters than those of `recipe`."""
    if not found:
        raise FileError(path, "exists and was not made by generate: delete it or choose another name")
    theirs, ours = json.loads(found), json.loads(recipe.describe(0, 0))
    differ = [key for key in {**ours, **theirs} if key != "scenes" and theirs.get(key) != ours.get(key)]
    if differ:
        what = "; ".join(f"{key} is {theirs.get(key)!r}, asked for {ours.get(key)!r}" for key in differ)
        raise FileError(path, f"belongs to a dataset of other parameters ({what}): delete it or choose another name")


def _is_valid(path: Path) -> bool:
    try:
        validate(path)
    except (FileError, OSError):
        return False
    return True


def _snr_range(snr_db: float | tuple[float, float] | None) -> tuple[float, float] | None:
    if snr_db is None:
        return None
    low, high = (float(snr_db), float(snr_db)) if isinstance(snr_db, int | float) else map(float, snr_db)
    for value in (low, high):
        check_snr(value)
    if low > high or (low != high and high == float("inf")):
        raise ValueError(f"snr_db is ({low}, {high}): expected the lower limit first, both finite")
    return None if low == float("inf") else (low, high)


@contextmanager
def _progress(progress: bool | Callable[[int, int], None], n: int) -> Iterator[Advance]:
    """Yield the function that counts finished scenes."""
    if callable(progress):
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            progress(done, n)

        yield count
    else:
        with tqdm(total=n, unit="scene", disable=not progress, smoothing=0.1, dynamic_ncols=True) as bar:
            yield bar.update
