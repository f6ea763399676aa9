"""Sum over the channels of large MIMO arrays through a few nodes of each block of voxels, with the exact adjoint.

`adjoint` gathers the data of every block of voxels at its nodes (`mimo.fast.subapertures`) and back-projects the nodes'
range profiles to its voxels. `forward` does the same backwards: what the nodes would measure of a block, through
`mimo.fast.profile_sum`, then what the antennas would. Amplitudes that fall with the distance are interpolated with the
phases: a factor over its value at the block's centre changes slowly from antenna to antenna.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.constants import speed_of_light

from mimo.acquisition import Acquisition
from mimo.array import ArrayGeometry
from mimo.fast.profile_sum import ProfileSum
from mimo.fast.subapertures import Blocks, Floats, Group, frequency_nodes, grouped
from mimo.grid import VoxelGrid
from mimo.imaging_operator import ImagingOperator
from mimo.progress import Report, silent
from mimo.propagation import BACKPROJECTION, FactorModel, check_apart, distances
from mimo.sweep import FrequencySweep

__all__ = ["NODE_TOLERANCE", "FactorisedSum", "Plan"]

NODE_TOLERANCE = 1e-2
"""Largest error of a phasor that is interpolated between nodes, by default."""

SIZES = (4, 6, 8, 12, 16, 24, 32)
"""Block sizes that are tried, in voxels along the axis with the finest spacing."""

PRODUCT_RATE, PHASOR_SECONDS, ELEMENT_SECONDS, PAIR_SECONDS, BLOCK_SECONDS = 5e10, 1e-8, 2e-9, 3e-9, 1e-3
"""Costs by which the block size is chosen, measured on one core: operations a second of complex matrix products; then
seconds for a phasor, for a product of two numbers in memory, for a (channel, voxel) pair, and for the calls of one
block."""

GATHERED_AT_ONCE = 2**23
"""Complex numbers of the largest temporary array."""

CLOSEST = 1e-6
"""Distance of an antenna or a node from a block's centre at which its amplitude no longer grows, metres."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Holds the blocks of a volume and the nodes that serve all of them.

    Attributes
    ----------
    blocks
        The blocks of the volume.
    tx, rx
        Groups of transmitters and of receivers, with their nodes.
    sweep
        Frequencies of the nodes.
    spectral
        Weights that gather the sweep's frequencies at the nodes', float64 (n_node, n_freq); ``None`` when the nodes'
        frequencies are the sweep itself.
    """

    blocks: Blocks
    tx: list[Group]
    rx: list[Group]
    sweep: FrequencySweep
    spectral: Floats | None

    @classmethod
    def best(cls, A: ImagingOperator, tolerance: float, *, spreading: bool = False) -> Plan:
        """Return the plan with the block size that promises the least time; arguments as in `of`."""
        finest = min((s for s in A.grid.spacing if s > 0), default=1.0)
        plans = []  # sizes ascend: it ends when one block is the whole volume or the time has doubled
        for size in SIZES:
            plans.append(cls.of(A, size * finest, tolerance, spreading=spreading))
            if len(plans[-1].blocks.center) == 1 or (
                len(plans) > 1 and plans[-1].seconds(A) > 2 * plans[-2].seconds(A)
            ):
                break
        return min(plans, key=lambda plan: plan.seconds(A))

    @classmethod
    def of(cls, A: ImagingOperator, size: float, tolerance: float, *, spreading: bool = False) -> Plan:
        """Return the plan for blocks of about `size` metres; `tolerance` as in `backproject_factorised`.

        `spreading` says whether the nodes serve amplitudes that fall with the distance, too.
        """
        A.array.check_near("back-projection of groups of antennas")
        blocks = Blocks.of((A.grid.x, A.grid.y, A.grid.z), size)
        k = A.acquisition.wavenumber
        tx, rx = (
            grouped(p, blocks, float(k.max()), tolerance, spreading=spreading) for p in (A.array.tx_pos, A.array.rx_pos)
        )
        center, corner = blocks.sample()
        path = 0.0  # largest difference between a voxel's path and its block centre's, transmit plus receive
        for positions in (A.array.tx_pos, A.array.rx_pos):
            length = np.linalg.norm(corner[:, :, None] - positions, axis=-1)
            path += float(np.abs(length - np.linalg.norm(center[:, None] - positions, axis=-1)[:, None]).max())
        found = frequency_nodes(k, path, tolerance)
        if found is None:
            return cls(blocks, tx, rx, A.sweep, None)
        freq = found[0] * speed_of_light / (2 * np.pi * math.sqrt(A.permittivity))
        return cls(blocks, tx, rx, FrequencySweep.linear(freq[0], freq[-1], len(freq)), found[1])

    @property
    def nodes(self) -> ArrayGeometry:
        """The nodes as an array of every pair."""
        tx, rx = (np.concatenate([group.node for group in side]) for side in (self.tx, self.rx))
        return ArrayGeometry(tx, rx)

    def seconds(self, A: ImagingOperator) -> float:
        """Predict the time of one image on one core, seconds, from the costs above."""
        n_tx, n_rx, n_freq = A.array.n_tx, A.array.n_rx, A.sweep.n_freq
        m_tx, m_rx = (sum(len(g.node) for g in side) for side in (self.tx, self.rx))
        gather = n_rx * sum(g.weight.size for g in self.tx) + m_tx * sum(g.weight.size for g in self.rx)
        touched = sum(g.weight.size for g in self.tx) + 2 * m_tx * n_rx + 3 * m_tx * m_rx
        block = n_freq * (8 * gather / PRODUCT_RATE + touched * ELEMENT_SECONDS + (n_tx + n_rx) * PHASOR_SECONDS)
        voxel = (m_tx + 1) * (m_rx + 1) * PAIR_SECONDS
        return len(self.blocks.center) * (block + BLOCK_SECONDS) + A.grid.n_voxel * voxel


class FactorisedSum:
    """Computes sums over every pair of antennas through nodes; a `KernelSum` of the same model to a tolerance.

    Parameters
    ----------
    A
        The operator of an array of every pair, whose acquisition, precision and device are used.
    model
        Amplitude of an antenna's factor, such as `mimo.propagation.BORN`, without a near field.
    tolerance
        As in `mimo.backproject_factorised`.
    plan
        A plan that was made already, for this tolerance and model.

    Raises
    ------
    ValueError
        When the array lists channels, or has patterns or layers.
    """

    def __init__(
        self,
        A: ImagingOperator,
        model: FactorModel = BACKPROJECTION,
        *,
        tolerance: float = NODE_TOLERANCE,
        plan: Plan | None = None,
    ) -> None:
        if A.array.paired:
            raise ValueError("the array lists channels: expected one of every pair; backprojection-fast takes lists")
        if any(A.acquisition.patterns):
            raise ValueError("the antennas have a pattern: expected isotropic ones for factorised back-projection")
        if A.acquisition.layers is not None:
            raise ValueError("the medium has layers: expected a homogeneous one for factorised back-projection")
        if model.divides:
            check_apart(A.acquisition)
        self._acquisition, self._model, self._dtype, self._device = A.acquisition, model, A.dtype, A.device
        self.plan = Plan.best(A, tolerance, spreading=model.divides) if plan is None else plan
        self._gather = _Gather(A, self.plan, spreading=model.divides)
        self._reference: torch.Tensor | None = None
        if A.acquisition.reference_path is not None:
            self._reference = torch.as_tensor(A.acquisition.reference_phasor().conj(), dtype=A.dtype, device=A.device)
        slices, inside = self.plan.blocks.slices, A.acquisition.inside
        boxes = [(i, j, k) for i in slices[0] for j in slices[1] for k in slices[2]]
        self._boxes = {i: box for i, box in enumerate(boxes) if inside is None or inside[box].any()}
        self._sums: dict[int, ProfileSum] = {}
        self._mask = None if A.array.mask is None else torch.as_tensor(A.array.mask.copy(), device=A.device)

    def adjoint(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Images (n_scene, n_voxel) of measurements (n_scene, n_freq, n_tx, n_rx)."""
        if self._reference is not None:
            y = y * self._reference
        grid = self._acquisition.grid
        out = torch.zeros((len(y), *grid.shape), dtype=y.dtype, device=y.device)
        for which in self._some(list(self._boxes), report):
            for i, data in zip(which, self._gather.of(y, which).unbind(1), strict=True):
                acquisition, sums = self._at(i)
                image = acquisition.voxels.put(sums.adjoint(data))
                out[(slice(None), *self._boxes[i])] = image.view(-1, *acquisition.grid.shape)
        return self._acquisition.voxels.pick(out.flatten(1))

    def forward(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Measurements (n_scene, n_freq, n_tx, n_rx) of volumes (n_scene, n_voxel); empty blocks take no time."""
        volumes = self._acquisition.voxels.put(x).view(-1, *self._acquisition.grid.shape)
        array = self._acquisition.array
        shape = (len(x), len(self._acquisition.wavenumber), array.n_tx, array.n_rx)
        y = torch.zeros(shape, dtype=x.dtype, device=x.device)
        parts = {i: volumes[(slice(None), *box)] for i, box in self._boxes.items()}
        for which in self._some([i for i, part in parts.items() if bool(part.any())], report):
            made = []
            for i in which:
                acquisition, sums = self._at(i)
                made.append(sums.forward(acquisition.voxels.pick(parts[i].flatten(1))))
            self._gather.back(torch.stack(made, dim=1), which, y)
        if self._reference is not None:
            y *= self._reference.conj()
        return y if self._mask is None else y * self._mask

    def prepare(self) -> None:
        """Do nothing: the plan is there."""

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the columns of the matrix, (n_freq * n_channel, n), for voxels `first` to `last` - 1."""
        unit = torch.eye(last - first, dtype=self._dtype, device=self._device)
        unit = torch.nn.functional.pad(unit, (first, self._acquisition.voxels.n_voxel - last))
        return self.forward(unit).flatten(1).T.contiguous()

    def _some(self, wanted: list[int], report: Report) -> Iterator[list[int]]:
        """Yield some blocks at a time."""
        at_once = max(1, GATHERED_AT_ONCE // self._gather.largest)
        for first in range(0, len(wanted), at_once):
            yield wanted[first : first + at_once]
            report(min(1.0, (first + at_once) / len(wanted)))

    def _at(self, i: int) -> tuple[Acquisition, ProfileSum]:
        """Return the acquisition of a block by its nodes, and its sums, which share one transform."""
        axes, inside = (self._acquisition.grid.x, self._acquisition.grid.y, self._acquisition.grid.z), None
        box = self._boxes[i]
        grid = VoxelGrid(*(axis[part] for axis, part in zip(axes, box, strict=True)))
        if self._acquisition.inside is not None:
            inside = self._acquisition.inside[box]
        nodes, sweep = self._gather.nodes, self.plan.sweep
        acquisition = Acquisition(nodes, sweep, grid, self._acquisition.permittivity, inside=inside)
        shared = next(iter(self._sums.values())).profiles if self._sums and sweep.is_uniform else None
        if i not in self._sums:
            self._sums[i] = ProfileSum(
                acquisition, self._model, dtype=self._dtype, device=self._device, profiles=shared
            )
        return acquisition, self._sums[i]


class _Gather:
    """Gathers the data at the nodes, for some blocks at a time; `back` is the conjugate transpose of `of`."""

    def __init__(self, A: ImagingOperator, plan: Plan, *, spreading: bool) -> None:
        self.nodes, self._spreading = plan.nodes, spreading
        self._dtype, device = A.dtype, A.device

        def put(value: object, dtype: torch.dtype = torch.float64) -> torch.Tensor:
            return torch.as_tensor(np.array(value), dtype=dtype, device=device)

        self._center = put(plan.blocks.center)
        self._k, self._k_node = put(A.acquisition.wavenumber), put(plan.sweep.wavenumber(A.permittivity))
        self._antennas = put(A.array.tx_pos), put(A.array.rx_pos)
        self._node_places = put(self.nodes.tx_pos), put(self.nodes.rx_pos)
        real = A.dtype.to_real()
        self._tx = [(put(g.antenna, torch.long), put(g.weight, real)) for g in plan.tx]
        self._rx = [(put(g.antenna, torch.long), put(g.weight, A.dtype)) for g in plan.rx]
        self._spectral = None if plan.spectral is None else put(plan.spectral, A.dtype)
        self.largest = A.sweep.n_freq * self.nodes.n_tx * A.array.n_rx

    def of(self, y: torch.Tensor, which: list[int]) -> torch.Tensor:
        """Return the data of the blocks `which` at the nodes.

        `y` is (n_scene, n_freq, n_tx, n_rx), the result (n_scene, n_block, n_freq, n_tx, n_rx) in counts of nodes.
        """
        to_tx, to_rx, from_tx, from_rx = self._factors(which)
        made = []
        for scene in y:
            parts = []
            for index, weight in self._tx:
                turned = to_tx[:, :, None, index] * weight  # (n_freq, n_block, node, antenna)
                parts.append((turned.flatten(1, 2) @ scene[:, index]).unflatten(1, turned.shape[1:3]))
            rows = torch.cat(parts, dim=2) * to_rx[:, :, None]
            data = torch.cat([rows[..., index] @ weight.T for index, weight in self._rx], dim=3)
            if self._spectral is not None:
                data = (self._spectral @ data.flatten(1)).view(-1, *data.shape[1:])
            made.append((data * from_tx[..., None] * from_rx[:, :, None]).transpose(0, 1))
        return torch.stack(made).to(self._dtype)

    def back(self, data: torch.Tensor, which: list[int], y: torch.Tensor) -> None:
        """Add to `y`, (n_scene, n_freq, n_tx, n_rx), what the nodes' `data` of the blocks `which` are at the antennas.

        `data` is (n_scene, n_block, n_freq, n_tx, n_rx) in counts of nodes.
        """
        to_tx, to_rx, from_tx, from_rx = (factor.conj().resolve_conj() for factor in self._factors(which))
        for scene, nodes in zip(y, data, strict=True):
            turned = nodes.transpose(0, 1) * from_tx[..., None] * from_rx[:, :, None]
            if self._spectral is not None:
                turned = (self._spectral.mH @ turned.flatten(1)).view(-1, *turned.shape[1:])
            rows = turned.new_zeros((*turned.shape[:3], scene.shape[2]))
            first = 0
            for index, weight in self._rx:
                rows[..., index] += turned[..., first : first + len(weight)] @ weight  # real weights
                first += len(weight)
            rows *= to_rx[:, :, None]
            first = 0
            for index, weight in self._tx:
                part = rows[:, :, first : first + len(weight)].flatten(1, 2)
                factor = (to_tx[:, :, None, index] * weight).flatten(1, 2)
                scene[:, index] += factor.mT @ part
                first += len(weight)

    def _factors(self, which: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the factors of tx and rx antennas and of tx and rx nodes, complex (n_freq, n_block, n_place)."""
        # exp(+j k P(c)) of the antennas takes the fast phase out of the data, so that the rest can be interpolated;
        # exp(-j k P(c)) of the nodes puts theirs back, so that the result is like data measured at the nodes
        center = self._center[which]
        to_tx, to_rx = (self._phasor(antennas, center, self._k) for antennas in self._antennas)
        from_tx, from_rx = (self._phasor(nodes, center, self._k_node, over=True) for nodes in self._node_places)
        return to_tx, to_rx, from_tx, from_rx

    def _phasor(
        self, places: torch.Tensor, center: torch.Tensor, k: torch.Tensor, *, over: bool = False
    ) -> torch.Tensor:
        """Return exp(+j k P) / P, or one over it, complex (n_freq, n_block, n_place); without spreading P counts as 1.

        P are the distances from places to block centres.
        """
        path = distances(places, center).T
        turns = path * (k[:, None, None] / (-2 * math.pi if over else 2 * math.pi))
        angle = ((turns - turns.round()) * (2 * math.pi)).to(self._dtype.to_real())
        size = torch.ones_like(angle)
        if self._spreading:
            path = path.clamp_min(CLOSEST).to(size.dtype)
            size = size * (path if over else 1 / path)
        return torch.polar(size, angle)
