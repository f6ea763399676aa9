"""Common units of the iterative methods, and where they start."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helper import relative_gap
from test_pnp import scenes  # noqa: F401 - a fixture

from mimo.recon import make_problem, reconstruct
from mimo.recon.scaling import first_image, scale


@pytest.fixture
def problem(scenes):  # noqa: F811
    return make_problem(scenes)


def test_units_cancel(scenes, problem):  # noqa: F811
    loud = scale(make_problem(replace(scenes, values=scenes.values * np.float32(1e4))))
    base = scale(problem)
    assert relative_gap(loud.start, base.start) < 1e-4
    assert relative_gap(loud.data, base.data) < 1e-4
    torch.testing.assert_close(loud.noise, base.noise, rtol=1e-3, atol=0)
    assert base.start.abs().flatten(1).amax(1).tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("method", ["backprojection", "kirchhoff", "tikhonov", "l1"])
def test_a_method_s_image_starts_at_the_level_of_the_data(problem, method):
    """At the best level no other multiple of the image explains the measurement better."""
    A, y = problem.operator, problem.measurement
    image = first_image(problem, method)
    gaps = [(A.forward(image * level) - y).flatten(1).norm(dim=1) for level in (1.0, 0.9, 1.1, 1.0 + 0.1j)]
    if method != "tikhonov":  # which is left as it is
        assert all(bool((gaps[0] <= gap).all()) for gap in gaps[1:])
    assert image.is_complex()


def test_any_start_leads_to_the_same_minimiser(scenes):  # noqa: F811
    one = scenes.scenes([0])
    settings = {"balance": True, "max_iterations": 150, "tolerance": 1e-4, "eps": 0.1}
    ends = [reconstruct("l1", one, start=start, **settings) for start in ("tikhonov", "kirchhoff")]
    norms = [float(np.abs(end.image).sum()) for end in ends]
    assert norms[0] == pytest.approx(norms[1], rel=0.02)


def test_an_image_as_the_start(scenes, problem):  # noqa: F811
    image = torch.ones(4, *problem.operator.volume_shape, dtype=torch.complex64)
    made = reconstruct("pnp", scenes, start=image, iterations=2, max_iterations=2)
    assert made.parameters["start"] == "given"
    with pytest.raises(ValueError, match=r"start has shape \(3, .*expected \(4, "):
        scale(problem, image[:3])
    with pytest.raises(ValueError, match="tikhonov"):
        scale(problem, "tikhonof")
