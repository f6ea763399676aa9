"""The command array: layouts and tables become geometry files, which synth and info take."""

import json
import re
import shlex

import numpy as np
import pytest
from test_command_line import bad, good

from mimo import ArrayGeometry, data
from mimo.commands.array_geometry import array
from mimo.data.files.geometry import load_geometry

GRID = "x=-0.05:0.05:5,y=-0.05:0.05:6,z=0.3:0.4:7"


def test_layouts_become_files(tmp_path):
    out = tmp_path / "a.h5"
    said = good("array", "mills-cross", "--n-tx", 3, "--n-rx", 4, "--width", 0.2, "-o", out)
    assert "3 tx, 4 rx, 12 channels" in said
    assert load_geometry(out).array == ArrayGeometry.mills_cross(n_tx=3, n_rx=4, width=0.2)
    good("array", "planar", "--tx-shape", "2,3", "--rx-shape", "4,5", "--width", 0.2, "--height", 0.1, "-o", out,
         "--freq", "20e9:30e9:6", "--grid", GRID, "--quiet")  # fmt: skip
    made = load_geometry(out)
    assert made.array == ArrayGeometry.uniform_planar(tx_shape=(2, 3), rx_shape=(4, 5), width=0.2, height=0.1)
    assert made.sweep.n_freq == 6
    assert made.grid.shape == (5, 6, 7)
    bad("array", "planar", "--tx-shape", "2,x", "--rx-shape", "4,5", "--width", 1, "-o", out, parts=("--tx-shape",))
    bad("array", "planar", "--tx-shape", "2", "--rx-shape", "4,5", "--width", 1, "-o", out, parts=("tx_shape",))


def test_a_board_by_name(tmp_path):
    out = tmp_path / "b.h5"
    assert "iwr1843, 3 tx, 4 rx" in good("array", "board", "AWR1843BOOST", "-o", out)
    plain = load_geometry(out).array
    good("array", "board", "iwr1843", "--tx-offset", "0.002,0.004,0", "--mirror", "-o", out)
    moved = load_geometry(out).array
    apart = [each.tx_pos[0] - each.rx_pos[0] for each in (plain, moved)]
    np.testing.assert_allclose(apart[1], (apart[0] + (0.002, 0.004, 0)) * (-1, 1, 1), atol=1e-12)
    bad("array", "board", "iwr184", "-o", out, parts=("unknown board 'iwr184'", "iwr1843"))
    bad("array", "board", "iwr1843", "--tx-offset", "1,2", "-o", out, parts=("--tx-offset", "three numbers"))


def test_a_table_asks_for_its_unit(tmp_path):
    (tmp_path / "t.csv").write_text("kind,x,y,z\nboth,1,2,3\nrx,-1,2,3\n")
    bad("array", "from-table", tmp_path / "t.csv", "-o", tmp_path / "t.h5", parts=("--unit",))
    good("array", "from-table", tmp_path / "t.csv", "--unit", "cm", "-o", tmp_path / "t.h5")
    np.testing.assert_allclose(load_geometry(tmp_path / "t.h5").array.rx_pos, [[0.01, 0.02, 0.03], [-0.01, 0.02, 0.03]])


@pytest.mark.parametrize("complete", [True, False])
def test_synth_and_info_take_a_geometry_file(tmp_path, complete):
    out, scene = tmp_path / "a.h5", tmp_path / "scene.h5"
    kept = ("--freq", "8e9:12e9:6", "--grid", GRID) if complete else ()
    good("array", "mills-cross", "--n-tx", 3, "--n-rx", 4, "--width", 0.2, "-o", out, *kept)
    facts = json.loads(good("info", out, "--figure", tmp_path / "a.png", "--json"))
    assert facts["array"] == "mills cross: 3 tx, 4 rx, 12 channels"
    assert facts["sweep"].startswith("6 frequencies") == complete
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    more = () if complete else ("--grid", GRID, "--n-freq", 5)
    good("synth", scene, "--array", out, "--snr-db", "none", "--quiet", *more)
    made = data.load(scene)
    assert made.array == ArrayGeometry.mills_cross(n_tx=3, n_rx=4, width=0.2)
    assert made.grid.shape == (5, 6, 7)
    assert made.sweep.n_freq == (6 if complete else 5)
    bad("synth", scene, "--array", out, "--like", scene, parts=("--like", "--array"))
    bad("reconstruct", out, tmp_path / "i.h5", parts=("a.h5", "an array serves"))
    good("synth", tmp_path / "more.h5", "--array", scene, "--quiet")  # any file of the schema has an array


@pytest.mark.parametrize("name", list(array.commands))
def test_the_example_of_each_layout_works(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "antennas.csv").write_text("kind,x,y,z\ntx,1,2,3\nrx,-1,2,3\n")
    example = re.search(r"Example:\n\s+mimo (.*)", array.commands[name].help)[1]
    good(*shlex.split(example))
