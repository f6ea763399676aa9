"""Sample the posterior of an image: not one image that explains the data, but many, and how they differ.

The samples are drawn by `mimo.recon.split_gibbs`. Kept are, of each voxel's magnitude, the mean, the standard deviation
and quantiles, and how far the chains agree (`mimo.recon.convergence`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo import LayeredMedium, VoxelGrid
from mimo.data import QUANTILES, Measurement, Reconstruction
from mimo.data.history import Entry
from mimo.imaging_operator import DEFAULT_MEMORY
from mimo.pattern import Patterns
from mimo.recon.convergence import effective_sample_size, split_r_hat
from mimo.recon.pnp import named_prox
from mimo.recon.prox import MagnitudeMap, within
from mimo.recon.registry import Images, Problem, reconstructor
from mimo.recon.run import make_problem, run_method
from mimo.recon.scaling import Scaled, Setup, scale
from mimo.recon.split_gibbs import DenoiserPrior, GaussianPrior, Prior, split_gibbs
from mimo.region import Region

__all__ = ["PRIORS", "Posterior", "posterior_images", "sample"]

PRIORS = ("denoiser", "gaussian")
"""Priors by name."""
CONVERGED = 1.1
"""A scene has converged where the median of R-hat is below this."""
SHOWN = 0.1
"""Share of the largest mean from which on a voxel shows something, and counts for the convergence."""
LEAST_NOISE = 1e-3
"""Least noise that is reckoned with, relative to the data's rms: with none at all the chains would not move."""
HEADROOM = 1.5
"""Largest magnitude of a sample over that of the image that the chains start from."""
LEAST_SIGNAL = 1e-3
"""Least share of the data's power that a Gaussian prior is made to explain."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Holds samples of the posterior of some scenes, and what they say of each voxel.

    Attributes
    ----------
    image
        Mean magnitude with the phase of the mean sample, standard deviation, quantiles, convergence: what
        ``mimo reconstruct --method sample`` writes, and `mimo.data.save` takes.
    samples
        complex64 ``(n_scene, n, n_x, n_y, n_z)``, in the unit of the image: those of the first chain, of the second,
        and so on. A run that was interrupted has fewer, the same number of each scene.
    """

    image: Reconstruction
    samples: npt.NDArray[np.complex64]


def sample(
    measurement: Measurement,
    grid: VoxelGrid | None = None,
    *,
    n: int = 100,
    prior: str = "denoiser",
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    region: str | Region | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.complex64,
    memory: int = DEFAULT_MEMORY,
    sums: str = "exact",
    **options: Any,
) -> Posterior:
    """Draw samples of the posterior of every scene: images that explain the data as the noise allows.

    Parameters
    ----------
    measurement
        The data.
    grid
        Voxels; the measurement's own by default.
    n
        Number of samples of each scene, rounded up to the same number from each chain.
    prior
        One of `PRIORS`.
    pattern, layers, region, device, dtype, memory, sums
        As in `mimo.recon.make_problem`.
    **options
        Further options of the method ``sample``, such as ``seed``, ``chains`` and ``burn_in``, and those of
        `mimo.recon.run_method`.

    Returns
    -------
    Posterior
        Samples, and the images made of them.

    Raises
    ------
    ValueError
        When an option or the geometry does not fit.

    Notes
    -----
    Samples take 8 bytes a voxel each: 24 MB for 100 samples of one scene at the papers' size.
    """
    medium: dict[str, Any] = {"pattern": pattern, "layers": layers, "region": region}
    problem = make_problem(measurement, grid, **medium, device=device, dtype=dtype, memory=memory, sums=sums)
    scenes: list[npt.NDArray[np.complex64]] = []
    problem.drawn = lambda samples: scenes.append(samples.cpu().numpy().astype(np.complex64))
    image = run_method("sample", problem, n=n, prior=prior, **options)
    least = min(len(scene) for scene in scenes)
    return Posterior(image, np.stack([scene[:least] for scene in scenes]))


@reconstructor("sample", "samples of the posterior: mean magnitude, standard deviation, quantiles", general=False)
def posterior_images(
    problem: Problem,
    *,
    n: int = 100,
    prior: str = "denoiser",
    chains: int = 10,
    burn_in: int = 20,
    thin: int = 1,
    seed: int = 0,
    denoiser: str | MagnitudeMap = "denoiser-fast-plain",
    coupling: float = 0.05,
    steps: int = 1,
    variance: str | float = "auto",
    solver: str = "auto",
    sensitivity: str | float = "auto",
    precision: str = "auto",
) -> Images:
    """Draw `n` images that explain the data as the noise allows; return the mean magnitude and how they differ.

    `prior` is ``denoiser``, a trained denoiser of the magnitude with a random phase, or ``gaussian``: independent
    complex normal voxels of one `variance`, a number in the squared unit of the images, or ``auto`` for what explains
    the data's power. `chains` run as one batch, each for `burn_in` iterations and then until there are `n` samples,
    rounded up to the same number from each; every `thin`-th iteration gives one. A `seed` gives the same samples again,
    of every scene by itself. `denoiser` and `precision` are those of pnp; `coupling` is the width, relative to the
    image's largest magnitude, by which a sample may differ from what is fitted to the data, and `steps` how often the
    denoiser is applied for each. `solver` and `sensitivity` are those of l1. The image has the phase of the mean of the
    complex samples.
    """
    for name, count in {"n": n, "chains": chains, "burn_in": burn_in, "thin": thin, "steps": steps}.items():
        if count < 1:
            raise ValueError(f"{name} is {count}: expected 1 or more")
    if prior not in PRIORS:
        raise ValueError(f"prior is {prior!r}: expected {' or '.join(PRIORS)}")
    if not 0 < coupling <= 1:
        raise ValueError(f"coupling is {coupling}: expected a number above 0, at most 1")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed is {seed}: expected 0 or more, below 2^63")
    if variance != "auto" and (isinstance(variance, str) or not (math.isfinite(variance) and variance > 0)):
        raise ValueError(f"variance is {variance!r}: expected auto or a positive number")
    total = burn_in + (-(-n // chains) - 1) * thin + 1
    scaled = scale(
        problem, "tikhonov" if prior == "gaussian" else "pnp", Setup(solver, sensitivity, chains * total, False, "l1")
    )
    plan = _Plan(problem, scaled, chains, burn_in, thin, problem.limit(total), seed)
    if prior == "gaussian":
        return plan.run(lambda scene, noise: GaussianPrior(_variance(variance, problem, scaled, scene, noise)))
    prox, computed = named_prox(problem, denoiser, False, precision)
    denoise = within(prox, problem.inside)
    made = plan.run(lambda scene, noise: DenoiserPrior(denoise, width=coupling, steps=steps, largest=HEADROOM))
    made.found["precision"] = computed
    return made


def _variance(variance: str | float, problem: Problem, scaled: Scaled, scene: int, noise: float) -> float:
    """Return the variance of a voxel on the common scale: what is given, or what explains the power of the data."""
    if not isinstance(variance, str):
        unit = 1.0 if problem.unit is None else float(problem.unit[scene])
        return variance / (unit * float(scaled.size[scene])) ** 2
    power = float(scaled.data[scene].abs().double().square().sum())
    signal = max(power - len(scaled.data[scene]) * noise**2, LEAST_SIGNAL * power)
    return signal / (scaled.step.mean_gain * problem.operator.n_voxel)


@dataclass(eq=False)
class _Summary:
    """Holds what the samples of a scene say, on the common scale."""

    image: torch.Tensor
    """Mean magnitude with the phase of the mean sample, complex ``(n_x, n_y, n_z)``."""
    std: torch.Tensor
    """Standard deviation of the magnitude, ``(n_x, n_y, n_z)``."""
    quantiles: torch.Tensor
    """`QUANTILES` of the magnitude, ``(n_quantile, n_x, n_y, n_z)``."""
    r_hat: float | None = None
    """Median over the voxels that show something, ``None`` of too few samples; of the next, too."""
    effective: float | None = None

    @classmethod
    def of(cls, samples: torch.Tensor) -> _Summary:
        """Return the summary of samples, complex ``(n, n_chain, n_x, n_y, n_z)``."""
        magnitude = samples.abs()
        flat = magnitude.flatten(0, 1)
        image = _mean_image(samples)
        quantiles = torch.as_tensor(np.quantile(flat.cpu().numpy(), QUANTILES, axis=0), dtype=flat.dtype)
        found = cls(image, flat.std(0, correction=min(1, len(flat) - 1)), quantiles.to(flat.device))
        shown = image.abs() >= SHOWN * image.abs().max()
        chains = magnitude[:, :, shown].transpose(0, 1).cpu().numpy()
        r_hat = float(np.median(split_r_hat(chains)))
        if math.isfinite(r_hat):
            found.r_hat, found.effective = r_hat, float(np.median(effective_sample_size(chains)))
        return found


def _mean_image(samples: torch.Tensor) -> torch.Tensor:
    """Return the mean magnitude with the phase of the mean, of samples ``(n, n_chain, n_x, n_y, n_z)``."""
    return torch.polar(samples.abs().mean((0, 1)), samples.mean((0, 1)).angle())


@dataclass(eq=False)
class _Plan:
    """Runs the chains of one scene after another, and makes images of their samples."""

    problem: Problem
    scaled: Scaled
    chains: int
    burn_in: int
    thin: int
    iterations: int
    seed: int

    def run(self, prior: Callable[[int, float], Prior]) -> Images:
        """Return the images of all scenes; `prior` makes the prior of a scene, given its noise."""
        scaled, n_scene = self.scaled, len(self.scaled.data)
        history: list[Entry] = [{"residual": [None] * n_scene, "seconds": 0.0} for _ in range(self.iterations)]
        summaries: list[_Summary] = []
        interrupted, started = self.iterations == 0, time.perf_counter()
        for scene, start in enumerate(scaled.start):
            samples = [start[None]]  # until there is a better one

            def note(
                i: int,
                image: torch.Tensor,
                residual: torch.Tensor,
                scene: int = scene,
                samples: list[torch.Tensor] = samples,
            ) -> None:
                if i <= self.burn_in:
                    samples.clear()
                if i < self.burn_in or (i - self.burn_in) % self.thin == 0:
                    samples.append(image)
                history[i]["residual"][scene] = float(residual.mean())
                history[i]["seconds"] = time.perf_counter() - started
                self._tell(scene, i, summaries, samples, history)

            data = scaled.data[scene]
            noise = max(float(scaled.noise[scene]), LEAST_NOISE * float(data.norm()) / len(data) ** 0.5)
            if noise > 0 and not interrupted:  # zeros without noise are explained by nothing but zeros
                try:
                    split_gibbs(
                        scaled.step.restarted(),
                        prior(scene, noise),
                        data,
                        noise,
                        start,
                        chains=self.chains,
                        burn_in=self.burn_in,
                        iterations=self.iterations,
                        rng=torch.Generator().manual_seed(self.seed),
                        each=note,
                    )
                except KeyboardInterrupt:
                    interrupted = True
            drawn = torch.stack(samples)
            summaries.append(_Summary.of(drawn))
            if self.problem.drawn is not None:
                self.problem.drawn(self._in_unit(scene, drawn.transpose(0, 1).flatten(0, 1)))
        return self._images(summaries, history, interrupted)

    def _tell(
        self, scene: int, i: int, summaries: list[_Summary], samples: list[torch.Tensor], history: list[Entry]
    ) -> None:
        """Tell the problem's observer of an iteration, and give it the images so far when it asks for them."""
        if self.problem.observer is None:
            return
        scaled, n_scene = self.scaled, len(self.scaled.data)

        def images() -> torch.Tensor:
            done = [summary.image for summary in summaries] + [_mean_image(torch.stack(samples))]
            return scaled.reflectivity(torch.cat([torch.stack(done), scaled.start[len(done) :]]))

        told = history[: i + 1] if scene == 0 else history
        self.problem.observer(scene * self.iterations + i + 1, n_scene * self.iterations, images, list(told))

    def _in_unit(self, scene: int, samples: torch.Tensor) -> torch.Tensor:
        """Return samples of a scene, ``(n, n_x, n_y, n_z)``, in the unit of the data that came."""
        factor = float(self.scaled.size[scene])
        factor *= 1.0 if self.problem.unit is None else float(self.problem.unit[scene])
        samples = self.problem.restrict(samples * factor)
        return samples if self.scaled.columns is None else samples * self.scaled.columns

    def _images(self, summaries: list[_Summary], history: list[Entry], interrupted: bool) -> Images:
        scaled = self.scaled
        size = scaled.data.norm(dim=1).clamp_min(1e-30)
        found = {
            "x_step": scaled.step.name,
            "samples": self.chains * -(-(self.iterations - self.burn_in) // self.thin),
            "r_hat": [summary.r_hat for summary in summaries],
            "effective_samples": [summary.effective for summary in summaries],
            "converged": [summary.r_hat is not None and summary.r_hat < CONVERGED for summary in summaries],
            "noise_std_relative": (scaled.noise * scaled.data.shape[1] ** 0.5 / size).tolist(),
        }
        std, quantiles = (torch.stack([getattr(s, name) for s in summaries]) for name in ("std", "quantiles"))
        quantiles = quantiles * scaled.size[:, None, None, None, None]
        return Images(
            scaled.reflectivity(torch.stack([summary.image for summary in summaries])),
            found | scaled.found,
            self.iterations,
            history,
            interrupted,
            scaled.reflectivity(std),
            quantiles if scaled.columns is None else quantiles * scaled.columns,
        )
