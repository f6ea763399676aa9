"""The choice among ways to back-project, and the benchmark of large arrays at a small size."""

import numpy as np
import pytest
import torch
from cases import GRID, HORN, PAIRED, SWEEP, WALL

from mimo import ArrayGeometry, BornOperator, FrequencySweep, VoxelGrid, born_operator
from mimo.bench import large_arrays
from mimo.data import Measurement
from mimo.recon import METHODS, reconstruct
from mimo.recon.costs import predict, quickest

BAND = FrequencySweep.linear(72e9, 82e9, 128)
FAR = VoxelGrid.from_extent(x=(-0.1, 0.1, 100), y=(-0.1, 0.1, 110), z=(0.3, 0.4, 64))


def choice(A) -> str:
    return quickest(predict(A))


def test_the_geometry_decides():
    scan = ArrayGeometry.planar_scan(shape=(200, 180), width=0.2)
    assert choice(born_operator(scan, BAND, FAR)) == "range-migration"
    assert choice(BornOperator(large_arrays.frame(47), BAND, FAR)) == "backprojection-factorised"
    small = ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3)
    assert choice(BornOperator(small, BAND, GRID)) == "backprojection-fast"
    assert choice(BornOperator(small, SWEEP, GRID, pattern=HORN)) == "backprojection"
    assert choice(born_operator(scan, BAND, FAR, layers=WALL)) == "backprojection-fast"


@pytest.mark.parametrize("array", [ArrayGeometry.planar_scan(shape=(30, 31), width=0.2), PAIRED], ids=["scan", "list"])
def test_the_choice_is_made_and_recorded(array):
    A = born_operator(array, SWEEP, GRID)
    y = A.forward(torch.randn(2, *GRID.shape, generator=torch.Generator().manual_seed(0)))
    measurement = Measurement(y.numpy(), array, SWEEP, GRID)
    made = reconstruct("auto-physics", measurement)
    chosen = made.parameters["chosen"]
    assert chosen == choice(A)
    assert set(made.parameters["predicted_seconds"]) >= {"backprojection", "backprojection-fast"}
    np.testing.assert_array_equal(made.image, reconstruct(chosen, measurement).image)
    assert not METHODS["auto-physics"].general


def test_the_benchmark_of_large_arrays(monkeypatch):
    """At a small size, in this process."""
    sweep = FrequencySweep.linear(20e9, 30e9, 12)
    grid = VoxelGrid.from_extent(x=(-0.05, 0.05, 11), y=(-0.05, 0.05, 12), z=(0.2, 0.25, 10))
    scan = ArrayGeometry.planar_scan(shape=(30, 28), width=0.12)
    settings = {
        "frame": (BornOperator(large_arrays.frame(12, 6e-3), sweep, grid), ("backprojection-factorised",), 5),
        "scan": (born_operator(scan, sweep, grid), ("range-migration",), 4),
    }
    monkeypatch.setattr(large_arrays, "large_settings", lambda: settings)
    result = {}
    for name, (_, methods, _) in settings.items():
        result[name] = {m: large_arrays.measure_one(name, m, n_rounds=1) for m in (*methods, "exact")}
        assert result[name][methods[0]]["correlation of magnitudes"] > 0.999
        assert result[name][methods[0]]["largest error, dB of the image's maximum"] < -25
    lines = large_arrays.large_table(result).splitlines()
    assert len(lines) == 6
    assert "range-migration" in lines[4]
