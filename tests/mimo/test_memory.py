"""The memory budget: results do not depend on it, the process stays within it; and how far a long sum has come."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helper import relative_gap

from mimo import (
    ArrayGeometry,
    CosinePattern,
    FrequencySweep,
    VoxelGrid,
    backproject,
    backproject_factorised,
    backproject_fast,
    born_operator,
    channel_list,
    compiled_channels,
    full_array,
    kirchhoff,
    range_migration,
)
from mimo.propagation import BORN

GRID = VoxelGrid.from_extent(x=(-0.1, 0.1, 11), y=(-0.1, 0.1, 10), z=(0.3, 0.4, 13))
WIDE = ArrayGeometry.random_planar(n_tx=19, n_rx=23, width=0.3)
SCAN = ArrayGeometry.planar_scan(shape=(9, 8), width=0.2)
EVEN = FrequencySweep.linear(6e9, 16e9, 43)
UNEVEN = FrequencySweep(EVEN.freq[:17] ** 1.001)
OPERATORS = {
    "every pair": (WIDE, EVEN, {}),
    "uneven sweep": (WIDE, UNEVEN, {}),
    "picked from every pair": (ArrayGeometry(WIDE.tx_pos, WIDE.rx_pos, WIDE.channel_indices()[::7]), EVEN, {}),
    "scan": (SCAN, EVEN, {}),
    "scan with a pattern": (SCAN, UNEVEN, {"pattern": CosinePattern(1)}),
}
MIB = 2**20


@pytest.mark.parametrize(
    ("name", "n_scene"),
    [
        ("every pair", 1),
        ("every pair", 6),
        ("uneven sweep", 1),
        ("picked from every pair", 6),
        ("scan", 1),
        ("scan with a pattern", 6),
    ],
)
def test_every_budget_gives_the_same_bits(name, n_scene):
    """In core, in tiles of several sizes, and with nothing to spare."""
    array, sweep, options = OPERATORS[name]
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n_scene, *GRID.shape, dtype=torch.complex64, generator=rng)
    core = born_operator(array, sweep, GRID, memory=2**30, **options)
    y = core.forward(x)
    image, formed = core.adjoint(y), kirchhoff(y, core)
    tiles = set()
    for memory in (0, 10 * MIB, 14 * MIB, 30 * MIB):
        A = born_operator(array, sweep, GRID, memory=memory, **options)
        assert torch.equal(A.forward(x), y)
        assert torch.equal(A.adjoint(y), image)
        assert torch.equal(kirchhoff(y, A), formed)
        if not array.paired and full_array.kernels.available():
            tiles.add(len(A.kernel_sum(BORN)._tiles(n_scene)))
    if not array.paired and full_array.kernels.available():
        assert len(tiles) > 1 and max(tiles) == (3 if sweep is EVEN else 17)


def test_the_torch_path_streams_the_same_partitions(monkeypatch):
    """Without compiled kernels, as on CUDA."""
    monkeypatch.setattr(full_array.kernels, "available", lambda: False)
    monkeypatch.setattr(full_array, "MAKING_BYTES", 2**18)
    x = torch.randn(2, *GRID.shape, generator=torch.Generator().manual_seed(0))
    core, fly = (born_operator(WIDE, EVEN, GRID, memory=memory) for memory in (2**30, 0))
    y = core.forward(x)
    assert torch.equal(fly.forward(x), y)
    assert torch.equal(fly.adjoint(y), core.adjoint(y))
    monkeypatch.undo()
    assert relative_gap(born_operator(WIDE, EVEN, GRID).forward(x), y) < 1e-5


_PROGRAM = """
import json, re, sys, torch
from pathlib import Path
from mimo import ArrayGeometry, FrequencySweep, VoxelGrid, born_operator
sweep = FrequencySweep(torch.linspace(72e9, 82e9, 48).double().numpy() ** 1.0001)
grid = VoxelGrid.from_extent(x=(-.1, .1, 17), y=(-.1, .1, 16), z=(.3, .4, 15))
A = born_operator(ArrayGeometry.random_planar(n_tx=48, n_rx=47, width=.2), sweep, grid, memory=int(sys.argv[1]))
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
torch.set_num_threads(2)
x = torch.ones(2, 2, dtype=A.dtype)
x @ x
small = born_operator(ArrayGeometry(A.array.tx_pos[:2], A.array.rx_pos[:3]), sweep, VoxelGrid([0], [0], [1, 2]))
small.adjoint(small.forward(torch.ones(1, 1, 2)))
x, y = torch.ones(A.volume_shape), torch.ones(A.measurement_shape)
before = peak()
A.forward(x), A.adjoint(y)
print(json.dumps(peak() - before))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.skipif(not full_array.kernels.available(), reason="the compiled kernels are not built here")
def test_a_process_stays_within_its_budget():
    """Factors of 142 MiB: in core, and within a budget beside 12 MiB of data, images and what a heap loses."""

    def grown(memory: int) -> int:
        command = [sys.executable, "-c", _PROGRAM, str(memory)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)

    assert grown(1024 * MIB) > 142 * MIB
    assert grown(40 * MIB) < 52 * MIB


FORMERS = {
    "forward": lambda A, y: A.forward(torch.ones(A.volume_shape)),
    "adjoint": lambda A, y: A.adjoint(y),
    "backproject": lambda A, y: backproject(y, A),
    "kirchhoff": lambda A, y: kirchhoff(y, A),
    "backproject_fast": lambda A, y: backproject_fast(y, A),
    "backproject_factorised": lambda A, y: backproject_factorised(y, A),
    "range_migration": lambda A, y: range_migration(y, A),
}


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
@pytest.mark.parametrize("former", FORMERS)
@pytest.mark.parametrize("array", [WIDE, SCAN], ids=["every pair", "scan"])
def test_who_watches_is_told_how_far_a_sum_is(array, former, compiled, monkeypatch):
    if (former, array) in (("range_migration", WIDE), ("backproject_factorised", SCAN)):
        pytest.skip("not for this array")
    if not compiled:
        monkeypatch.setattr(full_array.kernels, "available", lambda: False)
    for module, name in ((compiled_channels, "PART_PAIRS"), (channel_list, "PAIRS_AT_ONCE")):
        monkeypatch.setattr(module, name, 2**13)  # as if it were long
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # a step is as long as there are threads
    A = born_operator(array, EVEN, GRID, memory=0)
    y = torch.ones(A.measurement_shape, dtype=A.dtype)
    quiet = FORMERS[former](A, y)
    shares: list[float] = []
    with A.watched(shares.append):
        assert torch.equal(FORMERS[former](A, y), quiet)
    assert shares[-1] == 1.0
    assert all(0 < a <= b for a, b in itertools.pairwise(shares))
    if former not in ("range_migration", "backproject_factorised"):  # of one step at this size
        assert len(set(shares)) > 1
    told = len(shares)
    FORMERS[former](A, y)
    assert len(shares) == told


def test_a_failure_ends_the_watch():
    A = born_operator(WIDE, EVEN, GRID)
    shares: list[float] = []
    with pytest.raises(ValueError, match="expected"), A.watched(shares.append):
        A.adjoint(torch.ones(3))
    A.forward(torch.ones(GRID.shape))
    assert shares == []
