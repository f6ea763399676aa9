"""MERIT folders: a tiny one in the native layout, each way of spoiling it, and the real scans."""

from pathlib import Path

import numpy as np
import pytest
from fixtures import native_layouts as native

from mimo.data import FileError, read_measured, subtract_background

MEASURED = Path(__file__).parents[3] / "shared" / "measured" / "merit"
PAIRS = [(1, 2), (3, 1), (2, 3), (3, 2)]
N_FREQ = 5


def write_merit(folder, scans=("one", "two")):
    """Write 3 antennas, 4 channels, 5 frequencies; returns the scans' numbers."""
    rng = np.random.default_rng(5)
    folder.mkdir(exist_ok=True)
    (folder / "antenna_locations.csv").write_text("0.069,0,0.011\n0.056,0.041,0.011\n-2.1e-02,0.066,0.057\n")
    (folder / "channel_names.csv").write_text("".join(f"{t},{r}\n" for t, r in PAIRS))
    (folder / "frequencies.csv").write_text("".join(f"{1.5e9 + 4e7 * i:g}\n" for i in range(N_FREQ)))
    result = {}
    for name in scans:
        values = np.round(rng.normal(size=(N_FREQ, 4)) + 1j * rng.normal(size=(N_FREQ, 4)), 5)
        values[0, 0] = 2e-05 - 3e-06j
        lines = [",".join(f"{v.real:.5g}{v.imag:+.5g}i" for v in row) for row in values]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
        result[name] = np.array([[complex(c.replace("i", "j")) for c in line.split(",")] for line in lines])
    return result


@pytest.fixture
def folder(tmp_path):
    write_merit(tmp_path / "breast")
    return tmp_path / "breast"


def test_a_scan_is_read_in_our_conventions(tmp_path):
    values = write_merit(tmp_path / "breast")
    read = read_measured(tmp_path / "breast", scan="two", background="one", permittivity=8.0)
    np.testing.assert_array_equal(read.values, values["two"][None].astype(np.complex64))
    np.testing.assert_array_equal(read.background, values["one"].astype(np.complex64))
    np.testing.assert_array_equal(read.array.channels, np.array(PAIRS) - 1)
    assert read.array.tx_pos.shape == (3, 3)
    assert np.array_equal(read.array.tx_pos, read.array.rx_pos)
    assert read.array.tx_normal is None
    assert read.sweep.freq[1] == 1.54e9
    assert (read.permittivity, read.grid, read.n_scene) == (8.0, None, 1)
    difference = (values["two"] - values["one"])[None]
    np.testing.assert_allclose(subtract_background(read).values, difference, rtol=1e-5, atol=1e-6)


def test_the_only_scan_needs_no_name(tmp_path):
    write_merit(tmp_path / "breast", scans=("only",))
    assert read_measured(tmp_path / "breast", format="merit").source == "merit breast/only"


def spoil(name, row, text):
    """Replace a row (from 1) of a file, or append it when `row` is 0."""

    def edit(folder):
        lines = (folder / name).read_text().splitlines()
        if row:
            lines[row - 1 : row] = [text] if text is not None else []
        else:
            lines.append(text)
        (folder / name).write_text("\n".join(lines))

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (spoil("one.csv", 2, "1+1i,2+2i,3-3i"), ["one.csv", "row 2", "3 columns", "expected 4"]),
        (spoil("one.csv", 3, None), ["one.csv", "4 rows", "expected 5"]),
        (spoil("one.csv", 0, "1+1i,1+1i,1+1i,1+1i"), ["one.csv", "6 rows", "expected 5"]),
        (spoil("one.csv", 4, "1+1i,1+1i,1+oops,1i"), ["one.csv", "row 4, column 3", "'1+oops'"]),
        (spoil("one.csv", 4, "1+1i,NaN,1,1i"), ["one.csv", "row 4, column 2", "'NaN'", "finite"]),
        (spoil("one.csv", 4, "1+1i,1,1+nani,1i"), ["one.csv", "row 4, column 3", "finite"]),
        (spoil("antenna_locations.csv", 2, "0.1,0.2"), ["antenna_locations.csv", "row 2", "2 columns", "expected 3"]),
        (spoil("antenna_locations.csv", 2, "0.1,inf,0"), ["antenna_locations.csv", "row 2, column 2", "finite"]),
        (spoil("channel_names.csv", 1, "0,2"), ["channel_names.csv", "row 1, column 1", "antenna 0", "1 to 3"]),
        (spoil("channel_names.csv", 4, "3,4"), ["channel_names.csv", "row 4, column 2", "antenna 4", "1 to 3"]),
        (spoil("channel_names.csv", 1, "1.5,2"), ["channel_names.csv", "row 1, column 1", "'1.5'"]),
        (spoil("channel_names.csv", 1, None), ["one.csv", "4 columns", "expected 3"]),
        (spoil("frequencies.csv", 2, "1.5"), ["frequencies.csv", "1 kHz"]),
        (spoil("frequencies.csv", 2, "1.1e9"), ["frequencies.csv", "ascending"]),
        (lambda f: (f / "frequencies.csv").write_text("\n"), ["frequencies.csv", "empty"]),
        (lambda f: (f / "one.csv").write_bytes(b"\xff\xfe\x00"), ["one.csv", "text"]),
        (lambda f: (f / "one.csv").unlink(), ["'one'", "two"]),
        *[
            (lambda f, n=n: (f / n).unlink(), [n, "no such file"])
            for n in ("antenna_locations.csv", "channel_names.csv", "frequencies.csv")
        ],
    ],
)
def test_a_spoiled_folder_is_refused_with_the_place(folder, edit, words):
    edit(folder)
    with pytest.raises(FileError) as caught:
        read_measured(folder, format="merit", scan="one")
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["2 scans (one, two)", "scan"]),
        ({"scan": "on"}, ["'on'", "did you mean one?"]),
        ({"scan": "../breast/one"}, ["expected one of one, two"]),
        ({"scan": "one", "background": "three"}, ["scan 'three'"]),
        ({"scan": "one", "format": "merrit"}, ["'merrit'", "did you mean merit?"]),
    ],
)
def test_a_wrong_request_lists_what_there_is(folder, arguments, words):
    with pytest.raises(FileError) as caught:
        read_measured(folder, **arguments)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_what_no_format_recognises_lists_the_formats(tmp_path):
    with pytest.raises(FileError, match=r"recognised: expected one of merit, dataport.*explains them"):
        read_measured(tmp_path)
    with pytest.raises(FileError, match="no such file or folder"):
        read_measured(tmp_path / "absent")


@pytest.mark.skipif(not MEASURED.is_dir(), reason="the real scans are not here")
def test_the_real_phantom_has_its_tumour_in_place_with_our_phase_sign():
    scan = read_measured(MEASURED, scan="B0_P3_p000", background="B0_P3_p036", permittivity=8.0)
    assert scan.values.shape == (1, 76, 96)
    y = subtract_background(scan).values[0].astype(complex)
    # the region around the published peak, coarse elsewhere, is enough to tell the phase's sign
    x, z = np.arange(-70, 70.1, 5) * 1e-3, np.arange(2.5, 70.1, 5) * 1e-3
    points = np.stack(np.meshgrid(x, x + 2.5e-3, z, indexing="ij"), -1).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) <= 0.07]
    dist = np.linalg.norm(points[:, None] - scan.array.tx_pos, axis=2)
    image = np.zeros(len(points), complex)
    k = scan.sweep.wavenumber(8.0)
    for (t, r), channel in zip(scan.array.channels, y.T, strict=True):
        path = dist[:, t] + dist[:, r]
        phase, step = np.exp(1j * k[0] * path), np.exp(1j * (k[1] - k[0]) * path)
        for value in channel:
            image += value * phase
            phase *= step
    peak = points[np.abs(image).argmax()]
    assert np.abs(peak - (0.015, 0.0025, 0.0275)).max() <= 2.6e-3
    assert 20 * np.log10(np.abs(image).max() / np.abs(image).mean()) > 15


def test_options_that_one_format_alone_has_say_which_it_is(tmp_path):
    """A capture whose setup is elsewhere, and one without a setup; an option of two formats says nothing."""
    native.write_ti(tmp_path / "a", native.full_scan())
    (tmp_path / "a/radar.toml").rename(tmp_path / "setup.toml")
    with pytest.raises(FileError, match="no format that can be recognised"):
        read_measured(tmp_path / "a")
    read = read_measured(tmp_path / "a", settings={"config": str(tmp_path / "setup.toml")})
    assert read.steps[0]["format"] == "ti"
    with pytest.raises(FileError, match=r"a: has no setup: expected \*\.mmwave\.json, \*\.cfg or radar\.toml beside"):
        read_measured(tmp_path / "a", settings={"board": "iwr1843"})
    with pytest.raises(FileError, match="no format that can be recognised"):
        read_measured(tmp_path / "a", settings={"phase_sign": "1"})


def test_a_format_that_the_settings_state_is_taken(tmp_path):
    """As in a TOML file of --mapping; the argument has the last word."""
    native.write_ti(tmp_path / "a", native.full_scan())
    with pytest.raises(FileError, match="format merit"):
        read_measured(tmp_path / "a", settings={"format": "merit", "board": "x"})
    assert read_measured(tmp_path / "a", format="ti", settings={"format": "merit"}).steps[0]["format"] == "ti"
