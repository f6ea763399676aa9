"""Options of importers: taken from the functions themselves, read from ``KEY=VALUE`` texts or from TOML."""

from __future__ import annotations

import difflib
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from mimo.data.files.schema import FileError, UnfitError


def options_of(read: Callable[..., Any]) -> dict[str, Any]:
    """Names and defaults of a function's keyword-only arguments."""
    parameters = inspect.signature(read).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def parse_settings(settings: Sequence[str]) -> dict[str, str]:
    """Read ``KEY=VALUE`` texts; ValueError when one has another form."""
    result = {}
    for setting in settings:
        key, found, text = setting.partition("=")
        if not found or not key.strip():
            raise UnfitError(f"setting {setting!r}: expected KEY=VALUE")
        result[key.strip()] = text.strip()
    return result


def load_toml(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a TOML file; FileError when it is none."""
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise FileError(path, f"cannot be read ({error.strerror}): expected a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(path, f"is not TOML ({error}): expected lines such as freq = 'f'") from error


def checked_settings(
    where: str | PathLike[str], format: str, known: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the given options with the kind of value that each default has.

    Raises
    ------
    FileError
        When there is no such option (the nearest is named), or its value is of another kind.
    """
    result = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
            raise FileError(where, f"format {format} has no option {name!r}: {hint}")
        result[name] = _as_kind(where, name, value, known[name])
    return result


def _as_kind(where: str | PathLike[str], name: str, value: Any, default: Any) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            if str(value).lower() not in ("true", "false"):
                raise ValueError
            return str(value).lower() == "true"
        if isinstance(value, bool):
            raise ValueError
        if kind is int:
            if float(value) != int(float(value)):
                raise ValueError
            return int(float(value))
        if kind is float:
            return float(value)
        if kind is tuple and not isinstance(value, str):
            return tuple(value)
        if kind is tuple:
            return tuple(part.strip() for part in value.split(",") if part.strip())
        if default is None or kind is str:
            return str(value)
    except (TypeError, ValueError, OverflowError):
        pass
    meant = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "a list or text")
    raise FileError(where, f"option {name} is {json.dumps(value, default=str)}: expected {meant}")
