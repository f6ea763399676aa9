"""Read Rohde & Schwarz QAR50 frames as the MAROON data set keeps them: ``.npy`` files, one a frame.

A published frame is a pickled dictionary with ``xr``, complex ``(96, 96, n_freq)`` of receivers and transmitters, and
``fvec``, hertz. The first and last antenna a side are alignment references and are left out. It is read without running
the pickle (`mimo.data.importers.safe_pickle`). A frame may also be the array alone, ``(n_rx, n_tx, n_freq)``, with the
tables Rx.dat and Tx.dat: a header ``x,y,z`` and positions in metres. As in the published code x of the tables is
negated; without tables the array is `mimo.ArrayGeometry.qar50`. Phases are exp(-j k R).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.schema import FileError
from mimo.data.importers.containers import load_npy
from mimo.data.importers.layout import (
    arranged,
    ascending,
    checked_complex,
    checked_numbers,
    in_our_sign,
    sweep_of,
)
from mimo.data.importers.safe_pickle import holds_pickle, load_pickled_dict
from mimo.data.importers.tables import read_table
from mimo.data.measurement import Array, Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "qar50"
DESCRIPTION = "R&S QAR50 frames of the MAROON data set: .npy, pickled dictionaries or arrays"
EXPLANATION = (
    "One .npy a frame: a pickled dictionary with xr (n_rx, n_tx, n_freq) and fvec (Hz), read without running it, or",
    "the array alone. A folder of frames, or the one above its calibrated_data; NAME, NAME_emptyfiltered are two",
    "scans. Antennas are those of the QAR50, or of Rx.dat and Tx.dat, rows of x,y,z in metres, beside the frames or",
    "where the option tables says; x of tables is negated unless negate_x=false. An array has 72 to 82 GHz unless",
    "start and stop (Hz) say otherwise. Frames and tables with two antennas more than the other lose first and last.",
)
RX, TX = "Rx.dat", "Tx.dat"
FRAMES = "calibrated_data"
AXES = ("rx", "tx", "freq")


def recognise(path: Path) -> bool:
    """Whether `path` is a folder of frames, or a frame: a pickled one, or one beside the tables."""
    folder = _folder(path) if path.is_dir() else path.parent
    tables = (folder / RX).is_file() and (folder / TX).is_file()
    if path.is_dir():
        first = next(iter(sorted(folder.glob("*.npy"))), None)
        return first is not None and (tables or holds_pickle(first))
    return path.suffix.lower() == ".npy" and (tables or holds_pickle(path))


def read(
    path: Path,
    *,
    scan: str | None = None,
    tables: str = "",
    negate_x: bool = True,
    start: float = 72e9,
    stop: float = 82e9,
    permittivity: float = 1.0,
    phase_sign: int = -1,
) -> Measurement:
    """Read one frame as a measurement of one scene with every transmitter and every receiver.

    Parameters
    ----------
    path
        A frame, or a folder of frames.
    scan
        Name of the frame without ``.npy``; may be left out when there is only one.
    tables
        Folder of Rx.dat and Tx.dat; the frame's own, if they are there, when empty.
    negate_x
        Whether x of the tables is negated, as the published code does.
    start, stop
        First and last frequency, hertz, of a frame that does not say them.
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
        Naming the file and what was expected. A pickle that asks for more than arrays of numbers is refused.
    """
    frame = _frame(_folder(path), scan)
    values, freq = _content(frame)
    folder = Path(tables) if tables else frame.parent
    if tables or (folder / RX).is_file():
        rx_pos, tx_pos = (_table(folder / name, values.shape, negate_x) for name in (RX, TX))
        array = ArrayGeometry(tx_pos, rx_pos, name="qar50")
    else:
        array = ArrayGeometry.qar50()
    if values.shape[:2] == (array.n_rx + 2, array.n_tx + 2):
        values = values[1:-1, 1:-1]
    sizes = {"rx": array.n_rx, "tx": array.n_tx}
    values = arranged(frame, "the array", values, AXES, sizes, ("scene", "freq", "tx", "rx"))
    n_freq = values.shape[1]
    if freq is None:
        if not (0 < start < stop) and n_freq > 1:
            raise FileError(frame, f"start is {start:g} Hz, stop {stop:g} Hz: expected start below stop")
        freq = np.linspace(start, stop, n_freq)
    if len(freq) != n_freq:
        raise FileError(frame, f"fvec has {len(freq)} frequencies, xr has {n_freq}: expected as many")
    freq, values = ascending(freq, values, 1)
    return Measurement(
        in_our_sign(frame, values, phase_sign),
        array,
        sweep_of(frame, "fvec", freq),
        permittivity=check_permittivity(permittivity),
        source=f"qar50 {frame.name}",
    )


def _content(frame: Path) -> tuple[Array, Array | None]:
    """Return the values ``(n_rx, n_tx, n_freq)`` and the frequencies, hertz, where the frame holds them."""
    freq = None
    name = "the array"
    if holds_pickle(frame):
        held = load_pickled_dict(frame)
        for needed in ("xr", "fvec"):
            if not isinstance(held.get(needed), np.ndarray):
                raise FileError(frame, f"array {needed} is missing: expected xr and fvec, there is {', '.join(held)}")
        name, values = "xr", held["xr"]
        freq = checked_numbers(frame, "fvec", held["fvec"]).astype(np.float64).ravel()
    else:
        values = load_npy(frame)
    values = checked_complex(frame, name, values)
    if values.ndim != len(AXES):
        raise FileError(frame, f"{name} has shape {values.shape}: expected 3 axes (n_rx, n_tx, n_freq)")
    return values, freq


def _folder(path: Path) -> Path:
    """Return the folder of the frames, which may be the one below `path`; a file as it is."""
    return path / FRAMES if (path / FRAMES).is_dir() else path


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


def _table(path: Path, shape: tuple[int, ...], negate_x: bool) -> Array:
    """Read positions (n, 3), metres; without the first and the last where the frame has two antennas fewer."""
    table: Array = np.array(read_table(path, float, 3, "x, y, z in metres", header=("x", "y", "z")))
    table *= (-1 if negate_x else 1, 1, 1)
    if shape[:2] == (96, 96) and len(table) == 96:
        return table[1:-1]  # alignment references, in the frame too
    return table[1:-1] if len(table) not in shape[:2] and len(table) - 2 in shape[:2] else table
