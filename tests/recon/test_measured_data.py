"""Solvers on data that the model does not explain: noise levels, weights of voxels and channels, ways to solve."""

import numpy as np
import pytest
import torch
from helper import relative_gap

from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid, least_squares
from mimo.recon.cross_validation import predict_held_out
from mimo.recon.noise import find_noise
from mimo.recon.registry import Problem, find_method
from mimo.recon.robust import channel_weights
from mimo.recon.scaling import Setup, prepare_step, scale
from mimo.weighted_operator import WeightedOperator, column_norms

GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.1, 0.1, 8), z=(0.4, 0.6, 7))


def operator(dtype: torch.dtype = torch.complex64, n_tx: int = 6, n_rx: int = 7) -> BornOperator:
    array = ArrayGeometry.mills_cross(n_tx=n_tx, n_rx=n_rx, width=0.3)
    return BornOperator(array, FrequencySweep.linear(4e9, 16e9, 8), GRID, dtype=dtype)


def noise(A: BornOperator, n: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(seed))


def point(A: BornOperator) -> torch.Tensor:
    x = torch.zeros(1, *A.volume_shape, dtype=A.dtype)
    x[0, 4, 3, 3] = 1
    y = A.forward(x)
    return y / y.abs().square().mean().sqrt()


def smooth_error(A: BornOperator) -> torch.Tensor:
    """What no image explains though it is smooth in frequency: a delay of its own in each channel."""
    rng = torch.Generator().manual_seed(3)
    delay = 1.2 + 0.8 * torch.rand(A.measurement_shape[1:], dtype=torch.float64, generator=rng)
    k = torch.as_tensor(A.acquisition.wavenumber.copy())
    return torch.polar(torch.ones(A.measurement_shape, dtype=torch.float64), -k[:, None, None] * delay)[None].to(
        A.dtype
    )


@pytest.mark.parametrize("name", ["rows", "columns", "both"])
def test_a_weighted_operator_is_the_weighted_matrix(name: str) -> None:
    A = operator(torch.complex128, 2, 3)
    rng = torch.Generator().manual_seed(0)
    rows = None if name == "columns" else torch.rand(A.measurement_shape[1:], dtype=torch.float64, generator=rng)
    columns = None if name == "rows" else torch.rand(A.volume_shape, dtype=torch.float64, generator=rng)
    W = WeightedOperator(A, rows=rows, columns=columns)
    matrix = A.columns(0, A.n_voxel)
    if rows is not None:
        matrix = rows.expand(A.measurement_shape).reshape(-1, 1) * matrix
    if columns is not None:
        matrix = matrix * columns.reshape(1, -1)
    x = torch.randn(2, *A.volume_shape, dtype=A.dtype, generator=rng)
    y = noise(A, 2)
    assert relative_gap(W.forward(x).flatten(1), x.flatten(1) @ matrix.T) < 1e-12
    assert relative_gap(W.adjoint(y).flatten(1), y.flatten(1) @ matrix.conj()) < 1e-12
    assert relative_gap(W.columns(3, 10), matrix[:, 3:10]) < 1e-12


def test_columns_norms_are_those_of_the_matrix() -> None:
    A = operator(torch.complex128, 2, 3)
    exact = A.columns(0, A.n_voxel).abs().square().sum(0).sqrt()
    assert relative_gap(column_norms(A).flatten(), exact) < 1e-12


@pytest.mark.parametrize("solver", ["spectrum", "cholesky", "voxels", "cg"])
def test_every_solver_solves_the_same_data_step(solver: str) -> None:
    A = operator(torch.complex128)
    if solver == "voxels":
        A = BornOperator(A.array, A.sweep, VoxelGrid(GRID.x[:4], GRID.y[:3], GRID.z), dtype=torch.complex128)
    step = least_squares.data_step(A, solver=solver, cache=False, one_weight=True)
    assert step.name == solver
    rng = torch.Generator().manual_seed(0)
    s1 = torch.randn(2, *A.volume_shape, dtype=A.dtype, generator=rng)
    y, kappa = noise(A, 2), 0.3
    if isinstance(step, least_squares.ConjugateGradientStep):
        step.tolerance, step.max_iterations = 1e-12, 500
    matrix = A.columns(0, A.n_voxel) / step.norm
    wanted = y.flatten(1) @ matrix.conj() + kappa * s1.flatten(1)
    normal = matrix.mH @ matrix + kappa * torch.eye(A.n_voxel, dtype=A.dtype)
    exact = torch.linalg.solve(normal, wanted.T).T
    x, seen = step.solve(s1, step.encode(y), kappa)
    assert relative_gap(x.flatten(1), exact) < 1e-6
    assert relative_gap(seen, step.forward(x)) < 1e-6


def test_a_solver_that_does_not_fit_is_named() -> None:
    A = operator(n_tx=2, n_rx=3)
    with pytest.raises(ValueError, match=r"fewer voxels than measurements, not .* expected spectrum or cholesky or cg"):
        least_squares.data_step(A, solver="voxels", one_weight=True)
    with pytest.raises(ValueError, match="a Cholesky factor serves one weight"):
        least_squares.data_step(A, solver="cholesky")
    with pytest.raises(ValueError, match="expected auto, spectrum"):
        least_squares.data_step(A, solver="magic")


def test_what_can_be_explained_is_told_from_what_cannot() -> None:
    """A point predicts the channels held out, channels of their own delay predict none, each scene by itself."""
    A = operator()
    y = torch.cat([point(A), smooth_error(A)])
    found = predict_held_out(A, y, A.norm())
    assert found is not None
    assert float(found.held_out[0]) > 0.9
    assert float(found.held_out[1]) < 0.1
    alone = predict_held_out(A, y[1:], A.norm())
    assert alone is not None
    assert float(alone.residual[0]) == pytest.approx(float(found.residual[1]), rel=1e-3)


def test_model_error_is_not_taken_for_signal() -> None:
    A = operator()
    y = torch.cat([point(A) + 0.1 * noise(A), 0.3 * point(A) + smooth_error(A)])
    problem = Problem(A, y)
    step = problem.data_step(solver="spectrum")
    found = find_noise(problem, step, A)
    share = (found.std / (y.flatten(1).norm(dim=1).double() / A.n_measurement**0.5)).tolist()
    assert found.found["noise_from"] == ["likelihood", "held-out"]
    assert share[0] == pytest.approx(0.1, rel=0.3)
    assert share[1] > 0.85


def test_few_channels_are_not_divided() -> None:
    A = operator(n_tx=3, n_rx=4)
    assert predict_held_out(A, point(A), A.norm()) is None


def test_sensitivity_is_automatic_where_antennas_surround_the_grid() -> None:
    assert prepare_step(Problem(operator(), point(operator())), Setup())[1] is None
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.stack([0.2 * np.cos(angle), 0.2 * np.sin(angle)], axis=1)
    antennas = np.concatenate([np.c_[ring, np.full(8, z)] for z in (0.3, 0.7)])
    around = BornOperator(ArrayGeometry(antennas[::2], antennas[1::2]), FrequencySweep.linear(2e9, 4e9, 3), GRID)
    problem = Problem(around, noise(around))
    factors = prepare_step(problem, Setup())[1]
    assert factors is not None
    norms = column_norms(around) * factors
    assert float(norms.max() / norms.min()) == pytest.approx(1, abs=1e-3)
    scaled = scale(problem, setup=Setup(sensitivity=1.0))
    assert (
        relative_gap(scaled.reflectivity(scaled.start) / factors, scaled.start * scaled.size[:, None, None, None])
        < 1e-5
    )


@pytest.mark.parametrize("loss", ["huber", "student"])
def test_channels_that_are_off_lose_their_weight(loss: str) -> None:
    A = operator()
    y = point(A) + 0.05 * noise(A)
    off = torch.zeros(A.measurement_shape[1:], dtype=torch.bool)
    off[1, 2] = off[4, 5] = off[0, 0] = True
    y = torch.where(off, 3 * noise(A, seed=5), y)
    problem = Problem(A, y)
    method = find_method("l1")
    plain, robust = (method.run(problem, loss=one).image for one in ("squares", loss))
    weights = channel_weights(problem, robust, loss).squares
    assert float(weights[off].max()) < 0.25
    assert float(weights[~off].median()) > 0.9
    truth = torch.zeros(A.volume_shape)
    truth[4, 3, 3] = 1

    def missed(image: torch.Tensor) -> float:
        size = image[0].abs()
        return float((size / size.max() - truth).norm())

    assert missed(robust) < 0.7 * missed(plain)


def test_a_loss_or_sensitivity_that_is_none_is_named() -> None:
    problem = Problem(operator(), point(operator()))
    with pytest.raises(ValueError, match="loss is 'cubes': expected squares, huber, student"):
        find_method("l1").run(problem, loss="cubes")
    with pytest.raises(ValueError, match="sensitivity is 'high'"):
        find_method("l1").run(problem, sensitivity="high")
