"""Transform rows by FFT: by FFTW where the package ``pyfftw`` is installed, by ``scipy.fft`` otherwise.

Both use as many threads as torch does. FFTW is given aligned buffers of a few rows that stay in the cache; its plans
are kept for the life of a thread, and threads share the rows, not a transform. On another device than the processor
torch does the transforms.
"""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft
import torch

from mimo.extras import needed

__all__ = ["ENGINES", "best_engine", "fft_rows", "next_length"]

ENGINES = ("pyfftw", "scipy", "torch")
"""What can do the transforms; `best_engine` never chooses torch on the processor, ``mimo bench`` measures it."""

BLOCK_BYTES = 2**20
"""Bytes of rows that FFTW transforms at once: buffers for input and output share the second-level cache."""

_local = threading.local()
_planning = threading.Lock()  # FFTW's planner serves one thread at a time


@functools.cache
def best_engine() -> str:
    """Return ``pyfftw`` where that package can be imported, else ``scipy``."""
    try:
        _pyfftw()
    except ImportError:
        return "scipy"
    return "pyfftw"


def next_length(n: int) -> int:
    """Return the smallest length from `n` on that every engine transforms quickly: factors 2, 3 and 5 alone."""
    return int(scipy.fft.next_fast_len(n, real=True))


def fft_rows(rows: torch.Tensor, n: int, *, inverse: bool = False, engine: str | None = None) -> torch.Tensor:
    """Transform rows that zeros make `n` long: ``out[..., m] = sum_i rows[..., i] exp(-2 pi j m i / n)``.

    Parameters
    ----------
    rows
        Complex ``(..., n_in)``, n_in <= n.
    n
        Length of the transform.
    inverse
        Take exp(+2 pi j m i / n); nothing is divided by n.
    engine
        One of `ENGINES`; ``None`` for the best.

    Returns
    -------
    torch.Tensor
        ``(..., n)`` in the dtype and on the device of `rows`. Engines differ by rounding.
    """
    if rows.shape[-1] > n:
        raise ValueError(f"rows have {rows.shape[-1]} numbers: expected {n} at most, the length of the transform")
    if engine is not None and engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}: expected {', '.join(ENGINES)}")
    if engine == "torch" or rows.device.type != "cpu":
        return torch.fft.ifft(rows, n, norm="forward") if inverse else torch.fft.fft(rows, n)
    flat = rows.resolve_conj().numpy().reshape(-1, rows.shape[-1])
    make = _by_fftw if (engine or best_engine()) == "pyfftw" else _by_scipy
    return torch.from_numpy(make(flat, n, inverse)).view(*rows.shape[:-1], n)


def _by_scipy(rows: npt.NDArray[Any], n: int, inverse: bool) -> npt.NDArray[Any]:
    workers = torch.get_num_threads()
    if inverse:
        return np.asarray(scipy.fft.ifft(rows, n, norm="forward", workers=workers))
    return np.asarray(scipy.fft.fft(rows, n, workers=workers))


def _by_fftw(rows: npt.NDArray[Any], n: int, inverse: bool) -> npt.NDArray[Any]:
    at_once = max(1, BLOCK_BYTES // (n * rows.itemsize))
    out = np.empty((len(rows), n), rows.dtype)

    def transform(first: int) -> None:
        some = rows[first : first + at_once]
        plan, given, made = _fftw_plan(at_once, n, rows.dtype.str, inverse)
        given[: len(some), : rows.shape[1]] = some
        given[:, rows.shape[1] :] = 0
        plan.execute()
        out[first : first + at_once] = made[: len(some)]

    blocks = range(0, len(rows), at_once)
    threads = min(torch.get_num_threads(), len(blocks))
    if threads == 1:
        for first in blocks:
            transform(first)
    else:
        for _ in _pool(threads).map(transform, blocks):
            pass
    return out


def _fftw_plan(n_row: int, n: int, dtype: str, inverse: bool) -> tuple[Any, Any, Any]:
    """Return a plan and its aligned buffers; each thread has its own, since a plan works in its buffers.

    The plan is an estimated one: a measured one is hardly quicker here and may round differently in every process.
    """
    plans: dict[Any, tuple[Any, Any, Any]] = _local.__dict__.setdefault("plans", {})
    key = (n_row, n, dtype, inverse)
    if key not in plans:
        fftw = _pyfftw()
        with _planning:
            given, made = fftw.empty_aligned((n_row, n), dtype), fftw.empty_aligned((n_row, n), dtype)
            direction = "FFTW_BACKWARD" if inverse else "FFTW_FORWARD"
            plan = fftw.FFTW(given, made, axes=(1,), direction=direction, flags=("FFTW_ESTIMATE",), threads=1)
        plans[key] = plan, given, made
    return plans[key]


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="mimo-fft")


def _pyfftw() -> Any:
    """Import ``pyfftw``; the error names the extra that brings it."""
    return needed("pyfftw", purpose="FFTW", extra="fftw")
