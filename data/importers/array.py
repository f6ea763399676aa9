"""Read arrays of any names from npz, HDF5 or MATLAB files; options say which is which, and how the radar moved."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.schema import FileError, UnfitError, far_sides
from mimo.data.importers.chirp import Chirp
from mimo.data.importers.containers import SUFFIXES, Get, named_arrays
from mimo.data.importers.frames import one_scene, with_turns
from mimo.data.importers.layout import (
    AXIS_NAMES,
    FREQUENCY_UNITS,
    LENGTH_UNITS,
    arranged,
    ascending,
    checked_complex,
    checked_numbers,
    in_our_sign,
    noticed_axes,
    positions,
    sweep_of,
    unit_factor,
)
from mimo.data.importers.motion import Motion
from mimo.data.importers.tracks import numbers_of
from mimo.data.measurement import Array, Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "array"
DESCRIPTION = "arrays of your own names in .npz, HDF5 or .mat, with a mapping of the names"
EXPLANATION = (
    "Say what each array is called: --set values=S --set freq=f --set tx_pos=T --set rx_pos=R, or the same in a TOML",
    "file, --mapping map.toml; fields of structures as data.S. values is complex (or real beside imag), one axis each",
    "of axes: scene, freq, tx, rx (or channel with the list channels of tx and rx numbers), iq for a pair of real",
    "numbers. axes=auto notices the order from the lengths. The only complex array needs no name. freq may be",
    "start:stop:count, tx_pos and rx_pos along a rail x=0:0.3:61,y=0.02 or x=NAME. An antenna, or a pair, that moves",
    "needs no list: with axes freq and channel and as many tx_pos as rx_pos channel i is tx i with rx i; or say how it",
    "moves: --set motion.kind=raster (its axes: y, x), turntable (angle), line or poses (frame). Positions are then",
    "those in the radar; without any it is one antenna.",
)
REQUIRED = ("values", "freq", "tx_pos", "rx_pos")
USUAL_FREQ = ("freq", "freqs", "frequency", "frequencies", "f")
"""Names, in small letters, under which frequencies are looked for when none is given."""


def recognise(path: Path) -> bool:
    """Whether `path` is such a file whose arrays have the names that need no mapping."""
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        with named_arrays(path) as (_, names):
            return set(REQUIRED) <= set(names)
    except FileError:
        return False


def read(
    path: Path,
    *,
    values: str = "values",
    imag: str = "",
    freq: str = "freq",
    tx_pos: str = "tx_pos",
    rx_pos: str = "rx_pos",
    channels: str = "",
    tx_normal: str = "",
    rx_normal: str = "",
    reference_path: str = "",
    axes: tuple[str, ...] = ("auto",),
    pick: str = "",
    far: str = "",
    length_unit: str = "m",
    freq_unit: str = "Hz",
    first_index: int = 0,
    phase_sign: int = -1,
    permittivity: float = 1.0,
    motion: Motion | None = None,
    chirp: Chirp | None = None,
) -> Measurement:
    """Read a measurement from arrays under any names.

    Parameters
    ----------
    path
        An npz, HDF5 (.h5, .hdf5) or MATLAB (.mat) file.
    values, freq, tx_pos, rx_pos
        Names in the file, with dots for fields of structures and slashes for groups: the complex values, the
        frequencies, the positions ``(n, 3)``. ``tx_pos`` and ``rx_pos`` may be the same array, or positions themselves,
        ``[[0,0,0],[0.002,0,0]]`` or, along a rail, ``x=0:0.3:61,y=0.02``, where a number may be the name of a vector;
        ``freq`` may be ``start:stop:count``.
    imag
        Name of the imaginary part, when ``values`` is the real part alone.
    channels
        Name of a list ``(n_channel, 2)`` of tx and rx numbers, when not every pair was measured. Without it, values
        with no more than the axes freq and channel (and iq) take channel i from tx i and rx i, equally many.
    tx_normal, rx_normal
        Names of the directions ``(n, 3)`` in which the antennas look.
    reference_path
        Name of the path lengths that were removed from the phase.
    axes
        Order of the axes of the values: of ``scene``, ``freq``, ``tx``, ``rx``, ``channel``, ``iq`` (real and
        imaginary part), with a motion its axes instead of ``scene``; ``auto`` notices it where the lengths allow only
        one.
    pick
        ``AXIS=NUMBER``, from 0: takes one along an axis of the values, which then is not one of the measurement's:
        ``scene=3``, ``rx=0``. Needs `axes`.
    far
        tx, rx or tx,rx: these are infinitely far away, their waves plane, and their positions are directions from the
        origin, from which the phase counts.
    length_unit, freq_unit
        m, cm, mm, um, inch; Hz, kHz, MHz, GHz, THz.
    first_index
        0 or 1: the number of the first antenna in `channels`.
    phase_sign
        -1 where a wave that has travelled R carries exp(-j k R); +1 conjugates.
    permittivity
        Relative permittivity of the medium.
    motion
        How the radar moved between the frames; they become one scene. Positions then are in the radar's own
        coordinates, and by default one antenna at their origin.
    chirp
        The chirp whose samples the axis freq holds, instead of frequencies.

    Returns
    -------
    Measurement
        Frequencies ascending, values in our axis order.

    Raises
    ------
    FileError
        Naming the file, the array and what was expected; for a wrong order of axes, the order that the lengths fit.
    """
    away: Any = far_sides(far)
    length = unit_factor(path, "length_unit", length_unit, LENGTH_UNITS)
    hertz = unit_factor(path, "freq_unit", freq_unit, FREQUENCY_UNITS)
    with named_arrays(path) as (get, names):
        values = _values_name(get, names, values)
        data = _complex(path, get, values, imag)
        data, axes = _picked(path, values, data, axes, pick)
        freqs = None if chirp is not None else _frequencies(path, get, names, freq) * hertz
        track = None if motion is None else motion.with_numbers(get).track()
        tx, rx = _sides(path, get, names, tx_pos, rx_pos, length, alone=track is not None)
        tx_look, rx_look = (positions(path, name, get(name)) if name else None for name in (tx_normal, rx_normal))
        pairs = _channels(path, get, channels, first_index, len(tx), len(rx)) if channels else None
        removed = checked_numbers(path, reference_path, get(reference_path)) * length if reference_path else None
    few = len(tx) == len(rx) and axes == ("auto",) and data.ndim - (data.dtype.kind in "fi") == 2 and track is None
    if pairs is None and ("channel" in axes or few):
        pairs = _moving(path, values, data.shape, len(tx), len(rx))
    frames = {"scene": 0} if track is None else track.axes
    unsplit = track is not None and (track.frames is not None or "frame" in axes)
    frames = {"frame": 0} if unsplit else frames
    sizes = {"tx": len(tx), "rx": len(rx), "iq": 2} | (frames if track is not None and not unsplit else {})
    if freqs is not None:
        sizes["freq"] = len(freqs)
    elif chirp is not None and chirp.n_sample:
        sizes["freq"] = chirp.n_sample
    wanted: tuple[str, ...] = (*frames, "freq", "tx", "rx")
    if pairs is not None:
        sizes["channel"], wanted = len(pairs), (*frames, "freq", "channel")
    data = _values(path, values, data, axes, sizes, wanted, n_frame_axis=len(frames) * (track is not None))
    data = data.reshape(-1, *data.shape[len(frames) :])
    if chirp is not None:
        freqs = chirp.freq(data.shape[1])
    assert freqs is not None  # noqa: S101 - one of the two, for the type checker
    if len(freqs) != data.shape[1]:
        raise FileError(path, f"{values} has {data.shape[1]} samples, there are {len(freqs)} frequencies")
    freqs, data = ascending(freqs, data, 1)
    try:
        array = ArrayGeometry(tx, rx, pairs, tx_normal=tx_look, rx_normal=rx_look, name=path.stem)
        array = replace(array, **away)
    except ValueError as error:
        raise FileError(path, str(error)) from error
    if removed is not None:
        shape = array.measurement_shape
        if removed.size != np.prod(shape):
            raise FileError(path, f"{reference_path} has shape {removed.shape}: expected {shape}, a length a channel")
        removed = removed.reshape(shape)
    measurement = Measurement(
        in_our_sign(path, data, phase_sign),
        array,
        sweep_of(path, freq, freqs),
        permittivity=check_permittivity(permittivity),
        reference_path=removed,
        source=f"array {path.name}",
    )
    if motion is None or track is None:
        return measurement
    return one_scene(measurement, track, with_turns(motion.mount, chirp, range(array.n_tx)))


def _values_name(get: Get, names: tuple[str, ...], given: str) -> str:
    """Return the name of the values: the one given or, where the file lacks the default, its only complex array."""
    if given != "values" or "values" in names:
        return given
    found = []
    for name in names:
        with suppress(FileError):  # a structure, or a text
            if np.asarray(get(name)).dtype.kind == "c":
                found.append(name)
    return found[0] if len(found) == 1 else given


def _complex(path: Path, get: Get, values: str, imag: str) -> Array:
    """Return the values; real and imaginary part in two arrays are put together."""
    data = np.asarray(get(values))
    if not imag:
        return data
    other = np.asarray(get(imag))
    if data.shape != other.shape or data.dtype.kind not in "fi" or other.dtype.kind not in "fi":
        raise FileError(
            path,
            f"{values} is {data.dtype} {data.shape}, {imag} is {other.dtype} {other.shape}: expected the real and the "
            "imaginary part, real numbers in one shape",
        )
    single = np.result_type(data, np.float32) == np.float32
    return (data + 1j * other).astype(np.complex64 if single else np.complex128)


def _picked(path: Path, name: str, data: Array, axes: tuple[str, ...], pick: str) -> tuple[Array, tuple[str, ...]]:
    """Return the values at one place of an axis, and the other axes."""
    if not pick:
        return data, axes
    axis, _, number = pick.partition("=")
    if axis not in axes or not number.isdecimal() or data.ndim != len(axes):
        raise FileError(
            path,
            f"pick is {pick!r}, axes is {','.join(axes)}, {name} has shape {data.shape}: expected AXIS=NUMBER of an "
            "axis that is stated",
        )
    at = axes.index(axis)
    if int(number) >= data.shape[at]:
        raise FileError(path, f"pick is {pick!r}: expected {axis}=0 to {data.shape[at] - 1}")
    return data.take(int(number), at), axes[:at] + axes[at + 1 :]


def _frequencies(path: Path, get: Get, names: tuple[str, ...], given: str) -> Array:
    if given == "freq" and "freq" not in names:
        usual = [name for name in names if name.lower() in USUAL_FREQ]
        if len(usual) != 1:
            listed = ", ".join(names[:12]) or "nothing"
            raise FileError(
                path,
                f"array 'freq' is missing: expected freq=NAME of {listed}, or freq=START:STOP:COUNT with freq_unit",
            )
        given = usual[0]
    try:
        return numbers_of("freq", given, get)
    except UnfitError as error:
        raise FileError(path, f"{error} of frequencies") from error


def _sides(
    path: Path, get: Get, names: tuple[str, ...], tx_pos: str, rx_pos: str, length: float, *, alone: bool
) -> tuple[Array, Array]:
    """Return the positions of transmitters and receivers: one antenna at the origin when `alone` and unnamed."""
    if alone and (tx_pos, rx_pos) == ("tx_pos", "rx_pos") and not {"tx_pos", "rx_pos"} & set(names):
        return np.zeros((1, 3)), np.zeros((1, 3))

    def side(option: str, name: str) -> Array:
        if "=" in name:
            return _along(path, option, name, get) * length
        if not name.startswith("["):
            return positions(path, name, get(name)) * length
        try:
            found = np.array(json.loads(name), np.float64)
        except (ValueError, TypeError) as error:
            raise FileError(path, f"{option} is {name[:60]!r}: expected [[x,y,z],...] or a name") from error
        return positions(path, option, found.reshape(1, -1) if found.ndim == 1 else found) * length

    return side("tx_pos", tx_pos), side("rx_pos", rx_pos)


def _along(path: Path, option: str, text: str, get: Get) -> Array:
    """Return positions given axis by axis, ``x=0:0.3:61,y=0.02`` or ``y=NAME``; an axis that is not named is 0."""
    found: dict[str, Array] = {}
    for part in text.split(","):
        axis, _, value = part.strip().partition("=")
        if axis not in ("x", "y", "z") or axis in found or not value:
            raise FileError(path, f"{option} is {text!r}: expected x=, y= or z=, each once, as in x=0:0.3:61,y=0.02")
        try:
            found[axis] = np.atleast_1d(float(value))
        except ValueError:
            found[axis] = numbers_of(option, value, None if ":" in value else get)
    count = max(map(len, found.values()))
    if any(len(each) not in (1, count) for each in found.values()):
        counted = ", ".join(f"{axis} {len(each)}" for axis, each in found.items())
        raise FileError(path, f"{option} is {text!r} with {counted} numbers: expected as many of each, or one")
    places = np.zeros((count, 3))
    for axis, each in found.items():
        places[:, "xyz".index(axis)] = each
    return checked_numbers(path, option, places)


def _values(
    path: Path,
    name: str,
    data: Array,
    axes: tuple[str, ...],
    sizes: dict[str, int],
    wanted: tuple[str, ...],
    *,
    n_frame_axis: int = 0,
) -> Array:
    """Return complex values with their axes in the order `wanted`; the first `n_frame_axis` of them must be there."""
    real = data.dtype.kind in "fi"
    must = tuple(axis for axis in wanted if axis != "scene")
    if axes != ("auto",):
        known = {*AXIS_NAMES, *wanted} - ({"scene"} if n_frame_axis else set())
        unknown = [axis for axis in axes if axis not in known]
        missing = [axis for axis in must if axis not in axes and (not n_frame_axis or sizes.get(axis) != 1)]
        if unknown or missing or len(set(axes)) < len(axes):
            extra = "iq if any" if n_frame_axis else "scene or iq if any"
            raise FileError(path, f"axes is {','.join(axes)}: expected each of {','.join(must)} once, and {extra}")
    else:
        names = [*must, *(["iq"] if real else [])]
        if n_frame_axis:  # a lone antenna has no axes tx and rx
            single = [axis for axis in ("tx", "rx") if axis in names and sizes[axis] == 1]
            for axis in single[: max(0, len(names) - data.ndim)]:
                names.remove(axis)
        elif data.ndim > len(names):
            names = ["scene", *names]
        if data.ndim != len(names):
            raise FileError(path, f"{name} has shape {data.shape}: expected {len(names)} axes, {','.join(names)}")
        axes = noticed_axes(path, name, data.shape, names, sizes)
    if "iq" in axes:
        if not real:
            raise FileError(path, f"{name} has dtype {data.dtype} and an axis iq: expected real numbers")
        parts = arranged(path, name, data, axes, sizes, (*wanted, "iq"))
        data, axes = parts[..., 0] + 1j * parts[..., 1], wanted
        sizes = sizes if n_frame_axis else {**sizes, "scene": len(data)}
    return arranged(path, name, checked_complex(path, name, data), axes, sizes, wanted)


def _moving(path: Path, name: str, shape: tuple[int, ...], n_tx: int, n_rx: int) -> Array:
    """Return the channels of an antenna, or a pair, that moves: channel i is tx i with rx i."""
    if n_tx != n_rx:
        raise FileError(
            path,
            f"{name} has shape {shape} with an axis channel, there are {n_tx} tx and {n_rx} rx: expected the option "
            f"channels, the name of the list of tx and rx numbers, or equally many of both",
        )
    return np.stack([np.arange(n_tx)] * 2, axis=1)


def _channels(path: Path, get: Get, name: str, first: int, n_tx: int, n_rx: int) -> Array:
    pairs = np.asarray(get(name))
    if pairs.ndim == 2 and pairs.shape[0] == 2 and pairs.shape[1] != 2:
        pairs = pairs.T
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.array_equal(pairs, np.round(pairs)):
        raise FileError(path, f"{name} has shape {pairs.shape}: expected (n_channel, 2) whole numbers, tx and rx")
    if first not in (0, 1):
        raise FileError(path, f"first_index is {first}: expected 0 or 1")
    pairs = pairs.astype(np.int64) - first
    outside = np.flatnonzero(((pairs < 0) | (pairs >= (n_tx, n_rx))).any(axis=1))
    if len(outside):
        t, r = pairs[outside[0]] + first
        raise FileError(
            path,
            f"{name}[{outside[0]}] is ({t}, {r}), there are {n_tx} tx and {n_rx} rx counted from {first}: "
            f"expected a channel of theirs",
        )
    return pairs
