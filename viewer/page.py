"""Describe a page of pictures, in millimetres from its upper left corner.

The aspect ratio of each picture, and so the size of its axes, follows from the grid: no layout engine has to guess, and
no label runs into a picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from mimo import VoxelGrid
from mimo.viewer.lettering import CAPTION, LINE, TITLE, fitted_title, panel_letter, text_width, wrapped_facts
from mimo.viewer.projections import View, voxel_edges

__all__ = ["HIGHEST", "NARROWEST", "NUMBERED", "Cell", "Header", "Page", "Text", "drawn_lengths", "fitted"]

NARROWEST = 75.0
"""Narrowest page: the label of the colour bar needs as much, mm."""

HIGHEST = 240.0
"""Highest page of a journal, mm."""

NUMBERED = 34.0
"""Narrowest 3D picture whose axes have numbers, mm."""

LONGEST_ASPECT = 3.0  # a box is drawn at least a third as high as wide, and the other way round
BAR, KEY = 90.0, 42.0  # widths of the colour bar and of the key of depths, at most, mm
BAR_HEIGHT = 13.0  # with its ticks and label


class Header(NamedTuple):
    """Holds the texts above a panel; `letter` is empty where there is one panel alone."""

    letter: str
    title: str
    caption: str

    @classmethod
    def all_of(cls, texts: list[tuple[str, str]]) -> list[Header]:
        """Give letters to titles and captions, where there are several."""
        return [cls(panel_letter(n) if len(texts) > 1 else "", *pair) for n, pair in enumerate(texts)]


@dataclass(frozen=True)
class Cell:
    """Holds the place of axes; `view` is ``None`` for the 3D picture.

    `show_x` and `show_y` say whether its axes have numbers and names; `to_scale`, whether both are drawn to one scale.
    """

    panel: int
    view: View | None
    left: float
    top: float
    width: float
    height: float
    show_x: bool = True
    show_y: bool = True
    to_scale: bool = True


@dataclass(frozen=True)
class Text:
    """Holds a line of text by its upper left corner."""

    left: float
    top: float
    text: str
    points: float = CAPTION
    bold: bool = False


@dataclass
class Page:
    """Holds size and content of a page; `bar` is the colour bar, `key` that of the surface's depths."""

    width: float
    height: float = 2.0
    cells: list[Cell] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    title: str = ""
    bar: Cell | None = None
    key: Cell | None = None

    def __post_init__(self) -> None:
        """Make room for the title."""
        self.height += 6.0 if self.title else 0.0

    def rect(self, cell: Cell) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a cell as fractions of the page."""
        bottom = 1 - (cell.top + cell.height) / self.height
        return cell.left / self.width, bottom, cell.width / self.width, cell.height / self.height

    def add_line(self, left: float, top: float, header: Header) -> float:
        """Add letter, title and caption side by side; return where they end, mm from the left."""
        for text, points, bold in ((header.letter, TITLE, True), (header.title, TITLE, True),
                                   (header.caption, CAPTION, False)):  # fmt: skip
            if text:
                self.texts.append(Text(left, top, text, points, bold))
                left += text_width(text, points, bold) + (1.2 if text == header.letter else 3.0)
        return left

    def add_block(self, left: float, top: float, room: float, header: Header) -> float:
        """Add letter and title, and the caption below them, in `room` mm; return their height."""
        start, letter = top, text_width(header.letter, TITLE, True) + 1.2 if header.letter else 0.0
        if letter:
            self.texts.append(Text(left, top, header.letter, TITLE, True))
        lines, points = fitted_title(header.title, room - letter)
        for line in lines:
            self.texts.append(Text(left + letter, top, line, points, True))
            top += LINE
        top = max(top, start + LINE)
        for line in wrapped_facts(header.caption, room) if header.caption else []:
            self.texts.append(Text(left, top, line))
            top += LINE
        return top - start

    def add_foot(self, left: float, room: float, notes: list[str], *, bar: bool, key: bool) -> None:
        """Add the colour bar, the key of depths beside it or below it, and notes, in `room` mm from `left`."""
        beside = key and room >= NARROWEST + 12 + KEY * 0.75
        if bar:
            width = min(room - (12 + 0.75 * KEY if beside else 0), BAR)
            whole = width + (12 + 0.75 * KEY if beside else 0)
            start = left + (room - whole) / 2
            self.bar = Cell(0, None, start, self.height + 2, width, 2.2)
            if beside:
                self.key = Cell(0, None, start + width + 12, self.height + 2, 0.75 * KEY, 2.2)
            self.height += BAR_HEIGHT
        if key and not beside:
            self.key = Cell(0, None, left + (room - KEY) / 2, self.height + 2, KEY, 2.2)
            self.height += BAR_HEIGHT
        for line in wrapped_facts(", ".join(notes), self.width - 4) if notes else []:
            start = min(self.bar.left if self.bar else left, self.width - 2 - text_width(line))
            self.texts.append(Text(max(2.0, start), self.height, line))
            self.height += LINE
        self.height += 0.5 if notes else 0.0


def drawn_lengths(grid: VoxelGrid) -> tuple[float, float, float]:
    """Return lengths along x, y, z as drawn: the grid's own, but none shorter than a third of the longest."""
    lengths = [float(edge[-1] - edge[0]) for edge in voxel_edges(grid).values()]
    x, y, z = (max(length, max(lengths) / LONGEST_ASPECT) for length in lengths)
    return x, y, z


def fitted(view: View, lengths: dict[str, float], width: float, height: float) -> tuple[float, float, bool]:
    """Return width and height of the largest box of true aspect in a given one, or all of it where too slender.

    The third result says whether the box has the true aspect.
    """
    across, up = lengths[view.horizontal], lengths[view.vertical]
    if max(across, up) > LONGEST_ASPECT * min(across, up):
        return width, height, False
    scale = min(width / across, height / up)
    return across * scale, up * scale, True
