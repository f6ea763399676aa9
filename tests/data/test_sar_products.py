"""CPHD and CRSD that sarkit wrote: a point is imaged where it is, and what cannot be read is refused in one line."""

from contextlib import suppress

import numpy as np
import pytest
import torch

from mimo import VoxelGrid, backproject, born_operator
from mimo.data import FileError, load, read_measured, save
from mimo.extras import MissingExtraError

sar = pytest.importorskip("fixtures.sar_files", reason="sarkit is not installed: pip install mimo-imaging[sar]")

RESOLUTION = {"cphd": (0.31, 0.27), "crsd": (0.94, 0.27)}
"""Of the band in ground range (c / 2 B cos of 37 degrees), of the aperture across, metres."""


def peak(made, point):
    """Where the image's largest voxel is, within half a metre of the point, voxels 25 mm wide; and how much adds up."""
    axes = [(each - 0.5, each + 0.5, 41) for each in point[:2]]
    grid = VoxelGrid.from_extent(x=axes[0], y=axes[1], z=(point[2], point[2], 1))
    A = born_operator(made.array, made.sweep, grid, reference_path=made.reference_path)
    image = backproject(torch.tensor(made.values[0]), A).abs().numpy()
    return grid.centers()[image.argmax()], image.max() / np.abs(made.values).sum()


@pytest.mark.parametrize("sign", [-1, 1, "+1"])
@pytest.mark.parametrize("kind", ["CF8", "CI4", "CI2"])
def test_a_point_of_a_cphd_file_is_where_it_was(tmp_path, sign, kind):
    flight = sar.write_cphd(tmp_path / "a.cphd", sign=int(sign), kind=kind, wrong={"Global/SGN": sign})
    made = read_measured(tmp_path / "a.cphd")
    assert made.values.shape == (1, 200, 61)  # the samples outside of the band are left out
    assert made.steps[0]["format"] == "cphd"
    np.testing.assert_allclose(
        np.abs(made.values) / np.abs(made.values).mean(), 1, atol=0.08
    )  # AmpSF; CI2 has 25 steps
    np.testing.assert_allclose(made.array.tx_pos, flight.local, atol=1e-6)
    place, share = peak(made, sar.POINT)
    assert np.abs(place - sar.POINT).max() < 0.1 * min(RESOLUTION["cphd"])
    assert share > 0.999
    mirror = read_measured(tmp_path / "a.cphd")
    mirror.values.setflags(write=True)
    mirror.values[:] = mirror.values.conj()
    assert peak(mirror, sar.POINT)[1] < 0.3
    save(tmp_path / "a.h5", made)
    again = load(tmp_path / "a.h5")
    np.testing.assert_array_equal(again.reference_path, made.reference_path)


@pytest.mark.parametrize("speed", [0.0, 7000.0])
def test_a_point_of_a_crsd_file_is_where_it_was(tmp_path, speed):
    flight = sar.write_crsd(tmp_path / "a.crsd", speed=speed)
    made = read_measured(tmp_path / "a.crsd")
    assert made.array.n_tx == flight.n
    assert (made.sweep.freq[0], made.sweep.freq[-1]) == (pytest.approx(9.8e9, abs=1e6), pytest.approx(10e9, abs=1e6))
    np.testing.assert_allclose(made.array.rx_pos, flight.local - [0, 40, 0], atol=0.02)
    place, share = peak(made, sar.POINT)
    assert np.abs(place - sar.POINT).max() < 0.1 * min(RESOLUTION["crsd"])
    assert share > 0.99


def test_channel_vectors_and_frame(tmp_path):
    path = tmp_path / "a.cphd"
    flight = sar.write_cphd(path, dead=5)
    whole = read_measured(path)
    assert whole.array.n_tx == 60  # the vector without a signal is left out
    other = read_measured(path, settings={"channel": "noise"})
    assert other.source == "cphd a.cphd channel noise"
    assert np.abs(other.values - whole.values).max() > 0.1
    part = read_measured(path, settings={"vectors": "10:50:3"})
    np.testing.assert_array_equal(part.values, whole.values[..., 9:49:3])
    earth = read_measured(path, settings={"frame": "ecf", "vectors": "6:"})
    np.testing.assert_allclose(earth.array.tx_pos, flight.tx[6:], atol=1e-9)
    np.testing.assert_array_equal(earth.reference_path, whole.reference_path[5:])
    sar.write_crsd(tmp_path / "a.crsd")
    assert read_measured(tmp_path / "a.crsd", settings={"vectors": ":7"}).values.shape[2] == 7


def test_axes_of_other_surfaces_point_up(tmp_path):
    """An image area whose axes are left-handed keeps x; one of constant height has east, north, up."""
    flight = sar.write_cphd(tmp_path / "a.cphd", surface="mirrored")
    made = read_measured(tmp_path / "a.cphd")
    np.testing.assert_allclose(made.array.tx_pos, flight.local, atol=1e-6)
    sar.write_cphd(tmp_path / "b.cphd", surface="hae")
    made = read_measured(tmp_path / "b.cphd")
    np.testing.assert_allclose(np.linalg.norm(made.array.tx_pos, axis=1), np.linalg.norm(flight.local, axis=1))
    down = np.rad2deg(np.arccos(sar.UP[2])) - (90 - 33.42539)  # geocentric and geodetic latitude differ by this
    assert 0.15 < down < 0.2
    up = made.array.tx_pos[:, 2] - flight.local[:, 2]
    assert np.abs(up).max() < 5000 * np.deg2rad(down) * 1.01
    east = (flight.tx - sar.ORIGIN) @ sar.EAST
    np.testing.assert_allclose(made.array.tx_pos[:, 0], east, atol=1e-6)


def refused(path, *words, **settings):
    with pytest.raises(FileError) as caught:
        read_measured(path, settings=settings)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"Global/DomainType": "TOA"}, ["Global/DomainType is TOA", "expected FX"]),
        ({"Global/SGN": "0"}, ["Global/SGN is 0", "-1 or +1"]),
        ({"Global/SGN": " "}, ["Global/SGN is missing"]),
        ({"Channel/RefChId": "none"}, ["RefChId is 'none'", "noise, a/b 2"]),
        ({"SceneCoordinates/IARP/ECF/Z": "up"}, ["IARP/ECF/Z is 'up'", "number"]),
        ({"SceneCoordinates/ReferenceSurface/Planar/uIAX/X": "1"}, ["uIAX", "unit vectors"]),
    ],
)
def test_a_spoiled_cphd_file_is_named_with_the_element(tmp_path, wrong, words):
    sar.write_cphd(tmp_path / "a.cphd", wrong=wrong)
    refused(tmp_path / "a.cphd", *words)


def test_what_is_asked_for_and_is_not_there_is_refused(tmp_path):
    path = tmp_path / "a.cphd"
    sar.write_cphd(path)
    refused(path, "channel 'x'", "noise, a/b 2", channel="x")
    refused(path, "frame is 'moon'", "scene or ecf", frame="moon")
    for wrong in ("7", "a:b", "70:80", "5:5", "9:1:-1", "1:2:3:4", "0:9:0"):
        refused(path, f"vectors is {wrong!r}", "61", vectors=wrong)
    sar.write_cphd(path, drift=1e4)
    refused(path, "frequencies of vector", "apart", "expected the same of all")
    read_measured(path, settings={"vectors": "30:31"})


def test_a_crsd_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.crsd"
    for side in ("rcv", "tx"):
        sar.write_crsd(path, side=side)
        refused(path, "CRSDsar/1", "transmitter and receiver")
    sar.write_crsd(path, waveform="XM")
    refused(path, "TxWFType is XM", "LFM")
    sar.write_crsd(path, rate=1e12)
    refused(path, "FICRate", "with a chirp")


@pytest.mark.parametrize("kind", ["cphd", "crsd"])
def test_mangled_files_are_refused_in_one_line(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    (sar.write_cphd if kind == "cphd" else sar.write_crsd)(path)
    content = path.read_bytes()
    rng = np.random.default_rng(8)
    for cut in (len(content) - 9, len(content) // 2, 3000, 700, 20, 8, 0):
        path.write_bytes(content[:cut])
        with pytest.raises(FileError):
            read_measured(path, format=kind)
    head = content.index(b"SceneCoordinates") + 4000
    for _ in range(60):
        spoiled = bytearray(content)
        spoiled[int(rng.integers(head))] = int(rng.integers(256))
        path.write_bytes(bytes(spoiled))
        with suppress(FileError):  # any other error is a failure
            read_measured(path, format=kind)
    longer = content.replace(b"<NumSamples>220", b"<NumSamples>990").replace(b"<NumVectors>61", b"<NumVectors>99")
    path.write_bytes(longer)
    refused(path, "bytes: expected", "99")


def test_the_old_version_and_a_missing_extra_are_said(tmp_path, monkeypatch):
    path = tmp_path / "a.cphd"
    path.write_bytes(b"CPHD/0.3\n\f\n")
    refused(path, "CPHD/1", "1.0.1 or 1.1.0")
    sar.write_cphd(path)
    monkeypatch.setitem(__import__("sys").modules, "sarkit.cphd", None)
    with pytest.raises(MissingExtraError, match=r"needs sarkit: pip install 'mimo-imaging\[sar\]'"):
        read_measured(path)
