"""Lay out a page of images, in millimetres from its upper left corner.

The aspect ratio of each image, and so the size of its axes, follows from the grid: no layout engine has to guess, and
no label runs into a picture.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass, field
from typing import cast

from mimo import VoxelGrid
from mimo.viewer.projections import VIEWS, View, voxel_edges

__all__ = ["LINE", "NARROWEST", "NARROWEST_ROWS", "TITLE", "Cell", "Page", "columns", "drawn_lengths", "rows", "tiles"]

LINE = 3.4  # height of a line of text, mm
CHAR = 1.5  # width of a character, mm, rather too wide
NARROWEST = 75.0  # the label of the colour bar needs as much, mm
NARROWEST_ROWS = 160.0  # four pictures side by side, with their labels
HIGHEST = 240.0  # a page of a journal, mm: pictures get smaller before a figure gets higher
SMALLEST, COMFORTABLE = 12.0, 21.0  # width of a picture in a column, mm
TITLE, SMALLEST_TITLE = 8.0, 5.0  # points
LONGEST_ASPECT = 3.0  # a box is drawn at least a third as high as wide, and the other way round


MARGIN, GAP, EDGE = 14.0, 3.0, 3.0  # left of, between and right of columns, mm


@dataclass(frozen=True)
class Cell:
    """Holds the place of axes; `view` is ``None`` for the surface; `inset` mm at both ends of x stay free of ticks."""

    panel: int
    view: View | None
    left: float
    top: float
    width: float
    height: float
    show_x: bool = True
    show_y: bool = True
    inset: float = 0.0


@dataclass
class Page:
    """Holds size and content of a page; `texts` are (left, top, title, caption), `bar` is the colour bar."""

    width: float
    height: float = 0.0
    cells: list[Cell] = field(default_factory=list)
    texts: list[tuple[float, float, str, str]] = field(default_factory=list)
    title: str = ""
    bar: Cell | None = None
    small: dict[str, float] = field(default_factory=dict)
    """Font size in points by title, for titles of one word that are wider than their column."""

    def rect(self, cell: Cell) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a cell as fractions of the page."""
        bottom = 1 - (cell.top + cell.height) / self.height
        return cell.left / self.width, bottom, cell.width / self.width, cell.height / self.height

    def add_header(self, left: float, top: float, room: float, header: tuple[str, str], one_line: bool) -> float:
        """Add title and caption in `room` mm, side by side where allowed and possible; return their height."""
        title, caption = header
        if one_line and len(title) * 1.15 + len(caption) + 3 <= room / CHAR:
            self.texts.append((left, top, title, caption))
            return LINE
        start = top
        for text, is_title in ((title, True), (caption, False)):
            fits = max(8, int(room / CHAR / (1.15 if is_title else 1)))
            longest = max((len(part) for part in re.split(r"\s|(?<=-)", text)), default=0)
            shrinks = is_title and fits < longest <= fits * TITLE / SMALLEST_TITLE
            for line in textwrap.wrap(text, fits, break_long_words=not shrinks):
                if len(line) > fits:
                    self.small[line] = TITLE * fits / len(line)
                self.texts.append((left, top, line, "") if is_title else (left, top, "", line))
                top += LINE
        return top - start

    def add_bar(self, left: float, room: float, note: str) -> None:
        """Add a colour bar at the bottom, centred in `room` mm from `left`, and space for a `note` below it."""
        width = min(room, 90.0)
        self.bar = Cell(0, None, left + (room - width) / 2, self.height + 2, width, 2.2)
        self.height += 13
        if note:
            self.height += LINE
            start = min(self.bar.left, self.width - CHAR * len(note))
            self.texts.append((max(1.0, start), self.height - LINE - 0.5, "", note))


def drawn_lengths(grid: VoxelGrid) -> tuple[float, float, float]:
    """Return lengths along x, y, z as drawn: the grid's own, but none shorter than a third of the longest."""
    lengths = [float(edge[-1] - edge[0]) for edge in voxel_edges(grid).values()]
    x, y, z = (max(length, max(lengths) / LONGEST_ASPECT) for length in lengths)
    return x, y, z


def _fitted(view: View, lengths: dict[str, float], width: float, height: float) -> tuple[float, float]:
    """Return width and height of the largest box of true aspect in a given one, or all of it where too slender."""
    across, up = lengths[view.horizontal], lengths[view.vertical]
    if max(across, up) > LONGEST_ASPECT * min(across, up):
        return width, height
    scale = min(width / across, height / up)
    return across * scale, up * scale


def _start(title: str | None, width: float) -> Page:
    page = Page(width, 2.0, title=title or "")
    if title:
        page.height += 6.0
    return page


def rows(
    headers: list[tuple[str, str]], grid: VoxelGrid, title: str | None, width_mm: float | None, note: str = ""
) -> Page:
    """Lay out one row for each panel (front, side, top, surface); only the last row needs x ticks."""
    page = _rows(headers, grid, title, width_mm, note, 62.0)
    highest = 62.0
    while page.height > HIGHEST and highest > SMALLEST:
        highest = max(SMALLEST, min(highest, max(cell.height for cell in page.cells)) * 0.94)
        page = _rows(headers, grid, title, width_mm, note, highest)
    return page


def _rows(
    headers: list[tuple[str, str]],
    grid: VoxelGrid,
    title: str | None,
    width_mm: float | None,
    note: str,
    highest: float,
) -> Page:
    """Lay out rows of pictures at most `highest` mm high."""
    width = 180.0 if width_mm is None else width_mm
    drawn = dict(zip("xyz", drawn_lengths(grid), strict=True))
    lengths = {name: float(edge[-1] - edge[0]) for name, edge in voxel_edges(grid).items()}
    # Front and side share their y axis where both have the same height.
    heights = [_fitted(v, lengths, drawn[v.horizontal], drawn[v.vertical])[1] for v in VIEWS[:2]]
    aligned = math.isclose(heights[0], heights[1], rel_tol=0.05)
    left, gaps, right = 14.0, (8.0 if aligned else 14.0, 14.0, 9.0), 2.0
    tallest = max(drawn["y"], drawn["z"])
    scale = min((width - left - sum(gaps) - right) / (2 * drawn["x"] + drawn["z"] + 1.25 * tallest), highest / tallest)
    row, used = tallest * scale, (2 * drawn["x"] + drawn["z"] + 1.25 * tallest) * scale + left + sum(gaps) + right
    beyond = max(0.0, 29 - 1.15 * row)  # of the name of the surfaces, when they are small
    page = _start(title, max(NARROWEST, used + beyond) if width_mm is None else width)
    left += max(0.0, page.width - used - beyond) / 2
    pictures = (2 * drawn["x"] + drawn["z"]) * scale + sum(gaps)
    room = max(pictures - 8, 52.0)  # beside the surfaces, whose labels hang below them
    names_top = page.height
    page.height += LINE + 1
    for i, header in enumerate(headers):
        page.height += page.add_header(left, page.height, room, header, one_line=True) + 1.0
        at = left
        for view, gap in zip(VIEWS, gaps, strict=True):
            cell_width = drawn[view.horizontal] * scale
            w, h = _fitted(view, lengths, cell_width, drawn[view.vertical] * scale)
            show_y = view.name != "side" or not aligned
            cell = Cell(i, view, at, page.height + row - h, w, h, i == len(headers) - 1, show_y)
            page.cells.append(cell)
            if i == 0:
                name = f"{view.name}: max over {view.along}"
                fits = len(name) * CHAR <= cell_width + gap
                page.texts.append((at, names_top, "", name if fits else view.name))
            at += cell_width + gap
        if i == 0:
            page.texts.append((at + 0.1 * row, names_top, "", "surface"))
        page.cells.append(Cell(i, None, at, page.height - 0.04 * row, 1.25 * row, 1.2 * row))
        page.height += row + (
            3.5 if tallest < 1.1 * max(drawn["x"], drawn["z"]) else 7.0
        )  # names hang below a tall box
    page.height += 6.0
    below = pictures - gaps[2]
    wide = min(max(NARROWEST, below), page.width - 10)
    page.add_bar(max(5.0, min(left - (wide - below) / 2, page.width - 5 - wide)), wide, note)
    return page


def _unbroken(caption: str, most: int) -> str:
    """Break a caption into lines of `most` characters between its facts, or after their names, never before a unit."""
    parts = []
    for fact in caption.split(", "):
        name, space, rest = fact.partition(" ")
        between = space if len(fact) + 1 > most else space.replace(" ", "\N{NO-BREAK SPACE}")
        parts.append(name + between + rest.replace(" ", "\N{NO-BREAK SPACE}"))
    return ", ".join(parts)


def columns(
    headers: list[tuple[str, str]], grid: VoxelGrid, title: str | None, width_mm: float | None, note: str = ""
) -> Page:
    """Lay out one column for each panel, surface above front above side, with ticks at the left and at the bottom.

    Columns are divided into bands, one below the other, so that pictures have a comfortable size. Where that would be
    higher than a page, the number of bands is that in which the pictures are largest on a page.
    """
    room = (180.0 if width_mm is None else width_mm) - MARGIN - EDGE + GAP
    comfortable, most = (max(1, min(len(headers), int(room / (w + GAP)))) for w in (COMFORTABLE, SMALLEST))
    best, widest = None, 0.0
    for n_band in range(-(-len(headers) // comfortable), 0, -1):
        n_column, box = -(-len(headers) // n_band), 50.0
        if n_column > max(most, comfortable):
            break
        page = _columns(headers, grid, title, width_mm, note, n_column, box)
        if page.height <= HIGHEST and best is None:
            return page
        while page.height > HIGHEST and box > SMALLEST:
            box = max(SMALLEST, 0.96 * min(box, page.cells[0].width))
            page = _columns(headers, grid, title, width_mm, note, n_column, box)
        if best is None or (page.height <= HIGHEST and page.cells[0].width > widest):
            best, widest = page, page.cells[0].width if page.height <= HIGHEST else 0.0
    return cast(Page, best)  # there is at least one band


def _columns(
    headers: list[tuple[str, str]],
    grid: VoxelGrid,
    title: str | None,
    width_mm: float | None,
    note: str,
    n_column: int,
    widest: float,
) -> Page:
    """Lay out bands of a number of columns, with pictures at most `widest` mm wide."""
    width = 180.0 if width_mm is None else width_mm
    left, gap, right = MARGIN, GAP, EDGE
    drawn = dict(zip("xyz", drawn_lengths(grid), strict=True))
    lengths = {name: float(edge[-1] - edge[0]) for name, edge in voxel_edges(grid).items()}
    room = width - left - right + gap
    box = min(room / n_column - gap, widest)
    scale = min(box / max(drawn["x"], drawn["z"]), 1.5 * box / drawn["y"])
    page = _start(title, width if width_mm is not None else max(NARROWEST, left + right - gap + n_column * (box + gap)))
    left += (page.width - (left + right - gap + n_column * (box + gap))) / 2
    for first in range(0, len(headers), n_column):
        chunk = [(i, (name, _unbroken(facts, int(box / CHAR)))) for i, (name, facts) in enumerate(headers)][
            first : first + n_column
        ]
        at = [left + i * (box + gap) for i in range(len(chunk))]
        page.height += max(
            page.add_header(at[i], page.height, box, header, one_line=False) for i, (_, header) in enumerate(chunk)
        )
        page.texts.append((left, page.height + 1, "", "surface"))
        page.height += LINE
        for i, (panel, _) in enumerate(chunk):
            page.cells.append(Cell(panel, None, at[i], page.height, box, box, False, False))
        page.height += box + (2 if box > COMFORTABLE else 4)  # the name of x hangs below a small surface
        for view in VIEWS[:2]:
            w, h = _fitted(view, lengths, drawn[view.horizontal] * scale, drawn[view.vertical] * scale)
            name = f"{view.name}: max over {view.along}"
            page.texts.append((left, page.height, "", name if len(name) * CHAR <= box + 10 else view.name))
            page.height += LINE + 1
            for i, (panel, _) in enumerate(chunk):
                page.cells.append(Cell(panel, view, at[i] + (box - w) / 2, page.height, w, h, True, i == 0, 3.5))
            page.height += h + 8.5
    page.add_bar(8.0, page.width - 16, note)
    return page


def tiles(
    headers: list[tuple[str, str]],
    grid: VoxelGrid,
    wide: list[str],
    title: str | None,
    width_mm: float | None,
    note: str = "",
) -> Page:
    """Lay out panels of one picture each in three columns or fewer, in more where the page would get too high."""
    n_column = len(headers) if len(headers) <= 3 else 2 if len(headers) == 4 else 3
    page = _tiles(headers, grid, wide, title, width_mm, note, n_column)
    while page.height > HIGHEST and n_column < len(headers) and min(c.width for c in page.cells) > COMFORTABLE:
        n_column += 1
        page = _tiles(headers, grid, wide, title, width_mm, note, n_column)
    return page


def _tiles(
    headers: list[tuple[str, str]],
    grid: VoxelGrid,
    wide: list[str],
    title: str | None,
    width_mm: float | None,
    note: str,
    n_column: int,
) -> Page:
    """Lay out panels of one picture each in a number of columns."""
    width = min(180.0, 20.0 + 75.0 * n_column) if width_mm is None else width_mm
    left, gap, right = 14.0, 9.0, 4.0
    view = next((v for v in VIEWS if set(wide) <= {v.horizontal, v.vertical}), VIEWS[0])
    box = (width - left - right - gap * (n_column - 1)) / n_column
    if len(wide) == 1:
        view = View("profile", wide[0], "", "")
        w, h = box, 0.6 * box
    else:
        lengths = {name: float(edge[-1] - edge[0]) for name, edge in voxel_edges(grid).items()}
        drawn = dict(zip("xyz", drawn_lengths(grid), strict=True))
        scale = min(box / drawn[view.horizontal], 90.0 / drawn[view.vertical])
        w, h = _fitted(view, lengths, drawn[view.horizontal] * scale, drawn[view.vertical] * scale)
    page = _start(title, width)
    left += (width - left - right - gap * (n_column - 1) - n_column * w) / 2
    for first in range(0, len(headers), n_column):
        chunk = headers[first : first + n_column]
        heights = [
            page.add_header(left + i * (w + gap), page.height, w, header, one_line=False)
            for i, header in enumerate(chunk)
        ]
        page.height += max(heights) + 1.0
        for i in range(len(chunk)):
            lowest = first + i + n_column >= len(headers)
            page.cells.append(Cell(first + i, view, left + i * (w + gap), page.height, w, h, lowest, i == 0))
        page.height += h + (9.5 if first + 2 * n_column > len(headers) else 3.5)
    if len(wide) != 1:
        page.add_bar(left, n_column * w + (n_column - 1) * gap, note)
    elif note:
        page.texts.append((left, page.height, "", note))
        page.height += LINE + 1
    return page
