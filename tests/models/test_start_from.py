"""What networks that are made of others take from their weights: the same images to start with."""

import pytest
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo.models.network_config import MethodConfig, NetworkConfig
from mimo.models.reconstructor import TWO_STAGE, build_network, prepare_input, run_network, run_prepared
from mimo.models.stages import Physics

SETTING = Acquisition(
    ArrayGeometry.mills_cross(n_tx=4, n_rx=5, width=0.3),
    FrequencySweep.linear(4e9, 16e9, 6),
    VoxelGrid.from_extent(x=(-0.1, 0.1, 7), y=(-0.1, 0.1, 6), z=(0.4, 0.6, 9)),
)
NETWORK = NetworkConfig(width=8, levels=2, subpixel=2, gate=True)
UNROLLED = MethodConfig(kind="unrolled", stage="inverse", steps=2, two_stage=True, shared=True, voxel_ratio=True)


def measured():
    physics = Physics(operator_of(SETTING))
    scene = torch.zeros(2, *SETTING.grid.shape, dtype=torch.complex64)
    scene[0, 2:4, 1:4, 3:7], scene[1, 4, 4, 2] = 1j, 1
    return physics, physics.operator(scene), torch.full((2,), 1e-6)


def random_state(module, seed):
    torch.manual_seed(seed)
    return {name: 0.1 * torch.randn_like(value) for name, value in module.state_dict().items()}


def test_unrolled_starts_where_the_two_stage_network_ends():
    """Its first image is that network's, at the level at which what it measures is nearest to the data."""
    method = MethodConfig(stage="inverse-adjoint", voxel_ratio=True)
    two_stage = build_network(method, NetworkConfig(**{**vars(NETWORK), **TWO_STAGE}), SETTING).eval()
    two_stage.load_state_dict(random_state(two_stage, 1))
    unrolled = build_network(UNROLLED, NETWORK, SETTING).eval()
    unrolled.load_state_dict(unrolled.start_from(two_stage.state_dict()))
    physics, y, noise_std = measured()
    given = prepare_input(UNROLLED, physics, y, noise_std)
    with torch.no_grad():
        image = run_network(two_stage, method, physics, y, noise_std)[0]
        images = run_prepared(unrolled, UNROLLED, physics, given)
    assert len(images) == 3
    level = images[0] / image
    for scene, one in enumerate(level):
        torch.testing.assert_close(one, one.mean().expand_as(one), rtol=1e-4, atol=0)
        x0 = given[0][scene : scene + 1]
        expected = physics.operator(x0 / x0.abs() * image[scene])[0]
        best = torch.vdot(expected.flatten(), y[scene].flatten()).abs() / expected.abs().square().sum()
        assert float(one.mean()) == pytest.approx(float(best), rel=1e-3)


def test_unrolled_takes_denoisers_and_other_unrolled_networks():
    """All but their last layer: every image starts as the first. What is none of it is told."""
    unrolled = build_network(UNROLLED, NETWORK, SETTING).eval()
    denoiser = NETWORK.build().eval()
    denoiser.load_state_dict(random_state(denoiser, 2))
    unrolled.load_state_dict(unrolled.start_from(denoiser.state_dict()))
    assert torch.equal(unrolled.networks[0].down[1][0].weight, denoiser.down[1][0].weight)
    physics, y, noise_std = measured()
    with torch.no_grad():
        first, *others = run_network(unrolled, UNROLLED, physics, y, noise_std)
    assert all(torch.equal(image, first) for image in others)
    plain = MethodConfig(kind="unrolled", stage="inverse", steps=1, voxel_ratio=True)
    other = build_network(plain, NETWORK, SETTING).eval()
    other.load_state_dict(random_state(other, 3))
    unrolled.load_state_dict(unrolled.start_from(other.state_dict()))
    assert torch.equal(unrolled.networks[0].down[1][0].weight, other.networks[1].down[1][0].weight)
    assert unrolled.start_from({"x": torch.zeros(1)}).keys() == {"x"}


def test_the_layers_of_deepdi_start_deep2s_plus():
    """The U-Net then sees the image that they make."""
    one = MethodConfig(kind="dense", stage="measurement", hidden=16)
    two = MethodConfig(kind="dense", stage="measurement", hidden=16, refine=True)
    network = NetworkConfig(width=8, levels=2, norm="batch", residual=False, output="sigmoid")
    deepdi, plus = (build_network(method, network, SETTING).eval() for method in (one, two))
    plus.load_state_dict(plus.start_from(deepdi.state_dict()))
    seen = []
    plus.refine.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    values = torch.randn(3, 2 * 4 * 5 * 6)
    with torch.no_grad():
        assert plus(values).shape == (3, 1, *SETTING.grid.shape)
        assert torch.equal(seen[0], deepdi(values))
