"""The cost model: grows with every count, knows what a geometry allows, and is near what this machine takes."""

import itertools
import math

import pytest
import torch
from cases import GRID, HORN, MASKED, PAIRED, SCAN, SWEEP, WALL

from mimo import ArrayGeometry, CosinePattern, FrequencySweep, born_operator, kernels
from mimo.bench.cost_model import FORMERS, LADDERS, Ladder, cost_table, measure_costs
from mimo.recon.costs import HOPELESS, MODELS, WORTH_A_PLAN, crossings, predict, quickest

ROWS = ArrayGeometry.planar_scan(shape=(6, 5), width=0.2)


def small(name: str, sides: tuple[int, ...], far: int) -> Ladder:
    """A ladder that takes seconds."""
    sizes = {"freqs": (12, 48), "far_freqs": (100,), "ns": (12, 18), "far_ns": (24,)}
    return Ladder(LADDERS[name].array, sides=sides, far_sides=(far,), side=sides[0], n_freq=24, n=14, **sizes)


SMALL = {"every pair": small("every pair", (6, 10), 16), "planar scan": small("planar scan", (12, 24), 40)}


@pytest.mark.parametrize("name", LADDERS)
def test_predictions_grow_with_every_count(name):
    for axis, (steps, _) in SMALL[name].axes().items():
        counts = [count for count, _ in steps]
        assert counts == sorted(set(counts))
        each = [predict(A, all_ways=True) for _, A in steps]
        assert len(each[0]) == 3
        for method in each[0]:
            seconds = [one[method] for one in each]
            assert all(0 < a <= 1.02 * b for a, b in itertools.pairwise(seconds)), (axis, method)
            assert seconds[-1] > seconds[0] or method == "backprojection-factorised"  # whose plan is most of it


@pytest.mark.parametrize("array", [MASKED, PAIRED, SCAN, ROWS], ids=["mask", "list", "pairs", "rows"])
@pytest.mark.parametrize(
    "medium", [{}, {"pattern": CosinePattern(1)}, {"pattern": HORN}, {"layers": WALL}, {"permittivity": 2.0}], ids=str
)
def test_what_is_predicted_is_what_takes_the_geometry(array, medium):
    """And the choice is the least of it. At low frequencies, where plane waves are few."""
    A = born_operator(array, FrequencySweep.linear(3e9, 6e9, SWEEP.n_freq), GRID, **medium)
    y = torch.zeros(A.measurement_shape, dtype=A.dtype)

    def takes(method: str) -> bool:
        try:
            FORMERS[method](y, A)
        except ValueError:
            return False
        return True

    seconds = predict(A, all_ways=True)
    assert set(FORMERS) == set(MODELS)
    least = min(seconds.values())
    taken = {method for method in FORMERS if takes(method)}
    assert set(seconds) <= taken
    assert all(MODELS[method](A) >= HOPELESS * least for method in taken - set(seconds))
    assert seconds[quickest(seconds)] == least


def test_sub_apertures_are_looked_for_where_it_is_worth_it():
    small, large = (LADDERS["every pair"].operator(side=side, n=n) for side, n in ((4, 12), (60, 48)))
    assert "backprojection-factorised" not in predict(small)
    seconds = predict(large)
    assert seconds["backprojection-fast"] > WORTH_A_PLAN
    assert quickest(seconds) == "backprojection-factorised"


def test_crossings_of_power_laws():
    """2 n, 50 sqrt(n) and 1000: they cross at 625 and 500; a method may not take the geometry of a step."""
    counts = [10, 100, 500, 2000]
    seconds = {"steep": [2.0 * n for n in counts], "flat": [50 * math.sqrt(n) for n in counts]}
    [found] = crossings(counts, seconds)
    assert (found["from"], found["to"]) == ("steep", "flat")
    assert found["count"] == pytest.approx(625, rel=0.005)
    seconds["level"] = [math.nan, 1000.0, 1000.0, 1000.0]
    [found] = crossings(counts, seconds)
    assert (found["from"], found["to"]) == ("steep", "level")
    assert found["count"] == pytest.approx(500, rel=0.005)
    assert crossings(counts, {"steep": seconds["steep"]}) == []


@pytest.mark.skipif(not kernels.available(), reason="the model is that of the compiled kernels")
def test_this_machine_is_near_the_model():
    """Within a factor of six either way, whatever else it does: another order of growth would be far outside."""
    result = measure_costs(n_rounds=1, ladders=SMALL)
    for method, ratio in result["measured over predicted"].items():
        assert 1 / 6 < ratio < 6, method
    found = result["ladders"]["planar scan"]["axes"]["voxels"]
    assert len(found["count"]) == len(found["predicted"]["range-migration"]) == 3
    assert len(found["measured"]["range-migration"]) == 2
    text = cost_table(result)
    for part in ("every pair; where not", "planar scan; where not", "range-migration", "measured over predicted"):
        assert part in text


def test_threads_are_given_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        measure_costs(n_rounds=1, ladders={})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
