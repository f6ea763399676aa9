"""Compute the forward and adjoint sums of an array in which every transmitter is received by every receiver.

With G[f, t, v] and H[f, r, v] the two factors of the Born kernel, one of each antenna:

    forward   y[f, t, r] = sum_v x[v] G[f, t, v] H[f, r, v]
    adjoint   x[v]       = sum_{f, t, r} y[f, t, r] conj(G[f, t, v] H[f, r, v])

The n_freq x n_tx x n_rx x n_voxel matrix is never stored, only its factors are. The words of this module:

- block: `kernels.BLOCK` consecutive voxels, which a compiled kernel keeps in the first-level cache;
- partition (``_parts``): consecutive blocks that one task sums over;
- tables: the factors of one partition, as kernels.h lays them out or, on the torch path, as complex tensors;
- tile: consecutive frequencies whose tables are made together, where memory does not hold those of all.

Partitions depend on the geometry alone and their sums are added in order, so results depend neither on the memory
budget nor on the number of threads. Nor do they depend on tiles: a tile begins at a frequency whose factor is computed
from its phase (`STRIDE`) and adds to the same sums in the same order.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator

import torch

from mimo import kernels, scene_packing
from mimo.factors import MAKING_BYTES, MAKING_COST, STRIDE, SeparableKernel
from mimo.progress import Report, silent
from mimo.propagation import phasor

__all__ = ["FullArraySum"]

PARTITION_BYTES = 2**25
"""Bytes that the factors of one partition take at most, all frequencies together."""

MIN_PARTITIONS = 8
"""Partitions at least, where the volume has as many blocks: work for several threads."""

MANY_SCENES = 128
"""Scenes at most for which the kernels of batches.h make the matrix once; a larger batch is cut and makes it again."""

SCENES_AT_ONCE = 4
"""Scenes that one task of kernels.h treats: their partial sums stay in the second-level cache."""

TERMS_AT_ONCE = 2**33
"""Products (scene, frequency, channel, voxel) between two progress reports: about half a second."""


class FullArraySum(SeparableKernel):
    """Computes ``A x`` and ``A^H y`` for an array of every pair; parameters are those of `SeparableKernel`."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.compiled = self.device.type == "cpu" and kernels.available()
        self._stride = STRIDE if self.uniform and self.n_freq > 2 else 1
        block = kernels.BLOCK if self.compiled else 1
        n_block = -(-self.voxels.n_voxel // block)
        needed = math.ceil(self.voxels.n_voxel * self._voxel_bytes(self.n_freq) / PARTITION_BYTES)
        n_part = min(n_block, max(MIN_PARTITIONS, needed))
        edges = [block * (n_block * i // n_part) for i in range(n_part + 1)]
        self._parts = list(itertools.pairwise(edges))
        self._padded = edges[-1]  # voxels, rounded up to whole blocks
        # tables are kept between calls when all of them fit beside the sums of every thread
        working = torch.get_num_threads() * self._sums_bytes(self.n_freq, SCENES_AT_ONCE)
        self._keep = self._padded * self._voxel_bytes(self.n_freq) + working <= self.memory
        self._kept: dict[int, tuple[torch.Tensor, ...]] = {}
        self._reference = None
        if self.acquisition.reference_path is not None:  # it belongs to a channel and so to neither antenna's factor
            self._reference = torch.as_tensor(self.acquisition.reference_phasor(), device=self.device).to(self.dtype)

    @property
    def channel_shape(self) -> tuple[int, ...]:
        """(n_tx, n_rx)."""
        return self.array.n_tx, self.array.n_rx

    def forward(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Return the measurements (n_scene, n_freq, n_tx, n_rx) of volumes (n_scene, n_voxel)."""
        y = self._forward_compiled(x, report) if self.compiled else self._forward_torch(x, report)
        return y if self._reference is None else y.mul_(self._reference)

    def adjoint(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Return the images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_tx, n_rx): conjugate transpose."""
        y = y.conj().resolve_conj() if self._reference is None else y.conj() * self._reference
        y = y.contiguous()
        return self._spread_compiled(y, report) if self.compiled else self._spread_torch(y, report)

    def prepare(self) -> None:
        """Make the factors that will be kept, so that no later call waits for them."""
        if self._keep:
            for _ in self._each_tables(slice(0, self.n_freq)):
                pass

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the columns of the matrix for voxels `first` to `last` - 1: (n_freq * n_tx * n_rx, last - first)."""
        points = self.points(first, last)
        tx, rx = self.factors(0, points), self.factors(1, points)
        columns = tx[:, :, None] * rx[:, None]
        if self._reference is not None:
            columns *= self._reference[..., None]
        return columns.flatten(0, 2)

    # -- what fits -----------------------------------------------------------------------------------------------

    def _voxel_bytes(self, n_freq: int) -> int:
        """Return the bytes that the factors of one voxel take at `n_freq` frequencies."""
        # anchors at every stride and, once, the ratio from one frequency to the next (see kernels.h)
        anchored = self.compiled and self._stride > 1
        n_table = -(-n_freq // self._stride) + 1 if anchored else n_freq
        return n_table * sum(self.channel_shape) * self.dtype.itemsize

    def _sums_bytes(self, n_freq: int, n_scene: int) -> int:
        """Return the bytes of one thread's sums: its measurements, and the vector lanes that it sums them in."""
        if not self.compiled:
            return 0
        lanes = kernels.MAX_LANES * min(n_scene, SCENES_AT_ONCE)
        return n_freq * math.prod(self.channel_shape) * self.dtype.itemsize * (lanes + n_scene)

    def _tiles(self, n_scene: int) -> list[slice]:
        """Return the tiles: one of all frequencies, or as many strides in each as the budget allows, one at least."""
        n_part = max(last - first for first, last in self._parts)

        def fits(n_freq: int) -> bool:
            thread = n_part * self._voxel_bytes(n_freq) + self._sums_bytes(n_freq, n_scene)
            return MAKING_BYTES + torch.get_num_threads() * thread <= self.memory

        n_stride = -(-self.n_freq // self._stride)
        if self._keep or not self.compiled:  # partitions of the torch path are small at every frequency
            return [slice(0, self.n_freq)]
        most = next((n for n in range(n_stride, 1, -1) if fits(n * self._stride)), 1)
        n_tile = -(-n_stride // most)
        edges = [self._stride * (n_stride * i // n_tile) for i in range(n_tile)]
        return [slice(a, b) for a, b in itertools.pairwise([*edges, self.n_freq])]

    def _passes(
        self, n_scene: int, report: Report
    ) -> Iterator[tuple[slice, list[tuple[int, tuple[torch.Tensor, ...]]]]]:
        """Yield what is computed at once: a tile of frequencies, and some partitions as (index, tables)."""
        tiles, n_part = self._tiles(n_scene), len(self._parts)
        at_once = torch.get_num_threads() if self.compiled else 1
        if self._keep and self.compiled:  # kept tables take no more memory, so only the next report limits the number
            terms = n_scene * self.voxels.n_voxel * self.n_freq * math.prod(self.channel_shape)
            at_once = max(4 * at_once, math.ceil(n_part * TERMS_AT_ONCE / terms))
        for i, frequencies in enumerate(tiles):
            tables = enumerate(self._each_tables(frequencies))
            while chunk := list(itertools.islice(tables, at_once)):
                yield frequencies, chunk
                done = chunk[-1][0] + 1
                chunk.clear()  # frees these tables before the next ones are made
                report((i + done / n_part) / len(tiles))

    def _each_tables(self, frequencies: slice) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the tables of every partition: those kept from an earlier call, else new ones."""
        for index, part in enumerate(self._parts):
            tables = self._kept.get(index)
            if tables is None:
                tables = self._tables(*part, frequencies) if self.compiled else self._complex_tables(*part)
                if self._keep:
                    self._kept[index] = tables
            yield tables

    # -- compiled ------------------------------------------------------------------------------------------------

    def _forward_compiled(self, x: torch.Tensor, report: Report) -> torch.Tensor:
        y = torch.zeros((len(x), self.n_freq, *self.channel_shape), dtype=self.dtype)
        for some, many, told in self._split(len(x), report):
            (self._forward_many if many else self._forward_few)(x[some], y[some], told)
        return y

    def _spread_compiled(self, y: torch.Tensor, report: Report) -> torch.Tensor:
        x = [
            self._spread_many(y[some], told) if many else self._spread_few(y[some], told)
            for some, many, told in self._split(len(y), report)
        ]
        return (x[0] if len(x) == 1 else torch.cat(x)).conj_physical_()

    def _split(self, n_scene: int, report: Report) -> Iterator[tuple[slice, bool, Report]]:
        """Yield the pieces of a batch: its scenes, whether they fill whole vectors (batches.h), and its report."""
        n_many, _ = scene_packing.padded_count(n_scene, self._lanes)
        starts = [*range(0, n_many, MANY_SCENES), *([n_many] if n_many < n_scene or n_scene == 0 else [])]
        for first, last in itertools.pairwise([*starts, n_scene]):
            before, share = first / max(n_scene, 1), (last - first) / max(n_scene, 1)
            yield slice(first, last), first < n_many, functools.partial(_report_share, report, before, share)

    def _forward_few(self, x: torch.Tensor, y: torch.Tensor, report: Report) -> None:
        """Add ``A x`` to `y` with vectors of voxels: for scenes too few to fill a vector."""
        n_scene, n_voxel = x.shape
        planar = torch.zeros((n_scene, 2, self._padded), dtype=self.real_dtype)
        planar[:, :, :n_voxel] = torch.view_as_real(x).movedim(-1, 1)
        for frequencies, chunk in self._passes(n_scene, report):
            n_freq = frequencies.stop - frequencies.start
            partial = torch.empty((len(chunk), n_scene, n_freq, *self.channel_shape), dtype=self.dtype)
            tasks = [
                kernels.make_task(
                    self._problem(len(target[some]), n_freq), tables, self._of_part(planar, index)[some], target[some]
                )
                for target, (index, tables) in zip(partial, chunk, strict=True)
                for some in _scenes(n_scene)
            ]
            kernels.run("forward_blocks", self.real_dtype, tasks)
            for part in partial:  # in the order of partitions: the same rounding whatever is computed at once
                y[:, frequencies] += part

    def _spread_few(self, y: torch.Tensor, report: Report) -> torch.Tensor:
        """Return the adjoint's sum without conjugates (`adjoint` conjugates `y` before and the image after)."""
        planar = torch.zeros((len(y), 2, self._padded), dtype=self.real_dtype)
        for frequencies, chunk in self._passes(len(y), report):
            data = y[:, frequencies].contiguous()
            tasks = [
                kernels.make_task(
                    self._problem(len(data[some]), data.shape[1]),
                    tables,
                    data[some],
                    self._of_part(planar, index)[some],
                )
                for index, tables in chunk
                for some in _scenes(len(y))
            ]
            kernels.run("spread_blocks", self.real_dtype, tasks)
        n_voxel = self.voxels.n_voxel
        return torch.complex(planar[:, 0, :n_voxel], planar[:, 1, :n_voxel])

    def _forward_many(self, x: torch.Tensor, y: torch.Tensor, report: Report) -> None:
        """Put ``A x`` into `y` with vectors of scenes, packed side by side (`mimo.scene_packing`)."""
        _, padded = scene_packing.padded_count(len(x), self._lanes)
        channels = math.prod(self.channel_shape)
        scenes = scene_packing.pack(x, padded, self._padded, self._lanes)
        total = torch.zeros(2 * padded * self.n_freq * channels, dtype=self.real_dtype)
        for frequencies, chunk in self._passes(len(x), report):
            n_freq = frequencies.stop - frequencies.start
            partial = torch.empty((len(chunk), 2 * padded * n_freq * channels), dtype=self.real_dtype)
            tasks = [
                kernels.make_task(self._problem(padded, n_freq, self._parts[index][0]), tables, scenes, target)
                for target, (index, tables) in zip(partial, chunk, strict=True)
            ]
            kernels.run("forward_batches", self.real_dtype, tasks)
            for part in partial:
                scene_packing.add(total, part, padded, frequencies.start * channels, self._lanes)
        y.copy_(scene_packing.unpack(total, len(x), padded, self.n_freq * channels, self._lanes).view(y.shape))

    def _spread_many(self, y: torch.Tensor, report: Report) -> torch.Tensor:
        """Return the same as `_spread_few`, with vectors of scenes."""
        _, padded = scene_packing.padded_count(len(y), self._lanes)
        scenes = torch.zeros(2 * padded * self._padded, dtype=self.real_dtype)
        for frequencies, chunk in self._passes(len(y), report):
            data = y[:, frequencies].flatten(1)
            measured = scene_packing.pack(data, padded, data.shape[1], self._lanes)
            n_freq = frequencies.stop - frequencies.start
            tasks = [
                kernels.make_task(self._problem(padded, n_freq, self._parts[index][0]), tables, measured, scenes)
                for index, tables in chunk
            ]
            kernels.run("spread_batches", self.real_dtype, tasks)
        return scene_packing.unpack(scenes, len(y), padded, self.voxels.n_voxel, self._lanes)

    @property
    def _lanes(self) -> int:
        return kernels.lanes(self.real_dtype)

    def _of_part(self, planar: torch.Tensor, index: int) -> torch.Tensor:
        """Return a view of planar volumes (n_scene, 2, n) from a partition's first voxel on."""
        return planar[:, :, self._parts[index][0] :]

    def _problem(self, n_scene: int, n_freq: int, first: int = 0) -> kernels.Problem:
        array = self.array
        sizes = (n_freq, array.n_tx, array.n_rx, n_scene, kernels.BLOCK, self._stride, self._padded, first)
        return kernels.Problem(*sizes)

    def _tables(self, first: int, last: int, frequencies: slice) -> tuple[torch.Tensor, ...]:
        """Return the planar tables of a partition as kernels.h lays them out; zero beyond the last voxel."""
        return tuple(table for side in (0, 1) for table in self._side_tables(side, first, last, frequencies))

    def _side_tables(self, side: int, first: int, last: int, frequencies: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return anchors and ratios of one side (0: transmitters, 1: receivers)."""
        places, n = range(frequencies.start, frequencies.stop, self._stride), self.channel_shape[side]
        shape = ((last - first) // kernels.BLOCK, len(places), 2, n, kernels.BLOCK)
        anchor = torch.empty(shape, dtype=self.real_dtype)
        # with a stride of 1 every factor is an anchor and the kernel reads no ratio: any pointer will do
        ratio = anchor if self._stride == 1 else torch.empty((shape[0], 1, *shape[2:]), dtype=self.real_dtype)
        at_once = max(1, self.making(n, len(places)) // kernels.BLOCK)
        few = max(1, (MAKING_BYTES // (n * kernels.BLOCK * at_once) - MAKING_COST[0]) // MAKING_COST[1])
        varies = self.model.near_field or not self.acquisition.flat
        for block in range(0, shape[0], at_once):
            blocks = slice(block, block + at_once)
            start = first + block * kernels.BLOCK
            points = self.points(start, min(start + at_once * kernels.BLOCK, last, self.voxels.n_voxel))
            for f in range(0, len(places), few):
                group = places[f : f + few]
                some = slice(group.start, group.stop, group.step)
                if varies or f == 0:
                    path, amplitude = self.sides[side].path_and_amplitude(self.model, points, some)
                values = phasor(path, self.wavenumber[some, None, None])
                _put(anchor[blocks, f : f + few], _product(values, amplitude))
            if ratio is not anchor:  # without the amplitude, which a uniform kernel has the same at every frequency
                _put(ratio[blocks], phasor(path, self._step))
        return anchor, ratio

    # -- torch ---------------------------------------------------------------------------------------------------

    def _forward_torch(self, x: torch.Tensor, report: Report) -> torch.Tensor:
        kernels.warn_if_slow(x.numel() * self.n_freq * math.prod(self.channel_shape), self.device)
        y = torch.zeros((len(x), self.n_freq, *self.channel_shape), dtype=self.dtype, device=self.device)
        for _, [(index, (tx, rx))] in self._passes(len(x), report):
            first, last = self._parts[index]
            for some in _scenes(len(x)):  # a few at a time, as each makes a product with the transmit factors
                y[some] += (tx * x[some, None, None, first:last]) @ rx.mT
        return y

    def _spread_torch(self, y: torch.Tensor, report: Report) -> torch.Tensor:
        kernels.warn_if_slow(y.numel() * self.voxels.n_voxel, self.device)
        out = torch.empty((len(y), self.voxels.n_voxel), dtype=self.dtype, device=self.device)
        for _, [(index, (tx, rx))] in self._passes(len(y), report):
            first, last = self._parts[index]
            for some in _scenes(len(y)):
                out[some, first:last] = ((y[some] @ rx) * tx).sum((1, 2))
        return out.conj_physical_()

    def _complex_tables(self, first: int, last: int) -> tuple[torch.Tensor, ...]:
        """Return the factors of both sides, complex (n_freq, n, m), for the torch path."""
        made = []
        for side, n in enumerate(self.channel_shape):
            out = torch.empty((self.n_freq, n, last - first), dtype=self.dtype, device=self.device)
            at_once = self.making(n, self.n_freq)
            for start in range(first, last, at_once):
                stop = min(start + at_once, last)
                out[:, :, start - first : stop - first] = self.factors(side, self.points(start, stop))
            made.append(out)
        return tuple(made)


def _report_share(report: Report, before: float, share: float, done: float) -> None:
    report(before + share * done)


def _scenes(n_scene: int) -> list[slice]:
    """Return slices of scenes that pass over a block together."""
    return [slice(s, s + SCENES_AT_ONCE) for s in range(0, n_scene, SCENES_AT_ONCE)]


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return complex a times b, in place where b is real; every number is rounded alike, wherever it stands.

    torch's own complex product uses fused multiply-adds in whole vectors but not in the remainder at the end of a
    tensor, so that the last bit would depend on the bounds of partitions.
    """
    if not b.is_complex():
        return a.mul_(b)
    return torch.complex(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


def _put(out: torch.Tensor, values: torch.Tensor) -> None:
    """Write complex values (n_k, n, m) to planar blocks (n_block, n_k, 2, n, block), with zeros after the last."""
    n_block, n_k, _, n, block = out.shape
    planar = torch.view_as_real(values)
    if values.shape[2] < n_block * block:
        planar = torch.nn.functional.pad(planar, (0, 0, 0, n_block * block - values.shape[2]))
    out.copy_(planar.view(n_k, n, n_block, block, 2).permute(2, 0, 4, 1, 3))
