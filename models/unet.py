"""Define a 3D U-Net for volumes of any size, at full resolution or behind a sub-pixel shuffle."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from mimo.models.layers import GROUP_SIZE, Layers

__all__ = ["EMPTY", "UNet3D", "pixel_shuffle", "pixel_unshuffle"]

OUTPUTS = ("linear", "sigmoid")
EMPTY = -4.0
"""Where a sigmoid output starts: 0.02 everywhere."""


def pixel_unshuffle(volume: torch.Tensor, factor: int) -> torch.Tensor:
    """Move each block of ``factor^3`` voxels into the channels.

    Parameters
    ----------
    volume
        (batch, channel, n_x, n_y, n_z), each size a multiple of `factor`.
    factor
        Side of a block.

    Returns
    -------
    (batch, channel * factor^3, n_x / factor, n_y / factor, n_z / factor)
    """
    batch, channel, *shape = volume.shape
    n_x, n_y, n_z = (n // factor for n in shape)
    blocks = volume.reshape(batch, channel, n_x, factor, n_y, factor, n_z, factor)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, channel * factor**3, n_x, n_y, n_z)


def pixel_shuffle(volume: torch.Tensor, factor: int) -> torch.Tensor:
    """Undo `pixel_unshuffle`: (batch, channel * factor^3, n_x, ...) to (batch, channel, factor * n_x, ...)."""
    batch, channel, n_x, n_y, n_z = volume.shape
    blocks = volume.reshape(batch, channel // factor**3, factor, factor, factor, n_x, n_y, n_z)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(
        batch, channel // factor**3, factor * n_x, factor * n_y, factor * n_z
    )


class UNet3D(nn.Module):
    """A 3D U-Net on real volumes of any size, odd, even or a single voxel along an axis.

    At each level two 3 x 3 x 3 convolutions, each with normalisation (if any) and ReLU. Between levels a maximum over
    2 x 2 x 2 voxels on the way down, a transposed convolution of stride 2 on the way up, then the concatenation with
    the same level on the way down. Channels double from level to level: 32-64-128 is the denoiser of arXiv 2312.16024,
    1.36 million parameters. A size that is odd is halved upwards (the last voxel stands alone) and cut back on the way
    up, so no level works on padding.

    Parameters
    ----------
    in_channels, out_channels
        Channels of input and output.
    width
        Channels of the first level.
    levels
        Number of levels, at least 1.
    subpixel
        With 2, each block of 2 x 2 x 2 voxels becomes eight channels, the network works at half resolution, and its
        output is shuffled back: about eight times less arithmetic. Sizes that are not a multiple are padded by
        replication and cut back.
    norm
        ``"none"``, ``"group"`` (groups of 8 channels) or ``"batch"``. Without, the network trains faster on a CPU,
        treats a volume and its tiles alike, and keeps the absolute level of its input.
    residual
        Add the first input channel to every output channel.
    gate
        Besides, add the product of the first input channel and a second output of the network: the result is
        ``input (1 + g) + b``. An empty voxel is then emptied by g = -1, a smooth map, and the network need not carry
        the noise through its channels to subtract it, which matters most behind a sub-pixel shuffle. Needs `residual`.
    head
        Channels of one more convolution before the last, 1 x 1 x 1 one; 0 for none.
    output
        ``"linear"``, or ``"sigmoid"``, for an image in [0, 1], which does not go with `residual`.
    detail
        Behind a sub-pixel shuffle: so many maps are shuffled back to full resolution, where one more convolution of the
        same number of channels sees them beside the input. For an eighth more arithmetic with 8, edges are as fine as
        those of a network at full resolution. 0 for none.
    planar
        Kernels of one voxel along z: each slice by itself.
    algebra, order
        Of the weights: real, complex or learned of that order (`mimo.models.layers`); `width` counts real channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1,
        width: int = 32,
        levels: int = 3,
        subpixel: int = 1,
        norm: str = "none",
        residual: bool = True,
        gate: bool = False,
        head: int = 0,
        output: str = "linear",
        detail: int = 0,
        planar: bool = False,
        algebra: str = "real",
        order: int = 1,
    ) -> None:
        super().__init__()
        self.layers = layers = Layers(algebra, order, norm, planar)
        if min(in_channels, out_channels, width, levels, subpixel) < 1:
            raise ValueError("in_channels, out_channels, width, levels and subpixel must be at least 1")
        if norm == "group" and width % GROUP_SIZE:
            raise ValueError(f"width is {width}, group normalisation needs a multiple of {GROUP_SIZE}")
        if gate and not residual:
            raise ValueError("gate needs residual")
        if output not in OUTPUTS:
            raise ValueError(f"output is {output!r}, expected one of {', '.join(OUTPUTS)}")
        if residual and output != "linear":
            raise ValueError(f"residual needs a linear output, not {output!r}")
        if detail and subpixel == 1:
            raise ValueError("detail goes with subpixel 2: without a shuffle the network works at full resolution")
        if subpixel > 1 and planar:
            raise ValueError("planar goes with subpixel 1: the shuffle mixes slices")
        self.in_channels, self.subpixel, self.levels = in_channels, subpixel, levels
        self.residual, self.gate, self.output = residual, gate, output
        widths = [width * 2**level for level in range(levels)]
        below = [in_channels * subpixel**3, *widths[:-1]]
        self.down = nn.ModuleList(layers.block(a, b) for a, b in zip(below, widths, strict=True))
        self.up = nn.ModuleList(layers.up(2 * w, w) for w in widths[:-1])
        self.merge = nn.ModuleList(layers.block(2 * w, w) for w in widths[:-1])
        self.widen = layers.block(width, head, 1) if head else nn.Identity()
        n_out = (2 if gate else 1) * out_channels
        self.head = last = layers.conv(head or width, (detail or n_out) * subpixel**3, 1)
        self.detail = None
        if detail:
            self.detail = nn.Sequential(
                layers.block(detail + in_channels, detail, 1), last := layers.conv(detail, n_out, 1)
            )
        if output == "sigmoid":  # starts as an almost empty image, as most voxels are
            nn.init.constant_(last.get_parameter("bias"), EMPTY)
        if residual:  # starts as the identity
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    @property
    def multiple(self) -> int:
        """Voxels between two positions at which the network's sampling grids coincide."""
        return self.subpixel * 2 ** (self.levels - 1)

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(math.prod(p.shape) for p in self.parameters())

    def from_narrower(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Widen the weights of a narrower network; this one then gives the same output.

        The channels that come on top start as this network's own do, at random, and no channel that was there before
        sees them yet: training decides how. So a wide network need not learn what a narrow one has learned faster
        (the idea is that of Chen, Goodfellow, Shlens, *Net2Net*, ICLR 2016, who copy channels instead).

        Parameters
        ----------
        weights
            State of a network that differs in `width` alone, of real weights and without normalisation; any other
            comes back as it is.
        """
        own = self.state_dict()
        if set(own) != set(weights) or self.layers.norm != "none" or self.layers.components > 1:
            return dict(weights)
        return {name: _widened(name, weights[name], tensor) for name, tensor in own.items()}

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Map (batch, in_channels, n_x, n_y, n_z) to (batch, out_channels, n_x, n_y, n_z), real."""
        return self.finish(volume, self.raw(volume).to(volume.dtype))  # autocast or not, the output is not rounded

    def raw(self, volume: torch.Tensor) -> torch.Tensor:
        """Map (batch, in_channels, n_x, n_y, n_z) to the last layer's maps, of which `finish` makes the output."""
        if volume.ndim != 5 or volume.shape[1] != self.in_channels:
            raise ValueError(
                f"the input has shape {tuple(volume.shape)}, expected (batch, {self.in_channels}, n_x, n_y, n_z)"
            )
        shape, layers = volume.shape[2:], self.layers
        features = volume
        if self.subpixel > 1:
            missing = [-n % self.subpixel for n in shape]
            if any(missing):
                features = functional.pad(features, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")
            features = pixel_unshuffle(features, self.subpixel)
        features = features.contiguous(memory_format=torch.channels_last_3d)
        skips: list[torch.Tensor] = []
        for level, block in enumerate(self.down):
            if level:
                features = layers.pool(features)
            features = block(features)
            skips.append(features)
        for level in reversed(range(self.levels - 1)):
            skip = skips[level]
            n_x, n_y, n_z = skip.shape[2:]
            features = self.up[level](features)[:, :, :n_x, :n_y, :n_z]
            features = self.merge[level](layers.concatenate((skip, features)))
        out = self.head(self.widen(features))
        if self.subpixel > 1:
            out = pixel_shuffle(out, self.subpixel)[:, :, : shape[0], : shape[1], : shape[2]]
        if self.detail is not None:
            out = torch.cat((out, volume), dim=1).contiguous(memory_format=torch.channels_last_3d)
            out = self.detail(out)
        return out

    def finish(self, volume: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Make the output of the input and the last layer's maps: a nonlinearity, or a correction of the input."""
        if self.output == "sigmoid":
            return out.sigmoid()
        if not self.residual:
            return out
        first = volume[:, :1]
        if not self.gate:
            return first + out
        offset, gain = out.chunk(2, dim=1)
        return first + torch.addcmul(offset, first, gain)


def _widened(name: str, narrow: torch.Tensor, wide: torch.Tensor) -> torch.Tensor:
    """Put a narrow layer's weight or bias into a wide one's, whose old outputs see the old inputs only."""
    if narrow.ndim != wide.ndim or any(a > b for a, b in zip(narrow.shape, wide.shape, strict=True)):
        return narrow
    if wide.ndim == 1:
        return torch.cat((narrow, wide[len(narrow) :]))
    upwards = name.startswith("up.")  # (in, out, ...), others (out, in, ...)
    if upwards:
        narrow, wide = narrow.transpose(0, 1), wide.transpose(0, 1)
    parts = 2 if name.startswith("merge.") and name.endswith(".0.weight") else 1  # skip and what comes from below
    n_out, out = len(narrow), wide.clone()
    out[:n_out] = 0
    for old, new in zip(narrow.chunk(parts, dim=1), out.chunk(parts, dim=1), strict=True):
        new[:n_out, : old.shape[1]] = old
    return out.transpose(0, 1) if upwards else out
