"""Batches that a process of their own prepares: the same run, and a word when that process is gone."""

import time
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from test_training import BOXES, SMALL, quiet, same

from mimo.train import train_denoiser
from mimo.train.ahead import MOST_AHEAD, Batches, worth_a_process
from mimo.train.checkpoint import load_checkpoint
from mimo.train.denoiser import DenoisingObjective
from mimo.train.loop import Share


@pytest.fixture(autouse=True)
def one_thread():
    """As the other process has, so that sums have the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_run_with_batches_prepared_ahead_is_the_same(tmp_path):
    """To the bit, also where it resumes, with the step that it goes on with first."""
    here = load_checkpoint(train_denoiser(SMALL, tmp_path / "here", scenes=BOXES, report=quiet))
    config = replace(SMALL, optimizer=replace(SMALL.optimizer, n_step=4, schedule="rsqrt"))
    longer = replace(SMALL, optimizer=replace(SMALL.optimizer, schedule="rsqrt"))
    there = load_checkpoint(train_denoiser(SMALL, tmp_path / "there", scenes=BOXES, report=quiet, ahead=True))
    assert same(here["model"], there["model"]) and same(here["ema"], there["ema"])
    whole = load_checkpoint(train_denoiser(longer, tmp_path / "whole", scenes=BOXES, report=quiet))
    train_denoiser(config, tmp_path / "parts", scenes=BOXES, report=quiet)
    parts = train_denoiser(longer, tmp_path / "parts", scenes=BOXES, report=quiet, ahead=True, resume=True)
    assert same(whole["model"], load_checkpoint(parts)["model"])


def test_a_lost_process_is_told():
    batches = Batches(DenoisingObjective(SMALL, BOXES), Share(), 3, ahead=True)
    first = batches.take()
    torch.testing.assert_close(first.pair.noisy, DenoisingObjective(SMALL, BOXES).prepare(3, Share()).pair.noisy)
    (process,) = batches._loader._workers
    process.kill()
    process.join()
    for _ in range(MOST_AHEAD):  # what it has made may still arrive
        with suppress(RuntimeError):
            batches.take()
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        batches.take()
    batches.close()


def test_it_ends_at_once_in_the_middle_of_a_batch():
    """Though it does not look at signals, so that one to both processes does not end it first."""
    objective = DenoisingObjective(SMALL, BOXES)
    batches = Batches(objective, Share(), 0, ahead=True)
    batches.take()
    (process,) = batches._processes
    process.terminate()
    assert process.is_alive()
    began = time.monotonic()
    batches.close()
    assert not process.is_alive() and time.monotonic() - began < 4, "the loader itself waits for 5 seconds"
    batches.close()


def test_short_runs_start_no_process():
    assert not worth_a_process(6)
