"""The tutorials run as they stand there, in order: commands, Python, and what it prints."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from test_command_line import good

ROOT = Path(__file__).parents[2]
TUTORIALS = sorted(path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md") if path.stem != "index")
BLOCK = re.compile(r"^(?:<!-- file: (\S+) -->\n)?```(sh|python|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SMALLER = {
    "large-apertures": [("(100, 100)", "(24, 20)"), (":64,", ":14,"), (":32", ":7"), ("8e9, 26e9, 64", "8e9, 26e9, 12"),
                        ("- 0.05) < 0.002", "- 0.05) < 0.006"), ("max_iterations=10", "max_iterations=2")],
    "many-machines": [("--workers 2", "--workers 1 --n-freq 4 --grid x=-0.1:0.1:8,y=-0.1:0.1:9,z=0.4:0.6:10")],
    "own-array": [(":25", ":13"), (":21", ":9"), ("--n 4", "--n 1")],
    "train": [("--time-limit 1200", "--set optimizer.n_step=2 --set optimizer.batch=2 --set data.pool=2 --set data.refresh=1 "
               "--set output.n_validation=2 --nice 0"), ("--n 4", "--n 1")],
}  # fmt: skip
"""What the tests ask for instead, to be done in seconds."""


def steps(name):
    """The blocks of a tutorial: a file's name or None, the language, the text."""
    text = (ROOT / "docs" / "tutorials" / f"{name}.md").read_text()
    for old, new in SMALLER.get(name, []):
        assert old in text, old
        text = text.replace(old, new)
    return BLOCK.findall(text)


@pytest.mark.filterwarnings("ignore:.* is used far from its training:RuntimeWarning")
@pytest.mark.parametrize("name", TUTORIALS)
def test_a_tutorial_runs_and_prints_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "out").mkdir()
    variables, printed, n_run = {}, None, 0
    for file, language, text in steps(name):
        if file:
            Path(file).write_text(text)
        elif language == "text":
            assert printed == text, "the page says something else than its Python prints"
        elif language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, f"{name}.md", "exec"), variables)  # noqa: S102 - our own pages
            printed = out.getvalue()
            n_run += 1
        else:
            for line in text.replace("\\\n", " ").splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "mimo"
                good(*words)
                n_run += 1
    assert n_run >= 5


def test_every_tutorial_is_in_the_navigation_and_in_the_list():
    assert len(TUTORIALS) >= 6
    for text in ((ROOT / "mkdocs.yml").read_text(), (ROOT / "docs" / "tutorials" / "index.md").read_text()):
        assert all(f"{name}.md" in text for name in TUTORIALS)
