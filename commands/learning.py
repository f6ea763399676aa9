"""Train networks and measure speed: the commands train and bench."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from mimo.commands.shared import as_json, example, precision, print_json, quiet, say, writing

__all__ = ["bench", "train"]


@click.command()
@click.argument("name")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file; train/configs/NAME.toml by default.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    help="Dataset whose scenes are learned from, a reconstructor's on its array; by default they are made on the fly.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of checkpoint and log; out/train/NAME by default.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in that folder.")
@click.option("--start", help="Weights to start from: the name of those that ship, or a file.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="A value of the configuration by its table.")
@click.option("--time-limit", type=click.FloatRange(min=0), help="Seconds of training; by default all steps are made.")
@click.option(
    "--export", "weights", type=click.Path(path_type=Path), help="Write weights and model card here when done."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@precision
@quiet
@example("mimo train two-stage --time-limit 600 --export out/two-stage.safetensors")
def train(
    name: str,
    config: Path | None,
    data: Path | None,
    out: Path | None,
    resume: bool,
    start: str | None,
    changes: tuple[str, ...],
    time_limit: float | None,
    weights: Path | None,
    device: str,
    precision: str,
    quiet: bool,
) -> None:
    """Train a network on synthetic scenes; after an interrupt --resume goes on.

    NAME: a denoiser (denoiser, denoiser-white, denoiser-fast) or a reconstructor (deep2s, two-stage, unrolled, ...: see
    train/configs). Under torchrun every process takes its share of a batch.
    """
    from mimo.recon.run import pick_device
    from mimo.train import DenoiserConfig, export_weights, load_config, train_denoiser, train_reconstructor
    from mimo.train.loop import Share
    from mimo.train.processes import joined

    settings, folder = load_config(config or name, changes), out or Path("out/train") / name
    options: dict[str, Any] = {
        "scenes": data,
        "start": start,
        "resume": resume,
        "time_limit": time_limit,
        "precision": precision,
        "report": lambda text: say(text, hidden=quiet),
    }
    command = " ".join(["mimo", *sys.argv[1:]])
    with joined(pick_device(device)) as where:
        if isinstance(settings, DenoiserConfig):
            checkpoint = train_denoiser(settings, folder, device=where, **options)
        else:
            checkpoint = train_reconstructor(settings, folder, device=where, **options)
        if weights is not None and not Share.mine().rank:
            export_weights(checkpoint, weights, command=command)


@click.command()
@click.option(
    "--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Rounds to take medians over."
)
@click.option(
    "--large", is_flag=True, help="Measure image formers and solvers at scanners' sizes instead, about ten minutes."
)
@click.option("--workers", type=click.IntRange(min=2), help="Measure batches by one and by so many processes instead.")
@click.option(
    "--cost",
    is_flag=True,
    help="Measure back-projections against voxels, channels and frequencies instead, and what auto-physics predicts; "
    "two minutes.",
)
@click.option("--figure", metavar="PNG", type=click.Path(path_type=Path), help="With --cost: draw the times here.")
@click.option("--windows", is_flag=True, help="Measure a point's lobes under windows instead, a few seconds.")
@click.option("--first-image", is_flag=True, help="Measure the time from a file to the first image instead, a minute.")
@click.option(
    "--measured",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="With --first-image: a MERIT folder with the scans of B0_P3.",
)
@quiet
@as_json
@example("mimo bench --rounds 3")
def bench(
    rounds: int,
    large: bool,
    workers: int | None,
    cost: bool,
    figure: Path | None,
    windows: bool,
    first_image: bool,
    measured: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure the operators against the published way of computing them and the machine's bound, in one run."""
    from mimo.bench.operators import measure, table
    from mimo.bench.solvers import measure_solvers, solver_table
    from mimo.synth.paper import paper_grid
    from mimo.synth.phase import random_phase
    from mimo.synth.targets import draw

    def tell(text: str) -> None:
        if not (quiet or as_json):
            click.echo(f"measuring: {text}", err=True)

    if figure is not None and not cost:
        raise click.UsageError("--figure draws what --cost measures: give both")
    if measured is not None and not first_image:
        raise click.UsageError("--measured belongs to --first-image: give both")
    if large + cost + bool(workers) + windows + first_image > 1:
        raise click.UsageError("--large, --cost, --workers, --windows and --first-image differ: give one")
    if first_image:
        from mimo.bench.first_image import first_image_table, measure_first_images

        waits = measure_first_images(measured, progress=tell)
        print_json(waits) if as_json else say(first_image_table(waits))
        return
    if cost:
        from mimo.bench.cost_figure import cost_figure
        from mimo.bench.cost_model import cost_table, measure_costs
        from mimo.viewer.figures import save

        costs = measure_costs(n_rounds=min(rounds, 2), progress=tell)
        if figure is not None:
            with writing(figure):
                save(cost_figure(costs), figure)
        print_json(costs) if as_json else say(cost_table(costs))
        return
    if large:
        from mimo.bench.large_arrays import large_table, measure_large
        from mimo.bench.large_scans import measure_scans, scans_table

        found = measure_large(n_rounds=min(rounds, 2), progress=tell)
        scans = measure_scans(n_rounds=min(rounds, 2), progress=tell)
        print_json(found | scans) if as_json else say(f"{large_table(found)}\n{scans_table(scans)}")
        return
    if workers:
        from mimo.bench.workers import measure_batches, worker_table

        found = measure_batches(workers, min(rounds, 5), tell)
        print_json(found) if as_json else say(worker_table(found))
        return
    if windows:
        from mimo.bench.windows import measure_windows, window_table

        lobes = measure_windows(progress=tell)
        print_json(lobes) if as_json else say(window_table(lobes))
        return
    result = measure(n_rounds=rounds, progress=tell)
    tell("solvers")
    rng = np.random.default_rng(0)
    scene = torch.from_numpy(random_phase(draw("paper", paper_grid(), rng), rng))
    result["solvers"] = measure_solvers(scene, n_rounds=max(2, rounds // 5))
    if as_json:
        print_json(result)
    else:
        say(f"{table(result)}\n\n{solver_table(result['solvers'])}")
