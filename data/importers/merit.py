"""Read bistatic scans of a breast phantom from a folder of CSV files, as the MERIT toolbox keeps them.

``antenna_locations.csv`` (metres), ``channel_names.csv`` (transmitter, receiver, from 1), ``frequencies.csv`` (hertz)
and any number of scans ``<name>.csv``: complex text ``a+bi``, one row a frequency, one column a channel. Each antenna
sends and receives. A wave that has travelled R carries exp(-j k R) in them, as in this project: the back-projection
with exp(+j k R) of the difference of two published scans puts the tumour in its place, the conjugate does not.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np

from mimo import ArrayGeometry, FrequencySweep
from mimo.data.files.schema import FileError
from mimo.data.importers.tables import read_table
from mimo.data.measurement import Array, Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "merit"
DESCRIPTION = "MERIT CSV folder: antenna_locations.csv, channel_names.csv, frequencies.csv and scans"
EXPLANATION = (
    "antenna_locations.csv (metres), channel_names.csv (transmitter, receiver, from 1), frequencies.csv (Hz) and a CSV",
    "a scan: complex text a+bi, a row a frequency, a column a channel. --scan and --background name scans.",
)

ANTENNAS, CHANNELS, FREQUENCIES = "antenna_locations.csv", "channel_names.csv", "frequencies.csv"
_PARTS = (ANTENNAS, CHANNELS, FREQUENCIES)


def recognise(path: Path) -> bool:
    """Whether `path` is a folder with the three files that describe the scans."""
    return path.is_dir() and all((path / name).is_file() for name in _PARTS)


def read(path: Path, *, scan: str | None = None, permittivity: float = 1.0) -> Measurement:
    """Read one scan as a paired measurement of one scene.

    Parameters
    ----------
    path
        The folder.
    scan
        Name of the scan without ``.csv``; may be left out when there is only one.
    permittivity
        Relative permittivity of the medium; the folder does not say it (8 is usual for these phantoms).

    Returns
    -------
    Measurement
        complex64 values ``(1, n_freq, n_channel)``, every antenna both transmitter and receiver, no normals (the
        data does not say where the antennas look).

    Raises
    ------
    FileError
        Naming the file, and for a number its row and column, counted from 1.
    """
    permittivity = check_permittivity(permittivity)
    if not path.is_dir():
        raise FileError(path, f"is no folder: expected a folder with {', '.join(_PARTS)}")
    for name in _PARTS:
        if not (path / name).is_file():
            raise FileError(path / name, f"no such file: expected a folder with {', '.join(_PARTS)}")
    antennas: Array = np.array(read_table(path / ANTENNAS, float, 3, "x, y, z in metres"))
    pairs: Array = np.array(read_table(path / CHANNELS, int, 2, "transmitter and receiver, from 1"))
    freq: Array = np.array(read_table(path / FREQUENCIES, float, 1, "hertz"))[:, 0]
    outside = np.argwhere((pairs < 1) | (pairs > len(antennas)))
    if len(outside):
        row, column = outside[0]
        raise FileError(
            path / CHANNELS,
            f"row {row + 1}, column {column + 1} is antenna {pairs[row, column]}, {ANTENNAS} has {len(antennas)}: "
            f"expected 1 to {len(antennas)}",
        )
    array = ArrayGeometry(antennas, antennas, channels=pairs - 1, name="merit")
    try:
        sweep = FrequencySweep(freq)
    except ValueError as error:
        raise FileError(path / FREQUENCIES, str(error)) from error
    scan = _scan_name(path, scan)
    values = _scan(path / f"{scan}.csv", sweep.n_freq, len(pairs))
    return Measurement(values[None], array, sweep, permittivity=permittivity, source=f"merit {path.name}/{scan}")


def _scan_name(path: Path, name: str | None) -> str:
    scans = sorted(file.stem for file in path.glob("*.csv") if file.name not in _PARTS)
    listed = ", ".join(scans) or "none"
    if name is None and len(scans) == 1:
        return scans[0]
    if name is None:
        raise FileError(path, f"holds {len(scans)} scans ({listed}): expected the name of one as scan")
    if name not in scans:
        near = difflib.get_close_matches(name, scans, n=1)
        hint = f", did you mean {near[0]}?" if near else ""
        raise FileError(path, f"scan {name!r} is not in the folder{hint}: expected one of {listed}")
    return name


def _scan(path: Path, n_freq: int, n_channel: int) -> np.ndarray:
    """Read one scan, complex128 ``(n_freq, n_channel)``."""
    rows = read_table(path, _complex, n_channel, f"one column a channel of {CHANNELS}")
    if len(rows) != n_freq:
        raise FileError(path, f"has {len(rows)} rows: expected {n_freq}, one a frequency of {FREQUENCIES}")
    return np.array(rows)


def _complex(text: str) -> complex:
    """Read ``a+bi`` as MATLAB writes it; `complex` alone does not accept the i."""
    text = text.replace(" ", "")
    return complex(text[:-1] + "j" if text.endswith("i") else text)
