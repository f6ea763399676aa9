"""Faults of a cluster, with a scheduler and workers as processes: the same arrays, nothing finished made twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from clusters import ROOT, dask_processes, environment, wait_for

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, data
from mimo.recon import reconstruct_files
from mimo.synth import generate

SMALL = {
    "array": ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3),
    "sweep": FrequencySweep.linear(4e9, 16e9, 4),
    "grid": VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.15, 0.15, 7), z=(0.4, 0.6, 11)),
}
L1 = {"max_iterations": 150, "tolerance": 0.0}  # for a shard that takes long enough to be killed in
METHOD = ["--method", "l1", *(part for k, v in L1.items() for part in ("--set", f"{k}={v}"))]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("scenes") / "scenes.h5", n=96, seed=3, **SMALL)


@pytest.fixture(scope="module")
def reference(scenes, tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "images.h5"
    reconstruct_files([scenes], out, ["l1"], options={"l1": L1}, shard_size=16, workers=1)
    return arrays(out)


def arrays(path):
    data.validate(path)
    with h5py.File(path, "r") as file:
        names = ("measurement/values", "truth/reflectivity", "reconstruction/l1/reflectivity")
        return [file[name][...].tobytes() for name in names]


def command(scenes, out, *options):
    line = [sys.executable, str(ROOT / "app.py"), "reconstruct", str(scenes), str(out), *METHOD, "--shard-size", "16"]
    return subprocess.Popen(
        [*line, *options, "--quiet"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(out):
    """Time of last change of each finished shard."""
    return {path: path.stat().st_mtime_ns for path in out.with_name("images-shards").glob("[!.]*.h5")}


def unfinished(out):
    return list(out.with_name("images-shards").glob(".*.tmp"))


def workers_of(process):
    """Ids of the processes that a process has spawned to work."""
    children = [int(n) for path in Path(f"/proc/{process}/task").glob("*/children") for n in path.read_text().split()]
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def check(out, reference, before):
    assert arrays(out) == reference
    assert before.items() <= finished(out).items()
    assert not unfinished(out)


@pytest.mark.slow
def test_a_killed_worker_is_done_without(scenes, reference, tmp_path):
    out = tmp_path / "images.h5"
    with dask_processes(tmp_path, 2) as (address, workers), command(scenes, out, "--scheduler", address) as run:
        wait_for(lambda: finished(out))
        before = finished(out)
        workers[0].send_signal(signal.SIGKILL)
        assert run.wait(300) == 0, run.stderr.read()
        assert workers[1].poll() is None
    assert len(before) < 6
    check(out, reference, before)


@pytest.mark.slow
def test_a_killed_worker_of_a_local_cluster_is_replaced(scenes, reference, tmp_path):
    out = tmp_path / "images.h5"
    with command(scenes, out, "--workers", "2") as run:
        wait_for(lambda: finished(out))
        before = finished(out)
        os.kill(workers_of(run.pid)[0], signal.SIGKILL)
        assert run.wait(300) == 0, run.stderr.read()
    check(out, reference, before)


@pytest.mark.slow
def test_a_killed_client_is_started_again(scenes, reference, tmp_path):
    out = tmp_path / "images.h5"
    with dask_processes(tmp_path, 2) as (address, _):
        with command(scenes, out, "--scheduler", address) as run:
            wait_for(lambda: finished(out))
            run.kill()
        assert not out.exists()
        before = finished(out)
        with command(scenes, out, "--scheduler", address) as run:
            assert run.wait(300) == 0, run.stderr.read()
    check(out, reference, before)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_run_is_taken_up_by_another_number_of_workers(scenes, reference, tmp_path, sent):
    out = tmp_path / "images.h5"
    with command(scenes, out, "--workers", "1") as run:
        wait_for(lambda: finished(out))
        run.send_signal(sent)
        assert run.wait(300) == (1 if sent == signal.SIGINT else -9)
        if sent == signal.SIGINT:
            assert run.stderr.read().strip() == "mimo: interrupted"
            assert not unfinished(out)
    assert not out.exists()
    before = finished(out)
    assert 0 < len(before) < 6
    with command(scenes, out, "--workers", "2") as run:
        assert run.wait(300) == 0, run.stderr.read()
    check(out, reference, before)


@pytest.mark.slow
def test_a_job_array_shares_the_shards(scenes, reference, tmp_path):
    """All tasks at once, as a batch system starts them; one is killed and submitted again."""
    out = tmp_path / "images.h5"
    runs = [command(scenes, out, "--workers", "1", "--part", f"{i}/3") for i in (1, 2, 3)]
    try:
        wait_for(lambda: finished(out))
        runs[0].kill()
        assert [run.wait(300) for run in runs[1:]] == [0, 0], [run.stderr.read() for run in runs[1:]]
    finally:
        for run in runs:
            run.kill()
            run.communicate()
    before = finished(out)
    assert not out.exists()
    with command(scenes, out, "--workers", "1", "--part", "1/3") as run:
        assert run.wait(300) == 0, run.stderr.read()
    check(out, reference, before)
