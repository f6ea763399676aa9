"""Nothing that a user has is lost, whatever is given as an output; and no file's text commands a terminal."""

import os
import resource
import shutil

import h5py
import numpy as np
import pytest
from fixtures import native_layouts as native
from test_command_line import bad, good, mimo

from mimo import data
from mimo.commands.shared import printable
from mimo.recon.files import runs_of, write_history

SMALL = ["--n-freq", "4", "--grid", "x=-0.1:0.1:5,y=-0.1:0.1:7,z=0.4:0.6:11"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "s.h5"
    good("synth", path, "--n", 1, "--seed", 5, *SMALL, "--quiet")
    good("reconstruct", path, path, "--method", "backprojection", "--quiet")
    return path


@pytest.fixture
def scan(made, tmp_path, monkeypatch):
    """A file of a measurement and an image, in the working folder."""
    shutil.copy(made, tmp_path / "s.h5")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "s.h5"


COMMANDS = {
    "import": ("import", "SAME", "OUT"),
    "prepare": ("prepare", "SAME", "OUT", "--every", 2),
    "history": ("reconstruct", "SAME", "new.h5", "--method", "l1", "--history", "OUT"),
    "figure": ("figure", "SAME", "OUT"),
    "export": ("export", "SAME", "OUT"),
    "info": ("info", "SAME", "--figure", "OUT"),
}
SUFFIXES = {"figure": ".png", "export": ".html", "info": ".png", "history": ".h5", "import": ".h5", "prepare": ".h5"}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_is_the_input_is_refused_however_it_is_spelled(scan, name):
    path = scan.with_name(f"same{SUFFIXES[name]}")
    scan.rename(path)
    path.with_name(f"link{path.suffix}").symlink_to(path)
    before = path.read_bytes()
    for spelled in (path.name, f"sub/../{path.name}", f"link{path.suffix}"):
        words = [{"SAME": path, "OUT": spelled}.get(word, word) for word in COMMANDS[name]]
        bad(*words, parts=(spelled, "is the input", "another name"))
    assert path.read_bytes() == before
    assert {found.name for found in path.parent.iterdir()} == {path.name, f"link{path.suffix}", "sub"}


def test_the_raw_file_of_an_import_and_those_beside_it_are_kept(tmp_path):
    raw = tmp_path / "gun.mat"
    native.write_dataport(raw, native.full_scan(), version="7.3")
    before = raw.read_bytes()
    bad("import", raw, raw, parts=("gun.mat", "is the input"))
    assert raw.read_bytes() == before


def test_a_file_of_a_folder_that_is_imported_is_kept_but_an_earlier_output_is_not(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    source, _, _ = native.write("ti 2", folder)
    other = next(path for path in sorted(source.rglob("*")) if path.is_file())
    before = other.read_bytes()
    bad("import", source, other, parts=(other.name, "one of the files to read"))
    assert other.read_bytes() == before
    for _ in range(2):
        good("import", source, source / "scan.h5", "--quiet")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_stays_a_pipe(scan, name):
    pipe = scan.with_name(f"pipe{SUFFIXES[name]}")
    os.mkfifo(pipe)
    native.write_dataport(scan.with_name("gun.mat"), native.full_scan(), version="7.3")
    source = scan.with_name("gun.mat") if name == "import" else scan
    words = [{"SAME": source, "OUT": pipe}.get(word, word) for word in COMMANDS[name]]
    code, _, err = mimo(*words)
    assert code == 2 and f"{pipe.name}: is a pipe" in err.splitlines()[-1], err
    assert pipe.is_fifo()
    assert not [found for found in scan.parent.iterdir() if found.name.startswith(".")]


def test_a_link_is_followed_by_figures_and_exports(scan):
    for name, command in (("a.png", "figure"), ("a.npy", "export")):
        scan.with_name(name).symlink_to(f"sub/real-{name}")
        good(command, scan, name, "--quiet")
        assert scan.with_name(name).is_symlink() and (scan.parent / f"sub/real-{name}").stat().st_size > 500


@pytest.mark.parametrize(
    "name", ["a.mp4", "a.gif", "a.npy", "a.mat", "a.vti", "a.nii", "a.stl", "a.png", "a.csv", "a.html"]
)
def test_a_full_disk_is_an_error_and_keeps_what_was_there(scan, name):
    """A limit on the size of files stands for a full disk; Python ignores the signal and sees the error."""
    if name.endswith("mp4"):
        pytest.importorskip("cv2", reason="opencv is not installed")
    words = {
        "a.png": ("figure", scan, name),
    }.get(name, ("export", scan, name, "--method", "truth", "--size", 96, "--frames", 6))
    if name in ("a.csv", "a.stl"):
        words = (*words, "--level-db", "-60")
    scan.with_name(name).write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        code, _, err = mimo(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2 and err.count("\n") >= 1 and name in err.splitlines()[-1], err
    assert scan.with_name(name).read_text() == "old"
    assert not [found for found in scan.parent.iterdir() if found.name.startswith(".")]


def test_a_history_on_a_full_disk_keeps_what_was_there(scan):
    good("reconstruct", scan, "new.h5", "--method", "l1", "--set", "max_iterations=30", "--quiet")
    made = runs_of(scan.with_name("new.h5"), ["l1"], history=True)
    path = scan.with_name("h.csv")
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        with pytest.raises(OSError, match="too large"):
            write_history(path, made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    write_history(path, made)
    assert len(path.read_text().splitlines()) > 10


def test_text_of_a_file_is_shown_not_obeyed(scan):
    with h5py.File(scan, "r+") as file:
        hostile = "\x1b]0;title\x07\x1b[31mred\x9b2J \u202e end"
        file["measurement/values"].attrs["source"] = np.bytes_(hostile.encode())
        file["array"].attrs["name"] = np.bytes_(hostile.encode())
    assert data.load(scan).source == hostile
    out = good("info", scan)
    assert "\x1b" not in out and "\x9b" not in out and "\u202e" not in out and "\x07" not in out
    assert "\\x1b]0;title\\x07\\x1b[31mred\\x9b2J \\u202e end" in out
    assert "\x1b" not in good("info", scan, "--json")
    code, shown, err = mimo("info", "no\x1b[31m.h5")
    assert code == 2 and "\x1b" not in shown + err and "no" in err


def test_printable_keeps_words_lines_and_tabs():
    assert printable("größe 像\n\ttab µ") == "größe 像\n\ttab µ"
    assert printable("a\rb\x00\udc80") == "a\\rb\\x00\\udc80"
