"""Presets of public data sets: small files in their layout, written here, come in and image to their point."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from mimo.data import FileError, read_measured, subtract_background
from mimo.data.importers.presets import PRESETS, preset_settings

LIGHT = 299792458


def beat(place, point, freq, late):
    """What a TI radar at the places (n, 3) sees of a point, exp(+jkR), late in the radar, (n, n_freq)."""
    way = 2 * np.linalg.norm(place - point, axis=1)
    return np.exp(2j * np.pi * np.multiply.outer(way / LIGHT + late, freq))


def agreement(made, point):
    """Share of the data that the geometry which was read explains, without a common phase."""
    t, r = made.array.channels.T
    way = np.linalg.norm(made.array.tx_pos[t] - point, axis=1) + np.linalg.norm(made.array.rx_pos[r] - point, axis=1)
    said = np.exp(-2j * np.pi * np.multiply.outer(made.sweep.freq, way) / LIGHT)
    return np.vdot(said, made.values[0]).real / np.linalg.norm(said) / np.linalg.norm(made.values)


def test_the_demonstration_file_of_the_two_axis_scanner(tmp_path):
    """Layout of rawData3D_simple2D.mat with fewer positions: the counts are said, all else is the preset's."""
    freq = 77e9 + 63.343e12 * np.arange(16) / 9.121e6
    x, y = 1e-3 * 200 / 406 * (np.arange(7) - 3), 2e-3 * (np.arange(5) - 2)
    point = np.array([0.001, 0.003, 0.28])
    place = np.stack([*(each.ravel() for each in np.meshgrid(x, y)), np.zeros(35)], axis=1)  # y slow, x fast
    values = beat(place, point, freq, 4.5225e-10).T.reshape(16, 5, 7)
    savemat(tmp_path / "rawData3D_simple2D.mat", {"rawData3D_simple2D": values})
    made = read_measured(tmp_path / "rawData3D_simple2D.mat", preset="simple2d", settings={"motion.counts": "7,5"})
    assert agreement(made, point) > 0.9999
    np.testing.assert_allclose(made.sweep.freq, freq)
    assert [step["step"] for step in made.steps] == ["remove delay", "import"]
    with pytest.raises(FileError, match=r"shape \(16, 5, 7\).*expected \(freq, y, x\) of \(any freq, 100, 403\)"):
        read_measured(tmp_path / "rawData3D_simple2D.mat", preset="simple2d")


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_the_cells_of_3dried_with_their_drift_and_rows_both_ways(tmp_path, version):
    """5 columns, 4 rows, 3 frames too many; cells (1, 4 rx, 16), of which the first receiver is taken."""
    freq = 78.8e9 + 70.295e12 * np.arange(16) / 5e6
    point, n_x, n_y, extra = np.array([0.3, 0.1, 0.61]), 5, 4, 3
    rng = np.random.default_rng(6)
    cells = rng.normal(size=(n_x * n_y + extra + 1, 1, 4, 16)) + 0j
    for row in range(n_y):
        for i in range(n_x):
            column = n_x - 1 - i if row % 2 == 0 else i  # the demonstration turns rows 1, 3, ... round
            place = np.array([[1e-3 * (column - 2), 2e-3 * (row - 1.5), 0.0]])
            frame = row * n_x + i + int((row + 1) / n_y * extra)
            cells[frame, 0, 0] = beat(place, point, freq, 6.2516e-10)
    path = tmp_path / "output_rawdata.mat"
    if version == "5":
        held = np.empty((1, len(cells)), object)
        for i, cell in enumerate(cells):
            held[0, i] = cell
        savemat(path, {"adcRawData": {"data": held}})
    else:
        kind = np.dtype([("real", "f8"), ("imag", "f8")])
        with h5py.File(path, "w") as file:
            data = file.create_dataset("adcRawData/data", (len(cells), 1), h5py.ref_dtype)
            for i, cell in enumerate(cells):
                kept = file.create_dataset(f"#refs#/c{i}", cell.T.shape, kind)
                kept["real"], kept["imag"] = cell.T.real, cell.T.imag
                data[i, 0] = kept.ref
    settings = {"motion.counts": "5,4", "motion.drift": "3"}
    made = read_measured(path, preset="3dried", settings=settings)
    assert made.values.shape == (1, 16, 20)
    assert agreement(made, point) > 0.9999
    other = read_measured(path, preset="3dried", settings={**settings, "motion.axes": "x,y"})
    assert agreement(other, point) < 0.99
    with pytest.raises(FileError, match=r"has 24 frames, the motion needs 30 with its drift"):
        read_measured(path, preset="3dried", settings={**settings, "motion.drift": "10"})
    with pytest.raises(FileError, match=r"pick is 'rx=4': expected rx=0 to 3"):
        read_measured(path, preset="3dried", settings={**settings, "pick": "rx=4"})


def test_a_scan_of_um_bmid(tmp_path):
    """Three scans (freq, angle); the antenna turns clockwise from -130 degrees at the radius of the metadata."""
    freq, radius, point = np.linspace(1e9, 8e9, 1001), 0.21, np.array([0.03, -0.02, 0.0])
    angle = np.deg2rad(-130 - 5 * np.arange(72))
    place = radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    values = np.zeros((3, 1001, 72), complex)
    values[2] = beat(place, point, freq, 0).conj().T  # an analyser's sign
    path = tmp_path / "fd_data_gen_two_s11.mat"
    savemat(path, {"fd_data": values})
    settings = {"pick": "scene=2", "motion.place": f"{radius},0,0"}
    made = read_measured(path, preset="um-bmid", settings=settings)
    assert made.values.shape == (1, 1001, 72)
    assert agreement(made, point) > 0.9999
    np.testing.assert_allclose(made.array.tx_pos, place, atol=1e-12)
    with pytest.raises(FileError, match=r"motion\.place is \(\): expected three numbers"):
        read_measured(path, preset="um-bmid")


def test_the_l_of_oviedo_with_its_background_and_its_foil(tmp_path):
    """Every one of 4 places on a rail along x with every one of 3 along y; a room to subtract, a plate to calibrate by."""
    freq, x, y = np.linspace(55e9, 60e9, 201), np.linspace(0, 0.03, 4), np.linspace(0.01, 0.03, 3)
    tx, rx = np.stack([x, 0 * x, 0 * x], axis=1), np.stack([0 * y, y, 0 * y], axis=1)
    k, point, z = 2j * np.pi * freq / LIGHT, np.array([0.01, 0.02, 0.743913]), 0.743913
    way = np.linalg.norm(tx - point, axis=1)[:, None] + np.linalg.norm(rx - point, axis=1)
    flat = np.linalg.norm(tx[:, None] - rx * [1, 1, -1] - [0, 0, 2 * z], axis=2)
    gain = np.exp(1j * np.arange(12).reshape(4, 3))[..., None]  # of the cables
    room = 3 * np.exp(-k * np.linalg.norm(tx[:, None] - rx, axis=2)[..., None])
    files = {"targets": np.exp(-k * way[..., None]), "background": 0, "aluminum_foil": -np.exp(-k * flat[..., None])}
    for name, echo in files.items():
        savemat(tmp_path / f"{name}_plane1.mat", {"S21": gain * (echo + room), "xtx": x, "yrx": y})
    settings = {"tx_pos": "x=xtx", "rx_pos": "y=yrx"}
    read = {
        name: read_measured(tmp_path / f"{name}_plane1.mat", preset="oviedo-l", settings=settings,
                            background="background_plane1.mat")
        for name in ("targets", "aluminum_foil")
    }  # fmt: skip
    targets, foil = (subtract_background(each) for each in read.values())
    assert targets.values.shape == (1, 201, 4, 3)
    np.testing.assert_allclose(targets.array.rx_pos, rx)
    np.testing.assert_allclose(targets.sweep.freq, freq)
    phases = targets.values / foil.values * -np.exp(-k * flat[..., None]).transpose(2, 0, 1)
    np.testing.assert_allclose(phases[0], np.exp(-k * way[..., None]).transpose(2, 0, 1), atol=1e-4)
    stated = {"tx_pos": "x=0:30:4", "rx_pos": "x=0,y=10:30:3", "length_unit": "mm"}
    again = read_measured(tmp_path / "targets_plane1.mat", preset="oviedo-l", settings=stated)
    np.testing.assert_allclose(again.array.rx_pos, rx)
    np.testing.assert_allclose(again.array.tx_pos, tx)
    with pytest.raises(FileError, match="tx_pos is missing: expected tx_pos among S21, xtx, yrx"):
        read_measured(tmp_path / "targets_plane1.mat", preset="oviedo-l")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("x=0:1", "expected numbers, or start:stop:count"),
        ("x=0:1:4,x=3", "each once"),
        ("w=0:1:4", "expected x=, y= or z="),
        ("x=", "expected x=, y= or z="),
        ("x=0:1:4,y=0:1:3", "x 4, y 3 numbers"),
        ("x=0:1:0", "count of 1 or more"),
        ("x=nan:1:4", "finite"),
        ("x=S21", "vector of numbers"),
        ("x=nothing", "nothing is missing: expected nothing among S21"),
    ],
)
def test_a_wrong_rail_is_refused(tmp_path, given, words):
    savemat(tmp_path / "a.mat", {"S21": np.ones((4, 3, 201), complex)})
    with pytest.raises(FileError, match=words):
        read_measured(tmp_path / "a.mat", preset="oviedo-l", settings={"tx_pos": given, "rx_pos": "y=0:1:3"})


def test_presets_are_copies_and_a_wrong_name_is_refused(tmp_path):
    for name in PRESETS:
        preset_settings(tmp_path, name).setdefault("motion", {})["kind"] = "line"
        assert PRESETS[name].settings.get("motion", {}).get("kind") != "line"
    with pytest.raises(FileError, match="unknown preset '3dred': did you mean '3dried'"):
        read_measured(tmp_path, preset="3dred")


def test_cells_of_other_shapes_are_refused(tmp_path):
    held = np.empty((1, 2), object)
    held[0, 0], held[0, 1] = np.ones((4, 16), complex), np.ones((4, 15), complex)
    savemat(tmp_path / "a.mat", {"adcRawData": {"data": held}})
    with pytest.raises(FileError, match=r"adcRawData\.data\{2\} has shape \(4, 15\).*\{1\} \(4, 16\)"):
        read_measured(tmp_path / "a.mat", preset="3dried")
