"""Import, prepare and describe measured files: the commands import, prepare and info."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo.commands.shared import (
    INPUT,
    INPUT_OR_FOLDER,
    OUTPUT,
    as_json,
    example,
    layers,
    medium,
    pattern,
    print_json,
    progress_bar,
    quiet,
    region,
    say,
    skip_bad,
    writing,
)

if TYPE_CHECKING:
    from mimo.data import Measurement, Plate, PointTarget
    from mimo.data.calibration.phase_check import PhaseCheck

__all__ = ["import_", "info", "prepare"]

CHECK_OPTIONS = {"permittivities": "--permittivities", "grid": "--grid", "patterns": "--pattern", "layers": "--layers"}
"""Options of `prepare` that only ``--check-phase`` uses."""


delay = click.option(
    "--delay",
    metavar="DELAY",
    help="Delay of the instrument to take out: 0.45ns, 0.136m (path), or range=M or point=X,Y,Z of the strongest echo.",
)


@click.command("import")
@click.argument("source", type=INPUT_OR_FOLDER, required=False)
@click.argument("out", type=OUTPUT, required=False)
@click.option("--format", "format_", metavar="NAME", help="Format; recognised when it can be.")
@click.option("--scan", metavar="NAME", help="Which scan, where a folder holds several.")
@click.option(
    "--background",
    "backgrounds",
    metavar="NAME",
    multiple=True,
    help="A scan without the target, subtracted; the mean of several.",
)
@click.option("--keep-background", is_flag=True, help="Store the background beside the scan instead of subtracting it.")
@click.option("--permittivity", default=1.0, show_default=True, help="Relative permittivity of the medium.")
@delay
@region("Where the scene is, kept in OUT")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the format.")
@click.option("--preset", metavar="NAME", help="Options of a public data set: simple2d, 3dried, um-bmid.")
@click.option("--mapping", type=INPUT, metavar="TOML", help="Options of the format from a file.")
@click.option("--list", "list_", is_flag=True, help="Explain the formats and their options and end.")
@quiet
@example("mimo import ../shared/measured/merit out/b0.h5 --scan B0_P3_p000 --background B0_P3_p036 --permittivity 8")
def import_(
    source: Path | None,
    out: Path | None,
    format_: str | None,
    scan: str | None,
    backgrounds: tuple[str, ...],
    keep_background: bool,
    permittivity: float,
    delay: str | None,
    region: str | None,
    settings: tuple[str, ...],
    preset: str | None,
    mapping: Path | None,
    list_: bool,
    quiet: bool,
) -> None:
    """Bring a measured file or folder into the program's file format."""
    from mimo.data import explain_formats, read_measured, save, subtract_background, with_region
    from mimo.data.files.describe import describe_import, doubt_about_units
    from mimo.data.importers import load_toml, parse_settings

    if list_:
        click.echo(explain_formats())
        return
    if source is None or out is None:
        raise click.UsageError("give SOURCE and OUT (or --list)")
    _keep_inputs(out, [source, *backgrounds, mapping])
    measurement = read_measured(
        source,
        format=format_,
        scan=scan,
        background=backgrounds,
        permittivity=permittivity,
        settings={
            **(load_toml(mapping) if mapping else {}),
            **parse_settings(settings),
            **({} if delay is None else {"delay": ""}),  # the one given takes the place of a preset's
        },
        preset=preset,
    )
    if measurement.background is not None and not keep_background:
        measurement = subtract_background(measurement)
    if delay is not None:
        measurement = _without_delay(measurement, source, delay, quiet)
    if region is not None:
        measurement = with_region(measurement, region)
    with writing(out):
        save(out, measurement)
    if (doubt := doubt_about_units(measurement)) is not None:
        say(doubt, err=True)
    say(f"{out}: {describe_import(measurement)}", hidden=quiet)


@click.command()
@click.argument("source", metavar="IN", type=INPUT)
@click.argument("out", type=OUTPUT, required=False)
@click.option("--conjugate", is_flag=True, help="Turn the sign of the phase.")
@click.option("--permittivity", type=float, help="Another relative permittivity of the medium.")
@region("Where the scene is, kept in OUT")
@click.option("--mask", "masks", multiple=True, metavar="TX:RX", help="A bad channel; tx=NUMBER, rx=NUMBER: all of it.")
@click.option("--background", "backgrounds", type=INPUT, multiple=True, help="File without the target; several: mean.")
@click.option("--subtract-background", is_flag=True, help="Subtract the background (the file's own, or the one given).")
@delay
@click.option("--mask-bad", is_flag=True, help="Find dead, saturated and outlying channels and mask them.")
@click.option("--bad-std", default=6.0, show_default=True, help="What is outlying, in robust standard deviations.")
@click.option("--calibration", type=INPUT, help="Divide out the channel gains of this file.")
@click.option(
    "--gate", metavar="START:STOP", help="Keep echoes of this range, m (half the path, beyond a removed one)."
)
@click.option("--gate-box", metavar="BOX", help="Keep echoes of x=A:B,y=A:B,z=A:B, m; file: of the file's grid.")
@click.option("--gate-taper", default=0.0, show_default=True, help="Range over which the gate falls off, m.")
@click.option("--gate-clutter-db", default=20.0, show_default=True, help="Power expected outside over inside, dB.")
@click.option("--reference", metavar="KIND=X,Y,Z", help="Find channel gains: point=X,Y,Z or plate=X,Y,Z[,NX,NY,NZ].")
@click.option(
    "--gain-model", default="delay", show_default=True, help="delay: gain and delay; frequency: any response."
)
@click.option("--max-delay", default=1e-9, show_default=True, help="Largest channel delay looked for, s.")
@click.option("--band", metavar="START:STOP", help="Keep these frequencies, Hz.")
@click.option("--every", default=1, show_default=True, help="Keep every n-th frequency.")
@click.option("--count", type=int, help="Keep so many evenly spaced frequencies.")
@click.option("--tolerance", type=float, help="Hz by which they may be off even spacing; else half a step.")
@click.option("--normalise", metavar="NORM", help="Divide each scene by its max or rms.")
@click.option("--check-phase", is_flag=True, help="Image under both signs and several permittivities: which focuses?")
@click.option("--permittivities", metavar="P,P,...", help="What to try; else 1 to 16, refined.")
@click.option("--grid", metavar="GRID", help="Voxels of that check; else a coarse grid over the scene.")
@pattern
@layers
@skip_bad
@quiet
@as_json
@example("mimo prepare out/b0.h5 out/b0-ready.h5 --mask-bad --band 1.5e9:4e9 --check-phase")
def prepare(source: Path, out: Path | None, quiet: bool, as_json: bool, **options: Any) -> None:
    """Prepare a measurement for imaging and record each step in OUT; without OUT only say what is found.

    Steps are made in the order of the options: convention, masks, background, delay, bad channels, calibration, gate,
    frequencies, normalisation, check. A scan of a reference target with --reference becomes a calibration file for
    --calibration.
    """
    from mimo.data import load, open_measurement, save
    from mimo.data.files.soundness import load_sound

    hidden = quiet or as_json
    if out is not None:
        _keep_inputs(out, [source, *options["backgrounds"], options["calibration"]])
    for name, option in CHECK_OPTIONS.items():
        if options[name] and not options["check_phase"]:
            raise click.UsageError(f"{option} is for --check-phase: expected both, or neither")
    before = load_sound(source) if options["skip_bad"] else load(source)
    with open_measurement(source) as file:
        if file.methods and out is not None:
            say(f"images of {source} ({', '.join(file.methods)}) are not carried over", err=True)
    with _naming(source):
        measurement = _prepared(before, source, options, hidden)
        check = _check(measurement, options, hidden) if options["check_phase"] else None
    if out is not None:
        with writing(out):
            save(out, measurement)
    done = list(measurement.steps[len(before.steps) :])
    if as_json:
        print_json({"steps": done, "check": None if check is None else _as_dict(check)})
        return
    from mimo.data.provenance import describe_steps

    for line in describe_steps(done):
        say(line, hidden=quiet)
    if check is not None:
        _print_check(check, quiet)
    if out is not None:
        say(f"written to {out}", hidden=quiet)


def _keep_inputs(out: Path, inputs: Sequence[str | Path | None]) -> None:
    """Refuse to write over what is read: an input, or a file in a folder of inputs that is not of this program."""
    from mimo.data import FileError
    from mimo.data.files.hdf5 import open_hdf5
    from mimo.data.files.reader import check_schema
    from mimo.output_file import OutputError, refuse_inputs

    refuse_inputs(out, inputs)
    folders = [Path(source).resolve() for source in inputs if source is not None and Path(source).is_dir()]
    if out.exists() and any(folder in out.resolve().parents for folder in folders):
        try:
            with open_hdf5(out) as file:
                check_schema(file)
        except (FileError, ValueError) as error:
            raise OutputError(
                out, "is one of the files to read, it would be lost: expected another name for the output"
            ) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before the message of an error, unless the message names a file already."""
    from mimo.data import FileError

    try:
        yield
    except FileError:
        raise
    except ValueError as error:
        raise FileError(path, str(error)) from error


def _without_delay(measurement: Measurement, source: Path, text: str, hidden: bool) -> Measurement:
    """Take out the instrument's delay that ``--delay`` states or says how to find; a found one is printed."""
    from mimo.data.calibration.delay import delay_from_text, remove_delay

    with _naming(source):
        seconds = delay_from_text(text, measurement)
        if "=" in text:
            say(f"delay {seconds * 1e9:.6g} ns, {seconds * 299792458:.6g} m of path", hidden=hidden)
        return remove_delay(measurement, seconds)


def _prepared(measurement: Measurement, source: Path, options: dict[str, Any], hidden: bool) -> Measurement:
    """Take the steps of preparation that the options ask for, in the order of the help."""
    from mimo import data
    from mimo.data.calibration import channels_from_text
    from mimo.data.calibration.scene_extent import parse_box
    from mimo.data.provenance import recorded

    if options["conjugate"]:
        measurement = data.conjugate(measurement)
    if options["permittivity"] is not None:
        measurement = data.with_permittivity(measurement, options["permittivity"])
    if options["region"] is not None:
        measurement = data.with_region(measurement, options["region"])
    for text in options["masks"]:
        measurement = data.mask_channels(measurement, channels_from_text(text, measurement.array))
    if options["backgrounds"]:
        empty = [(path, data.load(path)) for path in options["backgrounds"]]
        named = [replace(scan, source=scan.source or path.name) for path, scan in empty]
        measurement = data.with_mean_background(measurement, named)
    if options["subtract_background"] or options["backgrounds"]:
        measurement = data.subtract_background(measurement)
    if options["delay"] is not None:
        measurement = _without_delay(measurement, source, options["delay"], hidden)
    if options["mask_bad"]:
        bad = data.find_bad_channels(measurement, n_std=options["bad_std"])
        measurement = recorded(measurement, "find bad channels", n_std=options["bad_std"], found=len(bad))
        measurement = data.mask_channels(measurement, bad)
    if options["calibration"] is not None:
        with _naming(options["calibration"]):
            measurement = data.apply_calibration(measurement, data.load(options["calibration"]))
    gate = data.Gate(taper=options["gate_taper"], clutter_db=options["gate_clutter_db"])
    if options["gate"]:
        start, stop = _pair("--gate", options["gate"])
        measurement = data.gate_range(measurement, start, stop, gate=gate)
    if options["gate_box"]:
        box = measurement.grid if options["gate_box"] == "file" else parse_box(options["gate_box"])
        if box is None:
            raise click.BadParameter(f"{source} has no grid: expected x=A:B,y=A:B,z=A:B", param_hint="--gate-box")
        measurement = data.gate_box(measurement, box, gate=gate)
    if options["reference"]:
        measurement = data.estimate_gain(
            measurement, _target(options["reference"]), model=options["gain_model"], max_delay=options["max_delay"]
        )
    low, high = _pair("--band", options["band"]) if options["band"] else (None, None)
    if low is not None or options["every"] != 1 or options["count"] is not None:
        measurement = data.select_frequencies(
            measurement,
            start=low,
            stop=high,
            step=options["every"],
            count=options["count"],
            tolerance=options["tolerance"],
        )
    if options["normalise"]:
        measurement = data.normalise(measurement, options["normalise"])
    return measurement


def _check(measurement: Measurement, options: dict[str, Any], hidden: bool) -> PhaseCheck:
    from mimo import VoxelGrid
    from mimo.data.calibration.phase_check import check_phase

    tried = _numbers("--permittivities", options["permittivities"]) if options["permittivities"] else ()
    grid = VoxelGrid.parse(options["grid"]) if options["grid"] else None
    with progress_bar("focus", hidden) as progress:
        around = medium(options["patterns"], options["layers"])
        return check_phase(measurement, grid, permittivities=tried, progress=progress, **around)


def _print_check(check: PhaseCheck, quiet: bool) -> None:
    say(f"\nfocus over {check.box}: peak over mean magnitude, dB (entropy, nats)", hidden=quiet)
    say(f"{'permittivity':>12}  {'exp(-jkR)':>15}  {'exp(+jkR)':>15}  sharper at x, y, z (mm)", hidden=quiet)
    rows = check.rows
    for ours, other in zip(rows[::2], rows[1::2], strict=True):
        peak = (ours if ours.peak_to_mean_db >= other.peak_to_mean_db else other).peak
        place = ", ".join(f"{1e3 * value:.1f}" for value in peak)
        cells = "  ".join(f"{row.peak_to_mean_db:6.2f} ({row.entropy:5.2f})" for row in (ours, other))
        say(f"{ours.permittivity:12.3g}  {cells}  {place}", hidden=quiet)
    say(check.verdict, hidden=quiet)


def _as_dict(check: PhaseCheck) -> dict[str, Any]:
    found = {"phase_sign": check.phase_sign, "permittivity": check.permittivity, "margin_db": check.margin_db}
    return {**found, "box": check.box, "verdict": check.verdict, "rows": [vars(row) for row in check.rows]}


def _numbers(option: str, text: str, separator: str = ",") -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(separator))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected numbers", param_hint=option) from error


def _pair(option: str, text: str) -> tuple[float, float]:
    numbers = _numbers(option, text, ":")
    if len(numbers) != 2:
        raise click.BadParameter(f"{text!r}: expected START:STOP", param_hint=option)
    return numbers[0], numbers[1]


def _target(text: str) -> PointTarget | Plate:
    from mimo.data import Plate, PointTarget

    kind, _, place = text.partition("=")
    numbers: Sequence[float] = _numbers("--reference", place) if place else ()
    x = tuple(numbers[:3])
    if kind == "point" and len(numbers) == 3:
        return PointTarget((x[0], x[1], x[2]))
    if kind == "plate" and len(numbers) in (3, 6):
        normal = tuple(numbers[3:]) or (0.0, 0.0, 1.0)
        return Plate((x[0], x[1], x[2]), (normal[0], normal[1], normal[2]))
    raise click.BadParameter(f"{text!r}: expected point=X,Y,Z or plate=X,Y,Z[,NX,NY,NZ]", param_hint="--reference")


@click.command()
@click.argument("file", type=INPUT, required=False)
@click.option("--figure", type=OUTPUT, help="Draw array, range profiles, magnitudes and point-spread function here.")
@click.option("--scene", default=0, show_default=True, help="Which scene the figure shows, from 0.")
@click.option("--cache", is_flag=True, help="Say where factorised matrices are kept, and how much room they take.")
@click.option("--clear-cache", is_flag=True, help="Remove them.")
@pattern
@layers
@as_json
@example("mimo info out/demo.h5 --figure out/info.png")
def info(
    file: Path | None,
    figure: Path | None,
    scene: int,
    cache: bool,
    clear_cache: bool,
    patterns: tuple[str, ...],
    layers: str | None,
    as_json: bool,
) -> None:
    """Say what is in a file: array, sweep, grid, shapes, shards and which are missing, what images explain, warnings.

    A pattern and layers show in the figure's point-spread function. Of a .safetensors file, or by the name of weights
    that ship, the model card is printed. With --cache or --clear-cache no file is needed.
    """
    if cache or clear_cache:
        _info_of_cache(clear_cache, as_json)
        if file is None:
            return
    if file is None:
        raise click.UsageError("give FILE, --cache or --clear-cache")
    if figure is not None:
        _keep_inputs(figure, [file])
    from mimo import kernels
    from mimo.data import FileError, describe_file
    from mimo.data.files.describe import describe_geometry
    from mimo.data.files.geometry import array_alone
    from mimo.models.weight_files import WEIGHTS
    from mimo.train.card import card_of

    if file.suffix == ".safetensors" or (WEIGHTS / f"{file}.safetensors").is_file():
        text, facts = card_of(file)
        print_json(facts) if as_json else say(text)
        return
    if (alone := array_alone(file)) is not None:
        if figure is not None:
            from mimo.viewer.array_figure import array_figure
            from mimo.viewer.figures import save as save_figure

            with writing(figure):
                save_figure(array_figure(alone.array), figure)
        _print_facts(describe_geometry(file, alone), as_json)
        return
    facts = {**describe_file(file), **_beliefs(file), "kernels": kernels.describe()}
    around = medium(patterns, layers)
    incomplete = facts.get("missing", "none") != "none" or "array" not in facts
    damage = [] if incomplete else _damage(file, facts)
    if figure is not None and not (incomplete or damage):
        from mimo.viewer.figures import save
        from mimo.viewer.overviews import overview_of_file

        with writing(figure):
            save(overview_of_file(file, scene=scene, **around), figure)
    _print_facts(facts, as_json)
    if incomplete:
        raise FileError(file, "is not complete: expected all shards; the command that made it, again, makes the others")
    if damage:
        raise FileError(file, damage[0])


def _damage(file: Path, facts: dict[str, Any]) -> list[str]:
    """Add to the facts of a file what is damaged in its values, and return it."""
    from mimo.data import damage_of

    found, n_read = damage_of(file)
    n_scene = int(facts["scenes"])
    facts["damage"] = found or ("none" if n_read == n_scene else f"none in the first {n_read} of {n_scene} scenes")
    return found


def _print_facts(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        for i, line in enumerate(value if isinstance(value, list) else [value]):
            say(f"{name if i == 0 else '':<16}{line}")


def _info_of_cache(clear: bool, as_json: bool) -> None:
    """Say what the cache of factorised matrices holds, and remove it if wanted."""
    from mimo import cache

    found = cache.clear() if clear else cache.report()
    if as_json:
        print_json({"folder": str(found.folder), "files": found.n_file, "bytes": found.n_bytes, "limit": found.limit})
        return
    held = f"{found.n_file} factorised matrices, {cache.as_text(found.n_bytes)}"
    text = f"removed {held}" if clear else f"{held} of at most {cache.as_text(found.limit)} (MIMO_CACHE_SIZE)"
    say(f"{found.folder}: {text}")


def _beliefs(file: Path) -> dict[str, list[str]]:
    """Return what the images of a file explain, as ``belief``, a line for each method."""
    from mimo.data import FileError, open_measurement
    from mimo.recon.verdicts import remarks, summary

    try:
        with open_measurement(file) as opened:
            runs = {name: opened.run(name)["parameters"] for name in opened.methods}
    except FileError:  # told by the description
        return {}
    lines = [f"{name} {told}" for name, parameters in runs.items() if (told := summary(parameters))]
    lines += remarks(runs)
    return {"belief": lines} if lines else {}
