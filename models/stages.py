"""Turn measurements into the volumes that a network is given, each scene divided by its own maximum.

Everything that depends on the array and the frequencies is in `Physics`, so that a network that works on images knows
neither.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from mimo import ImagingOperator, expected_sampling
from mimo.least_squares import DataStep, data_step
from mimo.models.trained_for import refractive_index

__all__ = ["STAGES", "Physics", "Stage", "features", "regularised_inverse", "unit", "with_voxel_ratio"]


LEAST_WEIGHT = 3e-5
"""Weight of a regularised inverse at the papers' size for about 35 dB; below it rounding would show."""


@dataclass(frozen=True, eq=False)
class Physics:
    """The measurement model that a network is given: an operator and least squares with it.

    Attributes
    ----------
    operator
        The Born operator A.
    """

    operator: ImagingOperator

    @functools.cached_property
    def data_step(self) -> DataStep:
        """Least squares with A, prepared when it is first asked for: first stages that need none never ask."""
        return data_step(self.operator)

    @functools.cached_property
    def voxel_ratio(self) -> torch.Tensor:
        """Binary logarithm of the voxel's size along x, y, z over the resolution in the middle, float32 ``(3,)``.

        Between -3 and 3; 0 along an axis of one voxel or without resolution.
        """
        acquisition = self.operator.acquisition
        sampling = expected_sampling(
            acquisition.array, acquisition.sweep, acquisition.grid, permittivity=refractive_index(acquisition) ** 2
        )
        ratios = [
            s / r if s and math.isfinite(r) else 1.0 for s, r in zip(sampling.spacing, sampling.resolution, strict=True)
        ]
        return torch.tensor(ratios, device=self.operator.device).log2().clamp(-3, 3)

    def noise_power(self, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
        """Power of the noise in each measurement, ``n noise_std^2``: n counts the data that are not 0, as gaps are."""
        return (y != 0).flatten(1).sum(1) * noise_std.double().square()

    def wiener_weight(self, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
        """Weight of ``|x|^2`` in the regularised inverse, one a scene: the noise's variance over that of a voxel.

        A scene of independent voxels of variance p has ``E|y|^2 = p n_voxel mean_gain + n noise_std^2``; the ratio is
        kept between `LEAST_WEIGHT` and 1e3 of the largest eigenvalue, 1.
        """
        m, n_voxel = self.operator.n_measurement, self.operator.n_voxel
        noise = self.noise_power(y, noise_std)
        signal = (y.abs().double().square().flatten(1).sum(1) - noise).clamp_min(1e-30)
        return (noise / m * n_voxel * self.data_step.mean_gain / signal).clamp(LEAST_WEIGHT, 1e3)


def unit(volume: torch.Tensor) -> torch.Tensor:
    """Divide each scene ``(n_scene, ...)`` by its largest magnitude; one that is all zero stays so."""
    peak = volume.abs().flatten(1).amax(1)
    shape = (-1, *[1] * (volume.ndim - 1))
    return volume / torch.where(peak > 0, peak, 1).reshape(shape)


def _adjoint(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    return unit(physics.operator.adjoint(y).abs())[:, None]


def _adjoint_complex(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    return _as_channels(unit(physics.operator.adjoint(y)))


def _inverse(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    return unit(regularised_inverse(physics, y, noise_std).abs())[:, None]


def _inverse_adjoint(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    return torch.cat((_inverse(physics, y, noise_std), _adjoint(physics, y, noise_std)), dim=1)


def _measurement(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(unit(y)).flatten(1)


def regularised_inverse(physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    """``A^H (A A^H + w I)^-1 y`` with the Wiener weight of the noise, ``(n_scene, n_x, n_y, n_z)`` complex."""
    step = physics.data_step.restarted()  # an image does not depend on the one before
    return step.solve(None, step.encode(y), physics.wiener_weight(y, noise_std).to(y.abs().dtype))[0]


@dataclass(frozen=True)
class Stage:
    """A first stage of a network: how many channels it makes (0 for one that makes no volumes), and how."""

    channels: int
    make: Callable[[Physics, torch.Tensor, torch.Tensor], torch.Tensor]


STAGES = {
    "adjoint": Stage(1, _adjoint),
    "adjoint-complex": Stage(2, _adjoint_complex),
    "inverse": Stage(1, _inverse),
    "inverse-adjoint": Stage(2, _inverse_adjoint),
    "measurement": Stage(0, _measurement),
}
"""First stages by name: the adjoint's magnitude; its real and imaginary part; the regularised inverse's magnitude; both
magnitudes; the measurement itself, real and imaginary parts in a row."""


@torch.no_grad()
def features(name: str, physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
    """Make what a network is given.

    Parameters
    ----------
    name
        A key of `STAGES`.
    physics
        The measurement model.
    y
        Measurements ``(n_scene, *measurement_shape)``, complex.
    noise_std
        Standard deviation of each scene's complex noise, ``(n_scene,)``.

    Returns
    -------
    float32 ``(n_scene, channels, n_x, n_y, n_z)``, or ``(n_scene, 2 m)`` for the measurement
        Each channel of a scene is divided by its own largest magnitude.
    """
    return STAGES[name].make(physics, y, noise_std).float()


def with_voxel_ratio(given: torch.Tensor, physics: Physics) -> torch.Tensor:
    """Append `Physics.voxel_ratio` to volumes ``(n_scene, channels, n_x, n_y, n_z)``: three constant channels."""
    ratio = physics.voxel_ratio.to(given.dtype)[None, :, None, None, None]
    return torch.cat((given, ratio.expand(len(given), 3, *given.shape[2:])), dim=1)


def _as_channels(volume: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(volume).movedim(-1, 1)
