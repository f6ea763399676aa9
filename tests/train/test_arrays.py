"""Random arrays: within their limits, a function of seed and step, and a network learns on them."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from mimo import VoxelGrid, expected_sampling, operator_of
from mimo.data import load
from mimo.models.reconstructor import Reconstructor
from mimo.models.stages import Physics
from mimo.recon.run import reconstruct
from mimo.synth import generate
from mimo.synth.paper import paper_acquisition
from mimo.train import export_weights
from mimo.train.arrays import (
    ARRAY_KINDS,
    CHANNELS,
    LONGEST,
    MANY_CHANNELS,
    MAX_MEASUREMENTS,
    SHORTEST,
    VOXEL,
    VOXELS,
    ArrayPool,
    draw_acquisition,
)
from mimo.train.config import load_config
from mimo.train.loop import Share, run_training
from mimo.train.reconstructor import ReconstructionObjective
from mimo.train.scenes import PresetScenes


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.parametrize("kind", ARRAY_KINDS)
def test_draws_keep_their_limits(kind):
    for i in range(12):
        drawn = draw_acquisition(np.random.default_rng([1, i]), (kind,))
        assert 6 <= drawn.array.n_channel <= 2 * MANY_CHANNELS
        assert drawn.array.n_channel * drawn.sweep.n_freq <= 1.1 * MAX_MEASUREMENTS or drawn.sweep.n_freq == 2
        assert all(n == 1 or SHORTEST <= n <= LONGEST for n in drawn.grid.shape)
        assert drawn.grid.n_voxel <= VOXELS[1]
        sampling = expected_sampling(drawn.array, drawn.sweep, drawn.grid, permittivity=drawn.permittivity)
        for spacing, resolution in zip(sampling.spacing, sampling.resolution, strict=True):
            assert spacing <= 1.25 * VOXEL[1] * resolution  # the middle of the grid may be off that of the draw
        if kind != "hemisphere":
            assert drawn.grid.z[0] > 0


def test_draws_differ_and_repeat():
    first, again, other = (draw_acquisition(np.random.default_rng([2, i])) for i in (0, 0, 1))
    assert first == again
    assert first != other
    channels = [draw_acquisition(np.random.default_rng([3, i])).array.n_channel for i in range(40)]
    assert min(channels) < 2 * CHANNELS[0]
    assert max(channels) > CHANNELS[1] / 2


def test_a_pool_is_a_function_of_seed_and_step():
    def seen(first):
        pool = ArrayPool(0, size=3, steps=6, device=torch.device("cpu"))
        return [
            pool.get(pool.choose(step, np.random.default_rng(step))).operator.acquisition for step in range(first, 12)
        ]

    whole, later = seen(0), seen(7)
    assert whole[7:] == later
    assert len(set(whole)) > 3  # some were replaced


def little(name):
    """The configuration for any array, with a small network and few steps."""
    config = load_config(name)
    network = replace(config.network, width=8, levels=2, head=min(config.network.head, 8))
    data = replace(config.data, other_arrays=0.7, arrays=2, array_steps=8, pool=2, n_freq=(5,), seed=4)
    optimizer = replace(config.optimizer, batch=2, n_step=4, warmup=1)
    return replace(
        config, network=network, data=data, optimizer=optimizer, output=replace(config.output, n_validation=2)
    )


@pytest.mark.parametrize("name", ["two-stage-any", "unrolled-any"])
def test_a_network_for_any_array_trains_resumes_and_runs(name, tmp_path, monkeypatch):
    monkeypatch.setattr("mimo.train.reconstructor.OTHER_ARRAYS", 1)
    monkeypatch.setattr("mimo.train.arrays.MAX_MEASUREMENTS", 150)  # factorised at once
    acquisition = paper_acquisition(5)
    scenes = PresetScenes("both", acquisition.grid)

    def train(folder, n_step, **options):
        config = little(name)
        config = replace(config, optimizer=replace(config.optimizer, n_step=n_step, schedule="rsqrt"))
        return run_training(
            ReconstructionObjective(config, acquisition, scenes), tmp_path / folder, report=lambda _: None, **options
        )

    whole, _ = train("whole", 4), train("parts", 2)
    resumed = train("parts", 4, resume=True)
    states = [torch.load(path, weights_only=True) for path in (whole, resumed)]
    assert all(torch.equal(a, b) for a, b in zip(states[0]["model"].values(), states[1]["model"].values(), strict=True))
    assert np.isfinite(states[0]["history"][-1]["psnr_elsewhere"])

    weights = export_weights(whole, tmp_path / f"{name}.safetensors")
    seen = draw_acquisition(np.random.default_rng(7), ("lines",))
    path = generate(tmp_path / "scene.h5", n=1, array=seen.array, sweep=seen.sweep, grid=seen.grid, snr_db=20.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # this is not far from its training
        image = reconstruct(str(weights), load(path), check="none").image
    assert image.shape == (1, *seen.grid.shape) and np.isfinite(image).all()


def test_steps_meet_other_arrays_and_their_own():
    acquisition = paper_acquisition(5)
    objective = ReconstructionObjective(little("two-stage-any"), acquisition, PresetScenes("both", acquisition.grid))
    shapes = [objective.batch(step).truth.shape for step in range(8)]
    assert (2, *acquisition.grid.shape) in shapes
    assert len(set(shapes)) > 1
    loss = objective.loss(objective.network, 0, {}, Share())
    assert torch.isfinite(loss)


def test_the_network_is_told_the_voxel_over_the_resolution():
    """Of two grids with the same data the network must see which is the finer one."""
    acquisition = paper_acquisition(5)
    objective = ReconstructionObjective(little("two-stage-any"), acquisition, PresetScenes("both", acquisition.grid))
    physics = objective.physics(5)
    sampling = expected_sampling(acquisition.array, acquisition.sweep, acquisition.grid)
    expected = np.log2(np.array(sampling.spacing) / np.array(sampling.resolution))
    np.testing.assert_allclose(physics.voxel_ratio.numpy(), expected, rtol=1e-5)
    reconstructor = Reconstructor(
        objective.config.method, objective.config.network, acquisition, info={"data": {"other_arrays": 0.6}}
    )
    assert reconstructor.check(physics) == []
    coarse = acquisition.replace(grid=VoxelGrid(acquisition.grid.x * 9, acquisition.grid.y, acquisition.grid.z))
    (warning,) = reconstructor.check(Physics(operator_of(coarse)))
    assert "times the resolution along x" in warning
