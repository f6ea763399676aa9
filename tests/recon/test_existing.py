"""What becomes of images that are in the file to be written."""

import os
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from helper import fails
from test_pnp import scenes  # noqa: F401 - a fixture

from mimo import LayeredMedium, VoxelGrid, data
from mimo.data import FileError
from mimo.recon import reconstruct_file, reconstruct_files


@pytest.fixture
def source(scenes, tmp_path):  # noqa: F811
    data.save(tmp_path / "in.h5", scenes)
    return tmp_path / "in.h5"


@pytest.fixture
def out(source, tmp_path):
    reconstruct_file(source, tmp_path / "out.h5", ["kirchhoff"])
    return tmp_path / "out.h5"


def images(path):
    return data.load_reconstructions(path)


def test_images_of_other_methods_stay(source, out):
    before = images(out)["kirchhoff"].image
    written = reconstruct_file(source, out, ["backprojection"])
    assert written.carried == ["kirchhoff"] and written.skipped == written.replaced == []
    assert set(images(out)) == {"backprojection", "kirchhoff"}
    np.testing.assert_array_equal(images(out)["kirchhoff"].image, before)


def test_what_is_there_already_is_not_made_again(source, out):
    stamp = out.stat().st_mtime_ns
    written = reconstruct_file(source, out, ["kirchhoff"])
    assert written.skipped == ["kirchhoff"] and written.made == []
    assert [run.method for run in written.runs()] == ["kirchhoff"]
    assert out.stat().st_mtime_ns == stamp
    again = reconstruct_file(source, out, ["kirchhoff"], overwrite=True)
    assert again.replaced == ["kirchhoff"] and len(again.made) == 1


def test_another_image_of_the_method_needs_a_word(source, out):
    other = {"options": {"kirchhoff": {"compensate_aperture": True}}}
    before = out.read_bytes()
    fails(
        ("out.h5", "kirchhoff (compensate_aperture False, now True)", "--overwrite"),
        lambda: reconstruct_file(source, out, ["backprojection", "kirchhoff"], **other),
        FileError,
    )
    assert out.read_bytes() == before
    assert reconstruct_file(source, out, ["kirchhoff"], **other, overwrite=True).replaced == ["kirchhoff"]
    assert images(out)["kirchhoff"].parameters["compensate_aperture"] is True


def test_another_medium_is_another_image(source, out):
    with pytest.raises(FileError, match="another medium or region"):
        reconstruct_file(source, out, ["kirchhoff"], layers=LayeredMedium([0.2], [2.0, 1.0]))


def test_another_measurement_or_grid_needs_a_word(scenes, source, out, tmp_path):  # noqa: F811
    data.save(tmp_path / "other.h5", replace(scenes, values=scenes.values * 2))
    g = scenes.grid
    grid = VoxelGrid(g.x[:-1], g.y, g.z)
    for where, more in ((tmp_path / "other.h5", {}), (source, {"grid": grid})):
        fails(
            ("another measurement or grid", "kirchhoff", "--overwrite"),
            lambda where=where, more=more: reconstruct_file(where, out, ["backprojection"], **more),
            FileError,
        )
        assert set(images(out)) == {"kirchhoff"}
    reconstruct_file(source, out, ["backprojection"], grid=grid, overwrite=True)
    assert set(images(out)) == {"backprojection"}


def test_a_file_that_is_none_needs_a_word(source, tmp_path):
    out = tmp_path / "notes.h5"
    out.write_text("not HDF5")
    fails(("notes.h5", "--overwrite"), lambda: reconstruct_file(source, out, ["kirchhoff"]), FileError)
    assert out.read_text() == "not HDF5"
    reconstruct_file(source, out, ["kirchhoff"], overwrite=True)
    assert set(images(out)) == {"kirchhoff"}


def test_the_same_rules_where_the_file_is_the_source(source):
    reconstruct_file(source, source, ["kirchhoff"])
    assert reconstruct_file(source, source, ["backprojection"]).carried == ["kirchhoff"]
    assert reconstruct_file(source, source, ["kirchhoff"]).skipped == ["kirchhoff"]
    g = data.load(source).grid
    fails(
        ("another grid", "kirchhoff"),
        lambda: reconstruct_file(source, source, ["kirchhoff"], grid=VoxelGrid(g.x[:-1], g.y, g.z)),
        FileError,
    )


def test_shards_made_in_another_way_are_removed_when_told(source, tmp_path):
    out = tmp_path / "many.h5"
    reconstruct_files([source], out, ["kirchhoff"], shard_size=1, workers=1)
    with pytest.raises(FileError, match="other parameters"):
        reconstruct_files([source], out, ["backprojection"], shard_size=1, workers=1)
    assert set(images(out)) == {"kirchhoff"}
    reconstruct_files([source], out, ["backprojection"], shard_size=1, workers=1, overwrite=True)
    assert set(images(out)) == {"backprojection"}


def test_a_changed_measurement_in_the_same_file_needs_a_word(scenes, source):  # noqa: F811
    data.save(source, replace(scenes, background=0.1 * scenes.values[0]))
    reconstruct_file(source, source, ["kirchhoff"])
    before = images(source)["kirchhoff"].image
    for method in ("kirchhoff", "backprojection"):
        fails(
            ("background was subtracted", "kirchhoff", "--overwrite"),
            lambda method=method: reconstruct_file(source, source, [method], subtract_background=True),
            FileError,
        )
    assert data.load(source).background is not None
    written = reconstruct_file(source, source, ["kirchhoff"], subtract_background=True, overwrite=True)
    assert len(written.made) == 1 and not np.array_equal(images(source)["kirchhoff"].image, before)


def test_images_of_other_data_are_not_carried_over(scenes, source, tmp_path):  # noqa: F811
    data.save(source, replace(scenes, background=0.1 * scenes.values[0]))
    reconstruct_file(source, source, ["kirchhoff"])
    reconstruct_file(source, tmp_path / "new.h5", ["backprojection"], subtract_background=True)
    assert set(images(tmp_path / "new.h5")) == {"backprojection"}


def test_the_share_of_data_held_out_is_found_when_asked_for(source, out):
    run = (source, out, ["l1"])
    options = {"options": {"l1": {"max_iterations": 2}}}
    reconstruct_file(*run, **options)
    assert images(out)["l1"].parameters["explained_held_out"] == [None] * 4
    written = reconstruct_file(*run, **options, check="held-out")
    assert written.replaced == ["l1"] and None not in images(out)["l1"].parameters["explained_held_out"]
    assert reconstruct_file(*run, **options, check="held-out").skipped == ["l1"]
    assert reconstruct_file(*run, **options).skipped == ["l1"]


def test_nothing_is_removed_before_every_source_is_accepted(source, tmp_path):
    (tmp_path / "out").mkdir()
    reconstruct_files([source], tmp_path / "out", ["kirchhoff"], workers=1)
    kept = (tmp_path / "out" / "in.h5").read_bytes()
    bad = tmp_path / "bad.h5"
    bad.write_text("not HDF5")
    with pytest.raises(FileError, match="not a whole HDF5 file"):
        reconstruct_files([source, bad], tmp_path / "out", ["backprojection"], workers=1, overwrite=True)
    assert (tmp_path / "out" / "in.h5").read_bytes() == kept


def test_images_checked_in_another_way_are_other_shards(source, tmp_path):
    run = ([source], tmp_path / "many.h5", ["kirchhoff"])
    reconstruct_files(*run, workers=1, check="none")
    with pytest.raises(FileError, match="check is 'none'"):
        reconstruct_files(*run, workers=1)


def meanwhile(action):
    """A watch that lets another run act while a method is at work."""

    @contextmanager
    def watch(name):
        yield None
        action()

    return watch


def test_two_runs_on_one_file_keep_both_images(source, tmp_path):
    """The image that another run wrote while this one was at work is read again before the file is written."""
    for path in (source, tmp_path / "new.h5"):  # in place, and to an output that was not there
        other = meanwhile(lambda path=path: reconstruct_file(source, path, ["kirchhoff"]))
        reconstruct_file(source, path, ["backprojection"], watch=other)
        assert set(images(path)) == {"backprojection", "kirchhoff"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.h5", "new.h5"]


def test_what_another_run_replaced_meanwhile_stays_replaced(source, out):
    option = {"kirchhoff": {"compensate_aperture": True}}
    other = meanwhile(lambda: reconstruct_file(source, out, ["kirchhoff"], options=option, overwrite=True))
    reconstruct_file(source, out, ["backprojection"], watch=other)
    assert images(out)["kirchhoff"].parameters["compensate_aperture"] is True
    assert set(images(out)) == {"backprojection", "kirchhoff"}


def test_another_measurement_that_was_written_meanwhile_is_kept_and_so_are_our_images(source, out, tmp_path):
    scan = data.load(source)
    other = meanwhile(lambda: data.save(out, replace(scan, values=2 * scan.values)))
    fails(
        ("out.h5", "meanwhile by another run", f"out-{os.getpid()}.h5"),
        lambda: reconstruct_file(source, out, ["backprojection"], watch=other),
        FileError,
    )
    np.testing.assert_array_equal(data.load(out).values, 2 * scan.values)
    assert "backprojection" in images(tmp_path / f"out-{os.getpid()}.h5")


def test_an_output_is_found_unfit_before_any_work(source, tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    fails(("pipe.h5", "a pipe"), lambda: reconstruct_file(source, tmp_path / "pipe.h5", ["backprojection"]))
    (tmp_path / "link.h5").symlink_to("real.h5")
    reconstruct_file(source, tmp_path / "link.h5", ["backprojection"])
    assert (tmp_path / "link.h5").is_symlink() and set(images(tmp_path / "real.h5")) == {"backprojection"}
