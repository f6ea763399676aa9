"""The papers' array, band and volume: the defaults of the whole package, in one place."""

from __future__ import annotations

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid

N_FREQ = 15


def paper_array() -> ArrayGeometry:
    """Return the Mills cross of arXiv 2312.16959: 12 transmitters, 13 receivers, side 0.3 m."""
    return ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3)


def paper_sweep(n_freq: int = N_FREQ) -> FrequencySweep:
    """Return `n_freq` evenly spaced frequencies from 4 to 16 GHz, both included."""
    return FrequencySweep.linear(4e9, 16e9, n_freq)


def paper_grid() -> VoxelGrid:
    """Return the cube of 0.3 m, centred 0.5 m in front of the array: 25 x 25 x 49 voxels."""
    return VoxelGrid.from_extent(x=(-0.15, 0.15, 25), y=(-0.15, 0.15, 25), z=(0.35, 0.65, 49))
