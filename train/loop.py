"""Train a network on an `Objective`: one plain loop of steps, averaged weights, validation and checkpoints.

Every batch is a function of (seed, step) alone, so a run resumes exactly from weights, optimiser and step, and no state
of any random generator is kept. Started by ``torchrun``, every process takes its share of each batch, and gradients are
averaged among them (`torch.nn.parallel.DistributedDataParallel`); the first one validates, logs and keeps checkpoints.
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mimo.input_file import whole_input
from mimo.train.ahead import Batches
from mimo.train.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from mimo.train.config import OptimizerConfig, OutputConfig
from mimo.train.run_log import Log
from mimo.train.run_state import RunningMark
from mimo.train.stop_request import StopRequest

__all__ = ["CHECKPOINT", "Objective", "Share", "learning_rate", "run_training"]


@dataclass(frozen=True)
class Share:
    """The part of a batch that this process takes: every `of`-th sample from `rank` on."""

    rank: int = 0
    of: int = 1

    @classmethod
    def mine(cls) -> Share:
        """Return that of this process; all of it outside ``torchrun``."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def slice(self) -> slice:
        """Index of the samples of a batch."""
        return slice(self.rank, None, self.of)


class Objective(ABC):
    """What a network learns: its loss at every step and how it is validated.

    Attributes
    ----------
    network
        A fresh network, on the device of the training.
    optimizer, output
        The steps taken and what is written.
    """

    network: nn.Module
    optimizer: OptimizerConfig
    output: OutputConfig

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return the configuration, for the checkpoint: numbers, strings, lists and dicts."""

    @abstractmethod
    def headline(self) -> str:
        """Return the first line of the log."""

    @abstractmethod
    def prepare(self, step: int, share: Share) -> Any:
        """Return all of a step's batch, this process's share, that no weight changes; steps go one by one.

        A named tuple of tensors, numbers and tuples of them: a function of the configuration and the step alone.
        """

    @abstractmethod
    def loss_of(
        self, network: nn.Module, prepared: Any, step: int, averaged: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the loss of what `prepare` made for a step."""

    def loss(self, network: nn.Module, step: int, averaged: Mapping[str, torch.Tensor], share: Share) -> torch.Tensor:
        """Return the loss of this process's share of the batch of a step; steps go one by one."""
        return self.loss_of(network, self.prepare(step, share), step, averaged)

    @abstractmethod
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the figures of a network with the averaged weights."""

    def score(self, figures: Mapping[str, float]) -> float:
        """Return what decides which validation is best, the larger the better: the mean of the figures in dB."""
        return float(np.mean([value for name, value in figures.items() if name.startswith("psnr")]))

    def same_network(self, description: Mapping[str, Any]) -> bool:
        """Whether a checkpoint's description is that of this network."""
        return bool(description.get("network") == self.describe()["network"])

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must hold besides."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:  # noqa: B027, most have nothing to restore
        """Go on with what `state` gave."""

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Return the state to start from, given the weights that the user named."""
        return weights

    def draw_samples(self, network: nn.Module, path: Path) -> None:  # noqa: B027, most have nothing to draw
        """Draw what the network makes of a few scenes to an image file."""


def run_training(
    objective: Objective,
    out_dir: Path,
    *,
    start: Mapping[str, torch.Tensor] | Sequence[Mapping[str, torch.Tensor]] | None = None,
    resume: bool = False,
    time_limit: float | None = None,
    began: float | None = None,
    command: str = "",
    ahead: bool = False,
    report: Callable[[str], None] = print,
    stop: StopRequest | None = None,
) -> Path:
    """Train and keep the checkpoint.

    Parameters
    ----------
    objective
        What is learned.
    out_dir
        Receives ``checkpoint.pt`` and ``log.txt``, TensorBoard's files when that is installed, sample pictures, and
        what `mimo.train.run_state.read_state` says of the run.
    start
        Weights to start from (`mimo.models.weight_files.load_weights`), those of a network of the same configuration or
        what else `Objective.start_from` knows how to use, several one after another; the optimiser starts afresh. Not
        looked at when a run is resumed.
    resume
        Go on from the checkpoint in `out_dir`, with the objective as given (a longer run is a larger ``n_step``); the
        same objective gives the weights of a run that was never interrupted.
    time_limit
        Seconds of training, those before `resume` included, after which the run ends; the cosine schedule then ends
        there too, so such a run does not repeat to the bit.
    began
        The reading of `time.monotonic` from which seconds count, that of this call by default: what came before the
        first step then counts too.
    command
        What was typed to train, for the model card.
    ahead
        Prepare batches in a process of their own (`mimo.train.ahead`). A script that says so must not start anything
        when it is imported, since that process imports it: ``if __name__ == "__main__":``.
    report
        Receives every line of the log.
    stop
        Lets another thread keep what was reached and end the process; signals are caught without it too.

    Returns
    -------
    Path
        The checkpoint.

    Raises
    ------
    FileExistsError
        When `out_dir` has a checkpoint and `resume` is not set, or another process trains there.
    ValueError
        When the checkpoint or the weights to start from are of another network, or a batch cannot be shared evenly.
    KeyboardInterrupt
        When the process is told to stop: the step in hand is given up, and the checkpoint is that of the one before. In
        the first step there is nothing to keep.
    FloatingPointError
        When the loss is not finite; the last checkpoint stays.
    """
    began = time.monotonic() if began is None else began
    path, share = out_dir / CHECKPOINT, Share.mine()
    if path.exists() and not resume:
        raise FileExistsError(f"{path} exists: resume it or name another folder")
    if resume and not path.exists():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    stop = StopRequest() if stop is None else stop
    stop.waits = share.of > 1
    with RunningMark(out_dir if share.rank == 0 else None) as mark:
        return _run(objective, out_dir, start, resume, time_limit, began, command, ahead, report, mark, stop)


def _run(
    objective: Objective,
    out_dir: Path,
    start: Mapping[str, torch.Tensor] | Sequence[Mapping[str, torch.Tensor]] | None,
    resume: bool,
    time_limit: float | None,
    began: float,
    command: str,
    ahead: bool,
    report: Callable[[str], None],
    mark: RunningMark,
    stop: StopRequest,
) -> Path:
    """Do what `run_training` says, as the only process that trains in the folder."""
    path, share = out_dir / CHECKPOINT, Share.mine()
    steps, output, network = objective.optimizer, objective.output, objective.network
    if steps.batch % share.of:
        raise ValueError(f"optimizer.batch is {steps.batch}: expected a multiple of the {share.of} processes")
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    optimizer = torch.optim.AdamW(network.parameters(), lr=steps.learning_rate, weight_decay=steps.weight_decay)
    if start is not None and not resume:
        for weights in [start] if isinstance(start, Mapping) else start:
            _start_from(network, objective.start_from(weights))
    averaged = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    step, seconds, history, best = 0, 0.0, list[dict[str, float]](), dict[str, Any]()
    if resume:
        checkpoint = load_checkpoint(path, device)
        with whole_input(path, "a checkpoint of `mimo train`"):
            if not objective.same_network(checkpoint["config"]):
                raise ValueError("its network is not that of the configuration")
            network.load_state_dict(checkpoint["model"])
            optimizer.load_state_dict(checkpoint["optimizer"])
            averaged = checkpoint["ema"]
            step, seconds, history = checkpoint["step"], checkpoint["seconds"], checkpoint["history"]
            best, command = checkpoint.get("best", {}), checkpoint.get("command") or command
            objective.restore(checkpoint.get("objective", checkpoint.get("lesson", {})))  # its name in earlier versions
    trained = _shared(network, share, device, compiled=steps.compile)
    log = Log(out_dir, report) if share.rank == 0 else Log(None, report)
    log.line(f"{'resumed at' if resume else 'start:'} step {step}, {objective.headline()}")
    if time_limit is not None:
        spent = time.monotonic() - began + seconds
        log.line(f"no step begins after {time_limit:g} s, of which {spent:.0f} s are spent, set-up included")

    saved, saved_step, buffers = time.monotonic(), step if resume else -1, _buffers(network)

    def keep() -> None:
        """Save the state after the last whole step, whatever the network is doing now."""
        nonlocal saved, saved_step
        model = network.state_dict() | buffers
        state = {"config": objective.describe(), "model": model, "ema": averaged, "step": step}
        state |= {"optimizer": optimizer.state_dict(), "seconds": seconds, "history": history, "best": best}
        told = {"objective": objective.state(), "torch": str(torch.__version__), "command": command}
        save_checkpoint(path, state | told)
        saved, saved_step = time.monotonic(), step
        tell(force=True)

    def keep_interrupted() -> None:
        keep()
        log.line(f"stopped at step {step}: resume goes on from there")
        batches.close()

    def tell(force: bool = False) -> None:
        counts = {"step": step, "n_step": steps.n_step, "saved_step": saved_step, "scenes": step * steps.batch}
        times = {"seconds": seconds, "time_limit": time_limit}
        figures = {"last": history[-1] if history else {}, "best": {n: best[n] for n in ("step", "score") if n in best}}
        mark.tell(force=force, **counts, **times, **figures)

    def validate() -> None:
        averaged_network = copy.deepcopy(network)
        averaged_network.load_state_dict(averaged)
        averaged_network.eval()
        figures = objective.validate(averaged_network)
        score = objective.score(figures)
        if output.pictures:
            objective.draw_samples(averaged_network, out_dir / f"samples-{step:07d}.png")
        with stop.whole():
            history.append({"step": step, "samples": step * steps.batch, "seconds": seconds, **figures})
            log.row(step, step * steps.batch, seconds, figures)
            if score > best.get("score", -math.inf):
                best.update(score=score, step=step, weights={name: value.clone() for name, value in averaged.items()})
                keep()  # so that it can be exported while the run goes on

    def validated() -> bool:
        return bool(history) and history[-1]["step"] == step

    def enough() -> bool:
        return 0 < output.patience * output.validate_every <= step - best.get("step", step)

    started, losses = began - seconds, list[float]()
    tell(force=True)
    network.train()
    batches, waited = Batches(objective, share, step, ahead=ahead), 0.0
    try:
        with stop:
            first = start is not None if step == 0 else step % output.validate_every == 0
            if share.rank == 0 and first and not validated():
                validate()  # of the weights to start from, or what an interrupt has left out
            while True:
                progress = max(step / steps.n_step, seconds / time_limit if time_limit else 0.0)
                going = not stop.made and step < steps.n_step and (time_limit is None or seconds < time_limit)
                going, progress = _agree(share, device, going and not enough(), progress)
                if not going:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(steps, step, progress)
                asked = time.monotonic()
                prepared = batches.take()
                waited += time.monotonic() - asked
                loss = objective.loss_of(trained, prepared, step, averaged)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), steps.clip)
                with stop.whole():
                    optimizer.step()
                    step += 1
                    _average(averaged, network, min(steps.ema, (1 + step) / (10 + step)))
                    losses.append(_mean(share, loss.detach()))
                    seconds, buffers = time.monotonic() - started, _buffers(network)
                    if not math.isfinite(losses[-1]):
                        stop.keep = None
                        raise FloatingPointError(
                            f"the loss is {losses[-1]} at step {step}; the last checkpoint is {path}"
                        )
                    stop.keep = None if share.rank else keep_interrupted
                if share.rank:
                    continue
                if step % output.log_every == 0:
                    row = {"loss": float(np.mean(losses)), "samples_per_s": step * steps.batch / seconds}
                    row["waited_s"], waited = waited, 0.0
                    log.row(step, step * steps.batch, seconds, row)
                    losses.clear()
                if step % output.validate_every == 0 or step == steps.n_step:
                    validate()
                if time.monotonic() - saved > 60 * output.checkpoint_minutes:
                    with stop.whole():
                        keep()
                tell()
            if stop.made:
                raise KeyboardInterrupt
            if share.rank == 0:
                if not validated():
                    validate()
                with stop.whole():
                    keep()
    except (KeyboardInterrupt, SystemExit):
        if stop.made:
            stop.keep_now()
        raise
    finally:
        stop.keep = None
        batches.close()
        log.close()
    return path


def _buffers(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of what a network computes with besides its parameters: statistics, which a half step changes."""
    parameters = {name for name, _ in network.named_parameters()}
    return {name: tensor.clone() for name, tensor in network.state_dict().items() if name not in parameters}


def learning_rate(steps: OptimizerConfig, step: int, progress: float) -> float:
    """Return the learning rate of a step; `progress` is the share of the run that is done."""
    warm = min(1.0, (step + 1) / max(steps.warmup, 1))
    if steps.schedule == "rsqrt":
        return steps.learning_rate * warm * math.sqrt(1 / max(1.0, step / max(10 * steps.warmup, 1)))
    return steps.learning_rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def _start_from(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Load weights, or say which tensor does not fit."""
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:  # a line for each tensor
        reason = str(error).splitlines()[1].strip()
        raise ValueError(f"the weights to start from are of another network: {reason}") from error


def _shared(network: nn.Module, share: Share, device: torch.device, *, compiled: bool) -> nn.Module:
    """Return the network as the steps run it: compiled where that helps, its gradients averaged among processes."""
    if compiled and device.type == "cuda":
        network = torch.compile(network)  # type: ignore[assignment]
    return network if share.of == 1 else DistributedDataParallel(network)


def _agree(share: Share, device: torch.device, going: bool, progress: float) -> tuple[bool, float]:
    """Return what the first process thinks."""
    if share.of == 1:
        return going, progress
    said = torch.tensor([float(going), progress], dtype=torch.float64, device=device)
    distributed.broadcast(said, 0)
    return bool(said[0]), float(said[1])


def _mean(share: Share, loss: torch.Tensor) -> float:
    """Return the mean of the losses of all processes."""
    if share.of > 1:
        distributed.all_reduce(loss)
    return float(loss) / share.of


@torch.no_grad()
def _average(averaged: dict[str, torch.Tensor], network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's; counters are taken over."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            averaged[name].lerp_(tensor, 1 - decay)
        else:
            averaged[name].copy_(tensor)
