"""The transform's sign and scale, with and without FFTW."""

import numpy as np
import pytest

from mimo import fourier


@pytest.mark.parametrize("with_fftw", [True, False])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_the_sum_is_the_direct_one(with_fftw, dtype, monkeypatch):
    if with_fftw and fourier._fftw is None:
        pytest.skip("pyfftw (extra fftw) is not installed")
    if not with_fftw:
        monkeypatch.setattr(fourier, "_fftw", None)
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((2, 12, 3)) + 1j * rng.standard_normal((2, 12, 3))).astype(dtype)
    kept = values.copy()
    k = np.arange(12)
    expected = np.einsum("akb,nk->anb", values, np.exp(2j * np.pi * np.outer(k, k) / 12))
    found = fourier.inverse_sum(values, axis=1)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=50 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(values, kept)


def test_a_fast_length_is_not_shorter():
    assert [fourier.fast_length(n) for n in (1, 7, 11, 97)] >= [1, 7, 11, 97]
    assert fourier.fast_length(1021) < 1100
