"""Cast rays through a volume from any side, without a window: maximum along the ray, or the shaded surface.

Rays are parallel. At azimuth 0, x points to the right, y up and z towards the reader, as in `mimo.viewer.surface`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mimo import VoxelGrid
from mimo.viewer.projections import voxel_edges
from mimo.viewer.surface import AMBIENT, DEPTH_COLORS, LIGHT

__all__ = ["Camera", "Raycaster", "orbit"]

Floats = npt.NDArray[np.float64]

MIN_STEPS, MAX_STEPS = 64, 256  # samples along a ray
MAX_ALONG = 256  # voxels along an axis after an uneven one is made even
SAMPLES_AT_ONCE = 4_000_000  # samples treated at once


@dataclass(frozen=True)
class Camera:
    """Holds a point of view for parallel rays.

    Attributes
    ----------
    azimuth, elevation
        Direction of the camera, degrees: turned about the y axis by the azimuth, from +z towards +x, and raised by the
        elevation.
    center
        Point in the middle of the picture, metres.
    half_width, half_height
        Distance from the middle to the picture's sides, metres.
    """

    azimuth: float
    elevation: float
    center: tuple[float, float, float]
    half_width: float
    half_height: float

    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Return unit vectors to the right, up and towards the reader, each ``(3,)`` in x, y, z."""
        a, e = np.radians((self.azimuth, self.elevation))
        right = np.array([np.cos(a), 0.0, -np.sin(a)])
        towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        return right, np.cross(towards, right), towards

    def project(self, points: npt.ArrayLike) -> Floats:
        """Project points ``(..., 3)`` in metres onto the picture, ``(..., 2)``: right and up, each from -1 to 1."""
        right, up, _ = self.axes()
        offset = np.asarray(points, float) - self.center
        return np.stack([offset @ right / self.half_width, offset @ up / self.half_height], axis=-1)


def orbit(grid: VoxelGrid, azimuth: float, elevation: float = 20.0) -> Camera:
    """Return a camera that looks at the middle of the grid and sees all of its box, whatever the azimuth."""
    edges = voxel_edges(grid)
    low, high = (np.array([edges[name][i] for name in "xyz"]) for i in (0, -1))
    x, y, z = high - low
    e = np.radians(elevation)
    across = 0.5 * float(np.hypot(x, z))
    tall = 0.5 * y * abs(np.cos(e)) + across * abs(np.sin(e))
    cx, cy, cz = (float(c) for c in (low + high) / 2)
    return Camera(azimuth, elevation, (cx, cy, cz), across * 1.04, float(tall) * 1.04)


class Raycaster:
    """Draws one volume from many points of view.

    Parameters
    ----------
    volume
        Real and finite ``(n_x, n_y, n_z)``, of the grid's shape.
    grid
        Voxel centres in metres; uneven axes are resampled linearly to their smallest step, to `MAX_ALONG` voxels at
        most.
    inside
        bool ``(n_x, n_y, n_z)``: voxels of the region that was imaged; rays see no others. ``None`` for all.
    """

    def __init__(self, volume: npt.ArrayLike, grid: VoxelGrid, inside: npt.NDArray[np.bool_] | None = None) -> None:
        values = np.asarray(volume, np.float32)
        if values.shape != grid.shape:
            raise ValueError(f"volume has shape {values.shape}, grid has shape {grid.shape}: expected the same")
        if not np.isfinite(values).all():
            raise ValueError(
                f"volume has {np.count_nonzero(~np.isfinite(values))} NaN or infinite values: expected none"
            )
        edges = voxel_edges(grid)
        self.low = np.array([edges[name][0] for name in "xyz"])
        self.high = np.array([edges[name][-1] for name in "xyz"])
        even = [values] if inside is None else [values, inside.astype(np.float32)]
        for i, name in enumerate("xyz"):
            even = [_even(each, getattr(grid, name), edges[name], i) for each in even]
        volumes = [torch.from_numpy(np.ascontiguousarray(each))[None, None] for each in even]
        self._volume, self._inside = volumes[0], volumes[1] if inside is not None else None
        self._step = (self.high - self.low) / even[0].shape
        self._gradient: torch.Tensor | None = None

    def maximum(self, camera: Camera, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Return the largest value of the voxels on each ray, not interpolated, so that single ones keep their level.

        Parameters
        ----------
        camera
            The point of view.
        shape
            Rows and columns of the picture.

        Returns
        -------
        numpy.ndarray
            float32 `shape`, the first row on top; NaN where a ray misses the grid, or what of it was imaged.
        """
        picture = np.full(shape, np.nan, np.float32)
        for rows in self._blocks(camera, shape):
            values, inside, where = self._samples(camera, shape, rows, "nearest")
            if self._inside is not None:
                inside &= _sample(self._inside, where, "nearest")[0, 0] > 0.5
            values = torch.where(inside, values, torch.full_like(values, -torch.inf))
            highest = values.amax(-1)
            picture[rows] = torch.where(highest > -torch.inf, highest, torch.nan).numpy()
        return picture

    def surface(self, camera: Camera, shape: tuple[int, int], level: float) -> npt.NDArray[np.float32]:
        """Draw the surface where the value is `level`, coloured by depth as in `mimo.viewer.surface.draw_surface`.

        Returns
        -------
        numpy.ndarray
            RGBA, float32 ``(*shape, 4)`` from 0 to 1, the first row on top; transparent where no ray meets the surface.
        """
        if self._gradient is None:
            parts = [_difference(self._volume[0, 0], i, float(self._step[i])) for i in range(3)]
            self._gradient = torch.stack(parts)[None]
        picture = np.zeros((*shape, 4), np.float32)
        right, up, towards = camera.axes()
        light = LIGHT.direction @ np.array([right, up, towards])  # the light moves with the camera
        for rows in self._blocks(camera, shape):
            values, inside, where = self._samples(camera, shape, rows)
            above = inside & (values >= level)
            hit = above.any(-1)
            first = above.to(torch.uint8).argmax(-1)
            before = (first - 1).clamp_min(0)
            here, there = (values.gather(-1, i[..., None])[..., 0] for i in (first, before))
            share = torch.where(here > there, (here - level) / (here - there).clamp_min(1e-30), 0.0).clamp(0, 1)
            share = torch.where(first > 0, share, 0.0)
            index = first[..., None, None].expand(*first.shape, 1, 3)
            at = where.gather(-2, index)[..., 0, :]
            at = at - share[..., None] * (where[..., 1, :] - where[..., 0, :])
            normal = -_sample(self._gradient, at[:, :, None, :])[0, :, :, :, 0].permute(1, 2, 0).numpy()
            length = np.linalg.norm(normal, axis=-1)
            cosine = normal @ light / np.where(length > 0, length, 1)
            bright = AMBIENT + (1 - AMBIENT) * np.clip(0.5 + 0.5 * cosine, 0, 1)
            depth = np.clip(0.5 + 0.5 * at[..., 2].numpy(), 0, 1)
            colors = bright[..., None] * DEPTH_COLORS(depth)[..., :3]
            picture[rows] = np.concatenate([colors, np.ones((*depth.shape, 1))], -1) * hit.numpy()[..., None]
        return picture

    @property
    def n_across(self) -> int:
        """Number of voxels along the diagonal of the box, the most that any picture shows side by side."""
        return int(np.ceil(np.linalg.norm((self.high - self.low) / self._step)))

    def _n_step(self, camera: Camera) -> int:
        """Return the samples along a ray: 1.5 times the most voxels that it passes along an axis."""
        towards = np.abs(camera.axes()[2])
        passed = float(np.linalg.norm(self.high - self.low) * np.max(towards / self._step))
        return int(np.clip(1.5 * passed, MIN_STEPS, MAX_STEPS))

    def _blocks(self, camera: Camera, shape: tuple[int, int]) -> list[slice]:
        each = max(1, SAMPLES_AT_ONCE // (shape[1] * self._n_step(camera)))
        return [slice(start, min(start + each, shape[0])) for start in range(0, shape[0], each)]

    def _samples(
        self, camera: Camera, shape: tuple[int, int], rows: slice, mode: str = "bilinear"
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return samples ``(row, column, step)`` from the reader inwards, which are inside, and places (-1 to 1)."""
        right, up, towards = camera.axes()
        u = ((np.arange(shape[1]) + 0.5) / shape[1] * 2 - 1) * camera.half_width
        v = (1 - (np.arange(shape[0]) + 0.5) / shape[0] * 2)[rows] * camera.half_height
        n_step = self._n_step(camera)
        reach = 0.5 * float(np.linalg.norm(self.high - self.low))
        t = reach * (1 - 2 * (np.arange(n_step) + 0.5) / n_step)
        scale, middle = 2 / (self.high - self.low), (self.high + self.low) / 2
        parts = []
        for i in range(3):
            start = (camera.center[i] - middle[i]) * scale[i]
            plane = start + scale[i] * (v[:, None] * up[i] + u * right[i])
            along = torch.from_numpy((scale[i] * t * towards[i]).astype(np.float32))
            parts.append(torch.from_numpy(plane.astype(np.float32))[..., None] + along)
        where = torch.stack(parts, -1)
        inside = where.abs().amax(-1) <= 1
        return _sample(self._volume, where, mode)[0, 0], inside, where


def _sample(volume: torch.Tensor, where: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Sample ``(1, n_part, n_x, n_y, n_z)`` at ``(a, b, c, 3)``, linearly or nearest: ``(1, n_part, a, b, c)``."""
    return torch.nn.functional.grid_sample(
        volume, where.flip(-1)[None], mode=mode, padding_mode="border", align_corners=False
    )


def _difference(volume: torch.Tensor, axis: int, step: float) -> torch.Tensor:
    """Return the central difference along an axis, per metre; zero along an axis of one voxel."""
    n = volume.shape[axis]
    if n == 1:
        return torch.zeros_like(volume)
    index = torch.arange(n)
    ahead, behind = (index + 1).clamp(max=n - 1), (index - 1).clamp(min=0)
    return (volume.index_select(axis, ahead) - volume.index_select(axis, behind)) / (2 * step)


def _even(values: npt.NDArray[np.float32], axis: Floats, edges: Floats, i: int) -> npt.NDArray[np.float32]:
    """Resample along axis `i` to even steps between the same outer edges."""
    steps = np.diff(axis)
    if not len(steps) or np.ptp(steps) <= 1e-3 * steps.mean():
        return values
    n = min(MAX_ALONG, max(len(axis), round(float((edges[-1] - edges[0]) / steps.min()))))
    wanted = edges[0] + (np.arange(n) + 0.5) / n * (edges[-1] - edges[0])
    at = np.clip(np.interp(wanted, axis, np.arange(len(axis))), 0, len(axis) - 1)
    below = np.minimum(at.astype(int), len(axis) - 2)
    share = (at - below).astype(np.float32).reshape([-1 if j == i else 1 for j in range(3)])
    return values.take(below, i) * (1 - share) + values.take(below + 1, i) * share
