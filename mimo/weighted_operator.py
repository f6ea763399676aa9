"""Weight the rows and the columns of an operator: measurements by how far they are trusted, voxels by how well seen.

A unit of reflectivity beside an antenna outshines one far from all of them. Priors that treat voxels alike then fill
the bright places with whatever the model does not explain. So an image u is sought with ``x = u / w``, w the norm of a
voxel's column to some power: in u every voxel is equally visible. Rows are weighted by robust data terms.
"""

from __future__ import annotations

import torch

from mimo.born import operator_of
from mimo.imaging_operator import ImagingOperator
from mimo.sweep import FrequencySweep

__all__ = ["WeightedOperator", "column_norms"]

COLUMNS_AT_ONCE = 2**24
"""Numbers of the matrix that are made at a time to find its columns' norms."""


class WeightedOperator(ImagingOperator):
    """Applies ``diag(rows) A diag(columns)``.

    Parameters
    ----------
    A
        The operator.
    columns
        Real ``(n_x, n_y, n_z)``, by which images are multiplied before A; ``None`` for 1.
    rows
        Real, broadcasting over ``A.measurement_shape``, by which measurements are multiplied after it; ``None`` for 1.
    """

    def __init__(
        self, A: ImagingOperator, *, columns: torch.Tensor | None = None, rows: torch.Tensor | None = None
    ) -> None:
        self.__dict__.update(A.__dict__)
        self._A, self._columns, self._rows = A, columns, rows

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See `ImagingOperator`."""
        y = self._A.forward(x if self._columns is None else x * self._columns)
        return y if self._rows is None else y * self._rows

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """See `ImagingOperator`."""
        x = self._A.adjoint(y if self._rows is None else y * self._rows)
        return x if self._columns is None else x * self._columns

    def columns(self, first: int, last: int) -> torch.Tensor:
        """See `ImagingOperator`."""
        columns = self._A.columns(first, last)
        if self._rows is not None:
            columns = columns * self._rows.expand(self.measurement_shape).reshape(-1, 1)
        if self._columns is not None:
            inside = self.acquisition.voxels.pick(self._columns.reshape(1, -1))[0]
            columns = columns * inside[first:last]
        return columns

    def __repr__(self) -> str:
        return f"<weighted {self._A!r}>"


def column_norms(A: ImagingOperator) -> torch.Tensor:
    """Return the norm of each voxel's column, the root of ``diag(A^H A)``: real ``(n_x, n_y, n_z)``, 0 outside.

    Where amplitudes are the same at every frequency, those of one frequency are enough.
    """
    n_freq = A.sweep.n_freq
    if A.acquisition.flat and n_freq > 1:
        one = A.acquisition.replace(sweep=FrequencySweep(A.sweep.freq[:1]))
        A = operator_of(one, dtype=A.dtype, device=A.device, memory=A.memory)
    else:
        n_freq = 1
    step = max(1, COLUMNS_AT_ONCE // (A.sweep.n_freq * A.array.n_tx * A.array.n_rx))
    pieces = []
    for first in range(0, A.n_voxel, step):
        pieces.append(A.columns(first, min(first + step, A.n_voxel)).abs().square().sum(0))
    norms = (n_freq * torch.cat(pieces)).sqrt()
    volume: torch.Tensor = A.acquisition.voxels.put(norms[None])[0].reshape(A.volume_shape)
    return volume
