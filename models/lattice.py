"""Find, measure and take out the lattice of period 2 that a network behind a sub-pixel shuffle can put into its output.

Each of the eight voxels of a block has its own weights in the last layer of such a network. On data unlike those of
its training they disagree, and the output has a pattern that repeats every 2 voxels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeGuard

import torch
from torch.nn import functional

from mimo.models.precision import autocast
from mimo.models.unet import UNet3D

__all__ = ["SHIFTS", "apply_without_lattice", "has_lattice", "lattice_db", "removed_db", "without_period_2"]

SHIFTS = ((0, 0, 0), (1, 1, 2), (1, 2, 1), (2, 1, 1))
"""Averaged over them, every pattern of period 2 vanishes but that along all axes; the 2 weakens those of period 4."""
TRIGGER, FULL = -57.0, -53.0
"""Levels in dB of the pattern that the filter takes out, rms over a volume: above the first shifts are averaged too,
above the second their mean is the output. Between them the output goes over to it, so that rounding decides nothing."""
TAPS = (1 / 64, -6 / 64, 15 / 64, 44 / 64, 15 / 64, -6 / 64, 1 / 64)
"""A filter of response ``1 - sin^6(w / 2)``: zero at period 2, and nearly 1 at periods above 4."""
WINDOW = 8
"""Side of the windows, in voxels, over which a pattern must repeat to count."""
TINY = 1e-12


def lattice_db(function: Callable[[torch.Tensor], torch.Tensor], volume: torch.Tensor) -> float:
    """Measure the lattice in the output of a function of volumes.

    The function is applied to the volume shifted by each of the eight steps of a block. A part of the output that moves
    along is a part of the image, be it a single bright voxel; what changes sign with the shift, and does so alike all
    over a window of 8 x 8 x 8 voxels, is the lattice.

    Parameters
    ----------
    function
        Maps (..., n_x, n_y, n_z) of any size to (n_x, n_y, n_z).
    volume
        Its argument, (..., n_x, n_y, n_z).

    Returns
    -------
    float
        Amplitude of the lattice in the window where it is largest, in dB of the larger maximum of input and output.
    """
    corners = list(product((0, 1), repeat=3))
    outputs = []
    for shift in corners:
        outputs.append(_shifted_back(function(_shifted(volume, shift)), shift))
    total = torch.zeros(())
    for pattern in corners[1:]:
        terms = zip(corners, outputs, strict=True)
        part = sum((-1) ** _dot(pattern, shift) * out for shift, out in terms) / len(corners)
        index = torch.meshgrid(*(torch.arange(n) for n in part.shape), indexing="ij")
        sign = 1 - 2 * (_dot(pattern, index) % 2)
        sides = [min(WINDOW, n - n % 2) if n > 1 else 1 for n in part.shape]
        total = total + functional.avg_pool3d((part * sign)[None], sides, stride=1).square()
    peak = max(float(volume.abs().max()), float(outputs[0].abs().max()), TINY)
    return 20 * math.log10(max(float(total.max()) ** 0.5, TINY * peak) / peak)


def has_lattice(network: object) -> TypeGuard[UNet3D]:
    """Say whether a network works behind a sub-pixel shuffle of 2, and so can make a lattice."""
    return isinstance(network, UNet3D) and network.subpixel == 2


def apply_without_lattice(network: UNet3D, inputs: torch.Tensor, precision: str = "float32") -> torch.Tensor:
    """Apply a network behind a sub-pixel shuffle so that its output has hardly any lattice.

    What the network adds to its input (or puts into its sigmoid) goes through `without_period_2`, which leaves the
    input's own details. Where that takes out so much that a lattice must be expected (`removed_db` above `TRIGGER`),
    the output of that volume goes over to the mean over `SHIFTS`, for four times the arithmetic.

    Parameters
    ----------
    network
        For which `has_lattice` holds.
    inputs
        (batch, channels, n_x, n_y, n_z).
    precision
        Of the network, ``"float32"`` or ``"bfloat16"``; the filter computes in the precision of `inputs`.

    Returns
    -------
    (batch, out_channels, n_x, n_y, n_z)
    """

    def apply(volumes: torch.Tensor) -> torch.Tensor:
        with autocast(precision, volumes.device):
            return network.raw(volumes).to(volumes.dtype)

    raw = apply(inputs)
    smooth = without_period_2(raw)
    out = network.finish(inputs, smooth)
    share = (removed_db(network.finish(inputs, raw) - out, inputs) - TRIGGER) / (FULL - TRIGGER)
    found = share > 0
    if bool(found.any()):
        # one by one: in a group the last digits of a volume would depend on how many others are in it
        for i in torch.nonzero(found).flatten().tolist():
            total = out[i : i + 1]
            for shift in SHIFTS[1:]:
                moved = _shifted(inputs[i : i + 1], shift)
                total = total + _shifted_back(network.finish(moved, without_period_2(apply(moved))), shift)
            out[i] = torch.lerp(out[i], total[0] / len(SHIFTS), share[i].clamp_max(1))
    return out


def without_period_2(volume: torch.Tensor) -> torch.Tensor:
    """Take what repeats every 2 voxels along any axis out of volumes (..., n_x, n_y, n_z), by a short filter."""
    filters = [_filter(n).to(volume) for n in volume.shape[-3:]]
    flat = (filters[1] @ (volume @ filters[2].T)).flatten(-2)
    return (filters[0] @ flat).reshape(volume.shape)


def removed_db(removed: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Return how much of a lattice is in what was taken out of each output, in dB of the input's maximum, (batch,).

    It is the rms over windows of the spread between the means of their eight polyphase parts: true details, which are
    in few windows or differ within one, hardly count.
    """
    n_x, n_y, n_z = (n - n % 2 if n > 1 else 1 for n in removed.shape[-3:])
    even = removed[:, 0, :n_x, :n_y, :n_z]
    steps = [2 if n > 1 else 1 for n in (n_x, n_y, n_z)]
    corners = product(*map(range, steps))
    parts = torch.stack([even[:, i :: steps[0], j :: steps[1], k :: steps[2]] for i, j, k in corners], dim=1)
    sides = [min(WINDOW // 2, n) for n in parts.shape[-3:]]
    means = functional.avg_pool3d(parts, sides, stride=[max(1, n // 2) for n in sides])
    typical = means.var(1, correction=0).flatten(1).mean(1).sqrt()
    peak = inputs[:, 0].abs().flatten(1).amax(1).clamp_min(TINY)
    return 20 * (typical / peak).clamp_min(TINY).log10()


@functools.lru_cache(maxsize=64)
def _filter(n: int) -> torch.Tensor:
    """The filter along an axis of n voxels as a matrix, mirrored at the ends, which keeps odd and even voxels apart."""
    matrix = torch.zeros(n, n)
    period = max(1, 2 * (n - 1))
    for i in range(n):
        for j, tap in enumerate(TAPS, start=i - len(TAPS) // 2):
            at = j % period
            matrix[i, at if at < n else period - at] += tap
    return matrix


def _shifted(volume: torch.Tensor, shift: tuple[int, ...]) -> torch.Tensor:
    """Repeat the first voxels of some axes, so that all others move."""
    for axis, step in enumerate(shift, start=-3):
        if step:
            volume = torch.cat((*[volume.narrow(axis, 0, 1)] * step, volume), dim=axis)
    return volume


def _shifted_back(volume: torch.Tensor, shift: tuple[int, ...]) -> torch.Tensor:
    s_x, s_y, s_z = shift
    return volume[..., s_x:, s_y:, s_z:]


def _dot(pattern: tuple[int, ...], index: Sequence[Any]) -> Any:
    return sum(a * b for a, b in zip(pattern, index, strict=True))
