"""Datasets: the same arrays however they are made, interrupted, resumed; nothing unfinished or foreign is taken."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from distributed import LocalCluster

from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid
from mimo.data import FileError, load, validate
from mimo.output_file import OutputError
from mimo.synth import Realism, generate
from mimo.synth.paper import paper_array, paper_grid, paper_sweep

ROOT = Path(__file__).parents[2]
GEOMETRY = """
array=ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3),
sweep=FrequencySweep.linear(4e9, 16e9, 4),
grid=VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.15, 0.15, 7), z=(0.4, 0.6, 11)),
"""
SMALL = eval(f"dict({GEOMETRY})")
N = 90


def arrays(path):
    """Every array of a finished dataset as bytes, after validation."""
    validate(path)
    with h5py.File(path, "r") as file:
        names = ("measurement/values", "measurement/snr_db", "truth/reflectivity", "array/mask")
        return {name: file[name][...].tobytes() for name in names if name in file}


def make(path, **options):
    return generate(path, **{"n": N, "snr_db": (10.0, 30.0), "seed": 3, **SMALL, **options})


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The dataset made in one piece by this process."""
    return arrays(make(tmp_path_factory.mktemp("reference") / "all.h5"))


def leftovers(folder):
    return list(folder.rglob(".*.tmp"))


def test_one_file_follows_the_schema(tmp_path, reference):
    path = make(tmp_path / "deep" / "set.h5")
    assert arrays(path) == reference
    assert [p.name for p in path.parent.iterdir()] == ["set.h5"]
    found = load(path, scenes=slice(2, 5))
    assert found.array == SMALL["array"]
    assert found.sweep == SMALL["sweep"]
    assert found.grid == SMALL["grid"]
    assert found.values.shape == (3, 4, 2, 3)
    assert found.values.dtype == np.complex64
    assert found.truth.shape == (3, 5, 7, 11)
    assert ((found.snr_db >= 10) & (found.snr_db <= 30)).all()


@pytest.mark.parametrize("shard_size", [7, 32, 50])
def test_shards_of_any_size_hold_the_same_arrays(tmp_path, reference, shard_size):
    assert arrays(make(tmp_path / "set.h5", shard_size=shard_size)) == reference
    shards = sorted(p.name for p in (tmp_path / "set-shards").iterdir())
    assert shards == [f"shard-{i:05d}.h5" for i in range(-(-N // shard_size))]


def test_a_longer_dataset_starts_with_the_shorter_one(tmp_path):
    short, long = (load(make(tmp_path / f"{n}.h5", n=n)) for n in (5, 21))
    assert np.array_equal(short.values, long.values[:5])
    assert np.array_equal(short.truth, long.truth[:5])


def test_a_joined_dataset_can_be_moved_with_its_shards(tmp_path, reference):
    make(tmp_path / "a" / "set.h5", shard_size=32)
    (tmp_path / "a").rename(tmp_path / "b")
    assert arrays(tmp_path / "b" / "set.h5") == reference


def test_two_workers_make_the_same_arrays(tmp_path, reference):
    seen = []
    path = make(tmp_path / "set.h5", workers=2, shard_size=16, progress=lambda done, n: seen.append((done, n)))
    assert arrays(path) == reference
    assert sorted(seen) == seen
    assert len(seen) == 6
    assert seen[-1] == (N, N)
    assert not leftovers(tmp_path)


def test_an_existing_scheduler_does_the_work(tmp_path, reference):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", memory_limit=None
    ) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tcp://")
        assert arrays(make(tmp_path / "set.h5", scheduler=address, shard_size=32)) == reference
        assert arrays(make(tmp_path / "one.h5", scheduler=address)) == reference


CHILD = f"""
import sys, time
from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.synth import generate

def progress(done, n):
    print(done, flush=True)
    if done >= int(sys.argv[2]):
        time.sleep(600)

if __name__ == "__main__":
    generate(sys.argv[1], n={N}, snr_db=(10.0, 30.0), seed=3, workers=int(sys.argv[3]), shard_size=32,
             progress=progress, {GEOMETRY.strip()})
"""


def child(tmp_path, path, stop_at, workers):
    """A process that makes the dataset and stops for ever after `stop_at` scenes; returned when it has got there."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    process = subprocess.Popen(
        [sys.executable, str(script), str(path), str(stop_at), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    for line in process.stdout:
        if int(line) >= stop_at:
            break
    return process


def test_killed_in_the_middle_of_a_shard_it_resumes_with_the_same_arrays(tmp_path, reference):
    path = tmp_path / "set.h5"
    with child(tmp_path, path, stop_at=48, workers=1) as process:
        try:
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
    shards = tmp_path / "set-shards"
    assert not path.exists()
    assert [p.name for p in shards.iterdir() if not p.name.startswith(".")] == ["shard-00000.h5"]
    assert leftovers(shards)  # the unfinished second shard, under a name that nobody takes for a dataset
    before = (shards / "shard-00000.h5").stat().st_mtime_ns
    assert arrays(make(path, shard_size=32)) == reference
    assert (shards / "shard-00000.h5").stat().st_mtime_ns == before
    assert not leftovers(tmp_path)


def processes_of(session):
    """Ids of the processes of a session that are not zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(folder.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_cluster_leaves_no_process_and_resumes(tmp_path, reference, sent):
    path = tmp_path / "set.h5"
    with child(tmp_path, path, stop_at=32, workers=2) as process:
        if sent == signal.SIGINT:
            os.killpg(process.pid, sent)  # as a terminal does
        else:
            process.send_signal(sent)
        process.wait(30)
        until = time.monotonic() + 20
        while processes_of(process.pid) and time.monotonic() < until:
            time.sleep(0.1)
        left = processes_of(process.pid)
        for number in left:
            os.kill(number, signal.SIGKILL)
    assert not left
    assert not path.exists()
    assert arrays(make(path, shard_size=32)) == reference


def test_interrupted_in_this_process_nothing_unfinished_is_left(tmp_path, reference):
    def stop(done, n):
        if done == 48:
            raise KeyboardInterrupt

    path = tmp_path / "set.h5"
    with pytest.raises(KeyboardInterrupt):
        make(path, shard_size=32, progress=stop)
    assert not path.exists()
    assert not leftovers(tmp_path)
    assert arrays(make(path, shard_size=32)) == reference


@pytest.mark.parametrize("kept", [0.5, 0.98, 0.0])
def test_a_truncated_shard_is_made_again(tmp_path, reference, kept):
    path = make(tmp_path / "set.h5", shard_size=32)
    shard = tmp_path / "set-shards" / "shard-00001.h5"
    os.truncate(shard, int(kept * shard.stat().st_size))
    assert arrays(make(path, shard_size=32)) == reference


def test_a_shard_with_damaged_numbers_is_made_again(tmp_path, reference):
    path = make(tmp_path / "set.h5", shard_size=32)
    path.unlink()
    with h5py.File(tmp_path / "set-shards" / "shard-00001.h5", "r+") as file:
        file["measurement/values"][3, 1, 1, 2] = np.nan
    assert arrays(make(path, shard_size=32)) == reference


def test_a_missing_shard_is_made_again(tmp_path, reference):
    path = make(tmp_path / "set.h5", shard_size=32)
    (tmp_path / "set-shards" / "shard-00002.h5").unlink()
    assert arrays(make(path, shard_size=32)) == reference


def test_a_finished_dataset_is_left_as_it_is(tmp_path):
    path = make(tmp_path / "set.h5", shard_size=32)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    seen = []
    make(path, progress=lambda done, n: seen.append((done, n)))
    assert seen == [(N, N)]
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


OTHERS = {
    "seed": {"seed": 4},
    "preset": {"preset": "shapes"},
    "array": {"array": ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.4)},
    "sweep": {"sweep": FrequencySweep.linear(4e9, 15e9, 4)},
    "grid": {"grid": VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.15, 0.15, 7), z=(0.4, 0.7, 11))},
    "snr_db": {"snr_db": 20.0},
    "permittivity": {"permittivity": 2.0},
    "realism": {"realism": Realism(gain_error_db=1.0)},
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_parameters_are_refused(tmp_path, name):
    path = make(tmp_path / "set.h5", n=20, shard_size=16)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.h5")}
    with pytest.raises(FileError, match=rf"set\.h5: belongs to a dataset of other parameters \({name} is "):
        make(path, n=20, shard_size=16, **OTHERS[name])
    path.unlink()
    with pytest.raises(FileError, match=rf"shard-00000\.h5: belongs to a dataset of other parameters \({name} is "):
        make(path, n=20, shard_size=16, **OTHERS[name])
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.h5")} == {p: b for p, b in before.items() if p != path}


def test_shards_of_another_size_are_made_anew(tmp_path, reference):
    path = make(tmp_path / "set.h5", shard_size=32)
    with pytest.raises(FileError, match="holds 90 scenes, asked for 50"):
        make(path, n=50, shard_size=16)
    path.unlink()
    assert arrays(make(path, shard_size=16)) == reference


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(FileError, match=r"text\.h5: exists and cannot be read as HDF5"):
        make(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w"):
        pass
    with pytest.raises(FileError, match=r"other\.h5: exists and is no file that generate can"):
        make(tmp_path / "other.h5")


def test_the_recipe_is_written_to_the_files(tmp_path):
    path = make(tmp_path / "set.h5", n=20, shard_size=16, realism=Realism(clutter_db=-20.0))
    for file, scenes in ((path, [0, 20]), (tmp_path / "set-shards" / "shard-00001.h5", [16, 20])):
        with h5py.File(file, "r") as opened:
            recipe = json.loads(opened.attrs["recipe"])
        assert recipe["scenes"] == scenes
        assert recipe["seed"] == 3
        assert recipe["realism"]["clutter_db"] == -20.0


def test_missing_channels_are_in_the_mask_of_the_file(tmp_path):
    found = load(make(tmp_path / "set.h5", n=20, shard_size=16, realism=Realism(missing_channels=0.35)))
    assert found.array.mask.sum() == 4
    assert np.array_equal(found.array.mask, (found.values != 0).all(axis=(0, 1)))


def test_every_option_at_once_is_the_same_in_shards(tmp_path):
    realism = Realism(
        gain_error_db=1.0, phase_error_deg=5.0, position_error=1e-3, missing_channels=0.2, clutter_db=-15.0
    )
    one, two = (
        arrays(make(tmp_path / f"{s}.h5", n=20, preset="shapes", shard_size=s, realism=realism)) for s in (7, 100)
    )
    assert one == two


def test_measurement_is_the_operator_applied_to_the_truth(tmp_path):
    import torch

    found = load(make(tmp_path / "set.h5", n=5, snr_db=None, permittivity=2.5))
    assert found.permittivity == 2.5
    assert np.isinf(found.snr_db).all()
    A = BornOperator(found.array, found.sweep, found.grid, permittivity=2.5)
    expected = A.forward(torch.from_numpy(np.ascontiguousarray(found.truth))).numpy()
    assert np.abs(found.values - expected).max() < 1e-5 * np.abs(expected).max()


def test_torch_threads_are_as_before(tmp_path):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        make(tmp_path / "set.h5", n=3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_bar_shows_rate_and_progress(tmp_path, capfd):
    make(tmp_path / "set.h5", n=20, progress=True)
    shown = capfd.readouterr().err
    assert "20/20" in shown
    assert "scene/s" in shown
    make(tmp_path / "quiet.h5", n=3)
    assert capfd.readouterr().err == ""


def test_defaults_are_the_papers(tmp_path):
    found = load(generate(tmp_path / "set.h5", n=1, n_freq=3))
    assert (found.array, found.sweep, found.grid) == (paper_array(), paper_sweep(3), paper_grid())
    assert found.snr_db.tolist() == [30.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n is 0: expected a whole number, 1 or more"),
        ({"workers": 0}, "workers is 0"),
        ({"shard_size": 2.5}, "shard_size is 2.5"),
        ({"seed": -1}, "seed is -1: expected a whole number, 0 or more"),
        ({"preset": "shape"}, "did you mean 'shapes'"),
        ({"snr_db": (30.0, 10.0)}, "snr_db is .30.0, 10.0.: expected the lower limit first"),
        ({"snr_db": float("nan")}, "snr_db is nan"),
        ({"n_freq": 9}, "n_freq is 9, sweep has 4 frequencies"),
    ],
)
def test_parameters_out_of_range_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "set.h5", **options)
    assert not list(tmp_path.iterdir())


def test_a_paired_array_makes_a_paired_dataset(tmp_path):
    array = ArrayGeometry(SMALL["array"].tx_pos, SMALL["array"].rx_pos, [(0, 2), (1, 0), (1, 1), (0, 0)])
    one, two = (make(tmp_path / f"{size}.h5", n=20, array=array, shard_size=size) for size in (7, 100))
    assert load(one).values.shape == (20, 4, 4)
    assert arrays(one) == arrays(two)


@pytest.mark.parametrize("shard_size", [N, 30])
def test_two_seeds_on_one_output_do_not_mix(tmp_path, reference, shard_size):
    """The second is refused while the first is at work, and says who is; the first goes on as if nothing had been."""
    path, refused = tmp_path / "set.h5", []

    def meanwhile(done, total):
        for options in ({"seed": 4}, {"snr_db": 5.0}) if not refused else ():
            with pytest.raises(
                OutputError, match=f"set.h5: is being made with other parameters by process {os.getpid()}"
            ):
                make(path, shard_size=shard_size, **options)
            refused.append(options)

    make(path, shard_size=shard_size, progress=meanwhile)
    assert arrays(path) == reference and len(refused) == 2
    assert not [found for found in path.parent.iterdir() if found.name.startswith(".")]
    with pytest.raises(FileError, match="seed is 3, asked for 4"):  # and afterwards, as ever
        make(path, shard_size=shard_size, seed=4)


def test_a_link_to_a_place_elsewhere_is_followed_with_its_shards(tmp_path, reference):
    (tmp_path / "far").mkdir()
    (tmp_path / "set.h5").symlink_to("far/real.h5")
    make(tmp_path / "set.h5", shard_size=30)
    assert (tmp_path / "set.h5").is_symlink() and arrays(tmp_path / "set.h5") == reference
    assert {found.name for found in (tmp_path / "far").iterdir()} == {"real.h5", "real-shards"}
