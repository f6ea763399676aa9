"""Read antenna patterns and layered media from words or files: ``cos:2``, ``1,z=0.5,4,z=0.7,1``, or a path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mimo import AntennaPattern, CosinePattern, LayeredMedium, TablePattern
from mimo.data.files.schema import FileError, UnfitError
from mimo.data.importers.containers import SUFFIXES, named_arrays
from mimo.data.importers.settings import load_toml
from mimo.pattern import Patterns

__all__ = ["layers_from_text", "patterns_from_text", "read_table"]

SIDES = ("tx", "rx")
FORMS = f"cos:N or a table, a file that ends in {', '.join(SUFFIXES)}"
TABLE = ("angle", "values")
LAYERS = ("interfaces", "permittivity")


def patterns_from_text(texts: Sequence[str]) -> Patterns:
    """Read antenna patterns: one text for all antennas, or one for a side, with ``tx=`` or ``rx=`` before it.

    Parameters
    ----------
    texts
        Each ``cos:N`` (`mimo.CosinePattern`), or the path of a table (`read_table`). A side that is not named is
        isotropic; none at all: every antenna is.

    Raises
    ------
    ValueError
        When a text has another form, or a side is given twice.
    FileError
        When a table cannot be read.
    """
    given: dict[str, AntennaPattern] = {}
    for text in texts:
        side, found, rest = text.partition("=")
        named = bool(found) and side in SIDES
        pattern = _pattern(rest if named else text)
        for each in (side,) if named else SIDES:
            if each in given:
                raise UnfitError(f"pattern {text!r} is the second one for {each}: expected one, or tx=... and rx=...")
            given[each] = pattern
    if not given:
        return None
    return given.get("tx"), given.get("rx")


def read_table(path: Path) -> TablePattern:
    """Read an antenna pattern from a table: arrays ``angle``, ``values`` and, if it depends on frequency, ``freq``.

    Parameters
    ----------
    path
        npz, HDF5 or MATLAB file with ``angle`` (n_angle,) in radians, ``freq`` (n_freq,) in hertz and ``values``
        (n_angle, n_freq), or (n_angle,) without ``freq``; see `mimo.TablePattern`.

    Raises
    ------
    FileError
        When an array is missing or does not fit; the message names it.
    """
    with named_arrays(path) as (get, names):
        angle, values = (np.asarray(get(name)) for name in TABLE)
        freq = np.asarray(get("freq")).ravel() if "freq" in names else np.array([1.0])
    angle = angle.ravel()
    if values.size == angle.size:
        values = values.reshape(-1, 1)
    try:
        return TablePattern(angle, freq, values)
    except ValueError as error:
        raise FileError(path, str(error)) from error


def layers_from_text(text: str | None) -> LayeredMedium | None:
    """Read layers, ``1,z=0.5,4,z=0.7,1`` (`mimo.LayeredMedium.parse`) or a TOML file with the two lists.

    Raises
    ------
    ValueError, FileError
        When the text or the file has another form; the message shows what was expected.
    """
    if text is None:
        return None
    if not text.lower().endswith(".toml"):
        return LayeredMedium.parse(text)
    found = load_toml(text)
    for name in [*LAYERS, *found]:
        if name not in found or name not in LAYERS:
            state = "is not known" if name in found else "is missing"
            raise FileError(text, f"{name} {state}: expected interfaces = [z, ...] and permittivity = [p, ...]")
    try:
        return LayeredMedium(**found)
    except ValueError as error:
        raise FileError(text, str(error)) from error


def _pattern(text: str) -> AntennaPattern:
    kind, found, number = text.partition(":")
    if kind == "cos" and found:
        try:
            return CosinePattern(float(number))
        except ValueError as error:
            raise UnfitError(f"pattern {text!r}: expected cos:N with N 0 or more") from error
    if Path(text).suffix.lower() not in SUFFIXES:
        raise UnfitError(f"pattern {text!r}: expected {FORMS}")
    return read_table(Path(text))
