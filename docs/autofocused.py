"""Plant errors in radars, correct them by autofocus, and write the table of docs/calibration.md: `make autofocus`.

The papers' array and four of the radars of ``other_arrays.py`` see scenes that no training saw. An image is made by
`METHOD` with the radar known, with the errors, and after autofocus. Autofocus cannot know where the scene is (to move
the array is to move the scene), so before its score each image is made again on a grid that is moved to where the scene
appears, the one before autofocus too. Results are kept in ``out/autofocus``, so that an interrupted run resumes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parent.parent
PAGE, KEPT = ROOT / "docs" / "calibration.md", ROOT / "out" / "autofocus"
SEED, SNR_DB, METHOD = 20_261_125, (30.0, 10.0), "pnp"


@dataclass(frozen=True)
class Planted:
    """Says what is wrong with a radar, and what autofocus is told of it."""

    title: str
    solve: str
    size: float
    per: str = "antenna"
    prior: float = 0.0


ERRORS = {
    "phase": Planted("phase, 30° an antenna", "phase", np.deg2rad(30), prior=np.deg2rad(30)),
    "position-1": Planted("antennas off by 1 mm", "position", 1e-3, prior=1e-3),
    "position-3": Planted("antennas off by 3 mm", "position", 3e-3, prior=3e-3),
    "delay": Planted("delay, 20 ps an antenna", "delay", 20e-12, prior=20e-12),
    "permittivity": Planted("permittivity 10 % off", "permittivity", 0.1, prior=0.1),
    "drift": Planted("drift of 60° over the pulses", "phase", np.deg2rad(60), "pulse", np.deg2rad(60)),
    "jitter": Planted("hand-held jitter of 2 mm", "position", 2e-3, "pulse", 2e-3),
}
"""What is planted, root mean square, with the prior of the same size."""

RADARS = ("paper", "random", "tee", "bowl")
PULSED = ("raster",)


def facts(name: str) -> dict[str, Any]:
    """Return array, sweep, grid and permittivity of a radar."""
    from other_arrays import radars

    from mimo.synth import paper_acquisition

    if name != "paper":
        return {"permittivity": 1.0} | radars()[name].make()
    paper = paper_acquisition()
    return {"array": paper.array, "sweep": paper.sweep, "grid": paper.grid, "permittivity": 1.0}


def planted(radar: Any, error: Planted, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return the true radar and the gain of its channels, ``(n_freq, n_channel)``."""
    array, freq = radar.array, radar.sweep.freq
    tx, rx = array.channel_indices().T
    none = np.ones((len(freq), len(tx)), complex)
    if error.solve == "permittivity":
        return radar.replace(medium=radar.permittivity * (1 + error.size)), none
    if error.solve == "position":
        shift = [rng.standard_normal((n, 3)) for n in (array.n_tx, array.n_rx)]
        if error.per == "pulse":  # a hand shakes slowly, and carries transmitter and receiver alike
            path = slow(array.n_tx, rng, 3)
            shift = [path, path]
        return radar.with_radar(
            tx_pos=array.tx_pos + error.size * shift[0], rx_pos=array.rx_pos + error.size * shift[1]
        ), none
    if error.per == "pulse":
        return radar, np.exp(1j * error.size * slow(len(tx), rng, 1)[:, 0]) * none
    each = error.size * rng.standard_normal(array.n_tx + array.n_rx)
    total = each[tx] + each[array.n_tx + rx]
    return radar, np.exp(1j * (total if error.solve == "phase" else -2 * np.pi * freq[:, None] * total)) * none


def slow(n: int, rng: np.random.Generator, n_column: int) -> Any:
    """Return slow random motions of root mean square 1, ``(n, n_column)``: a few periods over all pulses."""
    turns = np.arange(1, 7)
    wave = np.exp(2j * np.pi * np.multiply.outer(np.arange(n) / n, turns))
    drift = (wave @ (rng.standard_normal((6, n_column)) + 1j * rng.standard_normal((6, n_column)))).real
    drift -= drift.mean(0)
    return drift / np.sqrt((drift**2).mean(0))


def moved_grid(radar: Any, gain: Any, true: Any, true_gain: Any) -> Any:
    """Return the radar with its grid where it shows the scene of the true radar: shifted and turned to agree best."""
    from scipy.optimize import minimize

    from mimo import VoxelGrid

    grid = radar.grid
    axes = (grid.x, grid.y, grid.z)
    points = np.stack(np.meshgrid(*[np.unique(np.quantile(a, (0.2, 0.8))) for a in axes], indexing="ij"), -1)
    points = points.reshape(-1, 3)
    tx, rx = radar.array.channel_indices().T

    def echoes(one: Any, at: Any) -> Any:
        ways = [np.linalg.norm(place[:, None] - at, axis=-1) for place in (one.array.tx_pos[tx], one.array.rx_pos[rx])]
        return np.exp(-1j * one.wavenumber[:, None, None] * (ways[0] + ways[1]))

    wanted = true_gain[..., None] * echoes(true, points)

    def apart(shift: Any) -> float:
        seen = gain[..., None] * echoes(radar, points + 1e-3 * shift)
        return -float(np.abs((wanted.conj() * seen).mean((0, 1))).mean())

    step = 300 / (radar.sweep.freq.mean() / 1e9) / 2 / np.sqrt(radar.permittivity)  # half a wavelength, mm
    starts = [np.zeros(3), *(step * s * e for s in (-1, 1, 2, -2) for e in np.eye(3))]
    best = min((minimize(apart, start, method="Nelder-Mead") for start in starts), key=lambda made: made.fun).x * 1e-3
    return radar.replace(grid=VoxelGrid(*(axis + d for axis, d in zip(axes, best, strict=True))))


def trial(name: str, error: str, snr_db: float) -> dict[str, float]:
    """Return what autofocus made of a planted error, computed once."""
    path = KEPT / f"{name}_{error}_{snr_db:g}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    import torch

    from mimo import Acquisition, operator_of
    from mimo.autofocus import autofocus
    from mimo.data import Measurement
    from mimo.recon import reconstruct
    from mimo.recon.metrics import psnr
    from mimo.synth import add_noise, draw, random_phase

    what, radar = ERRORS[error], facts(name)
    rng = np.random.default_rng([SEED, *name.encode(), *error.encode()])
    nominal = Acquisition(radar["array"], radar["sweep"], radar["grid"], radar["permittivity"])
    truth = draw("shapes", nominal.grid, rng)
    true, gain = planted(nominal, what, rng)
    echo = operator_of(true).forward(torch.from_numpy(random_phase(truth, rng))).numpy()
    echo = add_noise(echo * nominal.array.spread_channels(gain, 1), snr_db, rng).astype(np.complex64)
    scan = Measurement(
        echo[None],
        nominal.array,
        nominal.sweep,
        nominal.grid,
        snr_db=np.array([snr_db], np.float32),
        permittivity=nominal.permittivity,
    )

    def seconds_of(work: Any) -> tuple[Any, float]:
        started = time.process_time()
        return work(), time.process_time() - started

    def score(one: Any, its_gain: Any) -> float:
        values = echo / nominal.array.spread_channels(its_gain, 1)
        seen = replace(
            scan,
            values=values[None].astype(np.complex64),
            array=one.array,
            permittivity=one.permittivity,
            grid=one.grid,
        )
        image = np.abs(reconstruct(METHOD, seen, check="none").image[0])
        return float(psnr(image if image.any() else image + 1e-9, truth))  # pnp leaves what no image explains

    nothing = np.ones_like(gain)
    perfect, image_seconds = seconds_of(lambda: score(true, gain))
    (_, found), seconds = seconds_of(
        lambda: autofocus(scan, solve=[what.solve], per=what.per, priors={what.solve: what.prior}, method=METHOD)
    )
    radar_found, gain_found = found.errors.acquisition(nominal), found.errors.response(nominal.sweep.freq)
    told = {
        "perfect": perfect,
        "before": score(moved_grid(nominal, nothing, true, gain), nothing),
        "after": score(moved_grid(radar_found, gain_found, true, gain), gain_found),
        "share before": found.before,
        "share after": found.after,
        "gained": float(found.gained),
        "seconds": seconds,
        "seconds of an image": image_seconds,
        "error left": left_over(what, nominal, true, radar_found),
    }
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told))
    click.echo(f"{name} {error} {snr_db:g} dB: " + ", ".join(f"{key} {value:.4g}" for key, value in told.items()))
    return told


def left_over(what: Planted, nominal: Any, true: Any, found: Any) -> float:
    """Return what is left of an error of place (metres along one axis, rigid motions taken out) or permittivity."""
    if what.solve == "permittivity":
        return abs(found.permittivity / true.permittivity - 1)
    if what.solve != "position":
        return 0.0
    pairs = [(getattr(one.array, side) for one in (nominal, true, found)) for side in ("tx_pos", "rx_pos")]
    places, there, here = (np.concatenate(three) for three in zip(*pairs, strict=True))
    turns = [np.cross(axis, places - places.mean(0)).flatten() for axis in np.eye(3)]
    rigid = np.stack([*(np.tile(axis, len(places)) for axis in np.eye(3)), *turns], 1)
    off = (here - there).flatten()
    return float(np.sqrt(np.mean((off - rigid @ np.linalg.lstsq(rigid, off, rcond=None)[0]) ** 2)))


def table(names: Sequence[str] = (*RADARS, *PULSED)) -> str:
    """Return the table in Markdown: a row for each error, radar and noise level."""
    lines = [
        f"One unseen scene each, images by `{METHOD}`, PSNR in dB with the radar known, with its errors and after "
        "autofocus; what of the loss was recovered; the energy of the data held out that the image predicts before and "
        "after; the error that is left; processor time over that of the image alone:",
        "",
        "| error | radar | SNR | known | before | after | recovered | predicted | left | time |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for error, what in ERRORS.items():
        for name in (one for one in names if (one in PULSED) == (what.per == "pulse")):
            for snr_db in SNR_DB:
                got = trial(name, error, snr_db)
                lost = got["perfect"] - got["before"]
                back = f"{100 * (got['after'] - got['before']) / lost:.0f} %" if lost > 0.3 else "no loss"
                left = {"position": f"{1e3 * got['error left']:.2f} mm", "permittivity": f"{got['error left']:.1%}"}
                lines.append(
                    f"| {what.title} | {name} | {snr_db:g} dB | {got['perfect']:.2f} | {got['before']:.2f} "
                    f"| {got['after']:.2f} | {back if got['gained'] else 'nothing found'} "
                    f"| {100 * got['share before']:.0f} to {100 * got['share after']:.0f} % "
                    f"| {left.get(what.solve, '')} | {got['seconds'] / got['seconds of an image']:.0f} x |"
                )
    return "\n".join([*lines, ""])


@click.command()
@click.option("--only", multiple=True, help="Radars to try; nothing is written then.")
def main(only: tuple[str, ...]) -> None:
    """Correct planted errors on five radars and write the table of docs/calibration.md."""
    from make import with_generated

    if only:
        click.echo(table(only))
        return
    PAGE.write_text(with_generated(PAGE.read_text(), table()))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    main()
