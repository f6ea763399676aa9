"""Describe capital letters as strokes on a grid of 4 by 6 units, x to the right and y up."""

from __future__ import annotations

__all__ = ["GLYPHS", "HEIGHT", "WIDTH"]

WIDTH, HEIGHT = 4, 6

_STROKES = {
    "A": "00-26-40 12-32",
    "B": "00-06-36-45-44-33-03 33-42-41-30-00",
    "C": "45-36-16-05-01-10-30-41",
    "D": "00-06-26-44-42-20-00",
    "E": "40-00-06-46 03-33",
    "F": "00-06-46 03-33",
    "G": "45-36-16-05-01-10-30-41-43-23",
    "H": "00-06 40-46 03-43",
    "I": "10-30 16-36 20-26",
    "J": "46-41-30-10-01-02",
    "K": "00-06 46-03-40",
    "L": "06-00-40",
    "M": "00-06-23-46-40",
    "N": "00-06-40-46",
    "O": "10-01-05-16-36-45-41-30-10",
    "P": "00-06-36-45-44-33-03",
    "Q": "10-01-05-16-36-45-41-30-10 22-40",
    "R": "00-06-36-45-44-33-03 23-40",
    "S": "45-36-16-05-04-13-33-42-41-30-10-01",
    "T": "06-46 26-20",
    "U": "06-01-10-30-41-46",
    "V": "06-20-46",
    "W": "06-10-24-30-46",
    "X": "00-46 06-40",
    "Y": "06-23-46 23-20",
    "Z": "06-46-00-40",
}

GLYPHS: dict[str, list[list[tuple[int, int]]]] = {
    name: [[(int(point[0]), int(point[1])) for point in line.split("-")] for line in text.split()]
    for name, text in _STROKES.items()
}
"""Each letter's lines, each a list of (x, y) points joined by straight strokes."""
