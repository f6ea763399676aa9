"""Measure scenes as a real radar would: with its antennas out of place, its chains uncalibrated, and in noise.

Datasets (`mimo.synth.generate`) and the training of networks (`mimo.train`) measure their scenes here, so that both
know the same errors. What happens, in the order in which a radar meets it::

    y = gains * (A_moved x + clutter) + noise,      0 where a channel is missing

Every random number comes from a generator that the caller hands over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mimo import ImagingOperator, operator_of
from mimo.synth.noise import Realism, add_clutter, chain_gains, complex_normal, displaced, noise_std

__all__ = ["STREAMS", "Measured", "Radar", "Streams", "measure", "streams"]

Complex = npt.NDArray[np.complex64]

Streams = dict[str, np.random.Generator]
"""One generator for each thing that is drawn."""

STREAMS = ("target", "phase", "noise", "gain", "position", "clutter", "missing")
"""What is drawn for a scene, each from a generator of its own, so that an option does not change what others draw."""


def streams(*seed: int) -> Streams:
    """Return the generators of a seed, a number or several; a new name at the end of `STREAMS` changes no other's."""
    children = np.random.SeedSequence(list(seed)).spawn(len(STREAMS))
    return {name: np.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)}


@dataclass(frozen=True, eq=False)
class Radar:
    """One radar as it is, beside the nominal one that whoever images its data believes in.

    Attributes
    ----------
    operator
        Born operator of the antennas where they really are.
    gains
        Complex gain of each channel, complex64 ``array.measurement_shape``; ``None`` for 1.
    live
        Which channels carry data, bool ``array.measurement_shape``; ``None`` for all.
    """

    operator: ImagingOperator
    gains: Complex | None = None
    live: npt.NDArray[np.bool_] | None = None

    @classmethod
    def draw(
        cls,
        nominal: ImagingOperator,
        realism: Realism,
        rng: Streams,
        *,
        live: npt.NDArray[np.bool_] | None = None,
    ) -> Radar:
        """Draw a radar's errors: the places of its antennas and the gains of its chains.

        Parameters
        ----------
        nominal
            The operator without errors; used as it is where no antenna is displaced.
        realism
            ``position_error``, ``gain_error_db`` and ``phase_error_deg``.
        rng
            Generators ``"position"`` and ``"gain"``.
        live
            Which channels carry data; those of the array's mask when ``None``.
        """
        array, operator, gains = nominal.array, nominal, None
        if realism.position_error > 0:
            moved = nominal.acquisition.replace(array=displaced(array, realism.position_error, rng["position"]))
            operator = operator_of(moved, dtype=nominal.dtype, device=nominal.device)
        if realism.gain_error_db > 0 or realism.phase_error_deg > 0:
            gains = chain_gains(array, realism, rng["gain"])
        return cls(operator, gains, array.mask if live is None else live)


class Measured(NamedTuple):
    """Measurements and the noise in them."""

    values: Complex
    """``(n_scene, *measurement_shape)``; 0 where a channel is missing."""
    noise_std: npt.NDArray[np.float64]
    """Standard deviation of the complex noise in each scene's live channels, ``(n_scene,)``."""


def measure(
    radars: Sequence[Radar],
    volumes: Complex,
    *,
    snr_db: Sequence[float],
    noise: Sequence[np.random.Generator],
    first: int = 0,
    clutter: Complex | None = None,
    clutter_db: float | None = None,
) -> Measured:
    """Measure some scenes of a batch, each by its own radar.

    Parameters
    ----------
    radars
        One for each measured scene; scenes whose radars share an operator are measured together.
    volumes
        Reflectivities, complex64 ``(n_place, n_x, n_y, n_z)``. The operator gets all of them; those that no radar is
        named for only keep the batch at its size, on which the last bits of a sum depend.
    snr_db
        SNR of each measured scene, dB, over its live channels; infinity for no noise.
    noise
        Source of each measured scene's noise; one may serve several, in turn.
    first
        Place in `volumes` of the first measured scene.
    clutter, clutter_db
        Reflectivities of a background, of the shape of `volumes`, and its power relative to the target's, dB.

    Returns
    -------
    Measured
        Of the measured scenes, on the host.
    """
    seen = _forward(radars, volumes, first)
    behind = None if clutter is None else _forward(radars, clutter, first)
    values, std = np.zeros_like(seen), np.zeros(len(radars))
    for i, radar in enumerate(radars):
        live = ... if radar.live is None else (slice(None), radar.live)
        scene = seen[i][live]
        if behind is not None and clutter_db is not None:
            scene = add_clutter(scene, behind[i][live], clutter_db)
        if radar.gains is not None:
            scene = scene * (radar.gains if radar.live is None else radar.gains[radar.live])
        if snr_db[i] != np.inf:
            level = noise_std(scene, snr_db[i])
            scene, std[i] = scene + level * complex_normal(scene.shape, noise[i]), level
        values[i][live] = scene
    return Measured(values, std)


def _forward(radars: Sequence[Radar], volumes: Complex, first: int) -> Complex:
    """Apply the radars' operators to the scenes at `first` and following."""
    A = radars[0].operator
    x = torch.from_numpy(volumes).to(A.device)
    with torch.no_grad():
        if all(radar.operator is A for radar in radars):
            together: Complex = A.forward(x)[first : first + len(radars)].cpu().numpy()
            return together
        return np.stack([radar.operator.forward(x[first + i]).cpu().numpy() for i, radar in enumerate(radars)])
