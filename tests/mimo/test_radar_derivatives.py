"""Gradients of a measurement by the radar: right in double precision on unequal sizes, and on every kind of array."""

import numpy as np
import pytest
import torch

from mimo import Acquisition, CosinePattern, VoxelGrid, operator_of
from mimo.radar_derivatives import measure_with
from tests.cases import ARRAY, CASES, GRID, HORN, LIST_PATHS, MASKED, PAIRED, PATHS, SCAN, SWEEP, UNEVEN, WALL

SMALL = VoxelGrid.from_extent(x=(-0.1, 0.1, 2), y=(-0.1, 0.1, 3), z=(0.35, 0.65, 3))
RADARS = {
    "every pair": Acquisition(ARRAY, SWEEP, SMALL),
    "uneven, masked": Acquisition(MASKED, UNEVEN, SMALL),
    "pattern": Acquisition(ARRAY, SWEEP, SMALL, pattern=CosinePattern(2)),
    "layers": Acquisition(ARRAY, SWEEP, SMALL, WALL),
    "removed paths": Acquisition(ARRAY, SWEEP, SMALL, 2.5, reference_path=PATHS),
    "listed": Acquisition(PAIRED, SWEEP, SMALL, 1.3, reference_path=LIST_PATHS),
    "scan": Acquisition(SCAN, SWEEP, SMALL),
}


def random(shape, seed=0):
    rng = np.random.default_rng(seed)
    return torch.as_tensor(rng.standard_normal(shape) + 1j * rng.standard_normal(shape))


@pytest.mark.parametrize("name", RADARS)
def test_gradients_by_everything_are_right(name):
    acquisition = RADARS[name]
    A = operator_of(acquisition, dtype=torch.complex128)
    array, layers = A.array, acquisition.layers
    inputs = {
        "x": random((2, *A.volume_shape)),
        "tx_pos": torch.tensor(array.tx_pos + 1e-3),
        "rx_pos": torch.tensor(array.rx_pos - 1e-3),
        "pose": torch.tensor([1e-3, 0, 2e-3, 0.01, -0.02, 0.0], dtype=torch.float64),
        "permittivity": torch.tensor(acquisition.permittivity if layers is None else layers.permittivity).double(),
        "tx_gain": random(array.n_tx, 1),
        "rx_gain": random(array.n_rx, 2),
        "gain": random(array.measurement_shape, 3),
        "tx_delay": 1e-11 * random(array.n_tx, 4).real,
        "rx_delay": 1e-11 * random(array.n_rx, 5).real,
        "delay": 1e-11 * random(array.measurement_shape, 6).real,
    }
    for value in inputs.values():
        value.requires_grad_()
    weight = random((2, *A.measurement_shape), 7)

    def loss():
        y = measure_with(A, **inputs)
        return (y * weight).real.sum() + 3 * y.abs().square().sum()

    found = torch.autograd.grad(loss(), list(inputs.values()))
    rng = np.random.default_rng(8)
    for (which, value), gradient in zip(inputs.items(), found, strict=True):
        way = torch.as_tensor(rng.standard_normal(value.shape)).to(value.dtype)
        size = {"tx_delay": 1e-16, "rx_delay": 1e-16, "delay": 1e-16}.get(which, 1e-6)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                value += sign * size * way
                ends.append(float(loss()))
                value -= sign * size * way
        wanted = (ends[0] - ends[1]) / (2 * size)
        assert float((gradient.conj() * way).real.sum()) == pytest.approx(wanted, rel=2e-5), which


def test_gradcheck_of_places_and_medium():
    A = operator_of(RADARS["every pair"], dtype=torch.complex128)
    x = random(A.volume_shape)
    places = [torch.tensor(p, requires_grad=True) for p in (A.array.tx_pos.copy(), A.array.rx_pos.copy())]
    medium = torch.tensor(1.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda t, r, m: measure_with(A, x, tx_pos=t, rx_pos=r, permittivity=m), (*places, medium), eps=1e-6, atol=1e-4
    )


@pytest.mark.parametrize("name", CASES)
def test_the_nominal_radar_measures_as_its_operator(name):
    case = CASES[name]
    acquisition = Acquisition(case.array, case.sweep, case.grid)
    if any(case.array.far):
        return
    A = operator_of(acquisition)
    x = random(A.volume_shape).to(torch.complex64)
    places = torch.tensor(case.array.tx_pos.copy(), requires_grad=True)
    y = measure_with(A, x, tx_pos=places)
    assert torch.equal(y, A.forward(x))
    y.abs().square().sum().backward()
    assert torch.isfinite(places.grad).all()


def test_gradients_in_single_precision_are_those_in_double():
    found = []
    for dtype in (torch.complex64, torch.complex128):
        A = operator_of(Acquisition(ARRAY, SWEEP, GRID), dtype=dtype)
        places = torch.tensor(ARRAY.rx_pos.copy(), requires_grad=True)
        measure_with(A, random(A.volume_shape).to(dtype), rx_pos=places).abs().square().sum().backward()
        found.append(places.grad)
    assert torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-4 * float(found[1].abs().max()))


def test_what_does_not_fit_is_refused():
    A = operator_of(Acquisition(ARRAY, SWEEP, SMALL))
    x = torch.ones(A.volume_shape)
    for options, kind, message in (
        ({"tx_pos": torch.zeros(3, 3, dtype=torch.float64)}, ValueError, r"tx_pos has shape \(3, 3\)"),
        ({"tx_pos": torch.zeros(2, 3)}, TypeError, "torch.float64"),
        ({"gain": torch.ones(2)}, ValueError, r"gain has shape \(2,\): expected \(2, 3\)"),
        ({"rx_delay": torch.ones(2)}, ValueError, "rx_delay"),
    ):
        with pytest.raises(kind, match=message):
            measure_with(A, x, **options)
    horn = operator_of(Acquisition(ARRAY, SWEEP, SMALL, pattern=HORN))
    y = measure_with(horn, x, tx_pos=torch.tensor(ARRAY.tx_pos.copy(), requires_grad=True))
    with pytest.raises(ValueError, match="varies with frequency"):
        y.abs().sum().backward()
