"""Draw what iterative methods recorded against iterations and seconds: residual, change, prior, PSNR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mimo.data.history import History
from mimo.viewer.style import MM, STYLE

__all__ = ["Curve", "curves_from", "history_figure"]

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
    """Holds one recorded quantity of one method over the iterations.

    Attributes
    ----------
    method, quantity
        Names of the method and of the quantity, which is a key of the history's entries.
    iteration, seconds, value
        float64 ``(n,)`` each: iterations counted from 1, seconds since the start (NaN: not recorded), finite values.
    """

    method: str
    quantity: str
    iteration: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]


def curves_from(method: str, history: Any, scene: int = 0, n_scene: int = 1) -> list[Curve]:
    """Make the curves of one scene from the history of a reconstruction.

    Parameters
    ----------
    method
        Name of the method.
    history
        ``mimo.data.Reconstruction.history``: a list of dicts, one for each iteration, of numbers or of lists of one
        number for each scene (``None`` after a scene has stopped); a list of such lists where scenes were reconstructed
        in several groups; or ``None``. Anything else is ignored, since a file may hold any JSON there.
    scene
        Number of the scene, from 0.
    n_scene
        Number of scenes in the file; the groups contain them in order.

    Returns
    -------
    list of Curve
        In the order of `QUANTITIES`, then any other numbers that were recorded; empty when there is nothing to draw.
    """
    found = History.from_json(history, n_scene).curves(scene)
    nowhere = [None] * max((len(values) for values in found.values()), default=0)
    seconds = np.array(found.pop("seconds", nowhere), np.float64)  # None becomes NaN
    curves = []
    for name in [*(q for q in QUANTITIES if q in found), *(n for n in found if n not in QUANTITIES)]:
        value = np.array(found[name], np.float64)
        kept = np.isfinite(value)
        curves.append(Curve(method, name, 1 + np.flatnonzero(kept).astype(np.float64), seconds[kept], value[kept]))
    return curves


def history_figure(curves: Sequence[Curve], *, title: str | None = None, width_mm: float = 180.0) -> Figure:
    """Draw each recorded quantity in a row, against iterations on the left and seconds on the right, by method.

    Positive residuals, changes and priors have a logarithmic axis. The residual of a method that stops at the noise
    (`mimo.recon.admm`) is in units of its bound: the line at 1 is where it may stop.

    Parameters
    ----------
    curves
        See `curves_from`.
    title
        Title of the whole figure.
    width_mm
        Width of the figure, millimetres, at least 60; text keeps its size in points.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas, never registered with pyplot.

    Raises
    ------
    ValueError
        When there is no curve or the figure is narrower than 60 mm.
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
