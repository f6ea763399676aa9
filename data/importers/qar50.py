"""Read Rohde & Schwarz QAR50 frames as the MAROON data set keeps them: ``.npy`` with the tables Rx.dat and Tx.dat.

A frame is complex ``(n_rx, n_tx, n_freq)``, 94 x 94 x 128 from 72 to 82 GHz; the tables have a header ``x,y,z`` and
positions in metres. The tables of that data set list 96 antennas a side, of which the first and the last (alignment
references) are not in the frames. Phases are exp(-j k R).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimo import ArrayGeometry, FrequencySweep
from mimo.data.files.schema import FileError
from mimo.data.importers.containers import load_npy
from mimo.data.importers.layout import arranged, checked_complex, in_our_sign
from mimo.data.importers.tables import read_table
from mimo.data.measurement import Array, Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "qar50"
DESCRIPTION = "R&S QAR50 frame: .npy with Rx.dat and Tx.dat beside it"
EXPLANATION = (
    "One .npy a frame, complex (n_rx, n_tx, n_freq); Rx.dat and Tx.dat, rows of x,y,z in metres, in the same folder or",
    "in the one that the option tables names. The file does not say its frequencies: 72 to 82 GHz unless start and",
    "stop (Hz) say otherwise. Tables with two antennas more than the frame lose their first and last row.",
)
RX, TX = "Rx.dat", "Tx.dat"
AXES = ("rx", "tx", "freq")


def recognise(path: Path) -> bool:
    """Whether `path` is a folder with the two tables and a frame, or a frame beside the tables."""
    folder = path if path.is_dir() else path.parent
    frames = any(folder.glob("*.npy")) if path.is_dir() else path.suffix.lower() == ".npy"
    return frames and (folder / RX).is_file() and (folder / TX).is_file()


def read(
    path: Path,
    *,
    scan: str | None = None,
    tables: str = "",
    start: float = 72e9,
    stop: float = 82e9,
    permittivity: float = 1.0,
    phase_sign: int = -1,
) -> Measurement:
    """Read one frame as a measurement of one scene with every transmitter and every receiver.

    Parameters
    ----------
    path
        A frame, or a folder of frames with the tables.
    scan
        Name of the frame without ``.npy``; may be left out when there is only one.
    tables
        Folder of Rx.dat and Tx.dat; the frame's own when empty.
    start, stop
        First and last frequency, hertz.
    permittivity
        Relative permittivity of the medium.
    phase_sign
        Sign of the file's phase: -1 for exp(-j k R); +1 conjugates.

    Returns
    -------
    Measurement
        complex64 values ``(1, n_freq, n_tx, n_rx)``.

    Raises
    ------
    FileError
        Naming the file and what was expected. A frame kept as a pickled dictionary is refused: save its array alone.
    """
    folder = Path(tables) if tables else (path if path.is_dir() else path.parent)
    frame = _frame(path, scan)
    values = checked_complex(frame, "the array", load_npy(frame))
    if values.ndim != len(AXES):
        raise FileError(frame, f"has shape {values.shape}: expected 3 axes (n_rx, n_tx, n_freq)")
    rx_pos, tx_pos = (_table(folder / name, values.shape) for name in (RX, TX))
    sizes = {"rx": len(rx_pos), "tx": len(tx_pos)}
    values = arranged(frame, "the array", values, AXES, sizes, ("scene", "freq", "tx", "rx"))
    n_freq = values.shape[1]
    if not (0 < start < stop) and n_freq > 1:
        raise FileError(frame, f"start is {start:g} Hz, stop {stop:g} Hz: expected start below stop")
    return Measurement(
        in_our_sign(frame, values, phase_sign),
        ArrayGeometry(tx_pos, rx_pos, name="qar50"),
        FrequencySweep(np.linspace(start, stop, n_freq)),
        permittivity=check_permittivity(permittivity),
        source=f"qar50 {frame.name}",
    )


def _frame(path: Path, scan: str | None) -> Path:
    if not path.is_dir():
        return path
    frames = sorted(file.stem for file in path.glob("*.npy"))
    if scan is None and len(frames) == 1:
        return path / f"{frames[0]}.npy"
    if scan not in frames:
        listed = ", ".join(frames[:6]) + (" and more" if len(frames) > 6 else "")
        given = "no scan is named" if scan is None else f"scan {scan!r} is not in the folder"
        raise FileError(path, f"{given}: expected one of {listed or 'none, there is no .npy file'}")
    return path / f"{scan}.npy"


def _table(path: Path, shape: tuple[int, ...]) -> Array:
    """Read positions (n, 3), metres; without the first and the last where the frame has two antennas fewer."""
    table: Array = np.array(read_table(path, float, 3, "x, y, z in metres", header=("x", "y", "z")))
    return table[1:-1] if len(table) not in shape[:2] and len(table) - 2 in shape[:2] else table
