"""Predict how long a method will take and how much memory, so that a slow run can be told of before it starts.

The prediction counts applications of the operator (`mimo.recon.costs`) and voxels that a network sees. Where it comes
to more than some seconds, one application, or a few channels of it, is timed to learn how fast this machine is. It is
an upper bound: an iteration may stop early, and what an earlier run has factorised is read from the cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mimo import ImagingOperator, backproject
from mimo.cache import as_text
from mimo.gram import MAX_MEASUREMENTS
from mimo.recon.costs import MODELS, exact_seconds, predict
from mimo.recon.held_out import part_of
from mimo.recon.learned import LEARNED
from mimo.recon.registry import FILES, Method, Problem
from mimo.solver_choice import choose_solver, pair_seconds

__all__ = ["Forecast", "forecast", "warning"]

LONG = 60.0
"""Seconds beyond which a run is told of before it starts."""

LARGE = 0.5
"""Share of the machine's memory beyond which it is told of."""

CALIBRATED = 10.0
"""Seconds of operator products from which on the machine's speed is measured."""

SMALL = 1.0
"""One application of the operator is timed when it is predicted to take at most these seconds, else a few channels."""

GRADIENTS = 9
"""Pairs of products, at most, for one step of least squares where nothing is factorised."""

NETWORK, DENOISER = 8e-6, 2e-6
"""Seconds for a voxel in a network that makes images, and in a denoiser."""

FLOPS = 1e11
"""Operations a second of products and factorisations of matrices."""

WORKING_IMAGES = 8
"""Images of every scene of a batch that an iterative method holds at once."""


@dataclass(frozen=True)
class Forecast:
    """Holds a prediction.

    Attributes
    ----------
    seconds
        For all scenes, set-up included.
    n_bytes
        Memory.
    why
        What takes the time, in words.
    """

    seconds: float
    n_bytes: float
    why: str


def forecast(method: Method, problem: Problem, options: Mapping[str, Any]) -> Forecast:
    """Predict time and memory of a method on all scenes of a problem.

    `options` are those that differ from the method's defaults.
    """
    A, n_scene = problem.operator, len(problem.measurement)
    chosen = {**method.options, **options}
    m, voxels = A.n_measurement, A.n_voxel
    image = 8.0 * A.grid.n_voxel * min(n_scene, 16)
    n_bytes = A.memory + 16.0 * voxels
    if method.name in MODELS or method.name in ("kirchhoff", "auto-physics"):
        seconds = n_scene * _former_seconds(method.name, A) * _speed(problem, n_scene * exact_seconds(A))
        return Forecast(seconds, n_bytes + 3 * image, f"{_count(voxels)} voxels and {_count(m)} data")
    pair = 2 * exact_seconds(A)
    learned = method.name in LEARNED or method.name.endswith(tuple(FILES))
    if learned and method.name not in ("two-stage", "unrolled"):
        seconds = n_scene * (pair / 2 * _speed(problem, n_scene * pair) + voxels * NETWORK)
        return Forecast(seconds, n_bytes + 40 * image, f"a network over {_count(voxels)} voxels")
    factorised = m <= MAX_MEASUREMENTS
    once = (
        (2.0 * m**2 * voxels + 25.0 * m**3) / FLOPS
        if factorised and "data step spectrum" not in problem._shared
        else 0.0
    )
    if factorised:
        n_bytes += 40.0 * m**2
    iterations = int(chosen.get("max_iterations") or 1)
    products = iterations * (1 if factorised else GRADIENTS)
    products_seconds = n_scene * products * pair
    if factorised and iterations > 1 and exact_seconds(A) <= SMALL:
        seconds = _solver_seconds(A, iterations * n_scene)
    else:
        seconds = once + products_seconds * _speed(problem, products_seconds)
    if "denoiser" in chosen or learned:
        seconds += n_scene * iterations * voxels * DENOISER
    why = f"{products} times the operator and its adjoint, of {_count(voxels)} voxels and {_count(m)} data"
    if once > seconds / 2:
        why = f"a matrix of {_count(m)} x {_count(m)} is factorised once"
    return Forecast(seconds, n_bytes + WORKING_IMAGES * image, why)


def warning(name: str, predicted: Forecast) -> str:
    """Return a line that says that a run takes long or much memory, and what is quicker; empty when it does neither."""
    told = []
    if predicted.seconds > LONG:
        told.append(f"may take {_duration(predicted.seconds)}")
    if predicted.n_bytes > LARGE * _memory():
        told.append(f"needs about {as_text(predicted.n_bytes)} of the {as_text(_memory())} of memory")
    if not told:
        return ""
    ways = ["fewer frequencies (`mimo prepare --count`)", "a smaller --grid or --region"]
    if name not in ("auto-physics", "backprojection-fast", "range-migration"):
        ways.insert(0, "--method auto-physics")
    return f"{name} {' and '.join(told)}: {predicted.why}. Quicker: {', '.join(ways)}"


def _solver_seconds(A: ImagingOperator, solves: int) -> float:
    """Return the seconds of least squares in the way that the solver itself will choose."""
    choice = choose_solver(A, solves=solves)
    return choice.seconds.get(choice.solver) or solves * pair_seconds(A)


def _former_seconds(name: str, A: ImagingOperator) -> float:
    if name == "kirchhoff":
        return exact_seconds(A)
    if name == "auto-physics":
        return min(predict(A).values())
    try:
        return MODELS[name](A)
    except (ValueError, ImportError):  # the method refuses the geometry, and says so itself
        return 0.0


def _speed(problem: Problem, seconds: float) -> float:
    """Return how many times slower this machine is than predicted, at present; 1 where little is to be done."""
    shared = problem._shared
    if seconds < CALIBRATED:
        return 1.0
    if "speed" not in shared:
        A = problem.operator
        if exact_seconds(A) <= SMALL:  # with the factors that the method keeps in memory too
            problem.shared("born factors", lambda A: A.prepare())
            shared["speed"] = _seconds_of(A.adjoint, problem.measurement[:1]) / exact_seconds(A)
        else:
            few = np.arange(min(A.array.n_channel, 4))
            part = part_of(problem.scenes(0, 1), np.arange(min(A.sweep.n_freq, 16)), few)
            measured = _seconds_of(lambda y: backproject(y, part.operator), part.measurement)
            shared["speed"] = float(np.clip(measured / exact_seconds(part.operator), 0.1, 10))
    return shared["speed"]


def _seconds_of(product: Callable[[torch.Tensor], object], y: torch.Tensor) -> float:
    """Return the seconds that a product takes, the less of two."""
    taken = []
    for _ in range(2):
        started = time.perf_counter()
        product(y)
        taken.append(time.perf_counter() - started)
    return min(taken)


def _memory() -> float:
    """Return the bytes of memory of this machine; endless where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (ValueError, OSError, AttributeError):
        return float("inf")


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.2g} h" if seconds < 2 * 86400 else f"{seconds / 86400:.0f} days"


def _count(n: float) -> str:
    return f"{n:,.0f}" if n < 1e6 else f"{n / 1e6:.3g} million"
