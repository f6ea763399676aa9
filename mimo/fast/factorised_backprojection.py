"""Back-project large MIMO arrays from a few nodes instead of all antennas (see `mimo.fast.subapertures`)."""

from __future__ import annotations

import math
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
from mimo.propagation import distances
from mimo.sweep import FrequencySweep

__all__ = ["Plan", "backproject_factorised"]

SIZES = (4, 6, 8, 12, 16, 24, 32)
"""Block sizes that are tried, in voxels along the axis with the finest spacing."""

PRODUCT_RATE, PHASOR_SECONDS, ELEMENT_SECONDS, PAIR_SECONDS, BLOCK_SECONDS = 5e10, 1e-8, 2e-9, 3e-9, 1e-3
"""Costs by which the block size is chosen, measured on one core: operations a second of complex matrix products; then
seconds for a phasor, for a product of two numbers in memory, for a (channel, voxel) pair, and for the calls of one
block."""

PROFILE_PADDING = 2.0
"""Samples of the nodes' range profiles for each of their frequencies."""

GATHERED_AT_ONCE = 2**23
"""Complex numbers of the largest temporary array."""


def backproject_factorised(y: torch.Tensor, A: ImagingOperator, *, tolerance: float = 1e-2) -> torch.Tensor:
    """Back-project from a few nodes instead of all antennas and frequencies: `mimo.backproject` to a tolerance.

    The volume is cut into blocks. For each block the data are gathered at nodes, a few points among each group of
    antennas and a few frequencies, and the range profiles of the nodes are back-projected to its voxels.

    Parameters
    ----------
    y
        Measurement ``(..., n_freq, n_tx, n_rx)``; masked channels do not count.
    A
        The operator of an array of every pair, anywhere in space; any sweep and grid.
    tolerance
        Largest error of one interpolated phasor on either side and over frequencies, 1e-5 to 0.1. The image's is less,
        as errors of many channels do not add up: about -60 dB of its maximum at the default for pure noise.

    Returns
    -------
    torch.Tensor
        ``(..., n_x, n_y, n_z)``, complex, scaled as `mimo.backproject`.

    Raises
    ------
    ValueError
        When the array lists channels, or has patterns or layers, or `tolerance` is out of range.

    Notes
    -----
    With m_t and m_r nodes for transmitters and receivers, B blocks and V voxels: about
    ``8 B n_freq m_t n_tx n_rx / groups`` operations to gather and ``40 V m_t m_r`` to image, where the exact sum takes
    ``8 V n_freq n_tx n_rx``. Small arrays gain nothing: their antennas are then the nodes. Memory: the measurement
    twice and some 100 MB.
    """
    if not (isinstance(tolerance, int | float) and 1e-5 <= tolerance <= 0.1):
        raise ValueError(f"tolerance is {tolerance!r}: expected a number from 1e-5 to 0.1")
    if A.array.paired:
        raise ValueError("the array lists channels: expected one of every pair; backprojection-fast takes lists")
    if any(A.acquisition.patterns):
        raise ValueError("the antennas have a pattern: expected isotropic ones for factorised back-projection")
    if A.acquisition.layers is not None:
        raise ValueError("the medium has layers: expected a homogeneous one for factorised back-projection")
    plan = Plan.best(A, tolerance)
    return A.image_by(y, lambda flat: _image(A, plan, flat))


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
    def best(cls, A: ImagingOperator, tolerance: float) -> Plan:
        """Return the plan with the block size that promises the least time."""
        finest = min((s for s in A.grid.spacing if s > 0), default=1.0)
        plans = []  # sizes ascend: it ends when one block is the whole volume or the time has doubled
        for size in SIZES:
            plans.append(cls.of(A, size * finest, tolerance))
            if len(plans[-1].blocks.center) == 1 or (
                len(plans) > 1 and plans[-1].seconds(A) > 2 * plans[-2].seconds(A)
            ):
                break
        return min(plans, key=lambda plan: plan.seconds(A))

    @classmethod
    def of(cls, A: ImagingOperator, size: float, tolerance: float) -> Plan:
        """Return the plan for blocks of about `size` metres; `tolerance` as in `backproject_factorised`."""
        A.array.check_near("back-projection of groups of antennas")
        blocks = Blocks.of((A.grid.x, A.grid.y, A.grid.z), size)
        k = A.acquisition.wavenumber
        tx, rx = (grouped(p, blocks, float(k.max()), tolerance) for p in (A.array.tx_pos, A.array.rx_pos))
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


def _image(A: ImagingOperator, plan: Plan, y: torch.Tensor) -> torch.Tensor:
    """Return images (n_scene, n_voxel), of the voxels inside, of measurements (n_scene, n_freq, n_tx, n_rx)."""
    if A.acquisition.reference_path is not None:
        y = y * torch.as_tensor(A.acquisition.reference_phasor().conj(), dtype=y.dtype, device=y.device)
    gather = _Gather(A, plan)
    out = torch.zeros((len(y), *A.grid.shape), dtype=y.dtype, device=y.device)
    axes, inside = (A.grid.x, A.grid.y, A.grid.z), A.acquisition.inside
    boxes = [(i, j, k) for i in plan.blocks.slices[0] for j in plan.blocks.slices[1] for k in plan.blocks.slices[2]]
    wanted = [i for i, box in enumerate(boxes) if inside is None or inside[box].any()]
    at_once = max(1, GATHERED_AT_ONCE // gather.largest)
    for first in range(0, len(wanted), at_once):
        which = wanted[first : first + at_once]
        made = gather.of(y, which)
        for box, data in zip((boxes[i] for i in which), made.unbind(1), strict=True):
            grid = VoxelGrid(*(axis[part] for axis, part in zip(axes, box, strict=True)))
            some = None if inside is None else inside[box]
            acquisition = Acquisition(gather.nodes, plan.sweep, grid, A.permittivity, inside=some)
            image = acquisition.voxels.put(ProfileSum(acquisition, padding=PROFILE_PADDING, dtype=data.dtype, device=data.device).adjoint(data))
            out[(slice(None), *box)] = image.view(-1, *grid.shape)
        A.report(min(1.0, (first + at_once) / len(wanted)))
    return A.acquisition.voxels.pick(out.flatten(1))


class _Gather:
    """Gathers the data at the nodes, for some blocks at a time."""

    def __init__(self, A: ImagingOperator, plan: Plan) -> None:
        self.nodes = plan.nodes
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
        # exp(+j k P(c)) of the antennas takes the fast phase out of the data, so that the rest can be interpolated;
        # exp(-j k P(c)) of the nodes puts theirs back, so that the result is like data measured at the nodes
        center = self._center[which]
        to_tx, to_rx = (self._phasor(antennas, center, self._k) for antennas in self._antennas)
        from_tx, from_rx = (self._phasor(nodes, center, self._k_node).conj() for nodes in self._node_places)
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

    def _phasor(self, places: torch.Tensor, center: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        """exp(+j k P), complex (n_freq, n_block, n_place), P being the distances from places to block centres."""
        turns = distances(places, center).T * (k[:, None, None] / (2 * math.pi))
        angle = ((turns - turns.round()) * (2 * math.pi)).to(self._dtype.to_real())
        return torch.polar(torch.ones_like(angle), angle)
