"""Read arrays of any names from npz, HDF5 or MATLAB files; options say which array is which."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.schema import FileError
from mimo.data.importers.containers import SUFFIXES, Get, named_arrays
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
from mimo.data.measurement import Array, Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "array"
DESCRIPTION = "arrays of your own names in .npz, HDF5 or .mat, with a mapping of the names"
EXPLANATION = (
    "Say what each array is called: --set values=S --set freq=f --set tx_pos=T --set rx_pos=R, or the same in a TOML",
    "file, --mapping map.toml. values is complex, one axis each of axes: scene, freq, tx, rx (or channel with the list",
    "channels of tx and rx numbers), iq for a pair of real numbers. axes=auto notices the order from the lengths.",
    "An antenna, or a pair, that moves needs no list: with axes freq and channel and as many tx_pos as rx_pos",
    "channel i is tx i with rx i. tx_normal and rx_normal say where antennas look.",
)
REQUIRED = ("values", "freq", "tx_pos", "rx_pos")


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
    freq: str = "freq",
    tx_pos: str = "tx_pos",
    rx_pos: str = "rx_pos",
    channels: str = "",
    tx_normal: str = "",
    rx_normal: str = "",
    reference_path: str = "",
    axes: tuple[str, ...] = ("auto",),
    length_unit: str = "m",
    freq_unit: str = "Hz",
    first_index: int = 0,
    phase_sign: int = -1,
    permittivity: float = 1.0,
) -> Measurement:
    """Read a measurement from arrays under any names.

    Parameters
    ----------
    path
        An npz, HDF5 (.h5, .hdf5) or MATLAB (.mat) file.
    values, freq, tx_pos, rx_pos
        Names in the file, with dots for fields of structures and slashes for groups: the complex values, the
        frequencies, the positions ``(n, 3)``. ``tx_pos`` and ``rx_pos`` may be the same array.
    channels
        Name of a list ``(n_channel, 2)`` of tx and rx numbers, when not every pair was measured. Without it, values
        with no more than the axes freq and channel (and iq) take channel i from tx i and rx i, equally many.
    tx_normal, rx_normal
        Names of the directions ``(n, 3)`` in which the antennas look.
    reference_path
        Name of the path lengths that were removed from the phase.
    axes
        Order of the axes of the values: of ``scene``, ``freq``, ``tx``, ``rx``, ``channel``, ``iq`` (real and
        imaginary part); ``auto`` notices it where the lengths allow only one.
    length_unit, freq_unit
        m, cm, mm, um, inch; Hz, kHz, MHz, GHz, THz.
    first_index
        0 or 1: the number of the first antenna in `channels`.
    phase_sign
        -1 where a wave that has travelled R carries exp(-j k R); +1 conjugates.
    permittivity
        Relative permittivity of the medium.

    Returns
    -------
    Measurement
        Frequencies ascending, values in our axis order.

    Raises
    ------
    FileError
        Naming the file, the array and what was expected; for a wrong order of axes, the order that the lengths fit.
    """
    length = unit_factor(path, "length_unit", length_unit, LENGTH_UNITS)
    hertz = unit_factor(path, "freq_unit", freq_unit, FREQUENCY_UNITS)
    with named_arrays(path) as (get, _):
        found = checked_numbers(path, freq, np.asarray(get(freq)))
        if found.dtype.kind not in "fiu" or found.size != max(found.shape, default=1):
            raise FileError(path, f"{freq} has shape {found.shape}, {found.dtype}: expected a vector of frequencies")
        freqs = found.astype(np.float64).ravel() * hertz
        tx, rx = (positions(path, name, get(name)) * length for name in (tx_pos, rx_pos))
        tx_look, rx_look = (positions(path, name, get(name)) if name else None for name in (tx_normal, rx_normal))
        data = np.asarray(get(values))
        pairs = _channels(path, get, channels, first_index, len(tx), len(rx)) if channels else None
        removed = checked_numbers(path, reference_path, get(reference_path)) * length if reference_path else None
    few = len(tx) == len(rx) and axes == ("auto",) and data.ndim - (data.dtype.kind == "f") == 2
    if pairs is None and ("channel" in axes or few):
        pairs = _moving(path, values, data.shape, len(tx), len(rx))
    sizes = {"freq": len(freqs), "tx": len(tx), "rx": len(rx), "iq": 2}
    wanted: tuple[str, ...] = ("scene", "freq", "tx", "rx")
    if pairs is not None:
        sizes["channel"], wanted = len(pairs), ("scene", "freq", "channel")
    data = _values(path, values, data, axes, sizes, wanted)
    freqs, data = ascending(freqs, data, 1)
    try:
        array = ArrayGeometry(tx, rx, pairs, tx_normal=tx_look, rx_normal=rx_look, name=path.stem)
    except ValueError as error:
        raise FileError(path, str(error)) from error
    if removed is not None:
        shape = array.measurement_shape
        if removed.size != np.prod(shape):
            raise FileError(path, f"{reference_path} has shape {removed.shape}: expected {shape}, a length a channel")
        removed = removed.reshape(shape)
    return Measurement(
        in_our_sign(path, data, phase_sign),
        array,
        sweep_of(path, freq, freqs),
        permittivity=check_permittivity(permittivity),
        reference_path=removed,
        source=f"array {path.name}",
    )


def _values(
    path: Path, name: str, data: Array, axes: tuple[str, ...], sizes: dict[str, int], wanted: tuple[str, ...]
) -> Array:
    """Return complex values with their axes in the order `wanted`."""
    stated = axes != ("auto",)
    if stated:
        unknown = [axis for axis in axes if axis not in AXIS_NAMES]
        missing = [axis for axis in wanted if axis not in axes and axis != "scene"]
        if unknown or missing or len(set(axes)) < len(axes):
            raise FileError(
                path, f"axes is {','.join(axes)}: expected each of {','.join(wanted[1:])} once, and scene or iq if any"
            )
    else:
        names = [*wanted[1:], *(["iq"] if data.dtype.kind == "f" else [])]
        names = ["scene", *names] if data.ndim > len(names) else names
        if data.ndim != len(names):
            raise FileError(path, f"{name} has shape {data.shape}: expected {len(names)} axes, {','.join(names)}")
        axes = noticed_axes(path, name, data.shape, names, sizes)
    if "iq" in axes:
        if data.dtype.kind not in "fi":
            raise FileError(path, f"{name} has dtype {data.dtype} and an axis iq: expected real numbers")
        parts = arranged(path, name, data, axes, sizes, (*wanted, "iq"))
        data, axes = parts[..., 0] + 1j * parts[..., 1], wanted
        sizes = {**sizes, "scene": len(data)}
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
