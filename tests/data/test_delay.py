"""The instrument's delay, stated or found from an echo of known place, and the residual video phase of a chirp."""

import numpy as np
import pytest

from mimo import ArrayGeometry, FrequencySweep
from mimo.data import Measurement, PointTarget, find_delay, remove_delay, remove_video_phase
from mimo.data.calibration.delay import delay_from_text

LIGHT = 299792458
FREQ = np.linspace(76e9, 80e9, 101)
ARRAY = ArrayGeometry([[-0.1, 0.02, 0.0], [0.09, -0.05, 0.0]], [[0.03, 0.1, 0], [-0.04, -0.1, 0], [0.1, 0.06, 0]])
PLACE = (0.02, -0.03, 0.5)
LATE = 0.45225e-9


def scan(late, *, background=False):
    """An echo of a point, a weaker one behind it, all late by the same time."""
    values = 0
    for place, level in ((PLACE, 1.0), ((0.1, 0.1, 0.9), 0.3)):
        to, back = (np.linalg.norm(pos - place, axis=1) for pos in (ARRAY.tx_pos, ARRAY.rx_pos))
        tau = (to[:, None] + back) / LIGHT + late
        values = values + level * np.exp(-2j * np.pi * np.multiply.outer(FREQ, tau))
    kept = {"background": 0.5 * values} if background else {}
    return Measurement(values[None], ARRAY, FrequencySweep(FREQ), **kept)


def test_a_delay_that_is_taken_out_leaves_the_scan_without_it():
    made, ideal = remove_delay(scan(LATE, background=True), LATE), scan(0.0, background=True)
    np.testing.assert_allclose(made.values, ideal.values, atol=2e-6)
    np.testing.assert_allclose(made.background, ideal.background, atol=2e-6)
    assert made.steps[-1] == {"step": "remove delay", "seconds": LATE}


@pytest.mark.parametrize("late", [LATE, -1.3e-9])
def test_a_delay_is_found_from_a_point_of_known_place(late):
    assert find_delay(scan(late), target=PointTarget(PLACE)) == pytest.approx(
        late, abs=0.5e-12
    )  # the weaker echo leaks in


def test_a_delay_is_found_from_the_range_of_an_echo_in_a_monostatic_scan():
    position = np.stack([np.linspace(-0.002, 0.002, 7), np.zeros(7), np.zeros(7)], axis=1)
    array = ArrayGeometry(position, position, np.stack([np.arange(7)] * 2, axis=1))
    way = 2 * np.linalg.norm(position - (0, 0, 0.4), axis=1)
    values = np.exp(-2j * np.pi * np.multiply.outer(FREQ, way / LIGHT + LATE))
    made = Measurement(values[None], array, FrequencySweep(FREQ))
    assert find_delay(made, distance=0.4) == pytest.approx(LATE, abs=0.1e-12)
    with pytest.raises(ValueError, match="one of them"):
        find_delay(made)


def test_noise_alone_has_no_delay():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 101, 2, 3)) + 1j * rng.normal(size=(1, 101, 2, 3))
    with pytest.raises(ValueError, match="no echo stands 10 dB"):
        find_delay(Measurement(values, ARRAY, FrequencySweep(FREQ)), distance=0.5)
    few = Measurement(values[:, :3], ARRAY, FrequencySweep(FREQ[:3]))
    with pytest.raises(ValueError, match="3 frequencies"):
        find_delay(few, distance=0.5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4.5e-10", 4.5e-10), ("0.45ns", 4.5e-10), ("-450ps", -4.5e-10), ("0.299792458 m", 1e-9), ("30mm", 0.03 / LIGHT)],
)
def test_a_delay_is_read_with_its_unit(text, seconds):
    assert delay_from_text(text, scan(0.0)) == pytest.approx(seconds)


def test_a_delay_that_is_a_place_is_found():
    assert delay_from_text(f"point={','.join(map(str, PLACE))}", scan(LATE)) == pytest.approx(
        LATE, abs=0.5e-12
    )  # the weaker echo leaks in


@pytest.mark.parametrize("text", ["ns", "3km", "range=far", "point=1,2", "", "plate=1"])
def test_a_delay_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match=r"expected a number with s, us, ns"):
        delay_from_text(text, scan(0.0))


@pytest.mark.parametrize("text", ["0.3", "-2", "1e99", "inf"])
def test_a_length_without_its_unit_is_not_taken_for_seconds(text):
    with pytest.raises(ValueError, match=r"delay is '\S+', \S+ s or \S+ m of path: expected no more than 1e-05 s"):
        delay_from_text(text, scan(0.0))


def test_the_video_phase_of_an_echo_is_taken_out():
    """Echoes of a chirp with their video phase, from the formula, against those without."""
    n, rate, slope = 256, 5e6, 70e12
    freq = 77e9 + slope * np.arange(n) / rate
    delays = np.arange(2, 60, 13) / (n * slope / rate)  # whole cells, so that no echo leaks into the others
    array = ArrayGeometry([[0.0, 0, 0]], [[0.01, 0, 0]])

    def values(phase):
        beat = [np.exp(-1j * (2 * np.pi * freq * tau - phase * np.pi * slope * tau**2)) for tau in delays]
        return np.sum(beat, axis=0).reshape(1, n, 1, 1)

    late = Measurement(values(1.0), array, FrequencySweep(freq))
    made = remove_video_phase(late, slope)
    assert np.abs(late.values - values(0.0)).max() > 0.05
    np.testing.assert_allclose(made.values, values(0.0), atol=1e-4)
    uneven = Measurement(values(1.0)[:, :4], array, FrequencySweep(freq[[0, 1, 2, 4]]))
    with pytest.raises(ValueError, match="evenly spaced"):
        remove_video_phase(uneven, slope)
