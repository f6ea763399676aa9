"""Turn the standard deviation of an image into intervals that hold the truth with a stated probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mimo.data.measurement import Reconstruction

__all__ = ["QUANTILES", "Intervals", "interval"]

Array = npt.NDArray[np.float32]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of each voxel's magnitude that files hold: the median and the ends of intervals of 50 % and 90 %."""

TINY = 1e-30
"""Keeps ratios of an empty image finite."""


@dataclass(frozen=True)
class Intervals:
    """Says how many standard deviations an interval around an image has on each side, counted on unseen scenes.

    The factor depends on the standard deviation over the image's largest voxel and on the image over its standard
    deviation, as errors in empty space are not distributed as those on a target. It is constant in each cell of a table
    of both: interpolated, it would no longer be what was counted, as it changes much from cell to cell.

    Attributes
    ----------
    std
        Where the next row of the table begins, ascending: standard deviation over the image's largest voxel.
    image
        Where the next column begins, ascending: image over its standard deviation.
    factors
        For each level, a percentage, the factors by row and column: ``{"50": ((0.3, ...), ...), "90": ...}``.
    """

    std: tuple[float, ...]
    image: tuple[float, ...]
    factors: Mapping[str, tuple[tuple[float, ...], ...]]

    def __post_init__(self) -> None:
        shape = len(self.std) + 1, len(self.image) + 1
        for level, values in self.factors.items():
            if np.shape(values) != shape:
                raise ValueError(
                    f"factors {level} have shape {np.shape(values)}, the borders {shape}: expected the same"
                )

    def factor(self, level: str, image: npt.NDArray[Any], std: npt.NDArray[Any]) -> Array:
        """Return the factor of each voxel of one scene for a level such as ``"90"``.

        Parameters
        ----------
        level
            A key of `factors`.
        image, std
            Magnitude and standard deviation of each voxel, ``(n_x, n_y, n_z)``.
        """
        row = np.searchsorted(self.std, std / max(float(image.max()), TINY), side="right")
        column = np.searchsorted(self.image, image / np.maximum(std, TINY), side="right")
        return np.array(self.factors[level], np.float32)[row, column]

    def to_dict(self) -> dict[str, Any]:
        """Return what files of weights and images keep: lists of numbers by name."""
        factors = {level: [list(row) for row in rows] for level, rows in self.factors.items()}
        return {"std": list(self.std), "image": list(self.image), **factors}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Intervals:
        """Undo `to_dict`."""
        std, image = (tuple(map(float, table[name])) for name in ("std", "image"))
        levels = [name for name in table if name not in ("std", "image")]
        return cls(std, image, {level: tuple(tuple(map(float, row)) for row in table[level]) for level in levels})


def interval(made: Reconstruction, level: float = 0.9) -> tuple[Array, Array]:
    """Return the lower and upper end of the interval that should hold a share `level` of the true magnitudes.

    Where the method gives quantiles of the magnitude, these. Else the image, more and less a number of standard
    deviations that was counted on unseen scenes when the network was trained; it is stored with the image
    (``parameters["intervals"]``). No end is below 0.

    Parameters
    ----------
    made
        Images of a method that gives their standard deviation, in whose unit the result is.
    level
        Share of the voxels, one of those that are known: 0.5 or 0.9.

    Returns
    -------
    low, high
        float32 ``(n_scene, n_x, n_y, n_z)``.

    Raises
    ------
    ValueError
        When the images have no standard deviation, or `level` is not known.
    """
    if made.quantiles is not None:
        ends = [round((1 + sign * level) / 2, 9) for sign in (-1, 1)]
        if not set(ends) <= set(QUANTILES):
            raise ValueError(f"level is {level:g}: expected 0.5 or 0.9")
        low, high = (made.quantiles[:, QUANTILES.index(end)] for end in ends)
        return low, high
    if made.std is None or "intervals" not in made.parameters:
        raise ValueError(f"{made.method} has no standard deviation: expected an image of a method that gives one")
    counted = Intervals.from_dict(made.parameters["intervals"])
    name = f"{100 * level:g}"
    if name not in counted.factors:
        raise ValueError(f"level is {level:g}: expected {' or '.join(f'{float(k) / 100:g}' for k in counted.factors)}")
    magnitude = made.magnitude
    half = np.stack([counted.factor(name, image, std) * std for image, std in zip(magnitude, made.std, strict=True)])
    return np.maximum(magnitude - half, 0), magnitude + half
