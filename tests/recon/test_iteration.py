"""The loop around the splittings: who stops when, what is recorded, who is told."""

import csv

import numpy as np
import pytest
import torch

from mimo.data.history import History
from mimo.recon.files import write_history
from mimo.recon.iteration import iterate


def halving(limits):
    """Halve each image; scene i is done after limits[i] iterations."""
    count = torch.zeros(len(limits))

    def update(state, i):
        image = state["image"] / 2
        done = torch.tensor([i + 1 >= int(limit) for limit in state["limit"]])
        return {"image": image}, {"size": image.flatten(1).sum(1)}, done

    state = {"image": torch.ones(len(limits), 2, 3, 5), "limit": torch.tensor(limits), "count": count}
    return update, state


def test_each_scene_stops_by_itself_and_stays():
    update, state = halving([3, 1, 2])
    solution = iterate(update, state, max_iterations=9)
    assert solution.iterations == [3, 1, 2]
    assert solution.converged == [True, True, True]
    assert solution.image[:, 0, 0, 0].tolist() == [1 / 8, 1 / 2, 1 / 4]
    assert [entry["size"] for entry in solution.history] == [[15, 15, 15], [7.5, None, 7.5], [3.75, None, None]]
    assert bool((state["image"] == 1).all()), "the caller's tensors are not touched"


def test_the_limit_is_kept_and_nobody_converged():
    update, state = halving([5, 5])
    solution = iterate(update, state, max_iterations=2)
    assert (solution.iterations, solution.converged) == ([2, 2], [False, False])
    nothing = iterate(update, state, max_iterations=0)
    assert nothing.iterations == [0, 0]
    assert torch.equal(nothing.image, state["image"])


def test_the_observer_is_told():
    seen = []
    update, state = halving([1, 3, 2])
    iterate(
        update,
        state,
        max_iterations=4,
        observer=lambda i, of, image, history: seen.append((i, of, image()[:, 0, 0, 0].tolist())),
    )
    assert seen == [(1, 4, [0.5, 0.5, 0.5]), (2, 4, [0.5, 0.25, 0.25]), (3, 4, [0.5, 0.125, 0.25])]


def test_the_truth_gives_the_psnr_of_those_that_go_on():
    def update(state, i):
        image = state["image"].clone()
        image[:, 0, 0, 0] /= 2
        return {"image": image}, {}, torch.tensor([False] * (len(image) - 1) + [True])

    start = torch.ones(2, 2, 3, 5)
    truth = torch.ones(2, 2, 3, 5)
    truth[:, 0, 0, 0] = 0.0
    history = iterate(update, {"image": start}, max_iterations=2, truth=truth).history
    expected = 10 * np.log10(30 / 0.5**2)
    assert history[0]["psnr"] == pytest.approx([expected, expected], abs=1e-4)
    assert history[1]["psnr"] == [pytest.approx(10 * np.log10(30 / 0.25**2), abs=1e-4), None]


def test_an_interrupt_keeps_what_was_reached():
    update, state = halving([9, 9])

    def interrupting(part, i):
        if i == 2:
            raise KeyboardInterrupt
        return update(part, i)

    solution = iterate(interrupting, state, max_iterations=9)
    assert solution.interrupted
    assert solution.image[0, 0, 0, 0] == 0.25
    assert len(solution.history) == 2


def test_history_as_a_table(tmp_path):
    from types import SimpleNamespace

    first = [{"a": [1.0, 2.0], "seconds": 0.1}, {"a": [3.0, None], "seconds": 0.2}]
    second = [{"a": [4.0], "b": [5.0], "seconds": 0.3}]
    rows = list(History.from_json([first, second]).rows())
    assert rows[:2] == [(0, 1, {"seconds": 0.1, "a": 1.0}), (0, 2, {"seconds": 0.2, "a": 3.0})]
    assert rows[2:] == [(1, 1, {"seconds": 0.1, "a": 2.0}), (2, 1, {"seconds": 0.3, "a": 4.0, "b": 5.0})]
    assert list(History.from_json(None).rows()) == []
    path = tmp_path / "h.csv"
    made = [SimpleNamespace(method="x", history=[first, second]), SimpleNamespace(method="y", history=None)]
    write_history(path, made)
    table = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["scene"] for row in table] == ["0", "0", "1", "2"]
    assert table[0] == {"method": "x", "scene": "0", "iteration": "1", "seconds": "0.1", "a": "1.0", "b": ""}


def test_an_image_that_is_still_empty_has_a_psnr():
    """The error is the whole truth: a quarter of the voxels at 1."""
    truth = torch.zeros(1, 2, 2, 2)
    truth[0, 0, 0] = 3.0

    def update(state, i):
        return {"image": state["image"]}, {}, torch.tensor([False])

    history = iterate(update, {"image": torch.zeros(1, 2, 2, 2)}, max_iterations=1, truth=truth).history
    np.testing.assert_allclose(history[0]["psnr"], 10 * np.log10(4), rtol=1e-6)
