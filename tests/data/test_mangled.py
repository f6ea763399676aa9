"""Whatever is done to a file's bytes, reading it works or raises FileError; nothing else, and never a pickle.

The examples are the same in every run: HDF5 is a C library, and what it makes of a random file should not decide
at random whether the suite passes.
"""

import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mimo.data import FileError, load_reconstructions, validate

REPEATABLE = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def no_pickle(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a file was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)


def read_or_refuse(path, data):
    path.write_bytes(data)
    message = f"{path}: read"
    try:
        validate(path)
        load_reconstructions(path)
    except FileError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@st.composite
def edits(draw):
    """A few places and what happens there; places are fractions of the file, mostly of its first part, the headers."""
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(["flip", "overwrite", "insert", "cut", "truncate"]),
                st.one_of(st.floats(0, 0.3), st.floats(0, 1, exclude_max=True)),
                st.one_of(st.binary(min_size=1, max_size=16), st.sampled_from([b"\xff" * 8, b"\0" * 8])),
            ),
            min_size=1,
            max_size=4,
        )
    )


@REPEATABLE
@given(edits=edits())
def test_a_mangled_file_is_read_or_refused(tmp_path, valid_bytes, no_pickle, edits):
    data = bytearray(valid_bytes[False])
    for kind, fraction, noise in edits:
        at = int(fraction * len(data))
        if kind == "flip" and data:
            data[at] ^= noise[0] | 1
        elif kind == "overwrite":
            data[at : at + len(noise)] = noise
        elif kind == "insert":
            data[at:at] = noise
        elif kind == "cut":
            del data[at : at + len(noise)]
        elif kind == "truncate":
            del data[at:]
    read_or_refuse(tmp_path / "mangled.h5", data)


@REPEATABLE
@given(data=st.binary(max_size=300), header=st.booleans())
def test_random_bytes_are_refused(tmp_path, no_pickle, data, header):
    path = tmp_path / "random.h5"
    path.write_bytes((b"\x89HDF\r\n\x1a\n" if header else b"") + data)
    with pytest.raises(FileError):
        validate(path)


def test_a_truncated_file_is_refused_at_every_length(tmp_path, valid_bytes, no_pickle):
    data = valid_bytes[True]
    path = tmp_path / "short.h5"
    for length in [*range(0, 64, 7), *range(64, len(data) - 1, 997), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(FileError, match=r"short\.h5: is not a whole HDF5 file"):
            validate(path)
