"""Unroll a few steps of an iteration to train them end to end: exact least squares, a network on the magnitude."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from mimo.models.precision import autocast
from mimo.models.stages import Physics, regularised_inverse, unit, with_voxel_ratio
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
    adjoint: torch.Tensor
    """Magnitude of the adjoint, its maximum 1, ``(n_scene, 1, n_x, n_y, n_z)``; without channels where none is used."""


@torch.no_grad()
def prepare_start(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor, *, two_stage: bool = False) -> Start:
    """Make what an unrolled network starts from: the regularised inverse, and data in its units.

    Parameters
    ----------
    physics
        The measurement model.
    y
        Measurements ``(n_scene, *measurement_shape)``, complex.
    noise_std
        Standard deviation of each scene's complex noise, ``(n_scene,)``.
    two_stage
        Whether the network starts with one that also sees the adjoint.
    """
    step = physics.data_step.restarted()
    start = regularised_inverse(physics, y, noise_std) / step.norm
    peak = start.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
    data = step.encode(y) / (step.norm * peak.flatten()[:, None])
    weight = physics.wiener_weight(y, noise_std).to(peak.dtype)
    share = physics.noise_power(y, noise_std).sqrt().to(peak.dtype) / y.flatten(1).norm(dim=1).clamp_min(1e-30)
    adjoint = unit(physics.operator.adjoint(y).abs())[:, None] if two_stage else start.abs()[:, None][:, :0]
    return Start(start / peak, peak, data, weight, share.clamp_max(1).reshape(-1, 1, 1, 1), adjoint)


class Unrolled(nn.Module):
    """Alternates a network on the magnitude, the phase kept, with the exact data step.

    ::

        x_0     = A^H (A A^H + w I)^-1 y
        v_k     = N_k(|x_k|, level_k) exp(j arg x_k)
        x_{k+1} = argmin |A x - y|^2 + kappa_k |x - v_k|^2
        image   = N_K(|x_K|, level_K)

    This is half-quadratic splitting with a denoiser, cut after K steps, each network one of its own; what a denoiser
    learned is a good start (`start_from`). ``kappa_k`` is learned relative to the Wiener weight of the noise, and
    ``level_k`` with its growth with the noise's share of the measurement. The networks work on images divided by the
    largest magnitude of ``x_0``; what they give is multiplied by it again, so every image fits the data's units. The
    last one is not pulled back to the data: the network has the final word, as in the two-stage methods.

    With `first`, the network of a two-stage method makes ``v_0`` from the magnitudes of ``x_0`` and the adjoint, at the
    level at which ``A v_0`` is nearest to the data, and every network after it corrects the image before, which it sees
    beside ``|x_k|``. So the iteration starts where the two-stage method ends: until they have learned to correct, every
    image is the first, and what they learn is how to put right what contradicts the data.

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
    first
        The network of a two-stage method, from two channels (five with `voxel_ratio`) to one. The others, which must be
        residual `UNet3D`, then have one channel more, the image before, which comes last.
    """

    def __init__(
        self,
        make: Callable[[], nn.Module],
        steps: int,
        *,
        shared: bool = False,
        voxel_ratio: bool = False,
        first: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps is {steps}, expected at least 1")
        self.voxel_ratio, self.first = voxel_ratio, first
        n_image = steps if first is not None else steps + 1  # of the networks beside the first
        self.networks = nn.ModuleList(make() for _ in range(1 if shared else n_image))
        self.log_kappa = nn.Parameter(torch.full((steps,), math.log(KAPPA)))
        high, low = LEVELS
        self.log_level = nn.Parameter(torch.linspace(math.log(high), math.log(low), steps + 1)[-n_image:].clone())
        self.slope = nn.Parameter(torch.zeros(n_image))

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return this module's state with what other weights are of use for.

        Those of a denoiser serve as every network, those of a two-stage method as `first`, the last network of another
        unrolled network as every network; anything else is returned as it is. Where there is a `first` the last layer
        of what corrects its image stays as it is, at zero to start with.
        """
        state = self.state_dict()
        if set(weights) == set(state):
            return dict(weights)
        if isinstance(self.first, UNet3D) and set(weights) == set(self.first.state_dict()):
            return state | {f"first.{name}": value for name, value in self.first.from_narrower(weights).items()}
        one = dict(weights)
        if "log_kappa" in weights:  # another unrolled network
            last = f"networks.{max(int(name.split('.')[1]) for name in weights if name.startswith('networks.'))}."
            one = {name.removeprefix(last): value for name, value in weights.items() if name.startswith(last)}
        for k, network in enumerate(self.networks):
            if not isinstance(network, UNet3D) or set(one) != set(network.state_dict()):
                return dict(weights)
            taken = network.from_narrower(one)
            if self.first is not None:
                taken = {name: value for name, value in taken.items() if not name.startswith("head.")}
            state |= {f"networks.{k}.{name}": value for name, value in taken.items()}
        return state

    def forward(self, physics: Physics, start: Start, precision: str = "float32") -> list[torch.Tensor]:
        """Return the image after each network, ``steps + 1`` of ``(n_scene, n_x, n_y, n_z)``; the last is the best.

        Only the networks compute in `precision`, ``"float32"`` or ``"bfloat16"``; the data steps never do.
        """
        step = physics.data_step.restarted()
        x, peak, data, weight, share, adjoint = start
        images: list[torch.Tensor] = []
        if self.first is not None:
            volumes = torch.cat((x.abs()[:, None], adjoint), dim=1)
            image = self._image_of(self.first, volumes, physics, precision)
            v = _with_phase_of(x, image)
            level = _best_level(step.forward(v.detach()), data)
            image, v = image * level, v * level
            images.append(image * peak)
            x = step.solve(v, data, weight * self.log_kappa[0].exp())[0]
        for k in range(len(self.log_level)):
            magnitude = x.abs()
            told = (self.log_level[k] + self.slope[k] * share).exp().expand_as(magnitude)
            volumes = torch.stack((magnitude, told), dim=1)
            before = None if self.first is None else image[:, None]
            image = self._image_of(self.networks[k % len(self.networks)], volumes, physics, precision, before)
            images.append(image * peak)
            if len(images) <= len(self.log_kappa):
                weighted = weight * self.log_kappa[len(images) - 1].exp()
                x = step.solve(_with_phase_of(x, image.clamp_min(0)), data, weighted)[0]
        return images

    def _image_of(
        self,
        network: Any,
        volumes: torch.Tensor,
        physics: Physics,
        precision: str,
        before: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return what a network makes of volumes ``(n_scene, channels, ...)``, or how it corrects the image before."""
        given = with_voxel_ratio(volumes, physics) if self.voxel_ratio else volumes
        with autocast(precision, volumes.device):
            if before is None:
                image: torch.Tensor = network(given)
            else:
                image = network.raw(torch.cat((given, before), dim=1))
        image = image.to(volumes.dtype)
        return (image if before is None else network.finish(before, image))[:, 0]


def _with_phase_of(x: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    return x / x.abs().clamp_min(1e-12) * magnitude


def _best_level(expected: torch.Tensor, data: torch.Tensor) -> torch.Tensor:
    """Return the factor on what images measure that brings it nearest to the data, ``(n_scene, 1, 1, 1)``."""
    power = expected.abs().square().sum(1).clamp_min(1e-30)
    return ((expected.conj() * data).sum(1).abs() / power).reshape(-1, 1, 1, 1)
