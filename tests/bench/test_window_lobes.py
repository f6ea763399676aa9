"""Windows lower the side lobes of a point as the documentation says, along the range and across it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from mimo.bench.windows import CASES, lobes, measure_windows, window_table

PAGE = Path(__file__).parents[2] / "docs" / "geometry.md"
MILLS, SCAN, ARC, CIRCLE = CASES


@pytest.fixture(scope="module")
def rows():
    return measure_windows({name: CASES[name] for name in (MILLS, ARC, CIRCLE)})  # the scan takes most of the time


def test_the_page_has_the_measured_numbers(rows):
    cells, case = {}, ""
    for line in PAGE.read_text().splitlines():
        if found := re.match(r"\| ([^|]*)\| `([^`]*)` \| (.* mm .*) \|$", line):
            case = found[1].strip() or case
            cells[case, found[2]] = [float(n) for n in re.findall(r"-?\d+\.?\d*", found[3].replace("below", ""))]
    assert len(cells) == 4 * len(CASES)
    for row in rows:
        measured = []
        for lobe in (row["along"], row["across"]):
            measured += [1e3 * lobe["width"], lobe["widths"], max(lobe["side_lobe_db"], -60)]
        np.testing.assert_allclose(cells[row["case"], row["window"]], measured, rtol=0.01, atol=0.06)


def test_a_window_lowers_side_lobes_and_widens_the_main_lobe(rows):
    of = {(row["case"], row["window"]): row for row in rows}
    for case in (MILLS, ARC):
        bare = of[case, "none"]
        assert bare["along"]["widths"] == pytest.approx(1, abs=0.02)
        assert bare["across"]["widths"] == pytest.approx(1, abs=0.02)
        for window, level, wider in (("hann", -29, 1.62), ("taylor:30", -28, 1.29), ("kaiser:6", -37, 1.58)):
            for direction in ("along", "across"):
                lobe = of[case, window][direction]
                assert lobe["side_lobe_db"] < level
                assert 1.2 < lobe["widths"] < wider
    for window in ("none", "hann", "taylor:30", "kaiser:6"):
        assert of[CIRCLE, window]["along"]["side_lobe_db"] == pytest.approx(-8.5, abs=0.5)


def test_lobes_of_a_sinc():
    place = np.linspace(-5, 5, 4001)
    width, side_lobe = lobes(place, np.abs(np.sinc(place)))
    assert width == pytest.approx(0.8859, abs=1e-3)
    assert side_lobe == pytest.approx(-13.26, abs=0.01)
    width, side_lobe = lobes(place, np.exp(-(place**2)))
    assert width == pytest.approx(2 * math.sqrt(math.log(2) / 2), abs=1e-3)
    assert side_lobe == -math.inf
    with pytest.raises(ValueError, match="longer line"):
        lobes(place, np.exp(-((place / 20) ** 2)))


def test_the_table_states_what_is_low():
    lobe = {"width": 0.0123, "widths": 1.5, "side_lobe_db": -math.inf}
    assert window_table([{"case": "a", "window": "hann", "along": lobe, "across": lobe}]).endswith(
        "| a | `hann` | 12.3 mm (1.50) | below -60 dB | 12.3 mm (1.50) | below -60 dB |"
    )
