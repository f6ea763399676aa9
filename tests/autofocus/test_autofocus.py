"""Autofocus: planted errors are found, nothing is harmed, and what was found serves later scans."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo.autofocus import autofocus
from mimo.autofocus.marginal import Marginal
from mimo.data import Measurement, apply_calibration, load, save
from mimo.recon import reconstruct
from mimo.synth import add_noise, draw, random_phase

GRID = VoxelGrid.from_extent(x=(-0.12, 0.12, 13), y=(-0.11, 0.12, 14), z=(0.42, 0.58, 15))
ARRAY = ArrayGeometry.random_planar(n_tx=7, n_rx=8, width=0.3, height=0.28, seed=5)
SWEEP = FrequencySweep.linear(5e9, 13e9, 9)
FAST = {"method": "tikhonov", "iterations": 5}


def measured(array, seed=1, *, gains=None, moved=None, snr_db=30.0, medium=1.0, points=False):
    """A scene, or some points, seen by a radar with errors, as a file that states none."""
    rng = np.random.default_rng(seed)
    scene = random_phase(draw("shapes", GRID, rng), rng)
    if points:
        scene = np.zeros_like(scene)
        scene[(2, 6, 10, 9), (3, 11, 7, 2), (4, 8, 12, 3)] = 1, 0.8j, -0.7, 0.5
    true = Acquisition(array if moved is None else moved, SWEEP, GRID, medium)
    y = operator_of(true).forward(torch.from_numpy(scene)).numpy()
    y = y if gains is None else y * gains
    y = add_noise(y, snr_db, rng)
    return Measurement(
        y[None].astype(np.complex64), array, SWEEP, GRID, snr_db=np.array([snr_db], np.float32), truth=scene[None]
    )


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
    scan = ArrayGeometry.planar_scan(shape=(8, 9), width=0.3, height=0.28)
    drift = np.exp(1j * np.deg2rad(60) * np.sin(np.linspace(0, 25, 72)))
    _, found = autofocus(measured(scan, gains=drift, points=True), **FAST)
    assert found.unknowns.per == "pulse"
    assert found.held_out == "frequency"
    assert found.gained
    places = np.c_[np.ones(72), scan.tx_pos[:, :2]]

    def alike(gains):
        angle = np.angle(gains / gains.mean())
        return abs(np.exp(1j * (angle - places @ np.linalg.lstsq(places, angle, rcond=None)[0])).mean())

    assert alike(drift) < 0.8
    assert alike(drift * np.exp(-found.errors.log_gain)) > 0.98


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
