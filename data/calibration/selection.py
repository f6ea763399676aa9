"""Select scenes and frequencies: by band, by count, by decimation, or from a list with a tolerance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mimo import FrequencySweep
from mimo.data.calibration.matching import nearest_frequencies
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement, Scenes
from mimo.data.provenance import recorded

__all__ = ["select_frequencies", "select_scenes"]

EDGE_TOLERANCE = 1e-9
"""Fraction of the highest frequency by which a band's ends are widened, because files round frequencies."""


def select_scenes(measurement: Measurement, scenes: Scenes) -> Measurement:
    """Return the scenes that a slice or a list of numbers selects."""
    return measurement.scenes(scenes)


def select_frequencies(
    measurement: Measurement,
    *,
    start: float | None = None,
    stop: float | None = None,
    step: int = 1,
    count: int | None = None,
    freq: npt.ArrayLike | None = None,
    tolerance: float | None = None,
) -> Measurement:
    """Return the measurement at some frequencies: every `step`-th of a band, `count` evenly spaced, or a list.

    Parameters
    ----------
    measurement
        A measurement with any sweep.
    start, stop
        Band in hertz, ends included to one part in 1e9; the whole sweep where not given.
    step
        Keep every `step`-th frequency of the band, from its first.
    count
        Keep this many: the measured ones nearest to evenly spaced frequencies over the band, both ends included.
    freq
        Keep the measured ones nearest to these, hertz; nothing else may be given with it but `tolerance`.
    tolerance
        Largest distance, hertz, of a measured frequency from the wanted one, for `count` and `freq`; half the widest
        step of the sweep when ``None``. Frequencies are never compared for equality.

    Raises
    ------
    ValueError
        When nothing is left, more are asked for than there are, one is beyond the tolerance (it is named), or the
        options contradict each other.
    """
    if int(step) != step or step < 1:
        raise UnfitError(f"step is {step}: expected a whole number, 1 or more")
    if count is not None and (int(count) != count or count < 1):
        raise UnfitError(f"count is {count}: expected a whole number of frequencies, 1 or more")
    if count is not None and step != 1:
        raise UnfitError("step and count are both given: expected one of them")
    if freq is not None and (start, stop, step, count) != (None, None, 1, None):
        raise UnfitError("a list of frequencies and a band, step or count are both given: expected one of them")
    have = measurement.sweep.freq
    if tolerance is None:
        tolerance = float(np.diff(have).max()) / 2 * (1 + EDGE_TOLERANCE) if len(have) > 1 else EDGE_TOLERANCE * have[0]
    if freq is not None:
        kept = nearest_frequencies(have, np.atleast_1d(np.asarray(freq, np.float64)), tolerance)
    else:
        kept = _band(have, start, stop)
        if count is None:
            kept = kept[::step]
        elif count > len(kept):
            raise UnfitError(f"count is {count}, the band has {len(kept)} frequencies: expected that many or fewer")
        else:
            low, high = have[kept[0]], have[kept[-1]]
            wanted = np.linspace(low, high, count) if count > 1 else np.array([(low + high) / 2])
            kept = kept[nearest_frequencies(have[kept], wanted, tolerance)]
    if len(np.unique(kept)) < len(kept):
        at = int(np.flatnonzero(np.bincount(kept) > 1)[0])
        raise UnfitError(f"{have[at]:.9g} Hz is the nearest to two wanted frequencies: expected fewer, or another list")
    kept = np.sort(kept)
    pick = lambda a: None if a is None else a[kept]  # noqa: E731 - two uses below
    result = replace(
        measurement,
        values=measurement.values[:, kept],
        sweep=FrequencySweep(have[kept]),
        background=pick(measurement.background),
        gain=pick(measurement.gain),
    )
    return recorded(
        result,
        "select frequencies",
        start=start,
        stop=stop,
        every=None if step == 1 else step,
        count=count,
        freq=freq,
        kept=len(kept),
        of=len(have),
    )


def _band(freq: npt.NDArray[np.float64], start: float | None, stop: float | None) -> npt.NDArray[np.intp]:
    start, stop = freq[0] if start is None else start, freq[-1] if stop is None else stop
    slack = EDGE_TOLERANCE * freq[-1]
    kept = np.flatnonzero((freq >= start - slack) & (freq <= stop + slack))
    if not len(kept):
        raise UnfitError(
            f"no frequency lies in {start:g} to {stop:g} Hz, the sweep has {freq[0]:g} to {freq[-1]:g} Hz: "
            f"expected a band with at least one"
        )
    return kept
