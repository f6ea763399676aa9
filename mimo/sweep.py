"""Describe the frequencies at which a radar measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light

from mimo._values import frozen_array, points_repr, same_arrays

__all__ = ["FrequencySweep"]

LOWEST_FREQUENCY = 1e3
"""Lowest frequency that is accepted, hertz; a lower number is probably in another unit."""


@dataclass(frozen=True, eq=False, repr=False)
class FrequencySweep:
    """Holds the frequencies of a measurement, ascending, in hertz, with any spacing.

    Parameters
    ----------
    freq
        float64 ``(n_freq,)``, hertz, strictly ascending, 1 kHz or more (a lower one was probably given in GHz).

    Raises
    ------
    ValueError
        When the frequencies are empty, not finite, not ascending or below 1 kHz.

    Examples
    --------
    >>> sweep = FrequencySweep.linear(4e9, 16e9, 15)
    >>> sweep.n_freq, sweep.bandwidth
    (15, 12000000000.0)
    >>> eval(repr(sweep)) == sweep
    True
    """

    freq: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        freq = frozen_array("freq", self.freq, np.float64)
        if freq.ndim != 1 or not len(freq):
            raise ValueError(f"freq has shape {freq.shape}: expected (n_freq,) with n_freq at least 1, in Hz")
        if not np.isfinite(freq).all():
            raise ValueError(f"freq[{int(np.flatnonzero(~np.isfinite(freq))[0])}] is not finite: expected hertz")
        if freq.min() < LOWEST_FREQUENCY:
            raise ValueError(f"freq has {freq.min():g} Hz: expected 1 kHz or more (in GHz?)")
        if (np.diff(freq) <= 0).any():
            at = int(np.flatnonzero(np.diff(freq) <= 0)[0])
            raise ValueError(
                f"freq is not ascending: freq[{at}] = {freq[at]:g} Hz, freq[{at + 1}] = {freq[at + 1]:g} Hz, "
                "expected low to high"
            )
        object.__setattr__(self, "freq", freq)

    @classmethod
    def linear(cls, start: float, stop: float, n: int) -> FrequencySweep:
        """Return `n` evenly spaced frequencies from `start` to `stop` hertz, both included.

        ``ValueError`` when `n` is no count, or 1 with two different ends.
        """
        if n < 1 or int(n) != n:
            raise ValueError(f"n is {n}: expected a whole number of frequencies, 1 or more")
        if n == 1 and start != stop:
            raise ValueError(f"one frequency cannot span {start:g} to {stop:g} Hz: expected start == stop")
        return cls(np.linspace(start, stop, int(n)))

    @property
    def n_freq(self) -> int:
        """Number of frequencies."""
        return len(self.freq)

    @property
    def bandwidth(self) -> float:
        """Highest minus lowest frequency, hertz."""
        return float(self.freq[-1] - self.freq[0])

    @property
    def center(self) -> float:
        """Middle of the band, hertz."""
        return float(self.freq[0] + self.freq[-1]) / 2

    @property
    def step(self) -> float | None:
        """Spacing in hertz when it is uniform to 1e-9 of the highest frequency, else ``None``; 0 for one frequency."""
        if self.n_freq == 1:
            return 0.0
        step = self.bandwidth / (self.n_freq - 1)
        ideal = self.freq[0] + step * np.arange(self.n_freq)
        return step if np.abs(self.freq - ideal).max() <= 1e-9 * self.freq[-1] else None

    @property
    def is_uniform(self) -> bool:
        """Whether the spacing is uniform to the last digits, so that advancing by a constant step costs no accuracy."""
        ideal = self.freq[0] + self.bandwidth * np.arange(self.n_freq) / max(1, self.n_freq - 1)
        return bool(np.abs(self.freq - ideal).max() <= 4 * np.finfo(float).eps * self.freq[-1])

    def wavenumber(self, permittivity: float = 1.0) -> npt.NDArray[np.float64]:
        """Return the wavenumbers 2 pi f sqrt(permittivity) / c, float64 ``(n_freq,)``, radians a metre."""
        return 2 * np.pi * self.freq * np.sqrt(permittivity) / speed_of_light

    def __eq__(self, other: object) -> bool:
        return same_arrays(self.freq, other.freq) if isinstance(other, FrequencySweep) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.freq.tobytes())

    def __repr__(self) -> str:
        start, stop = float(self.freq[0]), float(self.freq[-1])
        if np.array_equal(self.freq, np.linspace(start, stop, self.n_freq)):
            return f"FrequencySweep.linear({start!r}, {stop!r}, {self.n_freq})"
        return f"FrequencySweep(freq={points_repr(self.freq)})"
