"""The documentation as a browser shows it: opened from disk, without a network."""

import subprocess
from pathlib import Path

import pytest
from chromium import wait_until

ROOT = Path(__file__).parents[2]
SITE = ROOT / ".venv" / "site"
PAGES = (
    "index.html",
    "tutorials/first-scan.html",
    "reference/mimo.html",
    "theory.html",
    "gallery/index.html",
    "gallery/01_image_formers.html",
)


@pytest.fixture(scope="module", autouse=True)
def site():
    """`make lint` builds it, before these tests in .ci/run."""
    if not (SITE / "index.html").exists():
        subprocess.run(["make", "--silent", "site"], cwd=ROOT, check=True)


def visit(page, name):
    page.goto((SITE / name).as_uri(), wait_until="domcontentloaded")
    wait_until(page, "document.readyState === 'complete'")


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_stands_by_itself(page, name, width):
    """Nothing from elsewhere is asked for, no picture is missing, and nothing is wider than the window."""
    page.set_viewport_size({"width": width, "height": 900})
    visit(page, name)
    page.evaluate("document.querySelectorAll('img').forEach(e => { e.loading = 'eager'; })")
    wait_until(page, "[...document.images].every(e => e.complete)")
    assert page.evaluate("[...document.images].filter(e => !e.naturalWidth).map(e => e.src)") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.foreign == [] and page.errors == []


def test_formulas_are_drawn(page):
    visit(page, "theory.html")
    heights = page.evaluate(
        "[...document.querySelectorAll('.formula math')].map(e => e.getBoundingClientRect().height)"
    )
    assert len(heights) > 20 and min(heights) > 12
    fraction = page.evaluate("document.querySelector('.formula mfrac').getBoundingClientRect().height")
    assert fraction > 1.5 * page.evaluate("document.querySelector('p math').getBoundingClientRect().height")
    assert not page.evaluate("/\\$|\\\\\\\\[a-z]/.test(document.querySelector('article').innerText)")


def test_the_search_finds_from_disk(page):
    visit(page, "index.html")
    page.click(".md-search__input")
    page.keyboard.type("generalised cross-validation")
    wait_until(page, "document.querySelectorAll('.md-search-result__link').length > 0")
    assert any(
        "theory" in link for link in page.eval_on_selector_all(".md-search-result__link", "a => a.map(e => e.href)")
    )
    page.click(".md-search-result__link >> nth=0")
    wait_until(page, "location.protocol === 'file:' && !location.pathname.endsWith('index.html')")
    assert page.foreign == [] and page.errors == []
