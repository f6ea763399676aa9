"""Make training pairs for a denoiser of magnitudes: what a reconstruction looks like, from a clean target.

Two ways, both vectorised over a batch, both in need of nothing but a clean magnitude in [0, 1]:

``white``
    The paper's (arXiv 2312.16024, section 4): magnitude plus real white Gaussian noise.
``speckle``
    The magnitude of a complex field: the target with a random phase in every voxel, partly seen through a random
    point-spread function (which makes speckle *inside* the body), plus complex noise of random correlation.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch

__all__ = ["CORRUPTIONS", "MODULATED_SHARE", "Corruption", "Pair", "band_limited", "speckle", "speckle_field", "white"]

WHITE_STD = 0.2
"""Largest standard deviation of the paper's noise."""
AMPLITUDE = (0.25, 1.25)
"""Range of the amplitude of a target, uniform."""
NOISE_STD = 0.35
"""Largest rms of the complex noise, over the volume."""
NOISE_WIDTH = 2.5
"""Largest Gaussian width of the noise's correlation along an axis, voxels."""
MODULATED_SHARE = 0.3
"""Share of samples whose noise is stronger near the target or in a slab."""
BAND_SHARE = 0.5
"""Share of samples whose target is seen through a point-spread function."""
PSF_WIDTH = (0.5, 2.0)
"""Range of the rms width of the point-spread function along an axis, voxels, uniform."""
GAIN = (0.7, 1.1)
"""Range of the level of the part that is seen through the point-spread function."""


class Pair(NamedTuple):
    """A batch of training pairs."""

    noisy: torch.Tensor
    """What the network is given, float32 (batch, n_x, n_y, n_z)."""
    target: torch.Tensor
    """What it should answer, of the same shape, at least 0."""
    sigma: torch.Tensor
    """The noise level that it is told, (batch,)."""


class Corruption(Protocol):
    """Makes training pairs of clean magnitudes; noise of the level `std`, or drawn."""

    def __call__(self, clean: torch.Tensor, generator: torch.Generator, *, std: float | None = None) -> Pair:
        """Return the pairs of clean magnitudes ``(batch, n_x, n_y, n_z)``."""
        ...


def white(clean: torch.Tensor, generator: torch.Generator, *, std: float | None = None) -> Pair:
    """Add real white Gaussian noise.

    Parameters
    ----------
    clean
        Magnitudes in [0, 1], float32 (batch, n_x, n_y, n_z).
    generator
        Source of randomness, on the device of `clean`.
    std
        Standard deviation of the noise; drawn from [0, 0.2], uniform, for each sample when not given.

    Returns
    -------
    Pair
        The noisy magnitude may be negative, as the paper has it; `sigma` is the standard deviation.
    """
    sigma = _uniform(clean, generator, 0, WHITE_STD) if std is None else torch.full_like(_scalars(clean), std)
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    return Pair(clean + sigma * noise, clean, sigma.flatten())


def speckle(clean: torch.Tensor, generator: torch.Generator, *, std: float | None = None) -> Pair:
    """Take the magnitude of the target with random amplitude and phase, imaged and with complex noise.

    Parameters
    ----------
    clean
        Magnitudes in [0, 1], float32 (batch, n_x, n_y, n_z).
    generator
        Source of randomness, on the device of `clean`.
    std
        Rms of the complex noise, for validation at a known level: then every target has amplitude 1 and none is seen
        through a point-spread function.

    Returns
    -------
    Pair
        `sigma` is the rms, over the volume, of the corrupted complex field minus the clean one.
    """
    if std is None:
        target = clean * _uniform(clean, generator, *AMPLITUDE)
        band = (_uniform(clean, generator, 0, 1) < BAND_SHARE).float() * _uniform(clean, generator, 0, 1) ** 0.5
        level = _uniform(clean, generator, 0, NOISE_STD)
    else:
        target, band = clean, torch.zeros_like(_scalars(clean))
        level = torch.full_like(band, std)
    return _pair(target, band, level, generator)


def band_limited(clean: torch.Tensor, generator: torch.Generator, *, std: float = 0.05) -> Pair:
    """Take the magnitude of targets of amplitude 1 wholly seen through a point-spread function: for validation."""
    ones = torch.ones_like(_scalars(clean))
    return _pair(clean, ones, std * ones, generator)


CORRUPTIONS: dict[str, Corruption] = {"white": white, "speckle": speckle}
"""Name of each way to make training pairs."""


def _pair(target: torch.Tensor, band: torch.Tensor, level: torch.Tensor, generator: torch.Generator) -> Pair:
    """Return the magnitudes and the rms deviation of `speckle_field`."""
    field, corrupted = speckle_field(target, band, level, generator)
    return Pair(corrupted.abs(), target, _rms(corrupted - field).flatten())


def speckle_field(
    target: torch.Tensor, band: torch.Tensor, level: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a complex field of a given magnitude, and what a reconstruction might make of it.

    With ``u = target exp(j phi)``, phi uniform in every voxel, and a point-spread function ``h`` of unit energy (so
    that the level inside a body stays, on average, that of the target)::

        corrupted = (1 - band) u + band gain (h * u) + level n,      mean |n|^2 = 1

    Parameters
    ----------
    target
        Magnitudes, float32 (batch, n_x, n_y, n_z).
    band
        Share of the field seen through the point-spread function, in [0, 1], (batch, 1, 1, 1).
    level
        Rms of the noise over the volume, (batch, 1, 1, 1).
    generator
        Source of randomness, on the device of `target`.

    Returns
    -------
    complex64 field, complex64 corrupted field
        Of the shape of `target`.
    """
    phase = torch.rand(target.shape, generator=generator, device=target.device).mul_(2 * math.pi)
    field = torch.polar(target, phase)
    corrupted = _noise(target, generator).mul_(level).add_(field)
    seen = torch.nonzero(band.flatten() > 0).flatten()
    if len(seen):  # only these samples pay for the two transforms
        part = field[seen]
        imaged = _filter(part, _point_spread(target[seen], generator)) * _uniform(part, generator, *GAIN)
        corrupted[seen] += band[seen] * (imaged - part)
    return field, corrupted


def _point_spread(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return transfer functions of unit energy: Gaussian or a box of wavenumbers, half of them with gaps.

    A real array fills its band of wavenumbers with gaps, which spreads a faint speckle over the whole volume; drawing
    gaps at random stands in for every geometry. The box that goes with ``exp(-(k width)^2 / 2)`` has the same area:
    half-width ``sqrt(pi / 2) / width`` radians per voxel.
    """
    width = _widths(like, generator, *PSF_WIDTH)
    is_box = _uniform(like, generator, 0, 1) < 0.5
    factors = []
    for k, w, gaussian in zip(_wavenumbers(like), width, _gaussian(like, width), strict=True):
        box = (k.abs() <= (math.sqrt(math.pi / 2) / w).clamp(max=math.pi)).float()
        factors.append(torch.where(is_box, box, gaussian))
    has_gaps = _uniform(like, generator, 0, 1) < 0.5
    kept = torch.where(has_gaps, _uniform(like, generator, 0.15, 1), 1.0)
    gaps = torch.rand(like.shape, generator=generator, device=like.device) < kept
    transfer = factors[0] * factors[1] * factors[2] * gaps
    power = transfer.square().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where(power > 0, transfer / power.clamp(min=1e-12).sqrt(), 1.0)


def _noise(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return complex noise of random correlation, some of it modulated in space, of mean square exactly 1.

    The spectrum of white noise is white, so the noise is drawn in the domain of wavenumbers.
    """
    share = (1.25 * _uniform(like, generator, 0, 1) - 0.25).clamp(min=0)  # of power; a fifth has no white part
    squares = [g.square() for g in _gaussian(like, _widths(like, generator, 0, NOISE_WIDTH))]
    means = [s.mean(dim=(1, 2, 3), keepdim=True) for s in squares]
    power = ((1 - share) / (means[0] * means[1] * means[2]) * squares[0] * squares[1]) * squares[2] + share
    white_noise = torch.randn(like.shape, dtype=torch.complex64, generator=generator, device=like.device)
    noise = torch.fft.ifftn(white_noise.mul_(power.sqrt_()), dim=(1, 2, 3), norm="ortho")

    choice = _uniform(like, generator, 0, 1).flatten()
    strength = _uniform(like, generator, 1, 8)
    near = torch.nonzero(choice < MODULATED_SHARE / 2).flatten()
    slab = torch.nonzero((choice >= MODULATED_SHARE / 2) & (choice < MODULATED_SHARE)).flatten()
    if len(near):
        noise[near] *= 1 + strength[near] * _surroundings(like[near], generator)
    if len(slab):
        noise[slab] *= 1 + strength[slab] * _slab(like[slab], generator)
    return noise.div_(_rms(noise))


def _surroundings(target: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return the target blurred by a few voxels, with maximum 1 (or 0 for an empty one)."""
    factors = _gaussian(target, _widths(target, generator, 2, 6))
    near = _filter(target, factors[0] * factors[1] * factors[2]).real.clamp(min=0)
    return near / near.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-6)


def _slab(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a Gaussian of random centre and width along a random axis of each sample, to broadcast."""
    axis = torch.randint(3, (like.shape[0], 1, 1, 1), generator=generator, device=like.device)
    center, width = _uniform(like, generator, 0, 1), _uniform(like, generator, 0.05, 0.3)
    slab = torch.ones(1, device=like.device)
    for a in range(3):
        n = like.shape[1 + a]
        position = _along(a, (torch.arange(n, device=like.device) + 0.5) / n)
        slab = slab * torch.where(axis == a, torch.exp(-0.5 * ((position - center) / width) ** 2), 1.0)
    return slab


def _wavenumbers(like: torch.Tensor) -> list[torch.Tensor]:
    """Return the wavenumbers of each axis, radians per voxel, shaped to broadcast."""
    return [_along(a, 2 * math.pi * torch.fft.fftfreq(n, device=like.device)) for a, n in enumerate(like.shape[1:])]


def _along(axis: int, values: torch.Tensor) -> torch.Tensor:
    """Shape values along an axis of a volume so that they broadcast over a batch."""
    shape = [1, 1, 1, 1]
    shape[1 + axis] = -1
    return values.reshape(shape)


def _gaussian(like: torch.Tensor, width: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return, for each axis, the factor of the transfer function of a Gaussian of the given width in voxels.

    Factors stay above 2e-9, so that no product of them is a denormal number, with which processors are slow.
    """
    pairs = zip(_wavenumbers(like), width, strict=True)
    return [torch.exp((-0.5 * (k * w) ** 2).clamp(min=-20)) for k, w in pairs]


def _filter(field: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    """Convolve, periodically, with the point-spread function of a transfer function."""
    return torch.fft.ifftn(torch.fft.fftn(field, dim=(1, 2, 3)).mul_(transfer), dim=(1, 2, 3))


def _rms(field: torch.Tensor) -> torch.Tensor:
    """Return the rms of each complex volume, (batch, 1, 1, 1)."""
    return (2 * torch.view_as_real(field).square().mean(dim=(1, 2, 3, 4))).sqrt().reshape(-1, 1, 1, 1)


def _scalars(like: torch.Tensor) -> torch.Tensor:
    """Return a number of no meaning for each sample, (batch, 1, 1, 1), for its shape and device."""
    return torch.empty(like.shape[0], 1, 1, 1, device=like.device)


def _uniform(like: torch.Tensor, generator: torch.Generator, low: float, high: float) -> torch.Tensor:
    """Return a uniform number for each sample, (batch, 1, 1, 1)."""
    return low + (high - low) * torch.rand(like.shape[0], 1, 1, 1, generator=generator, device=like.device)


def _widths(like: torch.Tensor, generator: torch.Generator, low: float, high: float) -> list[torch.Tensor]:
    """Return a uniform width for each sample and axis."""
    return [_uniform(like, generator, low, high) for _ in range(3)]
