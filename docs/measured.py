"""Run every method on the measured scans, and write the tables and pictures of docs/measured.md: ``make measured``.

The data are read from ``../shared/measured``; without them nothing is written. Each method runs by a command of its own
with an empty cache, so that its time has all that it takes from a file to an image. Images and figures are kept in
``out/measured``; with ``--method`` those of the other methods are taken from there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parent.parent
PAGE, PICTURES = ROOT / "docs" / "measured.md", ROOT / "docs" / "pictures"
DATA = ROOT.parent / "shared" / "measured"
KEPT = ROOT / "out" / "measured"
BREASTS = ("B0_P3", "B10E_P3")
VOXELS = "x=-0.07:0.07:41,y=-0.07:0.07:41,z=0:0.07:21"
SQUARE = "x=-36:4:101,y=2:42:101,z=0:0:1"
ON_GOTCHA = ("backprojection", "backprojection-fast", "tikhonov", "l1", "pnp")
SHOWN = {
    "b0-methods.png": ("B0_P3", ("backprojection", "tikhonov", "l1", "tv", "pnp", "two-stage"), "-30"),
    "b10e-methods.png": ("B10E_P3", ("backprojection", "tikhonov", "l1", "tv", "pnp", "two-stage"), "-30"),
    "gotcha-methods.png": ("gotcha", ("backprojection", "l1", "pnp"), "-60"),
}
"""Scan, methods and lowest level (dB) of each picture."""
RADIUS = 0.07
"""Radius of the hemisphere in which the antennas stand, metres."""
LOBES = 8
"""Pixels each way that a point's lobes may reach."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Scan:
    """Says how a measured scan becomes a file, and on which voxels it is imaged."""

    name: str
    source: tuple[str, ...]
    grid: str
    facts: Callable[[Any, Any], Row]
    """What is measured of an image, given it and the array."""

    @property
    def measurement(self) -> Path:
        """File of the measurement."""
        return KEPT / f"{self.name}.h5"

    @property
    def images(self) -> Path:
        """File of the images."""
        return KEPT / f"{self.name}-images.h5"

    @property
    def rows(self) -> Path:
        """File of what was found of each method."""
        return KEPT / f"{self.name}.json"

    def make(self) -> None:
        """Import the scan."""
        run("import", str(DATA / self.source[0]), str(self.measurement), *self.source[1:], "--quiet")

    def reconstruct(self, method: str) -> Row:
        """Run one method as the command line does, from the file to its image, and return what was found."""
        from mimo.data import load, load_reconstructions

        command = ("reconstruct", str(self.measurement), str(self.images), "--method", method, "--grid", self.grid)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            with empty_cache():
                run(*command, "--overwrite", "--quiet")
        except ValueError as refused:
            return {"refused": str(refused)}
        row: Row = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        image = load_reconstructions(self.images)[method]
        told = image.parameters
        for name in ("explained", "explained_held_out", "explained_backprojection", "noise_from", "scene_iterations"):
            row[name] = (told.get(name) or [None])[0]
        return row | self.facts(image, load(self.measurement).array)


def hemisphere_facts(image: Any, array: Any) -> Row:
    """Return place and height of the maximum in the hemisphere, and how far it is from antennas and the rim."""
    grid, size = image.grid, image.magnitude[0].astype(float)
    place = np.stack(np.meshgrid(grid.x, grid.y, grid.z, indexing="ij"), axis=-1)
    inside = np.linalg.norm(place, axis=-1) <= RADIUS
    if image.inside is not None:
        inside &= image.inside
    size = np.where(inside, size, 0)
    peak = np.unravel_index(size.argmax(), size.shape)
    around = tuple(slice(max(0, i - 1), i + 2) for i in peak)
    at_rim = not inside[around].all() or inside[around].size < 27
    antennas = np.concatenate([array.tx_pos, array.rx_pos])
    return {
        "place": place[peak].tolist(),
        "height": float(size[peak]),
        "over_mean_db": float(20 * np.log10(size[peak] / size[inside].mean())),
        "from_antenna": float(np.linalg.norm(antennas - place[peak], axis=1).min()),
        "at_rim": bool(at_rim),
    }


def tops(size: np.ndarray) -> np.ndarray:
    """Return the magnitude where it is the largest of its neighbourhood, 0 elsewhere."""
    from scipy.ndimage import maximum_filter

    return np.where(size == maximum_filter(size, 3), size, 0)


def strongest(size: np.ndarray, n: int) -> list[tuple[int, int]]:
    """Return the pixels of the n strongest points, each without its own lobes."""
    left, found = tops(size), []
    for _ in range(n):
        i, j = (int(k) for k in np.unravel_index(left.argmax(), left.shape))
        found.append((i, j))
        left[max(0, i - LOBES) : i + LOBES + 1, max(0, j - LOBES) : j + LOBES + 1] = 0
    return found


def square_facts(image: Any, _: Any) -> Row:
    """Return how far the median is below the peak, and where the image has the strongest points of back-projection."""
    from mimo.data import load_reconstructions

    size = image.magnitude[0, :, :, 0].astype(float)
    reference = load_reconstructions(KEPT / "gotcha-images.h5")["backprojection"].magnitude[0, :, :, 0].astype(float)
    places = np.argwhere(tops(size) > 0)
    moved, levels = [], []
    for point in strongest(reference, 5):
        away = np.abs(places - point).max(axis=1)
        nearest = places[np.lexsort((-size[tuple(places.T)], away))[0]]
        moved.append(int(away.min()))
        levels.append(float(20 * np.log10(size[tuple(nearest)] / size.max())))
    median = float(np.median(size))
    return {
        "below_db": float(20 * np.log10(size.max() / median)) if median else None,
        "zero": float((size == 0).mean()),
        "moved": moved,
        "levels": levels,
    }


def scans() -> list[Scan]:
    """Return the scans of the page."""
    made = []
    for name in BREASTS:
        names = ("--scan", f"{name}_p000", "--background", f"{name}_p036", "--permittivity", "8")
        made.append(Scan(name, ("merit", *names), VOXELS, hemisphere_facts))
    return [*made, Scan("gotcha", ("gotcha",), SQUARE, square_facts)]


class empty_cache:  # noqa: N801 - used like a function
    """Keep nothing that was factorised before, and leave nothing."""

    def __enter__(self) -> None:
        self.before = os.environ.get("MIMO_CACHE_DIR")
        self.folder = os.environ["MIMO_CACHE_DIR"] = tempfile.mkdtemp(prefix="mimo-measured-")

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.before is None:
            del os.environ["MIMO_CACHE_DIR"]
        else:
            os.environ["MIMO_CACHE_DIR"] = self.before


def run(*arguments: str) -> None:
    """Run a command of the program."""
    from mimo.commands import command_line as app

    app.cli.main(arguments, standalone_mode=False)


def methods_of(scan: Scan) -> Sequence[str]:
    """Return the methods that are run on a scan."""
    from mimo.recon import METHODS

    return ON_GOTCHA if scan.name == "gotcha" else tuple(METHODS)


def breast_table(rows: dict[str, Row]) -> Iterator[str]:
    """Yield the lines of the table of a breast scan."""
    yield (
        "| method | maximum at, mm | from back-projection's, mm | nearest antenna, mm | peak over mean, dB | explained "
        "| of data held out | seconds (of processor) |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    first = rows["backprojection"]["place"]
    for method, row in rows.items():
        if "refused" in row:
            continue
        place = ", ".join(f"{1e3 * v:.1f}" for v in row["place"])
        away = 1e3 * float(np.linalg.norm(np.subtract(row["place"], first)))
        cells = [
            f"({place})" + (", at the rim" if row["at_rim"] else ""),
            f"{away:.1f}",
            f"{1e3 * row['from_antenna']:.0f}",
            f"{row['over_mean_db']:.1f}",
            share(row["explained"]),
            share(row["explained_held_out"]),
            f"{row['wall']:.1f} ({row['cpu']:.1f})",
        ]
        yield f"| `{method}` | {' | '.join(cells)} |"
    for method, row in rows.items():
        if "refused" in row:
            yield f"\n`{method}` refuses: {row['refused']}"


def square_table(rows: dict[str, Row]) -> Iterator[str]:
    """Yield the lines of the table of the Gotcha square."""
    yield (
        "| method | median below the peak, dB | below back-projection's, dB | pixels that are 0 | strongest points, dB "
        "| moved by, pixels | explained | of data held out | seconds (of processor) |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    first = rows["backprojection"]["below_db"]
    for method, row in rows.items():
        below = row["below_db"]
        cells = [
            "∞" if below is None else f"{below:.1f}",
            "∞" if below is None else f"{abs(below - first):.1f}",
            share(row["zero"]),
            ", ".join(f"{level:.1f}" for level in row["levels"]),
            ", ".join(map(str, row["moved"])),
            share(row["explained"]),
            share(row["explained_held_out"]),
            f"{row['wall']:.1f} ({row['cpu']:.1f})",
        ]
        yield f"| `{method}` | {' | '.join(cells)} |"


def share(value: float | None) -> str:
    """Return a share as text, a dash where it is not known."""
    return "-" if value is None else f"{100 * value:.1f} %"


@click.command()
@click.option("--method", "only", multiple=True, help="Make images of this method alone anew; may be repeated.")
@click.option("--keep", is_flag=True, help="Run no method: write tables and pictures of what out/measured holds.")
@click.option("--scan", "names", multiple=True, help="Of this scan alone: B0_P3, B10E_P3 or gotcha; may be repeated.")
def main(only: tuple[str, ...], keep: bool, names: tuple[str, ...]) -> None:
    """Run every method on the measured scans and write the tables and pictures of docs/measured.md."""
    sys.path[:0] = [str(ROOT / "docs")]
    from fresh import stamp
    from make import with_generated

    if not keep and not DATA.is_dir():
        click.echo(f"{DATA} is absent: nothing is measured, docs/measured.md stays as it is")
        return
    KEPT.mkdir(parents=True, exist_ok=True)
    parts = []
    for scan in scans():
        rows: dict[str, Row] = json.loads(scan.rows.read_text()) if scan.rows.exists() else {}
        if not keep and (not names or scan.name in names):
            scan.make()
            if not only:
                scan.images.unlink(missing_ok=True)
            for method in methods_of(scan):
                if not only or method in only or method not in rows:
                    rows[method] = scan.reconstruct(method)
                    click.echo(f"{scan.name} {method}: {rows[method]}")
                    scan.rows.write_text(json.dumps(rows, indent=1))
        rows = {method: rows[method] for method in methods_of(scan) if method in rows}
        if "backprojection" not in rows:
            continue
        table = square_table(rows) if scan.name == "gotcha" else breast_table(rows)
        title = "Gotcha, the square around the strongest point" if scan.name == "gotcha" else scan.name
        parts += [f"{title}:", "", *table, ""]
    PAGE.write_text(with_generated(PAGE.read_text(), "\n".join(parts)))
    for picture, (name, methods, floor) in SHOWN.items():
        if not (KEPT / f"{name}-images.h5").is_file():
            continue
        words = [word for method in methods for word in ("--method", method)]
        draw = ("figure", str(KEPT / f"{name}-images.h5"), str(PICTURES / picture), *words, "--layout", "columns")
        run(*draw, "--floor-db", floor, "--quiet")
        stamp([picture])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
