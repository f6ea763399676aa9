"""What is said of images: which share of the data they explain, what they say of data held out, what looks wrong."""

import numpy as np
import pytest
import torch
from helper import fails

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, backproject, data
from mimo.data import Measurement
from mimo.recon import belief, costs, held_out, make_problem, reconstruct, run, run_method
from mimo.recon.belief import check_images
from mimo.recon.held_out import part_of, split
from mimo.recon.registry import METHODS, Images
from mimo.recon.run import BATCH
from mimo.recon.suspicion import gathered, suspicion
from mimo.recon.verdicts import explained_text, outdone, remarks, summary


@pytest.fixture(scope="module")
def scan():
    """Two points seen by 7 x 8 antennas, two scenes at about 20 dB SNR."""
    rng = np.random.default_rng(3)
    array = ArrayGeometry(
        np.column_stack([rng.uniform(-0.2, 0.2, (7, 2)), np.zeros(7)]),
        np.column_stack([rng.uniform(-0.2, 0.2, (8, 2)), np.zeros(8)]),
    )
    grid = VoxelGrid.parse("x=-0.1:0.1:11,y=-0.1:0.1:12,z=0.4:0.6:13")
    sweep = FrequencySweep(np.linspace(4e9, 10e9, 9))
    empty = Measurement(values=np.zeros((2, 9, 7, 8), np.complex64), array=array, sweep=sweep, grid=grid)
    A = make_problem(empty).operator
    x = torch.zeros((2, 11, 12, 13), dtype=A.dtype)
    x[0, 3, 4, 5], x[0, 8, 7, 9], x[1, 5, 6, 6] = 1, 1j, 1
    y = A.forward(x).numpy()
    noise = rng.normal(size=y.shape) + 1j * rng.normal(size=y.shape)
    y = y + 0.07 * np.sqrt(np.mean(np.abs(y) ** 2)) * noise
    return data.Measurement(values=y.astype(np.complex64), array=array, sweep=sweep, grid=grid)


def test_the_share_is_that_of_the_formula(scan):
    problem = make_problem(scan)
    made = run_method("kirchhoff", problem)
    image = torch.from_numpy(made.image)
    for scene in range(2):
        seen, y = problem.operator.forward(image[scene]).flatten(), problem.measurement[scene].flatten()
        c = torch.vdot(seen, y) / torch.vdot(seen, seen)
        share = 1 - float((y - c * seen).norm() ** 2 / y.norm() ** 2)
        assert made.parameters["explained"][scene] == pytest.approx(share, abs=1e-4)


def test_what_is_held_out_is_not_seen(scan):
    """The share equals that of an image made of the kept channels alone."""
    problem = make_problem(scan)
    held = split(problem.operator)
    kept = held.kept(problem)
    image = backproject(kept.measurement, kept.operator)
    out = part_of(problem, np.arange(9), np.flatnonzero(held.channels))
    seen, y = out.operator.forward(image).flatten(1), out.measurement.flatten(1)
    share = (seen.conj() * y).sum(1).abs() ** 2 / (seen.norm(dim=1) * y.norm(dim=1)) ** 2
    found = run_method("backprojection", problem).parameters["explained_held_out"]
    assert found == pytest.approx(share.tolist(), abs=1e-4)
    assert 0 < held.channels.sum() <= 0.15 * len(held.channels)


def test_right_data_are_believed_and_noise_is_not(scan):
    good = reconstruct("backprojection", scan).parameters
    assert min(good["explained_held_out"]) > 0.2 and good["verdict"] == ["", ""]
    rng = np.random.default_rng(0)
    noise = (rng.normal(size=scan.values.shape) + 1j * rng.normal(size=scan.values.shape)).astype(np.complex64)
    bad = reconstruct("backprojection", data.Measurement(noise, scan.array, scan.sweep, scan.grid)).parameters
    assert max(bad["explained_held_out"]) < 0.1
    assert np.mean(bad["explained"]) < np.mean(good["explained"])
    assert bad["suspicion"] == ["", ""]


def test_a_magnitude_is_judged_with_the_phase_of_the_back_projection(scan):
    problem = make_problem(scan)
    image = run_method("backprojection", problem).image
    whole = check_images(METHODS["kirchhoff"], {}, problem, Images(torch.from_numpy(image)), check="fast")
    bare = check_images(METHODS["kirchhoff"], {}, problem, Images(torch.from_numpy(np.abs(image))), check="fast")
    assert bare["explained"] == pytest.approx(whole["explained"], abs=0.02)


def test_iterative_methods_are_run_again_only_when_asked(scan):
    options = {"max_iterations": 5}
    fast = reconstruct("l1", scan, **options).parameters
    assert fast["explained_held_out"] == [None, None] and "--check held-out" in fast["held_out_unknown"]
    slow = reconstruct("l1", scan, check="held-out", **options).parameters
    assert min(slow["explained_held_out"]) > 0.5 and "held_out_unknown" not in slow
    none = reconstruct("l1", scan, check="none", **options).parameters
    assert "explained" not in none


def test_a_share_that_the_method_found_itself_is_taken(scan):
    problem = make_problem(scan)
    images = Images(torch.from_numpy(run_method("kirchhoff", problem, check="none").image))
    images.found["held_out_share"] = [0.4, 0.3]
    assert check_images(METHODS["l1"], {}, problem, images, check="fast")["explained_held_out"] == [0.4, 0.3]


def test_the_verdict_tells_what_a_run_found(scan):
    problem = make_problem(scan)
    images = Images(torch.from_numpy(run_method("kirchhoff", problem, check="none").image))
    images.found |= {"converged": [True, False], "noise_std_relative": [0.9, 0.1]}
    images.history = [{"residual": [1.0, 3.0]}, {"residual": [None, 2.0]}]
    first, second = check_images(METHODS["l1"], {}, problem, images, check="fast")["verdict"]
    assert first == "the noise was found to be nearly all of the data"
    assert second == "not converged; misses the data by more than the noise allows"


def test_masked_channels_count_for_nothing(scan):
    mask = np.ones((7, 8), bool)
    mask[2, 3] = mask[5, :] = False
    values = scan.values.copy()
    values[:, :, ~mask] = 1e6
    masked = data.Measurement(values, scan.array.with_mask(mask), scan.sweep, scan.grid)
    assert min(reconstruct("backprojection", masked).parameters["explained"]) > 0.3


def test_numbers_do_not_depend_on_how_scenes_are_divided(scan):
    many = scan.scenes([0, 1] * (BATCH // 2) + [0, 1])
    made = reconstruct("kirchhoff", many).parameters
    for name in ("explained", "explained_held_out", "explained_backprojection"):
        assert len(made[name]) == BATCH + 2
        assert made[name][:2] == pytest.approx(made[name][-2:], abs=1e-5)


def test_a_sample_of_the_data_tells_the_same(scan, monkeypatch):
    whole = reconstruct("kirchhoff", scan).parameters["explained"]
    monkeypatch.setattr(belief, "QUICK", 0.0)
    monkeypatch.setattr(belief, "MOST_CHANNELS", 30)
    part = reconstruct("kirchhoff", scan).parameters
    assert part["explained"] == pytest.approx(whole, abs=0.1)
    assert min(part["explained_held_out"]) > 0.1


def test_a_wrong_sign_and_permittivity_are_suspected(scan):
    assert suspicion(make_problem(scan)) == ["", ""]
    for found in suspicion(make_problem(data.conjugate(scan))):
        assert "the other phase sign" in found and "mimo prepare --check-phase" in found
    assert "with permittivity 2 " in suspicion(make_problem(data.with_permittivity(scan, 4.0)))[0]


def test_one_channel_and_empty_scenes_raise_no_suspicion(scan):
    nothing = data.Measurement(np.zeros_like(scan.values), scan.array, scan.sweep, scan.grid)
    made = reconstruct("backprojection", nothing).parameters
    assert made["suspicion"] == ["", ""] and made["explained"] == [0, 0]
    assert gathered(make_problem(scan))[0].stated > -3


def test_a_scene_is_suspected_for_itself(scan):
    """Not for the first scene of its batch, whose neighbours depend on how the scenes are divided."""
    values = np.stack([scan.values[0], scan.values[0].conj(), 0 * scan.values[0]])
    mixed = data.Measurement(values, scan.array, scan.sweep, scan.grid)
    found = suspicion(make_problem(mixed))
    assert found[0] == found[2] == ""
    assert found[1] == suspicion(make_problem(mixed.scenes([1])))[0] != ""


def test_networks_are_run_again_whatever_the_number_of_scenes(scan, monkeypatch):
    monkeypatch.setattr(belief, "MOST_VOXELS", 2 * 11 * 12 * 13)
    images = Images(torch.zeros(4, 11, 12, 13), {"weights": "deep2s"})
    assert not belief._takes_long(METHODS["kirchhoff"], make_problem(scan), images)


def test_a_method_is_judged_by_its_own_speed(scan, monkeypatch):
    """Not by the exact sum's, which takes many times as long where there are many frequencies."""
    monkeypatch.setitem(costs.MODELS, "backprojection-fast", lambda A: 0.1)
    monkeypatch.setitem(costs.MODELS, "backprojection", lambda A: 100.0)
    monkeypatch.setattr(costs, "exact_seconds", lambda A: 100.0)
    images = Images(torch.zeros(2, 11, 12, 13))
    assert not belief._takes_long(METHODS["backprojection-fast"], make_problem(scan), images)
    assert belief._takes_long(METHODS["backprojection"], make_problem(scan), images)


@pytest.mark.parametrize("order", [("backprojection", "kirchhoff"), ("kirchhoff", "backprojection")])
@pytest.mark.parametrize("patience", [0.0, 2.0])
def test_the_comparison_does_not_depend_on_the_order_of_methods(scan, monkeypatch, order, patience):
    monkeypatch.setattr(belief, "PATIENCE", patience)
    problem = make_problem(scan)
    found = [run_method(name, problem).parameters["explained_backprojection"] for name in order]
    if patience:
        assert found[0] == pytest.approx(found[1], abs=0.01)
    else:
        assert found == [[None, None]] * 2


def test_an_interrupt_in_the_second_run_keeps_the_image_and_no_share(scan, monkeypatch):
    """The iterative method would return what it reached, which says nothing of the data held out."""
    from mimo.recon import sparse
    from mimo.recon.prox import soft_threshold

    calls = []

    def interrupting(magnitude, weight):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return soft_threshold(magnitude, weight)

    monkeypatch.setattr(sparse, "soft_threshold", interrupting)
    problem = make_problem(scan)
    made = run_method("l1", problem, max_iterations=5, tolerance=0.0, check="held-out").parameters
    assert made["explained_held_out"] == [None, None] and made["held_out_unknown"] == "interrupted"
    assert made["check_interrupted"] and "interrupted" not in made and min(made["explained"]) > 0.5
    again = run_method("l1", problem, max_iterations=5, tolerance=0.0, check="held-out").parameters
    assert min(again["explained_held_out"]) > 0.5 and "check_interrupted" not in again


def test_an_interrupt_in_a_check_keeps_the_image(scan, monkeypatch):
    def interrupting(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "check_images", interrupting)
    made = run_method("kirchhoff", make_problem(scan))
    assert np.abs(made.image).max() > 0 and made.parameters["check_interrupted"]
    assert "interrupted" not in made.parameters
    many = run_method("kirchhoff", make_problem(scan.scenes([0] * (BATCH + 2))))
    assert many.parameters["interrupted"] == [False] * BATCH + [True] * 2
    assert np.abs(many.image[BATCH - 1]).max() > 0 and not many.image[BATCH:].any()
    assert summary(many.parameters) == ""


def test_the_data_kept_are_prepared_once(scan, monkeypatch):
    made = []
    prepare = held_out.operator_of

    def counting(*args, **options):
        made.append(1)
        return prepare(*args, **options)

    monkeypatch.setattr(held_out, "operator_of", counting)
    problem = make_problem(scan.scenes([0] * (BATCH + 1)))
    shares = run_method("kirchhoff", problem, check="held-out").parameters["explained_held_out"]
    run_method("backprojection", problem, check="held-out")
    assert len(made) == 1
    assert shares == pytest.approx([shares[0]] * (BATCH + 1), abs=1e-5)
    fast = run_method("kirchhoff", problem).parameters["explained_held_out"]
    assert shares == pytest.approx(fast, abs=1e-4)


def test_summaries():
    parameters = {
        "explained": [0.06, 0.5],
        "explained_held_out": [None, None],
        "explained_backprojection": [0.05, 0.3],
        "verdict": ["expect little from it; not converged", ""],
        "scene_iterations": [3, 40],
    }
    assert summary(parameters) == (
        "explains 28 % of the measurement; back-projection 18 %; worst scene 0: 6.0 %; 40 iterations; "
        "expect little from it (1 of 2 scenes); not converged (1 of 2 scenes)"
    )
    assert summary(parameters, 0) == (
        "explains 6.0 % of the measurement; back-projection 5.0 %; expect little from it; not converged"
    )
    assert summary({}) == "" and summary({"explained": []}) == ""
    said = outdone({"a": {"explained": [0.9]}, "b": {"explained": [0.2]}, "c": {"explained": [0.4]}, "d": {}})
    assert said == {"b": "misses the data far more than a"}


def test_scenes_that_were_not_checked():
    """As in a file joined of shards of which some were made without a check."""
    parameters = {
        "explained": [None, 0.1, 0.5, 0.6],
        "verdict": [None, "expect little from it", "", ""],
        "suspicion": [None, "", "wrong", "wrong"],
        "scene_iterations": [None, 2, 3, 4],
    }
    assert summary(parameters) == (
        "explains 40 % of the measurement; worst scene 1: 10 %; 4 iterations; expect little from it (1 of 4 scenes)"
    )
    assert summary(parameters, 0) == explained_text(parameters, 0) == explained_text(parameters, 9) == ""
    assert summary(parameters, 1) == "explains 10 % of the measurement; expect little from it"
    assert explained_text(parameters, 2) == "explains 50 %"
    assert explained_text({"explained": [0.7]}, 3) == "explains 70 %"  # cut out of a file of more scenes
    better = {"explained": [0.9] * 4 + [1.0] * 9}
    assert remarks({"a": {"explained": [0.2]}, "b": better, "c": parameters}) == [
        "a misses the data far more than b",
        "wrong (2 of 4 scenes)",
    ]
    assert remarks({"a": {"suspicion": ["wrong"]}}) == ["wrong"]


def test_another_word_for_check(scan):
    fails(("'slow'", "fast, held-out or none"), lambda: reconstruct("kirchhoff", scan, check="slow"))
