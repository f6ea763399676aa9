"""Samples of the posterior: the closed form on a Gaussian prior, seeds, units, odd inputs, what files keep."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import ARRAY, GRID, MASKED, PAIRED, POINT, SWEEP
from helper import fails
from scipy.special import i0e, i1e
from test_registry import measured

from mimo import born_operator
from mimo.data import QUANTILES, interval, load_reconstructions, save
from mimo.recon import reconstruct, sample

FEW = {"n": 8, "chains": 2, "burn_in": 2, "steps": 2}
SURE = {"snr_db": np.array([20.0, 5.0], np.float32)}


def closed_form(measurement, variance):
    """Return mean and standard deviation of each voxel under independent normal voxels, by a dense matrix."""
    A = born_operator(measurement.array, SWEEP, GRID, dtype=torch.complex128)
    unit = torch.eye(GRID.n_voxel, dtype=torch.complex128).reshape(-1, *GRID.shape)
    matrix = A.forward(unit).flatten(1).T.numpy()
    y = measurement.values[0].astype(complex).ravel()
    if measurement.array.mask is not None:
        seen = np.broadcast_to(measurement.array.mask, measurement.values[0].shape).ravel()
        matrix, y = matrix[seen], y[seen]
    noise = np.mean(np.abs(y) ** 2) / (1 + 10 ** (float(measurement.snr_db[0]) / 10))
    gain = variance * matrix.conj().T @ np.linalg.inv(variance * matrix @ matrix.conj().T + noise * np.eye(len(y)))
    return (gain @ y).reshape(GRID.shape), np.sqrt(
        variance * (1 - np.einsum("ij,ji->i", gain, matrix).real).reshape(GRID.shape)
    )


def rice(mean, std):
    """Return mean and standard deviation of the magnitude of a complex normal number."""
    k = np.abs(mean) ** 2 / std**2
    expected = std * np.sqrt(np.pi) / 2 * ((1 + k) * i0e(k / 2) + k * i1e(k / 2))
    return expected, np.sqrt(std**2 * (1 + k) - expected**2)


@pytest.mark.parametrize(
    ("array", "solver"), [(ARRAY, "spectrum"), (MASKED, "spectrum"), (PAIRED, "cg")], ids=["full", "masked", "paired"]
)
def test_on_a_gaussian_prior_it_is_the_closed_form(array, solver):
    scene = replace(measured(array, n_scene=1), snr_db=np.array([12.0], np.float32))
    n, variance = 2000, 1.3
    options = {
        "n": n,
        "chains": 100,
        "burn_in": 10,
        "thin": 4,
        "variance": variance,
        "solver": solver,
        "sensitivity": 0,
    }
    made = sample(scene, prior="gaussian", check="none", **options)
    mean, std = closed_form(scene, variance)
    drawn = made.samples[0]
    assert drawn.shape == (n, *GRID.shape)
    # of 385 voxels the largest deviation of independent samples is about 3.5 of these standard errors; thinned to
    # a correlation of a sixteenth they are nearly independent
    error = np.abs(drawn.mean(0) - mean) / (std / np.sqrt(n))
    assert error.max() < 4.5 and 0.7 < np.sqrt(np.mean(error**2)) < 1.3
    np.testing.assert_allclose(drawn.std(0), std, rtol=4.5 / np.sqrt(n))
    expected, spread = rice(mean, std)
    np.testing.assert_allclose(made.image.magnitude[0], expected, atol=4.5 * spread.max() / np.sqrt(n))
    np.testing.assert_allclose(made.image.std[0], spread, rtol=0.12)
    # a normal prior has one posterior, so the chains agree
    assert made.image.parameters["converged"] == [True]
    assert made.image.parameters["effective_samples"][0] > 0.5 * n


def test_the_gaussian_variance_is_found_from_the_power_of_the_data():
    """Images of unit variance, whose noise is stated."""
    scene = replace(measured(n_scene=2), snr_db=np.array([40.0, 40.0], np.float32))
    found = sample(scene, prior="gaussian", check="none", **FEW).image
    given = sample(scene, prior="gaussian", check="none", variance=1.0, **FEW).image
    ratio = np.square(found.std).mean((1, 2, 3)) / np.square(given.std).mean((1, 2, 3))
    assert (ratio > 0.4).all() and (ratio < 2.5).all()  # 24 data


@pytest.mark.parametrize("prior", ["gaussian", "denoiser"])
def test_a_seed_gives_the_same_samples_of_a_scene_by_itself(prior):
    scenes = replace(measured(), **SURE)
    made = sample(scenes, prior=prior, check="none", **FEW)
    again = sample(scenes, prior=prior, check="none", **FEW)
    np.testing.assert_array_equal(made.samples, again.samples)
    alone = sample(scenes.scenes([1]), prior=prior, check="none", **FEW)
    np.testing.assert_allclose(alone.samples[0], made.samples[1], atol=1e-3 * np.abs(made.samples[1]).max())
    other = sample(scenes, prior=prior, check="none", seed=1, **FEW)
    assert np.abs(other.samples - made.samples).max() > 0.01 * np.abs(made.samples).max()


def test_samples_differ_and_the_image_says_how():
    made = sample(replace(measured(), **SURE), prior="gaussian", check="none", **FEW)
    magnitude = np.abs(made.samples)
    np.testing.assert_allclose(made.image.magnitude, magnitude.mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.image.std, magnitude.std(1, ddof=1), rtol=1e-3, atol=1e-5)
    expected = np.quantile(magnitude, QUANTILES, axis=1).swapaxes(0, 1)
    np.testing.assert_allclose(made.image.quantiles, expected, rtol=1e-4, atol=1e-5)
    low, high = interval(made.image, 0.5)
    np.testing.assert_array_equal(low, made.image.quantiles[:, 1])
    np.testing.assert_array_equal(high, made.image.quantiles[:, 3])
    fails(("0.8", "0.5 or 0.9"), lambda: interval(made.image, 0.8))


def test_any_unit_gives_the_same_samples_in_that_unit():
    scenes = replace(measured(), **SURE)
    made = sample(scenes, check="none", **FEW)
    scaled = sample(replace(scenes, values=scenes.values * np.float32(1e-7)), check="none", **FEW)
    np.testing.assert_allclose(1e7 * scaled.samples, made.samples, atol=2e-3 * np.abs(made.samples).max())
    np.testing.assert_allclose(1e7 * scaled.image.quantiles, made.image.quantiles, atol=2e-3 * made.image.std.max())


def test_files_keep_standard_deviation_and_quantiles(tmp_path):
    scenes = replace(measured(), **SURE)
    made = sample(scenes, check="none", **FEW).image
    save(tmp_path / "a.h5", scenes, reconstructions=[made])
    read = load_reconstructions(tmp_path / "a.h5")["sample"]
    np.testing.assert_array_equal(read.quantiles, made.quantiles)
    np.testing.assert_array_equal(read.std, made.std)
    np.testing.assert_array_equal(read.scenes([1]).quantiles, made.quantiles[1:])
    assert len(read.parameters["r_hat"]) == 2 and read.parameters["samples"] == 8
    assert len(read.history) == 2 + 4 and len(read.history[0]["residual"]) == 2


def test_zero_data_give_zero_and_pure_noise_is_uncertain():
    scenes = measured()
    values = scenes.values.copy()
    values[0] = 0
    made = sample(replace(scenes, values=values), check="none", **FEW)
    assert not made.samples[0].any() and not made.image.std[0].any() and made.image.std[1].any()


def test_one_voxel_and_one_sample():
    made = sample(replace(measured(grid=POINT), **SURE), check="none", **(FEW | {"n": 1, "chains": 1}))
    assert made.samples.shape == (2, 1, *POINT.shape) and not made.image.std.any()
    assert made.image.parameters["r_hat"] == [None, None] and made.image.parameters["converged"] == [False, False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prior": "gauss"}, "denoiser or gaussian"),
        ({"n": 0}, "n is 0"),
        ({"coupling": 2.0}, "coupling"),
        ({"variance": "none"}, "variance"),
        ({"seed": -1}, "seed"),
        ({"chain": 3}, "chains"),
    ],
)
def test_options_that_do_not_fit(options, words):
    with pytest.raises(ValueError, match=words):
        sample(measured(), **options)


def test_an_interrupt_keeps_what_was_drawn():
    calls = []

    def stop(done, of):
        calls.append(done)
        if len(calls) == 5:
            raise KeyboardInterrupt

    made = reconstruct("sample", measured(), prior="gaussian", progress=stop, check="none", **FEW)
    assert made.parameters["interrupted"] == [True, True]
    assert made.std[0].any() and not made.std[1].any() and made.image[1].any()
