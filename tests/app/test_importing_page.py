"""The commands of docs/importing.md run as they stand there, on small files of each kind that are made here."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from test_command_line import good

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text()
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
    """Run them, with coarser grids where told."""
    for command in commands:
        assert command[0] == "mimo"
        if command[1] == "view":
            continue  # a server, which the tests of the viewer start
        text = " ".join(map(shlex.quote, command[1:]))
        for old, new in fewer:
            text = text.replace(old, new)
        good(*shlex.split(text))


def peak(path):
    """The place of the largest voxel of the first image of a file."""
    from mimo.data import load_reconstructions

    made = next(iter(load_reconstructions(path).values()))
    return made.grid.centers()[np.abs(np.asarray(made.image[0])).argmax()]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()


def test_a_raster_and_a_turntable_from_file_to_image():
    x, y, freq = np.linspace(-0.1, 0.1, 5), np.linspace(-0.1, 0.1, 4), np.linspace(8e9, 12e9, 201)
    place = np.stack([*np.meshgrid(x, y), np.full((4, 5), -1.0)], axis=-1)
    s11 = phase(2 * np.linalg.norm(place - POINT, axis=-1), freq)
    savemat("raster.mat", {"S11": s11, "x": x, "y": y, "freq": freq})
    turned = around(360, 2.0)
    savemat("plane.mat", {"data": phase(2 * np.linalg.norm(turned - POINT, axis=-1) + 0.3, freq)})
    run(block("plane.mat", "reconstruct"), [(":121", ":31")])
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
