"""Files are read back as they were written, by scene, and never half written; hostile ones are refused."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
from data_samples import N_SCENE, make_measurement, make_reconstructions, same

from mimo.data import (
    FileError,
    Measurement,
    Reconstruction,
    create_file,
    divide_gain,
    file_sha256,
    join_shards,
    load,
    load_reconstructions,
    open_measurement,
    save,
    select_frequencies,
    select_scenes,
    subtract_background,
    validate,
)


@pytest.fixture(params=[False, True], ids=["full", "paired"])
def measurement(request):
    return make_measurement(request.param)


# -- round trips -------------------------------------------------------------------------------------------------


def test_everything_comes_back(tmp_path, measurement):
    made = make_reconstructions(measurement)
    save(tmp_path / "a.h5", measurement, reconstructions=made)
    validate(tmp_path / "a.h5")
    assert same(load(tmp_path / "a.h5"), measurement)
    again = load_reconstructions(tmp_path / "a.h5")
    assert list(again) == ["pnp", "u-net_3d"]
    assert all(same(again[m.method], m) for m in made)
    assert os.listdir(tmp_path) == ["a.h5"]


def test_the_least_comes_back(tmp_path, measurement):
    least = Measurement(measurement.values[:1], measurement.array, measurement.sweep)
    save(tmp_path / "a.h5", least)
    assert same(load(tmp_path / "a.h5"), least)
    assert load_reconstructions(tmp_path / "a.h5") == {}


@pytest.mark.parametrize("scenes", [slice(2, 5), slice(None, None, 2), [4, 1, 4], [-1], slice(4, 1, -1), np.array([3])])
def test_chosen_scenes_come_back(saved, scenes):
    whole = make_measurement()
    assert same(load(saved, scenes=scenes), whole.scenes(scenes))
    assert same(select_scenes(whole, scenes), whole.scenes(scenes))
    image = load_reconstructions(saved, scenes=scenes)["pnp"]
    np.testing.assert_array_equal(image.image, make_reconstructions(whole)[0].image[scenes])
    assert image.seconds.shape == (image.n_scene,)


@pytest.mark.parametrize("scenes", [[6], [-7], [], [0.5], slice(6, None), [[0]]])
def test_scenes_that_are_not_there_are_refused(saved, scenes):
    with pytest.raises(FileError, match=r"scenes.*expected"):
        load(saved, scenes=scenes)
    with pytest.raises(ValueError, match=r"scenes.*expected"):
        make_measurement().scenes(scenes)


def test_an_open_file_gives_single_scenes(saved):
    whole = make_measurement()
    with open_measurement(saved) as file:
        assert (file.n_scene, file.permittivity, file.has_truth) == (N_SCENE, 2.5, True)
        assert file.methods == ("pnp", "u-net_3d")
        assert (file.array, file.sweep, file.grid) == (whole.array, whole.sweep, whole.grid)
        np.testing.assert_array_equal(file.truth(3), whole.truth[3])
        np.testing.assert_array_equal(file.snr_db, whole.snr_db)
        np.testing.assert_array_equal(file.measurement([2]).values[0], whole.values[2])
        assert file.reconstruction("u-net_3d", [5, 0]).magnitude.dtype == np.float32
        with pytest.raises(FileError, match=r"reconstruction/none is missing.*pnp"):
            file.reconstruction("none")


def test_only_the_chosen_scenes_are_read(saved):
    with h5py.File(saved, "r+") as file:
        file["measurement/values"][5, 0, 0, 0] = np.nan
    assert load(saved, scenes=slice(0, 5)).n_scene == 5
    with pytest.raises(FileError, match=r"measurement/values is nan at index \(5, 0, 0, 0\)"):
        load(saved, scenes=[0, 5])
    with pytest.raises(FileError, match=r"measurement/values is nan at index \(5, 0, 0, 0\)"):
        load(saved, scenes=slice(4, 6))


def test_the_other_phase_sign_is_conjugated(saved):
    with h5py.File(saved, "r+") as file:
        file["measurement/values"].attrs["phase_sign"] = 1
    read, whole = load(saved), make_measurement()
    for name in ("values", "background", "gain", "truth"):
        np.testing.assert_array_equal(getattr(read, name), getattr(whole, name).conj())
    np.testing.assert_array_equal(read.reference_path, whole.reference_path)


def test_unknown_groups_are_ignored(saved):
    with h5py.File(saved, "r+") as file:
        file["other/thing"] = "text"
        file["elsewhere"] = h5py.ExternalLink("absent.h5", "/x")
        file["measurement/notes"] = [1, 2]
    assert same(load(saved), make_measurement())


def test_the_hash_is_that_of_the_bytes(saved, tmp_path):
    assert file_sha256(saved) == hashlib.sha256(saved.read_bytes()).hexdigest()
    with pytest.raises(FileError, match=r"absent\.h5"):
        file_sha256(tmp_path / "absent.h5")


# -- values that do not fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"values": np.ones((4, 2, 3), complex)},
            r"has shape \(4, 2, 3\).*2 tx and 3 rx.*\(n_scene, 4, 2, 3\); add a scene",
        ),
        ({"values": np.ones((6, 4, 3, 2), complex)}, r"array has 2 tx and 3 rx: expected \(n_scene, 4, 2, 3\)"),
        ({"values": np.ones((6, 5, 2, 3), complex)}, r"sweep has 4 frequencies: expected \(n_scene, 4, 2, 3\)"),
        ({"values": np.ones((0, 4, 2, 3), complex)}, r"measurement/values has shape \(0, 4, 2, 3\)"),
        ({"values": np.ones((6, 4, 2, 3))}, "measurement/values has dtype float64: expected complex64"),
        ({"values": np.full((6, 4, 2, 3), 1e39 + 0j)}, r"measurement/values is infinite at index \(0, 0, 0, 0\)"),
        (
            {"snr_db": np.ones(5)},
            r"measurement/snr_db has shape \(5,\), measurement/values has 6 scenes: expected \(6,\)",
        ),
        ({"truth": np.ones((6, 7, 5, 11), complex)}, r"grid has 5 x 7 x 11 voxels: expected \(6, 5, 7, 11\)"),
        ({"grid": None}, "truth/reflectivity needs grid/x"),
        ({"gain": np.zeros((4, 2, 3), complex)}, r"calibration/gain is 0 at index \(0, 0, 0\)"),
        ({"permittivity": 0.0}, "permittivity is 0.0: expected a positive"),
        ({"reference_path": np.ones(6)}, r"measurement/reference_path has shape \(6,\), array has 2 tx and 3 rx"),
    ],
)
def test_a_measurement_that_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make_measurement(), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "a/b"}, "method is 'a/b': expected letters"),
        ({"image": np.ones((5, 7, 11), complex)}, r"reconstruction/pnp/reflectivity has shape \(5, 7, 11\)"),
        ({"image": np.ones((6, 5, 7, 10), np.float32)}, "reconstruction/pnp/magnitude has shape"),
        ({"image": np.ones((6, 5, 7, 11), int)}, "image has dtype int64"),
        ({"seconds": np.ones(5)}, r"seconds has shape \(5,\), image has 6 scenes: expected \(6,\)"),
    ],
)
def test_a_reconstruction_that_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make_reconstructions(make_measurement())[0], **change)


def test_reconstructions_must_belong_to_the_measurement(tmp_path):
    whole = make_measurement()
    made = make_reconstructions(whole)[0]
    for wrong, message in [
        ([dataclasses.replace(made, image=made.image[:2], seconds=[1, 1])], "has 2 scenes: expected 6"),
        ([made, made], "pnp twice"),
        ([dataclasses.replace(made, parameters={"f": print})], "parameters cannot be kept as JSON"),
    ]:
        with pytest.raises(ValueError, match=message):
            save(tmp_path / "a.h5", whole, reconstructions=wrong)
    with pytest.raises(ValueError, match="expected the same grid"):
        save(tmp_path / "a.h5", dataclasses.replace(whole, grid=None, truth=None), reconstructions=[made])
    assert os.listdir(tmp_path) == []


def test_numpy_parameters_are_kept_as_numbers(tmp_path):
    whole = make_measurement()
    made = Reconstruction("l1", whole.truth, whole.grid, {"a": np.float32(0.5), "b": np.arange(2)}, np.ones(N_SCENE))
    save(tmp_path / "a.h5", whole, reconstructions=[made])
    assert load_reconstructions(tmp_path / "a.h5")["l1"].parameters == {"a": 0.5, "b": [0, 1]}


# -- calibration -------------------------------------------------------------------------------------------------


def test_background_and_gain_are_taken_out_in_either_order(measurement):
    expected = (measurement.values - measurement.background) / measurement.gain
    for steps in ((subtract_background, divide_gain), (divide_gain, subtract_background)):
        result = steps[1](steps[0](measurement))
        np.testing.assert_allclose(result.values, expected, rtol=2e-5, atol=2e-5)
        assert (result.background, result.gain) == (None, None)
        for step in steps:
            with pytest.raises(ValueError, match="is absent"):
                step(result)


def test_frequencies_are_chosen_with_tolerance(measurement):
    band = select_frequencies(measurement, start=5e9 * (1 + 1e-12), stop=7e9 * (1 - 1e-12))
    assert band.sweep.freq.tolist() == [5e9, 7e9]
    np.testing.assert_array_equal(band.values, measurement.values[:, 1:3])
    np.testing.assert_array_equal(band.gain, measurement.gain[1:3])
    assert select_frequencies(measurement, start=0, stop=2e10, step=3).sweep.freq.tolist() == [4e9, 11e9]
    with pytest.raises(ValueError, match=r"sweep has 4e\+09 to 1\.1e\+10 Hz"):
        select_frequencies(measurement, start=1, stop=2)


# -- writing -----------------------------------------------------------------------------------------------------


def write_shards(folder, whole, lengths):
    folder.mkdir(parents=True, exist_ok=True)
    paths, start = [], 0
    for number, n in enumerate(lengths):
        paths.append(folder / f"part{number}.h5")
        geometry = {"array": whole.array, "sweep": whole.sweep, "grid": whole.grid, "source": whole.source}
        geometry["region"] = whole.region
        with create_file(paths[-1], n_scene=n, permittivity=whole.permittivity, **geometry) as file:
            for i in range(n):
                part = whole.scenes([start + i])
                file.write(i, part.values, part.truth, part.snr_db)
        start += n
    return paths


def plain(whole):
    """Without what a generated file does not have."""
    return dataclasses.replace(whole, background=None, gain=None, delay=None, reference_path=None, steps=())


def test_a_file_is_written_by_scenes(tmp_path, measurement):
    (path,) = write_shards(tmp_path, measurement, [N_SCENE])
    assert same(load(path), plain(measurement))
    with h5py.File(path) as file:
        assert file["measurement/values"].chunks[1:] == measurement.values.shape[1:]


def test_no_truth_and_no_noise(tmp_path):
    whole = make_measurement()
    geometry = {"array": whole.array, "sweep": whole.sweep, "grid": None}
    with create_file(tmp_path / "a.h5", n_scene=N_SCENE, with_truth=False, **geometry) as file:
        file.write(0, whole.values)
    assert np.isposinf(load(tmp_path / "a.h5").snr_db).all()
    with (
        pytest.raises(ValueError, match="expected a grid"),
        create_file(tmp_path / "b.h5", n_scene=1, **geometry),
    ):
        pass


@pytest.mark.parametrize(
    ("start", "n", "truth", "message"),
    [
        (5, 2, True, "scenes 5 to 6 do not fit"),
        (-1, 1, True, "do not fit"),
        (0, 2, False, "truth is absent"),
        (0, 2, True, "4 of 6"),
    ],
)
def test_a_wrong_or_unfinished_file_leaves_nothing(tmp_path, start, n, truth, message):
    whole = make_measurement()
    path = tmp_path / "a.h5"
    path.write_text("before")
    with (
        pytest.raises(ValueError, match=message),
        create_file(path, array=whole.array, sweep=whole.sweep, grid=whole.grid, n_scene=N_SCENE) as file,
    ):
        file.write(start, whole.values[:n], whole.truth[:n] if truth else None)
    assert os.listdir(tmp_path) == ["a.h5"]
    assert path.read_text() == "before"


def test_an_error_while_writing_is_passed_on_and_leaves_nothing(tmp_path):
    whole = make_measurement()
    with (
        pytest.raises(RuntimeError, match="of the caller"),
        create_file(tmp_path / "a.h5", array=whole.array, sweep=whole.sweep, grid=whole.grid, n_scene=1),
    ):
        raise RuntimeError("an error of the caller")
    assert os.listdir(tmp_path) == []


def test_places_that_cannot_be_written_are_refused(tmp_path):
    whole = make_measurement()
    with pytest.raises(FileError, match="is a folder"):
        save(tmp_path, whole)
    with pytest.raises(FileError, match=r"cannot be written \(File name too long\)"):
        save(tmp_path / ("x" * 300), whole)
    with pytest.raises(FileError, match="there is no folder"):
        save(tmp_path / "absent" / "a.h5", whole)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="there is no folder"):
        save(tmp_path / "file" / "a.h5", whole)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path, saved):
    """A limit on the size of a file fails like a full disk, without the rights that a small file system needs."""
    before = saved.read_bytes()
    script = """
        import resource, signal, sys
        from mimo.data import FileError, load, save
        whole = load(sys.argv[1])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        for limit in (0, 1000, 9000, 30000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                save(sys.argv[1], whole)
            except FileError as error:
                print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"{saved}: cannot be written (") for line in lines)
    assert saved.read_bytes() == before
    assert os.listdir(tmp_path) == ["valid.h5"]


# -- shards ------------------------------------------------------------------------------------------------------


def test_shards_are_joined_without_a_copy_and_can_be_moved(tmp_path, measurement, monkeypatch):
    shards = write_shards(tmp_path / "here" / "parts", measurement, [2, 1, 3])
    joined = tmp_path / "here" / "all.h5"
    join_shards(joined, shards)
    assert same(load(joined), plain(measurement))
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir("/")
    moved = tmp_path / "there" / "all.h5"
    validate(moved)
    assert same(load(moved, scenes=[5, 2]), plain(measurement).scenes([5, 2]))
    (tmp_path / "link.h5").symlink_to(moved)
    assert same(load(tmp_path / "link.h5"), plain(measurement))


def test_a_missing_or_spoiled_shard_is_named(tmp_path):
    shards = write_shards(tmp_path, make_measurement(), [2, 1, 3])
    join_shards(tmp_path / "all.h5", shards)
    whole = shards[1].read_bytes()
    shards[1].unlink()
    with pytest.raises(
        FileError, match=r"all\.h5: scenes 2 to 2 of measurement/values are in part1\.h5, which is missing"
    ):
        load(tmp_path / "all.h5")
    shards[1].write_bytes(whole[:-100])
    with pytest.raises(FileError, match=r"part1\.h5: is not a whole HDF5 file"):
        load(tmp_path / "all.h5")
    shards[1].write_bytes(shards[2].read_bytes())
    with pytest.raises(FileError, match=r"part1\.h5: .*has shape \(3, .*expected \(1, "):
        load(tmp_path / "all.h5")


def test_shards_that_do_not_belong_together_are_refused(tmp_path):
    whole = make_measurement()
    (first,) = write_shards(tmp_path / "a", whole, [2])
    (second,) = write_shards(tmp_path / "b", dataclasses.replace(whole, permittivity=3), [2])
    save(tmp_path / "c.h5", dataclasses.replace(plain(whole), snr_db=None))
    save(tmp_path / "d.h5", dataclasses.replace(whole, gain=None, delay=None, reference_path=None, steps=()))
    save(tmp_path / "e.h5", whole)
    for other, message in [
        (second, "permittivity differs"),
        ("c.h5", "snr_db is in some"),
        ("d.h5", "background is in some"),
        ("e.h5", "steps differs"),
    ]:
        with pytest.raises(FileError, match=message):
            join_shards(tmp_path / "all.h5", [first, tmp_path / other])
    with pytest.raises(FileError, match="lies outside"):
        join_shards(tmp_path / "b" / "all.h5", [first])
    with pytest.raises(FileError, match="no shards"):
        join_shards(tmp_path / "all.h5", [])
    assert not (tmp_path / "all.h5").exists()


def test_higher_precision_is_rounded_and_smaller_types_are_widened(tmp_path):
    whole = make_measurement()
    save(tmp_path / "a.h5", whole)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        for name, dtype in (("measurement/values", "c16"), ("array/mask", "u1"), ("measurement/snr_db", "f8")):
            data, attributes = file[name][()].astype(dtype), dict(file[name].attrs)
            del file[name]
            file[name] = data
            file[name].attrs.update(attributes)
    assert same(load(tmp_path / "a.h5"), whole)
