"""Read the MIMO measurement of a toy gun from IEEE DataPort 10.21227/src2-0y50, ``Exp_GunData4ImagingFD.mat``.

The file holds ``EMData.Values``, complex ``(n_rx, n_tx, n_freq)``, ``MIMOArray.Transmitter`` and
``MIMOArray.Receiver`` with X, Y, Z in metres, and ``OperateFreq`` in hertz. Its array stands in its X-Z plane and looks
along its Y: its X, Z, Y become our x, y, z. MATLAB version 5 and version 7.3 are read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.schema import FileError
from mimo.data.importers.layout import arranged, ascending, checked_complex, checked_numbers, in_our_sign, sweep_of
from mimo.data.importers.matlab import MatFile
from mimo.data.measurement import Array, Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "dataport"
DESCRIPTION = "IEEE DataPort MIMO scan: Exp_GunData4ImagingFD.mat, MATLAB v5 or v7.3"
EXPLANATION = (
    "EMData.Values, complex (n_rx, n_tx, n_freq); MIMOArray.Transmitter and MIMOArray.Receiver with X, Y, Z in",
    "metres; OperateFreq in Hz. The file's X, Z, Y become x, y, z. The file alone, or the folder that it is in.",
)
FILE = "Exp_GunData4ImagingFD.mat"
VALUES, FREQ = "EMData.Values", "OperateFreq"
AXES = ("rx", "tx", "freq")


def recognise(path: Path) -> bool:
    """Whether `path` is the file, the folder that holds it, or a MATLAB file with its variables."""
    if path.is_dir():
        return (path / FILE).is_file()
    if path.suffix.lower() != ".mat":
        return False
    try:
        with MatFile(path) as file:
            return {"EMData", "MIMOArray", FREQ} <= set(file.names)
    except FileError:
        return False


def read(path: Path, *, permittivity: float = 1.0, phase_sign: int = -1) -> Measurement:
    """Read the scan as a measurement of one scene with every transmitter and every receiver.

    Parameters
    ----------
    path
        The file, or the folder that holds it.
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
        Naming the file and the variable.
    """
    path = path / FILE if path.is_dir() else path
    with MatFile(path) as file:
        freq = checked_numbers(path, FREQ, file.vector(FREQ))
        sides = [_antennas(file, f"MIMOArray.{side}") for side in ("Transmitter", "Receiver")]
        values = checked_complex(path, VALUES, file.get(VALUES))
    sizes = {"tx": len(sides[0]), "rx": len(sides[1]), "freq": len(freq)}
    values = values.reshape(values.shape + (1,) * (len(AXES) - values.ndim))  # MATLAB drops last axes of length 1
    values = arranged(path, VALUES, values, AXES, sizes, ("scene", "freq", "tx", "rx"))
    freq, values = ascending(freq, values, 1)
    array = ArrayGeometry(sides[0], sides[1], name="dataport")
    return Measurement(
        in_our_sign(path, values, phase_sign),
        array,
        sweep_of(path, FREQ, freq),
        permittivity=check_permittivity(permittivity),
        source=f"dataport {path.name}",
    )


def _antennas(file: MatFile, place: str) -> Array:
    """Return the positions of one side, float64 ``(n, 3)``, metres: the file's X, Z, Y."""
    columns: list[Array] = []
    for name in ("X", "Z", "Y"):
        column = checked_numbers(file.path, f"{place}.{name}", file.vector(f"{place}.{name}"))
        if columns and len(column) != len(columns[0]):
            raise FileError(
                file.path, f"{place}.{name} has {len(column)} antennas: expected {len(columns[0])}, as {place}.X"
            )
        columns.append(column.astype(np.float64))
    return np.stack(columns, axis=1)
