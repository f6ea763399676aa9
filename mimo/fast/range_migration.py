"""Form images by range migration: back-projection carried out on plane waves, at the cost of a few transforms.

`mimo.fast.scan_migration` does it for scans, monostatic ones and those of a board of transmitters and receivers that
moves as a whole, to a stated phase error; `mimo.fast.multistatic_migration` for arrays in which every transmitter is
received by every receiver, and for lists of channels that are no scan to that error, without one.
"""

from __future__ import annotations

import torch

from mimo.fast.multistatic_migration import MultistaticPlan
from mimo.fast.scan_migration import TOLERANCE, ScanPlan
from mimo.imaging_operator import ImagingOperator

__all__ = ["migration_seconds", "range_migration"]


def range_migration(
    y: torch.Tensor,
    A: ImagingOperator,
    *,
    padding: float = 1.0,
    aperture_taper: float = 0.0,
    band_taper: float = 0.0,
    tolerance: float = TOLERANCE,
) -> torch.Tensor:
    """Image a planar scan or array by range migration: nearly `mimo.backproject`, through plane waves.

    Parameters
    ----------
    y
        Measurement ``(..., *A.measurement_shape)``.
    A
        The operator: isotropic antennas in a homogeneous medium, any sweep, evenly spaced z on one side of the
        antennas. Its array is one of two kinds:

        - a scan, whose channels are listed: the points midway between transmitter and receiver lie in a plane of
          constant z on a grid of rows and columns (in any order, at any spacing, quickest at an even one; missing
          points count as zero), one grid for each offset between the two: none for a monostatic scan, one for each
          pair of antennas of a board on a scanner; the voxels' x and y are any;
        - an array of every pair, or a list of channels that is no such scan or would be left with a larger phase error
          than `tolerance`, with each side anywhere in a plane of constant z; the voxels' x and y are evenly spaced.
    padding
        0.25 to 16. Sampling the plane waves makes the plane repeat; its period is `padding` times the shortest one at
        which no wave within the angles of the scene wraps around into it. Time grows with its square, for an array of
        every pair with its fourth power. Less than 1 is enough where the data hold little but the scene.
    aperture_taper, band_taper
        Share of the aperture (along x and y) and of the band over which data rise and fall like a cosine, 0 to 1: 0 is
        no window, 1 a Hann window. Lower sidelobes for wider main lobes.
    tolerance
        Of a scan with transmitters apart from their receivers: largest phase error of any channel at any voxel that is
        left when the scan is made monostatic, 0.001 to 1 radians; it is computed from the geometry
        (`mimo.fast.compensation`). 0.1 rad is an error of a tenth of that channel's contribution, -20 dB, and as it is
        systematic, at most so much of the image at the nearest and the farthest voxels; less elsewhere. A smaller
        number takes more reference depths, and time in proportion; what takes too many is imaged like an array of every
        pair, from pairs of waves, which leave no such error, or refused where these are too many.

    Returns
    -------
    torch.Tensor
        ``(..., n_x, n_y, n_z)``, complex, scaled as `mimo.backproject`.

    Raises
    ------
    ValueError
        When the geometry or the medium does not fit; the message says what was found and what is expected.
    ImportError
        For an array that is imaged from pairs of waves, when ``finufft`` is not installed.

    Notes
    -----
    Evanescent waves (kz imaginary) are dropped, and so are waves steeper than any line from the aperture to the grid
    and, along x and y each, than `mimo.fast.scan_migration.STEEPEST`. For a scan, the largest difference from
    `mimo.backproject` over the largest magnitude is about -50 dB where the image has a peak and -24 to -30 dB for pure
    noise; it grows where voxels are within a few wavelengths of the plane. About ``8 n_kx n_ky n_freq (n_X + n_z)``
    operations, n_X being positions along x and n_kx, n_ky the waves kept: period x largest wavenumber / pi. Memory:
    ``n_X n_ky n_freq + n_x n_ky n_z`` numbers. n_freq counts the frequencies at which the sweep is gathered, about the
    scene's extent of paths times the bandwidth over the speed of light.

    From pairs of waves the differences are about -30 dB and -16 to -22 dB. Time goes with the pairs of waves,
    ``(n_kx n_ky)^2 n_freq``, some 3 to 5 million a second and core, and neither with antennas nor with voxels: it pays
    where both are many and the aperture is few wavelengths wide; `mimo.backproject_factorised` is quicker otherwise. A
    list adds a term for each channel and pair of waves, some 3 thousand million a second.
    """
    for name, share in (("aperture_taper", aperture_taper), ("band_taper", band_taper)):
        if not (isinstance(share, int | float) and 0 <= share <= 1):
            raise ValueError(f"{name} is {share!r}: expected a number from 0 to 1")
    if not (isinstance(padding, int | float) and 0.25 <= padding <= 16):
        raise ValueError(f"padding is {padding!r}: expected a number from 0.25 to 16")
    if not (isinstance(tolerance, int | float) and 1e-3 <= tolerance <= 1):
        raise ValueError(f"tolerance is {tolerance!r}: expected radians from 0.001 to 1")
    plan = _plan(A, padding, aperture_taper, band_taper, tolerance)

    def images(flat: torch.Tensor) -> torch.Tensor:
        def image(i: int) -> torch.Tensor:
            return plan.image(flat[i], lambda share: A.report((i + share) / len(flat)))

        return A.acquisition.voxels.pick(torch.stack([image(i) for i in range(len(flat))]))

    return A.image_by(y, images)


def migration_seconds(A: ImagingOperator) -> float:
    """Predict the seconds of `range_migration` for one scene on one core; `ValueError` when the geometry is unfit."""
    return _plan(A, 1.0, 0.0, 0.0, TOLERANCE).seconds()


def _plan(
    A: ImagingOperator, padding: float, aperture_taper: float, band_taper: float, tolerance: float
) -> ScanPlan | MultistaticPlan:
    if not A.array.paired:
        return MultistaticPlan(A, padding, aperture_taper, band_taper)
    try:
        return ScanPlan(A, padding, aperture_taper, band_taper, tolerance=tolerance)
    except ValueError as refused:
        try:
            return MultistaticPlan(A, padding, aperture_taper, band_taper)
        except (ValueError, ImportError) as error:
            if str(error) == str(refused):
                raise
            raise ValueError(f"{refused}; nor pairs of plane waves: {error}") from error
