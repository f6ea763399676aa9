"""Commands that make and judge images: reconstruct and evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import click

from commands.shared import (
    PAPER_GRID,
    as_json,
    example,
    layers,
    medium,
    pattern,
    print_json,
    progress_bar,
    quiet,
    say,
    writing,
)


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
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
    help="MiB of kernel factors to keep; less is slower.",
)
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
    source: Path,
    out: Path,
    methods: tuple[str, ...],
    grid: str | None,
    settings: tuple[str, ...],
    patterns: tuple[str, ...],
    layers: str | None,
    subtract_background: bool,
    device: str,
    memory: int,
    live: int | None,
    history: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Reconstruct every scene of IN and write the measurement and its images to OUT.

    OUT may be IN: images are added to those that it holds, and one of the same method is replaced.
    """
    import data
    from mimo import VoxelGrid
    from recon.files import reconstruct_file, write_history
    from recon.registry import DEFAULT_METHOD, parse_settings

    hidden = quiet or as_json
    names = list(dict.fromkeys(methods or (DEFAULT_METHOD,)))
    options = parse_settings(names, settings)
    around = medium(patterns, layers)
    with writing(out):
        written = reconstruct_file(
            source,
            out,
            names,
            measurement=data.subtract_background(data.load(source)) if subtract_background else None,
            grid=VoxelGrid.parse(grid) if grid else None,
            options=options,
            **around,
            device=device,
            memory=memory * 2**20,
            live=live or 0,
            watch=lambda name: progress_bar(name, hidden),
        )
    made = written.made
    if history is not None:
        with writing(history):
            write_history(history, made)
    if any(each.parameters.get("interrupted") for each in made):
        click.echo(f"interrupted: {out} has what was reached", err=True)
    if written.left_behind:
        click.echo("the grid differs from the file's: its truth and images are not carried over", err=True)
    if as_json:
        print_json([{"method": m.method, "seconds": m.seconds, "parameters": m.parameters} for m in made])
        return
    for each in made:
        once = each.parameters["setup_seconds"]
        extra = f", {once:.1f} s once for the geometry" if once > 0.05 else ""
        say(f"{each.method}: {each.n_scene} scenes, {each.seconds.mean():.3g} s each{extra}", hidden=quiet)
    say(f"written to {out}", hidden=quiet)


def _list_methods(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from recon import METHODS

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
    from recon.evaluate import score_file, score_table

    scores = score_file(file)
    if as_json:
        print_json(scores)
    else:
        say(score_table(scores), hidden=quiet)
