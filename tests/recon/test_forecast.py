"""A slow run says so before it starts."""

import numpy as np
import pytest
import torch
from test_belief import scan  # noqa: F401 - a fixture

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo.acquisition import Acquisition
from mimo.recon import forecast as forecasts
from mimo.recon import make_problem
from mimo.recon.forecast import Forecast, forecast, warning
from mimo.recon.registry import METHODS, Problem


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


def test_fewer_iterations_take_less(large):
    few = forecast(METHODS["l1"], large, {"max_iterations": 3}).seconds
    assert few == pytest.approx(forecast(METHODS["l1"], large, {}).seconds / 20, rel=0.2)


def test_much_memory_is_told_of(monkeypatch):
    monkeypatch.setattr(forecasts, "_memory", lambda: 2.0**30)
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
