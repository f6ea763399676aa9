"""MAROON: pickled frames of a QAR50, read without running them; hostile and mangled ones are refused."""

import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from mimo import ArrayGeometry, FrequencySweep
from mimo.data import FileError, read_measured
from mimo.data.importers.safe_pickle import load_pickled_dict

FREQ = np.linspace(72e9, 82e9, 5)


def frame(**changes):
    """The dictionary of a frame in the published layout: 96 x 96 antennas, the outer ones references."""
    array, point = ArrayGeometry.qar50(), np.array([0.02, -0.03, 0.3])
    to, back = (np.linalg.norm(pos - point, axis=1) for pos in (array.tx_pos, array.rx_pos))
    xr = np.full((96, 96, 5), 7 + 7j, np.complex64)
    xr[1:-1, 1:-1] = np.exp(-2j * np.pi * np.multiply.outer(back[:, None] + to, FREQ) / 299792458)
    held = {"xr": xr, "fvec": FREQ, "number_of_measurements": np.array([[3]]), "timestamp_us": np.array([5], np.uint64)}
    return held | changes


def save(path, value, protocol=4):
    """As numpy.save does it, in any protocol."""
    holder = np.empty((), object)
    holder[()] = value
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(holder))
        pickle.dump(holder, file, protocol=protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_published_frame_is_read(tmp_path, protocol):
    folder = tmp_path / "calibrated_data"
    folder.mkdir()
    save(folder / "000000.npy", frame(), protocol)
    save(folder / "000000_emptyfiltered.npy", frame(xr=2 * frame()["xr"]), protocol)
    made = read_measured(tmp_path, scan="000000")
    assert made.array == ArrayGeometry.qar50()
    assert made.sweep == FrequencySweep(FREQ)
    np.testing.assert_allclose(made.values[0], frame()["xr"][1:-1, 1:-1].transpose(2, 1, 0))
    other = read_measured(tmp_path, scan="000000_emptyfiltered")
    np.testing.assert_allclose(other.values, 2 * made.values)
    assert read_measured(folder / "000000.npy").steps[0]["format"] == "qar50"


def test_numpy_save_writes_what_is_read(tmp_path):
    held = {"a": [1, 2.5, "text", None, True, 1 + 2j], "b": {"c": np.float32(3)}, "d": np.asfortranarray(np.eye(2, 3))}
    np.save(tmp_path / "f.npy", held)
    made = load_pickled_dict(tmp_path / "f.npy")
    assert made["a"] == held["a"]
    assert made["b"] == {"c": 3}
    np.testing.assert_array_equal(made["d"], held["d"])


class Hostile:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("call", "arguments", "named"),
    [
        (os.system, ("touch {}",), "system"),
        (eval, ("__import__('pathlib').Path('{}').touch()",), "eval"),
        (Path.touch, (Path("{}"),), "touch|getattr|pathlib"),
        (getattr, (np, "load"), "getattr"),
        (np.load, ("{}",), "load"),
    ],
)
def test_a_hostile_pickle_is_refused_with_what_it_tried(tmp_path, protocol, call, arguments, named):
    mark = tmp_path / "ran"
    filled = tuple(type(a)(str(a).format(mark)) if isinstance(a, str | Path) else a for a in arguments)
    if call is getattr:
        filled = ("numpy", "load")
    save(tmp_path / "000000.npy", frame(note=Hostile(call, *filled)), protocol)
    with pytest.raises(FileError, match=rf"000000\.npy: asks to import \S*({named}).*refused"):
        read_measured(tmp_path / "000000.npy")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([1, "a", None], object), ["array of objects"]),
        ([1, 2], ["holds a list", "dictionary"]),
        ({1: 2}, ["dictionary with names"]),
        ({"xr": np.zeros(3, [("a", "f4"), ("b", "i2")])}, ["dtype"]),
        ({"fvec": FREQ}, ["xr is missing", "there is fvec"]),
        ({"xr": np.ones((96, 96), complex), "fvec": FREQ}, ["shape (96, 96)", "3 axes"]),
        ({"xr": np.ones((96, 96, 4), complex), "fvec": FREQ}, ["fvec has 5", "xr has 4"]),
        ({"xr": np.ones((90, 96, 5), complex), "fvec": FREQ}, ["shape (90, 96, 5)"]),
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path, value, words):
    save(tmp_path / "000000.npy", value)
    with pytest.raises(FileError) as caught:
        read_measured(tmp_path / "000000.npy")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_mangled_frames_are_refused_in_one_line(tmp_path):
    path = tmp_path / "000000.npy"
    save(path, {"xr": np.ones((3, 3, 2), complex), "fvec": FREQ[:2]})
    content = path.read_bytes()
    rng = np.random.default_rng(2)
    start = content.index(b"\n") + 1
    for cut in range(start, len(content), 37):
        path.write_bytes(content[:cut])
        with pytest.raises(FileError):
            load_pickled_dict(path)
    for _ in range(300):
        spoiled = bytearray(content)
        spoiled[int(rng.integers(start, len(content)))] = int(rng.integers(256))
        path.write_bytes(bytes(spoiled))
        with suppress(FileError):  # any other error is a failure
            load_pickled_dict(path)


def test_the_layout_has_the_published_facts():
    array = ArrayGeometry.qar50()
    assert (array.n_tx, array.n_rx) == (94, 94)
    assert eval(repr(array)) == array
    np.testing.assert_allclose(
        array.rx_pos[[0, 46, 47]], [[0.069, -0.0705, 0], [-0.069, -0.0705, 0], [0.069, 0.0705, 0]]
    )
    np.testing.assert_allclose(
        array.tx_pos[[0, 1, 46, 47]], [[0.072, -0.069, 0], [0.0705, -0.066, 0], [0.072, 0.069, 0], [-0.072, -0.069, 0]]
    )
