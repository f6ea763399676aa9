"""Decimate a measurement for a quick look: keep evenly chosen antennas, channels and frequencies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry
from mimo.data.calibration import select_frequencies
from mimo.data.measurement import Measurement

__all__ = ["decimated", "evenly"]


def decimated(measurement: Measurement, *, n_channel: int, n_freq: int | None = None) -> Measurement:
    """Return a decimated measurement of about `n_channel` channels and `n_freq` frequencies (all for ``None``).

    Of an array of every pair it keeps evenly chosen transmitters and receivers, of listed channels evenly chosen ones,
    with their gain, background and removed path. What has no more already is returned as it is.
    """
    if n_freq is not None and measurement.sweep.n_freq > n_freq:
        kept = evenly(measurement.sweep.n_freq, n_freq)
        measurement = select_frequencies(measurement, freq=measurement.sweep.freq[kept])
    array = measurement.array
    if array.n_channel <= n_channel:
        return measurement
    if array.channels is not None:
        listed = evenly(len(array.channels), n_channel)
        tx: Any = slice(None)
        rx: Any = slice(None)
        where: Any = (Ellipsis, listed)
        channels, mask = array.channels[listed], None
    else:
        side = int(n_channel**0.5)
        tx_kept, rx_kept = evenly(array.n_tx, side), evenly(array.n_rx, side)
        tx, rx = tx_kept, rx_kept
        where = (Ellipsis, tx_kept[:, None], rx_kept)
        channels, mask = None, None if array.mask is None else array.mask[np.ix_(tx_kept, rx_kept)]
        if mask is not None and not mask.any():
            return measurement
    pick = lambda a, at: None if a is None else a[at]  # noqa: E731 - six uses below
    thin = ArrayGeometry(
        array.tx_pos[tx],
        array.rx_pos[rx],
        channels,
        mask,
        pick(array.tx_normal, tx),
        pick(array.rx_normal, rx),
        array.name,
        array.tx_far,
        array.rx_far,
    )
    return replace(
        measurement,
        values=measurement.values[where],
        array=thin,
        background=pick(measurement.background, where),
        gain=pick(measurement.gain, where),
        delay=pick(measurement.delay, where),
        reference_path=pick(measurement.reference_path, where),
    )


def evenly(n: int, most: int) -> npt.NDArray[np.intp]:
    """Return up to `most` of the numbers 0 to n - 1, evenly spaced, first and last included."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
