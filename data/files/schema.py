"""Define the file schema ``mimo-imaging`` by one table that writer, reader, validator and documentation use.

`markdown_table` gives it as Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "ATTRIBUTES",
    "BY_PATH",
    "FAR_VERSION",
    "FIELDS",
    "METHOD",
    "SCHEMA_NAME",
    "SCHEMA_VERSION",
    "Attribute",
    "Field",
    "FileError",
    "UnfitError",
    "check_dtype",
    "check_finite",
    "check_shape",
    "far_sides",
    "markdown_table",
]

SCHEMA_NAME = "mimo-imaging"
SCHEMA_VERSION = 2
"""The newest version that is read. A file has the lowest that says all that is in it."""

FAR_VERSION = 2
"""Version of files with antennas infinitely far away, whose directions a reader of version 1 takes for positions."""

METHOD = "<method>"

Axes = tuple[str | int, ...]


class UnfitError(ValueError):
    """Raised when a value does not fit the schema; says which field, what it is and what was expected."""


class FileError(ValueError):
    """Raised when a file cannot be read or written; one line names the file, the field, and what was expected.

    Parameters
    ----------
    path
        The file or folder.
    problem
        What is wrong with it, starting with the field, as ``field has this: expected that``.
    """

    def __init__(self, path: str | PathLike[str], problem: str) -> None:
        super().__init__(str(path), problem)  # both kept in args, so that the error survives a trip between processes
        self.path = str(path)
        self.problem = problem

    def __str__(self) -> str:
        line = " ".join(f"{self.path}: {self.problem}".split())
        return "".join(c if c.isprintable() else "?" for c in line)


@dataclass(frozen=True)
class Field:
    """Describes one dataset of the schema.

    Parameters
    ----------
    path
        Path in the file, without the leading slash; ``<method>`` stands for any method's name.
    dtype
        ``f8``, ``f4``, ``c8`` (complex64), ``i4``, ``bool`` or ``str`` (a scalar string).
    axes
        Alternative shapes, each a tuple of axis names and fixed lengths. One with ``n_channel`` is for paired arrays.
    unit
        SI unit, ``""`` for none.
    required
        Whether a file without it is refused.
    meaning
        One line for documentation and for the dataset's ``description``.
    defines
        The axis whose length this dataset sets for those that follow.
    """

    path: str
    dtype: str
    axes: tuple[Axes, ...]
    unit: str
    required: bool
    meaning: str
    defines: str = ""

    @property
    def per_scene(self) -> bool:
        """Whether the first axis counts scenes."""
        return self.axes[0][:1] == ("n_scene",)

    def at(self, method: str) -> str:
        """Return the path of this field for `method`."""
        return self.path.replace(METHOD, method)


@dataclass(frozen=True)
class Attribute:
    """Describes one attribute of the schema, of the file (``owner`` is ``""``), a group or a dataset."""

    owner: str
    name: str
    type: str
    required: bool
    meaning: str


_CHANNELS: tuple[Axes, ...] = (("n_tx", "n_rx"), ("n_channel",))
_SCENE: tuple[Axes, ...] = tuple(("n_freq", *axes) for axes in _CHANNELS)
_SCENES: tuple[Axes, ...] = tuple(("n_scene", *axes) for axes in _SCENE)
_LOOKS = "boresight of each {}; when absent +z, or inward where antennas surround the grid"
_VOLUMES: tuple[Axes, ...] = (("n_scene", "n_x", "n_y", "n_z"),)

FIELDS: tuple[Field, ...] = (
    Field("array/tx_pos", "f8", (("n_tx", 3),), "m", True, "transmitter positions x, y, z", "n_tx"),
    Field("array/rx_pos", "f8", (("n_rx", 3),), "m", True, "receiver positions x, y, z", "n_rx"),
    Field(
        "array/channels",
        "i4",
        (("n_channel", 2),),
        "",
        False,
        "present when paired: tx and rx index of each channel, from 0",
        "n_channel",
    ),
    Field("array/mask", "bool", (("n_tx", "n_rx"),), "", False, "false: the channel is missing or bad"),
    Field("array/tx_normal", "f8", (("n_tx", 3),), "", False, _LOOKS.format("transmitter")),
    Field("array/rx_normal", "f8", (("n_rx", 3),), "", False, _LOOKS.format("receiver")),
    Field("sweep/freq", "f8", (("n_freq",),), "Hz", True, "frequencies, ascending, any spacing", "n_freq"),
    Field("measurement/values", "c8", _SCENES, "", True, "complex measurements", "n_scene"),
    Field("measurement/background", "c8", _SCENE, "", False, "a scene without the target, not yet subtracted"),
    Field("measurement/reference_path", "f8", _CHANNELS, "m", False, "path length already removed from the phase"),
    Field("measurement/snr_db", "f4", (("n_scene",),), "dB", False, "signal to noise ratio; +inf: no noise"),
    Field("calibration/gain", "c8", _SCENE, "", False, "gain of each channel, not yet divided out; never 0"),
    Field("calibration/delay", "f8", _CHANNELS, "s", False, "the part of calibration/gain that is a delay"),
    Field("preparation/steps", "str", ((),), "", False, "what was done to the values so far, in order; a JSON list"),
    Field("grid/x", "f8", (("n_x",),), "m", False, "voxel centres along x, ascending; with grid/y and grid/z", "n_x"),
    Field("grid/y", "f8", (("n_y",),), "m", False, "voxel centres along y, ascending; with grid/x and grid/z", "n_y"),
    Field("grid/z", "f8", (("n_z",),), "m", False, "voxel centres along z, ascending; with grid/x and grid/y", "n_z"),
    Field("truth/reflectivity", "c8", _VOLUMES, "", False, "true reflectivity, needs a grid"),
    Field(
        "reconstruction/<method>/reflectivity",
        "c8",
        _VOLUMES,
        "",
        False,
        "a method's complex image, needs a grid; it or the magnitude is required in a method's group",
    ),
    Field("reconstruction/<method>/magnitude", "f4", _VOLUMES, "", False, "a method's image without a phase"),
    Field(
        "reconstruction/<method>/std",
        "f4",
        _VOLUMES,
        "",
        False,
        "standard deviation of the magnitude's error in each voxel, in the unit of the image",
    ),
    Field(
        "reconstruction/<method>/quantiles",
        "f4",
        (("n_scene", 5, "n_x", "n_y", "n_z"),),
        "",
        False,
        "quantiles 0.05, 0.25, 0.5, 0.75 and 0.95 of the magnitude in each voxel, in the unit of the image",
    ),
    Field(
        "reconstruction/<method>/inside",
        "bool",
        (("n_x", "n_y", "n_z"),),
        "",
        False,
        "false: outside the region that the images were restricted to, where they are 0",
    ),
    Field("reconstruction/<method>/history", "str", ((),), "", False, "what the solver recorded, JSON"),
)

ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("", "schema", "string", True, f"`{SCHEMA_NAME}`"),
    Attribute(
        "",
        "schema_version",
        "whole number",
        True,
        f"1, or {FAR_VERSION} when antennas are far; a newer one than {SCHEMA_VERSION} is refused",
    ),
    Attribute("", "created", "string", False, "when the file was written, ISO 8601, UTC"),
    Attribute("", "creator", "string", False, "program and version"),
    Attribute("", "recipe", "string", False, "what a resumable run made the file from, a JSON object"),
    Attribute("array", "name", "string", False, "a label"),
    Attribute(
        "array",
        "far",
        "string",
        False,
        "tx, rx or tx,rx: those are infinitely far away, their positions are directions from the origin",
    ),
    Attribute(
        "measurement/values",
        "phase_sign",
        "-1 or +1",
        True,
        "a wave that has travelled R carries exp(phase_sign j k R); with +1 all complex data is conjugated on load",
    ),
    Attribute(
        "measurement/values", "permittivity", "number", False, "relative permittivity of the medium; 1 when absent"
    ),
    Attribute(
        "measurement/values",
        "region",
        "string",
        False,
        "where the scene is: sphere:X,Y,Z,R, cylinder:X,Y,R, box:X0:X1,Y0:Y1,Z0:Z1 (metres), auto or all",
    ),
    Attribute("measurement/values", "source", "string", False, "where the measurement comes from"),
    Attribute("reconstruction/<method>", "method", "string", True, "the method's name"),
    Attribute("reconstruction/<method>", "parameters", "string", True, "the method's parameters, a JSON object"),
    Attribute("reconstruction/<method>", "seconds", "numbers (n_scene,)", True, "run time of each scene, s"),
    Attribute("reconstruction/<method>", "iterations", "whole number", False, "iterations run; 0 for a direct method"),
    Attribute("reconstruction/<method>", "version", "string", False, "version of the program that made it"),
    Attribute(
        "reconstruction/<method>",
        "scale",
        "string",
        False,
        "reflectivity: in the unit of the truth; relative: up to a factor that nobody knows",
    ),
    Attribute("reconstruction/<method>", "source_sha256", "string", False, "SHA-256 of the measurement's file"),
)

BY_PATH: dict[str, Field] = {field.path: field for field in FIELDS}

_KINDS = {"f8": "fiu", "f4": "fiu", "c8": "c", "i4": "iu", "bool": "biu", "str": "S"}
_TYPE_NAMES = {
    "f8": "float64",
    "f4": "float32",
    "c8": "complex64",
    "i4": "int32",
    "bool": "bool",
    "str": "string",
}


def check_dtype(field: Field, dtype: npt.DTypeLike, *, name: str = "") -> None:
    """Refuse a dtype of another kind than the field's; a kind that converts without loss of meaning is fine.

    Raises
    ------
    ValueError
        Naming the field, the dtype that came and the one that was expected.
    """
    kind = np.dtype(dtype)
    if kind.kind not in _KINDS[field.dtype] or kind.subdtype is not None:
        raise UnfitError(f"{name or field.path} has dtype {kind}: expected {_TYPE_NAMES[field.dtype]}")


def check_shape(field: Field, shape: tuple[int, ...], sizes: dict[str, int], *, name: str = "") -> None:
    """Refuse a shape that does not fit the schema; the length of the axis that the field defines is put in `sizes`.

    Parameters
    ----------
    field
        The schema's entry for the dataset.
    shape
        Shape of the dataset.
    sizes
        Lengths of the axes known so far, as ``{"n_tx": 12}``; ``n_channel`` is in it only for paired arrays.
    name
        How the message calls the dataset; the field's path when empty.

    Raises
    ------
    ValueError
        As ``measurement/values has shape (15, 13, 12), array has 12 tx and 13 rx: expected (n_scene, 15, 12, 13)``.
    """
    name = name or field.path
    known = [a for a in field.axes if all(isinstance(n, int) or n in sizes or n == field.defines for n in a)]
    if "n_channel" in sizes:
        known = [a for a in known if "n_channel" in a] or known
    if not known:
        unknown = next(n for n in field.axes[0] if isinstance(n, str) and n not in sizes)
        needed = next(f.path for f in FIELDS if f.defines == unknown)
        raise UnfitError(f"{name} needs {needed}, which is absent: expected it beside {name}")
    axes = known[0]
    expected = [n if isinstance(n, int) else sizes.get(n, 0) for n in axes]
    fits = len(shape) == len(axes) and all(n > 0 and e in (0, n) for n, e in zip(shape, expected, strict=True))
    if not fits:
        text = ", ".join(str(e or n) for n, e in zip(axes, expected, strict=True))
        text = f"({text},)" if len(axes) == 1 else f"({text})"
        hint = ""
        if axes[:1] == ("n_scene",) and len(shape) == len(axes) - 1:
            hint = "; add a scene axis, array[None], for a single scene"
        context = _context(axes, expected, shape, sizes)
        raise UnfitError(f"{name} has shape {tuple(shape)}{context}: expected {text}{hint}")
    if field.defines:
        sizes[field.defines] = shape[axes.index(field.defines)]


def _context(axes: Axes, expected: list[int], shape: tuple[int, ...], sizes: Mapping[str, int]) -> str:
    """Return text on where the expected lengths come from, for the axes that do not fit.

    Where the number of axes differs, it is for all but those of scenes and frequencies.
    """
    if len(shape) == len(axes):
        wrong = {a for a, e, n in zip(axes, expected, shape, strict=True) if e not in (0, n)}
    else:
        wrong = set(axes) - {"n_scene", "n_freq"}
    parts = []
    if wrong & {"n_tx", "n_rx"}:
        counts = [f"{sizes[a]} {a[2:]}" for a in ("n_tx", "n_rx") if a in axes and a in sizes]
        parts += [f"array has {' and '.join(counts)}"] if counts else []
    if "n_channel" in wrong and "n_channel" in sizes:
        parts.append(f"array has {sizes['n_channel']} channels")
    if "n_freq" in wrong and "n_freq" in sizes:
        parts.append(f"sweep has {sizes['n_freq']} frequencies")
    if wrong & {"n_x", "n_y", "n_z"} and {"n_x", "n_y", "n_z"} <= sizes.keys():
        parts.append(f"grid has {sizes['n_x']} x {sizes['n_y']} x {sizes['n_z']} voxels")
    if "n_scene" in wrong and "n_scene" in sizes:
        parts.append(f"measurement/values has {sizes['n_scene']} scenes")
    return "".join(f", {part}" for part in parts)


def check_finite(field: Field, values: npt.NDArray[Any], *, name: str = "", first: int = 0) -> None:
    """Refuse NaN and infinity, naming the first index; `first` is added to it. ``snr_db`` may be +inf.

    Raises
    ------
    ValueError
        As ``measurement/values is nan at index (0, 3, 1, 2), scene 0: expected finite numbers``.
    """
    if values.dtype.kind not in "fc":
        return
    bad = ~np.isfinite(values)
    if field.path == "measurement/snr_db":
        bad &= ~np.isposinf(values)
    if bad.any():
        where = np.unravel_index(int(bad.argmax()), bad.shape)
        index = tuple(int(i) + (first if axis == 0 else 0) for axis, i in enumerate(where))
        text = "nan" if np.isnan(values[where]) else "infinite"
        scene = f", scene {index[0]}" if field.per_scene else ""
        raise UnfitError(f"{name or field.path} is {text} at index {index}{scene}: expected finite numbers")


def markdown_table() -> str:
    """Return the schema as two Markdown tables, datasets and attributes."""
    lines = ["| dataset | type | axes | unit | required | meaning |", "|---|---|---|---|---|---|"]
    for field in FIELDS:
        axes = " or ".join(f"({', '.join(map(str, a))}{',' * (len(a) == 1)})" if a else "scalar" for a in field.axes)
        required = "yes" if field.required else ""
        lines.append(f"| `/{field.path}` | {field.dtype} | {axes} | {field.unit} | {required} | {field.meaning} |")
    lines += ["", "| attribute | of | type | required | meaning |", "|---|---|---|---|---|"]
    for attribute in ATTRIBUTES:
        required = "yes" if attribute.required else ""
        owner = f"`/{attribute.owner}`"
        lines.append(f"| `{attribute.name}` | {owner} | {attribute.type} | {required} | {attribute.meaning} |")
    lines += ["", "Every dataset also carries the attributes `unit` and `description`."]
    return "\n".join(lines)


def far_sides(text: str | None) -> dict[str, bool]:
    """Return ``tx_far`` and ``rx_far`` of a text ``tx``, ``rx`` or ``tx,rx``, or none; UnfitError for others."""
    sides = text.split(",") if text else []
    if not set(sides) <= {"tx", "rx"}:
        raise UnfitError(f"far is {text!r}: expected tx, rx or tx,rx")
    return {f"{side}_far": True for side in sides}
