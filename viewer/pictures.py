"""Draw what stands on a figure's page: flat and 3D pictures, numbers at axes, scale bars, outlines, colour bars."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator

from mimo import VoxelGrid
from mimo.viewer.block_maxima import draw_largest
from mimo.viewer.lettering import LINE, text_width
from mimo.viewer.page import NUMBERED, Cell, Page, drawn_lengths
from mimo.viewer.projections import View, voxel_edges
from mimo.viewer.surface import DEPTH_COLORS, draw_surface

__all__ = [
    "draw_bars",
    "draw_curve",
    "draw_outline",
    "draw_projection",
    "draw_scale_bar",
    "draw_surface_picture",
    "is_outlined",
    "write_texts",
]

LONGEST_BAR = 0.4
"""Longest scale bar as a share of its picture's width."""

MOST_CHANGES = 0.35
"""Most changes from pixel to pixel, a pixel, of what has an outline; of noise it is 0.5 and more."""

NUMBER = 6.0  # points, at the axes of 3D pictures


def draw_projection(
    axes: Axes, image: npt.NDArray[Any], grid: VoxelGrid, cell: Cell, norm: Normalize, cmap: str
) -> None:
    """Draw a flat picture ``(n_up, n_across)``, and numbers at its axes where the cell has them."""
    view, edges = cast(View, cell.view), voxel_edges(grid)
    draw_largest(axes, edges[view.horizontal], edges[view.vertical], image, norm=norm, cmap=cmap, rasterized=True)
    axes.set_ylabel(f"{view.vertical} (m)" if cell.show_y else "", labelpad=1.5)
    set_ticks(axes, "y", cell.height, cell.show_y)
    set_ticks(axes, "x", cell.width, cell.show_x)
    axes.set_xlabel(f"{view.horizontal} (m)" if cell.show_x else "", labelpad=1.5)


def draw_curve(axes: Axes, values: npt.NDArray[Any], grid: VoxelGrid, cell: Cell, norm: Normalize, unit: str) -> None:
    """Draw the values along the one axis of a grid as a curve."""
    name = cast(View, cell.view).horizontal
    axes.plot(getattr(grid, name), values, color="#1f4e79", linewidth=0.9)
    axes.set(xlim=voxel_edges(grid)[name][[0, -1]], ylim=(norm.vmin, norm.vmax))
    axes.margins(0)
    axes.set_ylabel(unit if cell.show_y else "")
    set_ticks(axes, "y", cell.height, cell.show_y)
    set_ticks(axes, "x", cell.width, cell.show_x)
    axes.set_xlabel(f"{name} (m)" if cell.show_x else "", labelpad=1.5)


def draw_surface_picture(
    axes: Any,
    volume: npt.NDArray[Any],
    grid: VoxelGrid,
    cell: Cell,
    *,
    level_db: float,
    reference: float,
    look: tuple[float, float] | None,
) -> None:
    """Draw the surface with few ticks and close labels, and on a small box only the names of the axes."""
    draw_surface(axes, volume, grid, level_db=level_db, reference=reference, box=drawn_lengths(grid))
    if look is not None:
        axes.view_init(elev=look[1], azim=look[0], vertical_axis="y")
    axes.patch.set_visible(False)  # or it would cover the names of the row above
    if not cell.show_x or cell.width < NUMBERED:
        for name in "xyz":
            set_ticks(axes, name, 0.0, False)
            getattr(axes, f"set_{name}label")(name if cell.show_x else "", labelpad=-15)
        axes.tick_params(length=0, pad=-4)
        return
    lengths = drawn_lengths(grid)
    for name, length in zip("xyz", lengths, strict=True):
        # Not up to the corners, where the labels of two axes would meet.
        room = (0.45 if name == "y" else 0.62) * min(cell.width, cell.height) * length / max(lengths)
        set_ticks(axes, name, room, True, corner=0.1)
        longest = max((len(label.get_text()) for label in getattr(axes, f"get_{name}ticklabels")()), default=0)
        pad = -7 + 2.5 * max(0, longest - 4) if name == "y" else -7 + 2 * (name == "z")
        getattr(axes, f"set_{name}label")(f"{name} (m)", labelpad=pad)
    axes.tick_params(labelsize=NUMBER, pad=-3)


def set_ticks(axes: Any, name: str, room: float, show: bool, corner: float = 0.0) -> None:
    """Set round ticks along axis `name`, at most 5 intervals, whose labels fit side by side into `room` mm.

    No tick falls within the share `corner` of the axis next to its ends.
    """
    low, high = getattr(axes, f"get_{name}lim")()
    low, high = low + corner * (high - low), high - corner * (high - low)
    room *= 1 - 2 * corner
    least = LINE * 1.3 if name == "y" else 0.4
    chosen: tuple[npt.NDArray[np.float64], list[str]] | None = None
    for n, each in ((5, 1), (4, 1), (3, 1), (2, 1), (4, 2), (3, 2), (2, 2), (1, 1)):
        values = MaxNLocator(n, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        values = values[(values >= low) & (values <= high)][::each]
        labels = [f"{0.0 if abs(v) < 1e-9 * (high - low) else v:.7g}".replace("-", "\N{MINUS SIGN}") for v in values]
        need = least + (0.0 if name == "y" else max(map(text_width, labels), default=0.0))
        if len(values) > 1 and (values[1] - values[0]) / (high - low) * room >= need:
            chosen = values, labels
            break
        chosen = (values[-1:], labels[-1:]) if chosen is None and len(values) else chosen
    places, texts = chosen if chosen is not None else (np.empty(0), [])
    getattr(axes, f"set_{name}ticks")(places, texts if show else [""] * len(places))


def is_outlined(image: npt.NDArray[Any], level: float) -> bool:
    """Say whether what reaches a level has an outline that can be read: bodies, not single pixels all over."""
    mask = image >= level
    changes = sum(int(np.count_nonzero(np.diff(mask, axis=axis))) for axis in (0, 1))
    return bool(mask.any()) and not mask.all() and changes <= MOST_CHANGES * mask.size


def draw_outline(axes: Axes, image: npt.NDArray[Any], grid: VoxelGrid, view: View, level: float) -> None:
    """Draw where a flat picture is `level`, as a light line with a dark edge that is seen on any colour."""
    across, up = getattr(grid, view.horizontal), getattr(grid, view.vertical)
    edges = voxel_edges(grid)
    padded = np.pad(image, 1)  # closed at the border
    lines = axes.contour(
        np.concatenate([edges[view.horizontal][:1], across, edges[view.horizontal][-1:]]),
        np.concatenate([edges[view.vertical][:1], up, edges[view.vertical][-1:]]),
        padded,
        levels=[level],
        colors="white",
        linewidths=0.5,
    )
    lines.set_path_effects([Stroke(linewidth=1.1, foreground="black"), Normal()])


def draw_scale_bar(axes: Axes, width: float, height: float) -> None:
    """Draw a bar of a round length at the lower right of a picture `width` x `height` mm, with its length above it."""
    low, high = axes.get_xlim()
    bottom, top = axes.get_ylim()
    longest = LONGEST_BAR * (high - low)
    power = 10.0 ** np.floor(np.log10(longest))
    length = max(m * power for m in (1, 2, 5) if m * power <= longest * (1 + 1e-9))
    unit, factor = ("mm", 1e3) if length < 0.01 else ("cm", 1e2) if length < 1 else ("m", 1.0)
    unit, factor = ("km", 1e-3) if length >= 1000 else (unit, factor)
    label = f"{length * factor:.3g} {unit}"
    right, floor = high - 1.3 / width * (high - low), bottom + 1.3 / height * (top - bottom)
    half = text_width(label, NUMBER) / width * (high - low) / 2
    middle = min(right - length / 2, high - 0.8 / width * (high - low) - half)
    left = min(right - length, middle - half) - 0.6 / width * (high - low)
    ground = Rectangle(
        (left, bottom), high - left, 4.6 / height * (top - bottom), color="black", alpha=0.6, linewidth=0
    )
    axes.add_patch(ground)
    axes.plot([right - length, right], [floor, floor], color="white", linewidth=1.4, solid_capstyle="butt",
              scalex=False, scaley=False)  # fmt: skip
    axes.text(middle, floor + 0.7 / height * (top - bottom), label, color="white", ha="center", va="bottom",
              fontsize=NUMBER, parse_math=False)  # fmt: skip


def draw_bars(drawing: Figure, page: Page, grid: VoxelGrid, norm: Normalize, cmap: str, label: str) -> None:
    """Draw the colour bar and the key of a surface's depths, where the page has them."""
    if page.bar is not None:
        bar = drawing.add_axes(page.rect(page.bar), label="colour bar")
        drawing.colorbar(ScalarMappable(norm, cmap), cax=bar, orientation="horizontal", label=label)
        bar.xaxis.labelpad = 1.5
        set_ticks(bar, "x", page.bar.width, True)
    if page.key is not None:
        z = voxel_edges(grid)["z"]
        key = drawing.add_axes(page.rect(page.key), label="depths")
        shades = ScalarMappable(Normalize(z[0], z[-1]), DEPTH_COLORS)
        drawing.colorbar(shades, cax=key, orientation="horizontal", label="z of the surface (m)")
        key.xaxis.labelpad = 1.5
        set_ticks(key, "x", page.key.width, True)


def write_texts(drawing: Figure, page: Page) -> None:
    """Write the texts of the page, and its title."""
    options: dict[str, Any] = {"va": "top", "parse_math": False}
    for line in page.texts:
        place = line.left / page.width, 1 - line.top / page.height
        weight = "bold" if line.bold else "normal"
        drawing.text(*place, line.text, fontsize=line.points, weight=weight, **options)
    if page.title:
        drawing.text(0.5, 1 - 2 / page.height, page.title, ha="center", weight="bold", fontsize=9, **options)
