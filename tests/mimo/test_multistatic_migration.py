"""Range migration of planar MIMO arrays, regular or not: against back-projection."""

import math
import sys

import numpy as np
import pytest
import torch
from helper import fails, relative_gap

from mimo import ArrayGeometry, CosinePattern, FrequencySweep, LayeredMedium, VoxelGrid, backproject, born_operator
from mimo.fast.range_migration import migration_seconds, range_migration
from mimo.fast.scan_migration import ScanPlan

pytest.importorskip("finufft")

BAND = FrequencySweep.linear(5e9, 10e9, 5)
AHEAD = VoxelGrid.from_extent(x=(-0.06, 0.06, 13), y=(-0.05, 0.07, 12), z=(0.36, 0.48, 9))
BEHIND = VoxelGrid.from_extent(x=(-0.05, 0.05, 10), y=(0.0, 0.08, 9), z=(-0.45, -0.35, 6))
BETWEEN = VoxelGrid.from_extent(x=(-0.04, 0.04, 9), y=(-0.04, 0.04, 9), z=(0.30, 0.34, 5))


def scattered(n: int, width: float, z: float, seed: int) -> np.ndarray:
    return np.column_stack([np.random.default_rng(seed).uniform(-width / 2, width / 2, (n, 2)), np.full(n, z)])


CROSS = ArrayGeometry.mills_cross(n_tx=9, n_rx=10, width=0.2)
IRREGULAR = ArrayGeometry(scattered(16, 0.2, 0.0, 0), scattered(9, 0.16, 0.0, 1))
TWO_PLANES = ArrayGeometry(scattered(12, 0.2, 0.02, 2), scattered(11, 0.18, -0.03, 3))
OPPOSITE = ArrayGeometry(scattered(12, 0.12, 0.0, 4), scattered(11, 0.12, 0.65, 5))
SOME = np.argwhere(np.random.default_rng(6).uniform(size=(16, 9)) < 0.6)
STRIPS = np.column_stack([np.tile(np.linspace(-0.1, 0.1, 40), 3), np.repeat([-0.02, 0.0, 0.02], 40), np.zeros(120)])
GEOMETRIES = {
    "cross": (CROSS, AHEAD, {}),
    "irregular": (IRREGULAR, AHEAD, {"permittivity": 1.4}),
    "two planes, grid behind": (TWO_PLANES, BEHIND, {}),
    "grid between the sides": (OPPOSITE, BETWEEN, {}),
    "listed channels": (ArrayGeometry(IRREGULAR.tx_pos, IRREGULAR.rx_pos, SOME[::-1]), AHEAD, {}),
    # one transmitter that stands still, as in a bistatic scan: midpoints and offsets change together
    "receiver scanned": (
        ArrayGeometry([[0.05, -0.04, 0.0]], STRIPS, np.column_stack([np.zeros(120, int), np.arange(120)])),
        AHEAD,
        {},
    ),
}


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of magnitudes, normalised."""
    a, b = a.abs().flatten(), b.abs().flatten()
    return float(a @ b / (a.norm() * b.norm()))


def noise(A, batch: tuple[int, ...] = ()) -> torch.Tensor:
    return torch.randn(*batch, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))


def test_a_scan_is_imaged_from_pairs_of_waves_where_the_tolerance_asks_for_it():
    """A board whose transmitter stands far from its receiver: to a residual phase, or without one."""
    at = np.column_stack([np.repeat(np.linspace(-0.1, 0.1, 14), 12), np.tile(np.linspace(-0.08, 0.08, 12), 14)])
    at = np.column_stack([at, np.zeros(len(at))])
    index = np.arange(len(at))
    board = ArrayGeometry(at, np.add(at, [0.2, 0, 0]), np.column_stack([index, index]))
    A = born_operator(board, BAND, AHEAD)
    y = noise(A)
    with pytest.raises(ValueError, match="option tolerance"):
        ScanPlan(A, tolerance=1e-3)
    exact, errors = backproject(y, A), []
    for tolerance in (0.8, 1e-3):
        errors.append(relative_gap(range_migration(y, A, tolerance=tolerance), exact))
    assert errors[1] < 0.25 and errors[1] < errors[0]
    assert migration_seconds(A) > 0


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_body_a_point_and_noise_look_as_by_back_projection(name):
    array, grid, medium = GEOMETRIES[name]
    A = born_operator(array, BAND, grid, **medium)
    body, point = torch.zeros(grid.shape), torch.zeros(grid.shape)
    n_x, n_y, n_z = grid.shape
    body[n_x // 4 : n_x // 2 + 1, n_y // 3 : 2 * n_y // 3, n_z // 3 : n_z // 3 + 3] = 1
    point[n_x // 3, n_y // 2, n_z // 4] = 1
    for y, largest in ((A.forward(body), -22), (A.forward(point), -22), (noise(A), -12)):
        exact, image = backproject(y, A), range_migration(y, A)
        assert correlation(image, exact) > 0.99
        assert 20 * math.log10(relative_gap(image, exact)) < largest


@pytest.mark.parametrize("name", ["cross", "irregular", "two planes, grid behind"])
def test_a_point_between_voxels_lies_within_half_a_voxel(name):
    """Its peak, refined by a finer grid around it."""
    array, grid, medium = GEOMETRIES[name]
    where = np.array([0.0123, 0.0217, float(grid.z.mean()) + 0.0033])
    step = np.array([axis[1] - axis[0] for axis in (grid.x, grid.y, grid.z)])
    at = VoxelGrid([where[0]], [where[1]], [where[2]])
    y = born_operator(array, BAND, at, **medium).forward(torch.ones(1, 1, 1))
    axes = [w + s * np.arange(-8, 9) / 4 for w, s in zip(where, step, strict=True)]
    image = range_migration(y, born_operator(array, BAND, VoxelGrid(*axes), **medium))
    peak = np.unravel_index(int(image.abs().argmax()), image.shape)
    assert (np.abs([axis[i] for axis, i in zip(axes, peak, strict=True)] - where) <= step / 2 + 1e-9).all()


def test_removed_paths_masks_batches_and_precisions():
    grid = VoxelGrid([0.01, 0.02], [0.0], [0.4])
    path = np.random.default_rng(1).uniform(100, 300, (IRREGULAR.n_tx, IRREGULAR.n_rx))
    masked = IRREGULAR.with_mask(np.random.default_rng(2).random(path.shape) < 0.8)
    A = born_operator(masked, BAND, grid, reference_path=path)
    wide = born_operator(masked, BAND, grid, reference_path=path, dtype=torch.complex128)
    y = noise(A, (2, 3))
    images = range_migration(y, A)
    assert images.shape == (2, 3, *grid.shape) and images.dtype == A.dtype
    assert torch.equal(images[1, 2], range_migration(y[1, 2], A))
    assert relative_gap(images, range_migration(y.to(wide.dtype), wide)) < 1e-3
    assert relative_gap(images, backproject(y, A)) < 0.2


def test_tapers_are_windows_on_the_data():
    """On a regular cross: Hann windows over x and over y, so squared along its diagonal arms, and over the band."""
    A = born_operator(CROSS, BAND, AHEAD)
    y = A.forward(torch.randn(AHEAD.shape, generator=torch.Generator().manual_seed(3)))

    def hann(n):
        return np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2

    over = np.multiply.outer(hann(5), np.multiply.outer(hann(9) ** 2, hann(10) ** 2))
    windowed = y * torch.as_tensor(over, dtype=torch.float32)
    tapered = range_migration(y, A, aperture_taper=1.0, band_taper=1.0)
    assert relative_gap(tapered, range_migration(windowed, A)) < 1e-3
    assert relative_gap(range_migration(y, A), tapered) > 0.1


def test_what_does_not_fit_is_refused(monkeypatch):
    def refuse(parts, array=IRREGULAR, grid=AHEAD, sweep=BAND, **medium):
        A = born_operator(array, sweep, grid, **medium)
        y = torch.zeros(A.measurement_shape, dtype=A.dtype)
        fails(parts, lambda: range_migration(y, A))

    bowl = IRREGULAR.rx_pos + np.column_stack([np.zeros((9, 2)), 0.3 * np.arange(9) / 9])
    refuse(("receivers span 0.267 m along z", "plane z = const"), ArrayGeometry(IRREGULAR.tx_pos, bowl))
    for axis in range(3):
        axes = [[0.0, 0.1], [0.0, 0.1], [0.3, 0.4]]
        axes[axis] = [axes[axis][0], axes[axis][1], 0.9]
        refuse((f"grid {'xyz'[axis]}", "even step"), grid=VoxelGrid(*axes))
    refuse(("layers", "homogeneous"), layers=LayeredMedium([0.1], [1, 2]))
    refuse(("pattern", "isotropic"), pattern=CosinePattern(1))
    many = FrequencySweep.linear(70e9, 80e9, 64)
    refuse(("pairs of plane waves", "backprojection-factorised"), sweep=many)
    refuse(("plane waves a side", "backprojection-factorised"), sweep=FrequencySweep([3e12]))
    monkeypatch.setitem(sys.modules, "finufft", None)
    A = born_operator(IRREGULAR, BAND, AHEAD)
    with pytest.raises(ImportError, match=r"mimo-imaging\[nufft\]"):
        range_migration(torch.zeros(A.measurement_shape, dtype=A.dtype), A)


def test_time_goes_with_pairs_of_waves():
    """Not with antennas; with the fourth power of the aperture's angles and the fifth of the frequency, about."""
    seconds = migration_seconds(born_operator(IRREGULAR, BAND, AHEAD))
    more = ArrayGeometry(np.add(np.tile(IRREGULAR.tx_pos, (2, 1)), [1e-4, 0, 0]), IRREGULAR.rx_pos)
    assert migration_seconds(born_operator(more, BAND, AHEAD)) == pytest.approx(seconds, rel=0.02)
    doubled = FrequencySweep.linear(10e9, 20e9, 5)
    assert 6 < migration_seconds(born_operator(IRREGULAR, doubled, AHEAD)) / seconds < 16
