"""Check by the focus of an image whether the sign of the phase and the permittivity are right.

A wrong sign or permittivity raises no error but defocuses the image. So back-projections of a coarse grid under both
signs and several permittivities are compared by their ratio of peak to mean magnitude, and by the entropy of their
power; a focused image has a high ratio and a low entropy.
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
from mimo.data.calibration.decimation import decimated
from mimo.data.calibration.scene_extent import coarse_grid, scene_box
from mimo.data.files.schema import UnfitError
from mimo.data.measurement import Measurement, check_permittivity
from mimo.memory import check_voxels
from mimo.pattern import Patterns

__all__ = ["PhaseCheck", "PhaseCheckRow", "check_phase", "entropy", "peak_to_mean"]

PERMITTIVITIES = (1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0, 11.3, 16.0)
"""Permittivities that are tried by default."""

REFINED = (2 ** (-1 / 3), 2 ** (-1 / 6), 2 ** (1 / 6), 2 ** (1 / 3))
"""Multiples of the best of these that are tried next."""

DECISIVE_DB = 1.0
"""Smallest difference between the two signs that decides, dB of peak-to-mean ratio."""

MOST_CHANNELS = 1024
MOST_TERMS, VOXELS = 400_000_000, (1_000, 40_000)
"""Terms (frequency, channel, voxel) that one image may cost; they set the number of voxels, between these limits."""


@dataclass(frozen=True)
class PhaseCheckRow:
    """Holds the result of one image.

    Attributes
    ----------
    phase_sign, permittivity
        What the image was made with; the permittivity is 1 in a layered medium, whose own are not varied.
    peak_to_mean_db
        Largest over mean magnitude, dB.
    entropy
        Entropy of the power, nats; see `entropy`.
    peak
        x, y, z of the largest voxel, metres.
    """

    phase_sign: int
    permittivity: float
    peak_to_mean_db: float
    entropy: float
    peak: tuple[float, float, float]


@dataclass(frozen=True)
class PhaseCheck:
    """Holds the results of `check_phase`.

    Attributes
    ----------
    rows
        Every image, ordered by permittivity, then sign.
    phase_sign, permittivity
        Those of the sharpest image: -1 when the measurement's sign is right, +1 when its data are conjugated.
    margin_db
        Peak-to-mean ratio of the sharpest image over that of the sharpest with the other sign.
    stated_permittivity
        The measurement's own permittivity.
    box
        Where the grid comes from, in words.
    layers
        The layered medium that all images are made in, or ``None``.
    """

    rows: tuple[PhaseCheckRow, ...]
    phase_sign: int
    permittivity: float
    margin_db: float
    stated_permittivity: float
    box: str
    layers: LayeredMedium | None = None

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
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
) -> PhaseCheck:
    """Find the phase sign and the permittivity that focus best, by imaging a coarse grid with each.

    Parameters
    ----------
    measurement
        The data; a background is subtracted here, a gain divided out, and a removed path restored.
    grid
        The voxels; by default a coarse grid over the file's own or over a guess (see
        `mimo.data.calibration.scene_extent`).
    permittivities
        Permittivities to try; by default 1 to 16 in factors of about the square root of 2, then finer steps around the
        sharpest.
    pattern, layers
        The antennas' pattern and a layered medium, as in `mimo.BornOperator`. With layers only the sign is tried.
    scene
        Number of the scene.
    progress
        Called as ``progress(images done, images in all)``.

    Returns
    -------
    PhaseCheck
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
    # the raw data are conjugated and both signs prepared, as gain and removed path belong to one sign
    ready = _ready(measurement, scene)
    signs = (ready, _ready(conjugate(measurement), scene))
    stated = measurement.permittivity
    where = "the given grid"
    if grid is None:
        box, where = scene_box(measurement)
        terms = ready.sweep.n_freq * ready.array.n_channel
        most = int(np.clip(MOST_TERMS // terms, *VOXELS))
        grid = coarse_grid(replace(ready, permittivity=max(tried)), box, most=most)
    check_voxels(grid.shape)
    total = len(tried) + (0 if permittivities else len(REFINED))
    rows: list[PhaseCheckRow] = []

    def look(candidates: Sequence[float]) -> PhaseCheckRow:
        for candidate in candidates:
            rows.extend(_images(signs, grid, candidate, pattern, layers))
            if progress is not None:
                progress(len(rows) // 2, total)
        return max(rows, key=lambda row: row.peak_to_mean_db)

    best = look(tried)
    if not permittivities:
        best = look([best.permittivity * factor for factor in REFINED])
    other = max((row for row in rows if row.phase_sign != best.phase_sign), key=lambda row: row.peak_to_mean_db)
    return PhaseCheck(
        tuple(sorted(rows, key=lambda row: (row.permittivity, row.phase_sign))),
        best.phase_sign,
        best.permittivity,
        best.peak_to_mean_db - other.peak_to_mean_db,
        stated,
        where,
        layers,
    )


def peak_to_mean(magnitude: npt.NDArray[Any]) -> float:
    """Return the largest over the mean magnitude, dB."""
    return float(20 * np.log10(magnitude.max() / magnitude.mean()))


def entropy(magnitude: npt.NDArray[Any]) -> float:
    """Return ``-sum p ln p``, nats, p being each voxel's share of the power: ln n when n voxels share it evenly."""
    power = magnitude.astype(np.float64).ravel() ** 2
    share = power[power > 0] / power.sum()
    return float(-np.sum(share * np.log(share)))


def _images(
    signs: tuple[Measurement, Measurement],
    grid: VoxelGrid,
    permittivity: float,
    pattern: Patterns,
    layers: LayeredMedium | None,
) -> list[PhaseCheckRow]:
    """Image both signs at one permittivity, with one operator and two scenes."""
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
        rows.append(PhaseCheckRow(sign, permittivity, peak_to_mean(image), entropy(image), place))
    return rows


def _ready(measurement: Measurement, scene: int) -> Measurement:
    """Return one scene, prepared and decimated to about `MOST_CHANNELS` channels."""
    one = measurement.scenes([scene])
    if one.background is not None:
        one = subtract_background(one)
    if one.gain is not None:
        one = divide_gain(one)
    if one.reference_path is not None:
        one = restore_reference_path(one)
    return decimated(one, n_channel=MOST_CHANNELS)
