"""Compare methods on arrays that no training saw, and write the table of docs/arrays.md: `make arrays`.

Twelve radars, chosen by hand to be like those that laboratories have. The networks' training drew its arrays at random
(`mimo.train.arrays`), so it met none of these. Each measures scenes of both presets at two noise levels. Scores are
kept in ``out/arrays``, by the digest of the weights, so that an interrupted comparison resumes and a new network is
tried alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parent.parent
PAGE, KEPT = ROOT / "docs" / "arrays.md", ROOT / "out" / "arrays"
SEED, SNR_DB, N_SCENE = 20_261_125, (30.0, 10.0), 4
METHODS = ("backprojection", "tikhonov", "l1", "pnp", "deep2s", "two-stage", "two-stage-any", "unrolled-any")


@dataclass(frozen=True)
class Radar:
    """One radar and its scene: what `mimo.synth.generate` takes."""

    title: str
    make: Callable[[], dict[str, Any]]


def cube(n: Sequence[int], size: Sequence[float], middle: Sequence[float]) -> Any:
    """Return a grid of so many voxels over an extent around a point, metres."""
    from mimo import VoxelGrid

    axes = [(m - s / 2, m + s / 2, k) for k, s, m in zip(n, size, middle, strict=True)]
    return VoxelGrid.from_extent(x=axes[0], y=axes[1], z=axes[2])


def band(low: float, high: float, n: int) -> Any:
    """Return a sweep, GHz."""
    from mimo import FrequencySweep

    return FrequencySweep.linear(1e9 * low, 1e9 * high, n)


def lines(n_tx: int, n_rx: int, tx: Sequence[float], rx: Sequence[float], at: Sequence[float]) -> Any:
    """Return transmitters along x and receivers along y, from first to last; `at` is the other coordinate of each."""
    from mimo import ArrayGeometry

    x, y = np.linspace(*tx, n_tx), np.linspace(*rx, n_rx)
    return ArrayGeometry(np.c_[x, np.full(n_tx, at[0]), 0 * x], np.c_[np.full(n_rx, at[1]), y, 0 * y])


def bowl(n: int, radius: float) -> Any:
    """Return antennas on three rings of a hemisphere, each pair once: a breast imager."""
    from mimo import ArrayGeometry

    rings = [np.deg2rad(elevation) for elevation in (10, 35, 60)]
    turn = np.arange(n) * 2 * np.pi / n
    points = np.concatenate(
        [
            radius * np.c_[np.cos(e) * np.cos(turn + i), np.cos(e) * np.sin(turn + i), np.full(n, np.sin(e))]
            for i, e in enumerate(rings)
        ]
    )
    pairs = np.array([(i, j) for i in range(len(points)) for j in range(i + 1, len(points))])
    return ArrayGeometry(points, points, pairs[::2])


def ring(n: int, radius: float) -> Any:
    """Return a monostatic antenna on a circle around the scene: a turntable."""
    from mimo import ArrayGeometry

    turn = np.arange(n) * 2 * np.pi / n
    points = radius * np.c_[np.cos(turn), np.sin(turn), np.full(n, 0.1)]
    return ArrayGeometry(points, points, np.c_[np.arange(n), np.arange(n)])


def radars() -> dict[str, Radar]:
    """Return the radars by name."""
    from mimo import ArrayGeometry

    def made(array: Any, sweep: Any, grid: Any, **more: Any) -> Callable[[], dict[str, Any]]:
        return lambda: {"array": array, "sweep": sweep, "grid": grid} | more

    cross = ArrayGeometry.mills_cross
    return {
        "cross-ka": Radar(
            "Mills cross of 8 x 8, 26 to 40 GHz",
            made(
                cross(n_tx=8, n_rx=8, width=0.2), band(26, 40, 20), cube((32, 32, 24), (0.12, 0.12, 0.15), (0, 0, 0.3))
            ),
        ),
        "ell": Radar(
            "L of 10 and 14 antennas, 6 to 14 GHz",
            made(
                lines(10, 14, (0, 0.3), (0, 0.4), (0, 0)),
                band(6, 14, 9),
                cube((24, 24, 30), (0.3, 0.3, 0.4), (0.1, 0.1, 0.6)),
            ),
        ),
        "tee": Radar(
            "T of 12 and 12 antennas, 2 to 8 GHz",
            made(
                lines(12, 12, (-0.4, 0.4), (0, 0.6), (0.6, 0)),
                band(2, 8, 10),
                cube((30, 30, 25), (0.7, 0.7, 0.6), (0, 0.2, 0.9)),
            ),
        ),
        "board": Radar(
            "3 x 4 board at 77 to 81 GHz, moved to 24 places",
            made(_moved_board(), band(77, 81, 8), cube((24, 24, 16), (0.35, 0.07, 0.3), (0, 0, 0.4))),
        ),
        "planar": Radar(
            "planar 4 x 4 transmitters, 6 x 6 receivers, 8 to 12 GHz",
            made(
                ArrayGeometry.uniform_planar(tx_shape=(4, 4), rx_shape=(6, 6), width=0.4),
                band(8, 12, 5),
                cube((24, 24, 12), (0.24, 0.24, 0.3), (0, 0, 0.5)),
            ),
        ),
        "random": Radar(
            "9 and 11 antennas at random, 4 to 12 GHz",
            made(
                ArrayGeometry.random_planar(n_tx=9, n_rx=11, width=0.35, seed=77),
                band(4, 12, 16),
                cube((20, 28, 32), (0.25, 0.35, 0.4), (0.05, 0, 0.55)),
            ),
        ),
        "raster": Radar(
            "monostatic raster of 16 x 16, 18 to 26 GHz",
            made(
                ArrayGeometry.planar_scan(shape=(16, 16), width=0.15),
                band(18, 26, 7),
                cube((32, 32, 16), (0.16, 0.16, 0.2), (0, 0, 0.25)),
            ),
        ),
        "raster-narrow": Radar(
            "monostatic raster of 24 x 12, 9 to 10 GHz",
            made(
                ArrayGeometry.planar_scan(shape=(24, 12), width=0.4, height=0.2),
                band(9, 10, 5),
                cube((32, 20, 12), (0.3, 0.2, 0.4), (0, 0, 0.5)),
            ),
        ),
        "bowl": Radar(
            "hemisphere of 24 antennas in a medium of permittivity 8, 2 to 8 GHz",
            made(
                bowl(8, 0.07), band(2, 8, 10), cube((22, 22, 14), (0.07, 0.07, 0.042), (0, 0, 0.022)), permittivity=8.0
            ),
        ),
        "turntable": Radar(
            "one antenna around the scene at 72 angles, 2 to 6 GHz, flat",
            made(ring(72, 0.6), band(2, 6, 20), cube((56, 56, 1), (0.5, 0.5, 0.0), (0, 0, 0))),
        ),
        "few": Radar(
            "4 and 5 antennas, 3 to 10 GHz, 48 frequencies",
            made(cross(n_tx=4, n_rx=5, width=0.4), band(3, 10, 48), cube((25, 25, 40), (0.3, 0.3, 0.35), (0, 0, 0.5))),
        ),
        "coarse": Radar(
            "Mills cross of 14 x 14, voxels of twice the resolution",
            made(cross(n_tx=14, n_rx=14, width=0.5), band(10, 30, 7), cube((24, 24, 30), (0.4, 0.4, 0.5), (0, 0, 0.7))),
        ),
    }


def _moved_board() -> Any:
    """Return a board of 3 transmitters and 4 receivers a half wavelength apart, at 24 places along y: channels."""
    from mimo import ArrayGeometry

    half = 299_792_458 / 79e9 / 2
    tx = np.c_[4 * half * np.arange(3), np.zeros(3), np.zeros(3)] - (4 * half, 0, 0)
    rx = np.c_[half * np.arange(4), np.zeros(4), np.zeros(4)] + (10 * half, 0, 0)
    shifts = np.linspace(-0.04, 0.04, 24)
    all_tx, all_rx = (np.concatenate([p + np.array([0, s, 0]) for s in shifts]) for p in (tx, rx))
    pairs = [(3 * k + i, 4 * k + j) for k in range(len(shifts)) for i in range(3) for j in range(4)]
    return ArrayGeometry(all_tx, all_rx, np.array(pairs))


def score(name: str, radar: Radar, method: str) -> dict[str, float]:
    """Return mean PSNR (dB), SSIM and seconds of a method on a radar's scenes, computed once."""
    from compare import digest_of, weights_of

    network = "denoiser-fast" if method == "pnp" else method
    path = KEPT / ("_".join([name, method, *digest_of(network)]) + ".json")
    if path.exists():
        return dict(json.loads(path.read_text()))
    from mimo import recon
    from mimo.data import load
    from mimo.recon.metrics import psnr, ssim
    from mimo.recon.run import reconstruct
    from mimo.synth import generate

    KEPT.mkdir(parents=True, exist_ok=True)
    chosen = method if method in recon.METHODS else str(weights_of(method))
    found = []
    for preset in ("paper", "shapes"):
        for snr_db in SNR_DB:
            scenes = KEPT / "scenes.h5"
            scenes.unlink(missing_ok=True)
            generate(scenes, n=N_SCENE, preset=preset, snr_db=snr_db, seed=SEED, shard_size=N_SCENE, **radar.make())
            measured = load(scenes)
            made = reconstruct(chosen, measured, check="none")
            for image, truth, seconds in zip(made.image, np.asarray(measured.truth), made.seconds, strict=True):
                image = image if image.any() else image + 1e-9
                found.append((psnr(image, truth), ssim(image, truth), float(seconds)))
    means = dict(zip(("psnr_db", "ssim", "seconds"), map(float, np.mean(found, axis=0)), strict=True))
    path.write_text(json.dumps(means))
    click.echo(f"{name} {method}: {means['psnr_db']:.2f} dB, SSIM {means['ssim']:.3f}, {means['seconds']:.2f} s")
    return means


def table(methods: Sequence[str]) -> str:
    """Return the table in Markdown: a row for each radar, a column for each method."""
    cases = radars()
    lines = [
        f"{N_SCENE} scenes of each preset at {' and '.join(f'{s:g}' for s in SNR_DB)} dB, mean PSNR in dB:",
        "",
        "| radar | channels x frequencies | voxels | " + " | ".join(f"`{m}`" for m in methods) + " |",
        "|---|---|---|" + "---|" * len(methods),
    ]
    columns: dict[str, list[float]] = {method: [] for method in methods}
    for name, radar in cases.items():
        cells = [score(name, radar, method)["psnr_db"] for method in methods]
        for method, value in zip(methods, cells, strict=True):
            columns[method].append(value)
        facts = radar.make()
        size = f"{facts['array'].n_channel} x {facts['sweep'].n_freq}"
        shape = " x ".join(map(str, facts["grid"].shape))
        lines.append(f"| {radar.title} | {size} | {shape} | " + " | ".join(f"{v:.2f}" for v in cells) + " |")
    lines.append("| **mean** | | | " + " | ".join(f"**{np.mean(columns[m]):.2f}**" for m in methods) + " |")
    return "\n".join([*lines, ""])


@click.command()
@click.option("--only", multiple=True, help="Methods to show, names or those in out/train; nothing is written then.")
def main(only: tuple[str, ...]) -> None:
    """Compare methods on twelve radars and write the table of docs/arrays.md."""
    from compare import weights_of
    from make import with_generated

    from mimo import recon

    if only:
        click.echo(table(only))
        return
    there = [method for method in METHODS if method in recon.METHODS or weights_of(method)]
    PAGE.write_text(with_generated(PAGE.read_text(), table(there)))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    main()
