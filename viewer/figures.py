"""Draw several reconstructions side by side, without a window: projections in dB and a surface in 3D."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mimo import VoxelGrid
from mimo.options import unknown
from mimo.output_file import replacing
from mimo.recon.metrics import psnr, ssim
from mimo.recon.verdicts import explained_text
from mimo.viewer.block_maxima import draw_largest
from mimo.viewer.page import LINE, NARROWEST, NARROWEST_ROWS, TITLE, Cell, Page, columns, drawn_lengths, rows, tiles
from mimo.viewer.projections import View, maximum_projections, to_db, voxel_edges
from mimo.viewer.reference import is_relative, references
from mimo.viewer.style import MM, STYLE
from mimo.viewer.surface import draw_surface

__all__ = ["Imaged", "Panel", "figure", "panels_from", "save"]

SUFFIXES = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
PNG_DPI = 200
OUTSIDE, HATCH = "#d9d9d9", "#b0b0b0"
"""Colours of what lies outside a region: lighter than any colour of a dark map's lower end."""
LAYOUTS = {"rows": rows, "columns": columns}


@dataclass(frozen=True)
class Panel:
    """Holds one image of a figure with its texts.

    Parameters
    ----------
    title
        Name of the image, such as the method's.
    volume
        Real or complex ``(n_x, n_y, n_z)`` in any scale; its magnitude is drawn.
    caption
        Text beside the name, such as the PSNR.
    relative
        Whether its values are known only up to a factor, as those of back-projection.
    inside
        bool ``(n_x, n_y, n_z)``: voxels of the region that was imaged; what lies outside is hatched instead of drawn as
        0. ``None`` for all.
    """

    title: str
    volume: npt.NDArray[Any]
    caption: str = ""
    relative: bool = False
    inside: npt.NDArray[np.bool_] | None = None


class Imaged(Protocol):
    """Names what `panels_from` uses of a `mimo.data.Reconstruction`; `magnitude` is ``(n_scene, n_x, n_y, n_z)``."""

    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def magnitude(self) -> npt.NDArray[Any]: ...  # noqa: D102
    @property
    def seconds(self) -> Any: ...  # noqa: D102
    @property
    def scale(self) -> str: ...  # noqa: D102


def panels_from(truth: npt.ArrayLike | None, reconstructions: Iterable[Imaged], scene: int = 0) -> list[Panel]:
    """Make the panels of one scene, the truth first where it is known, with PSNR, SSIM and seconds as captions.

    Parameters
    ----------
    truth
        ``(n_scene, n_x, n_y, n_z)`` or one volume ``(n_x, n_y, n_z)``, complex or real; ``None`` when unknown.
    reconstructions
        Images of the same scenes on the same grid; ``seconds`` is one number, one for each scene, or ``None``.
    scene
        Number of the scene, from 0.

    Raises
    ------
    ValueError
        When a reconstruction has no such scene, or its shape differs from the truth's.
    """
    panels = []
    true = None
    if truth is not None:
        true = np.abs(np.asarray(truth))
        true = true if true.ndim == 3 else _scene(true, scene, "truth")
        panels.append(Panel("truth", true))
    for reconstruction in reconstructions:
        magnitude = _scene(np.asarray(reconstruction.magnitude), scene, reconstruction.method)
        facts = []
        if true is not None and true.any() and magnitude.any():
            facts += [f"PSNR {psnr(magnitude, true):.1f} dB", f"SSIM {ssim(magnitude, true):.3f}"]
        if reconstruction.seconds is not None:
            taken = np.ravel(reconstruction.seconds)
            seconds = float(taken[scene if len(taken) > 1 else 0]) if len(taken) else 0.0
            facts += [f"{_number(seconds)} s"] if seconds else []  # none: its method was still running
        if true is None and (told := explained_text(getattr(reconstruction, "parameters", {}), scene)):
            facts.append(told)
        alone = is_relative(reconstruction.method, reconstruction.scale)
        inside = getattr(reconstruction, "inside", None)
        panels.append(Panel(reconstruction.method, magnitude, ", ".join(facts), alone, inside))
    return panels


def figure(
    panels: Sequence[Panel],
    grid: VoxelGrid,
    *,
    floor_db: float = -40.0,
    cmap: str = "inferno",
    linear: bool = False,
    common_scale: bool = False,
    title: str | None = None,
    width_mm: float | None = None,
    surface_level_db: float = -10.0,
    layout: str = "rows",
) -> Figure:
    """Draw images of one grid under one colour bar.

    Each volume gets a row: the maximum projections of `mimo.viewer.projections.maximum_projections` (front, side, top)
    and the shaded surface at one level, lit from above and coloured by depth. A grid of one voxel along an axis has one
    projection and no surface: its panels are tiled. A grid of one voxel along two axes gives each panel a curve.
    Lengths are drawn to one scale, unless the grid is more than three times longer than wide: then its short sides are
    drawn longer, as the ticks show.

    Parameters
    ----------
    panels
        What to draw, top to bottom; see `panels_from`.
    grid
        The voxels of every panel, metres; the spacing may vary.
    floor_db
        Lower end of the colour bar, dB; 0 dB is the upper one. What lies below is drawn as `floor_db`.
    cmap
        Name of a matplotlib colour map.
    linear
        Show magnitude / maximum from 0 to 1 instead of dB.
    common_scale
        Relate every panel to the largest maximum of all, except relative ones (see `Panel`), which are
        marked with a star: their own maximum is 0 dB. By default every panel is related to its own maximum,
        as papers do and as PSNR and SSIM are formed.
    title
        Title of the whole figure.
    width_mm
        Width of the figure, millimetres; by default 180 (two journal columns), or what the panels need if less.
    surface_level_db
        Level of the surface, dB relative to the same maximum, below 0.
    layout
        ``rows``: one row for each panel, as above. ``columns``: one column for each panel, as papers do, with the
        surface, the front and the side below each other; columns that do not fit side by side continue below.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas, never registered with pyplot.

    Raises
    ------
    ValueError
        When there is no panel, a volume is not of the grid's shape or has a NaN or infinite voxel, `floor_db` or
        `surface_level_db` is not below 0, the figure is narrower than 75 mm (rows: 160 mm), or the layout or the colour
        map is not known.
    """
    if not panels:
        raise ValueError("panels is empty: expected at least one image to draw")
    if not (np.isfinite(floor_db) and floor_db < 0):
        raise ValueError(f"floor_db is {floor_db}: expected below 0 dB")
    if not surface_level_db < 0:
        raise ValueError(f"surface_level_db is {surface_level_db}: expected below 0 dB")
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: expected one of {', '.join(LAYOUTS)}")
    if cmap not in matplotlib.colormaps:
        raise ValueError(unknown("colour map", cmap, sorted(matplotlib.colormaps)))
    if width_mm is not None and not width_mm >= NARROWEST:
        raise ValueError(f"width_mm is {width_mm}: expected {NARROWEST:g} mm or more")
    volumes = [_checked(panel, grid) for panel in panels]
    peaks = [float(volume.max()) for volume in volumes]
    names = [panel.title for panel in panels]
    scales = references([panel.relative for panel in panels], peaks, common=common_scale)
    starred = [common_scale and panel.relative for panel in panels]
    if all(starred):
        starred = [False] * len(names)
    captions = [
        p.caption if peak else f"{p.caption}, all zero".lstrip(", ") for p, peak in zip(panels, peaks, strict=True)
    ]
    headers = [
        (f"{name}*" if star else name, caption) for name, star, caption in zip(names, starred, captions, strict=True)
    ]
    wide = [name for name, n in zip("xyz", grid.shape, strict=True) if n > 1]
    if len(wide) == 3 and layout == "rows" and width_mm is not None and width_mm < NARROWEST_ROWS:
        raise ValueError(f"width_mm is {width_mm:g}: expected {NARROWEST_ROWS:g} mm or more, or the layout columns")
    lay_out = LAYOUTS[layout]
    notes = ["* has no unit: relative to its own maximum"] if any(starred) else []
    notes += ["hatched: outside the region"] if any(panel.inside is not None for panel in panels) else []
    note = "; ".join(notes)
    if len(wide) == 3:
        page = lay_out(headers, grid, title, width_mm, note)
    else:
        page = tiles(headers, grid, wide, title, width_mm, note)

    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(page.width * MM, page.height * MM), facecolor="white")
        canvas = FigureCanvasAgg(drawing)
        norm = Normalize(0, 1) if linear else Normalize(floor_db, 0)
        edges = voxel_edges(grid)
        for cell in page.cells:
            volume, scale = volumes[cell.panel], scales[cell.panel]
            name = panels[cell.panel].title
            if cell.view is None:
                axes = drawing.add_axes(page.rect(cell), projection="3d", label=f"{name}: surface")
                box = drawn_lengths(grid)
                draw_surface(cast(Any, axes), volume, grid, level_db=surface_level_db, reference=scale, box=box)
                _finish_surface(axes, grid, cell)
                continue
            axes = drawing.add_axes(page.rect(cell), label=f"{name}: {cell.view.name}")
            image = np.ravel(volume) if cell.view.name == "profile" else maximum_projections(volume)[cell.view.name]
            values = image / scale if linear else to_db(image, scale, floor_db)
            inside = panels[cell.panel].inside
            if inside is not None:  # where no voxel of a line of sight was imaged
                kept = np.ravel(inside) if cell.view.name == "profile" else maximum_projections(inside)[cell.view.name]
                values = np.ma.masked_where(kept == 0, values)
                axes.patch.set(facecolor=OUTSIDE, edgecolor=HATCH, hatch="////", linewidth=0)
            if len(wide) == 1:
                axes.plot(getattr(grid, wide[0]), values, color="#1f4e79", linewidth=0.9)
                axes.set(xlim=edges[wide[0]][[0, -1]], ylim=(norm.vmin, norm.vmax))
                axes.margins(0)
                axes.set_ylabel(_unit(linear) if cell.show_y else "")
                _set_ticks(axes, "y", cell.height, cell.show_y)
            else:
                _draw_projection(axes, values, edges, cell, norm, cmap)
            _set_ticks(axes, "x", cell.width, cell.show_x, corner=cell.inset / cell.width)
            axes.set_xlabel(f"{cell.view.horizontal} (m)" if cell.show_x else "", labelpad=1.5)
        _write(drawing, canvas, page, surface_level_db)
        if page.bar is not None:
            bar = drawing.add_axes(page.rect(page.bar), label="colour bar")
            whose = (
                "the largest maximum"
                if common_scale and not all(p.relative for p in panels)
                else "each image's own maximum"
            )
            label = f"magnitude relative to {whose}" + ("" if linear else " (dB)")
            drawing.colorbar(ScalarMappable(norm, cmap), cax=bar, orientation="horizontal", label=label)
            bar.xaxis.labelpad = 1.5
    return drawing


def save(figure: Figure, path: str | os.PathLike[str], *, dpi: float = PNG_DPI) -> None:
    """Write a figure as PNG, SVG or PDF, as the suffix of `path` says; `dpi` is that of PNG and of rasterised parts.

    The file is written under another name and renamed, so that a reader never sees half a file, and without dates, so
    that the same figure gives the same bytes.

    Raises
    ------
    ValueError
        When the suffix is none of the three; the message lists them.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} ends in {suffix!r}: expected one of {', '.join(SUFFIXES)}")
    with (
        replacing(path) as part,
        matplotlib.rc_context({"svg.hashsalt": "mimo-imaging", "pdf.fonttype": STYLE["pdf.fonttype"]}),
    ):
        figure.savefig(part, format=suffix[1:], dpi=dpi, metadata=SUFFIXES[suffix])


# -- drawing ----------------------------------------------------------------------------------------------------------


def _draw_projection(
    axes: Axes,
    image: npt.NDArray[Any],
    edges: dict[str, npt.NDArray[np.float64]],
    cell: Cell,
    norm: Normalize,
    cmap: str,
) -> None:
    view = cast(View, cell.view)
    across, up = edges[view.horizontal], edges[view.vertical]
    draw_largest(axes, across, up, image, norm=norm, cmap=cmap, rasterized=True)
    axes.set_ylabel(f"{view.vertical} (m)" if cell.show_y else "", labelpad=1.5)
    _set_ticks(axes, "y", cell.height, cell.show_y)


def _finish_surface(axes: Any, grid: VoxelGrid, cell: Cell) -> None:
    """Set few ticks and close labels, and on a small box only the names of the axes: defaults suit large windows."""
    axes.patch.set_visible(False)  # or it would cover the names of the row above
    if not cell.show_x:
        for name in "xyz":
            _set_ticks(axes, name, 0.0, False)
            getattr(axes, f"set_{name}label")(name, labelpad=-15)
        axes.tick_params(length=0, pad=-4)
        return
    lengths = drawn_lengths(grid)
    for name, length in zip("xyz", lengths, strict=True):
        # Not up to the corners, where the labels of two axes would meet.
        room = (0.45 if name == "y" else 0.62) * min(cell.width, cell.height) * length / max(lengths)
        _set_ticks(axes, name, room, True, corner=0.1)
        longest = max((len(label.get_text()) for label in getattr(axes, f"get_{name}ticklabels")()), default=0)
        pad = -7 + 2.5 * max(0, longest - 4) if name == "y" else -7 + 2 * (name == "z")
        getattr(axes, f"set_{name}label")(f"{name} (m)", labelpad=pad)
    axes.tick_params(labelsize=6, pad=-3)


def _set_ticks(axes: Any, name: str, room: float, show: bool, corner: float = 0.0) -> None:
    """Set round ticks along axis `name`, at most 5 intervals, whose labels fit side by side into `room` mm.

    No tick falls within the share `corner` of the axis next to its ends.
    """
    low, high = getattr(axes, f"get_{name}lim")()
    low, high = low + corner * (high - low), high - corner * (high - low)
    room *= 1 - 2 * corner
    for n in (5, 4, 3, 2, 1, 0):
        values = MaxNLocator(max(n, 1), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        values = values[(values >= low) & (values <= high)]
        values = values if n else values[len(values) // 2 :][:1]
        labels = [f"{0.0 if abs(v) < 1e-9 * (high - low) else v:.7g}".replace("-", "\N{MINUS SIGN}") for v in values]
        need = LINE * 1.3 if name == "y" else max(map(_label_width, labels), default=0.0) + 0.4
        if len(values) < 2 or (values[1] - values[0]) / (high - low) * room >= need:
            break
    getattr(axes, f"set_{name}ticks")(values, labels if show else [""] * len(values))


def _label_width(label: str) -> float:
    """Return the width of a tick's label in 7 points of the default font, mm."""
    return sum({".": 0.79, "\N{MINUS SIGN}": 2.07}.get(character, 1.57) for character in label)


def _write(drawing: Figure, canvas: FigureCanvasAgg, page: Page, level_db: float) -> None:
    """Write the texts of the page; a caption is to the right of its title when both share a line."""
    renderer = canvas.get_renderer()
    options: dict[str, Any] = {"va": "top", "parse_math": False}
    for left, top, title, caption in page.texts:
        y = 1 - top / page.height
        if title:
            size = page.small.get(title, TITLE)
            written = drawing.text(left / page.width, y, title, weight="bold", fontsize=size, **options)
            left += written.get_window_extent(renderer).width / drawing.dpi / MM + 3
        if caption:
            caption = f"surface at {level_db:g} dB".replace("-", "\N{MINUS SIGN}") if caption == "surface" else caption
            drawing.text(left / page.width, y, caption, fontsize=7, **options)
    if page.title:
        drawing.text(0.5, 1 - 2 / page.height, page.title, ha="center", weight="bold", fontsize=9, **options)


def _unit(linear: bool) -> str:
    return "relative magnitude" if linear else "magnitude (dB)"


def _checked(panel: Panel, grid: VoxelGrid) -> npt.NDArray[Any]:
    volume = np.abs(np.asarray(panel.volume))
    if volume.shape != grid.shape:
        raise ValueError(
            f"panel {panel.title!r} has shape {volume.shape}, grid has shape {grid.shape}: expected the same"
        )
    if not np.isfinite(volume).all():
        n = np.count_nonzero(~np.isfinite(volume))
        raise ValueError(
            f"panel {panel.title!r} has {n} NaN or infinite of {volume.size} voxels: expected finite values"
        )
    return volume


def _scene(volumes: npt.NDArray[Any], scene: int, name: str) -> npt.NDArray[Any]:
    if volumes.ndim != 4 or not 0 <= scene < len(volumes):
        raise ValueError(
            f"{name} has shape {volumes.shape}: expected (n_scene, n_x, n_y, n_z) with scene {scene} in it"
        )
    return volumes[scene]


def _number(seconds: float) -> str:
    """Format seconds with three digits: 0.00712, 1.23, 456."""
    return f"{seconds:.0f}" if seconds >= 100 else f"{seconds:.3g}"
