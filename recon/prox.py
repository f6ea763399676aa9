"""Make proximal maps for complex images from maps of their magnitude.

For a regulariser R that acts on the magnitude, ``R(|x|)``, the proximal map at a complex point keeps the point's phase
and applies R's own proximal map, restricted to non-negative values, to its magnitude (arXiv 2312.16024, section III;
any phase but the point's own is further away at equal R). `magnitude_prox` is that statement: it makes a proximal map
for complex images of anything that maps magnitudes to magnitudes, a regulariser's proximal map or any denoiser:

>>> import torch
>>> from scipy.ndimage import median_filter
>>> denoise = lambda m, weight: torch.stack([torch.from_numpy(median_filter(v.numpy(), 3)) for v in m])
>>> prox = magnitude_prox(denoise)
>>> prox(torch.full((1, 5, 7, 11), 2j), 0.1)[0, 2, 3, 5]
tensor(0.+2.j)

Shapes: images are ``(n_scene, n_x, n_y, n_z)``; a weight is one number or one for each scene.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from mimo.least_squares import Weight, per_scene

__all__ = [
    "MagnitudeMap",
    "Prox",
    "TotalVariationProx",
    "divergence",
    "gradient",
    "l1_norm",
    "magnitude_prox",
    "soft_threshold",
    "total_variation",
]

MagnitudeMap = Callable[[torch.Tensor, Weight], torch.Tensor]


class Prox(Protocol):
    """What the solver needs of a prior: the proximal map of ``weight * R(|.|)`` at complex images."""

    def __call__(self, x: torch.Tensor, weight: Weight) -> torch.Tensor:
        """Images like `x`."""
        ...


def magnitude_prox(prox_of_r: MagnitudeMap) -> Prox:
    """Return the proximal map of ``R(|.|)`` for complex images from R's own for magnitudes.

    Parameters
    ----------
    prox_of_r
        ``(magnitude, weight) -> magnitude``; real, non-negative in. What it returns below zero is set to zero, which is
        R's proximal map restricted to non-negative values whenever R is convex and separable, and a denoiser's output
        made a magnitude otherwise.

    Returns
    -------
    callable
        ``(x, weight) -> x`` on complex (or real) images; a voxel of value 0 has phase 0.
    """

    def prox(x: torch.Tensor, weight: Weight) -> torch.Tensor:
        magnitude = x.abs()
        wanted = prox_of_r(magnitude, weight).clamp_min(0)
        # the phase times the new magnitude, in one step and exact at zero
        at_zero = magnitude == 0
        return torch.where(at_zero, wanted.to(x.dtype), x * (wanted / magnitude.masked_fill(at_zero, 1)))

    return prox


def soft_threshold(magnitude: torch.Tensor, weight: Weight) -> torch.Tensor:
    """Proximal map of ``weight * sum |m|`` for magnitudes: ``max(m - weight, 0)``."""
    return (magnitude - per_scene(weight, magnitude)).clamp_min(0)


def l1_norm(x: torch.Tensor) -> torch.Tensor:
    """Sum of magnitudes of each scene, ``(n_scene,)``."""
    return x.abs().flatten(1).sum(1)


def gradient(m: torch.Tensor) -> torch.Tensor:
    """Forward differences along x, y, z with a zero at the far face: ``(n_scene, 3, n_x, n_y, n_z)``."""
    out = m.new_zeros((len(m), 3, *m.shape[1:]))
    for axis in range(3):
        n = m.shape[axis + 1]
        out[:, axis].narrow(axis + 1, 0, n - 1).copy_(m.narrow(axis + 1, 1, n - 1) - m.narrow(axis + 1, 0, n - 1))
    return out


def divergence(p: torch.Tensor) -> torch.Tensor:
    """Minus the transpose of `gradient`: ``<gradient(m), p> = -<m, divergence(p)>``."""
    out = p.new_zeros((len(p), *p.shape[2:]))
    for axis in range(3):
        n = p.shape[axis + 2]
        inner = p[:, axis].narrow(axis + 1, 0, n - 1)
        out.narrow(axis + 1, 0, n - 1).add_(inner)
        out.narrow(axis + 1, 1, n - 1).sub_(inner)
    return out


def total_variation(x: torch.Tensor) -> torch.Tensor:
    """Isotropic total variation of the magnitude of each scene, ``(n_scene,)``."""
    return gradient(x.abs()).square().sum(1).sqrt().flatten(1).sum(1)


class TotalVariationProx:
    """Proximal map of ``weight * TV(m)`` over non-negative magnitudes, isotropic in three dimensions.

    Minimises ``|m - g|^2 / 2 + weight TV(m)`` subject to ``m >= 0`` by fast gradient projection on the dual (Beck,
    Teboulle, IEEE Trans. Image Processing 18 (2009) 2419), started from the dual of the previous call.

    Parameters
    ----------
    tolerance
        A scene is done when its image changes by less than this, relative, in an iteration.
    max_iterations
        At most so many.

    Attributes
    ----------
    iterations
        Iterations of the last call.
    """

    def __init__(self, *, tolerance: float = 1e-4, max_iterations: int = 200) -> None:
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.iterations = 0
        self._dual: torch.Tensor | None = None

    def restart(self) -> None:
        """Forget the dual of the previous call."""
        self._dual = None

    def keep(self, scenes: torch.Tensor) -> None:
        """Keep the duals of some scenes (indices), when the others have stopped."""
        if self._dual is not None:
            self._dual = self._dual[scenes]

    def __call__(self, magnitude: torch.Tensor, weight: Weight) -> torch.Tensor:
        """Magnitudes ``(n_scene, n_x, n_y, n_z)``, non-negative."""
        weight = per_scene(weight, magnitude).expand(len(magnitude), 1, 1, 1)
        if not bool((weight > 0).any()):
            return magnitude.clamp_min(0)
        dual = self._dual
        if dual is None or dual.dtype != magnitude.dtype or dual[:, 0].shape != magnitude.shape:
            dual = magnitude.new_zeros((len(magnitude), 3, *magnitude.shape[1:]))
        ahead, momentum = dual, 1.0
        n_axes = sum(n > 1 for n in magnitude.shape[1:])
        step = 1 / (4 * max(1, n_axes) * weight.clamp_min(torch.finfo(magnitude.dtype).tiny))
        active = torch.arange(len(magnitude), device=magnitude.device)
        result = (magnitude + weight * divergence(dual)).clamp_min(0)
        dual, ahead = dual.clone(), ahead.clone()
        for iteration in range(1, self.max_iterations + 1):
            self.iterations = iteration
            part = (magnitude[active] + weight[active] * divergence(ahead[active])).clamp_min(0)
            moved = ahead[active] + step[active][:, None] * gradient(part)
            moved = moved / moved.square().sum(1, keepdim=True).sqrt().clamp_min(1)
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead[active] = moved + (momentum - 1) / following * (moved - dual[active])
            dual[active], momentum = moved, following
            image = (magnitude[active] + weight[active] * divergence(moved)).clamp_min(0)
            change = (image - result[active]).flatten(1).norm(dim=1)
            result[active] = image
            active = active[change > self.tolerance * image.flatten(1).norm(dim=1).clamp_min(1e-30)]
            if not len(active):
                break
        self._dual = dual
        return result
