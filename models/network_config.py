"""State what a network is made of, as training configurations and files of weights do."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from mimo.memory import check_memory
from mimo.models.unet import UNet3D
from mimo.options import check_ranges

__all__ = ["MethodConfig", "NetworkConfig"]


NETWORK_RANGES = {
    "width": (1, 4096),
    "levels": (1, 12),
    "subpixel": (1, 4),
    "in_channels": (1, 4096),
    "head": (0, 4096),
    "detail": (0, 4096),
    "order": (1, 64),
}
METHOD_RANGES = {"blocks": (1, 1000), "hidden": (1, 2**20), "steps": (1, 1000)}
"""Smallest and largest value of each number: beyond, a file's description would keep the machine busy without end."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Arguments of `UNet3D`."""

    width: int = 32
    """Channels of the first level."""
    levels: int = 3
    """Levels of resolution; channels double from one to the next."""
    subpixel: int = 1
    """2 lets the network work at half resolution, its output shuffled back: an eighth of the arithmetic."""
    norm: str = "none"
    """Normalisation: ``"none"``, ``"group"`` or ``"batch"``."""
    in_channels: int = 2
    """Channels of the input; a reconstructor's are those of its first stage, whatever this says."""
    residual: bool = True
    """Add the first input channel to the output."""
    gate: bool = False
    """Besides, add the product of the first input channel and a second output (needs ``residual``)."""
    head: int = 0
    """Channels of one more convolution before the last; 0 for none."""
    output: str = "linear"
    """``"linear"``, ``"sigmoid"`` or ``"magnitude"``."""
    detail: int = 0
    """Maps that are shuffled back to full resolution for one more convolution (with ``subpixel = 2``); 0 for none."""
    planar: bool = False
    """Kernels of one voxel along z: each slice by itself."""
    algebra: str = "real"
    """What weights are: ``"real"``, ``"complex"`` or ``"learned"``, hypercomplex numbers whose product is learned."""
    order: int = 1
    """Components of a number of the learned algebra."""

    def __post_init__(self) -> None:
        check_ranges("network", self, NETWORK_RANGES)
        what = f"network.levels {self.levels} of network.width {self.width}"
        check_memory(what, 4.0 * self.least_weights, otherwise="a smaller network")

    @property
    def least_weights(self) -> float:
        """Number of weights that the network has at least."""
        kernel = 9 if self.planar else 27
        return kernel / self.order * sum((self.width * 2**level) ** 2 for level in range(self.levels))

    def build(self) -> UNet3D:
        """Return a fresh network."""
        return UNet3D(**asdict(self))

    def build_empty(self) -> UNet3D:
        """Return a network whose weights have no values yet, without touching any random state."""
        with torch.device("meta"):
            network = self.build()
        return network.to_empty(device="cpu")


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """How a reconstructor goes from measurements to an image."""

    kind: str = "unet"
    """``"unet"``, ``"resnet"``, ``"dense"`` (see `mimo.models.dense`) or ``"unrolled"`` (see
    `mimo.models.unrolled`)."""
    stage: str = "adjoint"
    """What the network is given: a name in `mimo.models.stages.STAGES`."""
    blocks: int = 5
    """Blocks of two convolutions (resnet)."""
    hidden: int = 256
    """Units between the measurements and the image (dense)."""
    refine: bool = False
    """Let the U-Net of ``[network]`` follow the fully connected layers (dense)."""
    steps: int = 3
    """Data steps (unrolled)."""
    shared: bool = False
    """Let one network serve in every step (unrolled)."""
    two_stage: bool = False
    """Let the network of a two-stage method make the first image (unrolled)."""
    voxel_ratio: bool = False
    """Tell the network the voxel's size over the resolution, three channels more (unet, unrolled): for any array."""

    def __post_init__(self) -> None:
        check_ranges("method", self, METHOD_RANGES)
