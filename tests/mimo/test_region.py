"""Regions: their texts, the voxels that they hold, and operators that run over those voxels alone."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from cases import ARRAY, CASES, GRID, PRECISIONS, SWEEP
from helper import TOLERANCE, adjoint_gap, fails, relative_gap

import mimo
from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo import channel_list as paired_module
from mimo import full_array as factorised_module
from mimo.acquisition import medium_of
from mimo.gram import _fingerprint, gram_matrix
from mimo.propagation import KIRCHHOFF, antenna_normals
from mimo.region import NEAR, Region, clearance, surrounds
from mimo.synth.paper import paper_acquisition

FORMERS = (mimo.backproject, mimo.kirchhoff, mimo.backproject_fast)
LAWS = ["full", "uneven grid", "many antennas", "mask", "paired", "monostatic scan", "paired reference path", "layers"]
SHELL = np.array([*itertools.product((-0.1, 0.12), repeat=3), [0, 0, 0.16], [0.15, 0, 0], [0, -0.14, 0]])
AROUND = ArrayGeometry(SHELL[::2], SHELL[1::2])
WITHIN = VoxelGrid.from_extent(x=(-0.12, 0.12, 9), y=(-0.11, 0.11, 7), z=(-0.12, 0.1, 11))


def acquisition(case: str) -> Acquisition:
    array, sweep, grid, options = CASES[case]
    medium = medium_of(options.get("permittivity", 1.0), options.get("layers"))
    return Acquisition(array, sweep, grid, medium, options.get("pattern"), options.get("reference_path"))


def some_of(grid: VoxelGrid) -> np.ndarray:
    inside = np.random.default_rng(0).random(grid.shape) < 0.4
    inside.flat[0], inside.flat[-1] = False, True
    return inside


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=["compiled", "listed", "torch"])
def way(request, monkeypatch):
    """The ways of computing the sums on the processor; every pair or pair by pair for listed channels."""
    if request.param != "compiled":
        monkeypatch.setattr(paired_module, "SCATTER_UP_TO", 0)
    if request.param == "torch":
        monkeypatch.setattr(factorised_module.kernels, "available", lambda: False)
    return request.param


@pytest.mark.parametrize("text", ["auto", "all", "sphere:0,0.01,-0.2,0.5", "cylinder:1,2,0.25", "box:0:1,-1:1,0.5:0.5"])
def test_a_text_is_read_and_written(text):
    assert str(Region.parse(text)) == text
    assert Region.parse(f" {text} ") == Region.parse(str(Region.parse(text)))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ball:0,0,0,1", ("'ball:0,0,0,1'", "sphere:X,Y,Z,R", ".npy")),
        ("sphere", ("'sphere'", "sphere:X,Y,Z,R")),
        ("sphere:0,0,1", ("sphere:X,Y,Z,R", "positive R")),
        ("sphere:0,0,0,-1", ("'sphere:0,0,0,-1'", "positive R")),
        ("sphere:0,0,zero,1", ("sphere:X,Y,Z,R",)),
        ("sphere:0:1,0,1", ("sphere:X,Y,Z,R",)),
        ("cylinder:0,nan,1", ("cylinder:X,Y,R",)),
        ("box:0:1,0:1", ("box:X0:X1,Y0:Y1,Z0:Z1",)),
        ("box:1:0,0:1,0:1", ("low to high",)),
    ],
)
def test_a_text_of_another_form_is_quoted(text, parts):
    fails(parts, lambda: Region.parse(text))


def test_shapes_hold_what_they_say():
    wave, (x, y, z) = Acquisition(ARRAY, SWEEP, GRID), np.meshgrid(GRID.x, GRID.y, GRID.z, indexing="ij")
    expected = {
        "sphere:0.01,0.02,0.5,0.1": (x - 0.01) ** 2 + (y - 0.02) ** 2 + (z - 0.5) ** 2 < 0.01,
        "cylinder:0.01,0.02,0.1": (x - 0.01) ** 2 + (y - 0.02) ** 2 < 0.01,
        "box:-0.15:0.1,0:0.15,0.35:0.5": (x < 0.1) & (y >= 0) & (z < 0.5 + 1e-9),
    }
    for text, inside in expected.items():
        np.testing.assert_array_equal(Region.parse(text).inside(wave), inside)
        assert 0 < inside.sum() < GRID.n_voxel
    assert Region.parse("sphere:0,0,0,9").inside(wave) is None
    fails(("sphere:0,0,9,1", "no voxel", "z is 0.35 to 0.65 m"), lambda: Region.parse("sphere:0,0,9,1").inside(wave))


def test_a_file_of_voxels(tmp_path):
    wave, inside = Acquisition(ARRAY, SWEEP, GRID), some_of(GRID)
    np.save(tmp_path / "voxels.npy", inside)
    region = Region.parse(f"{tmp_path}/voxels.npy")
    np.testing.assert_array_equal(region.inside(wave), inside)
    assert str(region) == f"{tmp_path}/voxels.npy"
    np.save(tmp_path / "voxels.npy", inside.astype(float))
    np.testing.assert_array_equal(region.inside(wave), inside)
    np.save(tmp_path / "voxels.npy", inside[:-1])
    fails(("voxels.npy", "(4, 7, 11)", "(5, 7, 11)"), lambda: region.inside(wave))
    np.save(tmp_path / "voxels.npy", 2.0 * inside)
    fails(("voxels.npy", "0 and 1"), lambda: region.inside(wave))
    (tmp_path / "voxels.npy").write_text("no array")
    fails(("voxels.npy", "cannot be read"), lambda: region.inside(wave))
    fails(("none.npy", "cannot be read"), lambda: Region.parse("none.npy").inside(wave))


def test_auto_leaves_out_nothing_before_a_planar_array():
    assert Region("auto").inside(paper_acquisition()) is None
    assert Region("auto").inside(Acquisition(ARRAY, SWEEP, GRID)) is None


def test_auto_keeps_off_antennas_and_inside_the_hull():
    wave = Acquisition(AROUND, SWEEP, WITHIN, 2.0)
    inside = Region("auto").inside(wave)
    centers = WITHIN.centers()
    far = np.linalg.norm(centers[:, None] - SHELL, axis=2).min(1) >= clearance(wave)
    from scipy.spatial import Delaunay

    hull = Delaunay(SHELL).find_simplex(centers, tol=1e-6) >= 0
    np.testing.assert_array_equal(inside.ravel(), far & hull)
    assert inside.any()
    assert not far.all() and not hull.all()


def test_auto_keeps_off_antennas_of_a_planar_array_too():
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.1, 0.1, 11), z=(0.003, 0.1, 13))
    wave = Acquisition(ARRAY, SWEEP, grid)
    antennas = np.concatenate([ARRAY.tx_pos, ARRAY.rx_pos])
    far = np.linalg.norm(grid.centers()[:, None] - antennas, axis=2).min(1) >= clearance(wave)
    np.testing.assert_array_equal(Region("auto").inside(wave).ravel(), far)
    assert not far.all()


def test_auto_that_would_leave_nothing_leaves_out_nothing_and_says_so():
    near = VoxelGrid.from_extent(x=(-0.1, -0.095, 2), y=(-0.1, -0.095, 3), z=(-0.1, -0.095, 4))
    wave = Acquisition(AROUND, SWEEP, near)
    with pytest.warns(UserWarning, match="every voxel of the grid is nearer than"):
        assert Region("auto").inside(wave) is None


def test_the_clearance_is_the_larger_resolution_but_a_wavelength_at_most():
    wave = Acquisition(ARRAY, FrequencySweep.linear(9e9, 11e9, 5), GRID, 4.0)
    wavelength = 299792458 / 10e9 / 2
    assert clearance(wave) == pytest.approx(NEAR * wavelength)
    assert clearance(wave.replace(sweep=FrequencySweep([10e9]))) == pytest.approx(NEAR * wavelength)
    wide = wave.replace(sweep=FrequencySweep.linear(5e9, 15e9, 5))
    assert clearance(wide) == pytest.approx(NEAR * max(wavelength / 2, 299792458 / 2e10 / 2))


def test_normals_point_inward_where_antennas_surround_the_grid():
    wave = Acquisition(AROUND, SWEEP, WITHIN)
    assert surrounds(AROUND, WITHIN)
    assert not surrounds(ARRAY, GRID)
    assert not surrounds(AROUND, GRID)
    normals = antenna_normals(wave, 0)
    expected = np.array(WITHIN.center) - AROUND.tx_pos
    np.testing.assert_allclose(normals, expected / np.linalg.norm(expected, axis=1, keepdims=True))
    box = Region.parse("box:0:0.12,-1:1,-1:1").inside(wave)
    low, high = wave.replace(inside=box).voxels.bounds()
    assert low[0] == 0 and high[0] == pytest.approx(0.12)
    toward = (low + high) / 2 - AROUND.rx_pos
    found = antenna_normals(wave.replace(inside=box), 1)
    np.testing.assert_allclose(found, toward / np.linalg.norm(toward, axis=1, keepdims=True))
    np.testing.assert_array_equal(antenna_normals(Acquisition(ARRAY, SWEEP, GRID), 1), np.tile([0, 0, 1.0], (3, 1)))


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("case", LAWS)
def test_an_operator_of_a_region_is_that_of_the_grid_times_the_mask(case, dtype, way, rng):
    whole = acquisition(case)
    inside = some_of(whole.grid)
    A, B = (operator_of(each, dtype=dtype) for each in (whole.replace(inside=inside), whole))
    assert A.n_voxel == inside.sum() < B.n_voxel
    assert A.volume_shape == whole.grid.shape
    assert adjoint_gap(A, rng, (3,)) < TOLERANCE[dtype]
    mask = torch.from_numpy(inside)
    x = torch.randn(2, *A.volume_shape, dtype=dtype, generator=rng)
    y = torch.randn(2, *A.measurement_shape, dtype=dtype, generator=rng)
    assert relative_gap(A.forward(x), B.forward(x * mask)) < TOLERANCE[dtype]
    assert relative_gap(A.adjoint(y), B.adjoint(y) * mask) < TOLERANCE[dtype]
    for former in FORMERS:
        assert relative_gap(former(y, A), former(y, B) * mask) < 1e-5
    columns = B.columns(0, B.n_voxel)[:, mask.flatten()]
    assert relative_gap(A.columns(0, A.n_voxel), columns) < TOLERANCE[dtype]
    last = slice(A.n_voxel - 3, A.n_voxel)
    assert relative_gap(A.columns(last.start, last.stop), columns[:, last]) < TOLERANCE[dtype]


def test_gradients_are_zero_outside_and_right_inside(rng):
    wave = acquisition("full")
    inside = some_of(wave.grid)
    A = operator_of(wave.replace(inside=inside), dtype=torch.complex128)
    x = torch.randn(A.volume_shape, dtype=A.dtype, generator=rng, requires_grad=True)
    y = torch.randn(A.measurement_shape, dtype=A.dtype, generator=rng)
    loss = (A.forward(x) - y).abs().square().sum()
    (grad,) = torch.autograd.grad(loss, x)
    assert relative_gap(grad, 2 * A.adjoint(A.forward(x.detach()) - y)) < 1e-12
    assert not grad[torch.from_numpy(~inside)].any()


def test_the_gram_matrix_is_of_the_voxels_inside():
    wave = acquisition("mask")
    inside = some_of(wave.grid)
    A, B = (operator_of(each, dtype=torch.complex128) for each in (wave.replace(inside=inside), wave))
    keep = torch.from_numpy(np.tile(wave.array.mask.ravel(), wave.sweep.n_freq))
    rows = B.columns(0, B.n_voxel)[keep][:, torch.from_numpy(inside.ravel())]
    assert relative_gap(gram_matrix(A), rows @ rows.mH) < 1e-12
    assert _fingerprint(A) != _fingerprint(B)


def test_factorised_and_migrated_images_are_cut_off(rng):
    array = ArrayGeometry.random_planar(n_tx=9, n_rx=11, width=0.3, height=0.24, seed=4)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 17), y=(-0.1, 0.1, 15), z=(0.4, 0.5, 9))
    wave = Acquisition(array, SWEEP, grid)
    inside = np.zeros(grid.shape, bool)
    inside[:5, 3:9, 2:] = True
    A, B = operator_of(wave.replace(inside=inside)), operator_of(wave)
    y = torch.randn(2, *A.measurement_shape, dtype=A.dtype, generator=rng)
    image, whole = mimo.backproject_factorised(y, A), mimo.backproject(y, B)
    assert relative_gap(image, whole * torch.from_numpy(inside)) < 1e-2
    assert not image[:, torch.from_numpy(~inside)].any()
    scan = acquisition("monostatic scan")
    inside = some_of(scan.grid)
    A, B = operator_of(scan.replace(inside=inside)), operator_of(scan)
    y = torch.randn(2, *A.measurement_shape, dtype=A.dtype, generator=rng)
    assert torch.equal(mimo.range_migration(y, A), mimo.range_migration(y, B) * torch.from_numpy(inside))


def test_voxels_outside_may_lie_on_antennas():
    grid = VoxelGrid(x=[0.0, 0.1], y=[0.0, 0.05, 0.1], z=[0.0, 0.1, 0.2, 0.3])
    array = ArrayGeometry([[0.0, 0.0, 0.0]], [[0.1, 0.05, 0.0], [0.3, 0, 0]])
    wave = Acquisition(array, SWEEP, grid)
    fails(("voxel (0, 0, 0)", "tx antenna 0"), lambda: operator_of(wave))
    A = operator_of(wave.replace(inside=Region("auto").inside(wave)))
    assert torch.isfinite(torch.view_as_real(A.forward(torch.ones(A.volume_shape)))).all()
    A.kernel_sum(KIRCHHOFF)


def test_acquisitions_with_other_voxels_inside_differ():
    wave, inside = acquisition("full"), some_of(GRID)
    some = wave.replace(inside=inside)
    assert some == wave.replace(inside=inside.copy()) and hash(some) == hash(wave.replace(inside=inside.copy()))
    assert some != wave
    assert wave.replace(inside=np.ones(GRID.shape, bool)).inside is None
    assert wave.replace(inside=np.ones(GRID.shape, bool)) == wave
    fails(("inside", "(2, 3)", "(5, 7, 11)"), lambda: wave.replace(inside=np.ones((2, 3), bool)))
    fails(("inside", "no voxel"), lambda: wave.replace(inside=np.zeros(GRID.shape, bool)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Region("all").inside(some) is None
