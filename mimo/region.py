"""Say which voxels of a grid can hold anything: a shape, a file of voxels, or what the array's place leaves.

The voxels nearest to an antenna outshine everything else: their column of the operator is far longer than the others',
and what the antennas couple into each other lands there. And where antennas surround the scene, a rectilinear grid
reaches out between and behind them. `Region.parse` reads a region from its text, `Region.inside` finds its voxels.
"""

from __future__ import annotations

import functools
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.constants import speed_of_light
from scipy.spatial import ConvexHull, QhullError

from mimo._values import number_text
from mimo.acquisition import Acquisition
from mimo.array import ArrayGeometry
from mimo.grid import VoxelGrid
from mimo.input_file import refuse_irregular
from mimo.memory import check_memory

__all__ = ["FORMS", "NEAR", "Region", "clearance", "surrounds"]

FORMS = "auto, all, sphere:X,Y,Z,R, cylinder:X,Y,R, box:X0:X1,Y0:Y1,Z0:Z1 (metres) or a .npy file of voxels"
"""The texts of regions, for messages and help."""

NEAR = 1.0
"""How far `auto` keeps voxels from antennas, in resolutions (`clearance`)."""

FLAT = 1e-6
"""Antennas within this fraction of their extent of a plane lie in it."""

EDGE = 1e-9
"""Voxels this far beyond a shape's surface still count as inside, metres: rounding must not decide."""

Inside = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """Describes a part of space; `str` gives the text that `parse` reads.

    Attributes
    ----------
    kind
        ``auto``, ``all``, ``sphere``, ``cylinder`` (along z), ``box`` or ``file``.
    numbers
        The shape's numbers in the order of its text, metres.
    path
        Path of a file of voxels.

    Examples
    --------
    >>> Region.parse("sphere:0,0,0.03,0.05").numbers
    (0.0, 0.0, 0.03, 0.05)
    >>> str(Region.parse("box:-0.1:0.1,-0.1:0.1,0.2:0.4"))
    'box:-0.1:0.1,-0.1:0.1,0.2:0.4'
    """

    kind: str
    numbers: tuple[float, ...] = ()
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``auto``, ``all``, a shape or the name of a file; `ValueError` for a text of another form, quoted."""
        text = text.strip()
        if text in ("auto", "all"):
            return cls(text)
        if text.endswith(".npy"):
            return cls("file", path=text)
        kind, _, rest = text.partition(":")
        expected = {
            "sphere": "sphere:X,Y,Z,R with a positive R",
            "cylinder": "cylinder:X,Y,R with a positive R",
            "box": "box:X0:X1,Y0:Y1,Z0:Z1, each from low to high",
        }
        if kind not in expected:
            raise ValueError(f"region is {text!r}: expected {FORMS}")
        parts = [part.split(":") for part in rest.split(",")]
        try:
            numbers = tuple(float(number) for part in parts for number in part)
        except ValueError:
            numbers = ()
        lengths = {"sphere": [1, 1, 1, 1], "cylinder": [1, 1, 1], "box": [2, 2, 2]}[kind]
        fits = [len(part) for part in parts] == lengths and all(map(math.isfinite, numbers)) and bool(numbers)
        if fits and kind == "box":
            fits = all(low <= high for low, high in zip(numbers[::2], numbers[1::2], strict=True))
        elif fits:
            fits = numbers[-1] > 0
        if not fits:
            raise ValueError(f"region is {text!r}: expected {expected[kind]}, in metres")
        return cls(kind, numbers)

    def inside(self, acquisition: Acquisition) -> Inside | None:
        """Return which voxels of the acquisition's grid lie inside, bool ``grid.shape``; ``None`` for all of them.

        ``auto`` leaves out voxels nearer to an antenna than `clearance` and, where the antennas surround the grid
        (`surrounds`), voxels outside their convex hull. Where nothing would be left it leaves out nothing, with a
        warning.

        Raises
        ------
        ValueError
            When no voxel lies inside, or the file of voxels cannot be read or is not of the grid's shape.
        """
        grid = acquisition.grid
        if self.kind == "all":
            return None
        if self.kind == "auto":
            inside = _clear(acquisition)
            if inside is not None and not inside.any():
                warnings.warn(
                    f"every voxel of the grid is nearer than {1e3 * clearance(acquisition):.3g} mm to an antenna or "
                    "outside the antennas' convex hull, so region auto leaves out none: expected a grid that is not",
                    UserWarning,
                    stacklevel=2,
                )
                return None
        else:
            inside = _read(Path(self.path), grid) if self.kind == "file" else self._shape(grid)
            if not inside.any():
                raise ValueError(f"region {self} holds no voxel of the grid, whose {_extent(grid)}: expected one")
        return None if inside is None or inside.all() else inside

    def _shape(self, grid: VoxelGrid) -> Inside:
        x, y, z = grid.x[:, None, None], grid.y[:, None], grid.z
        numbers = self.numbers
        if self.kind == "box":
            limits = zip((x, y, z), numbers[::2], numbers[1::2], strict=True)
            per_axis = [(low - EDGE <= axis) & (axis <= high + EDGE) for axis, low, high in limits]
            return per_axis[0] & per_axis[1] & per_axis[2]
        square = (x - numbers[0]) ** 2 + (y - numbers[1]) ** 2
        if self.kind == "sphere":
            square = square + (z - numbers[2]) ** 2
        return np.broadcast_to(square <= (numbers[-1] + EDGE) ** 2, grid.shape)

    def __str__(self) -> str:
        if self.kind in ("auto", "all"):
            return self.kind
        if self.kind == "file":
            return self.path
        texts = [number_text(number) for number in self.numbers]
        if self.kind == "box":
            texts = [f"{low}:{high}" for low, high in zip(texts[::2], texts[1::2], strict=True)]
        return f"{self.kind}:{','.join(texts)}"


def clearance(acquisition: Acquisition) -> float:
    """Return how near to an antenna a voxel is left out by ``auto``, metres: `NEAR` resolutions.

    The resolution is the larger of half a wavelength at the band's centre and the range resolution c / (2 B), both in
    the medium, but a wavelength at most: how far the waves of a narrow band smear says nothing of how near is near.
    """
    slow = math.sqrt(acquisition.permittivity)
    if acquisition.layers is not None:
        slow = math.sqrt(acquisition.layers.permittivity.min())
    sweep = acquisition.sweep
    wavelength = speed_of_light / sweep.center / slow
    along = speed_of_light / (2 * sweep.bandwidth) / slow if sweep.bandwidth else math.inf
    return NEAR * max(wavelength / 2, min(along, wavelength))


def surrounds(array: ArrayGeometry, grid: VoxelGrid) -> bool:
    """Whether the antennas surround the grid: they do not lie in a plane, and its centre is inside their convex hull.

    The centre, unlike the whole grid, is inside for a grid that reaches out between the antennas.
    """
    facets = None if any(array.far) else _facets(array)
    return facets is not None and bool((facets[:, :3] @ grid.center + facets[:, 3] < 0).all())


@functools.lru_cache(maxsize=8)
def _facets(array: ArrayGeometry) -> npt.NDArray[np.float64] | None:
    """Return the planes (n, 4) of the antennas' convex hull, positive outside; ``None`` where they lie in a plane."""
    antennas = np.concatenate([array.tx_pos, array.rx_pos])
    if len(antennas) < 4:
        return None
    extent = np.linalg.svd(antennas - antennas.mean(axis=0), compute_uv=False)
    if extent[2] <= FLAT * extent[0]:
        return None
    try:
        facets: npt.NDArray[np.float64] = np.unique(ConvexHull(antennas).equations, axis=0)
    except QhullError:  # too flat after all
        return None
    return facets


def _clear(acquisition: Acquisition) -> Inside | None:
    """Return which voxels ``auto`` keeps; ``None`` where it leaves out none, as for an array far from its grid."""
    grid, array, reach = acquisition.grid, acquisition.array, clearance(acquisition)
    axes = (grid.x, grid.y, grid.z)
    low, high = np.array([a[0] for a in axes]), np.array([a[-1] for a in axes])
    sides = [positions for positions, far in zip((array.tx_pos, array.rx_pos), array.far, strict=True) if not far]
    if not sides:
        return None
    antennas = np.concatenate(sides)
    near = np.linalg.norm(antennas - np.clip(antennas, low, high), axis=1) < reach
    around = surrounds(array, grid)
    if not near.any() and not around:
        return None
    inside = np.ones(grid.shape, bool)
    for antenna in np.unique(antennas[near], axis=0):  # only the voxels in the cube around it are looked at
        first = [np.searchsorted(axis, p - reach) for axis, p in zip(axes, antenna, strict=True)]
        last = [np.searchsorted(axis, p + reach, "right") for axis, p in zip(axes, antenna, strict=True)]
        cube = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        dx, dy, dz = (axis[part] - p for axis, part, p in zip(axes, cube, antenna, strict=True))
        inside[cube] &= dx[:, None, None] ** 2 + dy[:, None] ** 2 + dz**2 >= reach**2
    if around:
        facets = _facets(array)
        assert facets is not None  # noqa: S101 - it surrounds, for the type checker
        for i, x in enumerate(grid.x):  # plane by plane, as a grid times facets is large
            across = facets[:, 0, None, None] * x + facets[:, 1, None, None] * grid.y[:, None]
            inside[i] &= (across + facets[:, 2, None, None] * grid.z + facets[:, 3, None, None] <= EDGE).all(0)
    return inside


def _read(path: Path, grid: VoxelGrid) -> Inside:
    """Read a file of voxels: a bool array of the grid's shape, or one of zeros and ones."""
    refuse_irregular(path, "a .npy file of voxels")
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            check_memory(f"region {path} of shape {shape}", float(math.prod(shape)) * dtype.itemsize)
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # of numpy and the tokenizer that reads headers: any, on a mangled file
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"region {path} cannot be read: {said}; expected a .npy file of voxels") from error
    if values.shape != grid.shape:
        raise ValueError(f"region {path} has shape {values.shape}: expected that of the grid, {grid.shape}")
    if values.dtype.kind not in "biuf" or not np.isin(values, (0, 1)).all():
        raise ValueError(f"region {path} holds {values.dtype} values: expected true and false, or 0 and 1")
    return np.asarray(values, dtype=bool)


def _extent(grid: VoxelGrid) -> str:
    return ", ".join(
        f"{name} is {a[0]:g} to {a[-1]:g} m" for name, a in zip("xyz", (grid.x, grid.y, grid.z), strict=True)
    )
