"""Training pairs from runs: the same for the same round, and targets at the level of what is seen."""

import numpy as np
import pytest
import torch

from mimo.models import Denoiser, UNet3D
from mimo.train import on_policy
from mimo.train.on_policy import OnPolicyPairs, draw_geometry, level_of
from mimo.train.scenes import ScenesInMemory


def box():
    scene = np.zeros((20, 18, 22), dtype=np.float32)
    scene[4:12, 5:11, 6:15] = 1.0
    return scene


@pytest.fixture
def denoiser():
    torch.manual_seed(0)
    return Denoiser(UNet3D(width=8, levels=2, subpixel=2, in_channels=2, residual=True))


def test_the_level_of_a_target_in_noise():
    generator = torch.Generator().manual_seed(0)
    shape = torch.zeros(2, 20, 21, 22)
    shape[:, 5:15, 5:15, 5:15] = torch.rand(10, 10, 10, generator=generator) + 0.5
    level, noise = torch.tensor([0.3, 2.0]), torch.tensor([0.1, 0.5])
    field = torch.randn(shape.shape, dtype=torch.complex64, generator=generator)
    noisy = (level[:, None, None, None] * shape + noise[:, None, None, None] * field).abs()
    torch.testing.assert_close(level_of(noisy, shape), level, rtol=0.05, atol=0)
    assert level_of(noisy, torch.zeros_like(shape)).tolist() == [0.0, 0.0]


def test_a_round_is_a_function_of_seed_round_and_network(denoiser, monkeypatch):
    monkeypatch.setattr(on_policy, "PAPER_FREQUENCIES", (2,))
    pairs = OnPolicyPairs(ScenesInMemory([box()]), n_geometry=2, n_scene=2, seed=3)
    first, second = pairs.collect(denoiser, 0), pairs.collect(denoiser, 1)
    again = OnPolicyPairs(ScenesInMemory([box()]), n_geometry=2, n_scene=2, seed=3).collect(denoiser, 0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.noisy.shape[1:] == (25, 25, 49)
    assert second.noisy.shape[1:] != first.noisy.shape[1:]
    for pair in (first, second):
        assert pair.noisy.shape == pair.target.shape
        assert len(pair.sigma) == len(pair.noisy) and len(pair.noisy) % 2 == 0
        assert bool((pair.noisy >= 0).all()) and bool((pair.target >= 0).all())
        assert bool((pair.sigma > 0).all())
        assert float(pair.noisy.max()) < 50


def test_geometries_differ_and_every_second_is_the_papers():
    drawn = [draw_geometry(0, i) for i in range(8)]
    assert [g.sweep.n_freq for g in drawn[::2]] == list(on_policy.PAPER_FREQUENCIES)
    assert {g.grid.shape for g in drawn[::2]} == {(25, 25, 49)}
    assert len({g.grid.shape for g in drawn[1::2]}) == 4
    for g in drawn[1::2]:
        assert g.sweep.n_freq * g.array.n_channel <= on_policy.MAX_MEASUREMENTS
