"""Predict how long a method will take and how much memory, so that a slow run can be told of before it starts.

The prediction counts applications of the operator (`mimo.recon.costs`) and voxels that a network sees. Where it comes
to more than some seconds, one application, or a few channels of it, is timed to learn how fast this machine is. It is
an upper bound: an iteration may stop early, and what an earlier run has factorised is read from the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mimo import VoxelGrid, backproject
from mimo.cache import as_text
from mimo.memory import check_voxels, machine_memory
from mimo.models.weight_files import find_weights, load_description
from mimo.recon.costs import MODELS, exact_seconds, former_seconds
from mimo.recon.held_out import part_of
from mimo.recon.learned import LEARNED
from mimo.recon.registry import FILES, SOLVES, Method, Problem
from mimo.solver_choice import CG_PAIRS, choose_solver, pair_seconds

__all__ = ["Forecast", "check_images", "forecast", "warning"]

LONG = 60.0
"""Seconds beyond which a run is told of before it starts."""

LARGE = 0.5
"""Share of the machine's memory beyond which it is told of."""

CALIBRATED = 10.0
"""Seconds of operator products from which on the machine's speed is measured."""

SMALL = 1.0
"""One application of the operator is timed when it is predicted to take at most these seconds, else a few channels."""

NETWORK, DENOISER = 8e-6, 2e-6
"""Seconds for a voxel in a network that makes images, and in a denoiser."""

FORMERS = (*MODELS, "kirchhoff", "auto-physics")
"""Methods that are one sum over the data."""

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


def forecast(method: Method, problem: Problem, options: Mapping[str, Any], name: str = "") -> Forecast:
    """Predict time and memory of a method on all scenes of a problem.

    `options` are those that differ from the method's defaults, and `name` what the method was asked for by: a file of
    weights, or its name. What is prepared here, to time a product, counts as set-up of the run that follows.
    """
    A, n_scene = problem.operator, len(problem.measurement)
    chosen = {**method.options, **options}
    m, voxels = A.n_measurement, A.n_voxel
    image = 8.0 * A.grid.n_voxel * min(n_scene, 16)
    n_bytes = A.memory + 16.0 * voxels
    if method.name in FORMERS and not name.endswith(tuple(FILES)):
        seconds = n_scene * former_seconds(method.name, A) * _speed_of_sums(problem, n_scene * exact_seconds(A))
        return Forecast(seconds, n_bytes + 3 * image, f"{_count(voxels)} voxels and {_count(m)} data")
    network = _network(method, name)
    iterations = _iterations(chosen, 1)
    solves, once, each = iterations, 0.0, 0.0
    if network is not None:
        inverse = str(network.get("stage", "")).startswith("inverse")
        solves = int(network.get("steps", 1)) if network.get("kind") == "unrolled" else int(inverse)
    if network is None or solves or problem.noise_std is None:  # which is found with the factorisation
        solver, once, each = _solver_seconds(problem, chosen, network is not None)
        n_bytes += 40.0 * m**2 if solver in ("spectrum", "cholesky") else 0.0
    products = n_scene * (solves * each + (0.0 if network is None else pair_seconds(A) / 2))
    seconds = once + products * _speed_of_products(problem, products)
    pairs = max(1, round(products / n_scene / pair_seconds(A)))
    why = f"{pairs} times the operator and its adjoint, of {_count(voxels)} voxels and {_count(m)} data"
    if network is not None:
        seconds += n_scene * voxels * NETWORK
        why, image = f"a network over {_count(voxels)} voxels", 5 * image
    elif "denoiser" in chosen and chosen.get("prior") != "gaussian":
        seconds += n_scene * iterations * voxels * DENOISER * int(chosen.get("steps", 1))
    if once > seconds / 2:
        why = f"a matrix of {_count(m)} x {_count(m)} is factorised once"
    return Forecast(seconds, n_bytes + WORKING_IMAGES * image, why)


def check_images(grid: VoxelGrid, n_scene: int, methods: Sequence[Method]) -> None:
    """Raise `ValueError` when the images that the methods hold at once do not fit in memory, before any is made."""
    iterative = any("max_iterations" in method.options for method in methods)
    check_voxels(grid.shape, n_scene=n_scene, **({"n_image": WORKING_IMAGES} if iterative else {}))


def warning(name: str, predicted: Forecast) -> str:
    """Return a line that says that a run takes long or much memory, and what is quicker; empty when it does neither."""
    told = []
    if predicted.seconds > LONG:
        told.append(f"may take {_duration(predicted.seconds)}")
    if predicted.n_bytes > LARGE * machine_memory():
        told.append(f"needs about {as_text(predicted.n_bytes)} of the {as_text(machine_memory())} of memory")
    if not told:
        return ""
    ways = ["fewer frequencies (`mimo prepare --count`)", "a smaller --grid or --region"]
    if name == "kirchhoff":
        ways.insert(0, "--method kirchhoff-fast")
    elif name not in ("auto-physics", "backprojection-fast", "kirchhoff-fast", "range-migration"):
        ways.insert(0, "--method auto-physics")
    return f"{name} {' and '.join(told)}: {predicted.why}. Quicker: {', '.join(ways)}"


def _network(method: Method, name: str) -> Mapping[str, Any] | None:
    """Return what a file of weights says of its network; ``None`` for a method that is none."""
    if not name.endswith(tuple(FILES)):
        name = method.name if method.name in LEARNED else ""
    if not name:
        return None
    try:
        return dict(load_description(find_weights(name)).get("method", {}))
    except (OSError, ValueError):  # said when the network is loaded
        return {}


def _solver_seconds(problem: Problem, chosen: Mapping[str, Any], network: bool) -> tuple[str, float, float]:
    """Return how least squares are solved, the seconds that it takes to prepare, and those of one solve of a scene.

    The way is the one that the problem will choose itself; what it has prepared already takes no time.
    """
    A = problem.operator
    one_weight = not network and not isinstance(chosen.get("weight"), str) and "chains" not in chosen
    if "splitting" in chosen:
        one_weight = chosen["splitting"] == "admm"
    solver, solves = str(chosen.get("solver") or "auto"), _iterations(chosen, SOLVES)
    few, many = (choose_solver(A, solves=n, one_weight=one_weight) for n in (solves, 2 * solves))
    if solver == "auto":
        solver = few.solver
    if solver not in few.seconds:  # there is no other way, or it is refused, as the method says itself
        return solver, 0.0, CG_PAIRS * pair_seconds(A)
    each = (many.seconds[solver] - few.seconds[solver]) / solves
    prepared = any(key.split(",")[0] == f"data step {solver}" for key in problem._shared)
    return solver, 0.0 if prepared else few.seconds[solver] - solves * each, each


def _iterations(chosen: Mapping[str, Any], otherwise: int) -> int:
    """Return how many iterations a scene takes by the options of its method, those of all chains where it has some."""
    if "chains" in chosen:
        each = -(-int(chosen["n"]) // int(chosen["chains"]))
        return int(chosen["chains"]) * (int(chosen["burn_in"]) + each * int(chosen["thin"]))
    return int(chosen.get("max_iterations") or otherwise)


def _speed_of_sums(problem: Problem, seconds: float) -> float:
    """Return how many times slower this machine forms an image than predicted; 1 where little is to be done."""
    if seconds < CALIBRATED:
        return 1.0
    shared, A = problem._shared, problem.operator
    if "speed of sums" not in shared:
        part, small = problem.scenes(0, 1), exact_seconds(A) <= SMALL
        if not small:
            few = np.arange(min(A.array.n_channel, 4))
            part = part_of(part, np.arange(min(A.sweep.n_freq, 16)), few)
        measured = _seconds_of(lambda y: backproject(y, part.operator), part.measurement)
        ratio = measured / exact_seconds(part.operator)
        shared["speed of sums"] = ratio if small else float(np.clip(ratio, 0.1, 10))
    return shared["speed of sums"]


def _speed_of_products(problem: Problem, seconds: float) -> float:
    """Return how many times slower this machine applies the operator than predicted; 1 where little is to be done."""
    if seconds < CALIBRATED:
        return 1.0
    shared, A = problem._shared, problem.operator
    if exact_seconds(A) > SMALL:
        return _speed_of_sums(problem, seconds)
    if "speed of products" not in shared:  # with the factors that the method keeps in memory too
        before = shared.get("seconds", 0.0)
        problem.shared("born factors", lambda A: A.prepare())
        shared["seconds ahead"] = shared.get("seconds ahead", 0.0) + shared.get("seconds", 0.0) - before
        shared["speed of products"] = 2 * _seconds_of(A.adjoint, problem.measurement[:1]) / pair_seconds(A)
    return shared["speed of products"]


def _seconds_of(product: Callable[[torch.Tensor], object], y: torch.Tensor) -> float:
    """Return the seconds that a product takes, the less of two."""
    taken = []
    for _ in range(2):
        started = time.perf_counter()
        product(y)
        taken.append(time.perf_counter() - started)
    return min(taken)


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.2g} h" if seconds < 2 * 86400 else f"{seconds / 86400:.0f} days"


def _count(n: float) -> str:
    return f"{n:,.0f}" if n < 1e6 else f"{n / 1e6:.3g} million"
