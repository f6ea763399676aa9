"""Sums over voxels (forward) and over channels (spread) with a kernel that is a transmit times a receive factor.

With G[f, t, v] and H[f, r, v] the two factors (DESIGN section 2):

    forward   y[f, t, r] = sum_v x[v] G[f, t, v] H[f, r, v]
    adjoint   x[v]       = sum_{f, t, r} y[f, t, r] conj(G[f, t, v] H[f, r, v])

The n_freq x n_tx x n_rx x n_voxel matrix is never built. Voxels are treated in partitions whose bounds depend on the
geometry alone, so that results do not depend on the memory budget or the number of threads.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import torch

from mimo import kernels, side_by_side
from mimo.propagation import FactorModel, Propagation, Side, check_apart, phasor

STRIDE = 16
"""Frequencies between two factors computed from their phase; those between follow by multiplication (complex64 error
grows by about 6e-8 a step, so it stays near 1e-6)."""

PARTITION_BYTES = 2**26
MIN_PARTITIONS = 8
SCENES_AT_ONCE = 4
"""Scenes that pass over a block together, when they are few: their partial sums stay in the second-level cache."""

MANY_SCENES = 128
"""Scenes that the matrix is made for at most, a block at a time; a larger batch makes it again."""


class SeparableKernel:
    """What both sums share: the geometry as tensors, and the factors of each side for a range of voxels.

    Parameters
    ----------
    wave
        Geometry, medium, patterns and reference paths.
    model
        Which factors.
    dtype
        complex64 or complex128.
    device
        Where the sums run.
    memory
        Bytes of factors that may be kept; above it they are made again at each call.

    Raises
    ------
    ValueError
        When a voxel coincides with an antenna and the model divides by the distance.
    """

    def __init__(
        self, wave: Propagation, model: FactorModel, *, dtype: torch.dtype, device: torch.device, memory: int
    ) -> None:
        if model.divides:
            check_apart(wave.array, wave.grid)
        self.wave, self.array, self.grid, self.model = wave, wave.array, wave.grid, model
        self.dtype, self.device, self.memory = dtype, device, memory
        self.real_dtype = torch.float32 if dtype == torch.complex64 else torch.float64
        self.wavenumber = torch.as_tensor(wave.wavenumber.copy(), device=device)
        self.even = wave.sweep.is_uniform
        self.uniform = self.even and wave.flat and not model.near_field
        axes = (wave.grid.x, wave.grid.y, wave.grid.z)
        self._axes = [torch.as_tensor(axis.copy(), device=device) for axis in axes]
        self.sides = Side(wave, 0, device), Side(wave, 1, device)

    @property
    def n_freq(self) -> int:
        """Number of frequencies."""
        return len(self.wavenumber)

    def points(self, first: int, last: int) -> torch.Tensor:
        """Voxel centres `first` to `last` - 1, float64 (n, 3)."""
        index = torch.arange(first, last, device=self.device)
        _, n_y, n_z = self.grid.shape
        parts = (index // (n_y * n_z), index // n_z % n_y, index % n_z)
        return torch.stack([axis[i] for axis, i in zip(self._axes, parts, strict=True)], dim=1)

    def factors(self, side: int, points: torch.Tensor) -> torch.Tensor:
        """The factors of a side at every frequency, (n_freq, n, m) in the kernel's dtype.

        In a uniform sweep the frequencies between two of every `STRIDE` follow each other by multiplication, in
        complex128.
        """
        path, amplitude = self.sides[side].path_and_amplitude(self.model, points)
        if not self.uniform or self.n_freq < 3:
            return (amplitude * phasor(path, self.wavenumber[:, None, None])).to(self.dtype)
        out = torch.empty((self.n_freq, *path.shape), dtype=self.dtype, device=self.device)
        ratio = phasor(path, self._step)[0]
        current = ratio
        for f in range(self.n_freq):
            at_anchor = f % STRIDE == 0
            current = (
                amplitude * phasor(path, self.wavenumber[f, None, None, None])[0] if at_anchor else current * ratio
            )
            out[f] = current
        return out

    @property
    def _step(self) -> torch.Tensor:
        """Wavenumber from one frequency of a uniform sweep to the next, (1, 1, 1); from its ends: rounds least."""
        return ((self.wavenumber[-1] - self.wavenumber[0]) / max(1, self.n_freq - 1)).reshape(1, 1, 1)


class FactorisedSum(SeparableKernel):
    """Sums for an array in which every transmitter is received by every receiver."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.compiled = self.device.type == "cpu" and kernels.available()
        n_antenna = self.array.n_tx + self.array.n_rx
        self._stride = STRIDE if self.uniform and self.n_freq > 2 else 1
        n_table = self.n_freq if not self.compiled or self._stride == 1 else -(-self.n_freq // self._stride) + 1
        bytes_per_voxel = n_table * n_antenna * self.dtype.itemsize
        block = kernels.BLOCK if self.compiled else 1
        n_block = -(-self.grid.n_voxel // block)
        n_part = min(n_block, max(MIN_PARTITIONS, math.ceil(self.grid.n_voxel * bytes_per_voxel / PARTITION_BYTES)))
        edges = [block * (n_block * i // n_part) for i in range(n_part + 1)]
        self._parts = list(itertools.pairwise(edges))
        self._padded = edges[-1]
        self._keep = self._padded * bytes_per_voxel <= self.memory
        self._kept: dict[tuple[int, int], tuple[torch.Tensor, ...]] = {}
        self._reference = None
        if self.wave.reference_path is not None:  # a factor of each channel, not of an antenna
            self._reference = torch.as_tensor(self.wave.reference_phasor(), device=self.device).to(self.dtype)

    @property
    def channel_shape(self) -> tuple[int, ...]:
        """(n_tx, n_rx)."""
        return self.array.n_tx, self.array.n_rx

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_tx, n_rx) of volumes (n_scene, n_voxel)."""
        y = self._forward_compiled(x) if self.compiled else self._forward_torch(x)
        return y if self._reference is None else y * self._reference

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_tx, n_rx): the conjugate transpose."""
        y = y.conj().resolve_conj() if self._reference is None else y.conj() * self._reference
        y = y.contiguous()
        return (self._spread_compiled(y) if self.compiled else self._spread_torch(y)).conj().resolve_conj()

    def prepare(self) -> None:
        """Make the factors that will be kept, so that no later call waits for them."""
        if self._keep:
            for _ in self._each_tables(self._tables if self.compiled else self._complex_tables):
                pass

    def columns(self, first: int, last: int) -> torch.Tensor:
        """The columns of the matrix for voxels `first` to `last` - 1: (n_freq * n_tx * n_rx, n)."""
        points = self.points(first, last)
        tx, rx = self.factors(0, points), self.factors(1, points)
        columns = tx[:, :, None] * rx[:, None]
        if self._reference is not None:
            columns *= self._reference[..., None]
        return columns.flatten(0, 2)

    # -- compiled ------------------------------------------------------------------------------------------------

    def _forward_compiled(self, x: torch.Tensor) -> torch.Tensor:
        y = [self._forward_many(some) if many else self._forward_few(some) for many, some in self._split(x)]
        return torch.cat(y) if len(y) != 1 else y[0]

    def _spread_compiled(self, y: torch.Tensor) -> torch.Tensor:
        x = [self._spread_many(some) if many else self._spread_few(some) for many, some in self._split(y)]
        return torch.cat(x) if len(x) != 1 else x[0]

    def _split(self, scenes: torch.Tensor) -> Iterator[tuple[bool, torch.Tensor]]:
        """Parts of a batch, and whether a part is of many scenes that fill the processor's vectors."""
        n_many, _ = side_by_side.padded_count(len(scenes), self._lanes)
        for start in range(0, n_many, MANY_SCENES):
            yield True, scenes[start : min(start + MANY_SCENES, n_many)]
        if n_many < len(scenes) or n_many == 0:
            yield False, scenes[n_many:]

    def _forward_few(self, x: torch.Tensor) -> torch.Tensor:
        n_scene, n_voxel = x.shape
        planar = torch.zeros((n_scene, 2, self._padded), dtype=self.real_dtype)
        planar[:, :, :n_voxel] = torch.view_as_real(x).movedim(-1, 1)
        shape = (n_scene, self.n_freq, *self.channel_shape)
        partial = torch.empty((len(self._parts), *shape), dtype=self.dtype)

        def tasks(index: int, tables: tuple[torch.Tensor, ...]) -> Iterator[kernels.Task]:
            for s in range(0, n_scene, SCENES_AT_ONCE):
                scenes = planar[s : s + SCENES_AT_ONCE, :, self._parts[index][0] :]
                target = partial[index, s : s + SCENES_AT_ONCE]
                yield kernels.make_task(self._problem(len(scenes)), tables, scenes, target)

        self._run_compiled("forward_blocks", tasks)
        return partial.sum(0)

    def _spread_few(self, y: torch.Tensor) -> torch.Tensor:
        planar = torch.zeros((len(y), 2, self._padded), dtype=self.real_dtype)

        def tasks(index: int, tables: tuple[torch.Tensor, ...]) -> Iterator[kernels.Task]:
            for s in range(0, len(y), SCENES_AT_ONCE):
                scenes = planar[s : s + SCENES_AT_ONCE, :, self._parts[index][0] :]
                yield kernels.make_task(self._problem(len(scenes)), tables, y[s : s + SCENES_AT_ONCE], scenes)

        self._run_compiled("spread_blocks", tasks)
        return torch.complex(planar[:, 0, : self.grid.n_voxel], planar[:, 1, : self.grid.n_voxel])

    def _forward_many(self, x: torch.Tensor) -> torch.Tensor:
        _, padded = side_by_side.padded_count(len(x), self._lanes)
        m = self.n_freq * math.prod(self.channel_shape)
        scenes = side_by_side.pack(x, padded, self._padded, self._lanes)
        partial = torch.empty((len(self._parts), 2 * padded * m), dtype=self.real_dtype)

        def tasks(index: int, tables: tuple[torch.Tensor, ...]) -> Iterator[kernels.Task]:
            yield kernels.make_task(self._problem(padded, self._parts[index][0]), tables, scenes, partial[index])

        self._run_compiled("forward_batches", tasks)
        y = side_by_side.unpack(partial.sum(0), len(x), padded, m, self._lanes)
        return y.view(len(x), self.n_freq, *self.channel_shape)

    def _spread_many(self, y: torch.Tensor) -> torch.Tensor:
        _, padded = side_by_side.padded_count(len(y), self._lanes)
        m = self.n_freq * math.prod(self.channel_shape)
        measured = side_by_side.pack(y.reshape(len(y), m), padded, m, self._lanes)
        scenes = torch.zeros(2 * padded * self._padded, dtype=self.real_dtype)

        def tasks(index: int, tables: tuple[torch.Tensor, ...]) -> Iterator[kernels.Task]:
            yield kernels.make_task(self._problem(padded, self._parts[index][0]), tables, measured, scenes)

        self._run_compiled("spread_batches", tasks)
        return side_by_side.unpack(scenes, len(y), padded, self.grid.n_voxel, self._lanes)

    def _run_compiled(
        self, name: str, tasks: Callable[[int, tuple[torch.Tensor, ...]], Iterator[kernels.Task]]
    ) -> None:
        """All partitions at once when their tables are kept, else as many as there are threads."""
        at_once = len(self._parts) if self._keep else torch.get_num_threads()
        tables = enumerate(self._each_tables(self._tables))
        while chunk := list(itertools.islice(tables, at_once)):
            kernels.run(name, self.real_dtype, [task for index, part in chunk for task in tasks(index, part)])

    @property
    def _lanes(self) -> int:
        return kernels.lanes(self.real_dtype)

    def _problem(self, n_scene: int, first: int = 0) -> kernels.Problem:
        array = self.array
        sizes = (self.n_freq, array.n_tx, array.n_rx, n_scene, kernels.BLOCK, self._stride, self._padded, first)
        return kernels.Problem(*sizes)

    def _tables(self, first: int, last: int) -> tuple[torch.Tensor, ...]:
        """Planar tables of the blocks in a partition, as kernels.h lays them out; zero beyond the last voxel."""
        n = min(last, self.grid.n_voxel) - first
        points = self.points(first, first + n)
        return tuple(table for side in (0, 1) for table in self._side_tables(side, points, last - first))

    def _side_tables(self, side: int, points: torch.Tensor, padded: int) -> tuple[torch.Tensor, torch.Tensor]:
        which = slice(None, None, self._stride)
        path, amplitude = self.sides[side].path_and_amplitude(self.model, points, which)
        anchor = self._planar(amplitude * phasor(path, self.wavenumber[which, None, None]), padded)
        if self._stride == 1:
            return anchor, anchor
        return anchor, self._planar(phasor(path, self._step), padded)

    def _planar(self, values: torch.Tensor, padded: int) -> torch.Tensor:
        """(n_k, n, m) complex to (n_block, n_k, 2, n, block) real."""
        n_k, n, m = values.shape
        out = torch.zeros((n_k, n, padded, 2), dtype=self.real_dtype)
        out[:, :, :m] = torch.view_as_real(values)
        return out.view(n_k, n, -1, kernels.BLOCK, 2).permute(2, 0, 4, 1, 3).contiguous()

    # -- torch ---------------------------------------------------------------------------------------------------

    def _forward_torch(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.zeros((len(x), self.n_freq, *self.channel_shape), dtype=self.dtype, device=self.device)
        for (first, last), (tx, rx) in zip(self._parts, self._each_tables(self._complex_tables), strict=True):
            for s in range(0, len(x), SCENES_AT_ONCE):  # a few at a time: each multiplies the transmit factors
                y[s : s + SCENES_AT_ONCE] += (tx * x[s : s + SCENES_AT_ONCE, None, None, first:last]) @ rx.mT
        return y

    def _spread_torch(self, y: torch.Tensor) -> torch.Tensor:
        out = torch.empty((len(y), self.grid.n_voxel), dtype=self.dtype, device=self.device)
        for (first, last), (tx, rx) in zip(self._parts, self._each_tables(self._complex_tables), strict=True):
            for s in range(0, len(y), SCENES_AT_ONCE):
                out[s : s + SCENES_AT_ONCE, first:last] = ((y[s : s + SCENES_AT_ONCE] @ rx) * tx).sum((1, 2))
        return out

    def _complex_tables(self, first: int, last: int) -> tuple[torch.Tensor, ...]:
        points = self.points(first, last)
        return self.factors(0, points), self.factors(1, points)

    # -- both ----------------------------------------------------------------------------------------------------

    def _each_tables(self, make: Callable[[int, int], tuple[torch.Tensor, ...]]) -> Iterator[tuple[torch.Tensor, ...]]:
        for part in self._parts:
            tables = self._kept.get(part)
            if tables is None:
                tables = make(*part)
                if self._keep:
                    self._kept[part] = tables
            yield tables
