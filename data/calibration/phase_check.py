"""Judge by focus whether the sign of the phase and the permittivity are right: wrong ones defocus silently.

Back-projections of a coarse grid under both signs and several permittivities are compared by their ratio of peak to
mean magnitude, and by the entropy of their power; a focused image has a high ratio and a low entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo import LayeredMedium, VoxelGrid, backproject, born_operator
from mimo.data.calibration import conjugate, divide_gain, restore_reference_path, subtract_background
from mimo.data.calibration.decimation import thinned
from mimo.data.calibration.scene_extent import coarse_grid, scene_box
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement, check_permittivity
from mimo.pattern import Patterns

__all__ = ["FocusCheck", "FocusRow", "check_phase", "entropy", "peak_to_mean"]

PERMITTIVITIES = (1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0, 11.3, 16.0)
"""What is tried when nothing else is asked for; `REFINED` times the best follows."""

REFINED = (2 ** (-1 / 3), 2 ** (-1 / 6), 2 ** (1 / 6), 2 ** (1 / 3))
DECISIVE_DB = 1.0
"""Least difference between the signs that is called a decision."""

MOST_CHANNELS = 1024
MOST_TERMS, VOXELS = 400_000_000, (1_000, 40_000)
"""Terms of one image's sum, which sets the number of voxels between these limits."""


@dataclass(frozen=True)
class FocusRow:
    """One image: sign and permittivity it was made with, peak over mean in dB, entropy in nats, the peak's place.

    The permittivity is 1 in a layered medium, whose own are not varied.
    """

    phase_sign: int
    permittivity: float
    peak_to_mean_db: float
    entropy: float
    peak: tuple[float, float, float]


@dataclass(frozen=True)
class FocusCheck:
    """What `check_phase` found.

    Attributes
    ----------
    rows
        Every image, by permittivity, our sign first.
    phase_sign, permittivity
        Of the sharpest image; -1 is the sign that the measurement is in, +1 means that it is conjugated.
    margin_db
        Peak-to-mean ratio of the sharpest image over that of the sharpest with the other sign.
    stated_permittivity
        The measurement's own.
    box
        In words, where the grid comes from.
    layers
        The layered medium that all images are made in, or ``None``.
    """

    rows: tuple[FocusRow, ...]
    phase_sign: int
    permittivity: float
    margin_db: float
    stated_permittivity: float
    box: str
    layers: LayeredMedium | None = None

    @property
    def verdict(self) -> str:
        """One sentence."""
        if self.margin_db < DECISIVE_DB:
            return (
                f"undecided: the signs differ by {self.margin_db:.1f} dB; subtract a background, gate, or state the "
                f"scene's box"
            )
        sign = "the phase has the right sign" if self.phase_sign == -1 else "the data are conjugated"
        if self.layers is not None:
            return f"{sign}, by {self.margin_db:.1f} dB of peak-to-mean ratio, in the layers {self.layers}"
        medium = f"sharpest at permittivity {self.permittivity:.3g} (the file says {self.stated_permittivity:g})"
        return f"{sign}, by {self.margin_db:.1f} dB of peak-to-mean ratio; {medium}"


def check_phase(
    measurement: Measurement,
    grid: VoxelGrid | None = None,
    *,
    permittivities: Sequence[float] = (),
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    scene: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FocusCheck:
    """Image a coarse grid under both signs and several permittivities and say which focuses.

    Parameters
    ----------
    measurement
        With its background, if it has one, which is subtracted here; so are gain and removed paths taken care of.
    grid
        The voxels; by default a coarse grid over the file's own or over a guess (see
        `mimo.data.calibration.scene_extent`).
    permittivities
        What to try; by default 1 to 16 in steps of a square root of 2, then finer around the sharpest.
    pattern, layers
        The antennas' pattern and a layered medium, as in `mimo.BornOperator`. With layers both signs are tried in them
        alone, and no permittivity.
    scene
        Which scene.
    progress
        Called as ``progress(images done, images in all)``.

    Returns
    -------
    FocusCheck
        The sharpest is the one with the highest peak-to-mean ratio.

    Raises
    ------
    ValueError
        When a permittivity is not positive or given beside layers, the scene is all zero, or there is one channel,
        which shows neither sign nor medium.
    """
    if layers is not None:
        if permittivities:
            raise UnfitError("permittivities are given beside layers: expected one of them")
        measurement, permittivities = replace(measurement, permittivity=1.0), (1.0,)
    tried = tuple(check_permittivity(p) for p in permittivities) or PERMITTIVITIES
    if measurement.array.n_channel < 2:
        raise UnfitError("the measurement has one channel: expected several, whose echoes meet in one place or do not")
    # both from the start: a gain and a removed path belong to one sign
    ready = _ready(measurement, scene)
    signs = (ready, _ready(conjugate(measurement), scene))
    stated = measurement.permittivity
    where = "the given grid"
    if grid is None:
        box, where = scene_box(measurement)
        terms = ready.sweep.n_freq * ready.array.n_channel
        most = int(np.clip(MOST_TERMS // terms, *VOXELS))
        grid = coarse_grid(replace(ready, permittivity=max(tried)), box, most=most)
    total = len(tried) + (0 if permittivities else len(REFINED))
    rows: list[FocusRow] = []

    def look(candidates: Sequence[float]) -> FocusRow:
        for candidate in candidates:
            rows.extend(_images(signs, grid, candidate, pattern, layers))
            if progress is not None:
                progress(len(rows) // 2, total)
        return max(rows, key=lambda row: row.peak_to_mean_db)

    best = look(tried)
    if not permittivities:
        best = look([best.permittivity * factor for factor in REFINED])
    other = max((row for row in rows if row.phase_sign != best.phase_sign), key=lambda row: row.peak_to_mean_db)
    return FocusCheck(
        tuple(sorted(rows, key=lambda row: (row.permittivity, row.phase_sign))),
        best.phase_sign,
        best.permittivity,
        best.peak_to_mean_db - other.peak_to_mean_db,
        stated,
        where,
        layers,
    )


def peak_to_mean(magnitude: npt.NDArray[Any]) -> float:
    """Largest over mean magnitude, dB."""
    return float(20 * np.log10(magnitude.max() / magnitude.mean()))


def entropy(magnitude: npt.NDArray[Any]) -> float:
    """``-sum p ln p`` of the shares p of the power, nats: the logarithm of how many voxels share it evenly."""
    power = magnitude.astype(np.float64).ravel() ** 2
    share = power[power > 0] / power.sum()
    return float(-np.sum(share * np.log(share)))


def _images(
    signs: tuple[Measurement, Measurement],
    grid: VoxelGrid,
    permittivity: float,
    pattern: Patterns,
    layers: LayeredMedium | None,
) -> list[FocusRow]:
    """Both signs at one permittivity: one operator, two scenes."""
    array, sweep = signs[0].array, signs[0].sweep
    A = born_operator(array, sweep, grid, permittivity=permittivity, pattern=pattern, layers=layers)
    y = torch.stack([torch.tensor(each.values[0]) for each in signs])
    images = backproject(y, A).abs().numpy()
    rows = []
    for sign, image in zip((-1, 1), images, strict=True):
        if not image.any():
            raise UnfitError("the scene is all zero: expected data to image")
        i, j, k = np.unravel_index(int(image.argmax()), image.shape)
        place = (float(grid.x[i]), float(grid.y[j]), float(grid.z[k]))
        rows.append(FocusRow(sign, permittivity, peak_to_mean(image), entropy(image), place))
    return rows


def _ready(measurement: Measurement, scene: int) -> Measurement:
    """One scene, background subtracted, gain divided out, at most about `MOST_CHANNELS` channels."""
    one = measurement.scenes([scene])
    if one.background is not None:
        one = subtract_background(one)
    if one.gain is not None:
        one = divide_gain(one)
    if one.reference_path is not None:
        one = restore_reference_path(one)
    return thinned(one, n_channel=MOST_CHANNELS)
