"""Make the picture and the table of docs/architecture.md: the way of the data, and which part imports which."""

from __future__ import annotations

import ast
import functools
import itertools
import tomllib
from collections import Counter
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[1]


def layers() -> tuple[tuple[str, ...], ...]:
    """Return the parts from the top, as import-linter checks them (pyproject.toml); the core is ``mimo``."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    above = [tuple(name.strip() for name in layer.split("|")) for layer in contract["layers"] if ":" not in layer]
    return (*above, ("mimo",))


LAYERS = layers()
DUTIES = {
    "commands": "the command line",
    "bench": "speed against the published way",
    "train": "training of the networks",
    "viewer": "figures, exports, the interactive page",
    "autofocus": "errors of a radar found from a scene",
    "interop": "other people's tools",
    "recon": "reconstructors by name, metrics",
    "synth": "targets, scenes, datasets",
    "models": "networks, physics stages, weights",
    "data": "measurements, files, formats, calibration, jobs",
    "mimo": "geometry, operators, image formers, data step",
}
PARTS = tuple(DUTIES)
BLUE, ORANGE = "#1f4e79", "#b35900"
MEASUREMENT = (
    ("data/importers", "reads another\nprogram's file"),
    ("data/calibration", "gates, gains,\nbad channels"),
    ("data/files", "keeps it, checked\nby the schema"),
    ("recon/files.py", "runs methods on\nevery scene"),
    ("recon/run.py", "states the\nproblem"),
    ("mimo/born.py", "operator of the\nacquisition"),
    ("mimo/least_squares.py", "data step: Gram\nfactor or CG"),
    ("recon/pnp.py", "iterates with\na prior"),
    ("models/denoiser.py", "is the prior"),
    ("data/files", "keeps the image"),
    ("viewer/figures.py", "draws it"),
)
"""Way of a measurement to an image by ``pnp``: in order, a file or folder and what the code in it does."""
TRAINING = (
    ("commands/learning.py", "reads options"),
    ("train/run.py", "array, scenes,\ndevice"),
    ("train/loop.py", "takes a step"),
    ("synth/targets.py", "draws targets"),
    ("synth/measuring.py", "measures and\nspoils them"),
    ("mimo/born.py", "forward, A x"),
    ("models/stages.py", "adjoint or regu-\nlarised inverse"),
    ("models/unet.py", "network"),
    ("train/reconstructor.py", "loss"),
    ("train/loop.py", "updates, judges,\nkeeps"),
    ("models/weight_files.py", "weights as a\nmethod of recon"),
)
"""Way of a training step of a reconstructor, in the same form."""


def imports() -> dict[str, Counter[str]]:
    """Count, for each part, the import statements that name each other part; ``mimo`` is the core."""
    found: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                for name in _modules(node):
                    words = name.split(".")
                    other = words[1] if len(words) > 1 and words[1] in PARTS else "mimo"
                    if words[0] == "mimo" and other != part:
                        found[part][other] += 1
    return found


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        if node.module == "mimo":
            return [f"mimo.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def reaches(one: str, other: str) -> bool:
    """Whether a file or folder imports another, itself or through what it imports."""
    graph = _graph()
    reached, todo = set(), {module for module in graph if _belongs(module, one)}
    while todo:
        module = todo.pop()
        reached.add(module)
        todo |= graph[module] - reached
    return any(_belongs(module, other) for module in reached)


@functools.cache
def _graph() -> dict[str, set[str]]:
    """Which module, as a path in the repository, imports which; a name from a package's face leads to its module."""
    trees = {path: ast.parse(path.read_text()) for part in PARTS for path in (ROOT / part).rglob("*.py")}
    known = {str(path.relative_to(ROOT)) for path in trees}
    faces = {
        _place(path): {alias.name: node.module for node in tree.body for alias in _names(node)}
        for path, tree in trees.items()
        if path.name == "__init__.py"
    }
    graph = {}
    for path, tree in trees.items():
        modules = set()
        for node in ast.walk(tree):
            for alias in _names(node):
                face = faces.get(_path_of(node.module), {})
                modules |= {face.get(alias.name, node.module), f"{node.module}.{alias.name}"}
        places = {_path_of(module) for module in modules if module != "mimo"}
        graph[str(path.relative_to(ROOT))] = (
            {f"{p}.py" for p in places} | {f"{p}/__init__.py" for p in places}
        ) & known
    return graph


def _names(node: ast.AST) -> list[ast.alias]:
    """Return what ``from mimo... import ...`` names, nothing of another statement."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mimo":
        return node.names
    return []


def _path_of(module: str) -> str:
    """Return a module's place in the repository, without a suffix: ``mimo.data.files`` is ``data/files``."""
    words = module.split(".")
    return "/".join(words[1:] if len(words) > 1 and words[1] in PARTS else words)


def _place(path: Path) -> str:
    return str(path.parent.relative_to(ROOT))


def connected(before: tuple[tuple[str, str], ...], module: str) -> bool:
    """Whether a step imports one before it on the way, or the other way round; not in between, as calls return."""
    return any(reaches(one, module) or reaches(module, one) for one, _ in before)


def _belongs(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}/")


def table() -> str:
    """Return, as Markdown, each part with its duty and the parts that it imports, from the top."""
    found = imports()
    rows = ["| part | duty | imports |", "|---|---|---|"]
    for part in (part for layer in LAYERS for part in layer):
        below = ", ".join(f"`{other}`" for other in PARTS if found[part][other]) or "none of the others"
        rows.append(f"| `{part}` | {DUTIES[part]} | {below} |")
    return "\n".join(rows)


def architecture_figure() -> Figure:
    """Draw the way of a measurement and that of a training step through the parts of the program."""
    figure = Figure(figsize=(11.4, 6.6))
    ways = ((0.53, "A measurement on its way from a file to an image", MEASUREMENT, BLUE),)
    ways += ((0.02, "A training step of a reconstructor", TRAINING, ORANGE),)
    for bottom, title, way, color in ways:
        axes = figure.add_axes((0.09, bottom, 0.905, 0.42))
        _draw_way(axes, way, color)
        axes.set_title(title, loc="left", fontsize=11, weight="bold", color=color)
    return figure


def _draw_way(axes: Axes, way: tuple[tuple[str, str], ...], color: str) -> None:
    """Draw a horizontal lane for each part on the way, and each step in the lane of its part."""
    crossed = {module.partition("/")[0] for module, _ in way}
    lanes = [part for layer in LAYERS for part in layer if part in crossed]
    axes.set(xlim=(-0.5, len(way) - 0.5), ylim=(len(lanes) - 0.5, -0.5))
    axes.axis("off")
    for i, part in enumerate(lanes):
        axes.axhspan(i - 0.5, i + 0.5, color="#f2f4f7" if i % 2 else "white", zorder=0)
        axes.text(-0.56, i, part, ha="right", va="center", fontsize=10, weight="bold")
    places = []
    for x, (module, does) in enumerate(way):
        if not (ROOT / module).exists():
            raise FileNotFoundError(
                f"{module} is not there: docs/architecture_figure.py draws a way that is out of date"
            )
        if x and not connected(way[:x], module):
            raise ValueError(f"{module} is connected with no step before it: the way drawn is out of date")
        part, _, name = module.partition("/")
        y = lanes.index(part)
        places.append((x, y))
        shape = "round,pad=0,rounding_size=0.06"
        axes.add_patch(FancyBboxPatch((x - 0.46, y - 0.4), 0.92, 0.8, boxstyle=shape, fc="white", ec=color))
        axes.text(x, y - 0.22, name.removesuffix(".py"), ha="center", va="center", fontsize=7.8, color=color)
        axes.text(x, y + 0.12, does, ha="center", va="center", fontsize=6.0, linespacing=1.1)
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        level = y0 == y1
        start = (x0 + 0.46, y0) if level else (x0 + 0.2, y0 + (0.4 if y1 > y0 else -0.4))
        style = "arc3" if level else "angle,angleA=90,angleB=0,rad=6"
        arrow = {"connectionstyle": style, "arrowstyle": "-|>", "mutation_scale": 8, "color": color, "lw": 1.1}
        axes.add_patch(FancyArrowPatch(start, (x1 - 0.46, y1), shrinkA=0, shrinkB=0, **arrow))


def write(path: Path) -> None:
    """Write the drawing as PNG."""
    architecture_figure().savefig(path, dpi=150, facecolor="white")


if __name__ == "__main__":
    write(Path(__file__).parent / "pictures" / "architecture.png")
