"""Train a denoiser on clean scenes that noise is added to, and on real runs in which it is the prior itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mimo.models.denoiser import Denoiser
from mimo.models.layers import fold_batch_norm
from mimo.models.precision import autocast, resolve_precision
from mimo.train.config import DenoiserConfig
from mimo.train.corruption import CORRUPTIONS, Pair, band_limited
from mimo.train.loop import Objective, Share
from mimo.train.on_policy import OnPolicyPairs
from mimo.train.randomness import Stream, fresh_network, step_rng, step_seed
from mimo.train.scenes import ScenePool, SceneSource, fit_scene

__all__ = ["DenoisingObjective", "PreparedPair", "RunPairs", "loss_of", "psnr"]

LEVELS = (0.05, 0.1, 0.2)
"""Noise levels of the validation."""
VALIDATION_BATCH = 8
"""Scenes of the validation that go through the network at once."""


class RunPairs:
    """Holds the pairs of the present round of runs, in half precision; they depend on seed, step and weights alone."""

    def __init__(self, config: DenoiserConfig, scenes: SceneSource, device: torch.device, precision: str) -> None:
        self.config, self.device, self.precision, runs = config, device, precision, config.runs
        self.pairs = OnPolicyPairs(
            scenes, n_geometry=runs.geometries, n_scene=runs.scenes, seed=config.data.seed, device=device
        )
        self.state: dict[str, Any] = {"round": -1}

    def due(self, step: int) -> bool:
        """Say whether a step learns from runs."""
        runs = self.config.runs
        return step >= runs.after and step_rng(self.config.data.seed, Stream.RUNS, step).random() < runs.share

    def take(self, step: int, averaged: Mapping[str, torch.Tensor]) -> Pair:
        """Return the pairs of a step that learns from runs."""
        runs, data = self.config.runs, self.config.data
        rng = step_rng(data.seed, Stream.RUNS, step)
        rng.random()  # `due` looked at the first
        wanted = (step - runs.after) // runs.steps
        if self.state["round"] != wanted:
            network = self.config.network.build_empty().to(self.device)
            network.load_state_dict(dict(averaged))
            pairs = self.pairs.collect(Denoiser(network, lattice_free=False, precision=self.precision), wanted)
            halves = {"noisy": pairs.noisy.half(), "target": pairs.target.half()}
            self.state = {"round": wanted, **halves, "sigma": pairs.sigma}
        chosen = torch.from_numpy(rng.integers(len(self.state["sigma"]), size=self.config.optimizer.batch))
        chosen = chosen.to(self.state["sigma"].device)
        noisy, target = (self.state[name][chosen].float() for name in ("noisy", "target"))
        axes = [1 + int(axis) for axis in np.flatnonzero(rng.random(3) < 0.5)]
        return Pair(noisy.flip(axes), target.flip(axes), self.state["sigma"][chosen])


class PreparedPair(NamedTuple):
    """All of a step that no weight changes, so that it can be made ahead."""

    pair: Pair | None
    """This process's share of the pairs; ``None`` where the step learns from runs."""
    jitter: torch.Tensor | None
    """Factors of the noise levels that the network is told, ``(n_sample,)``; ``None`` for none."""
    share: Share


class DenoisingObjective(Objective):
    """Trains a denoiser to undo what is done to clean scenes, and what it meets as the prior of real runs.

    Every batch is a function of seed and step alone, that of a step from runs of the averaged weights too.

    Parameters
    ----------
    config
        The run.
    scenes
        Clean scenes of any size, mixed sizes too; they are cut or padded to ``data.shapes``.
    device
        Where the work is done.
    precision
        Of the network, one of `mimo.models.precision.PRECISIONS`.
    """

    def __init__(
        self,
        config: DenoiserConfig,
        scenes: SceneSource,
        device: torch.device | str = "cpu",
        precision: str = "auto",
    ) -> None:
        self.config, self.scenes, self.device = config, scenes, torch.device(device)
        self.optimizer, self.output = config.optimizer, config.output
        self.precision = resolve_precision(precision, self.device)
        self.network = fresh_network(config.network.build, config.data.seed, self.device)
        self.pool: ScenePool | None = None  # made at the first step
        self.runs = RunPairs(config, scenes, self.device, self.precision)
        self.validation = _validation_set(config, scenes)

    def describe(self) -> dict[str, Any]:
        """See `Objective`."""
        told = {"scenes": str(self.scenes), "validation": self.scenes.validated_on(self.output.n_validation)}
        return self.config.to_dict() | told | {"precision": self.precision}

    def headline(self) -> str:
        """See `Objective`."""
        figures = [f"input {name} {psnr(pair.noisy, pair):.2f} dB" for name, pair in self.validation.items()]
        return ", ".join([self.config.data.corruption, *figures])

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """See `Objective`; a network without normalisation starts from one with it, folded."""
        return fold_batch_norm(weights) if self.config.network.norm == "none" else weights

    def state(self) -> dict[str, Any]:
        """See `Objective`."""
        return self.runs.state

    def restore(self, state: dict[str, Any]) -> None:
        """See `Objective`."""
        self.runs.state = state or {"round": -1}

    def prepare(self, step: int, share: Share) -> PreparedPair:
        """See `Objective`: scenes and what is done to them, unless the step learns from runs."""
        data = self.config.data
        generator = torch.Generator(self.device).manual_seed(step_seed(data.seed, step, Stream.STEP))
        if self.pool is None:
            self.pool = ScenePool(self.scenes, seed=data.seed, size=data.pool, refresh=data.refresh, step=step)
        rng = step_rng(data.seed, Stream.STEP, step)
        shape = data.shapes[rng.integers(len(data.shapes))]
        scenes = [fit_scene(scene, shape, rng) for scene in self.pool.take(step, self.optimizer.batch, rng)]
        pair = None
        if not self.runs.due(step):
            clean = torch.from_numpy(np.stack(scenes)).to(self.device)
            pair = CORRUPTIONS[data.corruption](clean, generator)
        jitter = None
        if data.sigma_jitter:
            noise = torch.randn(self.optimizer.batch, generator=generator, device=self.device)
            jitter = torch.exp(data.sigma_jitter * noise)[share.slice]
        return PreparedPair(pair and Pair(*(part[share.slice] for part in pair)), jitter, share)

    def loss_of(
        self, network: nn.Module, prepared: PreparedPair, step: int, averaged: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """See `Objective`."""
        pair, jitter, share = prepared
        if pair is None:
            pair = Pair(*(part[share.slice] for part in self.runs.take(step, averaged)))
        told = pair.sigma if jitter is None else pair.sigma * jitter
        with autocast(self.precision, self.device):
            out = network(_with_level(pair.noisy, told))[:, 0].float()
        return loss_of(out, pair, self.optimizer.weighting)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the PSNR of each validation set, dB."""
        result = {}
        for name, pair in self.validation.items():
            batches = zip(pair.noisy.split(VALIDATION_BATCH), pair.sigma.split(VALIDATION_BATCH), strict=True)
            inputs = [_with_level(noisy.to(self.device), sigma.to(self.device)) for noisy, sigma in batches]
            with autocast(self.precision, self.device):
                out = torch.cat([network(part)[:, 0].float().cpu() for part in inputs])
            result[name] = psnr(out.clamp(min=0), pair)
        return result


def loss_of(out: torch.Tensor, pair: Pair, weighting: str) -> torch.Tensor:
    """Return the mean square error of the output clipped at 0, with a gradient where the clipping must not hide it.

    Where the target is 0 a negative output costs nothing, as it is clipped when the denoiser is used; where the target
    is positive a negative output keeps its gradient.
    """
    error = torch.where(pair.target > 0, out - pair.target, out.clamp(min=0)).square().mean(dim=(1, 2, 3))
    if weighting == "relative":
        error = error / (pair.sigma + 0.05)
    return error.mean()


def psnr(image: torch.Tensor, pair: Pair) -> float:
    """Return the mean over a batch of the PSNR in dB; the peak is that of the target."""
    error = (image - pair.target).square().mean(dim=(1, 2, 3))
    peak = pair.target.amax(dim=(1, 2, 3))
    return float((10 * torch.log10(peak.square() / error)).mean())


def _validation_set(config: DenoiserConfig, scenes: SceneSource) -> dict[str, Pair]:
    """Return the pairs of each validation set, of the first shape, from scenes that no training step draws."""
    seed, shape = config.data.seed, config.data.shapes[0]
    fitted = []
    for i in range(scenes.n_validation(config.output.n_validation)):
        rng = step_rng(seed, Stream.VALIDATION, i)
        fitted.append(fit_scene(scenes.draw_validation(i, rng), shape, rng))
    clean = torch.from_numpy(np.stack(fitted))
    clean = clean[clean.amax(dim=(1, 2, 3)) > 0.5]  # a cut may miss the body
    if not len(clean):
        raise ValueError(
            f"none of the {len(fitted)} scenes of the validation reaches into its cut of {' x '.join(map(str, shape))} "
            "voxels: expected a larger first shape in data.shapes, or more scenes (output.n_validation)"
        )
    generator = torch.Generator().manual_seed(step_seed(seed, -1, Stream.STEP))
    corrupt = CORRUPTIONS[config.data.corruption]
    pairs = {f"psnr_{level:g}": corrupt(clean, generator, std=level) for level in LEVELS}
    if config.data.corruption == "speckle":
        pairs["psnr_band"] = band_limited(clean, generator)
    return pairs


def _with_level(noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Stack the magnitude and its noise level as channels: (batch, 2, n_x, n_y, n_z)."""
    return torch.stack((noisy, sigma[:, None, None, None].expand_as(noisy)), dim=1)
