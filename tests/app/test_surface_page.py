"""The page on surfaces, points and depth: its commands and its Python run, in order, and write what it says."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from test_command_line import good

PAGE = Path(__file__).parents[2] / "docs" / "surfaces.md"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """The folder in which the commands of the page ran, and what each printed."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "out").mkdir()
    told = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "mimo"
                told[line] = good(*words)
    return folder, told


def test_the_commands_of_the_page_run(session):
    folder, told = session
    assert len(told) >= 9
    for line in told:
        words = shlex.split(line)
        if words[1] == "export":
            assert (folder / words[3]).stat().st_size > 500, line
    assert np.isfinite(np.load(folder / "out/depth.npy")).any()


def test_the_python_of_the_page_runs(session, monkeypatch):
    folder, _ = session
    monkeypatch.chdir(folder)
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        exec(block, {})  # noqa: S102 - the documentation is ours
    assert (folder / "out/cloud.pcd").stat().st_size > 500
