"""Find bad channels by a robust test or by name, and leave them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement
from mimo.data.provenance import recorded

__all__ = ["channel_values", "channels_from_text", "find_bad_channels", "mask_channels"]

DEAD_DB = -40.0
"""Level relative to the median below which a channel carries no signal, dB."""

SATURATED_SHARE, SATURATED_LEAST, SATURATED_LEVEL = 0.1, 4, 1 - 1e-5
"""A channel is clipped when this share of its I and Q samples, and at least this number, exceed this fraction of its
largest one."""

MAD_TO_STD = 1.4826
"""Standard deviation of a normal distribution divided by its median absolute deviation."""

LEAST_SPREAD_DB = 1.0
"""Smallest standard deviation of levels over channels that the test assumes, dB."""

Channel = tuple[int, int]


def find_bad_channels(measurement: Measurement, *, n_std: float = 6.0) -> dict[Channel, str]:
    """Find the channels that are dead, saturated or outlying, by a test that a few bad channels do not upset.

    A channel is *dead* when it is 40 dB below the median level, *saturated* when a tenth of its I and Q samples are
    within 0.001 % of its largest, and *outlying* when its level, or the contrast of its range profile (peak over mean
    power, dB: high for echoes, low for noise), is more than `n_std` robust standard deviations (1.4826 times the median
    absolute deviation, at least 1 dB) from the median over the channels.

    Parameters
    ----------
    measurement
        One or more scenes; the tests are made over all of them. Channels that are masked already do not count.
    n_std
        Robust standard deviations from the median beyond which a channel is outlying.

    Returns
    -------
    dict
        (tx, rx) index of each bad channel, and the reason in words.

    Raises
    ------
    ValueError
        When `n_std` is not positive.
    """
    if not (np.isfinite(n_std) and n_std > 0):
        raise UnfitError(f"n_std is {n_std}: expected a positive number of standard deviations")
    channels = measurement.array.channel_indices()
    data = channel_values(measurement).astype(np.complex128)
    power = (np.abs(data) ** 2).mean(axis=(0, 1))
    reasons: dict[Channel, str] = {}
    if not power.any():
        return {(int(t), int(r)): "dead: all zero" for t, r in channels}
    tiny = np.finfo(np.float64).tiny
    level = 10 * np.log10(np.maximum(power, tiny))
    level -= np.median(level[power > 0])
    saturated = _saturated_share(data)
    alive = level > DEAD_DB
    tests = [("level", level), ("contrast of the range profile", _contrast(data))]
    scores = {name: _robust_score(value, alive) for name, value in tests}
    for i, (t, r) in enumerate(channels):
        place = (int(t), int(r))
        if not alive[i]:
            reasons[place] = "dead: all zero" if power[i] == 0 else f"dead: {level[i]:.0f} dB below the median"[:60]
        elif saturated[i] >= SATURATED_SHARE:
            reasons[place] = f"saturated: {100 * saturated[i]:.0f} % of I and Q at their largest"
        else:
            for name, value in tests:
                if abs(scores[name][i]) > n_std:
                    reasons[place] = f"outlying: {name} {value[i] - np.median(value[alive]):+.1f} dB from the median"
                    break
    return reasons


def mask_channels(measurement: Measurement, bad: Mapping[Channel, str] | Iterable[Channel]) -> Measurement:
    """Return the measurement without some channels, given by their (tx, rx) index.

    In an array of every pair they are masked and their data set to 0; of a paired array they leave the list.

    Raises
    ------
    ValueError
        When there is no such channel, or none would be left.
    """
    reasons = dict(bad) if isinstance(bad, Mapping) else dict.fromkeys(bad, "by hand")
    array = measurement.array
    known = {(int(t), int(r)) for t, r in array.channel_indices()}
    for channel in reasons:
        inside = channel[0] < array.n_tx and channel[1] < array.n_rx and min(channel) >= 0
        if channel not in known and (array.paired or not inside):
            raise UnfitError(
                f"channel {channel[0]}:{channel[1]} is not in the array of {array.n_tx} tx and {array.n_rx} rx"
                f"{' and listed channels' if array.paired else ''}: expected TX:RX, counted from 0"
            )
    if not known - reasons.keys():
        raise UnfitError(f"all {len(known)} channels would be masked: expected at least one to stay")
    if not reasons:
        return measurement
    if array.channels is None:
        mask = np.ones((array.n_tx, array.n_rx), bool) if array.mask is None else array.mask.copy()
        mask[tuple(np.array(list(reasons)).T)] = False
        background = None if measurement.background is None else np.where(mask, measurement.background, 0)
        result = replace(
            measurement,
            values=np.where(mask, measurement.values, 0),
            array=array.with_mask(mask),
            background=background,
        )
    else:
        keep = np.array([(int(t), int(r)) not in reasons for t, r in array.channels])
        pick = lambda a: None if a is None else a[..., keep]  # noqa: E731 - four uses below
        result = replace(
            measurement,
            values=measurement.values[..., keep],
            array=replace(array, channels=array.channels[keep]),
            background=pick(measurement.background),
            gain=pick(measurement.gain),
            delay=pick(measurement.delay),
            reference_path=pick(measurement.reference_path),
        )
    return recorded(result, "mask channels", channels={f"{t}:{r}": why for (t, r), why in reasons.items()})


def channels_from_text(text: str, array: ArrayGeometry) -> list[Channel]:
    """Read ``3:5`` (tx 3 with rx 5), ``tx=3`` or ``rx=5`` (all channels of one antenna), separated by commas, from 0.

    Raises
    ------
    ValueError
        When a part is of another form, or there is no such channel.
    """
    known = [(int(t), int(r)) for t, r in array.channel_indices()]
    chosen: list[Channel] = []
    for part in text.replace(" ", "").split(","):
        side, _, number = part.partition("=")
        tx, _, rx = part.partition(":")
        if side in ("tx", "rx") and number.isdecimal():
            found = [c for c in known if c[side == "rx"] == int(number)]
        elif tx.isdecimal() and rx.isdecimal():
            found = [c for c in known if c == (int(tx), int(rx))]
        else:
            raise UnfitError(f"channel {part!r}: expected TX:RX, tx=NUMBER or rx=NUMBER, counted from 0")
        if not found:
            raise UnfitError(
                f"channel {part!r} is not in the array of {array.n_tx} tx, {array.n_rx} rx and {len(known)} channels: "
                f"expected TX:RX, tx=NUMBER or rx=NUMBER, counted from 0"
            )
        chosen += found
    return chosen


def channel_values(measurement: Measurement) -> npt.NDArray[np.complex64]:
    """Return the channels that carry data, complex64 ``(n_scene, n_freq, n_channel)``.

    Their order is that of `mimo.ArrayGeometry.channel_indices`.
    """
    return measurement.array.list_channels(measurement.values)


def _saturated_share(data: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    """Return the share of each channel's I and Q samples at their maximum; 0 for fewer than `SATURATED_LEAST`."""
    parts = np.abs(np.stack([data.real, data.imag])).reshape(-1, data.shape[-1])
    top = parts.max(axis=0)
    count = np.count_nonzero((parts >= SATURATED_LEVEL * top) & (top > 0), axis=0)
    return np.where(count >= SATURATED_LEAST, count / len(parts), 0.0)


def _contrast(data: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    """Return peak over mean power of each channel's range profile, dB.

    An FFT that takes frequencies as evenly spaced is enough, as channels are only compared with each other.
    """
    profile = np.abs(np.fft.fft(data, 4 * data.shape[1], axis=1)) ** 2
    mean = profile.mean(axis=1)
    return 10 * np.log10((profile.max(axis=1) / np.where(mean > 0, mean, np.inf)).mean(axis=0) + np.finfo(float).tiny)


def _robust_score(value: npt.NDArray[np.float64], alive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the distance from the median of the channels that are not dead, in robust standard deviations."""
    centre = np.median(value[alive])
    spread = max(MAD_TO_STD * float(np.median(np.abs(value[alive] - centre))), LEAST_SPREAD_DB)
    return (value - centre) / spread
