"""Fast Fourier transforms: scipy's, or FFTW's where pyfftw is installed.

Both give the same numbers to rounding. The wheels of pyfftw hold FFTW itself, which is under the GPL; so it is an extra
(``fftw``) and nothing needs it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import fft

try:
    from pyfftw.interfaces import scipy_fft as _fftw
except ImportError:
    _fftw = None


def inverse_sum(values: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    """Sum ``values[k] exp(+2j pi k n / N)`` over k along an axis, without division by N; the dtype is kept."""
    with _backend():
        result = fft.ifft(values, axis=axis, norm="forward", workers=torch.get_num_threads())
    return np.asarray(result, dtype=values.dtype)


def fast_length(n: int) -> int:
    """Return the next length from `n` up whose transforms are fast."""
    return int(fft.next_fast_len(n))


def _backend() -> AbstractContextManager[Any]:
    return nullcontext() if _fftw is None else fft.set_backend(_fftw, only=True)
