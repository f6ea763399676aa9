"""Draw arrays, bands and grids of many kinds, so that a network learns no single radar by heart.

Everything is drawn relative to what the array resolves at the middle of the scene: a voxel is between a third and three
times the -3 dB width of the point-spread function, whatever wavelength and distance are. A network behind a physics
stage sees no metres, so one size of aperture for each kind, with random proportions, is as good as many.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, expected_sampling, operator_of
from mimo.least_squares import DataStep, data_step
from mimo.models.stages import Physics
from mimo.models.trained_for import MOST_VOXEL
from mimo.region import Region
from mimo.train.randomness import Stream, step_rng

__all__ = ["ARRAY_KINDS", "ArrayPool", "FactorisedPhysics", "Place", "draw_acquisition"]

Floats = npt.NDArray[np.float64]

MAX_MEASUREMENTS = 1800
"""Channels times frequencies: factorising so many takes seconds."""
CHANNELS = (16, 300)
"""Range of the number of channels, uniform in its logarithm; a few arrays have up to `MANY_CHANNELS`."""
MANY_CHANNELS, MANY_SHARE = 800, 0.1
FREQUENCIES = (5, 60)
"""Range of the number of frequencies, uniform in its logarithm, fewer where channels are many."""
RELATIVE_BANDWIDTH = (0.1, 1.2)
"""Bandwidth over centre frequency, uniform in its logarithm."""
CENTRE_FREQUENCY = (6e9, 80e9)
"""Uniform in its logarithm: with `WIDTH`, apertures of 6 to 80 wavelengths in air."""
DISTANCE = (0.6, 3.0)
"""Distance of the scene's middle over the width of the aperture, uniform in its logarithm."""
VOXEL = (1 / MOST_VOXEL, MOST_VOXEL)
"""Voxel over resolution, uniform in its logarithm for the three axes together, `VOXEL_SPREAD` for each."""
VOXEL_SPREAD = 0.3
VOXELS = (5000, 32_000)
"""Range of the number of voxels, uniform in its logarithm; where little room is left there may be fewer."""
LEAST_VOXELS = 500
SHORTEST, LONGEST = 12, 64
"""Fewest and most voxels along an axis, where it is not flat."""
FLAT_SHARE = 0.1
"""Share of the grids of one voxel along an axis."""
PERMITTIVITY_SHARE, PERMITTIVITY = 0.25, (1.5, 9.0)
"""Share of the scenes in another medium than air, and its permittivity."""
WIDTH = 0.3
"""Width of every aperture, metres."""


def draw_acquisition(rng: np.random.Generator, kinds: tuple[str, ...] | None = None) -> Acquisition:
    """Draw an array, a sweep, a grid and a medium.

    Parameters
    ----------
    rng
        Source of randomness; the same state gives the same acquisition.
    kinds
        Names in `ARRAY_KINDS`, each as likely; all by default.

    Returns
    -------
    Acquisition
        Of at most `MAX_MEASUREMENTS` channels times frequencies and 32,000 voxels, those of region ``auto`` inside.
    """
    kind = str(rng.choice(kinds or tuple(ARRAY_KINDS)))
    for _ in range(100):
        many = rng.random() < MANY_SHARE
        low, high = (CHANNELS[1], MANY_CHANNELS) if many else CHANNELS
        n_channel = int(_log_uniform(rng, low, high))
        array = ARRAY_KINDS[kind](rng, n_channel)
        n_freq = min(int(_log_uniform(rng, FREQUENCIES[0], FREQUENCIES[1] + 1)), MAX_MEASUREMENTS // array.n_channel)
        bandwidth = float(_log_uniform(rng, *RELATIVE_BANDWIDTH))
        permittivity = float(rng.uniform(*PERMITTIVITY)) if rng.random() < PERMITTIVITY_SHARE else 1.0
        centre_frequency = float(_log_uniform(rng, *CENTRE_FREQUENCY))
        band = centre_frequency * (1 + bandwidth / 2 * np.array([-1, 1]))
        sweep = FrequencySweep.linear(float(band[0]), float(band[1]), max(n_freq, 2))
        surrounds = kind == "hemisphere"
        middle = _middle(rng, surrounds)
        grid = _grid(rng, array, sweep, permittivity, middle, surrounds=surrounds)
        if grid is None:
            continue
        acquisition = Acquisition(array, sweep, grid, permittivity)
        inside = Region("auto").inside(acquisition)  # as `reconstruct` does by default
        if inside is None or inside.sum() >= LEAST_VOXELS:
            return acquisition.replace(inside=inside)
    raise RuntimeError(f"no grid fits an array of kind {kind}: expected one of 100 draws to do")


Place = tuple[int, int]
"""Number of an acquisition of a pool, and the slot that it is kept in instead of the one before."""


class FactorisedPhysics(Physics):
    """A measurement model whose least squares use eigenvectors, for any weight and with gradients; kept nowhere."""

    @functools.cached_property
    def data_step(self) -> DataStep:
        """See `Physics`."""
        return data_step(self.operator, solver="spectrum", cache=False)


class ArrayPool:
    """Random acquisitions at hand, replaced one after another: each is factorised once and serves many steps.

    Parameters
    ----------
    seed
        Of the acquisitions; those of a step are a function of seed and step alone.
    size
        Acquisitions at hand.
    steps
        Steps for which each stays.
    device
        Of their operators.
    """

    def __init__(self, seed: int, *, size: int, steps: int, device: torch.device) -> None:
        self.seed, self.size, self.steps, self.device = seed, size, steps, device
        self._kept: dict[int, tuple[int, Physics]] = {}

    def choose(self, step: int, rng: np.random.Generator) -> Place:
        """Return where one of those of a step is found, as `rng` chooses."""
        slot = int(rng.integers(self.size))
        age = (step + slot * self.steps // self.size) // self.steps  # slots change at different steps
        return age * self.size + slot, slot

    def get(self, place: Place) -> Physics:
        """Return the acquisition of a place: its number, and the slot in which it is kept for the next time."""
        index, slot = place
        if self._kept.get(slot, (-1, None))[0] != index:
            acquisition = draw_acquisition(step_rng(self.seed, Stream.ARRAY, index))
            self._kept[slot] = (index, FactorisedPhysics(operator_of(acquisition, device=self.device)))
        return self._kept[slot][1]


def _middle(rng: np.random.Generator, surrounds: bool) -> Floats:
    """Draw the middle of the scene, metres: before the aperture and a little aside, or within it."""
    if surrounds:
        return np.array([0.0, 0.0, float(rng.uniform(0.1, 0.3)) * WIDTH])
    distance = float(_log_uniform(rng, *DISTANCE)) * WIDTH
    return np.array([*(rng.normal(0, 0.15, 2) * distance), distance])


def _grid(
    rng: np.random.Generator,
    array: ArrayGeometry,
    sweep: FrequencySweep,
    permittivity: float,
    middle: Floats,
    *,
    surrounds: bool,
) -> VoxelGrid | None:
    """Draw voxels of a size relative to the resolution; ``None`` where too few fit before the array or within it."""
    point = VoxelGrid(*(np.array([value]) for value in middle))
    resolution = np.array(expected_sampling(array, sweep, point, permittivity=permittivity).resolution)
    ratio = float(_log_uniform(rng, *VOXEL)) * np.exp(rng.normal(0, VOXEL_SPREAD, 3))
    spacing = resolution * np.clip(ratio, *VOXEL)
    # before an array the nearest voxels stay 0.4 of the distance off
    room = np.array([1.1, 1.1, 0.8]) * WIDTH / 2 if surrounds else np.full(3, 1.2 * middle[2])
    spacing = np.minimum(spacing, room / SHORTEST)
    shape = np.exp(rng.normal(0, 0.35, 3))
    shape *= (float(_log_uniform(rng, *VOXELS)) / shape.prod()) ** (1 / 3)
    n = np.minimum(np.minimum(np.round(shape), LONGEST), np.floor(room / spacing) + 1).astype(int)
    if rng.random() < FLAT_SHARE and not surrounds:
        n[rng.integers(3)] = 1
    if (n < SHORTEST).sum() > (n == 1).sum() or n.prod() > VOXELS[1] or n.prod() < LEAST_VOXELS:
        return None
    half = (n - 1) * spacing / 2
    low = middle - half
    if surrounds:
        low[2] = max(low[2], 0.0)
    axes = [low[i] + spacing[i] * np.arange(n[i]) for i in range(3)]
    return VoxelGrid(*axes)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _split(rng: np.random.Generator, n_channel: int) -> tuple[int, int]:
    """Return a number of transmitters and one of receivers, at least 2 each, whose product is about `n_channel`."""
    n_tx = max(2, round(n_channel ** float(rng.uniform(0.25, 0.6))))
    n_rx = max(2, round(n_channel / n_tx))
    return (n_tx, n_rx) if rng.random() < 0.5 else (n_rx, n_tx)


def _mills(rng: np.random.Generator, n_channel: int) -> ArrayGeometry:
    n_tx, n_rx = _split(rng, n_channel)
    return ArrayGeometry.mills_cross(n_tx=n_tx, n_rx=n_rx, width=WIDTH)


def _lines(rng: np.random.Generator, n_channel: int) -> ArrayGeometry:
    """Two lines: a cross, a T or an L, of unequal lengths."""
    n_tx, n_rx = _split(rng, n_channel)
    tx, rx = (np.linspace(-0.5, 0.5, n) * WIDTH for n in (n_tx, n_rx))
    rx = rx * rng.uniform(0.5, 1)
    shift = rng.choice([-0.5, 0.0, 0.5], 2) * WIDTH  # an end or the middle of each line
    tx_pos = np.c_[tx, np.full(n_tx, shift[0]), np.zeros(n_tx)]
    rx_pos = np.c_[np.full(n_rx, shift[1]), rx, np.zeros(n_rx)]
    return ArrayGeometry(tx_pos, rx_pos)


def _planar(rng: np.random.Generator, n_channel: int) -> ArrayGeometry:
    """Two regular grids over the same rectangle or, as often, a dense grid of one kind and the rim of the other."""
    n_tx, n_rx = _split(rng, n_channel)
    shapes = []
    for n in (n_tx, n_rx):
        columns = max(2, round(n**0.5 * float(rng.uniform(0.7, 1.4))))
        shapes.append((columns, max(2, round(n / columns))))
    height = WIDTH * float(rng.uniform(0.4, 1))
    return ArrayGeometry.uniform_planar(tx_shape=shapes[0], rx_shape=shapes[1], width=WIDTH, height=height)


def _random(rng: np.random.Generator, n_channel: int) -> ArrayGeometry:
    n_tx, n_rx = _split(rng, n_channel)
    height = WIDTH * float(rng.uniform(0.4, 1))
    seed = int(rng.integers(2**31))
    return ArrayGeometry.random_planar(n_tx=n_tx, n_rx=n_rx, width=WIDTH, height=height, seed=seed)


def _raster(rng: np.random.Generator, n_channel: int) -> ArrayGeometry:
    """One antenna, or a pair side by side, moved over a rectangle."""
    columns = max(3, round(n_channel**0.5 * float(rng.uniform(0.6, 1.6))))
    shape = (columns, max(3, round(n_channel / columns)))
    scan = ArrayGeometry.planar_scan(shape=shape, width=WIDTH, height=WIDTH * float(rng.uniform(0.4, 1)))
    if rng.random() < 0.5:
        return scan
    apart = np.array([float(rng.uniform(0, 0.05)) * WIDTH, 0, 0])
    return ArrayGeometry(scan.tx_pos - apart / 2, scan.rx_pos + apart / 2, scan.channels)


def _hemisphere(rng: np.random.Generator, n_channel: int) -> ArrayGeometry:
    """Antennas on a half sphere around the scene; each with each other, or pairs not far from each other."""
    n = max(6, min(round((2 * n_channel) ** 0.5), 40))
    height = (np.arange(n) + 0.5) / n
    turn = np.arange(n) * np.pi * (3 - 5**0.5) + float(rng.uniform(0, 2 * np.pi))  # a sunflower's
    across = np.sqrt(1 - height**2)
    points = 0.55 * WIDTH * np.c_[across * np.cos(turn), across * np.sin(turn), height]
    points = points + rng.normal(0, 0.01 * WIDTH, points.shape)
    first, second = np.triu_indices(n, 0 if rng.random() < 0.5 else 1)
    chosen = rng.permutation(len(first))[: min(n_channel, len(first))]
    pairs = np.c_[first[chosen], second[chosen]]
    return ArrayGeometry(points, points, pairs)


ARRAY_KINDS: dict[str, Callable[[np.random.Generator, int], ArrayGeometry]] = {
    "mills": _mills,
    "lines": _lines,
    "planar": _planar,
    "random": _random,
    "raster": _raster,
    "hemisphere": _hemisphere,
}
"""Kinds of arrays by name, and what draws one of about so many channels."""
