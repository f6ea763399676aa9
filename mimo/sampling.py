"""Predict what an array, a sweep and a grid can resolve, before anything is measured.

Around a point the phase of channel (t, r) at frequency f changes by ``-K . d`` over a small offset d, with
``K = k_f (u_t + u_r)`` and u the unit vectors from the antennas to the point. The local point-spread function of
back-projection is therefore ``|mean over channels and frequencies of exp(j K . d)|``; resolution and grating lobes are
read from it. For a dense linear aperture L at range R it gives the textbook ``0.886 lambda R / (L_tx + L_rx)`` across
and ``0.886 c / (2 B)`` down range (Zhuge, Yarovoy, IEEE TGRS 49 (2011) 509, without the -3 dB factor).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light

from mimo.array import ArrayGeometry
from mimo.grid import AXES, VoxelGrid
from mimo.sweep import FrequencySweep

__all__ = ["Sampling", "expected_resolution", "expected_sampling", "unambiguous_range"]

HALF_POWER = math.sqrt(0.5)
LOBE_LIMIT_DB = -9.0
"""A lobe beside the main one above this is reported: a sinc's first sidelobe is at -13.3 dB."""

_MAX_SAMPLES, _MIN_CHANNELS = 65_536, 64
_LOBE_SAMPLES = 61


@dataclass(frozen=True)
class Sampling:
    """Holds the predicted resolution, ambiguity and sidelobes at one point of the scene.

    Attributes
    ----------
    point
        The point x, y, z, metres.
    resolution
        -3 dB widths of the local point-spread function along x, y, z, metres; infinite where nothing is resolved.
    unambiguous_range
        Extent of range (one way, metres) after which a frequency step repeats; infinite for one frequency.
    spacing
        Voxel spacing of the grid, metres; 0 along an axis of one voxel.
    highest_lobe_db
        Highest lobe beside the main one in the cross-range plane over the grid's extent, dB.
    warnings
        Sentences for a person, empty when all is well.
    """

    point: tuple[float, float, float]
    resolution: tuple[float, float, float]
    unambiguous_range: float
    spacing: tuple[float, float, float]
    highest_lobe_db: float
    warnings: tuple[str, ...]


def expected_sampling(
    array: ArrayGeometry,
    sweep: FrequencySweep,
    grid: VoxelGrid,
    *,
    permittivity: float = 1.0,
    point: tuple[float, float, float] | None = None,
) -> Sampling:
    """Predict resolution, ambiguity and sidelobes at a point (metres; the grid's centre by default), with advice.

    Of a large array only a random subset of channels is used, the same one every time: about 65,000 (channel,
    frequency) samples.
    """
    where = grid.center if point is None else point
    vectors = _wave_vectors(array, sweep, permittivity, np.asarray(where))
    resolution = _widths(vectors)
    ambiguity = unambiguous_range(sweep, permittivity=permittivity)
    lobe = _highest_lobe(vectors, grid, resolution)
    return Sampling(
        where, resolution, ambiguity, grid.spacing, lobe, _advice(grid, array, where, resolution, ambiguity, lobe)
    )


def expected_resolution(
    array: ArrayGeometry, sweep: FrequencySweep, point: tuple[float, float, float], *, permittivity: float = 1.0
) -> tuple[float, float, float]:
    """Predict the -3 dB widths along x, y, z at a point, both in metres, as `expected_sampling` does.

    It leaves out the search for lobes, which takes most of that one's time. Infinite where nothing is resolved.
    """
    return _widths(_wave_vectors(array, sweep, permittivity, np.asarray(point)))


def unambiguous_range(sweep: FrequencySweep, *, permittivity: float = 1.0) -> float:
    """Return ``c / (2 sqrt(permittivity) step)`` in metres; the widest step counts when spacing is not uniform."""
    if sweep.n_freq == 1:
        return math.inf
    return speed_of_light / (2 * math.sqrt(permittivity) * float(np.diff(sweep.freq).max()))


def _widths(vectors: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the -3 dB widths along x, y, z, metres, of the point-spread function of wave vectors ``(n, 3)``."""
    dx, dy, dz = (_half_power_width(vectors[:, i]) for i in range(3))
    return dx, dy, dz


def _wave_vectors(
    array: ArrayGeometry, sweep: FrequencySweep, permittivity: float, point: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return K of every frequency and chosen channel, (n_freq * n, 3), frequency-major, radians a metre."""
    channels = array.channel_indices()
    n_kept = max(_MIN_CHANNELS, _MAX_SAMPLES // sweep.n_freq)
    if len(channels) > n_kept:
        channels = channels[np.random.default_rng(0).choice(len(channels), n_kept, replace=False)]
    wavenumber = sweep.wavenumber(permittivity)

    direction = array.looks(0, point)[channels[:, 0]] + array.looks(1, point)[channels[:, 1]]
    return (wavenumber[:, None, None] * direction).reshape(-1, 3)


def _half_power_width(component: npt.NDArray[np.float64], weight: npt.NDArray[np.float64] | None = None) -> float:
    """Return the full -3 dB width, metres, of the (weighted) ``|mean exp(j K d)|`` along one axis.

    Steps of a twentieth of 2 pi / spread find the first crossing, bisection refines it.
    """
    spread = float(np.ptp(component))
    if spread * 1e3 < 1e-3:  # no change over a kilometre
        return math.inf
    centred = component - component.mean()

    def response(offset: float) -> float:
        return float(np.abs(np.average(np.exp(1j * centred * offset), weights=weight)))

    low, step = 0.0, 0.05 * 2 * np.pi / spread
    while response(low + step) > HALF_POWER:
        low += step
        if low > 1e4 * step:
            return math.inf
    high = low + step
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if response(middle) > HALF_POWER else (low, middle)
    return low + high


def _highest_lobe(vectors: npt.NDArray[np.float64], grid: VoxelGrid, resolution: tuple[float, ...]) -> float:
    """Return the highest value, dB, of the point-spread function in the x-y plane outside 1.5 widths of the point."""
    offsets = []
    for axis in (grid.x, grid.y):
        half = float(axis[-1] - axis[0])
        offsets.append(np.linspace(-half, half, _LOBE_SAMPLES) if half > 0 else np.zeros(1))
    steps_x, steps_y = (np.exp(1j * np.outer(offset, vectors[:, i])) for i, offset in enumerate(offsets))
    response = np.abs(steps_x @ steps_y.T) / len(vectors)
    with np.errstate(invalid="ignore"):
        away = sum((offset / (1.5 * width)) ** 2 for offset, width in zip(_mesh(offsets), resolution, strict=False)) > 1
    outside = response[away]
    return float(20 * np.log10(max(outside.max(), 1e-12))) if outside.size else -math.inf


def _mesh(offsets: list[npt.NDArray[np.float64]]) -> list[npt.NDArray[np.float64]]:
    return list(np.meshgrid(*offsets, indexing="ij"))


def _advice(
    grid: VoxelGrid,
    array: ArrayGeometry,
    point: tuple[float, float, float],
    resolution: tuple[float, ...],
    ambiguity: float,
    lobe: float,
) -> tuple[str, ...]:
    advice = []
    for name, step, width in zip(AXES, grid.spacing, resolution, strict=True):
        if step > width:
            advice.append(f"voxels along {name} are {step:.3g} m apart, coarser than the resolution of {width:.3g} m")
    corners = np.array([[x, y, z] for x in grid.x[[0, -1]] for y in grid.y[[0, -1]] for z in grid.z[[0, -1]]])
    if any(array.far):
        depth = float(np.linalg.norm(np.ptp(corners, axis=0)))
    else:
        antennas = np.concatenate([array.tx_pos, array.rx_pos])
        path = np.linalg.norm(antennas[:, None] - corners, axis=-1)
        near = np.linalg.norm(antennas - np.clip(antennas, corners.min(0), corners.max(0)), axis=1)
        depth = float(path.max() - near.min())
    if depth > ambiguity:
        advice.append(f"the scene spans {depth:.3g} m of range, more than the unambiguous {ambiguity:.3g} m")
    if lobe > LOBE_LIMIT_DB:
        advice.append(
            f"a lobe of {lobe:.1f} dB stands beside the main one in the plane z = {point[2]:.3g} m: antennas are too "
            "far apart for this band (grating lobe)"
        )
    return tuple(advice)
