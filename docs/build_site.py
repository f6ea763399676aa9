"""Steps of building the documentation site that mkdocs has none for: mkdocs.yml names this file as its hook.

It writes the reference (a page for each part of the package, an entry for each public name) and the gallery (a page for
each script of docs/gallery), turns formulas into MathML, and refuses a site that lacks a name or loads anything from
elsewhere.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [] if str(DOCS) in sys.path else [str(DOCS)]
import fresh  # noqa: E402

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|source|video|embed)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|(?:@import|url\()\s*[\"']?(?:https?:)?//[^\s\"')]+"
)
"""What makes a browser load something from another place when it shows a page."""


BRIDGES = {"mimo.interop.deepinv": "interop/deepinv.py"}
"""Modules that are a part of their own, as importing them needs an extra."""


class Part(NamedTuple):
    """A part of the package: what it says of itself, and its public names by kind."""

    name: str
    about: str
    names: dict[str, str]


def parts() -> list[Part]:
    """Return the parts of the package that have public names, mimo first, as pyproject.toml and their sources say."""
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    found = []
    places = {name: f"{folder}/__init__.py" for name, folder in folders.items()} | BRIDGES
    for name, place in places.items():
        tree = ast.parse((ROOT / place).read_text())
        (public,) = (
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        )
        about = (ast.get_docstring(tree) or "").partition("\n")[0]
        if public:
            found.append(Part(name, about, {each: _kind(each) for each in public}))
    return found


def _kind(name: str) -> str:
    if name.isupper():
        return "Values"
    return "Classes" if name[0].isupper() else "Functions"


def reference_page(part: Part) -> str:
    """Return a page with an entry for each public name of a part: mkdocstrings reads what the sources say."""
    lines = [f"# {part.name}", "", part.about, "", f"`from {part.name} import ...` gives the names below."]
    for kind in ("Classes", "Functions", "Values"):
        names = [name for name, its in part.names.items() if its == kind]
        lines += ["", f"## {kind}"] if names else []
        for name in names:
            lines += ["", f"::: {part.name}.{name}"]
    return "\n".join(lines) + "\n"


def missing_names(part: Part, html: str) -> list[str]:
    """Return the public names of a part that a built page has no entry for, or one that says nothing."""
    entries = {name: html.partition(f'id="{part.name}.{name}"')[2].partition("<h3 ")[0] for name in part.names}
    return [name for name, entry in entries.items() if "<p>" not in entry]


def gallery_pages() -> dict[str, str]:
    """Return the pages of the gallery by place: one for each script, with its picture and code, and one over all."""
    pages, cards = {}, []
    for script in fresh.gallery_scripts():
        source = script.read_text()
        title, _, about = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
        code = source.split('"""', 2)[2].strip()
        picture = f"![{title}](../pictures/{fresh.gallery_picture(script)})"
        pages[f"gallery/{script.stem}.md"] = (
            f"# {title}\n\n{about.strip()}\n\n{picture}\n\n```python\n{code}\n```\n\n"
            f"The script: [{script.name}]({script.name}). Where it reads measured files, small simulated ones in the "
            "same layout, which `docs/draw_gallery.py` writes, stood in for them here.\n"
        )
        cards.append(f"- [{picture}]({script.stem}.md)\n\n    [{title}]({script.stem}.md)\n")
    intro = (
        "# Gallery\n\nTwelve short scripts, each with the picture that it draws. Together they use every import format "
        "and every method. `python docs/draw_gallery.py NAME` runs one again.\n"
    )
    return {"gallery/index.md": f'{intro}\n<div class="gallery" markdown>\n\n{chr(10).join(cards)}\n</div>\n', **pages}


def with_mathml(html: str) -> str:
    """Return a page in which every formula is MathML, which browsers draw without any script."""

    def mathml(match: re.Match[str]) -> str:
        formula = unescape(match[3]).strip()
        if match[2] == "(":
            return convert(formula)
        return f'<div class="formula">{convert(formula, display="block")}</div>'

    return FORMULA.sub(mathml, html)


def loads_from_elsewhere(text: str) -> list[str]:
    """Return what a page or a style sheet would have a browser load from another place."""
    return ELSEWHERE.findall(text)


def on_config(config: Any) -> Any:
    """Add the pages that are made here to the navigation."""
    if not (ROOT / ".venv" / "tree" / "mimo" / "data").is_dir():
        raise PluginError("the reference reads .venv/tree, which is not there: build the site by `make site`")
    made = {"Reference": [{part.name: _reference_place(part)} for part in parts()], "Gallery": list(gallery_pages())}
    for section in config.nav:
        for title in made.keys() & section.keys():
            section[title] += made[title]
    return config


def _reference_place(part: Part) -> str:
    return f"reference/{part.name}.md"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made here."""
    for place, text in {**{_reference_place(p): reference_page(p) for p in parts()}, **gallery_pages()}.items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Turn formulas into MathML, and look for every public name."""
    for part in parts():
        if page.file.src_uri == _reference_place(part) and (missing := missing_names(part, html)):
            raise PluginError(f"the reference has no entry for {', '.join(missing)} of {part.name}")
    return with_mathml(html)


def on_post_build(config: Any) -> None:
    """Refuse a site of which a browser would load a part from elsewhere."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in {".html", ".css"} and (found := loads_from_elsewhere(path.read_text())):
            raise PluginError(f"{path.relative_to(config.site_dir)} loads {found[0]}: the site must work offline")
