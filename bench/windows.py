"""Measure the lobes of one point under the windows of `mimo.windows`, for planar and circular apertures.

A point is measured by the Born model, its data are weighted, and `mimo.backproject` makes two fine lines through it,
one along the range and one across. The -3 dB width of the main lobe is compared with that which
`mimo.expected_sampling` predicts without a window; the side lobe is the highest value beyond the first minimum on
either side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, backproject, born_operator, expected_sampling, windowed
from mimo.grid import AXES

__all__ = ["CASES", "WINDOWS", "Case", "lobes", "measure_windows", "window_table"]

WINDOWS = ("none", "hann", "taylor:30", "kaiser:6")

REACH = 10
"""Length of a line from the point to its end, in widths that are expected without a window."""

SAMPLES = 40
"""Voxels of a line for each such width."""

FLOOR_DB = -60.0
"""Side lobes below it are not told apart in the table."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Describes an aperture, a band and a point.

    Attributes
    ----------
    array, sweep
        The aperture and the band.
    point
        Place of the point, metres.
    along, across
        Axis along the range and axis across it: x, y or z.
    """

    array: ArrayGeometry
    sweep: FrequencySweep
    point: tuple[float, float, float]
    along: str
    across: str


def _circle(degrees: float, n: int) -> ArrayGeometry:
    """A monostatic antenna at n places on an arc of 1 m about z, whose middle is on the x axis."""
    angle = np.deg2rad(np.linspace(-degrees / 2, degrees / 2, n, endpoint=degrees < 360))
    places = np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], axis=1)
    index = np.arange(n)
    return ArrayGeometry(places, places, np.stack([index, index], axis=1))


_WIDE, _NARROW = FrequencySweep.linear(4e9, 16e9, 61), FrequencySweep.linear(8e9, 12e9, 61)

CASES: dict[str, Case] = {
    "Mills cross, 12 x 13 over 0.3 m": Case(
        ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3), _WIDE, (0.0, 0.0, 0.5), "z", "x"
    ),
    "planar scan, 41 x 41 over 0.4 m": Case(
        ArrayGeometry.planar_scan(shape=(41, 41), width=0.4), _WIDE, (0.0, 0.0, 0.5), "z", "x"
    ),
    "arc of 60 degrees, 121 places": Case(_circle(60, 121), _NARROW, (0.0, 0.0, 0.0), "x", "y"),
    "full circle, 360 places": Case(_circle(360, 360), _NARROW, (0.0, 0.0, 0.0), "x", "y"),
}


def measure_windows(
    cases: Mapping[str, Case] = CASES,
    windows: Sequence[str] = WINDOWS,
    *,
    progress: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Measure each case under each window.

    Returns
    -------
    list of dict
        ``{"case", "window", "along", "across"}``, the last two being ``{"width", "widths", "side_lobe_db"}``: the main
        lobe in metres and over the width expected without a window, and the highest side lobe.
    """
    rows = []
    for name, case in cases.items():
        progress(name)
        point = VoxelGrid(*(np.array([p]) for p in case.point))
        y = born_operator(case.array, case.sweep, point, dtype=torch.complex128).forward(torch.ones(point.shape))
        expected = expected_sampling(case.array, case.sweep, point).resolution
        for window in windows:
            row: dict[str, Any] = {"case": name, "window": window}
            for direction, axis in (("along", case.along), ("across", case.across)):
                i = AXES.index(axis)
                offset = expected[i] * np.linspace(-REACH, REACH, 2 * REACH * SAMPLES + 1)
                axes = [np.array([p]) for p in case.point]
                axes[i] = axes[i] + offset
                A = born_operator(case.array, case.sweep, VoxelGrid(*axes), dtype=torch.complex128)
                line = backproject(windowed(y, A, window), A).abs().numpy().ravel()
                width, side_lobe = lobes(offset, line)
                row[direction] = {"width": width, "widths": width / expected[i], "side_lobe_db": side_lobe}
            rows.append(row)
    return rows


def lobes(offset: Floats, line: Floats) -> tuple[float, float]:
    """Return the -3 dB width of the highest lobe of a line, in the unit of `offset`, and the highest side lobe, dB.

    The crossings are interpolated between samples; the side lobe is -inf where the line falls to its ends.
    """
    peak = int(line.argmax())
    level = line / line[peak]
    edges, beyond = [], [0.0]
    for step in (-1, 1):
        side, place = level[peak::step], offset[peak::step]
        below = int((side < math.sqrt(0.5)).argmax())
        if below == 0:
            raise ValueError(f"the main lobe reaches the end of the line at {place[-1]:g}: expected a longer line")
        edges.append(np.interp(-math.sqrt(0.5), -side[below - 1 : below + 1], place[below - 1 : below + 1]))
        rising = np.diff(side) > 0
        if rising.any():
            beyond.append(float(side[int(rising.argmax()) :].max()))
    highest = max(beyond)
    return float(edges[1] - edges[0]), 20 * math.log10(highest) if highest else -math.inf


def window_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format the result of `measure_windows` as a table in Markdown."""
    lines = [
        "| aperture | window | range: main lobe | side lobe | across: main lobe | side lobe |",
        "|---|---|---|---|---|---|",
    ]
    before = None
    for row in rows:
        cells = []
        for direction in ("along", "across"):
            lobe = row[direction]
            level = lobe["side_lobe_db"]
            side = f"{level:.1f} dB" if level >= FLOOR_DB else f"below {FLOOR_DB:.0f} dB"
            cells += [f"{1e3 * lobe['width']:.1f} mm ({lobe['widths']:.2f})", side]
        name = row["case"] if row["case"] != before else ""
        lines.append(f"| {name} | `{row['window']}` | {' | '.join(cells)} |")
        before = row["case"]
    return "\n".join(lines)
