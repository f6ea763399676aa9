"""Measure image formers at the sizes of scanners: time, memory and error (``mimo bench --large``).

Every method runs in a process of its own, so that its peak memory can be measured. The measurement holds the echoes of
40 points and noise of the same power. Errors are those at 1,000 voxels, the crossings of ten randomly drawn planes
along each axis, against the exact sum in complex128. The time of the exact sum is proportional to the number of voxels
and is extrapolated from a small part of the grid.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mimo import (
    ArrayGeometry,
    FrequencySweep,
    ImagingOperator,
    VoxelGrid,
    backproject,
    backproject_factorised,
    backproject_fast,
    born_operator,
    range_migration,
)

__all__ = [
    "FORMERS",
    "frame",
    "large_settings",
    "large_table",
    "measure_large",
    "measure_one",
    "measurement",
    "peak_mb",
]

BAND = FrequencySweep.linear(72e9, 82e9, 128)
PLANES = 10
FORMERS: dict[str, Callable[[torch.Tensor, ImagingOperator], torch.Tensor]] = {
    "backprojection-fast": backproject_fast,
    "backprojection-factorised": backproject_factorised,
    "range-migration": range_migration,
}


def frame(n: int, pitch: float = 3e-3) -> ArrayGeometry:
    """Make a square array: `n` transmitters on each of two opposite sides, `n` receivers on each of the other two."""
    side, edge = (np.arange(n) - (n - 1) / 2) * pitch, np.full(n, (n + 1) / 2 * pitch)
    along, across, flat = np.concatenate([side, side]), np.concatenate([edge, -edge]), np.zeros(2 * n)
    return ArrayGeometry(np.column_stack([along, across, flat]), np.column_stack([across, along, flat]))


def large_settings() -> dict[str, tuple[ImagingOperator, tuple[str, ...], int]]:
    """Return operators by name, the methods measured on each, and the edge in voxels of a block of the exact sum."""
    hand_held = VoxelGrid.from_extent(x=(-0.127, 0.127, 128), y=(-0.127, 0.127, 128), z=(0.25, 0.376, 64))
    scanned = VoxelGrid.from_extent(x=(-0.1, 0.1, 200), y=(-0.1, 0.1, 200), z=(0.25, 0.40, 128))
    scan = ArrayGeometry.planar_scan(shape=(200, 200), width=0.199)
    ways = ("backprojection-factorised", "backprojection-fast")
    return {
        "94 x 94": (born_operator(frame(47), BAND, hand_held), ways, 24),
        "188 x 188": (born_operator(frame(94), BAND, hand_held), ways, 16),
        "scan 200 x 200": (born_operator(scan, BAND, scanned), ("range-migration",), 8),
    }


def measurement(A: ImagingOperator) -> torch.Tensor:
    """Make the measurement: echoes of 40 voxels of the grid, and complex noise of the same power."""
    rng = np.random.default_rng(0)
    points = np.stack([axis[rng.choice(len(axis), 40)] for axis in (A.grid.x, A.grid.y, A.grid.z)], axis=1)
    y = torch.zeros(A.measurement_shape, dtype=A.dtype)
    for point in points:
        one = VoxelGrid(*(point[[i]] for i in range(3)))
        y += born_operator(A.array, A.sweep, one).forward(torch.ones(1, 1, 1))
    noise = torch.randn(*y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(0))
    return y / y.abs().square().mean().sqrt() + noise


def measure_one(setting: str, method: str, *, n_rounds: int = 2) -> dict[str, Any]:
    """Measure least seconds, peak memory in MB and errors of a method; of ``"exact"``, the exact sum, only seconds."""
    A, _, block = large_settings()[setting]
    y = measurement(A)
    rng = np.random.default_rng(1)
    which = [np.sort(rng.choice(len(axis), PLANES, replace=False)) for axis in (A.grid.x, A.grid.y, A.grid.z)]
    if method == "exact":
        return {"seconds": _exact_seconds(A, y, block)}
    seconds, image = math.inf, torch.empty(0)
    for _ in range(n_rounds):
        started = time.perf_counter()
        image = FORMERS[method](y, A)
        seconds = min(seconds, time.perf_counter() - started)
    planes = VoxelGrid(*(axis[i] for axis, i in zip((A.grid.x, A.grid.y, A.grid.z), which, strict=True)))
    exact = backproject(y.to(torch.complex128), born_operator(A.array, A.sweep, planes, dtype=torch.complex128))
    here = image[np.ix_(*which)].to(torch.complex128)
    a, b = here.abs().flatten(), exact.abs().flatten()
    return {
        "seconds": seconds,
        "peak memory, MB": peak_mb(),
        "largest error, dB of the image's maximum": 20
        * math.log10(float((here - exact).abs().max() / image.abs().max())),
        "rms error, dB of the rms": 20 * math.log10(float((here - exact).norm() / exact.norm())),
        "correlation of magnitudes": float(a @ b / (a.norm() * b.norm())),
    }


def _exact_seconds(A: ImagingOperator, y: torch.Tensor, block: int) -> float:
    """Estimate the seconds of the exact sum over the whole grid, from a block at its middle and one at its end."""
    spent, voxels = 0.0, 0
    for place in (0.5, 1.0):
        axes = []
        for axis in (A.grid.x, A.grid.y, A.grid.z):
            first = round(place * (len(axis) - min(block, len(axis))))
            axes.append(axis[first : first + block])
        part = born_operator(A.array, A.sweep, VoxelGrid(*axes))
        started = time.perf_counter()
        backproject(y, part)
        spent += time.perf_counter() - started
        voxels += part.grid.n_voxel
    return spent * A.grid.n_voxel / voxels


def peak_mb() -> float:
    """Return the largest memory that this process has taken so far, MB; NaN on other systems than Linux."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / 1e6 if found else math.nan


def measure_large(*, n_rounds: int = 2, progress: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Measure all methods on all arrays, each in a process of its own; about five minutes on two cores."""
    result: dict[str, Any] = {}
    for setting, (_, methods, _) in large_settings().items():
        result[setting] = {}
        for method in (*methods, "exact"):
            progress(f"{setting}, {method}")
            command = [sys.executable, "-m", "mimo.bench.large_arrays", setting, method, str(n_rounds)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            result[setting][method] = json.loads(done.stdout)
    return result


def large_table(result: dict[str, Any]) -> str:
    """Format the result of `measure_large` as a table of text."""
    head = (
        f"{'setting':<16}{'method':<28}{'seconds':>10}{'exact / it':>12}{'MB':>8}{'max dB':>9}{'rms dB':>9}{'corr.':>9}"
    )
    lines = [f"{torch.get_num_threads()} threads, {BAND.n_freq} frequencies", head]
    for setting, methods in result.items():
        exact = methods["exact"]["seconds"]
        for method, found in methods.items():
            line = f"{setting:<16}{method:<28}{found['seconds']:>10.2f}{exact / found['seconds']:>12.1f}"
            if method != "exact":
                _, memory, largest, rms, correlation = found.values()
                line += f"{memory:>8.0f}{largest:>9.1f}{rms:>9.1f}{correlation:>9.5f}"
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(measure_one(sys.argv[1], sys.argv[2], n_rounds=int(sys.argv[3]))))
    else:
        measured = measure_large(progress=lambda text: print(f"measuring: {text}", file=sys.stderr))
        print(json.dumps(measured, indent=2) if "--json" in sys.argv else large_table(measured))
