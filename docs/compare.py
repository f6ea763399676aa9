"""Compare the methods on scenes that no training saw, and write the tables of docs/iterative.md and docs/learned.md.

``make compare`` writes the tables of the iterative methods, ``make learned`` those of all methods, learned ones too.

Test scenes come from a seed of their own. They are measured by the papers' array at 15 frequencies and 30 dB SNR, then
at other noise levels and numbers of frequencies. The weights of `l1` and `tv` are the best of several on validation
scenes of another seed. The scores of each condition are kept in ``out/compare``, so that an interrupted comparison
resumes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parent.parent
PAGE, LEARNED_PAGE = ROOT / "docs" / "iterative.md", ROOT / "docs" / "learned.md"
KEPT = ROOT / "out" / "compare"
TEST_SEED, VALIDATION_SEED = 20_231_216, 20_231_217
PRESETS = ("paper", "shapes")
WHAT = ("PSNR, dB", "SSIM")
METHODS = ("backprojection", "kirchhoff", "tikhonov", "l1", "tv", "pnp")
SWEEPS = {"l1": (0.003, 0.01, 0.03, 0.1), "tv": (0.003, 0.005, 0.007, 0.01, 0.015)}
N_VALIDATION = 10
DENOISERS = ("denoiser-fast", "denoiser-fast-plain", "denoiser", "denoiser-fast-white", "denoiser-white")
N_DENOISED, LEVELS = 32, (0.05, 0.1, 0.2)
SNRS, FREQUENCIES = (30.0, 20.0, 10.0, 0.0), (5, 10, 15, 20, 40)
LEARNED_FREQUENCIES = (5, 10, 15, 40)
ERRORS = {
    "phase": ("phase errors of 10 degrees", {"phase_error_deg": 10.0}),
    "missing": ("10 % of the channels missing", {"missing_channels": 0.1}),
    "position": ("antennas 1 mm off", {"position_error": 1e-3}),
}
SHORT = ("deep2s-short", "two-stage-short")
"""Variants of the networks that ship, trained for as few scenes as the networks that do not ship."""
TRAINED = ROOT / "out" / "train"
"""Folder of weights that were trained here and do not ship."""


@dataclass(frozen=True)
class Condition:
    """Holds what is reconstructed in one experiment, and how."""

    preset: str
    method: str
    n_scene: int
    n_freq: int = 15
    snr_db: float = 30.0
    seed: int = TEST_SEED
    weight: float | None = None
    errors: str = ""
    """Errors of the radar, a key of `ERRORS`; empty for none."""
    denoiser: str = ""
    """Denoiser of `pnp`; empty for the default one."""

    @property
    def stem(self) -> str:
        """Name of the file that keeps the scores: all that they depend on, a digest of the weights included."""
        values = [str(value) for name, value in asdict(self).items() if value or name not in ("errors", "denoiser")]
        name = (self.denoiser or "denoiser-fast") if self.method == "pnp" else self.method
        return "_".join([*values, *digest_of(name)])


def digest_of(name: str) -> list[str]:
    """Return the digest of a network's weights in a list, which is empty where there are none."""
    path = weights_of(name)
    return [] if path is None else [hashlib.sha256(path.read_bytes()).hexdigest()[:8]]


def weights_of(name: str) -> Path | None:
    """Return the file of weights of a network that ships or was trained here, or ``None``."""
    for path in (ROOT / "models" / "weights" / f"{name}.safetensors", TRAINED / f"{name}.safetensors"):
        if path.is_file():
            return path
    return None


def scores(condition: Condition) -> dict[str, float]:
    """Return PSNR (dB), SSIM and seconds of a method under one condition, computed once and kept in a file."""
    path = KEPT / f"{condition.stem}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    from mimo.recon.evaluate import score_file
    from mimo.recon.files import reconstruct_file
    from mimo.synth import Realism, generate

    KEPT.mkdir(parents=True, exist_ok=True)
    scenes = KEPT / "scenes.h5"
    scenes.unlink(missing_ok=True)
    generate(
        scenes,
        n=condition.n_scene,
        preset=condition.preset,
        n_freq=condition.n_freq,
        snr_db=condition.snr_db,
        seed=condition.seed,
        shard_size=condition.n_scene,
        realism=Realism(**ERRORS[condition.errors][1]) if condition.errors else None,
    )
    options: dict[str, Any] = {} if condition.weight is None else {"weight": condition.weight}
    if condition.denoiser:
        options["denoiser"] = condition.denoiser
    method = condition.method
    if method not in available():
        method = str(weights_of(method))
    reconstruct_file(scenes, scenes, [method], options={method: options})
    row = {name: value for name, value in score_file(scenes)[0].items() if name != "method"}
    path.write_text(json.dumps(row))
    click.echo(f"{condition}: {row['psnr_db']:.2f} dB, SSIM {row['ssim']:.3f}, {row['seconds']:.2f} s")
    return row


def available() -> set[str]:
    """Return the names of the methods that ship."""
    from mimo import recon

    return set(recon.METHODS)


def best_weights() -> dict[str, float]:
    """Find the weights of l1 and tv with the highest mean PSNR over both presets on validation scenes."""
    chosen = {}
    for method, weights in SWEEPS.items():
        means = [
            np.mean(
                [scores(Condition(p, method, N_VALIDATION, seed=VALIDATION_SEED, weight=w))["psnr_db"] for p in PRESETS]
            )
            for w in weights
        ]
        chosen[method] = weights[int(np.argmax(means))]
    return chosen


def tables(n_scene: int, n_other: int) -> str:
    """Return the tables of docs/iterative.md, in Markdown."""
    weights = best_weights()

    def row(preset: str, method: str, n: int, **more: Any) -> dict[str, float]:
        return scores(Condition(preset, method, n, weight=weights.get(method), **more))

    head = [f"{p} {what}" for p in PRESETS for what in WHAT]
    lines = [
        f"{n_scene} scenes of each preset, 15 frequencies, 30 dB (mean ± standard deviation over scenes); weights of "
        f"the sweep: l1 {weights['l1']:g}, tv {weights['tv']:g}:",
        "",
        "| method | " + " | ".join(head) + " | seconds a scene, in batches |",
        "|---|" + "---|" * (len(head) + 1),
    ]
    means = {}
    for method in METHODS:
        found = [row(p, method, n_scene) for p in PRESETS]
        means[method] = [f["psnr_db"] for f in found]
        cells = [c for f in found for c in (f"{f['psnr_db']:.2f} ± {f['psnr_db_std']:.2f}", f"{f['ssim']:.3f}")]
        lines.append(f"| `{method}` | " + " | ".join(cells) + f" | {np.mean([f['seconds'] for f in found]):.2f} |")
    sparse = np.maximum(means["l1"], means["tv"])
    formed = np.maximum(means["backprojection"], means["kirchhoff"])
    gains = [np.subtract(means["pnp"], sparse), np.subtract(sparse, formed)]
    texts = [
        f"{g.mean():+.2f} dB ({', '.join(f'{p} {v:+.2f}' for p, v in zip(PRESETS, g, strict=True))})" for g in gains
    ]
    lines += ["", f"`pnp` over the better of l1 and tv: {texts[0]}; that over the better image former: {texts[1]}.", ""]
    for title, name, values in (("SNR, dB", "snr_db", SNRS), ("frequencies", "n_freq", FREQUENCIES)):
        heads = [f"{v:g}" for v in values]
        lines += [
            f"By {title}, {n_other} scenes of each preset, mean PSNR in dB over both (SSIM):",
            "",
            f"| {title} | " + " | ".join(heads) + " |",
            "|---|" + "---|" * len(values),
        ]
        for method in METHODS:
            cells = []
            for value in values:
                found = [row(p, method, n_other, **{name: value}) for p in PRESETS]
                cells.append(
                    f"{np.mean([f['psnr_db'] for f in found]):.2f} ({np.mean([f['ssim'] for f in found]):.3f})"
                )
            lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def denoiser_table(n_scene: int) -> str:
    """Return the table of the denoisers, by themselves and as the prior of `pnp`, in Markdown."""
    kinds = [(kind, level) for kind in ("speckle", "white") for level in LEVELS]
    lines = [
        f"Denoisers: PSNR in dB on {N_DENOISED} unseen scenes of both presets with complex noise seen as a magnitude "
        f"(speckle) and with real white noise, by its rms; seconds a volume; `pnp` with each, {n_scene} scenes of each "
        "preset, 15 frequencies, 30 dB:",
        "",
        "| weights | " + " | ".join(f"{kind} {level:g}" for kind, level in kinds) + " | seconds | `pnp`, dB (SSIM) |",
        "|---|" + "---|" * (len(kinds) + 2),
    ]
    for name in DENOISERS:
        denoised = denoiser_scores(name)
        other = "" if name == DENOISERS[0] else name
        rows = [scores(Condition(preset, "pnp", n_scene, denoiser=other)) for preset in PRESETS]
        cells = [f"{denoised[f'{kind} {level:g}']:.2f}" for kind, level in kinds] + [f"{denoised['seconds']:.3f}"]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {mean(rows, 'psnr_db'):.2f} ({mean(rows, 'ssim'):.3f}) |")
    return "\n".join([*lines, ""])


def denoiser_scores(name: str) -> dict[str, float]:
    """Return a denoiser's PSNR (dB) by kind and level of noise, and seconds for a volume (least of ten); kept."""
    path = KEPT / f"{'_'.join(['denoised', name, *digest_of(name)])}.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    import torch

    from mimo.models import Denoiser
    from mimo.synth.paper import paper_grid
    from mimo.train import PresetScenes
    from mimo.train.corruption import CORRUPTIONS
    from mimo.train.denoiser import psnr

    draw, denoiser = PresetScenes("both", paper_grid()).draw, Denoiser.load(name)
    scenes = [draw(np.random.default_rng([TEST_SEED, i])) for i in range(N_DENOISED)]
    clean = torch.from_numpy(np.stack([scene / scene.max() for scene in scenes]))
    found = {}
    for kind, corrupt in CORRUPTIONS.items():
        for level in LEVELS:
            pair = corrupt(clean, torch.Generator().manual_seed(TEST_SEED), std=level)
            found[f"{kind} {level:g}"] = psnr(denoiser(pair.noisy, pair.sigma), pair)
    times = []
    for _ in range(10):
        started = time.perf_counter()
        denoiser(clean[0], 0.1)
        times.append(time.perf_counter() - started)
    found["seconds"] = min(times)
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return found


def learned_tables(n_scene: int, n_other: int) -> str:
    """Return the tables of docs/learned.md: all networks, then those that ship under other conditions."""
    from mimo.recon.learned import LEARNED

    shipped = [name for name in LEARNED if name in available()]
    others = [name for name in (*SHORT, *LEARNED) if name not in shipped and weights_of(name) is not None]
    weights = best_weights()
    counts = {"paper": n_scene, "shapes": n_scene // 2}

    def row(preset: str, method: str, n: int, **more: Any) -> dict[str, float]:
        return scores(Condition(preset, method, n, weight=weights.get(method), **more))

    def rows(methods: Sequence[str]) -> Iterator[str]:
        heads = ("method", "parameters", "scenes", "seconds", *(f"{p} {what}" for p in PRESETS for what in WHAT))
        yield f"| {' | '.join(heads)} |"
        yield "|" + "---|" * len(heads)
        for method in methods:
            cells = []
            for preset in PRESETS:
                f = row(preset, method, counts[preset])
                cells += [f"{f['psnr_db']:.2f} ± {f['psnr_db_std']:.2f}", f"{f['ssim']:.3f} ± {f['ssim_std']:.3f}"]
            figures = " | ".join((*training(method), f"{seconds_alone(method):.3f}", *cells))
            yield f"| `{method}` | {figures} |"

    lines = [
        f"{counts['paper']} scenes of preset paper and {counts['shapes']} of shapes, 15 frequencies, 30 dB (mean ± "
        "standard deviation over scenes; scenes of the training; seconds of one scene alone, without what is made once "
        "for a geometry):",
        "",
        *rows([*METHODS, *shipped]),
    ]
    if others:
        lines += ["", "The same of networks trained here that do not ship:", "", *rows(others)]
    shown = [*METHODS, *shipped]
    tables = (
        ("SNR, dB", [(f"{v:g}", {"snr_db": v}) for v in SNRS]),
        ("frequencies", [(str(v), {"n_freq": v}) for v in LEARNED_FREQUENCIES]),
        ("errors of the radar", [("none", {}), *((text, {"errors": key}) for key, (text, _) in ERRORS.items())]),
    )
    for title, columns in tables:
        lines += [
            "",
            f"By {title}, {n_other} scenes of each preset, mean PSNR in dB over both (SSIM):",
            "",
            f"| {title} | " + " | ".join(head for head, _ in columns) + " |",
            "|---|" + "---|" * len(columns),
        ]
        for method in shown:
            found = [[row(p, method, n_other, **more) for p in PRESETS] for _, more in columns]
            cells = [f"{mean(each, 'psnr_db'):.2f} ({mean(each, 'ssim'):.3f})" for each in found]
            lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def mean(rows: list[dict[str, float]], name: str) -> float:
    """Return the mean of one score."""
    return float(np.mean([row[name] for row in rows]))


def training(method: str) -> tuple[str, str]:
    """Return a network's number of parameters and the number of scenes that it saw in training, or nothing."""
    from mimo.models.reconstructor import Reconstructor

    path = weights_of(method)
    if path is None:
        return "", ""
    network = Reconstructor.load(path)
    return f"{network.n_parameters:,}", f"{network.info['samples']:,}"


def seconds_alone(method: str) -> float:
    """Return the seconds of one scene of preset paper, least of three after one to warm up; kept like the scores."""
    condition = Condition("paper", method, 1)
    path = KEPT / f"seconds_{condition.stem}.json"
    if not path.exists():
        from mimo.data import load
        from mimo.recon import make_problem, run_method
        from mimo.synth import generate

        KEPT.mkdir(parents=True, exist_ok=True)
        scene = generate(KEPT / "scene.h5", n=1, seed=TEST_SEED)
        problem = make_problem(load(scene))
        name = method if method in available() else str(weights_of(method))
        times = [float(run_method(name, problem, check="none").seconds[0]) for _ in range(4)]
        path.write_text(json.dumps(min(times[1:])))
    return float(json.loads(path.read_text()))


@click.command()
@click.option(
    "--learned", is_flag=True, help="Write the tables of docs/learned.md instead; --n shapes are half as many."
)
@click.option("--n", "n_scene", default=30, show_default=True, help="Scenes of each preset, 15 frequencies, 30 dB.")
@click.option("--n-other", default=8, show_default=True, help="Scenes of each preset of the other conditions.")
def main(learned: bool, n_scene: int, n_other: int) -> None:
    """Compare the methods and write the tables of docs/iterative.md."""
    from make import with_generated

    if learned:
        LEARNED_PAGE.write_text(with_generated(LEARNED_PAGE.read_text(), learned_tables(n_scene, n_other)))
        return
    made = "\n".join([tables(n_scene, n_other), denoiser_table(n_other)])
    PAGE.write_text(with_generated(PAGE.read_text(), made))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    main()
