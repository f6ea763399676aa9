"""Say which frequency each sample of an FMCW chirp was taken at: the table ``[chirp]`` of an import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo.data.files.schema import UnfitError
from mimo.options import build_table, kind_of, read_value

__all__ = ["Chirp", "parse_chirp"]


@dataclass(frozen=True)
class Chirp:
    """Describes the chirps of an FMCW radar; times in seconds, frequencies in hertz.

    Parameters
    ----------
    start_freq, slope
        Frequency at the beginning of the ramp, and its growth, Hz/s.
    sample_rate
        Samples a second.
    adc_start
        From the beginning of the ramp to the first sample.
    idle, ramp_end
        Pause before each ramp, and its length: together the time from one chirp to the next.
    frame_period
        From one frame to the next; 0 when not known.
    n_sample
        Samples of a chirp; 0: as many as there are.
    video_phase
        Whether the residual video phase is taken out.
    """

    start_freq: float = 0.0
    slope: float = 0.0
    sample_rate: float = 0.0
    adc_start: float = 0.0
    idle: float = 0.0
    ramp_end: float = 0.0
    frame_period: float = 0.0
    n_sample: int = 0
    video_phase: bool = False

    def __post_init__(self) -> None:
        for name in ("start_freq", "slope", "sample_rate"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise UnfitError(f"chirp.{name} is {value}: expected a positive number, in Hz, Hz/s or samples/s")
        for name in ("adc_start", "idle", "ramp_end", "frame_period"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise UnfitError(f"chirp.{name} is {value}: expected seconds, 0 or more")

    def freq(self, n_sample: int) -> npt.NDArray[np.float64]:
        """Return the frequency of each of `n_sample` samples, hertz."""
        return self.start_freq + self.slope * (self.adc_start + np.arange(n_sample) / self.sample_rate)

    @property
    def period(self) -> float:
        """Time from one chirp to the next, seconds; 0 when the ramp's length is not known."""
        return self.idle + self.ramp_end if self.ramp_end else 0.0


class _Given(Chirp):
    """A chirp with nothing said, which gives `build_table` the kinds of the entries."""

    def __post_init__(self) -> None:
        return


def parse_chirp(table: Mapping[str, Any]) -> Chirp:
    """Read the table of a chirp, values as text or as numbers.

    Raises
    ------
    ValueError
        When an entry is not known (the nearest is named), of another kind, or out of range.
    """
    known = vars(_Given())
    read = {
        name: read_value(f"chirp.{name}", value, kind_of(known[name]))
        if isinstance(value, str) and name in known
        else value
        for name, value in table.items()
    }
    return Chirp(**vars(build_table(_Given, read, "chirp.")))
