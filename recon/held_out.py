"""Divide a measurement into a part to reconstruct from and a part to test with; cut problems to parts of their data.

About a tenth of the channels is held out, with all their frequencies: a channel's neighbours in frequency would give
the answer away. Single frequencies are not held out, as those beside them tell what they are, and as operators are
quickest with even steps of frequency.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from mimo import FrequencySweep, ImagingOperator, operator_of
from mimo.recon.registry import Problem

__all__ = ["Split", "digest", "part_of", "split", "values_of"]

SHARE = 0.1
"""Share of the channels that is held out."""

FEWEST = 5
"""Fewer channels are not divided."""

SEED = 7
"""Fixed, so that the numbers of two methods, and of two runs, are of the same data."""


@dataclass(frozen=True, eq=False)
class Split:
    """Says which data are held out.

    Attributes
    ----------
    channels
        Bool, one for each channel that carries data, in the order of `mimo.ArrayGeometry.channel_indices`.
    """

    channels: npt.NDArray[np.bool_]

    def kept(self, problem: Problem) -> Problem:
        """Return the problem of the data that are not held out."""
        return part_of(problem, np.arange(problem.operator.sweep.n_freq), np.flatnonzero(~self.channels))

    def of_measurement(self, A: ImagingOperator) -> torch.Tensor:
        """Return which data of the operator's measurement are held out, bool ``(*A.measurement_shape)``."""
        channels = A.array.spread_channels(self.channels)
        return torch.from_numpy(channels).to(A.device).expand(A.measurement_shape)


def split(A: ImagingOperator, *, seed: int = SEED, fewest: int = FEWEST) -> Split | None:
    """Choose what to hold out, always the same of a seed; ``None`` where there are fewer than `fewest` channels."""
    n_channel = A.array.n_channel
    if n_channel < fewest:
        return None
    channels = np.zeros(n_channel, bool)
    chosen = np.random.default_rng(seed).choice(n_channel, max(1, round(SHARE * n_channel)), replace=False)
    channels[chosen] = True
    return Split(channels)


def digest(values: torch.Tensor) -> str:
    """Return the SHA-256 of the numbers of a tensor: a name to share what was found out from these data under."""
    return hashlib.sha256(values.detach().cpu().resolve_conj().contiguous().numpy().tobytes()).hexdigest()


def part_of(problem: Problem, freq: npt.NDArray[np.integer], chosen: npt.NDArray[np.integer]) -> Problem:
    """Return the problem of some frequencies of some channels, with an operator of its own and nothing shared.

    Parameters
    ----------
    problem
        The problem; its truth and observer are left out.
    freq
        Indices of frequencies, ascending.
    chosen
        Indices of channels among those that carry data, in the order of `mimo.ArrayGeometry.channel_indices`.
    """
    A = problem.operator
    channels = A.array.channel_indices()
    array = replace(A.array, channels=channels[chosen], mask=None)
    path = A.acquisition.reference_path
    place = (chosen,) if A.array.paired else tuple(channels[chosen].T)
    seen = A.acquisition.replace(
        array=array,
        sweep=FrequencySweep(A.sweep.freq[freq]),
        reference_path=None if path is None else path[place],
    )
    operator = operator_of(seen, dtype=A.dtype, device=A.device, memory=A.memory)
    return Problem(operator, values_of(problem, freq, chosen), problem.noise_std)


def values_of(problem: Problem, freq: npt.NDArray[np.integer], chosen: npt.NDArray[np.integer]) -> torch.Tensor:
    """Return the data of `part_of` alone, ``(n_scene, n_freq, n_channel)``."""
    A = problem.operator
    values = problem.measurement[:, torch.from_numpy(freq).to(A.device)]
    if not A.array.paired:
        channels = A.array.channel_indices()
        values, chosen = values.flatten(2), np.ravel_multi_index(tuple(channels[chosen].T), A.measurement_shape[1:])
    return values[..., torch.from_numpy(np.asarray(chosen)).to(A.device)]
