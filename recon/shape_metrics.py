"""Measure how far two shapes, points or triangles, lie apart: Chamfer distance, F-score, depth error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

__all__ = ["WITHIN", "Shape", "compare_shapes", "depth_errors", "sample_triangles", "spread"]

WITHIN = (0.001, 0.002, 0.005)
"""Distances in metres at which an F-score is given by default."""
NEIGHBOURS = 8
"""Nearest samples and centroids of a surface whose triangles a point's distance is taken to."""
CHUNK = 200_000
"""Points whose distances are computed in one go."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """Holds a shape as points, which for a surface are spread evenly over its triangles.

    Attributes
    ----------
    points
        float64 ``(n, 3)``, metres.
    triangles
        float64 ``(n_triangle, 3, 3)``, metres; ``None`` for points alone.
    owner
        int ``(n,)``: the triangle of each point; ``None`` for points alone.
    """

    points: Floats
    triangles: Floats | None = None
    owner: npt.NDArray[np.intp] | None = None

    @classmethod
    def of_triangles(cls, triangles: npt.ArrayLike, n: int, rng: np.random.Generator) -> Shape:
        """Return the surface of some triangles ``(n_triangle, 3, 3)``, with `n` points on it; empty without any."""
        corners = np.asarray(triangles, float).reshape(-1, 3, 3)
        if not len(corners):
            return cls(np.empty((0, 3)))
        points, owner = sample_triangles(corners, n, rng)
        return cls(points, corners, owner)

    def within(self, box: npt.ArrayLike) -> Shape:
        """Return the shape with the points in a box ``(2, 3)`` alone: lowest and highest x, y, z in metres."""
        low, high = np.asarray(box, float)
        inside = ((self.points >= low) & (self.points <= high)).all(axis=1)
        return replace(self, points=self.points[inside], owner=None if self.owner is None else self.owner[inside])

    def distances(self, points: npt.ArrayLike) -> Floats:
        """Return the distance of each of some points ``(n, 3)`` from the shape, metres ``(n,)``; inf if that is empty.

        From a surface it is the distance to the triangles of the `NEIGHBOURS` nearest samples and centroids. So it does
        not depend on where the samples happen to lie, and a point on the surface has the distance 0.
        """
        points = np.asarray(points, float).reshape(-1, 3)
        if not len(self.points):
            return np.full(len(points), np.inf)
        if self.triangles is None or self.owner is None:
            return np.asarray(KDTree(self.points).query(points)[0])
        # samples are dense on triangles larger than their spacing, centroids on smaller ones
        tree = KDTree(np.concatenate([self.points, self.triangles.mean(axis=1)]))
        owner = np.concatenate([self.owner, np.arange(len(self.triangles))])
        k = min(NEIGHBOURS, len(owner))
        found = np.empty(len(points))
        for start in range(0, len(points), CHUNK):
            some = points[start : start + CHUNK]
            _, near = tree.query(some, k=k)
            to_each = [_to_triangles(some, self.triangles[owner[i]]) for i in near.reshape(len(some), k).T]
            found[start : start + CHUNK] = np.min(to_each, axis=0)
        return found


def sample_triangles(triangles: npt.ArrayLike, n: int, rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Draw points on triangles, evenly by area.

    Parameters
    ----------
    triangles
        Corners ``(n_triangle, 3, 3)``, of an area above 0 together.
    n
        Number of points.
    rng
        Source of randomness: the same state gives the same points.

    Returns
    -------
    points : float64 ``(n, 3)``
    owner : int ``(n,)``
        The triangle of each point.
    """
    corners = np.asarray(triangles, float)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if not area.sum() > 0:
        raise ValueError("triangles have no area: expected a surface to draw points on")
    owner = np.searchsorted(np.cumsum(area) / area.sum(), rng.random(n), side="right").clip(max=len(area) - 1)
    u, v = rng.random((2, n, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)  # the half of the square that is the triangle
    return a[owner] + u * (b - a)[owner] + v * (c - a)[owner], owner


def _to_triangles(points: Floats, triangles: Floats) -> Floats:
    """Return the distance of each point ``(n, 3)`` from its own triangle ``(n, 3, 3)``."""
    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    normal = np.cross(b - a, c - a)
    square = (normal**2).sum(axis=1)
    from_plane = ((points - a) * normal).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        foot = points - (from_plane / square)[:, None] * normal
        plane = np.abs(from_plane) / np.sqrt(square)
    above = square > 0
    for start, end in ((a, b), (b, c), (c, a)):
        above &= (np.cross(end - start, foot - start) * normal).sum(axis=1) >= 0
    edges = [_to_segment(points, start, end) for start, end in ((a, b), (b, c), (c, a))]
    return np.where(above, plane, np.min(edges, axis=0))


def _to_segment(points: Floats, start: Floats, end: Floats) -> Floats:
    along = end - start
    length = (along**2).sum(axis=1)
    share = ((points - start) * along).sum(axis=1) / np.where(length > 0, length, 1)
    return np.asarray(np.linalg.norm(points - start - share.clip(0, 1)[:, None] * along, axis=1))


def compare_shapes(image: Shape, truth: Shape, within: Sequence[float] = WITHIN) -> dict[str, Any]:
    """Compare the shape in an image with the true one.

    With d(p, S) the distance of a point from a shape, ::

        image_to_truth  = mean of d(p, truth) over the points p of the image
        truth_to_image  = mean of d(q, image) over the points q of the truth
        chamfer         = (image_to_truth + truth_to_image) / 2
        precision(t)    = share of the points p with d(p, truth) <= t
        recall(t)       = share of the points q with d(q, image) <= t
        f_score(t)      = 2 precision recall / (precision + recall), 0 where both are 0

    Parameters
    ----------
    image, truth
        The shapes.
    within
        Distances t of the F-scores, metres.

    Returns
    -------
    dict
        ``n_image`` and ``n_truth``, numbers of points; ``image_to_truth_m`` and ``truth_to_image_m`` (`spread`), and
        ``chamfer_m``, NaN where a shape is empty; ``f_scores``, a list with ``within_m``, ``precision``, ``recall`` and
        ``f_score``, all 0 where a shape is empty.
    """
    for t in within:
        if not (np.isfinite(t) and t > 0):
            raise ValueError(f"within is {t} m: expected more than 0")
    there, back = truth.distances(image.points), image.distances(truth.points)
    empty = not (len(there) and len(back))
    both = (spread(there), spread(back)) if not empty else (spread([]), spread([]))
    rows = []
    for t in within:
        precision, recall = (0.0, 0.0) if empty else (float((there <= t).mean()), float((back <= t).mean()))
        score = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
        rows.append({"within_m": float(t), "precision": precision, "recall": recall, "f_score": score})
    return {
        "n_image": len(there),
        "n_truth": len(back),
        "image_to_truth_m": both[0],
        "truth_to_image_m": both[1],
        "chamfer_m": (both[0]["mean"] + both[1]["mean"]) / 2,
        "f_scores": rows,
    }


def spread(values: npt.ArrayLike) -> dict[str, float]:
    """Return ``mean``, ``std``, ``median``, ``rms`` and ``max`` of some figures; NaN of none."""
    figures = np.asarray(values, float)
    if not figures.size:
        return dict.fromkeys(("mean", "std", "median", "rms", "max"), float("nan"))
    return {
        "mean": float(figures.mean()),
        "std": float(figures.std()),
        "median": float(np.median(figures)),
        "rms": float(np.sqrt((figures**2).mean())),
        "max": float(figures.max()),
    }


def depth_errors(image: npt.ArrayLike, truth: npt.ArrayLike) -> dict[str, Any]:
    """Compare the depth maps of image and truth, pixel by pixel where both see something.

    Parameters
    ----------
    image, truth
        Depth in metres, ``(n_u, n_v)`` each; NaN where nothing is seen.

    Returns
    -------
    dict
        ``error_m``, the mean of image minus truth, positive where the image lies behind, with its ``std_m``;
        ``absolute_m`` (`spread`); ``n_pixel`` with both; ``n_image`` and ``n_truth`` with either; and ``coverage``, the
        share of the truth's pixels that the image sees, too. NaN where there are none.
    """
    image, truth = np.asarray(image, float), np.asarray(truth, float)
    if image.shape != truth.shape:
        raise ValueError(f"depth maps have shapes {image.shape} and {truth.shape}: expected the same")
    error = image - truth
    error = error[np.isfinite(error)]
    signed = spread(error)
    n_truth = int(np.isfinite(truth).sum())
    return {
        "error_m": signed["mean"],
        "std_m": signed["std"],
        "absolute_m": spread(np.abs(error)),
        "n_pixel": error.size,
        "n_image": int(np.isfinite(image).sum()),
        "n_truth": n_truth,
        "coverage": error.size / n_truth if n_truth else float("nan"),
    }
