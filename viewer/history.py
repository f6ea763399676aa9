"""What an iterative method recorded, drawn against iterations and seconds: residual, change, prior, PSNR."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mimo.viewer.style import MM, STYLE

QUANTITIES = {
    "residual": ("residual", True),
    "relative_change": ("relative change", True),
    "prior": ("prior", True),
    "psnr": ("PSNR (dB)", False),
    "sigma": ("denoiser strength", True),
}
"""Key of a history entry: label and whether its axis is logarithmic, in the order in which they are drawn."""

MARKERS = "osD^vP"


@dataclass(frozen=True)
class Curve:
    """One quantity of one method.

    Attributes
    ----------
    method, quantity
        Names; the quantity is the key of the history's entries.
    iteration, seconds, value
        float64 ``(n,)`` each: iterations counted from 1, seconds since the start (NaN: not recorded), finite values.
    """

    method: str
    quantity: str
    iteration: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]


def curves_from(method: str, history: Any, scene: int = 0, n_scene: int = 1) -> list[Curve]:
    """Curves of one scene from what a reconstruction recorded.

    Parameters
    ----------
    method
        Name of the curves.
    history
        ``mimo.data.Reconstruction.history``: a list of dicts, one an iteration, of numbers or of one number a scene
        (``None`` after a scene has stopped); for several batches of scenes a list of such lists; or ``None``. What is
        neither is passed over: a file may hold any JSON there.
    scene
        Which scene, from 0.
    n_scene
        Scenes in the file; batches are cut from them in order.

    Returns
    -------
    list of Curve
        In the order of `QUANTITIES`, then any other numbers that were recorded; empty when there is nothing to draw.
    """
    entries, at, count = _entries(history, scene, n_scene)
    names = dict.fromkeys(str(key) for entry in entries for key in entry if key != "seconds")
    curves = []
    for name in [*(q for q in QUANTITIES if q in names), *(n for n in names if n not in QUANTITIES)]:
        points = [
            (i, _number(entry.get("seconds"), at, count), _number(entry.get(name), at, count))
            for i, entry in enumerate(entries, start=1)
        ]
        drawn = np.array([point for point in points if math.isfinite(point[2])], float).reshape(-1, 3)
        if len(drawn):
            curves.append(Curve(method, name, drawn[:, 0], drawn[:, 1], drawn[:, 2]))
    return curves


def history_figure(curves: Sequence[Curve], *, title: str | None = None, width_mm: float = 180.0) -> Figure:
    """Draw a row a quantity, against iterations on the left and seconds on the right, one line a method.

    Positive residuals, changes and priors have a logarithmic axis. The residual of a method that stops at the noise
    (`mimo.recon.admm`) is in units of its bound: the line at 1 is where it may stop.

    Parameters
    ----------
    curves
        See `curves_from`.
    title
        Stands above everything.
    width_mm
        Width of the page, at least 60; text keeps its size in points.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas, never registered with pyplot.

    Raises
    ------
    ValueError
        When there is no curve or the page is narrower than 60 mm.
    """
    if not curves:
        raise ValueError("curves is empty: expected at least one to draw")
    if not width_mm >= 60:
        raise ValueError(f"width_mm is {width_mm}: expected 60 mm or more")
    quantities = list(dict.fromkeys(curve.quantity for curve in curves))
    quantities = [q for q in QUANTITIES if q in quantities] + [q for q in quantities if q not in QUANTITIES]
    methods = list(dict.fromkeys(curve.method for curve in curves))
    timed = any(np.isfinite(curve.seconds).any() for curve in curves)
    columns = ("iteration", "seconds") if timed else ("iteration",)
    per_line = max(1, int((width_mm - 18) / 30))
    top = 3.0 + (6.0 if title else 0.0) + 4.0 * -(-len(methods) // per_line)
    row, bottom, left, gap, right = 30.0, 7.0, 18.0, 5.0, 3.0
    height = top + len(quantities) * (row + 3.0) + bottom
    box = (width_mm - left - right - gap * (len(columns) - 1)) / len(columns)
    colors = matplotlib.colormaps["tab10"]
    limits = {}
    for against in columns:
        places = np.concatenate([getattr(curve, against) for curve in curves])
        low, high = (1.0 if against == "iteration" else 0.0), max(float(np.nanmax(places)), 1e-9)
        room = 0.03 * (high - low) or 0.5
        limits[against] = low - room, high + room
    with matplotlib.rc_context(STYLE):
        drawing = Figure(figsize=(width_mm * MM, height * MM), facecolor="white")
        FigureCanvasAgg(drawing)
        for r, quantity in enumerate(quantities):
            label, logarithmic = QUANTITIES.get(quantity, (quantity.replace("_", " "), False))
            here = [curve for curve in curves if curve.quantity == quantity]
            values = np.concatenate([curve.value for curve in here])
            logarithmic = logarithmic and bool(values.min() > 0) and bool(values.max() > 10 * values.min())
            for c, against in enumerate(columns):
                y = 1 - (top + r * (row + 3.0) + row) / height
                rect = ((left + c * (box + gap)) / width_mm, y, box / width_mm, row / height)
                axes: Any = drawing.add_axes(rect, label=f"{quantity} over {against}")
                if quantity == "residual" and values.min() < 1 < values.max():
                    axes.axhline(1, color="0.6", linewidth=0.5, dashes=(4, 3))
                for curve in here:
                    i = methods.index(curve.method)
                    few = len(curve.value) <= 40
                    marker = MARKERS[i % len(MARKERS)] if few else ""
                    across = getattr(curve, against)
                    axes.plot(
                        across, curve.value, color=colors(i % 10), lw=0.9, marker=marker, ms=2, label=curve.method
                    )
                axes.set_yscale("log" if logarithmic else "linear")
                axes.set_xlim(limits[against])
                axes.grid(True, color="0.9")
                axes.set_axisbelow(True)
                axes.xaxis.set_major_locator(MaxNLocator(5, integer=against == "iteration"))
                last = r == len(quantities) - 1
                axes.tick_params(labelbottom=last, labelleft=c == 0, which="both")
                axes.set_xlabel("seconds" if against == "seconds" and last else against if last else "", labelpad=1.5)
                axes.set_ylabel(label if c == 0 else "", labelpad=1.5)
        # One legend above all: methods keep their colour and marker in every row.
        for i, method in enumerate(methods):
            line, place = divmod(i, per_line)
            x, y = left + 30 * place, 3.0 + (6.0 if title else 0.0) + 4.0 * line
            mark = drawing.add_artist(matplotlib.lines.Line2D([x / width_mm, (x + 5) / width_mm], [1 - y / height] * 2))
            mark.set(color=colors(i % 10), linewidth=0.9, marker=MARKERS[i % len(MARKERS)], markersize=2)
            drawing.text((x + 6.5) / width_mm, 1 - y / height, method, va="center", parse_math=False)
        if title:
            drawing.text(0.5, 1 - 2 / height, title, ha="center", va="top", weight="bold", fontsize=9, parse_math=False)
    return drawing


def _entries(history: Any, scene: int, n_scene: int) -> tuple[list[Mapping[str, Any]], int, int]:
    """Entries of the scene's batch, the scene's place in it, and how many scenes it has (0: not known)."""
    if isinstance(history, Mapping):  # columns instead of rows: {"residual": [...], ...}
        columns = {key: value for key, value in history.items() if isinstance(value, list)}
        n = max((len(value) for value in columns.values()), default=0)
        history = [{key: value[i] for key, value in columns.items() if i < len(value)} for i in range(n)]
    if not isinstance(history, list) or not history:
        return [], scene, n_scene
    if not isinstance(history[0], list):
        return [entry for entry in history if isinstance(entry, Mapping)], scene, n_scene
    first = 0
    for batch in history:
        size = max((len(value) for value in _lists(batch)), default=0)
        if scene < first + size:
            return [entry for entry in batch if isinstance(entry, Mapping)], scene - first, size
        first += size
    return [], scene, n_scene


def _lists(batch: Any) -> Iterator[list[Any]]:
    for entry in batch if isinstance(batch, list) else ():
        if isinstance(entry, Mapping):
            yield from (value for value in entry.values() if isinstance(value, list))


def _number(value: Any, at: int, n_scene: int) -> float:
    """A number, or the scene's of a list with one a scene; NaN for anything else."""
    if isinstance(value, list):
        value = value[at] if at < len(value) == n_scene else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
