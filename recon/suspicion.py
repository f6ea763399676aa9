"""Suspect a wrong phase sign or permittivity, at little cost, when images are made.

Where sign and permittivity are right the echoes of a bright scatterer meet in one voxel. So the measurement is
back-projected with the other sign, and with twice and half the permittivity: a voxel that then gathers clearly more
energy than any voxel does as the file states it is a reason to look closer with
`mimo.data.calibration.phase_check.check_phase`, which tries more and costs more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from mimo import ImagingOperator, backproject, backproject_fast, operator_of
from mimo.recon.costs import exact_seconds, profile_seconds
from mimo.recon.held_out import digest, part_of
from mimo.recon.registry import Problem

__all__ = ["Gathered", "gathered", "suspicion"]

DECISIVE_DB = 1.25
"""The brightest voxel must gain this, dB, to raise suspicion. On right data it lost 0.6 dB or more in every trial."""

SIGNIFICANT_DB = 3.0
"""And it must be so much above what it would be of noise, dB."""

QUICK = 0.1
"""All data are used where one image is predicted to take at most these seconds."""

N_CHANNEL, N_FREQ = 96, 64
"""Channels and frequencies, at most, that the images are made from otherwise."""

MOST_VOXELS = 4_000_000
"""On a larger grid nothing is tried: each image would take seconds."""

AT_ONCE = 2**23
"""Voxels of all images that are made at once."""


@dataclass(frozen=True)
class Gathered:
    """Says how much energy of a scene the brightest voxel gathers, dB: 0 where all of the data come from it.

    Attributes
    ----------
    stated
        With phase sign and permittivity as the file has them.
    conjugated
        With the other sign.
    permittivity
        With each other permittivity that was tried, by its value.
    noise
        Of noise alone, about.
    """

    stated: float
    conjugated: float
    permittivity: dict[float, float]
    noise: float


def suspicion(problem: Problem) -> list[str]:
    """Return for each scene a sentence that says what seems to be wrong with its data; empty when nothing does.

    The sentences are kept in the problem for the other methods.
    """
    name = f"suspicion {digest(problem.measurement)}"
    if name not in problem._shared:
        A, n_scene = problem.operator, len(problem.measurement)
        few = A.array.n_channel < 2 or A.grid.n_voxel > MOST_VOXELS
        problem._shared[name] = [""] * n_scene if few else [_told(found) for found in gathered(problem)]
    return problem._shared[name]


def _told(found: Gathered | None) -> str:
    if found is None:
        return ""
    tried = {"the other phase sign": found.conjugated}
    tried |= {f"permittivity {value:g}": each for value, each in found.permittivity.items()}
    best = max(tried, key=lambda name: tried[name])
    if tried[best] <= max(found.stated + DECISIVE_DB, found.noise + SIGNIFICANT_DB):
        return ""
    gain = tried[best] - found.stated
    return (
        f"phase sign or permittivity may be wrong: with {best} the data focus better by {gain:.1f} dB; "
        "`mimo prepare --check-phase` tells more"
    )


def gathered(problem: Problem) -> list[Gathered | None]:
    """Back-project data as stated, conjugated, and at other permittivities, of many data a part; ``None``: no data."""
    A, part = problem.operator, problem
    if _seconds(A) > QUICK:
        rng = np.random.default_rng(0)
        chosen = np.sort(rng.permutation(A.array.n_channel)[:N_CHANNEL])
        step = -(-A.sweep.n_freq // N_FREQ)  # even steps: range profiles need them, and the exact sum is quicker
        part = part_of(part, np.arange(0, A.sweep.n_freq, step), chosen)
        A = part.operator
    y = part.measurement
    if A.array.mask is not None:
        y = y * torch.as_tensor(A.array.mask.copy(), device=A.device)
    stated, conjugated = _brightest(A, y), _brightest(A, y.conj().resolve_conj())
    others = {}
    wave = A.acquisition
    if wave.layers is None:
        for factor in (0.5, 2.0):
            value = wave.permittivity * factor
            if value >= 1:
                other = operator_of(replace(wave, medium=value), dtype=A.dtype, device=A.device, memory=A.memory)
                others[value] = _brightest(other, y)
    noise = 10 * np.log10(np.log(max(A.grid.n_voxel, 3)) / A.n_measurement)
    return [
        Gathered(as_is, conjugated[i], {value: found[i] for value, found in others.items()}, float(noise))
        if y[i].any()
        else None
        for i, as_is in enumerate(stated)
    ]


def _seconds(A: ImagingOperator) -> float:
    return profile_seconds(A) if A.acquisition.flat else exact_seconds(A)


def _brightest(A: ImagingOperator, y: torch.Tensor) -> list[float]:
    """Return the share of each scene's energy that a scatterer in the brightest voxel explains, dB."""
    former = backproject_fast if A.acquisition.flat else backproject
    parts = y.split(max(1, AT_ONCE // A.grid.n_voxel))
    peak = torch.cat([former(part, A).abs().flatten(1).amax(1) for part in parts]).double().square()
    power = y.abs().double().square().flatten(1).sum(1) * A.n_measurement
    return (10 * torch.log10((peak / power).nan_to_num(0).clamp_min(1e-30))).tolist()
