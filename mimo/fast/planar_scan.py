"""Recognise scans in a plane: boards of antennas that one scanner moved over a grid of rows and columns.

Every channel is a transmitter and a receiver. Channels with the same *offset* between the two, such as those of one
pair of antennas of a board at all its positions, form a `ScanClass`; their midpoints lie on a grid. A monostatic scan
has one class, whose offset is zero; a board of two transmitters and four receivers makes eight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mimo.array import ArrayGeometry

__all__ = ["PlanarScan", "ScanClass"]

Floats = npt.NDArray[np.float64]

OFF = 1 / 64
"""How far a position may lie off its grid point, in wavelengths: 11 degrees of phase there and back."""

MAX_PLACES = 64
"""Grid points for each channel at most: beyond it, the positions are scattered and no grid."""

MAX_CLASSES = 256
"""Offsets between transmitter and receiver at most: each needs transforms of its own."""


@dataclass(frozen=True, eq=False)
class ScanClass:
    """Describes the channels of one offset, with midpoints on the grid points ``(x[i], y[j], z)``.

    Attributes
    ----------
    x, y
        Columns and rows, float64 (n,), ascending, metres.
    half
        Half the way from receiver to transmitter, float64 (3,), metres: the antennas stand at midpoint +- half.
    channel
        Indices of the channels in `ArrayGeometry.channel_indices`, int64 ``(n,)``.
    place
        Grid point of each of these channels in the flattened grid, x slowest, int64 ``(n,)``.
    """

    x: Floats
    y: Floats
    half: Floats
    channel: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PlanarScan:
    """Holds a scan's classes and the plane of their midpoints; `of` finds them in an array.

    Attributes
    ----------
    classes
        One for each offset.
    z
        Height of the plane, metres.
    """

    classes: tuple[ScanClass, ...]
    z: float

    @property
    def bistatic(self) -> bool:
        """Whether any transmitter stands apart from its receiver."""
        return any(bool(one.half.any()) for one in self.classes)

    @classmethod
    def of(cls, array: ArrayGeometry, *, wavelength: float) -> PlanarScan:
        """Find the classes of an array; positions may be off by `OFF` wavelengths; `wavelength` is in metres.

        Raises
        ------
        ValueError
            When the array is no such scan; the message says what was found.
        """
        array.check_near("range migration")
        expected = "expected a scan over a grid of positions in a plane z = const"
        if not array.paired:
            raise ValueError(f"the array has {array.n_tx} tx and {array.n_rx} rx in every pair: {expected}")
        channels = array.channel_indices()
        tx, rx = array.tx_pos[channels[:, 0]], array.rx_pos[channels[:, 1]]
        limit = OFF * wavelength
        middle, half = (tx + rx) / 2, (tx - rx) / 2
        if np.ptp(middle[:, 2]) > 2 * limit:
            raise ValueError(f"positions span {np.ptp(middle[:, 2]):.3g} m along z: {expected}")
        label = np.zeros(len(channels), np.int64)
        for axis in range(3):
            group = _clusters(half[:, axis], limit)
            label = label * (int(group.max()) + 1) + group
        offsets, label = np.unique(label, return_inverse=True)
        if len(offsets) > MAX_CLASSES:
            raise ValueError(
                f"the {len(channels)} channels have {len(offsets)} different offsets from rx to tx: {expected} by a "
                f"board of antennas that moves as a whole, {MAX_CLASSES} offsets at most"
            )
        return cls(
            tuple(_scan_class(middle, half, np.flatnonzero(label == i), limit, expected) for i in range(len(offsets))),
            float(middle[:, 2].mean()),
        )


def _scan_class(middle: Floats, half: Floats, channel: npt.NDArray[np.int64], limit: float, expected: str) -> ScanClass:
    x, column = _gathered("x", middle[channel, 0], limit, expected)
    y, row = _gathered("y", middle[channel, 1], limit, expected)
    if len(x) * len(y) > MAX_PLACES * len(channel):
        raise ValueError(f"{len(channel)} positions lie on {len(x)} columns and {len(y)} rows: {expected}")
    apart = half[channel].mean(0)
    apart[np.abs(apart) < limit / 2] = 0
    off = float(np.abs(half[channel] - apart).max())
    if off > limit:
        raise ValueError(f"offsets from rx to tx change by {2 * off:.3g} m from position to position: {expected}")
    return ScanClass(x, y, apart, channel, column * len(y) + row)


def _clusters(values: Floats, limit: float) -> npt.NDArray[np.int64]:
    """Number the clusters of values, ascending; neighbours in a cluster lie within `limit`."""
    order = np.argsort(values, kind="stable")
    index = np.empty(len(values), np.int64)
    index[order] = np.concatenate([[0], np.cumsum(np.diff(values[order]) > limit)])
    return index


def _gathered(name: str, values: Floats, limit: float, expected: str) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Cluster values that lie within `limit`: return the clusters' means, ascending, and the cluster of each value."""
    index = _clusters(values, limit)
    places = np.bincount(index, weights=values) / np.bincount(index)
    off = float(np.abs(values - places[index]).max())
    if off > limit:
        raise ValueError(f"a position along {name} is {off:.3g} m off its row or column: {expected}")
    return places, index
