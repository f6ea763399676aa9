"""Clean scenes for training: a pool that is replaced little by little, a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["DrawScene", "ScenePool", "fit_scene"]

DrawScene = Callable[[np.random.Generator], npt.NDArray[np.float32]]
"""Draws a clean magnitude in [0, 1], of any size (n_x, n_y, n_z)."""

SCENE = 1  # stream of random numbers


class ScenePool:
    """Scenes drawn ahead, replaced gradually, so that drawing does not dominate.

    Parameters
    ----------
    draw
        Draws a scene; scene i from the generator of (seed, i).
    seed
        Of the scenes.
    size, refresh
        Scenes at hand, and how many of them are replaced after a step.
    step
        The first step that will be taken.
    """

    def __init__(self, draw: DrawScene, *, seed: int, size: int, refresh: int, step: int = 0) -> None:
        self.draw, self.seed, self.refresh = draw, seed, refresh
        first = step * refresh
        self.scenes = {i % size: self._scene(i) for i in range(first, first + size)}

    def _scene(self, index: int) -> npt.NDArray[np.float32]:
        return self.draw(np.random.default_rng([self.seed, SCENE, index]))

    def take(self, step: int, n: int, rng: np.random.Generator) -> list[npt.NDArray[np.float32]]:
        """Return `n` scenes of a step, chosen by `rng`, then replace a few. Steps go one by one."""
        size = len(self.scenes)
        chosen = [self.scenes[int(i)] for i in rng.integers(size, size=n)]
        first = step * self.refresh + size
        for index in range(first, first + self.refresh):
            self.scenes[index % size] = self._scene(index)
        return chosen


def fit_scene(
    scene: npt.NDArray[np.float32], shape: tuple[int, int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
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
