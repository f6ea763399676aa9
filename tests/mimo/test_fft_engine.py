"""Transforms by FFTW, scipy and torch: the same sums."""

import sys

import numpy as np
import pytest
import torch
from helper import TOLERANCE, fails, relative_gap

from mimo.fast import fft_engine
from mimo.fast.fft_engine import ENGINES, best_engine, fft_rows, next_length


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_engine_is_the_sum_that_is_written(engine, dtype, threads):
    if engine == "pyfftw":
        pytest.importorskip("pyfftw")
    rows = torch.randn(3, 500, 11, dtype=dtype, generator=torch.Generator().manual_seed(0)).transpose(0, 1)
    n = 250
    turns = np.multiply.outer(np.arange(n), np.arange(11)) / n
    matrix = torch.as_tensor(np.exp(-2j * np.pi * turns), dtype=torch.complex128)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for inverse in (False, True):
            wanted = rows.to(matrix.dtype) @ (matrix.conj() if inverse else matrix).T
            for _ in range(2):  # the second time with a plan that is kept, and its buffers used
                made = fft_rows(rows, n, inverse=inverse, engine=engine)
                assert made.dtype == dtype and relative_gap(made, wanted) < TOLERANCE[dtype]
                short = fft_rows(rows[:7, :, :5], n, inverse=inverse, engine=engine)
                assert relative_gap(short, fft_rows(rows[:7, :, :5], n, inverse=inverse, engine="torch")) < 1e-5
    finally:
        torch.set_num_threads(before)


def test_scipy_stands_in_where_pyfftw_is_not_installed(monkeypatch):
    rows = torch.randn(4, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    usual = fft_rows(rows, 9)
    monkeypatch.setitem(sys.modules, "pyfftw", None)
    best_engine.cache_clear()
    try:
        assert best_engine() == "scipy"
        assert relative_gap(fft_rows(rows, 9), usual) < 1e-6
        with pytest.raises(ImportError, match=r"mimo-imaging\[fftw\]"):
            fft_engine._pyfftw()
    finally:
        best_engine.cache_clear()


def test_lengths_and_refusals():
    assert [next_length(n) for n in (1, 7, 11, 1000, 1001)] == [1, 8, 12, 1000, 1024]
    fails(("engine is 'mkl'", "pyfftw, scipy, torch"), lambda: fft_rows(torch.zeros(2, 3), 4, engine="mkl"))
    fails(("5 numbers", "4 at most"), lambda: fft_rows(torch.zeros(2, 5), 4))
