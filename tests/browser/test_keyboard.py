"""The page without a mouse: all that a mouse can do is done by keys alone."""

import pytest
from chromium import settled, show, state, texts, visit, wait_until
from served import served
from viewer_samples import GRID, PEAK, make_file

MOUSE = ("click", "dblclick", "pointerdown", "mousedown", "wheel", "contextmenu")

# Remembers every element that listens to a mouse, before the page's own scripts run.
WATCH = f"""
window.listening = new Set();
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (name, ...rest) {{
  if ({list(MOUSE)!r}.includes(name) && this instanceof Element) window.listening.add(this);
  return add.call(this, name, ...rest);
}};
"""

# Those that are on the screen, and all that reacts to a mouse by itself, that no tab stop stands for.
WITHOUT_STOP = """(stops) => {
  const own = [...document.querySelectorAll("button, input, select, summary, a[href]")];
  const all = [...new Set([...window.listening, ...own, ...[...document.querySelectorAll("*")].filter((e) => e.onclick)])];
  const there = all.filter((e) => e.isConnected && e.checkVisibility() && !e.disabled && !e.closest("dialog:not([open])"));
  return there.filter((e) => !e.dataset.stop).map((e) => e.outerHTML.slice(0, 120));
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(make_file(tmp_path_factory.mktemp("keyboard") / "images.h5")) as address:
        yield address


def focus(page):
    """What has the keyboard, marked as a stop: its id, or its tag and name."""
    return page.evaluate(
        """() => {
          const e = document.activeElement;
          if (e === document.body || e === document.documentElement) return "";
          e.dataset.stop = "1";
          return e.id || `${e.tagName} ${e.className} ${e.getAttribute("aria-label") ?? e.textContent}`;
        }"""
    )


def tab_to(page, wanted, key="Tab"):
    """Press Tab until an element whose name holds a text has the keyboard."""
    for _ in range(220):
        page.keyboard.press(key)
        name = focus(page)
        if name == wanted or (" " in name and wanted in name):
            return name
    raise AssertionError(f"{wanted} is never reached by {key}")


def walk(page):
    """Press Tab all around; what it stopped at."""
    found = []
    for _ in range(220):
        page.keyboard.press("Tab")
        name = focus(page)
        if found and name == found[0]:
            return found
        if name:
            found.append(name)
    raise AssertionError(f"no end of tab stops: {found}")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize("tab", ["images", "analysis", "history", "measurement"])
def test_all_that_reacts_to_a_mouse_is_a_tab_stop(page, site, tab):
    page.add_init_script(WATCH)
    visit(page, site)
    tab_to(page, f"tab-{tab}")
    press(page, "Enter")
    assert state(page)["tab"] == tab
    wait_until(page, f"!document.getElementById('page-{tab}').hidden")
    settled(page)
    if tab == "measurement":
        wait_until(page, "document.querySelector('.setup')")
    folds = page.evaluate("[...document.querySelectorAll('summary')].filter(e => e.checkVisibility()).length")
    for _ in range(folds):
        tab_to(page, "SUMMARY")
        press(page, "Enter")
    assert page.evaluate("[...document.querySelectorAll('details')].every(e => e.open || !e.checkVisibility())")
    walk(page)
    assert page.evaluate(WITHOUT_STOP) == []
    assert page.errors == []


def test_every_control_obeys_keys(page, site):
    """Sliders, fields, choices, checks and buttons that stand for a value change it."""
    visit(page, f"{site}#compare=wipe")
    operated = set()
    names = walk(page)
    for name in names:
        tab_to(page, name)
        kind = page.evaluate("(e => e.type || e.tagName)(document.activeElement)")
        before = page.evaluate("JSON.stringify([mimoViewer.store.state, document.activeElement.value])")
        if kind == "range":
            press(page, "ArrowLeft" if name != "scene" else "ArrowRight")
        elif kind == "checkbox":
            press(page, "Space")
        elif kind == "select-one":
            last = page.evaluate("(e => e.selectedIndex === e.options.length - 1)(document.activeElement)")
            press(page, "ArrowUp" if last else "ArrowDown")
        elif kind == "number":
            press(page, "Control+a")
            page.keyboard.type("0.05" if "cross" in name or name == "divider-typed" else "-7")
            press(page, "Enter")
        elif kind == "button" and page.evaluate("document.activeElement.ariaPressed") == "false":
            press(page, "Space")
        else:
            continue
        after = page.evaluate("JSON.stringify([mimoViewer.store.state, document.activeElement.value])")
        enabled = page.evaluate("!document.activeElement.disabled")
        assert after != before or not enabled, name
        operated.add(kind)
        show(page, site, compare="wipe")  # as it was
    assert operated == {"range", "checkbox", "select-one", "number", "button"}


def test_cameras_picking_and_large_pictures(page, site):
    visit(page, site)
    tab_to(page, "3D view of truth")
    first = state(page)
    press(page, "ArrowRight", "ArrowDown", "Shift+ArrowUp", "+")
    now = state(page)
    assert all(now[name] != first[name] for name in ("azimuth", "elevation", "panY", "zoom"))
    press(page, "Home")
    assert state(page)["azimuth"] == first["azimuth"]
    # Turned so that one looks along z, moved so that the peak is in the middle: Enter takes it.
    press(page, "z")
    page.evaluate("mimoViewer.store.set({ cross: [0.2, -0.3, 0.5] })")
    at = [getattr(GRID, n)[m] for n, m in zip("xyz", PEAK, strict=True)]
    where = """(point) => {
      const panel = mimoViewer.panels[0];
      const camera = mimoViewer.scenes.cameraFor(panel, panel.stage.clientWidth, panel.stage.clientHeight);
      return [(point[0] - camera.center[0]) * camera.pixelsPerMetre, (point[1] - camera.center[1]) * camera.pixelsPerMetre,
        Math.min(panel.stage.clientWidth, panel.stage.clientHeight) / 20];
    }"""
    right, up, step = page.evaluate(where, at)
    press(page, *["Shift+ArrowLeft" if right > 0 else "Shift+ArrowRight"] * round(abs(right) / step))
    press(page, *["Shift+ArrowDown" if up > 0 else "Shift+ArrowUp"] * round(abs(up) / step))
    press(page, "Enter")
    assert state(page)["cross"] == pytest.approx(at)
    press(page, "f")
    assert state(page)["alone"] == "0.truth"
    press(page, "Escape")
    assert state(page)["alone"] is None
    tab_to(page, "Show alone alpha")
    press(page, "Enter")
    assert state(page)["alone"] == "0.alpha"


def test_crosshair_ruler_box_and_zoomed_sections(page, site):
    visit(page, site)
    tab_to(page, "Sections of truth")
    press(page, "m", "ArrowRight", "ArrowRight", "ArrowUp", "PageDown")
    mark, cross = state(page)["mark"], state(page)["cross"]
    assert cross == pytest.approx([mark[0] + 0.2, mark[1] + 0.1, mark[2] - 0.05])
    assert "m from the mark" in texts(page, ".ruler")[0]
    press(page, *["+"] * 6)
    zoom = state(page)["sectionZoom"]
    press(page, *["ArrowLeft"] * 3)  # the part that is seen follows
    seen = page.evaluate("mimoViewer.sections.cells(mimoViewer.panels[0])[0].ranges[0]")
    assert zoom > 3
    assert state(page)["sectionZoom"] == zoom
    assert seen[0] - 1e-6 <= state(page)["cross"][0] <= seen[1] + 1e-6
    press(page, "Home")
    assert state(page)["sectionZoom"] == 1
    tab_to(page, "clip", key="Shift+Tab")
    press(page, "Space")
    assert state(page)["clip"] is True
    press(page, "g")
    assert state(page)["cross"] == pytest.approx([getattr(GRID, n)[m] for n, m in zip("xyz", PEAK, strict=True)])


def test_measurement_history_and_peaks(page, site):
    visit(page, f"{site}#tab=measurement")
    wait_until(page, "document.querySelector('.setup')")
    tab_to(page, "Map of the channels")
    press(page, "ArrowRight", "ArrowRight")
    assert state(page)["channel"] == 2
    tab_to(page, "Antennas and scene")
    before = state(page)
    press(page, "ArrowLeft", "+")
    assert state(page)["azimuth"] != before["azimuth"]
    assert state(page)["zoom"] > before["zoom"]
    press(page, "Home")
    assert state(page)["zoom"] == before["zoom"]
    for kind in ("phase", "profiles", "matrix"):
        tab_to(page, f"kind-{kind}")
        press(page, "Enter")
        assert state(page)["measured"] == kind
    tab_to(page, "tab-history")
    press(page, "Enter")
    wait_until(page, "document.querySelector('#page-history .plot')")
    tab_to(page, "over iterations")
    press(page, "ArrowRight", "ArrowRight")
    assert texts(page, "#page-history .hint")[0].startswith("iteration 2")
    tab_to(page, "tab-analysis")
    press(page, "Enter")
    wait_until(page, "document.querySelector('#save-peaks')")
    cross = state(page)["cross"]
    tab_to(page, "Crosshair to peak 2")
    press(page, "Enter")
    assert state(page)["cross"] != cross
    assert "Crosshair to peak 2" in focus(page)  # where one goes on from


def test_dialogs_menu_and_files(page, site, tmp_path):
    visit(page, site)
    press(page, "?")
    assert page.locator("#help").is_visible()
    press(page, "Escape")
    tab_to(page, "keys")
    press(page, "Enter")
    tab_to(page, "Close")
    press(page, "Enter")
    assert page.locator("#help").is_hidden()
    press(page, "Shift+P")
    assert page.locator("#save-dialog").is_visible()
    tab_to(page, "save-width")
    press(page, "Control+a")
    page.keyboard.type("90")
    tab_to(page, "save-stage")
    press(page, "Space")
    tab_to(page, "save-dpi")
    with page.expect_download() as download:
        tab_to(page, "save-sheet")
        press(page, "Enter")
    assert download.value.suggested_filename.endswith(".png")
    wait_until(page, "!document.getElementById('save-dialog').open")
    tab_to(page, "SUMMARY")
    press(page, "Enter")
    with page.expect_file_chooser():
        tab_to(page, "mesh-file")
        press(page, "Enter")
    page.set_viewport_size({"width": 400, "height": 800})
    press(page, "c")
    assert page.locator("#controls").is_visible()
    tab_to(page, "menu", key="Shift+Tab")
    press(page, "Enter")
    assert page.locator("#controls").is_hidden()
