"""Find the mirror planes of an acquisition, and split measurements and voxels into parts that no mirror mixes.

Most arrays are built symmetric, and the grid is laid in front of their middle. Then a reflection of the scene across a
mirror plane swaps antennas and nothing else, so that in a basis of even and odd combinations the matrix of the operator
falls into independent blocks: two for one plane, four for two. A matrix of a quarter of the rows and columns costs a
sixteenth to multiply with itself, and four of them a sixteenth of the whole to factorise (representation theory of the
group of reflections: A_chi = S_chi^H A T_chi for each of its characters chi).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree

from mimo.acquisition import Acquisition

__all__ = ["MirrorBlock", "mirror_blocks"]

Index = npt.NDArray[np.int64]

Reflection = tuple[tuple[int, int], tuple[int, int]]
"""Matrix that acts on x and y."""

_X, _Y, _DIAGONAL, _OTHER = ((-1, 0), (0, 1)), ((1, 0), (0, -1)), ((0, 1), (1, 0)), ((0, -1), (-1, 0))
GROUPS: tuple[tuple[Reflection, ...], ...] = (
    (_X, _Y),
    (_DIAGONAL, _OTHER),
    (_X,),
    (_Y,),
    (_DIAGONAL,),
    (_OTHER,),
    (((-1, 0), (0, -1)),),
)
"""Sets of reflections that commute, the largest first; the last is half a turn about z."""

TOLERANCE = 1e-7
"""Share of the shortest wavelength by which a mirrored antenna or voxel may be off: a millionth of a turn."""


@dataclass(frozen=True)
class MirrorBlock:
    """Holds one part of the measurements and voxels: those combinations that each mirror keeps, or changes in sign.

    Attributes
    ----------
    rows
        int64 ``(n, n_image)``: the flattened measurements that each combination is made of.
    signs
        float64 ``(n, n_image)``: their factors; the combinations are orthonormal.
    voxels
        int64 ``(n_voxel,)``: one voxel of each set of mirror images, as `ImagingOperator.columns` counts them.
    sizes
        float64 ``(n_voxel,)``: the root of the number of voxels in each set, by which its column is multiplied.
    """

    rows: Index
    signs: npt.NDArray[np.float64]
    voxels: Index
    sizes: npt.NDArray[np.float64]
    _made: dict[Any, list[tuple[torch.Tensor, torch.Tensor]]] = field(default_factory=dict, repr=False)

    def take(self, values: torch.Tensor) -> torch.Tensor:
        """Return the combinations ``(n, ...)`` of flattened measurements ``(m, ...)``."""
        total = None
        for rows, signs in self._images(values):
            part = values[rows] * signs
            total = part if total is None else total + part
        assert total is not None  # noqa: S101 - a block has one image at least
        return total

    def add_to(self, total: torch.Tensor, parts: torch.Tensor) -> None:
        """Add the measurements that combinations ``(n, ...)`` stand for to `total`, ``(m, ...)``: `take` transposed."""
        for rows, signs in self._images(parts):
            total.index_add_(0, rows, parts * signs)

    def _images(self, like: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the rows and signs of one mirror image after the other, the signs to broadcast over `like`."""
        key = like.device, like.real.dtype, like.ndim
        if key not in self._made:
            rows = torch.as_tensor(self.rows.T.copy(), device=like.device)
            signs = torch.as_tensor(self.signs.T.copy(), dtype=like.real.dtype, device=like.device)
            signs = signs.reshape(*signs.shape, *(1 for _ in range(like.ndim - 1)))
            self._made[key] = list(zip(rows, signs, strict=True))
        return self._made[key]


def mirror_blocks(acquisition: Acquisition) -> list[MirrorBlock]:
    """Return the parts into which the mirror planes of an acquisition split it: one, two or four.

    Measurements that are masked are in no part. Reflections that fix the z axis through the grid's centre are tried.
    Antennas with a pattern are never split, as their normals would have to be mirrored too.
    """
    n_freq = acquisition.sweep.n_freq
    channels = acquisition.array.measurement_shape
    every = np.arange(n_freq * int(np.prod(channels))).reshape(n_freq, -1)
    keep = None if acquisition.array.mask is None else acquisition.array.mask.ravel()
    rows = every if keep is None else every[:, keep]
    mirrors = _mirrors(acquisition)
    of_rows = [every[:, swap] for swap, _ in mirrors]
    of_voxels = [swap for _, swap in mirrors]
    blocks = []
    for signs in itertools.product((1, -1), repeat=len(mirrors)):
        pick, weights = _combinations(rows.ravel(), [m.ravel() for m in of_rows], signs)
        voxels, sizes = _representatives(acquisition.voxels.n_voxel, of_voxels, signs)
        blocks.append(MirrorBlock(pick, weights, voxels, sizes))
    return [block for block in blocks if len(block.rows)]


def _mirrors(acquisition: Acquisition) -> list[tuple[Index, Index]]:
    """Return where the reflections that leave the acquisition as it is send channels and voxels: two, one or none."""
    for group in GROUPS:
        found = [swaps for reflection in group if (swaps := _swaps(acquisition, reflection)) is not None]
        if len(found) == len(group):
            return found
    return []


def _images(of: Index, swaps: list[Index]) -> Index:
    """Return where every product of the mirrors sends these indices, (n, 2^n_mirror), the identity first."""
    out = [of]
    for swap in swaps:
        out += [swap[one] for one in out]
    return np.stack(out, axis=1)


def _characters(signs: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the sign of every product of the mirrors, in the order of `_images`."""
    out = [1.0]
    for sign in signs:
        out += [sign * one for one in out]
    return np.array(out)


def _combinations(of: Index, swaps: list[Index], signs: tuple[int, ...]) -> tuple[Index, npt.NDArray[np.float64]]:
    """Return the orthonormal combinations of a character: indices and factors."""
    images, factors = _images(of, swaps), _characters(signs)
    first = images[:, 0] == images.min(axis=1)
    images = images[first]
    # an index that a mirror leaves in place occurs several times: its factors add up, to zero where they differ in sign
    same = images[:, :, None] == images[:, None, :]
    summed = (same * factors[None, None]).sum(2)
    lead = np.argmax(same, axis=2) == np.arange(images.shape[1])  # the first of equal indices carries the sum
    weights = np.where(lead, summed, 0.0)
    size = np.linalg.norm(weights, axis=1)
    there = size > 0
    return images[there], weights[there] / size[there, None]


def _representatives(n: int, swaps: list[Index], signs: tuple[int, ...]) -> tuple[Index, npt.NDArray[np.float64]]:
    """Return one voxel of each set of mirror images that a character does not cancel, and the root of its size."""
    images, factors = _images(np.arange(n), swaps), _characters(signs)
    first = images[:, 0] == images.min(axis=1)
    images = images[first]
    stays = images == images[:, :1]
    there = np.abs((stays * factors).sum(1)) > 0
    n_image = images.shape[1] / stays.sum(1)
    return images[there, 0], np.sqrt(n_image[there])


def _swaps(acquisition: Acquisition, reflection: Reflection) -> tuple[Index, Index] | None:
    """Return where a reflection sends channels and voxels, or ``None`` where the acquisition is not symmetric."""
    array, grid = acquisition.array, acquisition.grid
    if any((*acquisition.patterns, *array.far)):
        return None
    close = TOLERANCE * 2 * np.pi / float(np.abs(acquisition.wavenumber).max())
    center = np.array([(axis[0] + axis[-1]) / 2 for axis in (grid.x, grid.y)])
    matrix = np.array(reflection, float)
    axes = [axis - middle for axis, middle in zip((grid.x, grid.y), center, strict=True)]
    for one, other in zip(matrix, axes, strict=True):  # the axis that this one is sent to, backwards where negative
        source = axes[int(np.argmax(np.abs(one)))]
        image = source if one.sum() > 0 else -source[::-1]
        if len(image) != len(other) or np.abs(image - other).max() > close:
            return None
    sides = []
    for positions in (array.tx_pos, array.rx_pos):
        mirrored = positions.copy()
        mirrored[:, :2] = center + (positions[:, :2] - center) @ matrix.T
        away, swap = cKDTree(positions).query(mirrored)
        if away.max() > close or not np.array_equal(np.sort(swap), np.arange(len(swap))):
            return None
        sides.append(swap)
    channels = _channel_swap(acquisition, sides[0], sides[1])
    voxels = _voxel_swap(acquisition, reflection)
    if channels is None or voxels is None:
        return None
    if acquisition.reference_path is not None:
        path = acquisition.reference_path.ravel()
        if np.abs(path[channels] - path).max() > close:
            return None
    mask = None if array.mask is None else array.mask.ravel()
    return None if mask is not None and (mask[channels] != mask).any() else (channels, voxels)


def _channel_swap(acquisition: Acquisition, tx: Index, rx: Index) -> Index | None:
    """Return where a mirror sends the flattened channels; ``None`` when it sends one to no channel."""
    array = acquisition.array
    if not array.paired:
        return (tx[:, None] * array.n_rx + rx[None]).ravel()
    assert array.channels is not None  # noqa: S101 - what paired means, for the type checker
    number = array.channels[:, 0] * array.n_rx + array.channels[:, 1]
    mirrored = tx[array.channels[:, 0]] * array.n_rx + rx[array.channels[:, 1]]
    order = np.argsort(number, kind="stable")
    place = np.searchsorted(number[order], mirrored).clip(max=len(number) - 1)
    swap = order[place]
    # a channel that is listed twice has no single mirror image
    right = np.array_equal(number[swap], mirrored) and np.array_equal(np.sort(swap), np.arange(len(swap)))
    return swap if right else None


def _voxel_swap(acquisition: Acquisition, reflection: Reflection) -> Index | None:
    """Return where a reflection sends the voxels that there are; ``None`` when the region is not symmetric."""
    index = acquisition.voxels.index
    places = np.arange(acquisition.grid.n_voxel).reshape(acquisition.grid.shape)
    for axis, row in enumerate(reflection):
        if sum(row) < 0:
            places = np.flip(places, axis)
    if reflection[0][0] == 0:
        places = places.transpose(1, 0, 2)
    mirrored = places.ravel()
    if index is None:
        return mirrored
    place = np.searchsorted(index, mirrored[index]).clip(max=len(index) - 1)
    return place if np.array_equal(index[place], mirrored[index]) else None
