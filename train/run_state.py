"""Keep what a training run has reached in a small file of its folder, for whoever asks while it goes on.

The file is written between steps, at most every few seconds, and replaced whole. A lock beside it is held by the
process that trains; it is the system's, and ends with the process however that ends.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mimo.input_file import refuse_irregular, whole_input
from mimo.train.checkpoint import CHECKPOINT, load_checkpoint

__all__ = ["RunState", "RunningMark", "read_state", "runs_in", "state_text"]

STATE, LOCK = "status.json", "running.lock"
EVERY = 2.0
"""Seconds between two writings of the file."""


@dataclass(frozen=True, kw_only=True)
class RunState:
    """Says where a run stands.

    Attributes
    ----------
    folder
        Of checkpoint and log.
    running
        Whether a process trains in it now.
    step, n_step
        Steps taken, and those of the whole run.
    saved_step
        Step of the checkpoint, from which a resumed run goes on; -1 before the first.
    scenes, seconds
        Scenes seen, and seconds of training.
    scenes_per_second
        Of the present command; 0 when not known.
    time_limit
        Seconds after which the run ends; ``None`` for no limit.
    last, best
        Figures of the last validation, and step and mean PSNR of the best; empty before the first.
    remaining
        Estimated seconds until steps or time are used up; 0 for a run that has ended, ``None`` when not known.
    """

    folder: str
    running: bool
    step: int
    n_step: int
    saved_step: int
    scenes: int
    seconds: float
    scenes_per_second: float = 0.0
    time_limit: float | None = None
    last: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)

    @property
    def remaining(self) -> float | None:
        """See the class."""
        left = [] if self.time_limit is None else [max(0.0, self.time_limit - self.seconds)]
        steps = max(0, self.n_step - self.step)
        if self.scenes_per_second > 0 and self.step:
            left.append(steps * self.scenes / self.step / self.scenes_per_second)
        elif not steps:
            left.append(0.0)
        return min(left, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return numbers, strings and dicts of those."""
        return asdict(self) | {"remaining": self.remaining}


class RunningMark:
    """A context in which this process alone trains in a folder, and tells there where it stands; with none, nothing.

    Raises
    ------
    FileExistsError
        On entering, when another process trains in the folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder, self._told = folder, -math.inf
        self._lock: BinaryIO | None = None
        self._start: tuple[float, int] | None = None

    def __enter__(self) -> RunningMark:
        if self.folder is None:
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = (self.folder / LOCK).open("ab")
        if not _lock(lock):
            lock.close()
            raise FileExistsError(f"{self.folder}: another process trains there: expected another folder, or its end")
        self._lock = lock
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def tell(self, *, force: bool = False, **figures: Any) -> None:
        """Write the state, named as in `RunState`, unless that was done a moment ago."""
        if self.folder is None:
            return
        now = time.monotonic()
        if self._start is None:
            self._start = now, figures["scenes"]
        if not force and now - self._told < EVERY:
            return
        since, before = self._start
        rate = (figures["scenes"] - before) / (now - since) if figures["scenes"] > before else 0.0
        path = self.folder / STATE
        temporary = path.with_name(path.name + ".part")
        temporary.write_text(json.dumps(figures | {"scenes_per_second": rate}))
        temporary.replace(path)
        self._told = now


def read_state(folder: str | os.PathLike[str]) -> RunState:
    """Return where the run in a folder stands, without disturbing it.

    Raises
    ------
    FileNotFoundError
        When no run was started there.
    ValueError
        When what it left cannot be read; the message names the file.
    """
    place = Path(folder)
    path = place / STATE
    running = _is_running(place)
    if not path.is_file():
        try:
            with whole_input(place / CHECKPOINT, "a checkpoint of `mimo train`"):
                table = _from_checkpoint(load_checkpoint(place / CHECKPOINT))
        except FileNotFoundError as error:
            what = "a run that has not taken a step yet" if running else "no run"
            raise FileNotFoundError(f"{place}: {what}: expected a folder that `mimo train` has trained in") from error
    else:
        try:
            refuse_irregular(path, "the state of a run")
            table = json.loads(path.read_text())
            return RunState(folder=str(place), running=running, **table)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{path}: not the state of a run ({error})") from error
    return RunState(folder=str(place), running=running, **table)


def runs_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the folders of runs in a folder and below it, in alphabetical order."""
    found = {path.parent for name in (STATE, CHECKPOINT) for path in Path(folder).rglob(name)}
    return sorted(found)


def state_text(state: RunState) -> str:
    """Return a few lines that say where a run stands."""
    lines = [f"{state.folder}: {'running' if state.running else 'no process trains there now'}"]
    rate = f", {state.scenes_per_second:.3g} scenes a second" if state.scenes_per_second else ""
    lines.append(
        f"  step {state.step:,} of {state.n_step:,}, {state.scenes:,} scenes, {_duration(state.seconds)}{rate}"
    )
    saved = "no checkpoint yet" if state.saved_step < 0 else f"the checkpoint is of step {state.saved_step:,}"
    left = "unknown" if state.remaining is None else _duration(state.remaining)
    lines.append(f"  {saved}; {'remaining' if state.running else 'it would take'}: {left}")
    unit = " dB" if any(name.startswith("psnr") for name in state.last) else ""
    if "step" in state.last:
        figures = ", ".join(
            f"{name} {value:.2f}{' dB' * name.startswith('psnr')}"
            for name, value in state.last.items()
            if name.startswith(("psnr", "nll"))  # of images, and of their standard deviation
        )
        lines.append(f"  last validation, step {int(state.last['step']):,}: {figures}")
    if {"step", "score"} <= state.best.keys():
        lines.append(f"  best validation, step {int(state.best['step']):,}: mean {state.best['score']:.2f}{unit}")
    return "\n".join(lines)


def _from_checkpoint(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a run of which only the checkpoint is left, as of earlier versions."""
    steps, step, seconds = checkpoint["config"]["optimizer"], checkpoint["step"], checkpoint["seconds"]
    best, history = checkpoint.get("best") or {}, checkpoint.get("history") or []
    return {
        "step": step,
        "n_step": steps["n_step"],
        "saved_step": step,
        "scenes": step * steps["batch"],
        "seconds": seconds,
        "scenes_per_second": step * steps["batch"] / seconds if seconds else 0.0,
        "last": history[-1] if history else {},
        "best": {name: best[name] for name in ("step", "score") if name in best},
    }


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _lock(file: BinaryIO) -> bool:
    """Take the lock of an open file; ``False`` when another process has it. Where a system has no locks: ``True``."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_running(folder: Path) -> bool:
    path = folder / LOCK
    if not path.is_file():
        return False
    with path.open("rb") as file:  # a shared lock, so that two who ask do not see each other as the run
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (ImportError, OSError):
            return False
    return False
