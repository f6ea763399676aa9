"""Build convolutions with real, complex or hypercomplex weights on real tensors, and their normalisation.

A layer's channels are grouped by component: of ``n`` components, channel ``i * C + c`` is component i of number c. A
hypercomplex convolution has the weight ``sum_i kron(rules_i, parts_i)``: n small weights ``parts_i`` and n matrices
``rules_i`` (n, n) that say how components multiply. With the rules of complex numbers it is a complex convolution;
with learned rules it is the parameterised hypercomplex layer of Zhang et al., ICLR 2021 (arXiv 2102.08597), for
images Grassucci, Zhang, Comminiello, IEEE Trans. Neural Networks and Learning Systems 35 (2024) 8293. Either has 1/n
of the weights of a real layer with as many channels, and n^2 more for learned rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

__all__ = ["ALGEBRAS", "GROUP_SIZE", "NORMS", "ComplexBatchNorm", "HyperConv3d", "Layers", "fold_batch_norm"]

ALGEBRAS = ("real", "complex", "learned")
NORMS = ("none", "group", "batch")
GROUP_SIZE = 8
BATCH_NORM_EPS = 1e-5
Size = tuple[int, int, int]


class HyperConv3d(nn.Module):
    """A convolution, or its transpose with stride equal to the kernel, whose weight is a sum of Kronecker products.

    Parameters
    ----------
    n_in, n_out
        Real channels, multiples of `order`.
    kernel
        Voxels along each axis.
    order
        Components of a number, n.
    learned
        Learn the rules; else they are those of complex numbers and `order` is 2.
    transposed
        The transposed convolution with the kernel as stride; else one with padding that keeps the size.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel: Size, *, order: int, learned: bool, transposed: bool = False
    ) -> None:
        super().__init__()
        if n_in % order or n_out % order:
            raise ValueError(f"{n_in} and {n_out} channels are not multiples of the {order} components of a number")
        self.kernel, self.transposed = kernel, transposed
        small = (n_in // order, n_out // order) if transposed else (n_out // order, n_in // order)
        self.parts = nn.Parameter(torch.empty(order, *small, *kernel))
        fan_in = n_in * (1 if transposed else math.prod(kernel))
        nn.init.normal_(self.parts, std=math.sqrt(2 / fan_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        rules = (
            _learnable_rules(order) if learned else torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, 0.0]]])
        )
        if learned:
            self.rules = nn.Parameter(rules)
        else:
            self.register_buffer("rules", rules, persistent=False)

    def weight(self) -> torch.Tensor:
        """Return the whole weight, as the real convolution takes it."""
        rules = self.rules.mT if self.transposed else self.rules
        order, a, b = self.parts.shape[:3]
        whole = torch.einsum("ipq,iabxyz->paqbxyz", rules, self.parts)
        return whole.reshape(order * a, order * b, *self.kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_in, n_x, n_y, n_z) to (batch, n_out, ...)."""
        if self.transposed:
            return functional.conv_transpose3d(x, self.weight(), self.bias, stride=self.kernel)
        return functional.conv3d(x, self.weight(), self.bias, padding=tuple(k // 2 for k in self.kernel))


class ComplexBatchNorm(nn.Module):
    """Batch normalisation of complex channels: whitened by the 2 x 2 covariance, then a symmetric gain and an offset.

    Trabelsi et al., *Deep Complex Networks*, ICLR 2018, section 3.5. Channels: all real parts, then all imaginary ones.
    """

    def __init__(self, n_channel: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        n = n_channel // 2
        self.momentum, self.eps = momentum, eps
        self.gain = nn.Parameter(torch.tensor([1.0, 0.0, 1.0])[:, None].repeat(1, n) / math.sqrt(2))
        self.offset = nn.Parameter(torch.zeros(2, n))
        self.register_buffer("mean", torch.zeros(2, n))
        self.register_buffer("covariance", torch.tensor([1.0, 0.0, 1.0])[:, None].repeat(1, n) / 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (batch, 2 n, n_x, n_y, n_z)."""
        re, im = x.float().chunk(2, dim=1)
        if self.training:
            axes = (0, 2, 3, 4)
            mean = torch.stack((re.mean(axes), im.mean(axes)))
            a, b = re - _on(mean[0]), im - _on(mean[1])
            covariance = torch.stack(((a * a).mean(axes), (a * b).mean(axes), (b * b).mean(axes)))
            with torch.no_grad():
                self.get_buffer("mean").lerp_(mean, self.momentum)
                self.get_buffer("covariance").lerp_(covariance, self.momentum)
        else:
            mean, covariance = self.get_buffer("mean"), self.get_buffer("covariance")
            a, b = re - _on(mean[0]), im - _on(mean[1])
        rr, ri, ii = covariance[0] + self.eps, covariance[1], covariance[2] + self.eps
        root = (rr * ii - ri * ri).clamp_min(self.eps**2).sqrt()  # inverse square root of a 2 x 2 matrix
        scale = 1 / (root * (rr + ii + 2 * root).sqrt())
        u = _on((ii + root) * scale) * a - _on(ri * scale) * b
        w = _on((rr + root) * scale) * b - _on(ri * scale) * a
        out_re = _on(self.gain[0]) * u + _on(self.gain[1]) * w + _on(self.offset[0])
        out_im = _on(self.gain[1]) * u + _on(self.gain[2]) * w + _on(self.offset[1])
        return torch.cat((out_re, out_im), dim=1).to(x.dtype)


@dataclass(frozen=True)
class Layers:
    """Makes the layers of a network, all of one kind.

    Attributes
    ----------
    algebra
        ``"real"``, ``"complex"`` or ``"learned"`` (parameterised hypercomplex).
    order
        Components of a number in the ``"learned"`` algebra.
    norm
        ``"none"``, ``"group"`` (groups of 8 channels) or ``"batch"`` (the complex one in the complex algebra).
    planar
        Kernels, pools and strides of one voxel along z: each slice by itself.
    """

    algebra: str = "real"
    order: int = 1
    norm: str = "none"
    planar: bool = False

    def __post_init__(self) -> None:
        for name, value, allowed in (("norm", self.norm, NORMS), ("algebra", self.algebra, ALGEBRAS)):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
        if self.algebra == "complex" and self.norm == "group":
            raise ValueError("norm 'group' has no complex form, expected 'none' or 'batch' in the complex algebra")

    @property
    def components(self) -> int:
        """Components of a number."""
        return {"real": 1, "complex": 2, "learned": self.order}[self.algebra]

    @property
    def stride(self) -> Size:
        """Voxels that one becomes on the way up."""
        return (2, 2, 1) if self.planar else (2, 2, 2)

    def conv(self, n_in: int, n_out: int, side: int = 3) -> nn.Module:
        """Return a convolution that keeps the size. Inputs that are no whole numbers get real weights."""
        kernel = (side, side, 1 if self.planar else side)
        if self.components > 1 and n_in % self.components == 0 and n_out % self.components == 0:
            return HyperConv3d(n_in, n_out, kernel, order=self.components, learned=self.algebra == "learned")
        layer = nn.Conv3d(n_in, n_out, kernel, padding=(kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.get_parameter("bias"))
        return layer

    def up(self, n_in: int, n_out: int) -> nn.Module:
        """Return a transposed convolution that doubles the size."""
        if self.components > 1:
            learned = self.algebra == "learned"
            return HyperConv3d(n_in, n_out, self.stride, order=self.components, learned=learned, transposed=True)
        return nn.ConvTranspose3d(n_in, n_out, self.stride, stride=self.stride)

    def block(self, n_in: int, n_out: int, n_conv: int = 2) -> nn.Sequential:
        """Return convolutions, each followed by normalisation (if any) and ReLU (of each component)."""
        layers: list[nn.Module] = []
        for n in (n_in, *[n_out] * (n_conv - 1)):
            layers += [self.conv(n, n_out), *self._norm(n_out), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the size, rounded up: the largest of a block, for complex numbers that of largest magnitude."""
        if self.algebra != "complex":
            return functional.max_pool3d(x, self.stride, ceil_mode=True)
        re, im = x.chunk(2, dim=1)
        _, index = functional.max_pool3d(
            (re.square() + im.square()).detach(), self.stride, ceil_mode=True, return_indices=True
        )
        picked = [part.flatten(2).gather(2, index.flatten(2)).view(index.shape) for part in (re, im)]
        return torch.cat(picked, dim=1)

    def concatenate(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Join channels, component by component."""
        if self.components == 1:
            return torch.cat(list(tensors), dim=1)
        parts = [tensor.chunk(self.components, dim=1) for tensor in tensors]
        return torch.cat([part for component in zip(*parts, strict=True) for part in component], dim=1)

    def _norm(self, n: int) -> list[nn.Module]:
        if self.norm == "group":
            return [nn.GroupNorm(n // GROUP_SIZE, n)]
        if self.norm == "batch":
            return [ComplexBatchNorm(n) if self.algebra == "complex" else nn.BatchNorm3d(n, eps=BATCH_NORM_EPS)]
        return []


def _learnable_rules(order: int) -> torch.Tensor:
    """Rules to start from: those of the group of n turns (n = 2: split complex numbers), a little disturbed."""
    rules = torch.stack([torch.roll(torch.eye(order), shift, dims=0) for shift in range(order)])
    return rules + 0.1 * torch.randn(order, order, order)


def _on(values: torch.Tensor) -> torch.Tensor:
    """Shape one value a channel to broadcast over volumes."""
    return values[None, :, None, None, None]


def fold_batch_norm(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Fold each real batch normalisation into the convolution before it.

    A network trained with normalisation, which learns faster at the start, then goes on without, in which the level of
    its input is not bound to that of the training.

    Parameters
    ----------
    weights
        State of a network of real `Layers` with ``norm="batch"``; without any normalisation it comes back as it is.

    Returns
    -------
    dict
        State of the same network with ``norm="none"``, which gives the same output as the evaluated one.
    """
    folded = dict(weights)
    norms = [key.removesuffix(".running_mean") for key in weights if key.endswith(".running_mean")]
    for norm in norms:
        block, _, place = norm.rpartition(".")
        mean, variance, gain, offset = (
            folded.pop(f"{norm}.{name}") for name in ("running_mean", "running_var", "weight", "bias")
        )
        folded.pop(f"{norm}.num_batches_tracked", None)
        scale = gain / (variance + BATCH_NORM_EPS).sqrt()
        conv = f"{block}.{int(place) - 1}"
        folded[f"{conv}.weight"] = folded[f"{conv}.weight"] * scale[:, None, None, None, None]
        folded[f"{conv}.bias"] = (folded[f"{conv}.bias"] - mean) * scale + offset
    return {_without(key, norms): value for key, value in folded.items()}


def _without(key: str, norms: Sequence[str]) -> str:
    """The name of a parameter once its block has lost its normalisations."""
    module, _, name = key.rpartition(".")
    block, _, place = module.rpartition(".")
    before = [norm for norm in norms if norm.rpartition(".")[0] == block and int(norm.rpartition(".")[2]) < int(place)]
    return f"{block}.{int(place) - len(before)}.{name}" if before else key
