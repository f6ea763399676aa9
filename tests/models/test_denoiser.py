"""The denoiser: batches, noise levels, tiles, files."""

import json
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file

from mimo.models import Denoiser, estimate_level
from mimo.models.network_config import NetworkConfig
from mimo.models.tiling import apply_tiled, tile_shape, tile_spans
from mimo.models.unet import UNet3D
from mimo.models.weight_files import WEIGHTS, load_weights, save_weights
from mimo.train.corruption import CORRUPTIONS

NETWORK = {"width": 8, "levels": 3, "subpixel": 2}


@pytest.fixture
def network():
    generator = torch.Generator().manual_seed(2)
    with torch.random.fork_rng():
        torch.manual_seed(2)  # biases are drawn as the network is made
        network = UNet3D(2, **NETWORK)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                std = (2 / parameter[0].numel()) ** 0.5
                parameter.copy_(std * torch.randn(parameter.shape, generator=generator))
        network.head.weight *= 0.1
    return network


@pytest.fixture
def denoiser(network):
    return Denoiser(network)


@pytest.fixture
def weights(tmp_path, network):
    path = tmp_path / "small.safetensors"
    save_weights(path, network.state_dict(), {"kind": "denoiser", "network": NETWORK, "data": {"corruption": "white"}})
    return path


def volumes(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(5, 7, 11), (1, 7, 11), (25, 25, 49), (2, 3, 5, 7, 11), (0, 5, 7, 11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_range(denoiser, shape, dtype):
    magnitude = volumes(*shape).to(dtype)
    kept = magnitude.clone()
    out = denoiser(magnitude, 0.1)
    assert out.shape == magnitude.shape and out.dtype == dtype and (out >= 0).all()
    assert torch.equal(magnitude, kept) and not out.requires_grad


def test_batch_is_loop(network):
    magnitude, sigma = volumes(2, 3, 5, 7, 11), 0.1 + 0.1 * volumes(2, 3)
    whole = Denoiser(network)(magnitude, sigma)
    grouped = Denoiser(network, max_voxels=2 * 5 * 7 * 11)(magnitude, sigma)
    for i in range(2):
        for j in range(3):
            alone = Denoiser(network)(magnitude[i, j], sigma[i, j])
            torch.testing.assert_close(whole[i, j], alone, atol=1e-5, rtol=0)
            torch.testing.assert_close(grouped[i, j], alone, atol=1e-5, rtol=0)


def test_noise_level_as_number_per_volume_and_map(denoiser):
    magnitude = volumes(2, 5, 7, 11)
    number = denoiser(magnitude, 0.2)
    for same in (torch.tensor(0.2), torch.full((2,), 0.2), torch.full((5, 7, 11), 0.2), torch.full((2, 5, 7, 11), 0.2)):
        assert torch.equal(denoiser(magnitude, same), number)
    assert not torch.equal(denoiser(magnitude, 0.3), number)
    uneven = torch.full((5, 7, 11), 0.2)
    uneven[..., :3] = 0.4
    assert not torch.equal(denoiser(magnitude, uneven), number)


def test_blind_estimates_the_level(denoiser):
    noise = 0.15 * torch.randn(2, 24, 26, 28, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    noise[1] *= 2
    level = estimate_level(noise.abs())
    torch.testing.assert_close(level, torch.tensor([0.15, 0.3]), rtol=0.02, atol=0)
    assert torch.equal(denoiser(noise.abs()), denoiser(noise.abs(), level))
    torch.testing.assert_close(estimate_level(noise.real, corruption="white"), level / 2**0.5, rtol=0.02, atol=0)


@pytest.mark.parametrize(
    ("magnitude", "sigma", "error", "message"),
    [
        (torch.zeros(5, 7), 0.1, ValueError, r"\(5, 7\), expected \(..., n_x, n_y, n_z\)"),
        (torch.zeros(5, 7, 11, dtype=torch.complex64), 0.1, TypeError, "complex64, expected float32"),
        (torch.zeros(2, 5, 7, 11), torch.zeros(3), ValueError, r"sigma has shape \(3,\)"),
        (torch.zeros(5, 7, 11), -0.1, ValueError, "sigma is negative"),
        (torch.zeros(5, 7, 11), float("nan"), ValueError, "not a number"),
    ],
)
def test_wrong_input(denoiser, magnitude, sigma, error, message):
    with pytest.raises(error, match=message):
        denoiser(magnitude, sigma)


def test_tiled_is_whole(network):
    """Below 1e-2 of the maximum everywhere, and no step at the borders of tiles: no larger than inside them."""
    magnitude = volumes(150, 22, 26)
    whole = Denoiser(network)(magnitude, 0.1)
    tiled = Denoiser(network, max_voxels=80 * 22 * 26)(magnitude, 0.1)
    assert (tiled - whole).abs().max() < 1e-2 * whole.max()
    assert not torch.equal(tiled, whole)


def test_tiles_of_a_local_function_are_exact():
    """A filter that sees less than the overlap gives the same through tiles along every axis."""

    def blur(volume):
        return torch.nn.functional.avg_pool3d(volume, 3, stride=1, padding=1)

    volume = volumes(1, 1, 37, 50, 61)
    tiled = apply_tiled(blur, volume, max_voxels=24 * 24 * 24, overlap=8, multiple=4)
    torch.testing.assert_close(tiled, blur(volume), atol=1e-6, rtol=0)
    ones = apply_tiled(torch.ones_like, volume, max_voxels=24 * 24 * 24, overlap=8, multiple=4)
    torch.testing.assert_close(ones, torch.ones_like(ones))


@pytest.mark.parametrize("n", [1, 24, 25, 49, 97, 200])
def test_tiles_cover_and_overlap(n):
    spans = tile_spans(n, 24, 8, 4)
    assert spans[0][0] == 0 and spans[-1][1] == n
    assert all(start % 4 == 0 and 0 < stop - start <= 24 for start, stop in spans)
    assert all(before[1] - after[0] >= 4 for before, after in pairwise(spans))
    assert tile_shape((n, 3, 5), max_voxels=24 * 15, overlap=8, multiple=4) == (min(n, 24), 3, 5)


def test_reload_gives_identical_output(weights, network):
    before = torch.get_rng_state()
    loaded = Denoiser.load(weights)
    assert torch.equal(torch.get_rng_state(), before)
    magnitude = volumes(5, 7, 11)
    assert torch.equal(loaded(magnitude, 0.1), Denoiser(network)(magnitude, 0.1))
    assert loaded.corruption == "white" and "white" in repr(loaded)


def test_unknown_name_lists_what_ships():
    with pytest.raises(FileNotFoundError, match="no weights 'denoisr'"):
        Denoiser.load("denoisr")


def test_truncated_weights(weights):
    content = weights.read_bytes()
    for length in (0, 5, 100, len(content) // 2, len(content) - 1):
        weights.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"small\.safetensors: not a whole safetensors file"):
            Denoiser.load(weights)


def test_foreign_weights(weights, network):
    save_file({"a": torch.zeros(2)}, weights)
    with pytest.raises(ValueError, match="without the metadata"):
        Denoiser.load(weights)
    metadata = {"format": "mimo-imaging-weights", "version": "2", "config": json.dumps({})}
    save_file({"a": torch.zeros(2)}, weights, metadata=metadata)
    with pytest.raises(ValueError, match="version 2, this program reads up to 1"):
        Denoiser.load(weights)
    save_weights(weights, network.state_dict(), {"kind": "other"})
    with pytest.raises(ValueError, match="kind 'other', expected 'denoiser'"):
        Denoiser.load(weights)
    save_weights(weights, network.state_dict(), {"kind": "denoiser", "network": {"widht": 8}})
    with pytest.raises(ValueError, match=r"small\.safetensors: .*did you mean 'network\.width'"):
        Denoiser.load(weights)
    save_weights(weights, network.state_dict(), {"kind": "denoiser", "network": {"width": 16, "subpixel": 2}})
    with pytest.raises(ValueError, match=r"small\.safetensors: its tensors are not those.*size mismatch for down"):
        Denoiser.load(weights)
    assert load_weights(weights)[1]["network"]["width"] == 16


def test_network_of_a_configuration_has_no_random_start():
    before = torch.get_rng_state()
    NetworkConfig(width=8).build_empty()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_is_cpu(weights):
    magnitude = volumes(2, 5, 7, 11)
    out = Denoiser.load(weights, device="cuda", precision="float32")(magnitude, 0.1)
    torch.testing.assert_close(out, Denoiser.load(weights)(magnitude, 0.1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("*.safetensors")), ids=lambda path: path.stem)
def test_every_weight_file_has_its_card(path):
    assert path.with_suffix(".md").is_file()


@pytest.mark.parametrize("path", sorted(WEIGHTS.glob("denoiser*.safetensors")), ids=lambda path: path.stem)
def test_weights_that_ship(path):
    """Each takes away most of the noise around a box, whose level it keeps."""
    denoiser = Denoiser.load(path.stem)
    clean = torch.zeros(2, 21, 22, 25)
    clean[:, 6:14, 8:15, 7:17] = 1
    for std in (0.05, 0.1, 0.2):
        pair = CORRUPTIONS[denoiser.corruption](clean, torch.Generator().manual_seed(0), std=std)
        for sigma in (pair.sigma, None):
            error = (denoiser(pair.noisy, sigma) - clean).square().mean()
            # a network that learned from runs expects artefacts at any level it is told, and trusts white noise less
            left = 0.5 if denoiser.info["runs"]["share"] else 0.3
            assert error < left * (pair.noisy - clean).square().mean()
