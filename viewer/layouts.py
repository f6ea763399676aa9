"""Arrange the pictures of several images on a page of a journal: in rows, in columns, as tiles, or as it fits best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mimo import VoxelGrid
from mimo.viewer.lettering import LINE, TITLE, text_width
from mimo.viewer.page import HIGHEST, NARROWEST, NUMBERED, Cell, Header, Page, Text, drawn_lengths, fitted
from mimo.viewer.projections import VIEWS, View, voxel_edges

__all__ = ["LAYOUTS", "NARROWEST_ROWS", "Content", "lay_out"]

LAYOUTS = ("auto", "rows", "columns", "tiles")

WIDTH = 180.0  # two columns of a journal, mm
NARROWEST_ROWS = 160.0
"""Narrowest page of the layout rows: four pictures side by side, with their labels, mm."""

SMALLEST, READABLE = 12.0, 20.0  # longer side of a picture, mm: of any, and of one in the layout that is chosen
LARGE = 42.0  # that of a panel's only picture, where there is room
WIDEST, HIGHEST_PICTURE = 50.0, 62.0  # of a picture in a column, and in a row, mm
WIDEST_FLAT, WIDEST_ALONE = 75.0, 100.0  # of a flat image beside others, and alone, mm
MARGIN, GAP, EDGE = 13.0, 3.0, 3.0  # left of, between and right of columns, mm
LETTERED = 31.0  # width in which a method's name and its facts are read well, mm
TICKS = 7.5  # numbers and name below a picture, mm


class Content(NamedTuple):
    """Holds what a page shows: headers, the grid of all images, what 3D pictures are called, and notes."""

    headers: list[Header]
    grid: VoxelGrid
    surface: str
    notes: list[str]
    along: dict[str, str]
    """Text above the flat pictures by view: what is drawn of the axis across them."""


def lay_out(layout: str, content: Content, title: str | None, width_mm: float | None) -> Page:
    """Return the page of a layout, one of `LAYOUTS`, no higher than `HIGHEST`.

    ``auto`` takes the first whose pictures are `READABLE`: rows; columns of the 3D picture, front and side; of two of
    them; tiles. A grid of one voxel along an axis has tiles only.

    Raises
    ------
    ValueError
        When the images do not fit on the page with pictures of 12 mm.
    """
    wide = [name for name, n in zip("xyz", content.grid.shape, strict=True) if n > 1]
    if len(wide) < 3:
        one = View("profile", wide[0], "", "") if len(wide) == 1 else _flat_view(wide)
        pages = [_banded(content, title, width_mm, [one])]
    else:
        pages = [page for name in _tried(layout) if (page := _page(name, content, title, width_mm)) is not None]
    kept = [page for page in pages if page is not None]
    if not kept:
        n = len(content.headers)
        raise ValueError(
            f"{n} images do not fit on a page of {width_mm or WIDTH:g} x {HIGHEST:g} mm in the layout {layout}: "
            "expected fewer, a wider page, or the layout tiles"
        )
    return next((page for page in kept if _size(page) >= READABLE), max(kept, key=_size))


def _tried(layout: str) -> tuple[str, ...]:
    return ("rows", "columns", "pairs", "tiles") if layout == "auto" else (layout,)


def _page(name: str, content: Content, title: str | None, width_mm: float | None) -> Page | None:
    front, side = VIEWS[:2]
    if name == "rows":
        return _rows_on_a_page(content, title, width_mm)
    views: dict[str, list[View | None]] = {"columns": [None, front, side], "pairs": [None, front], "tiles": [front]}
    return _banded(content, title, width_mm, views[name])


def _flat_view(wide: list[str]) -> View:
    return next((v for v in VIEWS if set(wide) <= {v.horizontal, v.vertical}), VIEWS[0])


def _size(page: Page) -> float:
    """Return the longer side of the smallest flat picture, mm."""
    return min(max(cell.width, cell.height) for cell in page.cells if cell.view is not None)


# -- rows -------------------------------------------------------------------------------------------------------------


def _rows_on_a_page(content: Content, title: str | None, width_mm: float | None) -> Page | None:
    """Lay out one row for each panel, smaller until they fit; ``None`` where they do not."""
    if width_mm is not None and width_mm < NARROWEST_ROWS:
        return None
    highest, page = HIGHEST_PICTURE, _rows(content, title, width_mm, HIGHEST_PICTURE)
    while page.height > HIGHEST and highest > SMALLEST:
        highest = max(SMALLEST, min(highest, max(cell.height for cell in page.cells)) * 0.96)
        page = _rows(content, title, width_mm, highest)
    return page if page.height <= HIGHEST else None


def _rows(content: Content, title: str | None, width_mm: float | None, highest: float) -> Page:
    """Lay out rows of pictures (front, side, top, 3D) at most `highest` mm high; the last row alone has x numbers."""
    headers, grid = content.headers, content.grid
    width = WIDTH if width_mm is None else width_mm
    drawn = dict(zip("xyz", drawn_lengths(grid), strict=True))
    lengths = {name: float(edge[-1] - edge[0]) for name, edge in voxel_edges(grid).items()}
    # Front and side share their y axis where both have the same height.
    heights = [fitted(v, lengths, drawn[v.horizontal], drawn[v.vertical])[1] for v in VIEWS[:2]]
    aligned = math.isclose(heights[0], heights[1], rel_tol=0.05)
    left, gaps, right = MARGIN + 1, (5.0 if aligned else 14.0, 14.0, 9.0), 2.0
    tallest = max(drawn["y"], drawn["z"])
    units = 2 * drawn["x"] + drawn["z"] + 1.25 * tallest
    scale = min((width - left - sum(gaps) - right) / units, highest / tallest)
    row, used = tallest * scale, units * scale + left + sum(gaps) + right
    beyond = max(0.0, text_width(content.surface) + 2 - 1.15 * row)  # of the name of 3D pictures, when they are small
    narrowest = NARROWEST + 20 if width_mm is None else width  # with room for a key of depths
    page = Page(max(narrowest, used + beyond) if width_mm is None else width, title=title or "")
    left += max(0.0, page.width - used - beyond) / 2
    pictures = (2 * drawn["x"] + drawn["z"]) * scale + sum(gaps)
    room = max(pictures - 8, 52.0)  # beside the 3D pictures, whose labels hang below them
    names_top = page.height
    page.height += LINE + 1
    for i, header in enumerate(headers):
        last = i == len(headers) - 1
        page.height += _row_header(page, left, room, header) + 1.0
        at = left
        for view, gap in zip(VIEWS, gaps, strict=True):
            cell_width = drawn[view.horizontal] * scale
            w, h, true = fitted(view, lengths, cell_width, drawn[view.vertical] * scale)
            show_y = view.name != "side" or not aligned
            page.cells.append(Cell(i, view, at, page.height + row - h, w, h, last, show_y, true))
            if i == 0:
                page.texts.append(Text(at, names_top, _name(content, view, cell_width + gap - 1)))
            at += cell_width + gap
        if i == 0:
            page.texts.append(Text(at + 0.1 * row, names_top, content.surface))
        page.cells.append(Cell(i, None, at, page.height - 0.04 * row, 1.25 * row, 1.2 * row, last, last))
        hanging = 3.5 if tallest < 1.1 * max(drawn["x"], drawn["z"]) else 7.0  # names hang below a tall box
        page.height += row + (hanging if last else 2.8)
    page.height += 6.0
    page.add_foot(5.0, page.width - 10, content.notes, bar=True, key=True)
    return page


def _row_header(page: Page, left: float, room: float, header: Header) -> float:
    """Add a header in one line where it fits, else in several; return its height."""
    parts = (text_width(header.letter, TITLE, True), text_width(header.title, TITLE, True), text_width(header.caption))
    if sum(parts) + 5 <= room:
        page.add_line(left, page.height, header)
        return LINE
    return page.add_block(left, page.height, room, header)


def _name(content: Content, view: View, room: float) -> str:
    """Return what a flat picture shows, in full where it fits."""
    full = f"{view.name}: {content.along.get(view.name, '')}"
    return full if text_width(full) <= room and content.along.get(view.name) else view.name


# -- columns and tiles ------------------------------------------------------------------------------------------------


def _banded(content: Content, title: str | None, width_mm: float | None, views: Sequence[View | None]) -> Page | None:
    """Lay out a column for each panel, its pictures below each other, in as many bands as suit; ``None`` if none does.

    That is the fewest bands in which pictures are readable, or those in which they are the largest.
    """
    pages = list(_every_banding(content, title, width_mm, views))
    for wanted in (LARGE, READABLE + 1) if len(views) == 1 else (READABLE + 1,):
        for page in pages:
            if _size(page) >= wanted:
                return page
    return max(pages, key=_size, default=None)


def _every_banding(
    content: Content, title: str | None, width_mm: float | None, views: Sequence[View | None]
) -> Iterator[Page]:
    """Yield a page for each number of bands on which all pictures fit, fewest bands first."""
    n = len(content.headers)
    counts = dict.fromkeys(-(-n // n_band) for n_band in range(1, n + 1))
    for n_column in counts:
        flat = len(views) == 1 and None not in views and 1 in content.grid.shape
        widest = (WIDEST_FLAT if n > 1 else WIDEST_ALONE) if flat else WIDEST
        page = _bands(content, title, width_mm, views, n_column, widest)
        while page is not None and page.height > HIGHEST:
            widest = 0.96 * min(widest, max(max(cell.width, cell.height) for cell in page.cells))
            page = _bands(content, title, width_mm, views, n_column, widest) if widest >= SMALLEST else None
        if page is not None:
            yield page


def _bands(
    content: Content,
    title: str | None,
    width_mm: float | None,
    views: Sequence[View | None],
    n_column: int,
    widest: float,
) -> Page | None:
    """Lay out bands of a number of columns with pictures whose longer side is `widest` mm or less."""
    headers, grid = content.headers, content.grid
    width = WIDTH if width_mm is None else width_mm
    gap = GAP if len(views) > 1 or width / n_column < 40 else 2 * GAP
    box = min((width - MARGIN - EDGE + gap) / n_column - gap, widest)
    if box < SMALLEST:
        return None
    sizes = _picture_sizes(grid, views, box, widest)
    column = max(w for w, _, _ in sizes)
    if width_mm is None:
        needed = MARGIN + EDGE - gap + n_column * (max(column, LETTERED) + gap)
        width = min(WIDTH, max(NARROWEST, needed))
    page = Page(width, title=title or "")
    step = (width - MARGIN - EDGE + gap) / n_column if n_column > 1 else width - MARGIN - EDGE
    step = min(step, max(column, LETTERED) + 4 * gap) if n_column > 1 else step
    left = MARGIN + (width - MARGIN - EDGE - ((n_column - 1) * step + column)) / 2
    room = width - EDGE / 2 - (left + (n_column - 1) * step)
    room = min(step - gap, room) if n_column > 1 else room
    n_band = -(-len(headers) // n_column)
    for band in range(n_band):
        panels = range(band * n_column, min((band + 1) * n_column, len(headers)))
        at = {panel: left + (panel - panels.start) * step for panel in panels}
        page.height += max(page.add_block(at[p], page.height, room, headers[p]) for p in panels) + 0.8
        _add_pictures(page, content, views, sizes, at, last=band == n_band - 1)
    page.add_foot(
        5.0, page.width - 10, content.notes, bar="profile" not in [v.name for v in views if v], key=None in views
    )
    return page


def _add_pictures(
    page: Page,
    content: Content,
    views: Sequence[View | None],
    sizes: list[tuple[float, float, bool]],
    at: dict[int, float],
    *,
    last: bool,
) -> None:
    """Add the pictures of one band; the leftmost column alone has numbers, where another shares its axes."""
    first = min(at)
    for view, (w, h, true) in zip(views, sizes, strict=True):
        if len(views) > 1:
            name = content.surface if view is None else _name(content, view, w + 2)
            page.texts.append(Text(at[first], page.height, name))
            page.height += LINE + 0.6
        for panel, left in at.items():
            shown = panel == first and (last or view is None or view.name == "profile")
            page.cells.append(Cell(panel, view, left, page.height, w, h, shown, panel == first, true))
        numbered = view is not None and (last or view.name == "profile")
        hanging = 6.5 if view is None and w >= NUMBERED else 2.5  # of the numbers and names of a large 3D picture
        page.height += h + (TICKS + 1.5 if numbered else hanging)


def _picture_sizes(
    grid: VoxelGrid, views: Sequence[View | None], box: float, widest: float
) -> list[tuple[float, float, bool]]:
    """Return width, height and whether to scale of the pictures of a panel, all of one scale, `box` mm wide at most."""
    drawn = dict(zip("xyz", drawn_lengths(grid), strict=True))
    lengths = {name: float(edge[-1] - edge[0]) for name, edge in voxel_edges(grid).items()}
    flat = [view for view in views if view is not None and view.name != "profile"]
    across = max((drawn[view.horizontal] for view in flat), default=1.0)
    up = max((drawn[view.vertical] for view in flat), default=1.0)
    scale = min(box / across, (1.2 if len(views) > 1 else 1.0) * widest / up)
    sizes = []
    for view in views:
        if view is None:
            side = max(across * scale, min(box, up * scale))
            sizes.append((side, side, False))
        elif view.name == "profile":
            sizes.append((box, 0.6 * box, False))
        else:
            sizes.append(fitted(view, lengths, drawn[view.horizontal] * scale, drawn[view.vertical] * scale))
    return sizes
