"""The x step of the splittings: least squares between a measurement and an image, exact or by conjugate gradients."""

from __future__ import annotations

from typing import Protocol

import torch

from mimo import GramFactor, ImagingOperator
from recon.prox import Weight, per_scene


class XStep(Protocol):
    """Least squares between a measurement and an image, for an operator A of its own scale."""

    name: str

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """Measurements ``(n_scene, ...)`` in the step's coordinates, ``(n_scene, m)``; norms are kept."""
        ...

    def solve(self, s1: torch.Tensor | None, s2: torch.Tensor, kappa: Weight) -> tuple[torch.Tensor, torch.Tensor]:
        """``argmin |A x - s2|^2 + kappa |x - s1|^2`` and ``A x``; `s2` and ``A x`` in the step's coordinates.

        An `s1` of None is zero, at no cost. `kappa` is one number or one for each scene.
        """
        ...


class GramStep:
    """Exact, through the factorised ``A A^H = U diag(s) U^H``: one forward, one adjoint and two m x m products.

    ``z = (kappa I + A A^H)^-1 (kappa A s1 + A A^H s2)``, ``x = s1 + A^H (s2 - z) / kappa``, and ``A x = z`` for free.

    Parameters
    ----------
    factor
        The factorisation.
    scale
        The operator is divided by it; `encode` divides nothing.
    """

    name = "gram"

    def __init__(self, factor: GramFactor, scale: float) -> None:
        self._factor, self._scale = factor, scale
        self._eigenvalues = (factor.eigenvalues / scale**2).to(factor.eigenvectors.real.dtype)

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """``U^H y``."""
        return self._factor.coefficients(y)

    def solve(self, s1: torch.Tensor | None, s2: torch.Tensor, kappa: Weight) -> tuple[torch.Tensor, torch.Tensor]:
        """See `XStep`."""
        A, s = self._factor.A, self._eigenvalues
        weight = torch.as_tensor(kappa, dtype=s.dtype, device=s.device).reshape(-1, 1)
        known = s * s2 if s1 is None else weight * self.encode(A.forward(s1)) / self._scale + s * s2
        z = known / (weight + s)
        update = A.adjoint(self._factor.measurement(s2 - z)) / (self._scale * weight[..., None, None])
        return update if s1 is None else s1 + update, z


class ConjugateGradientStep:
    """By conjugate gradients on ``(A^H A + kappa I) x = A^H s2 + kappa s1``, started from the previous solution.

    For measurements too many to factorise. Scenes are solved together; each stops at its own tolerance.

    Parameters
    ----------
    A
        The operator.
    scale
        The operator is divided by it.
    tolerance
        Of the normal equations' residual, relative to their right-hand side.
    max_iterations
        At most so many; each is one forward and one adjoint.
    """

    name = "conjugate gradients"

    def __init__(self, A: ImagingOperator, scale: float, *, tolerance: float = 1e-4, max_iterations: int = 50) -> None:
        self._A, self._scale = A, scale
        self._last: torch.Tensor | None = None
        self.tolerance, self.max_iterations = tolerance, max_iterations

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """The measurement itself, flattened."""
        return y.flatten(1)

    def solve(self, s1: torch.Tensor | None, s2: torch.Tensor, kappa: Weight) -> tuple[torch.Tensor, torch.Tensor]:
        """See `XStep`; it starts from the solution of the call before, or from `s1`, whichever is nearer."""
        A, scale = self._A, self._scale
        if s1 is None:
            s1 = torch.zeros((len(s2), *A.volume_shape), dtype=s2.dtype, device=s2.device)
        kappa = per_scene(kappa, s1)

        def normal(x: torch.Tensor) -> torch.Tensor:
            return A.adjoint(A.forward(x)) / scale**2 + kappa * x

        wanted = A.adjoint(s2.reshape(-1, *A.measurement_shape)) / scale + kappa * s1
        x = s1.clone()
        r = wanted - normal(x)
        if self._last is not None and self._last.shape == x.shape:
            other = wanted - normal(self._last)
            nearer = _power(other) < _power(r)
            x, r = torch.where(nearer, self._last, x), torch.where(nearer, other, r)
        p, power = r.clone(), _power(r)
        limit = (self.tolerance**2) * _power(wanted)
        for _ in range(self.max_iterations):
            going = power > limit
            if not bool(going.any()):
                break
            q = normal(p)
            step = torch.where(going, power / (p.conj() * q).real.sum((1, 2, 3), keepdim=True).clamp_min(1e-38), 0.0)
            x, r = x + step * p, r - step * q
            after = _power(r)
            p = r + torch.where(going, after / power.clamp_min(1e-38), 0.0) * p
            power = after
        self._last = x
        return x, A.forward(x).flatten(1) / scale


def _power(x: torch.Tensor) -> torch.Tensor:
    return x.abs().square().sum((1, 2, 3), keepdim=True)
