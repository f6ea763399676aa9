"""Readers that a file can crash run apart, within limits of memory and time."""

import os
import signal
import time

import numpy as np
import pytest
from scipy.io import savemat

from mimo.data.files import confined as module
from mimo.data.files.confined import ConfinedError, confined
from mimo.data.files.schema import FileError
from mimo.data.importers.matlab import MatFile

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")


def read(work) -> bytes:
    with confined(work) as file:
        return file.read()


def test_what_the_reader_writes_comes_back():
    assert read(lambda file: file.write(b"some bytes")) == b"some bytes"


def crash(file):
    os.kill(os.getpid(), signal.SIGSEGV)


def fail(file):
    raise KeyError("of the reader")


def test_a_crash_and_an_error_are_told():
    with pytest.raises(ConfinedError, match=r"the reader crashed \(SIGSEGV\)"):
        read(crash)
    with pytest.raises(ConfinedError, match="of the reader"):
        read(fail)


def test_time_and_memory_have_limits(monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(ConfinedError, match="more than 0 s"):
        read(lambda file: time.sleep(60))
    assert time.monotonic() - started < 10
    monkeypatch.setenv("MIMO_READ_MEMORY", "100M")
    monkeypatch.setattr(module, "SECONDS", 20)
    with pytest.raises(ConfinedError, match="100 MiB that MIMO_READ_MEMORY allows; a larger value lifts"):
        read(lambda file: file.write(np.ones(2**28, np.uint8)))
    monkeypatch.setenv("MIMO_READ_MEMORY", "much")
    with pytest.raises(ValueError, match="MIMO_READ_MEMORY is 'much'"):
        read(crash)


def test_structures_cells_and_numbers_of_a_matlab_file(tmp_path):
    cells = np.empty((2, 1), object)
    cells[0, 0], cells[1, 0] = np.arange(3.0), np.arange(3.0) + 1j
    values = np.arange(6).reshape(2, 3) * (1 + 2j)
    savemat(tmp_path / "a.mat", {"s": {"inner": {"x": values}, "text": "abc"}, "c": cells, "n": 5.0})
    with MatFile(tmp_path / "a.mat") as file:
        assert file.names == ("c", "n", "s")
        np.testing.assert_array_equal(file.get("s.inner.x"), values)
        np.testing.assert_array_equal(file.get("c"), np.stack([np.arange(3), np.arange(3) + 1j]))
        assert file.get("n").shape == (1, 1)
        with pytest.raises(FileError, match="is a structure: expected one of its fields"):
            file.get("s.inner")


def test_single_bits_of_a_matlab_file(tmp_path):
    """Some of these crash scipy's reader; here each is read or refused, and this process lives."""
    path = tmp_path / "a.mat"
    savemat(path, {"a": np.arange(6.0), "s": {"b": np.ones((2, 2)), "c": "text"}})
    whole = path.read_bytes()
    rng, refused = np.random.default_rng(3), []
    for bit in rng.choice(8 * (len(whole) - 128), 60, replace=False) + 8 * 128:
        mangled = bytearray(whole)
        mangled[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(mangled)
        try:
            with MatFile(path) as file:
                for name in file.names:
                    file.has(name)
        except FileError as error:
            refused.append(str(error))
    assert refused
    assert all(str(path) in message for message in refused)


@pytest.mark.parametrize("kind", ["pipe", "folder", "missing"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "a.mat"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(FileError, match="expected a MATLAB file"):
        MatFile(path)
