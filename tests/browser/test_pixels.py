"""What stands on the canvases is what numpy says: slices, projections through space, surfaces, profiles."""

import matplotlib
import numpy as np
import pytest
from chromium import pixels, show, texts
from served import served
from viewer_samples import GRID, PEAK, make_file

from mimo import VoxelGrid, data
from mimo.display_defaults import COLOR_MAP

UNEVEN = VoxelGrid([-0.2, -0.1, 0.05, 0.1, 0.2], np.linspace(-0.3, 0.3, 7), np.linspace(0.5, 1.0, 11))
CLOSE = 3  # of 255


def colors_of(level: np.ndarray, name: str = COLOR_MAP) -> np.ndarray:
    """Of levels from 0 to 1, between the map's 256 colours in proportion, in bytes."""
    table = 255 * matplotlib.colormaps[name](np.arange(256))[:, :3]
    at = 255 * np.clip(level, 0, 1)
    return np.stack([np.interp(at, np.arange(256), table[:, c]) for c in range(3)], -1)


def section_colors(page, panel, grid):
    """Colours at the voxels' middles of the three pictures, rows along the upright axis, ascending."""
    image = pixels(page, f".panel:nth-child({panel + 1}) .sections").astype(float)
    edges = {name: page.evaluate(f"mimoViewer.panels[{panel}].volume.edges[{n}]") for n, name in enumerate("xyz")}
    found = []
    for cell, (across, up) in zip(
        page.evaluate(f"mimoViewer.sections.cells(mimoViewer.panels[{panel}])"), ("xy", "zy", "xz"), strict=True
    ):
        u, v = (places(edges[name], getattr(grid, name)) for name in (across, up))
        columns = (cell["left"] + u * cell["width"]).astype(int)
        rows = (cell["top"] + (1 - v) * cell["height"]).astype(int)
        found.append(image[np.ix_(rows, columns)][..., :3])
    return found


def places(edges, centers):
    """Where the middles of the voxels lie between the outer edges, 0 to 1."""
    middles = (np.array(edges)[1:] + np.array(edges)[:-1]) / 2
    return (middles - edges[0]) / (edges[-1] - edges[0])


@pytest.mark.parametrize("grid", [GRID, UNEVEN], ids=["even", "uneven"])
def test_slices_are_numpys(page, tmp_path, grid):
    path = make_file(tmp_path / "a.h5", grid=grid)
    index = (3, 2, 4)
    cross = ",".join(str(getattr(grid, name)[i]) for name, i in zip("xyz", index, strict=True))
    stored, truth = data.load_reconstructions(path), data.load(path).truth
    volumes = [np.abs(v[1]) for v in (truth, stored["alpha"].image, stored["beta"].image)]
    with served(path) as site:
        for colors, floor, scale in (("viridis", -25, "db"), ("jet", -40, "db"), ("inferno", -40, "linear")):
            show(page, site, scene=1, cross=cross, scale=scale, floor=floor, colors=colors)
            for panel, volume in enumerate(volumes):
                relative = volume / volume.max()
                level = relative if scale == "linear" else 1 - 20 * np.log10(relative) / floor
                i, j, k = index
                expected = (level[:, :, k].T, level[i, :, :], level[:, j, :].T)
                for shown, wanted, (row, column) in zip(
                    section_colors(page, panel, grid), expected, ((j, i), (j, k), (k, i)), strict=True
                ):
                    gap = np.abs(shown - colors_of(wanted, colors)).max(-1)
                    gap[row], gap[:, column] = 0, 0  # under the crosshair
                    assert gap.max() <= CLOSE


def test_maxima_are_numpys(page, tmp_path):
    path = make_file(tmp_path / "a.h5")
    volume = np.abs(data.load(path).truth[0])
    level = 1 + 20 * np.log10(volume / volume.max()) / 40
    with served(path) as site:
        show(page, site, sections="maxima", cross="9,9,9")
        expected = (level.max(2).T, level.max(0), level.max(1).T)
        for shown, wanted in zip(section_colors(page, 0, GRID), expected, strict=True):
            assert np.abs(shown - colors_of(wanted)).max() <= CLOSE
        show(page, site, sections="maxima")
        cell = page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[0])")[2]
        box = page.locator(".sections").first.bounding_box()
        i, j, k = PEAK
        x = box["x"] + cell["left"] + (i + 0.5) / 5 * cell["width"]
        page.mouse.click(x, box["y"] + cell["top"] + (1 - (k + 0.5) / 11) * cell["height"])
        cross = page.evaluate("mimoViewer.cross()")
        assert cross == pytest.approx([GRID.x[i], GRID.y[j], GRID.z[k]])  # the depth that is seen


def inside(image):
    """The part of a 3D picture that is not transparent."""
    rows, columns = np.nonzero(image[..., 3] == 255)
    return image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1, :3].astype(float)


@pytest.mark.parametrize(
    ("view", "azimuth", "elevation"), [("z", 0, 0), ("x", -90, 0), ("y", 0, -90), ("z from behind", 180, 0)]
)
def test_maximum_projection_in_space(page, tmp_path, view, azimuth, elevation):
    rng = np.random.default_rng(2)
    plain = {
        "x": rng.uniform(0.1, 1, (1, 1, 7, 11)),
        "y": rng.uniform(0.1, 1, (1, 5, 1, 11)),
        "z": rng.uniform(0.1, 1, (1, 5, 7, 1)),
    }
    axis = view[0]
    image = np.broadcast_to(plain[axis], (1, *GRID.shape)).astype(np.float32)
    path = make_file(tmp_path / "a.h5", n_scene=1, truth=False, images={"m": image})
    level = 1 + 20 * np.log10(image[0] / image.max()) / 40
    wanted = {"x": level[0], "y": level[:, 0].T, "z": level[:, :, 0].T}[axis][::-1]
    if view == "z from behind":
        wanted = wanted[:, ::-1]
    with served(path) as site:
        show(page, site, mode="maximum", azimuth=azimuth, elevation=elevation, axes=0, box=0, cross="9,9,9")
        shown = inside(pixels(page, ".panel .stage"))
    n_row, n_column = wanted.shape
    rows = ((np.arange(n_row) + 0.5) / n_row * shown.shape[0]).astype(int)
    columns = ((np.arange(n_column) + 0.5) / n_column * shown.shape[1]).astype(int)
    gap = np.abs(shown[np.ix_(rows, columns)] - colors_of(wanted)).max(-1)
    # Up to a pixel beside the middle, of a picture that a busy machine draws coarser, interpolated between random voxels.
    assert np.median(gap) <= 6
    assert gap.max() <= 24
    size = {"x": (7 * 0.1, 11 * 0.05), "y": (11 * 0.05, 5 * 0.1), "z": (7 * 0.1, 5 * 0.1)}[axis]
    assert shown.shape[0] / shown.shape[1] == pytest.approx(size[0] / size[1], rel=0.02)


def test_what_lies_outside_a_region_is_hatched_and_in_space_empty(page, tmp_path):
    region = np.zeros(GRID.shape, bool)
    region[1:4, 2:5, 3:9] = True
    images = {"m": np.ones((1, *GRID.shape), np.float32)}
    path = make_file(tmp_path / "a.h5", n_scene=1, truth=False, images=images, inside=region)
    wanted = {"maxima": (region.any(2).T, region.any(0), region.any(1).T)}
    wanted["slices"] = (region[:, :, 4].T, region[0], region[:, 3].T)
    cross = ",".join(str(getattr(GRID, name)[i]) for name, i in zip("xyz", (0, 3, 4), strict=True))
    with served(path) as site:
        for sections, parts in wanted.items():
            show(page, site, mode="maximum", sections=sections, azimuth=0, elevation=0, axes=0, box=0, cross=cross)
            for n, (shown, part) in enumerate(zip(section_colors(page, 0, GRID), parts, strict=True)):
                colored = np.abs(shown - colors_of(np.ones(part.shape))).max(-1) <= CLOSE
                row, column = ((3, 0), (3, 4), (4, 0))[n]  # under the crosshair
                colored[row], colored[:, column] = part[row], part[:, column]
                np.testing.assert_array_equal(colored, part)
        assert texts(page, ".value") == ["outside the region"]
        assert any("hatched: outside the region" in text for text in texts(page, ".facts"))
        show(page, site, mode="maximum", azimuth=0, elevation=0, axes=0, box=0, cross="9,9,9")
        height, width, _ = inside(pixels(page, ".panel .stage")).shape
    assert height / width == pytest.approx(1, rel=0.06)  # 3 of 7 voxels by 3 of 5, all of one size


def test_a_surface_stands_at_its_level(page, tmp_path):
    """A body that falls by 10 dB at a radius is seen as a disc of that radius; half the level in dB, radius / sqrt 2."""
    grid = VoxelGrid.from_extent(x=(-0.3, 0.3, 25), y=(-0.3, 0.3, 27), z=(0.4, 1.0, 29))
    radius, scale = 0.2, {}
    distance = np.linalg.norm(grid.centers() - (0, 0, 0.7), axis=1).reshape(grid.shape)
    path = make_file(
        tmp_path / "a.h5", grid=grid, n_scene=1, truth=False,
        images={"ball": (10 ** (-0.5 * (distance / radius) ** 2)).astype(np.float32)[None]},
    )  # fmt: skip
    with served(path) as site:
        still = {"azimuth": 20, "elevation": 30, "axes": 0, "box": 0, "cross": "9,9,9"}
        for threshold in (-10, -5):
            show(page, site, mode="surface", threshold=threshold, **still)
            scale[threshold] = (pixels(page, ".panel .stage")[..., 3] == 255).sum()
        show(page, site, mode="maximum", azimuth=0, elevation=0, axes=0, box=0, cross="9,9,9")
        metre = inside(pixels(page, ".panel .stage")).shape[1] / (0.6 * 25 / 24)
    for threshold, expected in ((-10, radius), (-5, radius / np.sqrt(2))):
        assert np.sqrt(scale[threshold] / np.pi) / metre == pytest.approx(expected, rel=0.02)


def test_volume_rendering_shows_what_is_above_the_threshold(page, tmp_path):
    path = make_file(tmp_path / "a.h5")
    still = {"mode": "volume", "azimuth": 0, "elevation": 0, "axes": 0, "box": 0, "cross": "9,9,9"}
    with served(path) as site:
        show(page, site, threshold=0, **still)
        assert not pixels(page, ".panel .stage")[..., 3].any()
        show(page, site, threshold=-3, **still)
        faint = pixels(page, ".panel .stage")[..., 3]
        show(page, site, threshold=-3, opacity=0.9, **still)
        strong = pixels(page, ".panel .stage")[..., 3]
        show(page, site, mode="maximum", **{k: v for k, v in still.items() if k != "mode"})
        rows, columns = np.nonzero(pixels(page, ".panel .stage")[..., 3])
    assert strong.max() > faint.max() > 0
    row, column = np.unravel_index(strong.argmax(), strong.shape)
    i, j, _ = PEAK
    assert (column - columns.min()) / np.ptp(columns) == pytest.approx((i + 0.5) / 5, abs=0.1)
    assert (row - rows.min()) / np.ptp(rows) == pytest.approx(1 - (j + 0.5) / 7, abs=0.07)


def test_halves_numbers_and_states_in_the_page(page, tmp_path):
    with served(make_file(tmp_path / "a.h5")) as site:
        show(page, site)
        halves = page.evaluate("import('./static/volume.js').then(m => Array.from(m.HALVES.slice(0, 31744)))")
        np.testing.assert_array_equal(halves, np.arange(31744, dtype=np.uint16).view(np.float16).astype(float))
        ticks = page.evaluate(
            "import('./static/numbers.js').then(m => [m.ticks(-0.15, 0.15, 6), m.ticks(0.35, 0.65, 3), m.ticks(1, 1, 4)])"
        )
        assert ticks[0] == pytest.approx([-0.15, -0.1, -0.05, 0, 0.05, 0.1, 0.15])
        assert ticks[1:] == [pytest.approx([0.4, 0.5, 0.6]), []]
        text = "tab=history&scene=2&hidden=0.alpha&azimuth=12.5&cross=0.1,-0.2,0.7&axes=0"
        assert page.evaluate(f"import('./static/state.js').then(m => m.formatState(m.parseState('{text}')))") == text


def test_a_range_profile_peaks_at_its_path(page, tmp_path):
    """One reflector at path 1.2 m in a medium: the profile, as the exact sum gives it, peaks there."""
    freq, permittivity, path = np.linspace(2e9, 6e9, 41), 2.5, 1.2
    wave = np.exp(-2j * np.pi * freq * np.sqrt(permittivity) / 299792458 * path)
    values = np.zeros((41, 3), complex)
    values[:, 1] = 2 * wave
    flat = np.stack([values.real, values.imag], -1).ravel().tolist()
    header = {"freq": freq.tolist(), "permittivity": permittivity, "pairs": [[0, 0], [0, 1], [0, 2]]}
    with served(make_file(tmp_path / "a.h5")) as site:
        show(page, site)
        paths, profile, other = page.evaluate(
            """([values, header]) => import('./static/sweeps.js').then((m) => {
              const made = m.rangeProfile(values, header, 1, 1001);
              return [Array.from(made.paths), Array.from(made.profile), Array.from(m.rangeProfile(values, header, 0).profile)];
            })""",
            [flat, header],
        )
    paths, profile = np.array(paths), np.array(profile)
    assert paths[-1] == pytest.approx(299792458 / (1e8 * np.sqrt(permittivity)), rel=1e-6)
    k = 2 * np.pi * freq * np.sqrt(permittivity) / 299792458
    np.testing.assert_allclose(
        profile, np.abs(np.exp(1j * np.outer(paths, k)) @ values[:, 1]) / 41, rtol=1e-6, atol=1e-9
    )
    assert paths[profile[:-1].argmax()] == pytest.approx(path, abs=paths[1])
    assert profile.max() == pytest.approx(2, rel=0.01)
    assert max(other) == 0
