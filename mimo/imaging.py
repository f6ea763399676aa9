"""Form images by one weighted sum over channels per voxel: back-projection and Kirchhoff migration."""

from __future__ import annotations

import torch

from mimo.imaging_operator import ImagingOperator
from mimo.propagation import BACKPROJECTION, KIRCHHOFF, KIRCHHOFF_COMPENSATED

__all__ = ["backproject", "kirchhoff"]


def backproject(y: torch.Tensor, A: ImagingOperator) -> torch.Tensor:
    """Back-project coherently: ``x[v] = sum y[f, t, r] exp(+j k_f (R_t(v) + R_r(v)))``, without amplitude weights.

    Parameters
    ----------
    y
        Measurement ``(..., *A.measurement_shape)``; masked channels do not count.
    A
        The operator whose geometry, precision and device are used.

    Returns
    -------
    torch.Tensor
        ``(..., n_x, n_y, n_z)``, complex. It is the sum over channels and frequencies, not their mean.

    Raises
    ------
    ValueError, TypeError
        When the shape, dtype or device of `y` does not fit.
    """
    return A.image(y, BACKPROJECTION)


def kirchhoff(y: torch.Tensor, A: ImagingOperator, *, compensate_aperture: bool = False) -> torch.Tensor:
    """Form an image by Kirchhoff migration with obliquity and near-field terms.

    ``x[v] = sum y 4 cos_t cos_r (1 + j k R_t)(1 + j k R_r) exp(+j k (R_t + R_r)) / (4 R_t R_r)``; with
    `compensate_aperture` the final division by ``4 R_t R_r`` is left out. Cosines are taken against the antennas'
    normals, +z by default. Source: Zhuge, Yarovoy et al., IEEE TGRS 48 (2010) 2692, in the form of the code of arXiv
    2312.16024.

    Parameters
    ----------
    y
        Measurement ``(..., *A.measurement_shape)``; masked channels do not count.
    A
        The operator whose geometry, precision and device are used.
    compensate_aperture
        Leave out the division by the distances.

    Returns
    -------
    torch.Tensor
        ``(..., n_x, n_y, n_z)``, complex.

    Raises
    ------
    ValueError, TypeError
        When the shape, dtype or device of `y` does not fit, or a voxel lies on an antenna.
    """
    return A.image(y, KIRCHHOFF_COMPENSATED if compensate_aperture else KIRCHHOFF)
