"""Two real degrees of an airborne monostatic radar at 10 km (AFRL Gotcha): known places and contrast, by both ways."""

import time

import numpy as np
import pytest

from mimo import VoxelGrid
from mimo.commands import command_line as app
from mimo.data import Measurement, load_reconstructions, read_measured
from mimo.recon import reconstruct

GROUND = VoxelGrid.from_extent(x=(-50, 50, 251), y=(-50, 50, 251), z=(0, 0, 1))
SQUARE = VoxelGrid.from_extent(x=(-36, 4, 101), y=(2, 42, 101), z=(0, 0, 1))
POINTS = [(-15.6, 21.6), (-28.0, 38.8), (14.0, -16.4)]
PIXEL = 0.4


@pytest.fixture
def phase_history(measured) -> Measurement:
    """As it is imported: the range to the scene's centre is already removed from the phase."""
    return read_measured(measured / "gotcha")


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
    image = reconstruct("backprojection-fast", phase_history, GROUND).image
    assert time.perf_counter() - started < 5
    assert 20 * np.log10(np.abs(image).max() / np.median(np.abs(image))) >= 45
    pixels = np.abs(np.subtract(strongest(image, GROUND, 3), POINTS)).max(axis=1) / PIXEL
    assert (pixels < [1.01, 2.01, 2.01]).all(), pixels


def test_both_ways_agree_around_the_strongest_point(phase_history):
    exact, fast = (reconstruct(m, phase_history, SQUARE).image for m in ("backprojection", "backprojection-fast"))
    assert np.abs(fast - exact).max() < 10 ** (-60 / 20) * np.abs(exact).max()
    pixels = np.abs(np.subtract(strongest(exact, SQUARE, 2), POINTS[:2])).max(axis=1) / PIXEL
    assert (pixels < [1.01, 2.01]).all(), pixels


@pytest.mark.slow
def test_priors_darken_the_square_and_keep_its_points(measured, tmp_path):
    """By the command line with no option set, as the documentation has it: minutes on a busy machine."""
    source, out = tmp_path / "gotcha.h5", tmp_path / "square.h5"
    chain = ["--method", "backprojection-fast", "--method", "l1", "--method", "pnp"]
    for arguments in (
        ["import", str(measured / "gotcha"), str(source), "--quiet"],
        ["reconstruct", str(source), str(out), *chain, "--grid", "x=-36:4:101,y=2:42:101,z=0:0:1", "--quiet"],
    ):
        with pytest.raises(SystemExit) as end:
            app.main(arguments)
        assert not end.value.code
    made = load_reconstructions(out)
    medians = {name: np.median(m.magnitude) / m.magnitude.max() for name, m in made.items()}
    points = strongest(made["backprojection-fast"].image, SQUARE, 2)
    for name in ("l1", "pnp"):
        assert medians[name] <= 10 ** (-15 / 20) * medians["backprojection-fast"], name
        assert 0.9 < made[name].parameters["noise_std_relative"][0] < 1
        pixels = np.abs(np.subtract(strongest(made[name].image, SQUARE, 2), points)).max(axis=1) / PIXEL
        assert (pixels < 1.01).all(), (name, pixels)
