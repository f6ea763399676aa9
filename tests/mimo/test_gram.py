"""The factorised Gram matrix: against dense linear algebra, its cache, and the choice of the weight."""

import math
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from cases import CASES, PATHS, operator
from helper import TOLERANCE, fails, relative_gap
from safetensors import safe_open
from safetensors.torch import save_file

from mimo import ArrayGeometry, BornOperator, FrequencySweep, GramFactor, VoxelGrid
from mimo.gram import gram_matrix

SOLVED = [case for case in CASES if case != "one voxel"]


def dense(A) -> torch.Tensor:
    """The operator as a matrix, (measurements, voxels), by columns."""
    eye = torch.eye(A.grid.n_voxel, dtype=A.dtype).reshape(-1, *A.volume_shape)
    return A.forward(eye).flatten(1).T


@pytest.mark.parametrize("case", CASES)
def test_the_matrix_is_a_a_h(case):
    A = operator(case, torch.complex128)
    matrix = gram_matrix(A)
    K = dense(A)
    if A.array.mask is not None:
        K = K[torch.from_numpy(A.array.mask.flatten()).repeat(A.sweep.n_freq)]
    assert relative_gap(matrix, K @ K.mH) < 1e-12
    assert torch.equal(matrix, matrix.mH)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize(
    ("case", "scale"),
    [*((case, 1.0) for case in SOLVED), *((case, s) for case in ("full", "mask") for s in (1e-3, 1e3))],
)
def test_tikhonov_is_the_dense_least_squares_solution(case, dtype, scale):
    A = operator(case, dtype)
    rng = torch.Generator().manual_seed(1)
    y = scale * torch.randn(2, *A.measurement_shape, dtype=dtype, generator=rng)
    factor = GramFactor.of(A, cache=False)
    weight = 1e-2 * float(factor.eigenvalues[-1])
    image, used = factor.tikhonov(y, weight=weight)
    assert used.tolist() == [weight, weight]
    K = dense(operator(case, torch.complex128))
    left = K.mH @ K + weight * torch.eye(K.shape[1], dtype=K.dtype)
    flat = y.flatten(1).to(K.dtype)
    if A.array.mask is not None:
        flat = flat * torch.from_numpy(A.array.mask.flatten()).repeat(A.sweep.n_freq)
    expected = torch.linalg.solve(left, K.mH @ flat.T).T.reshape(image.shape)
    assert relative_gap(image, expected) < 100 * TOLERANCE[dtype]  # a weight of 1e-2 multiplies rounding by about 100


def test_each_scene_chooses_its_own_weight_and_batch_is_loop():
    A = operator("full")
    rng = torch.Generator().manual_seed(2)
    factor = GramFactor.of(A, cache=False)
    y = A.forward(torch.randn(3, *A.volume_shape, dtype=A.dtype, generator=rng))
    y = y + torch.tensor([1e-3, 0.1, 3.0])[:, None, None, None] * y.std() * torch.randn(
        y.shape, dtype=y.dtype, generator=rng
    )
    image, weight = factor.tikhonov(y)
    singles = [factor.tikhonov(scene) for scene in y]
    assert relative_gap(image, torch.stack([single[0] for single in singles])) < 1e-5
    assert torch.equal(weight, torch.stack([single[1] for single in singles]))
    assert len(set(weight.tolist())) > 1


def small_problem():
    array = ArrayGeometry.random_planar(n_tx=5, n_rx=6, width=0.3, seed=5)
    grid = VoxelGrid.from_extent(x=(-0.1, 0.1, 9), y=(-0.1, 0.1, 11), z=(0.4, 0.55, 13))
    A = BornOperator(array, FrequencySweep.linear(4e9, 16e9, 7), grid)
    truth = torch.zeros(grid.shape, dtype=A.dtype)
    truth[2:5, 4:8, 5:9] = 1.0
    truth = truth * torch.exp(2j * math.pi * torch.rand(truth.shape, generator=torch.Generator().manual_seed(0)))
    return A, truth


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
@pytest.mark.parametrize("rule", ["gcv", "discrepancy"])
def test_the_chosen_weight_is_near_the_best(rule, snr_db):
    A, truth = small_problem()
    clean = A.forward(truth)
    std = float(clean.abs().square().mean().sqrt()) * 10 ** (-snr_db / 20)
    noise = torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(3))
    factor = GramFactor.of(A, cache=False)
    y = clean + std * noise

    def error(weight):
        return float((factor.tikhonov(y, weight=float(weight))[0] - truth).norm())

    best = min(error(weight) for weight in factor.candidates()[::5])
    chosen = factor.tikhonov(y, weight=rule, noise_std=std)[1]
    assert error(chosen) < 1.1 * best


def test_discrepancy_leaves_the_noise_as_residual():
    A, truth = small_problem()
    clean = A.forward(truth)
    std = 0.1 * float(clean.abs().square().mean().sqrt())
    y = clean + std * torch.randn(clean.shape, dtype=clean.dtype, generator=torch.Generator().manual_seed(4))
    image, _ = GramFactor.of(A, cache=False).tikhonov(y, weight="discrepancy", noise_std=std)
    residual = float((A.forward(image) - y).norm())
    assert residual == pytest.approx(std * math.sqrt(y.numel()), rel=0.06)  # candidates stand 10 % apart


def test_the_cache_serves_the_same_geometry_alone(tmp_path):
    A = operator("full")
    first = GramFactor.of(A, cache=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    stamp = file.stat().st_ino
    again = GramFactor.of(operator("full"), cache=tmp_path)
    assert file.stat().st_ino == stamp
    assert torch.equal(first.eigenvectors, again.eigenvectors)
    assert first.eigenvectors.stride() == again.eigenvectors.stride()  # else products with them differ in the last bits
    y = torch.randn(16, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(0))
    assert torch.equal(first.tikhonov(y)[0], again.tikhonov(y)[0])
    for case in ("uneven sweep", "permittivity", "mask", "paired", "uneven grid", "layers", "cosine pattern"):
        GramFactor.of(operator(case), cache=tmp_path)
    GramFactor.of(operator("full", torch.complex128), cache=tmp_path)
    GramFactor.of(operator("full", reference_path=PATHS), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 10


def test_of_two_that_want_the_same_factor_one_makes_it(tmp_path, monkeypatch):
    made, make = [], GramFactor._made

    def slowly(A, report):
        made.append(A)
        time.sleep(0.5)
        return make(A, report)

    monkeypatch.setattr(GramFactor, "_made", slowly)
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: GramFactor.of(operator("full"), cache=tmp_path), range(2))
    assert len(made) == 1
    assert torch.equal(one.eigenvectors, two.eigenvectors)
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]


@pytest.mark.parametrize("damage", ["truncate", "text", "other size"])
def test_a_damaged_cache_is_made_again(tmp_path, damage):
    A = operator("full")
    good = GramFactor.of(A, cache=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    if damage == "other size":
        other = operator("mask")
        GramFactor.of(other, cache=tmp_path / "other")
        (source,) = (tmp_path / "other").glob("*.safetensors")
        file.write_bytes(source.read_bytes())
    else:
        file.write_bytes(file.read_bytes()[:100] if damage == "truncate" else b"not a file of numbers")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        again = GramFactor.of(A, cache=tmp_path)
    assert relative_gap(again.eigenvectors, good.eigenvectors) < 1e-6
    assert [str(file) in str(w.message) for w in seen] == [True]


@pytest.mark.parametrize("damage", ["one bit", "permuted vectors", "no checksum"])
def test_other_numbers_in_the_cache_are_noticed(tmp_path, damage):
    """A factor that reads well but holds other numbers would give another image, without a word."""
    A = operator("full")
    good = GramFactor.of(A, cache=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    if damage == "one bit":
        content = bytearray(file.read_bytes())
        content[-5] ^= 4
        file.write_bytes(content)
    else:
        with safe_open(file, "pt") as opened:
            metadata, stored = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if damage == "permuted vectors":
            stored["vectors.0"] = stored["vectors.0"].flip(1).contiguous()
        save_file(stored, file, metadata if damage == "permuted vectors" else None)
    with pytest.warns(RuntimeWarning, match="made again: its numbers are not those that were written"):
        again = GramFactor.of(A, cache=tmp_path)
    assert torch.equal(again.eigenvectors, good.eigenvectors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GramFactor.of(A, cache=tmp_path)


def test_the_cache_is_for_its_owner_alone(tmp_path):
    GramFactor.of(operator("full"), cache=tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o77 == 0
    assert all(file.stat().st_mode & 0o77 == 0 for file in (tmp_path / "new").glob("*.safetensors"))


def test_a_cache_that_cannot_be_written_costs_no_result(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.warns(RuntimeWarning, match="not kept"):
        factor = GramFactor.of(operator("full"), cache=blocker / "folder")
    assert len(factor.eigenvalues) == operator("full").n_measurement


def test_arguments_that_do_not_fit():
    A = operator("full")
    factor = GramFactor.of(A, cache=False)
    y = torch.ones(A.measurement_shape, dtype=A.dtype)
    fails(("best", "'gcv'", "'discrepancy'"), lambda: factor.tikhonov(y, weight="best"))
    fails(("noise_std",), lambda: factor.tikhonov(y, weight="discrepancy"))
    for weight in (0.0, -1.0, math.nan):
        fails(("weight is", "positive"), lambda weight=weight: factor.tikhonov(y, weight=weight))
    big = BornOperator(CASES["full"][0], FrequencySweep.linear(4e9, 16e9, 2001), CASES["one voxel"][2])
    fails(("12006", "12000"), lambda: GramFactor.of(big))
