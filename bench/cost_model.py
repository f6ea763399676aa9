"""Measure the time of back-projection against voxels, channels and frequencies, and what `mimo.recon.costs` predicts.

For a full array and for a planar scan one of these three counts grows at a time: a `Ladder` of sizes. Times are
processor times on one thread, which other programs on the machine disturb least, and the factors of the exact sum are
computed anew.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from mimo import ArrayGeometry, FrequencySweep, ImagingOperator, VoxelGrid, backproject, born_operator
from mimo.bench.large_arrays import FORMERS as FAST
from mimo.bench.large_arrays import frame
from mimo.data.jobs.tasks import one_thread
from mimo.recon.costs import crossings, predict

__all__ = ["FORMERS", "LADDERS", "Ladder", "cost_table", "measure_costs", "measured_seconds"]

FORMERS = {"backprojection": backproject, **FAST}
EXTENT, HIGHEST, BAND = 0.2, 82e9, 10e9


@dataclass(frozen=True)
class Ladder:
    """Holds growing sizes of array, sweep and grid, of which one grows while the other two stay at a base size.

    Attributes
    ----------
    array
        Makes an array with a number of antennas along one side.
    sides, far_sides
        Antennas along a side: the sizes that are measured, and larger ones that are only predicted. So are `freqs`
        and `far_freqs` for the frequencies, `ns` and `far_ns` for the grid.
    side, n_freq, n
        Base sizes of the array, of the sweep, and of the grid, which has ``n x n x n / 2`` voxels.
    """

    array: Callable[[int], ArrayGeometry]
    sides: tuple[int, ...]
    far_sides: tuple[int, ...]
    side: int
    n_freq: int = 64
    n: int = 26
    freqs: tuple[int, ...] = (4, 16, 64, 256)
    far_freqs: tuple[int, ...] = (1024,)
    ns: tuple[int, ...] = (8, 16, 32, 56)
    far_ns: tuple[int, ...] = (80, 112, 160)

    def operator(self, *, side: int = 0, n_freq: int = 0, n: int = 0) -> ImagingOperator:
        """Make the operator of the base sizes, or of those that are given."""
        n, half = n or self.n, EXTENT / 2
        grid = VoxelGrid.from_extent(x=(-half, half, n), y=(-half, half, n), z=(0.3, 0.4, n // 2))
        return born_operator(
            self.array(side or self.side), FrequencySweep.linear(HIGHEST - BAND, HIGHEST, n_freq or self.n_freq), grid
        )

    def axes(self) -> dict[str, tuple[list[tuple[int, ImagingOperator]], int]]:
        """Return ascending counts and their operators along each axis, and how many of them to measure."""
        voxels = [self.operator(n=n) for n in (*self.ns, *self.far_ns)]
        channels = [self.operator(side=side) for side in (*self.sides, *self.far_sides)]
        frequencies = [self.operator(n_freq=n) for n in (*self.freqs, *self.far_freqs)]
        return {
            "voxels": ([(A.grid.n_voxel, A) for A in voxels], len(self.ns)),
            "channels": ([(A.array.n_channel, A) for A in channels], len(self.sides)),
            "frequencies": ([(A.sweep.n_freq, A) for A in frequencies], len(self.freqs)),
        }


def _scan(n: int) -> ArrayGeometry:
    return ArrayGeometry.planar_scan(shape=(n, n + 1), width=EXTENT)


def _sides(n: int) -> ArrayGeometry:
    return frame(n, EXTENT / (n + 1))


LADDERS = {
    "every pair": Ladder(_sides, sides=(3, 8, 20, 48), far_sides=(94, 188), side=16),
    "planar scan": Ladder(_scan, sides=(6, 16, 40, 100), far_sides=(200, 400), side=40),
}


def measured_seconds(A: ImagingOperator, method: str, *, n_rounds: int) -> float:
    """Measure the least processor seconds of one image; the operator is new each time, so that nothing is reused."""
    y = torch.randn(A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    least = math.inf
    for _ in range(n_rounds):
        fresh = born_operator(A.array, A.sweep, A.grid)
        started = time.process_time()
        FORMERS[method](y, fresh)
        least = min(least, time.process_time() - started)
    return least


def measure_costs(
    *,
    n_rounds: int = 2,
    ladders: dict[str, Ladder] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Predict and measure the seconds of every ladder; returns plain numbers by name, as ``--json`` prints them."""
    result: dict[str, Any] = {"rounds": n_rounds, "ladders": {}}
    ratios: dict[str, list[float]] = {}
    with one_thread():
        for name, ladder in (LADDERS if ladders is None else ladders).items():
            base = ladder.operator()
            for method in predict(base, all_ways=True):  # what is made once for a process
                measured_seconds(ladder.operator(n=8), method, n_rounds=1)
            axes: dict[str, Any] = {}
            for axis, (steps, n_measured) in ladder.axes().items():
                progress(f"{name}, {axis}")
                axes[axis] = _along(steps, n_measured, n_rounds)
                for method, measured in axes[axis]["measured"].items():
                    pairs = zip(measured, axes[axis]["predicted"][method][:n_measured], strict=True)
                    ratios.setdefault(method, []).extend(m / p for m, p in pairs)
            result["ladders"][name] = {
                "base": {
                    "voxels": base.grid.n_voxel,
                    "channels": base.array.n_channel,
                    "frequencies": base.sweep.n_freq,
                },
                "axes": axes,
            }
    result["measured over predicted"] = {method: statistics.median(each) for method, each in ratios.items()}
    return result


def _along(steps: list[tuple[int, ImagingOperator]], n_measured: int, n_rounds: int) -> dict[str, Any]:
    """Predict the seconds of all sizes, and measure those of the first ones."""
    counts = [count for count, _ in steps]
    each = [predict(A, all_ways=True) for _, A in steps]
    methods = [method for method in each[0] if all(method in seconds for seconds in each)]
    predicted = {method: [seconds[method] for seconds in each] for method in methods}
    near = [A for _, A in steps[:n_measured]]
    measured = {m: [measured_seconds(A, m, n_rounds=n_rounds) for A in near] for m in predicted}
    return {
        "count": counts,
        "predicted": predicted,
        "measured": measured,
        "crossings": {"predicted": crossings(counts, predicted), "measured": crossings(counts[:n_measured], measured)},
    }


def cost_table(result: dict[str, Any]) -> str:
    """Format the result of `measure_costs` as a table of text."""
    lines = ["processor seconds of one scene, one thread: measured (predicted), or predicted alone in brackets"]
    for name, ladder in result["ladders"].items():
        base = ", ".join(f"{count:,} {axis}" for axis, count in ladder["base"].items())
        lines += ["", f"{name}; where not along the axis: {base}"]
        for axis, found in ladder["axes"].items():
            lines.append(f"  {axis:<26}" + "".join(f"{count:>17,}" for count in found["count"]))
            for method, predicted in found["predicted"].items():
                pairs = itertools.zip_longest(found["measured"][method], predicted)
                lines.append(f"    {method:<25}" + "".join(f"{_pair(m, p):>17}" for m, p in pairs))
    lines += ["", "crossing points"]
    for name, ladder in result["ladders"].items():
        for axis, found in ladder["axes"].items():
            lines += [f"  {name}, {axis}: {text}" for text in _crossings(found["crossings"])]
    lines += ["", "measured over predicted, median"]
    lines += [f"  {method:<26}{value:>8.2f}" for method, value in result["measured over predicted"].items()]
    return "\n".join(lines)


def _pair(measured: float | None, predicted: float) -> str:
    return f"({predicted:.2g})" if measured is None else f"{measured:.2g} ({predicted:.2g})"


def _crossings(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    by_pair: dict[tuple[str, str], dict[str, float]] = {}
    for kind, each in found.items():
        for one in each:
            by_pair.setdefault((one["from"], one["to"]), {})[kind] = one["count"]
    for (before, after), counts in by_pair.items():
        told = [f"{kind} {counts[kind]:,.0f}" for kind in ("predicted", "measured") if kind in counts]
        yield f"{before} to {after} at {', '.join(told)}"
