"""What a denoiser learns from: clean scenes, what is done to them, and real runs with itself as the prior.

Every batch is a function of (seed, step) alone: scene i comes from the generator of (seed, i), batch s from that of
(seed, s).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mimo.models.denoiser import Denoiser
from mimo.models.layers import fold_batch_norm
from mimo.models.precision import mixed_precision
from mimo.models.weight_files import save_weights
from mimo.train.card import denoiser_card
from mimo.train.checkpoint import load_checkpoint
from mimo.train.config import Config
from mimo.train.corruption import CORRUPTIONS, Pair, band_limited
from mimo.train.loop import Lesson, Share, fresh_network, run_training, step_seed
from mimo.train.scenes import DrawScene, ScenePool, fit_scene

__all__ = ["Rehearse", "export", "train"]

Rehearse = Callable[[Denoiser, int], Pair]
"""Makes training pairs with a denoiser as the prior of real runs; the second argument counts the rounds."""

LEVELS = (0.05, 0.1, 0.2)
"""Noise levels of the validation."""
VALIDATED = 8
"""Scenes of the validation that go through the network at once."""
BATCH, VALIDATION, RUNS = 2, 3, 4  # streams of random numbers; scenes have the first


class Runs:
    """The pairs of the present round of runs, in half precision; a pure function of seed, step and weights."""

    def __init__(self, config: Config, rehearse: Rehearse | None) -> None:
        self.config, self.rehearse = config, rehearse
        self.state: dict[str, Any] = {"round": -1}
        if config.runs.share and rehearse is None:
            raise ValueError(f"runs.share is {config.runs.share}, expected 0 where no runs are made")

    def take(self, step: int, averaged: Mapping[str, torch.Tensor], device: torch.device) -> Pair | None:
        """Return the pairs of a step, or nothing when it does not learn from runs."""
        runs, data = self.config.runs, self.config.data
        rng = np.random.default_rng([data.seed, RUNS, step])
        if self.rehearse is None or step < runs.after or rng.random() >= runs.share:
            return None
        wanted = (step - runs.after) // runs.steps
        if self.state["round"] != wanted:
            network = self.config.network.build_empty().to(device)
            network.load_state_dict(dict(averaged))
            pairs = self.rehearse(Denoiser(network), wanted)
            self.state = {"round": wanted, "noisy": pairs.noisy.half(), "target": pairs.target.half()}
            self.state["sigma"] = pairs.sigma
        chosen = torch.from_numpy(rng.integers(len(self.state["sigma"]), size=self.config.optimizer.batch))
        chosen = chosen.to(self.state["sigma"].device)
        noisy, target = (self.state[name][chosen].float() for name in ("noisy", "target"))
        axes = [1 + int(axis) for axis in np.flatnonzero(rng.random(3) < 0.5)]
        return Pair(noisy.flip(axes), target.flip(axes), self.state["sigma"][chosen])


class DenoisingLesson(Lesson):
    """Clean scenes, corrupted, and pairs from real runs."""

    def __init__(self, config: Config, draw: DrawScene, rehearse: Rehearse | None, device: torch.device) -> None:
        self.config, self.draw, self.device = config, draw, device
        self.optimizer, self.output = config.optimizer, config.output
        self.network = fresh_network(config.network.build, config.data.seed, device)
        self.pool: ScenePool | None = None  # made at the first step
        self.runs = Runs(config, rehearse)
        self.validation = _validation_set(config, draw)

    def describe(self) -> dict[str, Any]:
        """See `Lesson`."""
        return self.config.to_dict()

    def headline(self) -> str:
        """See `Lesson`."""
        figures = [f"input {name} {psnr(pair.noisy, pair):.2f} dB" for name, pair in self.validation.items()]
        return ", ".join([self.config.data.corruption, *figures])

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """See `Lesson`; a network without normalisation starts from one with it, folded."""
        return fold_batch_norm(weights) if self.config.network.norm == "none" else weights

    def state(self) -> dict[str, Any]:
        """See `Lesson`."""
        return self.runs.state

    def restore(self, state: dict[str, Any]) -> None:
        """See `Lesson`."""
        self.runs.state = state or {"round": -1}

    def loss(self, network: nn.Module, step: int, averaged: Mapping[str, torch.Tensor], share: Share) -> torch.Tensor:
        """See `Lesson`."""
        data = self.config.data
        generator = torch.Generator(self.device).manual_seed(step_seed(data.seed, step, BATCH))
        if self.pool is None:
            self.pool = ScenePool(self.draw, seed=data.seed, size=data.pool, refresh=data.refresh, step=step)
        rng = np.random.default_rng([data.seed, BATCH, step])
        shape = data.shapes[rng.integers(len(data.shapes))]
        scenes = [fit_scene(scene, shape, rng) for scene in self.pool.take(step, self.optimizer.batch, rng)]
        clean = torch.from_numpy(np.stack(scenes)).to(self.device)
        pair = self.runs.take(step, averaged, self.device) or CORRUPTIONS[data.corruption](clean, generator)
        told = pair.sigma
        if data.sigma_jitter:
            noise = torch.randn(told.shape, generator=generator, device=self.device)
            told = told * torch.exp(data.sigma_jitter * noise)
        pair, told = Pair(*(part[share.slice] for part in pair)), told[share.slice]
        with mixed_precision(self.device):
            out = network(_with_level(pair.noisy, told))[:, 0].float()
        return loss_of(out, pair, self.optimizer.weighting)

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the PSNR of each validation set, dB."""
        result = {}
        for name, pair in self.validation.items():
            batches = zip(pair.noisy.split(VALIDATED), pair.sigma.split(VALIDATED), strict=True)
            inputs = [_with_level(noisy.to(self.device), sigma.to(self.device)) for noisy, sigma in batches]
            out = torch.cat([network(part)[:, 0].float().cpu() for part in inputs])
            result[name] = psnr(out.clamp(min=0), pair)
        return result


def train(
    config: Config,
    draw: DrawScene,
    out_dir: Path,
    *,
    rehearse: Rehearse | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Path:
    """Train a denoiser and keep its checkpoint.

    Parameters
    ----------
    config
        The run; see `mimo.train.config`.
    draw
        Draws one clean scene; any size, mixed sizes too.
    out_dir
        Receives checkpoint and log.
    rehearse
        Makes pairs from runs with the averaged weights as the prior (`mimo.train.on_policy`), for ``runs.share`` of the
        steps.
    device
        ``"cpu"`` or ``"cuda"`` (there in bfloat16 mixed precision).
    **options
        ``start``, ``resume``, ``time_limit`` and ``report`` of `mimo.train.loop.run_training`; it says what is raised.

    Returns
    -------
    Path
        The checkpoint.
    """
    return run_training(DenoisingLesson(config, draw, rehearse, torch.device(device)), out_dir, **options)


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


def export(checkpoint: Path, weights_path: Path, card_path: Path, *, command: str = "", presets: str = "") -> None:
    """Write the averaged weights of a checkpoint as safetensors, and their model card.

    Parameters
    ----------
    checkpoint
        Written by `train`; one of a run that goes on is fine.
    weights_path, card_path
        The ``.safetensors`` and the ``.md`` to write.
    command
        What was typed to train, for the card.
    presets
        The kinds of scenes, for the card.
    """
    state = load_checkpoint(checkpoint)
    run = state["config"]
    info = {"kind": "denoiser", "network": run["network"], "data": run["data"], "runs": run["runs"]}
    samples = state["step"] * run["optimizer"]["batch"]
    save_weights(weights_path, state["ema"], info | {"samples": samples}, half=True)
    card_path.write_text(denoiser_card(weights_path, state, command=command, presets=presets))


def _validation_set(config: Config, draw: DrawScene) -> dict[str, Pair]:
    """Return the pairs of each validation set, of the first shape, from scenes that no training step draws."""
    seed, shape = config.data.seed, config.data.shapes[0]
    scenes = []
    for i in range(config.output.n_validation):
        rng = np.random.default_rng([seed, VALIDATION, i])
        scenes.append(fit_scene(draw(rng), shape, rng))
    clean = torch.from_numpy(np.stack(scenes))
    clean = clean[clean.amax(dim=(1, 2, 3)) > 0.5]  # a cut may miss the body
    generator = torch.Generator().manual_seed(step_seed(seed, -1, BATCH))
    corrupt = CORRUPTIONS[config.data.corruption]
    pairs = {f"psnr_{level:g}": corrupt(clean, generator, std=level) for level in LEVELS}
    if config.data.corruption == "speckle":
        pairs["psnr_band"] = band_limited(clean, generator)
    return pairs


def _with_level(noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Stack the magnitude and its noise level as channels: (batch, 2, n_x, n_y, n_z)."""
    return torch.stack((noisy, sigma[:, None, None, None].expand_as(noisy)), dim=1)
