"""Find the files that the interactive page is made of, and put the page together."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["joined_scripts", "read", "served_names"]

STATIC = Path(__file__).parent / "static"

SCRIPTS = (
    "state.js",
    "numbers.js",
    "maxima.js",
    "volume.js",
    "source.js",
    "camera.js",
    "webgl.js",
    "raycast.js",
    "colors.js",
    "box3d.js",
    "sweeps.js",
    "mesh.js",
    "picking.js",
    "touches.js",
    "scene3d.js",
    "section_layout.js",
    "compare.js",
    "sections.js",
    "section_pointer.js",
    "panels.js",
    "plots.js",
    "history.js",
    "channel_maps.js",
    "setup_view.js",
    "measurement.js",
    "heading.js",
    "picture.js",
    "saving.js",
    "profiles.js",
    "peaks.js",
    "analysis.js",
    "widgets.js",
    "histogram.js",
    "svg.js",
    "png.js",
    "gif.js",
    "sheet.js",
    "command.js",
    "film.js",
    "save.js",
    "controls.js",
    "keys.js",
    "notices.js",
    "following.js",
    "loading.js",
    "shown.js",
    "main.js",
)
"""ES modules of the page, each after those that it imports."""

SHADERS = ("shaders/raycast.vert", "shaders/raycast.frag")
TYPES = {".js": "text/javascript", ".css": "text/css", ".vert": "text/plain", ".frag": "text/plain"}


@cache
def read(name: str) -> str:
    """Return the text of one of the page's files."""
    return (STATIC / name).read_text(encoding="utf-8")


def served_names() -> tuple[str, ...]:
    """Return the names of all files under ``static/`` that the server may send."""
    return (*SCRIPTS, *SHADERS, "style.css")


def joined_scripts() -> str:
    """Return all modules as one script, in the order of `SCRIPTS`, without imports and the word export.

    A page opened from disk needs it, because there a browser loads no modules. Top-level names differ between modules,
    as a test checks, so that none hides another.
    """
    parts = []
    for name in SCRIPTS:
        text = re.sub(r"^import\s[^;]*;\n", "", read(name), flags=re.MULTILINE)
        parts.append(f"// -- {name}\n{re.sub(r'^export ', '', text, flags=re.MULTILINE)}")
    return "\n".join(parts)
