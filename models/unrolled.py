"""Unroll a few steps of an iteration to train them end to end: exact least squares, a network on the magnitude."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import nn

from mimo.models.precision import autocast
from mimo.models.stages import Physics, regularised_inverse, with_voxel_ratio
from mimo.models.unet import UNet3D

__all__ = ["Start", "Unrolled", "prepare_start"]

LEVELS = (0.3, 0.08)
"""Noise levels that the first and the last network are told at the start of the training, relative to the peak."""
KAPPA = 10.0
"""Weight of the data step at the start of the training, relative to the Wiener weight of the noise."""


class Start(NamedTuple):
    """Holds what an unrolled network starts from, which no weight changes; see `prepare_start`."""

    x: torch.Tensor
    """The regularised inverse divided by its largest magnitude, complex ``(n_scene, n_x, n_y, n_z)``."""
    peak: torch.Tensor
    """That magnitude in units in which A has norm 1, ``(n_scene, 1, 1, 1)``."""
    data: torch.Tensor
    """Data as the data step takes them, divided likewise, ``(n_scene, n_data)``."""
    weight: torch.Tensor
    """Wiener weight of the noise, ``(n_scene,)``."""
    share: torch.Tensor
    """The noise's share of the measurement's norm, at most 1, ``(n_scene, 1, 1, 1)``."""


@torch.no_grad()
def prepare_start(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> Start:
    """Make what an unrolled network starts from: the regularised inverse, and data in its units.

    Parameters
    ----------
    physics
        The measurement model.
    y
        Measurements ``(n_scene, *measurement_shape)``, complex.
    noise_std
        Standard deviation of each scene's complex noise, ``(n_scene,)``.
    """
    step = physics.data_step.restarted()
    start = regularised_inverse(physics, y, noise_std) / step.norm
    peak = start.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
    data = step.encode(y) / (step.norm * peak.flatten()[:, None])
    weight = physics.wiener_weight(y, noise_std).to(peak.dtype)
    share = physics.noise_power(y, noise_std).sqrt().to(peak.dtype) / y.flatten(1).norm(dim=1).clamp_min(1e-30)
    return Start(start / peak, peak, data, weight, share.clamp_max(1).reshape(-1, 1, 1, 1))


class Unrolled(nn.Module):
    """Alternates a network on the magnitude, the phase kept, with the exact data step.

    ::

        x_0     = A^H (A A^H + w I)^-1 y
        v_k     = N_k(|x_k|, level_k) exp(j arg x_k)
        x_{k+1} = argmin |A x - y|^2 + kappa_k |x - v_k|^2
        image   = N_K(|x_K|, level_K)

    This is half-quadratic splitting with a denoiser, cut after K steps, each network one of its own; what a denoiser
    learned is a good start (`from_denoiser`). ``kappa_k`` is learned relative to the Wiener weight of the noise, and
    ``level_k`` with its growth with the noise's share of the measurement. The networks work on images divided by the
    largest magnitude of ``x_0``; what they give is multiplied by it again, so every image fits the data's units. The
    last one is not pulled back to the data: the network has the final word, as in the two-stage methods.

    Parameters
    ----------
    make
        Makes a network from two channels, a magnitude and the noise level, to one.
    steps
        Data steps K, at least 1.
    shared
        Let one network be all ``N_k``: a quarter of the weights, and every step's errors train it.
    voxel_ratio
        Give the networks `Physics.voxel_ratio` in three channels more.
    """

    def __init__(
        self, make: Callable[[], nn.Module], steps: int, *, shared: bool = False, voxel_ratio: bool = False
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps is {steps}, expected at least 1")
        self.voxel_ratio = voxel_ratio
        self.networks = nn.ModuleList(make() for _ in range(1 if shared else steps + 1))
        self.log_kappa = nn.Parameter(torch.full((steps,), math.log(KAPPA)))
        first, last = LEVELS
        self.log_level = nn.Parameter(torch.linspace(math.log(first), math.log(last), steps + 1))
        self.slope = nn.Parameter(torch.zeros(steps + 1))

    def from_denoiser(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return this module's state with every network that of a denoiser; other weights as they are."""
        if "log_kappa" in weights:
            return dict(weights)
        copies = {
            f"networks.{k}.{name}": value
            for k, network in enumerate(self.networks)
            for name, value in (network.from_narrower(weights) if isinstance(network, UNet3D) else weights).items()
        }
        return copies | {name: value for name, value in self.state_dict().items() if not name.startswith("networks.")}

    def forward(self, physics: Physics, start: Start, precision: str = "float32") -> list[torch.Tensor]:
        """Return the image after each network, ``steps + 1`` of ``(n_scene, n_x, n_y, n_z)``; the last is the best.

        Only the networks compute in `precision`, ``"float32"`` or ``"bfloat16"``; the data steps never do.
        """
        step = physics.data_step.restarted()
        x, peak, data, weight, share = start
        images: list[torch.Tensor] = []
        for k in range(len(self.log_level)):
            network = self.networks[k % len(self.networks)]
            magnitude = x.abs()
            level = (self.log_level[k] + self.slope[k] * share).exp().expand_as(magnitude)
            given = torch.stack((magnitude, level), dim=1)
            if self.voxel_ratio:
                given = with_voxel_ratio(given, physics)
            with autocast(precision, magnitude.device):
                image = network(given)[:, 0].to(magnitude.dtype)
            images.append(image * peak)
            if k < len(self.log_kappa):
                v = x / magnitude.clamp_min(1e-12) * image.clamp_min(0)
                x = step.solve(v, data, weight * self.log_kappa[k].exp())[0]
        return images
