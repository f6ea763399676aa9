"""The page as a person uses it, in Chromium without a window."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from chromium import SIZE, pixels, ready, settled, state, texts, visit, wait_until
from PIL import Image
from served import served
from viewer_samples import GRID, PEAK, make_file

from mimo import data

MINUS = "\N{MINUS SIGN}"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_file(tmp_path_factory.mktemp("page") / "images.h5")


@pytest.fixture(scope="module")
def site(path):
    with served(path) as address:
        yield address


def test_every_image_stands_beside_the_others_with_its_caption(page, site):
    visit(page, site)
    assert texts(page, ".panel h2") == ["truth", "alpha", "beta"]
    captions = texts(page, ".panel .facts")
    assert captions[0] == "known reflectivity · 0 dB is 3"
    for caption, seconds in zip(captions[1:], ("1.5 s", "1.5 s"), strict=True):
        assert "PSNR" in caption and "SSIM" in caption and seconds in caption and "6 iterations" in caption
    assert texts(page, ".panel .parameters")[1] == "weight 0.5"
    for n in (1, 2, 3):
        assert pixels(page, f".panel:nth-child({n}) .stage")[..., 3].any()


def test_images_are_chosen(page, site):
    visit(page, site)
    page.get_by_label("alpha", exact=True).uncheck()
    assert texts(page, ".panel h2") == ["truth", "beta"]
    page.get_by_label("alpha", exact=True).check()
    assert texts(page, ".panel h2") == ["truth", "alpha", "beta"]


def test_drag_and_wheel_move_one_camera(page, site):
    visit(page, site)
    before, frames = state(page), page.evaluate("mimoViewer.status.frames")
    pictures = [pixels(page, f".panel:nth-child({n}) .stage") for n in (1, 2)]
    box = page.locator(".stage").first.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 60, middle[1] + 20, steps=4)
    page.mouse.up()
    assert state(page)["azimuth"] == before["azimuth"] - 30
    assert state(page)["elevation"] == before["elevation"] + 10
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    wait_until(page, "mimoViewer.store.state.zoom > 1.3")
    page.keyboard.up("Control")
    page.mouse.move(*middle)
    page.mouse.down(button="right")
    page.mouse.move(middle[0] + 30, middle[1] - 15)
    page.mouse.up(button="right")
    assert state(page)["panX"] == pytest.approx(30 / min(box["width"], box["height"]), rel=0.01)
    assert state(page)["panY"] == pytest.approx(15 / min(box["width"], box["height"]), rel=0.01)
    settled(page)
    assert page.evaluate("mimoViewer.status.frames") > frames
    for n, picture in zip((1, 2), pictures, strict=True):
        assert (pixels(page, f".panel:nth-child({n}) .stage") != picture).any()
    page.keyboard.press("Home")
    for name in ("azimuth", "elevation", "zoom", "panX", "panY"):
        assert state(page)[name] == before[name]


def test_views_along_the_axes_and_keys(page, site):
    visit(page, site)
    for key, angles in (("x", (-90, 0)), ("y", (0, -90)), ("z", (0, 0))):
        page.locator(f"#view-{key}").click()
        clicked = state(page)
        assert (clicked["azimuth"], clicked["elevation"]) == angles
        page.locator("#view-isometric").click()
        page.keyboard.press(key)
        assert state(page) == clicked
    page.keyboard.press("2")
    page.keyboard.press("o")
    page.keyboard.press("d")
    page.keyboard.press("s")
    page.keyboard.press("PageDown")
    now = state(page)
    assert (now["mode"], now["projection"], now["scale"], now["sections"], now["scene"]) == (
        "maximum",
        "perspective",
        "linear",
        "maxima",
        1,
    )
    page.locator(".stage").first.focus()
    page.keyboard.press("ArrowRight")
    assert state(page)["azimuth"] == -5
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_every_control_is_reached_by_the_tab_key(page, site):
    visit(page, site)
    page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, input, select, canvas[tabindex]')].filter(e => e.checkVisibility() && !e.disabled).length"
    )
    seen = set()
    for _ in range(wanted + 8):
        page.keyboard.press("Tab")
        page.evaluate("document.activeElement.dataset.n ??= String(Math.random())")
        seen.add(page.evaluate("document.activeElement.tagName + document.activeElement.dataset.n"))
    assert len({s for s in seen if not s.startswith(("BODY", "MAIN"))}) >= wanted


def test_sliders_change_the_picture_and_say_their_value(page, site):
    visit(page, site)
    for name, value in (("threshold", -3), ("opacity", 0.9), ("floor", -20), ("top", -6)):
        before = pixels(page, ".panel:nth-child(2) .stage")
        page.locator(f"#{name}").fill(str(value))
        assert state(page)[name] == value
        assert float(page.locator(f"#{name}-typed").input_value()) == value
        settled(page)
        assert (pixels(page, ".panel:nth-child(2) .stage") != before).any(), name


def test_scenes_by_slider_and_keys(page, site, path):
    visit(page, site)
    truth = data.load(path).truth
    for scene in (1, 2):
        page.keyboard.press("PageDown")
        wait_until(page, f"mimoViewer.panels[0].header.scene === {scene}")
        settled(page)
        peak = page.evaluate("mimoViewer.panels[0].header.peak")
        assert peak == pytest.approx(np.abs(truth[scene]).max(), rel=1e-6)
        assert f"{scene + 1.5:g} s" in texts(page, ".panel .facts")[1]
    page.keyboard.press("PageDown")
    assert state(page)["scene"] == 2
    page.locator("#scene").fill("0")
    wait_until(page, "mimoViewer.panels[0].header.scene === 0")


def test_the_address_keeps_the_view(page, site):
    visit(page, site)
    page.keyboard.press("3")
    page.keyboard.press("x")
    page.keyboard.press("d")
    page.locator("#colors").select_option("jet")
    page.locator("#threshold").fill("-7")
    page.get_by_label("beta", exact=True).uncheck()
    before = state(page)
    wait_until(page, "location.hash.includes('hidden')")
    page.reload()
    settled(page)
    assert state(page) == before
    assert texts(page, ".panel h2") == ["truth", "alpha"]


@pytest.mark.parametrize(
    "text", ["#scene=1e99&floor=x&zoom=-3&colors=none&cross=1,2&mode=%00&azimuth=NaN", "#" + "a=" * 500]
)
def test_a_broken_address_falls_back(page, site, text):
    visit(page, site + text)
    now = state(page)
    assert (now["floor"], now["colors"], now["mode"], now["azimuth"]) == (-40, "inferno", "volume", -40)
    shown = "#scene=2&zoom=0.2" if "scene" in text else ""
    assert page.evaluate("location.hash") == shown
    assert page.evaluate("[mimoViewer.panels[0].header.scene, Number(document.getElementById('scene').value)]") == [
        now["scene"],
        now["scene"],
    ]
    page.evaluate("location.hash = 'scene=1.4&channel=3.7&hidden=0.none,0.beta&cross=1e99,0,0'")
    wait_until(page, "location.hash === '#scene=1&hidden=0.beta&channel=4'")
    settled(page)
    assert page.evaluate("mimoViewer.panels[0].header.scene") == 1
    counted = "scene 1 (0\N{EN DASH}2)"
    assert texts(page, "output[for=scene]") == [counted]
    assert counted in page.locator("#subtitle").text_content()


def test_the_crosshair_is_shared_and_gives_decibels(page, site, path):
    visit(page, site)
    stored, truth = data.load_reconstructions(path), data.load(path).truth
    volumes = [np.abs(v[0]) for v in (truth, stored["alpha"].image, stored["beta"].image)]

    def check(index):
        place = page.locator(".readout .place").text_content().replace(MINUS, "-").split()
        shown = [float(place[n]) for n in (1, 3, 5)]
        assert shown == pytest.approx([GRID.x[index[0]], GRID.y[index[1]], GRID.z[index[2]]], abs=6e-5)
        values = texts(page, ".panel .value")
        assert values == texts(page, ".readout dd")
        for text, volume in zip(values, volumes, strict=True):
            assert float(text.replace(MINUS, "-").removesuffix(" dB")) == pytest.approx(
                20 * np.log10(volume[index] / volume.max()), abs=0.06
            )

    check(PEAK)
    cells = page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[1])")
    box = page.locator(".sections").nth(1).bounding_box()
    front = cells[0]
    i, j = 3, 2  # the voxels whose middle is clicked in the front picture, x right and y up
    page.mouse.click(
        box["x"] + front["left"] + (i + 0.5) / 5 * front["width"],
        box["y"] + front["top"] + (1 - (j + 0.5) / 7) * front["height"],
    )
    check((i, j, PEAK[2]))
    side = cells[1]
    k, j = 4, 6
    page.mouse.move(box["x"] + side["left"] + 5, box["y"] + side["top"] + 5)
    page.mouse.down()
    page.mouse.move(
        box["x"] + side["left"] + (k + 0.5) / 11 * side["width"],
        box["y"] + side["top"] + (1 - (j + 0.5) / 7) * side["height"],
        steps=3,
    )
    page.mouse.up()
    check((i, j, k))
    page.keyboard.press("ArrowLeft")
    check((i, j, k - 1))


def test_common_reference(page, site, path):
    visit(page, site + "#norm=common&scale=linear")
    stored, truth = data.load_reconstructions(path), data.load(path).truth
    volumes = [np.abs(v[0]) for v in (truth, stored["alpha"].image, stored["beta"].image)]
    most = max(v.max() for v in volumes)
    for text, volume in zip(texts(page, ".panel .value"), volumes, strict=True):
        assert float(text.split()[0]) == pytest.approx(volume[PEAK] / most, abs=6e-4)


def test_the_png_holds_what_is_on_the_screen(page, site):
    visit(page, site + "#axes=0&theme=light")
    with page.expect_download() as download:
        page.locator("#save-png").click()
    picture = np.asarray(Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).convert("RGB")).astype(int)
    frame = page.evaluate(
        "(m => { const b = m.getBoundingClientRect(); return [b.left, b.top, m.clientWidth]; })(document.getElementById('main'))"
    )
    assert picture.shape[:2] == (2 * SIZE["height"], 2 * round(frame[2]))

    def part(selector, n=0):
        box = page.locator(selector).nth(n).bounding_box()
        left, top = 2 * (box["x"] - frame[0]), 2 * (box["y"] - frame[1])
        return picture[round(top) : round(top + 2 * box["height"]), round(left) : round(left + 2 * box["width"])]

    for selector in ("#title", "#subtitle", ".panel h2", ".panel .facts", ".panel .value"):
        shown = part(selector)
        assert (np.abs(shown - shown[0, 0]).max(-1) > 100).mean() > 0.01, selector
    bar = part("#bar")
    table = page.evaluate("import('./static/colors.js').then(m => Array.from(m.tableOf('inferno')))")
    row = bar[2 * 10, 28:-28]
    expected = np.array(table).reshape(256, 3)[np.arange(len(row)) * 255 // len(row)]
    assert np.abs(row - expected).max(-1)[4:-4].max() <= 12
    screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
    box = page.locator(".sections").first.bounding_box()
    cell = page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[0])")[0]
    x, y = round(box["x"]) + cell["left"], round(box["y"]) + cell["top"]
    on_screen = screen[y + 6 : y + cell["height"] : 8, x + 6 : x + cell["width"] : 8]
    saved = part(".sections")[
        2 * (cell["top"] + 6) : 2 * (cell["top"] + cell["height"]) : 16,
        2 * (cell["left"] + 6) : 2 * (cell["left"] + cell["width"]) : 16,
    ]
    assert np.median(np.abs(saved - on_screen)) == 0
    # Scrolled down, the picture holds what is on the screen then: the head above, not the whole page.
    page.set_viewport_size({"width": SIZE["width"], "height": 420})
    page.evaluate("document.getElementById('main').scrollTop = 150")
    settled(page)
    shown = page.evaluate("mimoViewer.composePicture().toDataURL()")
    scrolled = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))).convert("RGB")).astype(int)
    screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)[:, round(frame[0]) :]
    assert scrolled.shape[0] == 2 * 420
    halved = scrolled[::2, ::2][: screen.shape[0], : screen.shape[1]]
    same = np.abs(halved - screen[:, : halved.shape[1]]).max(-1) < 40
    assert same.mean() > 0.92  # edges of voxels, lines and letters fall between the pixels of one or the other
    assert same[:60].mean() > 0.9


def test_the_saved_page_works_from_disk_and_offline(page, site, tmp_path):
    visit(page, site + "#mode=surface&scene=1&threshold=-6")
    values = texts(page, ".panel .value")
    with page.expect_download() as download:
        page.locator("#save-html").click()
    saved = tmp_path / "saved.html"
    saved.write_bytes(Path(download.value.path()).read_bytes())
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    visit(page, saved.as_uri())
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [saved.as_uri()]
    assert (state(page)["mode"], state(page)["scene"]) == ("surface", 1)
    assert texts(page, ".panel .value") == values
    assert "PSNR" in texts(page, ".panel .facts")[1]
    assert pixels(page, ".panel:nth-child(2) .stage")[..., 3].any()
    assert page.locator("#save-html").count() == 0
    assert page.locator("#scene").is_hidden()  # one scene alone was saved
    page.keyboard.press("PageDown")
    assert state(page)["scene"] == 1
    assert page.locator("#notice").is_hidden()
    page.evaluate("location.hash = 'scene=0.4&channel=7.2e9&threshold=-6'")
    wait_until(page, "location.hash === '#scene=1&threshold=-6&channel=5'")


def test_history_and_measurement(page, site, path):
    page.goto(site + "#tab=history")
    ready(page)
    wait_until(page, "document.querySelectorAll('#page-history .plot').length === 2")
    assert texts(page, "#page-history .entry") == ["alpha", "beta"]
    assert pixels(page, "#page-history .plot")[..., 3].any()
    assert texts(page, "#controls h3") == ["Scene", "Images", "Page"]
    assert page.locator("#bar").is_hidden()
    page.keyboard.press("3")
    assert state(page)["mode"] == "volume"  # nothing changes that is not on the page
    page.locator("#tab-measurement").click()
    wait_until(page, "document.querySelectorAll('#page-measurement .plot').length === 2")
    box = page.locator("#page-measurement .plot").first.bounding_box()
    page.mouse.click(box["x"] + 64 + (box["width"] - 80) * 4.5 / 6, box["y"] + 50)
    assert state(page)["channel"] == 4
    wait_until(page, "document.querySelector('#page-measurement .facts').textContent.includes('channel 4')")
    told = page.locator("#page-measurement .facts").text_content()
    assert "transmitter 1, receiver 1" in told
    assert "dashed: path over the crosshair" in told
    assert texts(page, "#controls h3") == ["Scene", "Scale", "Page"]
    assert page.locator("#bar").is_visible()
    assert page.locator("#norm-own").is_hidden()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_at_least_four_and_a_half(page, site, theme):
    visit(page, f"{site}#theme={theme}")
    measured = page.evaluate(
        """() => {
          const parse = (c) => c.match(/[\\d.]+/g).map(Number);
          const backdrop = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
          const probe = document.createElement('p'); document.getElementById('main').append(probe);
          const inks = ['text', 'muted', 'accent', 'problem', 'tx', 'rx', ...[1,2,3,4,5,6].map(n => `curve-${n}`)];
          const drawn = inks.flatMap((n) => { probe.style.color = `var(--${n})`; const c = parse(getComputedStyle(probe).color);
            return ['page', 'panel'].map((b) => { probe.style.backgroundColor = `var(--${b})`; return [n, c, parse(getComputedStyle(probe).backgroundColor)]; }); });
          const all = [...document.querySelectorAll('body *')].filter(e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
          return drawn.concat(all.map(e => [e.textContent.slice(0, 20), parse(getComputedStyle(e).color), backdrop(e)]));
        }"""
    )

    def luminance(color):
        c = np.array(color[:3]) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    assert len(measured) > 60
    for name, front, back in measured:
        a, b = sorted((luminance(front), luminance(back)))
        assert (b + 0.05) / (a + 0.05) >= 4.5, (name, front, back)


@pytest.mark.parametrize("width", [900, 1920])
def test_it_fits_from_900_pixels_to_a_wide_screen(page, site, width):
    page.set_viewport_size({"width": width, "height": 800})
    visit(page, site)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    main = page.evaluate("(m => [m.scrollWidth, m.clientWidth])(document.getElementById('main'))")
    assert main[0] <= main[1]
    assert page.locator(".panel").first.bounding_box()["width"] >= 300
