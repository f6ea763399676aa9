"""Prepare tables and tasks for the compiled sums over a list of channels (``channels.h``).

The phase of a term is that of the whole path of its channel, ``P_t + P_r - reference_path``, in float64. In a uniform
sweep a phasor of each (channel, voxel) pair is advanced from frequency to frequency by multiplication: sixteen steps
with the phasor of one frequency step, then one with the phasor of sixteen. So a term has ``16 + n_freq / 16`` roundings
at most. Its relative error is at most 3e-6 at 424 frequencies in complex64 and 5e-15 in complex128, beside the rounding
of k P itself. In any other sweep every term has a phasor of its own.

A *partition* is a range of voxels that one task sums over; a *block* is the part of it that channels.h treats at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from mimo import kernels
from mimo.acquisition import Acquisition
from mimo.progress import Report, silent
from mimo.propagation import FactorModel, Side

__all__ = ["ChannelSums"]

CHANNEL_BLOCK = kernels.CONSTANTS["PAIRS"]
"""Voxels in a block of channels.h."""

MAX_ROWS, FEW_ROWS = kernels.CONSTANTS["ROWS"], 8
"""Antennas whose paths to a block of voxels are kept between channels: ``ROWS`` of channels.h, or a few."""

SPREAD_PARTS, FORWARD_PARTS = 64, 16
"""Partitions of the volume at least, where it has as many blocks: tasks to share among threads. `forward` has fewer,
because each of its partitions needs measurements of its own, which are added up at the end."""

PART_PAIRS = 2**26
"""(channel, voxel) pairs in a partition at most: about half a second between two progress reports."""

TABLES, TABLE_BYTES = 8, 2**23
"""Where paths and amplitudes come from tables: partitions that are enough, unless one's tables exceed so many bytes."""

MAKING_PAIRS = 2**16
"""(antenna, voxel) pairs whose paths and amplitudes are computed at a time."""

PARTIAL_BYTES = 2**27
"""Bytes of partial measurements that `forward` holds at a time; one for each thread is held in any case."""


class ChannelSums:
    """Runs the compiled sums over the channels that carry data, in the order of `ArrayGeometry.channel_indices`.

    Parameters
    ----------
    acquisition
        Geometry, medium, patterns (flat ones) and reference paths.
    model
        Amplitude of one antenna's factor, such as `mimo.propagation.BORN`.
    dtype
        complex64 or complex128.
    memory
        Bytes that partial measurements may take, beyond one of each thread.
    """

    def __init__(
        self, acquisition: Acquisition, model: FactorModel, *, dtype: torch.dtype, memory: int = PARTIAL_BYTES
    ) -> None:
        self._partial_bytes = min(memory, PARTIAL_BYTES)
        self._acquisition, self._model, self._dtype = acquisition, model, dtype
        self._real = torch.float32 if dtype == torch.complex64 else torch.float64
        device = torch.device("cpu")
        self._sides = Side(acquisition, 0, device), Side(acquisition, 1, device)
        # a monostatic array has one set of antennas, so that one row of paths serves both sides
        weighted = any(weight is not None for weight in model.weights)
        self._shared = self._sides[0].same_as(self._sides[1]) and not weighted
        array = acquisition.array
        channels = np.ascontiguousarray(array.channel_indices(), np.int32)
        self._channels = np.ascontiguousarray(channels + ((0, 0) if self._shared else (0, array.n_tx)), np.int32)
        self.reference = _of_channels(acquisition)
        positions = array.tx_pos if self._shared else np.concatenate([array.tx_pos, array.rx_pos])
        self._positions = np.ascontiguousarray(positions)
        again = len(channels) > 2 * len(positions)  # antennas serve many channels: worth the cache that their rows take
        self._n_row = min(len(positions), MAX_ROWS if again else FEW_ROWS)
        self._voxels = acquisition.voxels
        self._turns = acquisition.wavenumber / (2 * np.pi)
        # the kernels themselves form straight paths in a homogeneous medium and isotropic amplitudes, nothing else
        plain = acquisition.layers is None and not any((*acquisition.patterns, *array.far))
        self._tabulated = not plain or model.near_field or weighted
        # data times 1, k and k^2: what the near-field factor (1 + j k P_t)(1 + j k P_r) is made of (`gather`)
        self._weights = np.stack(
            [np.ones_like(acquisition.wavenumber), acquisition.wavenumber, acquisition.wavenumber**2]
        )
        self._padded = -(-self._voxels.n_voxel // CHANNEL_BLOCK) * CHANNEL_BLOCK

    @property
    def n_channel(self) -> int:
        """Number of channels."""
        return len(self._channels)

    def forward(self, x: torch.Tensor, step: float, report: Report = silent) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_channel) of volumes (n_scene, n_voxel); `step` as in `spread`."""
        n_scene, n_voxel = x.shape
        planar = torch.zeros((n_scene, 2, self._padded), dtype=self._real)
        planar[:, :, :n_voxel] = torch.view_as_real(x).movedim(-1, 1)
        shape = (n_scene, self.n_channel, len(self._turns))
        most = max(1, self._partial_bytes // (math.prod(shape) * self._dtype.itemsize))
        total = torch.zeros(shape, dtype=self._dtype)
        for chunk in self._chunks(self._parts(FORWARD_PARTS), report, most=most):
            partial = torch.zeros((len(chunk), *shape), dtype=self._dtype)
            self._run("forward", chunk, list(partial), planar, step=step)
            for one in partial:  # in the order of partitions: the same rounding whatever is computed at once
                total += one
        return total.mT

    def spread(self, y: torch.Tensor, step: float, report: Report = silent) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_channel): the data times conjugate factors.

        `step` is the wavenumber step of a uniform sweep, radians a metre; 0 for any other sweep.
        """
        y = y.mT
        if self._model.near_field:
            weights = torch.as_tensor(self._weights, dtype=self._real)
            y = y[:, None] * weights[:, None, :]
        else:
            y = y[:, None]
        data = y.resolve_conj().contiguous()
        planar = torch.zeros((len(y), 2, self._padded), dtype=self._real)
        for chunk in self._chunks(self._parts(SPREAD_PARTS), report):
            self._run("spread", chunk, [data] * len(chunk), planar, step=step, n_moment=data.shape[1])
        return self._complex(planar)

    def compressed(
        self,
        profiles: torch.Tensor,
        weights: torch.Tensor,
        *,
        reference: npt.NDArray[np.float64],
        step: float,
        carrier: float,
        report: Report = silent,
    ) -> torch.Tensor:
        """Images (n_scene, n_voxel) of range profiles (n_scene, n_moment, n_channel, n_profile + taps).

        Moments are profiles of y, k y and k^2 y where the model has a near field, else of y alone. `weights`
        (512, taps) is the interpolation kernel; `reference` the path of each channel at the middle of its profile,
        metres; `step` the wavenumber whose phase turns once over a profile and `carrier` the one that was taken out of
        the profiles, radians a metre. See `mimo.fast.range_profiles.RangeProfiles`.
        """
        planar = torch.zeros((len(profiles), 2, self._padded), dtype=self._real)
        taps = weights.shape[1]
        weights = weights.repeat_interleave(2, dim=1).contiguous()  # twice, for real and imaginary parts
        more = {"n_profile": profiles.shape[3] - taps, "weights": weights.data_ptr(), "n_moment": profiles.shape[1]}
        for chunk in self._chunks(self._parts(SPREAD_PARTS), report):
            data = [profiles] * len(chunk)
            self._run(
                "compressed", chunk, data, planar, step=step, carrier=carrier, to=reference, channels=None, **more
            )
        return self._complex(planar)

    def scattered(
        self,
        x: torch.Tensor,
        weights: torch.Tensor,
        *,
        n_profile: int,
        reference: npt.NDArray[np.float64],
        step: float,
        carrier: float,
        report: Report = silent,
    ) -> torch.Tensor:
        """Range profiles (n_scene, n_channel, n_profile + taps) of volumes (n_scene, n_voxel).

        It is the conjugate transpose of `compressed` for models without a near field; the other arguments are its own.
        """
        n_voxel, taps = x.shape[1], weights.shape[1]
        planar = torch.zeros((len(x), 2, self._padded), dtype=self._real)
        planar[:, :, :n_voxel] = torch.view_as_real(x).movedim(-1, 1)
        weights = weights.repeat_interleave(2, dim=1).contiguous()
        n_task = min(self.n_channel, torch.get_num_threads())  # channels are independent: results do not depend on it
        bounds = [self.n_channel * i // n_task for i in range(n_task + 1)]
        channels = [slice(*pair) for pair in itertools.pairwise(bounds)]
        data = [torch.zeros((len(x), c.stop - c.start, n_profile + taps), dtype=self._dtype) for c in channels]
        more = {"n_profile": n_profile, "weights": weights.data_ptr()}
        parts = self._parts(1)
        for i, part in enumerate(parts):
            self._run(
                "scattered",
                [part] * n_task,
                data,
                planar,
                step=step,
                carrier=carrier,
                to=reference,
                channels=channels,
                **more,
            )
            report((i + 1) / len(parts))
        return data[0] if n_task == 1 else torch.cat(data, dim=1)

    def _complex(self, planar: torch.Tensor) -> torch.Tensor:
        n = self._voxels.n_voxel
        return torch.complex(planar[:, 0, :n], planar[:, 1, :n])

    def _parts(self, n_part: int) -> list[tuple[int, int]]:
        """Return the partitions: ranges of whole blocks that depend on the geometry alone, not on the threads."""
        if self._tabulated:
            row = len(self._positions) * (8 + self._real.itemsize)
            n_part = max(min(n_part, TABLES), -(-self._padded * row // TABLE_BYTES))
        n_block = self._padded // CHANNEL_BLOCK
        n_part = min(n_block, max(n_part, -(-self.n_channel * self._padded // PART_PAIRS)))
        return list(itertools.pairwise(CHANNEL_BLOCK * (n_block * i // n_part) for i in range(n_part + 1)))

    def _chunks(
        self, parts: list[tuple[int, int]], report: Report, most: int | None = None
    ) -> Iterator[list[tuple[int, int]]]:
        """Yield the partitions to be treated at once: one a thread at least, `most` at most, a second's work or so."""
        threads = torch.get_num_threads()
        at_once = max(4 * threads, math.ceil(len(parts) * 2 * PART_PAIRS / (self.n_channel * self._padded)))
        if self._tabulated:  # tables of no more partitions than threads exist at a time
            at_once = threads
        if most is not None:
            at_once = max(threads, min(at_once, most))
        for first in range(0, len(parts), at_once):
            chunk = parts[first : first + at_once]
            yield chunk
            report((first + len(chunk)) / len(parts))

    def _run(
        self,
        name: str,
        parts: list[tuple[int, int]],
        data: list[torch.Tensor],
        planar: torch.Tensor,
        *,
        step: float,
        carrier: float = 0.0,
        n_moment: int = 1,
        to: npt.NDArray[np.float64] | None = None,
        channels: list[slice] | None = None,
        **more: int,
    ) -> None:
        """Run one kernel ("forward", "spread", "compressed" or "scattered") on these partitions, one task each.

        A task sums over all channels, or over those of its slice in `channels`.
        """
        reference = self.reference if to is None else to
        voxels, shape = self._voxels, self._acquisition.grid.shape
        places = dict(zip(("x", "y", "z"), (values.ctypes.data for values in voxels.coordinates), strict=True))
        common = more | places | {"listed": int(voxels.listed)}
        common |= {"n_freq": len(self._turns), "n_scene": len(planar)}
        common |= {"n_moment": n_moment, "n_voxel": voxels.n_voxel, "n_y": shape[1], "n_z": shape[2]}
        common |= {"plane": self._padded, "positions": self._positions.ctypes.data, "n_row": self._n_row}
        common |= {"turns": self._turns.ctypes.data, "spreading": int(self._model.divides), "image": planar.data_ptr()}
        turns = {"step": step / (2 * np.pi), "carrier": carrier / (2 * np.pi)}
        kept = {part: self._tables(*part) if self._tabulated else {} for part in set(parts)}
        channels = channels or [slice(0, self.n_channel)] * len(parts)
        tasks = []
        for part, values, some in zip(parts, data, channels, strict=True):
            task = {"first": part[0], "last": part[1], "table": part[1] - part[0], "data": values.data_ptr()}
            task |= {key: table.data_ptr() for key, table in kept[part].items()}
            task |= {"n_channel": some.stop - some.start, "channels": self._channels[some].ctypes.data}
            task |= {"reference": reference[some].ctypes.data}  # slices are views, which the whole arrays keep alive
            tasks.append(kernels.ChannelTask(**common, **turns, **task))
        kernels.run_channels(name, self._real, tasks)

    def _tables(self, first: int, last: int) -> dict[str, torch.Tensor]:
        """Return path (metres) and amplitude of every antenna, (n_antenna, n), that the kernel cannot form itself."""
        shape = (len(self._positions), last - first)
        path, amplitude = torch.empty(shape, dtype=torch.float64), torch.empty(shape, dtype=self._real)
        at_once, n_voxel = max(1, MAKING_PAIRS // len(self._positions)), self._voxels.n_voxel
        for start in range(first, last, at_once):
            stop = min(start + at_once, last)
            points = self._voxels.points(min(start, n_voxel - 1), min(stop, n_voxel))
            points = torch.cat([points, points[-1:].expand(stop - start - len(points), 3)])  # the last is repeated
            row = 0
            for side in self._sides[:1] if self._shared else self._sides:
                some, size = side.path_and_amplitude(self._model, points, near_field=False)
                where = slice(row, row + len(some)), slice(start - first, stop - first)
                path[where], amplitude[where] = some, size
                row += len(some)
        return {"path": path, "amplitude": amplitude}


def _of_channels(acquisition: Acquisition) -> npt.NDArray[np.float64]:
    """Return the reference path of each channel that carries data, float64 (n_channel,), metres."""
    channels = acquisition.array.channel_indices()
    if acquisition.reference_path is None:
        return np.zeros(len(channels))
    path = (
        acquisition.reference_path
        if acquisition.array.paired
        else acquisition.reference_path[channels[:, 0], channels[:, 1]]
    )
    return np.ascontiguousarray(path)
