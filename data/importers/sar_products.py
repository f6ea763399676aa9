"""Open CPHD and CRSD files with sarkit: which channel, which of its vectors, and the axes of the scene."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.limits import open_regular
from mimo.data.files.schema import FileError
from mimo.data.importers.layout import Array, checked_numbers, sweep_of
from mimo.data.measurement import Measurement, check_permittivity
from mimo.extras import MissingExtraError, needed

__all__ = ["SAMPLE_BYTES", "PhaseHistory", "Product", "begins_with", "measured", "opened", "parts_of"]

FRAMES = ("scene", "ecf")
SAMPLE_BYTES = {"CI2": 2, "CI4": 4, "CF8": 8}
"""Formats of a sample, a pair of whole or of real numbers, and their bytes."""
FLATTENING = 1 / 298.257223563
"""Of the WGS 84 ellipsoid."""


@dataclass(frozen=True)
class PhaseHistory:
    """Holds what both formats give: phases relative to a reference point, and where each vector was taken.

    ``values`` is ``(n_freq, n_vector)``; ``freq`` in hertz; ``tx``, ``rx`` and ``reference`` are ``(n_vector, 3)``,
    metres, Earth-centred and Earth-fixed.
    """

    values: Array
    freq: Array
    tx: Array
    rx: Array
    reference: Array


@dataclass(frozen=True)
class Product:
    """Holds an open file: its sarkit reader, its XML tree and the path for messages."""

    path: Path
    reader: Any

    @property
    def tree(self) -> Any:
        """XML tree."""
        return self.reader.metadata.xmltree

    def text(self, where: str) -> str:
        """Return the text of an element, as ``Global/SGN``; FileError when it is missing."""
        found = self.tree.findtext(_anywhere(where))
        if found is None or not found.strip():
            raise FileError(self.path, f"element {where} is missing: expected it in the XML of the file")
        return str(found).strip()

    def point(self, where: str) -> Array:
        """Return X, Y and Z of an element."""
        return np.array([_number(self.path, f"{where}/{axis}", self.text(f"{where}/{axis}")) for axis in "XYZ"])

    def channel(self, wanted: str, listed: str, reference: str) -> str:
        """Return the name of the channel that is asked for, else the reference channel."""
        names = [each.text for each in self.tree.findall(_anywhere(listed))]
        if wanted and wanted not in names:
            raise FileError(self.path, f"channel {wanted!r} is not in the file: expected one of {', '.join(names)}")
        chosen = wanted or self.text(reference)
        if chosen not in names:
            raise FileError(
                self.path, f"{reference} is {chosen!r}: expected one of {', '.join(names) or 'any channel'}"
            )
        return chosen

    def size(self, channel: str, kind: str) -> tuple[int, int]:
        """Return the vectors of a channel element and the samples of each.

        Parameters
        ----------
        channel, kind
            Paths of the channel's sizes, and of the format of its samples.

        Raises
        ------
        FileError
            When the file is shorter than they ask for, or the format is not known.
        """
        name = self.text(kind)
        if name not in SAMPLE_BYTES:
            raise FileError(self.path, f"{kind} is {name}: expected one of {', '.join(SAMPLE_BYTES)}")
        n_vector, n_sample = (int(self.text(f"{channel}/{each}")) for each in ("NumVectors", "NumSamples"))
        self.checked_size(n_vector, n_sample, SAMPLE_BYTES[name])
        return n_vector, n_sample

    def checked_size(self, n_vector: int, n_sample: int, n_byte: int) -> None:
        """Raise FileError when the file is shorter than its vectors and samples ask for."""
        if n_vector < 1 or n_sample < 2:
            raise FileError(self.path, f"has {n_vector} vectors of {n_sample} samples: expected 1 and 2 at least")
        if n_vector * n_sample * n_byte > self.path.stat().st_size:
            raise FileError(
                self.path,
                f"has {self.path.stat().st_size} bytes: expected {n_vector * n_sample * n_byte} or more, "
                f"{n_vector} vectors of {n_sample} samples of {n_byte} bytes",
            )

    def vectors(self, wanted: str, n_vector: int) -> slice:
        """Return the part of the vectors that ``start:stop`` or ``start:stop:step`` says, all when it is empty."""
        parts = wanted.split(":") if wanted else ["", ""]
        try:
            numbers = [int(part) if part.strip() else None for part in parts]
            chosen = slice(*numbers) if len(numbers) in (2, 3) else None
            if chosen is not None and len(range(*chosen.indices(n_vector))) and (chosen.step or 1) > 0:
                return chosen
        except ValueError:
            pass
        raise FileError(
            self.path, f"vectors is {wanted!r}: expected start:stop or start:stop:step of 0 to {n_vector} vectors"
        )


def parts_of(signal: Array) -> Array:
    """Return samples as complex numbers; of whole ones sarkit gives the pairs."""
    if signal.dtype.names:
        return np.asarray(signal["real"].astype(np.float32) + 1j * signal["imag"].astype(np.float32))
    return signal


def begins_with(path: Path, *marks: bytes) -> bool:
    """Whether the file begins with one of the marks."""
    try:
        with open_regular(path, "a SAR product") as file:
            return file.read(16).startswith(marks)
    except (OSError, FileError):
        return False


@contextmanager
def opened(path: Path, kind: str) -> Iterator[Product]:
    """Open a file with ``sarkit.cphd`` or ``sarkit.crsd``; whatever sarkit raises becomes a FileError in one line."""
    sarkit = needed(f"sarkit.{kind}", purpose=f"mimo import of {kind.upper()}", extra="sar")
    try:
        with open_regular(path, kind.upper()) as file, sarkit.Reader(file) as reader:
            yield Product(path, reader)
    except (FileError, MissingExtraError):
        raise
    except Exception as error:  # of lxml, numpy and sarkit, which checks nothing: any, on a mangled file
        what = " ".join(str(error).split()) or type(error).__name__
        raise FileError(path, f"cannot be read by sarkit ({what}): expected {kind.upper()} 1") from error


def measured(
    product: Product, found: PhaseHistory, *, frame: str, permittivity: float, name: str, channel: str
) -> Measurement:
    """Make the measurement of a phase history; one listed channel a vector.

    Parameters
    ----------
    product
        Whose scene coordinates say what the axes are.
    found
        With phases of exp(-j k (R_t + R_r - path)), path by way of the reference point.
    frame
        ``scene``: the origin is the image area's reference point, x and y are its axes, z points away from the Earth;
        ``ecf``: Earth-centred and Earth-fixed.
    permittivity
        Relative permittivity of the medium.
    name, channel
        Of the format and of the channel, for the array and the source.

    Raises
    ------
    FileError
        When something is not finite, or `frame` is neither.
    """
    if frame not in FRAMES:
        raise FileError(product.path, f"frame is {frame!r}: expected {' or '.join(FRAMES)}")
    path = product.path
    places = {key: getattr(found, key).astype(np.float64) for key in ("tx", "rx", "reference")}
    for key, each in places.items():
        checked_numbers(path, f"positions of {key}", each)
    removed = sum(np.linalg.norm(places[key] - places["reference"], axis=1) for key in ("tx", "rx"))
    origin, axes = _axes(product) if frame == "scene" else (np.zeros(3), np.eye(3))
    tx, rx = ((places[key] - origin) @ axes.T for key in ("tx", "rx"))
    index = np.arange(len(tx))
    return Measurement(
        checked_numbers(path, "signal", found.values)[None].astype(np.complex64),
        ArrayGeometry(tx, rx, np.column_stack([index, index]), name=name),
        sweep_of(path, "frequencies", found.freq),
        permittivity=check_permittivity(permittivity),
        reference_path=np.asarray(removed),
        source=f"{name} {path.name} channel {channel}",
    )


def _axes(product: Product) -> tuple[Array, Array]:
    """Return the scene's origin, and its axes x, y, z as rows, in Earth-fixed coordinates.

    They are those of the image area where that is a plane; else, of an image area of one height, east, north and up.
    """
    origin = product.point("SceneCoordinates/IARP/ECF")
    plane = "SceneCoordinates/ReferenceSurface/Planar"
    if product.tree.find(_anywhere(plane)) is not None:
        x, y = (product.point(f"{plane}/{name}") for name in ("uIAX", "uIAY"))
        axes = np.stack([x, y, np.cross(x, y)])
        if np.abs(axes @ axes.T - np.eye(3)).max() > 1e-6:
            raise FileError(product.path, f"{plane} has uIAX {x} and uIAY {y}: expected unit vectors at right angles")
        return origin, axes if axes[2] @ origin >= 0 else axes * [[1], [-1], [-1]]
    up = origin / np.array([1, 1, (1 - FLATTENING) ** 2])
    up /= np.linalg.norm(up)
    east = np.cross([0.0, 0, 1], up)
    length = np.linalg.norm(east)
    east = east / length if length > 1e-9 else np.array([0.0, 1, 0])  # at a pole every direction is as good
    return origin, np.stack([east, np.cross(up, east), up])


def _anywhere(where: str) -> str:
    """Return the path of an element in whatever namespace its version of the format has."""
    return "/".join(f"{{*}}{name}" for name in re.split(r"/(?![^\[]*\])", where))  # names in brackets may hold /


def _number(path: Path, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise FileError(path, f"element {name} is {text!r}: expected a number")
    return value
