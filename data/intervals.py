"""Turn the standard deviation of an image into intervals that hold the truth with a stated probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mimo.data.measurement import Reconstruction

__all__ = ["Intervals", "interval"]

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Intervals:
    """Says how many standard deviations an interval around an image has on each side, counted on unseen scenes.

    The factor depends on the standard deviation itself, over the largest voxel of the image: errors in empty space are
    not distributed as those on a target. Between the knots it is interpolated over the logarithm, beyond them constant.

    Attributes
    ----------
    std
        Knots, ascending: standard deviation over the image's largest voxel.
    factors
        Factor at each knot for each level, a percentage: ``{"50": (0.3, ...), "90": (1.2, ...)}``.
    """

    std: tuple[float, ...]
    factors: Mapping[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        if not self.std or any(len(values) != len(self.std) for values in self.factors.values()):
            raise ValueError(f"intervals have {len(self.std)} knots: expected one or more, and as many of each factor")

    def factor(self, level: str, std: npt.NDArray[Any], peak: float) -> Array:
        """Return the factor of each voxel for a level such as ``"90"``.

        Parameters
        ----------
        level
            A key of `factors`.
        std
            Standard deviation of each voxel, any shape.
        peak
            Largest voxel of the image, in the same unit.
        """
        ratio = np.maximum(np.asarray(std, np.float64), 1e-300) / max(float(peak), 1e-300)
        return np.interp(np.log(ratio), np.log(self.std), self.factors[level]).astype(np.float32)

    def to_dict(self) -> dict[str, list[float]]:
        """Return what files of weights and images keep: lists of numbers by name."""
        return {"std": list(self.std), **{level: list(values) for level, values in self.factors.items()}}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Intervals:
        """Undo `to_dict`."""
        knots = tuple(map(float, table["std"]))
        return cls(knots, {level: tuple(map(float, values)) for level, values in table.items() if level != "std"})


def interval(made: Reconstruction, level: float = 0.9) -> tuple[Array, Array]:
    """Return the lower and upper end of the interval that should hold a share `level` of the true magnitudes.

    The image, more and less a number of standard deviations that was counted on unseen scenes when the network was
    trained; it is stored with the image (``parameters["intervals"]``). No end is below 0.

    Parameters
    ----------
    made
        Images of a method that gives their standard deviation, in whose unit the result is.
    level
        Share of the voxels, one of those that were counted: 0.5 or 0.9.

    Returns
    -------
    low, high
        float32 ``(n_scene, n_x, n_y, n_z)``.

    Raises
    ------
    ValueError
        When the images have no standard deviation, or `level` was not counted.
    """
    if made.std is None or "intervals" not in made.parameters:
        raise ValueError(f"{made.method} has no standard deviation: expected an image of a method that gives one")
    counted = Intervals.from_dict(made.parameters["intervals"])
    name = f"{100 * level:g}"
    if name not in counted.factors:
        raise ValueError(f"level is {level:g}: expected {' or '.join(f'{float(k) / 100:g}' for k in counted.factors)}")
    magnitude = made.magnitude
    half = np.stack(
        [counted.factor(name, std, image.max()) * std for image, std in zip(magnitude, made.std, strict=True)]
    )
    return np.maximum(magnitude - half, 0), magnitude + half
