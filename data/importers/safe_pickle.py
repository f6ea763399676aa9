"""Read numbers from pickled ``.npy`` files without running them: only plain containers and arrays of numbers.

A pickle can call any function that it names. This reader knows eight names, and gives for each a class of its own that
only remembers what it is told; numpy arrays are built afterwards, from checked shapes, dtypes and bytes.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from mimo.data.files.limits import check_size, open_regular
from mimo.data.files.schema import FileError

__all__ = ["holds_pickle", "load_pickled_dict"]

MAGIC = b"\x93NUMPY"
NUMBER_KINDS = "fiucbSU"
DEEPEST = 32
"""How deep containers may lie in each other."""


class _Refused(pickle.UnpicklingError):
    """Raised when a pickle asks for anything that is not a number, a text, a container or an array of numbers."""


class _Dtype:
    """Remembers a dtype: its code, and its byte order once it is told."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code, self.order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or any(part is not None for part in state[2:5]):
            raise _Refused("a dtype of fields or subarrays")
        self.order = str(state[1])

    def build(self) -> np.dtype[Any]:
        orders: dict[str, Literal["<", ">", "|", "="]] = {"<": "<", ">": ">", "|": "|", "=": "="}
        order = orders.get(self.order)
        if order is None or len(self.code) > 8:
            raise _Refused(f"dtype {self.code[:20]!r}")
        try:
            dtype = np.dtype(self.code)
        except TypeError as error:
            raise _Refused(f"dtype {self.code[:20]!r}") from error
        if dtype.kind not in NUMBER_KINDS:
            raise _Refused(f"an array of dtype {dtype}")
        return dtype.newbyteorder(order)


class _Array:
    """Remembers an array: shape, dtype, order of axes and bytes."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def build(self) -> npt.NDArray[Any]:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise _Refused("an array without a state")
        _, shape, dtype, fortran, raw = self.state
        if isinstance(raw, _Text):
            raw = raw.build()
        whole = isinstance(shape, tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
        if not whole or not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise _Refused("an array of objects")
        return _numbers(raw, dtype, shape, bool(fortran))


class _Scalar:
    """Remembers one number of numpy: its dtype and bytes."""

    def __init__(self, dtype: Any = None, raw: Any = b"", *_: Any) -> None:
        self.dtype, self.raw = dtype, raw

    def build(self) -> Any:
        raw = self.raw.build() if isinstance(self.raw, _Text) else self.raw
        if not isinstance(self.dtype, _Dtype) or not isinstance(raw, bytes):
            raise _Refused("a number without its bytes")
        return _numbers(raw, self.dtype, (), False)[()]


class _Buffer:
    """Remembers an array as protocol 5 writes it: bytes, dtype, shape and order."""

    def __init__(self, raw: Any = b"", dtype: Any = None, shape: Any = (), order: Any = "C", *_: Any) -> None:
        content = bytes(raw) if isinstance(raw, bytes | bytearray) else None
        self.state: Any = (1, shape, dtype, order == "F", content)

    def build(self) -> npt.NDArray[Any]:
        array = _Array()
        array.state = self.state
        return array.build()


class _Text:
    """Remembers bytes that an old protocol writes as text in latin-1."""

    def __init__(self, text: Any = "", encoding: Any = "", *_: Any) -> None:
        self.text, self.encoding = text, encoding

    def build(self) -> bytes:
        if not isinstance(self.text, str) or self.encoding != "latin1":
            raise _Refused("bytes in another encoding than latin1")
        return self.text.encode("latin1")


class _Complex:
    """Remembers a complex number."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def build(self) -> complex:
        if len(self.parts) != 2 or not all(isinstance(part, int | float) for part in self.parts):
            raise _Refused("a complex number without its parts")
        return complex(*self.parts)


class _Kind:
    """Stands for the class numpy.ndarray where it is only named."""

    def __init__(self, *_: Any) -> None:
        raise _Refused("to call numpy.ndarray")


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Kind,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Text,
    ("builtins", "complex"): _Complex,
    ("__builtin__", "complex"): _Complex,
}
for _core in ("numpy.core", "numpy._core"):
    ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Array
    ALLOWED[f"{_core}.multiarray", "scalar"] = _Scalar
    ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Buffer


class _Unpickler(pickle._Unpickler):
    """Unpickles with the names of `ALLOWED` alone.

    The one written in Python, as that in C reserves memory for whatever number a mangled file names.
    """

    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        found = ALLOWED.get((module, name))
        if found is None:
            raise _Refused(f"to import {module}.{name}")
        return found

    def load_bytearray8(self) -> None:
        (n,) = struct.unpack("<Q", self.read(8))
        content = self.read(n)
        if len(content) != n:
            raise pickle.UnpicklingError("the file ends in the middle of an array")
        self.append(bytearray(content))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def holds_pickle(path: Path) -> bool:
    """Whether `path` is an ``.npy`` file whose array holds Python objects; False for what cannot be read."""
    try:
        with open_regular(path, "an npy file") as file:
            head = file.read(256)
    except (OSError, FileError):
        return False
    return head.startswith(MAGIC) and b"'|O'" in head


def load_pickled_dict(path: Path) -> dict[str, Any]:
    """Read the dictionary that ``numpy.save(path, {...})`` wrote; its arrays, numbers and texts, nothing else.

    Raises
    ------
    FileError
        When the file is damaged, holds no dictionary, or asks for anything beyond arrays of numbers, numbers, texts,
        lists and dictionaries; the message says what it tried to import.
    """
    try:
        with open_regular(path, "an npy file") as file:
            check_size(path, "its pickle", os.fstat(file.fileno()).st_size)
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            content = file.read()
    except FileError:
        raise
    except Exception as error:  # of the tokenizer that reads headers: any, on a mangled file
        raise FileError(path, f"cannot be read ({error}): expected an npy file") from error
    if dtype != np.dtype(object) or shape not in ((), (1,)):
        raise FileError(path, f"has dtype {dtype}, shape {shape}: expected one pickled dictionary")
    try:
        found = _built(_Unpickler(io.BytesIO(content)).load(), 0)
    except _Refused as error:
        raise FileError(
            path, f"asks {error}: refused; expected a pickle of arrays of numbers, texts, lists and dictionaries"
        ) from error
    except Exception as error:  # a mangled pickle raises what it likes
        raise FileError(path, f"is no whole pickle ({type(error).__name__}: {error}): expected a dictionary") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise FileError(path, f"holds a {type(found).__name__}: expected a dictionary with names")
    return found


def _built(value: Any, depth: int) -> Any:
    """Return what was remembered as numbers, texts, lists and dictionaries."""
    if depth > DEEPEST:
        raise _Refused(f"for containers more than {DEEPEST} deep")
    if isinstance(value, _Array | _Buffer) and _of_objects(value):
        return _built(_only_object(value), depth + 1)
    if isinstance(value, _Array | _Buffer | _Scalar | _Text | _Complex):
        return value.build()
    if isinstance(value, dict):
        return {_built(key, depth + 1): _built(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_built(each, depth + 1) for each in value]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return value
    raise _Refused(f"for a {type(value).__name__.strip('_').lower()}")


def _of_objects(value: _Array | _Buffer) -> bool:
    """Whether an array holds one Python object: ``numpy.save`` wraps a dictionary so."""
    state = value.state
    return isinstance(state, tuple) and len(state) == 5 and isinstance(state[4], list)


def _only_object(value: _Array | _Buffer) -> Any:
    listed = value.state[4]
    if len(listed) != 1:
        raise _Refused("for an array of objects")
    return listed[0]


def _numbers(raw: bytes, dtype: _Dtype, shape: tuple[int, ...], fortran: bool) -> npt.NDArray[Any]:
    kind = dtype.build()
    if int(np.prod(shape, dtype=object)) * kind.itemsize != len(raw):
        raise _Refused(f"for an array of shape {shape} in {len(raw)} bytes")
    return np.frombuffer(raw, kind).reshape(shape, order="F" if fortran else "C").copy()
