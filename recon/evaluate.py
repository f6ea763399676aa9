"""Score the images in a file against its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mimo.data import FileError, open_measurement
from mimo.data.files.soundness import sound_scenes
from mimo.recon.metrics import psnr, ssim
from mimo.recon.verdicts import outdone

__all__ = ["score_file", "score_table"]


def score_table(scores: list[dict[str, Any]]) -> str:
    """Format the scores of `score_file` as a table of text: mean and standard deviation over scenes."""
    lines = [f"{'method':<18}{'PSNR, dB':>16}{'SSIM':>16}{'seconds':>10}{'scenes':>8}"]
    for row in scores:
        psnr_text = f"{row['psnr_db']:.2f} ± {row['psnr_db_std']:.2f}"
        ssim_text = f"{row['ssim']:.3f} ± {row['ssim_std']:.3f}"
        lines.append(f"{row['method']:<18}{psnr_text:>16}{ssim_text:>16}{row['seconds']:>10.3g}{row['n_scene']:>8}")
    lines += [f"{row['method']} {row['remark']}" for row in scores if row.get("remark")]
    return "\n".join(lines)


def score_file(path: Path, *, skip_bad: bool = False) -> list[dict[str, Any]]:
    """Score each method in a file: PSNR (dB), 3D SSIM and seconds, as means and standard deviations over scenes.

    The scenes are read a few at a time. With `skip_bad` those that are damaged are left out, with a warning.

    Returns
    -------
    list of dict
        One for each method, with ``method``, ``n_scene``, ``psnr_db``, ``psnr_db_std``, ``ssim``, ``ssim_std``,
        ``seconds`` and ``remark``: that its images explain far less of the measurement than another's, or nothing.

    Raises
    ------
    mimo.data.FileError
        When the file has no truth or no image.
    """
    with open_measurement(path) as file:
        if not file.has_truth:
            raise FileError(path, "truth/reflectivity is missing: scores need a file whose truth is known")
        if not file.methods:
            raise FileError(path, "reconstruction is missing: expected at least one image, run reconstruct first")
        rows = []
        scenes = sound_scenes(file) if skip_bad else list(range(file.n_scene))
        missing = outdone({method: file.run(method)["parameters"] for method in file.methods})
        for method in file.methods:
            psnrs, ssims, seconds = [], [], file.run(method)["seconds"][scenes]
            for block in file.blocks():
                if not (chosen := [scene for scene in scenes if scene in block]):
                    continue
                for scene, magnitude in zip(chosen, file.reconstruction(method, chosen).magnitude, strict=True):
                    truth = file.truth(scene)
                    psnrs.append(psnr(magnitude, truth))
                    ssims.append(ssim(magnitude, truth))
            rows.append(
                {
                    "method": method,
                    "n_scene": len(scenes),
                    "psnr_db": float(np.mean(psnrs)),
                    "psnr_db_std": float(np.std(psnrs)),
                    "ssim": float(np.mean(ssims)),
                    "ssim_std": float(np.std(ssims)),
                    "seconds": float(seconds.mean()),
                    "remark": missing.get(method, ""),
                }
            )
    return rows
