"""The documentation site: what its builder refuses, and what the gallery and the reference cover."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml", reason="latex2mathml is not installed: pip install '.[dev]'")

ROOT = Path(__file__).parents[2]
sys.path[:0] = [] if str(ROOT / "docs") in sys.path else [str(ROOT / "docs")]
import build_site  # noqa: E402
import fresh  # noqa: E402

PARTS = {part.name: part for part in build_site.parts()}


@pytest.mark.parametrize("name", PARTS)
def test_the_reference_has_an_entry_for_every_public_name(name):
    part, module = PARTS[name], importlib.import_module(name)
    assert sorted(part.names) == sorted(module.__all__)
    page = build_site.reference_page(part)
    entries = re.findall(r"^::: (.*)$", page, re.MULTILINE)
    assert sorted(entries) == sorted(f"{name}.{each}" for each in part.names)
    for each in module.__all__:
        value = getattr(module, each)
        documented = inspect.isroutine(value) or inspect.isclass(value)
        assert not documented or (value.__doc__ or "").strip(), f"{name}.{each} has no docstring"


def test_a_page_that_lacks_a_name_is_noticed():
    part = build_site.Part("mimo.x", "", {"one": "Functions", "Two": "Classes"})
    one, two = '<h3 id="mimo.x.one">one</h3><p>Do it.</p>', '<h3 id="mimo.x.Two">Two</h3>'
    assert build_site.missing_names(part, one) == ["Two"]
    assert build_site.missing_names(part, one + two) == ["Two"]
    assert build_site.missing_names(part, two + "<p>Holds it.</p>" + one) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/katex.js"></script>',
        "<img alt=a src=//elsewhere.example/a.png>",
        '<link rel="stylesheet" href="https://fonts.example/css">',
        "@import 'https://fonts.example/css'",
        "a{background:url(https://elsewhere.example/a.svg)}",
    ],
)
def test_what_loads_from_elsewhere_is_noticed(text):
    assert len(build_site.loads_from_elsewhere(text)) == 1
    assert not build_site.loads_from_elsewhere(text.replace("https:", "").replace("//", "site/"))


def test_links_may_lead_elsewhere():
    text = '<a href="https://arxiv.org/abs/2312.16024">paper</a><link rel="canonical" href="https://x.example/">'
    assert build_site.loads_from_elsewhere(text) == []


def test_formulas_become_mathml():
    html = '<p><span class="arithmatex">\\(a &lt; b^2\\)</span></p><div class="arithmatex">\\[\n\\sqrt{x}\n\\]</div>'
    made = build_site.with_mathml(html)
    assert made.count("<math") == 2 and "<msup><mi>b</mi><mn>2</mn></msup>" in made and "<msqrt>" in made
    assert "arithmatex" not in made and made.index('class="formula"') > made.index("<msup>")


def test_every_formula_of_the_theory_is_converted_whole():
    """The converter copies what it does not know: no command, no ampersand and no environment is left."""
    page = (ROOT / "docs" / "theory.md").read_text()
    formulas = re.findall(r"\$\$\n(.*?)\$\$", page, re.DOTALL) + re.findall(r"(?<!\$)\$([^$\n]+)\$(?!\$)", page)
    assert len(formulas) > 60
    for formula in formulas:
        made = build_site.convert(formula.strip())
        told = "".join(re.findall(r">([^<]*)<", made))
        assert not re.search(r"\\|&(?!\w+;|#\w+;)|begin|end\{", told), formula


def test_the_gallery_uses_every_format_and_every_method():
    from mimo.data import IMPORTERS
    from mimo.recon import METHODS

    scripts = fresh.gallery_scripts()
    text = "".join(script.read_text() for script in scripts)
    assert len(scripts) == 12
    assert [name for name in IMPORTERS if f'"{name}"' not in text] == []
    shipped = {
        "backprojection", "backprojection-fast", "backprojection-factorised", "range-migration", "kirchhoff",
        "kirchhoff-fast", "tikhonov", "auto-physics", "pnp", "l1", "tv", "deep2s", "two-stage", "two-stage-any",
    }  # fmt: skip
    assert shipped <= set(METHODS)
    assert [name for name in shipped if f'"{name}"' not in text] == []
    pages = build_site.gallery_pages()
    assert len(pages) == 13
    for script in scripts:
        page = pages[f"gallery/{script.stem}.md"]
        assert fresh.gallery_picture(script) in page and "from mimo" in page and len(page.split("\n\n")[1]) > 100
