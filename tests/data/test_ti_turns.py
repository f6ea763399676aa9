"""Transmitters that take turns in a capture of a TI radar: their order, moving targets, a radar that moves on."""

import numpy as np
import pytest

from mimo.data import FileError, read_measured

LIGHT = 299792458
TX = np.array([[0.0, 0, 0], [0.004, 0, 0], [0.0, 0.004, 0]])
RX = np.array([[0.01, 0, 0], [0.012, 0, 0]])
N, RATE, SLOPE, START = 64, 5e6, 70e12, 77e9
FREQ = START + SLOPE * np.arange(N) / RATE
IDLE, RAMP, PERIOD, N_CHIRP = 20e-6, 30e-6, 4e-3, 8
ORDER = [2, 0, 1]


def capture(folder, place, *, more="", n_frame=3, phase=1.0):
    """Write a capture of a point at ``place(frame, seconds in it)``, relative to the radar, chirp by chirp."""
    beats = np.empty((n_frame, N_CHIRP, 3, 2, N), complex)
    for frame in range(n_frame):
        for chirp in range(N_CHIRP):
            for turn, tx in enumerate(ORDER):
                point = place(frame, (3 * chirp + turn) * (IDLE + RAMP))
                way = np.linalg.norm(TX[tx] - point) + np.linalg.norm(RX - point, axis=1)
                tau = way[:, None] / LIGHT
                beats[frame, chirp, turn] = np.exp(2j * np.pi * FREQ * tau - 1j * phase * np.pi * SLOPE * tau**2)
    parts = np.stack([beats.real, beats.imag], axis=-1).reshape(n_frame, N_CHIRP, 3, 2, N // 2, 2, 2)
    np.round(1e4 * parts.swapaxes(-1, -2)).astype("<i2").tofile(folder / "adc_data.bin")
    entries = {"start_freq": START, "slope": SLOPE, "sample_rate": RATE, "n_sample": N, "n_chirp": N_CHIRP}
    entries |= {"tx_pos": TX.tolist(), "rx_pos": RX.tolist(), "tx_order": ORDER, "video_phase": "true"}
    entries |= {"idle": IDLE, "ramp_end": RAMP, "frame_period": PERIOD}
    (folder / "radar.toml").write_text("".join(f"{k} = {v}\n" for k, v in entries.items()) + more)


def still(tx, rx, point):
    """What a point that stands still gives, (n_freq, n) of as many transmitters as receivers."""
    way = np.linalg.norm(tx - point, axis=1) + np.linalg.norm(rx - point, axis=1)
    return np.exp(-2j * np.pi * np.multiply.outer(FREQ, way) / LIGHT)


def agreement(values, expected):
    """Share of the energy that is explained, up to one common phase."""
    return abs(np.vdot(values, expected)) / np.linalg.norm(values) / np.linalg.norm(expected)


def test_transmitters_are_put_in_their_order_and_the_video_phase_is_taken_out(tmp_path):
    point = np.array([0.1, 0.2, 3.0])
    capture(tmp_path, lambda frame, time: point)
    made = read_measured(tmp_path)
    pairs = np.array([(t, r) for t in range(3) for r in range(2)])
    expected = still(TX[pairs[:, 0]], RX[pairs[:, 1]], point).reshape(N, 3, 2)
    assert agreement(made.values[0] / 1e4, expected) > 0.999
    gap = np.angle(np.vdot(expected, made.values[0]))  # 3 m: pi S tau^2 is 5 degrees, which would be left
    assert abs(np.rad2deg(gap)) < 1


@pytest.mark.parametrize("said", [True, False])
def test_the_phase_of_a_moving_target_between_transmitters_is_taken_out(tmp_path, said):
    """At 4 m/s a target moves 0.2 mm from one chirp to the next: 37 degrees there and back at 77 GHz."""
    point, speed = np.array([0.1, 0.2, 3.0]), np.array([0.0, 0.0, 4.0])
    capture(tmp_path, lambda frame, time: point + time * speed, more=f"target_motion = {str(said).lower()}\n")
    made = read_measured(tmp_path)
    pairs = np.array([(t, r) for t in range(3) for r in range(2)])
    expected = still(TX[pairs[:, 0]], RX[pairs[:, 1]], point).reshape(N, 3, 2)
    found = agreement(made.values[0], expected)
    assert found > 0.99 if said else found < 0.9
    assert np.linalg.norm(made.values[0]) / 1e4 / np.linalg.norm(expected) > (0.98 if said else 0)


@pytest.mark.parametrize("moving", [True, False])
def test_a_radar_that_moves_on_between_transmitters_has_them_where_they_were(tmp_path, moving):
    """0.5 m/s along x, frames 2 mm apart: positions of every turn explain the data, those of the frames less well."""
    point, speed = np.array([0.3, 0.1, 0.6]), np.array([5.0, 0.0, 0.0])
    capture(tmp_path, lambda frame, time: point - (frame * PERIOD + time) * speed)
    step = PERIOD * speed[0]
    motion = {"kind": "line", "start": [0, 0, 0], "stop": [2 * step, 0, 0], "count": 3, "moving": moving}
    made = read_measured(tmp_path, settings={"motion": motion})
    r = made.array.channels[:, 1]
    assert made.values.shape == (1, N, 18)
    shift = made.array.tx_pos[:3, 0] - TX[:, 0]
    late = np.array([1, 2, 0]) * (IDLE + RAMP) * speed[0]  # transmitter 2 is first
    np.testing.assert_allclose(shift, late if moving else 0, atol=1e-12)
    np.testing.assert_allclose(made.array.rx_pos[r[:2], 0] - RX[:, 0], late[0] if moving else 0, atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tx_order = [2, 0, 1]", "tx_order = [2, 0, 0]", ["tx_order is [2, 0, 0]", "0 to 2"]),
        ("video_phase = true", "video_phase = 1", ["video_phase is 1", "true or false"]),
        ("n_chirp = 8", "n_chirp = 1\ntarget_motion = true", ["target_motion", "2 or more"]),
        ("frame_period = 0.004", "", ["motion.moving", "frame_period"]),
    ],
)
def test_entries_that_do_not_fit_are_refused(tmp_path, old, new, words):
    capture(tmp_path, lambda frame, time: np.array([0.0, 0, 1]))
    text = (tmp_path / "radar.toml").read_text()
    assert old in text
    (tmp_path / "radar.toml").write_text(text.replace(old, new))
    n_frame = 24 if "n_chirp = 1" in new else 3
    motion = {"kind": "line", "start": [0, 0, 0], "stop": [1, 0, 0], "count": n_frame, "moving": True}
    with pytest.raises(FileError) as caught:
        read_measured(tmp_path, settings={"motion": motion})
    assert all(word in str(caught.value) for word in words), str(caught.value)
