"""Draw magnitudes of extended targets: the papers' recipe or primitive bodies; meshes are turned into voxels.

Everything is in metres relative to the extent of the grid (last voxel centre minus first, along each axis), so one
recipe serves any grid. The *size* of a grid is the geometric mean of the extents of its axes of more than one voxel.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from mimo import VoxelGrid
from mimo.synth.frame import GridFrame
from mimo.synth.shapes import shapes_target

__all__ = ["N_POINT", "PRESETS", "check_preset", "draw", "paper_target"]

Volume = npt.NDArray[np.float32]

N_POINT = 15
"""Points of one target."""
CENTER_RANGE = 0.15
"""The first point lies within this fraction of the extent from the grid's centre, uniform along each axis."""
N_NEAR = 3
"""Each further point is drawn near one of the last so many, equally likely: bodies grow limbs and stay connected."""
STEP_RANGE = (0.07, 0.14)
"""Length of the step to a further point, uniform, in a uniform direction, as a fraction of the extent of each axis."""
MARGIN = 0.08
"""Points keep this fraction of the extent from the faces of the grid."""
WIDTH_RANGE = (0.028, 0.055)
"""Standard deviation of a point's Gaussian filter, uniform, as a fraction of the grid's size."""
MIN_WIDTH_VOXELS = 0.7
"""No Gaussian is narrower than this many voxels along an axis, so that a coarse grid does not step over a point."""
SIGMOID_THRESHOLD = 0.5
"""Where the sigmoid is one half; a single Gaussian has peak 1."""
SIGMOID_WIDTH = 0.08
"""Scale of the sigmoid's argument: smaller is a harder edge."""


def paper_target(grid: VoxelGrid, rng: np.random.Generator) -> Volume:
    """Draw an extended target by the papers' recipe.

    Fifteen points ``p_i``, each near one of the few before it, are spread by Gaussian filters of random width ``w_i``,
    summed, and passed through a sigmoid that saturates the body at 1 and leaves its edges soft::

        s(v) = sum_i exp(-|v - p_i|^2 / (2 w_i^2))
        m(v) = (sigmoid((s(v) - 0.5) / 0.08) - sigmoid(-0.5 / 0.08)) / max(...)

    Subtracting the sigmoid of an empty voxel makes the background exactly 0. The kind of recipe is that of arXiv
    2312.16959, section 5, which does not state every number; those used here are the constants of this module.

    Parameters
    ----------
    grid
        Where the target lies; any spacing, one voxel along an axis included.
    rng
        Source of randomness.

    Returns
    -------
    float32 array (n_x, n_y, n_z)
        In [0, 1], maximum exactly 1.

    Notes
    -----
    A Gaussian filter applied to a point is a product over the axes, so the sum is one ``(n_x n_y, 15) @ (15, n_z)``
    product: under 1 ms for 25 x 25 x 49 voxels.
    """
    frame = GridFrame.of(grid)
    points = np.empty((N_POINT, 3))  # as fractions of the extent, from the centre
    points[0] = rng.uniform(-CENTER_RANGE, CENTER_RANGE, 3)
    directions = rng.standard_normal((N_POINT, 3))
    steps = directions * (rng.uniform(*STEP_RANGE, N_POINT) / np.linalg.norm(directions, axis=1))[:, None]
    near = rng.random(N_POINT)
    for i in range(1, N_POINT):
        parent = i - 1 - int(near[i] * min(i, N_NEAR))
        points[i] = np.clip(points[parent] + steps[i], MARGIN - 0.5, 0.5 - MARGIN)
    points = frame.center + frame.extent * points
    width = frame.size * rng.uniform(*WIDTH_RANGE, N_POINT)

    factors = []
    for axis, coordinates in enumerate((grid.x, grid.y, grid.z)):
        axis_width = np.maximum(width, MIN_WIDTH_VOXELS * frame.spacing[axis])
        factors.append(np.exp(-0.5 * ((coordinates - points[:, [axis]]) / axis_width[:, None]) ** 2))
    plane = (factors[0][:, :, None] * factors[1][:, None, :]).reshape(N_POINT, -1)
    # torch, not numpy: its thread count can be set at run time, and generate() sets it to one for equal bits
    total = (torch.from_numpy(plane).T @ torch.from_numpy(factors[2])).numpy()

    floor = 1 / (1 + np.exp(SIGMOID_THRESHOLD / SIGMOID_WIDTH))
    body = 1 / (1 + np.exp((SIGMOID_THRESHOLD - total) / SIGMOID_WIDTH)) - floor
    np.maximum(body, 0, out=body)
    return (body / body.max()).astype(np.float32).reshape(grid.shape)


PRESETS: dict[str, Callable[[VoxelGrid, np.random.Generator], Volume]] = {
    "paper": paper_target,
    "shapes": shapes_target,
}
"""Name of each kind of target and the function that draws one."""


def check_preset(preset: str) -> None:
    """Raise ``ValueError``, naming the nearest preset, when there is none called `preset`."""
    if preset not in PRESETS:
        near = difflib.get_close_matches(str(preset), PRESETS, n=1, cutoff=0.0)
        raise ValueError(f"no preset {preset!r}: did you mean {near[0]!r}? There are: {', '.join(PRESETS)}")


def draw(preset: str, grid: VoxelGrid, rng: np.random.Generator) -> Volume:
    """Draw the magnitude of one target.

    Parameters
    ----------
    preset
        A name in `PRESETS`: ``"paper"`` (soft extended bodies) or ``"shapes"`` (boxes, rings, letters, ...).
    grid
        Where the target lies.
    rng
        Source of randomness; the same state gives the same target.

    Returns
    -------
    float32 array (n_x, n_y, n_z)
        In [0, 1], maximum exactly 1.

    Raises
    ------
    ValueError
        When there is no such preset; the message names the nearest one.
    """
    check_preset(preset)
    return PRESETS[preset](grid, rng)
