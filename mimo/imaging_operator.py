"""Apply a linear measurement operator to tensors; this base class adds checks, batches, masks and gradients to sums."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch

from mimo.acquisition import Acquisition
from mimo.operator_algebra import OperatorAlgebra
from mimo.progress import Report, silent
from mimo.propagation import BORN, FactorModel

__all__ = ["DEFAULT_MEMORY", "ImagingOperator", "KernelSum"]

DEFAULT_MEMORY = 2**30
"""Bytes that an operator's factors and working space may take unless the caller says otherwise."""


SPARSE, WORTH_SKIPPING = 16, 2**32
"""`forward` leaves out empty voxels where at most one in so many is not empty, and where it has so many terms: fewer
are summed as quickly as factors are made for other voxels."""


class KernelSum(Protocol):
    """Computes an operator's sums over flattened scenes; `adjoint` is the exact conjugate transpose of `forward`.

    ``*channels`` is (n_tx, n_rx), or (n_channel,) for listed channels; n_voxel counts the voxels inside the
    acquisition's region. `report` is told the share done, 0 to 1.
    """

    def forward(self, x: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Return the measurements (n_scene, n_freq, *channels) of volumes (n_scene, n_voxel)."""
        ...

    def adjoint(self, y: torch.Tensor, report: Report = silent) -> torch.Tensor:
        """Return the images (n_scene, n_voxel) of measurements (n_scene, n_freq, *channels)."""
        ...

    def prepare(self) -> None:
        """Make the factors that are kept between calls, so that no later call waits for them."""
        ...

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the matrix's columns for voxels `first` to `last` - 1, (n_freq * n_channel, last - first)."""
        ...


class ImagingOperator(OperatorAlgebra):
    """Applies ``y = A x`` and ``A^H y`` with leading batch axes and torch autograd: the base of the Born operators.

    See `mimo.BornOperator` for the parameters. A subclass chooses the sums (`_kernel_sum`).

    Attributes
    ----------
    acquisition
        Array, sweep, grid, medium, patterns and removed paths; `array`, `sweep` and `grid` are short for its own.
    skips_empty
        Whether `forward` may leave out the empty voxels of large volumes that are nearly empty.
    """

    skips_empty = True

    def __init__(
        self,
        acquisition: Acquisition,
        *,
        dtype: torch.dtype = torch.complex64,
        device: str | torch.device = "cpu",
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        if dtype not in (torch.complex64, torch.complex128):
            raise TypeError(f"dtype is {dtype}: expected torch.complex64 or torch.complex128")
        if memory < 0:
            raise ValueError(f"memory is {memory} bytes: expected 0 or more")
        self.acquisition = acquisition
        self.array, self.sweep, self.grid = acquisition.array, acquisition.sweep, acquisition.grid
        self.dtype, self.device, self.memory = dtype, torch.device(device), int(memory)
        self._report: Report = silent
        self._sums: dict[str, KernelSum] = {}
        self._mask = None
        if self.array.mask is not None:
            self._mask = torch.as_tensor(self.array.mask.copy(), device=self.device)
        self.kernel_sum(BORN)

    def _kernel_sum(self, model: FactorModel) -> KernelSum:
        raise NotImplementedError

    def kernel_sum(self, model: FactorModel) -> KernelSum:
        """Return the sums with the factors of `model` in this geometry, made once and kept."""
        if model.name not in self._sums:
            self._sums[model.name] = self._kernel_sum(model)
        return self._sums[model.name]

    def prepare(self, model: FactorModel = BORN) -> None:
        """Make the factors of a kernel now, as far as the memory budget keeps them, instead of at its first use."""
        self.kernel_sum(model).prepare()

    @contextmanager
    def watched(self, report: Report) -> Iterator[None]:
        """Report progress inside a ``with`` block: each forward, adjoint and image calls `report` with its share done.

        The share is 0 to 1. A long computation reports every second or so, a short one once.
        """
        before, self._report = self._report, report
        try:
            yield
        finally:
            self._report = before

    def report(self, share: float) -> None:
        """Pass on the share done (0 to 1) to the function given to `watched`; image formers outside this class call it.

        Without `watched` it does nothing.
        """
        self._report(share)

    @property
    def permittivity(self) -> float:
        """Relative permittivity of the homogeneous medium; 1 with layers."""
        return self.acquisition.permittivity

    @property
    def volume_shape(self) -> tuple[int, int, int]:
        """``(n_x, n_y, n_z)``."""
        return self.grid.shape

    @property
    def n_voxel(self) -> int:
        """Number of voxels that the sums run over: those inside the acquisition's region."""
        return self.acquisition.voxels.n_voxel

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        """``(n_freq, n_tx, n_rx)``, or ``(n_freq, n_channel)`` when paired."""
        return (self.sweep.n_freq, *self.array.measurement_shape)

    @property
    def n_measurement(self) -> int:
        """Complex numbers in one measurement that carry data."""
        return self.sweep.n_freq * self.array.n_channel

    def mask_of_measurements(self) -> torch.Tensor | None:
        """Return which of the flattened measurements carry data, bool ``(prod(measurement_shape),)``; None for all."""
        return None if self._mask is None else self._mask.flatten().repeat(self.sweep.n_freq)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the measurement of a reflectivity, ``y = A x``.

        Parameters
        ----------
        x
            ``(..., n_x, n_y, n_z)``, complex or real of the operator's precision, on its device. Values outside
            the acquisition's region do not count.

        Returns
        -------
        torch.Tensor
            ``(..., *measurement_shape)`` in the operator's dtype; masked channels are zero.

        Raises
        ------
        ValueError, TypeError
            When the shape, dtype or device of `x` does not fit.
        """
        return _Apply.apply(self._checked("reflectivity", x, self.volume_shape), self, False)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Apply the exact conjugate transpose, ``A^H y``.

        Parameters
        ----------
        y
            ``(..., *measurement_shape)``; values of masked channels do not count.

        Returns
        -------
        torch.Tensor
            ``(..., n_x, n_y, n_z)`` in the operator's dtype; 0 outside the acquisition's region.

        Raises
        ------
        ValueError, TypeError
            When the shape, dtype or device of `y` does not fit.
        """
        return _Apply.apply(self._checked("measurement", y, self.measurement_shape), self, True)

    def image(self, y: torch.Tensor, model: FactorModel) -> torch.Tensor:
        """Sum the data times the conjugate factors of `model`: the image formers of `mimo.imaging` (no gradients)."""
        return self.image_by(y, lambda flat: self.kernel_sum(model).adjoint(flat, self._report))

    def image_by(self, y: torch.Tensor, former: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Apply an image former to a measurement with any leading axes (no gradients).

        `former` takes measurements (n_scene, *measurement_shape), masked channels set to zero, and returns images
        (n_scene, n_voxel) of the voxels inside. The result is (..., n_x, n_y, n_z), 0 outside.
        """
        y = self._checked("measurement", y, self.measurement_shape)
        with torch.no_grad():
            return self._apply_adjoint(y, former)

    def columns(self, first: int, last: int) -> torch.Tensor:
        """Return the columns of A for voxels `first` to `last` - 1 of the flattened volume, counting those inside.

        Shape ``(prod(measurement_shape), last - first)``, masked channels zero. The columns are dense: ask for few at a
        time.
        """
        columns = self.kernel_sum(BORN).columns(first, last)
        keep = self.mask_of_measurements()
        return columns if keep is None else columns * keep[:, None]

    def _checked(self, name: str, value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}: expected a torch.Tensor")
        if tuple(value.shape[-len(shape) :]) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}: expected (..., {', '.join(map(str, shape))})")
        if torch.promote_types(value.dtype, self.dtype) != self.dtype:
            raise TypeError(f"{name} is {value.dtype}, the operator computes in {self.dtype}: convert one of them")
        if value.device.type != self.device.type:
            raise ValueError(f"{name} is on {value.device}, the operator on {self.device}: move one of them")
        return value.to(self.dtype)

    def _apply_forward(self, x: torch.Tensor, kernel: KernelSum) -> torch.Tensor:
        batch = x.shape[:-3]
        if not x.numel():
            return torch.empty((*batch, *self.measurement_shape), dtype=self.dtype, device=self.device)
        flat = x.resolve_conj().reshape(-1, self.grid.n_voxel)
        y = self._without_empty(self.acquisition.voxels.pick(flat), kernel)
        if self._mask is not None:
            y = y * self._mask
        return y.reshape(*batch, *self.measurement_shape)

    def _without_empty(self, x: torch.Tensor, kernel: KernelSum) -> torch.Tensor:
        """Return the measurements of volumes (n_scene, n_voxel), those of nearly empty volumes without empty voxels.

        A volume is treated by what it holds alone, and filled ones always in a batch of all: how many are in a batch
        decides how its sums are rounded, so that a measurement would depend on what the other volumes hold.
        """
        if not self.skips_empty or x[0].numel() * self.n_measurement < WORTH_SKIPPING:
            return kernel.forward(x, self._report)
        filled = [i for i in range(len(x)) if int(x[i].count_nonzero()) * SPARSE > x.shape[1]]
        if filled:
            y = kernel.forward(x, self._report)
        else:
            y = torch.empty((len(x), *self.measurement_shape), dtype=self.dtype, device=self.device)
        for i in sorted(set(range(len(x))) - set(filled)):
            there = x[i] != 0
            if not bool(there.any()):
                y[i] = 0
                continue
            inside = self.acquisition.voxels.put(there[None].to(self.dtype)).reshape(self.volume_shape) != 0
            part = copy.copy(self)
            part.acquisition = self.acquisition.replace(inside=inside.cpu().numpy())
            y[i] = part._kernel_sum(BORN).forward(x[i : i + 1, there], self._report)[0]
        return y

    def _apply_adjoint(self, y: torch.Tensor, former: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        batch = y.shape[: y.ndim - len(self.measurement_shape)]
        if not y.numel():
            return torch.empty((*batch, *self.volume_shape), dtype=self.dtype, device=self.device)
        y = y.resolve_conj()
        if self._mask is not None:
            y = torch.where(self._mask, y, torch.zeros((), dtype=y.dtype, device=y.device))
        x = self.acquisition.voxels.put(former(y.reshape(-1, *self.measurement_shape)))
        return x.reshape(*batch, *self.volume_shape)

    def __repr__(self) -> str:
        reference = self.acquisition.reference_path
        extras = "".join(
            f", {name}={value!r}"
            for name, value, default in (
                ("permittivity", self.permittivity, 1.0),
                ("reference_path", None if reference is None else reference.tolist(), None),
                ("pattern", self.acquisition.pattern, None),
                ("layers", self.acquisition.layers, None),
                ("n_voxel", self.n_voxel, self.grid.n_voxel),
                ("dtype", self.dtype, torch.complex64),
                ("device", str(self.device), "cpu"),
            )
            if value != default
        )
        return f"{type(self).__name__}({self.array!r}, {self.sweep!r}, {self.grid!r}{extras})"


class _Apply(torch.autograd.Function):
    """Applies A or A^H under autograd: the gradient of each is the other, so derivatives of every order are right.

    The transforms of `torch.func` work on it, too: both are linear, so that a tangent goes the way of its value, and
    both take leading axes, so that the axis of ``vmap`` is one of them.
    """

    @staticmethod
    def forward(value: torch.Tensor, operator: ImagingOperator, adjoint: bool) -> torch.Tensor:
        kernel = operator.kernel_sum(BORN)
        if adjoint:
            return operator._apply_adjoint(value, lambda y: kernel.adjoint(y, operator.report))
        return operator._apply_forward(value, kernel)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, ctx.operator, ctx.adjoint = inputs

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _Apply.apply(grads[0], ctx.operator, not ctx.adjoint), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> torch.Tensor:
        made: torch.Tensor = _Apply.apply(tangents[0], ctx.operator, ctx.adjoint)
        return made

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> tuple[torch.Tensor, int]:
        value, operator, adjoint = args
        return _Apply.apply(value.movedim(in_dims[0] or 0, 0), operator, adjoint), 0
