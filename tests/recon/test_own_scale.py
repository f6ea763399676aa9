"""Every scene is reconstructed on its own scale, and by itself: neither the data's unit nor other scenes matter."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helper import relative_gap
from test_pnp import scenes  # noqa: F401 - a fixture

from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid
from mimo.data import Measurement
from mimo.recon import METHODS, make_problem, reconstruct

EVERY = ("backprojection", "kirchhoff", "tikhonov", "l1", "tv", "pnp", "two-stage")
FEW = {"l1": {"max_iterations": 8}, "tv": {"max_iterations": 3}, "pnp": {"max_iterations": 3}}


def run(method, measurement):
    return reconstruct(method, measurement, check="none", **FEW.get(method, {})).image


@pytest.mark.filterwarnings("ignore:.*used far from its training")
@pytest.mark.parametrize("method", EVERY)
def test_a_power_of_2_as_unit_changes_no_bit(scenes, method):  # noqa: F811
    plain = run(method, scenes)
    for power in (-100, 100):  # about 1e-30 and 1e30
        factor = np.float32(2.0**power)
        found = run(method, replace(scenes, values=scenes.values * factor))
        np.testing.assert_array_equal(found, plain * factor if METHODS[method].homogeneous else plain)


@pytest.mark.parametrize("method", ["l1", "tikhonov"])
def test_a_decimal_unit_changes_rounding_alone(scenes, method):  # noqa: F811
    plain = run(method, scenes)
    for factor in (1e-30, 1e30):
        found = run(method, replace(scenes, values=(scenes.values.astype(complex) * factor).astype(np.complex64)))
        assert relative_gap(torch.as_tensor(found / factor), torch.as_tensor(plain)) < 2e-5


@pytest.mark.filterwarnings("ignore:.*used far from its training")
@pytest.mark.parametrize(("method", "snr"), [*((each, True) for each in EVERY), ("l1", False)])
def test_an_odd_scene_changes_no_bit_of_the_others(scenes, method, snr):  # noqa: F811
    plain = replace(scenes, truth=None, snr_db=np.full(4, 20, np.float32) if snr else None)
    others = np.delete(run(method, plain), 1, axis=0)
    for factor in (0, 1e-30, 1e30):
        values = plain.values.copy()
        values[1] *= np.float32(factor)
        found = run(method, replace(plain, values=values))
        np.testing.assert_array_equal(np.delete(found, 1, axis=0), others)
        assert np.isfinite(found).all()


def test_an_empty_volume_does_not_change_what_others_measure():
    """Its measurement takes another way when volumes are large, and the others' batch must stay as it is."""
    array = ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3)
    grid = VoxelGrid.from_extent(x=(-0.15, 0.15, 15), y=(-0.15, 0.15, 17), z=(0.35, 0.65, 19))
    A = BornOperator(array, FrequencySweep.linear(4e9, 16e9, 15), grid)
    x = torch.randn(4, *grid.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[2] = 0
    full, found = A.forward(x), A.forward(other)
    assert torch.equal(found[[0, 1, 3]], full[[0, 1, 3]])
    assert not found[2].any()


def test_scenes_without_data_have_no_say_in_the_weights_of_channels(scenes):  # noqa: F811
    """A scene of zeros is fitted by zeros: counted in, it would make every channel look better than it is."""
    values = np.concatenate([scenes.values, np.zeros_like(scenes.values)])
    both = replace(scenes, values=values, truth=None, snr_db=None)
    alone = replace(scenes, truth=None, snr_db=None)
    weights = [
        reconstruct("l1", each, check="none", loss="student", max_iterations=4).parameters["channel_weights"]
        for each in (alone, both)
    ]
    np.testing.assert_allclose(weights[1], weights[0], atol=2e-3)


def test_an_image_as_the_start_is_in_the_unit_of_the_data(scenes):  # noqa: F811
    start = torch.as_tensor(run("tikhonov", scenes))
    factor = np.float32(2.0**90)
    given = {"check": "none", "max_iterations": 3}
    plain = reconstruct("l1", scenes, start=start, **given).image
    loud = reconstruct("l1", replace(scenes, values=scenes.values * factor), start=start * factor, **given).image
    np.testing.assert_array_equal(loud, plain * factor)


def test_a_problem_of_unit_size_is_the_same_problem(scenes):  # noqa: F811
    problem = make_problem(replace(scenes, snr_db=np.full(4, 20, np.float32)))
    of_unit = problem.of_unit_size()
    largest = of_unit.measurement.abs().flatten(1).amax(1)
    assert bool(((largest >= 0.5) & (largest <= 1)).all())
    back = of_unit.measurement * of_unit.unit.float()[:, None, None, None]
    assert torch.equal(back, problem.measurement)
    assert torch.equal(of_unit.noise_std * of_unit.unit, problem.noise_std)


@pytest.mark.parametrize("blind", [False, True])
def test_a_body_that_fills_a_small_grid_is_seen_by_the_denoiser(blind):
    rng = np.random.default_rng(0)
    grid = VoxelGrid.from_extent(x=(-0.15, 0.15, 5), y=(-0.15, 0.15, 6), z=(0.35, 0.65, 7))
    array, sweep = ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3), FrequencySweep.linear(4e9, 16e9, 15)
    truth = (rng.normal(size=(1, 5, 6, 7)) + 1j * rng.normal(size=(1, 5, 6, 7))).astype(np.complex64)
    values = BornOperator(array, sweep, grid).forward(torch.as_tensor(truth)).numpy()
    measurement = Measurement(values=values, array=array, sweep=sweep, grid=grid, truth=truth)
    image = np.abs(reconstruct("pnp", measurement, check="none", blind=blind).image)
    assert np.corrcoef(image.ravel(), np.abs(truth).ravel())[0, 1] > 0.8
