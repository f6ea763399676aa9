"""Weigh a radar's errors by the likelihood of the data in which the image is integrated out.

The image is taken as independent complex normal numbers of known variances p, one for each voxel: speckle under an
envelope. The data are then normal too, with the covariance ``K = A diag(p) A^H + noise^2``, and ``y^H K^-1 y`` says how
well a radar explains them whatever the image is. Its derivatives need the image only through its mean ``x = p A^H K^-1
y``: with J the derivatives of ``A x`` by the radar, the gradient is ``-2 Re J^H K^-1 y`` and the Gauss-Newton matrix
``2 Re J^H K^-1 J``: variable projection (Golub, Pereyra, Inverse Problems 19 (2003) R1), in which no image that fits
the radar's errors can hide them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["Evidence", "Marginal", "Step", "solve_step"]

AMBIGUOUS = 0.98
"""Share of what a common phase or a motion of the scene does to the data that the unknowns must be able to do, for
this to be taken as one of their ambiguities."""

RANK = 1e-6
"""Prior information, as a share, with which the combination of unknowns that imitates an ambiguity is found."""


class Marginal:
    """Solves with the data's covariance ``A diag(p) A^H + noise^2``, by a factor of the data's or of the image's size.

    Parameters
    ----------
    columns
        The matrix A, complex64 ``(n_data, n_voxel)``.
    variance
        p, float ``(n_voxel,)``, up to a factor, which is chosen so that the data have the power that they have.
    values
        The data y, complex ``(n_data,)``.
    noise
        Standard deviation of their complex noise.

    Raises
    ------
    ValueError
        When the data or the image are all zero.
    """

    def __init__(self, columns: torch.Tensor, variance: torch.Tensor, values: torch.Tensor, noise: float) -> None:
        self._columns, self._values = columns, values.to(torch.complex64)
        n_data, n_voxel = columns.shape
        power = float(values.abs().double().square().mean())
        expected = float((columns.abs().square() @ variance.float()).double().mean())
        if not (power > 0 and expected > 0):
            raise ValueError("data or image are all zero: expected echoes to focus")
        signal = max(power - noise**2, 1e-3 * power)
        self.variance = variance.double() * (signal / expected)
        self._noise2 = noise**2
        self._by_data = n_data <= n_voxel
        spread = columns * self.variance.sqrt().float()
        if self._by_data:
            matrix = spread @ spread.mH
            matrix.diagonal().add_(self._noise2)
        else:  # (S S^H + n I)^-1 = (I - S (n I + S^H S)^-1 S^H) / n, with S = A sqrt(p)
            matrix = spread.mH @ spread
            matrix.diagonal().add_(self._noise2)
            self._spread = spread
        self._factor = torch.linalg.cholesky(matrix)
        self.solved = self.solve(self._values[:, None])[:, 0]

    def solve(self, values: torch.Tensor) -> torch.Tensor:
        """Return ``K^-1 V`` of values ``(n_data, n)``, complex64."""
        values = values.to(torch.complex64)
        if self._by_data:
            return torch.cholesky_solve(values, self._factor)
        inner = torch.cholesky_solve(self._spread.mH @ values, self._factor)
        return (values - self._spread @ inner) / self._noise2

    @property
    def misfit(self) -> float:
        """Return ``y^H K^-1 y``; the number of data is expected of it where all is as it is modelled."""
        return float((self._values.conj() * self.solved).real.double().sum())

    @property
    def evidence(self) -> float:
        """Return ``y^H K^-1 y + log det K``, minus the logarithm of the data's likelihood but for a constant."""
        size = 2 * float(self._factor.diagonal().real.double().log().sum())
        if not self._by_data:
            size += (len(self._values) - len(self._factor)) * math.log(self._noise2)
        return self.misfit + size

    def image(self) -> torch.Tensor:
        """Return the mean of the image given the data, complex ``(n_voxel,)``."""
        if self._by_data:
            return self.variance * (self._columns.mH @ self.solved)
        # few voxels explain the data so well that K^-1 y keeps no digit of what they need
        inner = torch.cholesky_solve(self._spread.mH @ self._values[:, None], self._factor)[:, 0]
        return self.variance.sqrt() * inner


@dataclass
class Evidence:
    """Adds up what scenes say of the unknowns: gradient and Gauss-Newton matrix, float64.

    Attributes
    ----------
    matrix, gradient
        ``Re J^H K^-1 J`` and ``Re J^H K^-1 y``, ``(n, n)`` and ``(n,)``.
    overlap, ambiguous
        ``Re J^H K^-1 T`` and ``Re T^H K^-1 T``, T being the derivatives by what no data can tell.
    """

    matrix: npt.NDArray[np.float64]
    gradient: npt.NDArray[np.float64]
    overlap: npt.NDArray[np.float64]
    ambiguous: npt.NDArray[np.float64]

    @classmethod
    def of(cls, marginal: Marginal, jacobian: torch.Tensor, ambiguous: torch.Tensor) -> Evidence:
        """Return the evidence of one scene."""
        both = torch.cat([jacobian, ambiguous], 1).to(torch.complex64)
        n = jacobian.shape[1]
        matrix = (both.mH @ marginal.solve(both)).real.double().numpy()
        gradient = (both[:, :n].mH @ marginal.solved).real.double().numpy()
        return cls(matrix[:n, :n], gradient, matrix[:n, n:], matrix[n:, n:])

    def __add__(self, other: Evidence) -> Evidence:
        """Return the evidence of both."""
        return Evidence(
            self.matrix + other.matrix,
            self.gradient + other.gradient,
            self.overlap + other.overlap,
            self.ambiguous + other.ambiguous,
        )


@dataclass(frozen=True, eq=False)
class Step:
    """Holds a Gauss-Newton step's result.

    Attributes
    ----------
    theta
        The unknowns, float64 ``(n,)``.
    std
        Their standard deviations, those of the prior where the data say nothing.
    ambiguities
        Number of the ambiguities that were held fixed.
    determined
        Share of each unknown's prior variance that the data take away, 0 to 1.
    """

    theta: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    ambiguities: int
    determined: npt.NDArray[np.float64]


def solve_step(evidence: Evidence, theta: npt.NDArray[np.float64], std: npt.NDArray[np.float64]) -> Step:
    """Return where the Gauss-Newton step from `theta` leads, under normal priors of standard deviations `std`.

    In units of the priors the matrix's eigenvalues are what the data know over what was known before. Directions that
    imitate what no data can tell (`Evidence.ambiguous`) are held at 0, and so are those of which the data know less
    than the prior did: they stay as they were.
    """
    n = len(std)
    matrix = std[:, None] * evidence.matrix * std
    wanted = evidence.gradient * std + matrix @ (theta / std)
    overlap = std[:, None] * evidence.overlap
    soft = matrix + RANK * max(np.trace(matrix) / n, 1e-300) * np.eye(n)
    imitated = np.linalg.solve(soft, overlap)
    size = np.diag(evidence.ambiguous)
    share = (overlap * imitated).sum(0) / np.where(size > 0, size, np.inf)
    fixed = imitated[:, share > AMBIGUOUS]
    basis = np.eye(n)
    count = 0
    if fixed.size:
        fixed = fixed / np.linalg.norm(fixed, axis=0)
        left, values, _ = np.linalg.svd(fixed)
        count = int((values > 1e-3 * values[0]).sum())
        basis = left[:, count:]
    known, directions = np.linalg.eigh(basis.T @ matrix @ basis)
    directions = basis @ directions
    kept = known > 1
    known, directions = known[kept], directions[:, kept]
    found = directions @ ((directions.T @ wanted) / (known + 1))
    determined = (directions**2 * (known / (known + 1))).sum(1)
    return Step(std * found, std * np.sqrt(np.clip(1 - determined, 0, 1)), count, determined)
