"""Make proximal maps for complex images from maps of their magnitude.

For a regulariser R that acts on the magnitude, ``R(|x|)``, the proximal map at a complex point keeps the point's phase
and applies R's own proximal map, restricted to non-negative values, to its magnitude (arXiv 2312.16024, section III;
any phase but the point's own is further away at equal R). `magnitude_prox` does so: it makes a proximal map for
complex images from any function of magnitudes, be it a regulariser's proximal map or a denoiser:

>>> import torch
>>> from scipy.ndimage import median_filter
>>> denoise = lambda m, weight: torch.stack([torch.from_numpy(median_filter(v.numpy(), 3)) for v in m])
>>> prox = magnitude_prox(denoise)
>>> prox(torch.full((1, 5, 7, 11), 2j), 0.1)[0, 2, 3, 5]
tensor(0.+2.j)

Images are ``(n_scene, n_x, n_y, n_z)``; a weight is one number or one for each scene, ``(n_scene,)``.
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
    "within",
]

MagnitudeMap = Callable[[torch.Tensor, Weight], torch.Tensor]


class Prox(Protocol):
    """Describes the proximal map of ``weight * R(|x|)`` on complex images: all that a solver needs of a prior."""

    def __call__(self, x: torch.Tensor, weight: Weight) -> torch.Tensor:
        """Return the map's value at `x`, complex ``(n_scene, n_x, n_y, n_z)``."""
        ...


def magnitude_prox(prox_of_r: MagnitudeMap) -> Prox:
    """Make the proximal map of ``R(|x|)`` for complex images from R's own proximal map for magnitudes.

    Parameters
    ----------
    prox_of_r
        Function ``(magnitude, weight) -> magnitude`` of real, non-negative magnitudes. Negative values of its result
        are set to zero. Where R is convex and separable, that gives R's proximal map restricted to non-negative
        values; the output of a denoiser simply becomes a magnitude.

    Returns
    -------
    callable
        Function ``(x, weight) -> x`` on complex (or real) images; a voxel of value 0 has phase 0.
    """

    def prox(x: torch.Tensor, weight: Weight) -> torch.Tensor:
        magnitude = x.abs()
        wanted = prox_of_r(magnitude, weight).clamp_min(0)
        # the phase times the new magnitude, in one step and exact at zero
        at_zero = magnitude == 0
        return torch.where(at_zero, wanted.to(x.dtype), x * (wanted / magnitude.masked_fill(at_zero, 1)))

    return prox


def soft_threshold(magnitude: torch.Tensor, weight: Weight) -> torch.Tensor:
    """Apply the proximal map of ``weight * sum |m|`` to magnitudes: ``max(m - weight, 0)``."""
    return (magnitude - per_scene(weight, magnitude)).clamp_min(0)


def within(prox: Prox, inside: torch.Tensor | None) -> Prox:
    """Make the proximal map of a regulariser that also demands zero outside a region.

    It is exact where the regulariser does not couple voxels inside with those outside, as with a sum over voxels, and
    with `TotalVariationProx` of the same region; the output of a denoiser is cut off.

    Parameters
    ----------
    prox
        The regulariser's own map.
    inside
        bool ``(n_x, n_y, n_z)``: the region's voxels; ``None`` for all, which returns `prox` itself.
    """
    if inside is None:
        return prox

    def restricted(x: torch.Tensor, weight: Weight) -> torch.Tensor:
        return prox(x, weight) * inside.to(x.device)

    return restricted


def l1_norm(x: torch.Tensor) -> torch.Tensor:
    """Return the sum of magnitudes of each scene, ``(n_scene,)``."""
    return x.abs().flatten(1).sum(1)


def gradient(m: torch.Tensor) -> torch.Tensor:
    """Return forward differences along x, y, z, zero at the last voxel: ``(n_scene, 3, n_x, n_y, n_z)``."""
    out = m.new_zeros((len(m), 3, *m.shape[1:]))
    for axis in range(3):
        n = m.shape[axis + 1]
        out[:, axis].narrow(axis + 1, 0, n - 1).copy_(m.narrow(axis + 1, 1, n - 1) - m.narrow(axis + 1, 0, n - 1))
    return out


def divergence(p: torch.Tensor) -> torch.Tensor:
    """Apply minus the transpose of `gradient`: ``<gradient(m), p> = -<m, divergence(p)>``."""
    out = p.new_zeros((len(p), *p.shape[2:]))
    for axis in range(3):
        n = p.shape[axis + 2]
        inner = p[:, axis].narrow(axis + 1, 0, n - 1)
        out.narrow(axis + 1, 0, n - 1).add_(inner)
        out.narrow(axis + 1, 1, n - 1).sub_(inner)
    return out


def total_variation(x: torch.Tensor) -> torch.Tensor:
    """Return the isotropic total variation of the magnitude of each scene, ``(n_scene,)``."""
    return gradient(x.abs()).square().sum(1).sqrt().flatten(1).sum(1)


class TotalVariationProx:
    """Applies the proximal map of ``weight * TV(m)``, isotropic and in three dimensions, to non-negative magnitudes.

    For a magnitude g it minimises ``|m - g|^2 / 2 + weight TV(m)`` subject to ``m >= 0`` by fast gradient projection on
    the dual problem (Beck, Teboulle, IEEE Trans. Image Processing 18 (2009) 2419), started from the dual variable of
    the previous call.

    Parameters
    ----------
    tolerance
        A scene is done when the relative change of its image in an iteration is below this.
    max_iterations
        Most iterations of a call.
    inside
        bool ``(n_x, n_y, n_z)``: voxels of a region; magnitudes outside are 0, so that its border is an edge like any
        other: a border that costs nothing would draw the image to it. ``None`` for all voxels.

    Attributes
    ----------
    iterations
        Number of iterations of the last call.
    """

    def __init__(
        self, *, tolerance: float = 1e-4, max_iterations: int = 200, inside: torch.Tensor | None = None
    ) -> None:
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self._inside = inside
        self.iterations = 0
        self._dual: torch.Tensor | None = None

    def restart(self) -> None:
        """Forget the dual variable of the previous call."""
        self._dual = None

    def __call__(self, magnitude: torch.Tensor, weight: Weight) -> torch.Tensor:
        """Return the minimisers for magnitudes ``(n_scene, n_x, n_y, n_z)``, in that shape and non-negative."""
        weight = per_scene(weight, magnitude).expand(len(magnitude), 1, 1, 1)
        inside = None if self._inside is None else self._inside.to(magnitude.device)

        def allowed(m: torch.Tensor) -> torch.Tensor:
            """Return the nearest magnitudes that are not negative, and zero outside."""
            return m.clamp_min(0) if inside is None else m.clamp_min(0) * inside

        if not bool((weight > 0).any()):
            return allowed(magnitude)
        dual = self._dual
        if dual is None or dual.dtype != magnitude.dtype or dual[:, 0].shape != magnitude.shape:
            dual = magnitude.new_zeros((len(magnitude), 3, *magnitude.shape[1:]))
        ahead, momentum = dual, 1.0
        n_axes = sum(n > 1 for n in magnitude.shape[1:])
        step = 1 / (4 * max(1, n_axes) * weight.clamp_min(torch.finfo(magnitude.dtype).tiny))
        active = torch.arange(len(magnitude), device=magnitude.device)
        result = allowed(magnitude + weight * divergence(dual))
        dual, ahead = dual.clone(), ahead.clone()
        for iteration in range(1, self.max_iterations + 1):
            self.iterations = iteration
            part = allowed(magnitude[active] + weight[active] * divergence(ahead[active]))
            moved = ahead[active] + step[active][:, None] * gradient(part)
            moved = moved / moved.square().sum(1, keepdim=True).sqrt().clamp_min(1)
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead[active] = moved + (momentum - 1) / following * (moved - dual[active])
            dual[active], momentum = moved, following
            image = allowed(magnitude[active] + weight[active] * divergence(moved))
            change = _norms(image - result[active])
            result[active] = image
            active = active[change > self.tolerance * _norms(image).clamp_min(1e-30)]
            if not len(active):
                break
        self._dual = dual
        return result


def _norms(images: torch.Tensor) -> torch.Tensor:
    """Return the norm of each image, summed in an order that does not depend on how many there are."""
    return torch.stack([image.norm() for image in images])
