"""Histories: which numbers of which scene become which curve."""

import math

import numpy as np
import pytest

from mimo.viewer.history import curves_from, history_figure

ENTRIES = [
    {"residual": [3.0, 5.0, 7.0], "prior": [30.0, 50.0, 70.0], "sigma": 0.3, "seconds": 0.1},
    {"residual": [2.0, 4.0, 6.0], "prior": [20.0, 40.0, 60.0], "sigma": 0.2, "seconds": 0.3},
    {"residual": [None, 1.0, math.nan], "prior": [None, 10.0, 50.0], "sigma": 0.1, "seconds": 0.6},
]


def test_a_scene_has_its_own_curves_until_it_stops() -> None:
    first = {curve.quantity: curve for curve in curves_from("l1", ENTRIES, 0, 3)}
    assert list(first) == ["residual", "prior", "sigma"]
    assert first["residual"].value.tolist() == [3, 2]
    assert first["residual"].iteration.tolist() == [1, 2]
    assert first["residual"].seconds.tolist() == [0.1, 0.3]
    assert first["sigma"].value.tolist() == [0.3, 0.2, 0.1]
    second = curves_from("l1", ENTRIES, 1, 3)
    assert second[0].value.tolist() == [5, 4, 1]
    third = curves_from("l1", ENTRIES, 2, 3)
    assert third[0].value.tolist() == [7, 6]
    assert third[1].value.tolist() == [70, 60, 50]


def test_batches_follow_each_other() -> None:
    other = [{"residual": [11.0, 12.0], "seconds": 1.0}]
    for scene, value in ((2, 7.0), (3, 11.0), (4, 12.0)):
        assert curves_from("l1", [ENTRIES, other], scene, 5)[0].value[0] == value
    assert curves_from("l1", [ENTRIES, other], 5, 5) == []


@pytest.mark.parametrize(
    "history", [None, [], {}, 3, "text", [1, 2], [[]], [{"residual": "high"}], [{"residual": [1.0, 2.0]}]]
)
def test_other_json_gives_nothing(history) -> None:
    assert curves_from("l1", history, 0, 3) == []


def test_numbers_and_columns_are_taken_too() -> None:
    (psnr, loss) = curves_from("net", [{"loss": 2, "psnr": 20.5}, {"loss": 1, "psnr": 21.5}])
    assert (psnr.quantity, loss.quantity) == ("psnr", "loss")
    assert psnr.value.tolist() == [20.5, 21.5]
    assert np.isnan(psnr.seconds).all()
    (column,) = curves_from("net", {"residual": [3.0, 2.0, 1.0]})
    assert column.value.tolist() == [3, 2, 1]


def test_the_figure_has_a_row_a_quantity_and_a_line_a_method() -> None:
    curves = curves_from("l1", ENTRIES, 0, 3) + curves_from("tv", [{**e, "residual": 40.0} for e in ENTRIES], 1, 3)
    drawing = history_figure(curves, title="A title", width_mm=90)
    assert drawing.get_size_inches()[0] * 25.4 == pytest.approx(90)
    labels = [axes.get_label() for axes in drawing.axes]
    assert labels == [f"{q} over {a}" for q in ("residual", "prior", "sigma") for a in ("iteration", "seconds")]
    by_label = dict(zip(labels, drawing.axes, strict=True))
    lines = {line.get_label(): line for line in by_label["residual over seconds"].lines}
    assert lines["l1"].get_xdata().tolist() == [0.1, 0.3]
    assert lines["l1"].get_ydata().tolist() == [3, 2]
    assert lines["tv"].get_ydata().tolist() == [40] * 3
    assert by_label["residual over iteration"].get_yscale() == "log"
    assert by_label["residual over iteration"].get_ylabel() == "residual"
    assert by_label["prior over iteration"].get_yscale() == "linear"  # less than a decade
    assert by_label["sigma over seconds"].get_xlabel() == "seconds"
    assert {"A title", "l1", "tv"} <= {text.get_text() for text in drawing.texts}
    drawing.canvas.draw()
    with pytest.raises(ValueError, match="curves is empty"):
        history_figure([])
    with pytest.raises(ValueError, match="width_mm is 20"):
        history_figure(curves, width_mm=20)
