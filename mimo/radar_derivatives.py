"""Differentiate measurements by what describes the radar: places of antennas, the medium, gains and delays.

The derivative of an antenna's factor ``a exp(-j k P)`` by anything real is the factor times ``a'/a - j k P'``: the sums
of the operator itself, with other real amplitudes, once for the phase and once for the amplitude. They run on the same
kernels, so that a gradient by all places costs twelve products with the operator, and one by the medium two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from mimo.acquisition import Acquisition
from mimo.born import operator_of
from mimo.imaging_operator import ImagingOperator
from mimo.propagation import BORN, Side, Weight

__all__ = ["measure_with"]

STEP = 1e-5
"""Metres, or share of a permittivity, of central differences of one path or amplitude, which are smooth and known in
double precision: their error is below 1e-9."""


def measure_with(
    A: ImagingOperator,
    x: torch.Tensor,
    *,
    tx_pos: torch.Tensor | None = None,
    rx_pos: torch.Tensor | None = None,
    pose: torch.Tensor | None = None,
    permittivity: torch.Tensor | None = None,
    tx_gain: torch.Tensor | None = None,
    rx_gain: torch.Tensor | None = None,
    gain: torch.Tensor | None = None,
    tx_delay: torch.Tensor | None = None,
    rx_delay: torch.Tensor | None = None,
    delay: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the measurement of a reflectivity by another radar, with gradients by all that describes it.

    Parameters
    ----------
    A
        Operator of the nominal radar: what is not given is as it says.
    x
        Reflectivity ``(..., n_x, n_y, n_z)``.
    tx_pos, rx_pos
        Places of the antennas, float64 ``(n_tx, 3)`` and ``(n_rx, 3)``, metres.
    pose
        Shift of the whole array along x, y, z, metres, and its turn about the origin as a rotation vector, radians:
        float64 ``(6,)``, applied to the places.
    permittivity
        Of the homogeneous medium, float64 ``()``, or of the layers, ``(n_layer,)``.
    tx_gain, rx_gain, gain
        Complex gains of transmitters ``(n_tx,)``, receivers ``(n_rx,)`` and channels, ``A.array.measurement_shape``. A
        phase p is the gain ``torch.exp(1j * p)``; pulses of a moving scan are its channels.
    tx_delay, rx_delay, delay
        Seconds, float64, of the same shapes: factors ``exp(-2j pi f delay)``.

    Returns
    -------
    torch.Tensor
        ``(..., *A.measurement_shape)`` in the operator's dtype; masked channels are zero. First derivatives alone.

    Raises
    ------
    ValueError, TypeError
        When a shape or dtype does not fit, antennas infinitely far away are given places, or patterns vary with
        frequency where a gradient by places is asked for.

    Examples
    --------
    >>> from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, BornOperator
    >>> grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 3), y=(-0.1, 0.1, 3), z=(0.4, 0.6, 3))
    >>> A = BornOperator(ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3), FrequencySweep.linear(4e9, 8e9, 4), grid)
    >>> places = torch.tensor(A.array.tx_pos, requires_grad=True)
    >>> measure_with(A, torch.ones(3, 3, 3), tx_pos=places).abs().square().sum().backward()
    >>> places.grad.shape
    torch.Size([2, 3])
    """
    array = A.array
    places = []
    for name, given, nominal in (("tx_pos", tx_pos, array.tx_pos), ("rx_pos", rx_pos, array.rx_pos)):
        known = torch.as_tensor(nominal.copy(), device=A.device)
        places.append(known if given is None else _checked(name, given, known.shape, A))
    if tx_pos is not None or rx_pos is not None or pose is not None:
        array.check_near("places of antennas")
    if pose is not None:
        pose = _checked("pose", pose, torch.Size([6]), A)
        places = [_turned(place, pose[3:]) + pose[:3] for place in places]
    layers = A.acquisition.layers
    medium = torch.as_tensor(A.permittivity if layers is None else layers.permittivity.copy(), device=A.device).double()
    if permittivity is not None:
        medium = _checked("permittivity", permittivity, medium.shape, A)
    y: torch.Tensor = _Measure.apply(x, places[0], places[1], medium, A)
    freq = torch.as_tensor(A.sweep.freq.copy(), device=A.device)
    shape = torch.Size(array.measurement_shape)
    for name, given in (("tx_gain", tx_gain), ("rx_gain", rx_gain), ("gain", gain)):
        if given is not None:
            y = y * _of_channels(name, given, A, shape).to(A.dtype)
    for name, given in (("tx_delay", tx_delay), ("rx_delay", rx_delay), ("delay", delay)):
        if given is not None:
            turns = freq.reshape(-1, *[1] * len(shape)) * _of_channels(name, given, A, shape).double()
            y = y * torch.exp(-2j * torch.pi * (turns - turns.detach().round())).to(A.dtype)
    return y


def _checked(name: str, value: torch.Tensor, shape: torch.Size, A: ImagingOperator) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float64:
        raise TypeError(
            f"{name} is {getattr(value, 'dtype', type(value).__name__)}: expected a tensor of torch.float64"
        )
    if value.shape != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: expected {tuple(shape)}")
    return value.to(A.device)


def _of_channels(name: str, value: torch.Tensor, A: ImagingOperator, shape: torch.Size) -> torch.Tensor:
    """Return what each channel has of the values of one side, or of the channels themselves."""
    array = A.array
    side = {"tx": 0, "rx": 1}.get(name.partition("_")[0])
    wanted = shape if side is None else torch.Size([(array.n_tx, array.n_rx)[side]])
    if value.shape != wanted:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: expected {tuple(wanted)}")
    value = value.to(A.device)
    if side is None:
        return value
    if array.channels is not None:
        return value[torch.as_tensor(array.channels[:, side].astype(int), device=A.device)]
    return value[:, None].expand(shape) if side == 0 else value.expand(shape)


def _turned(places: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Return places turned by a rotation vector, differentiable at zero too: the exponential of its cross product."""
    zero = torch.zeros((), dtype=turn.dtype, device=turn.device)
    x, y, z = turn
    cross = torch.stack([torch.stack([zero, -z, y]), torch.stack([z, zero, -x]), torch.stack([-y, x, zero])])
    return places @ torch.linalg.matrix_exp(cross).T


class _Measure(torch.autograd.Function):
    """Applies the operator of given places and medium; its gradients are sums on the same kernels."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, tx_pos: torch.Tensor, rx_pos: torch.Tensor, medium: torch.Tensor, A: ImagingOperator
    ) -> torch.Tensor:
        moved = operator_of(
            _radar(A.acquisition, tx_pos, rx_pos, medium), dtype=A.dtype, device=A.device, memory=A.memory
        )
        ctx.operator, ctx.medium = moved, medium
        ctx.save_for_backward(x)
        return moved.forward(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        A, grad = ctx.operator, grads[0].to(ctx.operator.dtype)
        (x,) = ctx.saved_tensors
        by_x = None
        if ctx.needs_input_grad[0]:
            by_x = A.adjoint(grad)
            by_x = by_x if x.is_complex() else by_x.real.to(x.dtype)
        by_tx, by_rx = (_by_places(A, x, grad, side) if ctx.needs_input_grad[1 + side] else None for side in (0, 1))
        by_medium = _by_medium(A, x, grad, ctx.medium) if ctx.needs_input_grad[3] else None
        return by_x, by_tx, by_rx, by_medium, None


def _radar(nominal: Acquisition, tx_pos: torch.Tensor, rx_pos: torch.Tensor, medium: torch.Tensor) -> Acquisition:
    places, values = [place.detach().cpu().numpy() for place in (tx_pos, rx_pos)], medium.detach().cpu().numpy()
    return nominal.with_radar(tx_pos=places[0], rx_pos=places[1], permittivity=values)


def _sum(A: ImagingOperator, x: torch.Tensor, name: str, side: int, weight: Weight) -> torch.Tensor:
    """Return the measurement with one side's amplitudes times `weight`."""
    weights = (weight, None) if side == 0 else (None, weight)
    model = replace(BORN, name=name, weights=weights)
    return A._apply_forward(x.to(A.dtype), A._kernel_sum(model))  # not kept: the next radar is another


def _by_places(A: ImagingOperator, x: torch.Tensor, grad: torch.Tensor, side: int) -> torch.Tensor:
    """Return the gradient by the places of one side's antennas, float64 (n, 3)."""
    pattern = A.acquisition.patterns[side]
    if pattern is not None and not pattern.flat:
        raise ValueError(
            "the pattern varies with frequency or is complex: expected a real, constant one for gradients by places"
        )
    k = _wavenumbers(A)
    out = []
    for axis in range(3):
        by_path = -1j * k * _sum(A, x, f"path {axis}", side, _difference(axis, _path))
        by_amplitude = _sum(A, x, f"amplitude {axis}", side, _difference(axis, _log_amplitude))
        share = (grad.conj() * (by_path + by_amplitude)).real.double()
        out.append(_of_antennas(A, share.reshape(-1, *A.measurement_shape).sum((0, 1)), side))
    return torch.stack(out, 1)


def _of_antennas(A: ImagingOperator, share: torch.Tensor, side: int) -> torch.Tensor:
    """Add up the channels of each antenna of a side."""
    if A.array.channels is None:
        return share.sum(1 - side)
    out = torch.zeros((A.array.n_tx, A.array.n_rx)[side], dtype=share.dtype, device=share.device)
    return out.index_add(0, torch.as_tensor(A.array.channels[:, side].astype(int), device=share.device), share)


def _by_medium(A: ImagingOperator, x: torch.Tensor, grad: torch.Tensor, medium: torch.Tensor) -> torch.Tensor:
    """Return the gradient by the permittivities, in the shape of `medium`."""
    acquisition, k = A.acquisition, _wavenumbers(A)
    if acquisition.layers is None:
        travelled = sum(_sum(A, x, "path", side, lambda antennas, points: antennas.path(points)) for side in (0, 1))
        if acquisition.reference_path is not None:
            removed = torch.as_tensor(acquisition.reference_path.copy(), device=A.device)
            travelled = travelled - removed.to(A.dtype) * A.forward(x)
        return (grad.conj() * (-1j * k / (2 * medium)) * travelled).real.double().sum()
    out = []
    for layer in range(len(medium)):
        by_path = sum(_sum(A, x, f"layer {layer}", side, _of_layer(layer)) for side in (0, 1))
        out.append((grad.conj() * (-1j * k) * by_path).real.double().sum())
    return torch.stack(out)


def _wavenumbers(A: ImagingOperator) -> torch.Tensor:
    k = torch.as_tensor(A.acquisition.wavenumber.copy(), device=A.device)
    return k.reshape(-1, *[1] * (len(A.measurement_shape) - 1)).to(A.dtype)


def _path(antennas: Side, points: torch.Tensor) -> torch.Tensor:
    return antennas.path(points)


def _log_amplitude(antennas: Side, points: torch.Tensor) -> torch.Tensor:
    _, amplitude = antennas.path_and_amplitude(BORN, points)
    return torch.log(amplitude.clamp_min(1e-300))  # where a pattern sees nothing the weight multiplies 0


def _difference(axis: int, of: Callable[[Side, torch.Tensor], torch.Tensor]) -> Weight:
    """Return the derivative of a path or amplitude by the antennas' x, y or z."""

    def weight(antennas: Side, points: torch.Tensor) -> torch.Tensor:
        ends = []
        for sign in (1, -1):
            name = ("tx_pos", "rx_pos")[antennas.index]
            places = getattr(antennas.acquisition.array, name).copy()
            places[:, axis] += sign * STEP
            moved = antennas.acquisition.with_radar(**{name: places})
            ends.append(of(Side(moved, antennas.index, points.device), points))
        return (ends[0] - ends[1]) / (2 * STEP)

    return weight


def _of_layer(layer: int) -> Weight:
    """Return the derivative of a path by the permittivity of a layer."""

    def weight(antennas: Side, points: torch.Tensor) -> torch.Tensor:
        medium, ends = antennas.acquisition.layers, []
        assert medium is not None  # noqa: S101 - the caller's contract, for the type checker
        step = STEP * medium.permittivity[layer]
        for sign in (1, -1):
            values = medium.permittivity.copy()
            values[layer] += sign * step
            other = antennas.acquisition.with_radar(permittivity=values)
            ends.append(Side(other, antennas.index, points.device).path(points))
        return (ends[0] - ends[1]) / (2 * step)

    return weight
