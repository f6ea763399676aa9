"""Plug-and-play: a deep denoiser of the magnitude as the prior (arXiv 2312.16024).

The regulariser's proximal map is replaced by a denoiser that is told the noise level; the phase is kept
(`recon.prox.magnitude_prox`). On the quadratic data term the alternating directions are, in units in which A has norm 1
and the first image maximum 1,

    x = argmin |A x - y|^2 + kappa |x - (v - d)|^2      exact, through the factorised A A^H
    v = denoiser(|x + d|, sigma) exp(j arg(x + d))
    d = d + x - v                                        only with splitting="admm"

with sigma falling geometrically over the iterations and kappa growing as 1 / sigma^2, from the noise of the data up.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from mimo import GramFactor
from models import Denoiser
from recon.admm import GramStep
from recon.noise import estimate_noise_std
from recon.prox import Prox, Weight, magnitude_prox
from recon.registry import Images, Problem, reconstructor

SPLITTINGS = ("admm", "hqs")
SMALLEST_KAPPA = 3e-3
"""Weight of the image in the x step at the last noise level, when the data have no noise."""


def denoiser_prox(denoiser: Denoiser) -> Prox:
    """Return the denoiser as a proximal map on complex images; the weight is the noise level (rms)."""

    def denoise(magnitude: torch.Tensor, sigma: Weight) -> torch.Tensor:
        level = torch.as_tensor(sigma, dtype=torch.float32, device=magnitude.device).expand(len(magnitude))
        return denoiser(magnitude.float(), level).to(magnitude.dtype)

    return magnitude_prox(denoise)


@reconstructor("pnp", "plug-and-play: a trained denoiser of the magnitude as the prior")
def pnp(
    problem: Problem,
    *,
    denoiser: str = "denoiser-fast",
    splitting: str = "admm",
    sigma_start: float = 0.3,
    sigma_end: float = 0.05,
    iterations: int = 15,
) -> Images:
    """Alternate an exact data step and a denoiser of the magnitude; see this module.

    `denoiser` names weights that ship or a safetensors file; `splitting` is ``admm`` (with dual variables) or ``hqs``;
    the noise level that the denoiser is told falls geometrically from `sigma_start` to `sigma_end`, relative to the
    largest magnitude of the regularised inverse.
    """
    if splitting not in SPLITTINGS:
        raise ValueError(f"splitting is {splitting!r}: expected one of {', '.join(SPLITTINGS)}")
    if not 0 < sigma_end <= sigma_start:
        raise ValueError(f"sigma falls from {sigma_start} to {sigma_end}: expected positive numbers, the larger first")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}: expected 1 or more")
    y = problem.measurement
    problem.shared("born factors", lambda A: A.prepare())
    factor = problem.shared("gram", GramFactor.of)
    network = problem.shared(f"denoiser {denoiser}", lambda A: Denoiser.load(_path(denoiser), device=str(A.device)))
    norm = float(factor.eigenvalues[-1].sqrt())
    step, prox = GramStep(factor, norm), denoiser_prox(network)
    start = factor.tikhonov(y)[0]
    size = start.abs().flatten(1).amax(1)
    size = torch.where(size > 0, size, torch.ones_like(size))
    noise_std = problem.noise_std if problem.noise_std is not None else estimate_noise_std(problem)
    noise = (noise_std.to(size.dtype) / (norm * size)).square()
    data = step.encode(y) / (norm * size[:, None])
    v = start / size[:, None, None, None]
    d = torch.zeros_like(v)
    history, started = [], time.perf_counter()
    for i in range(iterations):
        sigma = sigma_start * (sigma_end / sigma_start) ** (i / max(1, iterations - 1))
        kappa = SMALLEST_KAPPA * (sigma_end / sigma) ** 2 + noise / sigma**2
        x, ax = step.solve(v - d, data, kappa)
        new = prox(x + d, sigma)
        if splitting == "admm":
            d = d + x - new
        change = (new - v).flatten(1).norm(dim=1) / new.flatten(1).norm(dim=1).clamp_min(1e-30)
        residual = (ax - data).norm(dim=1) / data.norm(dim=1).clamp_min(1e-30)
        v = new
        history.append(
            {
                "sigma": sigma,
                "relative_change": change.tolist(),
                "residual": residual.tolist(),
                "seconds": time.perf_counter() - started,
            }
        )
    return Images(v * size[:, None, None, None], iterations=iterations, history=history)


def _path(name: str) -> str | Path:
    return Path(name) if name.endswith(".safetensors") else name
