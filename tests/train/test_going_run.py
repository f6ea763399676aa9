"""A run that goes on: asked where it stands, exported, stopped by signals; and runs like a measurement."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_command_line import good

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.commands.interrupts import stoppable
from mimo.data import Measurement, load_reconstructions, save
from mimo.data.files.geometry import Geometry, save_geometry
from mimo.models.reconstructor import Reconstructor
from mimo.models.trained_for import acquisition_from_table, acquisition_table
from mimo.train import PresetScenes, acquisition_like, load_config
from mimo.train.acquisition_like import check_time
from mimo.train.checkpoint import load_checkpoint
from mimo.train.reconstructor import ReconstructionObjective
from mimo.train.run_state import RunningMark, RunState, read_state
from mimo.train.stop_request import StopRequest

ROOT = Path(__file__).parents[2]
SMALL = [
    *("network.width=8", "network.levels=2", "data.pool=4", "data.refresh=1", "optimizer.batch=2"),
    *("output.validate_every=5", "output.n_validation=2", "output.log_every=5", "optimizer.n_step=1000000"),
]
SWEEP = FrequencySweep.linear(4e9, 9e9, 4)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


def command(*words):
    return [sys.executable, str(ROOT / "app.py"), *map(str, words)]


def run(*words):
    return subprocess.run(command(*words), capture_output=True, text=True, check=False)


def scan(path, *, masked=False, **changes):
    """A measurement without a grid, of 28 channels about the scene: listed, or what a mask leaves of every pair."""
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = 0.2 * np.stack([np.cos(angle), np.sin(angle), 0.6 * (np.arange(8) % 2)], axis=1)
    channels = np.array([(i, j) for i in range(8) for j in range(8) if i < j])
    array = ArrayGeometry(ring, ring, channels)
    if masked:
        array = ArrayGeometry(ring, ring, mask=np.arange(8)[:, None] < np.arange(8))
    rng = np.random.default_rng(0)
    shape = (1, 4, *array.measurement_shape)
    values = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    if masked:
        values[..., ~array.mask] = 0
    measurement = Measurement(values, array, SWEEP, permittivity=4.0, region="box:-0.1:0.15,-0.1:0.1,0.02:0.1")
    save(path, replace(measurement, **changes))
    return path


def test_a_run_in_progress_is_looked_at_exported_and_stopped(tmp_path):
    """By three more processes; then SIGTERM ends it with a checkpoint from which it goes on."""
    source, folder, weights = scan(tmp_path / "scan.h5"), tmp_path / "run", tmp_path / "now.safetensors"
    settings = [word for setting in SMALL for word in ("--set", setting)]
    words = ("train", "two-stage", "--like", source, "--out", folder, "--device", "cpu", *settings)
    going = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        late = time.monotonic() + 120
        while not (folder / "checkpoint.pt").is_file():
            assert going.poll() is None and time.monotonic() < late
            time.sleep(0.1)
        told = run("train", "two-stage", "--status", "--json", "--out", folder)
        (state,) = json.loads(told.stdout)
        assert state["running"] and state["step"] >= 5 and state["saved_step"] % 5 == 0
        assert state["best"]["score"] > 0 and state["last"]["psnr_30"] > 0 and state["remaining"] > 0
        text = run("train", "--status", "--out", folder).stdout
        assert "running" in text and "of 1,000,000" in text and "best validation" in text
        exported = run("train", "two-stage", "--export", weights, "--out", folder)
        assert exported.returncode == 0 and "nothing was trained" in exported.stdout, exported.stderr
        assert Reconstructor.load(weights).info["samples"] >= 10
        assert "--like" in weights.with_suffix(".md").read_text(), "the command that trained, not the one that exported"
        second = run(*words, "--resume")
        assert second.returncode == 2 and "another process trains there" in second.stderr
        assert going.poll() is None, "not disturbed"
        if hasattr(os, "getpriority"):
            assert os.getpriority(os.PRIO_PROCESS, going.pid) >= 10
        going.send_signal(signal.SIGTERM)
        said, _ = going.communicate(timeout=60)
    finally:
        going.kill()
        going.wait()
    assert going.returncode == 128 + signal.SIGTERM and "resume goes on from there" in said
    ended = read_state(folder)
    assert not ended.running and ended.saved_step == ended.step == load_checkpoint(folder / "checkpoint.pt")["step"]
    assert ended.step > state["step"]


def test_a_time_limit_counts_from_the_start_of_the_command(tmp_path):
    source = scan(tmp_path / "scan.h5")
    settings = [word for setting in SMALL for word in ("--set", setting)]
    began = time.monotonic()
    words = (
        "train",
        "deep2s",
        "--like",
        source,
        "--time-limit",
        4,
        "--out",
        tmp_path,
        "--export",
        tmp_path / "w.safetensors",
    )
    done = run(*words, *settings, "--device", "cpu")
    whole = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert "no step begins after 4 s, of which " in done.stdout and "set-up included" in done.stdout
    assert "has no grid" not in done.stderr and "a guess: the box around the antennas" in done.stdout
    seconds = load_checkpoint(tmp_path / "checkpoint.pt")["seconds"]
    assert 4 <= seconds <= whole
    made = run("reconstruct", source, tmp_path / "image.h5", "--method", tmp_path / "w.safetensors")
    assert made.returncode == 0 and "far from its training" not in made.stderr, made.stderr
    assert load_reconstructions(tmp_path / "image.h5")["w"].magnitude.max() > 0


@pytest.mark.parametrize("masked", [False, True])
def test_a_run_like_a_measurement_is_measured_as_it_was(tmp_path, masked):
    """Listed channels, gaps, medium, band; and scenes in the region alone, flipped only where they stay in it."""
    acquisition, words = acquisition_like(scan(tmp_path / "scan.h5", masked=masked))
    assert words.startswith("a guess") and acquisition.permittivity == 4.0 and acquisition.sweep == SWEEP
    assert acquisition_from_table(acquisition_table(acquisition)).array == acquisition.array
    assert acquisition.array.n_channel == 28
    inside = acquisition.inside
    assert inside is not None and 0 < inside.sum() < inside.size
    config = load_config("two-stage", [s for s in SMALL if "n_step" not in s], own_sweep=True)
    source = PresetScenes("both", acquisition.grid, inside)
    objective = ReconstructionObjective(config, acquisition, source)
    assert f"in the region, {inside.sum():,} of {inside.size:,} voxels" in objective.describe()["scenes"]
    assert not objective.flips[0] and objective.flips[1]
    for step in range(10):
        batch = objective.batch(step)
        if masked:
            assert batch.y.shape[1:] == (4, 8, 8) and not batch.y.numpy()[..., ~acquisition.array.mask].any()
        else:
            assert batch.y.shape[1:] == (4, 28)
        assert (batch.y != 0).sum() == 2 * 4 * 28
        assert not batch.truth[:, ~inside].any() and (batch.truth.amax((1, 2, 3)) == 1).all()
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 6), z=(0.02, 0.1, 7))
    coarse = VoxelGrid.from_extent(x=(-0.1, 0.1, 4), y=(-0.1, 0.1, 5), z=(0.02, 0.1, 3))
    own, words = acquisition_like(scan(tmp_path / "grid.h5", grid=grid, region="all"))
    assert own.grid == grid and own.inside is None and words == "the file's grid"
    other, words = acquisition_like(tmp_path / "grid.h5", grid=coarse)
    assert other.grid == coarse and other.sweep == SWEEP and words == "as asked"


def test_a_run_like_a_geometry_file(tmp_path):
    """Its array with the list of channels, its band, and the voxels that it has, else those guessed."""
    channels = np.array([(i, i) for i in range(12)])
    points = np.c_[np.tile(np.linspace(-0.1, 0.1, 4), 3), np.repeat(np.linspace(-0.1, 0.1, 3), 4), np.zeros(12)]
    scan = ArrayGeometry(points, points, channels)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.1, 0.1, 8), z=(0.2, 0.3, 7))
    save_geometry(tmp_path / "whole.h5", Geometry(scan, SWEEP, grid))
    acquisition, words = acquisition_like(tmp_path / "whole.h5")
    assert acquisition.array == scan and acquisition.sweep == SWEEP and words == "the file's grid"
    assert acquisition.grid == grid and acquisition.measurement_shape == (4, 12)
    config = load_config("two-stage", [s for s in SMALL if "n_step" not in s], own_sweep=True)
    batch = ReconstructionObjective(config, acquisition, PresetScenes("both", grid, acquisition.inside)).batch(0)
    assert batch.y.shape == (2, 4, 12) and batch.truth.shape == (2, 9, 8, 7)
    save_geometry(tmp_path / "bare.h5", Geometry(scan, SWEEP))
    guessed, words = acquisition_like(tmp_path / "bare.h5")
    assert words.startswith("a guess: before the array") and guessed.grid.z[0] > 0
    save_geometry(tmp_path / "none.h5", Geometry(scan))
    with pytest.raises(ValueError, match=r"none\.h5: an array without frequencies: expected .* sweep/freq"):
        acquisition_like(tmp_path / "none.h5")


def test_an_array_too_large_for_the_time_is_refused_with_what_is_cheaper(tmp_path):
    acquisition, _ = acquisition_like(scan(tmp_path / "scan.h5"))
    large = acquisition.replace(sweep=FrequencySweep.linear(4e9, 9e9, 300))
    config = load_config("two-stage", own_sweep=True)
    with pytest.raises(
        ValueError, match=r"8400 measurements .* factorised .* limit of 60 s: .*--set data\.n_freq=\[53\]"
    ):
        check_time(config, large, 60.0)
    assert "8400 measurements" in check_time(config, large, None)
    assert check_time(load_config("deep2s", own_sweep=True), large, 60.0) == ""
    assert check_time(load_config("two-stage", ["data.n_freq=[20]"], own_sweep=True), large, 60.0) == ""
    huge = acquisition.replace(sweep=FrequencySweep.linear(4e9, 9e9, 20_000))
    with pytest.raises(ValueError, match=r"conjugate gradients at every step: about [\d.]+ s a step and"):
        check_time(config, huge, 60.0)
    with pytest.raises(ValueError, match=r"560000 measurements of \d+ voxels: about .*--set data\.n_freq=\[53\]"):
        check_time(load_config("deep2s", own_sweep=True), huge, 20.0)


@pytest.mark.skipif(sys.platform != "linux", reason="a library call that goes on after a signal")
def test_a_run_stops_at_once_in_the_middle_of_a_library_call_too(tmp_path):
    """Another thread saves the state after the last whole step."""
    words = ["train", "deep2s", "--out", str(tmp_path), "--device", "cpu"]
    words += [word for setting in SMALL for word in ("--set", setting)]
    code = (
        "import ctypes, signal, sys, mimo.train.loop as loop\n"
        "clip, steps = loop.nn.utils.clip_grad_norm_, []\n"
        "def slow(*a, **k):\n"
        "    steps.append(clip(*a, **k))\n"
        "    if len(steps) == 3:\n"
        "        print('ready', file=sys.stderr, flush=True)\n"
        "        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"  # so that it does not wake the sleeper
        "        ctypes.CDLL(None).sleep(100)\n"
        "loop.nn.utils.clip_grad_norm_ = slow\n"
        "from mimo.commands import main\n"
        f"main({words!r})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert "ready" in process.stderr.readline()
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert time.monotonic() - began < 30, "one second of grace, and the rest for a machine that is busy"
    assert process.returncode == 128 + signal.SIGTERM and "stopped at step 2: resume goes on" in said
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 2


def told_meanwhile(stop, done):
    with stop.whole():
        signal.raise_signal(signal.SIGINT)
        done.append("whole")


def test_signals_interrupt_all_but_what_must_be_whole():
    with StopRequest() as stop, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert stop.made
    done = []
    with StopRequest() as stop:
        stop.keep = lambda: done.append("kept")
        with pytest.raises(KeyboardInterrupt):
            told_meanwhile(stop, done)
        assert done == ["whole"] and stop.made
        stop.keep_now()
        assert done == ["whole", "kept"]
    with StopRequest(waits=True) as stop:
        signal.raise_signal(signal.SIGINT)
        with stop.whole():
            signal.raise_signal(signal.SIGINT)
        assert stop.made
    with stoppable(), StopRequest(), pytest.raises(SystemExit, match="143"):
        signal.raise_signal(signal.SIGTERM)


def test_what_remains_is_estimated_from_steps_and_time(tmp_path):
    state = RunState(
        folder="x", running=True, step=10, n_step=30, saved_step=10, scenes=40, seconds=5.0, scenes_per_second=8.0
    )
    assert state.remaining == 10.0 and replace(state, time_limit=8.0).remaining == 3.0
    assert replace(state, scenes_per_second=0.0).remaining is None
    with pytest.raises(FileNotFoundError, match="no run"):
        read_state(tmp_path)
    with RunningMark(tmp_path), pytest.raises(FileExistsError, match="another process trains there"):
        RunningMark(tmp_path).__enter__()


@pytest.mark.filterwarnings("ignore:.* is used far from its training:RuntimeWarning")
def test_from_an_array_of_one_s_own_to_its_image(tmp_path):
    """The steps of docs/learned.md, in small: two steps from the weights that ship, which are validated first."""
    array, scan_file, weights, image = (tmp_path / n for n in ("array.h5", "scan.h5", "mine.safetensors", "image.h5"))
    raster = ArrayGeometry.planar_scan(shape=(5, 4), width=0.1)
    grid = VoxelGrid.from_extent(x=(-0.05, 0.05, 9), y=(-0.05, 0.05, 8), z=(0.15, 0.25, 10))
    save_geometry(array, Geometry(raster, FrequencySweep.linear(18e9, 26e9, 3), grid))
    good("synth", scan_file, "--array", array, "--preset", "shapes", "--quiet")
    few = [f"--set={part}" for part in SMALL if part.split(".")[0] in ("data", "optimizer", "output")]
    few += ["--set=optimizer.n_step=2", "--nice", 0, "--out", tmp_path / "run"]
    said = good("train", "two-stage", "--like", scan_file, "--start", "two-stage", *few, "--export", weights)
    assert "step      0  samples       0" in said and "60 measurements, 9 x 8 x 10" in said
    good("reconstruct", scan_file, image, "--method", weights, "--quiet")
    good("figure", image, tmp_path / "image.png", "--quiet")
    assert (tmp_path / "image.png").read_bytes()[:4] == b"\x89PNG"
    card = good("info", weights)
    assert "20 transmitters, 20 receivers, 20 channels; 3 frequencies from 18 to 26 GHz" in card
    assert "--like" in card and "--start two-stage" in card and "| 0 | 0.0 |" in card and "| 4 |" in card
    facts = json.loads(good("info", weights, "--json"))
    assert facts["scenes"].startswith("synthesized on the fly") and facts["validation"].endswith("never trained on")
    status = good("train", "--status", "--out", tmp_path / "run")
    assert "no process trains there now" in status and "step 2 of 2" in status and "last validation, step 2" in status
