"""Where voxels or samples outnumber pixels, what is bright is on the canvas all the same, at its own level."""

import numpy as np
import pytest
from chromium import pixels, show, texts, wait_until
from served import served
from test_pixels import colors_of
from viewer_samples import make_file

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid
from mimo.data import Measurement, save

LIGHT = 299792458
MINUS = "\N{MINUS SIGN}"
STILL = {"mode": "maximum", "sheets": 1, "axes": 0, "box": 0, "cross": "9,9,9", "azimuth": 0, "elevation": 0}


def colored(image, color, close=4):
    """Pixels of an image that have a colour, (row, column) each."""
    return np.argwhere(np.abs(image[..., :3].astype(float) - color).max(-1) <= close)


def nearest(points, places):
    """Distance of each place to the nearest point."""
    return np.linalg.norm(np.array(places)[:, None] - points[None], axis=-1).min(1)


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """144 voxels of 0 dB among 401 x 401 of -60 dB, not side by side."""
    grid = VoxelGrid.from_extent(x=(-1, 1, 401), y=(-1, 1, 401), z=(2, 2, 1))
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.arange(12), np.arange(12), indexing="ij")
    places = np.stack([rows, columns], -1).reshape(-1, 2) * 33 + 8 + rng.integers(0, 20, (144, 2))
    image = np.full((1, 401, 401, 1), 1e-3, np.float32)
    image[0, places[:, 0], places[:, 1], 0] = 1
    path = make_file(
        tmp_path_factory.mktemp("maxima") / "a.h5", grid=grid, n_scene=1, truth=False, images={"targets": image}
    )
    return path, places


@pytest.mark.parametrize("sections", ["slices", "maxima"])
def test_every_voxel_of_a_section_has_its_pixel(page, targets, sections):
    path, places = targets
    with served(path) as site:
        show(page, site, sections=sections, sheets=1, cross="-0.999,-0.999,2")
        image = pixels(page, ".sections")
        front = page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[0])[0]")
    assert front["width"] < 401
    cell = image[front["top"] : front["top"] + front["height"], front["left"] : front["left"] + front["width"]]
    found = colored(cell, colors_of(np.ones(1))[0])
    wanted = [
        ((1 - (j + 0.5) / 401) * front["height"] - 0.5, (i + 0.5) / 401 * front["width"] - 0.5) for i, j in places
    ]
    assert nearest(found, wanted).max() < 1.5


@pytest.mark.parametrize("scale", [1, 0.4], ids=["fine", "coarse"])
def test_every_voxel_is_in_the_maximum_in_space_at_its_own_level(page, targets, scale):
    """Also where the picture is coarser than the screen; a mark says that it is."""
    path, places = targets
    with served(path) as site:
        page.set_viewport_size({"width": 700, "height": 700})  # 401 voxels are more than there are pixels
        show(page, site, **STILL)
        page.evaluate(
            "scale => { mimoViewer.scenes.request = () => {}; mimoViewer.scenes.paint(mimoViewer.panels[0], { scale, coarse: 1 }); }",
            scale,
        )
        image = pixels(page, ".stage")
        mark = page.locator(".coarse").text_content()
    drawn = image[..., 3] == 255
    body = drawn & (np.abs(image[..., :3].astype(int) - colors_of(np.zeros(1))[0]).max(-1) < 100)
    rows, columns = np.nonzero(body)
    top, left, height, width = rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
    part = image[top : top + height, left : left + width]
    found = colored(part, colors_of(np.ones(1))[0])
    wanted = [((1 - (j + 0.5) / 401) * height, (i + 0.5) / 401 * width) for i, j in places]
    assert nearest(found, wanted).max() < 2.5 / scale + 1
    assert mark == ("" if scale == 1 else "coarse: 40 % of full resolution")


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (-40, 25), (77, -61)])
@pytest.mark.parametrize("scale", [1, 0.12])
def test_a_lone_voxel_in_space_has_its_own_level(page, tmp_path, azimuth, elevation, scale):
    grid = VoxelGrid.from_extent(x=(-0.3, 0.3, 60), y=(-0.3, 0.3, 50), z=(0.4, 1.0, 70))
    image = np.zeros((1, *grid.shape), np.float32)
    image[0, 23, 31, 41], image[0, 3, 4, 5] = 1, 10 ** (-10 / 20)
    path = make_file(tmp_path / "a.h5", grid=grid, n_scene=1, truth=False, images={"m": image})
    with served(path) as site:
        show(page, site, **{**STILL, "azimuth": azimuth, "elevation": elevation})
        page.evaluate(
            "scale => { mimoViewer.scenes.request = () => {}; mimoViewer.scenes.paint(mimoViewer.panels[0], { scale, coarse: 1 }); }",
            scale,
        )
        shown = pixels(page, ".stage")
    for level in (1, 0.75):  # of 40 dB
        assert len(colored(shown, colors_of(np.array([level]))[0], close=2)), level


def measured(path, values, freq, n_rx):
    """A file of one transmitter without an image; values (n_freq, n_rx)."""
    array = ArrayGeometry([[0, 0, 0]], np.stack([np.linspace(0.1, 0.2, n_rx), *np.zeros((2, n_rx))], -1))
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 5), y=(-0.2, 0.2, 6), z=(1, 2, 7))
    save(path, Measurement(values[None, :, None, :].astype(np.complex64), array, FrequencySweep(freq), grid))
    return path


def test_single_samples_are_on_the_map_of_a_measurement(page, tmp_path):
    """Four bad samples and a hot channel of 2,000 channels x 801 frequencies."""
    rng = np.random.default_rng(1)
    values = 0.01 * (rng.normal(size=(801, 2000)) + 1j * rng.normal(size=(801, 2000)))
    bad = [(100, 33), (400, 777), (601, 1501), (777, 1983)]
    for place in bad:
        values[place] = 1
    values[:, 1234] = 0.5
    path = measured(tmp_path / "a.h5", values, np.linspace(2e9, 18e9, 801), 2000)
    with served(path) as site:
        page.goto(f"{site}#tab=measurement&channel=1")
        wait_until(page, "document.querySelectorAll('#page-measurement .plot').length === 2")
        image = pixels(page, "#page-measurement .plot")
    height, width = image.shape[0] - 52, image.shape[1] - 80  # beside the ticks
    part = image[12 : 12 + height, 64 : 64 + width]
    found = colored(part, colors_of(np.ones(1))[0])
    wanted = [((1 - (f + 0.5) / 801) * height - 0.5, (c + 0.5) / 2000 * width - 0.5) for f, c in bad]
    assert nearest(found, wanted).max() < 1.5
    hot = part[:, round((1234.5 / 2000) * width - 0.5) - 1 :][:, :3, :3].astype(float)
    level = colors_of(np.array([1 + 20 * np.log10(0.5) / 40]))[0]
    assert (np.abs(hot - level).max(-1) <= 4).any(1).mean() > 0.99


def test_every_echo_of_a_long_sweep_is_as_high_as_it_is(page, tmp_path):
    """1,601 frequencies: an echo is half a pixel wide."""
    freq = np.linspace(2e9, 18e9, 1601)
    k = 2 * np.pi * freq / LIGHT
    echoes = [(3.0017, 0), (7.7773, -6), (20.2031, -12), (28.0009, -20)]
    values = sum(10 ** (db / 20) * np.exp(-1j * k * path) for path, db in echoes)
    path = measured(tmp_path / "a.h5", np.stack([values, values], -1), freq, 2)
    with served(path) as site:
        page.goto(f"{site}#tab=measurement&floor=-40")
        wait_until(page, "document.querySelectorAll('#page-measurement .plot').length === 2")
        image = pixels(page, "#page-measurement .plot:last-child")
        color = page.evaluate("import('./static/colors.js').then((m) => m.curveColor(0))")
        period = page.evaluate(
            """() => import('./static/sweeps.js').then((m) => {
              const { header, values } = mimoViewer.measurement.data.get(0);
              return m.rangeProfile(values, header, 0).paths.at(-1);
            })"""
        )
    ink = np.array([int(color[n : n + 2], 16) for n in (1, 3, 5)])
    height, width = image.shape[0] - 52, image.shape[1] - 80
    part = image[12 : 12 + height, 64 : 64 + width].astype(int)
    drawn = (np.abs(part[..., :3] - ink).max(-1) < 60) & (part[..., 3] > 60)
    for place, db in echoes:
        column = round(place / period * width)
        top = np.nonzero(drawn[:, column - 2 : column + 3].any(1))[0].min()
        shown = 1 - (top + 0.5) / height * 41  # the axis goes from 1 dB down to -40 dB
        assert shown == pytest.approx(db, abs=0.5)


def test_what_is_below_half_floats_reads_as_a_bound(page, tmp_path):
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 4), y=(-0.3, 0.3, 3), z=(0.5, 1.0, 5))
    image = np.full((1, *grid.shape), 1e-9, np.float32)
    image[0, 0, 0, 0], image[0, 1, 0, 0] = 1, 10 ** (-83 / 20)
    path = make_file(tmp_path / "a.h5", grid=grid, n_scene=1, truth=False, images={"a": image, "b": 10 * image})
    with served(path) as site:
        show(page, site, cross="0.2,0.3,1")
        assert texts(page, ".panel .value") == [f"< {MINUS}84 dB"] * 2
        show(page, site, cross="0.2,0.3,1", norm="common")
        assert texts(page, ".panel .value") == [f"< {MINUS}104 dB", f"< {MINUS}84 dB"]
        show(page, site, cross=f"{grid.x[1]},-0.3,0.5")
        assert texts(page, ".panel .value") == [f"{MINUS}83.0 dB"] * 2
