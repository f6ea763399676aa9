"""Read tables of poses, positions with orientations, and interpolate them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

from mimo.data.files.schema import FileError, UnfitError
from mimo.data.importers.containers import named_arrays
from mimo.data.importers.tables import cell_number, read_records

__all__ = ["PoseTable", "read_poses"]

Floats = npt.NDArray[np.float64]
QUATERNION = ("qw", "qx", "qy", "qz")
MATRIX = tuple(f"r{i}{j}" for i in "123" for j in "123")
ROUGHLY_ONE = 1e-2
"""How far the length of a quaternion may be from 1, and a rotation matrix from orthogonal."""


@dataclass(frozen=True)
class PoseTable:
    """Holds poses: positions ``(n, 3)``, rotations from the moving part's axes to ours, and times, s, if known."""

    position: Floats
    rotation: Rotation
    time: Floats | None

    def at_rows(self, rows: Floats) -> tuple[Floats, Floats]:
        """Return position and rotation matrix at fractional row numbers; beyond the ends, those of the end."""
        return self._at(np.arange(len(self.position), dtype=np.float64), rows)

    def at_times(self, when: Floats) -> tuple[Floats, Floats]:
        """Return position and rotation matrix at times, s; beyond the ends, those of the end."""
        assert self.time is not None  # noqa: S101 - the caller's check, for the type checker
        return self._at(self.time, when)

    def check_times(self, when: Floats) -> None:
        """Raise ValueError naming the first frame whose time, s, the table does not cover."""
        assert self.time is not None  # noqa: S101 - the caller's check, for the type checker
        outside = np.flatnonzero((when < self.time[0]) | (when > self.time[-1]))
        if len(outside):
            raise UnfitError(
                f"frame {outside[0]} is at {when[outside[0]]:g} s, the poses are from {self.time[0]:g} to "
                f"{self.time[-1]:g} s: expected every frame between the first and the last pose"
            )

    def _at(self, marks: Floats, wanted: Floats) -> tuple[Floats, Floats]:
        wanted = np.clip(wanted, marks[0], marks[-1])
        if len(marks) == 1:
            n = len(wanted)
            return np.repeat(self.position, n, axis=0), np.repeat(self.rotation.as_matrix(), n, axis=0)
        place = np.column_stack([np.interp(wanted, marks, column) for column in self.position.T])
        return place, Slerp(marks, self.rotation)(wanted).as_matrix()


def read_poses(path: Path) -> PoseTable:
    """Read poses from a CSV file with a header, or from an npz, HDF5 or MATLAB file with the same names.

    Columns x, y, z; optionally time, s, ascending; and qw, qx, qy, qz or r11 to r33.

    Raises
    ------
    FileError
        Naming the file and the column or the row.
    """
    columns = _from_text(path) if path.suffix.lower() in (".csv", ".txt", ".dat") else _from_arrays(path)
    position = np.column_stack([columns[name] for name in "xyz"])
    time = columns.get("time")
    if time is not None and (np.diff(time) <= 0).any():
        row = int(np.flatnonzero(np.diff(time) <= 0)[0]) + 1
        raise FileError(path, f"time is not ascending at pose {row}: expected later poses below earlier ones")
    return PoseTable(position, _rotation(path, columns, len(position)), time)


def _rotation(path: Path, columns: dict[str, Floats], n: int) -> Rotation:
    if all(name in columns for name in QUATERNION):
        parts = np.column_stack([columns[name] for name in (*QUATERNION[1:], QUATERNION[0])])  # scalar last
        off = np.abs(np.linalg.norm(parts, axis=1) - 1)
        if off.max() > ROUGHLY_ONE:
            raise FileError(path, f"the quaternion of pose {int(off.argmax())} is off length 1 by {off.max():.2g}")
        return Rotation.from_quat(parts)
    if all(name in columns for name in MATRIX):
        matrix = np.column_stack([columns[name] for name in MATRIX]).reshape(-1, 3, 3)
        off = np.abs(matrix @ matrix.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
        off = np.where(np.linalg.det(matrix) > 0, off, np.inf)
        if off.max() > ROUGHLY_ONE:
            raise FileError(path, f"r11 to r33 of pose {int(off.argmax())} are no rotation: expected one, right-handed")
        return Rotation.from_matrix(matrix)
    some = [name for name in (*QUATERNION, *MATRIX) if name in columns]
    if some:
        raise FileError(path, f"has {', '.join(some)} alone: expected all of qw,qx,qy,qz or of r11 to r33")
    return Rotation.identity(n)


def _from_text(path: Path) -> dict[str, Floats]:
    rows = read_records(path, ("x", "y", "z"), "x, y, z of each pose, with time, quaternion or rotation if known")
    known = [name for name in rows[0][1] if name in ("time", "x", "y", "z", *QUATERNION, *MATRIX)]
    return {
        name: np.array([cell_number(path, row, name, record[name], float, "of a pose") for row, record in rows])
        for name in known
    }


def _from_arrays(path: Path) -> dict[str, Floats]:
    with named_arrays(path) as (get, names):
        missing = [name for name in "xyz" if name not in names]
        if missing:
            raise FileError(path, f"array {missing[0]} is missing: expected x, y, z of each pose, there is {names}")
        known = [name for name in names if name in ("time", "x", "y", "z", *QUATERNION, *MATRIX)]
        columns = {name: np.asarray(get(name), np.float64).ravel() for name in known}
    n = len(columns["x"])
    for name, column in columns.items():
        if len(column) != n or not np.isfinite(column).all():
            raise FileError(path, f"{name} has {len(column)} numbers: expected {n} finite ones, as x")
    return columns
