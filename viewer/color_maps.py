"""Hold the colour maps of the page as tables, so that serving it does not load matplotlib, whose maps they are."""

from __future__ import annotations

import json
from typing import Any

from mimo.viewer.page_files import read

__all__ = ["COLOR_MAPS", "PHASE_MAPS", "color_tables"]

COLOR_MAPS = ("viridis", "inferno", "cividis", "jet", "gray")
"""Maps of magnitudes."""

PHASE_MAPS = ("twilight", "RdBu_r")
"""Maps of phases, which begins as it ends, and of real and imaginary parts, whose middle is 0."""


def color_tables() -> dict[str, str]:
    """Return colour maps of matplotlib by name: 256 x 3 bytes, red green blue, in base64.

    A test compares them with matplotlib's own, and shows how the file of the tables is made.
    """
    stored: dict[str, Any] = json.loads(read("color_maps.json"))
    return dict(stored["maps"])
