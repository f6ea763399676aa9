"""Whatever a reader of a foreign format raises becomes one error, which names the file and what was expected."""

import os

import numpy as np
import pytest

from mimo.data import FileError
from mimo.data.importers import IMPORTERS, read_measured


@pytest.fixture
def path(tmp_path):
    np.savez(tmp_path / "scan.npz", values=np.ones(3))
    return tmp_path / "scan.npz"


@pytest.mark.parametrize(
    "raised", [RuntimeError("of a library"), KeyError("x"), RecursionError(), IndexError("out"), OverflowError("large")]
)
def test_any_error_of_a_reader_names_the_file(path, monkeypatch, raised):
    def read(path, *, permittivity=1.0):
        raise raised

    monkeypatch.setattr(IMPORTERS["array"], "read", read)
    with pytest.raises(FileError, match=f"{path.name}: cannot be read, .*{type(raised).__name__}.*: expected a whole"):
        read_measured(path, format="array")


def test_too_little_memory_is_told_as_such(path, monkeypatch):
    def read(path, *, permittivity=1.0):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(IMPORTERS["array"], "read", read)
    with pytest.raises(FileError, match=r"does not fit in memory .*9 TiB"):
        read_measured(path, format="array")


def test_errors_while_a_format_is_recognised_name_the_file(path, monkeypatch):
    def recognise(path):
        raise RuntimeError("mangled")

    monkeypatch.setattr(IMPORTERS["merit"], "recognise", recognise)
    with pytest.raises(FileError, match=r"scan\.npz: .*mangled.*whole file of merit"):
        read_measured(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("format", [None, *IMPORTERS])
def test_a_pipe_is_refused_at_once(tmp_path, format):
    os.mkfifo(tmp_path / "pipe.mat")
    with pytest.raises(FileError, match="is neither a file nor a folder"):
        read_measured(tmp_path / "pipe.mat", format=format)
