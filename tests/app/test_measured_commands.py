"""Import, prepare and info on the command line: a laboratory's chain from raw files to an image, and bad input."""

import json

import numpy as np
import pytest
from fixtures import native_layouts as native
from scipy.io import savemat
from test_command_line import bad, good, mimo

from mimo import FrequencySweep, data

FULL = native.full_scan()


@pytest.fixture
def scan(tmp_path):
    """A tiny scan of a point, imported from its native layout."""
    native.write_dataport(tmp_path / "gun.mat", FULL, version="7.3")
    good("import", tmp_path / "gun.mat", tmp_path / "scan.h5", "--quiet")
    return tmp_path / "scan.h5"


def test_the_formats_are_explained():
    text = good("import", "--list")
    for name, importer in data.IMPORTERS.items():
        assert f"{name:<12}{importer.DESCRIPTION}" in text
    assert "--set axes=auto" in text


def test_a_mapping_on_the_command_line_and_in_a_file(tmp_path):
    np.savez(tmp_path / "a.npz", S=FULL.values[0].transpose(2, 0, 1), f=native.FREQ / 1e9, T=native.TX, R=native.RX)
    names = {"values": "S", "freq": "f", "tx_pos": "T", "rx_pos": "R", "freq_unit": "GHz"}
    settings = [part for name, value in names.items() for part in ("--set", f"{name}={value}")]
    good("import", tmp_path / "a.npz", tmp_path / "a.h5", "--format", "array", *settings, "--set", "axes=rx,freq,tx")
    lines = [f"{name} = {value!r}" for name, value in names.items()]
    (tmp_path / "map.toml").write_text("\n".join([*lines, 'axes = ["rx", "freq", "tx"]']))
    good("import", tmp_path / "a.npz", tmp_path / "b.h5", "--format", "array", "--mapping", tmp_path / "map.toml")
    for name in ("a.h5", "b.h5"):
        made = data.load(tmp_path / name)
        np.testing.assert_array_equal(made.values, FULL.values)
        assert made.steps[0]["axes"] == ["rx", "freq", "tx"]
    wrong = ("--mapping", tmp_path / "map.toml", "--set", "axes=freq,tx,rx")
    bad(
        "import", tmp_path / "a.npz", tmp_path / "c.h5", "--format", "array", *wrong, parts=("a.npz", "S", "rx,freq,tx")
    )
    bad("import", tmp_path / "a.npz", tmp_path / "c.h5", "--set", "axes", parts=("KEY=VALUE",))
    (tmp_path / "map.toml").write_text("axes = [")
    bad("import", tmp_path / "a.npz", tmp_path / "c.h5", "--mapping", tmp_path / "map.toml", parts=("map.toml", "TOML"))
    bad("import", tmp_path / "a.npz", tmp_path / "c.h5", parts=("a.npz", "recognised", "array"))
    assert not (tmp_path / "c.h5").exists()


@pytest.mark.parametrize(
    ("units", "doubted"),
    [({}, False), ({"length_unit": "mm", "freq_unit": "MHz"}, True), ({"freq_unit": "MHz"}, True)],
)
def test_an_import_shows_its_size_and_doubts_units(tmp_path, units, doubted):
    """Files in metres and hertz times the unit's factor: a factor forgotten is seen, both forgotten too."""
    factor = {"mm": 1e3, "MHz": 1e-6}
    length, freq = (factor.get(units.get(name, ""), 1.0) for name in ("length_unit", "freq_unit"))
    np.savez(tmp_path / "a.npz", values=FULL.values[0], freq=native.FREQ * freq, tx_pos=native.TX * length,
             rx_pos=native.RX * length)  # fmt: skip
    code, out, err = mimo("import", tmp_path / "a.npz", tmp_path / "a.h5")
    assert code == 0
    assert "6 channels; antennas over " in out
    assert ("are both in the units stated?" in err) == doubted
    settings = [part for name, value in units.items() for part in ("--set", f"{name}={value}")]
    code, out, err = mimo("import", tmp_path / "a.npz", tmp_path / "a.h5", *settings)
    assert (code, err) == (0, "")
    assert "4 frequencies, 4 to 13 GHz" in out
    assert "over 0.22 x 0.23 x 0.02 m" in out


def test_steps_are_made_in_their_order_and_recorded(scan, tmp_path):
    empty = data.load(scan)
    for i, factor in enumerate((0.25, 0.75)):
        data.save(tmp_path / f"empty{i}.h5", data.Measurement(factor * empty.values, empty.array, empty.sweep))
    out = tmp_path / "out.h5"
    good(
        "prepare", scan, out, "--count", 2, "--normalise", "max", "--mask", "1:2", "--permittivity", 2, "--conjugate",
        "--background", tmp_path / "empty0.h5", "--background", tmp_path / "empty1.h5", "--quiet",
    )  # fmt: skip
    made = data.load(out)
    assert next(step for step in made.steps if step["step"] == "background")["sources"] == ["empty0.h5", "empty1.h5"]
    names = ["import", "conjugate", "permittivity", "mask channels", "background", "subtract background"]
    assert [step["step"] for step in made.steps] == [*names, "select frequencies", "normalise"]
    expected = FULL.values.conj() - 0.5 * FULL.values
    expected[:, :, 1, 2] = 0
    expected = expected[:, [0, 3]]
    np.testing.assert_allclose(made.values, expected / np.abs(expected).max(), rtol=1e-5)
    assert made.permittivity == 2
    assert made.array.n_channel == 5
    facts = json.loads(good("info", out, "--json"))
    assert len(facts["steps"]) == 8
    assert facts["steps"][3] == "mask channels: channels={'1:2': 'by hand'}"


def test_a_reference_scan_becomes_a_calibration_for_later_scans(tmp_path):
    rng = np.random.default_rng(3)
    sweep = FrequencySweep.linear(4e9, 8e9, 41)
    pairs = np.array([(t, r) for t in range(2) for r in range(3)])
    ideal = native.echo(native.TX[pairs[:, 0]], native.RX[pairs[:, 1]], sweep.freq).reshape(1, 41, 2, 3)
    gain = np.exp(
        2j * np.pi * (rng.uniform(size=(2, 3)) - 1e-10 * sweep.freq[:, None, None] * rng.uniform(size=(2, 3)))
    )
    for name, scale in (("sphere", 1), ("scan", 0.5j)):
        data.save(tmp_path / f"{name}.h5", data.Measurement(scale * ideal * gain, FULL.array, sweep))
    point = ",".join(map(str, native.POINT))
    cal, out = tmp_path / "cal.h5", tmp_path / "out.h5"
    good("prepare", tmp_path / "sphere.h5", cal, "--reference", f"point={point}")
    assert "channel gain" in good("info", cal)
    steps = json.loads(good("prepare", tmp_path / "scan.h5", out, "--calibration", cal, "--every", 4, "--json"))[
        "steps"
    ]
    assert [step["step"] for step in steps] == ["calibrate", "select frequencies"]
    made = data.load(out).values
    np.testing.assert_allclose(made, 0.5j * ideal[:, ::4] / (4 * np.pi), rtol=1e-3)  # of reflectivity 1
    bad(
        "prepare",
        tmp_path / "scan.h5",
        out,
        "--calibration",
        tmp_path / "scan.h5",
        parts=("scan.h5", "calibration/gain"),
    )
    bad("prepare", tmp_path / "sphere.h5", out, "--reference", "point=1,2", parts=("--reference", "point=X,Y,Z"))
    bad("prepare", tmp_path / "sphere.h5", out, "--reference", "point=nan,0,1", parts=("reference point is at (nan,",))
    far = "point=0.1,0.2,0.9"
    bad("prepare", tmp_path / "sphere.h5", out, "--reference", far, "--max-delay", 0, parts=("sphere.h5", "coherence"))


def test_images_of_other_values_are_left_behind_aloud(scan, tmp_path):
    grid = "x=-0.08:0.12:5,y=-0.12:0.06:7,z=0.4:0.6:11"
    good("reconstruct", scan, tmp_path / "image.h5", "--method", "backprojection", "--grid", grid, "--quiet")
    code, _, err = mimo("prepare", tmp_path / "image.h5", tmp_path / "out.h5", "--every", 2, "--quiet")
    assert code == 0
    assert err == f"images of {tmp_path / 'image.h5'} (backprojection) are not carried over\n"
    assert data.load_reconstructions(tmp_path / "out.h5") == {}
    assert data.load(tmp_path / "out.h5").grid is not None


def test_check_phase_reports_without_an_output(scan, tmp_path):
    grid = "x=-0.08:0.12:5,y=-0.12:0.06:7,z=0.4:0.6:11"
    text = good("prepare", scan, "--check-phase", "--grid", grid, "--permittivities", "1,2")
    assert "permittivity" in text
    found = json.loads(good("prepare", scan, "--check-phase", "--grid", grid, "--permittivities", "1,2", "--json"))
    assert found["check"]["phase_sign"] == -1
    assert len(found["check"]["rows"]) == 4
    turned = json.loads(good("prepare", scan, "--conjugate", "--check-phase", "--grid", grid, "--json"))
    assert turned["check"]["phase_sign"] == 1
    assert turned["steps"] == [{"step": "conjugate"}]


def test_info_draws(scan, tmp_path):
    good("info", scan, "--figure", tmp_path / "new" / "a.png")
    assert (tmp_path / "new" / "a.png").stat().st_size > 20_000
    bad("info", scan, "--figure", tmp_path / "a.bmp", parts=(".png",))
    bad("info", scan, "--figure", tmp_path / "a.png", "--scene", 2, parts=("scan.h5", "scenes 0 to 0"))


def test_bad_options_of_prepare_name_the_file_and_what_was_expected(scan, tmp_path):
    out = tmp_path / "out.h5"
    cases = {
        ("--mask", "5:0"): ("scan.h5", "5:0", "2 tx"),
        ("--mask", "5-0"): ("scan.h5", "TX:RX"),
        ("--subtract-background",): ("scan.h5", "measurement/background is absent"),
        ("--gate", "0.2"): ("--gate", "START:STOP"),
        ("--gate", "0.4:0.2"): ("scan.h5", "start below stop"),
        ("--gate", "0:3"): ("scan.h5", "unambiguous range is 0.05 m"),
        ("--gate-box", "file"): ("scan.h5", "no grid"),
        ("--gate-box", "x=0:1"): ("x=START:STOP",),
        ("--band", "1e9:2e9"): ("scan.h5", "4e+09 to 1.3e+10 Hz"),
        ("--count", "9"): ("scan.h5", "4 frequencies"),
        ("--count", "3", "--tolerance", "10"): ("scan.h5", "within 10 Hz"),
        ("--normalise", "mean"): ("scan.h5", "max, rms"),
        ("--permittivity", "-2"): ("scan.h5", "permittivity is -2"),
        ("--background", str(tmp_path / "none.h5")): ("none.h5", "no such file"),
        ("--check-phase", "--permittivities", "1,x"): ("--permittivities", "numbers"),
    }
    for options, parts in cases.items():
        bad("prepare", scan, out, *options, parts=parts)
    bad("prepare", tmp_path / "gun.mat", out, parts=("gun.mat", "schema"))
    assert not out.exists()


def test_a_turntable_in_one_matrix_becomes_a_picture_in_two_commands(tmp_path):
    """A file with a matrix and nothing else, late in its cables, is imported by one command and images to its point."""
    angles, freq, place, point = np.arange(0, 360, 5), np.linspace(8e9, 12e9, 41), (0.0, -2.0, 0.0), (0.1, 0.04, 0.0)
    turn = np.deg2rad(angles)
    x, y = (point[0] * np.cos(turn) - point[1] * np.sin(turn), point[0] * np.sin(turn) + point[1] * np.cos(turn))
    path = 2 * np.hypot(x, y + 2.0) + 0.3
    savemat(tmp_path / "plane.mat", {"m": np.exp(-2j * np.pi / 299792458 * np.multiply.outer(path, freq))})
    motion = {"kind": "turntable", "count": len(angles), "place": ",".join(map(str, place))}
    settings = [part for name, value in motion.items() for part in ("--set", f"motion.{name}={value}")]
    settings += ["--set", "freq=8:12:41", "--set", "freq_unit=GHz", "--delay", "0.3m"]
    good("import", tmp_path / "plane.mat", tmp_path / "plane.h5", *settings)
    grid = "x=-0.2:0.2:41,y=-0.2:0.2:41,z=0:0:1"
    image = tmp_path / "image.h5"
    good("reconstruct", tmp_path / "plane.h5", image, "--method", "backprojection", "--grid", grid, "--quiet")
    magnitude = data.load_reconstructions(image)["backprojection"].magnitude[0, :, :, 0]
    assert np.unravel_index(magnitude.argmax(), magnitude.shape) == (30, 24)
    said = good("import", tmp_path / "plane.mat", tmp_path / "b.h5", *settings[:-2], "--delay", "point=0.1,0.04,0")
    assert f"delay {0.3 / 0.299792458:.4f}"[:9] in said
    assert data.load(tmp_path / "b.h5").steps[-1]["seconds"] == pytest.approx(0.3 / 299792458, abs=1e-13)
    bad("import", tmp_path / "plane.mat", tmp_path / "c.h5", *settings[:-2], "--delay", "3km", parts=("3km", "ns"))
