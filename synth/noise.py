"""Draw what separates a measurement from the model: noise, channel and position errors, clutter, missing channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mimo import ArrayGeometry, VoxelGrid

__all__ = [
    "Realism",
    "add_clutter",
    "add_noise",
    "chain_gains",
    "check_snr",
    "complex_normal",
    "displaced",
    "draw_clutter",
    "draw_live",
    "noise_std",
    "with_missing_channels",
]

MASK_KEY = 1
"""Spawn key that sets the one draw of a dataset (its missing channels) apart from the draws of its scenes."""


@dataclass(frozen=True, kw_only=True)
class Realism:
    """Departures from the ideal measurement; all are off by default.

    Parameters
    ----------
    gain_error_db
        Standard deviation of a channel's gain error, dB. Each transmit and each receive chain has its own error, normal
        in dB with ``gain_error_db / sqrt(2)``, the same at all frequencies; a channel's error is the sum of its two.
    phase_error_deg
        The same for the phase, degrees.
    position_error
        Standard deviation of each coordinate of each antenna, metres: the scene is measured by the displaced antennas,
        while the file states the nominal positions.
    missing_channels
        Fraction of the channels that are missing, drawn once for a dataset: their data are 0 and the file's mask is
        false. Below 1; only for an array of every pair.
    clutter_db
        Power of a weak background relative to the target's, dB (mean power over the measurement), or ``None``: every
        voxel of the grid holds a scatterer with an independent circular complex normal reflectivity. Not in the truth.

    Raises
    ------
    ValueError
        When a value is out of range; the message names it.

    Notes
    -----
    Gain, phase and position errors and clutter are drawn anew for each scene, so that a network trained on the set does
    not learn one array's faults. `position_error` costs a new operator for each scene.
    """

    gain_error_db: float = 0.0
    phase_error_deg: float = 0.0
    position_error: float = 0.0
    missing_channels: float = 0.0
    clutter_db: float | None = None

    def __post_init__(self) -> None:
        for name in ("gain_error_db", "phase_error_deg", "position_error"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}: expected a standard deviation, 0 or more")
        if not 0 <= self.missing_channels < 1:
            raise ValueError(f"missing_channels is {self.missing_channels}: expected a fraction, from 0 to below 1")
        if self.clutter_db is not None and not np.isfinite(self.clutter_db):
            raise ValueError(f"clutter_db is {self.clutter_db}: expected dB relative to the target, or None")


def noise_std(measurement: npt.NDArray[np.complexfloating], snr_db: float) -> float:
    """Return the standard deviation of the complex noise that gives a measurement an SNR.

    ``SNR = mean |y|^2 / mean |n|^2``, so ``std = sqrt(mean |y|^2 / 10^(snr_db / 10))``; the real and the imaginary part
    of the noise have ``std / sqrt(2)`` each.

    Parameters
    ----------
    measurement
        Noiseless, complex, any shape; leave missing channels out of it.
    snr_db
        Signal to noise ratio in dB; infinity gives 0.

    Returns
    -------
    float
        In the unit of the measurement.

    Raises
    ------
    ValueError
        When `snr_db` is NaN or minus infinity.
    """
    check_snr(snr_db)
    return float(np.sqrt(_power(measurement) / 10 ** (snr_db / 10)))


def add_noise(
    measurement: npt.NDArray[np.complexfloating], snr_db: float, rng: np.random.Generator
) -> npt.NDArray[np.complex64]:
    """Add white circular complex normal noise at an SNR (see `noise_std`).

    Parameters
    ----------
    measurement
        One noiseless scene, complex, any shape: the power is the mean over all of it.
    snr_db
        Signal to noise ratio in dB.
    rng
        Source of randomness.

    Returns
    -------
    complex64 array
        Of the shape of `measurement`, which is not changed.
    """
    measurement = np.asarray(measurement, np.complex64)
    return measurement + noise_std(measurement, snr_db) * complex_normal(measurement.shape, rng)


def check_snr(snr_db: float) -> None:
    """Raise ``ValueError`` when `snr_db` is not a number of dB (plus infinity, no noise, is one)."""
    if np.isnan(snr_db) or snr_db == -np.inf:
        raise ValueError(f"snr_db is {snr_db}: expected a number of dB")


def complex_normal(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Draw independent circular complex normal numbers of unit mean power, complex64 of `shape`."""
    parts = rng.standard_normal((*shape, 2), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return parts.view(np.complex64)[..., 0]


def chain_gains(array: ArrayGeometry, realism: Realism, rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Draw the gain of each channel of one scene: the product of its transmit and its receive chain's.

    Parameters
    ----------
    array
        Its channels.
    realism
        ``gain_error_db`` and ``phase_error_deg``: standard deviations of a channel.
    rng
        Source of randomness.

    Returns
    -------
    complex64 array
        ``array.measurement_shape``: multiply the measurement by it.
    """
    n = array.n_tx + array.n_rx
    level = rng.standard_normal(n) * realism.gain_error_db / np.sqrt(2)
    angle = np.deg2rad(rng.standard_normal(n) * realism.phase_error_deg / np.sqrt(2))
    chain = 10 ** (level / 20) * np.exp(1j * angle)
    tx, rx = chain[: array.n_tx], chain[array.n_tx :]
    if array.channels is not None:
        return (tx[array.channels[:, 0]] * rx[array.channels[:, 1]]).astype(np.complex64)
    return (tx[:, None] * rx).astype(np.complex64)


def displaced(array: ArrayGeometry, std: float, rng: np.random.Generator) -> ArrayGeometry:
    """Return the array with every coordinate of every antenna moved by a normal error of `std` metres."""
    array.check_near("an error of the antennas' positions")
    return ArrayGeometry(
        array.tx_pos + std * rng.standard_normal((array.n_tx, 3)),
        array.rx_pos + std * rng.standard_normal((array.n_rx, 3)),
        array.channels,
        array.mask,
        array.tx_normal,
        array.rx_normal,
        array.name,
    )


def with_missing_channels(array: ArrayGeometry, fraction: float, seed: int) -> ArrayGeometry:
    """Return the array with a mask that drops a fraction of its channels, the same for every scene of a dataset.

    Parameters
    ----------
    array
        An array of every pair; a mask it has already stays.
    fraction
        Part of the channels that are dropped, rounded to a whole number; at least one channel is kept.
    seed
        The dataset's seed.

    Returns
    -------
    ArrayGeometry
        `array` itself when nothing is dropped.

    Raises
    ------
    ValueError
        When the array is paired: its channels are a list, so leave some out of it instead.
    """
    if fraction == 0:
        return array
    if array.paired:
        raise ValueError("missing_channels needs an array of every pair: leave channels out of a paired array's list")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(MASK_KEY,)))
    return array.with_mask(draw_live(array, fraction, rng))


def draw_live(array: ArrayGeometry, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw which channels carry data when a fraction of them is missing, bool ``array.measurement_shape``.

    The fraction is rounded to a whole number of channels; at least one is kept, and one that the array's own mask
    leaves out stays so.
    """
    live = np.ones(array.measurement_shape, bool) if array.mask is None else array.mask.copy()
    there = np.flatnonzero(live)
    n_drop = min(round(fraction * len(there)), len(there) - 1)
    live.flat[there[rng.choice(len(there), n_drop, replace=False)]] = False
    return live


def draw_clutter(grid: VoxelGrid, rng: np.random.Generator) -> npt.NDArray[np.complex64]:
    """Draw a background of scatterers, one a voxel, circular complex normal: complex64 ``(n_x, n_y, n_z)``."""
    return complex_normal(grid.shape, rng)


def add_clutter(
    measurement: npt.NDArray[np.complex64], clutter: npt.NDArray[np.complex64], clutter_db: float
) -> npt.NDArray[np.complex64]:
    """Add a background's measurement, scaled to a mean power of `clutter_db` relative to the target's.

    Parameters
    ----------
    measurement, clutter
        Measurements of the target and of the background, complex64, of one shape.
    clutter_db
        Mean power of the background over that of the target, dB.

    Returns
    -------
    complex64 array
        The sum, of the same shape.
    """
    gain = np.sqrt(_power(measurement) * 10 ** (clutter_db / 10) / _power(clutter))
    return measurement + np.float32(gain) * clutter


def _power(measurement: npt.NDArray[np.complexfloating]) -> float:
    """Mean of ``|y|^2``, summed in float64."""
    parts = np.ascontiguousarray(measurement).view(measurement.real.dtype).astype(np.float64)
    return float(np.sum(parts * parts)) / measurement.size
