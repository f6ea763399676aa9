"""Make images: the command reconstruct."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo.commands.interrupts import Stopper, stoppable
from mimo.commands.shared import (
    INPUT,
    OUTPUT,
    PAPER_GRID,
    as_json,
    example,
    grid_text,
    layers,
    medium,
    parse_part,
    part,
    pattern,
    precision,
    print_json,
    progress_bar,
    quiet,
    region,
    run_bar,
    say,
    scheduler,
    skip_bad,
    writing,
)

if TYPE_CHECKING:
    from mimo.recon.files import Run
    from mimo.recon.run import Watcher

__all__ = ["reconstruct"]


@click.command()
@click.argument("sources", metavar="IN...", nargs=-1, required=True, type=INPUT)
@click.argument("out", type=OUTPUT)
@click.option("--method", "methods", multiple=True, help="A method's name; may be given several times.")
@click.option(
    "--grid", metavar="GRID", help="Voxels, START:STOP:COUNT in metres, ends included; else the file's, else a guess."
)
@region(
    "Where the scene is; images are made of this part alone, of a .npy file's voxels too. Else the file's region, else "
    "auto: not beside antennas, nor outside an array that surrounds the grid"
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the methods that have it.")
@click.option(
    "--window",
    metavar="WINDOW",
    help="Window over band and aperture for image formers: hann, hamming, taylor:30 (dB), kaiser:6 or none; or apart, "
    "band=hann,aperture=taylor:30.",
)
@pattern
@layers
@click.option("--subtract-background", is_flag=True, help="Subtract the file's background scene first.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@precision
@click.option(
    "--memory",
    type=click.IntRange(min=0),
    default=1024,
    show_default=True,
    help="MiB that factors and working space of the operator may take; less is slower.",
)
@click.option(
    "--sums",
    type=click.Choice(["exact", "fast"]),
    default="exact",
    show_default=True,
    help="How iterative methods apply the radar's model; fast is off by 0.1 %, for scans over a plane by some percent.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Processes; by default a core each where it pays.")
@scheduler
@click.option(
    "--shard-size",
    type=click.IntRange(min=1),
    help="Scenes a file; more make several, joined. By default 64, fewer on large grids.",
)
@part
@click.option(
    "--list",
    "list_",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda *a: _list_methods(*a),
    help="List methods and options and end.",
)
@click.option("--overwrite", is_flag=True, help="Replace what OUT holds where an image would be lost.")
@skip_bad
@click.option(
    "--check",
    type=click.Choice(["fast", "held-out", "none"]),
    default="fast",
    show_default=True,
    help="Find out what the images explain; held-out runs each method again without some data.",
)
@click.option("--live", metavar="N", type=click.IntRange(min=1), help="Write OUT every N iterations, to be watched.")
@click.option("--history", type=OUTPUT, help="Write the figures of each iteration here, CSV.")
@quiet
@as_json
@example(f"mimo reconstruct out/scenes.h5 out/images.h5 --method tikhonov --method kirchhoff --grid {PAPER_GRID}")
def reconstruct(
    sources: tuple[Path, ...],
    out: Path,
    methods: tuple[str, ...],
    grid: str | None,
    settings: tuple[str, ...],
    window: str | None,
    patterns: tuple[str, ...],
    layers: str | None,
    live: int | None,
    history: Path | None,
    memory: int,
    workers: int | None,
    scheduler: str | None,
    shard_size: int | None,
    part: str | None,
    precision: str,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Reconstruct every scene of IN and write the measurement and its images to OUT; of several IN to the folder OUT.

    OUT may be IN, or hold images already: those of other methods stay, and one made with the same options is not made
    again. Where an image would be lost, --overwrite is needed.

    More scenes than --shard-size, several IN, or one of --workers, --scheduler, --shard-size, --part: scenes are shared
    by processes of one thread each, and an interrupted run resumes when run again. OUT is then another file than IN.
    """
    from mimo import VoxelGrid
    from mimo.output_file import refuse_inputs
    from mimo.recon.files import guess_of, in_one_piece, reconstruct_file, reconstruct_files, write_history
    from mimo.recon.registry import DEFAULT_METHOD, parse_settings

    if history is not None:
        refuse_inputs(history, [*sources, out])
    hidden = quiet or as_json
    names = list(dict.fromkeys(methods or (DEFAULT_METHOD,)))
    chosen = (*settings, *_window_setting(names, window), *_precision_setting(names, precision))
    options["options"] = parse_settings(names, chosen)
    options["grid"] = VoxelGrid.parse(grid) if grid else None
    options["memory"] = memory * 2**20
    options |= medium(patterns, layers)
    for source in sources if grid is None else ():
        if (guess := guess_of(source, skip_bad=options["skip_bad"])) is not None:
            say(f"{source} has no grid: {grid_text(guess[0])} ({guess[1]})", hidden=hidden)
    shared = len(sources) > 1 or any(value is not None for value in (workers, scheduler, shard_size, part))
    if live and shared:
        raise click.UsageError("--live shows the one file of one process: expected it without sharing the work")
    with writing(out):
        if not shared and (live or in_one_piece(sources[0], out, options["grid"])):
            with stoppable() as stopper:
                written = reconstruct_file(
                    sources[0],
                    out,
                    names,
                    live=live or 0,
                    watch=lambda name: _watched(name, hidden, stopper),
                    say=lambda line: say(line, err=True),
                    **options,
                )
        else:
            with progress_bar(", ".join(names), hidden) as advance:
                written = reconstruct_files(
                    sources,
                    out,
                    names,
                    workers=workers,
                    scheduler=scheduler,
                    shard_size=shard_size,
                    part=parse_part(part),
                    progress=advance,
                    **options,
                )
        made, missing = written.runs(history=history is not None), written.missing
    if history is not None and not missing:
        with writing(history):
            write_history(history, made)
    if any(each.parameters.get(name) for each in made for name in ("interrupted", "check_interrupted")):
        say(f"interrupted: {out} has what was reached", err=True)
    if written.left_behind:
        click.echo("the grid differs from the file's: its truth and images are not carried over", err=True)
    if as_json:
        rows = [{"method": m.method, "seconds": m.seconds, "parameters": m.parameters} for m in made]
        named = [{"file": str(m.file), **row} for m, row in zip(made, rows, strict=True)] if len(sources) > 1 else rows
        print_json(named)
        return
    if missing:
        say(f"part {part} is done; {len(missing)} files are left to other parts, the last joins them", hidden=quiet)
        return
    for each in made:
        once = each.parameters["setup_seconds"]
        extra = f", {once:.1f} s once for the geometry" if once > 0.05 else ""
        name = f"{each.file.name}: {each.method}" if len(sources) > 1 else each.method
        extra += _way(each.parameters)
        if each.method in written.skipped:
            extra += "; made before with the same options, kept (--overwrite makes it anew)"
        n_scene = len(each.seconds)
        count = "1 scene" if n_scene == 1 else f"{n_scene} scenes"
        say(f"{name}: {count}, {each.seconds.mean():.3g} s each{extra}", hidden=quiet)
        _say_belief(each.parameters, quiet)
    for line in _comparison(made):
        say(line, hidden=quiet)
    what = [f"{word}: {', '.join(n)}" for word, n in (("replaced", written.replaced), ("kept", written.carried)) if n]
    say(f"written to {out}" + (f" ({'; '.join(what)})" if what else ""), hidden=quiet)


@contextmanager
def _watched(name: str, hidden: bool, stopper: Stopper) -> Iterator[Watcher]:
    """Show the progress of a method, from whose first step on an interrupt has something to keep."""
    stopper.something_to_keep = False
    with run_bar(name, hidden) as shown:

        def note(done: float, total: int) -> None:
            stopper.something_to_keep = stopper.something_to_keep or done > 0
            shown.progress(done, total)

        yield replace(shown, progress=note)


def _way(parameters: dict[str, Any]) -> str:
    """Return how a method's least squares were solved and where its noise level is from, as the end of its line."""
    noise = parameters.get("noise_from") or []
    sources = [noise] if isinstance(noise, str) else list(dict.fromkeys(noise))
    named = (("solver", parameters.get("x_step")), ("noise", " or ".join(sources)))
    return "".join(f", {name} {value}" for name, value in named if value)


def _say_belief(parameters: dict[str, Any], quiet: bool) -> None:
    """Print what the images explain, as `mimo.recon.belief` found it."""
    from mimo.recon.verdicts import summary

    if told := summary(parameters):
        say(f"  {told}", hidden=quiet)


def _comparison(made: list[Run]) -> list[str]:
    """Return lines about images that miss the data far more than others, and about data that look wrong."""
    from mimo.recon.verdicts import remarks

    lines = []
    files = list(dict.fromkeys(each.file for each in made))
    for file in files:
        told = remarks({each.method: each.parameters for each in made if each.file == file})
        lines += [f"{file.name}: {line}" if len(files) > 1 else line for line in told]
    return lines


def _window_setting(names: list[str], window: str | None) -> list[str]:
    """Return the setting that --window stands for, after checking its text and that a method takes it."""
    from mimo import Window
    from mimo.recon.registry import METHODS, find_method

    if window is None:
        return []
    if not any("window" in find_method(name).options for name in names):
        takers = [name for name, method in METHODS.items() if "window" in method.options]
        raise click.UsageError(
            f"--window is for {', '.join(takers)}: expected one of them, not only {', '.join(names)}"
        )
    return [f"window={Window.parse(window)}"]


def _precision_setting(names: list[str], precision: str) -> list[str]:
    """Return the setting that --precision stands for, after checking that a method has a network."""
    from mimo.recon.registry import find_method

    if precision == "auto":  # the methods' default
        return []
    if not any("precision" in find_method(name).options for name in names):
        raise click.UsageError(f"--precision is for methods with a network: expected one, not only {', '.join(names)}")
    return [f"precision={precision}"]


def _list_methods(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from mimo.recon import METHODS

    width = max(map(len, METHODS)) + 2
    for method in METHODS.values():
        click.echo(f"{method.name:<{width}}{method.summary}")
        for name, default in method.options.items():
            click.echo(f"{'':<{width}}--set {name}={json.dumps(default).strip(chr(34))}")
    context.exit()
