"""The page on surfaces, points and depth: its commands and its Python run, in order, and write what it says."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from test_command_line import bad, good

from mimo.data.files.meshes import read_mesh

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


def test_what_evaluate_prints_is_what_it_gives_as_json(session):
    _, told = session
    line = next(line for line in told if line.endswith("--json"))
    (row,) = json.loads(told[line])
    table = told["mimo evaluate out/image.h5 --mesh out/truth.stl"].splitlines()
    words = next(text for text in table if text.startswith("tikhonov")).split()
    assert float(words[1]) == pytest.approx(1e3 * row["chamfer_m"], abs=0.006)
    assert [float(word) for word in words[4:7]] == pytest.approx([s["f_score"] for s in row["f_scores"]], abs=6e-4)
    assert [s["within_m"] for s in row["f_scores"]] == [0.001, 0.002, 0.005]
    against = told["mimo evaluate out/image.h5 --against out/image.h5 --against-method truth"].splitlines()
    assert len(against) == len(table) == 3
    best = float(next(text for text in against if text.startswith("tikhonov")).split()[1])
    assert best == pytest.approx(float(words[1]), rel=0.02)  # the mesh is that image's surface
    wide = told[
        "mimo evaluate out/image.h5 --mesh out/truth.stl --as depth --depth strongest --level-db -15 --within-mm 10"
    ]
    assert "F(10 mm)" in wide and "F(1 mm)" not in wide


def test_a_scaled_and_moved_mesh(session, monkeypatch):
    """What the options say of the mesh is undone: the scores are those of the mesh itself."""
    folder, _ = session
    monkeypatch.chdir(folder)
    mesh = read_mesh("out/truth.stl")
    lines = [f"v {x} {y} {z}" for x, y, z in 1e3 * (mesh.vertices - [0.1, 0.2, 0.3])]
    lines += [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1]
    (folder / "out/mm.obj").write_text("\n".join(lines))
    (folder / "out/t.json").write_text('{"translation": [0.1, 0.2, 0.3]}')
    own = json.loads(good("evaluate", "out/image.h5", "--mesh", "out/truth.stl", "--method", "tikhonov", "--json"))
    options = (
        "--mesh-scale",
        "0.001",
        "--transform",
        "out/t.json",
        "--method",
        "tikhonov",
        "--samples",
        30_000,
        "--json",
    )
    moved = json.loads(good("evaluate", "out/image.h5", "--mesh", "out/mm.obj", *options))
    assert moved[0]["chamfer_m"] == pytest.approx(own[0]["chamfer_m"], rel=1e-3)
    bad("evaluate", "out/image.h5", "--mesh", "out/mm.obj", parts=("mm.obj", "within it", "--mesh-scale"))


def test_options_that_do_not_belong_together(session, monkeypatch):
    folder, _ = session
    monkeypatch.chdir(folder)
    mesh = ("--mesh", "out/truth.stl")
    bad("evaluate", "out/image.h5", *mesh, "--against", "out/image.h5", parts=("--mesh", "--against"))
    bad("evaluate", "out/image.h5", "--as", "depth", parts=("--as", "--mesh or --against"))
    bad("evaluate", "out/image.h5", "--samples", 5, parts=("--samples", "--mesh or --against"))
    bad("evaluate", "out/image.h5", "--transform", "t.json", parts=("--transform", "--mesh"))
    bad("evaluate", "out/image.h5", *mesh, "--against-method", "l1", parts=("--against-method", "--against"))
    bad("evaluate", "out/image.h5", *mesh, "--mesh-scale", 0, parts=("--mesh-scale is 0",))
    bad("evaluate", "out/image.h5", *mesh, "--as", "blob", parts=("'blob'", "surface"))
    bad("evaluate", "out/image.h5", *mesh, "--level-db", 3, parts=("level_db is 3",))
    bad("evaluate", "out/image.h5", *mesh, "--viewpoint", "1,2", parts=("--viewpoint", "X,Y,Z"))
    bad("evaluate", "out/image.h5", "--mesh", "out/no.stl", parts=("no.stl", "cannot be read"))
    bad("export", "out/image.h5", "out/x.stl", "--as", "points", "--method", "truth", parts=(".stl holds no points",))


def test_the_python_of_the_page_runs(session, monkeypatch):
    folder, _ = session
    monkeypatch.chdir(folder)
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        exec(block, {})  # noqa: S102 - the documentation is ours
    assert (folder / "out/cloud.pcd").stat().st_size > 500
