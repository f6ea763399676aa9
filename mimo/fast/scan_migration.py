"""Image a planar scan by range migration: back-projection carried out on plane waves.

Back-projection of a monostatic scan over a plane is a convolution over the plane for each wavenumber K = 2 k and each
depth d, and the Fourier transform of its kernel is known in closed form,

    integral exp(+j K R) exp(-j (kx X + ky Y)) dX dY = 2 pi (K / kz^2) (j d - 1 / kz) exp(+j kz d),
    R^2 = X^2 + Y^2 + d^2,    kz^2 = K^2 - kx^2 - ky^2

(Weyl's integral for exp(+j K R) / R, differentiated in K; integrated in K it gives the kernel with the Born amplitude
1 / R^2). So the scan is transformed over its plane to (kx, ky), the sum over frequencies becomes a Fourier sum over the
values of kz that the frequencies have there, Stolt's change of variable (Stolt, Geophysics 43 (1978) 23; for near-field
radar Lopez-Sanchez, Fortuny-Guasch, IEEE Trans. Antennas and Propagation 48 (2000) 728), and the result of each depth
is transformed back. Channels with a transmitter apart from its receiver are made monostatic on the way
(`mimo.fast.compensation`).

Echoes from the voxels' range of paths are known from few frequencies, so the sweep is first gathered at evenly spaced
ones, some tens instead of hundreds (`mimo.fast.subapertures.frequency_nodes`). Every step is a linear map with an
adjoint, so the whole is one, too: `ScanPlan.project` is the exact adjoint of `ScanPlan.image`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from mimo.fast.compensation import Compensation, Slab, compensating
from mimo.fast.planar_scan import PlanarScan
from mimo.fast.subapertures import frequency_nodes
from mimo.fast.wave_axes import WaveAxis, taper
from mimo.imaging_operator import ImagingOperator
from mimo.progress import Report, silent
from mimo.propagation import BACKPROJECTION, BORN, FactorModel

__all__ = ["FRESNEL", "STEEPEST", "TOLERANCE", "ScanPlan", "check_medium", "depths", "even_step"]

STEEPEST = 10.0
"""Largest slope kx / kz, and ky / kz, of a migrated wave: kz^-2 grows without bound for waves along the plane."""

FRESNEL = 2.0
"""Width over which waves steeper than the scene needs fade out, because a sharp cut makes the image ring. In Fresnel
zones, sqrt(2 pi / K * nearest depth) in the plane of the nearest voxels."""

DEPTHS = 16
"""Depths from one exact phasor of a wave to the next; those between are made by multiplication."""

NODE_TOLERANCE = 1e-3
"""Largest error of a phasor that is interpolated between the frequencies at which the sweep is gathered."""

TOLERANCE = 0.1
"""Residual phase of a bistatic scan that has been made monostatic, radians, by default."""

MAX_SLABS = 32
"""Reference depths at most, in which a bistatic scan is made monostatic."""

PRODUCT_RATE, ELEMENT_SECONDS, TRANSFORM_SECONDS, CALL_SECONDS = 4e10, 3e-9, 2.5e-10, 3e-2
"""For predictions, on one core: operations a second of complex matrix products; seconds for a product in memory, for a
number of an FFT over its logarithm, and for all calls and preparations together."""

NUMBERS_AT_ONCE = 2**19
"""Complex numbers of the largest temporary array."""

QUADRANTS = 4
"""Signs of (kx, ky). Waves that differ in them alone have the same kz, so one table of phasors serves all four."""


class ScanPlan:
    """Holds everything of a migration that does not depend on the data.

    Parameters
    ----------
    A
        The operator whose geometry, medium, precision and device are used.
    padding, aperture_taper, band_taper, tolerance
        As in `mimo.range_migration`.
    model
        `BACKPROJECTION`, or `BORN` for the kernel of the Born operator.

    Attributes
    ----------
    compensation
        Reference depths of a bistatic scan, and the residual phase.
    dtype, device
        Those of the operator.

    Raises
    ------
    ValueError
        When an operator's geometry or medium does not fit.
    """

    def __init__(
        self,
        A: ImagingOperator,
        padding: float = 1.0,
        aperture_taper: float = 0.0,
        band_taper: float = 0.0,
        *,
        tolerance: float = TOLERANCE,
        model: FactorModel = BACKPROJECTION,
    ) -> None:
        check_medium(A)
        k = A.acquisition.wavenumber
        scan = PlanarScan.of(A.array, wavelength=2 * np.pi / float(k.max()))
        depth = depths(A.grid.z, scan.z)
        self._step = float(depth[-1] - depth[0]) / max(1, len(depth) - 1)
        self._sign = 1.0 if A.grid.z[0] > scan.z else -1.0
        self._depth, self._scan = depth, scan
        self.dtype, self.device = A.dtype, A.device
        self._spreading = model is BORN
        near, far = float(depth.min()), float(depth.max())
        self._margin = FRESNEL * math.sqrt(2 * math.pi / (2 * float(k.mean())) / near)
        self._x, self._y = (
            WaveAxis.of(
                positions,
                voxels,
                depth=(near, far),
                margin=self._margin,
                steepest=STEEPEST,
                k_max=2 * float(k.max()),
                padding=padding,
                dtype=A.dtype,
                device=A.device,
            )
            for positions, voxels in (
                ([one.x for one in scan.classes], A.grid.x),
                ([one.y for one in scan.classes], A.grid.y),
            )
        )
        self.compensation = Compensation.of(
            scan.classes,
            depth,
            k_max=float(k.max()),
            slope=(self._x.slope, self._y.slope),
            tolerance=tolerance,
            most=MAX_SLABS,
            direction=self._sign,
        )
        self._gather, node = self._gathering(A, taper(k, band_taper))

        def put(value: npt.NDArray[np.generic], dtype: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(value, dtype=dtype, device=A.device)

        self._K, self._kx, self._ky = (
            put(v, torch.float64) for v in (2 * node, self._x.wavenumber, self._y.wavenumber)
        )
        self._places = [(put(one.channel, torch.long), put(one.place, torch.long)) for one in scan.classes]
        self._tapers = [
            put(np.multiply.outer(taper(one.x, aperture_taper), taper(one.y, aperture_taper)).ravel(), A.dtype)
            for one in scan.classes
        ]
        self._reference: torch.Tensor | None = None
        if A.acquisition.reference_path is not None:
            self._reference = put(A.acquisition.reference_phasor().conj(), A.dtype)
        self._gain = put(1 / (2 * depth) if self._spreading else 2 * np.pi * depth, A.dtype.to_real())
        self._typical = math.sqrt(near * far)
        self._kept: dict[tuple[int, int], torch.Tensor] = {}
        n_table = len(self._kx) * len(self._ky) * len(self._K) * len(depth)
        self._keeps = n_table * A.dtype.itemsize <= A.memory / 2

    def _gathering(
        self, A: ImagingOperator, band: npt.NDArray[np.float64]
    ) -> tuple[torch.Tensor, npt.NDArray[np.float64]]:
        """Return the weights that gather the sweep at few frequencies, complex (n_node, n_freq), and their k."""
        k, low, high = A.acquisition.wavenumber, math.inf, 0.0
        bottom, top = A.acquisition.voxels.bounds()
        for one in self._scan.classes:
            start, stop = np.array([one.x[0], one.y[0], self._scan.z]), np.array([one.x[-1], one.y[-1], self._scan.z])
            apart = np.maximum(0, np.maximum(bottom - stop, start - top))
            widest = np.maximum(np.abs(top - start), np.abs(stop - bottom))
            offset = float(np.linalg.norm(one.half))
            low = min(low, 2 * float(np.linalg.norm(apart)))  # |R - h| + |R + h| is at least 2 |R|
            high = max(high, 2 * float(np.hypot(np.linalg.norm(widest), offset)))
        middle, reach = (low + high) / 2, (high - low) / 2
        found = frequency_nodes(k, reach, NODE_TOLERANCE)
        node, weight = (k, np.eye(len(k))) if found is None else found
        turned = np.exp(-1j * node * middle)[:, None] * weight * np.exp(1j * k * middle) * band
        return torch.as_tensor(turned, dtype=A.dtype, device=A.device), node

    def seconds(self) -> float:
        """Predict the time of `image` on one core, seconds."""
        n_class, n_node, n_z = len(self._scan.classes), len(self._K), len(self._depth)
        m_x, m_y = len(self._kx), len(self._ky)
        n_x, n_y = (len(self._scan.classes[0].x), len(self._scan.classes[0].y))
        n_channel = sum(len(channel) for channel, _ in self._places)
        gather = self._gather.numel() * n_channel
        out = n_class * n_node * (n_x * 2 * m_y * math.log2(4 * m_y) + 4 * m_x * m_y * math.log2(4 * m_x))
        back = 2 * m_x * n_z * (2 * m_y * (n_node + len(self._y.cosine)) + n_x * n_y)
        waves = m_x * m_y * n_node
        touched = waves * (60 + min(DEPTHS, n_z) + (QUADRANTS + 1) * -(-n_z // DEPTHS))
        if self._scan.bistatic:
            touched += QUADRANTS * waves * n_class * 6 * len(self.compensation.slabs)
        seconds = 8 * (gather + back) / PRODUCT_RATE + touched * ELEMENT_SECONDS + out * 5 * TRANSFORM_SECONDS
        return seconds + CALL_SECONDS

    def image(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Return the image (n_voxel,) of one scene (n_freq, n_channel)."""
        columns = []
        nodes = self._gather @ (y if self._reference is None else y * self._reference)
        for i, ((channel, place), weight) in enumerate(zip(self._places, self._tapers, strict=True)):
            one = self._scan.classes[i]
            scan = nodes.new_zeros((len(nodes), len(one.x) * len(one.y)))
            scan.index_add_(1, place, nodes[:, channel] * weight[place])  # channels at the same point add up
            columns.append(self._y.from_positions[i].forward(scan.view(len(nodes), len(one.x), len(one.y))))
        n_ky, n_z = len(self._ky), len(self._depth)
        n_x, n_y = len(self._x.cosine), len(self._y.cosine)
        rows = torch.empty((2, n_ky, n_x, n_z), dtype=y.dtype, device=y.device)
        for which in self._parts():
            waves = []
            for transform, column in zip(self._x.from_positions, columns, strict=True):
                part = self._two_signs(column, which).movedim(1, 3).contiguous()  # (n_node, sign, n, n_x)
                waves.append(transform.forward(part).unflatten(3, (2, len(self._kx))))
            depths = self._to_depths(waves, which)  # (sign of kx, n_kx, sign of ky, n, n_z)
            rows[:, which] = self._x.to_voxels(depths.flatten(2)).view(n_x, *depths.shape[2:]).permute(1, 2, 0, 3)
            report(min(1.0, which.stop / n_ky))
        return self._y.to_voxels(rows.flatten(2)).view(n_y, n_x, n_z).transpose(0, 1).flatten()

    def project(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Return the data (n_freq, n_channel) of one volume (n_x, n_y, n_z): the exact adjoint of `image`."""
        n_ky = len(self._ky)
        rows = self._y.from_voxels(x.transpose(0, 1).flatten(1)).unflatten(2, (x.shape[0], x.shape[2]))
        columns = [x.new_empty((len(self._K), len(one.x), 2 * n_ky)) for one in self._scan.classes]
        for which in self._parts():
            part = rows[:, which].permute(2, 0, 1, 3)  # (n_X, sign, n, n_z)
            by_x = self._x.from_voxels(part.flatten(1)).view(2, -1, *part.shape[1:])
            waves = self._from_depths(by_x, which)
            for transform, column, wave in zip(self._x.from_positions, columns, waves, strict=True):
                self._two_signs(column, which)[...] = transform.adjoint(wave.flatten(3)).movedim(3, 1)
            report(min(1.0, which.stop / n_ky))
        n_channel = sum(len(channel) for channel, _ in self._places)
        nodes = x.new_empty((len(self._K), n_channel))
        for i, ((channel, place), weight) in enumerate(zip(self._places, self._tapers, strict=True)):
            scan = self._y.from_positions[i].adjoint(columns[i]).flatten(1)
            nodes[:, channel] = scan[:, place] * weight[place]
        y = self._gather.mH @ nodes
        return y if self._reference is None else y * self._reference.conj()

    def _parts(self) -> Iterator[slice]:
        """Yield ranges of the positive ky whose waves are treated together."""
        n_ky, n_class = len(self._ky), len(self._scan.classes)
        deepest = max(slab.stop - slab.start for slab in self.compensation.slabs)
        one = len(self._kx) * max(len(self._K) * max(QUADRANTS * n_class, deepest), QUADRANTS * len(self._depth))
        at_once = max(1, NUMBERS_AT_ONCE // one)
        for first in range(0, n_ky, at_once):
            yield slice(first, min(first + at_once, n_ky))

    def _two_signs(self, column: torch.Tensor, which: slice) -> torch.Tensor:
        """Return the waves +-ky of a range, (n_node, n_x, sign, n), a view of (n_node, n_x, 2 n_ky)."""
        return column.unflatten(2, (2, len(self._ky)))[..., which]

    def _to_depths(self, classes: list[torch.Tensor], which: slice) -> torch.Tensor:
        """Sum waves (n_node, sign of ky, n, sign of kx, n_kx) of all classes over frequencies, for every depth.

        The result is (sign of kx, n_kx, sign of ky, n, n_z).
        """
        n_node, _, n, _, n_kx = classes[0].shape
        out = torch.empty((2, n_kx, 2, n, len(self._depth)), dtype=self.dtype, device=self.device)
        for slab in self.compensation.slabs:
            waves = None
            for i, one in enumerate(classes):
                turned = self._compensating(i, slab, which)
                part = one if turned is None else one * turned
                waves = part if waves is None else waves + part
            assert waves is not None  # noqa: S101 - a scan has a class, for the type checker
            by_wave = waves.permute(2, 4, 1, 3, 0).reshape(n * n_kx, QUADRANTS, n_node)
            depths = by_wave @ self._phasors(slab, which)
            out[..., slab.start : slab.stop] = depths.view(n, n_kx, 2, 2, -1).permute(3, 1, 2, 0, 4)
        return out.mul_(self._gain)

    def _from_depths(self, depths: torch.Tensor, which: slice) -> list[torch.Tensor]:
        """Return the waves of each class, in the shapes of `_to_depths`, by its adjoint."""
        classes: list[torch.Tensor | None] = [None] * len(self._scan.classes)
        for slab in self.compensation.slabs:
            part = depths[..., slab.start : slab.stop] * self._gain[slab.start : slab.stop]
            _, n_kx, _, n, n_z = part.shape
            by_wave = part.permute(3, 1, 2, 0, 4).reshape(n * n_kx, QUADRANTS, n_z)
            # conjugated before and after, as the table of phasors is larger than both
            waves = by_wave.conj().resolve_conj() @ self._phasors(slab, which).mT
            waves = waves.view(n, n_kx, 2, 2, -1).permute(4, 2, 0, 3, 1).conj().resolve_conj().contiguous()
            for i, one in enumerate(classes):
                turned = self._compensating(i, slab, which)
                more = waves if turned is None else waves * turned.conj()
                classes[i] = more if one is None else one + more
        return [one for one in classes if one is not None]

    def _phasors(self, slab: Slab, which: slice) -> torch.Tensor:
        """Return weight exp(j kz d) for the depths of a slab, (n n_kx, n_node, n_z), a view with n_z outermost.

        Every `DEPTHS`-th is an exact one, the others are made by multiplication. Tables that fit into the operator's
        memory budget all together are kept for the next call.
        """
        key = slab.start, which.start
        if key in self._kept:
            return self._kept[key]
        kz, weight = self._kernel(which)
        n_z = slab.stop - slab.start
        table = torch.empty((n_z, *kz.shape[1:], kz.shape[0]), dtype=self.dtype, device=self.device)
        kz, weight = kz.movedim(0, 2).contiguous(), weight.movedim(0, 2).contiguous()
        ratio = _phasor(kz * self._step, self.dtype)
        for i in range(n_z):
            if i % DEPTHS == 0:
                torch.mul(weight, _phasor(kz * self._depth[slab.start + i], self.dtype), out=table[i])
            else:
                torch.mul(table[i - 1], ratio, out=table[i])
        table = table.view(n_z, -1, table.shape[3]).permute(1, 2, 0)
        if self._keeps:
            self._kept[key] = table
        return table

    def _compensating(self, i: int, slab: Slab, which: slice) -> torch.Tensor | None:
        """Return the phasor that makes class `i` monostatic, (n_node, 1 or 2, n, 1 or 2, n_kx); ``None`` for none."""
        half = self._scan.classes[i].half
        if not half.any():
            return None
        real = self.dtype.to_real()
        kx, ky = self._kx.to(real), self._ky[which].to(real)[:, None]
        kz = self._kz(which).to(real)
        return compensating(half, kx, ky, kz, self._K.to(real)[:, None, None], slab.depth, self._sign)

    def _kz(self, which: slice) -> torch.Tensor:
        """Return kz, float64 (n_node, n, n_kx): finite for steep and evanescent waves, whose weight is 0."""
        K = self._K[:, None, None]
        kz = (K**2 - self._kx**2 - self._ky[which][:, None] ** 2).clamp_min(0).sqrt()
        return torch.maximum(kz, K / (4 * STEEPEST))

    def _kernel(self, which: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return kz, float64, and the weight of each wave, complex, both (n_node, n, n_kx).

        For back-projection the weight is K / kz^2 (j - 1 / (kz d)), for the Born kernel (j + kz / (K^2 d)) / K, each at
        a typical depth d, as the second term is small beyond a few wavelengths. It fades out beyond the slopes of the
        scene; a factor that depends on the depth alone comes in later (``_gain``).
        """
        real = self.dtype.to_real()
        kx, ky, K = self._kx, self._ky[which][:, None], self._K[:, None, None]
        kz = self._kz(which)
        inverse = (1 / kz).to(real)
        fade = torch.ones_like(inverse)
        for wave, slope in ((kx, self._x.slope), (ky, self._y.slope)):  # 1 to 0, smoothly
            one = (1 - (wave.to(real) * inverse - slope) / self._margin).clamp(0, 1)
            fade = fade * (one * one * (3 - 2 * one))
        if self._spreading:
            size, late = fade / K.to(real), kz.to(real) / (K**2).to(real)
        else:
            size, late = fade * (K / kz**2).to(real), -inverse
        return kz, torch.complex(size * late / self._typical, size).to(self.dtype)


def check_medium(A: ImagingOperator) -> None:
    """Raise ``ValueError`` for a medium in layers and for antenna patterns, which the plane-wave kernel excludes."""
    if A.acquisition.layers is not None:
        raise ValueError("the medium has layers: expected a homogeneous one for range migration")
    if any(A.acquisition.patterns):
        raise ValueError("the antennas have a pattern: expected isotropic ones for range migration")


def _phasor(phase: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """exp(j phase) in a complex dtype; the phase, float64, is reduced to a fraction of a turn first."""
    turns = phase / (2 * math.pi)
    angle = ((turns - turns.round()) * (2 * math.pi)).to(dtype.to_real())
    return torch.complex(angle.cos(), angle.sin())


def depths(z: npt.NDArray[np.float64], plane: float) -> npt.NDArray[np.float64]:
    """Return the distances of the voxel planes `z` from the scan's `plane`, float64 (n_z,), metres, all above zero.

    Raises
    ------
    ValueError
        When the scan's plane lies among the voxels, or `z` is not evenly spaced.
    """
    depth = z - plane
    if depth[0] <= 0 <= depth[-1]:
        raise ValueError(
            f"the grid spans z {z[0]:g} to {z[-1]:g} m, the scan lies at {plane:g} m: expected every voxel on one side"
        )
    even_step("z", z)
    return np.abs(depth)


def even_step(name: str, axis: npt.NDArray[np.float64]) -> float:
    """Return the step of an evenly spaced axis, metres, 0 for a single value; ``ValueError`` for uneven steps."""
    gaps = np.diff(axis)
    if len(gaps) and np.ptp(gaps) > 1e-6 * gaps.mean():
        raise ValueError(f"grid {name} has steps from {gaps.min():.4g} to {gaps.max():.4g} m: expected an even step")
    return float(gaps.mean()) if len(gaps) else 0.0
