"""Datasets of xarray: every number where it was, its axes with coordinates and units."""

import sys

import numpy as np
import pytest
from cases import ARRAY, GRID, MASKED, PAIRED, SWEEP

from mimo.data import Measurement, Reconstruction
from mimo.extras import MissingExtraError

xarray = pytest.importorskip("xarray")
RNG = np.random.default_rng(0)


def numbers(*shape):
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(np.complex64)


def test_a_measurement_by_its_coordinates():
    values = numbers(2, 4, 2, 3)
    measurement = Measurement(
        values, MASKED, SWEEP, grid=GRID, truth=numbers(2, *GRID.shape), snr_db=np.float32([20, 30]), permittivity=3.0
    )
    found = measurement.to_xarray()
    assert found["values"].dims == ("scene", "freq", "tx", "rx")
    assert np.shares_memory(found["values"].data, measurement.values)
    assert found["values"].sel(freq=SWEEP.freq[2]).isel(scene=1, tx=1, rx=2).item() == values[1, 2, 1, 2]
    assert found["freq"].units == "Hz" and found["x"].units == "m" and found["snr_db"].units == "dB"
    assert found["truth"].sel(x=GRID.x[1], y=GRID.y[2], z=GRID.z[3]).shape == (2,)
    assert found["rx_y"].isel(rx=2).item() == MASKED.rx_pos[2, 1] and found["tx_z"].units == "m"
    assert found["mask"].dims == ("tx", "rx") and not found["mask"].data[0, 1]
    assert found.attrs == {"permittivity": 3.0}
    assert "background" not in found


def test_listed_channels_know_their_antennas():
    found = Measurement(numbers(1, 4, 5), PAIRED, SWEEP).to_xarray()
    assert found["values"].dims == ("scene", "freq", "channel")
    assert found["tx"].data.tolist() == PAIRED.channels[:, 0].tolist()
    assert np.array_equal(found["rx_x"].data, PAIRED.rx_pos[PAIRED.channels[:, 1], 0])
    assert "x" not in found.coords


@pytest.mark.parametrize("kind", ["complex", "magnitude"])
def test_an_image_in_metres(kind):
    image = numbers(2, *GRID.shape)
    image = image if kind == "complex" else np.abs(image)
    std = np.abs(numbers(2, *GRID.shape))
    inside = np.ones(GRID.shape, bool)
    inside[0] = False
    made = Reconstruction("pnp", image, GRID, {}, np.zeros(2), std=std, inside=inside, scale="relative")
    found = made.to_xarray()
    assert found["image"].dims == ("scene", "x", "y", "z") and found["inside"].dims == ("x", "y", "z")
    assert found["image"].sel(x=GRID.x[3], y=GRID.y[4], z=GRID.z[5], scene=1).item() == image[1, 3, 4, 5]
    assert np.array_equal(found["std"].data, std) and not found["inside"].data[0].any()
    assert found.attrs == {"method": "pnp", "scale": "relative"}
    assert set(Reconstruction("l1", image, GRID, {}, np.zeros(2)).to_xarray().data_vars) == {"image"}


def test_it_becomes_a_file_of_xarray_and_back(tmp_path):
    made = Reconstruction("l1", np.abs(numbers(1, *GRID.shape)), GRID, {}, np.zeros(1)).to_xarray()
    made.to_netcdf(tmp_path / "image.nc", engine="scipy")
    with xarray.open_dataset(tmp_path / "image.nc", engine="scipy") as found:
        assert np.array_equal(found["image"], made["image"]) and found["z"].units == "m"


def test_without_xarray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(MissingExtraError, match=r"to_xarray needs xarray: pip install 'mimo-imaging\[xarray\]'"):
        Measurement(numbers(1, 4, 2, 3), ARRAY, SWEEP).to_xarray()
