"""Give magnitudes a random phase, as rough surfaces do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["random_phase"]


def random_phase(magnitude: npt.NDArray[np.floating], rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Give each voxel of a magnitude its own phase, uniform over the circle.

    ``x[v] = magnitude[v] * exp(j phi[v])`` with independent ``phi[v]`` uniform in [0, 2 pi), as both papers do: at
    these wavelengths a surface is rough, so neighbouring voxels do not share a phase.

    Parameters
    ----------
    magnitude
        Real, any shape.
    rng
        Source of the phases; one number is drawn for each voxel, zero or not.

    Returns
    -------
    complex64 array
        Of the shape of `magnitude`.
    """
    magnitude = np.asarray(magnitude, np.float32)
    angle = rng.random(magnitude.shape, dtype=np.float32) * np.float32(2 * np.pi)
    reflectivity = np.empty(magnitude.shape, np.complex64)
    np.multiply(magnitude, np.cos(angle), out=reflectivity.real)
    np.multiply(magnitude, np.sin(angle), out=reflectivity.imag)
    return reflectivity
