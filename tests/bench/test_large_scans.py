"""The benchmark of large scans, at small sizes: what it measures and prints."""

import math

import pytest
import torch

from mimo.bench import large_scans
from mimo.bench.large_scans import board_scan, fft_times, measure_scan, measure_solver, raster, scans_table


@pytest.fixture(scope="module")
def result():
    A = board_scan((50, 26), (24, 20, 6))
    solved = measure_solver(raster(16, (8, 7, 4)), "l1")
    rows = {"range-migration": measure_scan(A), "exact": large_scans.exact_seconds(A, 4)}
    return {"board 407 x 200": rows, "raster 100 x 100": {"l1": solved}, "FFT": fft_times(1)}


def test_migration_of_a_plate_is_near_the_exact_sum(result):
    found = result["board 407 x 200"]["range-migration"]
    assert found["correlation of magnitudes"] > 0.999
    assert found["rms error, dB of the rms"] < -25
    assert found["processor seconds"] > 0 and found["seconds"] < math.inf and found["peak memory, MB"] > 50


def test_the_solver_is_run_until_it_stops(result):
    found = result["raster 100 x 100"]["l1"]
    assert 3 < found["iterations"] < 10_000
    # at this size there is one point, and voxels are finer than the resolution; the rest only the large scan tells
    assert 0 < found["correlation of range migration"] < found["correlation of magnitudes"] < 1
    assert found["points found"] in (0, 1)


def test_points_are_found_where_they_were_planted_and_nowhere_else():
    truth = large_scans._points((43, 35, 8))
    assert int(truth.sum()) == 4 * 3
    assert large_scans._found(truth * torch.rand(truth.shape).clamp_min(0.2), truth) == 12
    assert large_scans._found(truth.roll(1, 0), truth) == 12
    assert large_scans._found(truth.roll(3, 0), truth) == 0


def test_every_row_is_printed(result):
    lines = scans_table(result).splitlines()
    assert [line.split()[4] for line in lines[1:3]] == ["range-migration", "exact"] and " it" in lines[3]
    assert "FFTs of 1024" in lines[-1] and "scipy" in lines[-1] and "torch" in lines[-1]


def test_the_sizes_are_those_that_are_named():
    A = raster(100)
    assert A.array.n_channel == 10_000 and A.volume_shape == (128, 128, 32)
    board = board_scan((407, 3))
    assert board.array.n_channel == 4 * 407 * 3 and board.sweep.n_freq == 256 and board.volume_shape == (256, 256, 64)
