"""What the program tells of files and methods: damaged values are found, names stand apart from their texts."""

import numpy as np
import pytest
from click.testing import CliRunner
from viewer_samples import make_file, spoil

from mimo.commands.command_line import cli
from mimo.commands.command_line import main as run_main
from mimo.data import FileError, damage_of
from mimo.recon import METHODS


@pytest.mark.parametrize(
    ("dataset", "index", "value"),
    [
        ("reconstruction/beta/magnitude", (1, 2, 3, 4), np.nan),
        ("truth/reflectivity", (2, 0, 0, 1), np.inf),
        ("measurement/values", (1, 3, 1, 0), np.nan),
    ],
)
def test_info_does_not_call_a_file_with_nan_sound(tmp_path, dataset, index, value):
    path = make_file(tmp_path / "a.h5")
    sound = CliRunner().invoke(cli, ["info", str(path)])
    assert sound.exit_code == 0
    assert "damage          none\n" in sound.output
    spoil(path, dataset, index, value)
    told = CliRunner().invoke(cli, ["info", str(path)])
    assert isinstance(told.exception, FileError)
    assert dataset in str(told.exception) and str(index) in str(told.exception)
    assert f"damage          {dataset} is" in told.output  # with all the other facts
    with pytest.raises(SystemExit) as end:
        run_main(["info", str(path)])
    assert end.value.code == 2


def test_every_damaged_part_is_named_and_a_large_file_is_read_in_part(tmp_path):
    path = make_file(tmp_path / "a.h5")
    for dataset in ("reconstruction/beta/magnitude", "reconstruction/alpha/reflectivity"):
        spoil(path, dataset, (2, 1, 1, 1), np.nan)
    problems, n_scene = damage_of(path)
    assert n_scene == 3
    assert [problem.split(" is ")[0] for problem in problems] == [
        "reconstruction/alpha/reflectivity",
        "reconstruction/beta/magnitude",
    ]
    assert damage_of(path, most=1) == ([], 1)  # the first scene alone, which is sound


def test_names_of_methods_stand_apart_from_their_texts():
    lines = CliRunner().invoke(cli, ["reconstruct", "--list"]).output.splitlines()
    for name, method in METHODS.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert line.index(method.summary) == max(map(len, METHODS)) + 2
