"""A few steps of an iteration, trained end to end: exact least squares with the data, a network on the magnitude."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from models.stages import Physics, regularised_inverse

__all__ = ["Unrolled"]


class Unrolled(nn.Module):
    """Alternates a network on the magnitude, the phase kept, with the exact data step.

    ::

        x_0     = A^H (A A^H + w I)^-1 y
        v_k     = N_k(|x_k|, |x_0|) exp(j arg x_k)
        x_{k+1} = argmin |A x - y|^2 + kappa_k |x - v_k|^2
        image   = N_K(|x_K|, |x_0|)

    The last image is not pulled back to the data: the network has the final word, as in the two-stage methods. Every
    network is one of its own; ``log kappa_k`` is learned, relative to the Wiener weight of the noise.

    Parameters
    ----------
    make
        Makes a network from three channels, ``|x_k|``, ``|x_0|`` and the noise's share of the measurement, to one.
    steps
        Data steps K, at least 1.
    """

    def __init__(self, make: Callable[[], nn.Module], steps: int) -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"steps is {steps}, expected at least 1")
        self.networks = nn.ModuleList(make() for _ in range(steps + 1))
        self.log_kappa = nn.Parameter(torch.zeros(steps))

    def forward(self, physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> list[torch.Tensor]:
        """Return the image after each network, ``steps + 1`` of ``(n_scene, n_x, n_y, n_z)``; the last is the best."""
        with torch.no_grad():
            start = regularised_inverse(physics, y, noise_std)
            peak = start.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
            step = physics.solver().step
            data = step.encode(y) / peak.flatten()[:, None]
            weight = physics.wiener_weight(y, noise_std).to(peak.dtype)
            share = noise_std.to(peak.dtype) * physics.operator.n_measurement**0.5 / y.flatten(1).norm(dim=1)
            x = start / peak
            first = x.abs()
            level = share.clamp_max(1).reshape(-1, 1, 1, 1).expand_as(first)
        images: list[torch.Tensor] = []
        for k, network in enumerate(self.networks):
            magnitude = x.abs()
            image = network(torch.stack((magnitude, first, level), dim=1))[:, 0]
            images.append(image)
            if k < len(self.log_kappa):
                v = x / magnitude.clamp_min(1e-12) * image.clamp_min(0)
                x = step.solve(v, data, weight * self.log_kappa[k].exp())[0]
        return images
