"""Make depth maps: how far the first, or the strongest, reflection of a volume is along z or seen from a viewpoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mimo import VoxelGrid
from mimo.grid import voxel_edges
from mimo.options import unknown

__all__ = ["DEPTHS", "DepthMap", "View", "depth_map", "depth_of_points", "depth_of_triangles"]

DEPTHS = ("first", "strongest")
"""Which reflection along a ray counts: the nearest that reaches the level, or the largest of all."""

CHUNK = 2_000_000
"""Pairs of a triangle and a pixel looked at in one go (about 150 bytes each)."""
EDGE = 1e-9
"""Share of a triangle by which a ray may miss it: one along the common edge of two triangles must hit one of them."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class View:
    """Says where the pixels of a depth map look: along +z at places x, y, or from a viewpoint through slopes.

    Attributes
    ----------
    across, up
        float64 ``(n_u,)`` and ``(n_v,)``, ascending: x and y of the pixels in metres; from a viewpoint the slopes
        ``(x - x_0) / (z - z_0)`` and ``(y - y_0) / (z - z_0)`` of their rays.
    viewpoint
        ``(x_0, y_0, z_0)``, metres; ``None`` for rays parallel to z.
    """

    across: Floats
    up: Floats
    viewpoint: tuple[float, float, float] | None = None

    @classmethod
    def of_grid(cls, grid: VoxelGrid, viewpoint: tuple[float, float, float] | None = None) -> View:
        """Return a view of a whole grid, of n_x by n_y pixels: a pixel for each column of voxels, or from a viewpoint.

        Raises
        ------
        ValueError
            When the viewpoint is not finite, or not in front of the grid.
        """
        if viewpoint is None:
            return cls(grid.x, grid.y)
        if len(viewpoint) != 3 or not np.isfinite(viewpoint).all():
            raise ValueError(f"viewpoint is {viewpoint}: expected x, y, z in metres")
        near = float(voxel_edges(grid)["z"][0])
        if viewpoint[2] >= near:
            raise ValueError(
                f"viewpoint has z = {viewpoint[2]:g} m, the grid begins at {near:g} m: expected a point in front of "
                "it, from which it is seen along +z"
            )
        slopes = []
        for axis, origin in ((grid.x, viewpoint[0]), (grid.y, viewpoint[1])):
            ends = np.subtract.outer(axis[[0, -1]], origin) / (grid.z[[0, -1]][:, None] - viewpoint[2])
            middle = (axis[0] + axis[-1]) / 2 - origin
            far = middle / ((grid.z[0] + grid.z[-1]) / 2 - viewpoint[2])
            slopes.append(np.linspace(ends.min(), ends.max(), len(axis)) if len(axis) > 1 else np.array([far]))
        x, y, z = map(float, viewpoint)
        return cls(slopes[0], slopes[1], (x, y, z))

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_u, n_v)``."""
        return len(self.across), len(self.up)

    def seen(self, points: npt.ArrayLike) -> Floats:
        """Return where points ``(..., 3)`` in metres are seen: place across, place up and depth, ``(..., 3)``.

        The depth is the coordinate z, or from a viewpoint the distance from it along z, as depth cameras give it.
        Points beside or behind a viewpoint have a depth of 0 or less, and no place.
        """
        points = np.asarray(points, float)
        if self.viewpoint is None:
            return points
        from_it = points - np.asarray(self.viewpoint)
        depth = from_it[..., 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            place = np.where(depth > 0, from_it[..., :2] / depth, np.nan)
        return np.concatenate([place, depth], axis=-1)

    def places(self, z: float) -> tuple[Floats, Floats]:
        """Return x ``(n_u,)`` and y ``(n_v,)`` of the pixels' rays on the plane of a coordinate z, metres."""
        if self.viewpoint is None:
            return self.across, self.up
        x, y, from_z = self.viewpoint
        return x + self.across * (z - from_z), y + self.up * (z - from_z)

    def positions(self, depth: npt.ArrayLike) -> Floats:
        """Return the points x, y, z in metres, ``(n_u, n_v, 3)``, at a depth ``(n_u, n_v)`` behind each pixel."""
        depth = np.asarray(depth, float)
        across, up = np.broadcast_arrays(self.across[:, None], self.up[None, :])
        if self.viewpoint is None:
            return np.stack([across, up, depth], axis=-1)
        return np.stack([across * depth, up * depth, depth], axis=-1) + np.asarray(self.viewpoint)


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Holds the depth behind each pixel of a view.

    Attributes
    ----------
    view
        Where the pixels look.
    depth
        float64 ``(n_u, n_v)``, metres; NaN where nothing is seen. Along z it is the coordinate z; from a viewpoint the
        distance from it along z.
    decibels
        float64 ``(n_u, n_v)``: the largest magnitude on the ray, dB relative to the volume's reference; NaN where
        nothing is seen.
    """

    view: View
    depth: Floats
    decibels: Floats

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Which pixels see something, bool ``(n_u, n_v)``."""
        return np.isfinite(self.depth)

    def points(self) -> Floats:
        """Return the point x, y, z in metres behind each pixel that sees something, ``(n, 3)``."""
        return self.view.positions(self.depth)[self.seen]


def depth_map(
    volume: npt.ArrayLike,
    grid: VoxelGrid,
    level_db: float = -10.0,
    *,
    depth: str = "first",
    viewpoint: tuple[float, float, float] | None = None,
    view: View | None = None,
    reference: float | None = None,
) -> DepthMap:
    """Find the depth of a volume's surface behind each pixel.

    A pixel sees something where the magnitude on its ray reaches the level. Its depth is where the magnitude first does
    so (``first``), interpolated linearly between the voxels before and behind; or where it is largest (``strongest``),
    from the parabola through that voxel and its two neighbours. At the border of the grid it is the outer voxel's
    centre. From a viewpoint the volume is interpolated bilinearly on planes of constant z.

    Parameters
    ----------
    volume
        Complex or real ``(n_x, n_y, n_z)``, of the grid's shape.
    grid
        Voxel centres, metres; the spacing may vary.
    level_db
        Lowest magnitude that counts, dB relative to the reference, below 0.
    depth
        ``first`` or ``strongest``.
    viewpoint
        From where the volume is seen, metres, in front of the grid; ``None``: rays along +z.
    view
        Pixels to use instead of those of `View.of_grid`, say of another grid; it has the viewpoint, too. The volume is
        then interpolated bilinearly along z, as well.
    reference
        The magnitude of 0 dB; the volume's own maximum when ``None``.

    Raises
    ------
    ValueError
        When the volume does not fit the grid or is not finite, or an option is out of range.
    """
    if depth not in DEPTHS:
        raise ValueError(unknown("depth", depth, DEPTHS))
    if not (np.isfinite(level_db) and level_db < 0):
        raise ValueError(f"level_db is {level_db}: expected below 0 dB")
    magnitude = np.abs(np.asarray(volume)).astype(np.float64)
    if magnitude.shape != grid.shape:
        raise ValueError(f"volume has shape {magnitude.shape}: expected {grid.shape}, as the grid")
    if not np.isfinite(magnitude).all():
        raise ValueError("volume has NaN or infinite values: expected finite ones")
    if reference is not None and not (np.isfinite(reference) and reference > 0):
        raise ValueError(f"reference is {reference}: expected a positive magnitude")
    own = view is None
    view = View.of_grid(grid, viewpoint) if view is None else view
    peak = float(magnitude.max()) if reference is None else reference
    nothing = np.full(view.shape, np.nan)
    if peak == 0:
        return DepthMap(view, nothing, nothing)
    level = 10 ** (level_db / 20)
    magnitude = magnitude / peak
    if not own or view.viewpoint is not None:
        magnitude = _along_rays(magnitude, grid, view)
    largest = magnitude.max(axis=2)
    found = largest >= level
    behind = np.asarray(grid.z - (0 if view.viewpoint is None else view.viewpoint[2]))
    place = _first(magnitude, behind, level) if depth == "first" else _strongest(magnitude, behind)
    with np.errstate(divide="ignore"):
        decibels = 20 * np.log10(largest)
    return DepthMap(view, np.where(found, place, np.nan), np.where(found, decibels, np.nan))


def _along_rays(magnitude: Floats, grid: VoxelGrid, view: View) -> Floats:
    """Return the magnitude on the planes of constant z along each ray, ``(n_u, n_v, n_z)``; 0 beside the grid."""
    edges = voxel_edges(grid)
    out = np.empty((*view.shape, len(grid.z)))
    for k, z in enumerate(grid.z):
        x, y = view.places(float(z))
        rows, columns = _weights(x, grid.x, edges["x"]), _weights(y, grid.y, edges["y"])
        out[:, :, k] = rows @ magnitude[:, :, k] @ columns.T
    return out


def _weights(places: Floats, axis: Floats, edges: Floats) -> Floats:
    """Return the matrix ``(n_place, n)`` that interpolates linearly along an axis; 0 outside the voxels' edges."""
    index = np.interp(places, axis, np.arange(len(axis)))
    low = np.minimum(index.astype(int), max(len(axis) - 2, 0))
    share = index - low
    weights = np.zeros((len(places), len(axis)))
    rows = np.arange(len(places))
    weights[rows, low] = 1 - share
    if len(axis) > 1:
        weights[rows, low + 1] += share
    slack = 1e-9 * (edges[-1] - edges[0])  # the outermost rays of a view end on an edge
    weights[(places < edges[0] - slack) | (places > edges[-1] + slack)] = 0
    return weights


def _first(magnitude: Floats, depth: Floats, level: float) -> Floats:
    """Return the depth at which each ray first reaches the level; meaningless where it never does."""
    index = (magnitude >= level).argmax(axis=2)
    before = np.maximum(index - 1, 0)
    high, low = (np.take_along_axis(magnitude, i[..., None], axis=2)[..., 0] for i in (index, before))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(index > 0, (level - low) / (high - low), 1.0)
    return depth[before] + share * (depth[index] - depth[before])


def _strongest(magnitude: Floats, depth: Floats) -> Floats:
    """Return the depth of the largest magnitude of each ray, from a parabola through it and its neighbours."""
    index = magnitude.argmax(axis=2)
    if len(depth) < 3:
        return depth[index]
    middle = np.clip(index, 1, len(depth) - 2)
    a, b, c = (np.take_along_axis(magnitude, middle[..., None] + i, axis=2)[..., 0] for i in (-1, 0, 1))
    left, right = depth[middle] - depth[middle - 1], depth[middle + 1] - depth[middle]
    slope_left, slope_right = (b - a) / left, (c - b) / right
    with np.errstate(divide="ignore", invalid="ignore"):
        # the vertex of the parabola through three unevenly spaced points, from its slopes half-way between them
        vertex = depth[middle] - left / 2 + (left + right) / 2 * slope_left / (slope_left - slope_right)
    inner = (middle == index) & np.isfinite(vertex)
    return np.where(inner, np.clip(vertex, depth[middle - 1], depth[middle + 1]), depth[index])


def depth_of_points(points: npt.ArrayLike, view: View, z: tuple[float, float]) -> Floats:
    """Return the depth of the nearest of some points behind each pixel, ``(n_u, n_v)``; NaN where there is none.

    Parameters
    ----------
    points
        Points ``(n, 3)``, metres. One is seen by the pixel that is nearest to it, if it lies within half a pixel.
    view
        Where the pixels look.
    z
        Lowest and highest coordinate z, metres, of the points that count.
    """
    points = np.asarray(points, float).reshape(-1, 3)
    places = view.seen(points[(points[:, 2] >= z[0]) & (points[:, 2] <= z[1])])
    places = places[places[:, 2] > (-np.inf if view.viewpoint is None else 0)]
    columns, inside = [], np.ones(len(places), bool)
    for i, axis in enumerate((view.across, view.up)):
        edges = _pixel_edges(axis)
        columns.append(np.clip(np.searchsorted(edges, places[:, i], side="right") - 1, 0, len(axis) - 1))
        inside &= (places[:, i] >= edges[0]) & (places[:, i] <= edges[-1])
    depth = np.full(view.shape, np.inf)
    np.minimum.at(depth, (columns[0][inside], columns[1][inside]), places[inside, 2])
    return np.where(np.isfinite(depth), depth, np.nan)


def _pixel_edges(axis: Floats) -> Floats:
    """Return the edges of pixels half-way between their centres; a single one sees everything."""
    if len(axis) == 1:
        return np.array([-np.inf, np.inf])
    middle = (axis[1:] + axis[:-1]) / 2
    return np.concatenate([[2 * axis[0] - middle[0]], middle, [2 * axis[-1] - middle[-1]]])


def depth_of_triangles(triangles: npt.ArrayLike, view: View, z: tuple[float, float]) -> Floats:
    """Return the depth of the nearest triangle behind each pixel's middle, ``(n_u, n_v)``; NaN where there is none.

    Parameters
    ----------
    triangles
        Corners ``(n, 3, 3)``, metres; either side counts.
    view
        Where the pixels look. Triangles that are not wholly in front of its viewpoint are left out.
    z
        Lowest and highest coordinate z, metres, at which a triangle counts: what lies outside the imaged volume cannot
        be in the image.
    """
    triangles = np.asarray(triangles, float).reshape(-1, 3, 3)
    corners = view.seen(triangles)
    perspective = view.viewpoint is not None
    if perspective:
        corners = corners[(corners[..., 2] > 0).all(axis=1)]
    origin = view.viewpoint[2] if view.viewpoint is not None else 0.0
    low, high = corners[..., :2].min(axis=1), corners[..., :2].max(axis=1)
    axes = (view.across, view.up)
    first = [np.searchsorted(axes[i], low[:, i] - EDGE * np.ptp(axes[i])) for i in (0, 1)]
    count = [np.searchsorted(axes[i], high[:, i] + EDGE * np.ptp(axes[i]), side="right") - first[i] for i in (0, 1)]
    pairs = count[0] * count[1]
    keep = np.flatnonzero(pairs > 0)
    depth = np.full(view.shape, np.inf)
    for part in np.split(keep, np.flatnonzero(np.diff(np.cumsum(pairs[keep]) // CHUNK)) + 1):
        owner = np.repeat(part, pairs[part])
        within = np.arange(len(owner)) - np.repeat(np.cumsum(pairs[part]) - pairs[part], pairs[part])
        i, j = first[0][owner] + within // count[1][owner], first[1][owner] + within % count[1][owner]
        a, b, c = corners[owner, 0], corners[owner, 1], corners[owner, 2]
        u, v = view.across[i] - a[:, 0], view.up[j] - a[:, 1]
        ab, ac = b[:, :2] - a[:, :2], c[:, :2] - a[:, :2]
        area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):  # a triangle seen edge-on has no area, and no ray hits it
            to_b, to_c = (u * ac[:, 1] - v * ac[:, 0]) / area, (ab[:, 0] * v - ab[:, 1] * u) / area
            hit = (area != 0) & (to_b >= -EDGE) & (to_c >= -EDGE) & (to_b + to_c <= 1 + EDGE)
        near, b_share, c_share = [x[hit] for x in (a, b, c)], to_b[hit], to_c[hit]
        ends = [1 / x[:, 2] if perspective else x[:, 2] for x in near]  # in perspective 1 / depth is linear
        found = ends[0] + b_share * (ends[1] - ends[0]) + c_share * (ends[2] - ends[0])
        found = 1 / found if perspective else found
        counts = (found + origin >= z[0]) & (found + origin <= z[1])
        np.minimum.at(depth, (i[hit][counts], j[hit][counts]), found[counts])
    return np.where(np.isfinite(depth), depth, np.nan)
