"""Back-projection through sub-apertures: against the exact sum, and its parts against what they promise."""

import functools
import math

import numpy as np
import pytest
import torch
from cases import PAIRED
from helper import TOLERANCE, fails, relative_gap

from mimo import (
    ArrayGeometry,
    CosinePattern,
    FrequencySweep,
    LayeredMedium,
    VoxelGrid,
    backproject,
    backproject_factorised,
    born_operator,
)
from mimo.fast.factorised_sum import FactorisedSum, Plan
from mimo.fast.subapertures import Blocks, chebyshev_count, frequency_nodes, grouped
from mimo.propagation import BORN

BAND = FrequencySweep.linear(20e9, 30e9, 25)
BENT = FrequencySweep(20e9 + 10e9 * np.linspace(0, 1, 27) ** 1.3)
GRID = VoxelGrid.from_extent(x=(-0.07, 0.08, 17), y=(-0.06, 0.05, 13), z=(0.22, 0.35, 19))
UNEVEN = VoxelGrid(x=np.linspace(0, 0.4, 21) ** 2, y=np.linspace(-0.1, 0.02, 17), z=[0.21, 0.22, 0.25, 0.26])


def square(n: int = 31, width: float = 0.2) -> ArrayGeometry:
    """Transmitters on two opposite sides of a square, receivers on the others."""
    side, edge = np.linspace(-width / 2, width / 2, n), np.full(n, width / 2 + 0.003)
    flat = np.zeros(2 * n)
    along, across = np.concatenate([side, side]), np.concatenate([edge, -edge])
    return ArrayGeometry(np.column_stack([along, across, flat]), np.column_stack([across, along, flat]))


LINE = np.linspace(-0.1, 0.1, 40)
SPACE = np.random.default_rng(1).uniform(-0.05, 0.05, (2, 60, 3))
MASK = np.random.default_rng(0).uniform(size=(62, 62)) > 0.2
CASES = {
    "square": (square(), BAND, GRID, {}),
    "masked": (square().with_mask(MASK), BAND, GRID, {}),
    "cross": (ArrayGeometry.mills_cross(n_tx=47, n_rx=39, width=0.25), BAND, GRID, {"permittivity": 1.3}),
    "plane": (ArrayGeometry.random_planar(n_tx=60, n_rx=55, width=0.1), BENT, GRID, {}),
    "in space": (ArrayGeometry(SPACE[0], SPACE[1, :37]), BAND, GRID, {}),
    "few antennas": (ArrayGeometry.random_planar(n_tx=2, n_rx=3, width=0.2), BAND, UNEVEN, {}),
    "one frequency": (square(), FrequencySweep([25e9]), UNEVEN, {}),
    "one voxel": (square(), BAND, VoxelGrid([0.01], [0.02], [0.3]), {}),
    "near voxels": (
        square(),
        BAND,
        VoxelGrid([-0.05, 0.1], np.linspace(-0.1, 0.1, 9), np.linspace(0.004, 0.1, 12)),
        {},
    ),
}


def error_db(image: torch.Tensor, exact: torch.Tensor) -> float:
    return 20 * math.log10(relative_gap(image, exact))


@functools.cache
def of_noise(name: str):
    """A case's operator, a measurement and its exact image, which takes the time."""
    array, sweep, grid, options = CASES[name]
    A = born_operator(array, sweep, grid, **options)
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    return A, y, backproject(y, A)


@pytest.mark.parametrize(("tolerance", "limit"), [(1e-2, -50), (1e-4, -56)])
@pytest.mark.parametrize("name", CASES)
def test_it_is_the_exact_sum_to_a_tolerance(name, tolerance, limit):
    """Noise is the hardest measurement: its image has no peak to hide an error behind."""
    A, y, exact = of_noise(name)
    image = backproject_factorised(y, A, tolerance=tolerance)
    assert image.dtype == A.dtype
    assert error_db(image, exact) < limit


def test_large_arrays_have_fewer_nodes():
    array, sweep, grid, _ = CASES["square"]
    plan = Plan.of(born_operator(array, sweep, grid), 0.03, 1e-2)
    assert len(plan.tx) == len(plan.rx) == 2  # a group for each side of the square
    assert plan.nodes.n_tx < 0.4 * array.n_tx
    assert plan.sweep.n_freq < 0.5 * sweep.n_freq
    assert plan.sweep.is_uniform


def test_a_point_is_imaged_in_its_voxel():
    A = born_operator(square(), BAND, GRID)
    x = torch.zeros(GRID.shape)
    x[5, 8, 14] = 1
    image = backproject_factorised(A.forward(x), A).abs()
    assert int(image.argmax()) == int(x.argmax())


@pytest.mark.parametrize("name", ["square", "cross", "in space"])
def test_a_body_and_a_point_look_as_by_back_projection(name):
    """Magnitudes correlate; a point between voxels has its peak, on a finer grid, within half a voxel."""
    array, sweep, grid, medium = CASES[name]
    A = born_operator(array, sweep, grid, **medium)
    body = torch.zeros(grid.shape)
    body[4:10, 3:9, 6:11] = 1
    image, exact = (former(A.forward(body), A).abs().flatten() for former in (backproject_factorised, backproject))
    assert image @ exact / (image.norm() * exact.norm()) > 0.98
    where, step = np.array([0.0113, -0.0187, 0.2911]), np.array(grid.spacing)
    at = VoxelGrid(*(where[[i]] for i in range(3)))
    y = born_operator(array, sweep, at, **medium).forward(torch.ones(1, 1, 1))
    fine = VoxelGrid(*(w + s * np.arange(-8, 9) / 8 for w, s in zip(where, step, strict=True)))
    B = born_operator(array, sweep, fine, **medium)
    for former in (backproject_factorised, backproject):
        peak = np.unravel_index(int(former(y, B).abs().argmax()), fine.shape)
        found = np.array([axis[i] for axis, i in zip((fine.x, fine.y, fine.z), peak, strict=True)])
        assert (np.abs(found - where) <= step / 2 + 1e-9).all()


def test_removed_paths_batches_masks_and_precisions():
    array = CASES["masked"][0]
    path = np.random.default_rng(3).uniform(100, 300, array.measurement_shape)
    A = born_operator(array, BAND, UNEVEN, reference_path=path)
    wide = born_operator(array, BAND, UNEVEN, reference_path=path, dtype=torch.complex128)
    y = torch.randn(2, 3, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    images = backproject_factorised(y, A)
    assert images.shape == (2, 3, *UNEVEN.shape)
    assert relative_gap(images[1, 2], backproject_factorised(y[1, 2], A)) < 1e-5
    # each to -57 dB: range profiles are interpolated at places that rounding moves
    assert relative_gap(backproject_factorised(y.to(wide.dtype), wide), images) < 3e-3
    assert error_db(images, backproject(y, A)) < -50
    spoiled = torch.where(torch.as_tensor(MASK), y, torch.full_like(y, torch.nan))
    assert torch.equal(backproject_factorised(spoiled, A), images)
    assert backproject_factorised(y[:0], A).shape == (0, 3, *UNEVEN.shape)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_sums_are_an_adjoint_pair_near_the_born_model(name, dtype):
    """Inside a region, with removed paths, and two scenes that differ; blocks so small that nodes replace antennas."""
    array, sweep, grid, medium = CASES[name]
    inside = np.random.default_rng(0).uniform(size=grid.shape) < 0.8
    inside.flat[0] = True
    path = np.random.default_rng(3).uniform(1, 3, array.measurement_shape)
    A = born_operator(array, sweep, grid, dtype=dtype, reference_path=path, **medium)
    A = type(A).of(A.acquisition.replace(inside=inside), dtype=dtype)
    sums = FactorisedSum(A, BORN, plan=Plan.of(A, 0.03, 1e-3, spreading=True))
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, A.n_voxel, dtype=dtype, generator=rng)
    y = torch.randn(2, *A.measurement_shape, dtype=dtype, generator=rng)
    if array.mask is not None:
        y = y * torch.as_tensor(array.mask.copy())
    ax, ay = sums.forward(x), sums.adjoint(y)
    assert ax.shape == y.shape and ay.shape == x.shape
    both = [
        torch.vdot(a.flatten().to(torch.complex128), b.flatten().to(torch.complex128)) for a, b in ((ax, y), (x, ay))
    ]
    assert float((both[0] - both[1]).abs() / (ax.norm() * y.norm())) < TOLERANCE[dtype]
    volumes = A.acquisition.voxels.put(x).view(2, *grid.shape)
    exact = A.forward(volumes)
    assert float((ax - exact).norm() / exact.norm()) < 2e-3
    wanted = A.acquisition.voxels.pick(A.adjoint(y).flatten(1))
    assert float((ay - wanted).norm() / wanted.norm()) < 2e-3


def test_blocks_without_a_filled_voxel_are_left_out(monkeypatch):
    array, sweep, grid, _ = CASES["square"]
    A = born_operator(array, sweep, grid)
    sums = FactorisedSum(A, BORN, plan=Plan.of(A, 0.03, 1e-2))
    x = torch.zeros(2, grid.n_voxel, dtype=A.dtype)
    x[0, 5], x[1, -3] = 1, 2j
    made, back = [], sums._gather.back
    monkeypatch.setattr(sums._gather, "back", lambda data, which, y: made.extend(which) or back(data, which, y))
    y = sums.forward(x)
    assert len(made) == 2 and len(sums.plan.blocks.center) > 20
    assert relative_gap(y, A.forward(x.view(2, *grid.shape))) < 1e-2
    assert torch.equal(sums.columns(5, 6)[:, 0], sums.forward(x[:1]).flatten())
    assert not sums.forward(torch.zeros_like(x)).any()


@pytest.mark.parametrize("swing", [0.0, 0.3, 4.0, 25.0])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-5])
def test_chebyshev_nodes_keep_the_promise(swing, tolerance):
    """A row of antennas and one block whose middle is broadside: phases swing as the count was made for."""
    n = chebyshev_count(swing, tolerance)
    at = np.linspace(-1, 1, 301)
    nodes = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    polynomial = np.polynomial.chebyshev.chebfit(nodes, np.exp(1j * swing * nodes), n - 1)
    assert np.abs(np.polynomial.chebyshev.chebval(at, polynomial) - np.exp(1j * swing * at)).max() <= 2 * tolerance


def test_weights_of_antennas_interpolate_phasors():
    blocks = Blocks.of((GRID.x, GRID.y, GRID.z), 0.03)
    positions = square().tx_pos
    groups = grouped(positions, blocks, 600.0, 1e-3)
    assert sorted(np.concatenate([g.antenna for g in groups])) == list(range(len(positions)))
    for center, half in zip(blocks.center, blocks.half, strict=True):
        corner = center + half

        def phasor(places, corner=corner, center=center):
            return np.exp(600j * (np.linalg.norm(corner - places, axis=1) - np.linalg.norm(center - places, axis=1)))

        for group in groups:
            assert np.abs(phasor(group.node) @ group.weight - phasor(positions[group.antenna])).max() < 3e-3


def test_weights_of_frequencies_interpolate_phasors():
    k = BENT.wavenumber()
    nodes, weight = frequency_nodes(k, 0.04, 1e-3)
    assert len(nodes) < len(k) and nodes.min() > 0
    for path in (-0.04, 0.0, 0.031):
        assert np.abs(np.exp(1j * nodes * path) @ weight - np.exp(1j * k * path)).max() < 1.1e-3
    assert frequency_nodes(k, 5.0, 1e-3) is None


def test_blocks_share_all_voxels_out():
    blocks = Blocks.of((GRID.x, GRID.y, GRID.z), 0.031)
    counts = [sum(s.stop - s.start for s in axis) for axis in blocks.slices]
    assert counts == list(GRID.shape)
    assert len(blocks.center) == math.prod(len(s) for s in blocks.slices)
    assert (blocks.half <= 0.031 / 2 + 1e-12).all()


def test_arguments_that_do_not_fit():
    def refuse(parts, array=None, tolerance=1e-2, **medium):
        A = born_operator(array or square(5), BAND, UNEVEN, **medium)
        y = torch.zeros(A.measurement_shape, dtype=A.dtype)
        fails(parts, lambda: backproject_factorised(y, A, tolerance=tolerance))

    refuse(("lists channels", "every pair"), PAIRED)
    refuse(("pattern", "isotropic"), pattern=CosinePattern(1))
    refuse(("layers", "homogeneous"), layers=LayeredMedium([0.1], [1, 2]))
    for value in (0, 0.2, "1", math.nan):
        refuse(("tolerance", repr(value), "1e-5 to 0.1"), tolerance=value)
