"""Spoiled files of each format are refused in one line that names the place; a wrong order of axes is named too."""

import h5py
import numpy as np
import pytest
from fixtures import native_layouts as native
from scipy.io import loadmat, savemat

from mimo.data import FileError, read_measured, save

FULL, FLOWN = native.full_scan(), native.flown_scan()


def refused(path, words, **arguments):
    with pytest.raises(FileError) as caught:
        read_measured(path, **arguments)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, f"{word!r} not in {message!r}"


def edit_mat(path, **changes):
    found = {k: v for k, v in loadmat(path, simplify_cells=True).items() if not k.startswith("__")}
    for dotted, value in changes.items():
        *groups, last = dotted.split("__")
        inner = found
        for name in groups:
            inner = inner[name]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    savemat(path, found)


GOOD = FULL.values[0].transpose(2, 1, 0)  # rx, tx, freq


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"EMData__Values": GOOD.transpose(2, 1, 0)}, ["EMData.Values", "(4, 2, 3)", "(3, 2, 4)", "freq,tx,rx"]),
        ({"EMData__Values": GOOD.transpose(1, 0, 2)}, ["the order tx,rx,freq"]),
        ({"EMData__Values": GOOD[:, :, :3]}, ["EMData.Values", "(3, 2, 3)", "(3, 2, 4)"]),
        ({"EMData__Values": GOOD.real}, ["EMData.Values", "float32", "complex"]),
        ({"EMData__Values": np.where(GOOD[1, 1, 2] == GOOD, np.nan, GOOD)}, ["EMData.Values", "(1, 1, 2)", "finite"]),
        ({"EMData__Values": None}, ["EMData.Values", "missing", "Other"]),
        ({"OperateFreq": None}, ["OperateFreq", "missing", "EMData"]),
        ({"OperateFreq": native.FREQ[:2]}, ["EMData.Values", "(3, 2, 2)"]),
        ({"OperateFreq": native.FREQ / 1e9}, ["OperateFreq", "1 kHz"]),
        ({"OperateFreq": native.FREQ[[0, 1, 1, 3]]}, ["OperateFreq", "ascending"]),
        ({"MIMOArray__Transmitter__Z": np.zeros(3)}, ["MIMOArray.Transmitter.Z", "3 antennas", "expected 2"]),
        ({"MIMOArray__Receiver__Y": None}, ["MIMOArray.Receiver.Y", "missing", "X"]),
        ({"MIMOArray__Receiver": 3.0}, ["MIMOArray.Receiver", "structure"]),
    ],
)
def test_a_spoiled_dataport_file_is_named_with_the_variable(tmp_path, changes, words):
    path = tmp_path / "gun.mat"
    native.write_dataport(path, FULL)
    edit_mat(path, EMData__Other=1.0)
    edit_mat(path, **changes)
    refused(path, words, format="dataport")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: f.__delitem__("EMData/Values"), ["EMData.Values", "missing"]),
        (lambda f: f.__delitem__("MIMOArray"), ["MIMOArray", "missing", "EMData"]),
        (lambda f: f.__setitem__("OperateFreq", h5py.SoftLink("/EMData")), ["OperateFreq", "soft link"]),
        (lambda f: f["MIMOArray/Receiver"].__setitem__("X", h5py.ExternalLink("other.h5", "/x")), ["external link"]),
    ],
)
def test_a_spoiled_hdf5_matlab_file_is_named_with_the_variable(tmp_path, edit, words):
    path = tmp_path / "gun.mat"
    native.write_dataport(path, FULL, version="7.3")
    with h5py.File(path, "r+") as file:
        for name in ("OperateFreq", "MIMOArray/Receiver/X"):
            if "link" in words[-1] and name.split("/")[-1] in (words[0], "X"):
                del file[name]
        edit(file)
    refused(path, words, format="dataport")


def test_axes_of_arrays_that_do_not_fit_are_named(tmp_path):
    common = {"freq": native.FREQ, "tx_pos": native.TX, "rx_pos": native.RX}
    path = tmp_path / "a.npz"
    native.write_named(path, values=FULL.values[0].transpose(2, 0, 1), **common)
    refused(path, ["values has shape (3, 4, 2)", "(4, 2, 3)", "rx,freq,tx"], settings={"axes": "freq,tx,rx"})
    refused(path, ["axes is freq,tx", "freq,tx,rx"], settings={"axes": "freq,tx"})
    refused(path, ["option of format array 'axis'", "did you mean 'axes'?"], settings={"axis": "freq,tx,rx"})
    refused(path, ["phase_sign is 2"], settings={"phase_sign": "2"})
    refused(path, ["phase_sign", "whole number"], settings={"phase_sign": "plus"})
    refused(path, ["length_unit is 'ft'", "inch"], settings={"length_unit": "ft"})
    refused(path, ["'S' is missing", "freq, rx_pos, tx_pos, values"], settings={"values": "S"})
    native.write_named(path, values=np.ones((4, 3, 3), complex), **{**common, "tx_pos": native.RX})
    refused(path, ["fits freq,tx,rx or freq,rx,tx", "expected axes to be stated"])
    native.write_named(path, values=np.ones((4, 5, 3), complex), **common)
    refused(path, ["values has shape (4, 5, 3)", "freq 4, tx 2, rx 3"])
    native.write_named(path, values=FULL.values[0], **common, pairs=native.PAIRS)
    refused(path, ["pairs[0] is (0, 0)", "counted from 1"], settings={"channels": "pairs", "first_index": 1})
    save(tmp_path / "own.h5", FULL)
    refused(tmp_path / "own.h5", ["mimo-imaging file already"], format="array")
    np.savez(path, values=np.array([{}], object), **common)
    refused(path, ["cannot be read", "array 'values'"])
    np.savez(path, S=FULL.values[0], **common)
    refused(path, ["no format that can be recognised", "it holds S, freq, rx_pos, tx_pos"])
    path.write_bytes(b"PK\x03\x04 no archive")
    refused(path, ["cannot be read", "numpy.savez"], format="array")
    refused(path, ["cannot be read", "numpy.savez"])


def change(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("n_sample = 4", "n_sample = 6", ["adc_data.bin", "has 192 16-bit", "2 chirps x 2 tx x 3 rx x 6 samples"]),
        ("n_sample = 4", "n_sample = 3", ["radar.toml", "n_sample is 3", "even"]),
        ("n_sample = 4", "n_sample = 4.5", ["n_sample is 4.5", "whole number"]),
        ("n_chirp = 2", "", ["n_chirp is missing"]),
        ("lanes = 2", "lanes = 3", ["lanes is 3", "2 or 4"]),
        ("lanes = 2", "lane = 2", ["'lane' is unknown", "lanes"]),
        ("slope", "iq_order = 'II'\nslope", ["iq_order is 'II'", "IQ or QI"]),
        ("tx_pos = [[", "tx_pos = [[[", ["radar.toml", "not TOML"]),
        ("rx_pos = [[0.03, ", "rx_pos = [['a', ", ["rx_pos", "x, y, z"]),
        ("start_freq = 4", "start_freq = -4", ["start_freq is -4", "positive"]),
    ],
)
def test_a_spoiled_ti_capture_is_named_with_the_entry(tmp_path, old, new, words):
    native.write_ti(tmp_path, FULL)
    change(tmp_path, "radar.toml", old, new)
    refused(tmp_path, words)


def test_a_truncated_ti_capture_is_named_with_the_length(tmp_path):
    native.write_ti(tmp_path, FULL)
    data = (tmp_path / "adc_data.bin").read_bytes()
    (tmp_path / "adc_data.bin").write_bytes(data[:-2])
    refused(tmp_path, ["191 16-bit numbers", "expected 1 frames of 96"])
    (tmp_path / "adc_data.bin").write_bytes(data[:-1])
    refused(tmp_path, ["383 bytes", "even number"])


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("antennas.csv", "name,kind", "label,kind", ["antennas.csv", "column name"]),
        ("antennas.csv", "t0,tx", "t0,transmitter", ["antennas.csv", "row 2", "'transmitter'"]),
        ("antennas.csv", "t1,tx", "t0,tx", ["row 3", "'t0'"]),
        ("antennas.csv", "-0.1,", "inf,", ["row 2, column x", "'inf'"]),
        ("antennas.csv", "r2,rx", "r7,rx", ["t0_r2.s2p", "names no channel"]),
        ("t0_r1.s2p", "7 0.1", "7.1 0.1", ["t0_r1.s2p", "other frequencies than t0_r0.s2p"]),
        ("t0_r1.s2p", "7 0.1 0.2 ", "7 0.1 0.2 nan ", ["t0_r1.s2p"]),
        ("t0_r1.s2p", "# GHz S RI R 50", "# GHz Q RI R 50", ["t0_r1.s2p", "Touchstone"]),
    ],
)
def test_a_spoiled_touchstone_folder_is_named_with_the_place(tmp_path, name, old, new, words):
    native.write_touchstone_folder(tmp_path, FULL)
    change(tmp_path, name, old, new)
    refused(tmp_path, words)


def test_what_a_touchstone_folder_lacks_is_said(tmp_path):
    native.write_touchstone_folder(tmp_path, FULL, listed=True)
    refused(tmp_path, ["parameter is 'S2'", "S21"], settings={"parameter": "S2"})
    refused(tmp_path, ["2 ports", "S31"], settings={"parameter": "S31"})
    change(tmp_path, "channels.csv", "m02.s2p,t0,r2", "m02.s2p,t0,r9")
    refused(tmp_path, ["channels.csv row 4", "'r9'", "r0, r1, r2"])
    (tmp_path / "antennas.csv").unlink()
    refused(tmp_path, ["antennas.csv", "cannot be read"], format="touchstone")


def test_what_a_qar50_folder_lacks_is_said(tmp_path):
    native.write_qar50(tmp_path, FULL)
    np.save(tmp_path / "000001.npy", {"xr": 1}, allow_pickle=True)
    refused(tmp_path, ["no scan is named", "000000, 000001"])
    refused(tmp_path, ["000001.npy", "xr is missing"], scan="000001")
    np.save(tmp_path / "000001.npy", FULL.values[0].transpose(1, 2, 0))
    refused(tmp_path, ["shape (2, 3, 4)", "tx,rx,freq"], scan="000001")
    change(tmp_path, "Rx.dat", "0.11", "up")
    refused(tmp_path, ["Rx.dat", "row 3, column 2", "'up'"], scan="000000")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__fp": FLOWN.values[0].T}, ["data.fp has shape (5, 4)", "channel,freq"]),
        ({"data__r0": np.ones(3)}, ["data.r0 has 3 pulses", "expected 5"]),
        ({"data__x": None}, ["data.x", "missing"]),
        ({"data__y": np.full(5, np.nan)}, ["data.y", "index (0,)"]),
    ],
)
def test_a_spoiled_gotcha_file_is_named_with_the_variable(tmp_path, changes, words):
    native.write_gotcha(tmp_path / "a.mat", FLOWN)
    edit_mat(tmp_path / "a.mat", **changes)
    refused(tmp_path / "a.mat", words, format="gotcha")


def test_a_damaged_matlab_file_is_refused(tmp_path):
    path = tmp_path / "gun.mat"
    for version in ("5", "7.3"):
        native.write_dataport(path, FULL, version=version)
        path.write_bytes(path.read_bytes()[:700])
        refused(path, ["gun.mat"], format="dataport")


@pytest.mark.parametrize("kind", native.KINDS)
def test_whatever_is_done_to_the_bytes_the_file_is_read_or_refused_in_one_line(tmp_path, kind):
    where, format_, _ = native.write(kind, tmp_path)
    rng = np.random.default_rng(len(kind))
    files = sorted(path for path in tmp_path.iterdir() if path.is_file())
    for _ in range(12):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        data, place = bytearray(whole), int(rng.integers(min(len(whole), 700)))
        edit = rng.integers(3)
        data[place:] = [bytes([data[place] ^ 4]) + data[place + 1 :], rng.bytes(8) + data[place + 8 :], b""][edit]
        path.write_bytes(data)
        message = ""
        try:
            read_measured(where, format=format_)
        except FileError as error:
            message = str(error)
        assert "\n" not in message
        path.write_bytes(whole)
