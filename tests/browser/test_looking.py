"""Looking closely: one image alone, zoomed sections, flat images, levels, grounds, small windows, wheel and fingers."""

import matplotlib
import numpy as np
import pytest
from chromium import pixels, ready, settled, show, state, texts, visit, wait_until
from served import served
from test_pixels import CLOSE, colors_of
from viewer_samples import GRID, make_file

from mimo import VoxelGrid, data

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_file(tmp_path_factory.mktemp("looking") / "images.h5")


@pytest.fixture(scope="module")
def site(path):
    with served(path) as address:
        yield address


def size(page, selector, n=0):
    box = page.locator(selector).nth(n).bounding_box()
    return box["width"], box["height"]


def test_one_image_alone_fills_the_window(page, site):
    visit(page, site)
    before = size(page, ".stage"), page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[1])[0].height")
    page.locator(".stage").nth(1).dblclick()
    settled(page)
    assert texts(page, ".panel h2") == ["alpha"]
    assert size(page, ".stage", 1)[1] > 1.5 * before[0][1]
    assert page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[1])[0].height") > 1.3 * before[1]
    page.reload()
    settled(page)
    assert texts(page, ".panel h2") == ["alpha"]
    page.keyboard.press("Escape")
    assert texts(page, ".panel h2") == ["truth", "alpha", "beta"]
    page.locator(".sections").nth(2).focus()
    page.keyboard.press("f")
    assert texts(page, ".panel h2") == ["beta"]
    page.get_by_label("Show all images beside beta").click()
    assert texts(page, ".panel h2") == ["truth", "alpha", "beta"]


def test_images_and_columns_are_chosen_at_once(page, site):
    visit(page, site)
    page.get_by_label("Only alpha", exact=True).click()
    assert texts(page, ".panel h2") == ["alpha"]
    page.locator("#no-images").click()
    assert texts(page, ".panel h2") == []
    page.locator("#all-images").click()
    assert texts(page, ".panel h2") == ["truth", "alpha", "beta"]
    for columns in (1, 2):
        page.locator("#columns").select_option(str(columns))
        tops = [page.locator(".panel").nth(n).bounding_box()["y"] for n in (0, 1, 2)]
        assert len(set(tops)) == 3 - columns + 1


def test_sections_zoom_about_the_pointer_in_all_panels(page, site, path):
    volume = np.abs(data.load(path).truth[0])
    visit(page, f"{site}#cross=0.1,0.2,0.75&sections=slices")
    cells = "mimoViewer.sections.cells(mimoViewer.panels[{}])[0]"
    front, box = page.evaluate(cells.format(0)), page.locator(".sections").first.bounding_box()
    i, j = 1, 2  # its middle stays under the pointer
    u, v = (i + 0.5) / 5, 1 - (j + 0.5) / 7
    at = box["x"] + front["left"] + u * front["width"], box["y"] + front["top"] + v * front["height"]
    page.mouse.move(*at)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -700)
    page.keyboard.up("Control")
    wait_until(page, "mimoViewer.store.state.sectionZoom > 2")
    for n in (0, 2):
        (low, high), (bottom, top), _ = page.evaluate(cells.format(n) + ".ranges")
        assert low + u * (high - low) == pytest.approx(GRID.x[i], abs=0.006)
        assert bottom + (1 - v) * (top - bottom) == pytest.approx(GRID.y[j], abs=0.006)
        assert high - low == pytest.approx(0.5 / state(page)["sectionZoom"])
    k = int(np.abs(np.array(GRID.z) - 0.75).argmin())
    level = 1 + 20 * np.log10(volume[i, j, k] / volume.max()) / 40
    shown = pixels(page, ".sections")[round(at[1] - box["y"]), round(at[0] - box["x"]), :3].astype(float)
    assert np.abs(shown - colors_of(np.array([level]))[0]).max() <= CLOSE
    page.mouse.down(button="right")
    page.mouse.move(at[0] + 20, at[1], steps=3)
    page.mouse.up(button="right")
    assert page.evaluate(cells.format(0) + ".ranges[0][0]") < low
    page.locator(".sections").first.focus()
    page.keyboard.press("Home")
    assert state(page)["sectionZoom"] == 1 and state(page)["sectionAt"] is None


def test_a_flat_image_opens_as_one_large_picture(page, tmp_path):
    grid = VoxelGrid.from_extent(x=(-1, 1, 41), y=(-0.5, 0.5, 21), z=(0, 0, 1))
    image = np.full((1, 41, 21, 1), 0.1, np.float32)
    image[0, 30, 15, 0] = 1
    path = make_file(tmp_path / "a.h5", grid=grid, n_scene=1, truth=False, images={"sar": image})
    with served(path) as site:
        visit(page, site)
        assert page.locator(".stage").is_hidden()
        (cell,) = page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[0])")
        assert cell["width"] > 600
        assert cell["width"] / cell["height"] == pytest.approx(41 / 21, rel=0.01)
        bar = page.evaluate(
            "import('./static/section_layout.js').then(m => m.scaleBar(mimoViewer.sections.cells(mimoViewer.panels[0])[0]))"
        )
        assert bar == {"length": 1, "text": "1 m"} or bar == {"length": 0.5, "text": "0.5 m"}
        row = pixels(page, ".sections")[
            cell["top"] + cell["height"] - 12, cell["left"] : cell["left"] + cell["width"], :3
        ]
        assert (row == 255).all(-1).sum() == pytest.approx(bar["length"] / (2 * 41 / 40) * cell["width"], abs=4)
        page.locator("#sheets").check()
        settled(page)
        assert page.locator(".stage").is_visible()
        assert page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[0]).length") == 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_strongest_colour_stands_out_from_the_ground(page, site, theme):
    def luminance(color):
        c = np.array(color, float) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    visit(page, f"{site}#theme={theme}")
    for name in page.eval_on_selector_all("#colors option", "all => all.map(o => o.value)"):
        page.locator("#colors").select_option(name)
        ground = page.eval_on_selector(".stage", "e => getComputedStyle(e).backgroundColor.match(/\\d+/g).map(Number)")
        strongest = 255 * np.array(matplotlib.colormaps[name](255)[:3])
        a, b = sorted((luminance(strongest), luminance(ground[:3])))
        assert (b + 0.05) / (a + 0.05) > 4.5, (name, ground)


def test_levels_are_typed_and_reach_to_minus_ninety(page, site, path):
    visit(page, f"{site}#cross=0.1,0.2,0.75")
    page.locator("#threshold-typed").fill("-70")
    page.locator("#threshold-typed").press("Enter")
    assert state(page)["threshold"] == -70
    assert float(page.locator("#threshold-typed").input_value()) == -40  # nothing is drawn below the floor
    page.locator("#floor-typed").fill("-120")
    page.locator("#floor-typed").press("Tab")
    assert state(page)["floor"] == -90
    assert float(page.locator("#threshold-typed").input_value()) == -70
    page.locator("#top-typed").fill("-12")
    page.locator("#top-typed").press("Enter")
    page.locator("#floor-typed").fill("-5")
    page.locator("#floor-typed").press("Enter")
    assert (state(page)["floor"], state(page)["top"]) == (-5, -4)
    show(page, site, cross="0.1,0.2,0.75", floor=-30, top=-6)
    volume = np.abs(data.load(path).truth[0])
    cell = page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[0])[0]")
    image = pixels(page, ".sections").astype(float)
    k = int(np.abs(np.array(GRID.z) - 0.75).argmin())
    for i, j in ((0, 0), (1, 3), (4, 2)):
        level = (20 * np.log10(volume[i, j, k] / volume.max()) + 30) / 24
        row = int(cell["top"] + (1 - (j + 0.5) / 7) * cell["height"])
        shown = image[row, int(cell["left"] + (i + 0.5) / 5 * cell["width"]), :3]
        assert np.abs(shown - colors_of(np.array([level]))[0]).max() <= CLOSE


def test_the_wheel_scrolls_and_fingers_turn_and_zoom(page, site):
    page.set_viewport_size({"width": 1000, "height": 500})
    visit(page, site)
    box = page.locator(".stage").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.wheel(0, 200)
    wait_until(page, "document.getElementById('main').scrollTop > 50")
    assert state(page)["zoom"] == 1
    page.evaluate("document.getElementById('main').scrollTop = 0")
    session = page.context.new_cdp_session(page)

    def touch(kind, *points):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": a, "y": b, "id": n} for n, (a, b) in enumerate(points)]})  # fmt: skip

    touch("touchStart", (x, y))
    touch("touchMove", (x + 40, y))
    touch("touchEnd")
    wait_until(page, "mimoViewer.store.state.azimuth === -60")
    touch("touchStart", (x - 30, y))
    touch("touchStart", (x - 30, y), (x + 30, y))
    touch("touchMove", (x - 60, y), (x + 60, y))
    touch("touchEnd")
    wait_until(page, "Math.abs(mimoViewer.store.state.zoom - 2) < 0.1")
    assert state(page)["azimuth"] == -60


@pytest.mark.parametrize("tab", ["images", "analysis", "history", "measurement"])
def test_every_control_says_what_it_does(page, site, tab):
    visit(page, f"{site}#tab={tab}")
    wait_until(page, f"document.querySelector('#page-{tab}').children.length > 0")
    bare = page.eval_on_selector_all(
        "button, input, select, canvas[tabindex]", "all => all.filter(e => e.offsetParent && !e.title).map(e => e.outerHTML)"
    )  # fmt: skip
    assert bare == []
    nameless = page.eval_on_selector_all(
        "input, select", "all => all.filter(e => !e.labels.length && !e.ariaLabel).map(e => e.outerHTML)"
    )
    assert nameless == []


@pytest.mark.parametrize("width", [400, 800])
def test_it_is_usable_in_a_small_window(page, site, width):
    page.set_viewport_size({"width": width, "height": 800})
    for tab in ("images", "analysis", "measurement"):
        show(page, site, tab=tab)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("(m => m.scrollWidth <= m.clientWidth)(document.getElementById('main'))"), tab
    show(page, site)
    assert size(page, ".panel")[0] >= 300
    if width == 400:
        assert page.locator("#mode-surface").is_hidden()
        page.locator("#menu").click()
        page.locator("#mode-surface").click()
        assert state(page)["mode"] == "surface"
        page.locator("#menu").click()
        assert page.locator("#mode-surface").is_hidden()


def test_an_image_at_another_scale_has_its_own_camera(page, tmp_path):
    def file(name, half):
        grid = VoxelGrid.from_extent(x=(-half, half, 5), y=(-half, half, 6), z=(half, 2 * half, 7))
        image = {"m": np.ones((1, *grid.shape), np.float32)}
        return make_file(tmp_path / name / "scan.h5", grid=grid, n_scene=1, truth=False, images=image)

    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    with served(file("near", 0.15), file("far", 5)) as site:
        show(page, site, mode="maximum", axes=0, box=0, cross="99,9,9")
        assert texts(page, ".panel h2") == ["m · near/scan.h5", "m · far/scan.h5"]
        for n in (1, 2):
            assert (pixels(page, f".panel:nth-child({n}) .stage")[..., 3] == 255).mean() > 0.2


def test_a_scan_without_an_image_opens_on_its_measurement(page, tmp_path):
    path = make_file(tmp_path / "scan.h5", images={}, truth=False)
    with served(path) as site:
        visit(page, site)
        wait_until(page, "document.querySelector('#page-measurement .setup')")
        assert "mimo reconstruct scan.h5 scan-image.h5" in page.locator("#notice").text_content()
        wait_until(page, "document.querySelector('#page-measurement .hint:last-child').textContent.includes('grid')")
        image = pixels(page, ".setup").astype(int)
        assert (np.abs(image - image[0, -1]).max(-1) > 60).sum() > 300  # antennas, box and axes on the ground
        assert "5 listed" not in page.locator("#subtitle").text_content()


def test_the_servers_end_keeps_what_is_shown(page, tmp_path):
    with served(make_file(tmp_path / "a.h5")) as site:
        visit(page, site)
    page.keyboard.press("PageDown")
    wait_until(page, "document.getElementById('notice').textContent.includes('server has ended')")
    assert state(page)["scene"] == 0
    assert texts(page, ".panel h2") == ["truth", "alpha", "beta"]
    assert page.evaluate("mimoViewer.panels.every(p => p.volume && p.header.scene === 0)")
    assert page.evaluate("document.getElementById('scene').value") == "0"
    ready(page)
    page.errors.clear()  # the browser's own, of the request that was refused


def test_the_dialog_and_the_histogram_of_a_narrow_window(page, site):
    page.set_viewport_size({"width": 400, "height": 800})
    show(page, site)
    page.keyboard.press("c")
    wait_until(page, "document.getElementById('histogram').width > 100")
    wait_until(
        page, "document.getElementById('histogram').getContext('2d').getImageData(0, 0, 240, 50).data.some(v => v)"
    )
    page.keyboard.press("c")
    page.keyboard.press("Shift+P")
    for part in ("#save-dialog", "#save-columns", "#save-ground", "#close-save"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 400, part
