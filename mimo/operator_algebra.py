"""Give a linear operator the algebra of the field: ``A(x)``, ``A @ x``, ``A.H``, ``A.gram``, ``A.norm()``."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator

__all__ = ["DerivedOperator", "LinearMap", "OperatorAlgebra"]

NORM_ITERATIONS = 20
"""Iterations of the power method: at the papers' size the norm is then found to a few per mille."""


class LinearMap:
    """Lets a class that has `forward` and its conjugate transpose `adjoint` be called, multiplied and transposed."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``A x``, with leading batch axes."""
        raise NotImplementedError

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """``A^H y``, with leading batch axes."""
        raise NotImplementedError

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """``A x``: `forward`."""
        return self.forward(x)

    def __matmul__(self, x: torch.Tensor) -> torch.Tensor:
        """``A @ x``: `forward`."""
        return self.forward(x)

    @property
    def H(self) -> DerivedOperator:  # noqa: N802 - the field's name
        """The conjugate transpose: ``A.H(y)`` and ``A.H @ y`` are `adjoint`; ``A.H.H`` is `forward` again."""
        return DerivedOperator("H", self.adjoint, self.forward)


class OperatorAlgebra(LinearMap):
    """Adds the operators' algebra to a class that has `forward`, its conjugate transpose `adjoint`, and both shapes."""

    dtype: torch.dtype
    device: torch.device

    @property
    def volume_shape(self) -> tuple[int, ...]:
        """Shape of one volume that the operator acts on."""
        raise NotImplementedError

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        """Shape of one measurement that the operator gives."""
        raise NotImplementedError

    @property
    def gram(self) -> DerivedOperator:
        """The normal operator ``A^H A`` on images, its own conjugate transpose: ``A.gram(x)`` and ``A.gram @ x``.

        `mimo.GramFactor` factorises the smaller matrix on the other side, ``A A^H``.
        """

        def normal(x: torch.Tensor) -> torch.Tensor:
            return self.adjoint(self.forward(x))

        return DerivedOperator("gram", normal, normal)

    def norm(self, *, iterations: int = NORM_ITERATIONS) -> float:
        """Estimate the largest singular value of A by the power method, started from the same numbers every time.

        The estimate is never above the true norm.
        """
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}: expected 1 or more")
        rng = torch.Generator().manual_seed(0)
        x = torch.randn(self.volume_shape, dtype=self.dtype, generator=rng).to(self.device)
        size = torch.tensor(0.0)
        with torch.no_grad():
            for _ in range(iterations):
                x = self.gram(x / x.norm())
                size = x.norm()
        return float(size.sqrt())

    def as_linear_operator(self) -> LinearOperator:
        """Return A as a `scipy.sparse.linalg.LinearOperator` on flat complex vectors, for any of SciPy's solvers.

        ``matvec`` is `forward` and ``rmatvec`` its exact conjugate transpose, ``matmat`` treats columns as a batch.
        Numbers go through the operator's own precision and device.

        Examples
        --------
        >>> import numpy as np, torch
        >>> from scipy.sparse.linalg import lsqr
        >>> from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid
        >>> array = ArrayGeometry.mills_cross(n_tx=4, n_rx=5, width=0.3)
        >>> grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 3), y=(-0.1, 0.1, 2), z=(0.4, 0.6, 4))
        >>> A = BornOperator(array, FrequencySweep.linear(4e9, 16e9, 6), grid, dtype=torch.complex128)
        >>> x = np.random.default_rng(0).standard_normal(24) * (1 + 1j)
        >>> L = A.as_linear_operator()
        >>> L.shape
        (120, 24)
        >>> found = lsqr(L, L @ x, atol=1e-12, btol=1e-12)[0]
        >>> bool(np.abs(found - x).max() < 1e-6)
        True
        """
        n, m = math.prod(self.volume_shape), math.prod(self.measurement_shape)

        def flat(apply: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...]) -> Callable[..., np.ndarray]:
            def of_columns(values: np.ndarray) -> np.ndarray:
                columns = values.reshape(len(values), -1)
                batch = torch.as_tensor(np.ascontiguousarray(columns.T), dtype=self.dtype, device=self.device)
                with torch.no_grad():
                    out = apply(batch.reshape(-1, *shape)).flatten(1).cpu().numpy().T
                return out.reshape(-1, *values.shape[1:])

            return of_columns

        forward, adjoint = flat(self.forward, self.volume_shape), flat(self.adjoint, self.measurement_shape)
        kind = np.dtype(np.complex64 if self.dtype == torch.complex64 else np.complex128)
        return LinearOperator((m, n), matvec=forward, rmatvec=adjoint, matmat=forward, rmatmat=adjoint, dtype=kind)


class DerivedOperator(LinearMap):
    """Applies an operator made from another one, such as ``A.H``."""

    def __init__(
        self,
        name: str,
        forward: Callable[[torch.Tensor], torch.Tensor],
        adjoint: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self._name, self._forward, self._adjoint = name, forward, adjoint

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See `LinearMap`."""
        return self._forward(x)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """See `LinearMap`."""
        return self._adjoint(y)

    def __repr__(self) -> str:
        return f"<{self._name} of an imaging operator>"
