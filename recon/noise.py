"""Estimate the noise level of a measurement from the data alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from mimo import FrequencySweep, GramFactor, operator_of
from mimo.recon.registry import Problem

__all__ = ["estimate_noise_std", "sample"]

N_SAMPLE = 1000
"""Number of measurements from which the noise is estimated when there are too many to factorise."""


def estimate_noise_std(problem: Problem) -> torch.Tensor:
    """Estimate the standard deviation of the complex noise of each scene from the data alone, float64 ``(n_scene,)``.

    Reflectivity of random phase makes the coefficients ``c = U^H y`` along the eigenvectors of ``A A^H`` independent
    complex normal numbers of variance ``noise^2 + power * eigenvalue``, as far as the scene fills the grid evenly. The
    two unknowns are found by maximum likelihood; for a given ratio the power has a closed form, so one search over the
    ratio is enough. Only the quarter of the smallest eigenvalues is used, which hardly any scene excites.

    Where there are too many measurements to factorise, a random sample of 1,000 of them is used. The result is bounded
    by the residual of `A^H y`, scaled to fit the data best: where the grid explains little of the data, because it
    covers a part of a large scene, the likelihood alone may find more noise than there is power.

    Notes
    -----
    The error is within 0.4 dB for synthetic scenes of both presets on the papers' array at 0 to 30 dB SNR. There must
    be more measurements than the scene has degrees of freedom: with 378 measurements of the same scene the error
    reaches 2.8 dB at 30 dB. What the model does not explain, such as targets outside the grid or a wrong permittivity,
    counts as noise.
    """
    most = _left_by_adjoint(problem)
    factor = problem.data_step().factor
    if factor is None:
        problem = sample(problem, N_SAMPLE)
        factor = GramFactor.of(problem.operator)
    n_used = max(1, len(factor.eigenvalues) // 4)
    power = factor.coefficients(problem.measurement)[:, :n_used].abs().double().square()
    s = factor.eigenvalues[:n_used]
    ratio = factor.candidates()[:, None]
    spread = s + ratio
    scale = power @ (1 / spread).T / len(s)
    likelihood = -torch.log(spread).sum(1) - len(s) * torch.log(scale.clamp_min(torch.finfo(torch.float64).tiny))
    best = likelihood.argmax(1)
    variance = ratio[best, 0] * scale.gather(1, best[:, None])[:, 0]
    return torch.minimum(variance.sqrt(), most)


def _left_by_adjoint(problem: Problem) -> torch.Tensor:
    """Return the rms of ``y - c A A^H y`` over the channels that carry data, with the best scalar c, ``(n_scene,)``."""
    A, y = problem.operator, problem.measurement
    if A.array.mask is not None:
        y = y * torch.as_tensor(A.array.mask.copy(), device=A.device)
    seen, y = A.forward(A.adjoint(y)).flatten(1), y.flatten(1)
    size = seen.norm(dim=1, keepdim=True).clamp_min(1e-30)
    seen = seen / size
    level = (seen.conj() * y).sum(1, keepdim=True)
    return (y - level * seen).norm(dim=1).double() / A.n_measurement**0.5


def sample(problem: Problem, n: int, *, seed: int = 0) -> Problem:
    """Return the problem of about `n` of the measurements: randomly chosen channels at randomly chosen frequencies."""
    A, rng = problem.operator, np.random.default_rng(seed)
    n_freq = min(A.sweep.n_freq, max(1, round(n**0.5)))
    channels = A.array.channel_indices()
    n_channel = min(len(channels), max(1, n // n_freq))
    freq = np.sort(rng.choice(A.sweep.n_freq, n_freq, replace=False))
    chosen = np.sort(rng.choice(len(channels), n_channel, replace=False))
    place = (chosen,) if A.array.paired else tuple(channels[chosen].T)
    array = replace(A.array, channels=channels[chosen], mask=None)
    path = A.acquisition.reference_path
    seen = A.acquisition.replace(
        array=array,
        sweep=FrequencySweep(A.sweep.freq[freq]),
        reference_path=None if path is None else path[place],
    )
    operator = operator_of(seen, dtype=A.dtype, device=A.device, memory=A.memory)
    values = problem.measurement[:, torch.from_numpy(freq).to(A.device)]
    if not A.array.paired:
        values, chosen = values.flatten(2), np.ravel_multi_index(tuple(channels[chosen].T), A.measurement_shape[1:])
    return Problem(operator, values[..., torch.from_numpy(chosen).to(A.device)])
