"""Read the options that a user sets and check them against their defaults."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def build_table(cls: type[Any], table: Mapping[str, Any], prefix: str) -> Any:
    """Build a dataclass from a table, checking names and types."""
    if not isinstance(table, Mapping):
        raise ValueError(f"{prefix.rstrip('.')} is {table!r}, expected a table")
    defaults = cls()
    known = {f.name: getattr(defaults, f.name) for f in fields(cls)}
    values = {}
    for key, value in table.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"unknown key {prefix + key!r}: did you mean {prefix + near!r}?")
        default = known[key]
        if is_dataclass(default):
            values[key] = build_table(type(default), value, f"{prefix}{key}.")
        elif isinstance(default, tuple) and isinstance(default[0], tuple):
            if not isinstance(value, list | tuple) or not all(isinstance(v, list | tuple) for v in value):
                raise ValueError(f"{prefix}{key} is {value!r}, expected a list of lists")
            values[key] = tuple(tuple(v) for v in value)
        elif isinstance(default, tuple):
            kind = type(default[0])
            if not isinstance(value, list | tuple) or not all(_is_number(v, kind) for v in value):
                raise ValueError(f"{prefix}{key} is {value!r}, expected a list of numbers ({kind.__name__})")
            values[key] = tuple(kind(v) for v in value)
        else:
            wanted = (int, float) if isinstance(default, float) else (type(default),)
            if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
                raise ValueError(f"{prefix}{key} is {value!r}, expected {type(default).__name__}")
            values[key] = type(default)(value)
    return cls(**values)


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is a number that loses nothing as `kind`, float or int."""
    return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
