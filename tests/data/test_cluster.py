"""Tasks in this process: an interrupt that Python loses ends them all the same, one that is ignored does not."""

import os
import signal

import pytest

from mimo.data.jobs.cluster import automatic_workers, run_tasks
from mimo.data.jobs.tasks import FileTask


class Interrupted(FileTask):
    """A task in whose middle Ctrl-C comes while an object is finalised."""

    @property
    def recipe(self):
        return "{}"

    def write(self, advance):
        class Dying:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):
                    pass

        Dying()
        advance(self.n_scene)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_finaliser_ends_the_run(tmp_path):
    done = []
    tasks = [Interrupted(tmp_path / f"{i}.h5", 0, 1) for i in range(3)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            run_tasks(tasks, workers=1, scheduler=None, advance=done.append)
        assert done == [1]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_interrupt_stays_ignored(tmp_path):
    """As in a job that a shell has put into the background."""
    done = []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tasks = [Interrupted(tmp_path / f"{i}.h5", 0, 1) for i in range(3)]
        run_tasks(tasks, workers=1, scheduler=None, advance=done.append)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == [1, 1, 1]


def test_workers_start_where_it_pays(monkeypatch):
    monkeypatch.setattr("dask.system.CPU_COUNT", 6)
    assert automatic_workers(64, 4, 64) == 1
    assert automatic_workers(65, 2, 64) == 2
    assert automatic_workers(10_000, 157, 64) == 6
