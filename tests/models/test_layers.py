"""Complex and hypercomplex layers: their arithmetic, their number of weights, their normalisation."""

import pytest
import torch

from mimo.models.layers import ComplexBatchNorm, HyperConv3d, Layers, fold_batch_norm
from mimo.models.unet import UNet3D


def as_complex(x: torch.Tensor) -> torch.Tensor:
    return torch.complex(*x.chunk(2, dim=1))


@pytest.mark.parametrize("transposed", [False, True])
def test_complex_rules_make_a_complex_convolution(transposed):
    """The same weights in torch's own complex convolution give the same numbers."""
    kernel = (2, 2, 2) if transposed else (3, 3, 3)
    layer = HyperConv3d(4, 6, kernel, order=2, learned=False, transposed=transposed)
    x = torch.randn(2, 4, 5, 6, 7)
    weight = torch.complex(layer.parts[0], layer.parts[1])
    if transposed:
        expected = torch.nn.functional.conv_transpose3d(as_complex(x), weight, stride=2)
    else:
        expected = torch.nn.functional.conv3d(as_complex(x), weight, padding=1)
    torch.testing.assert_close(as_complex(layer(x)), expected)


@pytest.mark.parametrize("order", [2, 4])
def test_hypercomplex_layers_have_a_fraction_of_the_weights(order):
    layer = HyperConv3d(16, 8, (3, 3, 3), order=order, learned=True)
    assert layer.weight().shape == (8, 16, 3, 3, 3)
    assert layer.parts.numel() == 8 * 16 * 27 // order and layer.rules.numel() == order**3
    layer(torch.rand(1, 16, 3, 4, 5)).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in layer.parameters())
    with pytest.raises(ValueError, match="not multiples of the 4"):
        HyperConv3d(6, 8, (3, 3, 3), order=4, learned=True)


def test_complex_normalisation_whitens():
    """Correlated parts of unlike variance come out with variance 1/2 each and no correlation; so does evaluation."""
    norm = ComplexBatchNorm(4, momentum=1.0)
    re = 3 * torch.randn(8, 2, 6, 6, 6) + 1
    x = torch.cat((re, 0.5 * re + 0.2 * torch.randn_like(re) - 2), dim=1)
    for mode in (True, False):
        out = norm.train(mode)(x)
        a, b = out.chunk(2, dim=1)
        for mean in (a.mean((0, 2, 3, 4)), b.mean((0, 2, 3, 4)), (a * b).mean((0, 2, 3, 4))):
            assert mean.abs().max() < 1e-3
        for part in (a, b):
            torch.testing.assert_close(part.square().mean((0, 2, 3, 4)), torch.full((2,), 0.5), rtol=1e-2, atol=0)


def test_complex_pooling_takes_whole_numbers():
    """Of each block the number of largest magnitude, not the largest parts."""
    x = torch.randn(1, 6, 4, 5, 3)
    pooled = as_complex(Layers("complex").pool(x))
    numbers = as_complex(x)
    block = numbers[0, 1, 2:4, 0:2, 0:2].flatten()
    assert pooled.shape == (1, 3, 2, 3, 2)
    assert pooled[0, 1, 1, 0, 0] == block[block.abs().argmax()]


def test_channels_are_joined_component_by_component():
    a, b = torch.arange(4.0).reshape(1, 4, 1, 1, 1), 10 + torch.arange(2.0).reshape(1, 2, 1, 1, 1)
    assert Layers("complex").concatenate((a, b)).flatten().tolist() == [0, 1, 10, 2, 3, 11]
    assert Layers().concatenate((a, b)).flatten().tolist() == [0, 1, 2, 3, 10, 11]


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({"algebra": "complex"}, 0.5),
        ({"algebra": "learned", "order": 2}, 0.5),
        ({"algebra": "learned", "order": 4}, 0.25),
    ],
)
@pytest.mark.parametrize("shape", [(5, 7, 11), (1, 4, 6)])
def test_networks_of_numbers(options, share, shape):
    """Any size; the share of a real network's weights that the algebra promises."""
    common = {"in_channels": 2, "width": 16, "norm": "batch", "residual": False, "head": 16}
    network = UNet3D(**common, **options, output="sigmoid")
    out = network(torch.randn(2, 2, *shape))
    assert out.shape == (2, 1, *shape) and out.isfinite().all() and 0 < out.min() < out.max() < 1
    out.sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    assert network.n_parameters == pytest.approx(share * UNet3D(**common).n_parameters, rel=0.05)


def test_planar_network_treats_slices_alone():
    network = UNet3D(1, width=8, planar=True, residual=False, output="sigmoid").eval()
    x = torch.rand(1, 1, 9, 6, 5)
    torch.testing.assert_close(network(x)[..., 3:4], network(x[..., 3:4]))
    with pytest.raises(ValueError, match="subpixel 1"):
        UNet3D(1, planar=True, subpixel=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algebra": "quaternion"}, "expected one of real, complex, learned"),
        ({"algebra": "complex", "norm": "group"}, "no complex form"),
        ({"output": "relu", "residual": False}, "expected one of linear, sigmoid"),
        ({"output": "sigmoid"}, "residual needs a linear output"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        UNet3D(2, width=8, **options)


@pytest.mark.parametrize("options", [{}, {"subpixel": 2, "detail": 8, "gate": True}, {"head": 8, "residual": False}])
def test_batch_normalisation_folds_into_convolutions(options):
    generator = torch.Generator().manual_seed(0)
    network, plain = (UNet3D(2, width=8, levels=3, norm=norm, **options).double() for norm in ("batch", "none"))
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if values.is_floating_point():
                values.copy_(torch.rand(values.shape, generator=generator) * (1 if "running_var" in name else 0.2))
    plain.load_state_dict(fold_batch_norm(network.state_dict()))
    volume = torch.randn(2, 2, 9, 8, 11, generator=generator, dtype=torch.float64)
    expected = network.eval()(volume)
    assert expected.std() > 0
    torch.testing.assert_close(plain.eval()(volume), expected)
    assert fold_batch_norm(plain.state_dict()).keys() == plain.state_dict().keys()
