"""Compute range profiles: the response of each channel over range."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light
from scipy.signal.windows import hann

from mimo.data.calibration.channels import channel_values
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement

__all__ = ["range_axis", "range_profiles"]

Floats = npt.NDArray[np.float64]


def range_axis(measurement: Measurement, *, limits: tuple[float, float] | None = None, n: int = 512) -> Floats:
    """Return `n` ranges for `range_profiles`, float64 ``(n,)``, metres.

    They cover `limits` or, by default, one unambiguous range, from 0 or, where a path was removed, centred on 0.
    ``ValueError`` for a sweep of one frequency.
    """
    freq = measurement.sweep.freq
    if len(freq) < 2:
        raise UnfitError("the sweep has one frequency: expected two or more for a range profile")
    if limits is None:
        span = speed_of_light / (2 * np.sqrt(measurement.permittivity) * float(np.diff(freq).max()))
        limits = (0.0, span) if measurement.reference_path is None else (-span / 2, span / 2)
    return np.linspace(*limits, n)


def range_profiles(measurement: Measurement, ranges: npt.ArrayLike, *, scene: int = 0) -> npt.NDArray[Any]:
    """Compute the response of each channel over range, half the path from transmitter to receiver.

    ``p[c, r] = sum_f w[f] y[f, c] exp(+2 j k_f r) / sum_f w[f]`` with a Hann window w, so that one echo of amplitude a
    gives a peak of height a. It is a direct sum of ``n_freq n_range n_channel`` terms, so frequencies may be uneven.

    Parameters
    ----------
    measurement
        At least two frequencies.
    ranges
        Metres ``(n_range,)``; where a path was removed from the phase, ranges count from half of it.
    scene
        Number of the scene.

    Returns
    -------
    complex128 array
        ``(n_channel, n_range)``, channels that carry data, in the order of `mimo.ArrayGeometry.channel_indices`.
    """
    freq = measurement.sweep.freq
    weight = hann(len(freq) + 2)[1:-1]  # without its two zeros
    wavenumber = measurement.sweep.wavenumber(measurement.permittivity)
    turn = np.exp(2j * np.remainder(np.outer(wavenumber, np.asarray(ranges, np.float64)), np.pi))
    data = channel_values(measurement.scenes([scene]))[0].astype(np.complex128)
    return (data * (weight / weight.sum())[:, None]).T @ turn
