"""Measure text as it is printed, and break it into lines between words, never inside one."""

from __future__ import annotations

import re
from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from mimo.viewer.style import MM

__all__ = ["CAPTION", "LINE", "TITLE", "fitted_title", "panel_letter", "text_width", "wrapped_facts"]

LINE = 3.4
"""Height of a line of text, mm."""

TITLE, SMALLEST_TITLE, CAPTION = 8.0, 5.0, 7.0
"""Sizes of text, points."""

POINTS = 72.0
NBSP, ELLIPSIS = "\N{NO-BREAK SPACE}", "\N{HORIZONTAL ELLIPSIS}"


@lru_cache(4096)
def text_width(text: str, points: float = CAPTION, bold: bool = False) -> float:
    """Return the width of a line of text in the figures' font, mm."""
    font = FontProperties(weight="bold" if bold else "normal", size=points)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / POINTS / MM


def panel_letter(number: int) -> str:
    """Return the letter of a panel, from 0: (a) to (z), then (aa).

    >>> [panel_letter(n) for n in (0, 25, 26)]
    ['(a)', '(z)', '(aa)']
    """
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return f"({letters})"


def fitted_title(title: str, room: float) -> tuple[list[str], float]:
    """Break a title between its words into lines of `room` mm; return them and the size in points, 5 to 8.

    A word that is wider is printed smaller with all the others; what is wider at 5 points loses its middle.
    """
    widest = max((text_width(word, TITLE, True) for word in _pieces(title)), default=0.0)
    points = TITLE if widest <= room else max(SMALLEST_TITLE, int(10 * TITLE * room / widest) / 10)
    return [_shortened(line, room, points) for line in _lines(_pieces(title), room, points, True)], points


def wrapped_facts(caption: str, room: float) -> list[str]:
    """Break a caption between its facts, which commas part, into lines of `room` mm; within a fact only if it must."""
    facts = [part + "," for part in caption.split(", ")[:-1]] + caption.split(", ")[-1:]
    pieces: list[str] = []
    for fact in facts:
        if text_width(fact) <= room:
            pieces.append(fact)
        else:  # after the name rather than before a unit
            name, _, rest = fact.partition(" ")
            whole = rest.replace(" ", NBSP)
            pieces += [name, *([whole] if text_width(whole) <= room else rest.split(" "))]
    return _lines([piece for piece in pieces if piece], room, CAPTION, False)


def _pieces(text: str) -> list[str]:
    """Return what may stand on lines of its own: words, and the parts of a word that hyphens join."""
    return [part for word in text.split() for part in re.findall(r"[^-]+-*|-+", word)]


def _lines(pieces: list[str], room: float, points: float, bold: bool) -> list[str]:
    lines: list[str] = []
    for piece in pieces:
        joined = f"{lines[-1]}{'' if lines[-1].endswith('-') else ' '}{piece}" if lines else ""
        if lines and text_width(joined, points, bold) <= room:
            lines[-1] = joined
        else:
            lines.append(piece)
    return lines


def _shortened(line: str, room: float, points: float) -> str:
    """Return a line without as much of its middle as does not fit."""
    if text_width(line, points, True) <= room:
        return line
    for kept in range(len(line) - 1, 1, -1):
        short = f"{line[: -(-kept // 2)]}{ELLIPSIS}{line[len(line) - kept // 2 :]}"
        if text_width(short, points, True) <= room:
            return short
    return line[:1] + ELLIPSIS
