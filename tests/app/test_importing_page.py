"""The commands of docs/importing.md run as they stand there, on small files of each kind that are made here."""

import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from fixtures import native_layouts as native
from scipy.io import savemat
from test_command_line import good

from mimo import ArrayGeometry, FrequencySweep
from mimo.data import Measurement, load_reconstructions

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
SAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "sample_scan.py"))
LIGHT = 299792458
POINT = np.array([0.05, -0.1, 0.0])


def block(*words):
    """The commands of the one block of the page that has all these words."""
    found = [text for text in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if all(word in text for word in words)]
    assert len(found) == 1, words
    return [shlex.split(line, comments=True) for line in found[0].replace("\\\n", " ").splitlines() if line.strip()]


def phase(way, freq):
    """exp(-jk way), the frequencies last."""
    return np.exp(-2j * np.pi * np.multiply.outer(way, freq) / LIGHT)


def around(count, radius):
    """Places of the radar about an object that turns counter-clockwise, from -y on."""
    a = np.deg2rad(360 / count * np.arange(count))
    return radius * np.stack([-np.sin(a), -np.cos(a), 0 * a], axis=1)


def run(commands, fewer=()):
    """Run them, with coarser grids where told; the images that a page would show are there."""
    for command in commands:
        assert command[0] == "mimo"
        if command[1] == "view":  # a server, which the tests of the viewer start
            assert all(load_reconstructions(path) for path in command[2:])
            continue
        text = " ".join(map(shlex.quote, command[1:]))
        for old, new in fewer:
            text = text.replace(old, new)
        good(*shlex.split(text))


def peak(path):
    """The place of the largest voxel of the first image of a file."""
    made = next(iter(load_reconstructions(path).values()))
    return made.grid.centers()[np.abs(np.asarray(made.image[0])).argmax()]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()


def scan():
    """A point before an array that images it well: 6 tx on a diagonal, 5 rx on the other."""
    array, freq = ArrayGeometry.mills_cross(n_tx=6, n_rx=5, width=0.3), np.linspace(8e9, 16e9, 21)
    t, r = array.channel_indices().T
    values = native.echo(array.tx_pos[t], array.rx_pos[r], freq).reshape(1, 21, 6, 5)
    return Measurement(values.astype(np.complex64), array, FrequencySweep(freq))


def near(path, point, within):
    assert np.abs(peak(path) - point).max() <= within, peak(path)


def test_the_sample_scan_is_imaged_with_all_its_balls():
    Path("samples").symlink_to(Path(__file__).parents[2] / "samples")
    run(block("samples/raster.npz"))
    made = next(iter(load_reconstructions("out/raster-image.h5").values()))
    image = np.abs(np.asarray(made.image[0]))
    level = []
    for ball in SAMPLE["BALLS"]:
        index = tuple(
            int(np.abs(axis - place).argmin())
            for axis, place in zip((made.grid.x, made.grid.y, made.grid.z), ball, strict=True)
        )
        level.append(image[index] / image.max())
    assert min(level) > 0.4
    bright = made.grid.centers()[image.ravel() > 0.5 * image.max()]
    assert np.linalg.norm(bright[:, None] - SAMPLE["BALLS"], axis=2).min(axis=1).max() < 0.02
    assert Path("out/raster.png").is_file()


def test_the_sample_scan_is_what_its_command_makes():
    folder = Path(__file__).parents[2] / "samples"
    for name, values in SAMPLE["make"]().items():
        with np.load(folder / f"{name}.npz") as kept:
            assert np.abs(kept["s11"].astype(int) - values).max() <= 1  # another processor may round otherwise
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5e5
    text = (folder / "README.md").read_text()
    assert "MIT" in text
    assert all(line in text for line in ("mimo import samples/raster.npz", "make sample"))


def test_a_folder_of_merit_from_file_to_figure():
    array, freq = ArrayGeometry.mills_cross(n_tx=5, n_rx=6, width=0.12), np.linspace(1.5e9, 4.5e9, 31)
    point = np.array([0.02, -0.01, 0.04])
    t, r = array.channel_indices().T
    way = np.linalg.norm(array.tx_pos[t] - point, axis=1) + np.linalg.norm(array.rx_pos[r] - point, axis=1)
    echo = phase(np.sqrt(8) * way, freq).T
    folder = Path("phantom")
    folder.mkdir()
    places = [*array.tx_pos, *array.rx_pos]
    (folder / "antenna_locations.csv").write_text("".join(f"{x},{y},{z}\n" for x, y, z in places))
    (folder / "channel_names.csv").write_text("".join(f"{i + 1},{j + 6}\n" for i, j in zip(t, r, strict=True)))
    (folder / "frequencies.csv").write_text("".join(f"{f}\n" for f in freq))
    for name, values in (("B0_P3_p000", 9 + echo), ("B0_P3_p036", 9 + 0 * echo)):
        rows = ("".join(f"{v.real:+.6f}{v.imag:+.6f}i," for v in row)[:-1] for row in values)
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    run(block("phantom-image.h5"))
    near("out/phantom-image.h5", point, 0.011)
    assert Path("out/phantom.png").is_file()


def test_a_dataport_file_and_a_folder_of_touchstone_from_file_to_image():
    native.write_dataport(Path("Exp_GunData4ImagingFD.mat"), scan())
    run(block("gun-image.h5"))
    near("out/gun-image.h5", native.POINT, 0.011)
    native.write_touchstone_folder(Path("analyser"), scan())
    run(block("analyser-image.h5"))
    near("out/analyser-image.h5", native.POINT, 0.011)


def test_arrays_with_a_mapping_file_from_file_to_image():
    made = scan()
    mapping = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    Path("map.toml").write_text(mapping)
    np.savez("scan.npz", S=made.values[0].conj().transpose(2, 1, 0), f=made.sweep.freq / 1e9,
             T=1e3 * made.array.tx_pos, R=1e3 * made.array.rx_pos)  # fmt: skip
    run(block("scan-image.h5"))
    near("out/scan-image.h5", native.POINT, 0.011)


def test_a_folder_of_gotcha_from_file_to_figure():
    angle, freq, point = np.deg2rad(np.linspace(0, 1, 120)), np.linspace(9.3e9, 9.9e9, 424), np.array([-12.0, 20.0, 0])
    place = np.stack([7000 * np.cos(angle), 7000 * np.sin(angle), 0 * angle + 7000], axis=1).astype(np.float32)
    away = np.linalg.norm(place.astype(float), axis=1)
    index = np.arange(120)
    array = ArrayGeometry(place.astype(float), place.astype(float), np.column_stack([index, index]))
    values = phase(2 * np.linalg.norm(place - point, axis=1) - 2 * away, freq).T[None].astype(np.complex64)
    made = Measurement(values, array, FrequencySweep(freq), reference_path=2 * away)
    Path("gotcha").mkdir()
    native.write_gotcha(Path("gotcha/data_HH.mat"), made, slice(0, 50))
    native.write_gotcha(Path("gotcha/data2_HH.mat"), made, slice(50, 120))
    Path("gotcha/data_VV.mat").write_bytes(b"not read")
    run(block("gotcha-image.h5"), [(":251", ":126")])
    near("out/gotcha-image.h5", point, 0.81)
    assert Path("out/gotcha.png").is_file()


def test_cphd_and_crsd_from_file_to_figure():
    sar = pytest.importorskip("fixtures.sar_files", reason="sarkit is not installed: pip install mimo-imaging[sar]")
    sar.write_cphd(Path("spotlight.cphd"))
    sar.write_crsd(Path("stripmap.crsd"))
    run(
        block("spotlight.cphd", "stripmap.crsd"), [("x=-10:10:101,y=-10:10:101", "x=0:4:21,y=-4:0:21")]
    )  # on the ground: the point is 1.2 m above it, and comes nearer
    lay = np.array([sar.POINT[0] - sar.POINT[2] * 3 / 4, sar.POINT[1], 0])
    near("out/cphd-image.h5", lay, 0.21)
    near("out/crsd-image.h5", lay, 0.21)
    assert Path("out/cphd.png").is_file()


def test_a_frame_of_maroon_from_file_to_figure():
    array, freq = ArrayGeometry.qar50(), np.linspace(72e9, 82e9, 6)
    point = np.array([0.02, -0.03, 0.3])
    to, back = (np.linalg.norm(pos - point, axis=1) for pos in (array.tx_pos, array.rx_pos))
    xr = np.zeros((96, 96, 6), np.complex64)
    xr[1:-1, 1:-1] = phase(back[:, None] + to, freq)
    folder = Path("maroon/radar_72.0_82.0_128/calibrated_data")
    folder.mkdir(parents=True)
    for name, values in (("000000", 3 + xr), ("000000_emptyfiltered", xr)):
        np.save(folder / f"{name}.npy", {"xr": values, "fvec": freq})
    run(block("maroon-filtered.h5"), [(":101", ":21"), (":41", ":11")])
    near("out/maroon-image.h5", point, 1e-6)
    assert Path("out/maroon.png").is_file()


def test_the_l_of_oviedo_is_calibrated_by_its_foil():
    freq, x, y = np.linspace(55e9, 60e9, 201), np.linspace(0, 0.1, 12), np.linspace(0.01, 0.1, 11)
    tx, rx = np.stack([x, 0 * x, 0 * x], axis=1), np.stack([0 * y, y, 0 * y], axis=1)
    point, z = np.array([0.03, 0.05, 0.72]), 0.743913
    way = np.linalg.norm(tx - point, axis=1)[:, None] + np.linalg.norm(rx - point, axis=1)
    flat = np.linalg.norm(tx[:, None] * [1, 1, -1] + [0, 0, 2 * z] - rx, axis=2)
    gain = np.exp(2j * np.pi * np.random.default_rng(3).uniform(size=(12, 11)))[..., None]  # of every channel
    room = 3 * phase(np.linalg.norm(tx[:, None] - rx, axis=2), freq)
    for name, echo in (
        ("targets", phase(way, freq)),
        ("background", 0),
        ("aluminum_foil", -phase(flat, freq) / flat[..., None]),
    ):
        savemat(f"{name}_plane1.mat", {"S21": gain * (echo + room), "xtx": x, "yrx": y})
    run(block("targets_plane1.mat"))
    near("out/l-image.h5", point, 0.011)


def test_public_sets_with_presets_from_file_to_image():
    """Smaller than published: the counts, which the presets know, are said."""
    freq = 77e9 + 63.343e12 * np.arange(64) / 9.121e6
    x, y = 1e-3 * 200 / 406 * (np.arange(80) - 39.5), 2e-3 * (np.arange(15) - 7)
    place = np.stack([*np.meshgrid(x, y), np.zeros((15, 80))], axis=-1)
    point = np.array([0.004, -0.002, 0.28])
    way = 2 * np.linalg.norm(place - point, axis=-1) + LIGHT * 4.5225e-10
    savemat("rawData3D_simple2D.mat", {"rawData3D_simple2D": phase(way, freq).conj().transpose(2, 0, 1)})
    freq = 78.8e9 + 70.295e12 * np.arange(32) / 5e6
    cells = np.empty((1, 40 * 30), object)
    other = np.array([0.003, 0.005, 0.6])
    for row in range(30):
        for i in range(40):
            column = 39 - i if row % 2 == 0 else i
            at = np.array([1e-3 * (column - 19.5), 2e-3 * (row - 14.5), 0])
            cells[0, row * 40 + i] = np.tile(
                phase(2 * np.linalg.norm(at - other) + LIGHT * 6.2516e-10, freq).conj(), (4, 1)
            )
    savemat("output_rawdata.mat", {"adcRawData": {"data": cells}})
    angle, freq = np.deg2rad(-130 - 5 * np.arange(72)), np.linspace(1e9, 8e9, 1001)
    at = 0.21 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    tumour = np.array([0.03, -0.02, 0])
    values = np.zeros((8, 1001, 72), np.complex64)
    values[7] = phase(2 * np.linalg.norm(at - tumour, axis=1), freq).T
    savemat("fd_data_gen_two_s11.mat", {"fd_data": values})
    run(
        block("rawData3D_simple2D.mat"),
        [("--preset simple2d", "--preset simple2d --set motion.counts=80,15"), (":101", ":41"),
         ("--preset 3dried", "--preset 3dried --set motion.counts=40,30 --set motion.drift=0")],
    )  # fmt: skip
    near("out/simple2d-image.h5", point, 0.011)
    near("out/3dried-image.h5", other, 0.021)
    near("out/bmid-image.h5", tumour, 0.003)


def test_a_raster_and_a_turntable_from_file_to_image():
    x, y, freq = np.linspace(-0.1, 0.1, 5), np.linspace(-0.1, 0.1, 4), np.linspace(8e9, 12e9, 201)
    place = np.stack([*np.meshgrid(x, y), np.full((4, 5), -1.0)], axis=-1)
    s11 = phase(2 * np.linalg.norm(place - POINT, axis=-1), freq)
    savemat("raster.mat", {"S11": s11, "x": x, "y": y, "freq": freq})
    turned = around(360, 2.0)
    savemat("plane.mat", {"data": phase(2 * np.linalg.norm(turned - POINT, axis=-1) + 0.3, freq)})
    run(block("plane.mat", "reconstruct"), [(":121", ":31")])
    assert Path("out/raster.png").is_file()
    near("out/raster-image.h5", [*POINT[:2], 1.0], 0.06)
    assert np.abs(peak("out/plane-image.h5") - POINT).max() < 0.011


def test_a_capture_of_a_board_from_file_to_figure():
    from mimo.data.importers.boards import board_array

    array, _ = board_array("iwr1843")
    freq = 77e9 + 70e12 * np.arange(64) / 5e6
    point = np.array([0.1, 0.0, 1.0])
    way = np.linalg.norm(array.tx_pos - point, axis=1)[:, None] + np.linalg.norm(array.rx_pos - point, axis=1)
    beats = np.round(1e4 * phase(way, freq).conj())
    pairs = np.stack([beats.real, beats.imag], axis=-1).reshape(3, 4, 32, 2, 2).swapaxes(-1, -2)
    Path("capture").mkdir()
    pairs.astype("<i2").tofile("capture/adc_data.bin")
    lines = ["channelCfg 15 7 0", "adcCfg 2 1", "profileCfg 0 77 7 0 40 0 0 70 1 64 5000 0 0 30"]
    lines += [f"chirpCfg {i} {i} 0 0 0 0 0 {1 << i}" for i in range(3)] + ["frameCfg 0 2 1 0 50 1 0"]
    Path("capture/profile.cfg").write_text("\n".join(lines))
    run([command for command in block("board=iwr1843") if "cascade" not in command])
    assert np.abs(peak("out/board-image.h5") - point).max() < 0.06
    assert Path("out/board.png").is_file()


def test_a_far_field_is_imported_and_imaged():
    freq = np.linspace(8e9, 12e9, 64)
    np.savez("far.npz", S=phase(-2 * (around(180, 1.0) @ POINT), freq))
    run(block("motion.far=true"))
    good("reconstruct", "out/far.h5", "out/far-image.h5", "--method", "backprojection", "--quiet",
         "--grid", "x=-0.2:0.2:41,y=-0.2:0.2:41,z=0:0:1")  # fmt: skip
    assert np.abs(peak("out/far-image.h5") - POINT).max() < 1e-6
