"""Channel gains from a reference target: recovered from noisy data, kept in a file, applied to later scans."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.constants import speed_of_light

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, backproject, born_operator
from mimo.data import (
    Measurement,
    Plate,
    PointTarget,
    apply_calibration,
    conjugate,
    divide_gain,
    estimate_gain,
    load,
    mask_channels,
    normalise,
    restore_reference_path,
    save,
    select_frequencies,
    subtract_background,
    with_mean_background,
    with_permittivity,
)
from mimo.data.calibration import reference_echo
from mimo.recon.metrics import psnr
from mimo.synth import add_noise

ARRAY = ArrayGeometry.random_planar(n_tx=4, n_rx=5, width=0.3, height=0.24, seed=3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 251)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.12, 0.12, 11), z=(0.4, 0.6, 13))
SPHERE = PointTarget((0.01, -0.02, 0.45))


def measured(array, sweep, target, permittivity=1.0, reference_path=None):
    """A reference target seen by ideal channels."""
    empty = Measurement(
        np.zeros((1, sweep.n_freq, *array.measurement_shape), complex),
        array,
        sweep,
        permittivity=permittivity,
        reference_path=reference_path,
    )
    values = empty.values.copy()
    t, r = array.channel_indices().T
    where = slice(None) if array.paired else (slice(None), t, r)
    values[0][where] = reference_echo(empty, target)
    return replace(empty, values=values)


def random_channels(array, sweep, rng):
    """Gains of 3 dB, any phases and delays of 100 ps: the response, the gain at the band's centre, the delays."""
    shape = array.measurement_shape
    level, delay = 3 * rng.standard_normal(shape), 100e-12 * rng.standard_normal(shape)
    phase = rng.uniform(-np.pi, np.pi, shape)
    offset = (sweep.freq - sweep.center).reshape(-1, *[1] * len(shape))
    gain = 10 ** (level / 20) * np.exp(1j * phase) * np.exp(-2j * np.pi * offset * delay)
    return gain, delay


def gaps(estimated, gain, delay, mask=None):
    """Largest errors over channels: dB, degrees over the band, picoseconds."""
    ratio = estimated.gain[:, ...] / gain
    late = estimated.delay - delay
    if mask is not None:
        ratio, late = ratio[:, mask], late[mask]
    return (
        np.abs(20 * np.log10(np.abs(ratio))).max(),
        np.abs(np.degrees(np.angle(ratio[len(ratio) // 2]))).max(),
        1e12 * np.abs(late).max(),
    )


@pytest.mark.parametrize("target", [SPHERE, Plate((0.02, 0.0, 0.6), (0.1, -0.05, 1.0))], ids=["point", "plate"])
@pytest.mark.parametrize("kind", ["full", "paired", "masked", "removed path", "uneven sweep", "permittivity"])
def test_gain_phase_and_delay_come_back_at_30_db(target, kind):
    rng = np.random.default_rng(len(kind))
    array, sweep = ARRAY, SWEEP
    if kind == "paired":
        array = ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, channels=[[0, 0], [3, 4], [1, 2], [2, 0]])
    if kind == "masked":
        array = ARRAY.with_mask(rng.uniform(size=(4, 5)) > 0.3)
    if kind == "uneven sweep":
        sweep = FrequencySweep(np.sort(rng.uniform(4e9, 16e9, 251)))
    path = np.arange(20.0).reshape(4, 5) / 10 if kind == "removed path" else None
    ideal = measured(array, sweep, target, 2.5 if kind == "permittivity" else 1.0, path)
    gain, delay = random_channels(array, sweep, rng)
    noisy = replace(ideal, values=add_noise(ideal.values * gain, 30.0, rng))
    decibels, degrees, picoseconds = gaps(estimate_gain(noisy, target), gain, delay, array.mask)
    assert decibels < 0.1
    assert degrees < 1.0
    assert picoseconds < 1.0


def test_the_image_of_another_target_returns(tmp_path):
    """The chain of a laboratory: reference scan, calibration file, another scan, image."""
    rng = np.random.default_rng(8)
    sweep = FrequencySweep.linear(4e9, 16e9, 101)
    gain, _ = random_channels(ARRAY, sweep, rng)
    reference = measured(ARRAY, sweep, SPHERE)
    save(
        tmp_path / "cal.h5",
        estimate_gain(replace(reference, values=add_noise(reference.values * gain, 30.0, rng)), SPHERE),
    )
    truth = np.zeros(GRID.shape, np.complex64)
    truth[2, 3, 4], truth[6, 8, 9], truth[4, 5, 6] = 1, 0.8j, -0.9
    A = born_operator(ARRAY, sweep, GRID)
    clean = A.forward(torch.tensor(truth)).numpy()
    scan = Measurement((clean * gain)[None].astype(np.complex64), ARRAY, sweep, GRID)
    calibrated = apply_calibration(scan, load(tmp_path / "cal.h5"))
    scores = [
        psnr(backproject(torch.tensor(y), A).abs().numpy(), np.abs(truth))
        for y in (clean, scan.values[0], calibrated.values[0])
    ]
    assert scores[1] < scores[0] - 1  # the errors matter
    assert abs(scores[2] - scores[0]) < 0.1
    assert calibrated.gain is None
    assert calibrated.steps[-1]["step"] == "calibrate"
    assert calibrated.steps[-1]["estimated"]["model"] == "delay"


def test_echoes_of_point_and_plate_are_the_closed_forms():
    array = ArrayGeometry([[0.1, 0.2, 0]], [[0.4, 0.2, 0.0]])
    sweep = FrequencySweep([5e9, 6e9])
    k = 2 * np.pi * sweep.freq / speed_of_light
    point = measured(array, sweep, PointTarget((0.1, 0.6, 0.3), reflectivity=2.0)).values[0, :, 0, 0]
    to, back = 0.5, np.sqrt(0.09 + 0.16 + 0.09)
    np.testing.assert_allclose(point, 2 * np.exp(-1j * k * (to + back)) / (4 * np.pi * to * back), rtol=1e-5)
    plate = measured(array, sweep, Plate((7.0, 7.0, 0.2), (0, 0, -3.0))).values[0, :, 0, 0]
    np.testing.assert_allclose(plate, -np.exp(-1j * k * 0.5) / (4 * np.pi * 0.5), rtol=1e-5)  # 0.3 across, 0.4 down


def test_calibration_serves_other_frequencies_and_fewer_channels(tmp_path):
    rng = np.random.default_rng(5)
    gain, _ = random_channels(ARRAY, SWEEP, rng)
    reference = measured(ARRAY, SWEEP, SPHERE)
    calibration = estimate_gain(replace(reference, values=reference.values * gain), SPHERE)
    scan = measured(ARRAY, SWEEP, PointTarget((-0.05, 0.03, 0.55)))
    bent = replace(scan, values=scan.values * gain)
    listed = ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, channels=[[3, 1], [0, 4], [2, 2]])
    fewer = Measurement(bent.values[:, :, [3, 0, 2], [1, 4, 2]], listed, SWEEP)
    np.testing.assert_allclose(
        apply_calibration(fewer, calibration).values, scan.values[:, :, [3, 0, 2], [1, 4, 2]], rtol=1e-3
    )
    between = FrequencySweep(SWEEP.freq[3:-3:7] + 0.3 * SWEEP.step)
    other = measured(ARRAY, between, PointTarget((-0.05, 0.03, 0.55)))
    offset = np.interp(between.freq, SWEEP.freq, np.arange(251.0))
    level, turn = np.abs(gain[0]), np.unwrap(np.angle(gain), axis=0)
    phase = np.stack([np.interp(offset, np.arange(251.0), turn[:, t, r]) for t in range(4) for r in range(5)], axis=1)
    bent = replace(other, values=other.values * level * np.exp(1j * phase).reshape(1, -1, 4, 5))
    np.testing.assert_allclose(apply_calibration(bent, calibration).values, other.values, rtol=2e-3)
    wide = measured(ARRAY, FrequencySweep([4e9, 17e9]), SPHERE)
    with pytest.raises(
        ValueError, match=r"calibration is for 4e\+09 to 1\.6e\+10 Hz, the scan has 4e\+09 to 1\.7e\+10"
    ):
        apply_calibration(wide, calibration)


def test_any_response_over_frequency_is_divided_out():
    rng = np.random.default_rng(6)
    ideal = measured(ARRAY, SWEEP, SPHERE)
    ripple = 1 + 0.4 * np.cos(np.linspace(0, 9, 251))[:, None, None] * np.exp(1j * rng.uniform(0, 6, (4, 5)))
    calibration = estimate_gain(replace(ideal, values=ideal.values * ripple), SPHERE, model="frequency")
    np.testing.assert_allclose(calibration.gain, ripple, rtol=1e-4)
    assert calibration.delay is None
    scan = measured(ARRAY, SWEEP, PointTarget((0.05, 0.0, 0.5)))
    some = select_frequencies(replace(scan, values=scan.values * ripple), step=10)
    np.testing.assert_allclose(apply_calibration(some, calibration).values, scan.values[:, ::10], rtol=1e-3)
    off = replace(scan, sweep=FrequencySweep(SWEEP.freq + 1e6))
    with pytest.raises(ValueError, match="no frequency within"):
        apply_calibration(off, calibration)


def test_what_does_not_fit_a_calibration_is_named():
    ideal = measured(ARRAY, SWEEP, SPHERE)
    rng = np.random.default_rng(7)
    dead = ideal.values.copy()
    dead[:, :, 2, 3] = 1e-3 * (rng.normal(size=251) + 1j * rng.normal(size=251))
    with pytest.raises(ValueError, match=r"1 of 20 channels do not show the reference target, the worst is 2:3"):
        estimate_gain(replace(ideal, values=dead), SPHERE)
    with pytest.raises(ValueError, match="model is 'fit': expected one of delay, frequency"):
        estimate_gain(ideal, SPHERE, model="fit")
    with pytest.raises(ValueError, match="plate passes through"):
        estimate_gain(ideal, Plate((0, 0, 0), (1.0, 0, 0)))
    with pytest.raises(ValueError, match="lies on an antenna"):
        estimate_gain(ideal, PointTarget(tuple(ARRAY.tx_pos[1])))
    with pytest.raises(ValueError, match="gain is absent"):
        apply_calibration(ideal, ideal)
    calibration = estimate_gain(mask_channels(ideal, [(2, 3)]), SPHERE)
    assert calibration.gain[0, 2, 3] == 1
    with pytest.raises(ValueError, match=r"calibration has no channel 2:3 \(1 of 20"):
        apply_calibration(ideal, calibration)
    with pytest.raises(ValueError, match="in the scan already"):
        apply_calibration(calibration, calibration)
    moved = replace(ideal, array=ArrayGeometry(ARRAY.tx_pos + np.array([[0], [1e-4], [0], [0]]), ARRAY.rx_pos))
    with pytest.raises(ValueError, match=r"tx_pos\[1\] 0\.0001 m from the scan's"):
        apply_calibration(moved, calibration)


# -- background, convention, scale ------------------------------------------------------------------------------------


def noise(seed, shape):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def test_the_mean_of_backgrounds_is_subtracted():
    small = FrequencySweep.linear(4e9, 16e9, 4)
    scan = Measurement(noise(0, (2, 4, 4, 5)), ARRAY, small)
    empties = [Measurement(noise(i, (n, 4, 4, 5)), ARRAY, small, source=f"empty {i}") for i, n in ((1, 1), (2, 3))]
    ready = subtract_background(with_mean_background(scan, empties))
    mean = (empties[0].values.sum(0) + empties[1].values.sum(0)) / 4
    np.testing.assert_allclose(ready.values, scan.values - mean, rtol=1e-5, atol=1e-6)
    assert [s["step"] for s in ready.steps] == ["background", "subtract background"]
    assert ready.steps[0]["n_scene"] == 4
    assert ready.steps[0]["sources"] == ["empty 1", "empty 2"]
    other = replace(empties[0], sweep=FrequencySweep(small.freq * (1 + 1e-4)))
    with pytest.raises(ValueError, match=r"background has .* Hz where the scan has"):
        with_mean_background(scan, [empties[1], other])
    with pytest.raises(ValueError, match="at least one scan"):
        with_mean_background(scan, [])
    with pytest.raises(ValueError, match="another calibration/gain"):
        with_mean_background(scan, [replace(empties[0], gain=np.ones((4, 4, 5), complex))])


def test_conjugated_data_are_turned_back_with_gain_delay_and_removed_path():
    rng = np.random.default_rng(9)
    gain, delay = random_channels(ARRAY, SWEEP, rng)
    path = rng.uniform(size=(4, 5))
    ideal = measured(ARRAY, SWEEP, SPHERE, reference_path=path)
    right = replace(ideal, values=ideal.values * gain, gain=gain, delay=delay)
    wrong = replace(right, values=right.values.conj(), gain=right.gain.conj(), delay=-delay)
    back = conjugate(wrong)
    np.testing.assert_array_equal(back.delay, delay)
    for each in (right, back):
        plain = restore_reference_path(divide_gain(each))
        np.testing.assert_allclose(plain.values, measured(ARRAY, SWEEP, SPHERE).values, rtol=2e-4)
    assert back.steps[-1] == {"step": "conjugate"}
    assert with_permittivity(back, 4).permittivity == 4


@pytest.mark.parametrize("norm", ["max", "rms"])
def test_each_scene_is_normalised_by_itself(norm):
    array = ARRAY.with_mask(np.arange(20).reshape(4, 5) % 3 > 0)
    values = noise(3, (3, 4, 4, 5)) * np.array([1, 10, 0.1]).reshape(3, 1, 1, 1)
    values[:, :, ~array.mask] = 1e6  # what is masked does not count
    scan = Measurement(values, array, FrequencySweep.linear(4e9, 16e9, 4))
    ready = normalise(scan, norm)
    data = np.abs(ready.values[..., array.mask]).reshape(3, -1)
    np.testing.assert_allclose(data.max(1) if norm == "max" else np.sqrt((data**2).mean(1)), 1, rtol=1e-5)
    factor = np.array(ready.steps[-1]["divided_by"]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(ready.values * factor, scan.values, rtol=1e-5)
    np.testing.assert_array_equal(ready.values[1], normalise(scan.scenes([1]), norm).values[0])
    with pytest.raises(ValueError, match="scene 2 is all zero"):
        normalise(replace(scan, values=scan.values * np.array([1, 1, 0]).reshape(3, 1, 1, 1)))
    with pytest.raises(ValueError, match="norm is 'mean': expected one of max, rms"):
        normalise(scan, "mean")
    with pytest.raises(ValueError, match="not yet subtracted"):
        normalise(replace(scan, background=noise(4, (4, 4, 5))))


def test_frequencies_by_count_list_and_tolerance():
    rng = np.random.default_rng(2)
    jitter = np.linspace(4e9, 16e9, 49) + rng.uniform(-1e7, 1e7, 49)
    scan = Measurement(noise(1, (2, 49, 4, 5)), ARRAY, FrequencySweep(jitter), gain=noise(2, (49, 4, 5)))
    picked = select_frequencies(scan, count=13)
    np.testing.assert_array_equal(picked.sweep.freq, jitter[::4])
    np.testing.assert_array_equal(picked.values, scan.values[:, ::4])
    np.testing.assert_array_equal(picked.gain, scan.gain[::4])
    listed = select_frequencies(scan, freq=[16e9, 4e9, 7e9], tolerance=1.1e7)
    np.testing.assert_array_equal(listed.sweep.freq, jitter[[0, 12, 48]])
    assert listed.steps[-1]["kept"] == 3
    with pytest.raises(ValueError, match=r"no frequency within 1000 Hz of .* Hz, the nearest is"):
        select_frequencies(scan, freq=[7e9, 8e9], tolerance=1e3)
    with pytest.raises(ValueError, match="is the nearest to two wanted"):
        select_frequencies(scan, freq=[7e9, 7.01e9])
    with pytest.raises(ValueError, match="count is 60, the band has 49"):
        select_frequencies(scan, count=60)
    with pytest.raises(ValueError, match="step and count"):
        select_frequencies(scan, count=5, step=2)
    with pytest.raises(ValueError, match="expected one of them"):
        select_frequencies(scan, freq=[7e9], start=4e9)
    assert select_frequencies(scan, start=7.9e9, stop=8.1e9, count=1).sweep.n_freq == 1
