"""Every operator: against a naive float64 loop, and the laws it obeys."""

import functools

import numpy as np
import pytest
import torch
from cases import ARRAY, CASES, GRID, PAIRED, PRECISIONS, SWEEP, channel_mask, operator
from helper import TOLERANCE, adjoint_gap, fails, naive_matrix, relative_gap

import mimo
from mimo import (
    ArrayGeometry,
    BornOperator,
    FrequencySweep,
    LayeredMedium,
    PairedBornOperator,
    VoxelGrid,
    backproject,
    kirchhoff,
)
from mimo import channel_list as paired_module
from mimo import full_array as factorised_module

FORMERS = {
    "backprojection": backproject,
    "kirchhoff": kirchhoff,
    "kirchhoff-compensated": functools.partial(kirchhoff, compensate_aperture=True),
}
every_case = pytest.mark.parametrize("case", CASES)
WAYS = ("compiled", "listed", "torch")
"""How the sums are computed: as they are, pair by pair for listed channels, and without the compiled kernels."""

every_case_and_way = pytest.mark.parametrize(
    ("case", "way"),
    [(case, way) for case in CASES for way in WAYS if way != "listed" or CASES[case].array.paired],
    indirect=["way"],
)
every_precision = pytest.mark.parametrize("dtype", PRECISIONS, ids=str)


@functools.cache
def matrix(name: str, case: str) -> torch.Tensor:
    array, sweep, grid, options = CASES[case]
    full = naive_matrix(name, array, sweep, grid, **options)
    return full * torch.from_numpy(channel_mask(array))[None, :, None]


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def way(request, monkeypatch):
    """Both ways of computing the sums on the processor, and both of summing over listed channels."""
    if request.param != "compiled":
        monkeypatch.setattr(paired_module, "SCATTER_UP_TO", 0)
    if request.param == "torch":
        monkeypatch.setattr(factorised_module.kernels, "available", lambda: False)
    elif not factorised_module.kernels.available():
        pytest.skip("the compiled kernels are not built here")
    return request.param


@every_case_and_way
@every_precision
def test_forward_and_adjoint_agree_with_a_naive_loop(case, dtype, way, rng):
    A = operator(case, dtype)
    K = matrix("born", case)
    x = torch.randn(*A.volume_shape, dtype=dtype, generator=rng)
    y = torch.randn(*A.measurement_shape, dtype=dtype, generator=rng)
    expected = torch.einsum("fcv,v->fc", K, x.flatten().to(K.dtype)).reshape(A.measurement_shape)
    assert relative_gap(A.forward(x), expected) < TOLERANCE[dtype]
    flat = y.reshape(A.sweep.n_freq, -1).to(K.dtype)
    expected = torch.einsum("fcv,fc->v", K.conj(), flat).reshape(A.volume_shape)
    assert relative_gap(A.adjoint(y), expected) < TOLERANCE[dtype]


@every_case_and_way
@every_precision
@pytest.mark.parametrize("former", FORMERS)
def test_image_formers_agree_with_a_naive_loop(former, case, dtype, way, rng):
    A = operator(case, dtype)
    y = torch.randn(*A.measurement_shape, dtype=dtype, generator=rng)
    flat = y.reshape(A.sweep.n_freq, -1).to(torch.complex128)
    expected = torch.einsum("fcv,fc->v", matrix(former, case), flat).reshape(A.volume_shape)
    assert relative_gap(FORMERS[former](y, A), expected) < TOLERANCE[dtype]


@every_case_and_way
@every_precision
def test_adjoint_is_the_conjugate_transpose(case, dtype, way, rng):
    assert adjoint_gap(operator(case, dtype), rng, batch=(2,)) < TOLERANCE[dtype]


@every_case_and_way
def test_a_batch_is_a_loop(case, way, rng):
    A = operator(case)
    x = torch.randn(2, 3, *A.volume_shape, dtype=A.dtype, generator=rng)
    y = A.forward(x)
    assert y.shape == (2, 3, *A.measurement_shape)
    loop = torch.stack([torch.stack([A.forward(b) for b in a]) for a in x])
    assert relative_gap(y, loop) < 1e-6
    images = torch.stack([torch.stack([A.adjoint(b) for b in a]) for a in y])
    assert relative_gap(A.adjoint(y), images) < 1e-6


@pytest.mark.parametrize("case", ["full", "long sweep", "uneven paired sweep"])
@every_precision
@pytest.mark.parametrize("n_scene", [8, 13, 37, 70])
@pytest.mark.parametrize("instructions", ["avx512", "avx2", "base"])
def test_many_scenes_are_a_loop(case, dtype, n_scene, instructions, monkeypatch, rng):
    """Scenes side by side, whole vectors of them and rests, by every kernel that this processor can run.

    What a geometry adds (masks, paths, patterns, layers) lies in the factors, which know nothing of scenes; here are
    the ways that the sum over frequencies and channels goes: few even steps, many, uneven ones for listed channels.
    """
    known = ["base", "avx2", "avx512"]
    if known.index(instructions) > known.index(factorised_module.kernels.instruction_set() or "base"):
        pytest.skip(f"this processor has no {instructions}")
    A = operator(case, dtype)
    x = torch.randn(n_scene, *A.volume_shape, dtype=dtype, generator=rng)
    y = torch.stack([A.forward(one) for one in x])
    images = torch.stack([A.adjoint(one) for one in y])
    monkeypatch.setattr(factorised_module.kernels, "instruction_set", lambda: instructions)
    monkeypatch.setattr(factorised_module, "MANY_SCENES", 64)
    assert relative_gap(A.forward(x), y) < TOLERANCE[dtype]
    assert relative_gap(A.adjoint(y), images) < TOLERANCE[dtype]


@pytest.mark.parametrize(
    ("case", "dtype", "way"),
    [
        *[
            (case, torch.complex64, way)
            for case in CASES
            for way in WAYS
            if way != "listed" or CASES[case].array.paired
        ],
        *[(case, torch.complex128, way) for case in ("full", "long sweep", "uneven paired sweep") for way in WAYS[::2]],
    ],
    indirect=["way"],
    ids=str,
)
def test_the_memory_budget_changes_nothing(case, dtype, way, rng):
    kept, fly = operator(case, dtype), operator(case, dtype, memory=0)
    for batch in ((), (20,)):
        x = torch.randn(*batch, *kept.volume_shape, dtype=dtype, generator=rng)
        y = kept.forward(x)
        for _ in range(2):
            assert torch.equal(fly.forward(x), y)
            assert torch.equal(fly.adjoint(y), kept.adjoint(y))


def test_the_number_of_threads_changes_nothing(rng):
    grid = VoxelGrid.from_extent(x=(-0.15, 0.15, 13), y=(-0.15, 0.15, 17), z=(0.35, 0.65, 19))
    A = BornOperator(ARRAY, SWEEP, grid)
    x = torch.randn(21, *grid.shape, dtype=A.dtype, generator=rng)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = A.forward(x)
            results.append((y, A.adjoint(y)))
    finally:
        torch.set_num_threads(before)
    for y, image in results[1:]:
        assert torch.equal(y, results[0][0])
        assert torch.equal(image, results[0][1])


@every_case
def test_reciprocity(case, rng):
    array, sweep, grid, options = CASES[case]
    options = dict(options)
    if "reference_path" in options and not array.paired:
        options["reference_path"] = options["reference_path"].T
    if isinstance(options.get("pattern"), tuple):
        options["pattern"] = options["pattern"][::-1]
    channels = None if array.channels is None else array.channels[:, ::-1]
    mask = None if array.mask is None else array.mask.T
    swapped = ArrayGeometry(array.rx_pos, array.tx_pos, channels, mask, array.rx_normal, array.tx_normal)
    A = operator(case)
    B = type(A)(swapped, sweep, grid, **options)
    x = torch.randn(*grid.shape, dtype=A.dtype, generator=rng)
    y = B.forward(x)
    assert relative_gap(y if array.paired else y.mT, A.forward(x)) < 1e-6


@every_case
def test_a_common_shift_of_array_and_grid_changes_nothing(case, rng):
    array, sweep, grid, options = CASES[case]
    shift = np.array([0.3, -0.2, 1.1])
    if "layers" in options:
        layers = options["layers"]
        options = {**options, "layers": LayeredMedium(layers.interfaces + shift[2], layers.permittivity)}
    moved = ArrayGeometry(
        array.tx_pos + shift, array.rx_pos + shift, array.channels, array.mask, array.tx_normal, array.rx_normal
    )
    moved_grid = VoxelGrid(grid.x + shift[0], grid.y + shift[1], grid.z + shift[2])
    A = operator(case, torch.complex128)
    B = type(A)(moved, sweep, moved_grid, dtype=A.dtype, **options)
    x = torch.randn(*grid.shape, dtype=A.dtype, generator=rng)
    assert relative_gap(B.forward(x), A.forward(x)) < 1e-11  # coordinates themselves round at 1e-16 m, k R at 1e-13
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng)
    assert relative_gap(kirchhoff(y, B), kirchhoff(y, A)) < 1e-11


@every_case
def test_linearity(case, rng):
    A = operator(case)
    a, b = torch.randn(2, *A.volume_shape, dtype=A.dtype, generator=rng)
    assert relative_gap(A.forward((2 - 3j) * a + b), (2 - 3j) * A.forward(a) + A.forward(b)) < 1e-5


@pytest.mark.parametrize("case", ["full", "uneven grid", "mask", "paired"])
def test_gradients_of_every_order(case, rng):
    A = operator(case, torch.complex128)
    x = torch.randn(*A.volume_shape, dtype=A.dtype, generator=rng, requires_grad=True)
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng, requires_grad=True)
    for function, value in ((A.forward, x), (A.adjoint, y)):
        assert torch.autograd.gradcheck(function, value, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, value, fast_mode=True)


def test_the_gradient_of_a_data_term_is_the_adjoint(rng):
    A = operator("full", torch.complex128)
    x = torch.randn(*A.volume_shape, dtype=A.dtype, generator=rng, requires_grad=True)
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng)
    residual = A.forward(x) - y
    residual.abs().square().sum().div(2).backward()
    assert relative_gap(x.grad, A.adjoint(residual.detach())) < 1e-12


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_swapped_axes_are_noticed(axis):
    """A point off the axis gives other data when a pair of its coordinates is swapped."""
    A = operator("full")
    x = torch.zeros(A.volume_shape)
    x[1, 4, 7] = 1
    y = A.forward(x)
    other = torch.zeros(A.volume_shape)
    place = [1, 4, 3]
    place[axis], place[(axis + 1) % 3] = place[(axis + 1) % 3], place[axis]
    other[tuple(place)] = 1
    assert relative_gap(A.forward(other), y) > 0.1


def test_one_point_in_closed_form():
    array = ArrayGeometry([[0.0, 0, 0]], [[0.3, 0, 0]])
    grid = VoxelGrid([0.0], [0.4], [0.3])
    A = BornOperator(array, FrequencySweep([3e9]), grid, permittivity=4.0, dtype=torch.complex128)
    dist_tx, dist_rx = 0.5, np.sqrt(0.3**2 + 0.4**2 + 0.3**2)
    k = 2 * np.pi * 3e9 * 2 / 299792458
    expected = np.exp(-1j * k * (dist_tx + dist_rx)) / (4 * np.pi * dist_tx * dist_rx)
    assert abs(complex(A.forward(torch.ones(1, 1, 1)).item()) - expected) < 1e-12 * abs(expected)


def test_a_masked_channel_is_zero_and_does_not_count(rng):
    A, full = operator("mask"), operator("full")
    x = torch.randn(*A.volume_shape, dtype=A.dtype, generator=rng)
    y = A.forward(x)
    assert (y[:, 0, 1] == 0).all()
    assert relative_gap(y[:, 1], full.forward(x)[:, 1]) < 1e-6
    spoiled = y.clone()
    spoiled[:, 0, 1] = torch.nan
    assert torch.equal(A.adjoint(spoiled), A.adjoint(y))
    assert torch.equal(backproject(spoiled, A), backproject(y, A))


def test_a_voxel_on_an_antenna_is_an_error_that_names_both():
    array = ArrayGeometry([[0.0, 0, 0], [0.1, 0, 0.5]], [[0.2, 0, 0]])
    grid = VoxelGrid([-0.1, 0.1, 0.3], [0.0], [0.4, 0.5])
    fails(("voxel (1, 0, 1)", "(0.1, 0.0, 0.5)", "tx antenna 1"), lambda: BornOperator(array, SWEEP, grid))
    near = VoxelGrid([-0.1, 0.1, 0.3], [1e-6], [0.4, 0.5])
    A = BornOperator(array, SWEEP, near)
    assert torch.isfinite(torch.view_as_real(A.forward(torch.ones(A.volume_shape)))).all()
    fails(("voxel", "rx antenna 0"), lambda: BornOperator(array, SWEEP, VoxelGrid([0.2], [0.0], [0.0, 0.4])))


def test_arguments_that_do_not_fit():
    A = operator("full")
    fails(("(7, 5, 11)", "(..., 5, 7, 11)"), lambda: A.forward(torch.ones(7, 5, 11)))
    fails(("(4, 3, 2)", "(..., 4, 2, 3)"), lambda: A.adjoint(torch.ones(4, 3, 2)))
    fails(("complex128", "complex64"), lambda: A.forward(torch.ones(A.volume_shape, dtype=torch.complex128)), TypeError)
    fails(("ndarray", "torch.Tensor"), lambda: A.forward(np.ones(A.volume_shape)), TypeError)
    fails(("float32", "complex64"), lambda: BornOperator(ARRAY, SWEEP, GRID, dtype=torch.float32), TypeError)
    fails(("permittivity", "-1"), lambda: BornOperator(ARRAY, SWEEP, GRID, permittivity=-1))
    fails(("PairedBornOperator",), lambda: BornOperator(PAIRED, SWEEP, GRID))
    fails(("BornOperator",), lambda: PairedBornOperator(ARRAY, SWEEP, GRID))


def test_the_columns_are_the_operator():
    for case in ("full", "paired", "uneven sweep", "reference path", "paired reference path", "table pattern"):
        A = operator(case, torch.complex128)
        columns = A.columns(3, 9)
        expected = matrix("born", case).flatten(0, 1)[:, 3:9]
        assert relative_gap(columns, expected) < 1e-12


@every_case
def test_the_repr_evaluates(case, rng):
    A = operator(case, torch.complex128)
    B = eval(repr(A), {**vars(mimo), "torch": torch})
    assert (B.array, B.sweep, B.grid, B.permittivity, B.dtype) == (A.array, A.sweep, A.grid, A.permittivity, A.dtype)
    x = torch.randn(*A.volume_shape, dtype=A.dtype, generator=rng)
    assert torch.equal(A.forward(x), B.forward(x))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@every_case
def test_cuda_agrees_with_the_processor(case, rng):
    A, B = operator(case), operator(case, device="cuda")
    x = torch.randn(*A.volume_shape, dtype=A.dtype, generator=rng)
    y = A.forward(x)
    assert relative_gap(B.forward(x.cuda()).cpu(), y) < 1e-5
    assert relative_gap(B.adjoint(y.cuda()).cpu(), A.adjoint(y)) < 1e-5


@every_case_and_way
def test_views_and_empty_batches(case, way, rng):
    """Lazily conjugated, transposed and empty inputs are inputs like any other."""
    A = operator(case)
    x = torch.randn(2, *A.volume_shape, dtype=A.dtype, generator=rng)
    y = A.forward(x)
    assert torch.equal(A.forward(x.conj()), A.forward(x.conj().resolve_conj()))
    assert torch.equal(A.adjoint(y.conj()), A.adjoint(y.conj().resolve_conj()))
    turned = x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert torch.equal(A.forward(turned), y)
    assert A.forward(x[:0]).shape == (0, *A.measurement_shape)
    assert A.adjoint(y[:0]).shape == (0, *A.volume_shape)


def test_gradients_through_conjugates(rng):
    A = operator("full", torch.complex128)
    y = torch.randn(*A.measurement_shape, dtype=A.dtype, generator=rng, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: A.adjoint(v.conj()).conj(), y, fast_mode=True)


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_long_sweeps_keep_their_precision(way, rng):
    """251 uniform frequencies at 5 m: advancing by a ratio is as exact as an exponential for each."""
    sweep = FrequencySweep.linear(4e9, 16e9, 251)
    grid = VoxelGrid([0.1, 0.2], [0.3], [4.9, 5.0, 5.1])
    A = BornOperator(ARRAY, sweep, grid, dtype=torch.complex128)
    x = torch.randn(*grid.shape, dtype=A.dtype, generator=rng)
    expected = torch.einsum("fcv,v->fc", naive_matrix("born", ARRAY, sweep, grid), x.flatten())
    # k R is about 1,700 rad and known to 2e-16 of itself
    assert relative_gap(A.forward(x).flatten(1), expected) < 4e-12
    assert relative_gap(A.columns(0, grid.n_voxel).reshape(251, 6, 6), naive_matrix("born", ARRAY, sweep, grid)) < 4e-12
