"""What a dataset is made of: the recipe of its scenes, and the scenes themselves, batch by batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from mimo import ArrayGeometry, FrequencySweep, ImagingOperator, LayeredMedium, VoxelGrid, born_operator
from mimo.data.jobs.tasks import fingerprint
from mimo.pattern import Patterns, describe_patterns
from mimo.synth.noise import Realism, add_clutter, add_noise, chain_gains, displaced, draw_clutter
from mimo.synth.phase import random_phase
from mimo.synth.targets import draw

RECIPE_VERSION = 2
"""Goes up whenever the same parameters would give other scenes."""
BATCH = 16
"""Scenes that the operator takes at once."""
BATCH_VOXELS = 2**22
"""A batch holds fewer scenes on a grid so large that it would hold more voxels than this."""
STREAMS = ("target", "phase", "noise", "gain", "position", "clutter")
"""What a scene draws, each from a generator of its own, so that an option does not change what the others draw."""
GEOMETRY = ("array", "sweep", "grid", "permittivity", "pattern", "layers")
"""What the operator is made of, of a recipe's fields."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that the scenes of a dataset depend on; scene `index` is a function of this and `index` alone.

    Parameters
    ----------
    preset
        Kind of target, a name in `mimo.synth.targets.PRESETS`.
    array
        Nominal array; its mask marks the missing channels.
    sweep, grid, permittivity
        The rest of the geometry.
    snr_db
        Lowest and highest SNR, dB, drawn uniformly; ``None`` for no noise.
    seed
        Together with the index, the seed of a scene.
    realism
        Departures from the ideal measurement.
    pattern, layers
        The antennas' pattern and a layered medium, or ``None``.
    """

    preset: str
    array: ArrayGeometry
    sweep: FrequencySweep
    grid: VoxelGrid
    permittivity: float
    snr_db: tuple[float, float] | None
    seed: int
    realism: Realism
    pattern: Patterns = None
    layers: LayeredMedium | None = None

    @property
    def title(self) -> str:
        """What the scenes are, in a line."""
        told = [f"synthetic, preset {self.preset}, seed {self.seed}"]
        if (pattern := describe_patterns(self.pattern)) is not None:
            told.append(f"pattern {pattern}")
        if self.layers is not None:
            told.append(f"layers {self.layers}")
        return ", ".join(told)

    @property
    def batch(self) -> int:
        """Number of scenes in a batch of the operator."""
        return max(1, min(BATCH, BATCH_VOXELS // self.grid.n_voxel))

    def describe(self, start: int, stop: int) -> str:
        """Return the recipe and the range of scenes as JSON text; equal texts mean equal arrays."""
        fields = {
            "recipe_version": RECIPE_VERSION,
            "preset": self.preset,
            "array": fingerprint(self.array),
            "sweep": fingerprint(self.sweep),
            "grid": fingerprint(self.grid),
            "permittivity": self.permittivity,
            "snr_db": None if self.snr_db is None else list(self.snr_db),
            "seed": self.seed,
            "realism": asdict(self.realism),
            "scenes": [start, stop],
        }
        more = {"pattern": self.pattern, "layers": self.layers}  # absent from the files of a version without them
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
    place, n_scene = first % recipe.batch, last - first
    volumes = np.zeros((recipe.batch, *recipe.grid.shape), np.complex64)
    background = np.zeros_like(volumes) if recipe.realism.clutter_db is not None else None
    scenes = [_streams(recipe.seed, index) for index in range(first, last)]
    for i, rng in enumerate(scenes, place):
        volumes[i] = random_phase(draw(recipe.preset, recipe.grid, rng["target"]), rng["phase"])
        if background is not None:
            background[i] = draw_clutter(recipe.grid, rng["clutter"])

    wanted = slice(place, place + n_scene)
    operators, common = _operators(recipe, scenes), recipe.realism.position_error == 0
    values = _measure(operators, common, volumes, wanted)
    behind = _measure(operators, common, background, wanted) if background is not None else [None] * n_scene

    snr = np.full(n_scene, np.inf, np.float32)
    for i, rng in enumerate(scenes):
        values[i], snr[i] = _degrade(recipe, values[i], behind[i], rng)
    return Batch(first, values, volumes[wanted], snr)


def _degrade(
    recipe: Recipe,
    values: npt.NDArray[np.complex64],
    background: npt.NDArray[np.complex64] | None,
    rng: dict[str, np.random.Generator],
) -> tuple[npt.NDArray[np.complex64], float]:
    """Add what is not the target's: clutter, channel errors, noise, in the order in which a radar meets them."""
    realism, mask = recipe.realism, recipe.array.mask
    live = values if mask is None else values[:, mask]
    if background is not None and realism.clutter_db is not None:
        live = add_clutter(live, background if mask is None else background[:, mask], realism.clutter_db)
    if realism.gain_error_db > 0 or realism.phase_error_deg > 0:
        gains = chain_gains(recipe.array, realism, rng["gain"])
        live = live * (gains if mask is None else gains[mask])
    snr_db = np.inf
    if recipe.snr_db is not None:
        snr_db = float(np.float32(rng["noise"].uniform(*recipe.snr_db)))
        live = add_noise(live, snr_db, rng["noise"])
    if mask is None:
        return live, snr_db
    full = np.zeros_like(values)
    full[:, mask] = live
    return full, snr_db


def _streams(seed: int, index: int) -> dict[str, np.random.Generator]:
    children = np.random.SeedSequence([seed, index]).spawn(len(STREAMS))
    return {name: np.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)}


def _operators(recipe: Recipe, scenes: list[dict[str, np.random.Generator]]) -> list[ImagingOperator]:
    """Return the operator of all scenes, or one for each when the antennas are displaced."""
    std = recipe.realism.position_error
    if std == 0:
        return [_common_operator(*(getattr(recipe, name) for name in GEOMETRY))]
    others = [getattr(recipe, name) for name in GEOMETRY[1:]]
    return [_operator(displaced(recipe.array, std, rng["position"]), *others) for rng in scenes]


def _measure(
    operators: list[ImagingOperator], common: bool, volumes: npt.NDArray[np.complex64], wanted: slice
) -> npt.NDArray[np.complex64]:
    """Measure the wanted scenes of a full batch, together or each with its own operator."""
    x = torch.from_numpy(volumes)
    with torch.no_grad():
        if common:
            return operators[0].forward(x).numpy()[wanted]
        return np.stack([A.forward(x[i]).numpy() for i, A in enumerate(operators, wanted.start)])


def _operator(
    array: ArrayGeometry,
    sweep: FrequencySweep,
    grid: VoxelGrid,
    permittivity: float,
    pattern: Patterns,
    layers: LayeredMedium | None,
) -> ImagingOperator:
    return born_operator(array, sweep, grid, permittivity=permittivity, pattern=pattern, layers=layers)


_common_operator = lru_cache(maxsize=1)(_operator)
"""The operator, made once in a process."""
