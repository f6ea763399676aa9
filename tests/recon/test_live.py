"""Images written while a method goes on, and what an interrupt leaves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_pnp import scenes  # noqa: F401 - a fixture

from mimo import data
from mimo.recon import make_problem, reconstruct_file, run_method, shards
from mimo.recon.prox import soft_threshold
from mimo.recon.run import BATCH, Live


@pytest.fixture
def source(scenes, tmp_path):  # noqa: F811
    data.save(tmp_path / "in.h5", scenes)
    return tmp_path / "in.h5"


def test_the_file_is_written_every_few_iterations(source, tmp_path, monkeypatch):
    seen = []
    save = shards.data.save

    def saving(out, measurement, **rest):
        save(out, measurement, **rest)
        made = data.load_reconstructions(out)["l1"]
        seen.append((made.iterations, made.image))
        assert len(made.history) == made.iterations  # the curve is seen forming too

    monkeypatch.setattr(shards.data, "save", saving)
    out = tmp_path / "out.h5"
    reconstruct_file(source, out, ["l1"], options={"l1": {"max_iterations": 7, "tolerance": 0.0}}, live=3)
    assert [iterations for iterations, _ in seen] == [3, 6, 7]
    assert not np.array_equal(seen[0][1], seen[1][1])
    # the same units as at the end: the images approach it
    gaps = [np.abs(image - seen[-1][1]).max() for _, image in seen]
    assert gaps[0] > gaps[1] > gaps[2] == 0
    assert gaps[1] < 0.5 * np.abs(seen[-1][1]).max()


def test_a_file_is_made_in_place_with_a_function_as_an_option(source):
    options = {"pnp": {"denoiser": lambda magnitude, sigma: magnitude, "max_iterations": 2}}
    for _ in range(2):  # images of the same method take the place of those that are there
        written = reconstruct_file(source, source, ["pnp", "kirchhoff"], options=options, overwrite=True)
        assert [run.method for run in written.runs()] == ["pnp", "kirchhoff"]
    made = data.load_reconstructions(source)
    assert list(made) == ["kirchhoff", "pnp"]
    assert "lambda" in made["pnp"].parameters["denoiser"]


def test_scenes_whose_turn_has_not_come_are_empty(scenes):  # noqa: F811
    many = scenes.scenes([0] * (BATCH + 1))
    shown = []
    run_method("l1", make_problem(many), live=Live(2, shown.append), max_iterations=2, tolerance=0.0)
    assert [made.image.shape[0] for made in shown] == [BATCH + 1] * 2
    assert [[len(batch) for batch in made.history] for made in shown] == [[2], [2, 2]]
    assert np.abs(shown[0].image[-1]).max() == 0
    assert np.abs(shown[1].image[-1]).max() > 0
    np.testing.assert_array_equal(shown[1].image[0], shown[0].image[0])


def test_progress_within_a_batch(scenes):  # noqa: F811
    told = []
    problem = make_problem(scenes)
    run_method("l1", problem, progress=lambda done, of: told.append((done, of)), max_iterations=4, tolerance=0.0)
    assert told == [(1.0, 4), (2.0, 4), (3.0, 4), (4.0, 4), (4, 4)]


def test_preparations_are_told_from_their_beginning_to_their_end(scenes):  # noqa: F811
    """The matrix, then the search for the noise level, before the first iteration."""
    told = []
    run_method(
        "l1",
        make_problem(replace(scenes, snr_db=None)),
        preparing=lambda share: told.append(("preparing", share)),
        progress=lambda done, of: told.append(("scenes", done)),
        max_iterations=2,
        solver="cholesky",
    )
    shares = [share for phase, share in told[: [phase for phase, _ in told].index("scenes")]]
    assert shares.count(1.0) == 2
    first = shares.index(1.0) + 1
    for part in (shares[:first], shares[first:]):
        assert part == sorted(part) and 0 < part[0] < 1 and part[-1] == 1


def test_an_interrupt_ends_all_batches_and_methods(scenes, source, tmp_path, monkeypatch):  # noqa: F811
    from mimo.recon import sparse

    calls = []

    def interrupting(magnitude, weight):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return soft_threshold(magnitude, weight)

    monkeypatch.setattr(sparse, "soft_threshold", interrupting)
    many = scenes.scenes([0] * (BATCH + 2))
    made = run_method("l1", make_problem(many))
    assert made.parameters["interrupted"] == [True] * (BATCH + 2)
    assert made.parameters["scene_iterations"] == [2] * BATCH + [0, 0]
    assert torch.isfinite(torch.from_numpy(made.magnitude)).all() and np.abs(made.image[-1]).max() > 0
    calls.clear()
    made = run_method("tv", make_problem(scenes))  # in l1, whose image tv starts from
    assert len(calls) == 3
    assert made.parameters["interrupted"] == [True] * 4
    assert made.parameters["scene_iterations"] == [0] * 4
    calls.clear()
    written = reconstruct_file(source, tmp_path / "out.h5", ["l1", "backprojection"])
    assert [each.method for each in written.made] == ["l1"]
    assert set(data.load_reconstructions(tmp_path / "out.h5")) == {"l1"}


def test_an_image_that_was_shown_is_not_taken_for_a_finished_one(source, tmp_path, monkeypatch):
    """The process may be ended, as by SIGTERM, at any moment after the file was written."""
    save, out = shards.data.save, tmp_path / "out.h5"

    def ending(*args, **rest):
        save(*args, **rest)
        raise SystemExit(143)

    options = {"options": {"l1": {"max_iterations": 4, "tolerance": 0.0}}}
    monkeypatch.setattr(shards.data, "save", ending)
    with pytest.raises(SystemExit):
        reconstruct_file(source, out, ["l1"], **options, live=1)
    monkeypatch.setattr(shards.data, "save", save)
    partial = data.load_reconstructions(out)["l1"]
    assert partial.iterations == 1 and partial.parameters["interrupted"] == [True] * 4
    assert reconstruct_file(source, out, ["l1"], **options).replaced == ["l1"]
    assert "interrupted" not in data.load_reconstructions(out)["l1"].parameters
    assert reconstruct_file(source, out, ["l1"], **options).skipped == ["l1"]


def test_an_interrupt_in_a_check_ends_the_run_after_this_method(source, tmp_path, monkeypatch):
    from mimo.recon import run

    done, check = [], run.check_images

    def interrupting(method, *args, **rest):
        done.append(method.name)
        if method.name == "backprojection":
            raise KeyboardInterrupt
        return check(method, *args, **rest)

    monkeypatch.setattr(run, "check_images", interrupting)
    written = reconstruct_file(source, tmp_path / "out.h5", ["kirchhoff", "backprojection", "tikhonov"])
    assert [each.method for each in written.made] == done == ["kirchhoff", "backprojection"]
    assert set(data.load_reconstructions(tmp_path / "out.h5")) == set(done)


def test_an_interrupt_loses_no_image_of_the_methods_before(source, tmp_path, monkeypatch):
    from mimo.recon import registry

    def interrupting(*args, **rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(registry, "data_step", interrupting)
    with pytest.raises(KeyboardInterrupt):
        reconstruct_file(source, tmp_path / "out.h5", ["kirchhoff", "tikhonov"])
    assert set(data.load_reconstructions(tmp_path / "out.h5")) == {"kirchhoff"}
