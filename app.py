"""The command line, ``python app.py COMMAND`` or, installed, ``mimo COMMAND``: reads options, calls the packages."""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

PAPER_GRID = "x=-0.15:0.15:25,y=-0.15:0.15:25,z=0.35:0.65:49"
DONE, FAILED, BAD_INPUT = 0, 1, 2

quiet = click.option("--quiet", is_flag=True, help="No progress bar and no table.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for scripts.")


def example(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a command line that works under a command's help; a test runs each."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nExample:\n  {text}"
        return function

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="mimo-imaging")
@example("mimo demo")
def cli() -> None:
    """Near-field MIMO radar imaging: synthesize measurements, reconstruct images, look at them."""


@contextmanager
def progress_bar(label: str, hidden: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield ``advance(done, total)``, shown as a bar on a terminal or a log."""
    from tqdm import tqdm

    with tqdm(desc=label, unit="scene", disable=True if hidden else None, leave=False) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield advance


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Make the folder of `out`, not to stay after a failure; an error of the file system names `out` itself."""
    new = not out.parent.exists()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out)) from error
    finally:
        if new and out.parent.is_dir() and not any(out.parent.iterdir()):
            out.parent.rmdir()


def say(text: str, *, hidden: bool = False) -> None:
    """Print unless told to be quiet."""
    if not hidden:
        click.echo(text)


def print_json(value: object) -> None:
    """Print numbers, also those of numpy, as JSON; what is not finite, which JSON cannot hold, becomes null."""
    from data import to_json

    finite = json.loads(to_json("result", value), parse_constant=lambda name: None)
    click.echo(json.dumps(finite, indent=2))


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo.h5"), show_default=True)
@click.option("--preset", default="paper", show_default=True, help="Target: paper or shapes.")
@click.option("--n-freq", type=click.IntRange(min=2), default=15, show_default=True, help="Frequencies, 4 to 16 GHz.")
@click.option("--snr-db", default=30.0, show_default=True, help="Signal-to-noise ratio, dB.")
@click.option("--seed", default=0, show_default=True)
@quiet
@as_json
@example("mimo demo --preset shapes --seed 4")
def demo(out: Path, preset: str, n_freq: int, snr_db: float, seed: int, quiet: bool, as_json: bool) -> None:
    """Synthesize a scene on the papers' array, reconstruct it with every method; write a table, file and picture."""
    from recon import METHODS
    from recon.files import reconstruct_file
    from synth import generate
    from viewer.figure import save
    from viewer.files import figure_of_file

    hidden = quiet or as_json
    say("synthesizing one scene of the papers' kind", hidden=hidden)
    with tempfile.TemporaryDirectory() as folder:
        scene = generate(Path(folder, "scene.h5"), n=1, preset=preset, n_freq=n_freq, snr_db=snr_db, seed=seed)
        with writing(out):
            reconstruct_file(scene, out, list(METHODS), watch=lambda name: progress_bar(name, hidden))
    picture = out.with_suffix(".png")
    save(figure_of_file(out), picture)
    _print_scores(out, as_json, quiet)
    say(f"\n{out}: the measurement and its images\n{picture}: the picture", hidden=hidden)


@cli.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--n", default=1, show_default=True, help="Scenes.")
@click.option("--preset", default="paper", show_default=True, help="Targets: paper or shapes.")
@click.option("--n-freq", type=click.IntRange(min=2), default=15, show_default=True, help="Frequencies, 4 to 16 GHz.")
@click.option("--grid", metavar="GRID", help=f"Voxels, START:STOP:COUNT in metres; else {PAPER_GRID}.")
@click.option(
    "--like", type=click.Path(path_type=Path), help="Array, sweep, permittivity and grid of this file instead."
)
@click.option("--snr-db", default="30", show_default=True, help="dB; LOW:HIGH draws it for each scene; none: no noise.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=1, show_default=True, help="Processes.")
@click.option("--scheduler", metavar="ADDRESS", help="An existing dask scheduler, tcp://host:port.")
@click.option("--shard-size", default=100, show_default=True, help="Scenes a file; more scenes make several, joined.")
@click.option("--gain-error-db", default=0.0, help="Standard deviation of the channels' gain, dB.")
@click.option("--phase-error-deg", default=0.0, help="Standard deviation of the channels' phase, degrees.")
@click.option("--position-error", default=0.0, help="Standard deviation of antenna coordinates, metres.")
@click.option("--missing-channels", default=0.0, help="Fraction of channels that are missing.")
@click.option("--clutter-db", type=float, help="Power of a clutter background relative to the target, dB.")
@quiet
@example("mimo synth out/scenes.h5 --n 20 --preset paper --snr-db 0:30 --seed 1 --workers 2")
def synth(out: Path, grid: str | None, like: Path | None, snr_db: str, quiet: bool, **options: Any) -> None:
    """Generate a dataset: random targets, their measurements and the truth. Interrupted, it resumes when run again."""
    from data import open_measurement
    from mimo import VoxelGrid
    from synth import Realism, generate

    names = ("gain_error_db", "phase_error_deg", "position_error", "missing_channels", "clutter_db")
    realism = Realism(**{name: options.pop(name) for name in names})
    chosen = VoxelGrid.parse(grid) if grid else None
    if like is not None:
        with open_measurement(like) as file:
            options |= {"array": file.array, "sweep": file.sweep, "permittivity": file.permittivity}
            options["n_freq"] = file.sweep.n_freq
            chosen = chosen or file.grid
        if chosen is None:
            raise click.UsageError(f"{like} has no grid: give --grid")
    with writing(out):
        path = generate(out, grid=chosen, snr_db=_snr(snr_db), realism=realism, progress=not quiet, **options)
    say(f"{path}: {options['n']} scenes", hidden=quiet)


def _snr(text: str) -> float | tuple[float, float] | None:
    try:
        numbers = [float(part) for part in text.split(":")] if text != "none" else []
    except ValueError:
        numbers = [0.0] * 3
    if len(numbers) > 2:
        raise click.BadParameter(f"{text!r}: expected dB, LOW:HIGH or none", param_hint="--snr-db")
    return None if not numbers else numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


@cli.command("import")
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--format", "format_", metavar="NAME", help="Format; recognised when it can be.")
@click.option("--scan", metavar="NAME", help="Which scan, where a folder holds several.")
@click.option("--background", metavar="NAME", help="A second scan, subtracted from the first.")
@click.option("--keep-background", is_flag=True, help="Store the background beside the scan instead of subtracting it.")
@click.option("--permittivity", default=1.0, show_default=True, help="Relative permittivity of the medium.")
@click.option("--list", "list_", is_flag=True, help="List the formats and end.")
@quiet
@example("mimo import ../shared/measured/merit out/b0.h5 --scan B0_P3_p000 --background B0_P3_p036 --permittivity 8")
def import_(
    source: Path | None,
    out: Path | None,
    format_: str | None,
    scan: str | None,
    background: str | None,
    keep_background: bool,
    permittivity: float,
    list_: bool,
    quiet: bool,
) -> None:
    """Bring a measured file or folder into the program's file format."""
    from data import IMPORTERS, read_measured, save, subtract_background

    if list_:
        for name, importer in IMPORTERS.items():
            click.echo(f"{name:<12}{importer.DESCRIPTION}")
        return
    if source is None or out is None:
        raise click.UsageError("give SOURCE and OUT (or --list)")
    measurement = read_measured(source, format=format_, scan=scan, background=background, permittivity=permittivity)
    if measurement.background is not None and not keep_background:
        measurement = subtract_background(measurement)
    with writing(out):
        save(out, measurement)
    say(f"{out}: {measurement.values.shape[1]} frequencies, {measurement.array.n_channel} channels", hidden=quiet)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@example("mimo info out/demo.h5")
def info(file: Path, as_json: bool) -> None:
    """Say what is in a file: array, sweep, grid, shapes, expected resolution, warnings."""
    from data import describe_file

    facts = describe_file(file)
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        for i, line in enumerate(value if isinstance(value, list) else [value]):
            click.echo(f"{name if i == 0 else '':<16}{line}")


@cli.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--method", "methods", multiple=True, help="A method's name; may be given several times.")
@click.option("--grid", metavar="GRID", help="Voxels, START:STOP:COUNT in metres, ends included; else the file's.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the methods that have it.")
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
@quiet
@as_json
@example(f"mimo reconstruct out/scenes.h5 out/images.h5 --method tikhonov --method kirchhoff --grid {PAPER_GRID}")
def reconstruct(
    source: Path,
    out: Path,
    methods: tuple[str, ...],
    grid: str | None,
    settings: tuple[str, ...],
    subtract_background: bool,
    device: str,
    memory: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Reconstruct every scene of IN and write the measurement and its images to OUT.

    OUT may be IN: images are added to those that it holds, and one of the same method is replaced.
    """
    import data
    from mimo import VoxelGrid
    from recon.files import reconstruct_file
    from recon.registry import DEFAULT_METHOD, parse_settings

    hidden = quiet or as_json
    names = list(dict.fromkeys(methods or (DEFAULT_METHOD,)))
    options = parse_settings(names, settings)
    with writing(out):
        written = reconstruct_file(
            source,
            out,
            names,
            measurement=data.subtract_background(data.load(source)) if subtract_background else None,
            grid=VoxelGrid.parse(grid) if grid else None,
            options=options,
            device=device,
            memory=memory * 2**20,
            watch=lambda name: progress_bar(name, hidden),
        )
    made = written.made
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


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@example("mimo evaluate out/demo.h5")
def evaluate(file: Path, as_json: bool) -> None:
    """Compare the images in a file with its truth: PSNR, 3D SSIM and run time of each method."""
    _print_scores(file, as_json, quiet=False)


def _print_scores(file: Path, as_json: bool, quiet: bool) -> None:
    from recon.evaluate import score_file, score_table

    scores = score_file(file)
    if as_json:
        print_json(scores)
    else:
        say(score_table(scores), hidden=quiet)


@cli.command()
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


@cli.command()
@click.argument("name")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file; models/configs/NAME.toml by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of checkpoint and log; out/train/NAME by default.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in that folder.")
@click.option("--time-limit", type=click.FloatRange(min=0), help="Seconds of training; by default all steps are made.")
@click.option(
    "--export", "weights", type=click.Path(path_type=Path), help="Write weights and model card here when done."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@quiet
@example("mimo train denoiser-fast --time-limit 600 --export out/denoiser-fast.safetensors")
def train(
    name: str,
    config: Path | None,
    out: Path | None,
    resume: bool,
    time_limit: float | None,
    weights: Path | None,
    device: str,
    quiet: bool,
) -> None:
    """Train a denoiser on scenes made on the fly; interrupted, it resumes. NAME: denoiser or denoiser-fast."""
    import models
    from recon.registry import pick_device
    from synth import draw_training_scene

    checkpoint = models.train(
        models.load_config(config or name),
        draw_training_scene,
        out or Path("out/train") / name,
        resume=resume,
        device=pick_device(device),
        time_limit=time_limit,
        report=lambda text: say(text, hidden=quiet),
    )
    if weights is not None:
        command = " ".join(["mimo", *sys.argv[1:]])
        models.export(checkpoint, weights, weights.with_suffix(".md"), command=command, presets="paper and shapes")


@cli.command()
@click.option(
    "--rounds", type=click.IntRange(min=1), default=15, show_default=True, help="Rounds to take medians over."
)
@quiet
@as_json
@example("mimo bench --rounds 3")
def bench(rounds: int, quiet: bool, as_json: bool) -> None:
    """Measure the operators against the published way of computing them and the machine's bound, in one run."""
    from recon.benchmark import measure, table

    hidden = quiet or as_json
    result = measure(
        n_rounds=rounds, progress=lambda text: click.echo(f"measuring: {text}", err=True) if not hidden else None
    )
    if as_json:
        print_json(result)
    else:
        say(table(result))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every error is one line, exit code 1 for a failure and 2 for bad input."""
    try:
        code = cli.main(arguments, prog_name="mimo", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = BAD_INPUT
    except click.exceptions.Abort:
        code = _complain("interrupted", FAILED)
    except KeyboardInterrupt:
        code = _complain("interrupted", FAILED)
    except click.ClickException as error:
        code = _complain(error.format_message(), BAD_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        code = _complain(f"{where}{error.strerror or error}, expected a place that can be read and written", BAD_INPUT)
    except ValueError as error:
        code = _complain(str(error), BAD_INPUT)
    except Exception as error:
        code = _complain(f"{type(error).__name__}: {error}", FAILED)
    sys.exit(code or DONE)


def _complain(text: str, code: int) -> int:
    if os.environ.get("MIMO_DEBUG"):
        raise
    click.echo(f"mimo: {' '.join(text.split())}", err=True)
    return code


if __name__ == "__main__":
    main()
