"""Options of `mimo bench` that measure costs instead."""

import pytest
from test_command_line import bad, good

from mimo.bench import cost_model


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """One small ladder instead of both."""
    ladder = cost_model.LADDERS["planar scan"]
    small = cost_model.Ladder(
        ladder.array, sides=(4, 6), far_sides=(8,), side=4, n_freq=8, n=8, freqs=(4, 8), far_freqs=(16,), ns=(6, 8)
    )
    monkeypatch.setattr(cost_model, "LADDERS", {"planar scan": small})


def test_costs_are_printed_and_drawn(tmp_path):
    text = good("bench", "--cost", "--rounds", 1, "--figure", tmp_path / "new" / "costs.png")
    assert "planar scan; where not along the axis: 256 voxels, 20 channels, 8 frequencies" in text
    assert "measured over predicted" in text
    assert (tmp_path / "new" / "costs.png").read_bytes().startswith(b"\x89PNG")
    assert '"measured over predicted"' in good("bench", "--cost", "--rounds", 1, "--json")


def test_options_that_do_not_go_together(tmp_path):
    bad("bench", "--figure", tmp_path / "costs.png", parts=("--figure", "--cost", "give both"))
    bad("bench", "--large", "--cost", parts=("--large", "--cost", "give one"))
