"""Draw images from the posterior by split Gibbs sampling: a Gaussian step for the data, another for the prior.

The posterior of an image x under white noise of variance sigma^2 is ``p(x | y) ~ exp(-|A x - y|^2 / sigma^2) p(x)``.
With a copy z of the image, coupled to it by a width rho,

    p(x, z | y) ~ exp(-|A x - y|^2 / sigma^2 - |x - z|^2 / rho^2) p(z),

two draws alternate (Vono, Dobigeon, Chainais, IEEE Trans. Signal Processing 67 (2019) 1648; with a diffusion prior for
radar: arXiv 2512.02768):

    x ~ p(x | y, z)   Gaussian: the data step on data and image that are perturbed by noise of their variances,
                      x = argmin |A x - (y + n1)|^2 + (sigma / rho)^2 |x - (z + n2)|^2
    z ~ p(z | x)      the prior's: z is x without its noise of variance rho^2

The first is exact (perturb and optimise: Orieux, Feron, Giovannelli, IEEE Signal Processing Letters 19 (2012) 251). So
z is distributed by the posterior of noise of covariance ``sigma^2 I + rho^2 A A^H``, and x by that of the prior blurred
by rho. Noise is complex and its variance that of the modulus.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Protocol

import torch

from mimo.least_squares import DataStep
from mimo.recon.prox import Prox

__all__ = ["DenoiserPrior", "GaussianPrior", "Prior", "complex_normal", "split_gibbs"]

FIRST_COUPLING = 0.5
"""Width rho at the start of the burn-in, where images have a largest magnitude of about 1: chains part from there."""
LAST_LEVEL = 0.02
"""Noise level of the last step of the diffusion."""


class Prior(Protocol):
    """Describes a prior: all that the sampler needs of it.

    Attributes
    ----------
    blurred
        Whether the prior is that of the image x, its own copy z being narrower; else that of z. Its samples are kept.
    """

    blurred: bool

    def coupling(self, share: float) -> float:
        """Return the width rho when a share of the burn-in, 0 to 1, is done; constant from 1 on."""
        ...

    def draw(self, x: torch.Tensor, coupling: float, rng: torch.Generator) -> torch.Tensor:
        """Draw z given x, complex ``(n_chain, n_x, n_y, n_z)``."""
        ...


class GaussianPrior:
    """Says that voxels are independent complex normal numbers of one variance; its draws are exact.

    The variance is shared among the coupling and the copy z, so that x has all of it, whatever the coupling.

    Parameters
    ----------
    variance
        Of a voxel, ``E |x|^2`` > 0.
    """

    blurred = True

    def __init__(self, variance: float) -> None:
        self.variance = variance

    def coupling(self, share: float) -> float:
        """Return the width that shares the variance in halves, for which the chains forget half in each step."""
        return math.sqrt(self.variance / 2)

    def draw(self, x: torch.Tensor, coupling: float, rng: torch.Generator) -> torch.Tensor:
        """See `Prior`."""
        kept = 1 - coupling**2 / self.variance
        return kept * x + coupling * math.sqrt(kept) * complex_normal(x.shape, rng, x)


class DenoiserPrior:
    """Draws images by a diffusion through a denoiser of the magnitude; phases are independent and evenly distributed.

    ``x`` is z with complex noise of rms rho. From there the noise level falls in a few steps, each an ancestral step of
    a variance-exploding diffusion: with the mean E of the image given z_t, z at the next level u is normal around
    ``E + (u / t)^2 (z_t - E)`` with variance ``u^2 (1 - u^2 / t^2)``. The denoiser D gives the mean magnitude. Where it
    is m, the phase has a von Mises distribution around that of z_t, and ``E = m I1(k) / I0(k)`` along it with
    ``k = 2 m |z_t| / t^2``. After the last step z has the magnitude D and a phase that is drawn.

    No magnitude is above a largest one: beyond what it was trained on a denoiser may add to peaks in every step.

    Parameters
    ----------
    denoise
        Denoiser of magnitudes ``(n_chain, n_x, n_y, n_z)`` with maxima of about 1, given the noise level; a proximal
        map on complex images is one on magnitudes too.
    width
        Width rho after the burn-in.
    steps
        Times that the denoiser is applied in a draw.
    largest
        Largest magnitude, which is the denoiser's 1.
    """

    blurred = False

    def __init__(self, denoise: Prox, *, width: float, steps: int, largest: float) -> None:
        self._denoise, self._width, self._steps, self._largest = denoise, width, steps, largest

    def coupling(self, share: float) -> float:
        """Return a width that falls geometrically during the burn-in."""
        first = max(FIRST_COUPLING, self._width)
        return first * (self._width / first) ** min(share, 1.0)

    def draw(self, x: torch.Tensor, coupling: float, rng: torch.Generator) -> torch.Tensor:
        """See `Prior`."""
        last = min(LAST_LEVEL, coupling)
        levels = [coupling * (last / coupling) ** (i / max(1, self._steps - 1)) for i in range(self._steps)]
        z = x
        for level, following in itertools.pairwise(levels):
            seen = z.abs()
            magnitude = self._magnitude(seen, level)
            k = 2 * magnitude * seen / level**2
            sure = torch.special.i1e(k) / torch.special.i0e(k)
            mean = z * (magnitude * sure / seen.clamp_min(torch.finfo(seen.dtype).tiny))
            ratio = following / level
            noise = complex_normal(z.shape, rng, z) * (following * math.sqrt(1 - ratio**2))
            z = mean + ratio**2 * (z - mean) + noise
        phase = (z + levels[-1] * complex_normal(z.shape, rng, z)).angle()
        return torch.polar(self._magnitude(z.abs(), levels[-1]), phase)

    def _magnitude(self, magnitude: torch.Tensor, level: float) -> torch.Tensor:
        return self._largest * self._denoise(magnitude / self._largest, level / self._largest).clamp(max=1)


def split_gibbs(
    step: DataStep,
    prior: Prior,
    y: torch.Tensor,
    noise: float,
    start: torch.Tensor,
    *,
    chains: int,
    burn_in: int,
    iterations: int,
    rng: torch.Generator,
    each: Callable[[int, torch.Tensor, torch.Tensor], None],
) -> None:
    """Run the sampler of this module on one scene, all chains as one batch.

    Parameters
    ----------
    step
        Solver of the least squares for x (`mimo.least_squares`).
    prior
        The prior.
    y
        Measurement in the step's coordinates, complex ``(m,)``.
    noise
        Standard deviation sigma of one complex measurement, above 0.
    start
        First image, complex ``(n_x, n_y, n_z)``, of every chain.
    chains, burn_in, iterations
        Number of chains, of iterations before the chains are taken for samples, and of all iterations.
    rng
        Source of all randomness, on the processor.
    each
        Called after each iteration as ``each(i, image, residual)`` with i from 0, images ``(n_chain, n_x, n_y, n_z)``
        and ``|A x - y| / (sigma sqrt(m))`` of each chain.
    """
    data = y.expand(chains, -1)
    z = start.expand(chains, *start.shape)
    for i in range(iterations):
        coupling = prior.coupling(i / max(1, burn_in - 1))
        noisy = z + coupling * complex_normal(z.shape, rng, z)
        seen = data + noise * complex_normal(data.shape, rng, data)
        x, ax = step.solve(noisy, seen, (noise / coupling) ** 2)
        z = prior.draw(x, coupling, rng)
        residual = (ax - data).norm(dim=1) / (noise * data.shape[1] ** 0.5)
        each(i, x if prior.blurred else z, residual)


def complex_normal(shape: torch.Size, rng: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """Return complex normal numbers of variance 1, of the dtype and on the device of `like`.

    They are drawn on the processor, so that a seed gives the same numbers on every device.
    """
    return torch.randn(shape, dtype=like.dtype, generator=rng).to(like.device)
