"""Compare the images in a file with a mesh, or with another image, as shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo import VoxelGrid
from mimo.data import FileError, open_measurement
from mimo.data.files.meshes import Mesh, read_mesh
from mimo.grid import voxel_edges
from mimo.options import unknown
from mimo.recon.depth_maps import DEPTHS, DepthMap, View, depth_map, depth_of_points, depth_of_triangles
from mimo.recon.isosurface import surface_mesh
from mimo.recon.shape_metrics import WITHIN, Shape, compare_shapes, depth_errors

__all__ = ["KINDS", "Extraction", "compare_with_image", "compare_with_mesh", "shape_table"]

KINDS = ("surface", "points", "depth")
"""How an image becomes a shape: the surface at the level, the voxels that reach it, or the points of a depth map."""
TRUTH = "truth"
SLACK = 1e-6  # of the grid: a surface closed at its border, written with float32, lies in it
STREAMS = {"image": 0, "truth": 1}
"""Two shapes are sampled apart, so that equal ones do not get equal samples."""

Floats = npt.NDArray[np.float64]
DepthOf = Callable[[View], Floats]


@dataclass(frozen=True)
class Extraction:
    """Says how an image becomes a shape.

    Attributes
    ----------
    kind
        One of `KINDS`.
    level_db
        What belongs to the object, dB relative to the image's own maximum, below 0.
    depth
        ``first`` or ``strongest``, as in `mimo.recon.depth_maps.depth_map`.
    viewpoint
        From where depth is seen, metres; ``None``: along +z.
    n_sample
        Points on a surface.
    seed
        Seed of these points.
    """

    kind: str = "surface"
    level_db: float = -10.0
    depth: str = "first"
    viewpoint: tuple[float, float, float] | None = None
    n_sample: int = 30_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(unknown("shape", self.kind, KINDS))
        if self.depth not in DEPTHS:
            raise ValueError(unknown("depth", self.depth, DEPTHS))
        if not 1 <= self.n_sample <= 10_000_000:
            raise ValueError(f"n_sample is {self.n_sample}: expected 1 to 10000000 points")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}: expected 0 or more")

    def rng(self, whose: str) -> np.random.Generator:
        """Return the source of randomness of the image, or of the truth."""
        return np.random.default_rng([self.seed, STREAMS[whose]])

    def shape(self, volume: npt.NDArray[Any], grid: VoxelGrid, whose: str = "image") -> Shape:
        """Return the shape of an image; without points where that is all zero."""
        if self.kind == "surface":
            vertices, faces = surface_mesh(volume, grid, self.level_db)
            return Shape.of_triangles(vertices[faces], self.n_sample, self.rng(whose))
        if self.kind == "depth":
            return Shape(self.seen(volume, grid).points())
        magnitude = np.abs(volume)
        reached = magnitude >= 10 ** (self.level_db / 20) * magnitude.max()
        return Shape(grid.centers()[reached.ravel()] if magnitude.any() else np.empty((0, 3)))

    def seen(self, volume: npt.NDArray[Any], grid: VoxelGrid) -> DepthMap:
        """Return the depth map of an image."""
        return depth_map(volume, grid, self.level_db, depth=self.depth, viewpoint=self.viewpoint)


def compare_with_mesh(
    path: str | PathLike[str],
    mesh: str | PathLike[str],
    *,
    transform: npt.ArrayLike | None = None,
    methods: Sequence[str] = (),
    scene: int = 0,
    extraction: Extraction | None = None,
    within: Sequence[float] = WITHIN,
) -> list[dict[str, Any]]:
    """Compare images of one scene with a mesh, or with a point cloud, that shows what was really there.

    What of the mesh lies outside the grid, which no image can show, is left out. A point cloud is compared as it is; on
    a surface points are drawn evenly by area.

    Parameters
    ----------
    path
        A file with images.
    mesh
        STL, PLY or OBJ.
    transform
        Matrix ``(4, 4)`` that takes the mesh's coordinates to metres in the grid's frame; none by default.
    methods
        Names of the images, of which ``truth`` is one; by default all but the truth.
    scene
        Number of the scene.
    extraction
        How an image becomes a shape.
    within
        Distances of the F-scores, metres.

    Returns
    -------
    list of dict
        One for each image: ``method``, ``scene``, ``shape``, what `mimo.recon.shape_metrics.compare_shapes` gives,
        ``depth`` (`mimo.recon.shape_metrics.depth_errors`), and ``outside``, the share of the truth that was left out.

    Raises
    ------
    mimo.data.FileError
        When a file cannot be read, holds no image, or all of the mesh lies outside the grid.
    """
    extraction = extraction or Extraction()
    body = read_mesh(mesh)
    body = body if transform is None else body.moved(transform)
    grid, images = _images(path, scene, methods)
    truth, outside = _inside(mesh, body, grid, extraction)
    z = _box(grid)[:, 2]

    def seen(view: View) -> Floats:
        low, high = float(z[0]), float(z[1])
        if len(body.faces):
            return depth_of_triangles(body.triangles, view, (low, high))
        return depth_of_points(body.vertices, view, (low, high))

    return _rows(images, grid, scene, truth, seen, extraction, within, {"mesh": str(mesh), "outside": outside})


def compare_with_image(
    path: str | PathLike[str],
    other: str | PathLike[str],
    *,
    other_method: str | None = None,
    other_scene: int | None = None,
    methods: Sequence[str] = (),
    scene: int = 0,
    extraction: Extraction | None = None,
    within: Sequence[float] = WITHIN,
) -> list[dict[str, Any]]:
    """Compare images of one scene with another image, which takes the place of the truth; the grids may differ.

    Parameters
    ----------
    path, methods, scene, extraction, within
        As in `compare_with_mesh`.
    other
        A file with images; it may be the same one.
    other_method
        Which of its images, of which ``truth`` is one; may be left out where there is one alone.
    other_scene
        Which of its scenes; `scene` by default.

    Returns
    -------
    list of dict
        As from `compare_with_mesh`, with the file and the name of the other image.
    """
    extraction = extraction or Extraction()
    number = scene if other_scene is None else other_scene
    other_grid, others = _images(other, number, [other_method] if other_method else (), with_truth=True)
    if len(others) != 1:
        raise FileError(other, f"holds {', '.join(others)}: expected the name of one of them to compare with")
    ((name, against),) = others.items()
    grid, images = _images(path, scene, methods)
    truth = extraction.shape(against, other_grid, "truth")

    def seen(view: View) -> Floats:
        return depth_map(against, other_grid, extraction.level_db, depth=extraction.depth, view=view).depth

    facts = {"other": str(other), "other_method": name, "other_scene": number}
    return _rows(images, grid, scene, truth, seen, extraction, within, facts)


def _rows(
    images: dict[str, npt.NDArray[Any]],
    grid: VoxelGrid,
    scene: int,
    truth: Shape,
    seen: DepthOf,
    extraction: Extraction,
    within: Sequence[float],
    facts: dict[str, Any],
) -> list[dict[str, Any]]:
    rows = []
    true_depth: Floats | None = None
    for name, volume in images.items():
        found = extraction.seen(volume, grid)
        true_depth = seen(found.view) if true_depth is None else true_depth
        row = {"method": name, "scene": scene, "shape": extraction.kind, **facts}
        row |= compare_shapes(extraction.shape(volume, grid), truth, within)
        rows.append(row | {"depth": depth_errors(found.depth, true_depth)})
    return rows


def _images(
    path: str | PathLike[str], scene: int, methods: Sequence[str], *, with_truth: bool = False
) -> tuple[VoxelGrid, dict[str, npt.NDArray[Any]]]:
    """Return the grid and images of one scene; by default all, the truth only if asked or if there is nothing else."""
    with open_measurement(path) as source:
        if source.grid is None or not (source.methods or source.has_truth):
            raise FileError(path, "there is no image yet: run reconstruct first")
        if not 0 <= scene < source.n_scene:
            raise FileError(path, f"there is no scene {scene}: expected one of scenes 0 to {source.n_scene - 1}")
        known = [*([TRUTH] if source.has_truth else []), *source.methods]
        for name in methods:
            if name not in known:
                raise FileError(path, unknown("image", name, known))
        wanted = list(dict.fromkeys(methods)) or (known if with_truth else list(source.methods)) or known
        read = {
            name: source.truth(scene) if name == TRUTH else source.reconstruction(name, [scene]).image[0]
            for name in wanted
        }
        return source.grid, read


def _box(grid: VoxelGrid) -> Floats:
    """Return the lowest and highest x, y, z of the grid's voxels, ``(2, 3)``, metres."""
    edges = voxel_edges(grid)
    return np.array([[edges[name][end] for name in "xyz"] for end in (0, -1)])


def _inside(path: str | PathLike[str], body: Mesh, grid: VoxelGrid, extraction: Extraction) -> tuple[Shape, float]:
    """Return the part of a mesh that lies in the grid, and the share that does not."""
    if len(body.faces):
        whole = Shape.of_triangles(body.triangles, extraction.n_sample, extraction.rng("truth"))
    else:
        whole = Shape(body.vertices)
    box = _box(grid)
    slack = SLACK * (box[1] - box[0])
    truth = whole.within(np.stack([box[0] - slack, box[1] + slack]))
    if not len(truth.points):
        spans = " to ".join(str(np.round(end, 4).tolist()) for end in (body.vertices.min(0), body.vertices.max(0)))
        where = " to ".join(str(np.round(end, 4).tolist()) for end in box)
        raise FileError(
            path,
            f"spans {spans}, the grid {where} m: expected a mesh within it (unit? --mesh-scale, --transform)",
        )
    return truth, 1 - len(truth.points) / len(whole.points)


def shape_table(rows: Sequence[dict[str, Any]]) -> str:
    """Format the rows of a comparison as a table of text, in millimetres."""
    within = [row["within_m"] for row in rows[0]["f_scores"]] if rows else []
    head = f"{'method':<24}{'Chamfer':>10}{'to truth':>10}{'to image':>10}"
    head += "".join(f"{f'F({1e3 * t:g} mm)':>12}" for t in within) + f"{'depth error':>18}{'covered':>9}"
    lines = [f"{head}   (distances in mm)"]
    for row in rows:
        mm = [1e3 * d for d in (row["chamfer_m"], row["image_to_truth_m"]["mean"], row["truth_to_image_m"]["mean"])]
        depth = row["depth"]
        line = f"{row['method']:<24}" + "".join(f"{d:>10.2f}" for d in mm)
        line += "".join(f"{score['f_score']:>12.3f}" for score in row["f_scores"])
        error = f"{1e3 * depth['error_m']:.2f} ± {1e3 * depth['std_m']:.2f}"
        lines.append(f"{line}{error:>18}{depth['coverage']:>9.0%}")
    return "\n".join(lines)
