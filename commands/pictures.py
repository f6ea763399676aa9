"""Draw images and export them: the commands figure and export."""

from __future__ import annotations

from contextlib import nullcontext
from math import isfinite
from pathlib import Path
from typing import Any

import click

from mimo.commands.shared import INPUT, OUTPUT, example, parse_viewpoint, progress_bar, quiet, say, writing
from mimo.display_defaults import COLOR_MAP, FLOOR_DB, SURFACE_DB

__all__ = ["export", "figure"]

scene = click.option("--scene", default=0, show_default=True, help="Which scene, from 0.")


common_scale = click.option(
    "--common-scale",
    is_flag=True,
    help="0 dB is the largest maximum of all images of reflectivity instead of each image's own.",
)
cmap = click.option("--cmap", default=COLOR_MAP, show_default=True, help="A colour map of matplotlib.")


@click.command()
@click.argument("file", type=INPUT)
@click.argument("out", type=OUTPUT)
@scene
@click.option(
    "--method", "methods", multiple=True, help="Which methods; all by default. NAME:std: its standard deviation."
)
@click.option(
    "--layout",
    default="auto",
    show_default=True,
    help="rows: a row a method, three projections and the surface; columns: as papers do, a column a method, "
    "surface, front and side; tiles: the front alone; auto: the first of these that can be read on a page.",
)
@click.option("--floor-db", default=FLOOR_DB, show_default=True, help="Lowest level of the colour bar, dB.")
@click.option("--level-db", default=SURFACE_DB, show_default=True, help="Level of the surface, dB below the maximum.")
@click.option("--at", metavar="X,Y,Z", help="Slices through this point (metres) instead of maximum projections.")
@click.option("--look", metavar="AZIMUTH,ELEVATION", help="Where surfaces are seen from, degrees; 0,0: the front.")
@click.option("--truth/--no-truth", default=True, show_default=True, help="Draw the truth, where it is known, first.")
@click.option("--outline/--no-outline", default=True, show_default=True, help="Outline the truth on the others.")
@click.option("--letters/--no-letters", default=True, show_default=True, help="Number several images (a), (b), ...")
@click.option("--linear", is_flag=True, help="Linear magnitude instead of dB.")
@common_scale
@cmap
@click.option("--title", help="A line above everything.")
@click.option("--width-mm", type=click.FloatRange(75, 1000), help="Width of the page; 75 or more, rows 160.")
@click.option("--dpi", type=click.IntRange(50, 2400), default=200, show_default=True, help="Pixels an inch.")
@click.option("--history", is_flag=True, help="Draw what the solvers recorded, iteration by iteration, instead.")
@quiet
@example("mimo figure out/demo.h5 out/figure.png")
def figure(
    file: Path,
    out: Path,
    quiet: bool,
    history: bool,
    dpi: int,
    level_db: float,
    width_mm: float | None,
    at: str | None,
    look: str | None,
    **options: Any,
) -> None:
    """Draw the images of a file: projections in dB and a surface for each method, truth first. PNG, SVG or PDF.

    Text keeps its size in points (7 and 8) whatever the width of the page, which is never higher than 240 mm.
    """
    place, angles = _numbers("--at", at, "X,Y,Z"), _numbers("--look", look, "AZIMUTH,ELEVATION")
    from mimo.output_file import refuse_inputs
    from mimo.viewer.figures import save
    from mimo.viewer.files import figure_of_file, history_of_file

    refuse_inputs(out, [file])
    with writing(out):
        if history:
            chosen = {name: options[name] for name in ("scene", "methods", "title")}
            drawing = history_of_file(file, width_mm=width_mm or 180.0, **chosen)
        else:
            drawing = figure_of_file(
                file, surface_level_db=level_db, width_mm=width_mm, at=place, look=angles, **options
            )
        save(drawing, out, dpi=dpi)
    say(str(out), hidden=quiet)


def _numbers(option: str, text: str | None, form: str) -> tuple[float, ...] | None:
    """Read numbers parted by commas, as many as the form has names."""
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != form.count(",") + 1 or not all(map(isfinite, values)):
        raise click.BadParameter(f"{text!r}: expected {form}", param_hint=option)
    return values


@click.command()
@click.argument("file", type=INPUT)
@click.argument("out", type=OUTPUT)
@scene
@click.option(
    "--method", "methods", multiple=True, help="Which images, 'truth' and NAME:std among them; all by default."
)
@click.option(
    "--as",
    "content",
    metavar="CONTENT",
    help="volume, surface, points, depth, film or page; by default what the suffix of OUT stands for.",
)
@click.option("--linear/--db", default=None, help="Values; linear for volumes and dB for films by default.")
@click.option(
    "--complex",
    "complex_values",
    is_flag=True,
    default=None,
    help="Complex values of .vti, .vtr and .npy, where an image has them; .mat has them anyway.",
)
@click.option("--floor-db", default=FLOOR_DB, show_default=True, help="Lowest value in dB.")
@common_scale
@click.option(
    "--level-db",
    "levels_db",
    multiple=True,
    type=float,
    default=(SURFACE_DB,),
    show_default=True,
    help="Surface, and weakest of points and depth, dB.",
)
@click.option(
    "--depth",
    default="first",
    show_default=True,
    help="Of a depth map: first, where the level is first reached, or strongest.",
)
@click.option(
    "--viewpoint",
    metavar="X,Y,Z",
    callback=lambda c, p, text: parse_viewpoint(text),
    help="A depth map is seen from here, metres; else along +z.",
)
@click.option("--rendering", default="maximum", show_default=True, help="Of a film: maximum or surface.")
@cmap
@click.option("--frames", "n_frame", default=48, show_default=True, help="Frames of a film's one turn.")
@click.option("--fps", default=20.0, show_default=True, help="Frames a second.")
@click.option("--elevation", default=20.0, show_default=True, help="How far a film looks down, degrees.")
@click.option("--size", default=320, show_default=True, help="Width of an image in a film, pixels.")
@quiet
@example("mimo export out/demo.h5 out/demo.vti")
def export(file: Path, out: Path, quiet: bool, **options: Any) -> None:
    """Write the images of one scene for another program, as the suffix of OUT says.

    Volumes: .vti and .vtr (ParaView), .nii.gz (NIfTI, millimetres), .npy (with the grid in OUT.json), .mat. A surface
    of one --method: .ply (with dB at each vertex), .stl, .obj. A turn around the images: .gif, .mp4. A page of all
    scenes: .html. A point cloud is --as points (.ply, .pcd, .csv), a depth map --as depth (also .npy and .mat).
    """
    from mimo.viewer.exports import MOVIES, export

    film = out.suffix.lower() in MOVIES
    with writing(out), progress_bar(out.name, quiet, unit="frame") if film else nullcontext() as progress:
        export(file, out, progress=progress, **options)
    say(str(out), hidden=quiet)
