"""Apply a trained reconstructor: a physics stage, then a network, within what it was trained for."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from mimo import Acquisition
from mimo.data.intervals import Intervals
from mimo.input_file import whole_input
from mimo.models.dense import Dense
from mimo.models.lattice import apply_without_lattice, has_lattice
from mimo.models.layers import fold_batch_norm
from mimo.models.network_config import MethodConfig, NetworkConfig
from mimo.models.precision import autocast, resolve_precision
from mimo.models.resnet import ResNet3D
from mimo.models.spread import Spread, conditions, image_unit, split_state
from mimo.models.stages import STAGES, Physics, features, with_voxel_ratio
from mimo.models.trained_for import acquisition_from_table, differences, far_from, far_from_any
from mimo.models.unrolled import Start, Unrolled, prepare_start
from mimo.models.weight_files import EXPECTED, check_network, find_weights, load_weights
from mimo.options import build_table

__all__ = ["NETWORKS", "Reconstructor", "build_network", "check_method", "prepare_input", "run_network", "run_prepared"]


def _unet(method: MethodConfig, network: NetworkConfig, acquisition: Acquisition) -> nn.Module:
    channels = STAGES[method.stage].channels + (3 if method.voxel_ratio else 0)
    return replace(network, in_channels=channels).build()


def _resnet(method: MethodConfig, network: NetworkConfig, acquisition: Acquisition) -> nn.Module:
    channels = STAGES[method.stage].channels
    return ResNet3D(channels, width=network.width, blocks=method.blocks, norm=network.norm)


def _dense(method: MethodConfig, network: NetworkConfig, acquisition: Acquisition) -> nn.Module:
    refine = replace(network, in_channels=1).build() if method.refine else None
    n_input = 2 * math.prod(acquisition.measurement_shape)
    return Dense(n_input, acquisition.grid.shape, hidden=method.hidden, refine=refine)


TWO_STAGE: dict[str, Any] = {"residual": False, "gate": False, "head": 64, "detail": 8, "output": "sigmoid"}
"""What a network that starts an unrolled one has in place of the configuration's: as ``two-stage`` that ships."""


def _unrolled(method: MethodConfig, network: NetworkConfig, acquisition: Acquisition) -> nn.Module:
    channels = 5 if method.voxel_ratio else 2
    first = replace(network, in_channels=channels, **TWO_STAGE).build() if method.two_stage else None
    build = replace(network, in_channels=channels + method.two_stage).build
    return Unrolled(build, method.steps, shared=method.shared, voxel_ratio=method.voxel_ratio, first=first)


NETWORKS: dict[str, Callable[[MethodConfig, NetworkConfig, Acquisition], nn.Module]] = {
    "unet": _unet,
    "resnet": _resnet,
    "dense": _dense,
    "unrolled": _unrolled,
}
"""What makes the network of a reconstructor, by the name that a configuration gives as ``method.kind``."""


def check_method(method: MethodConfig) -> None:
    """Raise `ValueError` when a configuration names a network or a stage that there is not."""
    for name, value, allowed in (("kind", method.kind, NETWORKS), ("stage", method.stage, STAGES)):
        if value not in allowed:
            raise ValueError(f"method.{name} is {value!r}, expected one of {', '.join(allowed)}")
    if (method.kind == "dense") is not (method.stage == "measurement"):
        raise ValueError("stage 'measurement' and kind 'dense' go together")


def build_network(method: MethodConfig, network: NetworkConfig, acquisition: Acquisition) -> nn.Module:
    """Make the network of a reconstructor; only fully connected layers depend on the acquisition."""
    return NETWORKS[method.kind](method, network, acquisition)


def _least_weights(method: MethodConfig, network: NetworkConfig, acquisition: Acquisition) -> float:
    """Return a number of weights that the network of a configuration has at least, without making it."""
    if method.kind == "resnet":
        return 2 * 9 * method.blocks * network.width**2
    if method.kind == "dense":
        return method.hidden * (2 * math.prod(acquisition.measurement_shape) + acquisition.grid.n_voxel)
    if method.kind == "unrolled" and not method.shared:
        return method.steps * network.least_weights
    return network.least_weights


class Reconstructor:
    """From measurements to magnitudes in [0, 1], without iterations.

    Parameters
    ----------
    method, network
        Their configuration.
    acquisition
        Array, sweep and grid of the training.
    module
        The network; a fresh one by default. It is set to evaluation.
    info
        What else is known of it.
    spread
        What gives the standard deviation of its images, where it was trained (`mimo.models.spread`).
    precision
        In which the network computes: ``"float32"``, ``"bfloat16"``, or ``"auto"`` for the latter where the device has
        it in hardware (`mimo.models.precision`).
    """

    def __init__(
        self,
        method: MethodConfig,
        network: NetworkConfig,
        acquisition: Acquisition,
        module: nn.Module | None = None,
        info: Mapping[str, Any] | None = None,
        precision: str = "auto",
        spread: Spread | None = None,
    ) -> None:
        self.method, self.acquisition, self.info = method, acquisition, dict(info or {})
        self.module = (build_network(method, network, acquisition) if module is None else module).eval()
        self.spread = None if spread is None else spread.eval()
        parameter = next(self.module.parameters(), None)
        self.precision = resolve_precision(precision, "cpu" if parameter is None else parameter.device)

    @classmethod
    def load(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        device: torch.device | str = "cpu",
        precision: str = "auto",
    ) -> Reconstructor:
        """Load weights that ship, by name, or a ``.safetensors`` file.

        Batch normalisation is folded into the convolutions, which then do its work as they go.

        Raises
        ------
        FileNotFoundError
            When there is neither; the message lists the names that ship.
        ValueError
            When the file is not whole, not a reconstructor's, or does not fit the network that it describes.
        """
        path = find_weights(name_or_path)
        state, info = load_weights(path)
        if info.get("kind") != "reconstructor":
            raise ValueError(f"{path}: weights of kind {info.get('kind')!r}, expected 'reconstructor'")
        with whole_input(path, EXPECTED):
            method = build_table(MethodConfig, info.get("method", {}), "method.")
            network = build_table(NetworkConfig, info.get("network", {}), "network.")
            check_method(method)
            if "setting" not in info:
                raise ValueError("setting is missing: expected a table, the array, sweep and grid of the training")
            acquisition = acquisition_from_table(info["setting"])
            check_network(path, _least_weights(method, network, acquisition))
            whole = build_network(method, network, acquisition)
            state, of_spread = split_state(state)
            whole.load_state_dict(state)
            spread = None
            if of_spread:
                if not {"network", "intervals", "scale"} <= set(info.get("spread", {})):
                    raise ValueError("spread lacks network, intervals or scale: expected a table with all three")
                described = build_table(NetworkConfig, info["spread"]["network"], "spread.network.")
                check_network(path, described.least_weights)
                spread = Spread(method, described).to(device)
                spread.load_state_dict(of_spread)
                Intervals.from_dict(info["spread"]["intervals"]), float(info["spread"]["scale"])
            if network.norm == "batch" and network.algebra == "real":
                network = replace(network, norm="none")
                module = build_network(method, network, acquisition)
                module.load_state_dict(fold_batch_norm(state))
            else:
                module = whole
        return cls(method, network, acquisition, module.to(device), info, precision, spread)

    @property
    def intervals(self) -> Intervals | None:
        """How many standard deviations an interval has, where the spread was trained."""
        return None if self.spread is None else Intervals.from_dict(self.info["spread"]["intervals"])

    def __repr__(self) -> str:
        return f"Reconstructor({self.method.kind} on {self.method.stage}, {self.n_parameters:,} parameters)"

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(math.prod(p.shape) for p in self.module.parameters())

    def check(self, physics: Physics) -> list[str]:
        """Compare an operator with the training.

        Returns
        -------
        list of str
            Where it is far from the training, a line each; empty when it is near.

        Raises
        ------
        ValueError
            When the network works on measurements of the training's array, sweep and grid alone, and these are others.
        """
        now = physics.operator.acquisition
        if self.method.kind == "dense":
            different = differences(self.acquisition, now)
            if different:
                raise ValueError(
                    "this network knows the array, sweep and grid of its training by heart: " + "; ".join(different)
                )
        if self.info.get("data", {}).get("other_arrays"):
            return far_from_any(physics.voxel_ratio.exp2().tolist())
        return far_from(self.acquisition, now)

    def __call__(self, physics: Physics, y: torch.Tensor, noise_std: torch.Tensor) -> torch.Tensor:
        """Reconstruct measurements.

        Parameters
        ----------
        physics
            The measurement model.
        y
            ``(n_scene, *measurement_shape)``, complex.
        noise_std
            Standard deviation of each scene's complex noise, ``(n_scene,)``.

        Returns
        -------
        float32 ``(n_scene, n_x, n_y, n_z)``, at least 0, in units of the brightest voxel of the training's scenes
        """
        return self._image(physics, prepare_input(self.method, physics, y, noise_std))

    @torch.no_grad()
    def image_and_std(
        self, physics: Physics, y: torch.Tensor, noise_std: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Reconstruct measurements, and predict the standard deviation of each voxel's error.

        Parameters
        ----------
        physics, y, noise_std
            As `__call__` takes them.

        Returns
        -------
        image
            What `__call__` returns, to the bit.
        std
            float32 of the same shape and unit; ``None`` where no spread was trained.
        """
        given = prepare_input(self.method, physics, y, noise_std)
        image = self._image(physics, given)
        if self.spread is None:
            return image, None
        unit, scale = image_unit(self.method, given), float(self.info["spread"]["scale"])
        return image, unit * scale * self.spread(given, conditions(physics, y, noise_std), image / unit, self.precision)

    @torch.no_grad()
    def _image(self, physics: Physics, given: tuple[torch.Tensor, ...]) -> torch.Tensor:
        images = run_prepared(self.module, self.method, physics, given, precision=self.precision, lattice_free=True)
        return images[-1].clamp_min(0)


def run_network(
    module: nn.Module,
    method: MethodConfig,
    physics: Physics,
    y: torch.Tensor,
    noise_std: torch.Tensor,
    *,
    precision: str = "float32",
    lattice_free: bool = False,
) -> list[torch.Tensor]:
    """Images ``(n_scene, n_x, n_y, n_z)``: one, or of an unrolled network one after each step; the last is the best.

    They may be negative, where a network's output is linear. Networks alone compute in `precision`, ``"float32"`` or
    ``"bfloat16"``. With `lattice_free` the one image of a network behind a
    sub-pixel shuffle is freed of its lattice (`mimo.models.lattice`); training wants the network as it is.
    """
    given = prepare_input(method, physics, y, noise_std)
    return run_prepared(module, method, physics, given, precision=precision, lattice_free=lattice_free)


def prepare_input(
    method: MethodConfig, physics: Physics, y: torch.Tensor, noise_std: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Make all that a network is given and that no weight changes: tensors whose first axis is the scene."""
    if method.kind == "unrolled":
        return prepare_start(physics, y, noise_std, two_stage=method.two_stage)
    given = features(method.stage, physics, y, noise_std)
    return (with_voxel_ratio(given, physics) if method.voxel_ratio else given,)


def run_prepared(
    module: nn.Module,
    method: MethodConfig,
    physics: Physics,
    given: tuple[torch.Tensor, ...],
    *,
    precision: str = "float32",
    lattice_free: bool = False,
) -> list[torch.Tensor]:
    """Do what `run_network` does, from what `prepare_input` made; networks other than unrolled ones need no physics."""
    if method.kind == "unrolled":
        images: list[torch.Tensor] = module(physics, Start(*given), precision)
        return images
    (volumes,) = given
    if lattice_free and has_lattice(module):
        out: torch.Tensor = apply_without_lattice(module, volumes, precision)
    else:
        with autocast(precision, volumes.device):
            out = module(volumes)
    return [out[:, 0].float()]
