"""Score the images in a file against its truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mimo.data import FileError, open_measurement
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


def score_file(path: Path) -> list[dict[str, Any]]:
    """Score each method in a file: PSNR (dB), 3D SSIM and seconds, as means and standard deviations over scenes.

    The scenes are read a few at a time.

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
        missing = outdone({method: file.run(method)["parameters"] for method in file.methods})
        for method in file.methods:
            psnrs, ssims, seconds = np.zeros(file.n_scene), np.zeros(file.n_scene), file.run(method)["seconds"]
            for block in file.blocks():
                magnitudes = file.reconstruction(method, slice(block.start, block.stop)).magnitude
                for scene, magnitude in zip(block, magnitudes, strict=True):
                    truth = file.truth(scene)
                    psnrs[scene], ssims[scene] = psnr(magnitude, truth), ssim(magnitude, truth)
            rows.append(
                {
                    "method": method,
                    "n_scene": file.n_scene,
                    "psnr_db": float(psnrs.mean()),
                    "psnr_db_std": float(psnrs.std()),
                    "ssim": float(ssims.mean()),
                    "ssim_std": float(ssims.std()),
                    "seconds": float(seconds.mean()),
                    "remark": missing.get(method, ""),
                }
            )
    return rows
