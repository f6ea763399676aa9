"""Draw contact sheets: many volumes small on one sheet, to show a dataset or a collection of targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mimo import VoxelGrid
from mimo.display_defaults import COLOR_MAP, FLOOR_DB, SURFACE_DB
from mimo.viewer.block_maxima import draw_largest
from mimo.viewer.figures import save
from mimo.viewer.projections import VIEWS, maximum_projections, to_db, voxel_edges
from mimo.viewer.style import MM
from mimo.viewer.surface import draw_surface

__all__ = ["contact_sheet", "draw_samples"]


def contact_sheet(
    volumes: npt.ArrayLike | Sequence[npt.ArrayLike],
    grid: VoxelGrid,
    titles: Sequence[str] | None = None,
    columns: int = 4,
    *,
    level_db: float = SURFACE_DB,
    width_mm: float = 180.0,
) -> Figure:
    """Draw many volumes of one grid, each as a small shaded surface in a box without ticks.

    All boxes are the grid, seen as in `mimo.viewer.surface.draw_surface`; the line below the sheet says how large it
    is. On a grid of one voxel along an axis each volume is drawn as its one projection, in dB from -40 to 0.

    Parameters
    ----------
    volumes
        ``(n_volume, n_x, n_y, n_z)`` or a list of ``(n_x, n_y, n_z)``, complex or real, in any scale.
    grid
        The voxels of every volume, metres.
    titles
        One for each volume, or ``None`` for no titles.
    columns
        Number of pictures in a row.
    level_db
        Level of the surfaces, dB relative to each volume's own maximum, below 0.
    width_mm
        Width of the sheet, millimetres.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas, never registered with pyplot; write it with `mimo.viewer.figures.save`.

    Raises
    ------
    ValueError
        When there is no volume, one has another shape than the grid or is not finite, the titles are not as many as
        the volumes, or `columns` is below 1.
    """
    stack = [np.abs(np.asarray(volume)) for volume in cast(Sequence[npt.ArrayLike], volumes)]
    if not stack:
        raise ValueError("volumes is empty: expected at least one")
    if titles is not None and len(titles) != len(stack):
        raise ValueError(f"titles has {len(titles)} entries, volumes has {len(stack)}: expected one a volume")
    if columns < 1:
        raise ValueError(f"columns is {columns}: expected 1 or more")
    for i, volume in enumerate(stack):
        if volume.shape != grid.shape:
            raise ValueError(f"volumes[{i}] has shape {volume.shape}, grid has shape {grid.shape}: expected the same")

    columns = min(columns, len(stack))
    n_row = -(-len(stack) // columns)
    cell, title_height, foot = width_mm / columns, 4.5 if titles is not None else 0.0, 5.0
    height = n_row * (cell + title_height) + foot
    sheet = Figure(figsize=(width_mm * MM, height * MM), facecolor="white")
    FigureCanvasAgg(sheet)
    flat = 1 in grid.shape
    edges = voxel_edges(grid)
    lengths = {name: float(edge[-1] - edge[0]) for name, edge in edges.items()}
    for i, volume in enumerate(stack):
        row, column = divmod(i, columns)
        top = row * (cell + title_height)
        margin = 0.04 * cell if flat else 0.0
        rect = (
            (column * cell + margin) / width_mm,
            1 - (top + title_height + cell - margin) / height,
            (cell - 2 * margin) / width_mm,
            (cell - 2 * margin) / height,
        )
        name = titles[i] if titles is not None else ""
        with matplotlib.rc_context({"axes.linewidth": 0.4, "grid.linewidth": 0.2}):
            if flat:
                wide = {axis for axis, n in zip("xyz", grid.shape, strict=True) if n > 1}
                view = next((v for v in VIEWS if wide <= {v.horizontal, v.vertical}), VIEWS[0])
                axes: Any = sheet.add_axes(rect, label=name)
                across, up = edges[view.horizontal], edges[view.vertical]
                image = to_db(maximum_projections(volume)[view.name])
                draw_largest(axes, across, up, image, norm=Normalize(FLOOR_DB, 0), cmap=COLOR_MAP, rasterized=True)
                axes.set_aspect("equal" if max(lengths.values()) < 5 * min(lengths[a] for a in wide) else "auto")
                axes.set(xticks=[], yticks=[])
            else:
                axes = sheet.add_axes(rect, projection="3d", label=name)
                draw_surface(axes, volume, grid, level_db=level_db, zoom=1.1)
                axes.set(xticklabels=[], yticklabels=[], zticklabels=[])
                axes.tick_params(length=0)
        if titles is not None:
            x = (column + 0.5) * cell / width_mm
            sheet.text(x, 1 - (top + 1.2) / height, name, ha="center", va="top", fontsize=8, parse_math=False)
    size = " x ".join(f"{float(getattr(grid, a)[-1] - getattr(grid, a)[0]):.3g}" for a in "xyz")
    level = "" if flat else f"; surfaces {-level_db:g} dB below each maximum, brighter where z is larger"
    note = f"each box: {size} m along x, y, z{level}".replace(" x ", " \N{MULTIPLICATION SIGN} ")
    sheet.text(0.5, 1.2 / height, note, ha="center", va="bottom", fontsize=7, parse_math=False)
    return sheet


def draw_samples(grid: VoxelGrid, volumes: Mapping[str, npt.ArrayLike], path: Path) -> None:
    """Write a contact sheet with a row of volumes ``(n, n_x, n_y, n_z)`` for each name, as training does."""
    rows = [(name, np.asarray(volume)) for name, row in volumes.items() for volume in cast(Sequence[Any], row)]
    shown = [volume if volume.any() else volume + 1e-9 for _, volume in rows]
    columns = len(cast(Sequence[Any], next(iter(volumes.values()))))
    save(contact_sheet(shown, grid, [name for name, _ in rows], columns=columns), path)
