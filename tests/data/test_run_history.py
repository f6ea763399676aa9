"""The record of an iterative run: what files hold of it, some of its scenes, its rows and curves."""

import json
import math

import pytest

from mimo.data.history import Batch, History

FIRST = [
    {"residual": [3.0, 5.0, 7.0], "sigma": 0.3, "seconds": 0.1},
    {"residual": [2.0, None, 6.0], "sigma": 0.2, "seconds": 0.3},
]
SECOND = [{"residual": [11.0, math.inf], "seconds": 1.0}]


@pytest.mark.parametrize("record", [None, FIRST, [FIRST, SECOND]], ids=["none", "batch", "batches"])
def test_what_a_file_holds_stays_as_it_is(record):
    assert History.from_json(record).to_json() == record
    assert json.loads(json.dumps(record)) == json.loads(json.dumps(History.from_json(record).to_json()))


def test_a_batch_of_a_run_over_more_scenes_is_the_first_of_several():
    history = History([Batch(FIRST, 3)])
    assert (history.to_json(), history.to_json(3), history.to_json(5)) == (FIRST, FIRST, [FIRST])


def test_scenes_are_counted_over_batches():
    assert [History.from_json(each).n_scene for each in (None, FIRST, [FIRST, SECOND])] == [0, 3, 5]
    assert History.from_json([{"loss": 2.0}], 4).n_scene == 4


def test_a_part_of_a_batch_stays_a_batch():
    both = History.from_json([FIRST, SECOND])
    assert both.scenes(0, 5) == both
    first, second = both.scenes(1, 4).to_json()
    assert [entry["residual"] for entry in first] == [[5.0, 7.0], [None, 6.0]]
    assert first[0]["sigma"] == 0.3
    assert second == [{"residual": [11.0], "seconds": 1.0}]
    assert both.scenes(3, 5).to_json() == SECOND
    assert both.scenes(5, 9).to_json() is None


def test_shards_follow_each_other():
    texts = [text for each in (FIRST, None, [FIRST, SECOND]) for text in History.from_json(each).texts()]
    assert json.loads(History.join_texts(texts)) == [FIRST, FIRST, SECOND]
    assert History.join_texts([]) is None


def test_rows_end_when_a_scene_has_stopped():
    rows = list(History.from_json([FIRST, SECOND]).rows())
    assert [(scene, iteration) for scene, iteration, _ in rows] == [
        (0, 1),
        (0, 2),
        (1, 1),
        (2, 1),
        (2, 2),
        (3, 1),
        (4, 1),
    ]
    assert rows[3][2] == {"seconds": 0.1, "residual": 7.0}


def test_curves_are_those_of_one_scene():
    both = History.from_json([FIRST, SECOND])
    assert both.curves(1) == {"residual": [5.0, None], "sigma": [0.3, 0.2], "seconds": [0.1, 0.3]}
    assert both.curves(4) == {"seconds": [1.0]}
    assert both.curves(5) == both.curves(-1) == {}
    assert History.from_json({"residual": [3, 2]}).curves(0) == {"residual": [3.0, 2.0]}


@pytest.mark.parametrize("record", [3, "text", {}, [1, 2], [[]], [None], [[None], 5], [{"a": {"b": 1}}], [{"a": True}]])
def test_other_json_holds_no_figures(record):
    history = History.from_json(record, 3)
    assert (list(history.rows()), history.curves(0)) == ([], {})
