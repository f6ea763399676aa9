"""Training pairs: their statistics are those that they state."""

import math

import pytest
import torch

from mimo.train.corruption import CORRUPTIONS, MODULATED_SHARE, _noise, band_limited, speckle, speckle_field, white


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clean():
    volume = torch.zeros(6, 20, 22, 28)
    volume[:, 5:13, 6:12, 8:20] = 1
    return volume


def test_white_noise_has_the_std_it_states(clean):
    pair = white(clean, generator())
    assert pair.sigma.shape == (6,) and (pair.sigma <= 0.2).all() and pair.sigma.std() > 0.01
    torch.testing.assert_close((pair.noisy - clean).flatten(1).std(dim=1), pair.sigma, rtol=0.05, atol=0)
    assert torch.equal(pair.target, clean)
    assert torch.equal(white(clean, generator(), std=0.1).sigma, torch.full((6,), 0.1))


def test_sigma_is_the_rms_deviation_of_the_fields(clean):
    """The level of plain noise is its rms exactly, and speckle states the rms of corrupted minus clean."""
    pair = speckle(clean, generator(), std=0.15)
    torch.testing.assert_close(pair.sigma, torch.full((6,), 0.15), rtol=1e-4, atol=0)
    one, zero = torch.ones(6, 1, 1, 1), torch.zeros(6, 1, 1, 1)
    field, corrupted = speckle_field(clean, 0.7 * one, 0 * one, generator(3))
    again, with_noise = speckle_field(clean, zero, 0.2 * one, generator(3))
    assert torch.equal(field.abs(), again.abs())
    torch.testing.assert_close(field.abs(), clean)
    rms = (with_noise - again).abs().square().mean(dim=(1, 2, 3)).sqrt()
    torch.testing.assert_close(rms, torch.full((6,), 0.2), rtol=1e-4, atol=0)
    assert ((corrupted - field).abs().square().mean(dim=(1, 2, 3)) > 1e-3).all()


def test_noise_in_the_empty_part_is_rayleigh(clean):
    """With one level and no body, the magnitude has the median of a Rayleigh law, whatever the correlation."""
    pair = speckle(torch.zeros(16, 24, 24, 24), generator(), std=0.2)
    ratio = pair.noisy.flatten(1).median(dim=1).values / 0.2
    plain = ratio > 0.7  # modulated samples have a lower median
    assert plain.float().mean() >= 1 - 2 * MODULATED_SHARE
    assert abs(float(ratio[plain].median()) - math.sqrt(math.log(2))) < 0.05


def test_phase_is_uniform_and_does_not_show(clean):
    one, zero = torch.ones(6, 1, 1, 1), torch.zeros(6, 1, 1, 1)
    field, corrupted = speckle_field(clean, zero, 0 * one, generator())
    torch.testing.assert_close(corrupted.abs(), clean)
    mean = (field.sum(dim=(1, 2, 3)) / clean.sum(dim=(1, 2, 3))).abs()
    assert (mean < 0.2).all()
    turned = corrupted * torch.exp(torch.tensor(0.7j))
    torch.testing.assert_close(turned.abs(), corrupted.abs())


def test_band_limited_body_fluctuates_about_its_level():
    """A blurred field of random phase keeps its power inside a body, and its magnitude fluctuates like speckle."""
    pair = band_limited(torch.ones(12, 20, 22, 24), generator(), std=0.0)
    power = pair.noisy.square().mean(dim=(1, 2, 3)).sqrt()
    assert power.min() > 0.65 and power.max() < 1.15  # the range of gains
    contrast = pair.noisy.std(dim=(1, 2, 3)) / pair.noisy.mean(dim=(1, 2, 3))
    assert abs(float(contrast.mean()) - math.sqrt(4 / math.pi - 1)) < 0.08


def test_noise_is_correlated():
    """Neighbours of blurred noise are alike; the mean square stays 1."""
    noise = _noise(torch.zeros(16, 20, 22, 24), generator())
    torch.testing.assert_close(noise.abs().square().mean(dim=(1, 2, 3)), torch.ones(16), rtol=1e-4, atol=0)
    neighbours = (noise[:, 1:] * noise[:, :-1].conj()).mean(dim=(1, 2, 3)).abs()
    assert neighbours.max() > 0.3 and neighbours.min() < 0.2


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(5, 7, 11), (1, 7, 11)])
def test_reproducible_finite_and_of_any_size(name, shape):
    clean = torch.rand(4, *shape, generator=generator())
    clean[0] = 0
    before = torch.get_rng_state()
    pairs = [CORRUPTIONS[name](clean, generator(s)) for s in (5, 5, 6)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(pairs[0].noisy, pairs[1].noisy) and not torch.equal(pairs[0].noisy, pairs[2].noisy)
    for pair in pairs:
        assert pair.noisy.shape == pair.target.shape == clean.shape and pair.sigma.shape == (4,)
        assert all(value.isfinite().all() and value.dtype == torch.float32 for value in pair)
        assert (pair.target >= 0).all()
