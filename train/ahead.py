"""Prepare the batches of coming steps in a process of their own, while the network learns from the present one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, IterableDataset

if TYPE_CHECKING:
    from mimo.train.loop import Objective, Share

__all__ = ["MOST_AHEAD", "Batches", "worth_a_process"]

MOST_AHEAD = 3
"""Batches that are made before they are asked for."""
LEAST_STEPS = 200
"""A process starts in some seconds: fewer steps are not worth it."""


def worth_a_process(n_step: int) -> bool:
    """Say whether a run of so many steps is shorter with a second process, on this machine."""
    return n_step >= LEAST_STEPS and (os.cpu_count() or 1) > 1


class Batches:
    """What `Objective.prepare` makes for step after step, here or in a process of its own.

    Every batch is a function of the configuration and the step, so both ways give the same ones, to rounding where the
    process has another number of threads.

    Parameters
    ----------
    objective
        Makes them; it is pickled for the other process.
    share
        This process's share of every batch.
    first
        The step to begin with.
    ahead
        Whether to start the process. It ends with this one, or when `close` is called.
    """

    def __init__(self, objective: Objective, share: Share, first: int, *, ahead: bool) -> None:
        self._loader: Any = None
        self._processes: list[BaseProcess] = []
        self._steps = iter(_Steps(objective, share, first))
        if ahead:
            options: dict[str, Any] = {"prefetch_factor": MOST_AHEAD, "multiprocessing_context": "spawn"}
            steps = _Steps(objective, share, first)
            options |= {"collate_fn": _as_it_is, "worker_init_fn": _until_told}
            before = active_children()
            self._loader = iter(DataLoader(steps, batch_size=None, num_workers=1, **options))
            self._processes = [child for child in active_children() if child not in before]

    def take(self) -> Any:
        """Return the batch of the next step.

        Raises
        ------
        RuntimeError
            When the process that makes them has failed, with what it said, or is gone.
        """
        try:
            return next(self._steps if self._loader is None else self._loader)
        except StopIteration:  # what the loader says when it has told of the failure before
            raise RuntimeError("the process that prepares batches exited unexpectedly") from None

    def close(self) -> None:
        """End the process at once, whatever it is making: nothing of it would be lost."""
        with _children_may_end():
            for process in self._processes:
                process.kill()
                process.join()
            self._processes, self._loader = [], None


@contextmanager
def _children_may_end() -> Iterator[None]:
    """Keep the loader from raising that a process of it was killed; elsewhere than in the main thread it cannot."""
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)


class _Steps(IterableDataset[Any]):
    def __init__(self, objective: Objective, share: Share, first: int) -> None:
        self.objective, self.share, self.first = objective, share, first

    def __iter__(self) -> Iterator[Any]:
        step = self.first
        while True:
            yield self.objective.prepare(step, self.share)
            step += 1


def _as_it_is(batch: Any) -> Any:
    return batch


def _until_told(worker: int) -> None:
    """Leave it to the process that trains to end this one: a signal to both would end it in the middle of a step."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
