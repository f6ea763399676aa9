"""A checkout that is not installed serves: `python app.py`, and each folder under its own name and below mimo."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from checkout_copy import ROOT, WINGS, copy_checkout

SMALL = ["--n-freq", "2", "--grid", "x=-0.1:0.1:5,y=-0.1:0.1:7,z=0.4:0.6:3"]

FACES = """
import importlib, sys
from pathlib import Path

root = Path(sys.argv[1])
import mimo

assert Path(mimo.__file__) == root / "mimo" / "__init__.py", mimo.__file__
for folder in sys.argv[2:]:
    plain, ours = importlib.import_module(folder), importlib.import_module(f"mimo.{folder}")
    for module in (plain, ours):
        assert Path(module.__file__) == root / folder / "__init__.py", module.__file__
    for name in getattr(ours, "__all__", ()):
        assert getattr(plain, name) is getattr(ours, name), f"{folder}.{name}"

from data import load
from models import Denoiser
from recon import reconstruct
from synth import generate

import mimo.data, mimo.models, mimo.recon, mimo.synth

assert load is mimo.data.load and Denoiser is mimo.models.Denoiser
assert reconstruct is mimo.recon.reconstruct and generate is mimo.synth.generate
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the program alone."""
    return copy_checkout(tmp_path_factory.mktemp("checkout"), only={"app.py", "pyproject.toml", "mimo", *WINGS})


@pytest.fixture(scope="module")
def run(checkout, tmp_path_factory):
    """Run this Python in the copy with the packages at hand, but without this project's own installation."""
    packages = tmp_path_factory.mktemp("packages")
    for path in Path(importlib.util.find_spec("numpy").origin).parents[1].iterdir():
        if not re.match(r"mimo|__editable__|__pycache__", path.name):
            (packages / path.name).symlink_to(path)

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-S", *arguments], cwd=checkout, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_command_line_runs(run, tmp_path):
    assert "Usage: mimo" in run("app.py", "--help")
    run("app.py", "synth", tmp_path / "scene.h5", "--quiet", *SMALL)
    assert "12 tx, 13 rx" in (text := run("app.py", "info", tmp_path / "scene.h5")), text


def test_a_folder_gives_the_same_objects_under_both_names(run, checkout):
    run("-c", FACES, checkout, *WINGS)


def test_all_is_every_extra_but_those_of_developers_and_of_another_licence():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    def packages(extra):
        found = set()
        for line in extras[extra]:
            own = re.fullmatch(r"mimo-imaging\[(.*)\]", line)
            found |= set().union(*map(packages, own[1].split(","))) if own else {line}
        return found

    assert packages("all") == set().union(*(packages(name) for name in extras if name not in ("dev", "nufft", "fftw")))
    assert not any(line.startswith(("finufft", "pyfftw")) for line in packages("all"))
