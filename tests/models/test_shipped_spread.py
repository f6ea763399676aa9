"""The standard deviation that ships with two-stage: large on pure noise, near the actual error on scenes."""

import numpy as np
import pytest
import torch

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement, interval, load
from mimo.recon import reconstruct
from mimo.synth import generate

ARRAY = ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 5)
GRID = VoxelGrid.from_extent(x=(-0.15, 0.15, 25), y=(-0.15, 0.15, 25), z=(0.35, 0.65, 49))


@pytest.fixture(autouse=True)
def one_thread(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_it_is_large_on_noise_and_near_the_error_on_scenes(tmp_path):
    generate(tmp_path / "x.h5", n=3, preset="paper", array=ARRAY, sweep=SWEEP, grid=GRID, snr_db=20.0, seed=77)
    measured = load(tmp_path / "x.h5")
    rng = np.random.default_rng(3)
    noise = (rng.standard_normal((2, *measured.values.shape[1:], 2)) @ [1, 1j]).astype(np.complex64)
    scene = reconstruct("two-stage", measured, check="none")
    empty = reconstruct("two-stage", Measurement(noise, ARRAY, SWEEP, grid=GRID), check="none")

    at = empty.magnitude >= 0.5 * empty.magnitude.max((1, 2, 3), keepdims=True)  # what could be taken for a target
    assert np.mean(empty.std[at] / empty.magnitude[at]) > 0.5
    assert empty.std.mean() / empty.magnitude.mean() > 0.5
    truth = np.abs(measured.truth) / np.abs(measured.truth).max((1, 2, 3), keepdims=True)
    error = float(np.sqrt(np.square(scene.magnitude - truth).mean()))
    assert 0.4 < float(np.sqrt(np.square(scene.std).mean())) / error < 2.5
    low, high = interval(scene, 0.9)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.9, abs=0.1)
