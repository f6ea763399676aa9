"""Magnitudes of the presets: range, determinism, soft edges, any grid."""

import numpy as np
import pytest
from scipy import ndimage

from mimo import VoxelGrid
from mimo.synth import PRESETS, draw, random_phase
from mimo.synth.paper import paper_grid
from mimo.synth.targets import N_POINT, paper_target

GRIDS = {
    "odd": VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.15, 0.15, 7), z=(0.4, 0.6, 11)),
    "slice x": VoxelGrid.from_extent(x=(0.02, 0.02, 1), y=(-0.15, 0.15, 7), z=(0.4, 0.6, 11)),
    "slice z": VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.15, 0.15, 7), z=(0.5, 0.5, 1)),
    "uneven": VoxelGrid([-0.1, -0.02, 0.0, 0.05, 0.1], np.linspace(-0.15, 0.15, 7), np.geomspace(0.4, 0.6, 11)),
    "one": VoxelGrid([0.0], [0.1], [0.5]),
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", GRIDS)
def test_magnitude_is_normalised_on_any_grid(preset, name):
    grid = GRIDS[name]
    for seed in range(20):
        volume = draw(preset, grid, np.random.default_rng(seed))
        assert volume.shape == grid.shape
        assert volume.dtype == np.float32
        assert volume.min() >= 0
        assert volume.max() == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_same_rng_same_target_other_rng_other_target(preset):
    grid = GRIDS["odd"]
    first, again, other = (draw(preset, grid, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("preset", PRESETS)
def test_global_random_state_is_untouched(preset):
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the state that must not be used
    draw(preset, GRIDS["odd"], np.random.default_rng(0))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("preset", PRESETS)
def test_targets_follow_the_grid_when_it_is_moved_and_scaled(preset):
    grid = GRIDS["odd"]
    moved = VoxelGrid(3 * grid.x + 1, 3 * grid.y - 2, 3 * grid.z + 5)
    for seed in range(5):
        a, b = (draw(preset, g, np.random.default_rng(seed)) for g in (grid, moved))
        assert np.abs(a - b).max() < 1e-5


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match=r"no preset 'papper': did you mean 'paper'\?"):
        draw("papper", GRIDS["odd"], np.random.default_rng(0))


def test_paper_targets_are_extended_saturated_and_soft():
    grid = paper_grid()
    filled, pieces = [], []
    for seed in range(30):
        volume = draw("paper", grid, np.random.default_rng(seed))
        filled.append((volume > 0.5).mean())
        pieces.append(ndimage.label(volume > 0.1)[1])
        assert (volume > 0.95).sum() > 30
        assert (volume == 0).mean() > 0.3 or volume[volume < 0.01].size > 0.5 * volume.size
        # soft: along z no neighbouring voxels jump from nothing to everything
        assert np.abs(np.diff(volume, axis=2)).max() < 0.9
        assert ((volume > 0.05) & (volume < 0.95)).sum() > 100
    assert 0.005 < np.median(filled) < 0.03
    assert max(filled) < 0.05
    assert np.median(pieces) <= 2


def test_paper_target_equals_the_plain_sum_over_points():
    """The separable product against a loop over voxels, from the recipe's own random numbers."""
    import synth.targets as targets

    grid = GRIDS["odd"]
    rng = np.random.default_rng(7)
    first = rng.uniform(-targets.CENTER_RANGE, targets.CENTER_RANGE, 3)
    direction = rng.standard_normal((N_POINT, 3))
    length = rng.uniform(*targets.STEP_RANGE, N_POINT)
    near = rng.random(N_POINT)
    width = rng.uniform(*targets.WIDTH_RANGE, N_POINT) * np.cbrt(0.2 * 0.3 * 0.2)
    points = [first]
    for i in range(1, N_POINT):
        parent = points[i - 1 - int(near[i] * min(i, targets.N_NEAR))]
        step = direction[i] / np.sqrt((direction[i] ** 2).sum()) * length[i]
        points.append(np.clip(parent + step, targets.MARGIN - 0.5, 0.5 - targets.MARGIN))
    total = np.zeros(grid.n_voxel)
    for point, w in zip(points, width, strict=True):
        at = np.array(grid.center) + point * [0.2, 0.3, 0.2]
        widths = np.maximum(w, targets.MIN_WIDTH_VOXELS * np.array([0.05, 0.05, 0.02]))
        total += np.exp(-((((grid.centers() - at) / widths) ** 2).sum(axis=1)) / 2)

    def sigmoid(s):
        return 1 / (1 + np.exp(-(s - targets.SIGMOID_THRESHOLD) / targets.SIGMOID_WIDTH))

    body = sigmoid(total) - sigmoid(0.0)
    expected = (body / body.max()).reshape(grid.shape)
    assert np.abs(paper_target(grid, np.random.default_rng(7)) - expected).max() < 1e-6


def test_random_phase_keeps_the_magnitude_and_is_uniform():
    rng = np.random.default_rng(0)
    magnitude = np.random.default_rng(1).random((50, 70, 11), dtype=np.float32)
    reflectivity = random_phase(magnitude, rng)
    assert reflectivity.dtype == np.complex64
    assert np.abs(np.abs(reflectivity) - magnitude).max() < 1e-6
    unit = reflectivity / magnitude
    for order in (1, 2, 3):  # uniform over the circle: all moments vanish
        assert np.abs((unit**order).mean()) < 5 / np.sqrt(magnitude.size)
    assert np.abs((unit[1:] * unit[:-1].conj()).mean()) < 5 / np.sqrt(magnitude.size)
