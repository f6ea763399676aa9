"""Every script of the gallery runs, and draws the picture that the documentation shows."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path[:0] = [] if str(ROOT / "docs") in sys.path else [str(ROOT / "docs")]
import draw_gallery  # noqa: E402
import fresh  # noqa: E402

NEEDS = {"06_network_analyser": "skrf", "12_satellite": "sarkit"}
"""Packages of extras that a script's format needs."""


def coarse(path):
    """A picture in 90 x 60 tones: images, not the letters of captions with their run times."""
    return np.asarray(Image.open(path).convert("L").resize((90, 60), Image.Resampling.BOX), float)


@pytest.mark.parametrize("script", fresh.gallery_scripts(), ids=lambda script: script.stem)
def test_a_script_draws_its_picture(script, tmp_path):
    if script.stem in NEEDS:
        pytest.importorskip(NEEDS[script.stem], reason=f"{NEEDS[script.stem]} is not installed: pip install '.[dev]'")
    made = draw_gallery.run(script, tmp_path)
    shown = coarse(ROOT / "docs" / "pictures" / fresh.gallery_picture(script))
    assert np.abs(coarse(made) - shown).mean() < 1.5, "run docs/draw_gallery.py and look at the picture"


def test_another_picture_is_noticed():
    pictures = [coarse(ROOT / "docs" / "pictures" / fresh.gallery_picture(s)) for s in fresh.gallery_scripts()]
    apart = [np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(apart) > 3
