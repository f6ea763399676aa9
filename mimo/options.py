"""Read the options that a user sets, from ``KEY=VALUE`` texts or from tables, and check each against its kind.

The kind of an option is a type as annotations spell it: ``int``, ``float | str``, ``tuple[int, ...]``. Reconstructors
and importers state it by the annotations and defaults of their keyword-only arguments, configurations by the defaults
of their dataclasses.
"""

from __future__ import annotations

import difflib
import inspect
import json
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

__all__ = [
    "build_table",
    "check_ranges",
    "check_value",
    "is_plain",
    "kind_of",
    "kinds_of",
    "merge_tables",
    "options_of",
    "read_tables",
    "read_value",
    "split_settings",
    "unknown",
]

ORDER = (bool, int, float, tuple, list, str)
"""Kinds in the order in which a text is tried to be read as them: every text is a ``str``, so that comes last."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown name: it names the nearest known one, or lists all."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known) or 'none at all'}"
    return f"unknown {what} {name!r}: {hint}"


def split_settings(settings: Iterable[str]) -> dict[str, str]:
    """Split ``KEY=VALUE`` texts; ``ValueError`` when one has another form. Of a key given twice the last counts."""
    result = {}
    for setting in settings:
        key, found, text = setting.partition("=")
        if not found or not key.strip():
            raise ValueError(f"setting {setting!r}: expected KEY=VALUE")
        result[key.strip()] = text.strip()
    return result


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the names and defaults of a function's keyword-only arguments."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def kinds_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the kinds of a function's keyword-only arguments: their annotations, else the types of their defaults."""
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError):  # an annotation for the type checker alone
        hints = {}

    def of(name: str, default: Any) -> Any:
        told = default is not None and default is not inspect.Parameter.empty
        return hints.get(name, kind_of(default) if told else Any)

    return {name: of(name, default) for name, default in options_of(function).items()}


def kind_of(default: Any) -> Any:
    """Return the kind of option that a default stands for; ``None`` stands for a text that may be absent."""
    if default is None:
        return str | None
    if isinstance(default, tuple):
        return tuple[kind_of(default[0]), ...] if default else tuple  # type: ignore[misc]
    return type(default)


def read_value(name: str, text: str, kind: Any) -> Any:
    """Read a value of a kind from text.

    Parameters
    ----------
    name
        What the message calls it, say ``option weight of l1``.
    text
        A number, ``true`` or ``false``, a list as JSON or with commas alone, or a text with or without JSON's quotes.
    kind
        See this module; of a union the first that fits, numbers before text.

    Raises
    ------
    ValueError
        When the text is of no such kind; one line that names what was given and what was expected.
    """
    choices = _choices(kind)
    if Any in choices:
        found = _json(text)
        return text if found is _NO_JSON else found
    for each in sorted(choices, key=_place):
        found = _read(text.strip(), each, {int, float} & set(choices))
        if found is not _UNFIT:
            return found
    raise ValueError(f"{name} is {text!r}: expected {_told(kind)}")


def check_value(name: str, value: Any, kind: Any) -> Any:
    """Return a value as its kind says: an integer for a number becomes a float, a list for a tuple a tuple.

    Raises
    ------
    ValueError
        When the value is of another kind: text for a number, 2.5 or true for a whole number.
    """
    for each in sorted(_choices(kind), key=_place):
        found = _as(value, each)
        if found is not _UNFIT:
            return found
    raise ValueError(f"{name} is {value!r}: expected {_told(kind)}")


def check_ranges(table: str, values: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise `ValueError` for an attribute outside its range; one that is a tuple, for any of its numbers.

    Parameters
    ----------
    table
        What the message calls the owner: ``data``.
    values
        Has the attributes.
    ranges
        Smallest and largest value of each.
    """
    for name, (low, high) in ranges.items():
        value = getattr(values, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not low <= number <= high:
                raise ValueError(f"{table}.{name} is {value!r}: expected {low:.15g} to {high:.15g}")


def is_plain(value: Any) -> bool:
    """Whether a text or a table can hold the value: not an array, a function or any other object."""
    return value is None or isinstance(value, bool | np.bool_ | Real | str | list | tuple | dict)


def build_table(cls: type[Any], table: Mapping[str, Any], prefix: str = "") -> Any:
    """Build a dataclass from a table, and those that it holds from the tables in it.

    Raises
    ------
    ValueError
        When a key is not known (the nearest is named), or a value is of another kind than the dataclass's default.
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"{prefix.rstrip('.')} is {table!r}: expected a table")
    values = {}
    known = _defaults(cls())
    for key, value in table.items():
        if key not in known:
            raise ValueError(unknown("key", prefix + key, [prefix + name for name in known]))
        if is_dataclass(known[key]):
            values[key] = build_table(type(known[key]), value, f"{prefix}{key}.")
        else:
            values[key] = check_value(prefix + key, value, kind_of(known[key]))
    return cls(**values)


def read_tables(cls: type[Any], settings: Sequence[str]) -> dict[str, Any]:
    """Read ``TABLE.KEY=VALUE`` texts into tables from which `build_table` builds the dataclass.

    Raises
    ------
    ValueError
        When a text has another form, a key is not known (the nearest is named) or names a whole table, or a value is
        of another kind than the dataclass's default.
    """
    tables: dict[str, Any] = {}
    for key, text in split_settings(settings).items():
        *above, last = key.split(".")
        inside, place, default = tables, cls(), cls()
        for i, part in enumerate([*above, last]):
            known = _defaults(place) if is_dataclass(place) else {}
            if part not in known:
                raise ValueError(unknown("key", key, _leaves(default)))
            place = known[part]
            inside = inside.setdefault(part, {}) if i < len(above) else inside
        if is_dataclass(place):
            raise ValueError(f"{key} is {text!r}: expected one of its keys, {', '.join(_leaves(place, key))}")
        inside[last] = read_value(key, text, kind_of(place))
    return tables


def merge_tables(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of `below` with the keys of `above` in their place, table by table."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = merge_tables(under, value) if both else value  # type: ignore[arg-type]
    return merged


def _defaults(table: Any) -> dict[str, Any]:
    return {f.name: getattr(table, f.name) for f in fields(table)}


def _leaves(table: Any, prefix: str = "") -> list[str]:
    """Return the dotted names of all values in a dataclass of dataclasses."""
    found = []
    for name, default in _defaults(table).items():
        name = f"{prefix}.{name}" if prefix else name
        found += _leaves(default, name) if is_dataclass(default) else [name]
    return found


# -- kinds -----------------------------------------------------------------------------------------------------------

_UNFIT, _NO_JSON = object(), object()
_WORDS = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    types.NoneType: ("none", "none"),
}


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the kind itself."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _place(kind: Any) -> int:
    bare = get_origin(kind) or kind
    return ORDER.index(bare) if bare in ORDER else -1 if bare is types.NoneType else len(ORDER)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _read(text: str, kind: Any, numbers: set[type]) -> Any:
    """Read a text as one kind that is no union; `numbers` are the number kinds beside it in the union it is from."""
    bare = get_origin(kind) or kind
    if bare is types.NoneType:
        return None if text.lower() in ("null", "none") else _UNFIT
    if bare is bool:
        return {"true": True, "false": False}.get(text.lower(), _UNFIT)
    if bare in (int, float):
        try:
            return _as(int(text) if text.lstrip("+-").isdecimal() else float(text), bare)
        except ValueError:
            return _UNFIT
    if bare in (tuple, list):
        found = _json(text)
        if isinstance(found, list):
            return _as(found, kind)
        inner = (get_args(kind) or (str,))[0]
        if get_origin(inner) in (tuple, list) or text.startswith("["):
            return _UNFIT
        items = [_read(part.strip(), inner, set()) for part in text.split(",") if part.strip()]
        return _UNFIT if any(item is _UNFIT for item in items) else bare(items)
    if bare is str:
        found = _json(text) if numbers or text.startswith('"') else _NO_JSON
        if isinstance(found, str):
            return found
        return text if found is _NO_JSON else _UNFIT  # true or [1] is no name beside a number
    return _UNFIT


def _as(value: Any, kind: Any) -> Any:
    """Return a value as one kind that is no union."""
    bare = get_origin(kind) or kind
    if kind is Any:
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value) if bare is bool else _UNFIT
    if bare is int:
        whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
        return int(value) if whole else _UNFIT
    if bare is float:
        with suppress(OverflowError):  # an integer of more digits than a float can have
            return float(value) if isinstance(value, Real) else _UNFIT
        return _UNFIT
    if bare in (tuple, list):
        if not isinstance(value, list | tuple):
            return _UNFIT
        inner = get_args(kind)
        kinds = inner if inner and inner[-1] is not Ellipsis and bare is tuple else (inner or (Any,))[:1] * len(value)
        if len(kinds) != len(value):
            return _UNFIT
        items = [_as_any(item, each) for item, each in zip(value, kinds, strict=True)]
        return _UNFIT if any(item is _UNFIT for item in items) else bare(items)
    if isinstance(bare, type):
        return value if isinstance(value, bare) else _UNFIT
    return value if value in get_args(kind) else _UNFIT  # a Literal


def _as_any(value: Any, kind: Any) -> Any:
    found = (_as(value, each) for each in sorted(_choices(kind), key=_place))
    return next((each for each in found if each is not _UNFIT), _UNFIT)


def _told(kind: Any, plural: bool = False) -> str:
    """Say in words what kind of value is expected."""
    words = []
    for each in _choices(kind):
        bare = get_origin(each) or each
        if bare in (tuple, list):
            inner = (get_args(each) or (str,))[0]
            words.append(f"{'lists' if plural else 'a list'} of {_told(inner, plural=True)}")
        elif bare in _WORDS:
            words.append(_WORDS[bare][plural])
        elif bare is not Any:
            words.append("a function" if bare is Callable else getattr(bare, "__name__", str(each)))
    return " or ".join(dict.fromkeys(words))
