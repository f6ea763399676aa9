"""Measure the quality of an image, against a known truth (PSNR, SSIM) or alone (sharpness, contrast, point width).

Every function takes one volume ``(n_x, n_y, n_z)``, complex or real, and uses its magnitude alone. None depends on the
scale of the image, because the published measures compare images divided by their own maximum.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from mimo import VoxelGrid

__all__ = ["entropy", "peak_position", "peak_to_mean_db", "point_widths", "psnr", "ssim"]

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
HALF_POWER = 1 / math.sqrt(2)


def psnr(image: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Compute the peak signal-to-noise ratio of a magnitude image, in dB.

    ::

        PSNR = 10 log10(1 / mean((|image| / max|image| - |truth| / max|truth|)^2))

    the mean taken over every voxel, as in arXiv 2312.16959 and 2312.16024.

    Parameters
    ----------
    image, truth
        The estimate and the true volume, complex or real ``(n_x, n_y, n_z)``, in any scale.

    Returns
    -------
    float
        dB; ``inf`` when the two normalised magnitudes are equal.

    Raises
    ------
    ValueError
        When a volume is not three-dimensional, empty, all zero or not finite, or when the two shapes differ.
    """
    estimate, true = _pair(image, truth)
    error = float(np.mean((estimate - true) ** 2))
    return -10 * math.log10(error) if error > 0 else math.inf


def ssim(image: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Compute the mean structural similarity (SSIM) of a magnitude image, in three dimensions.

    The index of Wang, Bovik, Sheikh and Simoncelli, *IEEE Trans. Image Processing* 13 (2004) 600-612, eq. 13, ::

        (2 m_a m_b + c1) (2 s_ab + c2) / ((m_a^2 + m_b^2 + c1) (s_a^2 + s_b^2 + c2)),  c1 = 0.01^2, c2 = 0.03^2

    with means, variances and covariance under a Gaussian window of 11 voxels along each axis and sigma 1.5 voxels,
    both magnitudes divided by their own maximum (data range 1). The mean leaves out the 5 voxels next to each border,
    where the window is cut off. An axis shorter than 11 voxels has no such interior: it is reflected at its ends and
    all its voxels count.

    Parameters
    ----------
    image, truth
        The estimate and the true volume, complex or real ``(n_x, n_y, n_z)``, in any scale.

    Returns
    -------
    float
        1 when the two normalised magnitudes are equal, less otherwise.

    Raises
    ------
    ValueError
        When a volume is not three-dimensional, empty, all zero or not finite, or when the two shapes differ.
    """
    estimate, true = _pair(image, truth)
    border = SSIM_WINDOW // 2
    # The filter reflects at the border exactly as 'symmetric' does, and the border is cropped again before the mean.
    pad = [(border, border) if n < SSIM_WINDOW else (0, 0) for n in true.shape]
    return float(
        structural_similarity(
            np.pad(estimate, pad, mode="symmetric"),
            np.pad(true, pad, mode="symmetric"),
            gaussian_weights=True,
            sigma=SSIM_SIGMA,
            use_sample_covariance=False,
            data_range=1.0,
        )
    )


def peak_to_mean_db(image: npt.ArrayLike, where: npt.ArrayLike | None = None) -> float:
    """Compute the ratio of the largest magnitude to the mean magnitude, ``20 log10(max|x| / mean|x|)``, in dB.

    Parameters
    ----------
    image
        Complex or real ``(n_x, n_y, n_z)``.
    where
        bool, same shape: the voxels of the mean (say, the background). The peak is always sought in the whole image.

    Returns
    -------
    float
        dB, 0 or more without `where`; ``inf`` when every voxel of `where` is zero.

    Raises
    ------
    ValueError
        When the image is not three-dimensional, empty, all zero or not finite, or `where` has another shape, is not
        bool or selects no voxel.
    """
    magnitude = _magnitude("image", image)
    peak = magnitude.max()
    if where is not None:
        mask = np.asarray(where)
        if mask.dtype != np.bool_ or mask.shape != magnitude.shape:
            raise ValueError(f"where is {mask.dtype} {mask.shape}: expected bool {magnitude.shape}, as the image")
        if not mask.any():
            raise ValueError("where selects no voxel: expected at least one True")
        magnitude = magnitude[mask]
    mean = float(magnitude.mean())
    return 20 * math.log10(float(peak) / mean) if mean > 0 else math.inf


def entropy(image: npt.ArrayLike) -> float:
    """Compute the Shannon entropy of the normalised intensity, in nats: low when few voxels hold the energy.

    ::

        H = -sum_v p_v ln p_v,   p_v = |x_v|^2 / sum_u |x_u|^2

    It ranges from 0 (one bright voxel) to ln(n_voxel) (all alike) and is the usual measure of focus. Compare it only
    between images on the same grid.

    Parameters
    ----------
    image
        Complex or real ``(n_x, n_y, n_z)``.

    Raises
    ------
    ValueError
        When the image is not three-dimensional, empty, all zero or not finite.
    """
    magnitude = _magnitude("image", image)
    intensity = (magnitude / magnitude.max()) ** 2
    p = intensity / intensity.sum()
    p = p[p > 0]
    return max(0.0, float(-np.sum(p * np.log(p))))


def peak_position(image: npt.ArrayLike, grid: VoxelGrid) -> tuple[float, float, float]:
    """Find the centre (x, y, z) of the brightest voxel, in metres; the first one in memory order among equals.

    Raises
    ------
    ValueError
        When the image is not of the grid's shape, all zero or not finite.
    """
    i, j, k = _peak(_on_grid(image, grid))
    return float(grid.x[i]), float(grid.y[j]), float(grid.z[k])


def point_widths(image: npt.ArrayLike, grid: VoxelGrid) -> tuple[float, float, float]:
    """Measure the -3 dB widths (x, y, z) of the brightest point, in metres.

    The width along an axis, through the brightest voxel, is the distance between the two nearest places where the
    magnitude falls to 1/sqrt(2) of that voxel's, interpolated linearly between voxel centres. The peak itself is not
    interpolated, so sample a response with several voxels across its width.

    Parameters
    ----------
    image
        Complex or real ``(n_x, n_y, n_z)``, of the grid's shape.
    grid
        The voxel grid; its spacing may vary.

    Returns
    -------
    tuple of float
        Metres; NaN along an axis of one voxel, and where the level is not reached on both sides inside the grid.

    Raises
    ------
    ValueError
        When the image is not of the grid's shape, all zero or not finite.
    """
    magnitude = _on_grid(image, grid)
    i, j, k = _peak(magnitude)
    return (
        _width(magnitude[:, j, k], grid.x, i),
        _width(magnitude[i, :, k], grid.y, j),
        _width(magnitude[i, j, :], grid.z, k),
    )


def _magnitude(name: str, volume: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return |volume| in float64, after the checks that every measure needs."""
    array = np.asarray(volume)
    if array.ndim != 3 or not array.size:
        raise ValueError(f"{name} has shape {array.shape}: expected one volume (n_x, n_y, n_z)")
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise ValueError(f"{name} has {bad} NaN or infinite of {array.size} voxels: expected finite values")
    wide = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
    magnitude: npt.NDArray[np.float64] = np.abs(wide)
    if not magnitude.any():
        raise ValueError(f"{name} is all zero: expected a volume with a maximum to divide by")
    return magnitude


def _pair(image: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return both magnitudes, each divided by its own maximum."""
    if np.shape(image) != np.shape(truth):
        raise ValueError(f"image has shape {np.shape(image)}, truth has shape {np.shape(truth)}: expected the same")
    estimate, true = _magnitude("image", image), _magnitude("truth", truth)
    return estimate / estimate.max(), true / true.max()


def _on_grid(image: npt.ArrayLike, grid: VoxelGrid) -> npt.NDArray[np.float64]:
    if np.shape(image) != grid.shape:
        raise ValueError(f"image has shape {np.shape(image)}, grid has shape {grid.shape}: expected the same")
    return _magnitude("image", image)


def _peak(magnitude: npt.NDArray[np.float64]) -> tuple[int, int, int]:
    i, j, k = np.unravel_index(int(magnitude.argmax()), magnitude.shape)
    return int(i), int(j), int(k)


def _width(profile: npt.NDArray[np.float64], axis: npt.NDArray[np.float64], peak: int) -> float:
    """Return the full width of `profile` (n,) at 1/sqrt(2) of its value at index `peak`, in the unit of `axis`."""
    level = HALF_POWER * profile[peak]
    ends = []
    for step in (-1, 1):
        at = peak + step
        while 0 <= at < len(profile) and profile[at] > level:
            at += step
        if not 0 <= at < len(profile):
            return math.nan
        inner = at - step
        share = (profile[inner] - level) / (profile[inner] - profile[at])
        ends.append(float(axis[inner] + share * (axis[at] - axis[inner])))
    return ends[1] - ends[0]
