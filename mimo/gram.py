"""Factorise the Gram matrix ``A A^H`` of an operator once, so that regularised solves of any weight are cheap.

There are far fewer measurements than voxels, so ``(A^H A + weight I)^-1 A^H y = A^H (A A^H + weight I)^-1 y`` needs
only the M x M matrix ``A A^H``. Its eigendecomposition ``U diag(s) U^H`` serves every weight: a solve is two products
with the M x M matrix U and a division.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import platformdirs
import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mimo.imaging_operator import ImagingOperator

__all__ = ["MAX_MEASUREMENTS", "GramFactor", "gram_matrix"]

FORMAT = 1
"""Part of the cache key: raise it when the stored numbers change their meaning."""

MAX_MEASUREMENTS = 12_000
"""Above it an eigendecomposition takes gigabytes and hours on a desk machine, and is refused."""

DOUBLE_UP_TO = 4_000
"""Up to this many measurements the eigendecomposition is done in complex128 whatever the operator's precision."""

GRAM_TILE = 512
"""Rows and columns of the matrix that one product adds to, so that half the matrix can be left out by symmetry."""

LONGEST_WAIT = 600
"""Seconds for which a process waits for another one that computes the same factor."""


class GramFactor:
    """Holds the eigendecomposition ``A A^H = U diag(s) U^H`` of an operator and solves with it.

    Masked measurements are left out; `m` is ``A.n_measurement``.

    Parameters
    ----------
    eigenvalues
        s, float64 ``(m,)``, ascending, not negative.
    eigenvectors
        U, ``(m, m)``, an eigenvector in each column, in the operator's dtype.
    A
        The operator, used to move between measurements and images.
    """

    def __init__(self, A: ImagingOperator, eigenvalues: torch.Tensor, eigenvectors: torch.Tensor) -> None:
        self.A, self.eigenvalues, self.eigenvectors = A, eigenvalues, eigenvectors
        self._keep = _channel_mask(A)

    @classmethod
    def of(cls, A: ImagingOperator, *, cache: bool | Path = True) -> GramFactor:
        """Factorise ``A A^H``, or read it from the cache when this geometry was factorised before.

        Parameters
        ----------
        A
            The operator.
        cache
            ``True`` for the user's cache folder (``MIMO_CACHE_DIR`` or the platform's), a folder, or ``False``. The
            file's name is a hash of everything the matrix depends on; one that cannot be read is made again, with a
            warning.

        Raises
        ------
        ValueError
            When there are more than `MAX_MEASUREMENTS` measurements.

        Notes
        -----
        Costs ``4 m^2 n_voxel`` operations for the matrix (half of it by symmetry) and about ``25 m^3`` for the
        eigendecomposition: together about 12 s on two cores at the papers' size (m = 2340), 44 MB on disk.
        """
        if A.n_measurement > MAX_MEASUREMENTS:
            raise ValueError(
                f"{A.n_measurement} measurements are too many to factorise A A^H: expected {MAX_MEASUREMENTS} or "
                "fewer; select fewer frequencies or channels"
            )
        path = None if cache is False else _cache_folder(cache) / f"gram-{_fingerprint(A)}.safetensors"
        if path is None:
            return cls._made(A)
        found = cls._kept(A, path)
        if found is None:
            with _alone(path):
                found = cls._kept(A, path)  # another process may have made it meanwhile
                if found is None:
                    found = cls._made(A)
                    _write(path, found)
        return found

    @classmethod
    def _kept(cls, A: ImagingOperator, path: Path) -> GramFactor | None:
        """Read a factor from the cache; ``None`` when it is not there or damaged."""
        if not path.exists():
            return None
        try:
            stored = load_file(path)
            # a copy, laid out like a new factor: the memory layout of a matrix decides the last bits of its products
            vectors = torch.view_as_complex(stored["eigenvectors"]).to(A.device, A.dtype, copy=True)
            if vectors.shape == (A.n_measurement, A.n_measurement):
                return cls(A, stored["eigenvalues"].to(A.device), vectors)
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            warnings.warn(f"{path} cannot be read and is made again: {error}", RuntimeWarning, stacklevel=3)
            with suppress(OSError):
                path.unlink()
        return None

    @classmethod
    def _made(cls, A: ImagingOperator) -> GramFactor:
        """Compute the factor; see `DOUBLE_UP_TO` for the precision."""
        matrix = gram_matrix(A)
        if A.n_measurement > DOUBLE_UP_TO:
            matrix = matrix.to(A.dtype)
        values, vectors = torch.linalg.eigh(matrix)
        return cls(A, values.double().clamp_min(0), vectors.to(A.dtype).contiguous())

    def coefficients(self, y: torch.Tensor) -> torch.Tensor:
        """Return the coefficients ``U^H y``, ``(..., m)``, of measurements ``(..., *A.measurement_shape)``."""
        flat = y.to(self.A.dtype).reshape(*y.shape[: y.ndim - len(self.A.measurement_shape)], -1)
        if self._keep is not None:
            flat = flat[..., self._keep]
        return (flat.conj().resolve_conj() @ self.eigenvectors).conj().resolve_conj()

    def measurement(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return the measurements ``U c``, ``(..., *A.measurement_shape)``, zero where masked, of ``(..., m)``."""
        flat = coefficients.to(self.A.dtype) @ self.eigenvectors.T
        if self._keep is not None:
            full = torch.zeros((*flat.shape[:-1], len(self._keep)), dtype=flat.dtype, device=flat.device)
            full[..., self._keep] = flat
            flat = full
        return flat.reshape(*flat.shape[:-1], *self.A.measurement_shape)

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


def gram_matrix(A: ImagingOperator) -> torch.Tensor:
    """Compute ``A A^H`` of the unmasked measurements, complex128 ``(m, m)``, Hermitian to the last bit.

    Products are formed in the operator's precision for one block of voxels after another and summed in complex128, as
    many small terms are added to large sums. Only tiles on and above the diagonal are computed; the triangle above it
    then gives the one below, and the diagonal is made real.
    """
    m, keep = A.n_measurement, _channel_mask(A)
    total = torch.zeros((m, m), dtype=torch.complex128, device=A.device)
    tiles = [slice(i, min(i + GRAM_TILE, m)) for i in range(0, m, GRAM_TILE)]
    block = max(1, min(4096, 2**27 // (m * A.dtype.itemsize)))
    for first in range(0, A.grid.n_voxel, block):
        rows = A.columns(first, min(first + block, A.grid.n_voxel))
        rows = rows if keep is None else rows[keep]
        conj = rows.conj().resolve_conj()
        for i, tile in enumerate(tiles):
            for other in tiles[i:]:
                total[tile, other] += rows[tile] @ conj[other].T
    upper = torch.triu(total, 1)
    return upper + upper.mH + torch.diag(total.diagonal().real.to(total.dtype))


def _channel_mask(A: ImagingOperator) -> torch.Tensor | None:
    """Return which of the flattened measurements carry data, bool ``(prod(measurement_shape),)``; ``None`` for all."""
    if A.array.mask is None:
        return None
    return torch.as_tensor(np.tile(A.array.mask.ravel(), A.sweep.n_freq), device=A.device)


def _cache_folder(cache: bool | Path) -> Path:
    if isinstance(cache, Path):
        return cache
    return Path(os.environ.get("MIMO_CACHE_DIR") or platformdirs.user_cache_dir("mimo-imaging"))


def _fingerprint(A: ImagingOperator) -> str:
    digest = hashlib.sha256()
    array, grid = A.array, A.grid
    facts = {"format": FORMAT, "kind": type(A).__name__, "dtype": str(A.dtype), "permittivity": A.permittivity}
    if any(value is not None for value in (A.acquisition.pattern, A.acquisition.layers)):
        facts |= {"pattern": repr(A.acquisition.pattern), "layers": repr(A.acquisition.layers)}
    digest.update(json.dumps(facts, sort_keys=True).encode())
    more = (A.acquisition.reference_path, array.tx_normal, array.rx_normal)
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
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        if lock.is_locked:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()


def _write(path: Path, factor: GramFactor) -> None:
    """Write a factor to a file beside its place and rename it; a failure is a warning, as only time is lost."""
    vectors = torch.view_as_real(factor.eigenvectors.cpu()).contiguous()
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        save_file({"eigenvalues": factor.eigenvalues.cpu(), "eigenvectors": vectors}, temporary)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        warnings.warn(f"the factorised Gram matrix is not cached: {error}", RuntimeWarning, stacklevel=3)
