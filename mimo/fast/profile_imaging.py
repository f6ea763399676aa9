"""Form images through range profiles: back-projection and Kirchhoff migration of many frequencies."""

from __future__ import annotations

import torch

from mimo.fast.profile_sum import PADDING, ProfileSum
from mimo.imaging_operator import ImagingOperator
from mimo.propagation import BACKPROJECTION, KIRCHHOFF, KIRCHHOFF_COMPENSATED, FactorModel

__all__ = ["backproject_fast", "kirchhoff_fast"]


def backproject_fast(y: torch.Tensor, A: ImagingOperator, *, padding: float = PADDING) -> torch.Tensor:
    """Back-project coherently through range profiles: nearly `mimo.backproject`, quicker for many frequencies.

    Parameters
    ----------
    y
        Measurement ``(..., *A.measurement_shape)``; masked channels do not count.
    A
        The operator whose geometry, medium, reference path, flat patterns, precision and device are used.
    padding
        Samples of a profile for each frequency, 1.5 to 64. A larger number is more accurate but takes memory and, once
        a profile exceeds the first-level cache, time.

    Returns
    -------
    torch.Tensor
        ``(..., n_x, n_y, n_z)``, complex, scaled as `mimo.backproject`.

    Raises
    ------
    ValueError
        When `padding` is out of range, or the antennas' pattern is not real or depends on the frequency.

    Notes
    -----
    The largest difference from `mimo.backproject`, over the largest magnitude of the image, is below -57 dB at the
    default padding and -50 dB at 1.5 for pure noise, the hardest measurement; where an image has a peak it is about
    -75 dB and -65 dB. About 40 operations for each (channel, voxel) pair, whatever the number of frequencies, after a
    transform of each channel; profiles take ``padding n_freq`` numbers a channel. A sweep without
    a constant step is transformed as a matrix product over the scene's extent of paths instead of by an FFT.
    """
    return _image(y, A, BACKPROJECTION, padding)


def kirchhoff_fast(
    y: torch.Tensor, A: ImagingOperator, *, compensate_aperture: bool = False, padding: float = PADDING
) -> torch.Tensor:
    """Apply Kirchhoff migration through range profiles: nearly `mimo.kirchhoff`, quicker for many frequencies.

    Parameters
    ----------
    y
        Measurement ``(..., *A.measurement_shape)``; masked channels do not count.
    A
        The operator whose geometry, medium, reference path, flat patterns, precision and device are used.
    compensate_aperture
        Leave out the division by the distances, as in `mimo.kirchhoff`.
    padding
        Samples of a profile for each frequency, 1.5 to 64, as in `backproject_fast`.

    Returns
    -------
    torch.Tensor
        ``(..., n_x, n_y, n_z)``, complex, scaled as `mimo.kirchhoff`.

    Raises
    ------
    ValueError
        When `padding` is out of range, the antennas' pattern is not real or depends on the frequency, antennas are
        infinitely far away, or a voxel lies on an antenna.

    Notes
    -----
    The largest difference from `mimo.kirchhoff`, over the largest magnitude of the image, is as small as that of
    `backproject_fast`, below -55 dB for pure noise at the default padding. The near-field factor depends on the
    frequency and takes three profiles a channel instead of one, and about three times the time.
    """
    return _image(y, A, KIRCHHOFF_COMPENSATED if compensate_aperture else KIRCHHOFF, padding)


def _image(y: torch.Tensor, A: ImagingOperator, model: FactorModel, padding: float) -> torch.Tensor:
    if not (isinstance(padding, int | float) and 1.5 <= padding <= 64):
        raise ValueError(f"padding is {padding!r}: expected a number from 1.5 to 64")
    sums = ProfileSum(A.acquisition, model, padding=float(padding), dtype=A.dtype, device=A.device)
    return A.image_by(y, lambda flat: sums.adjoint(flat, A.report))
