"""Geometries that every operator is tested on: all sizes differ, so that swapped axes fail. A new operator adds a line."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from mimo import (
    ArrayGeometry,
    CosinePattern,
    FrequencySweep,
    LayeredMedium,
    TablePattern,
    VoxelGrid,
    born_operator,
)

SWEEP = FrequencySweep.linear(4e9, 16e9, 4)
UNEVEN = FrequencySweep([4e9, 4.7e9, 9.1e9, 16e9])
LONG = FrequencySweep.linear(4e9, 16e9, 37)  # more frequencies than advance from one exponential
GRID = VoxelGrid.from_extent(x=(-0.15, 0.12, 5), y=(-0.11, 0.15, 7), z=(0.35, 0.65, 11))
ARRAY = ArrayGeometry.random_planar(n_tx=2, n_rx=3, width=0.3, height=0.24, seed=3)
WIDE = ArrayGeometry.random_planar(n_tx=7, n_rx=5, width=0.3, height=0.24, seed=4)
TILTED = ArrayGeometry(
    ARRAY.tx_pos,
    ARRAY.rx_pos,
    tx_normal=[[0.1, 0.2, 1.0], [0, 0, 2.0]],
    rx_normal=[[0, -0.3, 1.0], [0.2, 0, 1.0], [0, 0, 1.0]],
)
MASKED = ARRAY.with_mask([[True, False, True], [True, True, True]])
PAIRED = ArrayGeometry(ARRAY.tx_pos, ARRAY.rx_pos, channels=[[0, 0], [1, 2], [1, 0], [0, 1], [1, 1]])
SCAN = ArrayGeometry.planar_scan(shape=(2, 3), width=0.2, height=0.3)
FLAT = VoxelGrid.from_extent(x=(-0.1, 0.1, 3), y=(-0.1, 0.1, 5), z=(0.5, 0.5, 1))
POINT = VoxelGrid.from_extent(x=(0.01, 0.01, 1), y=(0.02, 0.02, 1), z=(0.5, 0.5, 1))
SKEW = VoxelGrid(x=[-0.1, 0.0, 0.05], y=[0.01, 0.02, 0.09, 0.1], z=[0.4, 0.5])

WALL = LayeredMedium(interfaces=[0.1, 0.4, 0.52], permittivity=[1.0, 4.0, 2.5, 1.2])
PATHS = np.linspace(0.3, 1.7, 6).reshape(2, 3)
LIST_PATHS = [0.9, 1.3, 0.2, 2.0, 1.1]
HORN = TablePattern(
    angle=[0, 0.3, 0.9, 2.2],
    freq=[3e9, 8e9, 17e9],
    values=[[1, 1.5, 2 + 1j], [0.8, 0.9j, 1], [0.3, 0.2 - 0.1j, 0.1], [0.1, 0, 0.05]],
)
DIPOLE = TablePattern(angle=[0, 0.8, 2.0], freq=[5e9], values=[[1.0], [0.7], [0.1]])


class Case(NamedTuple):
    """A geometry, and the options of its operator."""

    array: ArrayGeometry
    sweep: FrequencySweep
    grid: VoxelGrid
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed


CASES: dict[str, Case] = {
    "full": Case(ARRAY, SWEEP, GRID),
    "uneven sweep": Case(ARRAY, UNEVEN, GRID),
    "long sweep": Case(ARRAY, LONG, FLAT),
    "many antennas": Case(WIDE, SWEEP, FLAT),
    "permittivity": Case(ARRAY, SWEEP, GRID, {"permittivity": 8.0}),
    "normals": Case(TILTED, SWEEP, GRID),
    "mask": Case(MASKED, SWEEP, GRID),
    "one voxel": Case(ARRAY, SWEEP, POINT),
    "one frequency": Case(ARRAY, FrequencySweep([7e9]), GRID),
    "uneven grid": Case(ARRAY, SWEEP, SKEW),
    "paired": Case(PAIRED, SWEEP, GRID),
    "monostatic scan": Case(SCAN, LONG, FLAT),
    "reference path": Case(MASKED, SWEEP, GRID, {"reference_path": PATHS, "permittivity": 2.0}),
    "paired reference path": Case(PAIRED, LONG, FLAT, {"reference_path": LIST_PATHS}),
    "uneven paired sweep": Case(PAIRED, UNEVEN, SKEW, {"reference_path": LIST_PATHS}),
    "cosine pattern": Case(TILTED, SWEEP, GRID, {"pattern": CosinePattern(1.5)}),
    "table pattern": Case(TILTED, SWEEP, SKEW, {"pattern": (HORN, None)}),
    "paired pattern": Case(PAIRED, LONG, FLAT, {"pattern": (CosinePattern(2.0), DIPOLE)}),
    "paired table pattern": Case(PAIRED, SWEEP, SKEW, {"pattern": HORN}),
    "layers": Case(ARRAY, SWEEP, GRID, {"layers": WALL}),
    "layered scan": Case(SCAN, LONG, FLAT, {"layers": WALL, "reference_path": [*LIST_PATHS, 0.1]}),
}

PRECISIONS = (torch.complex64, torch.complex128)


def operator(case: str, dtype: torch.dtype = torch.complex64, **options):
    """The operator of a case."""
    array, sweep, grid, own = CASES[case]
    return born_operator(array, sweep, grid, dtype=dtype, **own, **options)


def channel_mask(array: ArrayGeometry) -> np.ndarray:
    """Which flattened channels carry data."""
    return np.ones(int(np.prod(array.measurement_shape)), bool) if array.mask is None else array.mask.flatten()
