"""Two real degrees of an airborne monostatic radar at 10 km (AFRL Gotcha): known places and contrast, by both ways."""

import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from data import Measurement
from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from recon import reconstruct

GROUND = VoxelGrid.from_extent(x=(-50, 50, 251), y=(-50, 50, 251), z=(0, 0, 1))
SQUARE = VoxelGrid.from_extent(x=(-36, 4, 101), y=(2, 42, 101), z=(0, 0, 1))
POINTS = [(-15.6, 21.6), (-28.0, 38.8), (14.0, -16.4)]
PIXEL = 0.4


@pytest.fixture(scope="module")
def phase_history() -> Measurement:
    """The phase history, with the range to the scene's centre already removed from it."""
    folder = Path(__file__).parents[3] / "shared" / "measured" / "gotcha"
    if not folder.is_dir():
        pytest.skip("real measurements are not at hand (../shared/measured/gotcha)")
    files = sorted(folder.glob("*.mat"))
    parts = [scipy.io.loadmat(f, squeeze_me=True, struct_as_record=False)["data"] for f in files]
    position = np.concatenate([np.stack([p.x, p.y, p.z], axis=1) for p in parts])
    index = np.arange(len(position))
    return Measurement(
        np.concatenate([p.fp for p in parts], axis=1)[None],
        ArrayGeometry(position, position, np.stack([index, index], axis=1)),
        FrequencySweep(parts[0].freq),
        GROUND,
        reference_path=2 * np.concatenate([p.r0 for p in parts]),
    )


def strongest(image: np.ndarray, grid: VoxelGrid, n: int) -> list[tuple[float, float]]:
    """The n strongest points, each without its own lobes (17 pixels square)."""
    magnitude, found = np.abs(image[0, :, :, 0]), []
    for _ in range(n):
        i, j = np.unravel_index(magnitude.argmax(), magnitude.shape)
        found.append((grid.x[i], grid.y[j]))
        magnitude[max(0, i - 8) : i + 9, max(0, j - 8) : j + 9] = 0
    return found


def test_the_strongest_points_are_where_they_stand(phase_history):
    started = time.perf_counter()
    image = reconstruct("backprojection-fast", phase_history).image
    assert time.perf_counter() - started < 5
    assert 20 * np.log10(np.abs(image).max() / np.median(np.abs(image))) >= 45
    pixels = np.abs(np.subtract(strongest(image, GROUND, 3), POINTS)).max(axis=1) / PIXEL
    assert (pixels < [1.01, 2.01, 2.01]).all(), pixels


def test_both_ways_agree_around_the_strongest_point(phase_history):
    exact, fast = (reconstruct(m, phase_history, SQUARE).image for m in ("backprojection", "backprojection-fast"))
    assert np.abs(fast - exact).max() < 10 ** (-60 / 20) * np.abs(exact).max()
    pixels = np.abs(np.subtract(strongest(exact, SQUARE, 2), POINTS[:2])).max(axis=1) / PIXEL
    assert (pixels < [1.01, 2.01]).all(), pixels
