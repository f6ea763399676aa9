"""Make data: the commands demo and synth."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from mimo.commands.evaluation import print_scores
from mimo.commands.shared import (
    INPUT,
    OUTPUT,
    PAPER_GRID,
    as_json,
    example,
    layers,
    medium,
    parse_part,
    part,
    pattern,
    quiet,
    run_bar,
    say,
    scheduler,
    writing,
)

__all__ = ["demo", "synth"]


@click.command()
@click.option("--out", type=OUTPUT, default=Path("out/demo.h5"), show_default=True)
@click.option("--method", "methods", multiple=True, help="Only this one; may be given several times.")
@click.option("--preset", default="paper", show_default=True, help="Target: paper or shapes.")
@click.option("--n-freq", type=click.IntRange(min=2), default=15, show_default=True, help="Frequencies, 4 to 16 GHz.")
@click.option("--snr-db", default=30.0, show_default=True, help="Signal-to-noise ratio, dB.")
@click.option("--seed", default=0, show_default=True)
@quiet
@as_json
@example("mimo demo --preset shapes --seed 4 --method l1 --method two-stage")
def demo(
    out: Path,
    methods: tuple[str, ...],
    preset: str,
    n_freq: int,
    snr_db: float,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Synthesize a scene on the papers' array, reconstruct it with every method; write a table, file and picture."""
    from mimo.recon import METHODS
    from mimo.recon.files import reconstruct_file
    from mimo.synth import generate
    from mimo.viewer.figures import save
    from mimo.viewer.files import figure_of_file

    hidden = quiet or as_json
    chosen = list(dict.fromkeys(methods)) or [name for name, method in METHODS.items() if method.general]
    say("synthesizing one scene of the papers' kind", hidden=hidden)
    with tempfile.TemporaryDirectory() as folder:
        scene = generate(Path(folder, "scene.h5"), n=1, preset=preset, n_freq=n_freq, snr_db=snr_db, seed=seed)
        with writing(out):
            reconstruct_file(scene, out, chosen, overwrite=True, watch=lambda name: run_bar(name, hidden))
    picture = out.with_suffix(".png")
    save(figure_of_file(out), picture)
    print_scores(out, as_json, quiet)
    say(f"\n{out}: the measurement and its images\n{picture}: the picture", hidden=hidden)


@click.command()
@click.argument("out", type=OUTPUT)
@click.option("--n", default=1, show_default=True, help="Scenes.")
@click.option("--preset", default="paper", show_default=True, help="Targets: paper or shapes.")
@click.option("--n-freq", type=click.IntRange(min=2), default=15, show_default=True, help="Frequencies, 4 to 16 GHz.")
@click.option("--grid", metavar="GRID", help=f"Voxels, START:STOP:COUNT in metres; else {PAPER_GRID}.")
@click.option("--like", type=INPUT, help="Array, sweep, permittivity and grid of this file instead.")
@click.option(
    "--array",
    "array_file",
    type=INPUT,
    help="Array of this geometry file (`mimo array`), and its frequencies and grid where it has them.",
)
@pattern
@layers
@click.option("--snr-db", default="30", show_default=True, help="dB; LOW:HIGH draws it for each scene; none: no noise.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=1, show_default=True, help="Processes.")
@scheduler
@click.option("--shard-size", default=100, show_default=True, help="Scenes a file; more scenes make several, joined.")
@part
@click.option("--gain-error-db", default=0.0, help="Standard deviation of the channels' gain, dB.")
@click.option("--phase-error-deg", default=0.0, help="Standard deviation of the channels' phase, degrees.")
@click.option("--position-error", default=0.0, help="Standard deviation of antenna coordinates, metres.")
@click.option("--missing-channels", default=0.0, help="Fraction of channels that are missing.")
@click.option("--clutter-db", type=float, help="Power of a clutter background relative to the target, dB.")
@quiet
@example("mimo synth out/scenes.h5 --n 20 --preset paper --snr-db 0:30 --seed 1 --workers 2")
def synth(
    out: Path,
    grid: str | None,
    like: Path | None,
    array_file: Path | None,
    patterns: tuple[str, ...],
    layers: str | None,
    snr_db: str,
    part: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Generate a dataset: random targets, their measurements and the truth. Interrupted, it resumes when run again."""
    from mimo import VoxelGrid
    from mimo.data import open_measurement
    from mimo.synth import Realism, generate

    names = ("gain_error_db", "phase_error_deg", "position_error", "missing_channels", "clutter_db")
    realism = Realism(**{name: options.pop(name) for name in names})
    chosen = VoxelGrid.parse(grid) if grid else None
    options |= medium(patterns, layers)
    if like is not None and array_file is not None:
        raise click.UsageError("--like names an array already: give it or --array")
    if array_file is not None:
        from mimo.data.files.geometry import load_geometry

        geometry = load_geometry(array_file)
        options["array"] = geometry.array
        if geometry.sweep is not None:
            options |= {"sweep": geometry.sweep, "n_freq": geometry.sweep.n_freq}
        chosen = chosen or geometry.grid
    if like is not None:
        with open_measurement(like) as file:
            options |= {"array": file.array, "sweep": file.sweep}
            options["permittivity"] = file.permittivity if layers is None else 1.0
            options["n_freq"] = file.sweep.n_freq
            chosen = chosen or file.grid
        if chosen is None:
            raise click.UsageError(f"{like} has no grid: give --grid")
    with writing(out):
        share = parse_part(part)
        path = generate(
            out, grid=chosen, snr_db=_snr(snr_db), realism=realism, part=share, progress=not quiet, **options
        )
    if not path.exists():
        say(f"part {part} is done; the part that is done last writes {path}", hidden=quiet)
        return
    say(f"{path}: {options['n']} scenes", hidden=quiet)


def _snr(text: str) -> float | tuple[float, float] | None:
    try:
        numbers = [float(part) for part in text.split(":")] if text != "none" else []
    except ValueError:
        numbers = [0.0] * 3
    if len(numbers) > 2:
        raise click.BadParameter(f"{text!r}: expected dB, LOW:HIGH or none", param_hint="--snr-db")
    return None if not numbers else numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
