"""Antennas that are infinitely far away: plane waves, exact in every operator, and refused where positions are needed."""

import math

import numpy as np
import pytest
import torch

from mimo import (
    ArrayGeometry,
    CosinePattern,
    FrequencySweep,
    VoxelGrid,
    backproject,
    backproject_factorised,
    backproject_fast,
    born_operator,
    expected_sampling,
    kernels,
    kirchhoff,
    range_migration,
    windowed,
)
from mimo.data import FileError, Measurement, load, read_measured, save
from mimo.data.files.geometry import Geometry, load_geometry, save_geometry

SWEEP = FrequencySweep.linear(8e9, 12e9, 20)
GRID = VoxelGrid.from_extent(x=(-0.06, 0.09, 5), y=(-0.1, 0.08, 7), z=(-0.05, 0.05, 3))
K = 2 * np.pi * SWEEP.freq / 299792458
RNG = np.random.default_rng(2)
DIRECTIONS = RNG.normal(size=(9, 3))
UNIT = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def arrays():
    """A full array and lists of channels, far on both sides or on one."""
    near = RNG.uniform(0.3, 0.5, (4, 3))
    pairs = np.array([[i, i] for i in range(9)])
    mixed = np.array([[i % 9, i % 4] for i in range(13)])
    return {
        "full": ArrayGeometry(DIRECTIONS[:2], DIRECTIONS[2:5], tx_far=True, rx_far=True),
        "monostatic": ArrayGeometry(DIRECTIONS, DIRECTIONS, pairs, tx_far=True, rx_far=True),
        "plane transmitters": ArrayGeometry(DIRECTIONS, near, mixed, tx_far=True),
        "plane receivers": ArrayGeometry(near, DIRECTIONS, rx_far=True),
    }


def naive(array):
    """The kernel as one reads it: exp(-jkP), P = -d . r of a far antenna, amplitude 1; as usual of a near one."""
    centers = GRID.centers()
    sides = []
    for positions, far in ((array.tx_pos, array.tx_far), (array.rx_pos, array.rx_far)):
        path = -(positions @ centers.T) if far else np.linalg.norm(positions[:, None] - centers, axis=-1)
        size = np.ones_like(path) if far else 1 / (math.sqrt(4 * math.pi) * path)
        sides.append(size * np.exp(-1j * K[:, None, None] * path))
    t, r = array.channel_indices().T
    return (sides[0][:, t] * sides[1][:, r]).reshape(len(K), *array.measurement_shape, -1)


@pytest.mark.parametrize("way", ["compiled", "torch"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.complex64, 3e-5), (torch.complex128, 1e-12)])
@pytest.mark.parametrize("kind", list(arrays()))
def test_operators_are_the_sum_of_plane_waves(monkeypatch, kind, dtype, close, way):
    if way == "torch":
        monkeypatch.setenv(kernels.ENVIRONMENT, "off")
    array = arrays()[kind]
    A, kernel = born_operator(array, SWEEP, GRID, dtype=dtype), naive(array)
    x = torch.tensor(RNG.normal(size=GRID.shape) + 1j * RNG.normal(size=GRID.shape), dtype=dtype)
    y = torch.tensor(RNG.normal(size=A.measurement_shape) + 1j * RNG.normal(size=A.measurement_shape), dtype=dtype)
    forward, expected = A.forward(x).numpy(), kernel @ x.numpy().ravel()
    assert np.linalg.norm(forward - expected) / np.linalg.norm(expected) < close
    adjoint = A.adjoint(y).numpy().ravel()
    back = np.tensordot(kernel.conj(), y.numpy(), (range(y.ndim), range(y.ndim)))
    assert np.linalg.norm(adjoint - back) / np.linalg.norm(back) < close
    columns = A.columns(3, 8).numpy()
    assert np.abs(columns - kernel.reshape(-1, GRID.n_voxel)[:, 3:8]).max() < 10 * close * np.abs(kernel).max()


def test_a_circle_a_million_metres_away_becomes_the_plane_waves():
    """Positions at 1e6 m with the way to the origin removed differ by the wave front's bulge alone, k r^2 / R."""
    near = ArrayGeometry(1e6 * UNIT, 1e6 * UNIT, np.array([[i, i] for i in range(9)]))
    far = arrays()["monostatic"]
    x = torch.zeros(GRID.shape, dtype=torch.complex128)
    x[1, 5, 2] = 1
    there = born_operator(near, SWEEP, GRID, reference_path=np.full(9, 2e6), dtype=torch.complex128).forward(x)
    here = born_operator(far, SWEEP, GRID, dtype=torch.complex128).forward(x)
    assert float((there * 4 * math.pi * 1e12 - here).abs().max()) < 1e-5


def test_a_point_is_imaged_by_every_way_that_can_and_refused_by_the_others():
    a = np.deg2rad(np.arange(0, 360, 3.0))
    around = np.stack([np.cos(a), np.sin(a), 0 * a], axis=1)
    array = ArrayGeometry(around, around, np.stack([np.arange(120)] * 2, axis=1), tx_far=True, rx_far=True)
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 41), y=(-0.2, 0.2, 37), z=(0, 0, 1))
    A = born_operator(array, SWEEP, grid)
    x = torch.zeros(grid.shape)
    x[30, 9, 0] = 1
    y = A.forward(x)
    exact = backproject(y, A)
    assert int(exact.abs().argmax()) == int(x.argmax())
    fast = backproject_fast(y, A)
    assert float((fast - exact).abs().max() / exact.abs().max()) < 2e-3
    assert int(backproject(windowed(y, A, "hamming"), A).abs().argmax()) == int(x.argmax())
    assert expected_sampling(array, SWEEP, grid).resolution[0] < 0.02
    with pytest.raises(ValueError, match=r"infinitely far away.*range migration expects positions"):
        range_migration(y, A)
    with pytest.raises(ValueError, match=r"kirchhoff with antennas infinitely far away"):
        kirchhoff(y, A)
    full = arrays()["full"]
    B = born_operator(full, SWEEP, GRID)
    with pytest.raises(ValueError, match=r"groups of antennas expects positions"):
        backproject_factorised(torch.ones(B.measurement_shape, dtype=torch.complex64), B)


def test_a_pattern_looks_towards_the_origin_unless_said():
    array = arrays()["monostatic"]
    plain, narrow = (born_operator(array, SWEEP, GRID, pattern=p) for p in (None, CosinePattern(2.0)))
    x = torch.ones(GRID.shape)
    torch.testing.assert_close(narrow.forward(x), plain.forward(x))


def test_values_are_kept_equal_and_refused():
    array = arrays()["plane transmitters"]
    np.testing.assert_allclose(np.linalg.norm(array.tx_pos, axis=1), 1)
    assert eval(repr(array)) == array
    assert array != ArrayGeometry(array.tx_pos, array.rx_pos, array.channels)
    full = arrays()["full"]
    assert full.with_mask(np.eye(2, 3, dtype=bool)).far == (True, True)
    with pytest.raises(ValueError, match="tx_pos has no direction at antenna 1"):
        ArrayGeometry([[1, 0, 0], [0, 0, 0]], [[1, 0, 0]], tx_far=True)


def test_files_keep_it(tmp_path):
    for name, array in arrays().items():
        values = np.ones((1, 20, *array.measurement_shape), np.complex64)
        save(tmp_path / "a.h5", Measurement(values, array, SWEEP))
        assert load(tmp_path / "a.h5").array == array, name
        save_geometry(tmp_path / "g.h5", Geometry(array))
        assert load_geometry(tmp_path / "g.h5").array == array


@pytest.mark.parametrize("way", ["a turntable", "directions"])
def test_imports_of_a_far_field(tmp_path, way):
    """An object on a turntable in a compact range, the way to its middle taken out: 72 angles, one matrix."""
    angle = np.deg2rad(5 * np.arange(72))
    point = np.array([0.05, -0.03, 0.0])
    toward = np.stack([np.sin(-angle) * -1, -np.cos(angle), 0 * angle], axis=1)  # from -y, the object counter-clockwise
    toward[:, 0] = -np.sin(angle)
    values = np.exp(2j * np.multiply.outer(toward @ point, K))
    settings = {"freq": "8e9:12e9:20"}
    if way == "a turntable":
        np.savez(tmp_path / "a.npz", S=values)
        motion = {"kind": "turntable", "count": 72, "place": [0, -2, 0], "far": True}
        made = read_measured(tmp_path / "a.npz", settings={**settings, "values": "S", "motion": motion})
    else:
        np.savez(tmp_path / "a.npz", values=values, tx_pos=5 * toward, rx_pos=5 * toward)
        made = read_measured(tmp_path / "a.npz", settings={**settings, "axes": "channel,freq", "far": "tx,rx"})
        with pytest.raises(FileError, match="far is 'both': expected tx, rx or tx,rx"):
            read_measured(tmp_path / "a.npz", settings={**settings, "far": "both"})
    assert made.array.far == (True, True)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 41), y=(-0.1, 0.1, 41), z=(0, 0, 1))
    image = backproject(torch.tensor(made.values[0]), born_operator(made.array, made.sweep, grid)).abs().numpy()
    np.testing.assert_allclose(grid.centers()[image.argmax()], point, atol=1e-9)
    assert image.max() / made.values[0].size > 0.999
