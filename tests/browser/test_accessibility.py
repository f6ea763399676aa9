"""What axe-core, the usual checker of accessible pages, has to say: nothing serious, in both themes, at three widths."""

from pathlib import Path

import pytest
from chromium import settled, show, wait_until
from served import served
from viewer_samples import make_file

SIZES = {1400: 900, 800: 900, 400: 800}
GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def axe():
    package = pytest.importorskip("axe_playwright_python", reason="axe-core is not installed: pip install '.[dev]'")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with served(make_file(tmp_path_factory.mktemp("axe") / "images.h5")) as address:
        yield address


def findings(page, axe):
    """What is serious or worse, each as rule, element and why."""
    page.evaluate(axe)
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        (found["id"], node["target"], node["failureSummary"])
        for found in result["violations"]
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_serious_is_found(page, site, axe, width, theme):
    page.set_viewport_size({"width": width, "height": SIZES[width]})
    for tab in ("images", "analysis", "history", "measurement"):
        show(page, site, tab=tab, theme=theme, compare="wipe", mark="0,0,0.7")
        wait_until(page, f"document.querySelector('#page-{tab} canvas')")
        settled(page)
        page.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        assert findings(page, axe) == [], tab
        if width == 400:
            page.keyboard.press("c")
            assert findings(page, axe) == [], f"{tab}, controls"
            page.keyboard.press("c")
    for key in ("?", "Shift+P"):
        page.keyboard.press(key)
        assert findings(page, axe) == [], key
        page.keyboard.press("Escape")


def test_it_finds_what_is_wrong(page, site, axe):
    """Were the checker not to work on this page, nothing would ever be found."""
    show(page, site, theme="light")
    page.evaluate(
        "document.getElementById('peak').style.color = '#cccccc'; document.getElementById('colors').title = ''"
    )
    page.evaluate("document.querySelector('label[for=colors]').remove()")
    assert {rule for rule, _, _ in findings(page, axe)} == {"color-contrast", "select-name"}
