"""Windows are the textbook's, lie along the edges of each kind of aperture, and weigh the data of every image former."""

import math

import numpy as np
import pytest
import scipy.signal
import torch
from helper import fails, relative_gap

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, Window, backproject, born_operator, windowed
from mimo.windows import Taper

GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(0.4, 0.6, 11))
AROUND = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(0, 0, 1))
SWEEP = FrequencySweep.linear(4e9, 16e9, 15)


def scan(places, name=""):
    index = np.arange(len(places))
    return ArrayGeometry(places, places, np.stack([index, index], axis=1), name=name)


def ring(degrees, n, *, axis=2, height=0.0):
    angle = np.deg2rad(np.linspace(0, degrees, n, endpoint=degrees < 360))
    places = np.full((n, 3), height)
    places[:, (axis + 1) % 3], places[:, (axis + 2) % 3] = np.cos(angle), np.sin(angle)
    return scan(places)


def channel_weights(array, text="hann", grid=GRID):
    return Window.parse(text).weights(Acquisition(array, SWEEP, grid))[1]


def hann(n):
    return np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2


@pytest.mark.parametrize("n", [12, 13, 50])
def test_windows_are_those_of_the_textbook(n):
    """Hann and Kaiser end half a step outside the samples, Taylor's does by definition."""
    place = np.arange(n) / n - 0.5 + 0.5 / n
    for text, expected in {
        "taylor:30": scipy.signal.windows.taylor(n, 4, 30, norm=False),
        "taylor:-35": scipy.signal.windows.taylor(n, 6, 35, norm=False),
        "kaiser:6": scipy.signal.windows.kaiser(2 * n + 1, 6)[1::2] * np.i0(6),
        "hann": hann(n),
        "hamming": 0.08 + 0.92 * hann(n),
        "none": np.ones(n),
    }.items():
        taper = Taper.parse(text)
        np.testing.assert_allclose(taper.at(place), expected, atol=1e-12)
        np.testing.assert_allclose(taper.over(3 - 2 * place), expected, atol=1e-12)


@pytest.mark.parametrize("level", [14, 20, 30, 45, 70])
def test_side_lobes_of_taylors_window_are_at_its_level(level):
    weights = Taper("taylor", level).over(np.arange(400.0))
    response = np.abs(np.fft.rfft(weights, 2**17))
    rising = int((np.diff(response) > 0).argmax())
    assert 20 * math.log10(response[rising:].max() / response[0]) == pytest.approx(-level, abs=1.0)
    assert weights.min() > 0


def test_a_text_is_read_and_written():
    for text in (
        "none",
        "hann",
        "taylor:30",
        "kaiser:2.5",
        "band=hann,aperture=taylor:35",
        "band=none,aperture=kaiser:6",
    ):
        assert str(Window.parse(text)) == text
    assert Window.parse(" aperture = Hann ") == Window(aperture=Taper("hann"))
    assert Window.parse("taylor:-30") == Window.parse("band=taylor:30,aperture=taylor:30")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hnn", ("'hnn'", "hann", "kaiser")),
        ("taylor", ("'taylor'", "taylor:SLL")),
        ("hann:3", ("'hann:3'", "expected")),
        ("kaiser:x", ("'kaiser:x'", "number")),
        ("taylor:200", ("200", "13.3 to 80")),
        ("taylor:nan", ("nan", "13.3 to 80")),
        ("kaiser:-1", ("-1", "0 to 30")),
        ("band=hann,range=hann", ("range=hann", "band=WINDOW,aperture=WINDOW")),
        ("band=hann,band=none", ("band=none", "band=WINDOW,aperture=WINDOW")),
    ],
)
def test_another_text_is_refused(text, parts):
    fails(parts, lambda: Window.parse(text))


def test_a_cross_is_weighted_along_both_arms():
    for make in (ArrayGeometry.mills_cross, ArrayGeometry.uniform_linear):
        weights = channel_weights(make(n_tx=12, n_rx=13, width=0.3))
        expected = np.multiply.outer(hann(12), hann(13))
        np.testing.assert_allclose(weights, expected / expected.mean(), atol=1e-9)


def test_a_hole_does_not_change_the_weights():
    """A band or a scan with a missing part: what is there is weighted as before."""
    places = np.delete(np.arange(200.0), slice(60, 130))
    np.testing.assert_allclose(Taper("hann").over(places), np.delete(hann(200), slice(60, 130)), atol=0.01)


def test_two_transmitters_at_the_ends_do_not_lose_their_data():
    """A filled line of virtual elements: their window, not a product that would give both transmitters little."""
    rx = np.column_stack([np.linspace(-0.07, 0.07, 8), np.zeros(8), np.zeros(8)])
    array = ArrayGeometry([[-0.08, 0, 0], [0.08, 0, 0]], rx)
    expected = hann(16).reshape(2, 8)
    far = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(20, 21, 11))
    for grid in (GRID, far):
        np.testing.assert_allclose(channel_weights(array, grid=grid), expected / expected.mean(), atol=0.01)


def test_a_scan_is_weighted_along_rows_and_columns_wherever_they_point():
    array = ArrayGeometry.planar_scan(shape=(9, 11), width=0.4, height=0.3)
    expected = np.multiply.outer(hann(9), hann(11)).ravel()
    expected /= expected.mean()
    np.testing.assert_allclose(channel_weights(array), expected, atol=1e-9)
    turn = np.array([[0.6, 0.8, 0], [-0.64, 0.48, 0.6], [0.48, -0.36, 0.8]])
    np.testing.assert_allclose(channel_weights(scan(array.tx_pos @ turn)), expected, atol=1e-9)
    order = np.random.default_rng(0).permutation(99)
    np.testing.assert_allclose(channel_weights(scan(array.tx_pos[order])), expected[order], atol=1e-9)
    rough = array.tx_pos + np.random.default_rng(1).normal(size=(99, 3)) * (1e-4, 1e-4, 1e-3)
    np.testing.assert_allclose(channel_weights(scan(rough)), expected, atol=0.3)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("height", [0.0, 0.5])
def test_an_arc_is_weighted_along_the_arc_and_a_circle_is_not(axis, height):
    expected = hann(31) / hann(31).mean()
    for degrees in (2, 60, 270):
        weights = channel_weights(ring(degrees, 31, axis=axis, height=height), grid=AROUND)
        np.testing.assert_allclose(weights, expected, atol=1e-3)
    for degrees in (330, 360):
        np.testing.assert_array_equal(channel_weights(ring(degrees, 31, axis=axis, height=height), grid=AROUND), 1)


def test_a_cylinder_is_weighted_along_its_axis_and_a_dome_is_not():
    heights = np.linspace(-0.2, 0.2, 5)
    cylinder = np.concatenate([ring(360, 12, height=h).tx_pos for h in heights])
    weights = channel_weights(scan(cylinder), grid=AROUND).reshape(5, 12)
    np.testing.assert_allclose(weights, np.repeat(weights[:, :1], 12, axis=1), rtol=1e-9)
    np.testing.assert_allclose(weights[:, 0], hann(5) / hann(5).mean(), atol=0.03)
    rng = np.random.default_rng(0)
    sphere = rng.normal(size=(900, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    for places in (sphere, sphere[sphere[:, 2] > 0], sphere[(sphere[:, 2] > 0.1) & (sphere[:, 2] < 0.6)]):
        np.testing.assert_array_equal(channel_weights(scan(places), grid=AROUND), 1)
    cap = sphere[sphere[:, 2] > 0.85]
    weights = channel_weights(scan(cap), grid=AROUND)
    assert weights[cap[:, 2] > 0.98].min() > 2 * weights[cap[:, 2] < 0.87].max()


def test_odd_apertures_have_a_weight():
    for array in (ArrayGeometry([[0, 0, 0]], [[0.1, 0, 0]]), ArrayGeometry([[0, 0, 0.5]], [[0, 0, 0.5]])):
        np.testing.assert_array_equal(channel_weights(array), 1)
    one = Acquisition(ArrayGeometry([[0, 0, 0]], [[0.1, 0, 0]]), FrequencySweep.linear(5e9, 5e9, 1), GRID)
    assert Window.parse("hann").weights(one)[0].tolist() == [1.0]


@pytest.mark.parametrize("paired", [False, True])
def test_the_mean_weight_of_what_carries_data_is_one(paired):
    array = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3)
    mask = np.array([[True, True, False], [True, True, True]])
    full = array.with_mask(mask)
    array = ArrayGeometry(array.tx_pos, array.rx_pos, full.channel_indices()) if paired else full
    uneven = FrequencySweep(np.array([4e9, 5e9, 7e9, 9e9]))
    band, channels = Window.parse("taylor:25").weights(Acquisition(array, uneven, GRID))
    assert channels.shape == array.measurement_shape
    assert band.mean() == pytest.approx(1)
    assert channels.sum() == pytest.approx(5)
    if not paired:
        assert channels[0, 2] == 0
    A = born_operator(array, uneven, GRID)
    y = torch.randn(2, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    weighted = windowed(y, A, "taylor:25")
    assert weighted.dtype == y.dtype
    by_hand = y * torch.as_tensor(np.multiply.outer(band, channels), dtype=torch.float32)
    assert relative_gap(weighted, by_hand) < 1e-6
    assert windowed(y, A, "none") is y
    assert relative_gap(backproject(windowed(y, A, Window.parse("taylor:25")), A), backproject(by_hand, A)) < 1e-5
    with pytest.raises(ValueError, match=r"shape .* expected \(\.\.\., 4, "):
        windowed(y[..., 1:], A, "hann")
