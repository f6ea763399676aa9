"""Compare the methods on scenes that no training saw, and write the tables of docs/iterative.md: ``make compare``.

Test scenes come from a seed of their own, the papers' array and 15 frequencies at 30 dB; then other noise levels and
numbers of frequencies. The weights of `l1` and `tv` are the best of a sweep on validation scenes of another seed.
Figures of a condition are kept in ``out/compare``, so that an interrupted comparison goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "iterative.md"
KEPT = ROOT / "out" / "compare"
TEST_SEED, VALIDATION_SEED = 20_231_216, 20_231_217
PRESETS = ("paper", "shapes")
METHODS = ("backprojection", "kirchhoff", "tikhonov", "l1", "tv", "pnp")
SWEEPS = {"l1": (0.003, 0.01, 0.03, 0.1), "tv": (0.003, 0.005, 0.007, 0.01, 0.015)}
N_VALIDATION = 10
SNRS, FREQUENCIES = (30.0, 20.0, 10.0, 0.0), (5, 10, 15, 20, 40)


@dataclass(frozen=True)
class Condition:
    """What is reconstructed, and how."""

    preset: str
    method: str
    n_scene: int
    n_freq: int = 15
    snr_db: float = 30.0
    seed: int = TEST_SEED
    weight: float | None = None


def scores(condition: Condition) -> dict[str, float]:
    """PSNR, SSIM and seconds of one method on scenes of one kind; kept, under a name that has the weights' digest."""
    weights = hashlib.sha256((ROOT / "models" / "weights" / "denoiser-fast.safetensors").read_bytes()).hexdigest()[:8]
    names = [str(value) for value in asdict(condition).values()]
    path = KEPT / ("_".join([*names, weights] if condition.method == "pnp" else names) + ".json")
    if path.exists():
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    from recon.evaluate import score_file
    from recon.files import reconstruct_file
    from synth import generate

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
    )
    options: dict[str, Any] = {} if condition.weight is None else {"weight": condition.weight}
    reconstruct_file(scenes, scenes, [condition.method], options={condition.method: options})
    row = {name: value for name, value in score_file(scenes)[0].items() if name != "method"}
    path.write_text(json.dumps(row))
    click.echo(f"{condition}: {row['psnr_db']:.2f} dB, SSIM {row['ssim']:.3f}, {row['seconds']:.2f} s")
    return row


def best_weights() -> dict[str, float]:
    """The weight of l1 and tv with the highest mean PSNR over both presets on validation scenes."""
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
    """The tables of the page, in Markdown."""
    weights = best_weights()

    def row(preset: str, method: str, n: int, **more: Any) -> dict[str, float]:
        return scores(Condition(preset, method, n, weight=weights.get(method), **more))

    head = [f"{p} {what}" for p in PRESETS for what in ("PSNR, dB", "SSIM")]
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


@click.command()
@click.option("--n", "n_scene", default=30, show_default=True, help="Scenes of each preset, 15 frequencies, 30 dB.")
@click.option("--n-other", default=10, show_default=True, help="Scenes of each preset of the other conditions.")
def main(n_scene: int, n_other: int) -> None:
    """Compare the methods and write the tables of docs/iterative.md."""
    from make import with_generated

    PAGE.write_text(with_generated(PAGE.read_text(), tables(n_scene, n_other)))


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    main()
