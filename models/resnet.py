"""Define a residual network at full resolution, the alternative to the U-Net in arXiv 2312.16959."""

from __future__ import annotations

import torch
from torch import nn

from mimo.models.layers import Layers
from mimo.models.unet import EMPTY

__all__ = ["ResNet3D"]


class ResNet3D(nn.Module):
    """Blocks of two 3 x 3 x 3 convolutions with a connection around them; a sigmoid makes the image.

    Every block starts as nothing but its connection (its last normalisation scales by 0, as Goyal et al., arXiv
    1706.02677, section 5.1, do it): without that the variance grows from block to block, and a short training does
    nothing but undo it.

    Parameters
    ----------
    in_channels
        Channels of the input.
    width
        Channels inside.
    blocks
        Number of blocks, at least 1.
    norm
        ``"none"``, ``"group"`` or ``"batch"``.
    """

    def __init__(self, in_channels: int, *, width: int = 64, blocks: int = 5, norm: str = "batch") -> None:
        super().__init__()
        if min(in_channels, width, blocks) < 1:
            raise ValueError("in_channels, width and blocks must be at least 1")
        layers = Layers(norm=norm)
        self.first = layers.block(in_channels, width, 1)
        self.blocks = nn.ModuleList(nn.Sequential(*list(layers.block(width, width))[:-1]) for _ in range(blocks))
        self.last = layers.conv(width, 1)
        nn.init.constant_(self.last.get_parameter("bias"), EMPTY)
        for block in self.blocks:
            weights = [parameter for name, parameter in block.named_parameters() if name.endswith("weight")]
            nn.init.zeros_(weights[-1])

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Map (batch, in_channels, n_x, n_y, n_z) to (batch, 1, n_x, n_y, n_z), in [0, 1]."""
        x = self.first(volume)
        for block in self.blocks:
            x = torch.relu(x + block(x))
        out: torch.Tensor = self.last(x).to(volume.dtype).sigmoid()
        return out
