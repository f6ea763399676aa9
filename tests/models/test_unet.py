"""The 3D U-Net: any size, the paper's number of parameters, sub-pixel shuffles."""

import pytest
import torch
from torch import nn

from mimo.models.unet import UNet3D, pixel_shuffle, pixel_unshuffle

SIZES = [(5, 7, 11), (1, 7, 11), (8, 12, 4), (25, 25, 49), (1, 1, 1)]


def randomised(network: UNet3D) -> UNet3D:
    """Give the last layer, which starts at zero, some weights."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.head.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(("subpixel", "detail"), [(1, 0), (2, 0), (2, 4)])
@pytest.mark.parametrize("shape", SIZES)
def test_any_size(shape, subpixel, detail):
    network = randomised(UNet3D(2, out_channels=3, width=8, subpixel=subpixel, detail=detail))
    out = network(torch.rand(2, 2, *shape))
    assert out.shape == (2, 3, *shape)
    assert out.isfinite().all()
    out.square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_parameters_of_the_paper():
    assert 1.35e6 < UNet3D(2, width=32, levels=3).n_parameters < 1.37e6
    assert 1.36e6 < UNet3D(2, width=32, levels=3, subpixel=2).n_parameters < 1.38e6


@pytest.mark.parametrize("detail", [0, 4])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_starts_as_the_identity(norm, detail):
    volume = torch.rand(1, 2, 5, 7, 11)
    network = UNet3D(2, width=8, norm=norm, subpixel=2, detail=detail)
    assert torch.equal(network(volume)[:, 0], volume[:, 0])


@pytest.mark.parametrize("options", [{}, {"subpixel": 2, "detail": 4, "residual": False, "head": 12}])
def test_a_wide_network_starts_from_a_narrow_one(options):
    narrow, wide = randomised(UNet3D(2, width=4, **options)), UNet3D(2, width=6, **options)
    wide.load_state_dict(wide.from_narrower(narrow.state_dict()))
    volume = torch.rand(2, 2, 5, 7, 11)
    torch.testing.assert_close(wide(volume), narrow(volume), rtol=1e-5, atol=1e-6)
    wide(volume).square().sum().backward()
    assert all((p.grad != 0).any() for name, p in wide.named_parameters() if name.startswith("merge.0"))


@pytest.mark.parametrize("other", [{"width": 8}, {"width": 4, "norm": "batch"}, {"width": 4, "levels": 2}])
def test_weights_of_another_network_are_not_widened(other):
    weights = UNet3D(2, **other).state_dict()
    assert all(torch.equal(a, weights[k]) for k, a in UNet3D(2, width=6).from_narrower(weights).items())


def test_detail_starts_almost_empty_and_sees_every_voxel():
    """Behind a shuffle alone voxels of one block share their features; with detail each has its neighbours' own."""
    network = UNet3D(1, width=8, subpixel=2, residual=False, output="sigmoid", detail=4).eval()
    assert network(torch.rand(1, 1, 4, 4, 4)).mean() < 0.1
    with torch.no_grad():  # nothing but the input passes
        network.head.weight.zero_()
        first = network(torch.zeros(1, 1, 6, 6, 6))
        volume = torch.zeros(1, 1, 6, 6, 6)
        volume[0, 0, 3, 3, 3] = 1
        changed = (network(volume) != first)[0, 0]
    assert changed.any()
    assert not changed[:2].any()
    assert not changed[5:].any()


def test_shuffle_is_undone_and_keeps_blocks():
    volume = torch.arange(2 * 3 * 4 * 6 * 10.0).reshape(2, 3, 4, 6, 10)
    blocks = pixel_unshuffle(volume, 2)
    assert blocks.shape == (2, 24, 2, 3, 5)
    assert torch.equal(pixel_shuffle(blocks, 2), volume)
    assert torch.equal(blocks[1, 8:16, 1, 2, 3].sort().values, volume[1, 1, 2:4, 4:6, 6:8].flatten().sort().values)
    plane = torch.rand(1, 2, 4, 6, 1)  # torch's own shuffle, in the two axes that it knows
    assert torch.equal(
        pixel_unshuffle(plane.expand(-1, -1, -1, -1, 2), 2)[:, ::2, :, :, 0],
        nn.functional.pixel_unshuffle(plane[..., 0], 2),
    )


def test_translation_by_the_multiple():
    """Moved by a multiple of its grid, a body far from the edges is denoised alike."""
    network = randomised(UNet3D(1, width=8, levels=2, subpixel=2))
    assert network.multiple == 4
    body = torch.zeros(1, 1, 60, 12, 8)
    body[:, :, 24:30, 4:7, 3:5] = 1
    moved = network(body.roll(4, dims=2))
    torch.testing.assert_close(moved[:, :, 20:44], network(body).roll(4, dims=2)[:, :, 20:44], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "at least 1"),
        ({"norm": "layer"}, "none, group, batch"),
        ({"width": 12, "norm": "group"}, "multiple of 8"),
        ({"detail": 8}, "detail goes with subpixel 2"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        UNet3D(2, **options)


def test_wrong_input():
    with pytest.raises(ValueError, match=r"\(1, 1, 5, 7, 11\), expected \(batch, 2, n_x, n_y, n_z\)"):
        UNet3D(2, width=8)(torch.rand(1, 1, 5, 7, 11))


def test_gate_multiplies_the_first_channel():
    """The output is input (1 + g) + b with g and b of the head: here constants."""
    network = UNet3D(2, out_channels=1, width=8, levels=2, gate=True)
    volume = torch.rand(2, 2, 5, 7, 11)
    assert torch.equal(network(volume)[:, 0], volume[:, 0])
    with torch.no_grad():
        network.head.bias.copy_(torch.tensor([0.25, -0.5]))
    torch.testing.assert_close(network(volume)[:, 0], 0.5 * volume[:, 0] + 0.25)
    assert UNet3D(2, width=8, subpixel=2, gate=True)(volume).shape == (2, 1, 5, 7, 11)
    with pytest.raises(ValueError, match="gate needs residual"):
        UNet3D(2, width=8, residual=False, gate=True)
