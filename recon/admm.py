"""C-SALSA: alternating directions for a prior on the magnitude under a bound on the residual, over callables only.

Minimises ``R(|x|)`` subject to ``|A x - y| <= eps`` with the splittings ``v1 = x`` and ``v2 = A x`` and scaled duals
d1, d2 (Afonso, Bioucas-Dias, Figueiredo, IEEE Trans. Image Processing 20 (2011) 681; arXiv 2312.16024, algorithm 1).
One iteration:

    x  = argmin |A x - (v2 + d2)|^2 + kappa |x - (v1 + d1)|^2      the x step, replaceable
    v1 = prox_{weight R(|.|)}(x - d1)                               the prior, on the magnitude
    v2 = y + (A x - d2 - y) min(1, eps / |A x - d2 - y|)            projection on the ball around y
    d1 = d1 - (x - v1),   d2 = d2 - (A x - v2)

Each scene stops by itself and is not touched afterwards. Measurements live in whatever coordinates the x step chooses,
as long as they keep norms: with the eigenvectors of A A^H they need no product with them between iterations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from mimo import GramFactor, ImagingOperator
from recon.prox import Prox, Weight, per_scene


class XStep(Protocol):
    """Least squares between a measurement and an image, for an operator A of its own scale."""

    name: str

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """Measurements ``(n_scene, ...)`` in the step's coordinates, ``(n_scene, m)``; norms are kept."""
        ...

    def solve(self, s1: torch.Tensor, s2: torch.Tensor, kappa: Weight) -> tuple[torch.Tensor, torch.Tensor]:
        """``argmin |A x - s2|^2 + kappa |x - s1|^2`` and ``A x``; `s2` and ``A x`` in the step's coordinates.

        `kappa` is one number or one for each scene.
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

    def solve(self, s1: torch.Tensor, s2: torch.Tensor, kappa: Weight) -> tuple[torch.Tensor, torch.Tensor]:
        """See `XStep`."""
        A, s = self._factor.A, self._eigenvalues
        weight = torch.as_tensor(kappa, dtype=s.dtype, device=s.device).reshape(-1, 1)
        z = (weight * self.encode(A.forward(s1)) / self._scale + s * s2) / (weight + s)
        return s1 + A.adjoint(self._factor.measurement(s2 - z)) / (self._scale * weight[..., None, None]), z


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
        self.tolerance, self.max_iterations = tolerance, max_iterations

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """The measurement itself, flattened."""
        return y.flatten(1)

    def solve(self, s1: torch.Tensor, s2: torch.Tensor, kappa: Weight) -> tuple[torch.Tensor, torch.Tensor]:
        """See `XStep`; `s1`, which is near the solution once the outer iteration settles, is where it starts."""
        A, scale = self._A, self._scale
        kappa = per_scene(kappa, s1)

        def normal(x: torch.Tensor) -> torch.Tensor:
            return A.adjoint(A.forward(x)) / scale**2 + kappa * x

        wanted = A.adjoint(s2.reshape(-1, *A.measurement_shape)) / scale + kappa * s1
        x = s1.clone()
        r = wanted - normal(x)
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
        return x, A.forward(x).flatten(1) / scale


def _power(x: torch.Tensor) -> torch.Tensor:
    return x.abs().square().sum((1, 2, 3), keepdim=True)


@dataclass
class Solution:
    """What `csalsa` gives.

    Attributes
    ----------
    image
        ``(n_scene, n_x, n_y, n_z)``: v1, which has the prior's structure.
    iterations
        Of each scene.
    converged
        Whether each scene met its criterion.
    history
        One entry an iteration: ``relative_change``, ``residual`` (over eps) and ``prior`` of each scene (``None`` once
        it has stopped), ``seconds`` since the start.
    interrupted
        Whether a keyboard interrupt ended it early.
    """

    image: torch.Tensor
    iterations: list[int]
    converged: list[bool]
    history: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False


def csalsa(
    step: XStep,
    prox: Prox,
    y: torch.Tensor,
    eps: torch.Tensor,
    start: torch.Tensor,
    *,
    weight: float,
    kappa: float,
    max_iterations: int,
    tolerance: float,
    prior: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> Solution:
    """Run the iteration of this module.

    Parameters
    ----------
    step
        The x step.
    prox
        Proximal map of ``weight R(|.|)`` on complex images.
    y
        Measurement in the step's coordinates, complex ``(n_scene, m)``.
    eps
        Bound on the residual's norm, ``(n_scene,)``.
    start
        First image, complex ``(n_scene, n_x, n_y, n_z)``.
    weight, kappa
        Weight handed to `prox`; weight of the image against the measurement in the x step.
    max_iterations, tolerance
        A scene stops when its image changes by less than `tolerance`, relative, and its residual is below 1.01 eps.
    prior
        R of each scene, for the history.

    Returns
    -------
    Solution
        Of a keyboard interrupt, what was reached.
    """
    n_scene = len(y)
    active = torch.arange(n_scene, device=y.device)
    image = start.clone()
    v1, d1 = start.clone(), torch.zeros_like(start)
    v2, d2 = y.clone(), torch.zeros_like(y)
    result = Solution(image, [0] * n_scene, [False] * n_scene)
    started = time.perf_counter()
    try:
        for _ in range(max_iterations):
            x, ax = step.solve(v1[active] + d1[active], v2[active] + d2[active], kappa)
            new = prox(x - d1[active], weight)
            gap = ax - d2[active] - y[active]
            new_v2 = y[active] + gap * (eps[active] / gap.norm(dim=1).clamp_min(1e-38)).clamp(max=1)[:, None]
            d1[active] -= x - new
            d2[active] -= ax - new_v2
            size = new.flatten(1).norm(dim=1)
            change = (new - v1[active]).flatten(1).norm(dim=1) / size.clamp_min(1e-38)
            residual = (ax - y[active]).norm(dim=1) / eps[active].clamp_min(1e-38)
            v1[active], v2[active], image[active] = new, new_v2, new
            result.history.append(_entry(active, n_scene, change, residual, prior, new, started))
            done = (change < tolerance) & (residual < 1.01)
            for scene, over in zip(active.tolist(), done.tolist(), strict=True):
                result.iterations[scene] += 1
                result.converged[scene] = over
            active = active[~done]
            if not len(active):
                break
    except KeyboardInterrupt:
        result.interrupted = True
    return result


def _entry(
    active: torch.Tensor,
    n_scene: int,
    change: torch.Tensor,
    residual: torch.Tensor,
    prior: Callable[[torch.Tensor], torch.Tensor] | None,
    image: torch.Tensor,
    started: float,
) -> dict[str, Any]:
    columns = {"relative_change": change, "residual": residual}
    if prior is not None:
        columns["prior"] = prior(image)
    entry: dict[str, Any] = {}
    for name, values in columns.items():
        row: list[float | None] = [None] * n_scene
        for scene, value in zip(active.tolist(), values.tolist(), strict=True):
            row[scene] = value
        entry[name] = row
    entry["seconds"] = time.perf_counter() - started
    return entry
