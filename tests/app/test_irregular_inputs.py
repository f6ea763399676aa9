"""An input that is no regular file is refused at once by every command: a pipe is not waited for, a device not read."""

import os
import signal
import stat

import click
import numpy as np
import pytest
from viewer_samples import make_file

from mimo.commands.command_line import COMMANDS, main
from mimo.commands.shared import OUTPUT, InputPath
from mimo.data import FileError, read_measured

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
FOLDERS = {("bench", "measured")}
"""Inputs that are folders alone."""


def commands():
    """Every command that does something, with the words that call it."""
    for command in COMMANDS:
        if isinstance(command, click.Group):
            yield from ((f"{command.name} {name}", each) for name, each in command.commands.items())
        else:
            yield command.name, command


INPUTS = [
    (name, parameter)
    for name, command in commands()
    for parameter in command.params
    if isinstance(parameter.type, InputPath)
]


@pytest.fixture
def soon():
    """Whatever waits for a pipe is ended."""
    before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("it waits")))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make(path, kind):
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        except OSError:
            pytest.skip("only the owner of the machine makes devices")
    return path


def test_every_path_of_every_command_is_an_input_or_an_output():
    others = [
        (name, parameter.name)
        for name, command in commands()
        for parameter in command.params
        if isinstance(parameter.type, click.Path)
        and not isinstance(parameter.type, InputPath)
        and parameter.type is not OUTPUT
    ]
    assert set(others) == FOLDERS
    assert len({name for name, _ in INPUTS}) == 12


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a device"])
@pytest.mark.parametrize(("name", "parameter"), INPUTS, ids=lambda each: getattr(each, "name", each))
def test_it_is_refused_in_one_line(name, parameter, kind, tmp_path, capsys, soon):
    path = make(tmp_path / "in.h5", kind)
    words = name.split()
    for each in next(command for called, command in commands() if called == name).params:
        if isinstance(each, click.Argument) and each is not parameter:
            words.append(str(tmp_path / each.name))
        elif each is parameter:
            words += [str(path)] if isinstance(each, click.Argument) else [each.opts[0], str(path)]
    if kind == "a folder" and parameter.type.folder:
        pytest.skip("it may be a folder")
    with pytest.raises(SystemExit) as end:
        main(words)
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith(f"mimo: {path}: is {kind}: expected a file") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "suffix"),
    [
        (["reconstruct", "{file}", "{out}", "--region", "{path}"], ".npy"),
        (["reconstruct", "{file}", "{out}", "--layers", "{path}"], ".toml"),
        (["reconstruct", "{file}", "{out}", "--pattern", "{path}"], ".npz"),
        (["reconstruct", "{file}", "{out}", "--pattern", "{path}"], ".mat"),
        (["reconstruct", "{file}", "{out}", "--method", "{path}"], ".safetensors"),
        (["import", "{scan}", "{out}", "--background", "{path}"], ".npz"),
        (["import", "{scan}", "{out}", "--set", "motion.kind=poses", "--set", "motion.file={path}"], ".csv"),
        (["train", "two-stage", "--start", "{path}", "--out", "{out}"], ".safetensors"),
        (["info", "{path}"], ".safetensors"),
    ],
)
def test_files_that_are_named_in_texts_are_refused_too(words, suffix, tmp_path, capsys, soon):
    np.savez(tmp_path / "scan.npz", values=np.ones((2, 1, 1), complex), freq=[1e9, 2e9], tx_pos=np.eye(3)[:1],
             rx_pos=np.eye(3)[:1])  # fmt: skip
    places = {
        "file": make_file(tmp_path / "a.h5", images={}),
        "scan": tmp_path / "scan.npz",
        "out": tmp_path / "out.h5",
        "path": make(tmp_path / f"pipe{suffix}", "a pipe"),
    }
    with pytest.raises(SystemExit) as end:
        main([word.format(**places) for word in words])
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert str(places["path"]) in said and said.count("\n") == 1


@pytest.mark.parametrize(
    "names",
    [
        ("antenna_locations.csv", "channel_names.csv", "frequencies.csv", "a.csv"),  # merit
        ("a.s2p", "antennas.csv"),
        ("radar.toml", "adc_data.bin"),
        ("a.mat",),
        ("frame_0.npy", "antennas.csv"),
        ("a.cphd",),
        ("setup.mmwave.json", "a.bin"),
        ("profile.cfg",),
    ],
)
def test_a_folder_of_pipes_is_refused(names, tmp_path, soon):
    folder = tmp_path / "scan"
    folder.mkdir()
    for name in names:
        os.mkfifo(folder / name)
    for path in (folder, *(folder / name for name in names)):
        for format in (None, "merit", "touchstone", "ti", "gotcha", "qar50", "dataport", "cphd", "crsd"):
            with pytest.raises(FileError):
                read_measured(path, format=format)
