"""Read and write the numbers of radar errors in the units of a laboratory: degrees, dB, picoseconds, millimetres."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mimo.options import unknown

__all__ = ["read_priors", "table_text"]

UNITS: dict[str, dict[str, float]] = {
    "phase": {"deg": math.pi / 180, "rad": 1.0},
    "gain": {"dB": math.log(10) / 20},
    "delay": {"ps": 1e-12, "ns": 1e-9, "s": 1.0},
    "position": {"mm": 1e-3, "m": 1.0},
    "pose": {"mm": 1e-3, "m": 1.0},
    "rotation": {"deg": math.pi / 180, "rad": 1.0},
    "permittivity": {"%": 0.01},
}
"""Units of each kind of unknown, the one that tables use first, and what they are in SI units."""

ROWS = 24
"""Rows of a kind beyond which a table tells their root mean square alone."""

_NUMBER = re.compile(r"\s*([0-9.eE+-]+)\s*([A-Za-z%]+)\s*")


def read_priors(texts: Sequence[str]) -> dict[str, float]:
    """Read standard deviations such as ``phase=30deg``, ``delay=20ps`` or ``position=2mm``, in SI units.

    Raises
    ------
    ValueError
        When a text is not a name, ``=``, a positive number and its unit.
    """
    priors = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in UNITS:
            raise ValueError(unknown("prior", name, list(UNITS)))
        match = _NUMBER.fullmatch(value)
        try:
            number = float(match[1]) * UNITS[name][match[2]] if match else math.nan
        except (KeyError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"prior {text!r}: expected {name}= and a positive number in {' or '.join(UNITS[name])}")
        priors[name] = number
    return priors


def table_text(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return lines that tell what was found, from `mimo.autofocus.Found.table`; long lists are summed up."""
    lines = [f"{'':<14}{'':<22}{'found':>10}{'std':>10}  determined"]
    for kind in dict.fromkeys(row["what"] for row in rows):
        unit, scale = next(iter(UNITS[kind].items()))
        mine = [row for row in rows if row["what"] == kind]
        if len(mine) > ROWS:
            size, std = (_rms([row[key] for row in mine]) for key in ("value", "std"))
            known = None if std is None else sum(row["determined"] for row in mine) / len(mine)
            mine = [{"of": f"rms of {len(mine)}", "value": size, "std": std, "determined": known}]
        for row in mine:
            told = f"{kind:<14}{row['of']:<22}{row['value'] / scale:>10.3g}"
            if row["std"] is None:
                lines.append(f"{told}{'?':>10}  ?  ({unit})")
            else:
                lines.append(f"{told}{row['std'] / scale:>10.2g}  {100 * row['determined']:.0f} %  ({unit})")
    return lines


def _rms(values: Sequence[float | None]) -> float | None:
    """Return the root mean square, or ``None`` where a value is not known."""
    known = [value for value in values if value is not None]
    return math.sqrt(sum(value**2 for value in known) / len(known)) if len(known) == len(values) else None
