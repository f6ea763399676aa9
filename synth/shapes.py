"""Draw targets of hard-edged bodies: boxes, plates with holes, rings, rods, shells, letters, in any orientation.

A body is a signed distance: a function of three coordinate arrays, metres in the body's own frame, that is negative
inside. `coverage` turns distances at the voxel centres into the part of each voxel that the body fills.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mimo import VoxelGrid
from mimo.synth.frame import GridFrame
from mimo.synth.glyphs import GLYPHS, HEIGHT, WIDTH

__all__ = [
    "BODIES",
    "box_distance",
    "coverage",
    "draw_box",
    "draw_letter",
    "draw_plate",
    "draw_ring",
    "draw_rod",
    "draw_shell",
    "extruded",
    "letter",
    "local_coordinates",
    "random_rotation",
    "segment_distance",
    "shapes_target",
]

Floats = npt.NDArray[np.float64]
Distance = Callable[[Floats, Floats, Floats], Floats]

# Lengths below are fractions of the grid's size (geometric mean of its extents), (low, high) of a uniform draw.
N_BODY = (1, 2, 3)
"""Bodies of one target, equally likely."""
BODY_SCALE = {1: 1.4, 2: 1.1, 3: 0.9}
"""Factor on every length of a body, by the number of bodies."""
CENTER_RANGE = {1: 0.10, 2: 0.22, 3: 0.28}
"""A body's centre is uniform within this fraction of the extent from the grid's centre, by the number of bodies."""
MAGNITUDE_RANGE = (0.4, 1.0)
"""Magnitude of a body, before the strongest voxel is made 1."""
MIN_HALF_VOXELS = 0.75
"""No wall, rod, stroke or plate is thinner than twice this many of the grid's largest voxel spacings."""
BOX_HALF = (0.06, 0.20)
"""Half-edges of a box, each."""
PLATE_HALF = (0.14, 0.28)
"""Half-edges of a plate, both."""
PLATE_HALF_THICKNESS = (0.02, 0.035)
PLATE_N_HOLE = (1, 4)
"""Round holes in a plate, both ends included."""
PLATE_HOLE = (0.25, 0.45)
"""Radius of a hole, as a fraction of the plate's shorter half-edge."""
RING_RADIUS = (0.14, 0.28)
RING_HALF_WALL = (0.02, 0.04)
RING_HALF_HEIGHT = (0.02, 0.07)
ROD_HALF_LENGTH = (0.15, 0.35)
ROD_RADIUS = (0.025, 0.055)
SHELL_RADIUS = (0.13, 0.26)
"""Radius of a spherical shell, or half-edge (each) of a hollow box."""
SHELL_HALF_WALL = (0.018, 0.03)
SHELL_OPEN_CHANCE = 0.5
"""Chance that a shell is cut open, at a height uniform within half its radius of its middle."""
LETTER_HEIGHT = (0.40, 0.60)
LETTER_STROKE = (0.028, 0.042)
"""Half-width of a letter's strokes."""
LETTER_HALF_DEPTH = (0.03, 0.06)
MAX_REDRAW = 100
"""Draws before a target that misses every voxel of a coarse grid is replaced by a full volume."""


def shapes_target(grid: VoxelGrid, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Draw one to three bodies of random kind, size, place, orientation and magnitude.

    Where bodies overlap the stronger one counts; every number of the recipe is a constant of this module.

    Parameters
    ----------
    grid
        Where the bodies lie; any spacing, one voxel along an axis included (a slice through the bodies).
    rng
        Source of randomness.

    Returns
    -------
    float32 array (n_x, n_y, n_z)
        In [0, 1], maximum exactly 1; edges about one voxel wide.
    """
    frame = GridFrame.of(grid)
    thinnest = MIN_HALF_VOXELS * float(frame.spacing.max())
    for _ in range(MAX_REDRAW):
        n_body = int(rng.choice(N_BODY))
        scale = frame.size * BODY_SCALE[n_body]
        volume = np.zeros(grid.shape)
        for _ in range(n_body):
            kind = BODIES[list(BODIES)[rng.integers(len(BODIES))]]
            distance = kind(scale, thinnest, rng)
            offset = rng.uniform(-CENTER_RANGE[n_body], CENTER_RANGE[n_body], 3)
            local = local_coordinates(grid, frame.center + frame.extent * offset, random_rotation(rng))
            filled = coverage(distance(*local))
            np.maximum(volume, rng.uniform(*MAGNITUDE_RANGE) * filled, out=volume)
        if volume.max() > 0:
            return (volume / volume.max()).astype(np.float32)
    return np.ones(grid.shape, np.float32)


def coverage(distance: Floats) -> Floats:
    """Return the part of each voxel that a body fills, from signed distances at the voxel centres.

    ``clip(1/2 - d / w, 0, 1)`` where ``w^2 = sum_axis (step of d to the next voxel)^2``: over a flat face this ramp has
    the mean and the variance of the exact filling, whatever the face's orientation and the voxel's shape. So edges are
    about one voxel wide in any direction, and volumes are kept.

    Parameters
    ----------
    distance
        Float64 ``(n_x, n_y, n_z)``, negative inside, any unit.

    Returns
    -------
    float64 array (n_x, n_y, n_z)
        In [0, 1].
    """
    width = np.zeros_like(distance)
    for axis in range(distance.ndim):
        if distance.shape[axis] > 1:
            step = np.gradient(distance, axis=axis)
            width += step * step
    np.sqrt(width, out=width)
    np.maximum(width, np.finfo(float).tiny, out=width)
    # beyond one voxel the answer is 0 or 1 whatever the ratio: clip first, so that nothing overflows
    return 0.5 - np.clip(distance, -0.5 * width, 0.5 * width) / width


def random_rotation(rng: np.random.Generator) -> Floats:
    """Draw a rotation matrix uniformly (a unit quaternion of four normal numbers), float64 ``(3, 3)``."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def local_coordinates(grid: VoxelGrid, center: Floats, rotation: Floats) -> list[Floats]:
    """Return the voxel centres in a body's frame: ``rotation @ (v - center)``, three float64 ``(n_x, n_y, n_z)``."""
    x, y, z = grid.x - center[0], grid.y - center[1], grid.z - center[2]
    return [(r[0] * x[:, None, None] + r[1] * y[:, None]) + r[2] * z for r in rotation]


# -- signed distances ------------------------------------------------------------------------------------------------


def box_distance(x: Floats, y: Floats, z: Floats, half: npt.ArrayLike) -> Floats:
    """Signed distance to a box centred at the origin with half-edges `half` (3 numbers, metres)."""
    hx, hy, hz = np.asarray(half, float)
    qx, qy, qz = np.abs(x) - hx, np.abs(y) - hy, np.abs(z) - hz
    outside = np.sqrt(np.maximum(qx, 0) ** 2 + np.maximum(qy, 0) ** 2 + np.maximum(qz, 0) ** 2)
    return outside + np.minimum(np.maximum(np.maximum(qx, qy), qz), 0)


def extruded(flat: Floats, z: Floats, half_height: float) -> Floats:
    """Signed distance to a flat figure of signed distance `flat`, made ``2 half_height`` metres high along z."""
    rise = np.abs(z) - half_height
    return np.minimum(np.maximum(flat, rise), 0) + np.hypot(np.maximum(flat, 0), np.maximum(rise, 0))


def segment_distance(x: Floats, y: Floats, start: Floats, end: Floats) -> Floats:
    """Distance in the plane to the segment from `start` to `end`, each (x, y) in metres."""
    along = end - start
    dx, dy = x - start[0], y - start[1]
    part = np.clip((dx * along[0] + dy * along[1]) / (along @ along), 0, 1)
    return np.hypot(dx - part * along[0], dy - part * along[1])


# -- bodies: (scale in metres, thinnest half-thickness in metres, rng) -> signed distance ------------------------------


def draw_box(scale: float, thinnest: float, rng: np.random.Generator) -> Distance:
    """Draw a box."""
    half = np.maximum(scale * rng.uniform(*BOX_HALF, 3), thinnest)
    return lambda x, y, z: box_distance(x, y, z, half)


def draw_plate(scale: float, thinnest: float, rng: np.random.Generator) -> Distance:
    """Draw a plate with round holes, which may cut its rim."""
    width, height = scale * rng.uniform(*PLATE_HALF, 2)
    thickness = max(scale * rng.uniform(*PLATE_HALF_THICKNESS), thinnest)
    n_hole = int(rng.integers(PLATE_N_HOLE[0], PLATE_N_HOLE[1] + 1))
    radius = min(width, height) * rng.uniform(*PLATE_HOLE, n_hole)
    at = rng.uniform(-0.75, 0.75, (n_hole, 2)) * (width, height)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        solid = box_distance(x, y, z, (width, height, thickness))
        for (hole_x, hole_y), hole_radius in zip(at, radius, strict=True):
            solid = np.maximum(solid, hole_radius - np.hypot(x - hole_x, y - hole_y))
        return solid

    return distance


def draw_ring(scale: float, thinnest: float, rng: np.random.Generator) -> Distance:
    """Draw a flat ring of rectangular section."""
    radius = scale * rng.uniform(*RING_RADIUS)
    wall = max(scale * rng.uniform(*RING_HALF_WALL), thinnest)
    height = max(scale * rng.uniform(*RING_HALF_HEIGHT), thinnest)
    return lambda x, y, z: extruded(np.abs(np.hypot(x, y) - radius) - wall, z, height)


def draw_rod(scale: float, thinnest: float, rng: np.random.Generator) -> Distance:
    """Draw a rod with round ends."""
    half_length = scale * rng.uniform(*ROD_HALF_LENGTH)
    radius = max(scale * rng.uniform(*ROD_RADIUS), thinnest)
    return lambda x, y, z: np.sqrt(x * x + y * y + (z - np.clip(z, -half_length, half_length)) ** 2) - radius


def draw_shell(scale: float, thinnest: float, rng: np.random.Generator) -> Distance:
    """Draw a hollow sphere or a hollow box, closed or cut open."""
    half = scale * rng.uniform(*SHELL_RADIUS, 3)
    wall = max(scale * rng.uniform(*SHELL_HALF_WALL), thinnest)
    spherical, cut_open = rng.random() < 0.5, rng.random() < SHELL_OPEN_CHANCE
    height = 0.5 * half[2] * rng.uniform(-1, 1)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        ball = np.sqrt(x * x + y * y + z * z) - half[2]
        solid = ball if spherical else box_distance(x, y, z, half)
        hollow = np.abs(solid) - wall
        return np.maximum(hollow, z - height) if cut_open else hollow

    return distance


def draw_letter(scale: float, thinnest: float, rng: np.random.Generator) -> Distance:
    """Draw a capital letter of round strokes, standing in the plane of x and y."""
    return letter(
        list(GLYPHS)[rng.integers(len(GLYPHS))],
        height=scale * rng.uniform(*LETTER_HEIGHT),
        stroke=max(scale * rng.uniform(*LETTER_STROKE), thinnest),
        half_depth=max(scale * rng.uniform(*LETTER_HALF_DEPTH), thinnest),
    )


def letter(name: str, *, height: float, stroke: float, half_depth: float) -> Distance:
    """Return the signed distance of capital letter `name`: strokes of half-width `stroke`, all in metres."""
    unit = height / HEIGHT
    middle = np.array([WIDTH, HEIGHT]) / 2
    lines = [(np.array(points, float) - middle) * unit for points in GLYPHS[name]]

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        flat = np.full(x.shape, np.inf)
        for line in lines:
            for start, end in pairwise(line):
                np.minimum(flat, segment_distance(x, y, start, end), out=flat)
        return extruded(flat - stroke, z, half_depth)

    return distance


BODIES: dict[str, Callable[[float, float, np.random.Generator], Distance]] = {
    "box": draw_box,
    "plate": draw_plate,
    "ring": draw_ring,
    "rod": draw_rod,
    "shell": draw_shell,
    "letter": draw_letter,
}
"""Name of each kind of body, equally likely, and the function that draws one."""
