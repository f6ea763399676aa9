"""Bad channels: planted ones are found, healthy ones are left alone, masked ones do not count."""

from dataclasses import replace

import numpy as np
import pytest

from mimo import ArrayGeometry, FrequencySweep
from mimo.data import Measurement, PointTarget, find_bad_channels, mask_channels
from mimo.data.calibration import channels_from_text, reference_echo

ARRAY = ArrayGeometry.random_planar(n_tx=6, n_rx=7, width=0.3, height=0.24, seed=3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 61)
PAIRED = ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, channels=[[t, (3 * t + i) % 7] for t in range(6) for i in range(4)])


def healthy(array, seed=0, snr_db=20.0):
    """Three echoes and noise, a channel gain of 1.5 dB."""
    rng = np.random.default_rng(seed)
    empty = Measurement(np.zeros((2, 61, *array.measurement_shape), complex), array, SWEEP)
    echoes = [
        PointTarget((0.02, -0.03, 0.5)),
        PointTarget((-0.05, 0.06, 0.55), 0.7),
        PointTarget((0.08, 0.01, 0.45), 0.5),
    ]
    y = sum(reference_echo(empty, target) for target in echoes)
    y = y * 10 ** (1.5 * rng.standard_normal(y.shape[1]) / 20)
    std = np.sqrt((np.abs(y) ** 2).mean() / 10 ** (snr_db / 10) / 2)
    y = y + std * (rng.standard_normal((2, *y.shape)) + 1j * rng.standard_normal((2, *y.shape)))
    return replace(empty, values=y.reshape(empty.values.shape))


def spoiled(scan, place, edit):
    values = scan.values.copy()
    where = (..., *place) if not scan.array.paired else (..., scan.array.channels.tolist().index(list(place)))
    values[where] = edit(values[where])
    return replace(scan, values=values)


def clipped(y):
    limit = 0.4 * np.abs(y).max()
    return np.clip(y.real, -limit, limit) + 1j * np.clip(y.imag, -limit, limit)


FAULTS = {
    "dead: all zero": lambda y: 0 * y,
    "dead": lambda y: 1e-3 * y,
    "saturated": clipped,
    "outlying: level": lambda y: 8 * y,
    "outlying: contrast": lambda y: y * np.exp(2j * np.pi * np.random.default_rng(1).uniform(size=y.shape)),
}


@pytest.mark.parametrize("array", [ARRAY, PAIRED], ids=["full", "paired"])
@pytest.mark.parametrize("seed", range(4))
def test_healthy_channels_are_left_alone(array, seed):
    assert find_bad_channels(healthy(array, seed)) == {}
    assert find_bad_channels(healthy(array, seed, snr_db=np.inf)) == {}


def test_a_lone_noiseless_point_saturates_nothing():
    """Its magnitude is constant, and a phase that turns by a quarter each step puts I and Q at their largest."""
    rx = np.column_stack([np.linspace(-0.4, 0.4, 61), np.zeros(61), np.zeros(61)])
    array = ArrayGeometry(rx[:40:5] + np.array([0, 0.01, 0]), rx)
    empty = Measurement(np.zeros((1, 61, 8, 61), complex), array, SWEEP)
    echo = reference_echo(empty, PointTarget((0.0, 0.0, 0.4))).reshape(1, 61, 8, 61)
    assert find_bad_channels(replace(empty, values=echo)) == {}


@pytest.mark.parametrize("array", [ARRAY, PAIRED], ids=["full", "paired"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(array, fault):
    found = find_bad_channels(spoiled(healthy(array), (4, 6) if array is ARRAY else (4, 1), FAULTS[fault]))
    assert list(found) == [(4, 6) if array is ARRAY else (4, 1)]
    assert next(iter(found.values())).startswith(fault)


def test_a_fifth_of_bad_channels_does_not_upset_the_test():
    scan, bad = healthy(ARRAY), [(0, 0), (1, 3), (2, 6), (3, 1), (4, 4), (5, 2), (5, 5), (0, 6)]
    for i, place in enumerate(bad):
        scan = spoiled(scan, place, FAULTS["outlying: level" if i % 2 else "dead"])
    assert set(find_bad_channels(scan)) == set(bad)
    masked = mask_channels(scan, find_bad_channels(scan))
    assert find_bad_channels(masked) == {}
    assert masked.array.n_channel == 42 - 8
    assert not masked.values[..., ~masked.array.mask].any()
    assert set(masked.steps[-1]["channels"]) == {f"{t}:{r}" for t, r in bad}


def test_masking_drops_listed_channels_with_all_that_belongs_to_them():
    n = len(PAIRED.channels)
    scan = replace(
        healthy(PAIRED),
        background=np.ones((61, n), complex) * np.arange(n),
        gain=np.ones((61, n), complex) * np.arange(1, n + 1),
        delay=np.arange(n) * 1e-12,
        reference_path=np.arange(n) / 10,
    )
    first = tuple(PAIRED.channels[1].tolist())
    less = mask_channels(scan, [first])
    keep = np.arange(n) != 1
    for name in ("values", "background", "gain", "delay", "reference_path"):
        np.testing.assert_array_equal(getattr(less, name), getattr(scan, name)[..., keep])
    np.testing.assert_array_equal(less.array.channels, PAIRED.channels[keep])
    with pytest.raises(ValueError, match=f"channel {first[0]}:{first[1]} is not in the array"):
        mask_channels(less, [first])


def test_channels_are_named_in_text():
    assert channels_from_text("2:3", ARRAY) == [(2, 3)]
    assert channels_from_text("tx=1, 0:6", ARRAY) == [(1, r) for r in range(7)] + [(0, 6)]
    assert channels_from_text("rx=6", ARRAY) == [(t, 6) for t in range(6)]
    for text, words in [
        ("2-3", "expected TX:RX"),
        ("6:0", "6:0' is not in the array of 6 tx"),
        ("tx=9", "42 channels"),
    ]:
        with pytest.raises(ValueError, match=words):
            channels_from_text(text, ARRAY)


def test_what_cannot_be_masked_is_refused():
    scan = healthy(ARRAY)
    with pytest.raises(ValueError, match="channel 6:0 is not in the array of 6 tx and 7 rx"):
        mask_channels(scan, [(6, 0)])
    with pytest.raises(ValueError, match="all 42 channels would be masked"):
        mask_channels(scan, [(t, r) for t in range(6) for r in range(7)])
    with pytest.raises(ValueError, match="n_std is 0"):
        find_bad_channels(scan, n_std=0)
    assert mask_channels(scan, []) is scan
    assert len(find_bad_channels(replace(scan, values=0 * scan.values))) == 42
