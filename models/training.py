"""One plain training loop for denoisers, and the export of its weights.

Every batch is a function of (seed, step) alone: scene i comes from the generator of (seed, i), batch s from that of
(seed, s). So a run resumes exactly from weights, optimiser and step, and no state of any random generator is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.card import model_card
from models.checkpoint import load_checkpoint, save_checkpoint, save_weights
from models.config import Config
from models.corruption import CORRUPTIONS, Pair, band_limited
from models.denoiser import Denoiser
from models.interrupt import StopRequest

__all__ = ["CHECKPOINT", "DrawScene", "Rehearse", "export", "fit_scene", "train"]

DrawScene = Callable[[np.random.Generator], npt.NDArray[np.float32]]
"""Draws a clean magnitude in [0, 1], of any size (n_x, n_y, n_z)."""

Rehearse = Callable[[Denoiser, int], Pair]
"""Makes training pairs with a denoiser as the prior of real runs; the second argument counts the rounds."""

CHECKPOINT = "checkpoint.pt"
LEVELS = (0.05, 0.1, 0.2)
"""Noise levels of the validation."""
SCENE, BATCH, VALIDATION, RUNS = 1, 2, 3, 4  # streams of random numbers


class ScenePool:
    """Scenes drawn ahead, replaced gradually, so that drawing does not dominate; a pure function of seed and step."""

    def __init__(self, config: Config, draw: DrawScene, step: int) -> None:
        self.draw, self.data = draw, config.data
        self.batch = config.optimizer.batch
        first = step * self.data.refresh
        self.scenes = {i % self.data.pool: self._scene(i) for i in range(first, first + self.data.pool)}

    def _scene(self, index: int) -> npt.NDArray[np.float32]:
        return self.draw(np.random.default_rng([self.data.seed, SCENE, index]))

    def take(self, step: int) -> torch.Tensor:
        """Return the clean batch of a step, (batch, n_x, n_y, n_z), then replace a few scenes. Steps go one by one."""
        rng = np.random.default_rng([self.data.seed, BATCH, step])
        shape = self.data.shapes[rng.integers(len(self.data.shapes))]
        chosen = rng.integers(len(self.scenes), size=self.batch)
        clean = np.stack([fit_scene(self.scenes[int(i)], shape, rng) for i in chosen])
        first = step * self.data.refresh + self.data.pool
        for index in range(first, first + self.data.refresh):
            self.scenes[index % self.data.pool] = self._scene(index)
        return torch.from_numpy(clean)


class Runs:
    """The pairs of the present round of runs, in half precision; a pure function of seed, step and weights."""

    def __init__(self, config: Config, rehearse: Rehearse | None, state: dict[str, Any] | None) -> None:
        self.config, self.rehearse = config, rehearse
        self.state: dict[str, Any] = state or {"round": -1}
        if config.runs.share and rehearse is None:
            raise ValueError(f"runs.share is {config.runs.share}, expected 0 where no runs are made")

    def take(self, step: int, ema: dict[str, torch.Tensor], device: torch.device) -> Pair | None:
        """Return the pairs of a step, or nothing when it does not learn from runs."""
        runs, data = self.config.runs, self.config.data
        rng = np.random.default_rng([data.seed, RUNS, step])
        if self.rehearse is None or step < runs.after or rng.random() >= runs.share:
            return None
        wanted = (step - runs.after) // runs.steps
        if self.state["round"] != wanted:
            network = self.config.network.build_empty().to(device)
            network.load_state_dict(ema)
            pairs = self.rehearse(Denoiser(network), wanted)
            self.state = {"round": wanted, "noisy": pairs.noisy.half(), "target": pairs.target.half()}
            self.state["sigma"] = pairs.sigma
        chosen = torch.from_numpy(rng.integers(len(self.state["sigma"]), size=self.config.optimizer.batch))
        chosen = chosen.to(self.state["sigma"].device)
        noisy, target = (self.state[name][chosen].float() for name in ("noisy", "target"))
        axes = [1 + int(axis) for axis in np.flatnonzero(rng.random(3) < 0.5)]
        return Pair(noisy.flip(axes), target.flip(axes), self.state["sigma"][chosen])


def fit_scene(
    scene: npt.NDArray[np.float32], shape: tuple[int, int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Flip and turn a scene at random, then cut it or pad it with zeros to a shape, at a random place."""
    scene = scene.transpose(rng.permutation(3))
    scene = np.flip(scene, axis=tuple(np.flatnonzero(rng.random(3) < 0.5)))
    result = np.zeros(shape, dtype=np.float32)
    source, target = [], []
    for n, wanted in zip(scene.shape, shape, strict=True):
        offset = int(rng.integers(abs(n - wanted) + 1))
        common = min(n, wanted)
        source.append(slice(offset, offset + common) if n > wanted else slice(0, common))
        target.append(slice(offset, offset + common) if n < wanted else slice(0, common))
    result[tuple(target)] = scene[tuple(source)]
    return result


def train(
    config: Config,
    draw: DrawScene,
    out_dir: Path,
    *,
    rehearse: Rehearse | None = None,
    start: dict[str, torch.Tensor] | None = None,
    resume: bool = False,
    device: torch.device | str = "cpu",
    time_limit: float | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Train a denoiser and keep its checkpoint.

    Parameters
    ----------
    config
        The run; see `models.config`.
    draw
        Draws one clean scene; any size, mixed sizes too.
    out_dir
        Receives ``checkpoint.pt`` and ``log.txt``, and TensorBoard's files when that is installed.
    rehearse
        Makes pairs from runs with the averaged weights as the prior (`recon.rehearsal`), for ``runs.share`` of the
        steps.
    start
        Weights to start from, those of a network of the same configuration (`models.checkpoint.load_weights`); the
        optimiser starts afresh. Not looked at when a run is resumed.
    resume
        Go on from the checkpoint in `out_dir`, with `config` as given (a longer run is a larger ``n_step``); the same
        configuration gives the weights of a run that was never interrupted.
    device
        ``"cpu"`` or ``"cuda"`` (there in bfloat16 mixed precision).
    time_limit
        Seconds of training, those before `resume` included, after which the run ends; the cosine schedule then ends
        there too, so such a run does not repeat to the bit.
    report
        Receives every line of the log.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    FileExistsError
        When `out_dir` has a checkpoint and `resume` is not set.
    ValueError
        When the checkpoint or the weights to start from are of another network.
    KeyboardInterrupt
        When the process is told to stop, after the step in hand and its checkpoint.
    FloatingPointError
        When the loss is not finite; the last checkpoint stays.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / CHECKPOINT
    if path.exists() and not resume:
        raise FileExistsError(f"{path} exists: resume it or name another folder")
    device = torch.device(device)
    steps, output = config.optimizer, config.output

    with torch.random.fork_rng(devices=[]):  # the caller's random state stays untouched
        torch.default_generator.manual_seed(config.data.seed)
        network: nn.Module = config.network.build()
    if start is not None and not resume:
        _start_from(network, start)
    network.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=steps.learning_rate, weight_decay=steps.weight_decay)
    ema = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    step, seconds, history, round_ = 0, 0.0, list[dict[str, float]](), None
    if resume:
        checkpoint = load_checkpoint(path, device)
        if Config.from_dict(checkpoint["config"]).network != config.network:
            raise ValueError(f"{path}: its network is {checkpoint['config']['network']}, not that of the configuration")
        network.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        ema = checkpoint["ema"]
        step, seconds, history = checkpoint["step"], checkpoint["seconds"], checkpoint["history"]
        round_ = checkpoint.get("runs")

    pool = ScenePool(config, draw, step)
    runs = Runs(config, rehearse, round_)
    validation = _validation_set(config, draw)
    corrupt = CORRUPTIONS[config.data.corruption]
    log = Log(out_dir, report)
    log.line(
        f"{'resumed at' if resume else 'start:'} step {step}, {config.data.corruption}, "
        + ", ".join(f"input {name} {psnr(pair.noisy, pair):.2f} dB" for name, pair in validation.items())
    )

    def keep() -> None:
        state = {"config": config.to_dict(), "model": network.state_dict(), "ema": ema, "step": step}
        state |= {"optimizer": optimizer.state_dict(), "seconds": seconds, "history": history}
        state["runs"] = runs.state
        save_checkpoint(path, state | {"torch": str(torch.__version__)})

    started = time.monotonic() - seconds
    saved, losses = time.monotonic(), list[float]()
    network.train()
    with StopRequest() as stop:
        while not stop.made and step < steps.n_step and (time_limit is None or seconds < time_limit):
            progress = max(step / steps.n_step, seconds / time_limit if time_limit else 0.0)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step, progress)
            generator = torch.Generator(device).manual_seed(_seed(config.data.seed, step))
            clean = pool.take(step)
            pair = runs.take(step, ema, device) or corrupt(clean.to(device), generator)
            told = pair.sigma
            if config.data.sigma_jitter:
                noise = torch.randn(told.shape, generator=generator, device=device)
                told = told * torch.exp(config.data.sigma_jitter * noise)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                out = network(_with_level(pair.noisy, told))[:, 0].float()
            loss = loss_of(out, pair, steps.weighting)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), steps.clip)
            optimizer.step()
            step += 1
            with torch.no_grad():
                decay = min(steps.ema, (1 + step) / (10 + step))
                for name, tensor in network.state_dict().items():
                    ema[name].lerp_(tensor, 1 - decay)

            losses.append(float(loss.detach()))
            seconds = time.monotonic() - started
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"the loss is {losses[-1]} at step {step}; the last checkpoint is {path}")
            if step % output.log_every == 0:
                row = {"loss": float(np.mean(losses)), "samples_per_s": step * steps.batch / seconds}
                log.row(step, step * steps.batch, seconds, row)
                losses.clear()
            if step % output.validate_every == 0 or step == steps.n_step:
                figures = validate(config, ema, validation, device)
                history.append({"step": step, "samples": step * steps.batch, "seconds": seconds, **figures})
                log.row(step, step * steps.batch, seconds, figures)
                network.train()
            if time.monotonic() - saved > 60 * output.checkpoint_minutes:
                keep()
                saved = time.monotonic()
    keep()
    log.close()
    if stop.made:
        log.line(f"stopped at step {step}: resume goes on from there")
        raise KeyboardInterrupt
    return path


def _start_from(network: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Load weights, or say which tensor does not fit."""
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:  # a line for each tensor
        reason = str(error).splitlines()[1].strip()
        raise ValueError(f"the weights to start from are of another network: {reason}") from error


def loss_of(out: torch.Tensor, pair: Pair, weighting: str) -> torch.Tensor:
    """Return the mean square error of the output clipped at 0, with a gradient where the clipping must not hide it.

    Where the target is 0 a negative output costs nothing, as it is clipped when the denoiser is used; where the target
    is positive a negative output keeps its gradient.
    """
    error = torch.where(pair.target > 0, out - pair.target, out.clamp(min=0)).square().mean(dim=(1, 2, 3))
    if weighting == "relative":
        error = error / (pair.sigma + 0.05)
    return error.mean()


def learning_rate(config: Config, step: int, progress: float) -> float:
    """Return the learning rate of a step; `progress` is the share of the run that is done."""
    steps = config.optimizer
    warm = min(1.0, (step + 1) / max(steps.warmup, 1))
    if steps.schedule == "rsqrt":
        return steps.learning_rate * warm * math.sqrt(1 / max(1.0, step / max(10 * steps.warmup, 1)))
    return steps.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


@torch.no_grad()
def validate(
    config: Config, weights: dict[str, torch.Tensor], pairs: dict[str, Pair], device: torch.device
) -> dict[str, float]:
    """Return the PSNR of each validation set, dB, with the given weights."""
    network = config.network.build_empty().to(device)
    network.load_state_dict(weights)
    network.eval()
    result = {}
    for name, pair in pairs.items():
        chunks = zip(pair.noisy.split(config.optimizer.batch), pair.sigma.split(config.optimizer.batch), strict=True)
        out = [network(_with_level(noisy.to(device), sigma.to(device)))[:, 0].cpu() for noisy, sigma in chunks]
        result[name] = psnr(torch.cat(out).clamp(min=0), pair)
    return result


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
    save_weights(weights_path, state["ema"], info | {"samples": state["step"] * run["optimizer"]["batch"]})
    card_path.write_text(model_card(weights_path, state, command=command, presets=presets))


class Log:
    """Lines of text in ``log.txt`` and to the caller, and TensorBoard's files when it is installed."""

    def __init__(self, out_dir: Path, report: Callable[[str], None]) -> None:
        self.path, self.report = out_dir / "log.txt", report
        self.writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return  # the text log says the same
        self.writer = SummaryWriter(str(out_dir / "tensorboard"))

    def line(self, text: str) -> None:
        """Write a line."""
        with self.path.open("a") as file:
            file.write(text + "\n")
        self.report(text)

    def row(self, step: int, samples: int, seconds: float, figures: dict[str, float]) -> None:
        """Write the figures of a step."""
        values = "  ".join(f"{name} {value:.5g}" for name, value in figures.items())
        self.line(f"step {step:6d}  samples {samples:7d}  {seconds:7.0f} s  {values}")
        if self.writer is not None:
            for name, value in figures.items():
                self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard's files."""
        if self.writer is not None:
            self.writer.close()


def _validation_set(config: Config, draw: DrawScene) -> dict[str, Pair]:
    """Return the pairs of each validation set, of the first shape, from scenes that no training step draws."""
    seed, shape = config.data.seed, config.data.shapes[0]
    scenes = []
    for i in range(config.output.n_validation):
        rng = np.random.default_rng([seed, VALIDATION, i])
        scenes.append(fit_scene(draw(rng), shape, rng))
    clean = torch.from_numpy(np.stack(scenes))
    clean = clean[clean.amax(dim=(1, 2, 3)) > 0.5]  # a cut may miss the body
    generator = torch.Generator().manual_seed(_seed(seed, -1))
    corrupt: Any = CORRUPTIONS[config.data.corruption]
    pairs = {f"psnr_{level:g}": corrupt(clean, generator, std=level) for level in LEVELS}
    if config.data.corruption == "speckle":
        pairs["psnr_band"] = band_limited(clean, generator)
    return pairs


def _with_level(noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Stack the magnitude and its noise level as channels: (batch, 2, n_x, n_y, n_z)."""
    return torch.stack((noisy, sigma[:, None, None, None].expand_as(noisy)), dim=1)


def _seed(seed: int, step: int) -> int:
    """Return the seed of a step's corruption."""
    return int(np.random.SeedSequence([seed, BATCH, step + 1, 1]).generate_state(1, np.uint64)[0] >> 1)
