"""Draw what `mimo.bench.cost_model` measured: time against voxels, channels and frequencies on log axes."""

from __future__ import annotations

from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from mimo.viewer.style import MM, STYLE

__all__ = ["COLOURS", "cost_figure"]

COLOURS = {
    "backprojection": "#1f4e79",
    "backprojection-fast": "#d9822b",
    "backprojection-factorised": "#3a7d44",
    "range-migration": "#8b1e3f",
}
WIDTH_MM, ROW_MM, FOOT_MM = 180.0, 56.0, 12.0


def cost_figure(result: dict[str, Any]) -> Figure:
    """Draw predicted (lines) and measured times (dots), a row for each kind of array, and where the lines cross.

    Parameters
    ----------
    result
        What `mimo.bench.cost_model.measure_costs` returns.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas, never registered with pyplot; write it with `mimo.viewer.figures.save`.
    """
    ladders = result["ladders"]
    n_row, height = len(ladders), ROW_MM * len(ladders) + FOOT_MM
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_MM * MM, height * MM), facecolor="white")
        FigureCanvasAgg(figure)
        panels = figure.subplots(n_row, 3, sharey="row", squeeze=False)
        foot = FOOT_MM / height
        figure.subplots_adjust(
            left=0.075, right=0.985, top=1 - 6 / height, bottom=foot + 7 / height, wspace=0.06, hspace=0.36
        )
        for row, (name, ladder) in zip(panels, ladders.items(), strict=True):
            for panel, (axis, found) in zip(row, ladder["axes"].items(), strict=True):
                others = ", ".join(f"{n:,} {other}" for other, n in ladder["base"].items() if other != axis)
                _draw(panel, found, axis)
                panel.set_title(f"{name}: {others}", fontsize=6.5, pad=3)
            row[0].set_ylabel("seconds of one core")
        figure.legend(handles=_legend(ladders), loc="lower center", ncols=3, frameon=False, handlelength=1.6)
    return figure


def _draw(panel: Axes, found: dict[str, Any], axis: str) -> None:
    counts = found["count"]
    for method, seconds in found["predicted"].items():
        panel.plot(counts, seconds, color=COLOURS[method], linewidth=1.0)
        measured = found["measured"][method]
        panel.plot(counts[: len(measured)], measured, "o", color=COLOURS[method], markersize=3)
    for crossing in found["crossings"]["predicted"]:
        panel.axvline(crossing["count"], color="0.5", linestyle=":", linewidth=0.8)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel(axis, labelpad=1)
    panel.xaxis.set_major_locator(LogLocator(10, numticks=12))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_locator(LogLocator(10, numticks=12))
    panel.grid(True, which="major", color="0.9")
    panel.set_axisbelow(True)


def _legend(ladders: dict[str, Any]) -> list[Line2D]:
    drawn = {m for ladder in ladders.values() for found in ladder["axes"].values() for m in found["predicted"]}
    methods = [Line2D([], [], color=colour, label=name) for name, colour in COLOURS.items() if name in drawn]
    return [
        *methods,
        Line2D([], [], color="0.3", marker="o", markersize=3, linestyle="", label="measured (lines: predicted)"),
        Line2D([], [], color="0.5", linestyle=":", label="another way is quickest"),
    ]
