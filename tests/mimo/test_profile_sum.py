"""Sums through range profiles: an adjoint pair near the Born model, and Kirchhoff migration, on every geometry."""

import math

import numpy as np
import pytest
import torch
from cases import ARRAY, CASES, FLAT, GRID, HORN, PRECISIONS, SWEEP, operator
from helper import TOLERANCE, fails, relative_gap

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, born_operator, kirchhoff, kirchhoff_fast
from mimo.fast import profile_sum
from mimo.fast.profile_sum import ProfileSum
from mimo.propagation import BORN, KIRCHHOFF

TAKEN = [case for case in CASES if "table pattern" not in case]
every_precision = pytest.mark.parametrize("dtype", PRECISIONS, ids=str)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=["compiled", "torch"])
def path(request, monkeypatch):
    """Both ways of interpolating and spreading."""
    if request.param == "torch":
        monkeypatch.setattr(profile_sum.kernels, "available", lambda: False)
        monkeypatch.setattr(profile_sum, "PAIRS_AT_ONCE", 100)  # several tiles, uneven ones
    elif not profile_sum.kernels.available():
        pytest.skip("the compiled kernels are not built here")
    return request.param


def gap_of_adjoint(sums, x: torch.Tensor, y: torch.Tensor) -> float:
    """|<Ax, y> - <x, A^H y>| / (|Ax| |y|), for flattened scenes."""
    ax, ay = sums.forward(x), sums.adjoint(y)
    assert ax.shape == y.shape and ay.shape == x.shape
    both = [
        torch.vdot(a.flatten().to(torch.complex128), b.flatten().to(torch.complex128)) for a, b in ((ax, y), (x, ay))
    ]
    return float((both[0] - both[1]).abs() / (ax.norm() * y.norm()))


@every_precision
@pytest.mark.parametrize("case", TAKEN)
def test_it_is_an_adjoint_pair_near_the_born_model(case, dtype, path, rng):
    A = operator(case, dtype)
    sums = ProfileSum(A.acquisition, BORN, dtype=dtype)
    x = torch.randn(2, A.n_voxel, dtype=dtype, generator=rng)
    y = torch.randn(2, *A.measurement_shape, dtype=dtype, generator=rng)
    if A.array.mask is not None:
        y = y * torch.as_tensor(A.array.mask.copy())
    assert gap_of_adjoint(sums, x, y) < TOLERANCE[dtype]
    volumes = x.view(2, *A.volume_shape)
    assert relative_gap(sums.forward(x), A.forward(volumes)) < 3e-3
    assert relative_gap(sums.adjoint(y).view(volumes.shape), A.adjoint(y)) < 3e-3


@every_precision
@pytest.mark.parametrize("case", TAKEN)
def test_kirchhoff_migration_is_the_exact_one_to_55_db(case, dtype, path, rng):
    A = operator(case, dtype)
    y = torch.randn(2, *A.measurement_shape, dtype=dtype, generator=rng)
    for compensate in (False, True):
        image = kirchhoff_fast(y, A, compensate_aperture=compensate)
        assert image.dtype == dtype
        exact = kirchhoff(y, A, compensate_aperture=compensate)
        assert 20 * math.log10(relative_gap(image, exact)) < -55


@pytest.mark.parametrize("sweep", [FrequencySweep.linear(4e9, 16e9, 5000), FrequencySweep.linear(15e9, 16e9, 40)])
def test_long_profiles_and_blocks_that_span_all_of_one(sweep, path, rng):
    """Profiles so long that float32 cannot count their places; voxels metres apart, which wrap around in short ones."""
    wide = VoxelGrid(np.linspace(-2, 2, 9), np.linspace(-3, 3, 8), np.linspace(0.5, 6, 7))
    A = born_operator(ARRAY, sweep, wide)
    sums = ProfileSum(A.acquisition, BORN, padding=4)
    x = torch.randn(1, A.n_voxel, dtype=A.dtype, generator=rng)
    y = torch.randn(1, *A.measurement_shape, dtype=A.dtype, generator=rng)
    assert gap_of_adjoint(sums, x, y) < TOLERANCE[A.dtype]
    assert relative_gap(sums.forward(x), A.forward(x.view(1, *wide.shape))) < 3e-3


def test_columns_and_the_number_of_threads(rng):
    A = operator("mask", torch.complex128)
    sums = ProfileSum(A.acquisition, BORN, dtype=A.dtype)
    x = torch.zeros(1, A.n_voxel, dtype=A.dtype)
    x[0, 7] = 1
    columns = sums.columns(6, 9)
    assert columns.shape == (math.prod(A.measurement_shape), 3)
    assert relative_gap(columns[:, 1], sums.forward(x).flatten()) < 1e-14
    x, before, seen = torch.randn(3, A.n_voxel, dtype=A.dtype, generator=rng), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            seen.append(sums.forward(x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])


def test_what_does_not_fit_is_refused():
    A = operator("full")
    y = torch.zeros(A.measurement_shape, dtype=A.dtype)
    for padding in (1.4, 65, math.nan, "2"):
        fails(("padding", repr(padding)), lambda padding=padding: kirchhoff_fast(y, A, padding=padding))
    fails(("pattern", "frequency"), lambda: kirchhoff_fast(y, born_operator(ARRAY, SWEEP, GRID, pattern=HORN)))
    sums = ProfileSum(A.acquisition, KIRCHHOFF)
    fails(("kirchhoff", "images alone"), lambda: sums.forward(torch.zeros(1, A.n_voxel, dtype=A.dtype)))
    on_voxel = ArrayGeometry([[FLAT.x[0], FLAT.y[0], FLAT.z[0]]], [[0, 0, 0]])
    fails(
        ("voxel (0, 0, 0)", "tx antenna 0"),
        lambda: ProfileSum(born_operator(on_voxel, SWEEP, GRID).acquisition.replace(grid=FLAT), BORN),
    )
