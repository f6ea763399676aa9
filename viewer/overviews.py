"""Draw an overview of a measurement: array and scene, point-spread function, range profiles, magnitudes."""

from __future__ import annotations

from os import PathLike
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FixedLocator, Locator, MaxNLocator
from scipy.constants import speed_of_light

from mimo import LayeredMedium, VoxelGrid, backproject, born_operator
from mimo.data import FileError, Measurement, open_measurement
from mimo.data.calibration import box_paths, channel_values
from mimo.data.calibration.decimation import decimated
from mimo.data.calibration.range_profiles import range_axis, range_profiles
from mimo.data.calibration.scene_extent import scene_box
from mimo.display_defaults import COLOR_MAP, FLOOR_DB
from mimo.pattern import Patterns
from mimo.sampling import expected_sampling
from mimo.viewer.block_maxima import draw_largest
from mimo.viewer.figures import MM, STYLE
from mimo.viewer.projections import to_db

__all__ = ["overview", "overview_of_file", "point_spread"]

WIDTH_MM, HEIGHT_MM = 180.0, 118.0
TX_COLOUR, RX_COLOUR, BOX_COLOUR = "#1f4e79", "#d9822b", "#3a7d44"
PSF_SAMPLES, PSF_WIDTHS = 41, 3.0
PSF_FREQUENCIES, PSF_CHANNELS = 33, 1024
"""Most frequencies and channels, evenly chosen, for the point-spread function: enough for three widths either way."""

SMALLEST_BOX = 0.05
"""A scene smaller than this fraction of half a panel is drawn as a mark."""

TITLE_LENGTH, MOST_LINES = 36, 512
RANGES_A_WIDTH, FEWEST_RANGES = 4, 512
"""Samples of a range profile for each width c / 2B of an echo, whose peak they miss by 0.1 dB at most, and fewest."""

BEYOND, MOST_PERIODS = 1.25, 8
"""Range profiles reach to this multiple of the scene's far end, over at most this many unambiguous ranges."""


def overview_of_file(
    path: str | PathLike[str],
    *,
    scene: int = 0,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    cmap: str = COLOR_MAP,
) -> Figure:
    """Draw the overview of one scene of a file; FileError when the file is not sound or has no such scene."""
    with open_measurement(path) as file:
        if not 0 <= scene < file.n_scene:
            raise FileError(path, f"there is no scene {scene}: expected one of scenes 0 to {file.n_scene - 1}")
        return overview(file.measurement([scene]), pattern=pattern, layers=layers, cmap=cmap)


def overview(
    measurement: Measurement, *, pattern: Patterns = None, layers: LayeredMedium | None = None, cmap: str = COLOR_MAP
) -> Figure:
    """Draw the first scene of a measurement as stored: background, gain and removed path are not applied.

    Six panels: the array from the front (x, y) and from the side (z, y) with the scene's box; the point-spread function
    of back-projection at the scene's centre in both planes, at the array's true distances; the range profile of each
    channel; the magnitude over channel and frequency. dB are relative to each panel's own maximum.

    Parameters
    ----------
    measurement
        Measurement of one or more scenes; where it has no grid, the scene's box is a guess (see
        `mimo.data.calibration.scene_extent`), as the title says.
    pattern, layers
        The antennas' pattern and a layered medium for the point-spread function, as in `mimo.BornOperator`.
    cmap
        Name of a matplotlib colour map.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas, never registered with pyplot.
    """
    box, whence = scene_box(measurement)
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(WIDTH_MM * MM, HEIGHT_MM * MM), facecolor="white", layout="constrained")
        FigureCanvasAgg(drawing)
        rows = drawing.add_gridspec(2, 1, height_ratios=(0.9, 1.15), hspace=0.06)
        panels = [drawing.add_subplot(cell) for cell in _cells(rows[0], 4)]
        _draw_array(panels[0], measurement, box, ("x", "y"), "array and scene, front")
        _draw_array(panels[1], measurement, box, ("z", "y"), "array and scene, side")
        for panel, plane, side in ((panels[2], ("x", "y"), "front"), (panels[3], ("z", "y"), "side")):
            image, grid = point_spread(measurement, box, plane, pattern=pattern, layers=layers)
            _draw_point_spread(panel, image, grid, plane, f"point spread, {side}", cmap)
        left, right = (drawing.add_subplot(cell) for cell in _cells(rows[1], 2))
        _draw_profiles(left, measurement, box, cmap)
        image = _draw_magnitudes(right, measurement, cmap)
        bar = drawing.colorbar(image, ax=[left, right], pad=0.01, aspect=30)
        bar.set_label("magnitude relative to the panel's maximum (dB)")
        counts = ((measurement.sweep.n_freq, "frequency", "frequencies"),
                  (measurement.array.n_channel, "channel", "channels"))  # fmt: skip
        told = ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in counts)
        name = measurement.source or measurement.array.name or "measurement"
        name = name if len(name) <= TITLE_LENGTH else f"{name[: TITLE_LENGTH - 3].rstrip('., ')}..."
        drawing.suptitle(f"{name}: {told}; scene: {whence}", fontsize=7.5, weight="bold", parse_math=False)
    return drawing


def _cells(row: Any, n: int) -> list[Any]:
    """Return `n` places side by side in a row of the page."""
    inner = row.subgridspec(1, n)
    return [inner[0, i] for i in range(n)]


def _draw_array(axes: Axes, measurement: Measurement, box: VoxelGrid, plane: tuple[str, str], title: str) -> None:
    across, up = ("xyz".index(name) for name in plane)
    array = measurement.array
    marks: list[tuple[str, npt.NDArray[Any], str, str]] = [
        (f"{array.n_tx} tx", array.tx_pos, "^", TX_COLOUR),
        (f"{array.n_rx} rx", array.rx_pos, "o", RX_COLOUR),
    ]
    for label, points, marker, colour in marks:
        size = 14 if len(points) <= 64 else 4
        face = colour if marker == "^" else "none"
        axes.scatter(points[:, across], points[:, up], s=size, marker=marker, edgecolors=colour, facecolors=face,
                     linewidths=0.7, label=label)  # fmt: skip
    low, high = ([axis[i] for axis in (box.x, box.y, box.z)] for i in (0, -1))
    corner, wide, tall = (low[across], low[up]), high[across] - low[across], high[up] - low[up]
    everything = np.concatenate([array.tx_pos, array.rx_pos, [low], [high]])[:, (across, up)]
    centre = (everything.max(axis=0) + everything.min(axis=0)) / 2
    half = 0.56 * max(float(np.ptp(everything, axis=0).max()), 1e-3)
    axes.set(xlim=centre[0] + np.array([-half, half]), ylim=centre[1] + np.array([-half, half]))
    if max(wide, tall) > SMALLEST_BOX * half:
        axes.add_patch(Rectangle(corner, wide, tall, fill=False, color=BOX_COLOUR, linewidth=0.9, label="scene"))
    else:  # too small to be seen from where the antennas are
        axes.scatter(corner[0] + wide / 2, corner[1] + tall / 2, s=30, marker="s", facecolors="none",
                     edgecolors=BOX_COLOUR, linewidths=0.9, label="scene")  # fmt: skip
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.27), ncols=3, fontsize=6, frameon=False,
                handletextpad=0.2, columnspacing=0.8, borderpad=0)  # fmt: skip
    _finish(axes, plane, title)


def _draw_point_spread(
    axes: Axes, image: npt.NDArray[np.float32], grid: VoxelGrid, plane: tuple[str, str], title: str, cmap: str
) -> None:
    offsets = [getattr(grid, name) - grid.center["xyz".index(name)] for name in plane]
    unit, factor = ("mm", 1e3) if max(offset[-1] for offset in offsets) < 0.5 else ("m", 1.0)
    across, up = (factor * offset for offset in offsets)
    axes.imshow(to_db(image, floor=FLOOR_DB), extent=(across[0], across[-1], up[0], up[-1]), origin="lower",
                aspect="auto", cmap=cmap, vmin=FLOOR_DB, vmax=0, interpolation="nearest")  # fmt: skip
    _finish(axes, plane, title, unit=f"{unit} from the centre", square=False)


def point_spread(
    measurement: Measurement,
    box: VoxelGrid,
    plane: tuple[str, str],
    *,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
) -> tuple[npt.NDArray[np.float32], VoxelGrid]:
    """Compute the image of a point at the centre of a box by back-projection, in a plane through the point.

    Parameters
    ----------
    measurement
        Measurement whose array, sweep and permittivity are used.
    box
        Voxels of the scene.
    plane
        Axes drawn to the right and upwards, such as ``("z", "y")``.
    pattern, layers
        As in `overview`.

    Returns
    -------
    image, grid
        Magnitude, float32, with rows along the second axis of the plane, and its grid, which has one voxel along the
        third axis. It extends three -3 dB widths to either side, or over the box along an axis without resolution.
    """
    measurement = decimated(measurement, n_freq=PSF_FREQUENCIES, n_channel=PSF_CHANNELS)
    array, sweep = measurement.array, measurement.sweep
    permittivity = measurement.permittivity if layers is None else 1.0
    widths = expected_sampling(array, sweep, box, permittivity=permittivity).resolution
    extents = [axis[-1] - axis[0] for axis in (box.x, box.y, box.z)]
    reach = [PSF_WIDTHS * w if np.isfinite(w) else (e / 2 or 1.0) for w, e in zip(widths, extents, strict=True)]
    axes = {
        name: centre + (np.linspace(-half, half, PSF_SAMPLES) if name in plane else np.zeros(1))
        for name, centre, half in zip("xyz", box.center, reach, strict=True)
    }
    grid = VoxelGrid(**axes)
    point = VoxelGrid(*(np.array([value]) for value in box.center))
    seen, drawn = (
        born_operator(array, sweep, each, permittivity=permittivity, pattern=pattern, layers=layers)
        for each in (point, grid)
    )
    image = backproject(seen.forward(torch.ones(1, 1, 1)), drawn).abs().numpy().squeeze()
    return (image.T if plane[0] < plane[1] else image), grid


def _draw_profiles(axes: Axes, measurement: Measurement, box: VoxelGrid, cmap: str) -> None:
    axes.set_title("range profile of each channel", fontsize=7, loc="left")
    if measurement.sweep.n_freq < 2:
        axes.text(0.5, 0.5, "one frequency: no range", ha="center", va="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return
    limits: tuple[float, float] = tuple(range_axis(measurement, n=2))
    path = measurement.reference_path
    near, far = (paths / 2 for paths in box_paths(measurement.array, box))
    if path is None:
        period = limits[1]
        limit = min(BEYOND * float(far.max()), MOST_PERIODS * period)
        if measurement.grid is None:  # the box is a guess: an echo may lie beyond, and what is shown is relative to it
            limit = max(limit, period)
        limits = (0.0, limit)
        repeats = f", repeats every {period:.3g} m" if limit > period else ""
        axes.set_title(f"range profile of each channel{repeats}", fontsize=7, loc="left")
    else:
        removed = measurement.array.list_channels(path)
        near, far = near - removed / 2, far - removed / 2
    profiles = to_db(_profiles(measurement, limits), floor=FLOOR_DB)
    edges = np.linspace(*limits, profiles.shape[1] + 1)
    _draw_decibels(axes, edges, profiles, cmap)
    if len(near) > MOST_LINES:  # lines that jump from channel to channel would cover the picture
        near, far = np.full_like(near, near.min()), np.full_like(far, far.max())
    for edge in (near, far):
        stroke = [Stroke(linewidth=1.4, foreground="black"), Normal()]
        ends = np.concatenate([edge[:1], edge, edge[-1:]])  # over the whole of the first and the last row
        rows = np.concatenate([[-0.5], np.arange(len(edge)), [len(edge) - 0.5]])
        axes.plot(ends, rows, color="white", linewidth=0.6, path_effects=stroke)
    axes.set_xlim(*limits)
    axes.set_xlabel("half the path (m)" if path is None else "half the path beyond the removed one (m)")
    axes.set_ylabel("channel, tx by tx")
    axes.yaxis.set_major_locator(_whole_numbers(len(profiles)))


def _profiles(measurement: Measurement, limits: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Return magnitudes of range profiles, so many ranges between the limits that no echo falls between two."""
    width = speed_of_light / (2 * np.sqrt(measurement.permittivity) * measurement.sweep.bandwidth)
    n = max(FEWEST_RANGES, int(np.ceil(RANGES_A_WIDTH * (limits[1] - limits[0]) / width)) + 1)
    step = (limits[1] - limits[0]) / n
    ranges = limits[0] + step * (np.arange(n) + 0.5)
    parts = np.array_split(ranges, -(-n // FEWEST_RANGES))  # a part at a time takes little memory
    return np.concatenate([np.abs(range_profiles(measurement, part)).astype(np.float32) for part in parts], axis=1)


def _draw_decibels(axes: Axes, across: npt.NDArray[Any], values: npt.NDArray[Any], cmap: str) -> Any:
    """Draw decibels with a row for each channel, the first at the top, so that no single sample is lost."""
    rows = np.arange(len(values) + 1) - 0.5
    mesh = draw_largest(axes, across, rows, values, cmap=cmap, norm=Normalize(FLOOR_DB, 0), rasterized=True)
    axes.set_ylim(len(values) - 0.5, -0.5)
    return mesh


def _draw_magnitudes(axes: Axes, measurement: Measurement, cmap: str) -> Any:
    freq = measurement.sweep.freq / 1e9
    magnitude = np.abs(channel_values(measurement)[0]).T
    lone = freq[0] * np.array([0.999, 1.001])
    edges = lone if len(freq) == 1 else np.concatenate([freq[:1], (freq[1:] + freq[:-1]) / 2, freq[-1:]])
    image = _draw_decibels(axes, edges, to_db(magnitude, floor=FLOOR_DB), cmap)
    axes.set_title("magnitude over channel and frequency", fontsize=7, loc="left")
    axes.set_xlabel("frequency (GHz)")
    axes.yaxis.set_major_locator(_whole_numbers(len(magnitude)))
    return image


def _whole_numbers(n: int) -> Locator:
    """Return whole-numbered ticks for n rows; matplotlib's own include halves where there are fewer than three."""
    return FixedLocator(range(n)) if n < 3 else MaxNLocator(6, integer=True)


def _finish(axes: Axes, plane: tuple[str, str], title: str, *, unit: str = "m", square: bool = True) -> None:
    axes.set_title(title, fontsize=7, loc="left")
    axes.set_xlabel(f"{plane[0]} ({unit})", labelpad=1.5)
    axes.set_ylabel(f"{plane[1]} ({unit})", labelpad=1.5)
    if square:
        axes.set_aspect("equal")
    else:
        axes.set_box_aspect(1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4))
