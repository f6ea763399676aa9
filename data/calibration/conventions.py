"""Change conventions: the sign of the phase, the medium, a path length removed from the phase, the scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement, check_permittivity, check_region
from mimo.data.provenance import recorded

__all__ = ["conjugate", "normalise", "restore_reference_path", "with_permittivity", "with_region"]

NORMS = ("max", "rms")


def conjugate(measurement: Measurement) -> Measurement:
    """Return the measurement with values, background and gain conjugated: for data whose phase had the other sign.

    The delay, which is part of the gain, changes its sign; the removed path stays as it is.
    """
    flip = lambda a: None if a is None else a.conj()  # noqa: E731 - three uses on the next lines
    result = replace(
        measurement,
        values=measurement.values.conj(),
        background=flip(measurement.background),
        gain=flip(measurement.gain),
        delay=None if measurement.delay is None else -measurement.delay,
    )
    return recorded(result, "conjugate")


def with_permittivity(measurement: Measurement, permittivity: float) -> Measurement:
    """Return the measurement with another relative permittivity of the medium."""
    return recorded(
        replace(measurement, permittivity=check_permittivity(permittivity)), "permittivity", value=float(permittivity)
    )


def with_region(measurement: Measurement, region: str) -> Measurement:
    """Return the measurement with a statement of where the scene is: see `mimo.region.Region.parse`."""
    text = check_region(region)
    return recorded(replace(measurement, region=text), "region", value=text)


def restore_reference_path(measurement: Measurement) -> Measurement:
    """Return the measurement with the phase of the removed paths put back, so that its `reference_path` is ``None``.

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
    result = replace(measurement, values=measurement.values * phasor, background=background, reference_path=None)
    return recorded(result, "restore reference path")


def normalise(measurement: Measurement, norm: str = "max") -> Measurement:
    """Return the measurement with every scene divided by its own maximum or root mean square magnitude.

    Parameters
    ----------
    measurement
        With its background subtracted, as one background does not fit scenes of different scale.
    norm
        ``max``, the largest magnitude of the scene, or ``rms``, the root of its mean square magnitude, over the
        channels that carry data.

    Raises
    ------
    ValueError
        When the norm is neither, a background is left, or a scene is all zero.
    """
    if norm not in NORMS:
        raise UnfitError(f"norm is {norm!r}: expected one of {', '.join(NORMS)}")
    if measurement.background is not None:
        raise UnfitError("measurement/background is not yet subtracted: expected it subtracted before normalisation")
    values = measurement.values
    mask = measurement.array.mask
    data = np.abs(values if mask is None else values[..., mask]).astype(np.float64).reshape(len(values), -1)
    scale = data.max(axis=1) if norm == "max" else np.sqrt((data**2).mean(axis=1))
    if not scale.all():
        raise UnfitError(f"scene {int(np.flatnonzero(scale == 0)[0])} is all zero: expected data to normalise")
    result = replace(measurement, values=values / scale.reshape(-1, *[1] * (values.ndim - 1)))
    return recorded(result, "normalise", norm=norm, divided_by=scale)
