"""Sum over channels through range profiles, with the exact adjoint: image formers, and an operator of iterations.

`adjoint` makes range profiles of the measurements (`mimo.fast.range_profiles`) and interpolates in them at every voxel;
`forward` spreads every voxel over the samples that it would be interpolated from and transforms the profiles back. The
near-field factor of Kirchhoff migration depends on the frequency, through powers of k alone,

    (1 + j k P_t)(1 + j k P_r) = 1 + j (P_t + P_r) k - P_t P_r k^2,

so three profiles, of y, k y and k^2 y, are interpolated at the same places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from mimo import kernels
from mimo.acquisition import Acquisition
from mimo.compiled_channels import ChannelSums
from mimo.fast.range_profiles import FRACTIONS, TAPS, RangeProfiles
from mimo.imaging_operator import ImagingOperator
from mimo.progress import Report, silent
from mimo.propagation import BACKPROJECTION, FactorModel, Side, check_apart, phasor

__all__ = ["ProfileSum", "profile_seconds"]

MAX_SINGLE = 2**23
"""Positions (512ths of a sample) in a profile up to which float32 tells neighbours apart; beyond it, float64."""

PAIRS_AT_ONCE = 2**16
"""(channel, voxel) pairs treated together on the torch path."""

PADDING = 2.0
"""Samples of a profile for each frequency, by default."""

PAIR_SECONDS, ROW_SECONDS, TRANSFORM_SECONDS, CALL_SECONDS = 1.7e-9, 0.2e-9, 30e-9, 2e-3
"""For predictions, on one core: seconds for a voxel of a channel, a voxel of an antenna, a number of the measurement in
the FFT, and any call."""

Tile = tuple[slice, slice, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class ProfileSum:
    """Computes sums over listed channels or every pair through range profiles; a `KernelSum` of the same model.

    Parameters
    ----------
    acquisition
        Geometry, medium, removed paths and flat patterns.
    model
        Amplitude of an antenna's factor, such as `mimo.propagation.BORN`; `forward` takes models without a near field.
    padding
        As in `mimo.backproject_fast`.
    dtype, device
        Those of measurements and images.
    profiles
        The profiles of another sum, to be used by this one, which has the same channels but other voxels of the grid.

    Raises
    ------
    ValueError
        When a pattern is complex or depends on the frequency, or a voxel lies on an antenna and the model divides by
        their distance.
    """

    def __init__(
        self,
        acquisition: Acquisition,
        model: FactorModel = BACKPROJECTION,
        *,
        padding: float = PADDING,
        dtype: torch.dtype = torch.complex64,
        device: torch.device | str = "cpu",
        profiles: RangeProfiles | None = None,
    ) -> None:
        if not acquisition.flat:
            raise ValueError(
                "the antennas' pattern is complex or depends on the frequency: expected a real one, the same at every "
                "frequency, for range profiles; backprojection takes any"
            )
        if model.divides:
            check_apart(acquisition)
        self._acquisition, self._model, self._dtype, self._device = acquisition, model, dtype, torch.device(device)
        self._sums = ChannelSums(acquisition, model, dtype=dtype)
        self.profiles = RangeProfiles(acquisition, self._sums.reference, padding) if profiles is None else profiles
        self._wide = dtype  # of the sums
        self._compiled = self._device.type == "cpu" and kernels.available()
        if self._compiled and self.profiles.n_profile * FRACTIONS > MAX_SINGLE and dtype == torch.complex64:
            self._wide = torch.complex128
            self._sums = ChannelSums(acquisition, model, dtype=self._wide)
        array = acquisition.array
        self._channels = torch.as_tensor(array.channel_indices().copy(), dtype=torch.long, device=self._device)
        self._weights = torch.as_tensor(self.profiles.weights, dtype=self._wide.to_real(), device=self._device)
        self._at = {"step": self.profiles.step, "carrier": self.profiles.carrier}

    def adjoint(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, *channels)."""
        tx, rx = self._channels.T
        if not self._acquisition.array.paired:
            y = y[:, :, tx, rx]
        moments = y[:, None]
        if self._model.near_field:
            k = torch.as_tensor(self._acquisition.wavenumber, dtype=y.dtype.to_real(), device=y.device)
            moments = torch.stack([y, y * k[:, None], y * (k * k)[:, None]], dim=1)
        rows = self.profiles.of(moments.flatten(0, 1)).unflatten(0, moments.shape[:2]).to(self._wide)
        if not self._compiled:
            return self._image(rows, report)
        reference = self.profiles.middle
        image = self._sums.compressed(rows.contiguous(), self._weights, reference=reference, report=report, **self._at)
        return image.to(self._dtype)

    def forward(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Measurements (n_scene, n_freq, *channels) of volumes (n_scene, n_voxel)."""
        if self._model.near_field:
            raise ValueError(f"{self._model.name} forms images alone: expected a model without a near field")
        if self._compiled:
            rows = self._sums.scattered(
                x.to(self._wide),
                self._weights,
                n_profile=self.profiles.n_profile,
                reference=self.profiles.middle,
                report=report,
                **self._at,
            ).to(self._dtype)
        else:
            rows = self._project(x, report)
        y = self.profiles.back(rows)
        if self._acquisition.array.paired:
            return y
        full = y.new_zeros((*y.shape[:2], *self._acquisition.array.measurement_shape))
        full[:, :, self._channels[:, 0], self._channels[:, 1]] = y
        return full

    def prepare(self) -> None:
        """Do nothing: what depends on the geometry alone is there."""

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the columns of the matrix, (n_freq * n_channel, n), for voxels `first` to `last` - 1."""
        n_voxel = self._acquisition.voxels.n_voxel
        unit = torch.eye(last - first, dtype=self._dtype, device=self._device)
        unit = torch.nn.functional.pad(unit, (first, n_voxel - last))
        return self.forward(unit).flatten(1).T.contiguous()

    # -- torch ---------------------------------------------------------------------------------------------------

    def _image(self, rows: torch.Tensor, report: Report) -> torch.Tensor:
        """Do what profiles.h does: images of profiles (n_scene, n_moment, n_channel, n_profile + TAPS)."""
        out = torch.zeros((len(rows), self._acquisition.voxels.n_voxel), dtype=rows.dtype, device=rows.device)
        for some, part, near, weights, factor, paths in self._tiles(report):
            for m in range(rows.shape[1]):
                value = torch.zeros((len(rows), *near.shape), dtype=rows.dtype, device=rows.device)
                for tap in range(TAPS):
                    value += rows[:, m, some].take_along_dim((near + tap)[None], 2) * weights[..., tap]
                if m:  # the factors of k and k^2 in (1 + j k P_t)(1 + j k P_r)
                    value = value * (1j * paths.sum(0) if m == 1 else -paths.prod(0)).to(rows.dtype)
                out[:, part] += (value * factor).sum(1)
        return out

    def _project(self, x: torch.Tensor, report: Report) -> torch.Tensor:
        """Return the profiles (n_scene, n_channel, n_profile + TAPS) of volumes: the transpose of `_image`."""
        rows = x.new_zeros((len(x), len(self._channels), self.profiles.n_profile + TAPS))
        for some, part, near, weights, factor, _ in self._tiles(report):
            value = x[:, None, part] * factor.conj()
            for tap in range(TAPS):
                where = (near + tap)[None].expand(value.shape)
                rows[:, some].scatter_add_(2, where, value * weights[..., tap])
        return rows

    def _tiles(
        self, report: Report
    ) -> Iterator[tuple[slice, slice, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield tiles of channels and voxels: both slices, first sample, weights, factor exp(+j k_c d), two paths."""
        acquisition, profiles, channels, device = self._acquisition, self.profiles, self._channels, self._device
        n_voxel = acquisition.voxels.n_voxel
        sides = [Side(acquisition, side, device) for side in (0, 1)]
        middle = torch.as_tensor(profiles.middle.copy(), device=device)
        carrier = torch.full((1, 1, 1), profiles.carrier, dtype=torch.float64, device=device)
        wide = min(len(channels), math.isqrt(PAIRS_AT_ONCE))
        deep = PAIRS_AT_ONCE // wide
        for first in range(0, n_voxel, deep):
            part = slice(first, min(first + deep, n_voxel))
            points = acquisition.voxels.points(part.start, part.stop, device)
            (tx_path, tx_size), (rx_path, rx_size) = (
                side.path_and_amplitude(self._model, points, near_field=False) for side in sides
            )
            for c in range(0, len(channels), wide):
                some = slice(c, c + wide)
                tx, rx = channels[some].T
                paths = torch.stack([tx_path[tx], rx_path[rx]])
                path = paths.sum(0)
                turn = (path - middle[some, None]) * (profiles.step / (2 * math.pi))
                at = ((turn - turn.round() + 0.5) * (profiles.n_profile * FRACTIONS)).round().long()
                factor = (phasor(path, carrier)[0].conj() * tx_size[tx] * rx_size[rx]).to(self._dtype)
                yield some, part, at // FRACTIONS, self._weights[at % FRACTIONS], factor, paths
            report(min(1.0, (first + deep) / n_voxel))


def profile_seconds(A: ImagingOperator) -> float:
    """Predict the seconds of one image or product on one core; `ValueError` when patterns do not allow profiles."""
    if not A.acquisition.flat:
        raise ValueError("the antennas' pattern is complex or depends on the frequency: expected a real one")
    channels, antennas = A.array.n_channel, A.array.n_tx + A.array.n_rx
    pairs = A.n_voxel * (channels * PAIR_SECONDS + antennas * ROW_SECONDS)
    return CALL_SECONDS + pairs + channels * A.sweep.n_freq * TRANSFORM_SECONDS
