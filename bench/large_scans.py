"""Measure the imaging of scans with boards of antennas, and solvers on rasters (a part of ``mimo bench --large``).

The board has one transmitter and four receivers and stands at 407 x 200 positions, 1 and 2 mm apart; its chirp has 256
samples from 77 to 80.6 GHz. It images a metal plate, 400 points half a wavelength apart, in 256 x 256 x 64 voxels. The
image is compared with the exact sum in complex128 in a part of the volume that holds a corner of the plate.

The solvers' raster has 100 x 100 positions, monostatic, and 128 x 128 x 32 voxels with points in noise. Each row is
measured in a process of its own.
"""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mimo import (
    Acquisition,
    ArrayGeometry,
    FastOperator,
    FrequencySweep,
    ImagingOperator,
    VoxelGrid,
    backproject,
    born_operator,
    range_migration,
)
from mimo.bench.large_arrays import peak_mb
from mimo.fast.fft_engine import ENGINES, fft_rows
from mimo.recon.registry import Problem, find_method

__all__ = [
    "board_scan",
    "exact_seconds",
    "fft_times",
    "measure_scan",
    "measure_scans",
    "measure_solver",
    "raster",
    "scans_table",
]

SOLVERS = ("l1", "pnp")
FFT_ROWS, FFT_LENGTH = 4096, 1024
N_POINT, APART, DEEP = 40, 10, 4
"""Points of the solvers' scene, voxels across from one to the next at least, and how far along z each may be off."""

CORNER = (16, 16, 4)
"""Voxels of the part of the volume in which the image is compared."""


def board_scan(shape: tuple[int, int] = (407, 200), voxels: tuple[int, int, int] = (256, 256, 64)) -> ImagingOperator:
    """Make the operator of a board with one transmitter and four receivers at `shape` positions of a scanner."""
    steps = (1e-3, 2e-3)
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, steps, strict=True)]
    at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    at = np.column_stack([at, np.zeros(len(at))])
    board = np.array([[0.0, 0.018 + 1.9e-3 * i, 0.0] for i in range(4)])
    rx_pos = (at[:, None] + board).reshape(-1, 3)
    channels = np.array([*itertools.product(range(len(at)), range(4))])
    channels[:, 1] += 4 * channels[:, 0]
    x, y, z = ((n - 1) / 2 * step for n, step in zip(voxels, (1e-3, 1e-3, 2e-3), strict=True))
    grid = VoxelGrid.from_extent(x=(-x, x, voxels[0]), y=(-y, y, voxels[1]), z=(0.25, 0.25 + 2 * z, voxels[2]))
    return born_operator(ArrayGeometry(at, rx_pos, channels), FrequencySweep.linear(77e9, 80.6e9, 256), grid)


def raster(n: int = 100, voxels: tuple[int, int, int] = (128, 128, 32)) -> FastOperator:
    """Make the fast operator of a monostatic raster of n x n positions, 2 mm apart."""
    scan = ArrayGeometry.planar_scan(shape=(n, n), width=2e-3 * (n - 1))
    x, y, z = ((count - 1) / 2 * step for count, step in zip(voxels, (1e-3, 1e-3, 2e-3), strict=True))
    grid = VoxelGrid.from_extent(x=(-x, x, voxels[0]), y=(-y, y, voxels[1]), z=(0.25, 0.25 + 2 * z, voxels[2]))
    return FastOperator(Acquisition(scan, FrequencySweep.linear(77e9, 81e9, 64), grid))


def _plate(A: ImagingOperator, n: int = 20) -> tuple[VoxelGrid, torch.Tensor]:
    """Return the echoes of a plate at the middle depth as a grid, and the measurement."""
    side = np.asarray((np.arange(n) - (n - 1) / 2) * 1.9e-3, np.float64)
    plate = VoxelGrid(side, side, A.grid.z[[len(A.grid.z) // 2]])
    return plate, born_operator(A.array, A.sweep, plate).forward(torch.ones(plate.shape))


def measure_scan(A: ImagingOperator, *, n_rounds: int = 1) -> dict[str, float]:
    """Measure range migration of a board's scan: seconds, processor seconds, peak memory and errors at a corner."""
    plate, y = _plate(A)
    seconds, spent, image = math.inf, math.inf, torch.empty(0)
    for _ in range(n_rounds):
        started, before = time.perf_counter(), time.process_time()
        image = range_migration(y, A)
        seconds = min(seconds, time.perf_counter() - started)
        spent = min(spent, time.process_time() - before)
    peak = peak_mb()
    parts = []
    for axis, edge, n in zip(
        (A.grid.x, A.grid.y, A.grid.z), (plate.x[-1], plate.y[-1], plate.z[0]), CORNER, strict=True
    ):
        first = min(max(0, int(np.abs(axis - edge).argmin()) - n // 2), max(0, len(axis) - n))
        parts.append(slice(first, first + n))
    corner = VoxelGrid(*(axis[part] for axis, part in zip((A.grid.x, A.grid.y, A.grid.z), parts, strict=True)))
    exact = backproject(y.to(torch.complex128), born_operator(A.array, A.sweep, corner, dtype=torch.complex128))
    here = image[parts[0], parts[1], parts[2]].to(torch.complex128)
    a, b = here.abs().flatten(), exact.abs().flatten()
    return {
        "seconds": seconds,
        "processor seconds": spent,
        "peak memory, MB": peak,
        "largest error, dB of the image's maximum": 20
        * math.log10(float((here - exact).abs().max() / image.abs().max())),
        "rms error, dB of the rms": 20 * math.log10(float((here - exact).norm() / exact.norm())),
        "correlation of magnitudes": float(a @ b / (a.norm() * b.norm())),
    }


def exact_seconds(A: ImagingOperator, block: int = 8) -> dict[str, float]:
    """Extrapolate the seconds of the exact sum, on the clock and of the processor, from a block of voxels."""
    axes = (A.grid.x, A.grid.y, A.grid.z)
    part = VoxelGrid(*(axis[(len(axis) - block) // 2 :][:block] for axis in axes))
    small = born_operator(A.array, A.sweep, part)
    y = torch.randn(A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    started, before = time.perf_counter(), time.process_time()
    backproject(y, small)
    more = A.grid.n_voxel / part.n_voxel
    return {
        "seconds": (time.perf_counter() - started) * more,
        "processor seconds": (time.process_time() - before) * more,
    }


def measure_solver(A: FastOperator, method: str) -> dict[str, float]:
    """Measure a solver on a raster with fast sums, and whether its image is right: points where they were planted.

    The scene is `N_POINT` points of random phase in noise of 20 dB. An image is compared with it by its correlation of
    magnitudes, and so is that of range migration; a point is *found* where the image has, within a voxel across and
    `DEEP` voxels along z, a local maximum of at least a tenth of its largest value.
    """
    rng = torch.Generator().manual_seed(0)
    truth = _points(A.volume_shape)
    y = A.forward(torch.polar(truth, 2 * math.pi * torch.rand(truth.shape, generator=rng)))
    std = 0.1 * float(y.abs().square().mean().sqrt())
    y = y + std * torch.randn(y.shape, dtype=y.dtype, generator=rng)
    started, before = time.perf_counter(), time.process_time()
    made = find_method(method).run(Problem(A, y[None], torch.tensor([std], dtype=torch.float64)))
    found = {"seconds": time.perf_counter() - started, "processor seconds": time.process_time() - before}
    image = made.image[0].abs()
    return found | {
        "peak memory, MB": peak_mb(),
        "iterations": made.iterations,
        "correlation of magnitudes": _correlation(image, truth),
        "correlation of range migration": _correlation(range_migration(y, A).abs(), truth),
        "points found": _found(image, truth),
    }


def _points(shape: tuple[int, int, int]) -> torch.Tensor:
    """Return `N_POINT` voxels of magnitude 1, each in a column of its own that is far from all others."""
    columns = [(i, j) for i in range(APART // 2, shape[0], APART) for j in range(APART // 2, shape[1], APART)]
    rng = np.random.default_rng(0)
    truth = torch.zeros(shape)
    for i, j in rng.permutation(columns)[:N_POINT]:
        truth[i, j, rng.integers(shape[2])] = 1
    return truth


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a.flatten() @ b.flatten() / (a.norm() * b.norm()))


def _found(image: torch.Tensor, truth: torch.Tensor) -> int:
    """Count the points that an image has a local maximum at."""
    around = torch.nn.functional.max_pool3d(image[None, None], (3, 3, 2 * DEEP + 1), 1, (1, 1, DEEP))[0, 0]
    wide = (APART // 2 * 2 + 1, APART // 2 * 2 + 1, image.shape[2] * 2 + 1)
    far = torch.nn.functional.max_pool3d(image[None, None], wide, 1, [n // 2 for n in wide])[0, 0]
    return int(((around == far) & (around > image.max() / 10) & (truth > 0)).sum())


def fft_times(n_rounds: int = 5) -> dict[str, float]:
    """Return the least seconds of 4,096 transforms of length 1,024 by each engine that is there."""
    rows = torch.randn(FFT_ROWS, FFT_LENGTH, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    times: dict[str, float] = {}
    for engine, _ in itertools.product(ENGINES, range(n_rounds)):
        started = time.perf_counter()
        try:
            fft_rows(rows, FFT_LENGTH, engine=engine)
        except ImportError:
            continue
        times[engine] = min(times.get(engine, math.inf), time.perf_counter() - started)
    return times


def measure_scans(*, n_rounds: int = 1, progress: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Measure every row, each in a process of its own: ``{"board ...": {...}, "raster ...": {...}, "FFT": {...}}``."""
    result: dict[str, Any] = {"board 407 x 200": {}, "raster 100 x 100": {}}
    for setting, method in (
        *(("board 407 x 200", name) for name in ("range-migration", "exact")),
        *(("raster 100 x 100", name) for name in SOLVERS),
    ):
        progress(f"{setting}, {method}")
        command = [sys.executable, "-m", "mimo.bench.large_scans", method, str(n_rounds)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        result[setting][method] = json.loads(done.stdout)
    progress("FFT")
    result["FFT"] = fft_times()
    return result


def scans_table(result: dict[str, Any]) -> str:
    """Format the result of `measure_scans` as a table of text."""
    lines = [
        f"{'setting':<18}{'method':<17}{'seconds':>10}{'processor':>11}{'exact / it':>12}{'MB':>7}"
        f"{'max dB':>8}{'rms dB':>8}{'corr.':>9}"
    ]
    for setting, methods in result.items():
        if setting == "FFT":
            continue
        for method, found in methods.items():
            line = f"{setting:<18}{method:<17}{found['seconds']:>10.2f}{found['processor seconds']:>11.2f}"
            if method in SOLVERS:
                line += f"{found['iterations']:>9} it{found['peak memory, MB']:>7.0f}"
                line += f"{found['correlation of magnitudes']:>25.5f}"
                line += f" (migration {found['correlation of range migration']:.2f}), {found['points found']} points"
            elif method != "exact":
                _, spent, memory, largest, rms, correlation = found.values()
                more = methods["exact"]["processor seconds"] / spent
                line += f"{more:>12.0f}{memory:>7.0f}{largest:>8.1f}{rms:>8.1f}{correlation:>9.5f}"
            lines.append(line)
    engines = ", ".join(f"{name} {1e3 * seconds:.1f} ms" for name, seconds in result["FFT"].items())
    return "\n".join([*lines, f"{FFT_ROWS} FFTs of {FFT_LENGTH}: {engines}"])


def _measured(method: str, n_rounds: int) -> dict[str, float]:
    if method in SOLVERS:
        return measure_solver(raster(), method)
    A = board_scan()
    return exact_seconds(A) if method == "exact" else measure_scan(A, n_rounds=n_rounds)


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], int(sys.argv[2]))))
