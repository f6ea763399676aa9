"""Draw several reconstructions side by side, without a window: projections in dB and a surface in 3D."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mimo import VoxelGrid
from mimo.display_defaults import COLOR_MAP, FLOOR_DB, SURFACE_DB, seconds_text
from mimo.options import unknown
from mimo.output_file import replacing
from mimo.recon.metrics import psnr, ssim
from mimo.recon.verdicts import explained_text
from mimo.viewer.layouts import LAYOUTS, NARROWEST_ROWS, Content, lay_out
from mimo.viewer.page import NARROWEST, Header
from mimo.viewer.pictures import (
    draw_bars,
    draw_curve,
    draw_outline,
    draw_projection,
    draw_scale_bar,
    draw_surface_picture,
    is_outlined,
    write_texts,
)
from mimo.viewer.projections import VIEWS, maximum_projections, to_db
from mimo.viewer.reference import is_relative, references
from mimo.viewer.style import MM, STYLE

__all__ = ["Imaged", "Panel", "figure", "panels_from", "save"]

SUFFIXES = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
PNG_DPI = 200
OUTSIDE, HATCH = "#d9d9d9", "#b0b0b0"
"""Colours of what lies outside a region: lighter than any colour of a dark map's lower end."""


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
    truth
        Whether it is the truth, whose outline is drawn on the others.
    """

    title: str
    volume: npt.NDArray[Any]
    caption: str = ""
    relative: bool = False
    inside: npt.NDArray[np.bool_] | None = None
    truth: bool = False


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
        panels.append(Panel("truth", true, truth=True))
    for reconstruction in reconstructions:
        magnitude = _scene(np.asarray(reconstruction.magnitude), scene, reconstruction.method)
        facts = []
        if true is not None and true.any() and magnitude.any():
            facts += [f"PSNR {psnr(magnitude, true):.1f} dB", f"SSIM {ssim(magnitude, true):.3f}"]
        if reconstruction.seconds is not None:
            taken = np.ravel(reconstruction.seconds)
            seconds = float(taken[scene if len(taken) > 1 else 0]) if len(taken) else 0.0
            facts += [seconds_text(seconds)] if seconds else []  # none: its method was still running
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
    floor_db: float = FLOOR_DB,
    cmap: str = COLOR_MAP,
    linear: bool = False,
    common_scale: bool = False,
    title: str | None = None,
    width_mm: float | None = None,
    surface_level_db: float = SURFACE_DB,
    layout: str = "auto",
    at: tuple[float, float, float] | None = None,
    look: tuple[float, float] | None = None,
    outline: bool = True,
    letters: bool = True,
) -> Figure:
    """Draw images of one grid under one colour bar.

    Each volume has maximum projections (`mimo.viewer.projections.maximum_projections`: front, side, top) and the shaded
    surface at one level, lit from above and coloured by depth. A grid of one voxel along an axis has one projection and
    no surface. A grid of one voxel along two axes gives each panel a curve. Lengths are drawn to one scale, as the bar
    in the first picture says, unless the grid is more than three times longer than wide: then its short sides are drawn
    longer, as the ticks show. No figure is higher than 240 mm.

    Parameters
    ----------
    panels
        What to draw, in this order; see `panels_from`.
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
        ``rows``: one row for each panel, with all four pictures. ``columns``: one column for each panel, as papers do,
        with the surface, the front and the side below each other; columns that do not fit side by side continue below.
        ``tiles``: the front of each panel alone. ``auto``: the first of rows, columns, columns without the side, and
        tiles whose pictures are 20 mm or larger.
    at
        Show slices through the voxel nearest to this point (x, y, z, metres) instead of maximum projections.
    look
        Azimuth and elevation from which surfaces are seen, degrees: 0, 0 is the front, with x to the right and y up.
    outline
        Draw the outline of the truth, at the surface's level, on the flat pictures of the other panels.
    letters
        Give each of several panels a letter.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas, never registered with pyplot.

    Raises
    ------
    ValueError
        When there is no panel, a volume is not of the grid's shape or has a NaN or infinite voxel, `floor_db` or
        `surface_level_db` is not below 0, the figure is narrower than 75 mm (rows: 160 mm), the panels do not fit on a
        page, or the layout or the colour map is not known.
    """
    _check_options(panels, floor_db, surface_level_db, layout, cmap, width_mm)
    volumes = [_checked(panel, grid) for panel in panels]
    peaks = [float(volume.max()) for volume in volumes]
    scales = references([panel.relative for panel in panels], peaks, common=common_scale)
    wide = [name for name, n in zip("xyz", grid.shape, strict=True) if n > 1]
    if len(wide) == 3 and layout == "rows" and width_mm is not None and width_mm < NARROWEST_ROWS:
        raise ValueError(f"width_mm is {width_mm:g}: expected {NARROWEST_ROWS:g} mm or more, or the layout columns")
    truth = next((i for i, panel in enumerate(panels) if panel.truth), None) if outline and len(wide) > 1 else None
    flat = [_flattened(volume, grid, at) for volume in volumes]
    level = 0.0 if truth is None else peaks[truth] * 10 ** (surface_level_db / 20)
    shown = truth is not None and peaks[truth] > 0
    outlined = [name for name in ("front", "side", "top") if shown and is_outlined(flat[truth or 0][name], level)]
    content = _content(
        panels, peaks, grid, common_scale, surface_level_db, at, letters, bool(outlined) and len(panels) > 1
    )
    page = lay_out(layout, content, title, width_mm)

    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(page.width * MM, page.height * MM), facecolor="white")
        FigureCanvasAgg(drawing)
        norm = Normalize(0, 1) if linear else Normalize(floor_db, 0)
        measured = False
        for cell in page.cells:
            i, name = cell.panel, panels[cell.panel].title
            if cell.view is None:
                axes = drawing.add_axes(page.rect(cell), projection="3d", label=f"{name}: surface")
                draw_surface_picture(
                    axes, volumes[i], grid, cell, level_db=surface_level_db, reference=scales[i], look=look
                )
                continue
            axes = drawing.add_axes(page.rect(cell), label=f"{name}: {cell.view.name}")
            image = flat[i][cell.view.name]
            values = image / scales[i] if linear else to_db(image, scales[i], floor_db)
            inside = panels[i].inside
            if inside is not None:  # where no voxel of a line of sight was imaged
                values = np.ma.masked_where(_flattened(inside, grid, at)[cell.view.name] == 0, values)
                axes.patch.set(facecolor=OUTSIDE, edgecolor=HATCH, hatch="////", linewidth=0)
            if cell.view.name == "profile":
                draw_curve(axes, values, grid, cell, norm, _unit(linear))
                continue
            draw_projection(axes, values, grid, cell, norm, cmap)
            if truth is not None and i != truth and cell.view.name in outlined:
                draw_outline(axes, flat[truth][cell.view.name], grid, cell.view, level)
            if cell.to_scale and not measured:
                draw_scale_bar(axes, cell.width, cell.height)
                measured = True
        write_texts(drawing, page)
        own = not common_scale or all(panel.relative for panel in panels)
        whose = "each image's own maximum" if own else "the largest maximum"
        label = f"magnitude relative to {whose}" + ("" if linear else " (dB)")
        draw_bars(drawing, page, grid, norm, cmap, label)
    return drawing


def _content(
    panels: Sequence[Panel],
    peaks: Sequence[float],
    grid: VoxelGrid,
    common_scale: bool,
    surface_level_db: float,
    at: tuple[float, float, float] | None,
    letters: bool,
    outlined: bool,
) -> Content:
    """Return the texts of a page."""
    starred = [common_scale and panel.relative for panel in panels]
    starred = [False] * len(panels) if all(starred) else starred
    captions = [
        p.caption if peak else f"{p.caption}, all zero".lstrip(", ") for p, peak in zip(panels, peaks, strict=True)
    ]
    names = [f"{panel.title}*" if star else panel.title for panel, star in zip(panels, starred, strict=True)]
    headers = Header.all_of(list(zip(names, captions, strict=True)))
    level = f"{surface_level_db:g} dB".replace("-", "\N{MINUS SIGN}")
    notes = ["* has no unit: relative to its own maximum"] if any(starred) else []
    notes += ["hatched: outside the region"] if any(panel.inside is not None for panel in panels) else []
    notes += [f"outline: truth at {level}"] if outlined else []
    along = {view.name: f"max over {view.along}" for view in VIEWS}
    if at is not None:
        place = {name: getattr(grid, name)[_nearest(grid, at)[i]] for i, name in enumerate("xyz")}
        along = {view.name: f"{view.along} {place[view.along]:.4g} m".replace("-", "\N{MINUS SIGN}") for view in VIEWS}
    headers = headers if letters else [header._replace(letter="") for header in headers]
    return Content(headers, grid, f"surface at {level}", notes, along)


def _nearest(grid: VoxelGrid, at: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return the index of the voxel nearest to a point."""
    i, j, k = (int(np.abs(getattr(grid, name) - place).argmin()) for name, place in zip("xyz", at, strict=True))
    return i, j, k


def _flattened(
    volume: npt.NDArray[Any], grid: VoxelGrid, at: tuple[float, float, float] | None
) -> dict[str, npt.NDArray[Any]]:
    """Return the flat pictures of a volume by view: maxima, or slices through a point; and all of it in a row."""
    alone: dict[str, npt.NDArray[Any]] = {"profile": np.ravel(volume)}
    if at is None:
        return alone | dict(maximum_projections(volume))
    i, j, k = _nearest(grid, at)
    return alone | {"front": volume[:, :, k].T, "side": volume[i], "top": volume[:, j].T}


def _check_options(
    panels: Sequence[Panel], floor_db: float, level_db: float, layout: str, cmap: str, width_mm: float | None
) -> None:
    if not panels:
        raise ValueError("panels is empty: expected at least one image to draw")
    if not (np.isfinite(floor_db) and floor_db < 0):
        raise ValueError(f"floor_db is {floor_db}: expected below 0 dB")
    if not level_db < 0:
        raise ValueError(f"surface_level_db is {level_db}: expected below 0 dB")
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: expected one of {', '.join(LAYOUTS)}")
    if cmap not in matplotlib.colormaps:
        raise ValueError(unknown("colour map", cmap, sorted(matplotlib.colormaps)))
    if width_mm is not None and not width_mm >= NARROWEST:
        raise ValueError(f"width_mm is {width_mm}: expected {NARROWEST:g} mm or more")


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
    settings: Any = {"svg.hashsalt": "mimo-imaging", "pdf.fonttype": STYLE["pdf.fonttype"]}
    with replacing(path) as part, matplotlib.rc_context(settings):
        figure.savefig(part, format=suffix[1:], dpi=dpi, metadata=SUFFIXES[suffix])


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
