"""Send a volume larger than a memory budget through a network in overlapping tiles, blended smoothly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import torch

__all__ = ["apply_tiled", "tile_shape", "tile_spans"]

Span = tuple[int, int]


def apply_tiled(
    function: Callable[[torch.Tensor], torch.Tensor],
    volume: torch.Tensor,
    *,
    max_voxels: int,
    overlap: int,
    multiple: int = 1,
) -> torch.Tensor:
    """Apply a function of volumes tile by tile.

    The weights of the tiles add up to one in every voxel. Of the voxels that two tiles share, the outer quarter of each
    tile counts nothing, as there the function misses its surroundings, and over the half between them the weight falls
    from 1 to 0 as a squared cosine, so the blend has no edge. A function that sees less than a quarter of `overlap`
    gives the result of the whole volume; a U-Net can see further, though little, which leaves a small difference.

    Parameters
    ----------
    function
        Maps (1, n_channel, n_x, n_y, n_z) to (1, 1, n_x, n_y, n_z), any sizes.
    volume
        (1, n_channel, n_x, n_y, n_z).
    max_voxels
        Voxels of a tile, at most; tiles narrower than ``2 overlap + multiple`` are not made, whatever the budget.
    overlap
        Voxels shared by two neighbours, at least (less `multiple` where positions are rounded).
    multiple
        Tiles start at multiples of this, so that the sampling grids of the function coincide.

    Returns
    -------
    (1, 1, n_x, n_y, n_z)
        On the device of `volume`.
    """
    shape = volume.shape[2:]
    tile = tile_shape(shape, max_voxels=max_voxels, overlap=overlap, multiple=multiple)
    axes = [tile_spans(n, t, overlap, multiple) for n, t in zip(shape, tile, strict=True)]
    weights = [_weights(n, spans).to(volume) for n, spans in zip(shape, axes, strict=True)]
    result = torch.zeros((1, 1, *shape), dtype=volume.dtype, device=volume.device)
    for index in product(*(range(len(spans)) for spans in axes)):
        window = tuple(slice(*axes[a][i]) for a, i in enumerate(index))
        w_x, w_y, w_z = (weights[a][i, window[a]] for a, i in enumerate(index))
        weight = w_x[:, None, None] * w_y[:, None] * w_z
        result[:, :, *window] += weight * function(volume[:, :, *window])
    return result


def tile_shape(shape: Sequence[int], *, max_voxels: int, overlap: int, multiple: int) -> tuple[int, ...]:
    """Return the size of a tile: the volume's, its longest axes shortened until the budget holds."""
    narrowest = multiple * math.ceil((2 * overlap + multiple) / multiple)
    tile = list(shape)
    while math.prod(tile) > max_voxels:
        axis = max(range(len(tile)), key=lambda a: tile[a])
        if tile[axis] <= narrowest:
            break
        tile[axis] = max(narrowest, multiple * ((tile[axis] - 1) // multiple))
    return tuple(tile)


def tile_spans(n: int, tile: int, overlap: int, multiple: int) -> list[Span]:
    """Return the start and stop of the tiles along an axis of `n` voxels, evenly spread, covering it."""
    if tile >= n:
        return [(0, n)]
    last = multiple * math.ceil((n - tile) / multiple)
    count = 1 + math.ceil(last / (tile - overlap))
    starts = [multiple * (last * i // ((count - 1) * multiple)) for i in range(count)]
    return [(start, min(start + tile, n)) for start in starts]


def _weights(n: int, spans: list[Span]) -> torch.Tensor:
    """Return the weight of each tile along an axis, (tile, n), adding up to one."""
    weights = torch.zeros(len(spans), n, dtype=torch.float64)
    for i, (start, stop) in enumerate(spans):
        weights[i, start:stop] = 1
        for shared, rising in (
            (spans[i - 1][1] - start if i else 0, True),
            (stop - spans[i + 1][0] if i + 1 < len(spans) else 0, False),
        ):
            if shared > 0:
                position = (torch.arange(shared, dtype=torch.float64) + 0.5) / shared
                ramp = torch.sin(0.5 * math.pi * (2 * position - 0.5).clamp(0, 1)).square()
                if rising:
                    weights[i, start : start + shared] *= ramp
                else:
                    weights[i, stop - shared : stop] *= ramp.flip(0)
    return weights / weights.sum(dim=0)
