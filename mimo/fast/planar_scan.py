"""Recognise a monostatic scan whose positions lie on a grid of rows and columns in a plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mimo.array import ArrayGeometry

__all__ = ["PlanarScan"]

OFF = 1 / 64
"""How far a position may lie off its grid point, in wavelengths: 11 degrees of phase there and back."""

MAX_PLACES = 64
"""Grid points for each channel at most: beyond it, the positions are scattered and no grid."""


@dataclass(frozen=True, eq=False)
class PlanarScan:
    """Describes a scan over the grid points ``(x[i], y[j], z)``; `of` finds the grid of an array.

    Attributes
    ----------
    x, y
        Columns and rows, float64 (n,), ascending, metres.
    z
        Height of the plane, metres.
    place
        Index of each channel's grid point in the flattened grid, x slowest, int64 ``(n_channel,)``.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    z: float
    place: npt.NDArray[np.int64]

    @classmethod
    def of(cls, array: ArrayGeometry, *, wavelength: float) -> PlanarScan:
        """Find the rows and columns of an array; positions may be off by `OFF` wavelengths; `wavelength` is in metres.

        Raises
        ------
        ValueError
            When the array is no such scan; the message says what was found.
        """
        array.check_near("range migration")
        expected = "expected a monostatic scan over a grid of positions in a plane z = const"
        if not array.paired:
            raise ValueError(f"the array has {array.n_tx} tx and {array.n_rx} rx in every pair: {expected}")
        channels = array.channel_indices()
        points, others = array.tx_pos[channels[:, 0]], array.rx_pos[channels[:, 1]]
        limit = OFF * wavelength
        apart = float(np.linalg.norm(points - others, axis=1).max())
        if apart > limit:
            raise ValueError(f"tx and rx of a channel stand {apart:.3g} m apart: {expected}")
        if np.ptp(points[:, 2]) > 2 * limit:
            raise ValueError(f"positions span {np.ptp(points[:, 2]):.3g} m along z: {expected}")
        x, column = _gathered("x", points[:, 0], limit, expected)
        y, row = _gathered("y", points[:, 1], limit, expected)
        if len(x) * len(y) > MAX_PLACES * len(points):
            raise ValueError(f"{len(points)} positions lie on {len(x)} columns and {len(y)} rows: {expected}")
        return cls(x, y, float(points[:, 2].mean()), column * len(y) + row)


def _gathered(
    name: str, values: npt.NDArray[np.float64], limit: float, expected: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Cluster values that lie within `limit`: return the clusters' means, ascending, and the cluster of each value."""
    order = np.argsort(values, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(values[order]) > limit)])
    index = np.empty(len(values), np.int64)
    index[order] = group
    places = np.bincount(index, weights=values) / np.bincount(index)
    off = float(np.abs(values - places[index]).max())
    if off > limit:
        raise ValueError(f"a position along {name} is {off:.3g} m off its row or column: {expected}")
    return places, index
