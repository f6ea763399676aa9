"""Map measurements to images by fully connected layers: the first paper's DeepDI, and the start of Deep2S+."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from mimo.models.unet import EMPTY

__all__ = ["Dense"]


class Dense(nn.Module):
    """Two fully connected layers and a sigmoid from measurements to voxels, then a network on volumes or nothing.

    The layers know one array, sweep and grid by heart. They meet in `hidden` units: straight from 4,680 numbers to
    30,625 voxels would be 143 million weights.

    Parameters
    ----------
    n_in
        Real numbers in a measurement: twice the complex ones.
    shape
        Voxels ``(n_x, n_y, n_z)``.
    hidden
        Units in between.
    refine
        Maps ``(batch, 1, n_x, n_y, n_z)``, what the layers make, to the image. As long as they have not learned to make
        one it sees noise, and learns nothing: so they are trained by themselves first (`start_from`).
    """

    def __init__(
        self, n_in: int, shape: tuple[int, int, int], *, hidden: int = 256, refine: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.lift = nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, math.prod(shape)))
        self.refine = nn.Identity() if refine is None else refine
        nn.init.constant_(self.lift[-1].get_parameter("bias"), EMPTY)

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return this module's state with the layers of another one of the same sizes, whatever follows them there."""
        return dict(weights) if set(weights) == set(self.state_dict()) else self.state_dict() | dict(weights)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_in) to (batch, 1, n_x, n_y, n_z)."""
        # unit rms instead of unit maximum: the layers see numbers near 1
        values = values / values.square().mean(1, keepdim=True).clamp_min(1e-30).sqrt()
        out: torch.Tensor = self.refine(self.lift(values).sigmoid().reshape(-1, 1, *self.shape))
        return out
