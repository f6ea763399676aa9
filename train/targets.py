"""Scenes for training networks: both presets, mostly on the papers' grid, else on grids of other counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mimo import VoxelGrid
from mimo.synth.paper import paper_grid
from mimo.synth.targets import draw

PAPER_SHARE = 0.6
"""Share of the scenes on the papers' grid."""
VOXELS = (20, 56)
"""Voxels along each axis of the other grids, uniform, both ends included; their extent is that of the papers' cube."""


def draw_training_scene(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw one magnitude, float32 ``(n_x, n_y, n_z)`` in [0, 1], of either preset, on a random grid."""
    preset = "paper" if rng.random() < 0.5 else "shapes"
    if rng.random() < PAPER_SHARE:
        return draw(preset, paper_grid(), rng)
    x, y, z = (int(n) for n in rng.integers(VOXELS[0], VOXELS[1] + 1, size=3))
    return draw(preset, VoxelGrid.from_extent(x=(-0.15, 0.15, x), y=(-0.15, 0.15, y), z=(0.35, 0.65, z)), rng)


def preset_scenes(preset: str, grid: VoxelGrid) -> Callable[[np.random.Generator], npt.NDArray[np.float32]]:
    """Return what draws magnitudes of a preset (``"both"``: of either, with equal chance) on a grid."""

    def draw_one(rng: np.random.Generator) -> npt.NDArray[np.float32]:
        name = ("paper" if rng.random() < 0.5 else "shapes") if preset == "both" else preset
        return draw(name, grid, rng)

    return draw_one
