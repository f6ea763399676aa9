"""Subtract a background: a scan without the target, or the mean of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mimo.data.calibration.matching import check_same_array, check_same_sweep
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement
from mimo.data.provenance import recorded

__all__ = ["subtract_background", "with_mean_background"]


def subtract_background(measurement: Measurement) -> Measurement:
    """Subtract the background from every scene and return the measurement without it.

    Raises
    ------
    ValueError
        When there is no background.
    """
    if measurement.background is None:
        raise ValueError("measurement/background is absent: expected a scene without the target to subtract")
    result = replace(measurement, values=measurement.values - measurement.background, background=None)
    return recorded(result, "subtract background")


def with_mean_background(measurement: Measurement, scans: Sequence[Measurement]) -> Measurement:
    """Return the measurement with the mean of all scenes of the scans as its background, not yet subtracted.

    Parameters
    ----------
    measurement
        The scenes with the target.
    scans
        One or more measurements without the target: same array, frequencies (to 1e-6 of the highest), gain and removed
        paths. Subtracting a mean of n scenes adds 1/n of one scene's noise power; a single scan doubles the noise.

    Raises
    ------
    ValueError
        When there is no scan, or one has another array, sweep, gain or reference path.
    """
    if not scans:
        raise UnfitError("background has no scan: expected at least one scan without the target")
    for scan in scans:
        check_same_array(scan.array, measurement.array, "background")
        check_same_sweep(scan.sweep, measurement.sweep, "background")
        for name, path in (("gain", "calibration/gain"), ("reference_path", "measurement/reference_path")):
            mine, other = getattr(measurement, name), getattr(scan, name)
            if (mine is None) != (other is None) or (mine is not None and not np.allclose(mine, other, rtol=1e-5)):
                raise UnfitError(f"background has another {path} than the scan: expected the same in both, or none")
    scenes = sum(scan.n_scene for scan in scans)
    total = sum(scan.values.sum(axis=0, dtype=np.complex128) for scan in scans)
    mean = np.asarray(total / scenes)
    if measurement.array.mask is not None:
        mean = np.where(measurement.array.mask, mean, 0)  # what is masked stays 0
    result = replace(measurement, background=mean)
    sources = [scan.source for scan in scans]
    return recorded(result, "background", n_scene=scenes, sources=sources)
