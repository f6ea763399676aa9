"""Know which pictures of the documentation are older than the code that draws them: ``make fresh`` says so.

Beside the pictures, ``sources.json`` holds for each a sum over the code that drew it. Comments, docstrings and blank
lines do not count. What makes a picture calls `stamp`; `stale` compares with the code as it is.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
SUMS = "sources.json"


def gallery_scripts() -> list[Path]:
    """Return the scripts of the gallery in their order."""
    return sorted((ROOT / "docs" / "gallery").glob("*.py"))


def gallery_picture(script: Path) -> str:
    """Return the name of a script's picture: ``01_a_name.py`` saves ``a_name.png``, kept as ``gallery-a_name.png``."""
    return f"gallery-{script.stem.partition('_')[2]}.png"


FIGURE = ("viewer/figures.py", "viewer/files.py")
PAGE = ("viewer/page_files.py", "viewer/payload.py", "viewer/static", "docs/screenshots.py")
DRAWN_BY: dict[str, tuple[str, ...]] = {
    "architecture.png": ("docs/architecture_figure.py",),
    "costs.png": ("bench/cost_figure.py",),
    "overview-b0.png": ("viewer/overviews.py",),
    "history.png": ("viewer/history.py",),
    **dict.fromkeys(("targets-paper.png", "targets-shapes.png"), ("viewer/contact_sheets.py",)),
    **dict.fromkeys(("demo.png", "columns.png", "b0.png", "b0-learned.png", "gotcha.png"), FIGURE),
    **dict.fromkeys(("b0-methods.png", "b10e-methods.png", "gotcha-methods.png"), FIGURE),
    **{f"viewer-{name}.png": PAGE for name in ("demo", "dark", "history", "measurement", "b0")},
    **{gallery_picture(script): (f"docs/gallery/{script.name}", *FIGURE) for script in gallery_scripts()},
}
"""Files and folders whose code draws a picture; modules of the viewer that they import belong to them."""

MADE_BY = {
    "docs/screenshots.py": lambda name: name.startswith("viewer-"),
    "docs/measured.py --keep": lambda name: name.endswith("-methods.png"),
    "mimo bench": lambda name: name == "costs.png",
    "docs/draw_gallery.py": lambda name: name.startswith("gallery-"),
    "docs/make.py": lambda name: True,
}
"""Commands that make pictures, and which; the first that fits counts."""


def files_behind(sources: Iterable[str], root: Path = ROOT) -> list[Path]:
    """Return the files behind sources, with the modules that those of the viewer import of it, sorted by path."""
    found: set[Path] = set()
    waiting = [path for source in sources for path in _files(root / source)]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix == ".py" and path.is_relative_to(root / "viewer"):
            waiting += [root / name for name in _imported(path) if (root / name).is_file()]
    return sorted(found)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return [path]


def _imported(path: Path) -> Iterator[str]:
    """Yield the paths of the viewer's modules that a module imports, wherever in it, and of what they share."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = node.module
            if module.startswith("mimo.viewer."):
                yield f"viewer/{module.removeprefix('mimo.viewer.').replace('.', '/')}.py"
            elif module == "mimo.display_defaults":
                yield "mimo/display_defaults.py"
            elif module == "mimo.viewer":
                yield from (f"viewer/{alias.name}.py" for alias in node.names)


def bare_code(path: Path) -> str:
    """Return a file's code without what changes no picture: comments, docstrings, layout."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tree = ast.parse(text)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):  # strings that stand alone are docstrings
                body[:] = [part for part in body if not _is_text(part)] or body[:1]
        return ast.dump(tree)
    text = re.sub(r"/\*.*?\*/|<!--.*?-->", "", text, flags=re.DOTALL)
    lines = (re.sub(r"(^|\s)//.*$", "", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def sum_of(sources: Iterable[str], root: Path = ROOT) -> str:
    """Return a sum over the code behind sources, which changes when a picture may."""
    total = hashlib.sha256()
    for path in files_behind(sources, root):
        total.update(f"{path.relative_to(root).as_posix()}\n{bare_code(path)}\n".encode())
    return total.hexdigest()[:16]


def stamp(names: Iterable[str], pictures: Path = PICTURES, root: Path = ROOT) -> None:
    """Note that pictures were just made by the code as it is."""
    path = pictures / SUMS
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {name: sum_of(DRAWN_BY[name], root) for name in names}
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


def stale(pictures: Path = PICTURES, root: Path = ROOT) -> list[str]:
    """Return what is wrong with the pictures: one line for each that is older than its code, not known, or missing."""
    path = pictures / SUMS
    known = json.loads(path.read_text()) if path.exists() else {}
    there = {file.name for file in pictures.glob("*.png")}
    wrong = []
    for name in sorted(there | DRAWN_BY.keys()):
        if name not in DRAWN_BY:
            wrong.append(f"{name}: docs/fresh.py does not say what draws it")
        elif name not in there:
            wrong.append(f"{name}: is missing; {_maker(name)} makes it")
        elif known.get(name) != sum_of(DRAWN_BY[name], root):
            wrong.append(f"{name}: is older than what draws it; {_maker(name)} makes it again")
    return wrong


def _maker(name: str) -> str:
    return next(command for command, fits in MADE_BY.items() if fits(name))


if __name__ == "__main__":
    problems = stale()
    print("\n".join(problems) or "every picture is as new as what draws it")
    sys.exit(1 if problems else 0)
