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
    "volume.js",
    "source.js",
    "camera.js",
    "webgl.js",
    "raycast.js",
    "colors.js",
    "box3d.js",
    "scene3d.js",
    "sections.js",
    "panels.js",
    "plots.js",
    "history.js",
    "measurement.js",
    "heading.js",
    "picture.js",
    "saving.js",
    "controls.js",
    "keys.js",
    "notices.js",
    "following.js",
    "main.js",
)
"""ES modules, each after those that it imports."""

SHADERS = ("shaders/raycast.vert", "shaders/raycast.frag")
TYPES = {".js": "text/javascript", ".css": "text/css", ".vert": "text/plain", ".frag": "text/plain"}


@cache
def read(name: str) -> str:
    """Text of one of the page's files."""
    return (STATIC / name).read_text(encoding="utf-8")


def served_names() -> tuple[str, ...]:
    """Names under ``static/`` that the server gives out, nothing else."""
    return (*SCRIPTS, *SHADERS, "style.css")


def joined_scripts() -> str:
    """All modules as one: imports and the word export left out, in the order of `SCRIPTS`.

    Needed for a page opened from disk, where a browser loads no module. Top-level names differ between modules (a test
    holds that), so that nothing is hidden.
    """
    parts = []
    for name in SCRIPTS:
        text = re.sub(r"^import\s[^;]*;\n", "", read(name), flags=re.MULTILINE)
        parts.append(f"// -- {name}\n{re.sub(r'^export ', '', text, flags=re.MULTILINE)}")
    return "\n".join(parts)
