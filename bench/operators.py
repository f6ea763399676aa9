"""Measure the speed of the operators, compared with published code and with the machine's limit, in one run.

The published code (arXiv 2312.16024) uses a dense complex128 matrix and ``torch.einsum``. The limit, here *bound*, is
the time of 8 real operations for each term (frequency, channel, voxel) at the rate of a large square matrix product in
complex64, measured in the same rounds. Every round times everything once, one after another, so that a slow moment of a
shared machine affects all of it. Results are medians over rounds; ratios are formed within each round.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mimo import Acquisition, BornOperator, GramFactor, backproject, kirchhoff
from mimo import kernels as _kernels
from mimo.bench.range_profiles import N_FREQ, measure_ranges
from mimo.synth.paper import paper_acquisition, paper_array, paper_grid, paper_sweep

__all__ = ["dense_matrix", "growth", "measure", "ratio", "rounds", "table", "terms"]

OPERATIONS = 8
"""Real operations of one complex multiplication and addition."""

SQUARE = 1024
TARGETS = {
    "forward against dense": (5.0, "at least"),
    "adjoint against dense": (40.0, "at least"),
    "forward against bound, 1 scene": (2.7, "at most"),
    "adjoint against bound, 1 scene": (2.7, "at most"),
    "forward against bound, 16 scenes": (2.0, "at most"),
    "adjoint against bound, 16 scenes": (2.0, "at most"),
    "forward against bound, 64 scenes": (1.3, "at most"),
    "adjoint against bound, 64 scenes": (1.3, "at most"),
    "tikhonov against forward + adjoint": (1.5, "at most"),
    "operator memory, MB": (150.0, "at most"),
    "range profiles against exact, every pair": (10.0, "at least"),
    "range profiles against exact, scan": (10.0, "at least"),
    "range profiles' error, every pair, dB": (-50.0, "at most"),
    "range profiles' error, scan, dB": (-50.0, "at most"),
}


def dense_matrix(acquisition: Acquisition) -> torch.Tensor:
    """Make the published operator, the matrix of all terms: complex128 ``(n_freq, n_tx, n_rx, n_x, n_y, n_z)``."""
    A = BornOperator.of(acquisition, dtype=torch.complex128)
    out = torch.empty((*A.measurement_shape, *A.volume_shape), dtype=torch.complex128)
    step = 2048
    flat = out.view(-1, acquisition.grid.n_voxel)
    for first in range(0, acquisition.grid.n_voxel, step):
        last = min(first + step, acquisition.grid.n_voxel)
        flat[:, first:last] = A.columns(first, last)
    return out


def terms(acquisition: Acquisition) -> int:
    """Return the number of terms that one forward or adjoint of a scene sums: frequencies x channels x voxels."""
    return acquisition.sweep.n_freq * acquisition.array.n_channel * acquisition.grid.n_voxel


def rounds(actions: dict[str, Callable[[], object]], *, n: int) -> dict[str, list[float]]:
    """Measure the seconds of every action in each of `n` rounds, after a first round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(n + 1):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(above: list[float], below: list[float], scale: float = 1.0) -> float:
    """Return the median over rounds of ``above / (scale * below)``."""
    return statistics.median(a / (scale * b) for a, b in zip(above, below, strict=True))


def measure(*, n_rounds: int = 15, progress: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Measure everything; returns plain numbers by name, as ``--json`` prints them."""
    acquisition = paper_acquisition()
    rng = torch.Generator().manual_seed(0)
    square = torch.randn(SQUARE, SQUARE, dtype=torch.complex64, generator=rng)
    result: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "kernels": _kernels.instruction_set() or "torch",
        "rounds": n_rounds,
        "size": {"n_freq": 15, "n_tx": 12, "n_rx": 13, "voxels": list(acquisition.grid.shape)},
    }
    ratios: dict[str, float] = {}
    seconds: dict[str, float] = {}
    A = BornOperator.of(acquisition)
    x = torch.randn(64, *A.volume_shape, dtype=A.dtype, generator=rng)
    y = A.forward(x)

    progress("operator against the bound")
    unit = terms(acquisition) / SQUARE**3
    for n in (1, 16, 64):
        times = rounds(
            {
                "product": lambda: square @ square,
                "forward": lambda n=n: A.forward(x[:n]),  # type: ignore[misc]
                "adjoint": lambda n=n: A.adjoint(y[:n]),  # type: ignore[misc]
            },
            n=4 * n_rounds if n == 1 else n_rounds,
        )
        scenes = "1 scene" if n == 1 else f"{n} scenes"
        for name in ("forward", "adjoint"):
            ratios[f"{name} against bound, {scenes}"] = ratio(times[name], times["product"], n * unit)
            seconds[f"{name}, {scenes}"] = statistics.median(times[name])
        seconds[f"bound, {scenes}"] = n * unit * statistics.median(times["product"])
        result["complex64 product rate, Gop/s"] = OPERATIONS * SQUARE**3 / statistics.median(times["product"]) / 1e9

    progress("operator against the dense matrix")
    times, result["largest difference from dense, relative"] = _against_dense(acquisition, x[0], max(3, n_rounds // 3))
    for name in ("forward", "adjoint"):
        ratios[f"{name} against dense"] = ratio(times[f"dense {name}"], times[name])
        seconds[f"dense {name}, 1 scene"] = statistics.median(times[f"dense {name}"])

    progress("tikhonov")
    started = time.perf_counter()
    factor = GramFactor.of(A, cache=False)
    seconds["factorisation, once"] = time.perf_counter() - started
    times = rounds(
        {
            "tikhonov": lambda: factor.tikhonov(y[:1]),
            "pair": lambda: (A.forward(x[:1]), A.adjoint(y[:1])),
            "backprojection": lambda: backproject(y[0], A),
            "kirchhoff": lambda: kirchhoff(y[0], A),
        },
        n=2 * n_rounds,
    )
    ratios["tikhonov against forward + adjoint"] = ratio(times["tikhonov"], times["pair"])
    for name in ("tikhonov", "backprojection", "kirchhoff"):
        seconds[f"{name}, 1 scene"] = statistics.median(times[name])

    progress("range profiles at many frequencies")
    range_times, range_errors = measure_ranges(rounds, n_rounds=max(3, n_rounds // 3))
    for name, pair in range_times.items():
        ratios[f"range profiles against exact, {name}"] = ratio(pair["exact"], pair["fast"])
        ratios[f"range profiles' error, {name}, dB"] = range_errors[name]
        for way in ("exact", "fast"):
            seconds[f"{way} back-projection, {N_FREQ} frequencies, {name}"] = statistics.median(pair[way])

    progress("memory")
    result["memory, MB"] = {kind: _memory(kind) for kind in ("operator", "dense")}
    if result["memory, MB"]["operator"] is not None:
        ratios["operator memory, MB"] = result["memory, MB"]["operator"]

    progress("growth with size")
    result["growth"] = list(growth(n_rounds=max(3, n_rounds // 3)))
    throughput = acquisition.array.n_channel * acquisition.grid.n_voxel / seconds["backprojection, 1 scene"]
    result["back-projections a second"] = throughput
    result["terms a second"] = throughput * acquisition.sweep.n_freq
    result["seconds"] = seconds
    result["ratios"] = ratios
    result["targets"] = [
        {"what": what, "asked": f"{kind} {bound:g}", "measured": ratios[what], "met": _met(ratios[what], bound, kind)}
        for what, (bound, kind) in TARGETS.items()
        if what in ratios
    ]
    return result


def _against_dense(acquisition: Acquisition, x: torch.Tensor, n_rounds: int) -> tuple[dict[str, list[float]], float]:
    """Measure the seconds of both operators in each round, and their largest relative difference."""
    A, dense = BornOperator.of(acquisition), dense_matrix(acquisition)
    y = A.forward(x)
    wide_x, wide_y = x.to(dense.dtype), y.to(dense.dtype)
    expected = torch.einsum("ktrxyz,xyz->ktr", dense, wide_x)
    times = rounds(
        {
            "forward": lambda: A.forward(x),
            "adjoint": lambda: A.adjoint(y),
            "dense forward": lambda: torch.einsum("ktrxyz,xyz->ktr", dense, wide_x),
            "dense adjoint": lambda: torch.einsum("ktrxyz,ktr->xyz", torch.conj(dense), wide_y),
        },
        n=n_rounds,
    )
    return times, float((y - expected).abs().max() / expected.abs().max())


def _met(value: float, bound: float, kind: str) -> bool:
    return value >= bound if kind == "at least" else value <= bound


def growth(*, n_rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the seconds of forward and adjoint at three numbers each of voxels, channels and frequencies."""
    sizes: dict[str, list[tuple[int, Acquisition]]] = {
        "voxels": [
            (int(np.prod(s)), Acquisition(paper_array(), paper_sweep(), paper_grid(s)))
            for s in ((13, 13, 25), (25, 25, 49), (49, 49, 97))
        ],
        "channels": [
            (t * r, Acquisition(paper_array(n_tx=t, n_rx=r), paper_sweep(), paper_grid()))
            for t, r in ((6, 7), (12, 13), (24, 25))
        ],
        "frequencies": [(f, paper_acquisition(f)) for f in (8, 15, 30)],
    }
    for name, settings in sizes.items():
        for count, acquisition in settings:
            A = BornOperator.of(acquisition)
            x = torch.ones(A.volume_shape, dtype=A.dtype)
            y = A.forward(x)
            actions: dict[str, Callable[[], object]] = {
                "forward": lambda A=A, x=x: A.forward(x),  # type: ignore[misc]
                "adjoint": lambda A=A, y=y: A.adjoint(y),  # type: ignore[misc]
            }
            times = rounds(actions, n=n_rounds)
            medians = {k: statistics.median(v) for k, v in times.items()}
            yield {"axis": name, "count": count, **medians}


_MEMORY_PROGRAM = """
import json, re, sys, torch
from pathlib import Path
from mimo import BornOperator
from mimo.bench.operators import dense_matrix, paper_acquisition
acquisition = paper_acquisition()
torch.randn(512, 512, dtype=torch.complex64) @ torch.randn(512, 512, dtype=torch.complex64)
x = torch.ones(acquisition.grid.shape, dtype=torch.complex64)
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
before = peak()
if sys.argv[1] == "dense":
    A = dense_matrix(acquisition)
    y = torch.einsum("ktrxyz,xyz->ktr", A, x.to(A.dtype))
else:
    A = BornOperator.of(acquisition)
    A.adjoint(A.forward(x))
print(json.dumps((peak() - before) * 1024 / 1e6))
"""


def _memory(kind: str) -> float | None:
    """Measure the peak memory, MB, that making and applying an operator adds in a new process; ``None`` off Linux."""
    if not Path("/proc/self/status").exists():
        return None
    command = [sys.executable, "-c", _MEMORY_PROGRAM, kind]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))  # noqa: S603


def table(result: dict[str, Any]) -> str:
    """Format the result of `measure` as a table of text."""
    memory = result["memory, MB"]
    lines = [
        f"{result['size']['voxels']} voxels, {result['size']['n_freq']} frequencies, "
        f"{result['size']['n_tx']} x {result['size']['n_rx']} antennas; {result['threads']} threads, "
        f"kernels: {result['kernels']}; medians of {result['rounds']} rounds or more",
        f"complex64 matrix product: {result['complex64 product rate, Gop/s']:.0f} Gop/s",
        "",
        f"{'what':<42}{'asked':>16}{'measured':>12}",
    ]
    lines += [
        f"{t['what']:<42}{t['asked']:>16}{t['measured']:>12.2f}{'' if t['met'] else '  not met'}"
        for t in result["targets"]
    ]
    lines += ["", f"{'seconds':<40}{'':>16}{'median':>12}"]
    lines += [f"{name:<56}{1e3 * value:>9.2f} ms" for name, value in result["seconds"].items()]
    lines += [
        "",
        f"{result['back-projections a second']:.3g} back-projections a second (channels x voxels), "
        f"{result['terms a second']:.3g} terms a second",
        "memory: "
        + ", ".join(f"{kind} {'not measured' if mb is None else f'{mb:.0f} MB'}" for kind, mb in memory.items()),
        f"largest difference from the dense matrix: {result['largest difference from dense, relative']:.1e} relative",
        "",
        f"{'growth with':<16}{'count':>10}{'forward':>12}{'adjoint':>12}",
    ]
    lines += [
        f"{g['axis']:<16}{g['count']:>10}{1e3 * g['forward']:>9.2f} ms{1e3 * g['adjoint']:>9.2f} ms"
        for g in result["growth"]
    ]
    return "\n".join(lines)
