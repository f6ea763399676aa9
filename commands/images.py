"""Make images and measure their quality: the commands reconstruct and evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from mimo.commands.shared import (
    PAPER_GRID,
    as_json,
    example,
    layers,
    medium,
    parse_part,
    part,
    pattern,
    print_json,
    progress_bar,
    quiet,
    say,
    scheduler,
    writing,
)

__all__ = ["evaluate", "print_scores", "reconstruct"]


@click.command()
@click.argument("sources", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--method", "methods", multiple=True, help="A method's name; may be given several times.")
@click.option("--grid", metavar="GRID", help="Voxels, START:STOP:COUNT in metres, ends included; else the file's.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the methods that have it.")
@pattern
@layers
@click.option("--subtract-background", is_flag=True, help="Subtract the file's background scene first.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--memory",
    type=click.IntRange(min=0),
    default=1024,
    show_default=True,
    help="MiB that factors and working space of the operator may take; less is slower.",
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
@click.option("--live", metavar="N", type=click.IntRange(min=1), help="Write OUT every N iterations, to be watched.")
@click.option("--history", type=click.Path(path_type=Path), help="Write the figures of each iteration here, CSV.")
@quiet
@as_json
@example(f"mimo reconstruct out/scenes.h5 out/images.h5 --method tikhonov --method kirchhoff --grid {PAPER_GRID}")
def reconstruct(
    sources: tuple[Path, ...],
    out: Path,
    methods: tuple[str, ...],
    grid: str | None,
    settings: tuple[str, ...],
    patterns: tuple[str, ...],
    layers: str | None,
    live: int | None,
    history: Path | None,
    memory: int,
    workers: int | None,
    scheduler: str | None,
    shard_size: int | None,
    part: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Reconstruct every scene of IN and write the measurement and its images to OUT; of several IN to the folder OUT.

    OUT may be IN: images are added to those that it holds, and one of the same method is replaced.

    More scenes than --shard-size, several IN, or one of --workers, --scheduler, --shard-size, --part: scenes are shared
    by processes of one thread each, and an interrupted run resumes when run again. OUT is then another file than IN.
    """
    from mimo import VoxelGrid
    from mimo.recon.files import in_one_piece, reconstruct_file, reconstruct_files, write_history
    from mimo.recon.registry import DEFAULT_METHOD, parse_settings

    hidden = quiet or as_json
    names = list(dict.fromkeys(methods or (DEFAULT_METHOD,)))
    options["options"] = parse_settings(names, settings)
    options["grid"] = VoxelGrid.parse(grid) if grid else None
    options["memory"] = memory * 2**20
    options |= medium(patterns, layers)
    shared = len(sources) > 1 or any(value is not None for value in (workers, scheduler, shard_size, part))
    if live and shared:
        raise click.UsageError("--live shows the one file of one process: expected it without sharing the work")
    with writing(out):
        if not shared and (live or in_one_piece(sources[0], out, options["grid"])):
            written = reconstruct_file(
                sources[0], out, names, live=live or 0, watch=lambda name: progress_bar(name, hidden), **options
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
    if any(each.parameters.get("interrupted") for each in made):
        click.echo(f"interrupted: {out} has what was reached", err=True)
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
        say(f"{name}: {len(each.seconds)} scenes, {each.seconds.mean():.3g} s each{extra}", hidden=quiet)
    say(f"written to {out}", hidden=quiet)


def _list_methods(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from mimo.recon import METHODS

    for method in METHODS.values():
        click.echo(f"{method.name:<18}{method.summary}")
        for name, default in method.options.items():
            click.echo(f"{'':<18}--set {name}={json.dumps(default).strip(chr(34))}")
    context.exit()


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@example("mimo evaluate out/demo.h5")
def evaluate(file: Path, as_json: bool) -> None:
    """Compare the images in a file with its truth: PSNR, 3D SSIM and run time of each method."""
    print_scores(file, as_json, quiet=False)


def print_scores(file: Path, as_json: bool, quiet: bool) -> None:
    """Print PSNR, SSIM and run time of each method in a file."""
    from mimo.recon.evaluate import score_file, score_table

    scores = score_file(file)
    if as_json:
        print_json(scores)
    else:
        say(score_table(scores), hidden=quiet)
