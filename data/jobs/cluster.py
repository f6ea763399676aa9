"""Run file tasks in this process or on dask.distributed workers: a local cluster's, or those of a given scheduler."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType
from typing import Any

from tqdm import tqdm

from mimo.data.jobs.tasks import Advance, FileTask, make_file
from mimo.extras import MissingExtraError, needed

__all__ = ["Counted", "automatic_workers", "check_workers", "counted", "run_tasks"]

PURPOSE = "work in several processes (--workers, --scheduler)"

Counted = bool | Callable[[int, int], None]
"""Whether to show a progress bar, or a function that is called with (scenes done, scenes in all)."""


def automatic_workers(n_scene: int, n_task: int, worth: int) -> int:
    """Return how many worker processes to use: one up to `worth` scenes, else one a core, at most one a task.

    Fewer scenes are done before workers have started. Without the extra ``cluster`` there is only this process.
    """
    if n_scene <= worth:
        return 1
    try:
        system = needed("dask.system", "distributed", purpose=PURPOSE, extra="cluster")
    except MissingExtraError:
        return 1
    return max(1, min(system.CPU_COUNT, n_task))


def check_workers(workers: int, scheduler: str | None) -> None:
    """Check, before anything is written, that the extra ``cluster`` is installed where several processes need it.

    Raises
    ------
    MissingExtraError
        When it is not installed; the message names it.
    """
    if workers > 1 or scheduler is not None:
        needed("dask", "distributed", purpose=PURPOSE, extra="cluster")


def run_tasks(tasks: Sequence[FileTask], *, workers: int, scheduler: str | None, advance: Advance) -> None:
    """Make the tasks' files; the first error ends the run.

    Without a scheduler, one worker or one task runs in this process.

    Parameters
    ----------
    tasks
        The files to make.
    workers
        Processes of a local cluster, each with one thread.
    scheduler
        Address of a dask scheduler (``tcp://host:port``) whose workers do it instead; they must see the tasks' files
        under the same paths.
    advance
        Called with the number of scenes finished since the last call; once a task when other processes do the work.

    Raises
    ------
    MissingExtraError
        When other processes are asked for and the extra ``cluster`` is not installed.
    """
    if not tasks:
        return
    if scheduler is None and 1 in (workers, len(tasks)):
        with _interrupts() as seen:
            for task in tasks:
                make_file(task, advance)
                if seen:
                    raise KeyboardInterrupt
        return
    check_workers(workers, scheduler)
    from distributed import Client, LocalCluster, as_completed

    with ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            address = stack.enter_context(
                LocalCluster(
                    n_workers=min(workers, len(tasks)),
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",  # its default port would be taken by a second run
                    host="127.0.0.1",
                    memory_limit=None,
                    silence_logs=logging.CRITICAL,  # a failed task raises its own error, one line is enough
                )
            )
        client = stack.enter_context(Client(address, set_as_default=False))
        if scheduler is None:
            client.register_plugin(_undisturbed())
        futures = client.map(_work, tasks, pure=False, retries=2)
        del tasks
        for future in as_completed(futures, loop=client.loop):
            advance(future.result())
            future.release()


def _work(task: FileTask) -> int:
    """Make a file in a worker of a cluster."""
    return make_file(task)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Yield a list that collects keyboard interrupts, as Python loses one that comes while it finalises an object."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield seen
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _undisturbed() -> Any:
    """Return a plugin that lets every worker, also a replaced one, ignore Ctrl-C.

    A terminal sends the interrupt to every process; the process that owns the cluster ends the workers itself.
    """
    from distributed import WorkerPlugin

    class Undisturbed(WorkerPlugin):
        name = "undisturbed"

        def setup(self, worker: Any) -> None:
            with suppress(ValueError):  # only a process's main thread may
                signal.signal(signal.SIGINT, signal.SIG_IGN)

    return Undisturbed()


@contextmanager
def counted(progress: Counted, n: int) -> Iterator[Advance]:
    """Yield a function that counts finished scenes of `n` and shows or reports their number as `progress` says."""
    if callable(progress):
        done = 0

        def count(more: int) -> None:
            nonlocal done
            done += more
            progress(done, n)

        yield count
    else:
        with tqdm(total=n, unit="scene", disable=not progress, smoothing=0.1, dynamic_ncols=True) as bar:
            yield bar.update
