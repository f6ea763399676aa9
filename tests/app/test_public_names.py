"""What is public says so: `__all__` in every module, and documentation that shows nothing else."""

import ast
import importlib
import json
import pkgutil
import re
from pathlib import Path

import pytest

import mimo

ROOT = Path(__file__).parents[2]
PARTS = ("data", "synth", "models", "recon", "autofocus", "interop", "viewer", "train", "bench", "commands")
FACES = (
    "mimo",
    "mimo.autofocus",
    "mimo.data",
    "mimo.interop",
    "mimo.interop.deepinv",
    "mimo.recon",
    "mimo.synth",
    "mimo.train",
    "mimo.viewer",
)
"""What the documentation may import from."""


def module_names() -> list[str]:
    names = ["mimo"]
    for prefix, folder in [("mimo.", "mimo"), *((f"mimo.{part}.", part) for part in PARTS)]:
        names += [prefix.rstrip(".")] if folder != "mimo" else []
        names += [found.name for found in pkgutil.walk_packages([str(ROOT / folder)], prefix)]
    return [name for name in names if not name.endswith("._kernels")]


def path_of(name: str) -> Path:
    words = name.split(".")[1:]
    base = ROOT if words and words[0] in PARTS else ROOT / "mimo"
    path = base.joinpath(*words)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("name", module_names())
def test_every_module_lists_its_public_names(name):
    """Every function and class without an underscore is in ``__all__``, and everything in it is there."""
    tree = ast.parse(path_of(name).read_text())
    listed = [n for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__"]
    assert len(listed) == 1, "expected one __all__"
    public = ast.literal_eval(listed[0].value)
    assert len(public) == len(set(public))
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = {n.name for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")}
    assert defined <= set(public)
    module = importlib.import_module(name)
    assert all(hasattr(module, each) for each in public)


def code_blocks() -> list[tuple[str, str]]:
    """Python of every page and notebook, with where it stands."""
    blocks = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for i, text in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)):
            prompts = re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", text, re.MULTILINE)
            blocks.append((f"{page.name} {i}", "\n".join(prompts) if ">>>" in text else text))
    for script in sorted((ROOT / "docs" / "gallery").glob("*.py")):
        blocks.append((script.name, script.read_text()))
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for i, cell in enumerate(json.loads(notebook.read_text())["cells"]):
            if cell["cell_type"] == "code":
                lines = [line for line in "".join(cell["source"]).splitlines() if not line.startswith("%")]
                blocks.append((f"{notebook.name} {i}", "\n".join(lines)))
    return blocks


@pytest.mark.parametrize(("where", "text"), [pytest.param(*block, id=block[0]) for block in code_blocks()])
def test_the_documentation_imports_public_names(where, text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "mimo":
            assert node.module in FACES, f"{where} imports from {node.module}"
            public = importlib.import_module(node.module).__all__
            names = {alias.name for alias in node.names}
            deeper = {name for name in names if f"{node.module}.{name}" in FACES}
            assert names - deeper <= set(public), f"{where}: {sorted(names - deeper - set(public))}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mimo":
            assert node.attr in mimo.__all__ or f"mimo.{node.attr}" in FACES, f"{where}: mimo.{node.attr}"
        elif isinstance(node, ast.Import):
            assert {a.name for a in node.names if a.name.split(".")[0] == "mimo"} <= set(FACES), where


def test_there_is_documentation_to_check():
    """The patterns above find what is there."""
    texts = [text for _, text in code_blocks()]
    assert len(texts) > 20 and any("from mimo.recon import" in text for text in texts)
    assert mimo.__all__ == sorted(mimo.__all__, key=lambda name: (not name[0].isupper(), name))
