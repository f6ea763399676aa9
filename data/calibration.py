"""What is done to a measurement before imaging: background, channel gain, a choice of scenes and frequencies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.measurement import Measurement, Scenes
from mimo import FrequencySweep


def subtract_background(measurement: Measurement) -> Measurement:
    """Return the measurement with its background scene subtracted from every scene; it then has none.

    Raises
    ------
    ValueError
        When there is no background.
    """
    if measurement.background is None:
        raise ValueError("measurement/background is absent: expected a scene without the target to subtract")
    return replace(measurement, values=measurement.values - measurement.background, background=None)


def divide_gain(measurement: Measurement) -> Measurement:
    """Return the measurement with the channel gain divided out of values and background; it then has none.

    Raises
    ------
    ValueError
        When there is no gain.
    """
    if measurement.gain is None:
        raise ValueError("calibration/gain is absent: expected the gain of each channel to divide out")
    background = None if measurement.background is None else measurement.background / measurement.gain
    return replace(measurement, values=measurement.values / measurement.gain, background=background, gain=None)


def select_scenes(measurement: Measurement, scenes: Scenes) -> Measurement:
    """Return the scenes that a slice or a list of numbers selects."""
    return measurement.scenes(scenes)


def select_frequencies(measurement: Measurement, *, start: float, stop: float, step: int = 1) -> Measurement:
    """Return every `step`-th of the frequencies from `start` to `stop` hertz, ends included to one part in 1e9.

    Raises
    ------
    ValueError
        When none lies in between; the message gives the band that there is.
    """
    if int(step) != step or step < 1:
        raise ValueError(f"step is {step}: expected a whole number, 1 or more")
    freq = measurement.sweep.freq
    slack = 1e-9 * freq[-1]
    kept = np.flatnonzero((freq >= start - slack) & (freq <= stop + slack))[::step]
    if not len(kept):
        raise ValueError(
            f"no frequency lies in {start:g} to {stop:g} Hz, the sweep has {freq[0]:g} to {freq[-1]:g} Hz: "
            f"expected a band with at least one"
        )
    pick = lambda a: None if a is None else a[kept]  # noqa: E731 - two uses below
    return replace(
        measurement,
        values=measurement.values[:, kept],
        sweep=FrequencySweep(freq[kept]),
        background=pick(measurement.background),
        gain=pick(measurement.gain),
    )


def restore_reference_path(measurement: Measurement) -> Measurement:
    """Return the measurement with the phase of the removed path lengths put back; it then has none.

    Data from which a path L was removed have gained ``exp(+j k L)``; this multiplies by ``exp(-j k L)``, with k L
    formed and wrapped in float64.

    Raises
    ------
    ValueError
        When there is no reference path.
    """
    path = measurement.reference_path
    if path is None:
        raise ValueError("measurement/reference_path is absent: expected the path length removed from each channel")
    wavenumber = measurement.sweep.wavenumber(measurement.permittivity).reshape(-1, *[1] * path.ndim)
    phasor = np.exp(-1j * np.remainder(wavenumber * path, 2 * np.pi))
    background = None if measurement.background is None else measurement.background * phasor
    return replace(measurement, values=measurement.values * phasor, background=background, reference_path=None)
