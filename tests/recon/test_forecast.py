"""A slow run says so before it starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_belief import scan  # noqa: F401 - a fixture

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo.acquisition import Acquisition
from mimo.models.weight_files import WEIGHTS
from mimo.recon import forecast as forecasts
from mimo.recon import make_problem, run_method
from mimo.recon.forecast import Forecast, forecast, warning
from mimo.recon.registry import METHODS, Problem, find_method


@pytest.fixture(scope="module")
def large():
    """The 94 x 94 antennas for which the default method gave no sign of life."""
    x = np.linspace(-0.12, 0.12, 94)
    array = ArrayGeometry(
        np.column_stack([x, np.full(94, -0.12), np.zeros(94)]), np.column_stack([np.full(94, -0.12), x, np.zeros(94)])
    )
    grid = VoxelGrid.parse("x=-0.15:0.15:81,y=-0.15:0.15:82,z=0.35:0.65:83")
    A = operator_of(Acquisition(array, FrequencySweep(np.linspace(20e9, 27e9, 64)), grid))
    return Problem(A, torch.ones((1, *A.measurement_shape), dtype=A.dtype))


@pytest.mark.parametrize("name", ["backprojection", "kirchhoff", "auto-physics", "tikhonov", "l1", "pnp", "deep2s"])
def test_a_small_run_is_not_told_of(scan, name):  # noqa: F811
    assert warning(name, forecast(METHODS[name], make_problem(scan), {})) == ""


def test_the_default_method_on_a_large_array_is_told_of(large):
    said = warning("pnp", forecast(METHODS["pnp"], large, {}))
    assert "may take" in said and "--method auto-physics" in said and "mimo prepare --count" in said
    assert warning("auto-physics", forecast(METHODS["auto-physics"], large, {})) == ""
    assert "--method kirchhoff-fast" in warning("kirchhoff", Forecast(1e4, 1e6, "many"))


def test_fewer_iterations_take_less(large):
    few = forecast(METHODS["l1"], large, {"max_iterations": 3}).seconds
    assert few == pytest.approx(forecast(METHODS["l1"], large, {}).seconds / 20, rel=0.2)


def test_much_memory_is_told_of(monkeypatch):
    monkeypatch.setattr(forecasts, "machine_memory", lambda: 2**30)
    assert warning("l1", Forecast(1.0, 0.4 * 2**30, "images")) == ""
    said = warning("l1", Forecast(1.0, 0.6 * 2**30, "images"))
    assert "l1 needs about 614 MiB of the 1 GiB of memory: images" in said


@pytest.mark.parametrize(("seconds", "text"), [(70, "1 min"), (900, "15 min"), (9000, "2.5 h"), (864000, "10 days")])
def test_durations(seconds, text):
    assert f"may take {text}:" in warning("l1", Forecast(seconds, 0.0, "x"))


def test_the_prediction_follows_the_machine(scan, monkeypatch):  # noqa: F811
    monkeypatch.setattr(forecasts, "CALIBRATED", 0.0)
    monkeypatch.setattr(forecasts, "_seconds_of", lambda product, y: 5.0)
    problem = make_problem(scan)
    assert forecast(METHODS["kirchhoff"], problem, {}).seconds == pytest.approx(5.0 * 2)


def test_what_is_prepared_to_be_timed_counts_as_set_up(scan, monkeypatch):  # noqa: F811
    monkeypatch.setattr(forecasts, "CALIBRATED", 0.0)
    problem = make_problem(scan)
    forecast(METHODS["l1"], problem, {})
    ahead = problem._shared["seconds ahead"]
    assert ahead > 0
    problem._shared["seconds ahead"] = 1000.0
    assert run_method("l1", problem, max_iterations=1).parameters["setup_seconds"] > 1000
    assert run_method("l1", problem, max_iterations=1).parameters["setup_seconds"] < 1000


def test_no_factors_are_prepared_that_the_method_does_not_use(scan, monkeypatch):  # noqa: F811
    monkeypatch.setattr(forecasts, "CALIBRATED", 0.0)
    problem = make_problem(scan)
    for name in ("backprojection", "backprojection-fast", "kirchhoff"):
        forecast(METHODS[name], problem, {})
    assert "born factors" not in problem._shared


def test_a_file_of_weights_is_a_network(scan, tmp_path):  # noqa: F811
    path = tmp_path / "l1.safetensors"  # whatever its name is
    path.symlink_to(WEIGHTS / "deep2s.safetensors")
    problem = make_problem(replace(scan, snr_db=np.array([20.0, 20.0])))
    own = forecast(find_method(str(path)), problem, {}, str(path))
    assert own == forecast(METHODS["deep2s"], problem, {}, "deep2s") and "a network" in own.why
    # without a noise level it is found with the factorisation
    assert forecast(find_method(str(path)), make_problem(scan), {}, str(path)).seconds > own.seconds


def test_least_squares_are_solved_as_the_method_will(scan, monkeypatch):  # noqa: F811
    """Whatever the number of scenes, which has no part in the choice."""
    asked, choose = [], forecasts.choose_solver

    def noting(A, solver="auto", *, solves, one_weight):
        asked.append((solves, one_weight))
        return choose(A, solver, solves=solves, one_weight=one_weight)

    monkeypatch.setattr(forecasts, "choose_solver", noting)
    problem = make_problem(scan.scenes([0] * 5))
    for name, options, first in (
        ("l1", {"max_iterations": 7}, (7, True)),
        ("tikhonov", {}, (forecasts.SOLVES, False)),
        ("tikhonov", {"weight": 0.1}, (forecasts.SOLVES, True)),
        ("pnp", {"splitting": "admm", "max_iterations": 9}, (9, True)),
    ):
        asked.clear()
        forecast(METHODS[name], problem, options)
        assert asked[0] == first
    unprepared = forecast(METHODS["tikhonov"], problem, {}).seconds
    run_method("tikhonov", problem, cache=False, check="none")
    assert forecast(METHODS["tikhonov"], problem, {}).seconds < unprepared
