"""The house as the documentation describes it: no circle of imports, no name that leads nowhere, every page linked."""

import ast
import importlib
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from test_public_names import module_names, path_of

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def imported(name: str, known: set[str]) -> set[str]:
    """Modules that a module imports anywhere in it; of ``from package import module`` the module."""
    found = set()
    for node in ast.walk(ast.parse(path_of(name).read_text())):
        if isinstance(node, ast.ImportFrom):
            deeper = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= deeper or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & known) - {name}


def circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_circle_of_imports():
    """Among modules; the packages' faces, which gather the names of their modules, are looked through."""
    known = set(module_names())
    faces = {name for name in known if path_of(name).name == "__init__.py"}
    graph = {name: imported(name, known) - faces for name in known - faces}
    assert sum(map(len, graph.values())) > 300
    assert circle(graph) == []
    assert circle({"a": {"b"}, "b": {"a"}}) != []  # it would be found


def test_no_reference_leads_nowhere():
    """Dotted names between backticks, in sources and pages, are there; nothing refers to what users do not have."""
    texts = {name: path_of(name).read_text() for name in module_names()} | {p.name: p.read_text() for p in PAGES}
    wrong, n = [], 0
    for where, text in texts.items():
        wrong += [
            f"{where}: {word}" for word in ("fit_level", "run_batches", "DESIGN") if re.search(rf"\b{word}\b", text)
        ]
        for dotted in re.findall(r"`(mimo(?:\.\w+)+)`", text):
            n += 1
            if not resolves(dotted):
                wrong.append(f"{where}: {dotted}")
    assert wrong == [] and n > 100
    assert not resolves("mimo.recon.nothing") and not resolves("mimo.nothing.at_all")


def resolves(dotted: str) -> bool:
    words = dotted.split(".")
    for i in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:i]))
        except ModuleNotFoundError:
            continue
        for word in words[i:]:
            if not hasattr(found, word) and word not in getattr(found, "__annotations__", {}):
                return False
            found = getattr(found, word, None)
        return True
    return False


def test_the_drawing_follows_the_imports(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    drawn = importlib.import_module("architecture_figure")
    drawn.architecture_figure()
    assert drawn.reaches("recon/pnp.py", "mimo/born.py") and not drawn.reaches("data/files", "recon/run.py")
    monkeypatch.setattr(drawn, "TRAINING", (("train/run.py", ""), ("docs/make.py", "")))
    with pytest.raises(ValueError, match=r"docs/make\.py"):
        drawn.architecture_figure()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_names_are_there(page):
    folders = "mimo|data|synth|models|recon|viewer|train|bench|commands|docs|tests|notebooks"
    for path in re.findall(rf"`((?:{folders})/[\w/.-]+)`", page.read_text()):
        if "NAME" not in path:
            assert (ROOT / path).exists(), path


def test_the_index_links_every_page():
    named = re.findall(r"[:-] ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    linked = set(re.findall(r"\(([\w/-]+\.md)\)", (ROOT / "docs" / "index.md").read_text()))
    assert {"iterative.md", "learned.md", "architecture.md"} <= set(named)
    first = {
        name for name in named if "/" not in name or name.endswith("/index.md")
    }  # of a folder, the list of its pages
    assert first - {"index.md"} <= linked


def test_nothing_calls_the_program_unfinished():
    """Weights ship, and the pages say so and nothing else."""
    assert list((ROOT / "models" / "weights").glob("*.safetensors"))
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md", ROOT / "CHANGELOG.md"):
        assert not re.search(r"[Nn]one ships|grows towards|not yet implemented", page.read_text()), page.name
