"""deepinv's view of an operator: adjoint, proximal map, pseudo-inverse, gradients, and its own algorithms on them."""

import pytest
import torch
from cases import ARRAY, GRID, MASKED, PAIRED, SWEEP
from helper import TOLERANCE, fails, relative_gap

from mimo import FastOperator, VoxelGrid, born_operator
from mimo.extras import MissingExtraError

try:
    from mimo.interop import deepinv as bridge
except MissingExtraError as error:
    pytest.skip(str(error), allow_module_level=True)

import deepinv

SMALL = VoxelGrid.from_extent(x=(-0.1, 0.1, 3), y=(-0.1, 0.1, 4), z=(0.4, 0.6, 2))
ARRAYS = {"full": ARRAY, "masked": MASKED, "paired": PAIRED}


def made(array="full", dtype=torch.complex128, grid=SMALL, **options):
    return bridge.physics(born_operator(ARRAYS[array], SWEEP, grid, dtype=dtype), cache=False, **options)


def random(shape, layout, seed=0, dtype=torch.complex128):
    rng = torch.Generator().manual_seed(seed)
    return bridge.to_channels(torch.randn(shape, dtype=dtype, generator=rng), layout)


def dense(physics):
    """A / norm as a matrix."""
    A = physics.operator
    return A.columns(0, A.n_voxel) / physics.norm


@pytest.mark.parametrize("layout", bridge.LAYOUTS)
@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_forward_and_adjoint_are_those_of_the_operator(array, layout, dtype):
    p = made(array, dtype, GRID, layout=layout)
    x = random((2, *GRID.shape), layout, dtype=dtype)
    y = p.A(x)
    assert y.shape == (2, 1 if layout == "complex" else 2, *p.operator.measurement_shape)
    assert relative_gap(bridge.to_complex(y) * p.norm, p.operator.forward(p.to_image(x))) < TOLERANCE[dtype]
    assert p.adjointness_test(u=x) < TOLERANCE[dtype]  # deepinv's own test
    assert float(p.compute_sqnorm(x[:1], verbose=False)) == pytest.approx(1, rel=0.1)  # a power method


@pytest.mark.parametrize("layout", bridge.LAYOUTS)
@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("gamma", [0.3, torch.tensor([0.02, 4e6])], ids=["one", "each"])
def test_the_proximal_map_is_the_dense_solution(array, layout, gamma):
    p = made(array, layout=layout)
    x, y = random((2, *SMALL.shape), layout), random((2, *p.operator.measurement_shape), layout, seed=1)
    found = p.to_image(p.prox_l2(x, y, gamma)).flatten(1)
    A, keep = dense(p), p.operator.mask_of_measurements()
    measured = bridge.to_complex(y).flatten(1)
    measured = measured if keep is None else measured * keep
    for i, weight in enumerate(torch.as_tensor(gamma, dtype=torch.float64).expand(2).tolist()):
        matrix = weight * A.mH @ A + torch.eye(A.shape[1])
        wanted = torch.linalg.solve(matrix, weight * A.mH @ measured[i] + p.to_image(x)[i].flatten())
        assert relative_gap(found[i], wanted) < 1e-9
    nothing = p.prox_l2(None, y, gamma)
    assert torch.equal(nothing, p.prox_l2(0.0, y, gamma)) and torch.equal(nothing, p.prox_l2(0 * x, y, gamma))


def test_a_large_gamma_costs_no_digits_in_single_precision():
    """Divided by a small weight, rounding of the data would be the image."""
    exact, rounded = made(), made(dtype=torch.complex64)
    x, y = random((1, *SMALL.shape), "complex"), exact.A(random((1, *SMALL.shape), "complex", seed=2))
    found = rounded.prox_l2(x.to(torch.complex64), y.to(torch.complex64), 1e6)
    assert relative_gap(found, exact.prox_l2(x, y, 1e6)) < 1e-2


@pytest.mark.parametrize("array", ARRAYS)
def test_the_pseudo_inverse_is_the_dense_one(array):
    few, many = SMALL, GRID  # more measurements than voxels, and fewer
    for grid in (few, many):
        p = made(array, grid=grid)
        y = random((2, *p.operator.measurement_shape), "complex", seed=3)
        A = dense(p)
        rtol = (A.shape[0] * torch.finfo(torch.float64).eps) ** 0.5
        keep = p.operator.mask_of_measurements()
        flat = y.flatten(1) if keep is None else y.flatten(1) * keep
        wanted = (torch.linalg.pinv(A, rtol=rtol) @ flat.T).T
        assert relative_gap(p.A_dagger(y).flatten(1), wanted) < 1e-5
        again = p.A(p.A_dagger(p.A(random((1, *grid.shape), "complex"))))
        assert relative_gap(again, p.A(random((1, *grid.shape), "complex"))) < 1e-6


def test_without_a_factorisation_conjugate_gradients_solve():
    A = FastOperator(born_operator(ARRAY, SWEEP, SMALL).acquisition, dtype=torch.complex128)
    p = bridge.physics(A, solver="cg")
    exact = bridge.physics(A, norm=p.norm, cache=False)
    x, y = random((2, *SMALL.shape), "complex"), random((2, *A.measurement_shape), "complex", seed=1)
    first = p.prox_l2(x, y, 2.0)
    assert relative_gap(first, exact.prox_l2(x, y, 2.0)) < 1e-2
    p.prox_l2(-x, -y, 0.5)
    assert torch.equal(p.prox_l2(x, y, 2.0), first)  # nothing is left of what was solved before
    assert p.A_dagger(y, max_iter=3).shape == x.shape


@pytest.mark.parametrize("layout", bridge.LAYOUTS)
@pytest.mark.parametrize("each", [False, True])
def test_derivatives_of_the_proximal_map(layout, each):
    p = made(layout=layout)
    x, y = random((2, *SMALL.shape), layout), random((2, *p.operator.measurement_shape), layout, seed=1)
    gamma = torch.tensor([0.7, 3.0], dtype=torch.float64) if each else torch.tensor(0.7, dtype=torch.float64)
    inputs = [value.requires_grad_() for value in (x, y, gamma)]
    assert torch.autograd.gradcheck(p.prox_l2, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(p.prox_l2, inputs, fast_mode=True)
    assert torch.autograd.gradcheck(p.A_dagger, [y.detach().requires_grad_()], fast_mode=True)


def test_measured_data_keep_their_unit():
    p = made(layout="real", norm=3.0)
    x = random((2, *SMALL.shape), "complex")[:, 0]
    y = p.from_measurement(p.operator.forward(x))
    assert relative_gap(y, p.A(p.from_image(x))) < 1e-12
    assert torch.equal(p.to_image(p.from_image(x)), x)
    assert relative_gap(p.A(p.A_dagger(y)), y) < 1e-9


def test_wrong_shapes_say_what_was_expected():
    p = made(layout="real")
    fails(("image", "(1, 1, 3, 4, 2)", "(n_scene, 2, 3, 4, 2)"), lambda: p.A(torch.zeros(1, 1, 3, 4, 2)))
    fails(("measurement", "complex128"), lambda: p.A_adjoint(torch.zeros(1, 2, 4, 2, 3, dtype=torch.complex128)))
    fails(("gamma is -1", "2 scenes"), lambda: p.prox_l2(None, torch.zeros(2, 2, 4, 2, 3), -1))
    fails(("layout", "'polar'"), lambda: made(layout="polar"))
    fails(("norm is 0",), lambda: made(norm=0))
    fails(("(2, 3)", "n_scene"), lambda: bridge.to_complex(torch.zeros(2, 3)))


def test_deepinv_clones_it():
    p = made(layout="real")
    x = random((1, *SMALL.shape), "real")
    copied = p.clone()
    assert copied.operator is not p.operator and torch.equal(copied.A(x), p.A(x))


@pytest.mark.parametrize("layout", bridge.LAYOUTS)
def test_the_denoiser_keeps_phases_and_knows_both_layouts(layout):
    denoise = bridge.denoiser("denoiser-fast", scale=2.0)
    noise = 0.2 * random((2, 9, 10, 11), "complex", dtype=torch.complex64)[:, 0]
    x = torch.zeros_like(noise)
    x[:, 3:6, 3:6, 3:6] = 2j
    sigma = 0.2 if layout == "complex" else 0.2 / 2**0.5
    found = bridge.to_complex(denoise(bridge.to_channels(x + noise, layout), sigma))
    wanted = denoise.trained((x + noise).abs() / 2, 0.1) * 2
    assert relative_gap(found.abs(), wanted) < 1e-5
    assert relative_gap(found * (x + noise).abs(), (x + noise) * found.abs()) < 1e-5
    assert (found.abs() - x.abs()).norm() < 0.9 * ((x + noise).abs() - x.abs()).norm()
    each = denoise(bridge.to_channels(x + noise, layout), torch.tensor([sigma, 2 * sigma]))
    assert torch.equal(bridge.to_complex(each)[0], found[0]) and not torch.equal(bridge.to_complex(each)[1], found[1])


def test_its_optimisers_reach_our_minimum():
    """Proximal splitting of deepinv, with its data term, and the closed form: |A x - y|^2 / 2 + |x|^2 weight / 2."""
    p = made(dtype=torch.complex64)
    y = p.A(random((1, *SMALL.shape), "complex", dtype=torch.complex64))
    wanted = p.prox_l2(0.0, y, 1 / 0.1)
    for kind, steps in (("ADMM", 60), ("PGD", 100)):
        model = deepinv.optim.optim_builder(
            kind,
            data_fidelity=deepinv.optim.data_fidelity.L2(),
            prior=deepinv.optim.prior.Tikhonov(),
            params_algo={"stepsize": 1.0, "lambda": 0.1},
            max_iter=steps,
            early_stop=False,
        )
        assert relative_gap(model(y, p), wanted) < 1e-2, kind


def test_its_losses_train_an_unrolled_network():
    p = made("full", torch.complex64, layout="real", noise_model=deepinv.physics.GaussianNoise(0.01))
    x = torch.zeros(2, 2, *SMALL.shape)
    x[:, 0, 1, 1:3, 1] = 1.0
    y = p(x)
    torch.manual_seed(0)
    prior = deepinv.optim.prior.PnP(denoiser=Small())
    model = deepinv.unfolded.unfolded_builder(
        "HQS",
        params_algo={"stepsize": [1.0] * 2, "g_param": [0.1] * 2, "lambda": 1.0},
        trainable_params=["stepsize"],
        data_fidelity=deepinv.optim.data_fidelity.L2(),
        prior=prior,
        max_iter=2,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss, losses = deepinv.loss.SupLoss(), []
    for _ in range(30):
        optimizer.zero_grad()
        value = loss(x=x, x_net=model(y, p), y=y, physics=p, model=model).mean()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert losses[-1] < 0.8 * losses[0]


class Small(deepinv.models.Denoiser):
    """A denoiser of one layer."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv3d(2, 2, 3, padding=1)

    def forward(self, x, sigma, **parameters):
        return x + self.layer(x)
