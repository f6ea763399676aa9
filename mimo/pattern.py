"""Describe how strongly an antenna sends and receives in each direction about its boresight."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from mimo._values import number_text, points_repr, same_arrays

__all__ = ["AntennaPattern", "CosinePattern", "Patterns", "TablePattern", "both_sides", "describe_patterns"]


class AntennaPattern(Protocol):
    """Describes an antenna's amplitude over direction, symmetric about its normal (see `mimo.ArrayGeometry`)."""

    @property
    def flat(self) -> bool:
        """Whether the gain is real and the same at every frequency."""
        ...

    def gain(self, cosine: torch.Tensor, freq: torch.Tensor) -> torch.Tensor:
        """Return amplitudes: real (n, m) when `flat`, else (n_k, n, m), real or complex.

        `cosine` is that of the angle off boresight, float64 (n, m); `freq` is float64 (n_k,), hertz.
        """
        ...


@dataclass(frozen=True)
class CosinePattern:
    """Describes the amplitude ``max(cos(theta), 0) ** exponent``: nothing is sent or received behind the antenna.

    Parameters
    ----------
    exponent
        0 (a half space) or more. Power goes with twice the exponent.
    """

    exponent: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.exponent) and self.exponent >= 0):
            raise ValueError(f"pattern exponent is {self.exponent}: expected 0 or more")

    @property
    def flat(self) -> bool:
        """True: the gain is real and the same at every frequency."""
        return True

    def gain(self, cosine: torch.Tensor, freq: torch.Tensor) -> torch.Tensor:
        """See `AntennaPattern`."""
        return torch.where(cosine > 0, cosine.clamp_min(0) ** self.exponent, torch.zeros_like(cosine))

    def __str__(self) -> str:
        return f"cos:{number_text(self.exponent)}"


@dataclass(frozen=True, eq=False, repr=False)
class TablePattern:
    """Interpolates the amplitude linearly in a table over the angle off boresight and the frequency.

    Parameters
    ----------
    angle
        float64 ``(n_angle,)``, radians, ascending from 0, at most pi; beyond the last one the gain is zero.
    freq
        float64 ``(n_freq,)``, hertz, ascending. One frequency: the same at all. Else the operator's frequencies must
        lie within the table's.
    values
        Real or complex ``(n_angle, n_freq)``, amplitude (not power, not dB).

    Raises
    ------
    ValueError
        When a shape or a value does not fit; the message names the field.
    """

    angle: npt.NDArray[np.float64]
    freq: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64] | npt.NDArray[np.complex128]

    def __post_init__(self) -> None:
        for name in ("angle", "freq", "values"):
            given = np.array(getattr(self, name))
            if given.dtype.kind not in ("iufc" if name == "values" else "iuf") or not np.isfinite(given).all():
                raise ValueError(f"pattern {name} has dtype {given.dtype}: expected finite numbers")
            array = given.astype(np.complex128 if given.dtype.kind == "c" else np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        angle, freq = self.angle, self.freq
        if angle.ndim != 1 or len(angle) < 2 or angle[0] != 0 or (np.diff(angle) <= 0).any() or angle[-1] > 3.1416:
            raise ValueError("pattern angle: expected two or more radians, ascending from 0 to at most pi")
        if freq.ndim != 1 or not len(freq) or (np.diff(freq) <= 0).any():
            raise ValueError("pattern freq: expected one or more hertz, ascending")
        if self.values.shape != (len(angle), len(freq)):
            raise ValueError(
                f"pattern values has shape {self.values.shape}, there are {len(angle)} angles and {len(freq)} "
                f"frequencies: expected {(len(angle), len(freq))}"
            )

    @property
    def flat(self) -> bool:
        """Whether the table is real and has one frequency."""
        return len(self.freq) == 1 and self.values.dtype.kind == "f"

    def gain(self, cosine: torch.Tensor, freq: torch.Tensor) -> torch.Tensor:
        """See `AntennaPattern`; `ValueError` for a frequency outside the table."""
        table = torch.as_tensor(self.values.copy(), device=cosine.device)
        if len(self.freq) > 1:
            table = self._at(freq, table)
        angle = torch.as_tensor(self.angle.copy(), device=cosine.device)
        theta = torch.arccos(cosine.clamp(-1, 1))
        above = torch.searchsorted(angle, theta.contiguous()).clamp(1, len(angle) - 1)
        part = ((theta - angle[above - 1]) / (angle[above] - angle[above - 1])).clamp(0, 1)
        out = table[above - 1].movedim(-1, 0) * (1 - part) + table[above].movedim(-1, 0) * part
        out = out * (theta <= angle[-1] + 1e-12)
        return out[0] if self.flat else out

    def _at(self, freq: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Return the table interpolated at other frequencies, (n_angle, n)."""
        low, high = float(self.freq[0]), float(self.freq[-1])
        if float(freq.min()) < low * (1 - 1e-9) or float(freq.max()) > high * (1 + 1e-9):
            raise ValueError(
                f"pattern freq spans {low:g} to {high:g} Hz, the sweep {float(freq.min()):g} to {float(freq.max()):g} "
                f"Hz: expected a table that covers the sweep"
            )
        known = torch.as_tensor(self.freq.copy(), device=freq.device)
        above = torch.searchsorted(known, freq.contiguous()).clamp(1, len(known) - 1)
        part = ((freq - known[above - 1]) / (known[above] - known[above - 1])).clamp(0, 1)
        return table[:, above - 1] * (1 - part) + table[:, above] * part

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TablePattern):
            return NotImplemented
        return all(same_arrays(getattr(self, n), getattr(other, n)) for n in ("angle", "freq", "values"))

    def __hash__(self) -> int:
        return hash((self.angle.tobytes(), self.freq.tobytes(), self.values.tobytes()))

    def __str__(self) -> str:
        digest = hashlib.sha256(self.angle.tobytes() + self.freq.tobytes() + self.values.tobytes()).hexdigest()[:12]
        return f"table of {len(self.angle)} angles and {len(self.freq)} frequencies, sha256 {digest}"

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={points_repr(getattr(self, name))}" for name in ("angle", "freq", "values"))
        return f"TablePattern({parts})"


Patterns = AntennaPattern | tuple[AntennaPattern | None, AntennaPattern | None] | None
"""One pattern for all antennas, (that of the transmitters, that of the receivers), or none: isotropic."""


def both_sides(pattern: Patterns) -> tuple[AntennaPattern | None, AntennaPattern | None]:
    """Return (transmitters' pattern, receivers' pattern); `TypeError` for anything but patterns or ``None``."""
    pair = pattern if isinstance(pattern, tuple) else (pattern, pattern)
    if len(pair) != 2 or not all(p is None or (hasattr(p, "gain") and hasattr(p, "flat")) for p in pair):
        raise TypeError(f"pattern is {pattern!r}: expected an AntennaPattern, (for tx, for rx), or None")
    return pair[0], pair[1]


def describe_patterns(pattern: Patterns) -> str | None:
    """Return the patterns in words, ``cos:2`` or ``tx=cos:2, rx=none``; ``None`` for isotropic antennas."""
    tx, rx = both_sides(pattern)
    if tx is None and rx is None:
        return None
    names = ["none" if each is None else str(each) for each in (tx, rx)]
    return names[0] if tx == rx else f"tx={names[0]}, rx={names[1]}"
