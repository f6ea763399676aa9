"""Make the scenes of a dataset and their measurements, batch by batch, from the recipe that states all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mimo import Acquisition, operator_of
from mimo.data.jobs.tasks import fingerprint
from mimo.pattern import describe_patterns
from mimo.synth.measuring import Measured, Radar, measure, streams
from mimo.synth.noise import Realism, draw_clutter
from mimo.synth.phase import random_phase
from mimo.synth.targets import draw

__all__ = ["Batch", "Recipe", "batches", "synthesize"]

RECIPE_VERSION = 2
"""Goes up whenever the same parameters would give other scenes."""
BATCH = 16
"""Scenes that the operator takes at once."""
BATCH_VOXELS = 2**22
"""A batch holds fewer scenes on a grid so large that it would hold more voxels than this."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that the scenes of a dataset depend on; scene `index` is a function of this and `index` alone.

    Parameters
    ----------
    preset
        Kind of target, a name in `mimo.synth.targets.PRESETS`.
    acquisition
        Nominal array, whose mask marks the missing channels, sweep, grid, medium and pattern.
    snr_db
        Lowest and highest SNR, dB, drawn uniformly; ``None`` for no noise.
    seed
        Together with the index, the seed of a scene.
    realism
        Departures from the ideal measurement.
    """

    preset: str
    acquisition: Acquisition
    snr_db: tuple[float, float] | None
    seed: int
    realism: Realism

    @property
    def title(self) -> str:
        """What the scenes are, in a line."""
        told = [f"synthetic, preset {self.preset}, seed {self.seed}"]
        if (pattern := describe_patterns(self.acquisition.pattern)) is not None:
            told.append(f"pattern {pattern}")
        if self.acquisition.layers is not None:
            told.append(f"layers {self.acquisition.layers}")
        return ", ".join(told)

    @property
    def batch(self) -> int:
        """Number of scenes in a batch of the operator."""
        return max(1, min(BATCH, BATCH_VOXELS // self.acquisition.grid.n_voxel))

    def describe(self, start: int, stop: int) -> str:
        """Return the recipe and the range of scenes as JSON text; equal texts mean equal arrays."""
        acquisition = self.acquisition
        fields = {
            "recipe_version": RECIPE_VERSION,
            "preset": self.preset,
            "array": fingerprint(acquisition.array),
            "sweep": fingerprint(acquisition.sweep),
            "grid": fingerprint(acquisition.grid),
            "permittivity": acquisition.permittivity,
            "snr_db": None if self.snr_db is None else list(self.snr_db),
            "seed": self.seed,
            "realism": asdict(self.realism),
            "scenes": [start, stop],
        }
        # absent from the files of a version without them
        more = {"pattern": acquisition.pattern, "layers": acquisition.layers}
        fields |= {name: fingerprint(value) for name, value in more.items() if value is not None}
        return json.dumps(fields)


@dataclass(frozen=True, eq=False)
class Batch:
    """Scenes `first` and following: measurements, true reflectivities, both complex64, and SNR, float32 ``(n,)``."""

    first: int
    values: npt.NDArray[np.complex64]
    truth: npt.NDArray[np.complex64]
    snr_db: npt.NDArray[np.float32]


def batches(recipe: Recipe, start: int, stop: int) -> Iterator[Batch]:
    """Yield scenes `start` to `stop` - 1, cut where ``index % recipe.batch`` is 0."""
    first = start
    while first < stop:
        last = min(stop, (first // recipe.batch + 1) * recipe.batch)
        yield synthesize(recipe, first, last)
        first = last


def synthesize(recipe: Recipe, first: int, last: int) -> Batch:
    """Make scenes `first` to `last` - 1, which belong to one batch.

    The last bits of a sum may depend on a scene's place in the batch and on the batch's size. So a scene always takes
    place ``index % recipe.batch`` of a full batch, with zeros in the places of scenes that are not wanted: its numbers
    depend on the recipe and its index alone.
    """
    place, n_scene, grid = first % recipe.batch, last - first, recipe.acquisition.grid
    volumes = np.zeros((recipe.batch, *grid.shape), np.complex64)
    clutter = np.zeros_like(volumes) if recipe.realism.clutter_db is not None else None
    rngs = [streams(recipe.seed, index) for index in range(first, last)]
    snr_db = np.full(n_scene, np.inf, np.float32)
    for i, rng in enumerate(rngs):
        volumes[place + i] = random_phase(draw(recipe.preset, grid, rng["target"]), rng["phase"])
        if clutter is not None:
            clutter[place + i] = draw_clutter(grid, rng["clutter"])
        if recipe.snr_db is not None:
            snr_db[i] = rng["noise"].uniform(*recipe.snr_db)

    nominal = _nominal_operator(recipe.acquisition)
    radars = [Radar.draw(nominal, recipe.realism, rng) for rng in rngs]

    def measured(start: int, stop: int, room: slice) -> Measured:
        """Measure scenes `start` to `stop` - 1 of those wanted, in some places of the batch."""
        return measure(
            radars[start:stop],
            volumes[room],
            snr_db=snr_db[start:stop].tolist(),
            noise=[rng["noise"] for rng in rngs[start:stop]],
            first=place + start - (room.start or 0),
            clutter=None if clutter is None else clutter[room],
            clutter_db=recipe.realism.clutter_db,
        )

    if recipe.realism.position_error == 0:
        values = measured(0, n_scene, slice(None)).values
    else:  # each scene has an operator of its own
        alone = [measured(i, i + 1, slice(place + i, place + i + 1)).values for i in range(n_scene)]
        values = np.concatenate(alone)
    return Batch(first, values, volumes[place : place + n_scene], snr_db)


_nominal_operator = lru_cache(maxsize=1)(operator_of)
"""The operator of a recipe's acquisition, made once in a process."""
