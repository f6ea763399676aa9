"""Bidiagonalisation gives the norm and the regularised solutions of the whole operator, from products alone."""

import numpy as np
import pytest
import torch
from helper import relative_gap

from mimo import ArrayGeometry, BornOperator, FrequencySweep, GramFactor, VoxelGrid
from mimo.krylov import bidiagonalise, krylov_norm, krylov_tikhonov

GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 4), z=(0.4, 0.6, 6))


def operator(dtype: torch.dtype = torch.complex128) -> BornOperator:
    array = ArrayGeometry.mills_cross(n_tx=4, n_rx=5, width=0.3)
    return BornOperator(array, FrequencySweep.linear(4e9, 16e9, 4), GRID, dtype=dtype)


def data(A: BornOperator, n: int = 2) -> torch.Tensor:
    return torch.randn(n, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(1))


def test_solutions_of_every_weight_are_those_of_the_factorisation() -> None:
    A = operator()
    factor, y = GramFactor.of(A, cache=False), data(A)
    found = bidiagonalise(A, y, steps=79)
    top = float(factor.eigenvalues[-1])
    assert found.norm == pytest.approx(top**0.5, rel=1e-6)
    for share in (1e-2, 1.0):
        weight = np.full(2, share * top)
        exact, _ = factor.tikhonov(y, weight=share * top)
        assert relative_gap(found.solution(weight), exact) < 1e-6
        assert relative_gap(found.prediction(weight), A.forward(exact).flatten(1)) < 1e-6
        rest = (A.forward(exact) - y).flatten(1).norm(dim=1).square()
        assert found.residuals(weight[:, None])[:, 0] == pytest.approx(rest.numpy(), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_space_that_is_exhausted_ends_quietly(dtype: torch.dtype) -> None:
    """With one channel kept there are 4 measurements: 40 steps must not turn rounding into singular values."""
    A = operator(dtype)
    keep = torch.zeros(A.measurement_shape, dtype=torch.bool)
    keep[:, 0, 0] = True
    found = bidiagonalise(A, data(A, 3), keep=keep)
    rows = torch.cat([A.columns(0, A.n_voxel)])[keep.flatten()]
    assert found.norm <= float(torch.linalg.svdvals(rows)[0]) * (1 + 1e-4)


def test_a_scene_does_not_depend_on_its_neighbours() -> None:
    A = operator()
    y = data(A, 4)
    image, weight = krylov_tikhonov(A, y)
    alone, its_own = krylov_tikhonov(A, y[2:3])
    assert float(its_own[0]) == float(weight[2])
    assert relative_gap(alone[0], image[2]) < 1e-8


def test_generalised_cross_validation_chooses_about_what_the_spectrum_does() -> None:
    A = operator()
    x = torch.zeros(1, *A.volume_shape, dtype=A.dtype)
    x[0, 2, 2, 3] = 1
    y = A.forward(x)
    y = y + 0.1 * y.abs().square().mean().sqrt() * data(A, 1)
    exact, weight = GramFactor.of(A, cache=False).tikhonov(y)
    found, other = krylov_tikhonov(A, y)
    assert abs(np.log10(float(other[0] / weight[0]))) < 1
    assert int(found.abs().argmax()) == int(exact.abs().argmax())


def test_the_norm_is_found_from_below() -> None:
    A = operator()
    exact = float(GramFactor.of(A, cache=False).eigenvalues[-1]) ** 0.5
    assert 0.98 * exact < krylov_norm(A) <= exact * (1 + 1e-9)
