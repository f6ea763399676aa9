"""Define what all figures share: sizes of text and lines in points, and the unit of lengths on a page."""

from __future__ import annotations

from typing import Any

__all__ = ["MM", "STYLE"]

MM = 1 / 25.4
"""Inches in a millimetre."""

STYLE: dict[Any, Any] = {
    "font.size": 7.0,
    "axes.linewidth": 0.5,
    "axes.grid": False,
    "grid.linewidth": 0.3,
    "text.usetex": False,
    "pdf.fonttype": 42,  # text stays text, in an embedded font that journals take
    **{f"{axis}tick.{key}": value for axis in "xy" for key, value in (("major.size", 2.0), ("major.width", 0.5))},
    **{f"{axis}tick.major.pad": 2.0 for axis in "xy"},
}
"""Values of matplotlib's ``rcParams`` while a figure is drawn."""
