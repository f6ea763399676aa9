"""Range migration of boards with transmitters apart from their receivers, on a scanner: against back-projection."""

import itertools
import math

import numpy as np
import pytest
import torch
from helper import relative_gap

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, backproject, born_operator, range_migration
from mimo.fast.compensation import Compensation, excess_path
from mimo.fast.planar_scan import PlanarScan
from mimo.fast.scan_migration import ScanPlan
from mimo.propagation import BORN

BAND = FrequencySweep.linear(20e9, 24e9, 40)
GRID = VoxelGrid.from_extent(x=(-0.06, 0.05, 13), y=(-0.05, 0.06, 14), z=(0.20, 0.31, 15))
LINE = (np.array([[0.0, 0.0, 0.0]]), np.array([[0.0, 0.02 + 0.006 * i, 0.0] for i in range(3)]))
PLANE = (np.array([[0.03, 0.0, 0.0], [0.0, 0.02, 0.0]]), np.array([[-0.02, 0.012, 0.0], [-0.02, -0.01, 0.0]]))
STEPPED = (np.array([[0.0, 0.02, 0.015]]), np.array([[0.01, 0.0, -0.015], [0.0, -0.02, -0.015]]))


def board_scan(tx, rx, shape=(30, 26), step=(5e-3, 6e-3), z: float = 0.0, uneven: float = 0.0, seed=None):
    """Position x Tx x Rx, in that order, or in a random one where there is a seed."""
    rng = np.random.default_rng(0)
    axes = [np.arange(n) * s + uneven * s * rng.uniform(-1, 1, n) for n, s in zip(shape, step, strict=True)]
    at = np.stack(np.meshgrid(*(a - a.mean() for a in axes), indexing="ij"), axis=-1).reshape(-1, 2)
    at = np.column_stack([at, np.full(len(at), z)])
    tx_pos, rx_pos = ((at[:, None] + side).reshape(-1, 3) for side in (tx, rx))
    n_t, n_r = len(tx), len(rx)
    pairs = itertools.product(range(len(at)), range(n_t), range(n_r))
    channels = np.array([(p * n_t + t, p * n_r + r) for p, t, r in pairs])
    if seed is not None:
        channels = np.random.default_rng(seed).permutation(channels)[: -len(channels) // 10]
    return ArrayGeometry(tx_pos, rx_pos, channels)


SCANS = {
    "a line of receivers": board_scan(*LINE),
    "a plane of both": board_scan(*PLANE, z=0.01),
    "one side before the other": board_scan(*STEPPED),
    "uneven rows, holes, any order": board_scan(*PLANE, uneven=0.2, seed=1),
    "few rows": board_scan(*LINE, shape=(40, 5)),
}


def error_db(image: torch.Tensor, exact: torch.Tensor) -> float:
    return 20 * math.log10(relative_gap(image, exact))


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of magnitudes, normalised."""
    a, b = a.abs().flatten(), b.abs().flatten()
    return float(a @ b / (a.norm() * b.norm()))


def body(grid: VoxelGrid) -> torch.Tensor:
    x = torch.zeros(grid.shape)
    n_x, n_y, n_z = grid.shape
    x[n_x // 4 : n_x // 2, n_y // 3 : 2 * n_y // 3, n_z // 3 : n_z // 3 + 3] = 1
    x[-2, 1, -2] = 1
    return x


@pytest.mark.parametrize("name", SCANS)
def test_a_body_looks_as_by_back_projection_to_the_tolerance(name):
    A = born_operator(SCANS[name], BAND, GRID)
    y = A.forward(body(GRID))
    exact = backproject(y, A)
    errors = []
    for tolerance in (0.3, 0.03):
        image = range_migration(y, A, tolerance=tolerance)
        assert correlation(image, exact) > 0.9995
        errors.append(error_db(image, exact))
    # the phase error that is stated, and what remains of plane waves themselves, about 0.02
    assert errors[0] < 20 * math.log10(0.3 + 0.02)
    assert errors[1] < 20 * math.log10(0.03 + 0.02)
    assert errors[1] < errors[0] - (3 if "plane" in name else 0.5)
    assert image.abs().argmax() == exact.abs().argmax()


def test_grids_behind_the_scan_and_media():
    behind = VoxelGrid(GRID.x, GRID.y, -GRID.z[::-1])
    A = born_operator(SCANS["one side before the other"], BAND, behind, permittivity=1.4)
    y = A.forward(body(behind))
    assert error_db(range_migration(y, A, tolerance=0.03), backproject(y, A)) < -26


def test_without_compensation_the_image_is_another_one():
    """The same data with midpoints alone, as if they were monostatic."""
    array = SCANS["a plane of both"]
    index = array.channel_indices()
    middle = (array.tx_pos[index[:, 0]] + array.rx_pos[index[:, 1]]) / 2
    one = np.arange(len(middle))
    alone = ArrayGeometry(middle, middle, np.column_stack([one, one]))
    A, B = born_operator(array, BAND, GRID), born_operator(alone, BAND, GRID)
    y = A.forward(body(GRID))
    assert error_db(range_migration(y, B), backproject(y, A)) > -6


def test_the_stated_residual_bounds_every_channel_and_voxel():
    """Brute force over rays between all places of the board and all voxels."""
    A = born_operator(SCANS["a plane of both"], BAND, GRID)
    plan = ScanPlan(A, tolerance=0.05)
    assert plan.compensation.residual <= 0.05 and len(plan.compensation.slabs) > 1
    k, worst = float(A.acquisition.wavenumber.max()), 0.0
    scan = PlanarScan.of(A.array, wavelength=2 * np.pi / k)
    for one in scan.classes:
        for slab in plan.compensation.slabs:
            for z in GRID.z[slab.start : slab.stop] - scan.z:
                u = np.stack(np.meshgrid(GRID.x[::4, None] - one.x, GRID.y[::4, None] - one.y), -1).reshape(-1, 2)
                ray = np.column_stack([u, np.full(len(u), z)])
                change = excess_path(one.half[None], ray) - excess_path(one.half[None], ray * (slab.depth / z))
                worst = max(worst, k * float(np.abs(change).max()))
    assert 0.3 * plan.compensation.residual < worst <= plan.compensation.residual


def test_slabs_cover_the_depths_and_monostatic_scans_need_one():
    scan = PlanarScan.of(SCANS["a line of receivers"], wavelength=0.0125)
    facts = {"k_max": 500.0, "slope": (0.8, 0.8), "most": 32}
    made = Compensation.of(scan.classes, np.linspace(0.2, 0.4, 23), tolerance=0.02, **facts)
    places = [i for slab in made.slabs for i in range(slab.start, slab.stop)]
    assert places == list(range(23)) and len(made.slabs) > 3
    index = np.arange(6)
    points = np.column_stack([index * 0.01, 0 * index, 0 * index])
    alone = PlanarScan.of(ArrayGeometry(points, points, np.column_stack([index, index])), wavelength=0.01)
    assert Compensation.of(alone.classes, np.linspace(0.2, 0.4, 23), tolerance=0.001, **facts).residual == 0


@pytest.mark.parametrize("name", ["a plane of both", "uneven rows, holes, any order", "one side before the other"])
def test_the_projection_is_the_exact_adjoint_and_near_the_born_operator(name):
    array = SCANS[name]
    for dtype, gap in ((torch.complex64, 1e-6), (torch.complex128, 1e-14)):
        path = np.random.default_rng(2).uniform(0, 3, array.n_channel)
        A = born_operator(array, BAND, GRID, dtype=dtype, reference_path=path)
        plan = ScanPlan(A, tolerance=0.05, model=BORN, aperture_taper=0.3)
        rng = torch.Generator().manual_seed(0)
        x = torch.randn(GRID.shape, dtype=dtype, generator=rng)
        y = torch.randn(A.measurement_shape, dtype=dtype, generator=rng)
        seen, image = plan.project(x), plan.image(y).view(GRID.shape)
        difference = torch.vdot(seen.flatten(), y.flatten()) - torch.vdot(x.flatten(), image.flatten())
        assert float(difference.abs() / (seen.norm() * y.norm())) < gap
    plan, x = ScanPlan(A, tolerance=0.03, model=BORN), body(GRID).to(dtype)
    seen, exact = plan.project(x), A.forward(x)
    assert float((seen - exact).norm() / exact.norm()) < 0.04


def test_forty_frequencies_are_gathered_at_fewer():
    A = born_operator(SCANS["a line of receivers"], FrequencySweep.linear(20e9, 24e9, 200), GRID)
    assert ScanPlan(A)._gather.shape[0] < 30
