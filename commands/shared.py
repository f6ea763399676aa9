"""Share options, examples, progress bars and output among the commands."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mimo.data.jobs.outputs import Part

__all__ = [
    "PAPER_GRID",
    "as_json",
    "example",
    "layers",
    "medium",
    "parse_part",
    "part",
    "pattern",
    "print_json",
    "progress_bar",
    "quiet",
    "say",
    "scheduler",
    "writing",
]

PAPER_GRID = "x=-0.15:0.15:25,y=-0.15:0.15:25,z=0.35:0.65:49"

quiet = click.option("--quiet", is_flag=True, help="No progress bar and no table.")
pattern = click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Amplitude of the antennas about their normals (+z if the file has none): cos:N, or a table in .npz, .h5 or "
    ".mat; tx=..., rx=...: of one side.",
)
layers = click.option(
    "--layers",
    metavar="LAYERS",
    help="Medium in layers across z instead of the file's permittivity: 1,z=0.5,4,z=0.7,1 or a .toml file.",
)
scheduler = click.option("--scheduler", metavar="ADDRESS", help="An existing dask scheduler, tcp://host:port.")
part = click.option("--part", metavar="I/N", help="Make share I of N only, as a task of a job array.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for scripts.")


def example(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a working command line as an example to a command's help; a test runs each of them."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nExample:\n  {text}"
        return function

    return add


def medium(patterns: Sequence[str], layers: str | None) -> dict[str, Any]:
    """Return the arguments ``pattern`` and ``layers`` of functions, read from the options of the same names."""
    from mimo.data.medium import layers_from_text, patterns_from_text

    return {"pattern": patterns_from_text(patterns), "layers": layers_from_text(layers)}


def parse_part(text: str | None) -> Part | None:
    """Read the option ``--part``."""
    from mimo.data.jobs.outputs import Part

    return None if text is None else Part.parse(text)


@contextmanager
def progress_bar(label: str, hidden: bool, unit: str = "scene") -> Iterator[Callable[[float, int], None]]:
    """Yield ``advance(done, total)``, shown as a bar on a terminal or a log; `done` may be a fraction."""
    from tqdm import tqdm

    shape = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| of {{total_fmt}} {unit}s, {{elapsed}}, {{remaining}} left"
    with tqdm(desc=label, bar_format=shape, disable=True if hidden else None, leave=False) as bar:

        def advance(done: float, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Make the folder of `out`, remove it again if it stays empty, and let errors of the file system name `out`."""
    new = not out.parent.exists()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out)) from error
    finally:
        if new and out.parent.is_dir() and not any(out.parent.iterdir()):
            out.parent.rmdir()


def say(text: str, *, hidden: bool = False) -> None:
    """Print unless told to be quiet."""
    if not hidden:
        click.echo(text)


def print_json(value: object) -> None:
    """Print numbers, also those of numpy, as JSON; what is not finite, which JSON cannot hold, becomes null."""
    from mimo.data import to_json

    finite = json.loads(to_json("result", value), parse_constant=lambda name: None)
    click.echo(json.dumps(finite, indent=2))
