"""What errors are found by: criteria of focus, phase gradients, bands of frequencies."""

import numpy as np
import pytest
from radar_samples import ARRAY, FAST, SCAN, SWEEP, alike, drift_of, measured

import mimo.autofocus.run as run
from mimo.autofocus import OBJECTIVES, Unknowns, autofocus
from mimo.autofocus.bands import bands
from mimo.autofocus.search import Search
from mimo.autofocus.sharpness import CRITERIA, focus_of


def search_of(scan, solve, per):
    return Search(scan, None, solve, per, None, "tikhonov", (0,), None, None, None, "cpu")


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(
    ("array", "per", "solve"),
    [
        (ARRAY, "antenna", ("phase", "delay", "position", "pose", "permittivity")),
        (SCAN, "pulse", ("phase", "position", "pose")),
        (ARRAY, "channel", ("phase", "delay")),
    ],
)
def test_derivatives_of_a_criterion_are_right(criterion, array, per, solve):
    search = search_of(measured(array, points=True), solve, per)
    value = focus_of(search, search.division.fit_freq, criterion, search.nominal.inside)
    rng = np.random.default_rng(0)
    z = 0.1 * rng.standard_normal(len(search.unknowns))
    found = value(z)[1]
    for kind in set(search.unknowns.kind):
        direction = np.where(np.array(search.unknowns.kind) == kind, rng.standard_normal(len(z)), 0)
        step = 1e-2 * direction
        slope = (value(z + step)[0] - value(z - step)[0]) / 2e-2
        assert found @ direction == pytest.approx(slope, rel=0.01, abs=1e-4)


@pytest.mark.parametrize(("objective", "least"), [("entropy", 0.98), ("sharpness", 0.95), ("phase-gradient", 0.99)])
def test_pulses_are_aligned_by_the_focus_of_points(objective, least):
    drift = drift_of(72)
    out, found = autofocus(measured(SCAN, gains=drift, points=True), objective=objective, **FAST)
    assert found.gained
    assert alike(drift, SCAN) < 0.8
    assert alike(drift * np.exp(-found.errors.log_gain), SCAN) > least
    assert out.steps[-1]["objective"] == objective
    assert 0 < found.table()[3]["std"] < 1


def test_a_sparse_array_has_too_little_focus_and_that_is_said():
    angle = 0.5 * np.random.default_rng(3).standard_normal(15)
    scan = measured(ARRAY, gains=np.exp(1j * (angle[:7, None] + angle[7:])), points=True)
    out, found = autofocus(scan, objective="entropy", **FAST)
    assert not found.gained
    assert out.gain is None
    assert "nothing gained" in found.summary()
    assert autofocus(scan, **FAST)[1].after > 0.8


def test_many_unknowns_are_found_without_the_matrix_between_them(monkeypatch):
    monkeypatch.setattr(run, "JOINT_MOST", 50)
    drift = drift_of(72)
    scan = measured(SCAN, gains=drift, points=True)
    out, found = autofocus(scan, **FAST)
    assert out.steps[-1]["objective"] == "phase-gradient"
    assert alike(drift * np.exp(-found.errors.log_gain), SCAN) > 0.98
    assert found.table()[0]["std"] is None
    assert autofocus(scan, solve=["delay"], **FAST)[0].steps[-1]["objective"] == "entropy"
    with pytest.raises(ValueError, match="72 unknowns: expected 50 or fewer"):
        autofocus(scan, objective="joint", **FAST)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "focus"}, "objective 'focus'"),
        ({"objective": "phase-gradient"}, "expected phase per pulse"),
        ({"objective": "entropy", "solve": ["gain"]}, "gain by entropy"),
        ({"iterations": 1}, "iterations is 1"),
        ({"method": "nothing"}, "nothing"),
        ({"solve": ["phase", "phase"]}, "each once"),
        ({"per": "pair"}, "per is 'pair'"),
    ],
)
def test_options_that_fit_nothing_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        autofocus(measured(ARRAY), **FAST | options)


def test_delays_start_at_low_frequencies_and_end_with_all():
    nominal = measured(ARRAY).acquisition()
    found = bands(Unknowns(nominal, ["delay"], priors={"delay": 3e-11}), SWEEP.freq)
    assert [len(one) for one in found] == sorted(len(one) for one in found)
    assert 2 * np.pi * 3e-11 * SWEEP.freq[found[0]].max() < 1.5
    assert list(found[-1]) == list(range(9))
    assert len(found) > 1
    assert len(bands(Unknowns(nominal, ["phase", "permittivity"]), SWEEP.freq)) == 1


def test_delays_of_many_turns_are_found():
    rng = np.random.default_rng(5)
    late = 2e-11 * rng.standard_normal(15)
    gains = np.exp(-2j * np.pi * SWEEP.freq[:, None, None] * (late[:7, None] + late[7:]))
    assert np.std(2 * np.pi * SWEEP.freq.max() * (late[:7, None] + late[7:])) > 2
    _, found = autofocus(measured(ARRAY, gains=gains), solve=["delay"], priors={"delay": 2e-11}, method="tikhonov")
    assert found.gained
    assert found.after > 0.9


def test_objectives_are_named():
    assert OBJECTIVES == ("auto", "joint", "entropy", "sharpness", "phase-gradient")
