"""Image formers put a point where it is, as wide as theory says; expected sampling agrees with theory and images."""

import math

import numpy as np
import pytest
import torch
from helper import fails
from scipy.constants import speed_of_light

from mimo import ArrayGeometry, BornOperator, FrequencySweep, GramFactor, VoxelGrid, backproject, kirchhoff
from mimo.recon.metrics import point_widths
from mimo.sampling import _half_power_width, _wave_vectors, expected_sampling, unambiguous_range

ARRAY = ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3)
SWEEP = FrequencySweep.linear(4e9, 16e9, 15)
FORMERS = {
    "backprojection": backproject,
    "kirchhoff": kirchhoff,
    "kirchhoff-compensated": lambda y, A: kirchhoff(y, A, compensate_aperture=True),
    "adjoint": lambda y, A: A.adjoint(y),
    "tikhonov": lambda y, A: GramFactor.of(A, cache=False).tikhonov(y)[0],
}


@pytest.mark.parametrize("former", FORMERS)
@pytest.mark.parametrize("place", [(3, 9, 5), (6, 2, 11)])
def test_a_point_is_imaged_in_its_voxel(former, place):
    grid = VoxelGrid.from_extent(x=(-0.12, 0.09, 8), y=(-0.15, 0.15, 11), z=(0.4, 0.58, 13))
    A = BornOperator(ARRAY, FrequencySweep.linear(4e9, 16e9, 5), grid)
    x = torch.zeros(grid.shape)
    x[place] = 1
    image = FORMERS[former](A.forward(x), A).abs()
    assert tuple(np.unravel_index(int(image.argmax()), grid.shape)) == place


@pytest.mark.parametrize("former", ["backprojection", "kirchhoff"])
def test_widths_of_a_point_are_those_expected(former):
    """A fine grid around one point: -3 dB widths against the local theory, for two arrays and a point off the axis."""
    crossed = ArrayGeometry.uniform_linear(n_tx=15, n_rx=16, width=0.3)
    for array, point in ((ARRAY, (0.02, -0.03, 0.5)), (crossed, (0.0, 0.0, 0.6))):
        px, py, pz = point
        grid = VoxelGrid.from_extent(
            x=(px - 0.04, px + 0.04, 41), y=(py - 0.04, py + 0.04, 41), z=(pz - 0.02, pz + 0.02, 41)
        )
        A = BornOperator(array, SWEEP, grid)
        x = torch.zeros(grid.shape)
        x[20, 20, 20] = 1
        image = FORMERS[former](A.forward(x), A).abs().numpy()
        expected = expected_sampling(array, SWEEP, grid, point=point).resolution
        if former == "kirchhoff":  # its terms (1 + jkR) weigh the band by k^2
            vectors = _wave_vectors(array, SWEEP, 1.0, np.array(point))
            weight = np.repeat(SWEEP.wavenumber() ** 2, array.n_channel)
            expected = [_half_power_width(vectors[:, i], weight) for i in range(3)]
        np.testing.assert_allclose(point_widths(image, grid), expected, rtol=0.03)


def test_textbook_resolution_of_a_dense_aperture():
    """0.886 lambda R / L across (one side has no extent along the axis) and 0.886 c / 2B down range, far away."""
    array = ArrayGeometry.uniform_linear(n_tx=101, n_rx=101, width=0.3)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 3), y=(-0.1, 0.1, 3), z=(4.9, 5.1, 5))
    sweep = FrequencySweep.linear(9.9e9, 10.1e9, 41)
    result = expected_sampling(array, sweep, grid)
    wavelength = speed_of_light / 10e9
    np.testing.assert_allclose(result.resolution[:2], 0.886 * wavelength * 5 / 0.3, rtol=0.02)
    assert result.resolution[2] == pytest.approx(0.886 * speed_of_light / (2 * 0.2e9), rel=0.03)


def test_unambiguous_range():
    assert unambiguous_range(FrequencySweep.linear(1e9, 2e9, 11)) == pytest.approx(speed_of_light / 2e8)
    assert unambiguous_range(FrequencySweep.linear(1e9, 2e9, 11), permittivity=4) == pytest.approx(speed_of_light / 4e8)
    assert unambiguous_range(FrequencySweep([1e9, 1.1e9, 1.5e9])) == pytest.approx(speed_of_light / 8e8)
    assert unambiguous_range(FrequencySweep([1e9])) == math.inf


def test_advice_appears_when_due_and_only_then():
    good = VoxelGrid.from_extent(x=(-0.05, 0.05, 25), y=(-0.05, 0.05, 25), z=(0.5, 0.55, 25))
    dense = ArrayGeometry.uniform_planar(tx_shape=(8, 2), rx_shape=(2, 9), width=0.15)
    assert expected_sampling(dense, FrequencySweep.linear(8e9, 10e9, 21), good).warnings == ()
    coarse = VoxelGrid.from_extent(x=(-0.2, 0.2, 3), y=(-0.05, 0.05, 25), z=(0.5, 0.55, 25))
    assert "along x" in expected_sampling(ARRAY, SWEEP, coarse).warnings[0]
    deep = VoxelGrid.from_extent(x=(-0.05, 0.05, 25), y=(-0.05, 0.05, 25), z=(0.5, 1.5, 250))
    assert any("unambiguous" in line for line in expected_sampling(ARRAY, SWEEP, deep).warnings)
    sparse = ArrayGeometry.uniform_planar(tx_shape=(2, 2), rx_shape=(3, 3), width=0.3)
    wide = VoxelGrid.from_extent(x=(-0.3, 0.3, 61), y=(-0.3, 0.3, 61), z=(1.0, 1.0, 1))
    assert any("grating" in line for line in expected_sampling(sparse, FrequencySweep([16e9]), wide).warnings)


def test_sampling_works_on_thin_grids_and_single_antennas():
    point = VoxelGrid([0.0], [0.0], [0.5])
    single = ArrayGeometry([[0.0, 0, 0]], [[0.0, 0, 0]])
    result = expected_sampling(single, FrequencySweep([1e9]), point)
    assert result.resolution == (math.inf, math.inf, math.inf)
    assert result.warnings == ()


def test_image_formers_check_their_input():
    A = BornOperator(ARRAY, SWEEP, VoxelGrid([0.0], [0.0], [0.5]))
    fails(("(15, 13, 12)", "(..., 15, 12, 13)"), lambda: backproject(torch.ones(15, 13, 12), A))
