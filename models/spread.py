"""Predict how far an image may be off: a small network that gives the standard deviation of every voxel.

It sees what the image network was given and the finished image, which it cannot change. The image network is frozen
while it learns, so images are the same bits with it and without it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from mimo.models.network_config import MethodConfig, NetworkConfig
from mimo.models.precision import autocast
from mimo.models.stages import STAGES, Physics
from mimo.models.unrolled import Start

__all__ = [
    "LEVELS",
    "SPREAD",
    "Spread",
    "WithSpread",
    "conditions",
    "image_unit",
    "join_states",
    "split_state",
]

SPREAD = NetworkConfig(width=16, levels=3, subpixel=2, residual=True, gate=True)
"""The network by default, `NetworkConfig.in_channels` aside: a quarter of the arithmetic of `two-stage`."""
LEVELS = (0.5, 0.9)
"""Shares of the voxels whose truth intervals should hold."""
LEAST, MOST = 5e-3, 4.0
"""Bounds of a standard deviation, in units of the image (`image_unit`)."""
DARK = 0.02
"""Added to the image for its logarithm, which is what the training starts from."""
N_CONDITION = 4
"""Numbers that `conditions` gives for a scene."""
PREFIX = "spread."
"""Before the names of its tensors in a file of weights, beside those of the image network."""


def conditions(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    """Return what is the same for all voxels of a scene, float32 ``(n_scene, 4)``.

    The noise's share of the measurement's norm, 0 to 1, and `Physics.voxel_ratio`.
    """
    norm = y.abs().double().square().flatten(1).sum(1).sqrt()
    noise = physics.noise_power(y, noise_std).sqrt()
    share = torch.where(norm > 0, noise / torch.where(norm > 0, norm, 1), 1).clamp(0, 1).float()
    return torch.cat((share[:, None], physics.voxel_ratio.to(share)[None].expand(len(y), 3)), dim=1)


def image_unit(method: MethodConfig, given: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the unit in which the networks of a method see images, ``(n_scene, 1, 1, 1)``, in units of the image.

    1 for a network that answers in units of the brightest voxel; the peak of its start for an unrolled one, whose
    images have the unit of the data.
    """
    if method.kind == "unrolled":
        return Start(*given).peak
    return torch.ones((len(given[0]), 1, 1, 1), device=given[0].device)


def _evidence(method: MethodConfig, given: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the volumes that the first stage made, ``(n_scene, n, n_x, n_y, n_z)``."""
    if method.kind == "unrolled":
        return Start(*given).x.abs()[:, None]
    return given[0][:, : STAGES[method.stage].channels]


class Spread(nn.Module):
    """Gives the standard deviation of each voxel of an image from the image and what it was made of.

    A `UNet3D` is given the logarithm of the image, the image, `conditions` and the volumes that the first
    stage made. It corrects the first of them (`UNet3D` with a gate), which is then the logarithm of
    the standard deviation: so edges are as fine as those of the image, though the network works at half resolution.

    Parameters
    ----------
    method
        The method whose images it is about; not one of kind ``"dense"``, which is given no volumes.
    network
        Its network; `NetworkConfig.in_channels` follows from the method.
    """

    def __init__(self, method: MethodConfig, network: NetworkConfig = SPREAD) -> None:
        super().__init__()
        if method.kind == "dense":
            raise ValueError("method.kind is 'dense', which is given no volumes: expected unet, resnet or unrolled")
        if not (network.residual and network.gate):
            raise ValueError("spread.residual and spread.gate are false: expected true, a correction of the image")
        self.method = method
        channels = 1 if method.kind == "unrolled" else STAGES[method.stage].channels
        self.network = replace(network, in_channels=2 + N_CONDITION + channels).build()

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return self.network.n_parameters

    def forward(
        self, given: tuple[torch.Tensor, ...], told: torch.Tensor, image: torch.Tensor, precision: str = "float32"
    ) -> torch.Tensor:
        """Return the standard deviation of each voxel in units of `image_unit`, ``(n_scene, n_x, n_y, n_z)``.

        Parameters
        ----------
        given
            What `mimo.models.reconstructor.prepare_input` made.
        told
            `conditions` of each scene.
        image
            The finished image, at least 0, in units of `image_unit`.
        precision
            Of the network, ``"float32"`` or ``"bfloat16"``.
        """
        own = torch.stack(((image + DARK).log(), image), dim=1)
        constant = told.to(image.dtype)[:, :, None, None, None].expand(-1, -1, *image.shape[1:])
        volumes = torch.cat((own, constant, _evidence(self.method, given).to(image.dtype)), dim=1)
        with autocast(precision, image.device):
            out = self.network(volumes)[:, 0]
        return out.float().clamp(math.log(LEAST), math.log(MOST)).exp()


class WithSpread(nn.Module):
    """Holds an image network, frozen, and the spread that learns from it, so that one training keeps both."""

    def __init__(self, image: nn.Module, spread: Spread) -> None:
        super().__init__()
        self.image, self.spread = image.requires_grad_(False).eval(), spread

    def train(self, mode: bool = True) -> WithSpread:
        """Set the spread to training or evaluation; the image network stays in evaluation."""
        super().train(mode)
        self.image.eval()
        return self


def split_state(state: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Split the tensors of a file of weights into those of the image network and those of its spread, maybe none."""
    image = {name: tensor for name, tensor in state.items() if not name.startswith(PREFIX)}
    return image, {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name not in image}


def join_states(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Turn the state of a `WithSpread` into the tensors of a file of weights, where the image's names are its own."""
    return {name.removeprefix("image."): tensor for name, tensor in state.items()}
