"""Commands for measured files: import and info."""

from __future__ import annotations

from pathlib import Path

import click

from commands.shared import as_json, example, print_json, quiet, say, writing


@click.command("import")
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


@click.command()
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
