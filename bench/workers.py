"""Measure throughput with one worker and with several of a local dask cluster (``mimo bench --workers N``).

Both clusters run all the time, so that each round measures one after the other under the same load of the machine. The
first round, in which workers import and factorise, is not counted. The time of a job is that for which a user waits:
tasks are distributed, scenes read, images made, shards written and joined. Only the start of the workers is stated
separately.
"""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimo.bench.large_arrays import peak_mb
from mimo.extras import needed
from mimo.recon import reconstruct_files
from mimo.synth import generate, paper_array, paper_grid

__all__ = ["SHARD_SIZE", "Job", "measure_batches", "measure_workers", "reconstruction_jobs", "worker_table"]

ASKED = 0.9
"""Required efficiency: N workers should reach at least this times N times the throughput of one."""
SHARD_SIZE = 16


@dataclass(frozen=True)
class Job:
    """Describes work for the workers of a scheduler.

    Attributes
    ----------
    n_scene
        Number of scenes that it makes.
    run
        Function that does it, called with the file to make and the scheduler's address.
    """

    n_scene: int
    run: Callable[[Path, str], object]


def reconstruction_jobs(scenes: Path, few: Path, n_scene: int, n_few: int) -> dict[str, Job]:
    """Make two jobs: a direct method on the `n_scene` scenes of a file, an iterative one on the `n_few` of another."""

    def images(source: Path, method: str, options: dict[str, Any]) -> Callable[[Path, str], object]:
        return lambda out, address: reconstruct_files(
            [source],
            out,
            [method],
            options={method: options},
            scheduler=address,
            shard_size=SHARD_SIZE,
            check="none",
        )

    return {
        "reconstruct, tikhonov": Job(n_scene, images(scenes, "tikhonov", {})),
        "reconstruct, l1, 10 iterations": Job(n_few, images(few, "l1", {"max_iterations": 10, "tolerance": 0.0})),
    }


def measure_workers(
    jobs: Mapping[str, Job],
    folder: Path,
    *,
    workers: int,
    n_rounds: int,
    pairs: int,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Measure the scenes a second of each job with one worker and with `workers`; returns plain numbers by name.

    Parameters
    ----------
    jobs
        Jobs by name.
    folder
        Folder for the files that they make.
    workers
        Number of processes of the larger cluster, 2 or more.
    n_rounds
        Number of rounds to take medians over.
    pairs
        Channels times voxels of a scene, which turns scenes a second into back-projections a second.
    """
    needed("dask", "distributed", purpose="mimo bench of several workers", extra="cluster")
    from distributed import Client, LocalCluster

    addresses, starts, clients = {}, {}, {}
    with ExitStack() as stack:
        for count in (1, workers):
            started = time.perf_counter()
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    host="127.0.0.1",
                    memory_limit=None,
                    silence_logs=logging.CRITICAL,
                )
            )
            addresses[count] = cluster.scheduler_address
            clients[count] = stack.enter_context(Client(addresses[count], set_as_default=False))
            clients[count].wait_for_workers(count)
            starts[count] = time.perf_counter() - started
        seconds: dict[str, dict[int, list[float]]] = {name: {1: [], workers: []} for name in jobs}
        for turn in range(n_rounds + 1):
            progress(f"round {turn} of {n_rounds}")
            for name, job in jobs.items():
                for count, address in addresses.items():
                    out = folder / f"{name.replace(', ', '-').replace(' ', '-')}-{count}-{turn}.h5"
                    started = time.perf_counter()
                    job.run(out, address)
                    if turn:
                        seconds[name][count].append(time.perf_counter() - started)
        peaks = [max(client.run(peak_mb).values()) for client in clients.values()]
    rows = []
    for name, job in jobs.items():
        one, many = (statistics.median(seconds[name][count]) for count in (1, workers))
        gains = [a / b for a, b in zip(seconds[name][1], seconds[name][workers], strict=True)]
        gain = statistics.median(gains)
        rows.append(
            {
                "job": name,
                "scenes": job.n_scene,
                "scenes a second, 1 worker": job.n_scene / one,
                f"scenes a second, {workers} workers": job.n_scene / many,
                "back-projections a second": job.n_scene * pairs / many,
                "gain": gain,
                "met": gain >= ASKED * workers,
            }
        )
    return {
        "workers": workers,
        "rounds": n_rounds,
        "start of the workers, s": {str(count): value for count, value in starts.items()},
        "peak memory of a worker, MB": max(peaks),
        "jobs": rows,
    }


def worker_table(result: dict[str, Any]) -> str:
    """Format the result of `measure_workers` as a table of text."""
    n = result["workers"]
    asked = f"at least {ASKED * n:g}"
    lines = [
        f"papers' array, sweep and grid; one thread a worker, medians of {result['rounds']} rounds",
        "",
        f"{'scenes a second':<34}{'scenes':>8}{'1 worker':>12}{f'{n} workers':>12}{'gain':>8}{'asked':>16}",
    ]
    for row in result["jobs"]:
        one, many = (row[f"scenes a second, {count}"] for count in ("1 worker", f"{n} workers"))
        met = "" if row["met"] else "  not met"
        lines.append(f"{row['job']:<34}{row['scenes']:>8}{one:>12.1f}{many:>12.1f}{row['gain']:>8.2f}{asked:>16}{met}")
    best = max(row["back-projections a second"] for row in result["jobs"])
    starts = ", ".join(f"{count}: {value:.1f} s" for count, value in result["start of the workers, s"].items())
    lines += [
        "",
        f"at most {best:.3g} back-projections a second (channels x voxels) by {n} workers",
        f"start of the workers, {starts}; peak memory of a worker {result['peak memory of a worker, MB']:.0f} MB",
    ]
    return "\n".join(lines)


def measure_batches(workers: int, n_rounds: int, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure the throughput of `synth` and `reconstruct` at the papers' size with one worker and with several."""
    n_scene, n_few = 256 * workers, 32 * workers

    def make(out: Path, address: str) -> Path:
        return generate(out, n=n_scene, scheduler=address, shard_size=SHARD_SIZE)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = generate(folder / "scenes.h5", n=n_scene, workers=workers)
        few = generate(folder / "few.h5", n=n_few, workers=workers)
        jobs = {"synth": Job(n_scene, make), **reconstruction_jobs(scenes, few, n_scene, n_few)}
        pairs = paper_array().n_channel * paper_grid().n_voxel
        return measure_workers(jobs, folder, workers=workers, n_rounds=n_rounds, pairs=pairs, progress=progress)
