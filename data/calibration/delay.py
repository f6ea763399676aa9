"""Remove the delay of the instrument, which is the same in every channel, and the residual video phase of a chirp."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light
from scipy.optimize import minimize_scalar

from mimo.data.calibration.channels import channel_values
from mimo.data.calibration.reference import PointTarget, reference_echo
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement
from mimo.data.provenance import recorded

__all__ = ["delay_from_text", "find_delay", "remove_delay", "remove_video_phase"]

UNITS = {"s": 1.0, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "m": 1 / speed_of_light, "mm": 1e-3 / speed_of_light}
"""Seconds in one unit; a length is the path that light takes in that time, there and back."""

LONGEST = 1e-5
"""Of a stated delay, seconds: 3 km of cable and more are a length that lacks its unit."""

PARTS_OF_RESOLUTION = 8
"""Delays tried in one resolution cell of the band, before the best is refined."""

LEAST_PEAK_DB = 10.0
"""Smallest height of the echo above the mean of all delays, dB, that is believed."""

Complex = npt.NDArray[np.complex128]


def remove_delay(measurement: Measurement, delay: float) -> Measurement:
    """Return the measurement without a delay of the instrument.

    Values and background are multiplied by ``exp(+2j pi f delay)``.

    Parameters
    ----------
    measurement
        Of any array.
    delay
        Seconds by which echoes arrive late, in cables and in the radar: for a length of cable that the signal passes
        there and back, both ways. Negative where they come early.

    Raises
    ------
    ValueError
        When the delay is not finite.
    """
    if not np.isfinite(delay):
        raise UnfitError(f"delay is {delay} s: expected a finite number")
    turn = np.exp(2j * np.pi * np.remainder(measurement.sweep.freq * delay, 1.0))
    turn = turn.astype(np.complex64).reshape(-1, *[1] * len(measurement.array.measurement_shape))
    background = None if measurement.background is None else measurement.background * turn
    result = replace(measurement, values=measurement.values * turn, background=background)
    return recorded(result, "remove delay", seconds=float(delay))


def find_delay(
    measurement: Measurement,
    *,
    distance: float | None = None,
    target: PointTarget | None = None,
    max_delay: float | None = None,
) -> float:
    """Find the delay of the instrument, seconds, from the strongest echo, whose place is known.

    With `target`, the delay is the one that makes ``sum conj(m) y exp(2j pi f tau)`` over frequencies and channels
    largest in the sum of its magnitudes, m being the target's echo. With `distance` alone every channel is taken to see
    the echo at that range.

    Parameters
    ----------
    measurement
        The echo must be the strongest within `max_delay`; subtract a background where it is not.
    distance
        Range of the echo from the radar, metres: half of the path.
    target
        Instead: its position.
    max_delay
        Largest delay looked for, seconds, positive or negative; half the sweep's unambiguous delay by default.

    Raises
    ------
    ValueError
        When neither or both are given, there are too few frequencies, or no echo stands 10 dB above the mean.
    """
    if (distance is None) == (target is None):
        raise UnfitError("find_delay: expected the distance of the echo or its target, one of them")
    freq = measurement.sweep.freq
    if len(freq) < 4:
        raise UnfitError(f"sweep has {len(freq)} frequencies: expected 4 or more to find a delay")
    data: Complex = channel_values(measurement).astype(np.complex128).mean(axis=0)
    if target is not None:
        product = data * reference_echo(measurement, target).conj()
    else:
        assert distance is not None  # noqa: S101 - checked above, for the type checker
        if not (np.isfinite(distance) and distance >= 0):
            raise UnfitError(f"distance is {distance} m: expected 0 or more")
        wavenumber = measurement.sweep.wavenumber(measurement.permittivity)
        product = data * np.exp(1j * np.remainder(wavenumber * 2 * distance, 2 * np.pi))[:, None]
    unambiguous = 0.5 / float(np.diff(freq).max())
    limit = unambiguous if max_delay is None else min(max_delay, unambiguous)
    offset = freq - freq.mean()
    step = 1 / (PARTS_OF_RESOLUTION * float(np.ptp(freq)))
    walk = np.linspace(-limit, limit, 2 * int(np.ceil(limit / step)) + 1)

    def height(delay: npt.NDArray[np.float64] | float) -> npt.NDArray[np.float64]:
        turned = np.exp(2j * np.pi * np.multiply.outer(delay, offset)) @ product
        return np.asarray((np.abs(turned) ** 2).sum(axis=-1))

    heights = np.concatenate([height(part) for part in np.array_split(walk, max(1, len(walk) // 256))])
    best = walk[heights.argmax()]
    if 10 * np.log10(heights.max() / max(heights.mean(), np.finfo(float).tiny)) < LEAST_PEAK_DB:
        raise UnfitError(f"no echo stands {LEAST_PEAK_DB:g} dB above the mean of all delays: expected a strong one")
    low, high = max(best - step, -limit), min(best + step, limit)
    found = minimize_scalar(
        lambda delay: -float(height(delay)), bounds=(low, high), method="bounded", options={"xatol": 1e-4 * step}
    )
    return float(found.x)


def delay_from_text(text: str, measurement: Measurement) -> float:
    """Return the delay, seconds, that a text states or says how to find.

    ``0.45ns``, ``4.5e-10`` (seconds), ``0.136m`` (path, there and back), ``range=0.5`` or ``point=X,Y,Z`` (the place
    of the strongest echo, metres).

    Raises
    ------
    ValueError
        When it is none of these.
    """
    kind, _, place = text.partition("=")
    try:
        if kind == "range":
            return find_delay(measurement, distance=float(place))
        if kind == "point":
            x, y, z = (float(part) for part in place.split(","))
            return find_delay(measurement, target=PointTarget((x, y, z)))
        number = text.strip().rstrip("munps")
        unit = text.strip()[len(number) :]
        seconds = float(number) * UNITS[unit or "s"]
    except UnfitError:
        raise
    except (ValueError, KeyError) as error:
        raise UnfitError(
            f"delay is {text!r}: expected a number with {', '.join(UNITS)}, range=METRES or point=X,Y,Z"
        ) from error
    if not abs(seconds) <= LONGEST:  # a length without its unit would be seconds
        raise UnfitError(
            f"delay is {text!r}, {seconds:g} s or {seconds * speed_of_light:g} m of path: expected no more than "
            f"{LONGEST:g} s; a path has the unit m"
        )
    return seconds


def remove_video_phase(measurement: Measurement, slope: float) -> Measurement:
    """Return the measurement of a chirp without its residual video phase.

    The beat signal of an echo that arrives after tau is ``exp(-j (2 pi f tau - pi slope tau^2))``; the second term is
    taken out of each delay's share, found by a Fourier transform over the frequencies.

    Parameters
    ----------
    measurement
        With evenly spaced frequencies, and no path removed.
    slope
        Of the chirp, Hz/s.

    Raises
    ------
    ValueError
        When the frequencies are uneven, or a path has been removed.
    """
    step = measurement.sweep.step
    if not step:
        raise UnfitError("sweep is not even: expected evenly spaced frequencies, the samples of a chirp")
    if measurement.reference_path is not None:
        raise UnfitError("measurement/reference_path is there: expected the video phase removed before it")
    n = measurement.sweep.n_freq
    tau = np.arange(n) / (n * step)
    turn = np.exp(-1j * np.remainder(np.pi * slope * tau**2, 2 * np.pi)).astype(np.complex64)

    def without(values: npt.NDArray, axis: int) -> npt.NDArray:
        shares = np.fft.ifft(values, axis=axis)
        shares *= turn.reshape(-1, *[1] * (values.ndim - axis - 1))
        return np.fft.fft(shares, axis=axis).astype(np.complex64)

    background = None if measurement.background is None else without(measurement.background, 0)
    result = replace(measurement, values=without(measurement.values, 1), background=background)
    return recorded(result, "remove video phase", slope=float(slope))
