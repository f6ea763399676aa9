"""Two processes under torchrun: the losses and weights of one, and a checkpoint that goes on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mimo import ArrayGeometry
from mimo.synth import generate, paper_grid, paper_sweep
from mimo.train import load_config, train_reconstructor
from mimo.train.checkpoint import load_checkpoint

ROOT = Path(__file__).parents[2]
CONFIG = """
[method]
stage = "adjoint"

[network]
width = 8
levels = 2
subpixel = 2

[data]
pool = 4
refresh = 1
n_freq = [3]

[optimizer]
batch = 4
n_step = {n_step}
warmup = 2
schedule = "rsqrt"

[output]
log_every = 1
validate_every = 100
n_validation = 1
pictures = true
"""


def train(folder: Path, n_step: int, *options: str) -> dict:
    """Train by the command line in two processes, as a person starts them."""
    config = folder.with_suffix(".toml")
    config.write_text(CONFIG.format(n_step=n_step))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(ROOT / "app.py"), "train", "two-stage", "--config", str(config), "--out", str(folder)]
    given = ["--data", str(folder.with_name("scenes.h5")), "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, *command, *given, *options], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return load_checkpoint(folder / "checkpoint.pt")


def losses(folder: Path) -> list[float]:
    return [float(value) for value in re.findall(r"loss ([\d.e-]+)", (folder / "log.txt").read_text())]


def test_two_processes_are_one(tmp_path):
    """The same losses to five digits, and the same weights after resuming, to rounding."""
    array = ArrayGeometry.mills_cross(n_tx=3, n_rx=4, width=0.3)
    generate(tmp_path / "scenes.h5", n=5, array=array, sweep=paper_sweep(3), grid=paper_grid((9, 10, 11)))
    config = tmp_path / "one.toml"
    config.write_text(CONFIG.format(n_step=4))
    scenes = tmp_path / "scenes.h5"
    whole = load_checkpoint(
        train_reconstructor(load_config(config), tmp_path / "one", scenes=scenes, report=lambda line: None)
    )
    train(tmp_path / "two", 2)
    resumed = train(tmp_path / "two", 4, "--resume")
    assert resumed["step"] == whole["step"] == 4
    assert sorted(path.name for path in (tmp_path / "two").glob("*.png")) == [
        "samples-0000002.png",
        "samples-0000004.png",
    ]
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    for name, value in whole["model"].items():
        torch.testing.assert_close(resumed["model"][name], value, rtol=1e-3, atol=1e-5)
