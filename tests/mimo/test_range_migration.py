"""Range migration of planar scans: against back-projection, which it is for whatever the aperture can see."""

import math

import numpy as np
import pytest
import torch
from helper import fails, relative_gap

from mimo import (
    ArrayGeometry,
    CosinePattern,
    FrequencySweep,
    LayeredMedium,
    VoxelGrid,
    backproject,
    born_operator,
    range_migration,
)
from mimo.fast.scan_migration import ScanPlan

BAND = FrequencySweep.linear(10e9, 20e9, 24)
BENT = FrequencySweep(10e9 + 10e9 * np.linspace(0, 1, 22) ** 1.2)
NEAR = VoxelGrid.from_extent(x=(-0.06, 0.05, 15), y=(-0.04, 0.06, 17), z=(0.25, 0.40, 22))
BESIDE = VoxelGrid.from_extent(x=(0.11, 0.17, 13), y=(-0.15, -0.1, 11), z=(0.30, 0.36, 9))
BEHIND = VoxelGrid.from_extent(x=(-0.05, 0.06, 14), y=(-0.06, 0.05, 12), z=(-0.45, -0.30, 17))
FINE = ArrayGeometry.planar_scan(shape=(40, 36), width=0.25, height=0.22)
COARSE = ArrayGeometry.planar_scan(shape=(26, 30), width=0.4, height=0.5, z=0.02)  # with grating lobes
LONG = ArrayGeometry.planar_scan(shape=(60, 8), width=0.3, height=0.04)

GEOMETRIES = {
    "fine": (FINE, BAND, NEAR, {}),
    "coarse": (COARSE, BAND, NEAR, {}),
    "long": (LONG, BAND, NEAR, {"permittivity": 1.7}),
    "bent sweep": (FINE, BENT, NEAR, {}),
    "grid beside the scan": (FINE, BAND, BESIDE, {}),
    "grid behind the scan": (FINE, BAND, BEHIND, {}),
    "one row": (ArrayGeometry.planar_scan(shape=(50, 1), width=0.3), BAND, NEAR, {}),
}


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of magnitudes, normalised."""
    a, b = a.abs().flatten(), b.abs().flatten()
    return float(a @ b / (a.norm() * b.norm()))


def error_db(image: torch.Tensor, exact: torch.Tensor) -> float:
    return 20 * math.log10(relative_gap(image, exact))


def noise(A, seed: int = 0, batch: tuple[int, ...] = ()) -> torch.Tensor:
    return torch.randn(*batch, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(seed))


def scan_of(points: np.ndarray, z: float = 0.0) -> ArrayGeometry:
    points = np.column_stack([points, np.full(len(points), z)])
    index = np.arange(len(points))
    return ArrayGeometry(points, points, np.column_stack([index, index]))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_body_and_a_point_look_as_by_back_projection(name):
    array, sweep, grid, medium = GEOMETRIES[name]
    A = born_operator(array, sweep, grid, **medium)
    body, point = torch.zeros(grid.shape), torch.zeros(grid.shape)
    n_x, n_y, n_z = grid.shape
    body[n_x // 4 : n_x // 2, n_y // 3 : 2 * n_y // 3, n_z // 3 : n_z // 3 + 3] = 1
    point[n_x // 3, n_y // 2, n_z // 4] = 1
    for x in (body, point):
        y = A.forward(x)
        exact, image = backproject(y, A), range_migration(y, A)
        assert correlation(image, exact) > 0.999
        # a row says nothing of y: waves at every angle count, and those near the cut are a larger part
        assert error_db(image, exact) < (-25 if name == "one row" else -38)
    if name != "one row":
        assert image.abs().argmax() == exact.abs().argmax() == point.argmax()
    y = noise(A)
    assert correlation(range_migration(y, A), backproject(y, A)) > 0.98


@pytest.mark.parametrize("name", ["fine", "coarse", "long"])
def test_a_point_between_voxels_lies_within_half_a_voxel(name):
    """Its peak, refined by a finer grid around it."""
    array, sweep, _, medium = GEOMETRIES[name]
    where = np.array([0.0123, -0.0217, 0.3311])
    step = np.array([0.004, 0.004, 0.004])
    axes = [w + s * np.arange(-8, 9) / 4 for w, s in zip(where, step, strict=True)]
    at = VoxelGrid([where[0]], [where[1]], [where[2]])
    y = born_operator(array, sweep, at, **medium).forward(torch.ones(1, 1, 1))
    grid = VoxelGrid(*axes)
    image = range_migration(y, born_operator(array, sweep, grid, **medium))
    peak = np.unravel_index(int(image.abs().argmax()), grid.shape)
    assert (np.abs([axis[i] for axis, i in zip(axes, peak, strict=True)] - where) <= step / 2 + 1e-9).all()


def test_order_holes_and_uneven_rows():
    rng = np.random.default_rng(0)
    x, y = np.cumsum(rng.uniform(4e-3, 8e-3, 30)), np.cumsum(rng.uniform(4e-3, 8e-3, 25))
    points = np.stack(np.meshgrid(x - x.mean(), y - y.mean()), axis=-1).reshape(-1, 2)
    points = rng.permutation(points)[:600] + rng.uniform(-1e-5, 1e-5, (600, 2))
    A = born_operator(scan_of(points, 0.01), BAND, NEAR)
    for data in (noise(A), A.forward(torch.ones(NEAR.shape))):
        assert correlation(range_migration(data, A), backproject(data, A)) > 0.99


def test_removed_paths_batches_and_precisions():
    path = 2 * np.random.default_rng(1).uniform(100, 300, FINE.n_channel)
    A = born_operator(FINE, BAND, NEAR, reference_path=path)
    wide = born_operator(FINE, BAND, NEAR, reference_path=path, dtype=torch.complex128)
    y = A.forward(torch.randn(2, 3, *NEAR.shape, generator=torch.Generator().manual_seed(2)))
    images = range_migration(y, A)
    assert images.shape == (2, 3, *NEAR.shape) and images.dtype == A.dtype
    assert torch.equal(images[1, 2], range_migration(y[1, 2], A))
    assert relative_gap(images, range_migration(y.to(wide.dtype), wide)) < 1e-5
    assert correlation(images[0, 0], backproject(y[0, 0], A)) > 0.999
    assert range_migration(y[:0], A).shape == (0, 3, *NEAR.shape)


@pytest.mark.parametrize("shape", [(5, 7, 1), (1, 1, 11), (6, 1, 35)])
def test_grids_of_few_voxels(shape):
    x, y, z = shape
    grid = VoxelGrid.from_extent(
        x=(-0.04, 0.04 if x > 1 else -0.04, x), y=(0.01, 0.05 if y > 1 else 0.01, y), z=(0.3, 0.4 if z > 1 else 0.3, z)
    )
    A = born_operator(FINE, BAND, grid)
    data = noise(A)
    assert error_db(range_migration(data, A), backproject(data, A)) < -20


def test_tapers_are_windows_on_the_data():
    A = born_operator(FINE, BAND, NEAR)
    y = A.forward(torch.randn(NEAR.shape, generator=torch.Generator().manual_seed(3)))

    def hann(n):
        return np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2

    over = np.multiply.outer(hann(24), np.multiply.outer(hann(40), hann(36)).ravel())
    windowed = y * torch.as_tensor(over, dtype=torch.float32)
    exact = backproject(windowed, A)
    assert error_db(range_migration(y, A, aperture_taper=1, band_taper=1), exact) < -35
    assert relative_gap(range_migration(y, A, aperture_taper=1.0, band_taper=1.0), range_migration(windowed, A)) < 1e-5
    assert error_db(range_migration(y, A), exact) > -20


def test_padding_keeps_what_wraps_around_away():
    """Noise is an echo from everywhere: the less the period, the more of it wraps around into the scene."""
    A = born_operator(FINE, BAND, NEAR)
    y = noise(A)
    exact = backproject(y, A)
    errors = [error_db(range_migration(y, A, padding=p), exact) for p in (0.5, 1, 2)]
    assert errors[0] > -10 and errors[1] < -25 and errors[2] < -25


def test_what_does_not_fit_is_refused():
    def refuse(parts, array=FINE, grid=NEAR, options=None, **medium):
        A = born_operator(array, BAND, grid, **medium)
        y = torch.zeros(A.measurement_shape, dtype=A.dtype)
        fails(parts, lambda: range_migration(y, A, **(options or {})))

    def no_scan(parts, array):
        """What is no scan may be imaged from pairs of waves, so the plan of a scan is asked."""
        fails(parts, lambda: ScanPlan(born_operator(array, BAND, NEAR)))

    expected = ("expected a scan", "z = const")
    points = FINE.tx_pos
    wide = ArrayGeometry(points, np.add(points, [0.4, 0, 0]), FINE.channels)
    no_scan(("0.4 m apart", "22 reference depths", "option tolerance", "backprojection-fast"), wide)
    fixed = ArrayGeometry(points[:1], points, np.column_stack([0 * FINE.channels[:, 0], FINE.channels[:, 1]]))
    no_scan(("1440 different offsets", "board", *expected), fixed)
    bowl = points + np.column_stack([np.zeros((len(points), 2)), points[:, 0] ** 2])
    refuse(("along z", *expected, "nor pairs of plane waves"), ArrayGeometry(bowl, bowl, FINE.channels))
    rng = np.random.default_rng(0)
    no_scan(("200 positions", "columns", *expected), scan_of(np.sort(rng.uniform(-3, 3, (200, 2)), axis=0)))
    no_scan(("off its row or column", *expected), scan_of(rng.uniform(-0.02, 0.02, (200, 2))))
    refuse(("layers", "homogeneous"), layers=LayeredMedium([0.1], [1, 2]))
    refuse(("pattern", "isotropic"), pattern=CosinePattern(1))
    refuse(("z -0.1 to 0.1", "0 m", "one side"), grid=VoxelGrid.from_extent(x=(0, 1, 2), y=(0, 1, 2), z=(-0.1, 0.1, 5)))
    refuse(("grid z", "even step"), grid=VoxelGrid([0], [0], [0.2, 0.3, 0.5]))
    for value in (0, 1.5, "0.1", math.nan):
        refuse(("tolerance", repr(value), "0.001 to 1"), options={"tolerance": value})
    for value in (0.2, 17, "2", math.nan):
        refuse(("padding", repr(value), "0.25 to 16"), options={"padding": value})
    for name in ("aperture_taper", "band_taper"):
        for value in (-0.1, 1.1, "hann"):
            refuse((name, repr(value), "0 to 1"), options={name: value})
