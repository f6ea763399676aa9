"""Batches: the same images however the work is shared, cut, interrupted and resumed, and what is in the way is kept."""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from clusters import ROOT, environment
from distributed import LocalCluster

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, data
from mimo.data import FileError, describe_file
from mimo.data.history import History
from mimo.data.jobs.outputs import Part
from mimo.recon import files, reconstruct_file, reconstruct_files, shards
from mimo.recon.files import automatic_size, in_one_piece, runs_of
from mimo.synth import generate

N = 50
SMALL = {
    "array": ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3),
    "sweep": FrequencySweep.linear(4e9, 16e9, 4),
    "grid": VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.15, 0.15, 7), z=(0.4, 0.6, 11)),
}
METHODS = ("tikhonov", "l1")
OPTIONS = {"options": {"l1": {"max_iterations": 5}}, "shard_size": 16}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("scenes") / "scenes.h5", n=N, seed=3, shard_size=20, **SMALL)


def make(source, out, **options):
    return reconstruct_files([source], out, METHODS, **{**OPTIONS, **options})


def arrays(path):
    """Every array of a finished file as bytes, after validation."""
    data.validate(path)
    with data.open_measurement(path) as file:
        found = {"values": file.measurement().values.tobytes(), "truth": file.measurement().truth.tobytes()}
        for method in file.methods:
            run = file.run(method)
            run["parameters"].pop("setup_seconds")
            kept = {name: run[name] for name in ("method", "iterations", "parameters", "version", "source_sha256")}
            rows = [
                (s, i, {k: v for k, v in row.items() if k != "seconds"})
                for s, i, row in History.from_json(run.get("history")).rows()
            ]
            found[method] = (file.reconstruction(method).image.tobytes(), json.dumps(kept), json.dumps(rows))
        return found


@pytest.fixture(scope="module")
def reference(scenes, tmp_path_factory):
    """What one process makes."""
    out = tmp_path_factory.mktemp("reference") / "images.h5"
    assert make(scenes, out, workers=1).missing == []
    return arrays(out)


def test_the_images_are_those_of_one_piece(scenes, reference, tmp_path):
    reconstruct_file(scenes, tmp_path / "one.h5", METHODS, options=OPTIONS["options"])
    make(scenes, tmp_path / "many.h5", workers=1)
    for method in METHODS:
        one, many = (data.load_reconstructions(tmp_path / name)[method] for name in ("one.h5", "many.h5"))
        np.testing.assert_allclose(many.image, one.image, rtol=0, atol=1e-4 * np.abs(one.image).max())
        assert many.image.shape == one.image.shape == (N, 5, 7, 11)
        assert many.seconds.shape == (N,)
        assert many.source_sha256 == one.source_sha256 == data.file_sha256(scenes)
        assert many.parameters.keys() == one.parameters.keys()
    one, many = (data.load_reconstructions(tmp_path / name)["l1"] for name in ("one.h5", "many.h5"))
    assert [row[:2] for row in History.from_json(many.history).rows()] == [
        row[:2] for row in History.from_json(one.history).rows()
    ]
    assert many.parameters["scene_iterations"] == one.parameters["scene_iterations"]
    assert sorted(p.name for p in (tmp_path / "many-shards").iterdir()) == [f"shard-0000{i}.h5" for i in range(4)]


def test_two_workers_change_no_bit(scenes, reference, tmp_path):
    seen = []
    make(scenes, tmp_path / "two.h5", workers=2, progress=lambda done, n: seen.append((done, n)))
    assert arrays(tmp_path / "two.h5") == reference
    assert len(seen) == 4
    assert seen[-1] == (N, N)


@pytest.mark.slow
def test_a_scheduler_changes_no_bit(scenes, reference, tmp_path):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", memory_limit=None
    ) as cluster:
        make(scenes, tmp_path / "there.h5", scheduler=cluster.scheduler_address)
    assert arrays(tmp_path / "there.h5") == reference


def test_shards_of_whole_batches_change_no_bit(scenes, reference, tmp_path):
    make(scenes, tmp_path / "a.h5", shard_size=32, workers=1)
    assert arrays(tmp_path / "a.h5") == reference


def test_parts_in_any_order_make_the_file(scenes, reference, tmp_path):
    out = tmp_path / "images.h5"
    left = [len(make(scenes, out, workers=1, part=Part.parse(f"{i}/3")).missing) for i in (2, 3, 1)]
    assert left == [3, 2, 0]
    assert arrays(out) == reference
    assert describe_file(out)["missing"] == "none"


def test_unfinished_parts_are_told(scenes, tmp_path):
    out = tmp_path / "images.h5"
    make(scenes, out, workers=1, part=Part(1, 2))
    assert not out.exists()
    facts = describe_file(out)
    assert facts["shards"].startswith("2 of 4 in images-shards")
    assert facts["missing"] == [
        "images-shards/shard-00001.h5, scenes 16 to 31: not made yet",
        "images-shards/shard-00003.h5, scenes 48 to 49: not made yet",
    ]


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/2"])
def test_a_part_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"part is .*: expected I/N with I from 1 to N"):
        Part.parse(text)


def test_damaged_shards_are_named_and_made_again_alone(scenes, reference, tmp_path):
    out = tmp_path / "images.h5"
    make(scenes, out, workers=1)
    shards = sorted((tmp_path / "images-shards").iterdir())
    os.truncate(shards[1], shards[1].stat().st_size // 2)
    shards[2].unlink()
    facts = describe_file(out)
    assert facts["shards"].startswith("2 of 4")
    assert "shard-00001.h5, scenes 16 to 31: damaged, is not a whole HDF5 file" in facts["missing"][0]
    assert facts["missing"][1] == "images-shards/shard-00002.h5, scenes 32 to 47: missing"
    before = {path: path.stat().st_mtime_ns for path in (out, shards[0], shards[3])}
    make(scenes, out, workers=1)
    assert arrays(out) == reference
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_interrupted_in_an_iteration_no_shard_is_cut_short(scenes, reference, tmp_path, monkeypatch):
    """Ctrl-C ends an iterative method with what was reached: such images must not pass for a finished shard."""
    run, calls = shards.run_method, []

    def interrupted(name, problem, **options):
        calls.append(name)
        made = run(name, problem, **options)
        if len(calls) == 4:
            made.parameters["interrupted"] = [True]
        return made

    out = tmp_path / "images.h5"
    monkeypatch.setattr(shards, "run_method", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(scenes, out, workers=1)
    assert [p.name for p in (tmp_path / "images-shards").glob("[!.]*")] == ["shard-00000.h5"]
    assert not list(tmp_path.rglob(".*.tmp"))
    monkeypatch.undo()
    make(scenes, out, workers=1)
    assert arrays(out) == reference


def test_several_files_go_to_a_folder(scenes, reference, tmp_path):
    few = generate(tmp_path / "few.h5", n=3, seed=5, **SMALL)
    batch = reconstruct_files([few, scenes], tmp_path / "out", METHODS, workers=1, **OPTIONS)
    assert batch.outputs == [tmp_path / "out/few.h5", tmp_path / "out/scenes.h5"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["few.h5", "scenes-shards", "scenes.h5"]
    assert arrays(tmp_path / "out/scenes.h5") == reference
    reconstruct_file(few, tmp_path / "one.h5", METHODS, options=OPTIONS["options"])
    one, many = (data.load_reconstructions(p)["l1"] for p in (tmp_path / "one.h5", tmp_path / "out/few.h5"))
    np.testing.assert_allclose(many.image, one.image, rtol=0, atol=1e-4 * np.abs(one.image).max())
    assert [len(run.seconds) for run in runs_of(tmp_path / "out/few.h5", METHODS)] == [3, 3]
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")}
    reconstruct_files([few, scenes], tmp_path / "out", METHODS, workers=2, **OPTIONS)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*")} == before


def test_images_of_the_source_are_carried_over(scenes, reference, tmp_path):
    make(scenes, tmp_path / "a.h5", workers=1)
    reconstruct_files([tmp_path / "a.h5"], tmp_path / "b.h5", ["backprojection"], shard_size=24, workers=1)
    again = arrays(tmp_path / "b.h5")
    assert again.pop("backprojection")
    assert again == reference


def test_another_grid_and_options_reach_the_shards(scenes, tmp_path):
    grid = VoxelGrid.parse("x=0:0.1:3,y=0:0:1,z=0.4:0.5:4")
    batch = make(scenes, tmp_path / "a.h5", grid=grid, workers=1, options={"tikhonov": {"weight": 2.5}})
    assert batch.left_behind
    made = data.load_reconstructions(tmp_path / "a.h5")
    assert made["tikhonov"].image.shape == (N, 3, 1, 4)
    assert made["tikhonov"].parameters["weight"] == 2.5
    assert made["tikhonov"].parameters["weight_used"] == [2.5] * N
    assert data.load(tmp_path / "a.h5").truth is None


def test_what_else_belongs_to_a_measurement_is_applied(tmp_path):
    """A reference path and a gain change the operator and the data; a background is subtracted on request."""
    rng = np.random.default_rng(0)
    plain = data.load(generate(tmp_path / "plain.h5", n=5, seed=1, **SMALL))
    shape = plain.values.shape[1:]
    background, gain = (rng.normal(size=(2, *shape)) @ np.ones(shape[-1])[:, None] * np.ones(shape)).astype("c8")
    path = rng.uniform(0.1, 0.2, shape[1:])
    k = 2 * np.pi * plain.sweep.freq / 299792458.0
    values = (plain.values * np.exp(1j * k[:, None, None] * path) * gain + background).astype("c8")
    spoiled = data.Measurement(
        values, plain.array, plain.sweep, plain.grid, background=background, gain=gain, reference_path=path
    )
    data.save(tmp_path / "spoiled.h5", spoiled)
    for name, subtract in (("plain", False), ("spoiled", True)):
        source, out = tmp_path / f"{name}.h5", tmp_path / f"{name}-images.h5"
        reconstruct_files([source], out, ["kirchhoff"], shard_size=2, workers=1, subtract_background=subtract)
    one, two = (data.load_reconstructions(tmp_path / f"{n}-images.h5")["kirchhoff"].image for n in ("plain", "spoiled"))
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-3 * np.abs(one).max())


OTHERS = {
    "methods": {"options": {"l1": {"max_iterations": 6}}},
    "device": {"device": "cpu"},
    "grid": {"grid": VoxelGrid.parse("x=0:0.1:3,y=0:0:1,z=0.4:0.5:4")},
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_parameters_are_refused(scenes, tmp_path, name):
    out = tmp_path / "images.h5"
    make(scenes, out, workers=1, part=Part(1, 4))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.h5")}
    with pytest.raises(FileError, match=rf"shard-00000\.h5: belongs to a dataset of other parameters \({name} is "):
        make(scenes, out, workers=1, **OTHERS[name])
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.h5")} == before


def test_images_of_another_file_are_refused(scenes, tmp_path):
    other = generate(tmp_path / "other.h5", n=N, seed=4, **SMALL)
    make(scenes, tmp_path / "images.h5", workers=1, part=Part(1, 4))
    with pytest.raises(FileError, match=r"shard-00000\.h5: .*\(source is "):
        make(other, tmp_path / "images.h5", workers=1)


def test_files_of_others_are_left_alone(scenes, tmp_path):
    copy = tmp_path / "copy.h5"
    with h5py.File(copy, "w"):
        pass
    with pytest.raises(FileError, match=r"copy\.h5: exists and is no file that reconstruct can"):
        make(scenes, copy, workers=1)
    with pytest.raises(FileError, match=r"scenes\.h5: is a file to reconstruct"):
        make(scenes, scenes, workers=1)
    (tmp_path / "sub").mkdir()
    shutil.copy(scenes, tmp_path / "sub" / "scenes.h5")
    with pytest.raises(FileError, match=r"has the name of .*expected files of different names"):
        reconstruct_files([scenes, tmp_path / "sub" / "scenes.h5"], tmp_path / "out", METHODS)
    with pytest.raises(FileError, match=r"copy\.h5: is a file: expected a folder"):
        reconstruct_files([scenes, tmp_path / "sub" / "scenes.h5"], copy, METHODS)
    assert not (tmp_path / "out").exists()


def test_bad_parameters_end_before_anything_is_written(scenes, tmp_path):
    for options, message in [
        ({"workers": 0}, "workers is 0: expected"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"grid": VoxelGrid.parse("x=-0.15:0.15:3,y=-0.15:0.15:3,z=0:0.1:3"), "region": "all"}, "tx antenna 0"),
        ({"options": {"l1": {"max_iterations": 2.5}}}, "max_iterations of l1 is 2.5: expected a whole number"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(scenes, tmp_path / "a.h5", **options)
    with pytest.raises(ValueError, match="did you mean 'tikhonov'"):
        reconstruct_files([scenes], tmp_path / "a.h5", ["tikonov"])
    assert not list(tmp_path.iterdir())


def test_when_one_piece_is_enough(scenes, tmp_path, monkeypatch):
    assert in_one_piece(scenes, tmp_path / "a.h5", None)
    assert not in_one_piece(scenes, tmp_path, None)
    monkeypatch.setattr(files, "SHARD_SIZE", 32)
    assert not in_one_piece(scenes, tmp_path / "a.h5", None)
    assert in_one_piece(scenes, scenes, None)  # images added in place stay in one file


@pytest.mark.parametrize(
    ("n_voxel", "size"), [(385, 64), (30_625, 64), (400_000, 32), (2**20, 16), (2**23, 2), (2**26, 1)]
)
def test_large_volumes_make_small_shards(n_voxel, size):
    assert automatic_size(n_voxel) == size


@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_and_is_resumed(scenes, reference, tmp_path):
    """On a file system with room for two shards, in a mount namespace of its own, by two workers."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mount namespaces are not permitted here")
    small = tmp_path / "small"
    small.mkdir()
    command = (
        f"{sys.executable} {ROOT}/app.py reconstruct {scenes} {small}/images.h5 --method tikhonov --method l1 "
        "--set max_iterations=5 --shard-size 16 --workers 2 --quiet"
    )
    script = f"""
        mount -t tmpfs -o size=500k tmpfs {small} || exit 99
        {command}; echo "code $?"
        stat -c '%n %y' {small}/images-shards/*.h5; ls -A {small}/images-shards | grep -c tmp
        mount -o remount,size=64m {small}
        {command}; echo "code $?"
        stat -c '%n %y' {small}/images-shards/*.h5
        cp -r {small} {tmp_path}/copy
    """
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env=environment())
    if done.returncode == 99:
        pytest.skip("mounting is not permitted here")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("code")] == ["code 2", "code 0"], done.stderr
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    again = lines.index("code 0")
    finished = [line for line in lines[:again] if ".h5 20" in line]
    assert 0 < len(finished) < 4
    assert set(finished) < set(lines[again:])  # as they were
    assert lines[again - 1] == "0"  # nothing half-written stays
    assert arrays(tmp_path / "copy" / "images.h5") == reference
