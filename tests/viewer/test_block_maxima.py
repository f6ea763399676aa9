"""What is bright is in the written picture, however many voxels or samples there are for each of its pixels."""

import io

import matplotlib
import numpy as np
import pytest
from skimage.io import imread

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement
from mimo.viewer.block_maxima import largest_under_pixels
from mimo.viewer.contact_sheets import contact_sheet
from mimo.viewer.figures import Panel, figure
from mimo.viewer.overviews import overview

LIGHT = 299792458
TOP = 255 * np.array(matplotlib.colormaps["inferno"](1.0)[:3])


def written(drawing, axes, dpi):
    """Pixels inside axes in a PNG, its first row at the top."""
    out = io.BytesIO()
    drawing.savefig(out, format="png", dpi=dpi)
    image = imread(io.BytesIO(out.getvalue()))[..., :3].astype(float)
    height, width = image.shape[:2]
    box = axes.get_position()
    rows = slice(round((1 - box.y1) * height), round((1 - box.y0) * height))
    return image[rows, round(box.x0 * width) : round(box.x1 * width)]


def missed(picture, color, places):
    """How far each place, (from the left, from the top) as fractions, is from a pixel of a colour, pixels."""
    found = np.argwhere(np.abs(picture - color).max(-1) <= 6)
    height, width = picture.shape[:2]
    wanted = [((top * height - 0.5), (left * width - 0.5)) for left, top in places]
    return np.linalg.norm(np.array(wanted)[:, None] - found[None], axis=-1).min(1)


def targets(n=401, count=144):
    rng = np.random.default_rng(3)
    places = np.stack(np.meshgrid(np.arange(12), np.arange(12)), -1).reshape(-1, 2) * 33 + rng.integers(4, 24, (144, 2))
    image = np.full((n, n, 1), 1e-3)
    image[places[:count, 0], places[:count, 1], 0] = 1
    return image, places[:count]


@pytest.mark.parametrize("dpi", [50, 100, 200])
def test_all_of_144_targets_are_in_the_figure(dpi):
    image, places = targets()
    grid = VoxelGrid.from_extent(x=(-1, 1, 401), y=(-1, 1, 401), z=(2, 2, 1))
    drawing = figure([Panel("a", image), Panel("b", image)], grid)
    axes = next(a for a in drawing.axes if a.get_label() == "b: front")
    picture = written(drawing, axes, dpi)
    assert picture.shape[1] < 401 or dpi == 200
    assert (
        missed(picture, TOP, [((i + 0.5) / 401, 1 - (j + 0.5) / 401) for i, j in places]).max() < 2
    )  # pixels: axes end between two
    sheet = contact_sheet(image[None], grid, columns=1, width_mm=60)
    picture = written(sheet, sheet.axes[0], dpi)
    assert (
        missed(picture, TOP, [((i + 0.5) / 401, 1 - (j + 0.5) / 401) for i, j in places]).max() < 2
    )  # pixels: axes end between two


def test_the_overview_shows_single_samples_and_every_echo():
    """Four bad samples of 1,200 channels x 801 frequencies; echoes of a 801-frequency sweep at their own level."""
    freq = np.linspace(2e9, 18e9, 801)
    k = 2 * np.pi * freq / LIGHT
    echoes = [(1.0013, 0), (2.5017, -6), (4.7009, -12)]  # ranges, m
    values = sum(10 ** (db / 20) * np.exp(-2j * k * r) for r, db in echoes)
    many = np.broadcast_to(1e-3 * values[:, None], (801, 1200)).copy()
    bad = [(100, 33), (400, 777), (601, 1101)]
    for place in bad:
        many[place] = 1
    rx = np.stack([np.linspace(0, 1e-6, 1200), *np.zeros((2, 1200))], -1)
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 3), y=(-0.2, 0.2, 4), z=(0.5, 6, 5))
    for shown in (many, np.stack([values, values], -1)):
        n = shown.shape[1]
        array = ArrayGeometry([[0, 0, 0]], rx[:n])
        scan = Measurement(shown[None, :, None, :].astype(np.complex64), array, FrequencySweep(freq), grid)
        drawing = overview(scan)
        drawing.canvas.draw()
        profiles, magnitudes = drawing.axes[4:6]
        if n == 1200:
            picture = written(drawing, magnitudes, 100)
            assert (
                missed(picture, TOP, [((f + 0.5) / 801, (c + 0.5) / 1200) for f, c in bad]).max() < 2
            )  # pixels: axes end between two
        else:
            limit = profiles.get_xlim()[1]
            picture = written(drawing, profiles, 100)
            for place, db in echoes:
                color = 255 * np.array(matplotlib.colormaps["inferno"](1 + (db + 0.1) / 40)[:3])
                column = round(place / limit * picture.shape[1])
                near = picture[picture.shape[0] // 4, column - 3 : column + 4]
                assert np.abs(near - color).max(-1).min() <= 10, db


def test_without_a_grid_no_sidelobe_is_the_reference():
    """The only echo lies far beyond the guessed scene: it is shown, and what is nearer is not at 0 dB."""
    freq = np.linspace(8e9, 12e9, 201)  # unambiguous to 7.5 m
    values = np.exp(-4j * np.pi * freq * 5.0 / LIGHT)
    array = ArrayGeometry([[0, 0, 0], [0.1, 0, 0]], [[0, 0.1, 0], [0.1, 0.1, 0], [0.05, 0.1, 0]])
    values = np.broadcast_to(values[None, :, None, None], (1, 201, 2, 3)).astype(np.complex64)
    axes = overview(Measurement(values, array, FrequencySweep(freq))).axes[4]
    assert axes.get_xlim()[1] == pytest.approx(7.49, abs=0.01)
    shown = np.asarray(axes.collections[0].get_array()).reshape(6, -1)
    ranges = np.linspace(0, axes.get_xlim()[1], shown.shape[1])
    assert ranges[shown.argmax(1)] == pytest.approx(5.0, abs=0.05)
    assert shown[:, ranges < 2].max() < -35


def test_largest_under_pixels():
    values = np.ma.masked_less(np.random.default_rng(0).random((30, 50)), 0.3)
    values[10:20, 10:30] = np.ma.masked
    across, up = np.cumsum(np.r_[0, np.linspace(1, 3, 50)]), np.linspace(4, 1, 31)  # uneven, and descending
    largest, columns, rows = largest_under_pixels(values, across, up, 7, 40)
    assert largest.shape == (30, 7) and len(columns) == 8 and (rows == up).all()
    middles = (across[1:] + across[:-1]) / 2
    for n in range(7):
        inside = (middles >= columns[n]) & (middles < columns[n + 1])
        np.testing.assert_array_equal(largest[:, n].filled(0), values[:, inside].max(1).filled(0))
    same, *_ = largest_under_pixels(values, across, up, 50, 30)
    np.testing.assert_array_equal(same.filled(0), values.filled(0))
    fewer, *_ = largest_under_pixels(values, across, up, 50, 6)
    np.testing.assert_array_equal(fewer.filled(0), values.reshape(6, 5, 50).max(1).filled(0))
