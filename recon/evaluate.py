"""Scores of the images in a file against its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data import FileError, open_measurement
from recon.metrics import psnr, ssim


def score_table(scores: list[dict[str, Any]]) -> str:
    """Scores of `score_file` as text for a person: mean and standard deviation over scenes."""
    lines = [f"{'method':<18}{'PSNR, dB':>16}{'SSIM':>16}{'seconds':>10}{'scenes':>8}"]
    for row in scores:
        psnr_text = f"{row['psnr_db']:.2f} ± {row['psnr_db_std']:.2f}"
        ssim_text = f"{row['ssim']:.3f} ± {row['ssim_std']:.3f}"
        lines.append(f"{row['method']:<18}{psnr_text:>16}{ssim_text:>16}{row['seconds']:>10.3g}{row['n_scene']:>8}")
    return "\n".join(lines)


def score_file(path: Path) -> list[dict[str, Any]]:
    """PSNR (dB), 3D SSIM and seconds of each method: mean and standard deviation over scenes, read scene by scene.

    Raises
    ------
    data.FileError
        When the file has no truth or no image.
    """
    with open_measurement(path) as file:
        if not file.has_truth:
            raise FileError(path, "truth/reflectivity is missing: scores need a file whose truth is known")
        if not file.methods:
            raise FileError(path, "reconstruction is missing: expected at least one image, run reconstruct first")
        rows = []
        for method in file.methods:
            made = [file.reconstruction(method, [scene]) for scene in range(file.n_scene)]
            truths = [file.truth(scene) for scene in range(file.n_scene)]
            psnrs = np.array([psnr(m.magnitude[0], t) for m, t in zip(made, truths, strict=True)])
            ssims = np.array([ssim(m.magnitude[0], t) for m, t in zip(made, truths, strict=True)])
            rows.append(
                {
                    "method": method,
                    "n_scene": file.n_scene,
                    "psnr_db": float(psnrs.mean()),
                    "psnr_db_std": float(psnrs.std()),
                    "ssim": float(ssims.mean()),
                    "ssim_std": float(ssims.std()),
                    "seconds": float(np.mean([m.seconds[0] for m in made])),
                }
            )
    return rows
