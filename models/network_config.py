"""State what a network is made of, as training configurations and files of weights do."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from mimo.models.unet import UNet3D

__all__ = ["MethodConfig", "NetworkConfig"]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Arguments of `UNet3D`."""

    width: int = 32
    levels: int = 3
    subpixel: int = 1
    norm: str = "none"
    in_channels: int = 2
    residual: bool = True
    gate: bool = False
    head: int = 0
    output: str = "linear"
    detail: int = 0
    planar: bool = False
    algebra: str = "real"
    order: int = 1

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
