"""Derive every random number of a training run from its seed and the step, so that a run resumes exactly."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import numpy as np
import torch
from torch import nn

__all__ = ["Stream", "fresh_network", "step_rng", "step_seed"]


class Stream(IntEnum):
    """What random numbers are for; numbers of one seed for different purposes never meet."""

    SCENE = 1
    STEP = 2
    VALIDATION = 3
    RUNS = 4
    ARRAY = 5


def step_rng(seed: int, stream: Stream, index: int) -> np.random.Generator:
    """Return the generator of a step, a scene or whatever else `index` counts."""
    return np.random.default_rng([seed, int(stream), index])


def step_seed(seed: int, step: int, stream: Stream) -> int:
    """Return the same for a `torch.Generator`, which takes a seed: that of a step, -1 for before the first."""
    return int(np.random.SeedSequence([seed, int(stream), step + 1, 1]).generate_state(1, np.uint64)[0] >> 1)


def fresh_network(make: Callable[[], nn.Module], seed: int, device: torch.device) -> nn.Module:
    """Make a network with weights that depend on the seed alone; the caller's random state stays untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make().to(device)
