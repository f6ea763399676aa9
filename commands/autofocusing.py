"""Correct a radar's errors from the scene itself: the command autofocus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo.commands.shared import (
    as_json,
    example,
    grid_text,
    layers,
    medium,
    pattern,
    print_json,
    quiet,
    region,
    say,
    writing,
)

if TYPE_CHECKING:
    from mimo import VoxelGrid
    from mimo.autofocus import Found
    from mimo.data import Measurement

__all__ = ["autofocus"]


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--solve",
    default="phase",
    show_default=True,
    metavar="WHAT,...",
    help="What is not known: phase, gain, delay, position, pose, permittivity.",
)
@click.option(
    "--per",
    type=click.Choice(["auto", "antenna", "channel", "pulse"]),
    default="auto",
    show_default=True,
    help="What has errors of its own; auto: pulses where antennas moved, else antennas.",
)
@click.option(
    "--prior",
    "priors",
    multiple=True,
    metavar="WHAT=STD",
    help="How large errors may be: phase=30deg, delay=20ps, position=2mm.",
)
@click.option(
    "--objective",
    type=click.Choice(["auto", "joint", "entropy", "sharpness", "phase-gradient"]),
    default="auto",
    show_default=True,
    help="What errors are found by: the likelihood of the data, or the focus of a back-projection.",
)
@click.option("--method", default="pnp", show_default=True, help="What makes the images that errors are found with.")
@click.option("--scene", "scenes", multiple=True, type=int, help="Scenes to find errors from; the first by default.")
@click.option("--iterations", type=click.IntRange(2), default=8, show_default=True, help="Images at most.")
@click.option("--grid", metavar="GRID", help="Voxels, START:STOP:COUNT in metres, ends included; else the file's.")
@region("Where the scene is, else the file's own")
@pattern
@layers
@click.option("--figure", type=click.Path(path_type=Path), help="Draw the image before and after: PNG, SVG or PDF.")
@click.option("--device", default="auto", show_default=True, help="cpu or cuda.")
@quiet
@as_json
@example("mimo autofocus out/demo.h5 out/focused.h5 --method tikhonov --iterations 2")
def autofocus(
    source: Path,
    out: Path,
    solve: str,
    per: str,
    priors: tuple[str, ...],
    objective: str,
    method: str,
    scenes: tuple[int, ...],
    iterations: int,
    grid: str | None,
    region: str | None,
    patterns: tuple[str, ...],
    layers: str | None,
    figure: Path | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Correct a radar's phases, delays, gains, places or medium from the scene itself, without a reference target.

    OUT is the measurement with its corrected radar: reconstruct it, or give it to prepare --calibration for other scans
    of this radar. A tenth of the channels is held out; where they are predicted no better, nothing is corrected.
    """
    from mimo import VoxelGrid
    from mimo.autofocus import autofocus as correct
    from mimo.autofocus.units import read_priors, table_text
    from mimo.data import load, save
    from mimo.output_file import refuse_inputs
    from mimo.recon.files import guess_of

    refuse_inputs(out, [source])
    if figure is not None:
        refuse_inputs(figure, [source, out])
    hidden = quiet or as_json
    measurement = load(source)
    chosen = VoxelGrid.parse(grid) if grid else None
    if chosen is None and (guess := guess_of(source)) is not None:
        chosen = guess[0]
        say(f"{source} has no grid: {grid_text(chosen)} ({guess[1]})", hidden=hidden)
    around = medium(patterns, layers)

    def tell(entry: dict[str, float]) -> None:
        text = f"image {entry['image'] + 1:.0f}: {100 * entry['share']:.1f} % of the data held out predicted"
        say(text, hidden=hidden, err=True)

    corrected, found = correct(
        measurement,
        chosen,
        solve=[name for name in solve.replace(" ", "").split(",") if name],
        per=per,
        priors=read_priors(priors),
        objective=objective,
        method=method,
        scenes=scenes or (0,),
        iterations=iterations,
        region=region,
        device=device,
        report=tell,
        **around,
    )
    with writing(out):
        save(out, corrected)
    if figure is not None:
        with writing(figure):
            _draw(figure, measurement, corrected, chosen, found, method, (scenes or (0,))[0], region, around)
    if as_json:
        print_json(
            {
                "held_out": found.held_out,
                "before": found.before,
                "after": found.after,
                "gained": found.gained,
                "ambiguities": found.ambiguities,
                "images": found.log,
                "found": found.table(),
            }
        )
        return
    if found.gained:
        for line in table_text(found.table()):
            say(line, hidden=hidden)
        if (found_layers := found.errors.acquisition(measurement.acquisition(chosen, **around)).layers) is not None:
            say(f"the medium that was found: --layers '{found_layers}'", hidden=hidden)
    say(f"{out}: {found.summary()}", hidden=hidden)


def _draw(
    path: Path,
    before: Measurement,
    after: Measurement,
    grid: VoxelGrid | None,
    found: Found,
    method: str,
    scene: int,
    region: str | None,
    around: dict[str, Any],
) -> None:
    """Draw the images of one scene before and after the correction, to one scale."""
    from mimo.recon import reconstruct
    from mimo.viewer.figures import figure, panels_from, save

    panels = []
    used = before.acquisition(grid).grid
    for name, share, data in (("before", found.before, before), ("after", found.after, after)):
        there = around
        if data is after and around["layers"] is not None:  # the file has no layers: those found are told and drawn
            there = {**around, "layers": found.errors.acquisition(before.acquisition(used, **around)).layers}
        image = reconstruct(method, data.scenes([scene]), used, region=region, **there)
        panel = panels_from(None, [image])[0]
        told = f"predicts {100 * share:.1f} % of the data held out" if found.log else ""
        panels.append(type(panel)(name, panel.volume, told, panel.relative, panel.inside))
    save(figure(panels, used, title=f"autofocus, {', '.join(found.unknowns.solve)}, {method}"), path)
