"""Removed paths, antenna patterns and layers in closed form; arguments that do not fit."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch
from cases import ARRAY, GRID, LONG, PAIRED, PATHS, SWEEP, WALL, operator
from helper import fails, relative_gap
from scipy.constants import speed_of_light
from scipy.optimize import minimize_scalar

from mimo import (
    ArrayGeometry,
    BornOperator,
    CosinePattern,
    FrequencySweep,
    LayeredMedium,
    PairedBornOperator,
    TablePattern,
    VoxelGrid,
    backproject,
    backproject_fast,
    born_operator,
    channel_list,
    compiled_channels,
    kirchhoff,
)

AHEAD = ArrayGeometry([[0.0, 0, 0]], [[0.0, 0, 0]], channels=[[0, 0]])


def precise_turns(frequency: float, antenna, voxel, reference: float) -> float:
    """Phase of a monostatic echo as a fraction of a turn, by forty decimals."""
    getcontext().prec = 40
    square = sum((Decimal(float(a)) - Decimal(float(b))) ** 2 for a, b in zip(antenna, voxel, strict=True))
    path = 2 * square.sqrt() - Decimal(reference)
    turns = Decimal(frequency) * path / Decimal(speed_of_light)
    return float(turns - turns.to_integral_value())


@pytest.mark.parametrize("sums", ["listed", "scattered", "torch"])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.complex64, 4e-6), (torch.complex128, 3e-9)], ids=str)
@pytest.mark.parametrize("even", [True, False], ids=["uniform", "uneven"])
def test_kilometres_cost_no_accuracy(even, dtype, limit, sums, monkeypatch):
    """10 km off, 424 frequencies: k R is 2 million rad, known to 2e-16 of itself when it is formed in float64."""
    monkeypatch.setattr(channel_list, "SCATTER_UP_TO", 16 if sums == "scattered" else 0)
    monkeypatch.setattr(channel_list, "SETUP", 10**9)
    if sums == "torch":
        monkeypatch.setattr(channel_list.kernels, "available", lambda: False)
    antenna = np.array([7089.2646, 0.5289, 7275.6719])
    freq = 9.288e9 + 6.223e8 * np.linspace(0, 1, 424) ** (1 if even else 1.01)
    sweep = FrequencySweep.linear(freq[0], freq[-1], 424) if even else FrequencySweep(freq)
    reference = 2 * math.dist(antenna, (0, 0, 0))
    scan = ArrayGeometry([antenna], [antenna], channels=[[0, 0]])
    grid = VoxelGrid([-48.3, 31.7], [17.9], [-1.5])
    A = PairedBornOperator(scan, sweep, grid, reference_path=[reference], dtype=dtype)
    for i, voxel in enumerate(grid.centers()):
        x = torch.zeros(grid.shape, dtype=dtype)
        x.view(-1)[i] = 1
        turns = [precise_turns(f, antenna, voxel, reference) for f in sweep.freq]
        expected = np.exp(-2j * np.pi * np.array(turns)) / (4 * math.pi * math.dist(antenna, voxel) ** 2)
        assert relative_gap(A.forward(x)[:, 0], torch.as_tensor(expected)) < limit


@pytest.mark.parametrize("make", ["full", "paired reference path"])
def test_a_removed_path_is_a_phase_of_the_data(make):
    """And nothing but that: the magnitude of every image is what it was, once the data have it too."""
    rng = torch.Generator().manual_seed(0)
    plain = operator("full") if make == "full" else PairedBornOperator(PAIRED, LONG, GRID)
    path = PATHS if make == "full" else np.linspace(100, 3000, 5)
    A = born_operator(plain.array, plain.sweep, plain.grid, reference_path=path)
    x = torch.randn(*A.volume_shape, dtype=A.dtype, generator=rng)
    k = plain.sweep.wavenumber()
    turns = np.multiply.outer(k, path) / (2 * np.pi)
    phase = torch.as_tensor(np.exp(2j * np.pi * (turns - np.round(turns)))).to(A.dtype)
    assert relative_gap(A.forward(x), plain.forward(x) * phase) < 1e-5
    y = plain.forward(x)
    for former in (backproject, kirchhoff, lambda y, A: A.adjoint(y)):
        assert relative_gap(former(y * phase, A), former(y, plain)) < 1e-5


def test_a_cosine_pattern_in_closed_form():
    """cos(60 deg) ** 2 both ways, nothing behind the antenna, and a turned antenna looks where it is turned."""
    root = math.sqrt(3) / 2
    grid = VoxelGrid([root], [0.0], [-0.5, 0.5])
    plain = PairedBornOperator(AHEAD, SWEEP, grid, dtype=torch.complex128)
    shaped = PairedBornOperator(AHEAD, SWEEP, grid, dtype=torch.complex128, pattern=CosinePattern(2))
    ratio = shaped.columns(0, 2) / plain.columns(0, 2)
    np.testing.assert_allclose(ratio[:, 1], 1 / 16, rtol=1e-12)
    assert (ratio[:, 0] == 0).all()
    turned = ArrayGeometry(AHEAD.tx_pos, AHEAD.rx_pos, AHEAD.channels, None, [[root, 0, 0.5]], [[0, 0, -1]])
    sides = PairedBornOperator(turned, SWEEP, grid, dtype=torch.complex128, pattern=(CosinePattern(3), None))
    np.testing.assert_allclose((sides.columns(0, 2) / plain.columns(0, 2))[0], [0.5**3, 1], rtol=1e-12)
    sides = PairedBornOperator(turned, SWEEP, grid, dtype=torch.complex128, pattern=(None, CosinePattern(3)))
    np.testing.assert_allclose((sides.columns(0, 2) / plain.columns(0, 2))[0], [0.5**3, 0], rtol=1e-12)


def test_a_table_pattern_between_its_entries():
    table = TablePattern(angle=[0, 1, 2], freq=[1e9, 3e9], values=[[2, 4], [1, 2j], [0, 0.5]])
    cosine = torch.cos(torch.tensor([[0.0, 0.5, 1.0, 1.5, 2.0, 2.1]], dtype=torch.float64))
    gain = table.gain(cosine, torch.tensor([1e9, 2e9], dtype=torch.float64))
    np.testing.assert_allclose(gain[0, 0], [2, 1.5, 1, 0.5, 0, 0], atol=1e-12)
    np.testing.assert_allclose(gain[1, 0, :3], [3, (3 + 0.5 + 1j) / 2, 0.5 + 1j], atol=1e-12)
    flat = TablePattern(angle=[0, 1], freq=[5e9], values=[[1], [0.5]])
    assert flat.flat and not table.flat
    np.testing.assert_allclose(flat.gain(cosine, torch.tensor([9e9]))[0], [1, 0.75, 0.5, 0, 0, 0], atol=1e-12)


def test_a_table_of_a_cosine_is_the_cosine():
    angle = np.linspace(0, np.pi / 2, 2000)
    table = TablePattern(angle=angle, freq=[1e9], values=np.cos(angle)[:, None])
    rng = torch.Generator().manual_seed(1)
    y = torch.randn(*operator("full").measurement_shape, dtype=torch.complex64, generator=rng)
    images = [kirchhoff(y, BornOperator(ARRAY, SWEEP, GRID, pattern=p)) for p in (table, CosinePattern(1))]
    assert relative_gap(*images) < 1e-6


@pytest.mark.parametrize("former", [backproject, kirchhoff, lambda y, A: A.adjoint(y)])
@pytest.mark.parametrize("array", [ARRAY, PAIRED], ids=["full", "paired"])
def test_equal_layers_are_one_medium(former, array):
    rng = torch.Generator().manual_seed(2)
    layered = born_operator(array, SWEEP, GRID, layers=LayeredMedium([0.1, 0.45], [3.0, 3.0, 3.0]))
    plain = born_operator(array, SWEEP, GRID, permittivity=3.0)
    y = torch.randn(*plain.measurement_shape, dtype=plain.dtype, generator=rng)
    assert relative_gap(former(y, layered), former(y, plain)) < 2e-6


def test_layers_straight_ahead_in_closed_form():
    grid = VoxelGrid([0.0], [0.0], [0.2, 0.45, 0.9])
    A = PairedBornOperator(AHEAD, SWEEP, grid, dtype=torch.complex128, layers=WALL)
    paths = [
        0.1 + 2 * 0.1,
        0.1 + 2 * 0.3 + math.sqrt(2.5) * 0.05,
        0.1 + 0.6 + math.sqrt(2.5) * 0.12 + math.sqrt(1.2) * 0.38,
    ]
    k = 2 * np.pi * SWEEP.freq / speed_of_light
    expected = np.exp(-2j * np.outer(k, paths)) / (4 * np.pi * grid.z**2)
    assert relative_gap(A.columns(0, 3), torch.as_tensor(expected)) < 1e-12


@pytest.mark.parametrize("options", [{}, {"layers": WALL, "pattern": CosinePattern(1)}], ids=["plain", "tables"])
def test_how_the_volume_is_divided_changes_nothing(options, monkeypatch):
    """Blocks of one partition read their own part of the tables; 385 voxels are two blocks, the last one not full."""
    monkeypatch.setattr(channel_list, "SCATTER_UP_TO", 0)
    A = born_operator(PAIRED, LONG, GRID, **options)
    y = torch.randn(2, *A.measurement_shape, dtype=A.dtype, generator=torch.Generator().manual_seed(3))
    formers = (backproject, backproject_fast, kirchhoff, lambda y, A: A.adjoint(y))
    divided = [former(y, A) for former in formers]
    monkeypatch.setattr(compiled_channels, "SPREAD_PARTS", 1)
    for former, image in zip(formers, divided, strict=True):
        assert torch.equal(former(y, A), image)
    monkeypatch.setattr(compiled_channels, "PARTIAL_BYTES", 0)
    assert (
        relative_gap(
            A.forward(divided[0]),
            PairedBornOperator(PAIRED, LONG, GRID, dtype=torch.complex128, **options).forward(divided[0]),
        )
        < 1e-5
    )


def test_a_ray_within_a_layer_and_a_ray_backwards():
    np.testing.assert_allclose(WALL.mean_index([0.2, 0.45], [0.2, 0.45])[[0, 1], [0, 1]], np.sqrt([4, 2.5]))
    np.testing.assert_allclose(WALL.mean_index([0.9], [0.0]), WALL.mean_index([0.0], [0.9]).T, rtol=1e-14)
    assert LayeredMedium([], [4.0]).mean_index([1.0], [3.0]) == pytest.approx(2.0)


def test_straight_rays_are_too_long_by_what_is_stated():
    """A slab of 20 mm, index 2, between points 2 m apart: against Fermat's shortest path over the two crossings."""
    slab, n, thick, depth = LayeredMedium([0.99, 1.01], [1, 4, 1]), 2.0, 0.02, 2.0
    for theta in np.deg2rad([5, 17, 40]):
        across = depth * math.tan(theta)
        # the ray's part outside the slab, met at one angle, is unfolded into one straight piece
        bent = minimize_scalar(
            lambda u, across=across: math.hypot(across - u, depth - thick) + n * math.hypot(u, thick),
            bounds=(0, across),
            method="bounded",
            options={"xatol": 1e-12},
        ).fun
        straight = float(slab.mean_index([0.0], [depth])[0, 0]) * math.hypot(across, depth)
        stated = thick * ((n - 1) / math.cos(theta) - math.sqrt(n**2 - math.sin(theta) ** 2) + math.cos(theta))
        assert straight > bent
        assert straight - bent == pytest.approx(stated, rel=0.03)
    assert stated > 0.002  # at 40 degrees it matters
    small = thick * np.deg2rad(17) ** 2 * (n - 1) ** 2 / (2 * n)
    assert small == pytest.approx(0.0004, abs=0.0001)


P = [[0.0, 0, 0], [0.1, 0, 0]]
G = VoxelGrid([0.0], [0.0], [0.5])


@pytest.mark.parametrize(
    ("make", "parts", "error"),
    [
        (
            lambda: BornOperator(ARRAY, SWEEP, GRID, reference_path=np.ones((3, 2))),
            ("reference_path", "(3, 2)", "(2, 3)"),
            ValueError,
        ),
        (
            lambda: PairedBornOperator(PAIRED, SWEEP, GRID, reference_path=np.ones(4)),
            ("reference_path", "(4,)", "(5,)"),
            ValueError,
        ),
        (
            lambda: PairedBornOperator(PAIRED, SWEEP, GRID, reference_path=[0, 0, 0, 0, np.nan]),
            ("reference_path", "finite"),
            ValueError,
        ),
        (
            lambda: BornOperator(ARRAY, SWEEP, GRID, layers=WALL, permittivity=2),
            ("permittivity is 2", "layers"),
            ValueError,
        ),
        (lambda: BornOperator(ARRAY, SWEEP, GRID, pattern="cos"), ("pattern", "'cos'"), TypeError),
        (lambda: BornOperator(ARRAY, SWEEP, GRID, pattern=(None, None, None)), ("pattern",), TypeError),
        (lambda: CosinePattern(-1), ("exponent is -1",), ValueError),
        (lambda: CosinePattern(math.nan), ("exponent is nan",), ValueError),
        (lambda: TablePattern([0.1, 1], [1e9], [[1], [1]]), ("angle", "from 0"), ValueError),
        (lambda: TablePattern([0, 90], [1e9], [[1], [1]]), ("angle", "radians"), ValueError),
        (lambda: TablePattern([0, 1], [2e9, 1e9], [[1, 1], [1, 1]]), ("freq", "ascending"), ValueError),
        (lambda: TablePattern([0, 1], [1e9], [[1, 1]]), ("values", "(1, 2)", "(2, 1)"), ValueError),
        (lambda: TablePattern([0, 1], [1e9], [["a"], ["b"]]), ("values", "numbers"), ValueError),
        (lambda: LayeredMedium([0.2, 0.1], [1, 2, 3]), ("interfaces", "ascending"), ValueError),
        (lambda: LayeredMedium([0.1], [1]), ("permittivity", "(1,)", "(2,)"), ValueError),
        (lambda: LayeredMedium([0.1], [1, -2]), ("permittivity", "positive"), ValueError),
    ],
)
def test_what_does_not_fit_is_named(make, parts, error):
    fails(parts, make, error)


def test_a_sweep_outside_the_table_is_named():
    table = TablePattern(angle=[0, 2], freq=[5e9, 6e9], values=[[1, 1], [1, 1]])
    fails(("5e+09 to 6e+09", "4e+09 to 1.6e+10"), lambda: BornOperator(ARRAY, SWEEP, GRID, pattern=(None, table)))
