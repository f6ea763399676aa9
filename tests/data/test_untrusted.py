"""Files that lie about their size, or lead out of themselves, are refused before their data is read."""

import os

import h5py
import pytest

from mimo.data import FileError, load, load_reconstructions, validate


def test_what_is_no_file_of_the_schema_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    (tmp_path / "empty.h5").write_bytes(b"")
    h5py.File(tmp_path / "bare.h5", "w").close()
    os.mkfifo(tmp_path / "pipe.h5")
    for name, message in [
        ("absent.h5", "no such file"),
        ("x" * 300, "is not a whole HDF5 file .*too long"),
        (".", "is a folder"),
        ("pipe.h5", "is a pipe"),
        ("text.h5", "is not a whole HDF5 file"),
        ("empty.h5", "is not a whole HDF5 file"),
        ("bare.h5", "attribute schema is missing"),
    ]:
        for read in (load, validate, load_reconstructions):
            with pytest.raises(FileError, match=message):
                read(tmp_path / name)


def replace_with(path, name, make):
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file, name)


def huge(file, name):
    file.create_dataset(name, (2**33, 4, 2, 3), "c8", chunks=(1, 4, 2, 3))


def absurd(file, name):
    file.create_dataset(name, (2**60, 4, 2, 3), "c8", chunks=(1, 4, 2, 3))


def bomb(file, name):
    file.create_dataset(name, (2**20, 4, 2, 3), "c8", chunks=(2**16, 4, 2, 3), maxshape=(None, 4, 2, 3), compression=9)


def big_chunk(file, name):
    file.create_dataset(name, (6, 4, 2, 3), "c8", chunks=(2**23, 4, 2, 3), maxshape=(None, 4, 2, 3))


def outside(file, name):
    file.create_dataset(name, (6, 4, 2, 3), "c8", external=[("/etc/passwd", 0, 6 * 4 * 6 * 8)])


def virtual(source):
    def make(file, name):
        layout = h5py.VirtualLayout((6, 4, 2, 3), "c8")
        layout[:] = h5py.VirtualSource(source, "/measurement/values", (6, 4, 2, 3))
        file.create_virtual_dataset(name, layout)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f, n: f.__setitem__(n, h5py.ExternalLink("other.h5", "/x")), "is an external link"),
        (lambda f, n: f.__setitem__(n, h5py.SoftLink("/truth/reflectivity")), "is a soft link"),
        (lambda f, n: f.create_group(n), "is a group: expected a dataset"),
        (lambda f, n: f.__setitem__(n, h5py.Empty("c8")), "is empty"),
        (outside, "is stored in another file"),
        (absurd, "at most 2"),
        (huge, "0 bytes stored"),
        (bomb, "0 bytes stored"),
        (big_chunk, "has chunks"),
        (virtual("/etc/secret.h5"), "expected a shard in this file's folder"),
        (virtual("../valid.h5"), "expected a shard in this file's folder"),
        (virtual("."), "expected a shard in this file's folder"),
        (virtual("valid.h5"), "stored in the shard"),
        (virtual("absent.h5"), "which is missing"),
    ],
)
def test_hostile_data_is_refused_before_it_is_read(saved, make, message):
    replace_with(saved, "measurement/values", make)
    with pytest.raises(FileError, match=message) as caught:
        load(saved)
    assert "measurement/values" in str(caught.value)


@pytest.mark.parametrize("name", ["array", "reconstruction", "reconstruction/pnp"])
def test_a_group_that_leads_elsewhere_is_refused(saved, name):
    replace_with(saved, name, lambda f, n: f.__setitem__(n, h5py.ExternalLink("other.h5", "/x")))
    with pytest.raises(FileError, match=f"{name} is an external link"):
        load(saved)
