"""Draw the frames of a film that turns several images side by side; `mimo.viewer.movie` writes it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mimo import VoxelGrid
from mimo.display_defaults import COLOR_MAP, FLOOR_DB, SURFACE_DB
from mimo.viewer.projections import to_db, voxel_edges
from mimo.viewer.raycast import Camera, Raycaster, orbit
from mimo.viewer.reference import references
from mimo.viewer.style import STYLE

__all__ = ["turntable"]

RENDERINGS = ("maximum", "surface")
DPI = 100
TEXT_PX = 18  # height of a line of text
FOOT_PX = 58  # colour bar or note below
MARGIN_PX = 6
FINENESS = 2.0  # pixels that a voxel is worth
CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(CORNERS[a] - CORNERS[b]).sum() == 1]


def turntable(
    volumes: Mapping[str, npt.ArrayLike],
    grid: VoxelGrid,
    *,
    rendering: str = "maximum",
    linear: bool = False,
    floor_db: float = FLOOR_DB,
    level_db: float = SURFACE_DB,
    common_scale: bool = False,
    relative: Collection[str] = (),
    inside: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    cmap: str = COLOR_MAP,
    n_frame: int = 48,
    elevation: float = 20.0,
    size: int = 320,
) -> Iterator[npt.NDArray[np.uint8]]:
    """Draw the frames of one turn about the y axis, from the front (x to the right, y up) towards the +x side.

    Parameters
    ----------
    volumes
        Magnitudes ``(n_x, n_y, n_z)`` by name; each gets a panel.
    grid
        The voxels of every volume, metres; drawn in true proportions.
    rendering
        ``maximum``: the largest magnitude along each ray; ``surface``: the shaded surface at `level_db`, brighter
        where z is larger.
    linear, floor_db, common_scale, cmap
        As in `mimo.viewer.figures.figure`; of these only the common scale affects a surface.
    relative
        Names of images whose numbers are known up to a factor only: a common scale relates them to their own maximum.
    inside
        Which voxels were imaged, bool ``(n_x, n_y, n_z)``, of the images of a part of the grid, by name: a maximum is
        empty where a ray meets no other.
    level_db
        Level of the surface, dB relative to the same maximum, below 0.
    n_frame
        Number of frames of the whole turn, 2 or more.
    elevation
        Angle by which the camera looks down, degrees, -90 to 90.
    size
        Width of a panel in pixels, 96 or more.

    Yields
    ------
    numpy.ndarray
        Frame, uint8 ``(height, width, 3)``, of even height and width, the same for all frames.

    Raises
    ------
    ValueError
        When an option is out of range, there is no volume, or one is not of the grid's shape or not finite.
    """
    if rendering not in RENDERINGS:
        raise ValueError(f"rendering is {rendering!r}: expected one of {', '.join(RENDERINGS)}")
    if not volumes:
        raise ValueError("volumes is empty: expected at least one")
    for name, value, lowest, highest in (
        ("n_frame", n_frame, 2, 3600),
        ("elevation", elevation, -90, 90),
        ("size", size, 96, 2048),
    ):
        if not lowest <= value <= highest:
            raise ValueError(f"{name} is {value}: expected {lowest} to {highest}")
    for name, value in (("floor_db", floor_db), ("level_db", level_db)):
        if not (math.isfinite(value) and value < 0):
            raise ValueError(f"{name} is {value}: expected below 0 dB")
    magnitudes = {name: np.abs(np.asarray(volume)) for name, volume in volumes.items()}
    peaks = {name: float(volume.max()) for name, volume in magnitudes.items()}
    zeros = references([name in relative for name in peaks], list(peaks.values()), common=common_scale)
    scales = dict(zip(peaks, zeros, strict=True))
    whose = "the largest maximum" if common_scale and not set(peaks) <= set(relative) else "each maximum"
    casters = {}
    for name, volume in magnitudes.items():
        if not np.isfinite(volume).all():
            raise ValueError(f"image {name!r} has NaN or infinite values: expected finite ones")
        decibels = rendering == "maximum" and not linear
        values = to_db(volume, scales[name], floor_db) if decibels else volume / scales[name]
        casters[name] = Raycaster(values, grid, (inside or {}).get(name))
    return _frames(casters, grid, rendering, linear, floor_db, level_db, whose, cmap, n_frame, elevation, size)


def _frames(
    casters: Mapping[str, Raycaster],
    grid: VoxelGrid,
    rendering: str,
    linear: bool,
    floor_db: float,
    level_db: float,
    whose: str,
    cmap: str,
    n_frame: int,
    elevation: float,
    size: int,
) -> Iterator[npt.NDArray[np.uint8]]:
    camera = orbit(grid, 0.0, elevation)
    tall = max(16, round(min(size * camera.half_height / camera.half_width, 2.0 * size)))
    wide = max(16, round(tall * camera.half_width / camera.half_height))
    # A small picture shows all details of a grid of few voxels; it is enlarged smoothly.
    share = min(1.0, FINENESS * max(caster.n_across for caster in casters.values()) / max(tall, wide))
    shape = max(16, round(tall * share)), max(16, round(wide * share))
    surface = rendering == "surface"
    norm = Normalize(0, 1) if linear else Normalize(floor_db, 0)
    with matplotlib.rc_context(STYLE | {"font.size": 9.0}):
        sheet = _Sheet(list(casters), grid, (tall, wide), size)
        if surface:
            sheet.note(f"surfaces {-level_db:g} dB below {whose}, brighter where z is larger")
        else:
            unit = "" if linear else " (dB)"
            sheet.bar(ScalarMappable(norm, cmap), f"largest magnitude along the ray, relative to {whose}{unit}")
        colors = matplotlib.colormaps[cmap]
        for i in range(n_frame):
            camera = orbit(grid, 360.0 * i / n_frame, elevation)
            for name, caster in casters.items():
                if surface:
                    picture = caster.surface(camera, shape, 10 ** (level_db / 20))
                else:
                    values = caster.maximum(camera, shape)
                    picture = colors(norm(np.nan_to_num(values))).astype(np.float32)
                    picture[~np.isfinite(values)] = 0
                sheet.show(name, picture, camera)
            yield sheet.pixels()


class _Sheet:
    """Draws frames with one panel for each name, in rows; what does not move is laid out once."""

    def __init__(self, names: list[str], grid: VoxelGrid, shape: tuple[int, int], size: int) -> None:
        columns = len(names) if len(names) <= 4 else -(-len(names) // 2)
        rows = -(-len(names) // columns)
        tall, wide = shape
        cell_width, cell_height = max(size, wide) + 2 * MARGIN_PX, tall + TEXT_PX + 2 * MARGIN_PX
        self.width = max(columns * cell_width, 340)
        self.height = rows * cell_height + FOOT_PX
        self.width, self.height = self.width + self.width % 2, self.height + self.height % 2
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        self.canvas = FigureCanvasAgg(self.figure)
        edges = voxel_edges(grid)
        ends = np.array([[edges[name][0], edges[name][-1]] for name in "xyz"])
        self.corners = np.stack([ends[i][CORNERS[:, i]] for i in range(3)], axis=1)
        lengths = " \N{MULTIPLICATION SIGN} ".join(f"{high - low:.3g}" for low, high in ends)
        self._text(self.width - MARGIN_PX, self.height - 3, f"box {lengths} m", ha="right", va="bottom", fontsize=7)
        self.panels: dict[str, tuple[Any, list[Any], list[Any]]] = {}
        for i, name in enumerate(names):
            row, column = divmod(i, columns)
            left = (self.width - columns * cell_width) // 2 + column * cell_width + (cell_width - wide) // 2
            top = row * cell_height + TEXT_PX + MARGIN_PX
            self._text(left + wide / 2, top - 3, name, ha="center", va="bottom", weight="bold")
            rect = (left / self.width, 1 - (top + tall) / self.height, wide / self.width, tall / self.height)
            axes = self.figure.add_axes(rect, label=name)
            axes.set_axis_off()
            image = axes.imshow(np.zeros((2, 2, 4)), extent=(-1, 1, -1, 1), aspect="auto", interpolation="bilinear")
            lines = [axes.plot([0, 0], [0, 0], color="0.55", linewidth=0.6)[0] for _ in EDGES]
            axes.set(xlim=(-1, 1), ylim=(-1, 1))
            words = [
                axes.text(0, 0, a, color="0.2", fontsize=8, ha="center", va="center", clip_on=False) for a in "xyz"
            ]
            for word in words:
                word.set_bbox({"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5})
            self.panels[name] = image, lines, words

    def _text(self, left: float, top: float, text: str, **options: Any) -> None:
        self.figure.text(left / self.width, 1 - top / self.height, text, parse_math=False, **options)

    def note(self, text: str) -> None:
        """Write a line below the panels."""
        self._text(self.width / 2, self.height - FOOT_PX + 8, text, ha="center", va="top", fontsize=8)

    def bar(self, mappable: ScalarMappable, label: str) -> None:
        """Draw the colour bar below the panels."""
        width = min(self.width - 40, 320)
        rect = (
            (self.width - width) / 2 / self.width,
            (FOOT_PX - 14) / self.height,
            width / self.width,
            8 / self.height,
        )
        axes = self.figure.add_axes(rect, label="colour bar")
        bar = self.figure.colorbar(mappable, cax=axes, orientation="horizontal")
        bar.ax.tick_params(labelsize=7, length=2, pad=1)
        self._text((self.width - width) / 2, self.height - 16, label, ha="left", va="bottom", fontsize=7)

    def show(self, name: str, picture: npt.NDArray[Any], camera: Camera) -> None:
        """Put a picture into a panel and turn its box."""
        image, lines, words = self.panels[name]
        image.set_data(picture)
        at = camera.project(self.corners)
        depth = self.corners @ camera.axes()[2]
        behind = int(depth.argmin())
        for (a, b), line in zip(EDGES, lines, strict=True):
            line.set_data(at[[a, b], 0], at[[a, b], 1])
            line.set_alpha(0.35 if behind in (a, b) else 0.9)
        middle = self.corners.mean(axis=0)
        for axis, word in enumerate(words):
            # The name of an axis is at the lowest edge along it, that of y at the leftmost one.
            outer = [e for e in EDGES if CORNERS[e[0]][axis] != CORNERS[e[1]][axis] and behind not in e]
            first, second = (0, 1) if axis == 1 else (1, 0)
            sums = {e: at[e[0]] + at[e[1]] for e in outer}
            a, b = min(outer, key=lambda e: (round(sums[e][first], 6), sums[e][second]))
            place = at[[a, b]].mean(axis=0)
            away = place - camera.project(middle)
            word.set_position(place - 0.04 * away / max(float(np.linalg.norm(away)), 1e-9))

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Draw the page."""
        self.canvas.draw()
        return np.asarray(self.canvas.buffer_rgba())[..., :3].copy()
