"""Apply a trained denoiser of magnitudes, as a prior of the iterative methods does."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mimo.input_file import whole_input
from mimo.models.lattice import apply_without_lattice, has_lattice
from mimo.models.network_config import NetworkConfig
from mimo.models.precision import autocast, resolve_precision
from mimo.models.tiling import apply_tiled
from mimo.models.weight_files import EXPECTED, check_network, find_weights, load_weights
from mimo.options import build_table

__all__ = ["DEFAULT", "Denoiser", "estimate_level"]

DEFAULT = "denoiser-fast"
"""Name of the weights that are loaded when none are named."""
MAX_VOXELS = 2**20
"""Voxels that go through the network at once; at full resolution and width 32 about 0.7 GB, at half 0.1 GB."""
OVERLAP = 32
"""Voxels shared by neighbouring tiles."""
MEDIAN = {"speckle": math.sqrt(math.log(2)), "white": 0.6744897501960817}
"""Median of the magnitude of noise of rms 1: complex (Rayleigh) or real (half-normal)."""


def estimate_level(magnitude: torch.Tensor, *, corruption: str = "speckle") -> torch.Tensor:
    """Estimate the noise level of each volume from its median.

    Most of a scene is empty, and where it is empty the magnitude of complex noise of rms sigma follows a Rayleigh
    law of median ``sigma sqrt(ln 2)``. A body that fills much of the volume raises the estimate.

    Parameters
    ----------
    magnitude
        (..., n_x, n_y, n_z), real.
    corruption
        ``"speckle"`` for the magnitude of complex noise, ``"white"`` for real noise (median ``0.674 sigma``).

    Returns
    -------
    Shape (...)
        Estimated rms of the noise.
    """
    return magnitude.abs().flatten(-3).median(dim=-1).values / MEDIAN[corruption]


class Denoiser:
    """A network that takes a magnitude and its noise level, and answers a magnitude.

    Parameters
    ----------
    network
        Maps (batch, 2, n_x, n_y, n_z), magnitude and noise level, to (batch, 1, n_x, n_y, n_z). It is set to
        evaluation, and its device is where the work is done.
    info
        What is known of it: the configuration stored with its weights.
    max_voxels
        Voxels that go through the network at once. A batch is cut into groups of volumes that fit; a volume that does
        not goes through in tiles that overlap by 32 voxels (`mimo.models.tiling`). Tiled and whole results differ by
        less than one per cent of the maximum (tested): tiles see a little less of the volume around them.
    lattice_free
        Whether the output of a network behind a sub-pixel shuffle is freed of its lattice (`mimo.models.lattice`).
        Training, which wants the network as it is, says no.
    precision
        In which the network computes: ``"float32"``, ``"bfloat16"``, or ``"auto"`` for the latter where the device has
        it in hardware (`mimo.models.precision`).

    Notes
    -----
    The networks that ship were trained on targets with a maximum of 0.25 to 1.25 (``denoiser-fast``) or 1
    (``denoiser``) and noise of rms up to 0.35 or 0.2. Bring other units to that range: ``scale * denoiser(m / scale,
    sigma / scale)`` with, say, the maximum of ``m`` as the scale.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        info: Mapping[str, Any] | None = None,
        max_voxels: int = MAX_VOXELS,
        lattice_free: bool = True,
        precision: str = "auto",
    ) -> None:
        if max_voxels < 1:
            raise ValueError(f"max_voxels is {max_voxels}, expected at least 1")
        self.network = network.eval()
        self.info = dict(info or {})
        self.max_voxels = max_voxels
        self.lattice_free = lattice_free
        self._asked = precision
        _ = self.precision  # a word that is none, or one for emulation, is said now

    @classmethod
    def load(
        cls,
        name_or_path: str | os.PathLike[str] = DEFAULT,
        *,
        device: torch.device | str = "cpu",
        max_voxels: int = MAX_VOXELS,
        precision: str = "auto",
    ) -> Denoiser:
        """Load weights that ship, by name, or a ``.safetensors`` file.

        Raises
        ------
        FileNotFoundError
            When there is neither; the message lists the names that ship.
        ValueError
            When the file is not whole, not of this project, or does not fit the network that it describes; the message
            names the file.
        """
        path = find_weights(name_or_path)
        state, info = load_weights(path)
        if info.get("kind") != "denoiser":
            raise ValueError(f"{path}: weights of kind {info.get('kind')!r}, expected 'denoiser'")
        with whole_input(path, EXPECTED):
            config = build_table(NetworkConfig, info.get("network", {}), "network.")
            check_network(path, config.least_weights)
            network = config.build_empty()
        try:
            network.load_state_dict(state)
        except RuntimeError as error:  # a line for each tensor
            reason = str(error).splitlines()[1].strip()
            raise ValueError(f"{path}: its tensors are not those of the network that it describes: {reason}") from error
        return cls(network.to(device), info=info, max_voxels=max_voxels, precision=precision)

    def __repr__(self) -> str:
        name = type(self.network).__name__
        return f"Denoiser({name}, corruption={self.corruption!r}, max_voxels={self.max_voxels})"

    @property
    def corruption(self) -> str:
        """The noise that it was trained on: ``"speckle"`` (complex, the default) or ``"white"`` (real)."""
        return str(self.info.get("data", {}).get("corruption", "speckle"))

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return next((p.device for p in self.network.parameters()), torch.device("cpu"))

    @property
    def precision(self) -> str:
        """In which the network computes, ``"float32"`` or ``"bfloat16"``: what was asked for, on its device."""
        return resolve_precision(self._asked, self.device)

    def to(self, device: torch.device | str) -> Denoiser:
        """Move the network, and return this denoiser."""
        self.network.to(device)
        return self

    @torch.no_grad()
    def __call__(self, magnitude: torch.Tensor, sigma: float | torch.Tensor | None = None) -> torch.Tensor:
        """Denoise magnitudes.

        Parameters
        ----------
        magnitude
            (..., n_x, n_y, n_z), real, any number of leading axes, any device; float32 is what it works in.
        sigma
            Rms of the noise, in units of the magnitude: one number, one for each volume (...), or a map, one for each
            voxel, (n_x, n_y, n_z) or (..., n_x, n_y, n_z). None is blind: `estimate_level` of each volume.

        Returns
        -------
        Tensor of the shape, dtype and device of `magnitude`
            At least 0.

        Raises
        ------
        TypeError
            When `magnitude` is not real floating point.
        ValueError
            When a shape is wrong or a noise level is negative.
        """
        if not magnitude.is_floating_point():
            raise TypeError(f"magnitude has dtype {magnitude.dtype}, expected float32: pass x.abs() of a complex field")
        if magnitude.ndim < 3:
            raise ValueError(f"magnitude has shape {tuple(magnitude.shape)}, expected (..., n_x, n_y, n_z)")
        if magnitude.numel() == 0:
            return magnitude.clone()
        level = self._level(magnitude, sigma)
        shape = magnitude.shape[-3:]
        volumes = magnitude.reshape(-1, *shape).float()
        levels = level.expand(magnitude.shape).reshape(-1, *shape)
        group = self.max_voxels // math.prod(shape)
        result = torch.empty_like(volumes)
        for start in range(0, len(volumes), max(group, 1)):
            part = slice(start, start + max(group, 1))
            inputs = torch.stack((volumes[part], levels[part]), dim=1)
            if group:
                out = self._apply(inputs)
            else:
                multiple = getattr(self.network, "multiple", 1)
                out = apply_tiled(self._apply, inputs, max_voxels=self.max_voxels, overlap=OVERLAP, multiple=multiple)
            result[part] = out[:, 0]
        return result.clamp_(min=0).reshape(magnitude.shape).to(magnitude.dtype)

    def _apply(self, inputs: torch.Tensor) -> torch.Tensor:
        """Run the network on its own device and bring the result back."""
        given = inputs.to(self.device)
        if self.lattice_free and has_lattice(self.network):
            return apply_without_lattice(self.network, given, self.precision).to(inputs.device)
        with autocast(self.precision, self.device):
            out: torch.Tensor = self.network(given)
        return out.to(inputs.device, inputs.dtype)

    def _level(self, magnitude: torch.Tensor, sigma: float | torch.Tensor | None) -> torch.Tensor:
        """Return the noise level, shaped to broadcast over `magnitude`."""
        batch, shape = magnitude.shape[:-3], magnitude.shape[-3:]
        if sigma is None:
            level = estimate_level(magnitude.float(), corruption=self.corruption)
        else:
            level = torch.as_tensor(sigma, dtype=torch.float32, device=magnitude.device)
        if level.ndim == 0 or level.shape == batch:
            level = level[..., None, None, None]
        elif level.shape not in (shape, magnitude.shape):
            raise ValueError(
                f"sigma has shape {tuple(level.shape)}, magnitude has {tuple(magnitude.shape)}: expected one number, "
                f"{tuple(batch)} or {tuple(shape)}"
            )
        if bool((level < 0).any()) or bool(level.isnan().any()):
            raise ValueError("sigma is negative or not a number, expected the rms of the noise")
        return level
