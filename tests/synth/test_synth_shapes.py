"""Bodies of the shapes preset: each kind, orientation, anti-aliased edges that keep volumes."""

import numpy as np
import pytest

from mimo import VoxelGrid
from mimo.synth.frame import GridFrame
from mimo.synth.glyphs import GLYPHS
from mimo.synth.shapes import (
    BODIES,
    box_distance,
    coverage,
    draw_plate,
    draw_ring,
    draw_shell,
    letter,
    local_coordinates,
    random_rotation,
)

GRID = VoxelGrid.from_extent(x=(-0.15, 0.15, 25), y=(-0.13, 0.13, 21), z=(0.35, 0.65, 49))
CELL = np.prod(GRID.spacing)


@pytest.mark.parametrize("kind", BODIES)
def test_each_kind_of_body_fills_some_voxels_and_has_edges(kind):
    frame = GridFrame.of(GRID)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        distance = BODIES[kind](frame.size, 0.5 * frame.spacing.max(), rng)
        filled = coverage(distance(*local_coordinates(GRID, frame.center, random_rotation(rng))))
        assert filled.min() == 0
        assert filled.max() > 0.8
        assert 0.001 < filled.mean() < 0.4
        assert ((filled > 0) & (filled < 1)).sum() > 50


@pytest.mark.parametrize("seed", range(6))
def test_volume_of_a_box_is_kept_in_any_orientation(seed):
    rng = np.random.default_rng(seed)
    half = rng.uniform(0.03, 0.07, 3)
    center = np.array(GRID.center) + rng.uniform(-0.01, 0.01, 3)
    filled = coverage(box_distance(*local_coordinates(GRID, center, random_rotation(rng)), half))
    # looser than a sphere: the ramp rounds off twelve edges, 5 voxels long
    assert filled.sum() * CELL == pytest.approx(8 * half.prod(), rel=0.03)


def test_volume_of_a_sphere_is_kept_and_its_edge_is_one_voxel_wide():
    x, y, z = local_coordinates(GRID, np.array([0.004, -0.003, 0.502]), np.eye(3))
    radius = 0.09
    from_center = np.sqrt(x * x + y * y + z * z)
    filled = coverage(from_center - radius)
    assert filled.sum() * CELL == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    reach = np.linalg.norm(GRID.spacing)
    assert (filled[from_center < radius - reach] == 1).all()
    assert (filled[from_center > radius + reach] == 0).all()
    edge = (filled > 0) & (filled < 1)
    assert edge.any()
    # along z voxels are half as large, and so is the edge
    line = filled[np.abs(GRID.x - 0.004).argmin(), np.abs(GRID.y + 0.003).argmin()]
    assert ((line > 0) & (line < 1)).sum() <= 4


def test_coverage_of_a_slab_is_exact():
    filled = coverage(box_distance(*local_coordinates(GRID, np.array([0, 0, 0.5]), np.eye(3)), (1, 1, 0.02)))
    assert filled.sum(axis=2) * GRID.spacing[2] == pytest.approx(0.04, rel=1e-6)


def test_rotations_are_proper_and_differ():
    rng = np.random.default_rng(0)
    rotations = np.array([random_rotation(rng) for _ in range(2000)])
    assert np.abs(rotations @ rotations.transpose(0, 2, 1) - np.eye(3)).max() < 1e-12
    assert np.linalg.det(rotations) == pytest.approx(1)
    assert np.abs(rotations.mean(axis=0)).max() < 0.06  # uniform: no direction is preferred


def test_plate_has_holes_ring_and_shell_are_hollow():
    flat = np.linspace(-0.1, 0.1, 201)
    x, y = np.meshgrid(flat, flat, indexing="ij")
    for seed in range(5):
        inside = draw_plate(0.3, 0.002, np.random.default_rng(seed))(x, y, np.zeros_like(x)) < 0
        rows = inside.any(axis=1)
        assert not inside[rows][:, inside.any(axis=0)].all()
    zero = np.zeros((1, 1, 1))
    for seed in range(5):
        assert draw_ring(0.3, 0.002, np.random.default_rng(seed))(zero, zero, zero) > 0
        assert draw_shell(0.3, 0.002, np.random.default_rng(seed))(zero, zero, zero) > 0


def test_letters_differ_and_have_their_height():
    assert len(GLYPHS) == 26
    y, x = np.meshgrid(np.linspace(-0.2, 0.2, 81), np.linspace(-0.2, 0.2, 81))
    seen = set()
    for name in GLYPHS:
        inside = letter(name, height=0.2, stroke=0.012, half_depth=0.02)(x, y, np.zeros_like(x)) < 0
        assert np.ptp(y[inside]) == pytest.approx(0.224, abs=0.011)
        seen.add(inside.tobytes())
    assert len(seen) == len(GLYPHS)
    # F reads as F: upright, the bars to the right, the longer one on top
    inside = letter("F", height=0.2, stroke=0.012, half_depth=0.02)(x, y, np.zeros_like(x)) < 0
    assert x[inside & (y > 0.09)].max() > x[inside & (np.abs(y) < 0.005)].max() > x[inside & (y < -0.05)].max()
