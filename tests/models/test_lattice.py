"""The lattice of networks behind a sub-pixel shuffle: measured, taken out at inference, left alone in training."""

import pytest
import torch

from mimo import VoxelGrid
from mimo.data import read_measured
from mimo.models import Denoiser
from mimo.models.lattice import lattice_db, without_period_2
from mimo.recon import reconstruct

SHAPE = (25, 25, 49)
LIMIT = -50.0
LEVEL = 0.05


@pytest.fixture(scope="module")
def denoiser():
    return Denoiser.load()


def noise(std):
    return std * torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(0)).div(2**0.5).norm(dim=0)


def both(denoiser, volume):
    """The lattice without the remedy and with it."""
    raw = Denoiser(denoiser.network, lattice_free=False)
    return tuple(lattice_db(lambda v, d=d: d(v, LEVEL), volume) for d in (raw, denoiser))


@pytest.mark.parametrize("std", [0.02, 0.05])
def test_noise(denoiser, std):
    before, after = both(denoiser, noise(std))
    assert before > LIMIT > after


def test_one_point(denoiser):
    """A point is not taken for a lattice, and what there is becomes less."""
    point = torch.zeros(SHAPE)
    point[12, 12, 24] = 1
    assert lattice_db(lambda v: v, point) < -200
    before, after = both(denoiser, point)
    assert after < LIMIT and after < before - 5


def test_measured_scan(denoiser, measured):
    scan = read_measured(measured / "merit", scan="B0_P3_p000", background="B0_P3_p036", permittivity=8)
    grid = VoxelGrid.from_extent(x=(-0.07, 0.07, 41), y=(-0.07, 0.07, 41), z=(0, 0.07, 21))
    image = torch.as_tensor(reconstruct("backprojection", scan, grid, check="none").image)[0].abs()
    before, after = both(denoiser, (image / image.max()).float())
    assert before > LIMIT > after


def test_a_lattice_is_measured():
    """A pattern of period 2 that does not move with the image is found at its amplitude."""
    index = torch.arange(60)
    signs = 1.0 - 2 * (index % 2)

    def patterned(volume):
        n_x, _, n_z = volume.shape
        return volume + 0.01 * signs[:n_x, None, None] * signs[:n_z]

    assert lattice_db(patterned, noise(0.2) / noise(0.2).max()) == pytest.approx(-40, abs=0.2)


def test_filter_keeps_slopes_and_takes_out_period_2():
    ramp = torch.linspace(0, 1, 20)[:, None, None].expand(20, 9, 11)
    signs = 1.0 - 2 * (torch.arange(20) % 2)[:, None, None]
    out = without_period_2(ramp + signs)
    torch.testing.assert_close(out[3:-3], ramp[3:-3], atol=1e-5, rtol=0)
    assert without_period_2(torch.ones(1, 1, 2)).shape == (1, 1, 2)


def test_same_bits_and_each_volume_by_itself(denoiser):
    """Volumes that are averaged over shifts and such that are not may come together."""
    box = torch.zeros(SHAPE)
    box[8:14, 8:14, 10:20] = 0.8
    pair = torch.stack((noise(0.05), box))
    out = denoiser(pair, LEVEL)
    assert torch.equal(out, denoiser(pair, LEVEL))
    for one, volume in zip(out, pair, strict=True):
        torch.testing.assert_close(one, denoiser(volume, LEVEL), atol=1e-5, rtol=0)
