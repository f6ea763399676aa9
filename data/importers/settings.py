"""Check the options of importers, which come as ``KEY=VALUE`` texts or from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

from mimo.data.files.limits import read_text
from mimo.data.files.schema import FileError
from mimo.options import check_value, kind_of, read_value, split_settings, unknown

__all__ = ["checked_settings", "load_toml", "nested", "parse_settings"]

parse_settings = split_settings


def load_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a TOML file; FileError when it cannot be read or is not TOML."""
    text = read_text(Path(path), "a TOML file")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileError(path, f"is not TOML ({error}): expected lines such as freq = 'f'") from error


def checked_settings(
    where: str | PathLike[str], format: str, known: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the given options, checked and converted to the kinds of their defaults.

    Parameters
    ----------
    where
        File that messages name.
    format
        Name of the format, for messages.
    known
        Options of the format with their defaults.
    given
        Options to check, as text or as values.

    Raises
    ------
    FileError
        When there is no such option (the nearest is named), or its value is of another kind.
    """
    result = {}
    for name, value in given.items():
        if name not in known:
            raise FileError(where, unknown(f"option of format {format}", name, known))
        kind = kind_of(known[name])
        if kind in (str, str | None) and isinstance(value, Real) and not isinstance(value, bool):
            value = str(value)  # a name that looks like a number, in TOML
        try:
            read = read_value if isinstance(value, str) else check_value
            result[name] = read(f"option {name}", value, kind)
        except ValueError as error:
            raise FileError(where, str(error)) from error
    return result


def nested(where: str | PathLike[str], given: Mapping[str, Any], tables: Sequence[str]) -> dict[str, Any]:
    """Return options with ``TABLE.KEY`` gathered in a table each; a table given as a text is its kind.

    Raises
    ------
    FileError
        When a table is neither a text nor a table.
    """
    result: dict[str, Any] = {}
    for name, value in given.items():
        table, dot, key = name.partition(".")
        if table not in tables:
            result[name] = value
        elif dot:
            result.setdefault(table, {})[key] = value
        elif isinstance(value, str):
            result.setdefault(table, {})["kind"] = value
        elif isinstance(value, Mapping):
            result.setdefault(table, {}).update(value)
        else:
            raise FileError(where, f"{table} is {value!r}: expected a table, [{table}] with its entries below")
    return result
