"""The Born operator of planar scans through plane waves, and forward products of nearly empty volumes."""

import numpy as np
import pytest
import torch
from helper import TOLERANCE, adjoint_gap, fails, relative_gap
from test_bistatic_migration import BAND, GRID, SCANS, body

from mimo import (
    ArrayGeometry,
    BornOperator,
    CosinePattern,
    FastOperator,
    VoxelGrid,
    backproject,
    born_operator,
    imaging_operator,
)
from mimo.acquisition import Acquisition
from mimo.data import Measurement
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


def test_what_is_no_scan_is_refused():
    fails(
        ("every pair", "expected a scan"),
        lambda: FastOperator(Acquisition(ArrayGeometry.mills_cross(n_tx=2, n_rx=3, width=0.3), BAND, GRID)),
    )
    fails(("pattern", "isotropic"), lambda: FastOperator(Acquisition(FINE, BAND, GRID, pattern=CosinePattern(1))))


def test_iterations_by_fast_sums_come_near_those_by_exact_ones():
    grid = VoxelGrid.from_extent(x=(-0.05, 0.05, 11), y=(-0.04, 0.05, 10), z=(0.25, 0.31, 7))
    A = born_operator(FINE, BAND, grid)
    truth = torch.zeros(grid.shape, dtype=A.dtype)
    truth[3:6, 4:7, 2:4] = 1
    truth[8, 2, 5] = 2
    values = A.forward(truth)
    measurement = Measurement(values[None].numpy(), FINE, BAND, grid=grid, snr_db=np.array([40.0]))
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
