"""Say which clean scenes a network is trained on, and keep a pool of them at hand that is replaced little by little."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mimo import Acquisition, VoxelGrid
from mimo.data import load
from mimo.data.files.reader import open_measurement
from mimo.data.measurement import scene_numbers
from mimo.synth import draw, paper_grid
from mimo.train.randomness import Stream, step_rng

__all__ = [
    "LEAST_VALIDATION",
    "DatasetScenes",
    "Magnitude",
    "PresetScenes",
    "ScenePool",
    "SceneSource",
    "ScenesInMemory",
    "ValidatedScenes",
    "fit_scene",
    "hold_out",
]

Magnitude = npt.NDArray[np.float32]
"""A scene: real, in [0, 1], ``(n_x, n_y, n_z)``."""

PAPER_SHARE = 0.6
"""Share of the scenes on the papers' grid, where no grid is named."""
VOXELS = (20, 56)
"""Voxels along each axis of the other grids, uniform, both ends included; their extent is that of the papers' cube."""
LEAST_VALIDATION = 2
"""Scenes of a dataset that a validation has at least."""
REDRAWN = 200
"""Targets that are tried until one reaches into the region."""


class SceneSource(ABC):
    """Clean scenes to train on, one drawn at a time."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Magnitude:
        """Return the magnitude of a scene in [0, 1], float32 ``(n_x, n_y, n_z)``."""

    @abstractmethod
    def __str__(self) -> str:
        """Say what the scenes are, for the model card."""

    def n_validation(self, wanted: int) -> int:
        """Return how many scenes a validation has, given how many the configuration asks for."""
        return wanted

    def draw_validation(self, index: int, rng: np.random.Generator) -> Magnitude:
        """Return a scene of the validation; by default a further one drawn as those of the training are."""
        return self.draw(rng)

    def validated_on(self, wanted: int) -> str:
        """Say what the validation's scenes are, for the model card; `wanted` as in `n_validation`."""
        return f"{wanted} further scenes of a fixed seed, never trained on"


@dataclass(frozen=True)
class PresetScenes(SceneSource):
    """Scenes synthesized on the fly.

    Attributes
    ----------
    preset
        A name in `mimo.synth.PRESETS`, or ``"both"`` for any of the two with equal chance.
    grid
        Their voxels; ``None`` for the papers' grid, and now and then one with other numbers of voxels.
    inside
        bool, ``grid.shape``: the voxels that can hold anything; targets are cut off elsewhere. ``None`` for all.
    """

    preset: str = "both"
    grid: VoxelGrid | None = None
    inside: npt.NDArray[np.bool_] | None = None

    def draw(self, rng: np.random.Generator) -> Magnitude:
        """See `SceneSource`; of targets that are cut, one whose maximum stays above a half is waited for."""
        scene = self._draw(rng)
        if self.inside is None:
            return scene
        for _ in range(REDRAWN):
            cut: Magnitude = scene * self.inside.astype(np.float32)
            if (peak := float(cut.max())) > 0.5:
                cut /= np.float32(peak)
                return cut
            scene = self._draw(rng)
        raise ValueError(
            f"preset {self.preset}: none of {REDRAWN} targets on the grid reaches into the region, "
            f"{int(self.inside.sum())} of its {self.inside.size} voxels: expected a larger region or a smaller grid"
        )

    def _draw(self, rng: np.random.Generator) -> Magnitude:
        preset = self.preset
        if preset == "both":
            preset = "paper" if rng.random() < 0.5 else "shapes"
        return draw(preset, _random_grid(rng) if self.grid is None else self.grid, rng)

    def __str__(self) -> str:
        """Say what the scenes are."""
        presets = "presets paper and shapes" if self.preset == "both" else f"preset {self.preset}"
        region = "" if self.inside is None else f" in the region, {self.inside.sum():,} of {self.inside.size:,} voxels"
        return f"synthesized on the fly, {presets}{region}"


class DatasetScenes(SceneSource):
    """The true scenes of a dataset, each as likely; they are read when they are drawn.

    Training keeps some of them for the validation (`hold_out`), which no training step draws.

    Parameters
    ----------
    path
        A dataset of `mimo.synth.generate`, or any other with true scenes.
    numbers
        The scenes to draw from; all by default.

    Attributes
    ----------
    acquisition
        How the dataset was measured: array, sweep, grid and medium.

    Raises
    ------
    ValueError
        When the dataset has no true scenes; the message names the field.
    FileError
        When it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], numbers: Sequence[int] | None = None) -> None:
        self.path = Path(path)
        first = load(self.path, scenes=[0])
        if first.truth is None or first.grid is None:
            raise ValueError(f"{path}: no truth/reflectivity: expected a dataset with true scenes")
        self.acquisition: Acquisition = first.acquisition()
        with open_measurement(self.path) as file:
            self.numbers = list(scene_numbers(numbers, file.n_scene))
        self.n_scene = len(self.numbers)

    def draw(self, rng: np.random.Generator) -> Magnitude:
        """See `SceneSource`; the maximum is 1."""
        return self.scene(int(rng.integers(self.n_scene)))

    def scene(self, index: int) -> Magnitude:
        """Return the magnitude of one of the scenes that are drawn from; the maximum is 1."""
        truth = load(self.path, scenes=[self.numbers[index]]).truth
        magnitude: Magnitude = np.abs(np.asarray(truth)[0]).astype(np.float32)
        return magnitude / max(float(magnitude.max()), 1e-30)

    def __str__(self) -> str:
        """Say what the scenes are."""
        return f"{self.n_scene:,} of {self.path.name}"

    def validated_on(self, wanted: int) -> str:
        """See `SceneSource`."""
        return f"{wanted} of {self.path.name}, among those trained on"


class ValidatedScenes(SceneSource):
    """Scenes to train on, and others to validate with, each once.

    Parameters
    ----------
    training
        Where training steps draw from.
    validation
        The scenes that they never draw.
    """

    def __init__(self, training: SceneSource, validation: DatasetScenes) -> None:
        self.training, self.validation = training, validation

    def draw(self, rng: np.random.Generator) -> Magnitude:
        """See `SceneSource`."""
        return self.training.draw(rng)

    def n_validation(self, wanted: int) -> int:
        """See `SceneSource`: as many as are wanted and there are."""
        return min(wanted, self.validation.n_scene)

    def draw_validation(self, index: int, rng: np.random.Generator) -> Magnitude:
        """See `SceneSource`."""
        return self.validation.scene(index)

    def validated_on(self, wanted: int) -> str:
        """See `SceneSource`."""
        return f"{self.n_validation(wanted)} of {self.validation.path.name}, never trained on"

    def __str__(self) -> str:
        """Say what the scenes of the training are."""
        return str(self.training)


def hold_out(scenes: DatasetScenes, share: float) -> ValidatedScenes:
    """Keep a share of a dataset's scenes for the validation, `LEAST_VALIDATION` at least; the file decides which.

    The choice knows no seed, so that a run that goes on, or starts from the weights of another, keeps its validation.

    Raises
    ------
    ValueError
        When no scene would be left to train on; the message names the file and its number of scenes.
    """
    n = scenes.n_scene
    kept = max(LEAST_VALIDATION, round(share * n))
    if kept >= n:
        raise ValueError(
            f"{scenes.path} has {n} scene{'s' * (n != 1)}, of which the validation keeps {kept} "
            f"(data.validation_share {share:g}, {LEAST_VALIDATION} at least): expected {LEAST_VALIDATION + 1} "
            "scenes or more and a smaller share, or another file of scenes for the validation"
        )
    order = [scenes.numbers[i] for i in np.random.default_rng(n).permutation(n)]
    parts = (sorted(order[kept:]), order[:kept])
    return ValidatedScenes(*(DatasetScenes(scenes.path, numbers) for numbers in parts))


class ScenesInMemory(SceneSource):
    """Scenes of one's own, each as likely.

    Parameters
    ----------
    magnitudes
        Real arrays ``(n_x, n_y, n_z)`` in [0, 1]; a denoiser takes them in different sizes.
    """

    def __init__(self, magnitudes: Sequence[npt.ArrayLike]) -> None:
        self.magnitudes = [np.asarray(magnitude, np.float32) for magnitude in magnitudes]
        if not self.magnitudes or any(magnitude.ndim != 3 for magnitude in self.magnitudes):
            raise ValueError("magnitudes: expected at least one array (n_x, n_y, n_z), and no other")

    def draw(self, rng: np.random.Generator) -> Magnitude:
        """See `SceneSource`."""
        return self.magnitudes[int(rng.integers(len(self.magnitudes)))]

    def __str__(self) -> str:
        """Say what the scenes are."""
        return f"{len(self.magnitudes):,} of one's own"

    def validated_on(self, wanted: int) -> str:
        """See `SceneSource`: a validation draws from the same scenes."""
        return f"{wanted} draws of one's own scenes, which are also trained on"


class ScenePool:
    """Scenes drawn ahead, replaced gradually, so that drawing does not dominate.

    Parameters
    ----------
    scenes
        Where they come from; scene i is drawn from the generator of (seed, i).
    seed
        Of the scenes.
    size, refresh
        Scenes at hand, and how many of them are replaced after a step.
    step
        The first step that will be taken.
    """

    def __init__(self, scenes: SceneSource, *, seed: int, size: int, refresh: int, step: int = 0) -> None:
        self.source, self.seed, self.refresh = scenes, seed, refresh
        first = step * refresh
        self.scenes = {i % size: self._scene(i) for i in range(first, first + size)}

    def _scene(self, index: int) -> Magnitude:
        return self.source.draw(step_rng(self.seed, Stream.SCENE, index))

    def take(self, step: int, n: int, rng: np.random.Generator) -> list[Magnitude]:
        """Return `n` scenes of a step, chosen by `rng`, then replace a few. Steps go one by one."""
        size = len(self.scenes)
        chosen = [self.scenes[int(i)] for i in rng.integers(size, size=n)]
        first = step * self.refresh + size
        for index in range(first, first + self.refresh):
            self.scenes[index % size] = self._scene(index)
        return chosen


def fit_scene(scene: Magnitude, shape: tuple[int, int, int], rng: np.random.Generator) -> Magnitude:
    """Flip and turn a scene at random, then cut it or pad it with zeros to a shape, at a random place."""
    scene = scene.transpose(rng.permutation(3))
    scene = np.flip(scene, axis=tuple(np.flatnonzero(rng.random(3) < 0.5)))
    result = np.zeros(shape, dtype=np.float32)
    source, target = [], []
    for n, wanted in zip(scene.shape, shape, strict=True):
        offset = int(rng.integers(abs(n - wanted) + 1))
        common = min(n, wanted)
        source.append(slice(offset, offset + common) if n > wanted else slice(0, common))
        target.append(slice(offset, offset + common) if n < wanted else slice(0, common))
    result[tuple(target)] = scene[tuple(source)]
    return result


def _random_grid(rng: np.random.Generator) -> VoxelGrid:
    """Draw the papers' grid, or one of the same extent with other numbers of voxels."""
    if rng.random() < PAPER_SHARE:
        return paper_grid()
    n_x, n_y, n_z = (int(n) for n in rng.integers(VOXELS[0], VOXELS[1] + 1, size=3))
    return paper_grid((n_x, n_y, n_z))
