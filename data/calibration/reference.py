"""Estimate gain, phase and delay of each channel from a reference target at a known place, for use on later scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from mimo.data.calibration.channels import channel_values
from mimo.data.calibration.matching import FREQUENCY_TOLERANCE, check_same_antennas, nearest_frequencies
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement
from mimo.data.provenance import recorded

__all__ = [
    "Plate",
    "PointTarget",
    "ReferenceTarget",
    "apply_calibration",
    "divide_gain",
    "estimate_gain",
    "reference_echo",
]

MODELS = ("delay", "frequency")
MAX_DELAY = 1e-9
"""Default of the largest delay that is looked for, seconds, positive or negative."""

LEAST_COHERENCE = 0.5
"""Smallest coherence of a channel's data with the reference target's echo; a lower one is an error."""

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]


class ReferenceTarget(Protocol):
    """Computes the known echo of a target, with which `estimate_gain` compares the measured one."""

    def path(self, tx: Floats, rx: Floats) -> Floats:
        """Return the path from transmitters to receivers, metres ``(n,)``, for positions ``(n, 3)``, metres."""
        ...

    def amplitude(self, tx: Floats, rx: Floats) -> Floats:
        """Return the real factor of the echo beside ``exp(-j k path)``, ``(n,)``."""
        ...


@dataclass(frozen=True)
class PointTarget:
    """Models a small sphere or corner: ``y = reflectivity exp(-jk(R_t + R_r)) / (4 pi R_t R_r)``.

    Parameters
    ----------
    position
        x, y, z of its phase centre, metres.
    reflectivity
        In the unit of an image; with 1, a calibrated image shows this target with magnitude 1.
    """

    position: tuple[float, float, float]
    reflectivity: float = 1.0

    def __post_init__(self) -> None:
        _check_place("point", self.position)

    def _ways(self, tx: Floats, rx: Floats) -> tuple[Floats, Floats]:
        place = np.asarray(self.position)
        ways = np.linalg.norm(tx - place, axis=1), np.linalg.norm(rx - place, axis=1)
        if min(ways[0].min(), ways[1].min()) == 0:
            raise UnfitError(f"reference point {self.position} lies on an antenna: expected it in front of the array")
        return ways

    def path(self, tx: Floats, rx: Floats) -> Floats:
        """Return ``R_t + R_r``, metres ``(n,)``; ``ValueError`` when the target lies on an antenna."""
        return np.sum(self._ways(tx, rx), axis=0)

    def amplitude(self, tx: Floats, rx: Floats) -> Floats:
        """Return ``reflectivity / (4 pi R_t R_r)``, ``(n,)``."""
        to, back = self._ways(tx, rx)
        return self.reflectivity / (4 * np.pi * to * back)


def _check_place(kind: str, position: tuple[float, float, float]) -> None:
    if not np.isfinite(position).all():
        raise UnfitError(f"reference {kind} is at {position}: expected x, y, z in metres")


@dataclass(frozen=True)
class Plate:
    """Models a flat metal plate, large against the array: each receiver sees the mirror image of each transmitter.

    ``y = -reflectivity exp(-jkL) / (4 pi L)`` with L the distance from the mirrored transmitter to the receiver. It
    calibrates channels relative to each other; the common level differs from that of a `PointTarget`.

    Parameters
    ----------
    position
        A point of its surface, metres.
    normal
        Direction perpendicular to it, any length but zero, either side.
    reflectivity
        1 for metal.
    """

    position: tuple[float, float, float]
    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    reflectivity: float = 1.0

    def __post_init__(self) -> None:
        _check_place("plate", self.position)
        if not 0 < np.linalg.norm(self.normal) < np.inf:
            raise UnfitError(f"plate normal is {self.normal}: expected a direction, any length but zero")

    def path(self, tx: Floats, rx: Floats) -> Floats:
        """Return L, metres ``(n,)``; ``ValueError`` when the antennas are not all on one side of the plate."""
        unit = np.asarray(self.normal) / np.linalg.norm(self.normal)
        height_tx, height_rx = ((p - np.asarray(self.position)) @ unit for p in (tx, rx))
        if (height_tx * height_rx <= 0).any():
            raise UnfitError("the plate passes through or between the antennas: expected all of them on one side")
        return np.linalg.norm(tx - 2 * height_tx[:, None] * unit - rx, axis=1)

    def amplitude(self, tx: Floats, rx: Floats) -> Floats:
        """Return ``-reflectivity / (4 pi L)``, ``(n,)``."""
        return -self.reflectivity / (4 * np.pi * self.path(tx, rx))


def estimate_gain(
    measurement: Measurement, target: ReferenceTarget, *, model: str = "delay", max_delay: float = MAX_DELAY
) -> Measurement:
    """Estimate the gain of each channel from a scan of a reference target.

    The scan is returned with its gain; saved to a file it serves `apply_calibration`. With m the target's echo and
    ``model="delay"``, the gain of a channel is ``g exp(-2j pi f tau)``: tau maximises ``|sum conj(m) y exp(2j pi f
    tau)|`` over the delays up to `max_delay` (steps of a quarter of the resolution, then a bounded search), and g
    follows by least squares. For white noise this is the maximum-likelihood estimate. With ``model="frequency"`` the
    gain is ``y / m`` at each frequency, for hardware whose response is not a delay; noise and multipath of the
    reference scan then stay in it.

    Parameters
    ----------
    measurement
        The target alone: background subtracted, and gated where other echoes are strong. Several scenes are averaged.
    target
        A `PointTarget` or a `Plate`.
    model
        ``delay`` or ``frequency``.
    max_delay
        Largest delay looked for, seconds, positive or negative; at most half the sweep's unambiguous delay is used.

    Returns
    -------
    Measurement
        The scan with ``gain`` and, for the model ``delay``, ``delay``; masked channels have gain 1. An earlier gain is
        replaced.

    Raises
    ------
    ValueError
        When a channel's data have a coherence with the target's echo below 0.5 (the worst is named: a wrong place,
        other echoes, or a dead channel to be masked), or an option is out of range.
    """
    if model not in MODELS:
        raise UnfitError(f"model is {model!r}: expected one of {', '.join(MODELS)}")
    if not (np.isfinite(max_delay) and max_delay >= 0):
        raise UnfitError(f"max_delay is {max_delay} s: expected 0 or more")
    array, freq = measurement.array, measurement.sweep.freq
    data = channel_values(measurement).astype(np.complex128).mean(axis=0)
    echo = reference_echo(measurement, target)
    channels = array.channel_indices()
    delay = np.zeros(len(channels))
    if len(freq) > 1:
        limit = min(max_delay, 0.5 / float(np.diff(freq).max()))
        delay = np.array([_find_delay(freq, y * m.conj(), limit) for y, m in zip(data.T, echo.T, strict=True)])
    turned = data * np.exp(2j * np.pi * freq[:, None] * delay)
    energy = np.sum(np.abs(echo) ** 2, axis=0)
    g = np.sum(echo.conj() * turned, axis=0) / energy
    power = np.sum(np.abs(data) ** 2, axis=0)
    coherence = np.abs(g) ** 2 * energy / np.where(power > 0, power, 1)
    _check_coherent(channels, coherence)
    response = g * np.exp(-2j * np.pi * freq[:, None] * delay) if model == "delay" else data / echo
    result = replace(
        measurement,
        gain=array.spread_channels(response, 1.0 + 0j),
        delay=array.spread_channels(delay, 0.0) if model == "delay" else None,
    )
    return recorded(
        result,
        "estimate gain",
        target=repr(target),
        model=model,
        max_delay=max_delay,
        least_coherence=float(coherence.min()),
    )


def apply_calibration(measurement: Measurement, calibration: Measurement) -> Measurement:
    """Divide values and background of a scan by the channel gains of an earlier calibration.

    Parameters
    ----------
    measurement
        A scan with the same antennas (to a micrometre). Its channels may be fewer; those that the calibration masks
        must be masked in it too.
    calibration
        What `estimate_gain` or `mimo.autofocus` returned, or any measurement with a gain. Antennas and medium that
        autofocus corrected are corrected in the scan too. With a delay it serves every frequency inside its
        band; without one it must hold each frequency, to 1e-6 of the highest.

    Returns
    -------
    Measurement
        The calibrated scan.

    Raises
    ------
    ValueError
        When the calibration has no gain, other antennas, lacks a channel or a frequency, or the scan has a gain of its
        own that is not divided out.
    """
    if measurement.gain is not None:
        raise UnfitError("calibration/gain is in the scan already: expected a scan without one, or divide it out first")
    focused: Mapping[str, Any] = next((step for step in reversed(calibration.steps) if step["step"] == "autofocus"), {})
    measurement = _as_found(focused, calibration, measurement)
    check_same_antennas(calibration.array, measurement.array, "calibration")
    if calibration.gain is None:
        if focused.get("gained"):
            return recorded(measurement, "calibrate", source=calibration.source, estimated={"step": "autofocus"})
        raise UnfitError(
            "calibration/gain is absent: expected a file that `prepare --reference` made, or `autofocus` corrected"
        )
    gain = _gain_at(calibration, measurement.sweep.freq)
    place = {(int(t), int(r)): i for i, (t, r) in enumerate(calibration.array.channel_indices())}
    channels = [(int(t), int(r)) for t, r in measurement.array.channel_indices()]
    missing = [channel for channel in channels if channel not in place]
    if missing:
        t, r = missing[0]
        raise UnfitError(
            f"calibration has no channel {t}:{r} ({len(missing)} of {len(channels)} are missing or masked in it): "
            f"expected every channel of the scan; mask it in the scan"
        )
    response = gain[:, [place[channel] for channel in channels]]
    full = measurement.array.spread_channels(response, 1.0 + 0j)
    result = divide_gain(replace(measurement, gain=full), record=False)
    steps = [entry for entry in calibration.steps if entry["step"] in ("estimate gain", "autofocus")]
    return recorded(result, "calibrate", source=calibration.source, estimated=steps[-1] if steps else None)


def _as_found(focused: Mapping[str, Any], calibration: Measurement, measurement: Measurement) -> Measurement:
    """Return the scan with the places and the permittivity that autofocus found.

    `UnfitError` where the scan states other antennas or another medium than autofocus was given.
    """
    if "nominal_tx_pos" in focused:
        nominal = replace(
            calibration.array, tx_pos=focused["nominal_tx_pos"], rx_pos=focused["nominal_rx_pos"], name=""
        )
        check_same_antennas(nominal, measurement.array, "calibration, before autofocus,")
        moved = replace(measurement.array, tx_pos=calibration.array.tx_pos, rx_pos=calibration.array.rx_pos, name="")
        measurement = replace(measurement, array=moved)
    if "nominal_permittivity" in focused:
        nominal_permittivity = focused["nominal_permittivity"]
        if not np.isclose(measurement.permittivity, nominal_permittivity, rtol=1e-6):
            raise UnfitError(
                f"the scan's permittivity is {measurement.permittivity:g}, that of the calibration before autofocus "
                f"{nominal_permittivity:g}: expected the same medium"
            )
        measurement = replace(measurement, permittivity=calibration.permittivity)
    return measurement


def divide_gain(measurement: Measurement, *, record: bool = True) -> Measurement:
    """Divide values and background by the channel gain and return the measurement without it.

    Raises
    ------
    ValueError
        When there is no gain.
    """
    if measurement.gain is None:
        raise ValueError("calibration/gain is absent: expected the gain of each channel to divide out")
    background = None if measurement.background is None else measurement.background / measurement.gain
    result = replace(
        measurement, values=measurement.values / measurement.gain, background=background, gain=None, delay=None
    )
    return recorded(result, "divide gain") if record else result


def reference_echo(measurement: Measurement, target: ReferenceTarget) -> Complex:
    """Return the target's echo in ideal channels, complex128 ``(n_freq, n_channel)``, without the removed paths."""
    array = measurement.array
    array.check_near("a reference target")
    channels = array.channel_indices()
    tx, rx = array.tx_pos[channels[:, 0]], array.rx_pos[channels[:, 1]]
    path = target.path(tx, rx)
    if measurement.reference_path is not None:
        path = path - array.list_channels(measurement.reference_path)
    wavenumber = measurement.sweep.wavenumber(measurement.permittivity)
    turn = np.exp(-1j * np.remainder(wavenumber[:, None] * path, 2 * np.pi))
    return np.asarray(target.amplitude(tx, rx) * turn, np.complex128)


def _find_delay(freq: Floats, product: Complex, limit: float) -> float:
    """Return the delay within +-limit, seconds, that aligns the phases of ``product = y conj(m)`` over frequency."""
    if limit == 0 or not product.any():
        return 0.0
    offset = freq - freq.mean()
    step = 0.25 / max(float(np.ptp(freq)), 1.0)
    walk = np.linspace(-limit, limit, 2 * int(np.ceil(limit / step)) + 1)
    coarse = walk[np.abs(np.exp(2j * np.pi * walk[:, None] * offset) @ product).argmax()]
    low, high = max(coarse - step, -limit), min(coarse + step, limit)

    def miss(delay: float) -> float:
        return -float(np.abs(np.exp(2j * np.pi * delay * offset) @ product))

    return float(minimize_scalar(miss, bounds=(low, high), method="bounded", options={"xatol": 1e-6 * step}).x)


def _gain_at(calibration: Measurement, freq: Floats) -> Complex:
    """Return the gain of the calibration's channels at other frequencies, complex128 ``(n_freq, n_channel)``."""
    own = calibration.sweep.freq
    array = calibration.array
    assert calibration.gain is not None  # noqa: S101 - the caller's check, for the type checker
    gain = np.asarray(array.list_channels(calibration.gain), np.complex128)
    slack = FREQUENCY_TOLERANCE * own[-1]
    if calibration.delay is None:
        try:
            return gain[nearest_frequencies(own, freq, slack)]
        except ValueError as error:
            raise UnfitError(f"calibration has {error}") from error
    if freq[0] < own[0] - slack or freq[-1] > own[-1] + slack:
        raise UnfitError(
            f"calibration is for {own[0]:.6g} to {own[-1]:.6g} Hz, the scan has {freq[0]:.6g} to {freq[-1]:.6g} Hz: "
            f"expected the scan's band inside the calibration's"
        )
    delay = array.list_channels(calibration.delay)
    constant = np.mean(gain * np.exp(2j * np.pi * own[:, None] * delay), axis=0)
    return constant * np.exp(-2j * np.pi * freq[:, None] * delay)


def _check_coherent(channels: npt.NDArray[np.int32], coherence: Floats) -> None:
    weak = np.flatnonzero(coherence < LEAST_COHERENCE)
    if len(weak):
        worst = weak[coherence[weak].argmin()]
        t, r = channels[worst]
        raise UnfitError(
            f"{len(weak)} of {len(channels)} channels do not show the reference target, the worst is {t}:{r} with "
            f"coherence {coherence[worst]:.2f}: expected {LEAST_COHERENCE} or more; check its place, gate the scan, "
            f"subtract a background, or mask the channels"
        )
