"""Geometries that every operator is tested on: all sizes differ, so that swapped axes fail. A new operator adds a line."""

from __future__ import annotations

import numpy as np
import torch

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, born_operator

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

CASES: dict[str, tuple[ArrayGeometry, FrequencySweep, VoxelGrid, float]] = {
    "full": (ARRAY, SWEEP, GRID, 1.0),
    "uneven sweep": (ARRAY, UNEVEN, GRID, 1.0),
    "long sweep": (ARRAY, LONG, FLAT, 1.0),
    "many antennas": (WIDE, SWEEP, FLAT, 1.0),
    "permittivity": (ARRAY, SWEEP, GRID, 8.0),
    "normals": (TILTED, SWEEP, GRID, 1.0),
    "mask": (MASKED, SWEEP, GRID, 1.0),
    "one voxel": (ARRAY, SWEEP, POINT, 1.0),
    "one frequency": (ARRAY, FrequencySweep([7e9]), GRID, 1.0),
    "uneven grid": (ARRAY, SWEEP, SKEW, 1.0),
    "paired": (PAIRED, SWEEP, GRID, 1.0),
    "monostatic scan": (SCAN, LONG, FLAT, 1.0),
}

PRECISIONS = (torch.complex64, torch.complex128)


def operator(case: str, dtype: torch.dtype = torch.complex64, **options):
    """The operator of a case."""
    array, sweep, grid, permittivity = CASES[case]
    return born_operator(array, sweep, grid, permittivity=permittivity, dtype=dtype, **options)


def channel_mask(array: ArrayGeometry) -> np.ndarray:
    """Which flattened channels carry data."""
    return np.ones(int(np.prod(array.measurement_shape)), bool) if array.mask is None else array.mask.flatten()
