"""Check that two measurements were taken with the same array at the same frequencies, to a stated tolerance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry, FrequencySweep
from mimo.data.files.schema import UnfitError

__all__ = ["FREQUENCY_TOLERANCE", "check_same_antennas", "check_same_array", "check_same_sweep", "nearest_frequencies"]

POSITION_TOLERANCE = 1e-6
"""Metres by which the positions of one antenna may differ in two files."""

FREQUENCY_TOLERANCE = 1e-6
"""Difference, as a fraction of the highest frequency, up to which two frequencies count as the same."""


def check_same_antennas(array: ArrayGeometry, other: ArrayGeometry, what: str) -> None:
    """Raise ``ValueError`` unless both arrays have the same antennas; the message names `what` and the antenna."""
    for name in ("tx_pos", "rx_pos"):
        mine, theirs = getattr(array, name), getattr(other, name)
        if mine.shape != theirs.shape:
            raise UnfitError(f"{what} has {len(mine)} {name[:2]} antennas: expected {len(theirs)}, as the scan")
        gap = np.abs(mine - theirs).max(axis=1)
        if gap.max() > POSITION_TOLERANCE:
            raise UnfitError(
                f"{what} has {name}[{int(gap.argmax())}] {gap.max():.3g} m from the scan's: expected the same array, "
                f"to {POSITION_TOLERANCE:g} m"
            )


def check_same_array(array: ArrayGeometry, other: ArrayGeometry, what: str) -> None:
    """Raise ``ValueError`` unless both arrays have the same antennas and list of channels; masks may differ."""
    check_same_antennas(array, other, what)
    mine, theirs = array.channels, other.channels
    both = mine is not None and theirs is not None
    if array.paired != other.paired or (both and not np.array_equal(np.asarray(mine), np.asarray(theirs))):
        raise UnfitError(f"{what} has {_channels(array)}, the scan has {_channels(other)}: expected the same channels")


def check_same_sweep(sweep: FrequencySweep, other: FrequencySweep, what: str) -> None:
    """Raise ``ValueError`` unless both sweeps have the same frequencies, to `FREQUENCY_TOLERANCE`."""
    if sweep.n_freq != other.n_freq:
        raise UnfitError(f"{what} has {sweep.n_freq} frequencies: expected {other.n_freq}, as the scan")
    gap = np.abs(sweep.freq - other.freq)
    if gap.max() > FREQUENCY_TOLERANCE * other.freq[-1]:
        at = int(gap.argmax())
        raise UnfitError(
            f"{what} has {sweep.freq[at]:.9g} Hz where the scan has {other.freq[at]:.9g} Hz: expected the same sweep"
        )


def nearest_frequencies(
    freq: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], tolerance: float
) -> npt.NDArray[np.intp]:
    """Return the index of the frequency nearest each wanted one; ValueError when it is over `tolerance` hertz away."""
    near = np.abs(freq[:, None] - wanted).argmin(axis=0)
    gap = np.abs(freq[near] - wanted)
    if gap.max() > tolerance:
        at = int(gap.argmax())
        raise UnfitError(
            f"no frequency within {tolerance:g} Hz of {wanted[at]:.9g} Hz, the nearest is {freq[near[at]]:.9g} Hz: "
            f"expected one, or a wider tolerance"
        )
    return near


def _channels(array: ArrayGeometry) -> str:
    return f"a list of {array.n_channel} channels" if array.paired else "every tx with every rx"
