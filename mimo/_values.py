"""Make arrays that cannot be written to, and compare and print them exactly: for the frozen value objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["frozen_array", "number_text", "points_repr", "same_arrays"]


def frozen_array(name: str, value: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a read-only copy of `value` as `dtype`; a value that is not numeric is an error naming `name`."""
    kind = np.dtype(dtype).kind
    try:
        given = np.asarray(value)
        if given.dtype.kind == "c" or (kind == "b" and not np.isin(given, (0, 1)).all()):
            raise ValueError(f"it holds {given.dtype.name} values that have no place there")
        array = np.array(given, dtype=dtype, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} is not an array of {np.dtype(dtype).name} numbers: {error}") from error
    if kind == "i" and not np.array_equal(array, given):
        raise ValueError(f"{name} holds numbers that are not whole: expected {np.dtype(dtype).name}")
    array.setflags(write=False)
    return array


def same_arrays(a: npt.NDArray[Any] | None, b: npt.NDArray[Any] | None) -> bool:
    """Whether both are ``None`` or both are equal arrays."""
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))


def points_repr(array: npt.NDArray[Any]) -> str:
    """Return an array as nested lists of numbers that evaluate to the same values."""
    return repr(array.tolist())


def number_text(value: float) -> str:
    """Return the shortest text that reads as the same number, without a trailing ``.0``.

    >>> number_text(4.0), number_text(0.1)
    ('4', '0.1')
    """
    return repr(float(value)).removesuffix(".0")
