"""The vocabulary of the tests: naive truth in float64, gaps between results, one table of tolerances."""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

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


class Ray(NamedTuple):
    """From one antenna to one voxel: length, optical path, cosine to the normal."""

    length: float
    path: float
    cosine: float


def naive_kernel(name: str, k: float, reference: float, tx: Ray, rx: Ray, gain: complex) -> complex:
    """One term of each kernel as the papers write it; image formers as they multiply the data."""
    phase = cmath.exp(-1j * k * (tx.path + rx.path - reference)) * gain
    if name == "born":
        return phase / (4 * math.pi * tx.length * rx.length)
    if name == "backprojection":
        return phase.conjugate()
    near = 4 * tx.cosine * rx.cosine * (1 + 1j * k * tx.path) * (1 + 1j * k * rx.path) * phase.conjugate()
    return near if name == "kirchhoff-compensated" else near / (4 * tx.length * rx.length)


def naive_matrix(
    name: str,
    array: ArrayGeometry,
    sweep: FrequencySweep,
    grid: VoxelGrid,
    *,
    permittivity: float = 1.0,
    reference_path=None,
    pattern=None,
    layers=None,
) -> torch.Tensor:
    """Every term by a plain loop over (frequency, channel, voxel), complex128 (n_freq, n_channel, n_voxel)."""
    voxels = [(x, y, z) for x in grid.x for y in grid.y for z in grid.z]
    channels = array.channel_indices() if array.mask is None else np.argwhere(np.ones_like(array.mask))
    normal_tx = np.tile([0, 0, 1.0], (array.n_tx, 1)) if array.tx_normal is None else array.tx_normal
    normal_rx = np.tile([0, 0, 1.0], (array.n_rx, 1)) if array.rx_normal is None else array.rx_normal
    reference = np.zeros(len(channels)) if reference_path is None else np.ravel(reference_path)
    of_tx, of_rx = pattern if isinstance(pattern, tuple) else (pattern, pattern)
    out = np.zeros((sweep.n_freq, len(channels), len(voxels)), complex)
    wavenumbers = [2 * math.pi * f * math.sqrt(permittivity) / speed_of_light for f in sweep.freq]
    for c, (t, r) in enumerate(channels):
        for v, voxel in enumerate(voxels):
            tx, rx = (
                _ray(array.tx_pos[t], normal_tx[t], voxel, layers),
                _ray(array.rx_pos[r], normal_rx[r], voxel, layers),
            )
            for f, k in enumerate(wavenumbers):
                gain = _gain(of_tx, tx.cosine, sweep.freq[f]) * _gain(of_rx, rx.cosine, sweep.freq[f])
                out[f, c, v] = naive_kernel(name, k, reference[c], tx, rx, gain)
    return torch.from_numpy(out)


def _ray(antenna, normal, voxel, layers) -> Ray:
    length, cosine = math.dist(antenna, voxel), _cosine(normal, antenna, voxel)
    path = length
    if layers is not None:
        edges = [-math.inf, *layers.interfaces, math.inf]
        low, high = sorted((antenna[2], voxel[2]))
        parts = [max(0.0, min(high, top) - max(low, bottom)) for bottom, top in itertools.pairwise(edges)]
        path = (
            sum(math.sqrt(e) * part for e, part in zip(layers.permittivity, parts, strict=True)) * length / (high - low)
        )
    return Ray(length, path, cosine)


def _gain(pattern, cosine, frequency) -> complex:
    if pattern is None:
        return 1.0
    if hasattr(pattern, "exponent"):
        return cosine**pattern.exponent if cosine > 0 else 0.0
    column = [
        complex(np.interp(frequency, pattern.freq, row.real), np.interp(frequency, pattern.freq, row.imag))
        for row in pattern.values.astype(complex)
    ]
    theta = math.acos(cosine)
    if theta > pattern.angle[-1]:
        return 0.0
    return complex(np.interp(theta, pattern.angle, np.real(column)), np.interp(theta, pattern.angle, np.imag(column)))


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
