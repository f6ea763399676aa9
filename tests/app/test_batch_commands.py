"""Batches from the command line: one command for one file, many files, many processes, and a job array."""

import csv
import json

import numpy as np
import pytest
from test_command_line import SMALL, bad, good, mimo

from mimo import data


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes") / "scenes.h5"
    good("synth", path, "--n", 40, "--seed", 5, *SMALL, "--quiet")
    return path


def test_many_scenes_become_shards_that_read_as_one_file(scenes, tmp_path):
    out, history = tmp_path / "images.h5", tmp_path / "history.csv"
    common = ("--method", "l1", "--set", "max_iterations=3", "--shard-size", 16, "--workers", 1)
    text = good("reconstruct", scenes, out, *common, "--history", history)
    assert text.startswith("l1: 40 scenes, ")
    assert f"written to {out}" in text
    assert len(list((tmp_path / "images-shards").iterdir())) == 3
    rows = list(csv.DictReader(history.read_text().splitlines()))
    assert {int(row["scene"]) for row in rows} == set(range(40))
    rows = json.loads(good("evaluate", out, "--json"))
    assert [(row["method"], row["n_scene"]) for row in rows] == [("l1", 40)]
    assert "3 of 3 in images-shards" in good("info", out)
    made = json.loads(good("reconstruct", scenes, out, *common, "--json"))
    assert [(m["method"], len(m["seconds"])) for m in made] == [("l1", 40)]


def test_few_scenes_stay_in_one_file(scenes, tmp_path):
    good("reconstruct", scenes, tmp_path / "images.h5", "--method", "backprojection", "--quiet")
    assert [p.name for p in tmp_path.iterdir()] == ["images.h5"]


def test_many_files_go_to_a_folder(scenes, tmp_path):
    other = tmp_path / "other.h5"
    good("synth", other, "--n", 2, "--seed", 6, *SMALL, "--quiet")
    text = good("reconstruct", scenes, other, tmp_path / "new" / "out", "--method", "backprojection")
    assert "other.h5: backprojection: 2 scenes" in text
    for source in (scenes, other):
        made = data.load_reconstructions(tmp_path / "new" / "out" / source.name)["backprojection"]
        assert made.n_scene == data.load(source).n_scene
    again = tmp_path / "again"
    again.mkdir()
    rows = json.loads(good("reconstruct", scenes, other, again, "--method", "backprojection", "--json"))
    assert [row["file"] for row in rows] == [str(again / "scenes.h5"), str(again / "other.h5")]
    bad("reconstruct", other, again, "--method", "tikhonov", parts=("other.h5", "other parameters", "methods is"))


@pytest.mark.parametrize("command", ["synth", "reconstruct"])
def test_parts_of_a_job_array(scenes, tmp_path, command):
    out = tmp_path / "out.h5"
    line = ("synth", out, "--n", 40, *SMALL) if command == "synth" else ("reconstruct", scenes, out)
    line += () if command == "synth" else ("--method", "backprojection", "--workers", 1)
    text = good(*line, "--shard-size", 16, "--part", "2/2")
    assert "part 2/2 is done" in text
    assert not out.exists()
    code, told, err = mimo("info", out)
    assert code == 2
    assert "1 of 3 in out-shards" in told
    assert "shard-00002.h5, scenes 32 to 39: not made yet" in told
    assert err.count("\n") == 1
    good(*line, "--shard-size", 16, "--part", "1/2")
    assert data.load(out).n_scene == 40
    good("info", out)
    (tmp_path / "out-shards" / "shard-00001.h5").unlink()
    code, told, err = mimo("info", out, "--json")
    assert code == 2
    assert json.loads(told)["missing"] == ["out-shards/shard-00001.h5, scenes 16 to 31: missing"]
    assert "out.h5" in err
    bad("evaluate", out, parts=("out.h5", "shard-00001.h5", "missing"))
    before = np.array((tmp_path / "out-shards" / "shard-00000.h5").stat().st_mtime_ns)
    good(*line, "--shard-size", 16)
    assert before == (tmp_path / "out-shards" / "shard-00000.h5").stat().st_mtime_ns
    good("info", out)


def test_bad_input_gets_one_line(scenes, tmp_path):
    out = tmp_path / "out.h5"
    bad("reconstruct", scenes, out, "--part", "3", parts=("'3'", "I/N"))
    bad("reconstruct", scenes, out, "--part", "5/4", parts=("5/4", "1 to N"))
    bad("synth", out, "--part", "0/4", parts=("0/4",))
    bad("reconstruct", scenes, out, "--live", 2, "--workers", 2, parts=("--live",))
    bad("reconstruct", scenes, tmp_path / "none.h5", out, parts=("none.h5", "no such file"))
    bad("reconstruct", scenes, scenes, "--workers", 2, parts=("scenes.h5", "another place"))
    bad("reconstruct", scenes, parts=("IN",))
    bad("info", tmp_path / "none.h5", parts=("none.h5", "no such file"))
    assert not out.exists()
