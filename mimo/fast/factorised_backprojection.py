"""Back-project large MIMO arrays from a few nodes instead of all antennas (see `mimo.fast.subapertures`)."""

from __future__ import annotations

import torch

from mimo.fast.factorised_sum import NODE_TOLERANCE, FactorisedSum
from mimo.imaging_operator import ImagingOperator

__all__ = ["backproject_factorised"]


def backproject_factorised(y: torch.Tensor, A: ImagingOperator, *, tolerance: float = NODE_TOLERANCE) -> torch.Tensor:
    """Back-project from a few nodes instead of all antennas and frequencies: `mimo.backproject` to a tolerance.

    The volume is cut into blocks. For each block the data are gathered at nodes, a few points among each group of
    antennas and a few frequencies, and the range profiles of the nodes are back-projected to its voxels.

    Parameters
    ----------
    y
        Measurement ``(..., n_freq, n_tx, n_rx)``; masked channels do not count.
    A
        The operator of an array of every pair, anywhere in space; any sweep and grid.
    tolerance
        Largest error of one interpolated phasor on either side and over frequencies, 1e-5 to 0.1. The image's is less,
        as errors of many channels do not add up: about -60 dB of its maximum at the default for pure noise.

    Returns
    -------
    torch.Tensor
        ``(..., n_x, n_y, n_z)``, complex, scaled as `mimo.backproject`.

    Raises
    ------
    ValueError
        When the array lists channels, or has patterns or layers, or `tolerance` is out of range.

    Notes
    -----
    With m_t and m_r nodes for transmitters and receivers, B blocks and V voxels: about
    ``8 B n_freq m_t n_tx n_rx / groups`` operations to gather and ``40 V m_t m_r`` to image, where the exact sum takes
    ``8 V n_freq n_tx n_rx``. Small arrays gain nothing: their antennas are then the nodes. Memory: the measurement
    twice and some 100 MB.
    """
    if not (isinstance(tolerance, int | float) and 1e-5 <= tolerance <= 0.1):
        raise ValueError(f"tolerance is {tolerance!r}: expected a number from 1e-5 to 0.1")
    sums = FactorisedSum(A, tolerance=tolerance)
    return A.image_by(y, lambda flat: sums.adjoint(flat, A.report))
