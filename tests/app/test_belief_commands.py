"""What the commands say of images and of the cache, what they keep, and that they stop when asked to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_command_line import bad, good

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("belief") / "scene.h5"
    good("synth", path, "--n", "1", "--seed", "1", "--quiet")
    return path


def test_reconstruct_and_info_say_what_images_explain(scene, tmp_path):
    out = tmp_path / "images.h5"
    told = good("reconstruct", scene, out, "--method", "backprojection")
    assert "explains " in told and "% of data held out" in told
    assert "misses the data" not in told and "phase sign" not in told
    assert "belief          backprojection explains" in good("info", out)
    told = good("reconstruct", scene, out, "--method", "kirchhoff", "--check", "none")
    assert "explains" not in told and "kept: backprojection" in told


def test_conjugated_data_are_suspected_in_one_line(scene, tmp_path):
    good("prepare", scene, tmp_path / "wrong.h5", "--conjugate", "--quiet")
    told = good(
        "reconstruct", tmp_path / "wrong.h5", tmp_path / "o.h5", "--method", "backprojection", "--method", "kirchhoff"
    )
    lines = [line for line in told.splitlines() if "--check-phase" in line]
    assert len(lines) == 1 and "the other phase sign" in lines[0]
    assert "expect little from it" in told


def test_nothing_is_lost_without_a_word(scene, tmp_path):
    out = tmp_path / "images.h5"
    run = ("reconstruct", scene, out, "--method", "kirchhoff")
    good(*run)
    assert "made before with the same options" in good(*run)
    bad(*run, "--set", "compensate_aperture=true", parts=("compensate_aperture", "--overwrite"))
    assert "replaced: kirchhoff" in good(*run, "--set", "compensate_aperture=true", "--overwrite")


def test_the_cache_is_described_and_emptied(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path))
    (tmp_path / f"gram-{1:032x}.safetensors").write_bytes(bytes(2048))
    assert f"{tmp_path}: 1 factorised matrices, 2 KiB of at most 2 GiB" in good("info", "--cache")
    assert "removed 1" in good("info", "--clear-cache")
    assert list(tmp_path.iterdir()) == []
    assert '"bytes": 0' in good("info", "--cache", "--json")
    bad("info", parts=("--cache",))


@pytest.mark.skipif(sys.platform != "linux", reason="a library call that goes on after a signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stops_at_once_also_in_the_middle_of_a_factorisation(scene, tmp_path, number):
    env = os.environ | {"MIMO_CACHE_DIR": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    code = (
        "import numpy, sys, time, torch, mimo.least_squares as l, mimo.recon.registry as r\n"
        "def slow(*a, **k):\n"
        "    print('ready', file=sys.stderr, flush=True)\n"
        "    x = torch.rand(5000, 5000, dtype=torch.float64)\n"
        "    torch.linalg.eigh(x + x.T)\n"
        "r.data_step = slow\n"
        "from mimo.commands import main\n"
        f"main(['reconstruct', {str(scene)!r}, {str(tmp_path / 'o.h5')!r}, '--method', 'tikhonov'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stderr is not None
    assert "ready" in process.stderr.readline()
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert time.monotonic() - started < 8
    assert process.returncode in (128 + number, -number)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_first_interrupt_waits_for_the_end_of_a_step_where_there_is_something_to_keep(monkeypatch, capsys):
    from mimo.commands import interrupts

    class EndedError(Exception):
        pass

    def end(code):
        raise EndedError(code)

    monkeypatch.setattr(interrupts, "GRACE", 0.01)
    monkeypatch.setattr(interrupts.os, "_exit", end)
    for keep, signals in ((True, 2), (False, 1)):
        stopper = interrupts.Stopper()
        stopper.something_to_keep = keep
        reading, writing = os.pipe()
        os.write(writing, bytes([signal.SIGINT] * 5))
        with pytest.raises(EndedError, match="130"):
            stopper.watch(reading)
        assert stopper._asked == signals
        os.close(reading)
        os.close(writing)
    told = capsys.readouterr().err.splitlines()
    assert told == ["mimo: stopping after this step; Ctrl-C again stops at once"] + ["mimo: interrupted"] * 2
