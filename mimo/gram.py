"""Factorise the Gram matrix ``A A^H`` of an operator once, so that regularised solves of any weight are cheap.

There are far fewer measurements than voxels, so ``(A^H A + weight I)^-1 A^H y = A^H (A A^H + weight I)^-1 y`` needs
only the M x M matrix ``A A^H``. Its eigendecomposition ``U diag(s) U^H`` serves every weight: a solve is two products
with the M x M matrix U and a division. Where the acquisition has mirror planes (`mimo.mirror`) the matrix falls into
blocks, and both the matrix and its eigenvectors are made block by block.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from mimo import cache as cached
from mimo.born import operator_of
from mimo.imaging_operator import ImagingOperator
from mimo.mirror import mirror_blocks
from mimo.progress import Report, silent

__all__ = ["MAX_MEASUREMENTS", "GramFactor", "cache_path", "gram_blocks", "gram_matrix", "voxel_matrix"]

FORMAT = 3
"""Part of the cache key: raise it when the stored numbers change their meaning."""

MAX_MEASUREMENTS = 12_000
"""Above it an eigendecomposition takes gigabytes and hours on a desk machine, and is refused."""

DOUBLE_UP_TO = 4_000
"""Up to this many measurements the eigendecomposition is done in complex128 whatever the operator's precision."""

GRAM_TILE = 512
"""Rows and columns of the matrix that one product adds to, so that half the matrix can be left out by symmetry."""

MATRIX_SHARE = 0.4
"""Share of the time of a factorisation that the matrix takes, for progress alone."""

LONGEST_WAIT = 600
"""Seconds for which a process waits for another one that computes the same factor."""


class GramFactor:
    """Holds the eigendecomposition ``A A^H = U diag(s) U^H`` of an operator and solves with it.

    Masked measurements are left out; `m` is ``A.n_measurement``.

    Parameters
    ----------
    A
        The operator, used to move between measurements and images.
    values, vectors
        Of each block of `mirror_blocks`: its eigenvalues, float64 ``(n,)``, not negative, and its eigenvectors,
        ``(n, n)``, one in each column, in the operator's dtype.

    Attributes
    ----------
    eigenvalues
        s of all blocks, float64 ``(m,)``, ascending.
    """

    def __init__(self, A: ImagingOperator, values: list[torch.Tensor], vectors: list[torch.Tensor]) -> None:
        self.A, self._vectors = A, vectors
        self._blocks = mirror_blocks(A.acquisition)
        self.eigenvalues, self._order = torch.cat(values).sort(stable=True)
        self._rank = self._order.argsort()
        self._sizes = [len(value) for value in values]

    @classmethod
    def of(cls, A: ImagingOperator, *, cache: bool | Path = True, report: Report = silent) -> GramFactor:
        """Factorise ``A A^H``, or read it from the cache when this geometry was factorised before.

        Parameters
        ----------
        A
            The operator.
        cache
            ``True`` for the user's cache folder (`mimo.cache`), a folder, or ``False``. The file's name is a hash of
            everything the matrix depends on; one that cannot be read is made again, with a warning.
        report
            Told the share done, 0 to 1.

        Raises
        ------
        ValueError
            When there are more than `MAX_MEASUREMENTS` measurements.

        Notes
        -----
        Costs ``4 m^2 n_voxel`` operations for the matrix (half of it by symmetry) and about ``25 m^3`` for the
        eigendecomposition; a sixteenth of both where there are two mirror planes.
        """
        if A.n_measurement > MAX_MEASUREMENTS:
            raise ValueError(
                f"{A.n_measurement} measurements are too many to factorise A A^H: expected {MAX_MEASUREMENTS} or "
                "fewer; select fewer frequencies or channels"
            )
        path = None if cache is False else cache_path(A, cache)
        if path is None:
            return cls._made(A, report)
        found = cls._kept(A, path)
        if found is None:
            with _alone(path):
                found = cls._kept(A, path)  # another process may have made it meanwhile
                if found is None:
                    found = cls._made(A, report)
                    found._store(path)
        return found

    @classmethod
    def _kept(cls, A: ImagingOperator, path: Path) -> GramFactor | None:
        """Read a factor from the cache; ``None`` when it is not there or damaged."""
        if not path.exists():
            return None
        try:
            stored = load_file(path)
            with safe_open(path, "pt") as file:
                told = (file.metadata() or {}).get("content")
            if told != _content(stored):
                raise ValueError("its numbers are not those that were written")
            # a copy, laid out like a new factor: the memory layout of a matrix decides the last bits of its products
            blocks = range(len(stored) // 2)
            values = [stored[f"values.{i}"].to(A.device) for i in blocks]
            vectors = [torch.view_as_complex(stored[f"vectors.{i}"]).to(A.device, A.dtype, copy=True) for i in blocks]
            sizes = [len(block.rows) for block in mirror_blocks(A.acquisition)]
            shapes = [(tuple(s.shape), tuple(v.shape)) for s, v in zip(values, vectors, strict=True)]
            if shapes != [((n,), (n, n)) for n in sizes]:
                raise ValueError(f"it has blocks of shape {shapes}: expected sizes {sizes}")
            if any(s.dtype != torch.float64 or not bool(s.isfinite().all()) for s in values):
                raise ValueError("its eigenvalues are not finite numbers of double precision")
            if any(bool((s.diff() < 0).any()) for s in values):
                raise ValueError("its eigenvalues do not ascend")
            if any(stored[f"vectors.{i}"].dtype != A.dtype.to_real() for i in blocks):
                raise ValueError(f"its eigenvectors are of another precision than {A.dtype}")
            cached.touch(path)
            return cls(A, values, vectors)
        except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
            warnings.warn(f"{path} cannot be read and is made again: {error}", RuntimeWarning, stacklevel=3)
            with suppress(OSError):
                path.unlink()
        return None

    @classmethod
    def _made(cls, A: ImagingOperator, report: Report = silent) -> GramFactor:
        """Compute the factor; see `DOUBLE_UP_TO` for the precision."""
        values, vectors = [], []
        matrices = gram_blocks(A, lambda share: report(share * MATRIX_SHARE))
        total = sum(len(matrix) ** 3 for matrix in matrices)
        for matrix in matrices:
            if len(matrix) > DOUBLE_UP_TO:
                matrix = matrix.to(A.dtype)
            s, U = torch.linalg.eigh(matrix)
            values.append(s.double().clamp_min(0))
            vectors.append(U.to(A.dtype).contiguous())
            report(MATRIX_SHARE + (1 - MATRIX_SHARE) * sum(len(v) ** 3 for v in vectors) / total)
        return cls(A, values, vectors)

    def _store(self, path: Path) -> None:
        """Write the factor to the cache; a failure is a warning there, as only time is lost."""
        tensors = {}
        for i, (values, vectors) in enumerate(zip(self._values(), self._vectors, strict=True)):
            tensors[f"values.{i}"] = values.cpu()
            tensors[f"vectors.{i}"] = torch.view_as_real(vectors.cpu()).contiguous()
        cached.store(
            path,
            sum(t.nbytes for t in tensors.values()),
            lambda place: save_file(tensors, place, {"content": _content(tensors)}),
        )

    def _values(self) -> list[torch.Tensor]:
        """Return the eigenvalues of each block."""
        return [part.contiguous() for part in self.eigenvalues[self._rank].split(self._sizes)]

    @property
    def eigenvectors(self) -> torch.Tensor:
        """U of all measurements that are not masked, ``(m, m)``, in the order of `eigenvalues`; made at each call."""
        unit = torch.eye(len(self.eigenvalues), dtype=self.A.dtype, device=self.A.device)
        every = self._spread(unit.T)
        keep = self.A.mask_of_measurements()
        return every if keep is None else every[keep]

    def coefficients(self, y: torch.Tensor) -> torch.Tensor:
        """Return the coefficients ``U^H y``, ``(..., m)``, of measurements ``(..., *A.measurement_shape)``."""
        batch = y.shape[: y.ndim - len(self.A.measurement_shape)]
        flat = y.to(self.A.dtype).reshape(math.prod(batch), -1).T
        pairs = zip(self._blocks, self._vectors, strict=True)
        # the conjugate of the few, not of the matrix: U^H y = conj(U^T conj(y))
        parts = torch.cat([vectors.T @ block.take(flat).conj().resolve_conj() for block, vectors in pairs])
        return parts[self._order].conj_physical_().T.reshape(*batch, -1)

    def measurement(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return the measurements ``U c``, ``(..., *A.measurement_shape)``, zero where masked, of ``(..., m)``."""
        batch = coefficients.shape[:-1]
        flat = coefficients.to(self.A.dtype).reshape(-1, coefficients.shape[-1]).T
        return self._spread(flat).T.reshape(*batch, *self.A.measurement_shape)

    def _spread(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return the flattened measurements (all, n) of coefficients (m, n)."""
        shape = (math.prod(self.A.measurement_shape), coefficients.shape[1])
        total = torch.zeros(shape, dtype=coefficients.dtype, device=coefficients.device)
        parts = coefficients[self._rank].split(self._sizes)
        for block, vectors, part in zip(self._blocks, self._vectors, parts, strict=True):
            block.add_to(total, vectors @ part)
        return total

    def solve(self, y: torch.Tensor, weight: float | torch.Tensor) -> torch.Tensor:
        """Return ``(A A^H + weight I)^-1 y``, shaped as `y`; `weight` > 0 is one number or one a scene ``(...)``."""
        return self._solve(self.coefficients(y), weight)

    def _solve(self, coefficients: torch.Tensor, weight: float | torch.Tensor) -> torch.Tensor:
        weight = torch.as_tensor(weight, dtype=torch.float64, device=self.eigenvalues.device)
        return self.measurement(coefficients / (self.eigenvalues + weight[..., None]))

    def tikhonov(
        self, y: torch.Tensor, *, weight: float | str = "gcv", noise_std: float | torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the Tikhonov solution ``A^H (A A^H + weight I)^-1 y``: it minimises ``|A x - y|^2 + weight |x|^2``.

        Parameters
        ----------
        y
            Measurement ``(..., *A.measurement_shape)``.
        weight
            A positive number, ``"gcv"`` (generalised cross-validation: Golub, Heath, Wahba, Technometrics 21 (1979)
            215, minimised over a grid) or ``"discrepancy"`` (Morozov: the residual equals the noise; needs
            `noise_std`). Chosen for each scene by itself.
        noise_std
            Standard deviation of the complex noise, one number or one for each scene.

        Returns
        -------
        image, weight
            ``(..., n_x, n_y, n_z)`` complex, and the weight used for each scene, float64 ``(...)``.

        Raises
        ------
        ValueError
            When `weight` is none of these, or ``"discrepancy"`` comes without `noise_std`.
        """
        coefficients = self.coefficients(y)
        if weight == "gcv":
            chosen = self._gcv(coefficients)
        elif weight == "discrepancy":
            if noise_std is None:
                raise ValueError("weight 'discrepancy' needs noise_std: state the measurement's SNR or use 'gcv'")
            chosen = self._discrepancy(coefficients, noise_std)
        elif isinstance(weight, str | bool) or not isinstance(weight, int | float):
            raise ValueError(f"weight is {weight!r}: expected 'gcv', 'discrepancy' or a positive number")
        elif not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"weight is {weight}: expected a positive number")
        else:
            chosen = torch.full(coefficients.shape[:-1], float(weight), dtype=torch.float64, device=y.device)
        return self.A.adjoint(self._solve(coefficients, chosen)), chosen

    def candidates(self) -> torch.Tensor:
        """Return the weights to choose from, float64 (176,): 25 a decade, 1e-6 to 10 times the largest eigenvalue."""
        top = self.eigenvalues[-1].clamp_min(torch.finfo(torch.float64).tiny)
        return top * torch.logspace(-6, 1, 176, dtype=torch.float64, device=self.eigenvalues.device)

    def _residual_power(self, power: torch.Tensor) -> torch.Tensor:
        """Return |A x - y|^2 at each candidate, (..., n_candidate), from the powers |U^H y|^2 (..., m)."""
        return power @ self._left.square().T

    @functools.cached_property
    def _left(self) -> torch.Tensor:
        """Weight / (s + weight), float64 (n_candidate, m): the share of each coefficient that is in the residual."""
        weights = self.candidates()[:, None]
        return weights / (self.eigenvalues + weights)

    def _gcv(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Choose the candidate that minimises ``|A x - y|^2 / (sum_i weight / (s_i + weight))^2``."""
        power = coefficients.abs().double().square()
        score = self._residual_power(power) / self._left.sum(1).square()
        return self.candidates()[score.argmin(-1)]

    def _discrepancy(self, coefficients: torch.Tensor, noise_std: float | torch.Tensor) -> torch.Tensor:
        """Choose the candidate whose ``|A x - y|^2`` is nearest to ``m noise_std^2``."""
        power = coefficients.abs().double().square()
        std = torch.as_tensor(noise_std, dtype=torch.float64, device=power.device)
        target = len(self.eigenvalues) * std.square()
        gap = (self._residual_power(power) - target[..., None]).abs()
        return self.candidates()[gap.argmin(-1)]


def gram_matrix(A: ImagingOperator, report: Report = silent) -> torch.Tensor:
    """Compute ``A A^H`` of the unmasked measurements, complex128 ``(m, m)``, Hermitian to the last bit.

    Products are formed in the operator's precision for one block of voxels after another and summed in complex128, as
    many small terms are added to large sums. Only tiles on and above the diagonal are computed; the triangle above it
    then gives the one below, and the diagonal is made real.
    """
    m, keep = A.n_measurement, A.mask_of_measurements()
    total = torch.zeros((m, m), dtype=torch.complex128, device=A.device)
    for first, last in _voxel_blocks(A.n_voxel, m, A.dtype):
        rows = A.columns(first, last)
        _add_product(total, rows if keep is None else rows[keep])
        report(last / A.n_voxel)
    return _hermitian(total)


def gram_blocks(A: ImagingOperator, report: Report = silent) -> list[torch.Tensor]:
    """Compute the blocks of ``A A^H`` that belong to `mirror_blocks`, each as `gram_matrix` does, ``(n, n)``.

    The columns of one voxel of each set of mirror images are enough: those of the others are the same numbers in
    another order.
    """
    blocks = mirror_blocks(A.acquisition)
    if len(blocks) == 1:
        return [gram_matrix(A, report)]
    there = blocks[0].voxels  # the block of even combinations has every set
    index = A.acquisition.voxels.index
    inside = np.zeros(A.grid.n_voxel, bool)
    inside[there if index is None else index[there]] = True
    one_each = A.acquisition.replace(inside=inside.reshape(A.grid.shape))
    columns = operator_of(one_each, dtype=A.dtype, device=A.device, memory=A.memory).columns
    totals = [torch.zeros((len(b.rows),) * 2, dtype=torch.complex128, device=A.device) for b in blocks]
    sizes = [torch.zeros(len(there), dtype=torch.float64, device=A.device) for _ in blocks]
    for block, size in zip(blocks, sizes, strict=True):
        size[np.searchsorted(there, block.voxels)] = torch.as_tensor(block.sizes, device=A.device)
    for first, last in _voxel_blocks(len(there), A.n_measurement, A.dtype):
        rows = columns(first, last)
        for block, size, total in zip(blocks, sizes, totals, strict=True):
            _add_product(total, block.take(rows) * size[first:last].to(rows.real.dtype))
        report(last / len(there))
    return [_hermitian(total) for total in totals]


def voxel_matrix(A: ImagingOperator, report: Report = silent) -> torch.Tensor:
    """Compute ``A^H A`` of the voxels inside, complex128 ``(n_voxel, n_voxel)``: the small matrix of small grids.

    All columns are in memory at once; products are formed in the operator's precision.
    """
    columns = []
    for first, last in _voxel_blocks(A.n_voxel, A.n_measurement, A.dtype):
        columns.append(A.columns(first, last))
        report(last / A.n_voxel / 2)
    rows = torch.cat(columns, dim=1).mT
    total = torch.zeros((A.n_voxel,) * 2, dtype=torch.complex128, device=A.device)
    _add_product(total, rows)
    report(1.0)
    return _hermitian(total.conj().resolve_conj())


def _voxel_blocks(n_voxel: int, m: int, dtype: torch.dtype) -> Iterator[tuple[int, int]]:
    """Yield ranges of voxels whose columns take 24 MiB or so: fewer make slow products, more leave the caches."""
    block = max(64, min(4096, 3 * 2**23 // (m * dtype.itemsize)))
    for first in range(0, n_voxel, block):
        yield first, min(first + block, n_voxel)


def _add_product(total: torch.Tensor, rows: torch.Tensor) -> None:
    """Add ``rows rows^H`` to `total`, on tiles on and above the diagonal."""
    conj = rows.conj().resolve_conj()
    tiles = [slice(i, min(i + GRAM_TILE, len(rows))) for i in range(0, len(rows), GRAM_TILE)]
    for i, tile in enumerate(tiles):
        for other in tiles[i:]:
            total[tile, other] += rows[tile] @ conj[other].T


def _hermitian(total: torch.Tensor) -> torch.Tensor:
    """Return the Hermitian matrix whose upper triangle is that of `total`."""
    upper = torch.triu(total, 1)
    return upper + upper.mH + torch.diag(total.diagonal().real.to(total.dtype))


def cache_path(A: ImagingOperator, cache: bool | Path = True) -> Path:
    """Return the file that the factor of an operator is kept in, in the cache folder or the folder that is given."""
    folder = cache if isinstance(cache, Path) else cached.folder()
    return folder / f"gram-{_fingerprint(A)}.safetensors"


def _content(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return a checksum of names, dtypes, shapes and numbers: a flipped bit would be another image, without a word."""
    digest = hashlib.sha256()
    for name, values in sorted(tensors.items()):
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.contiguous().numpy().data)
    return digest.hexdigest()


def _fingerprint(A: ImagingOperator) -> str:
    digest = hashlib.sha256()
    array, grid = A.array, A.grid
    facts = {"format": FORMAT, "kind": type(A).__name__, "dtype": str(A.dtype), "permittivity": A.permittivity}
    if any(value is not None for value in (A.acquisition.pattern, A.acquisition.layers)):
        facts |= {"pattern": repr(A.acquisition.pattern), "layers": repr(A.acquisition.layers)}
    facts |= {"far": array.far} if any(array.far) else {}
    digest.update(json.dumps(facts, sort_keys=True).encode())
    inside = () if A.acquisition.inside is None else (A.acquisition.inside,)
    more = (A.acquisition.reference_path, array.tx_normal, array.rx_normal, *inside)
    for values in (array.tx_pos, array.rx_pos, array.channels, array.mask, A.sweep.freq, grid.x, grid.y, grid.z, *more):
        part = np.zeros(0) if values is None else values
        digest.update(f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:32]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, so that of several processes one computes the factor and the others wait for it.

    Where there is no lock to be had, or after `LONGEST_WAIT`, each computes its own.
    """
    lock = FileLock(path.with_suffix(".lock"), timeout=LONGEST_WAIT)
    with suppress(OSError, NotImplementedError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        if lock.is_locked:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
