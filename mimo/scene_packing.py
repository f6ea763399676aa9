"""Lay scenes side by side in memory, so that a vector register holds one number of many scenes (``batches.h``).

Scenes lie in groups two vectors wide; the last group may be one vector wide. A group is ``[number][2][scene]``, real
parts before imaginary ones. `lanes` is the number of scenes in a vector, `padded` the number of scenes with padding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

__all__ = ["add", "pack", "padded_count", "unpack"]

FULL = 0.8
"""Share of a vector's lanes that scenes must fill for the vector to be worth its work."""


def padded_count(n_scene: int, lanes: int) -> tuple[int, int]:
    """Return how many of `n_scene` scenes are packed, and to how many they are padded: a multiple of `lanes`.

    Scenes that would leave a vector emptier than `FULL` are not packed.
    """
    whole = n_scene // lanes * lanes
    return (n_scene, whole + lanes) if n_scene - whole >= FULL * lanes else (whole, whole)


def pack(values: torch.Tensor, padded: int, length: int, lanes: int) -> torch.Tensor:
    """Pack complex ``(n_scene, m)`` into groups ``[length][2][width]``, real and flat; zero beyond scenes and m."""
    out = torch.zeros(2 * padded * length, dtype=values.real.dtype)
    for start, group in _groups(out, padded, length, lanes):
        some = torch.view_as_real(values[start : start + group.shape[2]])
        group[: some.shape[1], :, : len(some)] = some.permute(1, 2, 0)
    return out


def unpack(packed: torch.Tensor, n_scene: int, padded: int, m: int, lanes: int) -> torch.Tensor:
    """Undo `pack`: return the first `m` numbers of `n_scene` scenes, complex ``(n_scene, m)``."""
    out = torch.empty((n_scene, m, 2), dtype=packed.dtype)
    for start, group in _groups(packed, padded, len(packed) // (2 * padded), lanes):
        some = out[start : start + group.shape[2]]
        some.copy_(group[:m, :, : len(some)].permute(2, 0, 1))
    return torch.view_as_complex(out)


def add(total: torch.Tensor, part: torch.Tensor, padded: int, first: int, lanes: int) -> None:
    """Add packed numbers to those of `total` from the number `first` of each scene on."""
    into = _groups(total, padded, len(total) // (2 * padded), lanes)
    for (_, whole), (_, some) in zip(into, _groups(part, padded, len(part) // (2 * padded), lanes), strict=True):
        whole[first : first + len(some)] += some


def _groups(flat: torch.Tensor, padded: int, length: int, lanes: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield first scene and view ``(length, 2, width)`` of every group: two vectors wide, the last one or two."""
    start = 0
    while start < padded:
        width = 2 * lanes if padded - start >= 2 * lanes else lanes
        yield start, flat[2 * start * length : 2 * (start + width) * length].view(length, 2, width)
        start += width
