"""Measure the quality of images against a truth, a mesh or another image: the command evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from mimo.commands.shared import INPUT, as_json, example, parse_viewpoint, print_json, say, skip_bad

__all__ = ["evaluate", "print_scores"]


@click.command()
@click.argument("file", type=INPUT)
@click.option("--mesh", type=INPUT, help="STL, PLY or OBJ of what was really there.")
@click.option("--transform", type=INPUT, help="JSON: 4 x 4 matrix from the mesh to the grid's frame, metres.")
@click.option("--mesh-scale", type=float, help="Metres per unit of the mesh, before --transform: 0.001 for mm.")
@click.option("--against", type=INPUT, help="A file with another image in place of a mesh.")
@click.option("--against-method", help="Which of its images, of which 'truth' is one.")
@click.option("--against-scene", type=int, help="Which of its scenes; that of --scene by default.")
@click.option("--method", "methods", multiple=True, help="Which images are compared as shapes; all by default.")
@click.option("--scene", type=int, help="Which scene is compared as shapes, from 0; 0 by default.")
@click.option(
    "--as", "kind", help="Images as shapes: surface (default), points (voxels that reach the level), depth (as seen)."
)
@click.option("--level-db", type=float, help="What belongs to the object, dB below an image's maximum; -10 by default.")
@click.option("--depth", help="Of a depth map: first (default), where the level is first reached, or strongest.")
@click.option(
    "--viewpoint",
    metavar="X,Y,Z",
    callback=lambda c, p, text: parse_viewpoint(text),
    help="Depth is seen from here, metres; else along +z.",
)
@click.option("--within-mm", multiple=True, type=float, help="Distance of an F-score; 1, 2 and 5 mm by default.")
@click.option("--samples", "n_sample", type=int, help="Points drawn on a surface; 30000 by default.")
@click.option("--seed", type=int, help="Seed of these points; 0 by default.")
@skip_bad
@as_json
@example("mimo evaluate out/demo.h5")
def evaluate(
    file: Path,
    as_json: bool,
    mesh: Path | None,
    transform: Path | None,
    mesh_scale: float | None,
    against: Path | None,
    against_method: str | None,
    against_scene: int | None,
    skip_bad: bool,
    **options: Any,
) -> None:
    """Compare the images in a file with its truth: PSNR, 3D SSIM and run time of each method.

    With --mesh, or --against another image, compare shapes: Chamfer distance, F-scores and depth error.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    others = {"--transform": transform, "--mesh-scale": mesh_scale}
    against_others = {"--against-method": against_method, "--against-scene": against_scene}
    if mesh is not None and against is not None:
        raise click.UsageError("--mesh and --against each take the place of the truth: expected one of them")
    for owner, needed, names in (("--mesh", mesh, others), ("--against", against, against_others)):
        if needed is None and (lost := [name for name, value in names.items() if value is not None]):
            raise click.UsageError(f"{lost[0]} belongs to {owner}: expected both or neither")
    if mesh is None and against is None:
        if given:
            name = {"kind": "as", "methods": "method", "n_sample": "samples"}.get(next(iter(given)), next(iter(given)))
            raise click.UsageError(f"--{name.replace('_', '-')} compares shapes: expected --mesh or --against with it")
        print_scores(file, as_json, quiet=False, skip_bad=skip_bad)
        return
    if skip_bad:
        raise click.UsageError("--skip-bad is for scores against the truth: --scene names the one compared as shapes")
    from mimo.data.files.transforms import read_transform
    from mimo.recon.shape_evaluation import Extraction, compare_with_image, compare_with_mesh, shape_table

    common: dict[str, Any] = {name: given.pop(name) for name in ("methods", "scene") if name in given}
    if "within_mm" in given:
        common["within"] = [value / 1e3 for value in given.pop("within_mm")]
    common["extraction"] = Extraction(**given)
    if mesh is not None:
        if mesh_scale is not None and not (np.isfinite(mesh_scale) and mesh_scale > 0):
            raise click.UsageError(f"--mesh-scale is {mesh_scale}: expected metres per unit of the mesh, more than 0")
        matrix = np.eye(4) if transform is None else read_transform(transform)
        matrix = matrix @ np.diag([*[mesh_scale or 1.0] * 3, 1.0])
        rows = compare_with_mesh(file, mesh, transform=matrix, **common)
    elif against is not None:
        rows = compare_with_image(file, against, other_method=against_method, other_scene=against_scene, **common)
    if as_json:
        print_json(rows)
        return
    say(shape_table(rows))
    if (outside := rows[0].get("outside", 0)) > 0.005:
        say(f"{outside:.0%} of {mesh} lies outside the grid and is left out")


def print_scores(file: Path, as_json: bool, quiet: bool, *, skip_bad: bool = False) -> None:
    """Print PSNR, SSIM and run time of each method in a file."""
    from mimo.recon.evaluate import score_file, score_table

    scores = score_file(file, skip_bad=skip_bad)
    if as_json:
        print_json(scores)
    else:
        say(score_table(scores), hidden=quiet)
