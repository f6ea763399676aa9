"""Depth maps of volumes, points and triangles: planes and points whose depth is known in closed form."""

import numpy as np
import pytest
from helper import fails

from mimo import VoxelGrid
from mimo.recon.depth_maps import View, depth_map, depth_of_points, depth_of_triangles

GRID = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(-0.3, 0.3, 7), z=(0.5, 1.0, 11))
EYE = (0.05, -0.02, 0.1)


def ramp(grid: VoxelGrid, depth: np.ndarray) -> np.ndarray:
    """Magnitude that rises linearly along z and is 0.5 at the depth of each column."""
    return np.clip(0.5 + 4 * (grid.z - depth[..., None]), 0, 1)


def test_the_first_surface_lies_where_the_level_is_reached() -> None:
    wanted = np.linspace(0.6, 0.85, 35).reshape(5, 7)
    volume = ramp(GRID, wanted) * np.exp(2j)
    volume[2, 3] = 0
    found = depth_map(volume, GRID, 20 * np.log10(0.5))
    assert np.isnan(found.depth[2, 3]) and np.isnan(found.decibels[2, 3])
    found.depth[2, 3] = wanted[2, 3]
    np.testing.assert_allclose(found.depth, wanted, atol=1e-12)
    assert found.decibels[0, 0] == 0


def test_the_strongest_is_the_top_of_a_parabola_between_voxels() -> None:
    grid = VoxelGrid(GRID.x, GRID.y, 0.5 + np.linspace(0, 0.7, 11) ** 2)  # uneven steps
    wanted = np.linspace(0.55, 0.9, 35).reshape(5, 7)
    volume = np.clip(1 - (grid.z - wanted[..., None]) ** 2, 0.1, None)
    np.testing.assert_allclose(depth_map(volume, grid, -1, depth="strongest").depth, wanted, atol=1e-12)
    volume = np.zeros(grid.shape)
    volume[..., 0] = 1  # at the border there is nothing to put a parabola through
    np.testing.assert_array_equal(depth_map(volume, grid, depth="strongest").depth, grid.z[0])
    np.testing.assert_array_equal(depth_map(volume, grid).depth, grid.z[0])


@pytest.mark.parametrize("depth", ["first", "strongest"])
def test_one_voxel_and_nothing(depth) -> None:
    lone = VoxelGrid([0.1], [0.2], [0.7])
    found = depth_map(np.full((1, 1, 1), 3j), lone, depth=depth)
    assert found.points() == pytest.approx(np.array([[0.1, 0.2, 0.7]]))
    assert depth_map(np.full((1, 1, 1), 1), lone, depth=depth, viewpoint=(0, 0, 0)).points() == pytest.approx(
        np.array([[0.1, 0.2, 0.7]])
    )
    nothing = depth_map(np.zeros(GRID.shape), GRID, depth=depth)
    assert nothing.points().shape == (0, 3) and not nothing.seen.any()


def test_a_viewpoint_sees_a_plane_at_its_distance_and_a_point_in_its_direction() -> None:
    fine = VoxelGrid.from_extent(x=(-0.2, 0.2, 21), y=(-0.3, 0.3, 25), z=(0.5, 1.0, 31))
    plane = depth_map(ramp(fine, np.full((21, 25), 0.7)), fine, 20 * np.log10(0.5), viewpoint=EYE)
    assert plane.seen.mean() > 0.4  # rays at the rim pass beside the grid's nearer half
    np.testing.assert_allclose(plane.depth[plane.seen], 0.7 - EYE[2], atol=1e-12)
    np.testing.assert_allclose(plane.points()[:, 2], 0.7)
    point = np.zeros(fine.shape)
    point[14, 5, 20] = 1
    seen = depth_map(point, fine, -20, depth="strongest", viewpoint=EYE)
    best = np.unravel_index(np.nanargmax(seen.decibels), seen.depth.shape)
    assert seen.view.positions(seen.depth)[best] == pytest.approx((fine.x[14], fine.y[5], fine.z[20]), abs=0.02)


@pytest.mark.parametrize("eye", [None, EYE], ids=["along z", "viewpoint"])
def test_a_tilted_triangle_is_seen_where_its_plane_is(eye) -> None:
    view = View.of_grid(GRID, eye)
    big = np.array([[[-9.0, -9, 0], [9, -9, 0], [0, 9, 0]]])
    big[..., 2] = 0.75 + 0.1 * big[..., 0] - 0.05 * big[..., 1]
    if eye is not None:  # the whole triangle must be in front of the viewpoint
        big[..., :2] *= 0.2
        big[..., 2] = 0.75 + 0.1 * big[..., 0] - 0.05 * big[..., 1]
    hidden = np.add(big, [0, 0, 0.1])
    depth = depth_of_triangles(np.concatenate([hidden, big]), view, (0, 2))
    assert np.isfinite(depth).all()
    at = view.positions(depth)
    np.testing.assert_allclose(at[..., 2], 0.75 + 0.1 * at[..., 0] - 0.05 * at[..., 1], atol=1e-12)
    assert np.isnan(depth_of_triangles(big, view, (1.5, 2))).all()  # outside the z that count
    many = np.stack([big[0]] * 5)
    np.testing.assert_array_equal(depth_of_triangles(many, view, (0, 2)), depth_of_triangles(big, view, (0, 2)))


def test_triangles_in_parts_are_what_they_are_together(monkeypatch) -> None:
    rng = np.random.default_rng(2)
    triangles = rng.uniform([-0.2, -0.3, 0.5], [0.2, 0.3, 1.0], (40, 3, 3))
    whole = depth_of_triangles(triangles, View.of_grid(GRID), (0, 2))
    monkeypatch.setattr("mimo.recon.depth_maps.CHUNK", 7)
    np.testing.assert_array_equal(depth_of_triangles(triangles, View.of_grid(GRID), (0, 2)), whole)
    assert np.isfinite(whole).any()


@pytest.mark.parametrize("eye", [None, EYE], ids=["along z", "viewpoint"])
def test_points_are_seen_by_the_nearest_pixel(eye) -> None:
    view = View.of_grid(GRID, eye)
    wanted = np.full(view.shape, np.nan)
    wanted[1, 5], wanted[4, 0] = 0.6, 0.7
    at = view.positions(wanted)
    points = np.concatenate(
        [at[np.isfinite(wanted)], [[5, 0, 0.7], [0, 0, 0.05]], view.positions(wanted + 0.1)[1, 5][None]]
    )
    found = depth_of_points(points, view, (0.3, 2))
    np.testing.assert_allclose(found, wanted)
    assert np.isnan(depth_of_points(np.empty((0, 3)), view, (0, 1))).all()


@pytest.mark.parametrize("eye", [None, EYE], ids=["along z", "viewpoint"])
def test_the_pixels_of_another_grid(eye) -> None:
    """A tilted plane, which bilinear interpolation keeps, is seen at its place by pixels between the voxels."""
    other = VoxelGrid.from_extent(x=(-0.13, 0.11, 4), y=(-0.12, 0.2, 9), z=(0.6, 0.9, 3))
    tilted = ramp(GRID, 0.7 + 0.1 * GRID.x[:, None] - 0.05 * GRID.y[None, :])
    found = depth_map(tilted, GRID, 20 * np.log10(0.5), view=View.of_grid(other, eye))
    at = found.view.positions(found.depth)
    assert found.depth.shape == (4, 9) and found.seen.mean() > 0.8
    np.testing.assert_allclose(at[..., 2], 0.7 + 0.1 * at[..., 0] - 0.05 * at[..., 1], atol=1e-12)


def test_bad_input_is_named() -> None:
    volume = np.ones(GRID.shape)
    fails(("'last'", "first"), lambda: depth_map(volume, GRID, depth="last"))
    fails(("level_db is 0",), lambda: depth_map(volume, GRID, 0))
    fails(("(2, 2, 2)", "(5, 7, 11)"), lambda: depth_map(np.ones((2, 2, 2)), GRID))
    fails(("NaN",), lambda: depth_map(np.full(GRID.shape, np.nan), GRID))
    fails(("viewpoint has z = 0.6", "0.475"), lambda: depth_map(volume, GRID, viewpoint=(0, 0, 0.6)))
    fails(("viewpoint is (0, 0, nan)",), lambda: depth_map(volume, GRID, viewpoint=(0, 0, np.nan)))
    fails(("reference is 0",), lambda: depth_map(volume, GRID, reference=0))
