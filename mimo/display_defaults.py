"""Hold what figures, films and the interactive page show when nothing else is asked, so that they agree.

It stands here, below the viewer, because the command line states these values without loading matplotlib.
"""

from __future__ import annotations

from typing import Any

__all__ = ["COLOR_MAP", "FLOOR_DB", "SURFACE_DB", "page_defaults", "seconds_text"]

COLOR_MAP = "inferno"
"""Colour map of magnitudes, one of matplotlib's."""

FLOOR_DB = -40.0
"""Lower end of the colour bar, dB."""

SURFACE_DB = -10.0
"""Level of a surface, dB below the maximum."""


def page_defaults() -> dict[str, Any]:
    """Return the defaults of the interactive page's state that are not its own, by their names there."""
    return {"colors": COLOR_MAP, "floor": FLOOR_DB, "threshold": SURFACE_DB}


def seconds_text(seconds: float) -> str:
    """Return a run time with three digits, below a tenth of a second in milliseconds.

    >>> [seconds_text(s) for s in (0.00712, 1.234, 456.7)]
    ['7.12 ms', '1.23 s', '457 s']
    """
    if 0 < seconds < 0.1:
        return f"{float(f'{1000 * seconds:.3g}'):g} ms"
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
