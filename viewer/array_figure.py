"""Draw an array without a measurement: its antennas from the front and from the side, and the middles of its pairs."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mimo import ArrayGeometry
from mimo.viewer.overviews import RX_COLOUR, TX_COLOUR
from mimo.viewer.style import MM, STYLE

__all__ = ["array_figure"]

WIDTH_MM, HEIGHT_MM = 180.0, 72.0
MOST_PAIRS = 20_000
"""Pairs whose middles are drawn at most, evenly chosen: more are a solid field."""


def array_figure(array: ArrayGeometry) -> Figure:
    """Draw the antennas in the planes x, y and z, y, and the point midway between the antennas of each channel."""
    channels = array.channel_indices()
    channels = channels[:: -(-len(channels) // MOST_PAIRS)]
    middle = (array.tx_pos[channels[:, 0]] + array.rx_pos[channels[:, 1]]) / 2
    everything = np.concatenate([array.tx_pos, array.rx_pos])
    unit, factor = ("mm", 1e3) if np.ptp(everything, axis=0).max() < 0.5 else ("m", 1.0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_MM * MM, HEIGHT_MM * MM), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, 3)
        for axes, plane in zip(panels, ("xy", "zy", "xy"), strict=True):
            across, up = ("xyz".index(name) for name in plane)
            if axes is panels[2]:
                axes.scatter(*(factor * middle[:, (across, up)]).T, s=2, color="#555555", linewidths=0)
                axes.set_title(f"middles of {array.n_channel} channels", fontsize=7, loc="left")
            else:
                for label, points, marker, colour in (
                    (f"{array.n_tx} tx", array.tx_pos, "^", TX_COLOUR),
                    (f"{array.n_rx} rx", array.rx_pos, "o", RX_COLOUR),
                ):
                    axes.scatter(
                        *(factor * points[:, (across, up)]).T,
                        s=14 if len(points) <= 64 else 4,
                        marker=marker,
                        edgecolors=colour,
                        facecolors=colour if marker == "^" else "none",
                        linewidths=0.7,
                        label=label,
                    )
                side = "from the front" if plane == "xy" else "from the side"
                axes.set_title(side, fontsize=7, loc="left")
            axes.set_xlabel(f"{plane[0]} ({unit})")
            axes.set_ylabel(f"{plane[1]} ({unit})")
            centre = factor * (everything.max(axis=0) + everything.min(axis=0)) / 2
            half = max(0.56 * factor * float(np.ptp(everything, axis=0).max()), 1e-3 * factor)
            axes.set(xlim=centre[across] + np.array([-half, half]), ylim=centre[up] + np.array([-half, half]))
            axes.set_aspect("equal")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=6, frameon=False)
        figure.suptitle(array.name or "array", fontsize=8, x=0.01, ha="left")
    return figure
