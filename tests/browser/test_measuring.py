"""Measuring on the page: peaks, widths, profiles, boxes, picking, phases, comparison, the maps of a measurement."""

import csv
import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from chromium import pixels, settled, show, state, texts, visit, wait_until
from served import served
from test_pixels import CLOSE, colors_of, section_colors
from viewer_samples import GRID, PEAK, make_file

from mimo import VoxelGrid, data
from mimo.recon.metrics import point_widths

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_file(tmp_path_factory.mktemp("measuring") / "images.h5")


@pytest.fixture(scope="module")
def site(path):
    with served(path) as address:
        yield address


def number(text):
    return float(text.replace(MINUS, "-").split()[0])


def test_the_strongest_peaks_with_their_widths_as_a_table_and_as_a_file(page, tmp_path):
    grid = VoxelGrid.from_extent(x=(-0.2, 0.2, 21), y=(-0.3, 0.3, 23), z=(0.5, 1.0, 25))
    places, levels = [(5, 6, 7), (15, 16, 17), (5, 18, 20)], (1, 0.5, 0.25)
    x, y, z = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    image = sum(
        level * np.exp(-(((x - i) / 3) ** 2) - ((y - j) / 2) ** 2 - ((z - k) / 4) ** 2)
        for level, (i, j, k) in zip(levels, places, strict=True)
    )
    images = {"m": image[None].astype(np.float32)}
    with served(make_file(tmp_path / "a.h5", grid=grid, n_scene=1, truth=False, images=images)) as site:
        visit(page, f"{site}#tab=analysis")
        with page.expect_download() as download:
            page.locator("#save-peaks").click()
        rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
        assert len(rows) == 3
        for row, (i, j, k), level in zip(rows, places, levels, strict=True):
            assert [float(row[f"{n}_m"]) for n in "xyz"] == pytest.approx([grid.x[i], grid.y[j], grid.z[k]])
            assert float(row["level_db"]) == pytest.approx(20 * np.log10(level), abs=0.01)
        widths = [float(rows[0][f"width_{n}_m"]) for n in "xyz"]
        assert widths == pytest.approx(point_widths(image, grid), rel=2e-3)
        page.get_by_label("Crosshair to peak 2").click()
        assert state(page)["cross"] == pytest.approx([grid.x[15], grid.y[16], grid.z[17]])
        page.keyboard.press("g")
        assert state(page)["cross"] == pytest.approx([grid.x[5], grid.y[6], grid.z[7]])


def test_width_pslr_and_islr_of_a_sinc(page, site):
    visit(page, site)
    places = np.linspace(-8, 8, 3201)
    values = np.abs(np.sinc(places))
    lobe = page.evaluate(
        "([places, values]) => import('./static/profiles.js').then(m => m.measureLobe({places, values, at: 1580}))",
        [places.tolist(), values.tolist()],
    )
    assert lobe["width"] == pytest.approx(0.886, abs=0.001)
    assert lobe["pslr"] == pytest.approx(-13.26, abs=0.01)
    main = np.abs(places) <= 1
    wanted = 10 * np.log10((values[~main] ** 2).sum() / (values[main] ** 2).sum())
    assert lobe["islr"] == pytest.approx(wanted, abs=0.01)
    edge = page.evaluate(
        "import('./static/profiles.js').then(m => m.measureLobe({places: [0, 1, 2], values: [1, 0.9, 0.8], at: 1}))"
    )
    assert edge["width"] is None


def test_crosshair_is_typed_and_the_ruler_and_the_box_begin_at_the_mark(page, site, path):
    visit(page, f"{site}#cross={GRID.x[1]},{GRID.y[1]},{GRID.z[2]}")
    page.locator("#mark").click()
    for name, value in (("x", GRID.x[3] + 0.02), ("y", GRID.y[4]), ("z", GRID.z[6])):
        page.locator(f"#cross-{name}").fill(str(value))
        page.locator(f"#cross-{name}").press("Enter")
    assert state(page)["cross"] == pytest.approx([GRID.x[3], GRID.y[4], GRID.z[6]])
    distance = np.linalg.norm([GRID.x[3] - GRID.x[1], GRID.y[4] - GRID.y[1], GRID.z[6] - GRID.z[2]])
    assert number(texts(page, ".readout .ruler")[0]) == pytest.approx(distance, abs=6e-5)
    page.locator("#tab-analysis").click()
    volume = np.abs(data.load_reconstructions(path)["alpha"].image[0])
    volume = volume / volume.max()
    part = volume[1:4, 1:5, 2:7]
    box = texts(page, "#page-analysis .panel:nth-child(3) tr:nth-child(2) td")
    assert int(box[0]) == part.size
    assert number(box[1]) == pytest.approx(20 * np.log10(part.max()), abs=0.06)
    assert number(box[3]) == pytest.approx(20 * np.log10(part.mean()), abs=0.06)
    assert number(box[4]) == pytest.approx(100 * (part**2).sum() / (volume**2).sum(), abs=0.02)
    outside = ((volume**2).sum() - (part**2).sum()) / (volume.size - part.size)
    assert number(box[5]) == pytest.approx(10 * np.log10((part**2).mean() / outside), abs=0.06)
    assert page.locator("#page-analysis .plot").count() == 4  # along x, y, z and the line
    assert pixels(page, "#page-analysis .plot")[..., 3].any()
    page.locator("#tab-images").click()
    page.keyboard.press("2")
    still = "mode=maximum&azimuth=0&elevation=0&axes=0&box=0"
    cross = ",".join(map(str, state(page)["cross"]))
    mark = ",".join(map(str, state(page)["mark"]))
    show(page, site, **dict(part.split("=") for part in f"{still}&cross={cross}&mark={mark}".split("&")))
    whole = (pixels(page, ".stage")[..., 3] == 255).sum()
    page.locator("#clip").check()
    settled(page)
    assert (pixels(page, ".stage")[..., 3] == 255).sum() / whole == pytest.approx(3 * 4 / 35, rel=0.12)
    page.keyboard.press("g")
    page.keyboard.press("m")
    page.keyboard.press("m")
    assert state(page)["mark"] is None and state(page)["clip"] is False


def test_a_click_in_space_takes_the_strongest_voxel_behind_it(page, site, path):
    volume = np.abs(data.load_reconstructions(path)["alpha"].image[0])
    show(page, site, mode="maximum", azimuth=0, elevation=0, axes=0, box=0, cross="9,9,9")
    image = pixels(page, ".panel:nth-child(2) .stage")[..., 3] == 255
    rows, columns = np.nonzero(image)
    box = page.locator(".stage").nth(1).bounding_box()
    for i, j in ((0, 6), (3, 2)):
        x = columns.min() + (i + 0.5) / 5 * (np.ptp(columns) + 1)
        y = rows.min() + (1 - (j + 0.5) / 7) * (np.ptp(rows) + 1)
        page.mouse.click(box["x"] + x, box["y"] + y)
        wanted = GRID.x[i], GRID.y[j], GRID.z[int(volume[i, j].argmax())]
        assert state(page)["cross"] == pytest.approx(wanted)


def test_sections_show_phase_and_parts_of_complex_images(page, site, path):
    image = data.load_reconstructions(path)["alpha"].image[0]
    image = image / np.abs(image).max()
    i, j, k = 2, 3, 4
    cross = ",".join(str(getattr(GRID, n)[m]) for n, m in zip("xyz", (i, j, k), strict=True))
    for part, name in (("phase", "twilight"), ("real", "RdBu_r"), ("imaginary", "RdBu_r")):
        show(page, site, show=part, cross=cross, floor=-60)
        wait_until(page, "mimoViewer.panels[1].phase")
        page.evaluate("mimoViewer.paintSections()")
        level = {
            "phase": np.angle(image) / (2 * np.pi) + 0.5,
            "real": 0.5 + image.real / 2,
            "imaginary": 0.5 + image.imag / 2,
        }[part]
        wanted = colors_of_map(level[:, :, k].T, name)
        gap = np.abs(section_colors(page, 1, GRID)[0] - wanted).max(-1)
        gap[j], gap[:, i] = 0, 0  # under the crosshair
        assert np.median(gap) <= 4 and gap.max() <= 12, part  # 256 phases to a turn
    assert "°" in texts(page, ".panel .value")[1]
    assert number(texts(page, ".panel .value")[1].split(",")[1].replace("°", "")) == pytest.approx(
        np.degrees(np.angle(image[i, j, k])), abs=1.3
    )
    assert page.evaluate("mimoViewer.panels[2].phase") is None  # magnitudes alone


def colors_of_map(level, name):
    import matplotlib

    table = 255 * matplotlib.colormaps[name].resampled(256)(np.arange(256))[:, :3]
    at = 255 * np.clip(level, 0, 1)
    return np.stack([np.interp(at, np.arange(256), table[:, c]) for c in range(3)], -1)


def test_sections_are_compared_with_the_truth(page, site, path):
    truth = np.abs(data.load(path).truth[0])
    image = np.abs(data.load_reconstructions(path)["beta"].image[0])
    truth_db, image_db = (np.maximum(20 * np.log10(v / v.max()), -40) for v in (truth, image))
    i, j, k = 2, 3, 4
    cross = ",".join(str(getattr(GRID, n)[m]) for n, m in zip("xyz", (i, j, k), strict=True))
    show(page, site, cross=cross, compare="difference")
    wanted = colors_of_map(0.5 + (image_db - truth_db)[:, :, k].T / 40, "RdBu_r")
    gap = np.abs(section_colors(page, 2, GRID)[0] - wanted).max(-1)
    gap[j], gap[:, i] = 0, 0
    assert gap.max() <= CLOSE
    own = np.abs(section_colors(page, 0, GRID)[0] - colors_of(1 + truth_db[:, :, k].T / 40)).max(-1)
    own[j], own[:, i] = 0, 0
    assert own.max() <= CLOSE  # the truth itself stays as it is
    show(page, site, cross=cross, compare="outline", threshold=-20)
    sides = page.evaluate(
        """import('./static/compare.js').then((m) => {
          const { volume } = mimoViewer.panels[0];
          const view = { name: "front", across: 0, up: 1, along: 2 };
          return m.outlineOf(volume, view, volume.slice(view, 4), 0.1).length;
        })"""
    )
    above = np.pad(truth_db[:, :, k] > -20, 1)
    assert sides == (above[1:] != above[:-1]).sum() + (above[:, 1:] != above[:, :-1]).sum()
    show(page, site, cross=cross, compare="blink")
    seen = "mimoViewer.blinks === true"
    wait_until(page, seen)
    wait_until(page, "mimoViewer.blinks === false")
    page.locator("#compare").select_option("none")
    assert page.evaluate("mimoViewer.blinks") is False


def wiped_front(page, index):
    """Colours of voxels in the front section, and where it stands on the page."""
    cell = page.evaluate(f"mimoViewer.sections.cells(mimoViewer.panels[{index}])")[0]
    box = page.locator(".sections").nth(index).bounding_box()
    return cell, (box["x"] + cell["left"], box["y"] + cell["top"])


def test_a_wipe_shows_another_image_left_of_a_divider_that_is_dragged(page, site, path):
    stored = data.load_reconstructions(path)
    volumes = {"truth": np.abs(data.load(path).truth[0])} | {n: np.abs(stored[n].image[0]) for n in ("alpha", "beta")}
    i, j, k = 0, 3, 4
    cross = ",".join(str(getattr(GRID, n)[m]) for n, m in zip("xyz", (i, j, k), strict=True))
    wanted = {n: colors_of(1 + np.maximum(20 * np.log10(v / v.max()), -40)[:, :, k].T / 40) for n, v in volumes.items()}

    def check(left, edge):
        shown = section_colors(page, 2, GRID)[0]
        for u in range(1, 5):  # the crosshair covers the first column and a row
            if abs(u + 0.5 - edge) < 0.4:
                continue  # the divider covers the voxels' middles
            of = left if u + 0.5 < edge else "beta"
            gap = np.abs(shown[:, u] - wanted[of][:, u]).max(-1)
            gap[[j, 3, -1]] = 0  # crosshair, the divider's grip, and the names of the two
            assert gap.max() <= CLOSE, (u, of)

    show(page, site, cross=cross, compare="wipe", divider=0.4)
    check("truth", 2)
    own = np.abs(section_colors(page, 0, GRID)[0] - wanted["truth"]).max(-1)
    own[j], own[:, i] = 0, 0
    assert own.max() <= CLOSE  # the truth itself has no divider
    cell, (x, y) = wiped_front(page, 2)
    at = y + 0.62 * cell["height"]
    page.mouse.move(x + 0.4 * cell["width"] + 2, at)
    page.mouse.down()
    page.mouse.move(x + 0.8 * cell["width"], at, steps=3)
    page.mouse.up()
    assert state(page)["divider"] == pytest.approx(0.8, abs=0.01)
    assert state(page)["cross"] == pytest.approx([getattr(GRID, n)[m] for n, m in zip("xyz", (i, j, k), strict=True)])
    settled(page)
    check("truth", 4)
    page.locator("#against").select_option(label="alpha")
    settled(page)
    check("alpha", 4)
    page.locator("#divider").fill("0.2")
    settled(page)
    check("alpha", 1)
    page.locator("#compare").select_option("none")
    assert page.locator("#divider").is_hidden()
    page.get_by_label("truth", exact=True).uncheck()  # one that is not shown is loaded for the comparison
    show(page, site, compare="wipe", hidden="0.truth,0.alpha", cross=cross, divider=0.4)
    check_hidden = np.abs(section_colors_of(page, GRID) - wanted["truth"])[:, 1].max(-1)
    check_hidden[[j, 3, -1]] = 0
    assert check_hidden.max() <= CLOSE


def section_colors_of(page, grid):
    """Front section's colours at the voxels' middles of the one panel that is shown."""
    at = page.evaluate("mimoViewer.panels.findIndex(p => mimoViewer.isShown(p))")
    return section_colors(page, at, grid)[0]


def test_maps_of_a_measurement(page, site, path):
    values = data.load(path).values[0].reshape(4, 6)
    show(page, site, tab="measurement", measured="phase")
    wait_until(page, "document.querySelector('#page-measurement .plot')")
    settled(page)
    image = pixels(page, "#page-measurement .plot").astype(float)
    width, height = image.shape[1] - 80, image.shape[0] - 52
    absent = data.load(path).array.mask.ravel() == 0
    for f in range(4):
        for c in np.flatnonzero(~absent):
            at = image[int(12 + (1 - (f + 0.5) / 4) * height), int(64 + (c + 0.5) / 6 * width)]
            wanted = colors_of_map(np.array([np.angle(values[f, c]) / (2 * np.pi) + 0.5]), "twilight")[0]
            assert np.abs(at[:3] - wanted).max() <= CLOSE
    page.locator(".kind-matrix").click()
    box = page.locator("#page-measurement .plot").first.bounding_box()
    page.mouse.click(box["x"] + 64 + 0.5 / 3 * (box["width"] - 80), box["y"] + 12 + 0.25 * (box["height"] - 52))
    assert state(page)["channel"] == 3  # transmitter 1, receiver 0
    told = page.locator("#page-measurement .facts").text_content()
    assert "transmitter 1, receiver 0" in told
    page.locator(".kind-profiles").click()
    assert "where a target there has its echo" in texts(page, "#page-measurement .hint")[0]
    assert pixels(page, "#page-measurement .setup")[..., 3].all()


def test_profiles_of_all_channels_are_those_of_each(page, site):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(13, 3, 2))
    header = {
        "freq": np.linspace(2e9, 5e9, 13).tolist(),
        "permittivity": 1.5,
        "pairs": [[0, 0], [0, 1], [1, 0]],
        "missing": [1],
    }
    visit(page, site)
    levels, longest, count, each = page.evaluate(
        """([values, header]) => import('./static/sweeps.js').then((m) => {
          const all = m.allProfiles(values, header);
          return [Array.from(all.levels), all.longest, all.count, [0, 2].map(c => Array.from(m.rangeProfile(values, header, c, all.count + 1).profile))];
        })""",
        [values.ravel().tolist(), header],
    )
    levels = np.array(levels).reshape(count, 3)
    for channel, profile in zip((0, 2), each, strict=True):
        np.testing.assert_allclose(levels[:, channel], profile[:-1], rtol=1e-5, atol=1e-6)
    assert (levels[:, 1] == -1).all()
    assert longest == pytest.approx(299792458 / (0.25e9 * np.sqrt(1.5)))


def test_the_peak_of_the_first_image_is_gone_to(page, site):
    show(page, site, cross="0,0,0.6")
    page.locator("#peak").click()
    assert state(page)["cross"] == pytest.approx([GRID.x[PEAK[0]], GRID.y[PEAK[1]], GRID.z[PEAK[2]]])


CORNERS = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
FACES = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]


def meshes(folder):
    """One tetrahedron in four kinds of files."""
    import struct

    triangles = [[CORNERS[n] for n in face] for face in FACES]
    ascii_stl = "solid t\n" + "".join(
        "facet normal 0 0 0\nouter loop\n" + "".join("vertex {} {} {}\n".format(*c) for c in t) + "endloop\nendfacet\n"
        for t in triangles
    )  # fmt: skip
    binary_stl = b"\0" * 80 + struct.pack("<I", 4) + b"".join(
        struct.pack("<12fH", 0, 0, 0, *np.ravel(t), 0) for t in triangles
    )  # fmt: skip
    head = "ply\nformat {} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\nelement face 4\nproperty list uchar int vertex_indices\nend_header\n"
    ascii_ply = head.format("ascii") + "".join("{} {} {}\n".format(*c) for c in CORNERS) + "".join("3 {} {} {}\n".format(*f) for f in FACES)  # fmt: skip
    binary_ply = head.format("binary_little_endian").encode() + np.array(CORNERS, "<f4").tobytes() + b"".join(struct.pack("<B3i", 3, *f) for f in FACES)  # fmt: skip
    contents = {"a.stl": ascii_stl.encode(), "b.stl": binary_stl, "a.ply": ascii_ply.encode(), "b.ply": binary_ply}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_a_mesh_is_drawn_in_place(page, site, tmp_path):
    show(page, site, axes=0, box=0, threshold=0, cross="9,9,9", meshShift="0,0,0.6", meshScale=0.01)
    page.locator("summary").click()
    assert not pixels(page, ".stage")[..., 3].any()
    for path in meshes(tmp_path):
        page.locator("#mesh-file").set_input_files(path)
        wait_until(page, "mimoViewer.mesh && mimoViewer.settled()")
        assert np.array(page.evaluate("mimoViewer.mesh.triangles"))[3] == pytest.approx(
            0.01 * np.array([CORNERS[n] for n in FACES[3]]) + [0, 0, 0.6]
        )
        assert page.evaluate("mimoViewer.mesh.edges.length") == 6
        assert pixels(page, ".stage")[..., 3].any()
        page.locator("#mesh-clear").click()
        assert page.evaluate("mimoViewer.mesh") is None
    page.locator("#mesh-file").set_input_files(tmp_path / "a.stl")
    wait_until(page, "mimoViewer.mesh")
    page.locator("#meshTurn-z").fill("90")
    page.locator("#meshTurn-z").press("Enter")
    assert page.evaluate("mimoViewer.mesh.triangles")[3][0] == pytest.approx([0, 0.01, 0.6], abs=1e-9)  # x became y
    cut = page.evaluate("import('./static/mesh.js').then(m => m.cutsOf(mimoViewer.mesh.triangles, 2, 0.605))")
    assert len(cut) == 3 and all(point[2] == pytest.approx(0.605) for pair in cut for point in pair)
    (tmp_path / "bad.stl").write_bytes(b"not a mesh")
    page.locator("#mesh-file").set_input_files(tmp_path / "bad.stl")
    wait_until(page, "document.getElementById('notice').textContent.includes('bad.stl could not be read')")


def test_residuals_are_given_in_the_measurements_unit(page, tmp_path):
    path = make_file(tmp_path / "a.h5")
    measurement, images = data.load(path), data.load_reconstructions(path)
    told = {"alpha": {"noise_std_relative": [0.25] * 3}, "beta": {"noise_std_relative": [0.25] * 3, "eps": 0.5}}
    made = [dataclasses.replace(image, parameters=told[name]) for name, image in images.items()]
    other = tmp_path / "b.h5"
    data.save(other, measurement, reconstructions=made)
    there = measurement.values[1][:, np.asarray(measurement.array.mask)]
    rms = np.sqrt((np.abs(there) ** 2).mean())
    with served(other) as site:
        show(page, site, tab="history", scene=1)
        wait_until(page, "document.querySelector('.levels')?.textContent.includes('measurement')")
        note = texts(page, ".levels")[0]
        for name, bound in (("alpha", 0.25), ("beta", 0.5)):
            shown = re.search(rf"{name}: bound ([\d.]+), noise ([\d.]+), measurement (\d+\.\d+)", note)
            assert [float(v) for v in shown.groups()] == pytest.approx([bound * rms, 0.25 * rms, rms], rel=1e-3)
        plot = page.locator("#page-history .plot").first
        assert plot.get_attribute("aria-label") == "rms residual (measurement's unit) over iterations"
        plot.focus()
        page.keyboard.press("ArrowRight")
        read = texts(page, "#page-history .hint")[0]
        shown = re.search(r"iteration 1: alpha ([\d.]+), beta ([\d.]+)", read)
        assert [float(v) for v in shown.groups()] == pytest.approx([1.5 * 0.25 * rms, 1.5 * 0.5 * rms], rel=1e-3)
    with served(path) as site:  # says nothing of its noise
        show(page, site, tab="history")
        assert texts(page, ".levels")[0].startswith("Dashed, at 1")


def test_the_history_reads_its_values(page, site):
    show(page, site, tab="history")
    plot = page.locator("#page-history .plot").first
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 64 + (box["width"] - 80) * 2 / 5, box["y"] + 50)  # the third of six iterations
    read = texts(page, "#page-history .hint")[0]
    assert read == "iteration 3: alpha 0.1667, beta 0.1667"
    plot.focus()
    page.keyboard.press("ArrowRight")
    assert texts(page, "#page-history .hint")[0].startswith("iteration 4: alpha 0.125")


def test_the_histogram_counts_every_voxel(page, site, path):
    visit(page, site)
    counts = page.evaluate(
        "import('./static/histogram.js').then(m => Array.from(m.levelCounts(mimoViewer.panels[1].volume)))"
    )
    volume = np.abs(data.load_reconstructions(path)["alpha"].image[0])
    level = -20 * np.log10((volume / volume.max()).astype(np.float16).astype(float))
    wanted, _ = np.histogram(level, np.arange(91))
    assert np.array(counts) == pytest.approx(wanted)
    wait_until(
        page, "document.getElementById('histogram').getContext('2d').getImageData(0, 0, 200, 50).data.some(v => v)"
    )
