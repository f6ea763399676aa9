"""Measure back-projection through range profiles against the exact sum, at many frequencies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mimo import ArrayGeometry, FrequencySweep, ImagingOperator, VoxelGrid, backproject, backproject_fast, born_operator

__all__ = ["N_FREQ", "measure_ranges", "range_settings"]

N_FREQ = 424


def range_settings() -> dict[str, ImagingOperator]:
    """Make two operators by name: the papers' array and grid, and a monostatic arc 10 km from a scene of 100 m."""
    near = born_operator(
        ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3),
        FrequencySweep.linear(4e9, 16e9, N_FREQ),
        VoxelGrid.from_extent(x=(-0.15, 0.15, 25), y=(-0.15, 0.15, 25), z=(0.35, 0.65, 49)),
    )
    angle = np.deg2rad(np.linspace(0, 2, 234))
    arc = np.stack([7100 * np.cos(angle), 7100 * np.sin(angle), np.full_like(angle, 7300)], axis=1)
    index = np.arange(len(arc))
    far = born_operator(
        ArrayGeometry(arc, arc, np.stack([index, index], axis=1)),
        FrequencySweep.linear(9.29e9, 9.91e9, N_FREQ),
        VoxelGrid.from_extent(x=(-50, 50, 251), y=(-50, 50, 251), z=(0, 0, 1)),
        reference_path=2 * np.linalg.norm(arc, axis=1),
    )
    return {"every pair": near, "scan": far}


def measure_ranges(
    rounds: Callable[..., dict[str, list[float]]], *, n_rounds: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure the times of both ways in each round, and the largest error in an image of noise, dB, by operator."""
    times: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for name, A in range_settings().items():
        y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
        times[name] = rounds(
            {"exact": lambda A=A, y=y: backproject(y, A), "fast": lambda A=A, y=y: backproject_fast(y, A)}, n=n_rounds
        )
        exact = backproject(y, A)
        errors[name] = 20 * math.log10(float((backproject_fast(y, A) - exact).abs().max() / exact.abs().max()))
    return times, errors
