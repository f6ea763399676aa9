"""Where a radar was at each frame: kinds of motion, mounting, and one scene made of the frames."""

import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from mimo import ArrayGeometry, FrequencySweep
from mimo.data import FileError, Measurement, read_measured
from mimo.data.importers.frames import one_scene
from mimo.data.importers.motion import parse_motion

FREQ = np.array([4e9, 5e9, 7e9, 10e9])
POINT = np.array([0.03, -0.02, 0.4])
BOARD = ArrayGeometry([[0.01, 0.0, 0.0], [-0.02, 0.03, 0.0]], [[0.0, 0.01, 0], [0.004, 0.01, 0], [0.008, 0.012, 0]])


def echo(tx, rx, point=POINT):
    """A point's echo (n_freq, ...) between antennas (..., 3), by the plain formula."""
    way = np.linalg.norm(tx - point, axis=-1) + np.linalg.norm(rx - point, axis=-1)
    return np.exp(-2j * np.pi / 299792458 * np.multiply.outer(FREQ, way))


def predicted(measurement, point=POINT):
    """The echo that the geometry of a measurement says, in the layout of its values."""
    t, r = measurement.array.channels.T
    return echo(measurement.array.tx_pos[t], measurement.array.rx_pos[r], point)[None]


def positions(table):
    return parse_motion(table).track().at(0.0)[0]


def test_a_raster_runs_along_its_fast_axis_and_back():
    table = {"kind": "raster", "counts": "3,2", "steps": "10,20", "length_unit": "mm", "start": [0, 0, 5]}
    np.testing.assert_allclose(
        1e3 * positions(table), [[0, 0, 5], [10, 0, 5], [20, 0, 5], [0, 20, 5], [10, 20, 5], [20, 20, 5]]
    )
    back = {**table, "serpentine": True}
    np.testing.assert_allclose(1e3 * positions(back)[3:, 0], [20, 10, 0])
    np.testing.assert_allclose(1e3 * positions({**back, "slip": 0.5})[3:, 0], [15, 5, -5])
    np.testing.assert_allclose(1e3 * positions({**back, "slip": 0.5})[:3, 0], [0, 10, 20])
    np.testing.assert_allclose(1e3 * positions({**table, "fast": "y"})[:3, 1], [0, 20, 0])
    np.testing.assert_allclose(1e3 * positions({**table, "axes": "x,-z"})[-1], [20, 0, -15])
    centred = {key: value for key, value in table.items() if key != "start"}
    np.testing.assert_allclose(positions(centred).mean(axis=0), 0, atol=1e-15)


def test_a_raster_that_keeps_moving_is_ahead_by_the_share_of_a_step():
    track = parse_motion({"kind": "raster", "counts": "3,2", "steps": "0.01,0.02", "serpentine": "true"}).track()
    now, later = track.at(0.0)[0], track.at(0.25)[0]
    np.testing.assert_allclose((later - now)[:, 0], [0.0025] * 3 + [-0.0025] * 3)
    np.testing.assert_allclose((later - now)[:, 1:], 0, atol=1e-15)


@pytest.mark.parametrize("turns", ["object", "antenna"])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_turning_object_is_a_radar_that_turns_the_other_way(turns, direction):
    """A point fixed to the object, turned with it in the laboratory, is as far from the radar as our geometry says."""
    angles = np.array([0.0, 20.0, 77.0, 140.0])
    axis, centre, place = np.array([0.0, 0.3, 1.0]), np.array([0.1, 0.0, 0.0]), np.array([0.2, -1.5, 0.3])
    table = {
        "kind": "turntable", "angles": angles.tolist(), "axis": axis.tolist(), "centre": centre.tolist(),
        "place": place.tolist(), "direction": direction, "turns": turns,
    }  # fmt: skip
    about = axis / np.linalg.norm(axis)
    for angle, radar in zip(angles, positions(table), strict=True):
        turn = Rotation.from_rotvec(np.deg2rad(direction * angle) * about).as_matrix()
        if turns == "object":
            there = centre + turn @ (POINT - centre)
            assert np.linalg.norm(place - there) == pytest.approx(np.linalg.norm(radar - POINT))
        else:
            np.testing.assert_allclose(radar, centre + turn @ (place - centre))


def test_a_whole_turn_does_not_count_its_first_angle_twice():
    table = {"place": "0,-1,0", "start": 0, "stop": 360, "count": 4, "kind": "turntable"}
    np.testing.assert_allclose(
        positions(table), [[0, -1, 0], [-1, 0, 0], [0, 1, 0], [1, 0, 0]], atol=1e-12
    )  # the object turns counter-clockwise, so the radar clockwise


def test_a_board_on_a_turntable_looks_at_the_centre_with_the_axis_up():
    motion = parse_motion({"place": "0,-1,0", "angles": "0,90", "kind": "turntable"})
    frames = Measurement(np.ones((2, 4, 2, 3), np.complex64), BOARD, FrequencySweep(FREQ))
    made = one_scene(frames, motion.track(), motion.mount).array
    # at angle 0 the board looks along +y with z up, so its own x, to its right... is y cross z = x of ours, negated
    np.testing.assert_allclose(made.tx_pos[:2], [[-0.01, -1, 0.0], [0.02, -1, 0.03]], atol=1e-12)
    np.testing.assert_allclose(made.tx_normal[[0, 2]], [[0, 1, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(made.rx_normal[[0, 5]], [[0, 1, 0], [1, 0, 0]], atol=1e-12)


@pytest.mark.parametrize("shift", [(), (0.0, 0.4)])
def test_frames_of_a_board_become_a_list_of_channels(shift):
    """Positions of every antenna by hand: carriage, rotation, lever arm, and the share of a step of its own slot."""
    rng = np.random.default_rng(3)
    start, stop, n, lever = np.array([0.0, 0.1, 0]), np.array([0.2, 0.0, 0.05]), 5, np.array([0.003, 0.001, -0.02])
    look, up = np.array([0.1, 0.2, 1.0]), np.array([0.0, 1.0, 0.1])
    z = look / np.linalg.norm(look)
    x = np.cross(up, z) / np.linalg.norm(np.cross(up, z))
    turn = np.stack([x, np.cross(z, x), z], axis=1)
    values = np.zeros((n + 2, 4, 2, 3), np.complex64)
    for i in range(n):
        for t in range(2):
            at = start + (i + (shift[t] if shift else 0)) / (n - 1) * (stop - start) + lever
            for r in range(3):
                values[i + 2, :, t, r] = echo(at + turn @ BOARD.tx_pos[t], at + turn @ BOARD.rx_pos[r])
    values[:2] = rng.normal(size=(2, 4, 2, 3))
    motion = parse_motion({
        "start": start.tolist(), "stop": stop.tolist(), "count": n, "lever_arm": lever.tolist(), "kind": "line",
        "look": look.tolist(), "up": up.tolist(), "skip": 2, "tx_shift": list(shift),
    })  # fmt: skip
    made = one_scene(Measurement(values, BOARD, FrequencySweep(FREQ)), motion.track(), motion.mount)
    assert made.values.shape == (1, 4, n * 6)
    np.testing.assert_allclose(made.values, predicted(made), atol=2e-6)
    np.testing.assert_allclose(made.array.tx_normal, np.tile(z, (n * 2, 1)))


def test_a_board_that_does_not_turn_has_no_directions_and_masked_channels_leave():
    mask = np.array([[True, False, True], [True, True, True]])
    board = BOARD.with_mask(mask)
    frames = Measurement(
        np.ones((4, 4, 2, 3), np.complex64), board, FrequencySweep(FREQ), reference_path=np.arange(6.0).reshape(2, 3)
    )
    motion = parse_motion({"counts": "2,2", "steps": "0.1,0.1", "kind": "raster"})
    made = one_scene(frames, motion.track(), motion.mount)
    assert made.array.tx_normal is None
    assert made.array.n_channel == 20
    np.testing.assert_array_equal(made.reference_path, np.tile([0, 2, 3, 4, 5], 4))


def write_poses(path, rows, names):
    path.write_text("\n".join([",".join(names), *(",".join(f"{cell:.17g}" for cell in row) for row in rows)]))


@pytest.mark.parametrize("matched", ["number", "time"])
def test_poses_turn_and_move_the_board(tmp_path, matched):
    rng = np.random.default_rng(4)
    turns = Rotation.from_rotvec(rng.normal(size=(3, 3)) * 0.2)
    place = rng.normal(size=(3, 3)) * 0.1
    x, y, z, w = turns.as_quat().T
    rows = np.column_stack([[0.0, 1.0, 2.0], place, w, x, y, z])
    write_poses(tmp_path / "p.csv", rows, ["time", "x", "y", "z", "qw", "qx", "qy", "qz"])
    np.savez(
        tmp_path / "p.npz",
        **dict(zip(["x", "y", "z"], place.T, strict=True)),
        **{f"r{i + 1}{j + 1}": turns.as_matrix()[:, i, j] for i in range(3) for j in range(3)},
    )
    table = {"kind": "poses", "file": str(tmp_path / "p.csv"), "match": matched}
    table |= {} if matched == "number" else {"times": [0.0, 0.5, 2.0]}
    position, rotation = parse_motion(table).track().at(0.0)
    expected = place if matched == "number" else [place[0], (place[0] + place[1]) / 2, place[2]]
    np.testing.assert_allclose(position, expected, atol=1e-12)
    np.testing.assert_allclose(rotation[2], turns[2].as_matrix(), atol=1e-12)
    if matched == "time":
        half = (turns[0] * Rotation.from_rotvec((turns[0].inv() * turns[1]).as_rotvec() / 2)).as_matrix()
        np.testing.assert_allclose(rotation[1], half, atol=1e-12)
    else:
        again = parse_motion({"kind": "poses", "file": str(tmp_path / "p.npz")}).track().at(0.0)
        np.testing.assert_allclose(again[1], turns.as_matrix(), atol=1e-12)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "rastr"}, ["motion.kind", "raster, turntable"]),
        ({"kind": "raster", "count": 3}, ["motion.count", "did you mean 'motion.counts'"]),
        ({"kind": "raster", "counts": "3,x"}, ["motion.counts", "whole numbers"]),
        ({"kind": "raster"}, ["counts and steps"]),
        ({"kind": "raster", "counts": "3,2", "steps": "1,1", "slip": 1}, ["slip", "serpentine"]),
        ({"kind": "raster", "counts": "3,2", "steps": "1,1", "axes": "x,x"}, ["motion.axes"]),
        ({"kind": "raster", "counts": "3,2", "steps": "1,1", "fast": "z"}, ["motion.fast", "x or y"]),
        ({"kind": "turntable", "count": 3}, ["motion.place", "three numbers"]),
        ({"kind": "turntable", "count": 3, "place": "0,0,2"}, ["motion.place lies on the axis"]),
        ({"kind": "turntable", "place": "0,1,2"}, ["angles, or start, stop and count"]),
        ({"kind": "turntable", "place": "0,1,2", "count": 3, "direction": 2}, ["motion.direction"]),
        ({"kind": "line", "start": "0,0,0", "stop": "1,0,0"}, ["motion.count is 0"]),
        ({"kind": "poses"}, ["motion.file"]),
        ({"kind": "line", "lever_arm": "1,2"}, ["motion.lever_arm", "three numbers"]),
        ({"kind": "line", "length_unit": "ell"}, ["length_unit", "mm"]),
        ({"counts": "3,2", "stop": 3}, ["motion.kind is missing"]),
        ({"kind": "turntable", "place": "0,1,2", "angles": "a"}, ["motion.angles", "numbers"]),
        ({"kind": "turntable", "place": "0,1,2", "angles": "0:360:x"}, ["start:stop:count"]),
    ],
)
def test_a_motion_that_makes_no_sense_is_refused(table, words):
    with pytest.raises(ValueError, match=r".+") as caught:
        parse_motion(table).track()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,x,y\n0,0,0", ["no column z"]),
        ("x,y,z,qw\n0,0,0,1", ["qw", "alone"]),
        ("x,y,z,qw,qx,qy,qz\n0,0,0,2,0,0,0", ["quaternion of pose 0"]),
        ("time,x,y,z\n0,0,0,0\n0,0,0,1", ["time is not ascending at pose 1"]),
    ],
)
def test_a_spoiled_table_of_poses_is_refused(tmp_path, text, words):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(FileError) as caught:
        parse_motion({"kind": "poses", "file": str(tmp_path / "p.csv")}).track()
    assert all(word in str(caught.value) for word in ["p.csv", *words]), str(caught.value)


def test_frames_later_than_the_poses_are_refused(tmp_path):
    write_poses(tmp_path / "p.csv", [[0, 0, 0, 0], [1, 0, 0, 1]], ["time", "x", "y", "z"])
    with pytest.raises(ValueError, match=r"frame 1 is at 1\.5 s.*0 to 1 s"):
        parse_motion({"file": str(tmp_path / "p.csv"), "match": "time", "times": [0.5, 1.5], "kind": "poses"}).track()


# -- vector network analysers ------------------------------------------------------------------------------------------


def test_a_raster_of_a_network_analyser_needs_two_options(tmp_path):
    x, y = np.array([-0.1, 0.0, 0.05]), np.array([-0.2, -0.1, 0.0, 0.1, 0.3])
    place = np.stack([*np.meshgrid(x, y), np.zeros((5, 3))], axis=-1)  # (n_y, n_x, 3)
    values = np.moveaxis(echo(place, place), 0, -1)
    savemat(tmp_path / "raster.mat", {"S11": values, "x": x, "y": y, "freq": FREQ / 1e9})
    made = read_measured(
        tmp_path / "raster.mat",
        settings={"motion.x": "x", "motion.y": "y", "motion.kind": "raster", "freq_unit": "GHz"},
    )
    assert made.values.shape == (1, 4, 15)
    np.testing.assert_allclose(made.values, predicted(made), atol=1e-5)
    assert made.steps[0]["format"] == "array"
    assert made.steps[0]["motion"]["kind"] == "raster"


def turned_object(angles, place):
    """What a radar at `place` sees of a point on an object that turns counter-clockwise about z, (n_angle, n_freq)."""
    about = Rotation.from_rotvec(np.deg2rad(angles)[:, None] * [0, 0, 1]).as_matrix()
    return np.stack([echo(place, place, turn @ POINT) for turn in about])


def test_a_turntable_whose_file_holds_one_matrix_comes_in_by_options_alone(tmp_path):
    angles, place = np.linspace(0, 360, 7, endpoint=False), np.array([0.0, -2.0, 0.3])
    savemat(tmp_path / "plane.mat", {"plane": turned_object(angles, place)})
    settings = {"freq": "4e9:10e9:4", "motion.kind": "turntable", "motion.count": "7", "motion.place": "0,-2,0.3"}
    with pytest.raises(FileError, match=r"4.e9|frequencies|FREQ|freq"):
        read_measured(tmp_path / "plane.mat", settings={k: v for k, v in settings.items() if k != "freq"})
    made = read_measured(tmp_path / "plane.mat", settings=settings)
    np.testing.assert_allclose(made.sweep.freq, np.linspace(4e9, 10e9, 4))
    even = np.linspace(4e9, 10e9, 4)
    t, r = made.array.channels.T
    way = np.linalg.norm(made.array.tx_pos - POINT, axis=1)[t] + np.linalg.norm(made.array.rx_pos - POINT, axis=1)[r]
    # the file's frequencies are FREQ; those stated agree with them at the first and the last
    said = np.exp(-2j * np.pi / 299792458 * np.multiply.outer(even, way))
    np.testing.assert_allclose(made.values[0, [0, -1]], said[[0, -1]], atol=2e-5)


def test_real_and_imaginary_part_may_be_two_fields_of_a_structure(tmp_path):
    angles, place = np.array([0.0, 15.0, 40.0, 90.0, 120.0]), np.array([0.0, -2.0, 0.3])
    values = turned_object(angles, place)
    savemat(tmp_path / "iq.mat", {"data": {"I": values.real, "Q": values.imag, "phi": angles, "f": FREQ}})
    settings = {"values": "data.I", "imag": "data.Q", "freq": "data.f", "motion.kind": "turntable"}
    settings |= {"motion.angles": "data.phi", "motion.place": "0,-2,0.3"}
    made = read_measured(tmp_path / "iq.mat", settings=settings)
    np.testing.assert_allclose(made.values, predicted(made), atol=2e-5)
    for name, words in (("data.J", "J among I, Q, phi, f"), ("data", r"data.FIELD of I, Q, phi, f")):
        with pytest.raises(FileError, match=words):
            read_measured(tmp_path / "iq.mat", settings={**settings, "values": name})
    with pytest.raises(FileError, match="real and the imaginary part"):
        read_measured(tmp_path / "iq.mat", settings={**settings, "imag": "data.phi"})


def test_a_board_on_a_raster_in_one_array(tmp_path):
    """An array (rx, y, x, iq, freq) with a board of its own in the options."""
    rng = np.random.default_rng(5)
    raw = rng.normal(size=(3, 5, 2, 4, 2))
    np.savez(tmp_path / "b.npz", values=raw, freq=FREQ)
    settings = {
        "axes": "rx,y,x,freq,iq", "tx_pos": "[[0,0,0]]", "rx_pos": "[[1,0,0],[2,0,0],[3,0,0]]", "length_unit": "mm",
        "motion": {"kind": "raster", "counts": [2, 5], "steps": [10, 20], "length_unit": "mm", "start": [0, 0, 0]},
    }  # fmt: skip
    made = read_measured(tmp_path / "b.npz", settings=settings)
    complete = raw[..., 0] + 1j * raw[..., 1]
    np.testing.assert_allclose(made.values[0, :, 5], complete[2, 0, 1, :].astype(np.complex64))  # second place, rx 2
    np.testing.assert_allclose(1e3 * made.array.rx_pos[made.array.channels[5, 1]], [13, 0, 0])
    np.testing.assert_allclose(1e3 * made.array.rx_pos[made.array.channels[6, 1]], [1, 20, 0])
    with pytest.raises(FileError, match=r"shape \(3, 5, 2, 4, 2\).*expected \(rx, x, y, freq, iq\)"):
        read_measured(tmp_path / "b.npz", settings={**settings, "axes": "rx,x,y,freq,iq"})


def test_a_chirp_says_the_frequencies(tmp_path):
    np.savez(tmp_path / "c.npz", values=np.ones((4, 5), complex))
    settings = {"chirp": {"start_freq": 77e9, "slope": 63e12, "sample_rate": "9e6", "adc_start": 1e-6}}
    settings |= {"motion.kind": "line", "motion.start": "0,0,0", "motion.stop": "1,0,0", "motion.count": "4"}
    made = read_measured(tmp_path / "c.npz", settings=settings)
    np.testing.assert_allclose(made.sweep.freq, 77e9 + 63e12 * (1e-6 + np.arange(5) / 9e6))
    with pytest.raises(FileError, match=r"chirp\.slope is"):
        read_measured(tmp_path / "c.npz", settings={**settings, "chirp": {"start_freq": 77e9, "sample_rate": 9e6}})
    with pytest.raises(FileError, match=r"did you mean 'chirp\.slope'"):
        read_measured(tmp_path / "c.npz", settings={**settings, "chirp": {"slpe": 77e9}})


def test_frames_of_another_number_are_refused(tmp_path):
    np.savez(
        tmp_path / "f.npz", values=np.ones((4, 4, 1, 1), complex), freq=FREQ, tx_pos=[[0, 0, 0.0]], rx_pos=[[0, 0, 0.0]]
    )
    with pytest.raises(FileError, match=r"f\.npz: values has shape \(4, 4, 1, 1\)"):
        read_measured(tmp_path / "f.npz", settings={"motion": {"kind": "raster", "counts": [3, 2], "steps": [1, 1]}})
