"""Read Touchstone files of a network analyser: a folder with a file for each channel, or one file for all ports.

An antenna table says where the antennas are. For a folder, ``antennas.csv`` with the columns ``name, kind, x, y, z``
(kind ``tx``, ``rx`` or ``both``; metres), each file named ``TX_RX.s2p`` after the two antennas that its ports 1 and 2
were connected to, or listed in ``channels.csv`` with the columns ``file, tx, rx``. For one ``.sNp`` the table has
``port, kind, x, y, z``, ports counted from 1, and the value of a channel is S[rx port, tx port]. S-parameters follow
exp(+j omega t), so a wave that has travelled R carries exp(-j k R) in them. scikit-rf reads the files.
"""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.limits import read_text
from mimo.data.files.schema import FileError
from mimo.data.importers.layout import Array, ascending, checked_numbers, in_our_sign, sweep_of
from mimo.data.importers.tables import cell_number, read_records
from mimo.data.measurement import Measurement, check_permittivity
from mimo.extras import MissingExtraError, needed

__all__ = ["read", "recognise"]

NAME = "touchstone"
DESCRIPTION = "Touchstone: a folder of .s2p with antennas.csv, or one .sNp with an antenna table"
EXPLANATION = (
    "Folder: antennas.csv (name,kind,x,y,z; kind tx, rx or both; metres) and a file TX_RX.s2p for each channel, or any",
    "names listed in channels.csv (file,tx,rx). One .sNp: antennas.csv beside it (port,kind,x,y,z), its value is",
    "S[rx port, tx port]. The option parameter chooses another than S21; .s1p files need parameter=S11.",
)
ANTENNAS, CHANNELS = "antennas.csv", "channels.csv"
KINDS = ("tx", "rx", "both")
FREQUENCY_SLACK = 1e-6
_FILE = re.compile(r"\.s(\d+)p", re.IGNORECASE)


@dataclass(frozen=True)
class _Antennas:
    """Holds the antenna table: labels (names or ports) of the transmitters and receivers, and their positions."""

    tx: list[str]
    rx: list[str]
    place: dict[str, list[float]]

    def positions(self, labels: list[str]) -> Array:
        return np.array([self.place[label] for label in labels])


def recognise(path: Path) -> bool:
    """Whether `path` is a Touchstone file, or a folder with some and an antenna table."""
    if path.is_dir():
        return (path / ANTENNAS).is_file() and any(_FILE.fullmatch(f.suffix) for f in path.iterdir())
    return _FILE.fullmatch(path.suffix) is not None


def read(
    path: Path, *, antennas: str = "", parameter: str = "S21", permittivity: float = 1.0, phase_sign: int = -1
) -> Measurement:
    """Read the channels of a folder, or of one file of many ports.

    Parameters
    ----------
    path
        The folder or the file.
    antennas
        The antenna table; ``antennas.csv`` beside the data when empty.
    parameter
        Which S-parameter of each file of a folder holds the channel, as ``S21``; not for one file of many ports.
    permittivity
        Relative permittivity of the medium.
    phase_sign
        Sign of the phase: -1 as S-parameters are defined; +1 conjugates.

    Returns
    -------
    Measurement
        Of every pair when every pair of the table's antennas was measured, else of listed channels.

    Raises
    ------
    FileError
        Naming the file and the row or port.
    """
    folder = path if path.is_dir() else path.parent
    table = Path(antennas) if antennas else folder / ANTENNAS
    if path.is_dir():
        known = _antennas(table, "name")
        freq, pairs, values = _folder(path, known, parameter)
    else:
        known = _antennas(table, "port")
        freq, pairs, values = _ports(path, known)
    values = checked_numbers(path, "S-parameters", values)
    freq, values = ascending(freq, values, 0)
    complete = len(pairs) == len(known.tx) * len(known.rx)
    order = np.lexsort((pairs[:, 1], pairs[:, 0])) if complete else np.arange(len(pairs))
    values, pairs = values[:, order], pairs[order]
    if complete:
        values = values.reshape(len(freq), len(known.tx), len(known.rx))
    array = ArrayGeometry(
        known.positions(known.tx), known.positions(known.rx), None if complete else pairs, name="touchstone"
    )
    return Measurement(
        in_our_sign(path, values[None], phase_sign),
        array,
        sweep_of(path, "frequencies", freq),
        permittivity=check_permittivity(permittivity),
        source=f"touchstone {path.name}",
    )


def _folder(path: Path, known: _Antennas, parameter: str) -> tuple[Array, Array, Array]:
    """Read frequencies, channels (n, 2) and values (n_freq, n) from the files of a folder."""
    out, into = _parameter(path, parameter)
    freq, first, pairs, columns = None, "", [], []
    for file, tx, rx in _files(path, known):
        if (tx, rx) in pairs:
            raise FileError(path, f"{file} is a second file of channel {known.tx[tx]}, {known.rx[rx]}: expected one")
        own, s = _network(path / file)
        if max(out, into) >= s.shape[1]:
            raise FileError(path / file, f"has {s.shape[1]} ports: expected {max(out, into) + 1} or more, {parameter}")
        if freq is None:
            freq, first = own, file
        elif len(own) != len(freq) or np.abs(own - freq).max() > FREQUENCY_SLACK * freq.max():
            raise FileError(path / file, f"has other frequencies than {first}: expected the same in every file")
        pairs.append((tx, rx))
        columns.append(checked_numbers(path / file, parameter.upper(), s[:, out, into]))
    if freq is None:
        raise FileError(path, "holds no Touchstone file: expected .s2p files")
    return freq, np.array(pairs), np.stack(columns, axis=1)


def _files(path: Path, known: _Antennas) -> list[tuple[str, int, int]]:
    """List the files of a folder, each with the index of its transmitter and receiver."""
    if (path / CHANNELS).is_file():
        rows = read_records(path / CHANNELS, ("file", "tx", "rx"), "file, tx, rx of each channel")
        named = [(f"{CHANNELS} row {row}", record["file"], record["tx"], record["rx"]) for row, record in rows]
    else:
        named = []
        for file in sorted(f.name for f in path.iterdir() if _FILE.fullmatch(f.suffix)):
            stem = Path(file).stem
            split = [(t, r) for t in known.tx for r in known.rx if stem in (f"{t}_{r}", f"{t}-{r}")]
            if len(split) != 1:
                raise FileError(path, f"{file} names no channel: expected TX_RX.s2p of {ANTENNAS}, or {CHANNELS}")
            named.append((file, file, *split[0]))
    result = []
    for where, file, tx, rx in named:
        for label, labels, kind in ((tx, known.tx, "tx"), (rx, known.rx, "rx")):
            if label not in labels:
                raise FileError(path, f"{where} has {kind} {label!r}: expected one of {', '.join(labels)}")
        if Path(file).name != file:
            raise FileError(path, f"{where} has file {file!r}: expected the name of a file in the folder")
        result.append((file, known.tx.index(tx), known.rx.index(rx)))
    return result


def _ports(path: Path, known: _Antennas) -> tuple[Array, Array, Array]:
    """Read frequencies, channels and values of one file of many ports; a port with itself is no channel."""
    freq, s = _network(path)
    for label in known.place:
        if not label.isdecimal() or not 1 <= int(label) <= s.shape[1]:
            raise FileError(path, f"{ANTENNAS} has port {label!r}: expected 1 to {s.shape[1]}")
    pairs = [(t, r) for t, tx in enumerate(known.tx) for r, rx in enumerate(known.rx) if tx != rx]
    if not pairs:
        raise FileError(path, f"{ANTENNAS} has no tx and rx at different ports: expected at least one pair")
    columns = [s[:, int(known.rx[r]) - 1, int(known.tx[t]) - 1] for t, r in pairs]
    return freq, np.array(pairs), np.stack(columns, axis=1)


def _antennas(path: Path, label: str) -> _Antennas:
    rows = read_records(path, (label, "kind", "x", "y", "z"), f"{label}, kind, x, y, z of each antenna")
    place: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for row, record in rows:
        name, kind = record[label], record["kind"].lower()
        if not name or name in place:
            raise FileError(path, f"row {row} has {label} {name!r}: expected a name of its own for each antenna")
        if kind not in KINDS:
            raise FileError(path, f"row {row} has kind {record['kind']!r}: expected {', '.join(KINDS)}")
        place[name] = [cell_number(path, row, axis, record[axis], float, "metres") for axis in "xyz"]
        kinds[name] = kind
    tx, rx = ([n for n, kind in kinds.items() if kind in (side, "both")] for side in ("tx", "rx"))
    if not tx or not rx:
        raise FileError(path, f"has {len(tx)} tx and {len(rx)} rx: expected at least one of each")
    return _Antennas(tx, rx, place)


def _parameter(path: Path, text: str) -> tuple[int, int]:
    """Return the port indices (to, from) of a parameter such as S21."""
    match = re.fullmatch(r"[sS]([1-9])([1-9])", text)
    if match is None:
        raise FileError(path, f"parameter is {text!r}: expected one such as S21")
    return int(match[1]) - 1, int(match[2]) - 1


def _network(path: Path) -> tuple[Array, Array]:
    """Read frequencies in hertz and S-parameters, complex (n_freq, n_port, n_port), of one file."""
    text = read_text(path, "a Touchstone file", errors="replace")
    skrf = _scikit_rf(path)
    try:
        handle = io.StringIO(text)
        handle.name = str(path)  # from whose ending scikit-rf knows how many ports there are
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of comments that it cannot use
            network = skrf.Network(handle)
    except Exception as error:
        raise FileError(path, f"cannot be read as Touchstone ({error}): expected a whole .sNp file") from error
    s = np.asarray(network.s)
    if s.ndim != 3 or not s.size:
        raise FileError(path, f"has S-parameters of shape {s.shape}: expected (n_freq, n_port, n_port)")
    return np.asarray(network.f, np.float64), s


def _scikit_rf(path: Path) -> Any:
    try:
        return needed("skrf", purpose="Touchstone", extra="touchstone")
    except MissingExtraError as error:
        raise FileError(path, str(error)) from error
