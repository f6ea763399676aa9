"""Look at an operator through a few products with it: its norm, and regularised solutions of every weight at once.

Golub and Kahan's bidiagonalisation, started from a measurement, builds orthonormal bases of measurements and images in
which A is a small bidiagonal matrix. Some tens of steps, each one product with A and one with its conjugate transpose,
give the largest singular value to many digits, the regularised solution for any weight that is not tiny, and what it
predicts for measurements that were kept out (Golub, Kahan, SIAM J. Numer. Anal. 2 (1965) 205; O'Leary, Simmons, SIAM J.
Sci. Stat. Comput. 2 (1981) 474).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mimo.imaging_operator import ImagingOperator
from mimo.operator_algebra import OperatorAlgebra
from mimo.progress import Report, silent

__all__ = ["STEPS", "Bidiagonal", "bidiagonalise", "krylov_norm", "krylov_tikhonov", "weights_of"]

STEPS = 40
"""Steps by default: enough for weights down to about 1e-3 of the largest eigenvalue of A A^H."""

NORM_STEPS = 12
"""Steps that the norm is found by."""


@dataclass(frozen=True)
class Bidiagonal:
    """Holds the bases and the small matrices of some scenes: ``A V = U B`` on the measurements that were kept.

    Attributes
    ----------
    images
        V, complex ``(n_step, n_scene, *A.volume_shape)``.
    seen
        A V for every measurement, those kept out too, complex ``(n_step, n_scene, m)``.
    small
        B, float64 ``(n_scene, n_step + 1, n_step)``.
    size
        Norm of the measurement that was kept, float64 ``(n_scene,)``.
    """

    images: torch.Tensor
    seen: torch.Tensor
    small: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]

    @property
    def norm(self) -> float:
        """Largest singular value of A found by any scene: never above the true one."""
        return float(np.linalg.svd(self.small, compute_uv=False).max())

    def coefficients(self, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the coefficients in V of the solutions for weights (n_scene, n_weight): (n_scene, n_weight, n_step).

        They minimise ``|A x - y|^2 + weight |x|^2`` in the space of V.
        """
        left, s, right = np.linalg.svd(self.small, full_matrices=False)
        first = left[:, 0] * self.size[:, None]
        filtered = first[:, None] * s[:, None] / (s[:, None] ** 2 + weights[..., None])
        return filtered @ right

    def residuals(self, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return |A x - y|^2 of the kept measurements for weights (n_scene, n_weight), in that shape."""
        fit = np.einsum("ski,swi->swk", self.small, self.coefficients(weights))
        fit[..., 0] -= self.size[:, None]
        return np.square(fit).sum(-1)

    def leverage(self, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return ``y^H weight (A A^H + weight)^-1 y / |y|^2`` for weights (n_scene, n_weight), in that shape.

        For a random y it estimates the mean of ``weight / (s + weight)`` over the eigenvalues s of ``A A^H``.
        """
        left, s, _ = np.linalg.svd(self.small)
        square = np.concatenate([s**2, np.zeros((len(s), 1))], axis=1)
        return np.einsum("sk,swk->sw", left[:, 0] ** 2, weights[..., None] / (square[:, None] + weights[..., None]))

    def solution(self, weight: npt.NDArray[np.float64]) -> torch.Tensor:
        """Return the images of one weight a scene, (n_scene,): complex (n_scene, *A.volume_shape)."""
        return self._sum(self.images, self.coefficients(weight[:, None])[:, 0])

    def prediction(self, weight: npt.NDArray[np.float64]) -> torch.Tensor:
        """Return A x of every measurement for one weight a scene: complex (n_scene, m)."""
        return self._sum(self.seen, self.coefficients(weight[:, None])[:, 0])

    @staticmethod
    def _sum(basis: torch.Tensor, coefficients: npt.NDArray[np.float64]) -> torch.Tensor:
        factors = torch.as_tensor(coefficients.T.copy(), device=basis.device).to(basis.dtype)
        return torch.einsum("ks,ks...->s...", factors, basis)


def bidiagonalise(
    A: OperatorAlgebra,
    y: torch.Tensor,
    *,
    steps: int = STEPS,
    keep: torch.Tensor | None = None,
    report: Report = silent,
) -> Bidiagonal:
    """Run the bidiagonalisation from measurements, with full reorthogonalisation.

    Parameters
    ----------
    A
        The operator.
    y
        Measurements ``(n_scene, *A.measurement_shape)``.
    steps
        Products with A, and with its conjugate transpose; fewer are made where the space is exhausted.
    keep
        bool, broadcasting over ``y``: the measurements that are used; ``None`` for all.
    report
        Told the share done, 0 to 1.
    """
    n_scene = len(y)
    mask = None if keep is None else keep.expand(y.shape).flatten(1)
    flat = y.flatten(1) if mask is None else y.flatten(1) * mask
    steps = min(steps, flat.shape[1], int(np.prod(A.volume_shape)))
    left, right = (_Basis(steps + 1, like) for like in (flat, flat.new_empty((n_scene, math.prod(A.volume_shape)))))
    seen = flat.new_empty((steps, *flat.shape))
    alphas = torch.zeros((steps, n_scene), dtype=torch.float64)
    betas = torch.zeros((steps + 1, n_scene), dtype=torch.float64)

    exhausted = 1e-5 if y.dtype == torch.complex64 else 1e-12
    largest = torch.zeros(n_scene, dtype=y.real.dtype, device=y.device)

    def unit(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return unit vectors and sizes; both 0 where rounding alone is left, as the space is exhausted then."""
        size = x.norm(dim=1)
        size = torch.where(size > exhausted * largest, size, torch.zeros_like(size))
        return x * (size > 0)[:, None] / size.clamp_min(1e-30)[:, None], size

    def adjoint(u: torch.Tensor) -> torch.Tensor:
        return A.adjoint(u.reshape(y.shape)).flatten(1)

    u, betas[0] = unit(flat)
    left.add(u)
    v = adjoint(u)
    for k in range(steps):
        if k:
            v = right.apart(v - betas[k].to(v)[:, None] * right.last)
        v, alphas[k] = unit(v)
        largest = torch.maximum(largest, alphas[k].to(largest))
        right.add(v)
        forward = A.forward(v.reshape(n_scene, *A.volume_shape)).flatten(1)
        seen[k] = forward
        kept = forward if mask is None else forward * mask
        u, betas[k + 1] = unit(left.apart(kept - alphas[k].to(v)[:, None] * left.last))
        left.add(u)
        if k + 1 < steps:
            v = adjoint(u)
        report((k + 1) / steps)
    small = np.zeros((n_scene, steps + 1, steps))
    index = np.arange(steps)
    small[:, index, index] = alphas.T.double().numpy()
    small[:, index + 1, index] = betas[1:].T.double().numpy()
    images = right.vectors[:, :steps].transpose(0, 1).unflatten(2, A.volume_shape)
    return Bidiagonal(images, seen, small, betas[0].double().numpy())


def krylov_tikhonov(
    A: ImagingOperator,
    y: torch.Tensor,
    *,
    weight: str = "gcv",
    noise_std: float | torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Tikhonov solutions without a factorisation, from some tens of products (`mimo.krylov`).

    Parameters
    ----------
    A, y
        The operator, and measurements ``(n_scene, *A.measurement_shape)``.
    weight
        ``gcv``, generalised cross-validation, whose trace is estimated from one random measurement (Golub, von Matt, J.
        Comput. Graph. Stat. 6 (1997) 1), or ``discrepancy``, which needs `noise_std`.
    noise_std
        Standard deviation of the complex noise, one number or one for each scene.

    Returns
    -------
    image, weight
        Complex ``(n_scene, *A.volume_shape)`` and float64 ``(n_scene,)``.
    """
    if weight == "discrepancy":
        found = bidiagonalise(A, y)
        weights = np.tile(weights_of(krylov_norm(A)), (len(y), 1))
        std = np.broadcast_to(torch.as_tensor(noise_std, dtype=torch.float64).cpu().numpy(), (len(y),))
        score = np.abs(found.residuals(weights) - A.n_measurement * np.square(std)[:, None])
        chosen = weights[0][score.argmin(1)]
        return found.solution(chosen), torch.as_tensor(chosen)
    rng = torch.Generator().manual_seed(0)
    phase = torch.rand((1, *y.shape[1:]), dtype=y.real.dtype, generator=rng).to(y.device)
    probe = torch.polar(torch.ones_like(phase), 2 * torch.pi * phase)
    mask = A.mask_of_measurements()
    if mask is not None:
        probe = probe * mask.reshape(y.shape[1:])
    found = bidiagonalise(A, torch.cat([y, probe]))
    weights = np.tile(weights_of(krylov_norm(A)), (len(y) + 1, 1))
    score = found.residuals(weights)[:-1] / found.leverage(weights)[-1] ** 2
    chosen = np.concatenate([weights[0][score.argmin(1)], weights[0][-1:]])
    return found.solution(chosen)[:-1], torch.as_tensor(chosen[:-1])


def krylov_norm(A: ImagingOperator) -> float:
    """Return the largest singular value of A, from below and to a few per mille, by `NORM_STEPS` products."""
    rng = torch.Generator().manual_seed(0)
    y = torch.randn((1, *A.measurement_shape), dtype=A.dtype, generator=rng).to(A.device)
    return bidiagonalise(A, y, steps=NORM_STEPS).norm


def weights_of(norm: float, *, lowest: float = 1e-3, count: int = 41) -> npt.NDArray[np.float64]:
    """Return weights to choose from, float64 (count,), ascending: `lowest` to 10 times the largest eigenvalue."""
    return norm**2 * np.geomspace(lowest, 10, count)


class _Basis:
    """Holds up to `n` orthonormal vectors for each scene; `like` (n_scene, m) says how long and of what kind."""

    def __init__(self, n: int, like: torch.Tensor) -> None:
        self.vectors, self._count = like.new_empty((len(like), n, like.shape[1])), 0

    def add(self, vector: torch.Tensor) -> None:
        """Add a vector (n_scene, m)."""
        self.vectors[:, self._count] = vector
        self._count += 1

    @property
    def last(self) -> torch.Tensor:
        """The vector that was added last, (n_scene, m)."""
        return self.vectors[:, self._count - 1]

    def apart(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` (n_scene, m) less what the vectors hold of it."""
        x = x.clone()
        for one, vectors in zip(x, self.vectors[:, : self._count], strict=True):
            for _ in range(2):  # twice is enough
                one -= vectors.T @ (vectors @ one.conj()).conj()
        return x
