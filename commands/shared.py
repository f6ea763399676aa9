"""Share options, examples, progress bars and output among the commands."""

from __future__ import annotations

import inspect
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo.input_file import refuse_irregular

if TYPE_CHECKING:
    from mimo import VoxelGrid
    from mimo.data.jobs.outputs import Part
    from mimo.recon.run import Watcher

__all__ = [
    "INPUT",
    "INPUT_OR_FOLDER",
    "OUTPUT",
    "PAPER_GRID",
    "InputPath",
    "as_json",
    "example",
    "grid_text",
    "layers",
    "medium",
    "parse_part",
    "parse_viewpoint",
    "part",
    "pattern",
    "precision",
    "print_json",
    "printable",
    "progress_bar",
    "quiet",
    "region",
    "run_bar",
    "say",
    "scheduler",
    "skip_bad",
    "writing",
]


class InputPath(click.Path):
    """Reads the path of an input; a pipe, a device and, unless it may be one, a folder are refused at once."""

    def __init__(self, *, folder: bool = False, exists: bool = False) -> None:
        super().__init__(path_type=Path, exists=exists)
        self.folder = folder

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Path:
        """Return the path; `mimo.input_file.InputError` when there is no regular file."""
        path = Path(os.fsdecode(super().convert(value, parameter, context)))
        refuse_irregular(path, folder=self.folder)
        return path


INPUT, INPUT_OR_FOLDER = InputPath(), InputPath(folder=True)
OUTPUT = click.Path(path_type=Path)

TICK = 0.5
"""Seconds between two looks at the clock."""

PAPER_GRID = "x=-0.15:0.15:25,y=-0.15:0.15:25,z=0.35:0.65:49"

quiet = click.option("--quiet", is_flag=True, help="No progress bar and no table.")
pattern = click.option(
    "--pattern",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Amplitude of the antennas about their normals (if the file has none: +z, or inward where they surround the "
    "grid): cos:N, or a table in .npz, .h5 or .mat; tx=..., rx=...: of one side.",
)
layers = click.option(
    "--layers",
    metavar="LAYERS",
    help="Medium in layers across z instead of the file's permittivity: 1,z=0.5,4,z=0.7,1 or a .toml file.",
)
scheduler = click.option("--scheduler", metavar="ADDRESS", help="An existing dask scheduler, tcp://host:port.")
part = click.option("--part", metavar="I/N", help="Make share I of N only, as a task of a job array.")
precision = click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of networks; auto is bfloat16 where the processor or the GPU has it in hardware, else float32.",
)
skip_bad = click.option(
    "--skip-bad", is_flag=True, help="Leave out scenes that hold NaN, infinities or damaged blocks, and say which."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for scripts.")


def region(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option ``--region``, whose help begins with `what`."""
    forms = "sphere:X,Y,Z,R, cylinder:X,Y,R, box:X0:X1,Y0:Y1,Z0:Z1 (metres), auto or all"
    return click.option("--region", metavar="REGION", help=f"{what}: {forms}.")


def example(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a working command line as an example to a command's help; a test runs each of them."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nExample:\n  {text}"
        return function

    return add


def grid_text(grid: VoxelGrid) -> str:
    """Return a grid of evenly spaced voxels as ``--grid`` takes it, to six digits."""
    axes = (("x", grid.x), ("y", grid.y), ("z", grid.z))
    return ",".join(f"{name}={axis[0]:.6g}:{axis[-1]:.6g}:{len(axis)}" for name, axis in axes)


def medium(patterns: Sequence[str], layers: str | None) -> dict[str, Any]:
    """Return the arguments ``pattern`` and ``layers`` of functions, read from the options of the same names."""
    from mimo.data.medium import layers_from_text, patterns_from_text

    return {"pattern": patterns_from_text(patterns), "layers": layers_from_text(layers)}


def parse_part(text: str | None) -> Part | None:
    """Read the option ``--part``."""
    from mimo.data.jobs.outputs import Part

    return None if text is None else Part.parse(text)


def parse_viewpoint(text: str | None) -> tuple[float, float, float] | None:
    """Read the option ``--viewpoint``, three numbers with commas between them."""
    if text is None:
        return None
    try:
        x, y, z = map(float, text.split(","))
    except ValueError:
        raise click.UsageError(f"--viewpoint is {text!r}: expected X,Y,Z in metres") from None
    return x, y, z


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
def run_bar(label: str, hidden: bool) -> Iterator[Watcher]:
    """Yield what shows a method's run as a bar: the share of a preparation with its remaining time, then the scenes.

    The clock ticks also while one step of a library takes minutes.
    """
    from tqdm import tqdm

    from mimo.recon.run import Watcher

    shape = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"
    shapes = {"preparing": shape, "scenes": shape.replace("| {", "| of {total_fmt} scenes, {", 1)}
    over = threading.Event()
    with tqdm(
        desc=f"{label}: preparing", total=1.0, bar_format=shape, disable=True if hidden else None, leave=False
    ) as bar:
        phase = "preparing"

        def show(now: str, done: float, total: float) -> None:
            nonlocal phase
            if now != phase or done < bar.n:
                phase, bar.bar_format = now, shapes[now]
                bar.set_description_str(label if now == "scenes" else f"{label}: {now}", refresh=False)
                bar.initial = 0
                bar.reset(total)
                bar.initial = bar.n = bar.last_print_n = done  # the rate, and so what remains, is that of this phase
                bar.refresh()
            bar.total = total
            bar.update(done - bar.n)

        def tick() -> None:
            while not over.wait(TICK):
                bar.refresh()

        if not bar.disable:
            threading.Thread(target=tick, daemon=True, name="clock").start()
        try:
            yield Watcher(lambda done, total: show("scenes", done, total), lambda share: show("preparing", share, 1.0))
        finally:
            over.set()


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


def printable(text: str) -> str:
    r"""Escape what a terminal would obey instead of show, such as in the text of a file; lines and tabs stay.

    >>> print(printable("red: \x1b[31m, right to left: \u202e"))
    red: \x1b[31m, right to left: \u202e
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def say(text: str, *, hidden: bool = False, err: bool = False) -> None:
    """Print, on the output or as an error, unless told to be quiet; control characters are escaped."""
    if not hidden:
        click.echo(printable(text), err=err)


def print_json(value: object) -> None:
    """Print numbers, also those of numpy, as JSON; what is not finite, which JSON cannot hold, becomes null."""
    from mimo.data import to_json

    finite = json.loads(to_json("result", value), parse_constant=lambda name: None)
    click.echo(json.dumps(finite, indent=2))
