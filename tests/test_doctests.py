"""The examples in docstrings and in README.md give what they say."""

import doctest
import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
"""Where each part of the package lies in the checkout: mimo, mimo.data, ..."""


def modules() -> dict[str, Path]:
    """The file of every module, by the one name under which everyone imports it (never `data.files`, a second copy)."""
    found = {}
    for part, folder in FOLDERS.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            below = file.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((part, *(name for name in below if name != "__init__")))] = file
    return found


MODULES = modules()


def failures(tests: list[doctest.DocTest]) -> str:
    """What failed, as doctest reports it; empty when nothing did."""
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    for test in tests:
        runner.run(test, out=report.append)
    return "".join(report)


@pytest.mark.parametrize("name", [name for name, file in MODULES.items() if ">>> " in file.read_text()])
def test_examples_of_a_module(name):
    module = importlib.import_module(name)
    assert Path(module.__file__) == MODULES[name]
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    assert tests, f"{name} holds >>> outside its docstrings"
    assert not (report := failures(tests)), report


def test_examples_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    readme = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, "README.md", "README.md", 0)
    assert readme.examples
    assert not (report := failures([readme])), report


def test_every_part_is_looked_through_and_a_wrong_example_fails():
    assert {"mimo", "mimo.grid", "mimo.fast", "mimo.data.files.reader", "mimo.recon.prox", "mimo.commands"} <= set(
        MODULES
    )
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert "Expected:\n    3\nGot:\n    2" in failures([wrong])
