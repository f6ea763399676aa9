"""Use radar operators and trained denoisers in deepinv: its optimisers, priors, samplers and losses then work on them.

deepinv (https://deepinv.github.io) expects images ``(n_scene, channels, ...)`` with a *physics* that knows A, its
adjoint and the proximal map of the data term. Complex images come in two layouts there, and both are served:

``"complex"``
    One channel of complex numbers, ``(n_scene, 1, n_x, n_y, n_z)``.
``"real"``
    Real and imaginary part as two channels of real numbers, ``(n_scene, 2, n_x, n_y, n_z)``: for networks, losses and
    samplers that know real numbers only.

Measurements have the same channels before their own axes.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import torch

from mimo.imaging_operator import ImagingOperator
from mimo.interop.deepinv_import import import_deepinv
from mimo.least_squares import DataStep, data_step
from mimo.models import Denoiser
from mimo.recon.prox import magnitude_prox

_deepinv = import_deepinv()
_LinearPhysics: Any = _deepinv.physics.LinearPhysics
_Denoiser: Any = _deepinv.models.Denoiser

__all__ = ["LAYOUTS", "MagnitudeDenoiser", "RadarPhysics", "denoiser", "physics", "to_channels", "to_complex"]

LAYOUTS = ("complex", "real")
"""How complex numbers are laid out in deepinv's tensors."""


def to_channels(values: torch.Tensor, layout: str = "complex") -> torch.Tensor:
    """Insert the axis of channels behind that of the scenes: complex ``(n_scene, ...)`` to ``(n_scene, 1 or 2, ...)``.

    >>> to_channels(torch.tensor([[3 + 4j]]), "real")
    tensor([[[3.],
             [4.]]])
    """
    if _known(layout) == "complex":
        return values[:, None]
    return torch.stack((values.real, values.imag), dim=1)


def to_complex(values: torch.Tensor) -> torch.Tensor:
    """Remove the axis of channels: ``(n_scene, 1 or 2, ...)`` to ``(n_scene, ...)``, complex where there are two.

    >>> to_complex(torch.tensor([[[3.0], [4.0]]]))
    tensor([[3.+4.j]])
    """
    if values.ndim < 2 or values.shape[1] not in (1, 2) or (values.shape[1] == 2 and values.is_complex()):
        raise ValueError(
            f"values have shape {tuple(values.shape)} and are {values.dtype}: expected (n_scene, 1, ...), or "
            "(n_scene, 2, ...) with real and imaginary parts"
        )
    return values[:, 0] if values.shape[1] == 1 else torch.complex(values[:, 0], values[:, 1])


def physics(
    A: ImagingOperator,
    *,
    layout: str = "complex",
    norm: float | None = None,
    solver: str = "auto",
    cache: bool | Path = True,
    noise_model: Any = None,
) -> RadarPhysics:
    """Return deepinv's view of an operator: a `LinearPhysics` whose proximal map and pseudo-inverse are exact.

    Parameters
    ----------
    A
        The operator, such as `mimo.BornOperator`. The physics works on its device and in its precision.
    layout
        One of `LAYOUTS`: how complex numbers are laid out.
    norm
        What A is divided by, so that deepinv's step sizes near 1 are right; by default its largest singular value,
        estimated by `norm` of the operator. Measured data must be divided by it, too: `RadarPhysics.from_measurement`.
    solver, cache
        How the data step is solved and where its factorisation is kept, as in `tikhonov` and `mimo.GramFactor.of`.
    noise_model
        One of deepinv's, which calling the physics applies to the measurement; none by default.

    Examples
    --------
    >>> from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid
    >>> array = ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3)
    >>> grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 5), y=(-0.1, 0.1, 7), z=(0.4, 0.6, 11))
    >>> p = physics(BornOperator(array, FrequencySweep.linear(4e9, 16e9, 4), grid))
    >>> y = p.A(torch.ones(1, 1, 5, 7, 11))
    >>> y.shape, p.prox_l2(p.A_adjoint(y), y, gamma=10.0).shape
    (torch.Size([1, 1, 4, 2, 3]), torch.Size([1, 1, 5, 7, 11]))
    """
    return RadarPhysics(A, layout=layout, norm=norm, solver=solver, cache=cache, noise_model=noise_model)


class RadarPhysics(_LinearPhysics):
    """Presents an imaging operator, divided by `norm`, as deepinv's `LinearPhysics`; `physics` makes it.

    Attributes
    ----------
    operator
        The operator.
    layout
        One of `LAYOUTS`.
    norm
        What the operator is divided by.
    """

    def __init__(
        self,
        A: ImagingOperator,
        *,
        layout: str = "complex",
        norm: float | None = None,
        solver: str = "auto",
        cache: bool | Path = True,
        noise_model: Any = None,
    ) -> None:
        noise_model = _deepinv.physics.ZeroNoise() if noise_model is None else noise_model
        channels = 1 if _known(layout) == "complex" else 2
        super().__init__(img_size=(channels, *A.volume_shape), noise_model=noise_model, device=A.device)
        if norm is not None and not (math.isfinite(norm) and norm > 0):
            raise ValueError(f"norm is {norm}: expected a positive number")
        self.operator, self.layout = A, layout
        self.norm = A.norm() if norm is None else float(norm)
        self._solver, self._cache = solver, cache

    @functools.cached_property
    def data_step(self) -> DataStep:
        """The least squares behind `prox_l2` and `A_dagger`, prepared when they are first used."""
        return data_step(self.operator, solver=self._solver, cache=self._cache)

    def from_measurement(self, y: torch.Tensor) -> torch.Tensor:
        """Bring a measurement ``(..., *A.measurement_shape)`` into deepinv's layout and divide it by `norm`.

        Images then keep the unit of reflectivity.
        """
        y = y.reshape(-1, *self.operator.measurement_shape).to(self.operator.dtype)
        return to_channels(y / self.norm, self.layout)

    def from_image(self, x: torch.Tensor) -> torch.Tensor:
        """Bring images ``(..., n_x, n_y, n_z)`` into deepinv's layout."""
        return to_channels(x.reshape(-1, *self.operator.volume_shape).to(self.operator.dtype), self.layout)

    def to_image(self, x: torch.Tensor) -> torch.Tensor:
        """Bring images in deepinv's layout into that of mimo, complex ``(n_scene, n_x, n_y, n_z)``."""
        return self._read("image", x, self.operator.volume_shape)

    def A(self, x: torch.Tensor, **parameters: Any) -> torch.Tensor:  # noqa: N802 - deepinv's name
        """Compute the measurement of images, ``A x / norm``. deepinv passes parameters of other physics; none is used.

        `x` is (n_scene, channels, n_x, n_y, n_z); the result (n_scene, channels, *measurement_shape).
        """
        return to_channels(self._forward(self._read("image", x, self.operator.volume_shape)), self.layout)

    def A_adjoint(self, y: torch.Tensor, **parameters: Any) -> torch.Tensor:  # noqa: N802 - deepinv's name
        """Apply the exact conjugate transpose, ``A^H y / norm``, from measurements to images."""
        return to_channels(self._adjoint(self._read_measurement(y)), self.layout)

    def prox_l2(
        self, z: torch.Tensor | float | None, y: torch.Tensor, gamma: float | torch.Tensor, **parameters: Any
    ) -> torch.Tensor:
        """Solve ``argmin_x gamma/2 |A x / norm - y|^2 + 1/2 |x - z|^2`` by the data step, exactly where it factorises.

        Parameters
        ----------
        z
            Images, or one number for all voxels; ``None`` is 0.
        y
            Measurements.
        gamma
            Positive: one number, or one for each scene.
        parameters
            Solver and tolerance that deepinv would pass to an iteration; none is used.

        Returns
        -------
        torch.Tensor
            Images. Derivatives of every order by `z`, `y` and `gamma` are those of the solution; each costs one more
            solve.
        """
        measured = self._read_measurement(y)
        if isinstance(z, torch.Tensor):
            start = self._read("image", z, self.operator.volume_shape)
        else:
            start = measured.new_full((len(measured), *self.operator.volume_shape), 0.0 if z is None else z)
        weight = torch.as_tensor(gamma, dtype=measured.real.dtype, device=measured.device).reshape(-1)
        if weight.numel() not in (1, len(measured)) or not bool((weight > 0).all()):
            raise ValueError(f"gamma is {gamma}: expected a positive number, or one for each of {len(measured)} scenes")
        return to_channels(_Prox.apply(start, measured, weight, self), self.layout)

    def A_dagger(self, y: torch.Tensor, **parameters: Any) -> torch.Tensor:  # noqa: N802 - deepinv's name
        """Apply the pseudo-inverse: of all images that fit the measurement best, the one of least norm.

        It inverts every singular value that the precision resolves, and with them the noise. Above
        `mimo.gram.MAX_MEASUREMENTS` measurements, where nothing is factorised, deepinv's conjugate gradients do it,
        with the parameters given here.
        """
        factor = self.data_step.factor
        if factor is None:
            return super().A_dagger(y, **parameters)
        powers = factor.eigenvalues
        resolved = powers > powers[-1] * len(powers) * torch.finfo(self.operator.dtype).eps
        inverse = torch.where(resolved, 1 / powers.where(resolved, 1), 0.0)
        found = factor.measurement(factor.coefficients(self._read_measurement(y)) * inverse)
        return to_channels(self.operator.adjoint(found) * self.norm, self.layout)

    def solve(self, z: torch.Tensor, y: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        """Solve what `prox_l2` states, for complex images and measurements without channels, without derivatives."""
        step = self.data_step
        if step.factor is not None:  # x = z + A^H r divides nothing by a small weight
            rest = step.factor.solve(y - self._forward(z), self.norm**2 / gamma.double())
            return z + self.operator.adjoint(rest) * self.norm
        ratio = step.norm / self.norm
        # started anew, as what was solved before may have been another scene
        return step.restarted().solve(z, step.encode(y / ratio), 1 / (gamma * ratio**2))[0]

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.operator.forward(x) / self.norm

    def _adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return self.operator.adjoint(y) / self.norm

    def _read_measurement(self, y: torch.Tensor) -> torch.Tensor:
        return self._read("measurement", y, self.operator.measurement_shape)

    def _read(self, name: str, values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        channels = 1 if self.layout == "complex" else 2
        if tuple(values.shape[1:]) != (channels, *shape) or (channels == 2 and values.is_complex()):
            kind = "real" if channels == 2 else "complex or real"
            raise ValueError(
                f"{name} has shape {tuple(values.shape)} and is {values.dtype}: expected "
                f"(n_scene, {channels}, {', '.join(map(str, shape))}), {kind}, for the layout {self.layout!r}"
            )
        return to_complex(values).to(self.operator.dtype)


class _Prox(torch.autograd.Function):
    """Solves the data step under autograd, with the derivatives of the solution x = M^-1 (gamma B^H y + z).

    B is A / norm and ``M = gamma B^H B + I``. With ``v = M^-1 g`` for the gradient g by x, the gradients are v by z,
    ``gamma B v`` by y, and ``Re <B v, y - B x>`` by gamma. They are made of the same map, so they can be derived again.
    """

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, y: torch.Tensor, gamma: torch.Tensor, of: RadarPhysics) -> torch.Tensor:
        x = of.solve(z, y, gamma)
        ctx.save_for_backward(y, gamma, x)
        ctx.of = of
        return x

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        y, gamma, x = ctx.saved_tensors
        of = ctx.of
        v = _Prox.apply(grads[0], torch.zeros_like(y), gamma, of)
        seen = of._forward(v)
        for_gamma = None
        if ctx.needs_input_grad[2]:
            each = (seen.conj() * (y - of._forward(x))).real.flatten(1).sum(1)
            for_gamma = each if len(gamma) == len(each) else each.sum().reshape(1)
        return v, seen * gamma.reshape(-1, *[1] * (y.ndim - 1)), for_gamma, None


def denoiser(name_or_path: str | Path = "denoiser-fast", *, scale: float = 1.0, precision: str = "auto") -> Any:
    """Return a trained denoiser of magnitudes as one of deepinv's, for its priors and samplers (`MagnitudeDenoiser`).

    `name_or_path` and `precision` are those of `mimo.models.Denoiser.load`.
    """
    return MagnitudeDenoiser(Denoiser.load(name_or_path, precision=precision), scale=scale)


class MagnitudeDenoiser(_Denoiser):
    """Presents a denoiser of magnitudes as deepinv's `Denoiser`: the phase (of real images the sign) is kept.

    Parameters
    ----------
    network
        The denoiser.
    scale
        Magnitude that the network takes for 1: the largest that images are expected to have. deepinv takes images to
        lie between 0 and 1.
    """

    def __init__(self, network: Denoiser, *, scale: float = 1.0) -> None:
        super().__init__()
        self.trained, self.scale = network, float(scale)
        self.network = network.network  # a part of the module, so that it moves with it

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor, **parameters: Any) -> torch.Tensor:
        """Denoise images (n_scene, 1, n_x, n_y, n_z), complex or real, or (n_scene, 2, ...), real and imaginary parts.

        `sigma` is the rms of the noise in each number of `x`, one for all or one for each scene: of complex numbers the
        rms of their magnitude. No gradients pass.
        """
        level = torch.as_tensor(sigma, dtype=torch.float32, device=x.device).reshape(-1)
        level = level[0] if len(level) == 1 else level
        if x.shape[1] == 2:  # noise of this rms in either part
            level = level * math.sqrt(2)

        def apply(magnitude: torch.Tensor, weight: float | torch.Tensor) -> torch.Tensor:
            return self.trained(magnitude / self.scale, torch.as_tensor(weight) / self.scale) * self.scale

        with torch.no_grad():
            image = magnitude_prox(apply)(to_complex(x), level)
        return to_channels(image, "real" if x.shape[1] == 2 else "complex")


def _known(layout: str) -> str:
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}: expected {' or '.join(LAYOUTS)}")
    return layout
