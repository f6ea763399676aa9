"""State the papers' array, band and volume, the defaults of the whole package, in one place."""

from __future__ import annotations

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid

__all__ = ["N_FREQ", "paper_acquisition", "paper_array", "paper_grid", "paper_sweep"]

N_FREQ = 15


def paper_array(*, n_tx: int = 12, n_rx: int = 13) -> ArrayGeometry:
    """Return the Mills cross of arXiv 2312.16959: 12 transmitters, 13 receivers, side 0.3 m."""
    return ArrayGeometry.mills_cross(n_tx=n_tx, n_rx=n_rx, width=0.3)


def paper_sweep(n_freq: int = N_FREQ) -> FrequencySweep:
    """Return `n_freq` evenly spaced frequencies from 4 to 16 GHz, both included."""
    return FrequencySweep.linear(4e9, 16e9, n_freq)


def paper_grid(shape: tuple[int, int, int] = (25, 25, 49)) -> VoxelGrid:
    """Return the cube of 0.3 m, centred 0.5 m in front of the array: 25 x 25 x 49 voxels, or others."""
    n_x, n_y, n_z = shape
    return VoxelGrid.from_extent(x=(-0.15, 0.15, n_x), y=(-0.15, 0.15, n_y), z=(0.35, 0.65, n_z))


def paper_acquisition(n_freq: int = N_FREQ) -> Acquisition:
    """Return the papers' array, band and cube in free space."""
    return Acquisition(paper_array(), paper_sweep(n_freq), paper_grid())
