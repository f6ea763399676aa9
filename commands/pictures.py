"""Commands that draw: figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from commands.shared import example, quiet, say, writing


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--scene", default=0, show_default=True, help="Which scene, from 0.")
@click.option("--method", "methods", multiple=True, help="Which methods; all by default.")
@click.option("--floor-db", default=-40.0, show_default=True, help="Lowest level of the colour bar, dB.")
@click.option("--linear", is_flag=True, help="Linear magnitude instead of dB.")
@click.option("--common-scale", is_flag=True, help="One maximum for all instead of each image's own.")
@click.option("--cmap", help="A colour map of matplotlib.")
@click.option("--title")
@quiet
@example("mimo figure out/demo.h5 out/figure.png")
def figure(file: Path, out: Path, quiet: bool, **options: Any) -> None:
    """Draw the images of a file: projections in dB and a surface for each method, truth first. PNG, SVG or PDF."""
    from viewer.figure import save
    from viewer.files import figure_of_file

    if options["cmap"] is None:
        del options["cmap"]
    with writing(out):
        save(figure_of_file(file, **options), out)
    say(str(out), hidden=quiet)
