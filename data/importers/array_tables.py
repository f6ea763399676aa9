"""Read the positions of an array's antennas from tables: CSV, .dat, .npz, HDF5 or MATLAB files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.schema import FileError
from mimo.data.importers.containers import SUFFIXES, named_arrays
from mimo.data.importers.layout import LENGTH_UNITS, Array, positions, unit_factor
from mimo.data.importers.tables import cell_number, read_records, read_table, text_lines

__all__ = ["array_from_table"]

KINDS = ("tx", "rx", "both")
MEANING = "x, y, z of each antenna"


def array_from_table(path: Path, other: Path | None = None, *, unit: str) -> ArrayGeometry:
    """Read an array of every pair from one table of all antennas, or from one of transmitters and one of receivers.

    Parameters
    ----------
    path
        Text with a header kind,x,y,z (kind tx, rx or both); an npz, HDF5 or MATLAB file with tx_pos and rx_pos,
        ``(n, 3)``; or, with `other`, the transmitters: rows of three numbers, with or without a header x,y,z.
    other
        The receivers.
    unit
        Unit of length of the tables: m, cm, mm, um or inch.

    Raises
    ------
    FileError
        Naming the file and the row.
    """
    length = unit_factor(path, "unit", unit, LENGTH_UNITS)
    if other is not None:
        tx, rx = (_points(each) for each in (path, other))
    elif path.suffix.lower() in SUFFIXES:
        with named_arrays(path) as (get, _):
            tx, rx = (positions(path, name, get(name)) for name in ("tx_pos", "rx_pos"))
    else:
        tx, rx = _by_kind(path)
    try:
        return ArrayGeometry(tx * length, rx * length, name=path.stem)
    except ValueError as error:
        raise FileError(path, str(error)) from error


def _by_kind(path: Path) -> tuple[Array, Array]:
    sides: dict[str, list[list[float]]] = {"tx": [], "rx": []}
    for row, record in read_records(path, ("kind", "x", "y", "z"), f"kind, {MEANING}"):
        kind = record["kind"].lower()
        if kind not in KINDS:
            raise FileError(path, f"row {row} has kind {record['kind']!r}: expected {', '.join(KINDS)}")
        place = [cell_number(path, row, axis, record[axis], float, MEANING) for axis in "xyz"]
        for side, listed in sides.items():
            if kind in (side, "both"):
                listed.append(place)
    if not sides["tx"] or not sides["rx"]:
        raise FileError(path, f"has {len(sides['tx'])} tx and {len(sides['rx'])} rx: expected at least one of each")
    return np.array(sides["tx"]), np.array(sides["rx"])


def _points(path: Path) -> Array:
    """Return points ``(n, 3)`` of a table with commas or blanks between its numbers."""
    if any("," in line for _, line in text_lines(path, MEANING)):
        return np.array(read_table(path, float, 3, MEANING, header=("x", "y", "z")))
    rows = []
    for row, line in text_lines(path, MEANING):
        cells = line.split()
        if row == 1 and [cell.lower() for cell in cells] == ["x", "y", "z"]:
            continue
        if len(cells) != 3:
            raise FileError(path, f"row {row} has {len(cells)} columns: expected 3, {MEANING}")
        rows.append([cell_number(path, row, i, cell, float, MEANING) for i, cell in enumerate(cells, 1)])
    if not rows:
        raise FileError(path, f"has a header and no rows: expected {MEANING}")
    return np.array(rows)
