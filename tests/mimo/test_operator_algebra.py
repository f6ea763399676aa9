"""The algebra of an operator: A(x), A @ x, A.H, A.gram, A.norm(), and SciPy's view of it."""

import numpy as np
import pytest
import torch
from cases import GRID, MASKED, PAIRED, SWEEP, operator
from helper import relative_gap
from scipy.sparse.linalg import lsqr, svds

from mimo import Acquisition, CosinePattern, LayeredMedium, born_operator, operator_of

CASES = ("full", "mask", "paired")


def noise(shape, dtype, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("case", CASES)
def test_every_way_to_write_it_is_the_same(case):
    A = operator(case, torch.complex64)
    x, y = noise((2, *A.volume_shape), A.dtype), noise((2, *A.measurement_shape), A.dtype, 1)
    assert torch.equal(A(x), A.forward(x)) and torch.equal(A @ x, A.forward(x))
    assert torch.equal(A.H(y), A.adjoint(y)) and torch.equal(A.H @ y, A.adjoint(y))
    assert torch.equal(A.H.H(x), A.forward(x))
    assert torch.equal(A.gram(x), A.adjoint(A.forward(x))) and torch.equal(A.gram @ x, A.gram(x))
    assert "gram" in repr(A.gram) and "H" in repr(A.H)


@pytest.mark.parametrize("case", CASES)
def test_the_normal_operator_is_its_own_conjugate_transpose(case):
    A = operator(case, torch.complex128)
    a, b = noise(A.volume_shape, A.dtype), noise(A.volume_shape, A.dtype, 1)
    left, right = torch.vdot(b.flatten(), A.gram(a).flatten()), torch.vdot(A.gram.H(b).flatten(), a.flatten())
    assert abs(left - right) <= 1e-12 * float(A.gram(a).norm() * b.norm())
    assert torch.vdot(a.flatten(), A.gram(a).flatten()).real > 0


@pytest.mark.parametrize("case", CASES)
def test_scipys_operator_is_the_matrix_and_its_exact_conjugate_transpose(case):
    A = operator(case, torch.complex128)
    L, K = A.as_linear_operator(), A.columns(0, A.grid.n_voxel).numpy()
    assert L.shape == K.shape and L.dtype == np.complex128
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(n) + 1j * rng.standard_normal(n) for n in reversed(L.shape))
    assert np.abs(L.matvec(x) - K @ x).max() <= 1e-12 * np.abs(K @ x).max()
    assert np.abs(L.rmatvec(y) - K.conj().T @ y).max() <= 1e-12 * np.abs(K.conj().T @ y).max()
    gap = abs(np.vdot(y, L @ x) - np.vdot(L.H @ y, x))
    assert gap <= 1e-12 * np.linalg.norm(L @ x) * np.linalg.norm(y)
    many = rng.standard_normal((L.shape[1], 3))
    assert np.allclose(L @ many, K @ many, rtol=1e-10, atol=1e-12 * np.abs(K).max())
    assert np.allclose(L.matvec(x[:, None]), (K @ x)[:, None])
    single = operator(case, torch.complex64).as_linear_operator()
    assert single.dtype == np.complex64 and single.matvec(x).dtype == np.complex64


def test_scipys_solvers_run_on_it():
    A = operator("mask", torch.complex128)
    L, K = A.as_linear_operator(), A.columns(0, A.grid.n_voxel)
    y = noise(A.measurement_shape, A.dtype) * torch.as_tensor(A.array.mask.copy())
    found = lsqr(L, y.numpy().ravel(), damp=0.01, atol=1e-12, btol=1e-12, iter_lim=2000)[0]
    left = K.mH @ K + 1e-4 * torch.eye(K.shape[1], dtype=K.dtype)
    expected = torch.linalg.solve(left, K.mH @ y.flatten())
    assert relative_gap(torch.from_numpy(found), expected) < 1e-5
    assert float(svds(L, k=1, return_singular_vectors=False)[0]) == pytest.approx(float(torch.linalg.norm(K, 2)))


@pytest.mark.parametrize("case", CASES)
def test_the_norm_is_reached_from_below(case):
    A = operator(case, torch.complex128)
    true = float(torch.linalg.norm(A.columns(0, A.grid.n_voxel), 2))
    rough, fine = A.norm(), A.norm(iterations=300)
    assert rough <= fine <= true * (1 + 1e-12)
    with pytest.raises(ValueError, match="iterations is 0"):
        A.norm(iterations=0)
    assert fine == pytest.approx(true, rel=1e-3) and rough == pytest.approx(true, rel=0.05)


def test_an_acquisition_is_a_value():
    path = np.full(MASKED.measurement_shape, 0.2)
    one = Acquisition(MASKED, SWEEP, GRID, 2.0, CosinePattern(1), path)
    same = Acquisition(MASKED, SWEEP, GRID, 2, CosinePattern(1), path.tolist())
    assert one == same and hash(one) == hash(same) and len({one, same}) == 1
    for change in (
        {"medium": 2.5},
        {"pattern": None},
        {"reference_path": None},
        {"array": PAIRED, "reference_path": None},
    ):
        assert one.replace(**change) != one
    assert one.replace(medium=2.5).permittivity == 2.5 and one != "acquisition"
    layered = one.replace(medium=LayeredMedium([0.2], [1, 4]))
    assert layered.layers is not None and layered.permittivity == 1
    with pytest.raises(ValueError, match="reference_path has shape"):
        one.replace(reference_path=path[:1])
    with pytest.raises(ValueError, match="permittivity is -1"):
        one.replace(medium=-1.0)
    with pytest.raises(TypeError, match="medium is 'wet'"):
        one.replace(medium="wet")
    with pytest.raises(TypeError, match="grid is a NoneType: expected a VoxelGrid"):
        one.replace(grid=None)
    with pytest.raises(AttributeError):
        one.medium = 1.0


@pytest.mark.parametrize("array", [MASKED, PAIRED], ids=["mask", "paired"])
def test_the_operator_of_an_acquisition_is_the_operator_of_its_parts(array):
    path = np.linspace(0.1, 0.4, int(np.prod(array.measurement_shape))).reshape(array.measurement_shape)
    medium = {"permittivity": 2.0, "reference_path": path, "pattern": CosinePattern(2)}
    A = born_operator(array, SWEEP, GRID, **medium)
    B = operator_of(A.acquisition)
    assert type(A) is type(B) and A.acquisition == B.acquisition
    x = noise(A.volume_shape, A.dtype)
    assert torch.equal(A(x), B(x))
    assert type(A).of(A.acquisition, dtype=torch.complex128).dtype == torch.complex128
