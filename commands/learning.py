"""Train networks and measure speed: the commands train and bench."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from click.core import ParameterSource

from mimo.commands.interrupts import stoppable
from mimo.commands.shared import (
    INPUT,
    OUTPUT,
    InputPath,
    as_json,
    example,
    grid_text,
    precision,
    print_json,
    quiet,
    say,
    writing,
)

__all__ = ["bench", "train"]

RUNS = Path("out/train")
"""Folder of the runs."""


@click.command()
@click.argument("name", required=False)
@click.option("--config", type=INPUT, help="TOML file; train/configs/NAME.toml by default.")
@click.option(
    "--data",
    type=InputPath(exists=True),
    help="Dataset whose scenes are learned from, a reconstructor's on its array; by default they are made on the fly. "
    "A share of them (data.validation_share) is for the validation alone.",
)
@click.option(
    "--validation",
    type=InputPath(exists=True),
    help="Dataset whose scenes the validation uses instead of a share of those of --data.",
)
@click.option(
    "--like",
    type=InputPath(exists=True),
    help="Measurement, or geometry file (`mimo array`), whose array, band, medium, region and grid a reconstructor is "
    "trained for; needs no true scenes.",
)
@click.option("--grid", metavar="GRID", help="Voxels instead of those of --like: x=A:B:N,y=A:B:N,z=A:B:N, metres.")
@click.option("--out", type=OUTPUT, help="Folder of checkpoint and log; out/train/NAME by default.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in that folder, also by another command.")
@click.option("--start", help="Weights to start from: names of those that ship, or files, by commas.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="A value of the configuration by its table.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0),
    help="Seconds from the start of the command after which no step begins: set-up counts, and so does what an earlier "
    "command spent on the run. By default all steps are made.",
)
@click.option(
    "--export",
    "weights",
    type=OUTPUT,
    help="Write weights and model card here when done. Beside a run that is there already, with --out, --quiet and no "
    "other option: write its best weights now, also while it goes on, and train nothing.",
)
@click.option("--status", is_flag=True, help="Say where the run stands, or all runs in the folder, and train nothing.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option(
    "--nice",
    type=click.IntRange(0, 19),
    default=10,
    show_default=True,
    help="Priority of the run: 0 is that of other programs, 19 waits for all of them.",
)
@precision
@quiet
@as_json
@example("mimo train two-stage --time-limit 600 --export out/two-stage.safetensors")
def train(
    name: str | None,
    config: Path | None,
    data: Path | None,
    validation: Path | None,
    like: Path | None,
    grid: str | None,
    out: Path | None,
    resume: bool,
    start: str | None,
    changes: tuple[str, ...],
    time_limit: float | None,
    weights: Path | None,
    status: bool,
    device: str,
    nice: int,
    precision: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a network on synthetic scenes; the same command goes on after an interrupt.

    NAME: a denoiser (denoiser, denoiser-white, denoiser-fast), a reconstructor (deep2s, two-stage, unrolled, ...: see
    train/configs), or spread: the standard deviation of the images of the weights that --start names. Under torchrun
    every process takes its share of a batch.
    """
    began = time.monotonic()
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    folder = out or (RUNS / name if name else RUNS)
    if status:
        if given - {"name", "out", "status", "as_json", "quiet"}:
            raise click.UsageError("--status trains nothing: expected no other option than --out, --json and NAME")
        _say_status(folder, as_json, quiet)
        return
    if as_json:
        raise click.UsageError("--json is for --status: expected both")
    if name is None:
        raise click.UsageError("missing argument NAME: expected the name of a configuration, such as two-stage")
    command = _typed(context)
    again = not resume and _began(folder, command)
    asked = weights is not None and not again and not given - {"name", "out", "weights", "quiet"}
    if weights is not None and asked and _export_as_it_is(folder, weights, quiet):
        return
    if grid is not None and like is None:
        raise click.UsageError("--grid is for --like: expected both")

    from mimo import VoxelGrid
    from mimo.recon.run import pick_device
    from mimo.train import (
        DenoiserConfig,
        ReconstructorConfig,
        SpreadConfig,
        acquisition_like,
        export_weights,
        load_config,
        train_denoiser,
        train_reconstructor,
        train_spread,
    )
    from mimo.train.acquisition_like import check_time
    from mimo.train.ahead import worth_a_process
    from mimo.train.loop import Share
    from mimo.train.priority import lower_priority
    from mimo.train.processes import joined
    from mimo.train.stop_request import StopRequest

    settings = load_config(config or name, changes, own_sweep=data is not None or like is not None)
    lower_priority(nice)
    stop = StopRequest()
    options: dict[str, Any] = {
        "scenes": data,
        "validation": validation,
        "start": start,
        "resume": resume or again,
        "time_limit": time_limit,
        "began": began,
        "command": command,
        "precision": precision,
        "report": lambda text: say(text, hidden=quiet),
        "stop": stop,
    }
    with stoppable() as stopper, joined(pick_device(device)) as where:
        stopper.keep = stop.keep_now
        options["ahead"] = torch.device(where).type == "cpu" and worth_a_process(settings.optimizer.n_step)
        if like is not None:
            if isinstance(settings, DenoiserConfig):
                raise click.UsageError("--like is for reconstructors: a denoiser knows neither array nor band")
            acquisition, words = acquisition_like(like, grid=VoxelGrid.parse(grid) if grid else None)
            options["acquisition"] = acquisition
            say(f"like {like}: {grid_text(acquisition.grid)} ({words})", hidden=quiet)
            if isinstance(settings, ReconstructorConfig) and (line := check_time(settings, acquisition, time_limit)):
                say(line, hidden=quiet)
        if isinstance(settings, DenoiserConfig):
            checkpoint = train_denoiser(settings, folder, device=where, **options)
        elif isinstance(settings, SpreadConfig):
            checkpoint = train_spread(settings, folder, device=where, **options)
        else:
            checkpoint = train_reconstructor(settings, folder, device=where, **options)
        if weights is not None and not Share.mine().rank:
            export_weights(checkpoint, weights)


def _typed(context: click.Context) -> str:
    """Return the command as it was typed, its options in the order of the help."""
    words = ["mimo", str(context.info_name)]
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params.get(str(parameter.name))
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
            words += [] if each is True else [f"{each:g}" if isinstance(each, float) else str(each)]
    return shlex.join(words)


def _began(folder: Path, command: str) -> bool:
    """Whether the run in a folder was begun by this command, but for what changes nothing about the run."""
    from mimo.train.checkpoint import CHECKPOINT, load_checkpoint

    def essence(text: str) -> list[str]:
        words = iter(shlex.split(text))
        kept = []
        for word in words:
            if word in ("--export", "--nice"):
                next(words, None)
            elif word not in ("--resume", "--quiet"):
                kept.append(word)
        return kept

    path = folder / CHECKPOINT
    try:
        return path.is_file() and essence(load_checkpoint(path).get("command", "")) == essence(command)
    except ValueError:  # quotes of a command as earlier versions kept it, or a checkpoint that is told of later
        return False


def _say_status(folder: Path, as_json: bool, quiet: bool) -> None:
    """Print where the run in a folder stands, or every run below it."""
    from mimo.train.run_state import read_state, runs_in, state_text

    states = [read_state(each) for each in runs_in(folder)] or [read_state(folder)]
    if as_json:
        print_json([state.to_dict() for state in states])
    else:
        say("\n".join(state_text(state) for state in states), hidden=quiet)


def _export_as_it_is(folder: Path, weights: Path, quiet: bool) -> bool:
    """Export what the run in a folder has reached, if there is one; say whether."""
    from mimo.train import export_weights
    from mimo.train.checkpoint import CHECKPOINT
    from mimo.train.run_state import read_state, runs_in

    if folder not in runs_in(folder):
        return False
    state = read_state(folder)
    if not (folder / CHECKPOINT).is_file():
        if not state.running:
            return False
        raise ValueError(f"{folder}: the run that goes on there has no checkpoint yet: expected one, in some minutes")
    export_weights(folder / CHECKPOINT, weights)
    best = f", best of step {int(state.best['step']):,}" if state.best else ""
    going = "goes on" if state.running else "goes on with --resume or the command that began it"
    say(f"written to {weights}: the run at step {state.step:,}{best}; nothing was trained, it {going}", hidden=quiet)
    return True


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
@click.option("--figure", metavar="PNG", type=OUTPUT, help="With --cost: draw the times here.")
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
