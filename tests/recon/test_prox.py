"""Proximal maps on the magnitude: optimal under perturbation, brute force, phase kept, zero in, zero out."""

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from mimo.recon import prox as prox_module
from mimo.recon.prox import (
    TotalVariationProx,
    divergence,
    gradient,
    l1_norm,
    magnitude_prox,
    soft_threshold,
    total_variation,
    within,
)

PRIORS = {
    "l1": (soft_threshold, l1_norm),
    "tv": (TotalVariationProx(tolerance=1e-7, max_iterations=3000), total_variation),
}
SHAPE = (2, 3, 4, 5)


def images(seed: int = 0, shape=SHAPE) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def objective(name: str, x: torch.Tensor, at: torch.Tensor, weight: float) -> torch.Tensor:
    return (x - at).abs().square().flatten(1).sum(1) / 2 + weight * PRIORS[name][1](x)


@pytest.mark.parametrize("weight", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("name", PRIORS)
def test_no_perturbation_is_better(name, weight):
    """Complex perturbations of every size, so that the phase is tested too."""
    at = images()
    best = magnitude_prox(PRIORS[name][0])(at, weight)
    value = objective(name, best, at, weight)
    for seed in range(1, 40):
        other = best + 10.0 ** (-(seed % 4)) * images(seed)
        assert (objective(name, other, at, weight) >= value - 1e-5 * value.abs()).all()
    for scale in (0.9, 1.1):
        assert (objective(name, scale * best, at, weight) >= value - 1e-5 * value.abs()).all()


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_l1_against_brute_force(weight):
    at = torch.tensor([0.7 - 0.4j, 2j, -0.1, 0.0], dtype=torch.complex128).reshape(1, 1, 1, 4)
    grid = torch.linspace(-2.5, 2.5, 501, dtype=torch.float64)
    plane = torch.complex(*torch.meshgrid(grid, grid, indexing="ij"))
    found = magnitude_prox(soft_threshold)(at, weight)
    for value, got in zip(at.flatten(), found.flatten(), strict=True):
        cost = (plane - value).abs().square() / 2 + weight * plane.abs()
        assert abs(complex(plane.flatten()[cost.argmin()] - got)) < 0.01


@pytest.mark.parametrize("name", PRIORS)
def test_the_phase_is_kept_and_zero_stays_zero(name):
    at = images()
    at[0, 1, 2, 3] = 0
    out = magnitude_prox(PRIORS[name][0])(at, 0.2)
    kept = (out.abs() > 1e-9) & (at != 0)
    assert kept.sum() > 20
    turned = out[kept] / at[kept]
    assert turned.imag.abs().max() < 1e-12
    assert (turned.real > 0).all()
    PRIORS["tv"][0].restart()
    zero = magnitude_prox(PRIORS[name][0])(torch.zeros(SHAPE, dtype=torch.complex64), 0.2)
    assert torch.equal(zero, torch.zeros(SHAPE, dtype=torch.complex64))


@pytest.mark.parametrize("name", PRIORS)
def test_weight_zero_is_identity_and_weights_are_per_scene(name):
    at = images()
    prox = magnitude_prox(PRIORS[name][0])
    assert torch.allclose(prox(at, 0.0), at)
    both = prox(at, torch.tensor([0.1, 0.7]))
    for scene, weight in enumerate((0.1, 0.7)):
        PRIORS["tv"][0].restart()
        assert torch.allclose(both[scene], prox(at[scene : scene + 1], weight)[0], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 5, 7, 11), (2, 1, 7, 3), (1, 4, 1, 1)])
def test_divergence_is_minus_the_transpose_of_the_gradient(shape):
    rng = torch.Generator().manual_seed(0)
    m = torch.randn(*shape, dtype=torch.float64, generator=rng)
    p = torch.randn(shape[0], 3, *shape[1:], dtype=torch.float64, generator=rng)
    assert float((gradient(m) * p).sum() + (m * divergence(p)).sum()) == pytest.approx(0, abs=1e-10)


def test_tv_against_a_plain_solver():
    """The same dual problem by many small plain gradient steps, without momentum."""
    at, weight = images(shape=(1, 3, 4, 5)).abs(), 0.4
    dual = torch.zeros(1, 3, *at.shape[1:], dtype=at.dtype)
    for _ in range(20_000):
        dual = dual + 0.02 / weight * gradient((at + weight * divergence(dual)).clamp_min(0))
        dual = dual / dual.square().sum(1, keepdim=True).sqrt().clamp_min(1)
    expected = (at + weight * divergence(dual)).clamp_min(0)
    found = TotalVariationProx(tolerance=1e-9, max_iterations=5000)(at, weight)
    assert torch.allclose(found, expected, atol=1e-4)


def test_tv_keeps_a_flat_image_and_starts_warm():
    flat = torch.full((1, 4, 5, 6), 0.7)
    assert torch.allclose(TotalVariationProx()(flat, 3.0), flat)
    at = images(shape=(1, 6, 7, 8)).abs()
    prox = TotalVariationProx(tolerance=1e-6, max_iterations=2000)
    first = prox(at, 0.3)
    cold = prox.iterations
    assert torch.allclose(prox(at, 0.3), first, atol=1e-4)
    assert prox.iterations < cold / 3
    prox.restart()
    prox(at, 0.3)
    assert prox.iterations == cold


def region(shape=SHAPE[1:]) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2)) < 0.6


def test_outside_a_region_is_zero():
    inside = region()
    for prox in (
        magnitude_prox(TotalVariationProx(inside=inside)),
        within(magnitude_prox(soft_threshold), inside),
    ):
        assert not prox(images(), 0.1)[:, ~inside].any()
        assert prox(images(), 0.1)[:, inside].any()
    plain = magnitude_prox(soft_threshold)
    assert within(plain, None) is plain
    assert torch.equal(within(plain, inside)(images(), 0.1), plain(images(), 0.1) * inside)


def test_no_perturbation_inside_a_region_is_better():
    inside = region()
    at = images()
    best = magnitude_prox(TotalVariationProx(inside=inside, tolerance=1e-7, max_iterations=3000))(at, 0.5)

    def value(x: torch.Tensor) -> torch.Tensor:
        return (x - at).abs().square().flatten(1).sum(1) / 2 + 0.5 * total_variation(x)

    for seed in range(1, 40):
        other = best + 10.0 ** (-(seed % 4)) * images(seed) * inside
        assert (value(other) >= value(best) * (1 - 1e-5)).all()


def test_any_denoiser_can_be_plugged_in():
    """A median filter of scipy in one line, as the module's docstring has it."""
    at = images()
    out = magnitude_prox(lambda m, w: torch.from_numpy(median_filter(m.numpy(), size=(1, 3, 3, 3))))(at, 0.1)
    np.testing.assert_allclose(out.abs(), median_filter(at.abs().numpy(), size=(1, 3, 3, 3)))
    negative = magnitude_prox(lambda m, w: m - 100)(at, 0.1)
    assert (negative == 0).all()


def test_every_prior_here_is_tested():
    """A new proximal map in the module must be added to the list."""
    made = [n for n in vars(prox_module) if n.endswith("Prox") or n == "soft_threshold"]
    assert sorted(made) == ["Prox", "TotalVariationProx", "soft_threshold"]
