"""Repeat an update until each scene has converged: the common loop of all iterative methods.

It records a history, calls an observer, and keeps what was reached at a keyboard interrupt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from mimo.data.history import Entry
from mimo.recon.metrics import psnr

__all__ = ["Observer", "Solution", "State", "iterate", "relative_change"]

State = dict[str, torch.Tensor]
"""Tensors whose first axis is the scene; ``"image"`` is the result."""

Update = Callable[[State, int], tuple[State, dict[str, torch.Tensor], torch.Tensor]]
"""One iteration of all scenes: called as ``update(state, i)``, with i from 0.

Returns the new state, the quantities to record, ``(n_scene,)`` each, by name, and which scenes are done, bool
``(n_scene,)``.
"""

Observer = Callable[[int, int, Callable[[], torch.Tensor], list[Entry]], None]
"""Called after each iteration with: iterations made, most iterations, a function that returns images, the history."""


@dataclass
class Solution:
    """Holds the result of an iterative method.

    Attributes
    ----------
    image
        Images, complex ``(n_scene, n_x, n_y, n_z)``.
    iterations
        Number of iterations of each scene.
    converged
        Whether each scene met its stopping criterion.
    history
        One entry for each iteration: for each recorded quantity a list over scenes (``None`` once a scene has stopped),
        ``psnr`` in dB among them where the truth is known, and ``seconds`` since the start.
    interrupted
        Whether a keyboard interrupt ended it early.
    """

    image: torch.Tensor
    iterations: list[int]
    converged: list[bool]
    history: list[Entry] = field(default_factory=list)
    interrupted: bool = False


def iterate(
    update: Update,
    state: State,
    *,
    max_iterations: int,
    truth: torch.Tensor | None = None,
    observer: Observer | None = None,
) -> Solution:
    """Repeat an update until every scene is done; a scene that is done does not change afterwards.

    Scenes that are done stay in the batch, and what an update makes of them is thrown away. With fewer scenes products
    are rounded in another way, so that the last digits of a scene would depend on when the others are done.

    Parameters
    ----------
    update
        One iteration of all scenes. It returns new tensors and does not change the old ones.
    state
        Initial state.
    max_iterations
        Most iterations of a scene.
    truth
        True magnitudes, of the shape of the image: the history then has the PSNR in dB.
    observer
        Called after each iteration.

    Returns
    -------
    Solution
        The result, or what was reached before a keyboard interrupt.
    """
    state = dict(state)
    n_scene = len(state["image"])
    active = torch.ones(n_scene, dtype=torch.bool, device=state["image"].device)
    solution = Solution(state["image"], [0] * n_scene, [False] * n_scene)
    started = time.perf_counter()
    try:
        for i in range(max_iterations):
            new, figures, done = update(state, i)
            if not bool(active.all()):
                new = {name: torch.where(_like(active, v), v, state[name]) for name, v in new.items()}
            state.update(new)
            solution.image = state["image"]
            scenes = torch.nonzero(active).flatten().tolist()
            if truth is not None:
                figures = figures | {"psnr": _psnr(state["image"], truth, scenes)}
            entry: Entry = {name: _of_scenes(value, scenes, n_scene) for name, value in figures.items()}
            solution.history.append(entry | {"seconds": time.perf_counter() - started})
            for scene in scenes:
                solution.iterations[scene] += 1
                solution.converged[scene] = bool(done[scene])
            if observer is not None:
                observer(i + 1, max_iterations, lambda: state["image"], list(solution.history))
            active = active & ~done
            if not bool(active.any()):
                break
    except KeyboardInterrupt:
        solution.interrupted = True
    return solution


def _psnr(image: torch.Tensor, truth: torch.Tensor, scenes: list[int]) -> torch.Tensor:
    values = [float("nan")] * len(image)
    for scene in scenes:
        values[scene] = _psnr_of(image[scene].abs().cpu().numpy(), truth[scene].cpu().numpy())
    return torch.tensor(values)


def _like(scenes: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return what is known of each scene, (n_scene,), with as many axes as some values of the scenes have."""
    return scenes.reshape(-1, *[1] * (values.ndim - 1))


def _psnr_of(image: npt.NDArray[np.floating], truth: npt.NDArray[np.generic]) -> float:
    """Return `psnr`, of an image that is still empty too: it has no scale, and its error is the whole truth."""
    if image.any():
        return psnr(image, truth)
    return float(-10 * np.log10(np.mean(np.square(np.abs(truth) / np.abs(truth).max()))))


def _of_scenes(values: torch.Tensor, scenes: list[int], n_scene: int) -> list[float | None]:
    """Return the values of some scenes as a list over all, ``None`` for the others."""
    row: list[float | None] = [None] * n_scene
    for scene in scenes:
        row[scene] = float(values[scene])
    return row


def relative_change(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Return the norm of the difference over the norm of the new image, ``(n_scene,)``."""
    return (new - old).flatten(1).norm(dim=1) / new.flatten(1).norm(dim=1).clamp_min(1e-30)
