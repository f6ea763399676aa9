"""Solve least squares between a measurement and an image: the data step of every solver and of unrolled networks.

A solver or an unrolled network alternates between a *data step*, which fits the image to the measurement, and a prior.
There are four ways to solve it (`SOLVERS`), and `data_step` takes the one that is predicted to be done first:

- `GramStep`, ``spectrum``: through the eigendecomposition of ``A A^H``; dear to prepare, serves every weight;
- `CholeskyStep`, ``cholesky`` and ``voxels``: through a Cholesky factor of ``A A^H + kappa I``, or of
  ``A^H A + kappa I`` where there are fewer voxels than measurements; for one weight at a time;
- `ConjugateGradientStep`, ``cg``: nothing to prepare, some products with the operator for each solve.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Protocol

import torch

from mimo.fast.fast_operator import FastOperator
from mimo.gram import GramFactor, gram_matrix, voxel_matrix
from mimo.imaging_operator import ImagingOperator
from mimo.krylov import krylov_norm, krylov_tikhonov
from mimo.progress import Report, silent
from mimo.solver_choice import SOLVERS, choose_solver

__all__ = [
    "SOLVERS",
    "CholeskyStep",
    "ConjugateGradientStep",
    "DataStep",
    "GramStep",
    "Weight",
    "at_best_level",
    "data_step",
    "per_scene",
]

Weight = float | torch.Tensor
"""One number, or one for each scene ``(n_scene,)``."""

ROUGH = 1e-3, 5
"""Tolerance and iterations of conjugate gradients for scenes of which a few digits are enough."""

EXACT_TOLERANCE, FAST_TOLERANCE = 1e-4, 1e-3
"""Tolerance of conjugate gradients by exact and by fast sums."""

N_PROBE = 8
"""Random volumes that the mean gain is estimated from where nothing is factorised."""


class DataStep(Protocol):
    """Solves regularised least squares with the operator divided by its norm, ``A / norm``.

    Measurements are passed in the *coordinates* of the step, ``(n_scene, m)``: a rotation of them in which a solve is
    cheapest. `encode` computes it; norms and distances stay the same.

    Attributes
    ----------
    name
        Name of the method, for the record of a run.
    norm
        Largest singular value of A, or a number near it.
    factor
        The factorised ``A A^H``, or ``None`` where it is not.
    """

    name: str
    factor: GramFactor | None

    @property
    def norm(self) -> float:
        """Largest singular value of A, or a number near it."""
        ...

    @property
    def mean_gain(self) -> float:
        """Mean over voxels of the squared norm of a column of ``A / norm``."""
        ...

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """Return measurements ``(n_scene, *A.measurement_shape)`` in the step's coordinates, ``(n_scene, m)``."""
        ...

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what images measure, ``A x / norm``, ``(n_scene, m)`` in the step's coordinates."""
        ...

    def solve(
        self, s1: torch.Tensor | None, s2: torch.Tensor, kappa: Weight, rough: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``x = argmin |A x - s2|^2 + kappa |x - s1|^2`` and ``A x``, A being divided by `norm`.

        `s1` and x are images ``(n_scene, n_x, n_y, n_z)``; ``None`` stands for zero, at no cost. `s2` and ``A x`` are
        ``(n_scene, m)`` in the step's coordinates. `kappa` is one number or one for each scene. `rough`, bool
        ``(n_scene,)``, says for which scenes a few digits are enough; a step that is exact does not mind it.
        """
        ...

    def first_image(self, y: torch.Tensor) -> torch.Tensor:
        """Return an image to start an iteration from, scaled so that A (not divided by `norm`) maps it to about `y`."""
        ...

    def restarted(self) -> DataStep:
        """Return a step that remembers nothing of earlier solutions."""
        ...


def data_step(
    A: ImagingOperator,
    *,
    cache: bool | Path = True,
    solver: str = "auto",
    solves: int | None = None,
    one_weight: bool = False,
    report: Report = silent,
) -> DataStep:
    """Return the data step of an operator, solved in the way that is predicted to be done first.

    Parameters
    ----------
    A
        The operator.
    cache
        Where an eigendecomposition is kept, as in `mimo.GramFactor.of`.
    solver
        ``auto``, or one of `SOLVERS`.
    solves
        How often a scene will be solved; ``None``: too often for the preparation to count.
    one_weight
        Whether every solve has the same kappa, which a Cholesky factor needs.
    report
        Told the share of the preparation that is done, 0 to 1.

    Raises
    ------
    ValueError
        When there is no such solver, or the operator is too large for it.
    """
    chosen = choose_solver(A, solver, solves=solves, one_weight=one_weight).solver
    if chosen == "spectrum":
        return GramStep(GramFactor.of(A, cache=cache, report=report))
    if chosen == "cg":
        return ConjugateGradientStep(A)
    make = gram_matrix if chosen == "cholesky" else voxel_matrix
    return CholeskyStep(A, make(A, report), by_voxels=chosen == "voxels")


class GramStep:
    """Solves the data step exactly through ``A A^H = U diag(s) U^H``: one forward, one adjoint, two m x m products.

    ``z = (kappa I + A A^H)^-1 (kappa A s1 + A A^H s2)``, ``x = s1 + A^H (s2 - z) / kappa``, and ``A x = z`` for free.
    Its coordinates are ``U^H y``, so measurements are not multiplied with the eigenvectors again in every iteration.

    Parameters
    ----------
    factor
        The factorisation.
    norm
        What the operator is divided by; its largest singular value when ``None``.
    """

    name = "spectrum"

    def __init__(self, factor: GramFactor, norm: float | None = None) -> None:
        self.factor: GramFactor | None = factor
        self._factor, self.norm = factor, float(factor.eigenvalues[-1].sqrt()) if norm is None else norm
        self._eigenvalues = (factor.eigenvalues / self.norm**2).to(factor.A.dtype.to_real())

    @property
    def mean_gain(self) -> float:
        """See `DataStep`."""
        return float(self._factor.eigenvalues.sum()) / self.norm**2 / self._factor.A.n_voxel

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``U^H y``, ``(n_scene, m)``."""
        return self._factor.coefficients(y)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See `DataStep`."""
        return self.encode(self._factor.A.forward(x)) / self.norm

    def solve(
        self, s1: torch.Tensor | None, s2: torch.Tensor, kappa: Weight, rough: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `DataStep`."""
        A, s = self._factor.A, self._eigenvalues
        weight = torch.as_tensor(kappa, dtype=s.dtype, device=s.device).reshape(-1, 1)
        known = s * s2 if s1 is None else weight * self.encode(A.forward(s1)) / self.norm + s * s2
        z = known / (weight + s)
        update = A.adjoint(self._factor.measurement(s2 - z)) / (self.norm * weight[..., None, None])
        return update if s1 is None else s1 + update, z

    def first_image(self, y: torch.Tensor) -> torch.Tensor:
        """Return the Tikhonov solution with the weight of generalised cross-validation."""
        return self._factor.tikhonov(y)[0]

    def restarted(self) -> GramStep:
        """Return itself, as it remembers nothing."""
        return self


class CholeskyStep:
    """Solves the data step exactly through a Cholesky factor, made for one kappa and kept until another is asked for.

    With ``r = (A A^H + kappa I)^-1 (s2 - A s1)`` the solution is ``x = s1 + A^H r`` and ``A x = s2 - kappa r``. By
    voxels it is ``x = (A^H A + kappa I)^-1 (A^H s2 + kappa s1)``.

    Parameters
    ----------
    A
        The operator.
    matrix
        ``A A^H`` of the measurements that are not masked, or ``A^H A`` of the voxels inside.
    by_voxels
        Whether it is that of the voxels.
    """

    factor: GramFactor | None = None

    def __init__(self, A: ImagingOperator, matrix: torch.Tensor, *, by_voxels: bool) -> None:
        self._A, self._by_voxels = A, by_voxels
        self.name = "voxels" if by_voxels else "cholesky"
        self.norm = _largest(matrix) ** 0.5
        self.mean_gain = float(matrix.diagonal().real.double().sum()) / self.norm**2 / A.n_voxel
        self._matrix = matrix.to(A.dtype) / self.norm**2
        self._kappa, self._cholesky = 0.0, self._matrix
        self._keep = None if A.array.mask is None else A.mask_of_measurements()

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """Return the measurements that are not masked, ``(n_scene, m)``."""
        return y.flatten(1) if self._keep is None else y.flatten(1)[:, self._keep]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See `DataStep`."""
        return self.encode(self._A.forward(x)) / self.norm

    def solve(
        self, s1: torch.Tensor | None, s2: torch.Tensor, kappa: Weight, rough: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `DataStep`; `kappa` is one number."""
        A, scale, weight = self._A, self.norm, self._one(kappa)
        if weight != self._kappa:
            eye = torch.eye(len(self._matrix), dtype=self._matrix.dtype, device=self._matrix.device)
            self._kappa, self._cholesky = weight, torch.linalg.cholesky(self._matrix + weight * eye)
        if self._by_voxels:
            wanted = A.adjoint(self._decode(s2)) / scale
            wanted = wanted if s1 is None else wanted + weight * s1
            voxels = A.acquisition.voxels
            x = voxels.put(self._apply(voxels.pick(wanted.flatten(1)))).reshape(wanted.shape)
            return x, self.encode(A.forward(x)) / scale
        rest = s2 if s1 is None else s2 - self.encode(A.forward(s1)) / scale
        r = self._apply(rest)
        update = A.adjoint(self._decode(r)) / scale
        return update if s1 is None else s1 + update, s2 - weight * r

    def first_image(self, y: torch.Tensor) -> torch.Tensor:
        """Return a Tikhonov solution; see `krylov_tikhonov`."""
        return krylov_tikhonov(self._A, y)[0]

    def restarted(self) -> CholeskyStep:
        """Return itself, as it remembers nothing of solutions."""
        return self

    def _one(self, kappa: Weight) -> float:
        weights = torch.as_tensor(kappa, dtype=torch.float64).unique()
        if len(weights) != 1:
            raise ValueError(f"kappa has {len(weights)} values: expected one, as a Cholesky factor serves one weight")
        return float(weights)

    def _apply(self, values: torch.Tensor) -> torch.Tensor:
        return torch.cholesky_solve(values.T, self._cholesky).T

    def _decode(self, flat: torch.Tensor) -> torch.Tensor:
        if self._keep is not None:
            full = torch.zeros((len(flat), len(self._keep)), dtype=flat.dtype, device=flat.device)
            full[:, self._keep] = flat
            flat = full
        return flat.reshape(len(flat), *self._A.measurement_shape)


class ConjugateGradientStep:
    """Solves the data step by conjugate gradients on ``(A^H A + kappa I) x = A^H s2 + kappa s1``.

    For measurements too many to factorise. It starts from the previous solution where there is one, else from `s1`.
    Scenes are solved together; each stops at its own tolerance.

    Parameters
    ----------
    A
        The operator.
    norm
        What the operator is divided by; its largest singular value, or a number near it.
    tolerance
        Norm of the normal equations' residual, relative to their right-hand side, at which a scene stops; by default
        1e-4, and 1e-3 with `mimo.FastOperator`, which differs by more from the exact sums.
    max_iterations
        Iterations at most; each is one forward and one adjoint.
    """

    name = "cg"
    factor: GramFactor | None = None

    def __init__(
        self, A: ImagingOperator, norm: float | None = None, *, tolerance: float | None = None, max_iterations: int = 50
    ) -> None:
        self._A, self._norm = A, norm
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None  # x and what it measures
        if tolerance is None:
            tolerance = FAST_TOLERANCE if isinstance(A, FastOperator) else EXACT_TOLERANCE
        self.tolerance, self.max_iterations = tolerance, max_iterations

    @functools.cached_property
    def mean_gain(self) -> float:
        """See `DataStep`; from `N_PROBE` random volumes, the same ones every time."""
        A, rng = self._A, torch.Generator().manual_seed(0)
        x = torch.randn((N_PROBE, *A.volume_shape), dtype=A.dtype, generator=rng).to(A.device)
        counted = A.acquisition.voxels.pick(x.flatten(1))  # those outside a region do not count
        return float(A.forward(x).abs().square().sum() / counted.abs().square().sum()) / self.norm**2

    def encode(self, y: torch.Tensor) -> torch.Tensor:
        """Return the measurement itself, flattened to ``(n_scene, m)``."""
        return y.flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See `DataStep`."""
        return self.encode(self._A.forward(x)) / self.norm

    def solve(
        self, s1: torch.Tensor | None, s2: torch.Tensor, kappa: Weight, rough: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `DataStep`; it starts from the solution of the call before, or else from `s1`."""
        A, scale = self._A, self.norm
        if s1 is None:
            s1 = torch.zeros((len(s2), *A.volume_shape), dtype=s2.dtype, device=s2.device)
        kappa = per_scene(kappa, s1)

        def image(y: torch.Tensor) -> torch.Tensor:
            return A.adjoint(y.reshape(-1, *A.measurement_shape)) / scale

        wanted = image(s2) + kappa * s1
        if self._last is not None and self._last[0].shape == s1.shape:
            x, seen = self._last
        else:
            x, seen = s1.clone(), A.forward(s1).flatten(1) / scale
        r = wanted - image(seen) - kappa * x
        p, power = r.clone(), _power(r)
        few = torch.zeros_like(power, dtype=torch.bool) if rough is None else rough.reshape(power.shape)
        tolerance, most = ROUGH
        limit = torch.where(few, tolerance, self.tolerance) ** 2 * _power(wanted)
        for i in range(self.max_iterations):
            going = (power > limit) & ~(few & (i >= most))
            if not bool(going.any()):
                break
            q = A.gram(p) / scale**2 + kappa * p
            # scenes that are done take steps of length zero; the least number keeps an empty scene from 0 / 0
            step = torch.where(going, power / (p.conj() * q).real.sum((1, 2, 3), keepdim=True).clamp_min(1e-38), 0.0)
            x, r = x + step * p, r - step * q
            after = _power(r)
            p = r + torch.where(going, after / power.clamp_min(1e-38), 0.0) * p
            power = after
        self._last = x, A.forward(x).flatten(1) / scale
        return self._last

    def first_image(self, y: torch.Tensor) -> torch.Tensor:
        """Return a Tikhonov solution; see `krylov_tikhonov`."""
        return krylov_tikhonov(self._A, y)[0]

    @property
    def norm(self) -> float:
        """See `DataStep`; estimated when it is first asked for, by a few products with A."""
        if self._norm is None:
            self._norm = krylov_norm(self._A)
        return self._norm

    def restarted(self) -> ConjugateGradientStep:
        """Return a step of the same operator without a previous solution."""
        return ConjugateGradientStep(self._A, self.norm, tolerance=self.tolerance, max_iterations=self.max_iterations)


def _largest(matrix: torch.Tensor) -> float:
    """Return the largest eigenvalue of a Hermitian, positive matrix by the power method."""
    rng = torch.Generator().manual_seed(0)
    v = torch.randn(len(matrix), dtype=matrix.dtype, generator=rng).to(matrix.device)
    size = v.norm()
    for _ in range(30):
        v = matrix @ (v / size)
        size = v.norm()
    return float(size)


def at_best_level(A: ImagingOperator, image: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Multiply each scene's image by the complex number c that explains its data best: ``c = <A x, y> / |A x|^2``."""
    seen = A.forward(image)
    level = (seen.conj() * y).flatten(1).sum(1) / seen.abs().square().flatten(1).sum(1).clamp_min(1e-38)
    return image * level[:, None, None, None]


def per_scene(weight: Weight, x: torch.Tensor) -> torch.Tensor:
    """Return a weight as a real tensor that broadcasts over ``(n_scene, n_x, n_y, n_z)``, on the device of `x`."""
    real = torch.float32 if x.dtype in (torch.float32, torch.complex64) else torch.float64
    weight = torch.as_tensor(weight, dtype=real, device=x.device)
    return weight.reshape(-1, 1, 1, 1) if weight.ndim else weight


def _power(x: torch.Tensor) -> torch.Tensor:
    return x.abs().square().sum((1, 2, 3), keepdim=True)
