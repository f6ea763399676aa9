"""The wheel: what is in it, and that it works alone, in a new environment, beside files with our folders' names."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import PurePosixPath

import pytest
from checkout_copy import ROOT, WINGS, copy_checkout, source_files

pytestmark = pytest.mark.package

ABSENT = ("asyncssh", "cv2", "dask", "distributed", "finufft", "nibabel", "pyevtk", "skrf", "starlette", "tensorboard")
ABSENT += ("trimesh", "uvicorn")
FACES = ("mimo", *(f"mimo.{wing}" for wing in WINGS))

IMPORTS = """
import importlib, importlib.util, json, pkgutil, sys

import mimo
from mimo.extras import MissingExtraError

absent, faces = json.loads(sys.argv[1])
assert sys.prefix in mimo.__file__, mimo.__file__
assert not [name for name in absent if importlib.util.find_spec(name)]
for name in faces:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        try:
            getattr(module, public)
        except MissingExtraError as error:
            assert public == "serve", (name, public, error)
refused = []
for found in pkgutil.walk_packages(mimo.__path__, "mimo."):
    try:
        if not found.name.endswith("._kernels"):
            importlib.import_module(found.name)
    except MissingExtraError:
        refused.append(found.name)
print(*refused)
"""


def installed_name(path):
    """Where a file of the checkout lies in the wheel."""
    return PurePosixPath("mimo", *path.parts) if path.parts[0] in WINGS else PurePosixPath(*path.parts)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a clean copy of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    checkout = copy_checkout(folder / "checkout")
    ran(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder, checkout)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """The programs of a new environment in which the wheel is installed without any extra."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=True)
    ran(folder / "bin" / "python", "-m", "pip", "install", "--constraint", ROOT / "constraints.txt", wheel)
    yield folder / "bin"
    shutil.rmtree(folder)  # more than a gigabyte, of which pytest would keep three


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A user's folder, whose own files have the names of ours."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "models").mkdir()
    for name in ("data.py", "models/__init__.py", "app.py"):
        (folder / name).write_text(f"raise RuntimeError('the decoy {name}')\n")
    shutil.copyfile(ROOT / "README.md", folder / "README.md")
    return folder


@pytest.fixture(scope="module")
def demo(bare, place):
    """The file that `mimo demo` makes, in a small form."""
    methods = (
        "--method",
        "backprojection",
        "--method",
        "kirchhoff",
    )  # the others would first factorise for half a minute
    started = time.perf_counter()
    text = ran(bare / "mimo", "demo", *methods, cwd=place)
    assert time.perf_counter() - started < 60
    assert all(name in text for name in methods[1::2])
    assert (place / "out" / "demo.png").stat().st_size > 10_000
    return place / "out" / "demo.h5"


def test_the_wheel_holds_the_program_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {PurePosixPath(name) for name in archive.namelist()}
        metadata = next(archive.read(str(name)).decode() for name in names if name.name == "METADATA")
    tops = {name.parts[0] for name in names}
    (about,) = [top for top in tops if top.endswith(".dist-info")]
    assert tops == {"mimo", about}
    kernels = {name for name in names if re.fullmatch(r"_kernels\..*(so|pyd|dylib)", name.name)}
    assert len(kernels) == bool(shutil.which("cc") or shutil.which("gcc"))
    assert all(name.parts[:-1] == ("mimo",) for name in kernels)
    sources = {path for path in source_files() if path.parts[0] in ("mimo", *WINGS) and path.suffix not in (".c", ".h")}
    assert {name for name in names if name.parts[0] == "mimo"} - kernels == set(map(installed_name, sources))
    kinds = {(name.parts[1], name.suffix) for name in names if name.parts[0] == "mimo"}
    assert kinds >= {("models", ".safetensors"), ("train", ".toml"), ("viewer", ".html"), ("viewer", ".js")}
    assert PurePosixPath("mimo/viewer/static/shaders") in {name.parent for name in names}
    needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ") and "extra ==" not in line]
    assert {re.split(r"[ <>=!~]", line.removeprefix("Requires-Dist: "))[0] for line in needs}.isdisjoint(ABSENT)


def test_decoys_are_in_the_way(bare, place):
    for name in ("data", "models", "app"):
        assert "the decoy" in refused(bare / "python", "-c", f"import {name}", cwd=place)


def test_the_quick_start_runs(bare, place):
    assert (place / "README.md").read_text().count(">>> from mimo import") == 1
    assert ran(bare / "python", "-m", "doctest", "README.md", cwd=place) == ""


def test_the_demo_runs(demo, bare, place):
    assert "kirchhoff" in ran(bare / "mimo", "info", demo, cwd=place)


def test_every_module_imports_without_extras(bare, place):
    found = ran(bare / "python", "-c", IMPORTS, json.dumps([ABSENT, FACES]), cwd=place)
    assert found.split() == ["mimo.interop.deepinv", "mimo.viewer.server"]


@pytest.mark.parametrize(
    ("command", "packages", "extra"),
    [
        ("view {demo}", "starlette and uvicorn", "view"),
        ("synth x.h5 --n 2 --shard-size 1 --workers 2", "dask and distributed", "cluster"),
        ("export {demo} x.vti", "pyevtk", "export"),
    ],
)
def test_what_needs_an_extra_says_so_in_one_line(demo, bare, place, command, packages, extra):
    said = refused(bare / "mimo", *command.format(demo=demo).split(), "--quiet", cwd=place)
    assert re.fullmatch(rf"mimo: [^\n]* needs {packages}: pip install 'mimo-imaging\[{extra}\]'\n", said), said
    assert not (place / "x.h5").exists()


def ran(*command, cwd=None):
    """Run a program that must succeed, and return what it prints."""
    done = _run(command, cwd)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def refused(*command, cwd):
    """Run a program that must fail, and return what it complains."""
    done = _run(command, cwd)
    assert done.returncode in (1, 2), f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stderr


def _run(command, cwd):
    environment = {key: value for key, value in os.environ.items() if not re.match("PYTHON|VIRTUAL_ENV", key)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
