"""Make geometry files, arrays without a measurement: the command array and its layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimo.commands.shared import INPUT, OUTPUT, example, quiet, say, writing

if TYPE_CHECKING:
    from mimo import ArrayGeometry

__all__ = ["array", "board", "from_table", "mills_cross", "planar"]


@click.group("array")
@example("mimo array mills-cross --n-tx 12 --n-rx 13 --width 0.3 -o out/array.h5")
def array() -> None:
    """Make a geometry file: an array without a measurement, for synth --array and info."""


def _layout(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every layout has."""
    for option in (
        quiet,
        click.option("--grid", metavar="GRID", help="Voxels to keep with it: x=A:B:N,y=A:B:N,z=A:B:N, metres."),
        click.option("--freq", metavar="START:STOP:COUNT", help="Frequencies to keep with it, Hz."),
        click.option("--out", "-o", type=OUTPUT, required=True, help="The geometry file."),
    ):
        function = option(function)
    return function


def _write(made: ArrayGeometry, out: Path, freq: str | None, grid: str | None, hidden: bool) -> None:
    from mimo import FrequencySweep, VoxelGrid
    from mimo.data.files.geometry import Geometry, save_geometry
    from mimo.data.importers.tracks import numbers_of

    sweep = None if freq is None else FrequencySweep(numbers_of("--freq", freq))
    with writing(out):
        save_geometry(out, Geometry(made, sweep, VoxelGrid.parse(grid) if grid else None))
    say(f"{out}: {made.name or 'array'}, {made.n_tx} tx, {made.n_rx} rx, {made.n_channel} channels", hidden=hidden)


@array.command("mills-cross")
@click.option("--n-tx", type=int, required=True, help="Transmitters on one diagonal.")
@click.option("--n-rx", type=int, required=True, help="Receivers on the other.")
@click.option("--width", type=float, required=True, help="Side of the square, metres.")
@_layout
@example("mimo array mills-cross --n-tx 12 --n-rx 13 --width 0.3 -o out/cross.h5")
def mills_cross(n_tx: int, n_rx: int, width: float, out: Path, freq: str | None, grid: str | None, quiet: bool) -> None:
    """Transmitters on one diagonal of a square, receivers on the other, the papers' array."""
    from mimo import ArrayGeometry

    _write(ArrayGeometry.mills_cross(n_tx=n_tx, n_rx=n_rx, width=width), out, freq, grid, quiet)


@array.command("planar")
@click.option("--tx-shape", metavar="NX,NY", required=True, help="Transmitters along x and y.")
@click.option("--rx-shape", metavar="NX,NY", required=True, help="Receivers along x and y.")
@click.option("--width", type=float, required=True, help="Side along x, metres.")
@click.option("--height", type=float, help="Side along y; a square without it.")
@_layout
@example("mimo array planar --tx-shape 2,3 --rx-shape 8,8 --width 0.2 -o out/planar.h5 --freq 20e9:30e9:51")
def planar(
    tx_shape: str,
    rx_shape: str,
    width: float,
    height: float | None,
    out: Path,
    freq: str | None,
    grid: str | None,
    quiet: bool,
) -> None:
    """Two regular grids of antennas over one rectangle."""
    from mimo import ArrayGeometry
    from mimo.options import read_value

    shapes = {
        name: read_value(f"--{name.replace('_', '-')}", text, tuple[int, ...])
        for name, text in (("tx_shape", tx_shape), ("rx_shape", rx_shape))
    }
    _write(ArrayGeometry.uniform_planar(**shapes, width=width, height=height), out, freq, grid, quiet)


@array.command("board")
@click.argument("name")
@click.option("--tx-offset", metavar="X,Y,Z", help="What all transmitters are further away than the drawing says, m.")
@click.option("--mirror", is_flag=True, help="Negate x.")
@_layout
@example("mimo array board iwr1843 -o out/board.h5 --freq 77e9:81e9:256")
def board(
    name: str, tx_offset: str | None, mirror: bool, out: Path, freq: str | None, grid: str | None, quiet: bool
) -> None:
    """Antennas of a TI radar board: iwr1443, iwr1642, iwr1843, iwr6843isk, iwr6843aop or awr2243-cascade."""
    from mimo.data.importers.boards import board_array
    from mimo.data.importers.tracks import three
    from mimo.options import read_value

    offset = read_value("--tx-offset", tx_offset, tuple[float, ...]) if tx_offset else (0.0, 0.0, 0.0)
    made, _ = board_array(name, tx_offset=tuple(three("--tx-offset", offset)), mirror=mirror)
    _write(made, out, freq, grid, quiet)


@array.command("from-table")
@click.argument("table", type=INPUT)
@click.argument("receivers", type=INPUT, required=False)
@click.option("--unit", required=True, metavar="UNIT", help="Unit of length of the tables: m, cm, mm, um or inch.")
@_layout
@example("mimo array from-table antennas.csv --unit mm -o out/array.h5")
def from_table(
    table: Path, receivers: Path | None, unit: str, out: Path, freq: str | None, grid: str | None, quiet: bool
) -> None:
    """Positions from TABLE: text with kind,x,y,z, or .npz, .h5, .mat with tx_pos and rx_pos.

    With RECEIVERS, TABLE holds the transmitters alone; both are rows of x,y,z (.csv, .dat).
    """
    from mimo.data.importers.array_tables import array_from_table
    from mimo.output_file import refuse_inputs

    refuse_inputs(out, [table, receivers])
    _write(array_from_table(table, receivers, unit=unit), out, freq, grid, quiet)
