"""Project a volume to flat pictures: maxima along the axes, decibels, and the edges of voxels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mimo.grid import voxel_edges

__all__ = ["VIEWS", "View", "maximum_projections", "to_db", "voxel_edges"]

Floats = npt.NDArray[np.floating]


class View(NamedTuple):
    """Names a projection, the axes drawn to the right and upwards, and the axis along which the maximum is taken."""

    name: str
    horizontal: str
    vertical: str
    along: str


VIEWS = (View("front", "x", "y", "z"), View("side", "z", "y", "x"), View("top", "x", "z", "y"))


def maximum_projections(volume: npt.ArrayLike) -> dict[str, Floats]:
    """Project the largest magnitude along each axis.

    Parameters
    ----------
    volume
        Complex or real ``(n_x, n_y, n_z)``.

    Returns
    -------
    dict
        Rows run along the vertical axis and columns along the horizontal one, both ascending:

        - ``front``: maximum over z, ``(n_y, n_x)``, x to the right, y up;
        - ``side``: maximum over x, ``(n_y, n_z)``, z to the right, y up;
        - ``top``: maximum over y, ``(n_z, n_x)``, x to the right, z up.

    Raises
    ------
    ValueError
        When the volume does not have three axes, each at least 1 long.
    """
    magnitude = np.abs(np.asarray(volume))
    if magnitude.ndim != 3 or not magnitude.size:
        raise ValueError(f"volume has shape {magnitude.shape}: expected one volume (n_x, n_y, n_z)")
    return {"front": magnitude.max(axis=2).T, "side": magnitude.max(axis=0), "top": magnitude.max(axis=1).T}


def to_db(volume: npt.ArrayLike, reference: float | None = None, floor: float = -40.0) -> Floats:
    """Convert magnitude to decibels, ``max(floor, 20 log10(|volume| / reference))``.

    Parameters
    ----------
    volume
        Complex or real, any shape.
    reference
        The magnitude of 0 dB; the volume's own maximum when ``None``.
    floor
        Lowest value returned, dB, also for zeros, and so for every voxel of an all-zero volume.

    Returns
    -------
    numpy.ndarray
        Same shape, at least `floor`; above 0 where the magnitude exceeds `reference`.

    Raises
    ------
    ValueError
        When the volume has a NaN or infinite value, `reference` is not positive, or `floor` is not finite.
    """
    magnitude = np.abs(np.asarray(volume))
    if not np.isfinite(magnitude).all():
        raise ValueError(
            f"volume has {np.count_nonzero(~np.isfinite(magnitude))} NaN or infinite values: expected none"
        )
    if not np.isfinite(floor):
        raise ValueError(f"floor is {floor} dB: expected a finite number")
    if reference is None:
        reference = float(magnitude.max(initial=0.0)) or 1.0
    if not (np.isfinite(reference) and reference > 0):
        raise ValueError(f"reference is {reference}: expected a positive magnitude")
    ratio = magnitude.astype(np.float64) / reference
    decibels = np.full(ratio.shape, float(floor))
    np.log10(ratio, out=decibels, where=ratio > 0)
    decibels[ratio > 0] *= 20
    return np.maximum(decibels, floor)
