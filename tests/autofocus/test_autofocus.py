"""Autofocus: planted errors are found, nothing is harmed, and what was found serves later scans."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from radar_samples import ARRAY, FAST, GRID, SCAN, SWEEP, alike, drift_of, measured

from mimo import Acquisition, ArrayGeometry, LayeredMedium, VoxelGrid, operator_of
from mimo.autofocus import autofocus
from mimo.autofocus.marginal import Marginal
from mimo.data import Measurement, apply_calibration, load, save
from mimo.recon import reconstruct
from mimo.synth import add_noise


def of_chains(array, rng, phase=0.6):
    """Gains of a radar whose every chain has a phase error."""
    angle = phase * rng.standard_normal(array.n_tx + array.n_rx)
    return np.exp(1j * (angle[: array.n_tx, None] + angle[array.n_tx :]))


def coherence(found, array, gains):
    """How alike found and planted gains are but for what moves or turns the scene: a common and a linear phase."""
    ratio = gains * np.exp(-found.errors.log_gain.reshape(gains.shape))
    places = np.concatenate([array.tx_pos[:, :2], array.rx_pos[:, :2]])
    tx, rx = array.channel_indices().T
    angle = np.angle(ratio / ratio.mean())
    both = np.c_[np.ones(len(tx)), places[tx], places[array.n_tx + rx]]
    slope = np.c_[np.ones(len(tx)), places[tx] + places[array.n_tx + rx]]
    assert both.shape[1] > slope.shape[1]
    fit = slope @ np.linalg.lstsq(slope, angle.flatten(), rcond=None)[0]
    return abs(np.exp(1j * (angle.flatten() - fit)).mean())


def test_phases_of_antennas_are_found_and_the_image_gains():
    gains = of_chains(ARRAY, np.random.default_rng(3))
    scan = measured(ARRAY, gains=gains)
    out, found = autofocus(scan, **FAST)
    assert found.gained
    assert found.held_out == "channel"
    assert found.after > 0.9
    assert found.after - found.before > 0.1
    nothing = replace(found.errors, log_gain=np.zeros_like(found.errors.log_gain))
    assert coherence(replace(found, errors=nothing), ARRAY, gains) < 0.9
    assert coherence(found, ARRAY, gains) > 0.985
    assert np.array_equal(out.values, scan.values)
    assert out.steps[-1]["step"] == "autofocus"
    assert len(found.table()) == 15


def test_places_of_antennas_are_found_as_far_as_they_are_determined():
    rng = np.random.default_rng(4)
    shift = 0.002 * rng.standard_normal((15, 3))
    moved = replace(ARRAY, tx_pos=ARRAY.tx_pos + shift[:7], rx_pos=ARRAY.rx_pos + shift[7:], name="")
    out, found = autofocus(measured(ARRAY, moved=moved), solve=["position"], **FAST)
    assert found.gained
    assert found.ambiguities >= 6
    assert found.after > found.before
    assert not np.array_equal(out.array.tx_pos, ARRAY.tx_pos)
    left = np.concatenate([out.array.tx_pos - moved.tx_pos, out.array.rx_pos - moved.rx_pos])
    places = np.concatenate([ARRAY.tx_pos, ARRAY.rx_pos])
    turn = [np.cross(axis, places - places.mean(0)).flatten() for axis in np.eye(3)]
    rigid = np.stack([*(np.tile(axis, 15) for axis in np.eye(3)), *turn], 1)
    for errors, most in ((shift, np.inf), (left, 0.5 * np.sqrt((shift**2).mean()))):
        rest = errors.flatten() - rigid @ np.linalg.lstsq(rigid, errors.flatten(), rcond=None)[0]
        across = rest.reshape(-1, 3)[:, 2]  # down-range, which every echo tells
        assert np.sqrt((across**2).mean()) < most


@pytest.mark.parametrize("per", ["antenna", "channel"])
def test_a_radar_without_errors_is_not_harmed(per):
    scan = measured(ARRAY, seed=6)
    out, found = autofocus(scan, per=per, **FAST)
    before, after = (reconstruct("tikhonov", one).magnitude[0] for one in (scan, out))
    truth = np.abs(scan.truth[0])
    miss = [np.linalg.norm(image / image.max() - truth) for image in (before, after)]
    assert miss[1] < miss[0] * 10 ** (0.1 / 20)
    assert found.held_out == ("channel" if per == "antenna" else "frequency")


def test_noise_alone_changes_nothing():
    rng = np.random.default_rng(7)
    scan = measured(ARRAY)
    noise = (rng.standard_normal(scan.values.shape) + 1j * rng.standard_normal(scan.values.shape)).astype(np.complex64)
    scan = replace(scan, values=noise, snr_db=None, truth=None)
    out, found = autofocus(scan, solve=["phase", "position"], **FAST)
    assert not found.gained
    assert out.gain is None
    assert np.array_equal(out.array.tx_pos, ARRAY.tx_pos)
    assert "nothing gained" in found.summary()


def test_a_silent_scene_is_refused():
    scan = measured(ARRAY)
    with pytest.raises(ValueError, match="zero"):
        autofocus(replace(scan, values=np.zeros_like(scan.values), snr_db=None, truth=None), **FAST)


def test_drifting_pulses_of_a_scan_are_found():
    drift = drift_of(72)
    _, found = autofocus(measured(SCAN, gains=drift, points=True), **FAST)
    assert found.unknowns.per == "pulse"
    assert found.held_out == "frequency"
    assert found.gained
    assert alike(drift, SCAN) < 0.8
    assert alike(drift * np.exp(-found.errors.log_gain), SCAN) > 0.98


def test_what_was_found_serves_later_scans_of_the_radar(tmp_path):
    gains = of_chains(ARRAY, np.random.default_rng(3))
    rng = np.random.default_rng(8)
    moved = replace(ARRAY, tx_pos=ARRAY.tx_pos + 0.001 * rng.standard_normal((7, 3)), name="")
    first, later = (measured(ARRAY, seed, gains=gains, moved=moved) for seed in (1, 2))
    out, found = autofocus(first, solve=["phase", "position"], **FAST)
    save(tmp_path / "radar.h5", out)
    kept = load(tmp_path / "radar.h5")
    used = apply_calibration(later, kept)
    assert np.array_equal(used.array.tx_pos, out.array.tx_pos)
    wanted = later.values / np.exp(found.errors.log_gain).reshape(7, 8)
    assert np.allclose(used.values, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    assert used.steps[-1]["step"] == "calibrate"
    other = replace(ARRAY, tx_pos=ARRAY.tx_pos + 0.01, name="")
    with pytest.raises(ValueError, match="before autofocus"):
        apply_calibration(replace(later, array=other), kept)


@pytest.mark.parametrize(("medium", "points"), [(1.1, True), (0.85, True), (1.1, False)])
def test_a_medium_is_found_and_serves_scans_that_state_the_same_one(medium, points):
    scan = measured(ARRAY, medium=medium, points=points)
    out, found = autofocus(scan, solve=["permittivity"], **FAST)
    assert found.gained
    assert out.permittivity == pytest.approx(medium, rel=0.012)
    assert 0 < found.std[0] < 0.02
    later = measured(ARRAY, 2, medium=medium)
    assert apply_calibration(later, out).permittivity == out.permittivity
    with pytest.raises(ValueError, match="permittivity is 2"):
        apply_calibration(replace(later, permittivity=2.0), out)


def test_the_layer_that_most_of_the_path_crosses_is_found():
    true, nominal = (LayeredMedium(np.array([0.45]), np.array([first, 2.0])) for first in (1.1, 1.0))
    scan = measured(ARRAY, medium=true, points=True)
    _, found = autofocus(scan, solve=["permittivity"], layers=nominal, **FAST)
    assert found.gained
    assert found.errors.medium[0] == pytest.approx(1.1, abs=0.012)
    assert found.std[0] < found.std[1] / 3


def test_phases_and_a_medium_are_found_together():
    gains = of_chains(ARRAY, np.random.default_rng(3))
    _, found = autofocus(measured(ARRAY, gains=gains, medium=1.1), solve=["phase", "permittivity"], method="tikhonov")
    assert found.gained
    assert found.after > 0.9


def test_the_medium_of_an_array_that_is_far_away_is_not_told():
    far = ArrayGeometry.random_planar(n_tx=5, n_rx=6, width=0.02, seed=5)
    out, found = autofocus(measured(far, medium=1.1, points=True), solve=["permittivity"], **FAST)
    assert not found.gained or found.std[0] > 0.01
    assert out.permittivity == pytest.approx(1, abs=0.2)


def test_a_gain_that_is_known_is_kept_and_corrected():
    gains = of_chains(ARRAY, np.random.default_rng(3))
    known = 0.5 * np.exp(1j * np.linspace(0, 3, 56)).reshape(7, 8)
    plain, found = autofocus(measured(ARRAY, gains=gains), **FAST)
    scan = measured(ARRAY, gains=gains)
    full = np.broadcast_to(known, scan.values.shape[1:]).astype(np.complex64)
    out, again = autofocus(replace(scan, values=scan.values * full, gain=full), **FAST)
    assert found.gained
    assert again.gained
    assert np.allclose(out.gain, plain.gain * full, atol=5e-2)
    assert out.delay is None


def test_both_ways_to_solve_with_the_covariance_agree():
    rng = np.random.default_rng(0)

    def random(*shape):
        return torch.as_tensor(rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).to(torch.complex64)

    for n_data, n_voxel in ((30, 50), (50, 30)):
        A, y, p = random(n_data, n_voxel), random(n_data), torch.as_tensor(rng.uniform(0.1, 1, n_voxel))
        found = Marginal(A, p, y, 0.5)
        K = (A.to(torch.complex128) * found.variance) @ A.mH.to(torch.complex128) + 0.25 * torch.eye(n_data)
        wanted = torch.linalg.solve(K, y.to(torch.complex128))
        assert torch.allclose(
            found.solved.to(torch.complex128), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())
        )
        assert found.misfit == pytest.approx(float((y.conj() * wanted).real.sum()), rel=1e-3)


def test_one_voxel_is_predicted_and_left_as_it_is():
    one = VoxelGrid(GRID.x[[6]], GRID.y[[7]], GRID.z[[7]])
    y = operator_of(Acquisition(ARRAY, SWEEP, one)).forward(torch.ones(one.shape, dtype=torch.complex64)).numpy()
    y = add_noise(y, 30.0, np.random.default_rng(0)).astype(np.complex64)
    scan = Measurement(y[None], ARRAY, SWEEP, one, snr_db=np.array([30.0], np.float32))
    _, found = autofocus(scan, **FAST)
    assert found.before > 0.99
    assert found.after > 0.99
