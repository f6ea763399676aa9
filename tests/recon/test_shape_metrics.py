"""Distances between shapes whose answer is known: shifted planes, two spheres, a scale, one point, nothing."""

import math

import numpy as np
import pytest
from helper import fails
from hypothesis import given, settings
from hypothesis import strategies as st

from mimo.recon.shape_metrics import Shape, compare_shapes, depth_errors, sample_triangles

SQUARE = np.array([[[0, 0, 0], [0.2, 0, 0], [0.2, 0.1, 0]], [[0, 0, 0], [0.2, 0.1, 0], [0, 0.1, 0]]])
NOTHING = Shape(np.empty((0, 3)))


def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def sphere(radius: float, n: int = 64) -> np.ndarray:
    """Triangles of a sphere about the origin, from rings of latitude."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, n), np.linspace(0, 2 * np.pi, 2 * n), indexing="ij")
    at = radius * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    a, b, c, d = at[:-1, :-1], at[1:, :-1], at[1:, 1:], at[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)]).reshape(-1, 3, 3)


def test_a_shifted_plane_is_as_far_as_it_was_shifted():
    """Exactly, however few points there are; at 3 mm the F-scores at 1 and 2 mm are 0 and that at 5 mm is 1."""
    truth = Shape.of_triangles(SQUARE, 500, rng())
    image = Shape.of_triangles(np.add(SQUARE, [0, 0, 0.003]), 300, np.random.default_rng(5))
    found = compare_shapes(image, truth)
    assert found["n_image"] == 300 and found["n_truth"] == 500
    for name in ("image_to_truth_m", "truth_to_image_m"):
        known = {"mean": 0.003, "std": 0, "median": 0.003, "rms": 0.003, "max": 0.003}
        assert found[name] == pytest.approx(known, abs=1e-12)
    assert found["chamfer_m"] == pytest.approx(0.003)
    assert [row["within_m"] for row in found["f_scores"]] == [0.001, 0.002, 0.005]
    assert [row["f_score"] for row in found["f_scores"]] == [0, 0, 1]


def test_two_spheres_are_as_far_as_their_radii_differ():
    inner, outer = (Shape.of_triangles(sphere(r), 2000, np.random.default_rng(i)) for i, r in enumerate((0.05, 0.054)))
    found = compare_shapes(inner, outer, within=(0.003, 0.005))
    assert found["image_to_truth_m"]["mean"] == pytest.approx(0.004, rel=0.02)
    assert found["truth_to_image_m"]["mean"] == pytest.approx(0.004, rel=0.02)
    assert [row["f_score"] for row in found["f_scores"]] == [0, 1]


def test_precision_and_recall_are_apart():
    """An image of half of the plane, and of as much beside it: all that is wrong counts where it belongs."""
    half = SQUARE * [[[0.5, 1, 1]]]
    truth = Shape.of_triangles(SQUARE, 4000, rng())
    found = compare_shapes(Shape.of_triangles(half, 4000, rng()), truth)
    assert found["f_scores"][0]["precision"] == 1
    assert found["f_scores"][0]["recall"] == pytest.approx(0.5, abs=0.03)  # a little more: points 1 mm beyond the edge
    expected = 2 * 1 * found["f_scores"][0]["recall"] / (1 + found["f_scores"][0]["recall"])
    assert found["f_scores"][0]["f_score"] == pytest.approx(expected)
    assert found["image_to_truth_m"]["max"] == pytest.approx(0, abs=1e-12)
    assert found["truth_to_image_m"]["mean"] == pytest.approx(0.1**2 / 2 / 0.2, rel=0.05)  # over the missing 10 cm
    swapped = compare_shapes(truth, Shape.of_triangles(half, 4000, rng()))
    assert swapped["f_scores"][0]["recall"] == 1 and swapped["f_scores"][0]["precision"] < 0.6
    assert swapped["chamfer_m"] == pytest.approx(found["chamfer_m"])


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_distances_scale_with_the_shapes_and_do_not_depend_on_where_they_are(scale, seed):
    random = np.random.default_rng(seed)
    image, truth = random.normal(size=(2, 7, 3, 3))
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    before = compare_shapes(Shape.of_triangles(image, 40, rng()), Shape.of_triangles(truth, 50, rng()), within=(0.3,))
    moved = [scale * shape @ turn.T + [5, -7, 3] for shape in (image, truth)]
    after = compare_shapes(
        *(Shape.of_triangles(s, n, rng()) for s, n in zip(moved, (40, 50), strict=True)), within=(0.3 * scale,)
    )
    assert after["chamfer_m"] == pytest.approx(scale * before["chamfer_m"], rel=1e-6, abs=1e-9)
    assert after["f_scores"][0]["recall"] == pytest.approx(before["f_scores"][0]["recall"], abs=0.03)


def test_points_alone_against_a_plain_loop():
    random = np.random.default_rng(8)
    a, b = random.normal(size=(20, 3)), random.normal(size=(30, 3))
    table = np.array([[math.dist(p, q) for q in b] for p in a])
    found = compare_shapes(Shape(a), Shape(b), within=(0.5,))
    assert found["image_to_truth_m"]["mean"] == pytest.approx(table.min(axis=1).mean())
    assert found["truth_to_image_m"]["max"] == pytest.approx(table.min(axis=0).max())
    assert found["f_scores"][0]["precision"] == pytest.approx((table.min(axis=1) <= 0.5).mean())
    one = compare_shapes(Shape(a[:1]), Shape(np.add(a[:1], [0, 0, 0.004])))
    assert one["chamfer_m"] == pytest.approx(0.004) and [row["f_score"] for row in one["f_scores"]] == [0, 0, 1]


def test_the_distance_from_a_triangle_is_that_of_its_nearest_point():
    """Above the middle, beside an edge and beyond a corner; the nearest of a dense lattice of its points says it."""
    random = np.random.default_rng(1)
    triangle = random.normal(size=(1, 3, 3))
    points = 3 * random.normal(size=(200, 3))
    u, v = np.meshgrid(np.linspace(0, 1, 150), np.linspace(0, 1, 150))
    u, v = u[u + v <= 1][:, None], v[u + v <= 1][:, None]
    lattice = triangle[0, 0] + u * (triangle[0, 1] - triangle[0, 0]) + v * (triangle[0, 2] - triangle[0, 0])
    expected = np.array([np.linalg.norm(lattice - p, axis=1).min() for p in points])
    found = Shape.of_triangles(triangle, 10, rng()).distances(points)
    assert (found <= expected + 1e-12).all()
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_samples_lie_on_the_triangles_as_many_as_their_share_of_the_area():
    triangles = np.concatenate([SQUARE * [[[3, 1, 1]]], SQUARE[:1] + 1, np.zeros((1, 3, 3))])
    points, owner = sample_triangles(triangles, 20_000, rng())
    share = np.bincount(owner, minlength=4) / len(owner)
    np.testing.assert_allclose(share, [3 / 7, 3 / 7, 1 / 7, 0], atol=0.012)
    assert np.abs(points[owner == 2, 2] - 1).max() < 1e-12 and np.abs(points[owner < 2, 2]).max() < 1e-12
    np.testing.assert_allclose(points[owner == 0].mean(axis=0), triangles[0].mean(axis=0), atol=0.004)
    again, _ = sample_triangles(triangles, 20_000, rng())
    np.testing.assert_array_equal(points, again)
    assert not np.array_equal(points, sample_triangles(triangles, 20_000, np.random.default_rng(5))[0])
    fails(("no area",), lambda: sample_triangles(np.zeros((2, 3, 3)), 5, rng()))


@pytest.mark.parametrize(
    "pair", [(NOTHING, Shape(np.zeros((3, 3)))), (Shape(np.zeros((3, 3))), NOTHING), (NOTHING, NOTHING)]
)
def test_an_empty_shape_has_no_distance_and_scores_nothing(pair):
    found = compare_shapes(*pair)
    assert math.isnan(found["chamfer_m"]) and math.isnan(found["image_to_truth_m"]["mean"])
    assert [row["f_score"] for row in found["f_scores"]] == [0, 0, 0]
    assert (found["n_image"], found["n_truth"]) == tuple(len(shape.points) for shape in pair)
    assert len(Shape.of_triangles(np.empty((0, 3, 3)), 9, rng()).points) == 0


def test_depth_errors_count_where_both_see():
    image = np.array([[0.5, 0.6, np.nan, 0.7], [np.nan, 0.52, 0.9, 0.4]])
    truth = np.array([[0.5, 0.58, 0.7, np.nan], [0.6, 0.53, np.nan, np.nan]])
    found = depth_errors(image, truth)
    assert found["error_m"] == pytest.approx((0 + 0.02 - 0.01) / 3)
    assert found["absolute_m"]["mean"] == pytest.approx(0.01)
    assert found["absolute_m"]["rms"] == pytest.approx(math.sqrt(0.0005 / 3))
    assert (found["n_pixel"], found["n_image"], found["n_truth"]) == (3, 6, 5)
    assert found["coverage"] == pytest.approx(3 / 5)
    nothing = depth_errors(image, np.full((2, 4), np.nan))
    assert nothing["n_pixel"] == 0 and math.isnan(nothing["error_m"]) and math.isnan(nothing["coverage"])
    fails(("(2, 4)", "(3, 4)"), lambda: depth_errors(image, np.zeros((3, 4))))
    fails(("within is -1",), lambda: compare_shapes(NOTHING, NOTHING, within=(-1,)))
