"""Plug-and-play with the weights that ship, and with denoisers whose result is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helper import relative_gap

from mimo import ArrayGeometry, BornOperator, FrequencySweep, GramFactor, VoxelGrid
from mimo.data import Measurement
from mimo.recon import pnp as pnp_module
from mimo.recon import reconstruct
from mimo.recon.metrics import psnr
from mimo.synth import add_noise, draw, random_phase

ARRAY = ArrayGeometry.mills_cross(n_tx=7, n_rx=8, width=0.3)
BAND = FrequencySweep.linear(4e9, 16e9, 9)
VOXELS = VoxelGrid.from_extent(x=(-0.12, 0.12, 17), y=(-0.12, 0.12, 19), z=(0.4, 0.6, 25))


@pytest.fixture(scope="module")
def scenes() -> Measurement:
    """Two scenes of each preset, 20 dB."""
    A = BornOperator(ARRAY, BAND, VOXELS)
    truth, values = [], []
    for seed in range(4):
        rng = np.random.default_rng([12, seed])
        truth.append(random_phase(draw(("paper", "shapes")[seed % 2], VOXELS, rng), rng))
        values.append(add_noise(A.forward(torch.from_numpy(truth[-1])).numpy(), 20.0, rng))
    return Measurement(np.stack(values), ARRAY, BAND, VOXELS, truth=np.stack(truth))


def mean_psnr(method: str, measurement: Measurement, **options) -> float:
    made = reconstruct(method, measurement, **options)
    return float(np.mean([psnr(m, t) for m, t in zip(made.magnitude, measurement.truth, strict=True)]))


def test_the_shipped_denoiser_beats_every_other_method(scenes):
    others = max(mean_psnr(name, scenes) for name in ("backprojection", "kirchhoff", "tikhonov", "l1"))
    admm, hqs = mean_psnr("pnp", scenes), mean_psnr("pnp", scenes, splitting="hqs")
    assert admm > others + 0.3
    assert hqs > others


class Passing:
    """A denoiser that changes nothing."""

    @classmethod
    def load(cls, name, device="cpu", precision="auto"):
        return lambda magnitude, sigma: magnitude


def test_without_denoising_it_solves_the_least_squares_problem(scenes, monkeypatch):
    """v = x, so half-quadratic splitting walks towards the data: the residual falls, and the image stays in its scale."""
    monkeypatch.setattr(pnp_module, "Denoiser", Passing)
    made = reconstruct("pnp", scenes, splitting="hqs", iterations=6, sigma_start=0.05, max_iterations=6)
    residual = np.array([entry["residual"] for entry in made.history])
    assert (np.diff(residual, axis=0) <= 1e-6).all()
    A = BornOperator(ARRAY, BAND, VOXELS)
    y = torch.from_numpy(scenes.values)
    gap = (A.forward(torch.from_numpy(made.image)) - y).flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1)
    assert (gap < 0.1).all()
    start = GramFactor.of(A).tikhonov(y)[0]
    assert relative_gap(torch.from_numpy(made.image).abs(), start.abs()) < 1.0


def test_scenes_are_alone_and_any_unit_works(scenes):
    together = reconstruct("pnp", scenes, max_iterations=5)
    for scene in (0, 3):
        alone = reconstruct("pnp", scenes.scenes([scene]), max_iterations=5)
        np.testing.assert_allclose(alone.image[0], together.image[scene], atol=2e-3 * np.abs(alone.image).max())
    scaled = reconstruct("pnp", replace(scenes, values=scenes.values * np.float32(1e-7)), max_iterations=5)
    np.testing.assert_allclose(scaled.image * 1e7, together.image, atol=2e-3 * np.abs(together.image).max())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"splitting": "adm"}, "splitting"),
        ({"sigma_end": 0.5}, "sigma"),
        ({"iterations": 0}, "iterations"),
        ({"denoiser": "denoiser-fats"}, "denoiser-fast"),
    ],
)
def test_options_that_do_not_fit(scenes, options, words):
    with pytest.raises((ValueError, OSError), match=words):
        reconstruct("pnp", scenes, **options)


def test_a_user_s_own_denoiser_in_one_line(scenes):
    """With the soft threshold as the denoiser, plug-and-play is the l1 solver."""
    settings = {"max_iterations": 9, "tolerance": 0.0}
    made = reconstruct("pnp", scenes, denoiser=lambda m, sigma: (m - sigma).clamp(min=0), sigma_end=0.02, **settings)
    assert "lambda" in made.parameters["denoiser"]
    np.testing.assert_array_equal(made.image, reconstruct("l1", scenes, weight=0.02, **settings).image)


def test_each_scene_stops_by_its_own_change(scenes):
    made = reconstruct("pnp", scenes, splitting="annealed", iterations=4, max_iterations=20, tolerance=0.05)
    counts = made.parameters["scene_iterations"]
    assert min(counts) >= 4
    for scene, count in enumerate(counts):
        changes = [entry["relative_change"][scene] for entry in made.history]
        assert all(change is not None for change in changes[:count])
        assert all(change is None for change in changes[count:])
        assert made.parameters["converged"][scene] == (changes[count - 1] < 0.05)
        assert all(change >= 0.05 for change in changes[3 : count - 1])


def test_the_constrained_splitting_keeps_the_bound_and_one_level(scenes):
    made = reconstruct("pnp", scenes, eps=0.2, max_iterations=25)
    last = [
        [v for v in column if v is not None][-1] for column in zip(*(e["residual"] for e in made.history), strict=True)
    ]
    assert all(value < 1.2 for value in last)
    assert "sigma" not in made.history[0]


def test_the_history_has_the_psnr_where_the_truth_is_known(scenes):
    made = reconstruct("pnp", scenes, max_iterations=3)
    expected = [psnr(m, t) for m, t in zip(made.magnitude, scenes.truth, strict=True)]
    assert made.history[-1]["psnr"] == pytest.approx(expected, abs=1e-3)
    assert "psnr" not in reconstruct("pnp", replace(scenes, truth=None), max_iterations=1).history[0]


def test_a_blind_denoiser_is_told_no_level(scenes, monkeypatch):
    told = []

    class Asking:
        @classmethod
        def load(cls, name, device="cpu", precision="auto"):
            return lambda magnitude, sigma=None: (told.append(sigma), magnitude)[1]

    monkeypatch.setattr(pnp_module, "Denoiser", Asking)
    reconstruct("pnp", scenes, blind=True, max_iterations=2)
    assert told == [None, None]
    reconstruct("pnp", scenes, max_iterations=1)
    assert told[2].tolist() == pytest.approx([0.05] * 4)
