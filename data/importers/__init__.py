"""Other people's formats, one module each: the only place where units and conventions are converted.

To add one, write a module with ``NAME``, ``DESCRIPTION``, ``recognise(path)`` and
``read(path, *, scan, background, permittivity)``, list it in `IMPORTERS`, and test it on a tiny file in its layout.
"""

from __future__ import annotations

import difflib
from os import PathLike
from pathlib import Path
from typing import Protocol, cast

from data.importers import merit
from data.measurement import Measurement
from data.schema import FileError


class Importer(Protocol):
    """What a module of this package offers."""

    NAME: str
    DESCRIPTION: str

    def recognise(self, path: Path) -> bool:
        """Whether `path` looks like this format; reads little, never raises for a path that exists."""
        ...

    def read(
        self, path: Path, *, scan: str | None = None, background: str | None = None, permittivity: float = 1.0
    ) -> Measurement:
        """Read it into the project's units and conventions; FileError when it cannot be."""
        ...


IMPORTERS: dict[str, Importer] = {module.NAME: cast(Importer, module) for module in (merit,)}


def read_measured(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    scan: str | None = None,
    background: str | None = None,
    permittivity: float = 1.0,
) -> Measurement:
    """Read a measured file or folder in one of the formats of `IMPORTERS`.

    Parameters
    ----------
    path
        The file or folder.
    format
        Name of the format; recognised when ``None``.
    scan
        Which scan, where there are several.
    background
        A scan without the target, kept in the measurement's ``background`` and not subtracted.
    permittivity
        Relative permittivity of the medium.

    Returns
    -------
    Measurement
        One scene.

    Raises
    ------
    FileError
        When the format is unknown or not recognised (the message lists the formats), or the data is unfit.
    """
    path = Path(path)
    known = "; ".join(f"{name} ({importer.DESCRIPTION})" for name, importer in IMPORTERS.items())
    if format is not None and format not in IMPORTERS:
        near = difflib.get_close_matches(format, IMPORTERS, n=1, cutoff=0.4)
        hint = f", did you mean {near[0]}?" if near else ""
        raise FileError(path, f"format {format!r} is unknown{hint}: expected one of {known}")
    if not path.exists():
        raise FileError(path, f"no such file or folder: expected one of {known}")
    if format is None:
        format = next((name for name, importer in IMPORTERS.items() if importer.recognise(path)), None)
    if format is None:
        raise FileError(path, f"is in no format that can be recognised: expected one of {known}")
    return IMPORTERS[format].read(path, scan=scan, background=background, permittivity=permittivity)
