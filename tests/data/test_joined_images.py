"""Images in shards: joined with how they were made, without a copy; and what is told of shards that are not there."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from data_samples import make_measurement, make_reconstructions

from mimo.data import FileError, describe_file, join_shards, load_reconstructions, open_measurement, save, validate
from mimo.data.files.shards import joined_parameters

LENGTHS = (2, 1, 3)


@pytest.fixture
def whole():
    measurement = make_measurement()
    return measurement, make_reconstructions(measurement)


def write_shards(folder, measurement, made, lengths=LENGTHS):
    folder.mkdir(parents=True)
    paths, start = [], 0
    for number, n in enumerate(lengths):
        here = slice(start, start + n)
        parts = [
            dataclasses.replace(
                m,
                image=m.image[here],
                seconds=m.seconds[here],
                std=None if m.std is None else m.std[here],
                quantiles=None if m.quantiles is None else m.quantiles[here],
                parameters={"penalty": 0.5, "weight_used": list(range(start, start + n)), "setup_seconds": 1.5},
                history=None if m.history is None else [{"objective": [float(start)] * n, "seconds": 0.1}],
            )
            for m in made
        ]
        paths.append(folder / f"part{number}.h5")
        save(paths[-1], measurement.scenes(here), reconstructions=parts)
        start += n
    return paths


def test_images_and_how_they_were_made_are_joined(tmp_path, whole):
    measurement, made = whole
    joined = tmp_path / "all.h5"
    join_shards(joined, write_shards(tmp_path / "parts", measurement, made))
    validate(joined)
    found = load_reconstructions(joined)
    assert list(found) == ["pnp", "u-net_3d"]
    for m in made:
        np.testing.assert_array_equal(found[m.method].image, m.image)
        assert found[m.method].image.dtype == m.image.dtype
        np.testing.assert_array_equal(found[m.method].seconds, m.seconds)
        expected = {"penalty": 0.5, "weight_used": [0, 1, 2, 3, 4, 5], "setup_seconds": 4.5}
        assert found[m.method].parameters == expected
        assert (found[m.method].iterations, found[m.method].version) == (m.iterations, m.version)
        assert found[m.method].source_sha256 == m.source_sha256
    assert [len(batch[0]["objective"]) for batch in found["pnp"].history] == list(LENGTHS)
    assert found["u-net_3d"].history is None
    with open_measurement(joined) as file:
        np.testing.assert_array_equal(file.reconstruction("pnp", [4]).image[0], made[0].image[4])
        assert "image" not in file.run("pnp")
    assert joined.stat().st_size < 40_000
    (tmp_path / "moved").mkdir()
    for path in (joined, tmp_path / "parts"):
        path.rename(tmp_path / "moved" / path.name)
    validate(tmp_path / "moved" / "all.h5")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["gcv", "gcv"], "gcv"),
        ([1.0, 2.0], [1.0, 1.0, 2.0, 2.0, 2.0]),
        ([[1, 2], [3, 4, 5]], [1, 2, 3, 4, 5]),
        ([[7, 8, 9, 10], [7, 8, 9, 10]], [7, 8, 9, 10]),
        ([[1, 2], "none"], [1, 2, "none", "none", "none"]),
        ([None, True], [None, None, True, True, True]),
    ],
)
def test_what_differs_gets_an_entry_for_each_scene(values, expected):
    assert joined_parameters([{"p": value} for value in values], [2, 3]) == {"p": expected}


def test_a_parameter_of_some_shards_alone_is_kept():
    assert joined_parameters([{"a": 1}, {"a": 1, "b": 2}], [1, 2]) == {"a": 1, "b": [None, 2, 2]}


def test_what_shards_do_not_agree_on_is_left_out(tmp_path, whole):
    measurement, made = whole
    paths = write_shards(tmp_path / "parts", measurement, made)
    part = [dataclasses.replace(m, source_sha256="cd" * 32) for m in load_reconstructions(paths[1]).values()]
    save(paths[1], measurement.scenes([2]), reconstructions=part)
    join_shards(tmp_path / "all.h5", paths)
    found = load_reconstructions(tmp_path / "all.h5")["pnp"]
    assert (found.source_sha256, found.version) == ("", made[0].version)


def test_methods_of_some_shards_alone_are_refused(tmp_path, whole):
    measurement, made = whole
    paths = write_shards(tmp_path / "parts", measurement, made)
    save(paths[2], measurement.scenes([3, 4, 5]), reconstructions=[load_reconstructions(paths[2])["pnp"]])
    with pytest.raises(FileError, match=r"part2\.h5: reconstruction/u-net_3d/magnitude is in some shards only"):
        join_shards(tmp_path / "all.h5", paths)
    assert not (tmp_path / "all.h5").exists()


def test_what_is_missing_is_told(tmp_path, whole):
    joined = tmp_path / "all.h5"
    paths = write_shards(tmp_path / "parts", *whole)
    join_shards(joined, paths)
    facts = describe_file(joined)
    assert facts["shards"] == "3 of 3 in parts: part0.h5 to part2.h5"
    assert (facts["missing"], facts["images"]) == ("none", ["pnp", "u-net_3d"])
    paths[0].write_bytes(paths[0].read_bytes()[:-50])
    paths[2].unlink()
    facts = describe_file(joined)
    assert list(facts) == ["file", "scenes", "shards", "missing"]
    assert facts["scenes"] == "6"
    assert facts["shards"].startswith("1 of 3")
    assert facts["missing"][0].startswith("parts/part0.h5, scenes 0 to 1: damaged, is not a whole HDF5 file")
    assert facts["missing"][1:] == ["parts/part2.h5, scenes 3 to 5: missing"]
    json.dumps(facts)


def test_a_shard_of_other_images_is_told(tmp_path, whole):
    measurement, made = whole
    paths = write_shards(tmp_path / "parts", measurement, made)
    join_shards(tmp_path / "all.h5", paths)
    save(paths[1], measurement.scenes([2]))
    (line,) = describe_file(tmp_path / "all.h5")["missing"]
    assert line.startswith("parts/part1.h5, scenes 2 to 2: ")
    assert "/reconstruction/pnp/reflectivity is missing" in line


def test_shards_that_were_read_are_closed(tmp_path, whole):
    """Else the memory of a reader grows with the number of shards."""
    joined = tmp_path / "all.h5"
    join_shards(joined, write_shards(tmp_path / "parts", *whole))
    with open_measurement(joined) as file:
        for scene in range(6):
            file.measurement([scene])
            file.reconstruction("pnp", [scene])
            opened = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()]
            assert [name for name in opened if name.endswith(".h5")] == [str(joined.resolve())]
