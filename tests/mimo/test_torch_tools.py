"""The operator among torch's tools: transforms of functions, copies, workers, other libraries' arrays."""

import copy
import pickle

import numpy as np
import pytest
import torch
from cases import MASKED, SWEEP, operator
from helper import relative_gap

from mimo import FastOperator, GramFactor, VoxelGrid, born_operator

KINDS = ("full", "mask", "paired", "layers")
SMALL = VoxelGrid.from_extent(x=(-0.1, 0.1, 2), y=(-0.1, 0.1, 3), z=(0.4, 0.6, 4))


def random(*shape, dtype=torch.complex128):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize("in_dim", [0, 2, -1])
def test_vmap_is_a_batch(case, in_dim):
    A = operator(case, torch.complex128)
    x, y = random(3, *A.volume_shape), random(3, *A.measurement_shape)
    seen = torch.func.vmap(A.forward, in_dims=in_dim)(x.movedim(0, in_dim))
    assert relative_gap(seen, A.forward(x)) < 1e-12
    assert relative_gap(torch.func.vmap(A.adjoint, in_dims=in_dim)(y.movedim(0, in_dim)), A.adjoint(y)) < 1e-12
    twice = torch.func.vmap(torch.func.vmap(A.gram))(random(2, 3, *A.volume_shape))
    assert relative_gap(twice, A.gram(random(2, 3, *A.volume_shape))) < 1e-12


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own use of it
def test_derivatives_by_functions():
    A = born_operator(MASKED, SWEEP, SMALL, dtype=torch.complex128)
    x, v = random(*SMALL.shape), random(*SMALL.shape).flip(0)
    y, tangent = torch.func.jvp(A.forward, (x,), (v,))
    assert relative_gap(y, A.forward(x)) < 1e-12 and relative_gap(tangent, A.forward(v)) < 1e-12
    _, pull = torch.func.vjp(A.forward, x)
    assert relative_gap(pull(y)[0], A.adjoint(y)) < 1e-12

    def power(real):
        return A.forward(real).abs().square().sum()

    hessian = torch.func.hessian(power)(x.real).reshape(24, 24)
    columns = A.columns(0, 24)
    assert relative_gap(hessian, 2 * (columns.mH @ columns).real) < 1e-12


@pytest.mark.parametrize("case", KINDS)
def test_copies_give_the_same_numbers(case):
    A = operator(case)
    x = random(*A.volume_shape, dtype=torch.complex64)
    A.prepare()
    for copied in (copy.deepcopy(A), pickle.loads(pickle.dumps(A)), copy.copy(A)):  # noqa: S301
        assert torch.equal(copied.forward(x), A.forward(x))
        assert repr(copied) == repr(A)
    fast = FastOperator(A.acquisition)
    assert torch.equal(pickle.loads(pickle.dumps(fast)).forward(x), fast.forward(x))  # noqa: S301
    factor = GramFactor.of(A, cache=False)
    y = A.forward(x)
    for copied in (copy.deepcopy(factor), pickle.loads(pickle.dumps(factor))):  # noqa: S301
        assert torch.equal(copied.tikhonov(y)[0], factor.tikhonov(y)[0])


class Measured(torch.utils.data.Dataset):
    """Measures random scenes in the process that loads them."""

    def __init__(self, A):
        self.A = A

    def __len__(self):
        return 3

    def __getitem__(self, i):
        rng = torch.Generator().manual_seed(i)
        return self.A.forward(torch.randn(self.A.volume_shape, dtype=self.A.dtype, generator=rng))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_a_loader_measure(context):
    data = Measured(born_operator(MASKED, SWEEP, SMALL))
    wanted = torch.stack([data[i] for i in range(3)])
    loader = torch.utils.data.DataLoader(data, batch_size=3, num_workers=1, multiprocessing_context=context)
    assert torch.equal(next(iter(loader)), wanted)


def test_arrays_of_other_libraries_by_dlpack():
    A = born_operator(MASKED, SWEEP, SMALL)
    x = np.asfortranarray(random(*SMALL.shape, dtype=torch.complex64).numpy())  # strides of another library
    y = A.forward(torch.from_dlpack(x))
    assert torch.equal(y, A.forward(torch.tensor(x)))
    assert np.array_equal(np.from_dlpack(y), y.numpy())
