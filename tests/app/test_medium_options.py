"""--pattern and --layers: they reach the operator of every command that has one, are recorded, and fail in one line."""

import json

import numpy as np
import pytest
from test_command_line import SMALL, bad, good

from mimo import ArrayGeometry, CosinePattern, LayeredMedium, TablePattern, data
from mimo.recon import reconstruct

WALL = "1,z=0.2,3,z=0.25,1"
LAYERS = LayeredMedium([0.2, 0.25], [1, 3, 1])


@pytest.fixture(scope="module")
def behind_a_wall(tmp_path_factory):
    """Scenes of directive transmitters behind a wall."""
    path = tmp_path_factory.mktemp("wall") / "scenes.h5"
    around = ("--pattern", "tx=cos:2", "--layers", WALL)
    good("synth", path, "--n", 2, "--seed", 5, "--snr-db", "none", *SMALL, *around, "--quiet")
    return path


def test_scenes_are_measured_through_them(behind_a_wall, tmp_path):
    scan = data.load(behind_a_wall)
    assert scan.source.endswith(f"pattern tx=cos:2, rx=none, layers {WALL}")
    for options in ((), ("--pattern", "tx=cos:2", "--layers", WALL)):
        good("synth", tmp_path / "same.h5", "--n", 2, "--seed", 5, "--snr-db", "none", *SMALL, *options, "--quiet")
        gap = np.abs(data.load(tmp_path / "same.h5").values - scan.values).max()
        assert (gap == 0) == bool(options)
        if not options:
            bad("synth", tmp_path / "same.h5", "--n", 2, "--seed", 5, "--snr-db", "none", *SMALL, "--layers", WALL,
                parts=("same.h5", "layers is None"))  # fmt: skip
            (tmp_path / "same.h5").unlink()


@pytest.mark.parametrize("method", ["backprojection", "kirchhoff", "tikhonov", "l1"])
def test_images_know_them_and_say_so(behind_a_wall, tmp_path, method):
    out, settings = tmp_path / "out.h5", ("--set", "max_iterations=3") if method == "l1" else ()
    around = ("--pattern", "tx=cos:2", "--layers", WALL)
    good("reconstruct", behind_a_wall, out, "--method", method, *settings, *around, "--quiet")
    made = data.load_reconstructions(out)[method]
    options = {"max_iterations": 3} if settings else {}
    direct = reconstruct(method, data.load(behind_a_wall), pattern=(CosinePattern(2), None), layers=LAYERS, **options)
    np.testing.assert_array_equal(made.image, direct.image)
    assert made.parameters["pattern"] == "tx=cos:2, rx=none"
    assert made.parameters["layers"] == WALL
    plain = reconstruct(method, data.load(behind_a_wall), **options)
    assert "layers" not in plain.parameters
    assert np.abs(plain.image - made.image).max() > 1e-2 * np.abs(made.image).max()


def test_normals_come_from_the_file(behind_a_wall, tmp_path):
    """Receivers that look away hear nothing."""
    scan = data.load(behind_a_wall)
    array = scan.array
    turned = ArrayGeometry(array.tx_pos, array.rx_pos, rx_normal=np.tile([0.0, 0.0, -1.0], (array.n_rx, 1)))
    data.save(tmp_path / "turned.h5", data.Measurement(scan.values, turned, scan.sweep, scan.grid))
    chain = ("reconstruct", tmp_path / "turned.h5", tmp_path / "out.h5", "--method", "backprojection", "--quiet")
    good(*chain, "--pattern", "tx=cos:1")
    assert data.load_reconstructions(tmp_path / "out.h5")["backprojection"].image.any()
    bad(*chain, "--pattern", "rx=cos:1", parts=("pattern sees no voxel", "normals", "+z"))


def test_a_table_over_the_frequencies(behind_a_wall, tmp_path):
    angle, freq = np.array([0, 0.5, 1.5]), np.array([3e9, 17e9])
    values = np.array([[1, 0.9], [0.7, 0.5j], [0.2, 0.1]])
    np.savez(tmp_path / "antenna.npz", angle=angle, freq=freq, values=values)
    out = tmp_path / "out.h5"
    table = ("--pattern", tmp_path / "antenna.npz")
    good("reconstruct", behind_a_wall, out, "--method", "backprojection", *table, "--quiet")
    direct = reconstruct("backprojection", data.load(behind_a_wall), pattern=TablePattern(angle, freq, values))
    made = data.load_reconstructions(out)["backprojection"]
    np.testing.assert_array_equal(made.image, direct.image)
    assert made.parameters["pattern"].startswith("table of 3 angles and 2 frequencies, sha256 ")
    bad("reconstruct", behind_a_wall, out, "--method", "backprojection-fast", *table, parts=("pattern", "frequency"))
    np.savez(tmp_path / "antenna.npz", angle=angle, freq=freq / 2, values=values)
    bad("reconstruct", behind_a_wall, out, *table, parts=("1.5e+09 to 8.5e+09 Hz", "covers the sweep"))


def test_the_check_of_sign_and_the_first_look_take_them(behind_a_wall, tmp_path):
    around = ("--layers", WALL, "--pattern", "tx=cos:2")
    check = json.loads(good("prepare", behind_a_wall, "--check-phase", *around, "--json"))["check"]
    assert [row["phase_sign"] for row in check["rows"]] == [-1, 1]
    assert check["phase_sign"] == -1
    assert check["verdict"].endswith(f"in the layers {WALL}")
    turned = json.loads(good("prepare", behind_a_wall, "--conjugate", "--check-phase", *around, "--json"))["check"]
    assert turned["phase_sign"] == 1
    for name, options in (("plain", ()), ("wall", around)):
        good("info", behind_a_wall, "--figure", tmp_path / f"{name}.png", *options)
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "wall.png").read_bytes()


def test_bad_words_get_one_line(behind_a_wall, tmp_path):
    out = tmp_path / "out.h5"
    cases = {
        ("--pattern", "sin:2"): ("sin:2", "cos:N"),
        ("--pattern", "none.npz"): ("none.npz", "cannot be read"),
        ("--layers", "1,4"): ("'4'", "z=0.5"),
        ("--layers", "none.toml"): ("none.toml", "TOML"),
    }
    for options, parts in cases.items():
        for command in (("reconstruct", behind_a_wall, out), ("synth", out), ("info", behind_a_wall),
                        ("prepare", behind_a_wall, out, "--check-phase")):  # fmt: skip
            bad(*command, *options, parts=parts)
    bad("prepare", behind_a_wall, out, "--layers", WALL, parts=("--layers is for --check-phase",))
    bad("prepare", behind_a_wall, out, "--grid", "x=0:1:2", parts=("--grid is for --check-phase",))
    bad("prepare", behind_a_wall, out, "--check-phase", "--layers", WALL, "--permittivities", "2",
        parts=("scenes.h5", "beside layers"))  # fmt: skip
    assert not out.exists()
