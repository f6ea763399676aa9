"""Back-projection through range profiles: against the exact sum, on every geometry and both ways of computing it."""

import itertools
import math

import numpy as np
import pytest
import torch
from cases import ARRAY, CASES, FLAT, GRID, HORN, MASKED, PAIRED, PATHS, PRECISIONS, SCAN, SWEEP, WALL, operator
from helper import fails, relative_gap

from mimo import CosinePattern, FrequencySweep, VoxelGrid, backproject, backproject_fast, born_operator
from mimo.fast import profile_sum

TAKEN = [case for case in CASES if "table pattern" not in case]
MANY = FrequencySweep.linear(4e9, 16e9, 424)
BENT = FrequencySweep(4e9 + 12e9 * np.linspace(0, 1, 60) ** 1.2)
every_precision = pytest.mark.parametrize("dtype", PRECISIONS, ids=str)


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=["compiled", "torch"])
def path(request, monkeypatch):
    """Both ways of interpolating."""
    if request.param == "torch":
        monkeypatch.setattr(profile_sum.kernels, "available", lambda: False)
        monkeypatch.setattr(profile_sum, "PAIRS_AT_ONCE", 100)  # several tiles, uneven ones
    elif not profile_sum.kernels.available():
        pytest.skip("the compiled kernels are not built here")
    return request.param


def error_db(image: torch.Tensor, exact: torch.Tensor) -> float:
    return 20 * math.log10(relative_gap(image, exact))


@every_precision
@pytest.mark.parametrize("case", TAKEN)
def test_it_is_the_exact_sum_to_57_db(case, dtype, path, rng):
    A = operator(case, dtype)
    y = torch.randn(2, *A.measurement_shape, dtype=dtype, generator=rng)
    image = backproject_fast(y, A)
    assert image.dtype == dtype
    assert error_db(image, backproject(y, A)) < -57


ODD = FrequencySweep.linear(4e9, 16e9, 61)
PADDINGS = ((1.5, -50), (2, -57), (4, -60), (5.3, -60), (64, -60))


# profiles depend on padding and sweep, not on the array: every padding with every sweep, and each with a scan once
@pytest.mark.parametrize(
    ("array", "sweep", "padding", "limit"),
    [
        *[pytest.param(ARRAY, s, *p, id=f"full-{s.n_freq}-{p[0]}") for s in (MANY, BENT, ODD) for p in PADDINGS],
        *[
            pytest.param(SCAN, s, *p, id=f"scan-{s.n_freq}-{p[0]}")
            for s, p in zip((BENT, ODD, MANY) * 2, PADDINGS, strict=False)
        ],
    ],
)
def test_many_frequencies_and_paddings(array, sweep, padding, limit, path, rng):
    """Noise is the hardest measurement: its image has no peak to hide an error behind."""
    A = born_operator(array, sweep, GRID)
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng)
    assert error_db(backproject_fast(y, A, padding=padding), backproject(y, A)) < limit


@pytest.mark.parametrize("sweep", [MANY, BENT], ids=["uniform", "bent"])
def test_kilometres_away_with_the_range_removed(sweep, path, rng):
    """Every antenna 7 km off; the removed ranges bring the paths back to metres."""
    away = np.array([5e3, -3e3, 4e3])
    grid = VoxelGrid.from_extent(x=(-2, 1.5, 5), y=(-1, 2, 7), z=(0, 0.4, 11))
    scan = type(SCAN)(SCAN.tx_pos * 300 + away, SCAN.rx_pos * 300 + away, SCAN.channels)
    ranges = 2 * np.linalg.norm(scan.tx_pos, axis=1)
    A = born_operator(scan, sweep, grid, reference_path=ranges)
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng)
    exact = backproject(
        y.to(torch.complex128), born_operator(scan, sweep, grid, reference_path=ranges, dtype=torch.complex128)
    )
    assert error_db(backproject_fast(y, A), exact) < -57
    assert relative_gap(backproject(y, A), exact) < 1e-5


def test_a_point_is_imaged_in_its_voxel(path):
    A = born_operator(ARRAY, FrequencySweep.linear(4e9, 16e9, 101), GRID, reference_path=PATHS)
    x = torch.zeros(GRID.shape)
    x[1, 5, 8] = 1
    image = backproject_fast(A.forward(x), A).abs()
    assert tuple(np.unravel_index(int(image.argmax()), GRID.shape)) == (1, 5, 8)


def test_what_is_masked_does_not_count(path, rng):
    A = born_operator(MASKED, SWEEP, GRID)
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng)
    spoiled = y.clone()
    spoiled[:, 0, 1] = torch.nan
    assert torch.equal(backproject_fast(spoiled, A), backproject_fast(y, A))


def test_the_number_of_threads_changes_nothing(rng):
    grid = VoxelGrid.from_extent(x=(-0.15, 0.15, 13), y=(-0.15, 0.15, 17), z=(0.35, 0.65, 19))
    A = born_operator(PAIRED, MANY, grid, layers=WALL)
    y = torch.randn(3, *A.measurement_shape, dtype=A.dtype, generator=rng)
    before, images, exact = torch.get_num_threads(), [], []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            images.append(backproject_fast(y, A))
            exact.append(backproject(y, A))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for made in (images, exact) for a, b in itertools.pairwise(made))


def test_more_antennas_than_rows_are_kept(path, rng):
    """A scan, and pairs whose antennas share a place among the rows of the compiled sums."""
    n = 450
    points = np.column_stack([np.linspace(-0.2, 0.2, n), np.zeros(n), np.zeros(n)])
    pairs = [[t, (t + 192) % n] for t in range(n)] + [[t, (t * 7) % n] for t in range(n)] + [[5, 197], [197, 5], [5, 5]]
    for channels in ([[t, t] for t in range(n)], pairs, pairs * 3):
        array = type(SCAN)(points, np.add(points, [0, 0.1, 0]) if channels is pairs else points, channels)
        A = born_operator(array, SWEEP, FLAT, dtype=torch.complex128)
        y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng)
        tx, rx = (np.linalg.norm(FLAT.centers() - p[:, None], axis=2) for p in (array.tx_pos, array.rx_pos))
        path_length = (tx[array.channels[:, 0]] + rx[array.channels[:, 1]])[None]
        terms = np.exp(1j * SWEEP.wavenumber()[:, None, None] * path_length)
        expected = torch.as_tensor(np.einsum("fcv,fc->v", terms, y.numpy()).reshape(FLAT.shape))
        assert relative_gap(backproject(y, A), expected) < 1e-11
        assert error_db(backproject_fast(y, A), expected) < -57


def test_arguments_that_do_not_fit():
    A = operator("full")
    y = torch.zeros(A.measurement_shape, dtype=A.dtype)
    for padding in (1, 1.4, 65, math.nan, "2"):
        fails(("padding", repr(padding), "1.5 to 64"), lambda padding=padding: backproject_fast(y, A, padding=padding))
    fails(("(3, 4)", "(..., 4, 2, 3)"), lambda: backproject_fast(torch.ones(3, 4), A))
    wide = born_operator(SCAN, BENT, VoxelGrid([-3e6, 3e6], [0.0], [0.5]))
    fails(
        ("paths span", "smaller grid"),
        lambda: backproject_fast(torch.zeros(wide.measurement_shape, dtype=wide.dtype), wide),
    )
    dispersive = born_operator(ARRAY, SWEEP, GRID, pattern=HORN)
    fails(("pattern", "frequency", "backprojection"), lambda: backproject_fast(y, dispersive))
    assert backproject_fast(y[None][:0], born_operator(ARRAY, SWEEP, GRID, pattern=CosinePattern(1))).shape == (
        0,
        *GRID.shape,
    )
