"""The vocabulary of the tests: naive truth in float64, gaps between results, one table of tolerances."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.constants import speed_of_light

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid

TOLERANCE = {torch.complex64: 1e-5, torch.complex128: 1e-12}


def relative_gap(a: torch.Tensor, b: torch.Tensor) -> float:
    """max |a - b| / max |b|, shapes first."""
    assert a.shape == b.shape, f"{tuple(a.shape)} against {tuple(b.shape)}"
    return float((a.to(torch.complex128) - b.to(torch.complex128)).abs().max() / b.abs().max())


def adjoint_gap(A, rng: torch.Generator, batch: tuple[int, ...] = ()) -> float:
    """|<Ax, y> - <x, A^H y>| / (|Ax| |y|)."""
    x = torch.randn(*batch, *A.volume_shape, dtype=A.dtype, generator=rng)
    y = torch.randn(*batch, *A.measurement_shape, dtype=A.dtype, generator=rng)
    ax, ay = A.forward(x), A.adjoint(y)
    assert ax.shape == y.shape
    assert ay.shape == x.shape
    left = torch.vdot(ax.flatten().to(torch.complex128), y.flatten().to(torch.complex128))
    right = torch.vdot(x.flatten().to(torch.complex128), ay.flatten().to(torch.complex128))
    return float((left - right).abs() / (ax.norm() * y.norm()))


def naive_kernel(name: str, k: float, dist_tx: float, dist_rx: float, cos_tx: float, cos_rx: float) -> complex:
    """One term of each kernel as the papers write it; image formers as they multiply the data."""
    phase = cmath.exp(-1j * k * (dist_tx + dist_rx))
    if name == "born":
        return phase / (4 * math.pi * dist_tx * dist_rx)
    if name == "backprojection":
        return phase.conjugate()
    near = 4 * cos_tx * cos_rx * (1 + 1j * k * dist_tx) * (1 + 1j * k * dist_rx) * phase.conjugate()
    return near if name == "kirchhoff-compensated" else near / (4 * dist_tx * dist_rx)


def naive_matrix(
    name: str, array: ArrayGeometry, sweep: FrequencySweep, grid: VoxelGrid, permittivity: float = 1.0
) -> torch.Tensor:
    """Every term by a plain loop over (frequency, channel, voxel), complex128 (n_freq, n_channel, n_voxel)."""
    voxels = [(x, y, z) for x in grid.x for y in grid.y for z in grid.z]
    channels = array.channel_indices() if array.mask is None else np.argwhere(np.ones_like(array.mask))
    normal_tx = np.tile([0, 0, 1.0], (array.n_tx, 1)) if array.tx_normal is None else array.tx_normal
    normal_rx = np.tile([0, 0, 1.0], (array.n_rx, 1)) if array.rx_normal is None else array.rx_normal
    out = np.zeros((sweep.n_freq, len(channels), len(voxels)), complex)
    for f, frequency in enumerate(sweep.freq):
        k = 2 * math.pi * frequency * math.sqrt(permittivity) / speed_of_light
        for c, (t, r) in enumerate(channels):
            for v, voxel in enumerate(voxels):
                dist_tx, dist_rx = math.dist(array.tx_pos[t], voxel), math.dist(array.rx_pos[r], voxel)
                cos_tx = _cosine(normal_tx[t], array.tx_pos[t], voxel)
                cos_rx = _cosine(normal_rx[r], array.rx_pos[r], voxel)
                out[f, c, v] = naive_kernel(name, k, dist_tx, dist_rx, cos_tx, cos_rx)
    return torch.from_numpy(out)


def _cosine(normal, antenna, voxel) -> float:
    toward = [b - a for a, b in zip(antenna, voxel, strict=True)]
    return sum(n * d for n, d in zip(normal, toward, strict=True)) / (math.hypot(*normal) * math.hypot(*toward))


def fails(message_parts: tuple[str, ...], function: Callable[[], object], error: type[Exception] = ValueError) -> None:
    """The call raises `error` with a one-line message that holds every part."""
    try:
        function()
    except error as raised:
        text = str(raised)
        assert "\n" not in text, text
        for part in message_parts:
            assert part in text, f"{part!r} not in {text!r}"
    else:
        raise AssertionError(f"expected {error.__name__}")
