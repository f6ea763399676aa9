"""Convert axes, units and phase sign of other programs' arrays to ours; errors name the file and the array."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import FrequencySweep
from mimo.data.files.schema import FileError

__all__ = [
    "AXIS_NAMES",
    "FREQUENCY_UNITS",
    "LENGTH_UNITS",
    "Array",
    "arranged",
    "ascending",
    "check_axes",
    "checked_complex",
    "checked_numbers",
    "evened",
    "in_our_sign",
    "noticed_axes",
    "orders_that_fit",
    "positions",
    "sweep_of",
    "unit_factor",
]

AXIS_NAMES = ("scene", "freq", "tx", "rx", "channel", "iq")
LENGTH_UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "inch": 0.0254}
FREQUENCY_UNITS = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "THz": 1e12}

Array = npt.NDArray[Any]
Where = str | PathLike[str]


def arranged(
    path: Where, name: str, values: Array, axes: Sequence[str], sizes: Mapping[str, int], wanted: Sequence[str]
) -> Array:
    """Return the values with their axes in the order `wanted`; an absent axis is added with length 1.

    Parameters
    ----------
    path, name
        File and variable, for messages.
    values
        Any array.
    axes
        Names of its axes in order, of `AXIS_NAMES`.
    sizes
        Lengths of the axes that are known otherwise: ``freq`` from the frequencies, ``tx`` from the positions, ...
    wanted
        Names of the result's axes in order.

    Raises
    ------
    FileError
        When the lengths do not fit the names; when they fit another order of the same axes, the message says which.
    """
    check_axes(path, name, values.shape, axes, sizes)
    order = [axes.index(axis) for axis in wanted if axis in axes]
    moved = values.transpose(order)
    for at, axis in enumerate(wanted):
        if axis not in axes:
            moved = np.expand_dims(moved, at)
    return moved


def check_axes(
    path: Where, name: str, shape: tuple[int, ...], axes: Sequence[str], sizes: Mapping[str, int]
) -> None:  # fmt: skip
    """Raise FileError for a shape that does not fit the axes' known lengths; it names an order that would fit."""
    stated = ", ".join(axes)
    expected = ", ".join(str(sizes.get(axis, f"any {axis}")) for axis in axes)
    if len(shape) != len(axes):
        raise FileError(path, f"{name} has shape {shape}: expected {len(axes)} axes ({stated}), ({expected})")
    if all(sizes.get(axis, n) == n for axis, n in zip(axes, shape, strict=True)):
        return
    others = [order for order in orders_that_fit(shape, axes, sizes) if order != tuple(axes)]
    hint = f"; the lengths fit the order {' or '.join(','.join(order) for order in others)}" if others else ""
    raise FileError(path, f"{name} has shape {shape}: expected ({stated}) of ({expected}){hint}")


def orders_that_fit(
    shape: tuple[int, ...], axes: Sequence[str], sizes: Mapping[str, int]
) -> list[tuple[str, ...]]:  # fmt: skip
    """Return the orders of the axes in which their known lengths fit the shape."""
    if len(shape) != len(axes):
        return []
    orders = itertools.permutations(axes)
    return [o for o in orders if all(sizes.get(axis, n) == n for axis, n in zip(o, shape, strict=True))]


def noticed_axes(
    path: Where, name: str, shape: tuple[int, ...], axes: Sequence[str], sizes: Mapping[str, int]
) -> tuple[str, ...]:
    """Return the one order of the axes that fits the lengths; the place of an axis of length 1 does not matter.

    Raises
    ------
    FileError
        When none fits, or several do (they are listed): the order must then be stated.
    """
    orders = orders_that_fit(shape, axes, sizes)
    known = ", ".join(f"{axis} {sizes[axis]}" for axis in axes if axis in sizes)
    if not orders:
        raise FileError(path, f"{name} has shape {shape}: expected an order of the axes {', '.join(axes)} ({known})")
    if len({tuple(axis for axis in order if sizes.get(axis) != 1) for order in orders}) > 1:
        listed = " or ".join(",".join(order) for order in orders[:4])
        raise FileError(path, f"{name} has shape {shape}, which fits {listed} ({known}): expected axes to be stated")
    return orders[0]


def ascending(freq: Array, values: Array, axis: int) -> tuple[Array, Array]:
    """Return frequencies from low to high and the values in the same order along `axis`."""
    order = np.argsort(freq, kind="stable")
    return freq[order], (values if np.array_equal(order, np.arange(len(freq))) else values.take(order, axis))


def evened(freq: Array) -> Array:
    """Return frequencies in float64, and make a uniform sweep that was rounded to float32 uniform again.

    A float32 near 10 GHz is rounded to 1 kHz, which makes uniform steps uneven. Where a straight line is within that
    rounding of every frequency, it replaces them.
    """
    exact = freq.astype(np.float64)
    if freq.dtype != np.float32 or len(freq) < 3:
        return exact
    line = np.polynomial.Polynomial.fit(np.arange(len(freq)), exact, 1)
    even = np.linspace(line(0), line(len(freq) - 1), len(freq))
    return even if (np.abs(even - exact) <= np.spacing(freq).astype(np.float64)).all() else exact


def sweep_of(path: Where, name: str, freq: Array) -> FrequencySweep:
    """Return the sweep; FileError naming the variable when a frequency is not finite, too low or there twice."""
    try:
        return FrequencySweep(np.asarray(freq, np.float64))
    except ValueError as error:
        raise FileError(path, f"{name}: {error}") from error


def in_our_sign(path: Where, values: Array, phase_sign: int) -> Array:
    """Return the values with a phase of exp(-j k R): conjugated when their sign is +1."""
    if phase_sign not in (-1, 1):
        raise FileError(path, f"phase_sign is {phase_sign}: expected -1, exp(-j k R), or +1, exp(+j k R)")
    return values.conj() if phase_sign == 1 else values


def unit_factor(path: Where, option: str, unit: str, units: Mapping[str, float]) -> float:
    """Return the factor to metres or hertz; FileError listing the units when it is none of them."""
    for name, factor in units.items():
        if name.lower() == unit.lower():
            return factor
    raise FileError(path, f"{option} is {unit!r}: expected one of {', '.join(units)}")


def positions(path: Where, name: str, values: Array) -> Array:
    """Return positions as float64 ``(n, 3)``; ``(3, n)`` is transposed unless n is 3; FileError for other shapes."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiu":
        raise FileError(path, f"{name} has dtype {values.dtype}: expected numbers, x, y, z of each antenna")
    if values.ndim == 2 and values.shape[0] == 3 and values.shape[1] != 3:
        values = values.T
    if values.ndim != 2 or values.shape[1] != 3 or not len(values):
        raise FileError(path, f"{name} has shape {values.shape}: expected (n, 3), x, y, z of each antenna")
    return checked_numbers(path, name, values).astype(np.float64)


def checked_numbers(path: Where, name: str, values: Array) -> Array:
    """Return the values; FileError naming the first index that is not finite."""
    bad = ~np.isfinite(values)
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise FileError(path, f"{name} is not finite at index {index}: expected finite numbers")
    return values


def checked_complex(path: Where, name: str, values: Array) -> Array:
    """Return the values; FileError unless they are complex and finite."""
    if values.dtype.kind != "c":
        raise FileError(path, f"{name} has dtype {values.dtype}: expected complex numbers")
    return checked_numbers(path, name, values)
