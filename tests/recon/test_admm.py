"""C-SALSA and l1: the x steps against dense least squares, the constraint met, scenes alone, any unit, the noise level."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from cases import GRID, MASKED, PAIRED, SWEEP, operator
from helper import relative_gap

from mimo import ArrayGeometry, BornOperator, FrequencySweep, GramFactor, VoxelGrid, born_operator, solver_choice
from mimo.data import Measurement
from mimo.least_squares import ConjugateGradientStep, GramStep
from mimo.models.stages import regularised_inverse
from mimo.recon import make_problem, noise, reconstruct, run_method, sparse
from mimo.recon.admm import csalsa
from mimo.recon.noise import estimate_noise_std, sample
from mimo.recon.physics import make_physics
from mimo.recon.prox import magnitude_prox, soft_threshold
from mimo.recon.registry import Problem
from mimo.synth import add_noise, draw, random_phase

ARRAY = ArrayGeometry.mills_cross(n_tx=6, n_rx=7, width=0.3)
BAND = FrequencySweep.linear(4e9, 16e9, 9)
VOXELS = VoxelGrid.from_extent(x=(-0.12, 0.12, 13), y=(-0.12, 0.12, 15), z=(0.4, 0.6, 17))


@pytest.fixture(scope="module")
def scenes() -> Measurement:
    """Two scenes of each preset, without noise."""
    A = BornOperator(ARRAY, BAND, VOXELS)
    truth = []
    for seed in range(4):
        rng = np.random.default_rng([11, seed])
        truth.append(random_phase(draw(("paper", "shapes")[seed % 2], VOXELS, rng), rng))
    values = A.forward(torch.from_numpy(np.stack(truth))).numpy()
    return Measurement(values, ARRAY, BAND, VOXELS, truth=np.stack(truth))


def with_noise(scenes: Measurement, snr_db: float, seed: int = 0, *, stated: bool = False) -> Measurement:
    rng = np.random.default_rng(seed)
    values = np.stack([add_noise(v, snr_db, rng) for v in scenes.values])
    snr = np.full(scenes.n_scene, snr_db, np.float32) if stated else None
    return replace(scenes, values=values, snr_db=snr)


@pytest.mark.parametrize(("scale", "kappa"), [(1.0, 1.0), (30.0, 1e-2)])
@pytest.mark.parametrize("case", ["full", "mask", "paired"])
@pytest.mark.parametrize("kind", ["spectrum", "conjugate gradients"])
def test_the_data_step_is_the_dense_solution(kind, case, scale, kappa):
    A = operator(case, torch.complex128)
    rng = torch.Generator().manual_seed(0)
    s1 = torch.randn(2, *A.volume_shape, dtype=A.dtype, generator=rng)
    s2 = torch.randn(2, *A.measurement_shape, dtype=A.dtype, generator=rng)
    if A.array.mask is not None:
        s2 = s2 * torch.from_numpy(A.array.mask.copy())
    if kind == "spectrum":
        step = GramStep(GramFactor.of(A, cache=False), scale)
    else:
        step = ConjugateGradientStep(A, scale, tolerance=1e-13, max_iterations=2000)
    x, ax = step.solve(s1, step.encode(s2), kappa)
    K = A.columns(0, A.grid.n_voxel) / scale
    left = K.mH @ K + kappa * torch.eye(K.shape[1], dtype=K.dtype)
    expected = torch.linalg.solve(left, K.mH @ s2.flatten(1).T + kappa * s1.flatten(1).T).T.reshape(s1.shape)
    assert relative_gap(x, expected) < 1e-8
    assert relative_gap(ax, step.encode(A.forward(x) / scale)) < 1e-8
    assert step.encode(s2).norm() == pytest.approx(float(s2.norm()), rel=1e-9)


def test_the_solution_is_that_of_the_constrained_problem():
    """Feasible, and no feasible image nearby has a smaller l1 norm (convex, so nearby is enough)."""
    A = operator("full", torch.complex128)
    rng = torch.Generator().manual_seed(1)
    truth = torch.zeros(1, *A.volume_shape, dtype=A.dtype)
    truth[0, 1, 2, 3], truth[0, 3, 5, 8] = 1.0, 1j
    factor = GramFactor.of(A, cache=False)
    norm = float(factor.eigenvalues[-1].sqrt())
    step = GramStep(factor, norm)
    y = step.encode(A.forward(truth)) / norm
    eps = 0.05 * y.norm(dim=1)
    options = {"weight": 0.02, "kappa": 0.1, "max_iterations": 2000, "tolerance": 1e-9}
    made = csalsa(step, magnitude_prox(soft_threshold), y, eps, torch.zeros_like(truth), **options)
    x = made.image
    residual = step.encode(A.forward(x)) / norm - y
    assert float(residual.norm() / eps) == pytest.approx(1.0, abs=0.02)
    l1 = float(x.abs().sum())
    for _ in range(200):
        other = x + 0.02 * torch.randn(x.shape, dtype=x.dtype, generator=rng)
        gap = step.encode(A.forward(other)) / norm - y
        if float(gap.norm()) <= float(eps):
            assert float(other.abs().sum()) >= l1 * (1 - 1e-3)
    # shrinking towards any feasible point cannot help either: compare with the truth, which is feasible
    assert l1 <= float(truth.abs().sum()) * (1 + 1e-3)
    assert made.iterations[0] == len(made.history)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0, 30.0])
def test_the_noise_level_is_found_in_the_data(snr_db):
    """With more measurements than the scene has degrees of freedom, as on the papers' array."""
    array = ArrayGeometry.mills_cross(n_tx=8, n_rx=9, width=0.3)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 13), y=(-0.1, 0.1, 11), z=(0.45, 0.55, 15))
    rng = np.random.default_rng(5)
    truth = np.stack([random_phase(draw(preset, grid, rng), rng) for preset in ("paper", "shapes")])
    clean = born_operator(array, BAND, grid).forward(torch.from_numpy(truth)).numpy()
    values = np.stack([add_noise(y, snr_db, rng) for y in clean])
    problem = make_problem(Measurement(values, array, BAND, grid))
    true = np.sqrt((np.abs(clean) ** 2).mean((1, 2, 3))) * 10 ** (-snr_db / 20)
    error = 20 * np.log10(estimate_noise_std(problem).numpy() / true)
    assert np.abs(error).max() < 1.0


def test_l1_beats_the_image_formers_at_every_noise_level(scenes):
    from mimo.recon.metrics import psnr

    for snr_db in (0.0, 20.0):
        measurement = with_noise(scenes, snr_db)
        mean = {}
        for name in ("backprojection", "kirchhoff", "l1"):
            made = reconstruct(name, measurement)
            mean[name] = np.mean([psnr(m, t) for m, t in zip(made.magnitude, scenes.truth, strict=True)])
        assert mean["l1"] > max(mean["backprojection"], mean["kirchhoff"]) + 0.5


def test_the_stated_snr_is_used(scenes):
    """The same data with a stated SNR of 0 and of 40 dB: the looser bound gives the sparser image."""
    base = with_noise(scenes, 20.0)
    loose, tight = (
        reconstruct("l1", replace(base, snr_db=np.full(4, snr, np.float32)), tolerance=1e-3) for snr in (0.0, 40.0)
    )
    assert (np.abs(loose.image).sum((1, 2, 3)) < 0.9 * np.abs(tight.image).sum((1, 2, 3))).all()


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_any_unit_works(scenes, scale):
    base = with_noise(scenes, 20.0)
    scaled = replace(base, values=base.values * np.float32(scale))
    made, expected = (reconstruct("l1", measurement, max_iterations=25) for measurement in (scaled, base))
    assert made.parameters["scene_iterations"] == expected.parameters["scene_iterations"]
    np.testing.assert_allclose(made.image / scale, expected.image, atol=1e-3 * np.abs(expected.image).max())


def test_scenes_stop_by_themselves_and_a_batch_is_a_loop(scenes):
    mixed = with_noise(scenes, 5.0)
    values = mixed.values.copy()
    values[1] = with_noise(scenes, 40.0).values[1]
    mixed = replace(mixed, values=values)
    together = reconstruct("l1", mixed, tolerance=0.02)
    counts = together.parameters["scene_iterations"]
    assert len(set(counts)) > 1
    for scene in range(4):
        alone = reconstruct("l1", mixed.scenes([scene]), tolerance=0.02)
        assert alone.parameters["scene_iterations"] == [counts[scene]]
        np.testing.assert_allclose(alone.image[0], together.image[scene], atol=2e-3 * np.abs(alone.image).max())
    last = together.history[-1]
    assert sum(v is not None for v in last["relative_change"]) == sum(c == max(counts) for c in counts)


@pytest.mark.parametrize("array", [MASKED, PAIRED], ids=["mask", "paired"])
def test_other_geometries(array):
    A = born_operator(array, SWEEP, GRID)
    x = torch.zeros(1, *GRID.shape, dtype=A.dtype)
    x[0, 2, 3, 5] = 2.0
    made = reconstruct(
        "l1", Measurement(A.forward(x).numpy(), array, SWEEP, GRID), eps=0.01, balance=True, max_iterations=300
    )
    assert np.unravel_index(made.magnitude[0].argmax(), GRID.shape) == (2, 3, 5)


def test_conjugate_gradients_take_over_and_agree(scenes, monkeypatch):
    base = with_noise(scenes, 20.0, stated=True)
    settings = {"max_iterations": 8, "tolerance": 0.0, "start": "backprojection"}
    exact = reconstruct("l1", base, **settings)
    assert exact.parameters["x_step"] == "spectrum"
    monkeypatch.setattr(solver_choice, "MAX_MEASUREMENTS", 10)
    other = reconstruct("l1", base, **settings)
    assert other.parameters["x_step"] == "cg"
    np.testing.assert_allclose(other.image, exact.image, atol=0.02 * np.abs(exact.image).max())


def test_an_interrupt_returns_what_was_reached(scenes, monkeypatch):
    calls = 0

    def interrupting(magnitude, weight):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return soft_threshold(magnitude, weight)

    monkeypatch.setattr(sparse, "soft_threshold", interrupting)
    made = reconstruct("l1", with_noise(scenes, 20.0))
    assert made.iterations == 3
    assert made.parameters["interrupted"] == [True] * 4
    assert len(made.history) == 3


@pytest.mark.parametrize("eps", ["loud", -0.1, 1.0])
def test_a_bound_that_is_none(scenes, eps):
    with pytest.raises(ValueError, match="eps is"):
        reconstruct("l1", scenes, eps=eps)


def test_the_operator_norm():
    A = operator("full", torch.complex128)
    assert A.norm(iterations=200) == pytest.approx(
        math.sqrt(float(GramFactor.of(A, cache=False).eigenvalues[-1])), rel=1e-3
    )


@pytest.mark.parametrize("array", [MASKED, PAIRED], ids=["mask", "paired"])
def test_a_sample_of_the_measurements_is_what_an_operator_of_its_own_sees(array):
    """Every value that is kept belongs to its channel and frequency: forward of the sample is the sample of forward."""
    rng = torch.Generator().manual_seed(3)
    path = np.linspace(0.1, 0.7, int(np.prod(array.measurement_shape))).reshape(array.measurement_shape)
    A = born_operator(array, SWEEP, GRID, reference_path=path, permittivity=2.5, dtype=torch.complex128)
    x = torch.randn(2, *GRID.shape, dtype=A.dtype, generator=rng)
    part = sample(Problem(A, A.forward(x)), 6)
    assert 1 < part.operator.n_measurement <= 6
    torch.testing.assert_close(part.operator.forward(x), part.measurement)


def test_many_measurements_are_sampled_for_their_noise(monkeypatch):
    array = ArrayGeometry.mills_cross(n_tx=8, n_rx=9, width=0.3)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 13), y=(-0.1, 0.1, 11), z=(0.45, 0.55, 15))
    rng = np.random.default_rng(5)
    truth = random_phase(draw("paper", grid, rng), rng)
    clean = born_operator(array, BAND, grid).forward(torch.from_numpy(truth)[None]).numpy()
    problem = make_problem(Measurement(add_noise(clean, 10.0, rng), array, BAND, grid))
    whole = float(estimate_noise_std(problem))
    problem = replace(problem, _shared={})
    monkeypatch.setattr(noise, "N_SAMPLE", 400)
    assert 20 * np.log10(float(estimate_noise_std(problem)) / whole) == pytest.approx(0, abs=1.5)


@pytest.mark.parametrize("array", [MASKED, PAIRED])
def test_the_noise_is_never_more_than_what_the_adjoint_leaves(array, monkeypatch):
    """Of targets that lie elsewhere; the likelihood of a small sample may say that there is more noise than data."""
    rng = torch.Generator().manual_seed(1)
    A = born_operator(array, SWEEP, GRID)
    far = VoxelGrid(GRID.x + 3, GRID.y, GRID.z + 2)
    y = born_operator(array, SWEEP, far).forward(torch.randn(3, *GRID.shape, dtype=A.dtype, generator=rng))
    monkeypatch.setattr(noise, "N_SAMPLE", 6)
    found = estimate_noise_std(Problem(A, y))
    for i in range(3):
        seen = A.forward(A.adjoint(y[i]))
        level = torch.vdot(seen.flatten(), y[i].flatten()) / torch.vdot(seen.flatten(), seen.flatten())
        left = float((y[i] - level * seen).norm()) / math.sqrt(A.n_measurement)
        assert float(found[i]) <= left * (1 + 1e-5)
    monkeypatch.setattr(GramFactor, "candidates", lambda self: torch.tensor([1e6]))  # all of it noise
    assert float(estimate_noise_std(Problem(A, y))[0]) <= float(y[0].norm()) / math.sqrt(A.n_measurement)


def test_too_many_measurements_are_refused_at_once_and_noise_costs_no_norm(scenes, monkeypatch):
    """Where nothing is factorised, whoever needs no norm of the operator does not pay for it."""
    monkeypatch.setattr(solver_choice, "MAX_MEASUREMENTS", 10)
    problem = make_problem(with_noise(scenes, 20.0))
    calls = []
    forward = type(problem.operator).forward
    monkeypatch.setattr(type(problem.operator), "forward", lambda self, x: calls.append(1) or forward(self, x))
    with pytest.raises(ValueError, match=r"a matrix of 378 rows is above 10; expected cg"):
        run_method("tikhonov", problem, solver="spectrum")
    assert not calls
    monkeypatch.setattr(solver_choice, "MAX_MEASUREMENTS", 10**6)
    estimate_noise_std(problem)
    assert len(calls) == 1


def test_a_learned_image_does_not_depend_on_the_scenes_before(scenes, monkeypatch):
    """Conjugate gradients start from the solution before: that of another batch must not show."""
    monkeypatch.setattr(solver_choice, "MAX_MEASUREMENTS", 10)
    both = with_noise(scenes, 20.0, stated=True)
    physics = make_physics(make_problem(both))
    y, std = torch.from_numpy(both.values), torch.full((len(both.values),), 0.1, dtype=torch.float64)
    first = regularised_inverse(physics, y[:1], std[:1])
    regularised_inverse(physics, y[1:2], std[1:2])
    assert torch.equal(regularised_inverse(physics, y[:1], std[:1]), first)
