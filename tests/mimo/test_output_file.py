"""The one writer of outputs: what is there stays until the new file is whole; devices, links, leftovers, a full disk."""

import os
import resource
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest
from helper import fails

import mimo.output_file
from mimo.output_file import OutputError, held, place_of, refuse_inputs, remove_leftovers, replacing, shared


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, text="new", ending=""):
    with replacing(path, ending) as part:
        part.write_text(text)
        return part


def test_a_file_is_replaced_when_it_is_whole_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "größe.txt"
    path.write_text("old")
    path.chmod(0o640)
    with replacing(path, ".txt") as part:
        part.write_text("new")
        assert path.read_text() == "old" and part.name.endswith(".txt") and part.parent == tmp_path
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["größe.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def broken():
        with replacing(path) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(error):
        broken()
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_link_is_followed_also_where_it_leads_to_nothing(tmp_path):
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "real.txt"
    target.write_text("old")
    (tmp_path / "a.txt").symlink_to(target)
    (tmp_path / "b.txt").symlink_to("far/absent.txt")
    write(tmp_path / "a.txt")
    write(tmp_path / "b.txt", "b")
    assert (tmp_path / "a.txt").is_symlink() and target.read_text() == "new"
    assert (tmp_path / "b.txt").is_symlink() and (tmp_path / "far/absent.txt").read_text() == "b"
    (tmp_path / "loop").symlink_to("loop")
    fails(("loop", "cannot be written"), lambda: write(tmp_path / "loop"))


def test_what_is_no_regular_file_stays_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    here = socket.socket(socket.AF_UNIX)
    here.bind(str(tmp_path / "sock"))
    (tmp_path / "link").symlink_to("pipe")
    kinds = {"pipe": "a pipe", "folder": "a folder", "sock": "a socket", "link": "a pipe"}
    try:  # a device of our own; never one of the system
        os.mknod(tmp_path / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        kinds["null"] = "a device"
    except PermissionError:
        pass
    before = {name: (tmp_path / name).lstat().st_mode for name in kinds}
    for name, kind in kinds.items():
        fails((name, kind, "expected the name of a file"), lambda name=name: write(tmp_path / name))
        fails((name, kind), lambda name=name: place_of(tmp_path / name))
    assert {name: (tmp_path / name).lstat().st_mode for name in kinds} == before
    assert names(tmp_path) == sorted(kinds)
    here.close()


def test_a_folder_that_is_not_there_or_not_writable_is_named(tmp_path):
    fails(("none/a.txt", "No such file"), lambda: write(tmp_path / "none" / "a.txt"))


def test_an_empty_output_is_no_output(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    fails(("a.txt", "nothing was written", "room"), lambda: write(tmp_path / "a.txt", ""), OutputError)
    assert (tmp_path / "a.txt").read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_an_input_is_refused_however_it_is_spelled(tmp_path, monkeypatch):
    source = tmp_path / "in.h5"
    source.write_text("data")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.h5").symlink_to("in.h5")
    os.link(source, tmp_path / "hard.h5")
    monkeypatch.chdir(tmp_path)
    for spelled in ("in.h5", "./in.h5", "sub/../in.h5", "link.h5", "hard.h5", str(source)):
        fails((spelled, "is the input"), lambda spelled=spelled: refuse_inputs(spelled, [None, source]))
    refuse_inputs("other.h5", [source, None])
    fails(("absent", "is the input"), lambda: refuse_inputs("sub/../absent", [tmp_path / "absent"]))


LEFT = ".a.h5.0123abcd.tmp"


def test_the_next_run_of_the_same_output_removes_what_a_killed_writer_left(tmp_path):
    kept = ["a.h5", ".b.h5.0123abcd.tmp", ".a.h5.tmp", ".a.h5.0123abcd.tmpx", ".a.h5.xyz.tmp"]
    for name in (*kept, LEFT, ".a.h5.00000000.tmp.h5"):
        (tmp_path / name).write_text("left")
    write(tmp_path / "a.h5")
    assert names(tmp_path) == sorted(kept)


def start(program, *arguments, **options):
    """Run a program that has `replacing`, in a process of its own; the module alone, which is quick."""
    place = f"import runpy, sys; replacing = runpy.run_path({mimo.output_file.__file__!r})['replacing']\n"
    words = [sys.executable, "-c", place + program, *map(str, arguments)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True, **options
    )


def test_the_file_of_a_living_writer_stays_and_that_of_a_killed_one_goes(tmp_path):
    program = (
        "with replacing(sys.argv[1]) as part: part.write_text('theirs'); print('ready', flush=True); sys.stdin.read()"
    )
    other = start(program, tmp_path / "a.h5")
    assert other.stdout.readline() == "ready\n"
    (part,) = tmp_path.glob(".*.tmp")
    remove_leftovers([tmp_path / "a.h5"])
    write(tmp_path / "a.h5", "ours")
    assert part.exists() and (tmp_path / "a.h5").read_text() == "ours"
    other.kill()
    other.communicate()
    assert part.exists()
    write(tmp_path / "a.h5", "again")
    assert names(tmp_path) == ["a.h5"]


def test_an_output_is_held_by_one_at_a_time_and_the_other_is_told_by_whom(tmp_path):
    path = tmp_path / "a.h5"
    with (
        held(path),
        pytest.raises(OutputError, match=f"a.h5: is being written by process {os.getpid()} on"),
        held(path, 0.1),
    ):
        pass
    assert names(tmp_path) == []
    (tmp_path / ".a.h5.lock").write_text("process 1 on \x1b[31mother")  # of one that was killed
    with held(path, 0.1):
        pass
    assert names(tmp_path) == []


def test_waiting_ends_when_the_other_is_done(tmp_path):
    order = []
    inside = threading.Event()

    def first():
        with held(tmp_path / "a"):
            inside.set()
            time.sleep(0.3)
            order.append(1)

    other = threading.Thread(target=first)
    other.start()
    inside.wait()
    with held(tmp_path / "a", 30):
        order.append(2)
    other.join()
    assert order == [1, 2]


def test_an_output_is_shared_by_those_of_one_recipe(tmp_path):
    path = tmp_path / "a.h5"
    with shared(path, "one"), shared(path, "one"):
        with pytest.raises(OutputError, match=f"other parameters by process {os.getpid()} on"), shared(path, "two"):
            pass
        with shared(path, "one"):  # a refused one takes nothing along
            pass
    assert names(tmp_path) == []
    with shared(path, "two"):
        pass
    (tmp_path / ".a.h5.run").write_text("left by a killed process")
    with shared(path, "three"):
        pass
    assert names(tmp_path) == []
    with shared(tmp_path / "none" / "a.h5", "x"), held(tmp_path / "none" / "a.h5"):
        pass  # where nothing can be locked, writing says what is wrong


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """A limit on the size of files stands for the disk: what does not fit is an error, not a shorter file."""
    path = tmp_path / "a.txt"
    path.write_text("old")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))

    program = "with replacing(sys.argv[1]) as part: part.write_bytes(bytes(10**6))"
    done = start(program, path, preexec_fn=limited)
    _, errors = done.communicate()
    assert done.returncode != 0 and "OSError" in errors
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_without_locks_files_are_replaced_all_the_same(tmp_path, monkeypatch):
    """As on Windows: no leftover is taken for that of a process that is gone."""
    monkeypatch.setattr("mimo.output_file.fcntl", None)
    (tmp_path / LEFT).write_text("left")
    with held(tmp_path / "a.h5"), shared(tmp_path / "a.h5", "one"), shared(tmp_path / "a.h5", "two"):
        write(tmp_path / "a.h5")
    assert names(tmp_path) == [LEFT, "a.h5"] and (tmp_path / "a.h5").read_text() == "new"
