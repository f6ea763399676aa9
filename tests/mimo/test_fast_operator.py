"""The Born operator of planar scans through plane waves, and forward products of nearly empty volumes."""

import numpy as np
import pytest
import torch
from cases import HORN, SWEEP
from helper import TOLERANCE, adjoint_gap, fails, relative_gap
from test_bistatic_migration import BAND, GRID, SCANS, body

from mimo import (
    ArrayGeometry,
    BornOperator,
    CosinePattern,
    FastOperator,
    FrequencySweep,
    VoxelGrid,
    backproject,
    born_operator,
    imaging_operator,
    operator_of,
)
from mimo.acquisition import Acquisition
from mimo.data import Measurement
from mimo.fast import fast_operator
from mimo.recon import reconstruct

FINE = ArrayGeometry.planar_scan(shape=(31, 28), width=0.2, height=0.18)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("name", ["monostatic", "a plane of both"])
def test_adjoint_pair_near_the_exact_operator_inside_a_region(name, dtype):
    array = FINE if name == "monostatic" else SCANS[name]
    inside = np.ones(GRID.shape, bool)
    inside[:, :3], inside[4:7, 5:, 2] = False, False
    acquisition = Acquisition(array, BAND, GRID, inside=inside)
    A = FastOperator(acquisition, dtype=dtype)
    exact = born_operator(array, BAND, GRID, dtype=dtype)
    assert adjoint_gap(A, torch.Generator().manual_seed(0), (2,)) < TOLERANCE[dtype]
    x = body(GRID).to(dtype)
    within = x * torch.as_tensor(inside)
    seen, wanted = A.forward(x), exact.forward(within)
    assert float((seen - wanted).norm() / wanted.norm()) < 0.05
    image, other = A.adjoint(wanted), exact.adjoint(wanted) * torch.as_tensor(inside)
    assert float((image - other).norm() / other.norm()) < 0.05
    formed = backproject(wanted, exact) * torch.as_tensor(inside)
    assert relative_gap(backproject(wanted, A), formed) < TOLERANCE[dtype]  # image formers stay exact


def test_columns_and_repeated_calls_are_those_of_the_operator():
    A = FastOperator(Acquisition(FINE, BAND, GRID), dtype=torch.complex128)
    none = FastOperator(Acquisition(FINE, BAND, GRID), dtype=torch.complex128, memory=0)
    unit = torch.zeros(GRID.n_voxel, dtype=torch.complex128)
    unit[7] = 1
    columns = A.columns(6, 8)
    assert columns.shape == (A.sweep.n_freq * FINE.n_channel, 2)
    assert relative_gap(columns[:, 1], A.forward(unit.view(GRID.shape)).flatten()) < 1e-14
    assert torch.equal(A.forward(unit.view(GRID.shape)), none.forward(unit.view(GRID.shape)))


def large_frame() -> ArrayGeometry:
    """Sixty transmitters on two sides of a square, sixty-two receivers on the others."""
    side, other, edge = np.linspace(-0.1, 0.1, 30), np.linspace(-0.1, 0.1, 31), 0.104
    tx = np.concatenate([np.column_stack([side, np.full(30, y), np.zeros(30)]) for y in (edge, -edge)])
    rx = np.concatenate([np.column_stack([np.full(31, x), other, np.zeros(31)]) for x in (edge, -edge)])
    return ArrayGeometry(tx, rx)


BROAD = VoxelGrid.from_extent(x=(-0.1, 0.1, 47), y=(-0.1, 0.1, 43), z=(0.25, 0.3, 17))
WAYS = {
    "migration": Acquisition(ArrayGeometry.planar_scan(shape=(60, 57), width=0.2), BAND, BROAD),
    "factorised": Acquisition(large_frame(), BAND, BROAD),
    "profiles": Acquisition(ArrayGeometry.mills_cross(n_tx=3, n_rx=5, width=0.3), BAND, GRID, pattern=CosinePattern(1)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_array_is_taken_the_quickest_way(way, monkeypatch):
    monkeypatch.setattr(fast_operator, "WORTH_A_PLAN", 0)
    A = FastOperator(WAYS[way])
    assert A.way == way and 0 < A.product_seconds < 60
    exact = operator_of(WAYS[way])
    assert adjoint_gap(A, torch.Generator().manual_seed(0)) < TOLERANCE[A.dtype]
    x = body(A.grid).to(A.dtype)
    seen, wanted = A.forward(x), exact.forward(x)
    assert float((seen - wanted).norm() / wanted.norm()) < (0.05 if way == "migration" else 0.002)


def test_few_voxels_of_an_array_are_summed_alone_and_alike(monkeypatch):
    """Empty voxels are left out of range profiles; the measurement is that of the whole volume to rounding."""
    uneven = FrequencySweep(BAND.freq[0] * np.linspace(1, 1.3, 23) ** 1.5)
    A = FastOperator(Acquisition(ArrayGeometry.mills_cross(n_tx=3, n_rx=5, width=0.3), uneven, GRID))
    x = torch.zeros(GRID.shape, dtype=A.dtype)
    x[3, 4, 5], x[7, 2, 1] = 1, 2j
    whole = A.forward(x)
    monkeypatch.setattr(imaging_operator, "WORTH_SKIPPING", 0)
    assert relative_gap(A.forward(x), whole) < TOLERANCE[A.dtype]


def test_patterns_that_change_with_the_frequency_are_refused():
    fails(("pattern", "real one"), lambda: FastOperator(Acquisition(FINE, SWEEP, GRID, pattern=HORN)))


@pytest.mark.parametrize("array", [FINE, ArrayGeometry.mills_cross(n_tx=9, n_rx=10, width=0.2)], ids=["scan", "cross"])
def test_iterations_by_fast_sums_come_near_those_by_exact_ones(array):
    grid = VoxelGrid.from_extent(x=(-0.05, 0.05, 11), y=(-0.04, 0.05, 10), z=(0.25, 0.31, 7))
    A = born_operator(array, BAND, grid)
    truth = torch.zeros(grid.shape, dtype=A.dtype)
    truth[3:6, 4:7, 2:4] = 1
    truth[8, 2, 5] = 2
    values = A.forward(truth)
    measurement = Measurement(values[None].numpy(), array, BAND, grid=grid, snr_db=np.array([40.0]))
    options = {"max_iterations": 12, "check": "none", "device": "cpu"}
    exact, fast = (reconstruct("l1", measurement, sums=sums, **options) for sums in ("exact", "fast"))
    assert fast.parameters["sums"] == "fast" and "sums" not in exact.parameters
    a, b = np.abs(exact.image).ravel(), np.abs(fast.image).ravel()
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.98
    fails(("sums is 'quick'", "exact or fast"), lambda: reconstruct("l1", measurement, sums="quick"))


@pytest.mark.parametrize("paired", [False, True])
def test_empty_voxels_are_left_out_and_change_nothing(paired, monkeypatch):
    array = SCANS["few rows"] if paired else ArrayGeometry.mills_cross(n_tx=4, n_rx=5, width=0.2)
    inside = np.ones(GRID.shape, bool)
    inside[:2] = False
    reference = born_operator(array, BAND, GRID)
    A = type(reference).of(reference.acquisition.replace(inside=inside))
    x = torch.zeros(3, *GRID.shape, dtype=A.dtype)
    x[0, 5, 7, 3], x[0, 1, 1, 1], x[0, 12, 13, 14] = 1, 5, 2j  # one lies outside
    x[1] = torch.randn(GRID.shape, generator=torch.Generator().manual_seed(0))
    whole = A.forward(x)
    made = []
    of = BornOperator._kernel_sum if not paired else type(A)._kernel_sum

    def counted(self, model):
        made.append(self.acquisition.voxels.n_voxel)
        return of(self, model)

    monkeypatch.setattr(type(A), "_kernel_sum", counted)
    monkeypatch.setattr(imaging_operator, "WORTH_SKIPPING", 0)
    y = A.forward(x)
    assert made == [2]  # the first volume's voxels inside; the second one is full, the last one empty
    assert relative_gap(y, whole) < TOLERANCE[A.dtype] and not y[2].any()
    assert torch.equal(y[0], A.forward(x[0])) and y[0].abs().max() > 0
