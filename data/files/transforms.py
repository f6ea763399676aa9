"""Read rigid and affine transforms from JSON files."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo.data.files.schema import FileError
from mimo.options import unknown

__all__ = ["read_transform"]

MOST_JSON = 100_000
"""Most bytes of a transform."""

Floats = npt.NDArray[np.float64]


def read_transform(path: str | PathLike[str]) -> Floats:
    """Read a matrix ``(4, 4)`` from JSON.

    The file holds the matrix, four rows of four numbers, of which the last is 0, 0, 0, 1; or an object with it as
    ``matrix``; or one with any of ``rotation`` (three rows of three), ``translation`` (three numbers) and ``scale`` (a
    number), which stand for ``scale * rotation @ point + translation``.

    Raises
    ------
    FileError
        When the file is missing, too large, no JSON, or holds something else.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise FileError(path, "is no file: expected a transform as JSON")
        with path.open("rb") as file:
            text = file.read(MOST_JSON + 1)
        if len(text) > MOST_JSON:
            raise FileError(path, f"is larger than {MOST_JSON} bytes: expected a matrix of 4 x 4 numbers")
        content = json.loads(text)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}): expected a transform as JSON") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(path, f"is no JSON ({error}): expected a matrix of 4 x 4 numbers") from error
    if isinstance(content, dict) and "matrix" not in content:
        return _from_parts(path, content)
    if isinstance(content, dict) and set(content) - {"matrix"}:
        raise FileError(path, f"has {', '.join(sorted(set(content) - {'matrix'}))} beside matrix: expected that alone")
    matrix = _array(path, "matrix", content["matrix"] if isinstance(content, dict) else content, (4, 4))
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise FileError(path, f"matrix has the last row {matrix[3].tolist()}: expected 0, 0, 0, 1")
    return matrix


def _from_parts(path: Path, content: dict[str, Any]) -> Floats:
    """Return the matrix of rotation, translation and scale."""
    known = {"rotation": (np.eye(3), (3, 3)), "translation": (np.zeros(3), (3,)), "scale": (np.array(1.0), ())}
    for name in content:
        if name not in known:
            raise FileError(path, unknown("entry", name, ["matrix", *known]))
    parts = {n: _array(path, n, content[n], shape) if n in content else value for n, (value, shape) in known.items()}
    matrix = np.eye(4)
    matrix[:3, :3] = parts["scale"] * parts["rotation"]
    matrix[:3, 3] = parts["translation"]
    return matrix


def _array(path: Path, name: str, value: Any, shape: tuple[int, ...]) -> Floats:
    try:
        found = np.asarray(value, float)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != shape or not np.isfinite(found).all():
        size = " x ".join(map(str, shape)) or "1"
        raise FileError(path, f"{name} is {str(value)[:60]!r}: expected {size} finite numbers")
    return found
