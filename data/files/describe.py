"""Describe what is in a file, in sentences for a person and numbers for a script (``mimo info``)."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy.constants import speed_of_light

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data.files.geometry import Geometry
from mimo.data.files.reader import MeasurementFile, open_measurement
from mimo.data.files.shard_report import shards_of
from mimo.data.measurement import Measurement
from mimo.data.provenance import describe_steps
from mimo.sampling import expected_sampling

__all__ = ["describe_file", "describe_geometry", "describe_import", "doubt_about_units"]

MANY_WAVELENGTHS = 2000
"""Shortest wavelengths that an array may span without a doubt about units. A laboratory's array is smaller; a flight's,
which may be larger, has a path removed from its phase."""


def describe_file(path: str | PathLike[str]) -> dict[str, Any]:
    """Return facts about a file by name, in the order to show them; values are strings, or lists of strings.

    Where shards are missing or not yet joined, there are only the facts ``file``, ``scenes``, ``shards`` and
    ``missing``, a list.

    Raises
    ------
    FileError
        When the file is damaged or does not follow the schema.
    """
    shards = shards_of(Path(path))
    if shards is not None and (shards.missing or not Path(path).exists()):
        return {"file": str(path), "scenes": str(shards.n_scene), **shards.facts()}
    with open_measurement(path) as file:
        facts: dict[str, Any] = {
            "file": str(path),
            "source": file.source or "not stated",
            "scenes": str(file.n_scene),
            **({} if shards is None else shards.facts()),
            "array": _array(file.array),
            "antennas": _span(file.array),
            "sweep": _sweep(file.sweep),
            "permittivity": f"{file.permittivity:g}",
            "region": file.region or "not stated",
            "phase sign": "-1, exp(-jkR)" if file.phase_sign == -1 else "+1, conjugated on load",
            "measurement": " x ".join(map(str, (file.n_scene, file.sweep.n_freq, *file.array.measurement_shape))),
            "snr": _snr(file),
            "kept beside": ", ".join(_beside(file)) or "nothing",
            "steps": describe_steps(file.steps) or "none recorded",
            "truth": "known" if file.has_truth else "not known",
            "images": list(file.methods) or "none",
            "grid": "none" if file.grid is None else _grid(file.grid),
        }
        if file.grid is not None:
            sampling = expected_sampling(file.array, file.sweep, file.grid, permittivity=file.permittivity)
            widths = " x ".join(f"{1e3 * width:.3g}" for width in sampling.resolution)
            facts["resolution"] = f"{widths} mm (-3 dB widths along x, y, z at the grid's centre)"
            facts["unambiguous"] = f"{sampling.unambiguous_range:.4g} m of range"
            facts["warnings"] = list(sampling.warnings) or "none"
    return facts


def describe_geometry(path: str | PathLike[str], geometry: Geometry) -> dict[str, Any]:
    """Return facts about a geometry file by name, in the order to show them."""
    return {
        "file": str(path),
        "array": _array(geometry.array),
        "antennas": _span(geometry.array),
        "sweep": "none" if geometry.sweep is None else _sweep(geometry.sweep),
        "grid": "none" if geometry.grid is None else _grid(geometry.grid),
        "measurement": "none: an array alone",
    }


def describe_import(measurement: Measurement) -> str:
    """Return sweep, channels and size of an imported measurement in one line, which shows a wrong unit at once."""
    array = measurement.array
    return (
        f"{_sweep(measurement.sweep)}; {array.n_channel} channel{'s' * (array.n_channel > 1)}; antennas {_span(array)}"
    )


def doubt_about_units(measurement: Measurement) -> str | None:
    """Return a question about units when the array's size does not suit the wavelength, else ``None``.

    Antennas over less than a hundredth of the shortest wavelength, or over more than `MANY_WAVELENGTHS` of them
    without a removed path, were probably given in another unit than was said.
    """
    array, wavelength = measurement.array, speed_of_light / float(measurement.sweep.freq[-1])
    span = float(np.ptp(np.concatenate([array.tx_pos, array.rx_pos]), axis=0).max())
    most = MANY_WAVELENGTHS if measurement.reference_path is None else np.inf
    if any(array.far) or not span or 1e-2 <= span / wavelength <= most:
        return None
    return (
        f"the antennas span {span:.4g} m, the shortest wavelength is {wavelength:.4g} m: are both in the units stated?"
    )


def _beside(file: MeasurementFile) -> list[str]:
    """Return what is stored with the values but not yet applied to them, in words."""
    words = {
        "measurement/background": "a background, not subtracted",
        "calibration/gain": "a channel gain, not divided out",
        "calibration/delay": "its delay",
        "measurement/reference_path": "the path removed from the phase",
    }
    kept = file.fixed_datasets()
    return [text for place, text in words.items() if place in kept]


def _array(array: ArrayGeometry) -> str:
    kind = "listed channels" if array.paired else "channels"
    missing = array.n_tx * array.n_rx - array.n_channel if not array.paired else 0
    label = f"{array.name}: " if array.name else ""
    return f"{label}{array.n_tx} tx, {array.n_rx} rx, {array.n_channel} {kind}" + (
        f", {missing} missing" if missing else ""
    )


def _span(array: ArrayGeometry) -> str:
    sides = np.ptp(np.concatenate([array.tx_pos, array.rx_pos]), axis=0)
    looks = " and ".join(n for n, v in (("tx", array.tx_normal), ("rx", array.rx_normal)) if v is not None)
    normals = f", {looks} with normals" if looks else ""
    away = " and ".join(name for name, far in zip(("tx", "rx"), array.far, strict=True) if far)
    if away:
        return f"{away} infinitely far away, directions of plane waves{normals}"
    return f"over {' x '.join(f'{side:.4g}' for side in sides)} m{normals}"


def _sweep(sweep: FrequencySweep) -> str:
    if sweep.n_freq == 1:
        return f"{sweep.center / 1e9:.6g} GHz"
    step = "uneven steps" if sweep.step is None else f"steps of {sweep.step / 1e6:.6g} MHz"
    return f"{sweep.n_freq} frequencies, {sweep.freq[0] / 1e9:.6g} to {sweep.freq[-1] / 1e9:.6g} GHz, {step}"


def _grid(grid: VoxelGrid) -> str:
    axes = (f"{n} {a[0]:.4g} to {a[-1]:.4g} m" for n, a in (("x", grid.x), ("y", grid.y), ("z", grid.z)))
    return f"{' x '.join(map(str, grid.shape))} voxels, {', '.join(axes)}"


def _snr(file: MeasurementFile) -> str:
    values = file.snr_db
    if values is None:
        return "not stated"
    low, high = float(values.min()), float(values.max())
    return f"{low:g} dB" if low == high else f"{low:.3g} to {high:.3g} dB"
