"""Arrays, sweeps and grids: layouts, validation with messages, reprs that evaluate."""

import dataclasses

import numpy as np
import pytest
from helper import fails
from hypothesis import given
from hypothesis import strategies as st

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid

LAYOUTS = [
    ArrayGeometry.mills_cross(n_tx=12, n_rx=13, width=0.3),
    ArrayGeometry.uniform_linear(n_tx=4, n_rx=1, width=0.2, z=-0.1),
    ArrayGeometry.uniform_planar(tx_shape=(2, 3), rx_shape=(4, 1), width=0.2, height=0.1),
    ArrayGeometry.random_planar(n_tx=5, n_rx=4, width=0.3, min_spacing=0.03, seed=7),
    ArrayGeometry.planar_scan(shape=(3, 4), width=0.2),
    ArrayGeometry([[0.1, 0, 0]], [[0, 1 / 3, 0], [0, 1, 0]], mask=[[True, False]], tx_normal=[[0, 0, 2]], name="mine"),
    ArrayGeometry([[0.1, 0, 0]], [[0, 0.2, 0]], channels=[[0, 0], [0, 0]]),
]


@pytest.mark.parametrize("array", LAYOUTS, ids=lambda a: a.name or "plain")
def test_reprs_evaluate(array):
    assert eval(repr(array)) == array
    assert hash(eval(repr(array))) == hash(array)


def test_a_changed_array_prints_what_it_is():
    array = LAYOUTS[0]
    changed = dataclasses.replace(array, mask=np.eye(12, 13, dtype=bool))
    assert eval(repr(changed)) == changed
    assert changed != array
    numbers = ArrayGeometry.mills_cross(n_tx=np.int64(3), n_rx=4.0, width=np.float64(0.3))
    assert eval(repr(numbers)) == numbers


def test_mills_cross_stands_on_the_diagonals():
    array = ArrayGeometry.mills_cross(n_tx=3, n_rx=5, width=0.4)
    np.testing.assert_allclose(array.tx_pos, [[-0.2, -0.2, 0], [0, 0, 0], [0.2, 0.2, 0]], atol=1e-15)
    np.testing.assert_allclose(array.rx_pos[[0, -1]], [[-0.2, 0.2, 0], [0.2, -0.2, 0]])
    assert array.measurement_shape == (3, 5)
    assert not array.paired


def test_random_planar_keeps_its_distance_and_its_seed():
    array = ArrayGeometry.random_planar(n_tx=9, n_rx=8, width=0.3, height=0.2, min_spacing=0.04, seed=1)
    points = np.concatenate([array.tx_pos, array.rx_pos])
    gaps = np.linalg.norm(points[:, None] - points, axis=-1)[~np.eye(17, dtype=bool)]
    assert gaps.min() >= 0.04
    assert (np.abs(points[:, 1]) <= 0.1).all()
    assert (np.abs(points[:, 0]) <= 0.15).all()
    assert array == ArrayGeometry.random_planar(n_tx=9, n_rx=8, width=0.3, height=0.2, min_spacing=0.04, seed=1)
    assert array != ArrayGeometry.random_planar(n_tx=9, n_rx=8, width=0.3, height=0.2, min_spacing=0.04, seed=2)
    fails(("min_spacing 0.5",), lambda: ArrayGeometry.random_planar(n_tx=9, n_rx=8, width=0.3, min_spacing=0.5))


def test_planar_scan_is_monostatic_and_paired():
    scan = ArrayGeometry.planar_scan(shape=(3, 4), width=0.2, height=0.3)
    assert scan.paired
    assert scan.measurement_shape == (12,)
    np.testing.assert_array_equal(scan.channels[:, 0], scan.channels[:, 1])
    np.testing.assert_allclose(scan.tx_pos[1] - scan.tx_pos[0], [0, 0.1, 0])


def test_values_are_frozen():
    array = LAYOUTS[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        array.tx_pos = array.rx_pos
    with pytest.raises(ValueError, match="read-only"):
        array.tx_pos[0] = 1
    mine = np.zeros((1, 3))
    copied = ArrayGeometry(mine, mine + 1)
    mine[:] = 5
    assert (copied.tx_pos == 0).all()


def test_channel_indices_count_what_carries_data():
    np.testing.assert_array_equal(LAYOUTS[5].channel_indices(), [[0, 0]])
    assert LAYOUTS[5].n_channel == 1
    assert LAYOUTS[6].n_channel == 2
    assert LAYOUTS[0].n_channel == 156


P = [[0.0, 0, 0], [0.1, 0, 0]]


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: ArrayGeometry([[0, 0]], P), ("tx_pos", "(1, 2)", "(n, 3)")),
        (lambda: ArrayGeometry(P, np.zeros((0, 3))), ("rx_pos", "(0, 3)")),
        (lambda: ArrayGeometry(P, [[0, np.nan, 0]]), ("rx_pos", "antenna 0")),
        (lambda: ArrayGeometry(P, "near"), ("rx_pos", "float64")),
        (lambda: ArrayGeometry(P, P, channels=[[0, 2]]), ("channels[0]", "(0, 2)", "rx below 2")),
        (lambda: ArrayGeometry(P, P, channels=[[-1, 0]]), ("channels[0]", "(-1, 0)")),
        (lambda: ArrayGeometry(P, P, channels=[[0.5, 0]]), ("channels", "whole")),
        (lambda: ArrayGeometry(P, P, channels=np.zeros((0, 2))), ("channels", "(0, 2)")),
        (lambda: ArrayGeometry(P, P, channels=[[2**40, 0]]), ("channels",)),
        (lambda: ArrayGeometry(P, np.array(P) + 1j), ("rx_pos", "complex128")),
        (lambda: ArrayGeometry(P, P, mask=[[7, 1], [1, 1]]), ("mask",)),
        (lambda: ArrayGeometry(P, P, mask=[[True, False]]), ("mask", "(1, 2)", "(2, 2)")),
        (lambda: ArrayGeometry(P, P, mask=np.zeros((2, 2), bool)), ("mask", "no channel")),
        (lambda: ArrayGeometry(P, P, channels=[[0, 0]], mask=np.ones((2, 2))), ("mask", "channels")),
        (lambda: ArrayGeometry(P, P, tx_normal=[[0, 0, 1]]), ("tx_normal", "(1, 3)", "(2, 3)")),
        (lambda: ArrayGeometry(P, P, rx_normal=np.zeros((2, 3))), ("rx_normal", "zero")),
        (lambda: ArrayGeometry.mills_cross(n_tx=0, n_rx=2, width=1), ("n_tx is 0",)),
        (lambda: ArrayGeometry.mills_cross(n_tx=2, n_rx=2, width=-1), ("width is -1",)),
        (lambda: ArrayGeometry.planar_scan(shape=(3,), width=1), ("shape", "(3,)")),
        (lambda: FrequencySweep([]), ("freq", "(0,)")),
        (lambda: FrequencySweep([2e9, 1e9]), ("not ascending", "freq[0] = 2e+09", "expected")),
        (lambda: FrequencySweep([1e9, 1e9]), ("not ascending",)),
        (lambda: FrequencySweep([4.0, 16.0]), ("4 Hz", "in GHz?")),
        (lambda: FrequencySweep([1e9, np.inf]), ("freq[1]", "finite")),
        (lambda: FrequencySweep.linear(1e9, 2e9, 1), ("one frequency",)),
        (lambda: FrequencySweep.linear(1e9, 2e9, 0), ("n is 0",)),
        (lambda: VoxelGrid([0], [], [1]), ("grid y", "(0,)")),
        (lambda: VoxelGrid([0], [1, 0], [1]), ("grid y", "ascending")),
        (lambda: VoxelGrid([0], [1], [np.nan]), ("grid z", "NaN")),
        (lambda: VoxelGrid.from_extent(x=(0, 1, 0), y=(0, 1, 2), z=(0, 1, 2)), ("grid x", "count 0")),
        (lambda: VoxelGrid.from_extent(x=(0, 1, 1), y=(0, 1, 2), z=(0, 1, 2)), ("grid x", "start == stop")),
        (lambda: VoxelGrid.parse("x=0:1:2,y=0:1:2"), ("has no z",)),
        (lambda: VoxelGrid.parse("x=0:1:2,y=0:1,z=0:1:2"), ("'y=0:1'", "START:STOP:COUNT")),
        (lambda: VoxelGrid.parse("x=0:1:2,x=0:1:2,z=0:1:2"), ("'x=0:1:2'",)),
        (lambda: VoxelGrid.parse("x=0:1:2,y=a:b:c,z=0:1:2"), ("'y=a:b:c'",)),
    ],
)
def test_what_does_not_fit_is_named(make, parts):
    fails(parts, make)


axis = st.lists(st.floats(-10, 10), min_size=1, max_size=6, unique=True).map(sorted)


@given(axis, axis, axis)
def test_any_grid_prints_and_evaluates(x, y, z):
    grid = VoxelGrid(x, y, z)
    assert eval(repr(grid)) == grid
    assert grid.centers().shape == (grid.n_voxel, 3)


@given(st.floats(1e3, 1e11), st.floats(1.001, 3), st.integers(2, 50))
def test_any_linear_sweep_is_uniform_and_evaluates(start, factor, n):
    sweep = FrequencySweep.linear(start, start * factor, n)
    assert sweep.step is not None
    assert eval(repr(sweep)) == sweep


def test_uneven_sweep_has_no_step():
    assert FrequencySweep([1e9, 2e9, 4e9]).step is None
    assert FrequencySweep([1e9]).step == 0


def test_grid_order_is_that_of_ravel():
    grid = VoxelGrid.from_extent(x=(0, 2, 3), y=(0, 3, 4), z=(0, 1, 2))
    np.testing.assert_array_equal(grid.centers()[np.ravel_multi_index((2, 1, 1), grid.shape)], [2, 1, 1])
    np.testing.assert_array_equal(grid.nearest([[1.9, 0.6, 0.4]]), [[2, 1, 0]])
    assert grid.spacing == (1, 1, 1)
    assert VoxelGrid.parse("x=0:2:3,y=0:3:4,z=0:1:2") == grid
