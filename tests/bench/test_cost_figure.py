"""The picture of times against sizes: a panel an axis, lines predicted, dots measured, crossings marked."""

import numpy as np

from mimo.bench.cost_figure import COLOURS, cost_figure
from mimo.viewer.figures import save

COUNTS = [10, 100, 1000, 10_000]


def result(n_ladder: int = 2) -> dict:
    predicted = {"backprojection": [0.01, 0.1, 1.0, 10.0], "range-migration": [0.3, 0.3, 0.4, 0.5]}
    axis = {
        "count": COUNTS,
        "predicted": predicted,
        "measured": {name: [1.3 * v for v in seconds[:3]] for name, seconds in predicted.items()},
        "crossings": {
            "predicted": [{"count": 321.0, "from": "backprojection", "to": "range-migration"}],
            "measured": [],
        },
    }
    ladder = {
        "base": {"voxels": 100, "channels": 100, "frequencies": 100},
        "axes": dict.fromkeys(("voxels", "channels", "frequencies"), axis),
    }
    return {"ladders": {f"ladder {i}": ladder for i in range(n_ladder)}}


def test_it_shows_what_was_measured(tmp_path):
    figure = cost_figure(result())
    assert len(figure.axes) == 6
    for panel in figure.axes:
        assert panel.get_xscale() == panel.get_yscale() == "log"
        lines = {tuple(np.asarray(line.get_xdata(), float)): line for line in panel.get_lines()}
        assert tuple(COUNTS) in lines and tuple(COUNTS[:3]) in lines and (321.0, 321.0) in lines
        dots = lines[tuple(COUNTS[:3])]
        np.testing.assert_allclose(dots.get_ydata(), 1.3 * np.array([0.3, 0.3, 0.4]))
        assert dots.get_color() == COLOURS["range-migration"]
    assert figure.axes[4].get_title() == "ladder 1: 100 voxels, 100 frequencies"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == ["backprojection", "range-migration"] and len(names) == 4
    save(figure, tmp_path / "costs.png")
    assert (tmp_path / "costs.png").stat().st_size > 10_000


def test_no_text_leaves_the_page_or_meets_another():
    figure = cost_figure(result())
    figure.canvas.draw()
    page = figure.bbox
    texts = [panel.title for panel in figure.axes] + [panel.xaxis.label for panel in figure.axes] + list(figure.legends)
    boxes = [text.get_window_extent() for text in texts]
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[:i])
