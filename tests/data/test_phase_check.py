"""The check of sign and medium, what it is made of, and range profiles."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures import native_layouts as native

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, backproject, born_operator
from mimo.data import Measurement, PointTarget, conjugate, read_measured
from mimo.data.calibration import reference_echo
from mimo.data.calibration.decimation import decimated
from mimo.data.calibration.phase_check import check_phase, entropy, peak_to_mean
from mimo.data.calibration.range_profiles import range_axis, range_profiles
from mimo.data.calibration.scene_extent import coarse_grid, parse_box, scene_box

ARRAY = ArrayGeometry.random_planar(n_tx=5, n_rx=6, width=0.3, height=0.24, seed=3)
SWEEP = FrequencySweep.linear(4e9, 12e9, 41)
GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.12, 0.08, 11), z=(0.3, 0.5, 21))


def point(array, sweep, position, **options):
    empty = Measurement(np.zeros((1, sweep.n_freq, *array.measurement_shape), complex), array, sweep, **options)
    echo = reference_echo(empty, PointTarget(position))
    return replace(empty, values=echo.reshape(empty.values.shape))


def ring():
    """Antennas on three rings around the scene, as a breast scanner has them."""
    turns = [np.arange(7) * 2 * np.pi / 7 + shift for shift in (0, 0.3, 0.7)]
    rings = [
        np.stack([0.07 * np.cos(t), 0.07 * np.sin(t), 0 * t + z], 1)
        for t, z in zip(turns, (0, 0.03, 0.05), strict=True)
    ]
    return ArrayGeometry(np.concatenate(rings)[::2], np.concatenate(rings)[1::2])


@pytest.mark.parametrize("true", [4.0, 9.0])
def test_sign_and_permittivity_of_an_enclosed_point_are_found_without_a_hint(true):
    scan = point(ring(), FrequencySweep.linear(1.5e9, 4.5e9, 31), (0.015, -0.01, 0.02), permittivity=true)
    blind = replace(scan, permittivity=1.0)
    check = check_phase(blind)
    assert check.phase_sign == -1
    assert check.margin_db > 3
    assert check.permittivity == pytest.approx(true, rel=0.15)
    assert "right sign" in check.verdict
    best = max(check.rows, key=lambda row: row.peak_to_mean_db)
    assert np.abs(np.array(best.peak) - (0.015, -0.01, 0.02)).max() < 5e-3
    turned = check_phase(conjugate(blind))
    assert turned.phase_sign == 1
    assert "conjugated" in turned.verdict
    assert turned.margin_db == pytest.approx(check.margin_db, abs=1e-3)


@pytest.mark.parametrize("removed", [False, True])
def test_gain_background_and_removed_path_are_taken_care_of(removed):
    rng = np.random.default_rng(1)
    path = rng.uniform(0.2, 0.9, (5, 6)) if removed else None
    clean = point(ARRAY, SWEEP, (0.025, -0.02, 0.4), reference_path=path)
    gain = np.exp(2j * np.pi * rng.uniform(size=(1, 5, 6))) * np.ones((41, 1, 1))
    empty = rng.normal(size=(41, 5, 6)) + 0j
    scan = replace(clean, values=(clean.values + empty) * gain, background=empty * gain, gain=gain)
    for each, sign in ((scan, -1), (conjugate(scan), 1)):
        check = check_phase(each, GRID, permittivities=(1.0,))
        assert (check.phase_sign, len(check.rows)) == (sign, 2)
        assert check.margin_db > 3
        assert max(check.rows, key=lambda row: row.peak_to_mean_db).peak == pytest.approx((0.025, -0.02, 0.4))


def test_the_guess_of_a_flown_scan_is_around_the_origin():
    check = check_phase(native.flown_scan(), permittivities=(1.0,))
    assert "around the origin" in check.box


def test_noise_alone_is_undecided():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(1, 41, 5, 6)) + 1j * rng.normal(size=(1, 41, 5, 6))
    check = check_phase(Measurement(values, ARRAY, SWEEP, GRID), permittivities=(1.0, 2.0))
    assert "undecided" in check.verdict
    with pytest.raises(ValueError, match="all zero"):
        check_phase(Measurement(0 * values, ARRAY, SWEEP, GRID))
    with pytest.raises(ValueError, match="permittivity is -1"):
        check_phase(Measurement(values, ARRAY, SWEEP, GRID), permittivities=(-1.0,))


def test_measures_of_focus_have_their_closed_forms():
    image = np.zeros((5, 7, 11))
    image[:3] = 2.0  # evenly over 231 of 385 voxels
    assert entropy(image) == pytest.approx(np.log(231))
    assert peak_to_mean(image) == pytest.approx(20 * np.log10(5 / 3))


def test_the_real_phantom_gives_sign_and_permittivity(measured):
    """The scan alone, its permittivity not told: 3 dB between the signs or more, 8 to 11, the peak at (15, 0, 25) mm."""
    scan = read_measured(measured / "merit", scan="B0_P3_p000", background="B0_P3_p036")
    check = check_phase(scan)
    assert check.phase_sign == -1
    assert check.margin_db >= 3
    assert 8 <= check.permittivity <= 11
    best = max(check.rows, key=lambda row: row.peak_to_mean_db)
    assert np.abs(np.array(best.peak) - (0.015, 0.0, 0.025)).max() <= 2.6e-3
    assert check_phase(conjugate(scan), permittivities=(9.0,)).phase_sign == 1


# -- the scene's box --------------------------------------------------------------------------------------------------


def test_the_box_is_the_grid_or_a_guess_from_the_array():
    scan = point(ARRAY, SWEEP, (0.0, 0.0, 0.4))
    box, words = scene_box(replace(scan, grid=GRID))
    assert words == "the file's grid"
    assert box.shape == (2, 2, 2)
    assert (box.x[0], box.y[-1], box.z[-1]) == (-0.1, 0.08, 0.5)
    before, words = scene_box(scan)
    assert "+z" in words
    assert before.z[0] < 0.35 < 0.6 < before.z[-1]  # where the papers' scene is
    inside, words = scene_box(point(ring(), SWEEP, (0, 0, 0.02)))
    assert "around the antennas" in words
    assert inside.x[-1] == pytest.approx(0.98 * 0.07, rel=0.05)
    flown, words = scene_box(native.flown_scan())
    assert "origin" in words
    assert flown.shape == (2, 2, 1)
    assert flown.center == (0, 0, 0)


def test_a_coarse_grid_has_half_a_resolution_between_voxels_or_is_thinned():
    scan = replace(point(ARRAY, SWEEP, (0.0, 0.0, 0.4)), grid=GRID)
    box, _ = scene_box(scan)
    grid = coarse_grid(scan, box)
    assert grid.n_voxel > 100
    assert coarse_grid(scan, box, most=100).n_voxel <= 100
    flat = VoxelGrid(GRID.x, GRID.y, [0.4])
    assert coarse_grid(scan, scene_box(replace(scan, grid=flat))[0]).shape[2] == 1


def test_a_box_is_read_from_text():
    assert parse_box("x=-0.1:0.2,y=0:0,z=0.3:0.4").shape == (2, 1, 2)
    assert parse_box("x=-0.1:0.2:5,y=0:1:7,z=0.3:0.4:11").shape == (5, 7, 11)
    for text in ("x=1:2", "x=1,y=2,z=3", "x=a:b,y=0:1,z=0:1"):
        with pytest.raises(ValueError, match="expected x=START:STOP"):
            parse_box(text)


# -- range profiles and thinning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("uneven", [False, True])
def test_a_profile_peaks_at_half_the_path_with_the_echo_s_height(uneven):
    sweep = FrequencySweep(SWEEP.freq + 3e7 * np.sin(np.arange(41))) if uneven else SWEEP
    path = np.arange(30.0).reshape(5, 6) / 20
    for removed, permittivity in ((None, 1.0), (path, 1.0), (None, 2.0)):
        scan = point(ARRAY, sweep, (0.02, -0.03, 0.4), reference_path=removed, permittivity=permittivity)
        way = np.linalg.norm(ARRAY.tx_pos - (0.02, -0.03, 0.4), axis=1)[:, None] + np.linalg.norm(
            ARRAY.rx_pos - (0.02, -0.03, 0.4), axis=1
        )
        expected = ((way - (0 if removed is None else removed)) / 2).ravel()
        ranges = range_axis(scan, limits=(-0.6, 0.6), n=4001)
        profile = np.abs(range_profiles(scan, ranges))
        assert profile.shape == (30, 4001)
        near = np.abs(ranges - expected[:, None]) < 0.1  # within the unambiguous range
        peak = ranges[np.where(near, profile, 0).argmax(axis=1)]
        np.testing.assert_allclose(peak, expected, atol=4e-4)
        np.testing.assert_allclose(np.where(near, profile, 0).max(axis=1), np.abs(scan.values[0, 0]).ravel(), rtol=1e-3)


def test_one_channel_shows_no_sign():
    one = ArrayGeometry(ARRAY.tx_pos[:1], ARRAY.rx_pos[:1])
    with pytest.raises(ValueError, match=r"has one channel: expected several"):
        check_phase(point(one, SWEEP, (0.02, -0.03, 0.4)))


def test_the_axis_of_a_profile_covers_one_unambiguous_range():
    scan = point(ARRAY, SWEEP, (0, 0, 0.4))
    assert range_axis(scan)[[0, -1]] == pytest.approx([0, 299792458 / (2 * SWEEP.step)])
    with pytest.raises(ValueError, match="one frequency"):
        range_axis(point(ARRAY, FrequencySweep([4e9]), (0, 0, 0.4)))


def test_a_thinned_measurement_is_that_of_fewer_antennas():
    scan = replace(point(ARRAY, SWEEP, (0.02, -0.03, 0.4)), gain=np.ones((41, 5, 6), complex))
    thin = decimated(scan, n_channel=9, n_freq=11)
    assert (thin.array.n_tx, thin.array.n_rx, thin.sweep.n_freq) == (3, 3, 11)
    again = point(thin.array, thin.sweep, (0.02, -0.03, 0.4))
    np.testing.assert_allclose(thin.values, again.values, rtol=1e-4)
    paired = point(
        ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, channels=[[t, r] for t in range(5) for r in (0, 5, 2)]),
        SWEEP,
        (0.02, -0.03, 0.4),
        reference_path=np.arange(15.0),
    )
    thin = decimated(paired, n_channel=4)
    assert thin.array.n_channel == 4
    again = point(thin.array, SWEEP, (0.02, -0.03, 0.4), reference_path=thin.reference_path)
    np.testing.assert_allclose(thin.values, again.values, rtol=1e-3, atol=1e-4)
    assert decimated(scan, n_channel=30) is scan


def test_imported_and_thinned_data_still_image_the_point():
    """Of the tiny scans of `fixtures`: the coarse image of the whole chain has its peak at the point."""
    scan = native.full_scan()
    grid = VoxelGrid.from_extent(x=(-0.08, 0.12, 5), y=(-0.12, 0.06, 7), z=(0.4, 0.6, 11))
    image = backproject(torch.tensor(scan.values[0]), born_operator(scan.array, scan.sweep, grid)).abs()
    assert grid.centers()[int(image.argmax())] == pytest.approx(native.POINT)
