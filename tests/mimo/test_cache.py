"""The folder of kept matrices: bounded, least recently used first, and never anything that is not its own."""

import os
import time
import warnings
from pathlib import Path

import pytest

from mimo import cache


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MIMO_CACHE_SIZE", "1000")
    return tmp_path


def keep(place: Path, i: int, n_bytes: int, age: float = 0.0) -> Path:
    path = place / f"gram-{i:032x}.safetensors"
    path.write_bytes(bytes(n_bytes))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_the_least_recently_used_goes_first(place):
    old, middle, new = (keep(place, i, 300, age) for i, age in enumerate((300, 200, 100)))
    cache.touch(old)
    assert cache.store(place / f"gram-{9:032x}.safetensors", 400, lambda path: Path(path).write_bytes(bytes(400)))
    assert old.exists() and new.exists() and not middle.exists()
    assert cache.report() == cache.Report(place, 3, 1000, 1000)


def test_what_is_larger_than_the_cache_is_not_written(place):
    small = keep(place, 1, 300)
    large = place / f"gram-{2:032x}.safetensors"
    assert not cache.store(large, 1001, lambda path: pytest.fail("written"))
    assert small.exists() and not large.exists()


def test_only_files_of_the_cache_are_removed(place):
    mine = [keep(place, i, 10) for i in range(3)]
    left = place / f".{mine[0].name}.x7f"
    left.write_bytes(b"half")
    others = [place / "weights.safetensors", place / "notes.txt", place / "gram-1.safetensors"]
    for path in others:
        path.write_bytes(bytes(2000))
    assert cache.clear().n_file == 3
    assert sorted(place.iterdir()) == sorted(others)
    assert cache.report().n_bytes == 0


def test_a_large_file_is_told_of(place, monkeypatch):
    path = place / f"gram-{1:032x}.safetensors"
    monkeypatch.setenv("MIMO_CACHE_SIZE", "2G")
    with pytest.warns(RuntimeWarning, match=r"600 MiB.*clear-cache"):
        assert cache.store(path, 600 * 2**20, lambda to: Path(to).write_bytes(b"x"))
    monkeypatch.setenv("MIMO_CACHE_SIZE", "500M")
    with pytest.warns(RuntimeWarning, match=r"not kept.*MIMO_CACHE_SIZE is 500 MiB"):
        assert not cache.store(path, 600 * 2**20, lambda to: None)


def test_a_failure_leaves_nothing_behind(place):
    def fail(path):
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    with pytest.warns(RuntimeWarning, match="disk full"):
        assert not cache.store(place / f"gram-{1:032x}.safetensors", 10, fail)
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_goes_after_a_day(place):
    for age, name in ((10, "a"), (2 * cache.ABANDONED, "b")):
        path = place / f".gram-{1:032x}.safetensors.{name}"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    assert cache.make_room(10)
    assert [path.name[-1] for path in place.iterdir()] == ["a"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 2 * 2**30), ("0", 0), ("1234", 1234), ("500M", 500 * 2**20), ("1.5 GiB", 3 * 2**29), ("2t", 2**41)],
)
def test_sizes(monkeypatch, text, size):
    monkeypatch.setenv("MIMO_CACHE_SIZE", text)
    assert cache.size_limit() == size


@pytest.mark.parametrize("text", ["much", "-1", "1.2.3", "5 X"])
def test_a_size_that_is_none(monkeypatch, text):
    monkeypatch.setenv("MIMO_CACHE_SIZE", text)
    with pytest.raises(ValueError, match="500M or 4G"):
        cache.size_limit()


def test_a_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("MIMO_CACHE_DIR", str(tmp_path / "none"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.report().n_file == 0 and cache.clear().n_file == 0
        cache.touch(tmp_path / "none" / "x")
