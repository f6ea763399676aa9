"""Model cards: what weights are, from what, how good, and how to make them again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["model_card"]

N_ROW = 12
"""Rows of the table of the validation curve."""


def model_card(weights: Path, checkpoint: dict[str, Any], *, command: str, presets: str) -> str:
    """Return the model card of a checkpoint's averaged weights, in Markdown.

    Parameters
    ----------
    weights
        The file that it is about.
    checkpoint
        As read by `load_checkpoint`.
    command
        What was typed to train.
    presets
        The kinds of scenes.
    """
    config, history = checkpoint["config"], checkpoint["history"]
    network, data, steps = config["network"], config["data"], config["optimizer"]
    n_parameters = sum(tensor.numel() for tensor in checkpoint["ema"].values())
    lines = [
        f"# {weights.stem}",
        "",
        "A denoiser of the magnitude of 3D radar reflectivity: magnitude and noise level in, magnitude out.",
        "",
        f"- network: 3D U-Net, {network['levels']} levels, width {network['width']}, sub-pixel factor "
        f"{network['subpixel']}, {n_parameters:,} parameters, trained on synthetic data alone",
        f"- scenes: synthesized on the fly, {presets or 'as the command says'}; batches of "
        + ", ".join(" x ".join(map(str, shape)) for shape in sorted(set(map(tuple, data["shapes"]))))
        + f" voxels; seed {data['seed']}",
        f"- corruption: `{data['corruption']}` (`models/corruption.py`){_runs(config.get('runs', {}))}",
        f"- samples seen: {checkpoint['step'] * steps['batch']:,} in {checkpoint['step']:,} steps of {steps['batch']}, "
        f"{checkpoint['seconds'] / 60:.0f} minutes",
        f"- loss: mean square error, weighting `{steps['weighting']}`; AdamW, rate {steps['learning_rate']:g}, "
        f"{steps['schedule']}; these are the averaged weights (decay {steps['ema']:g})",
        f"- torch {checkpoint.get('torch', 'of unknown version')}; licence MIT",
        "",
    ]
    if command:
        lines += ["Trained by:", "", f"    {command}", ""]
    if history:
        names = [name for name in history[-1] if name.startswith("psnr_")]
        every = max(1, -(-(len(history) - 1) // (N_ROW - 1)))
        rows = history[::-1][::every][::-1]
        lines += [
            "## Validation",
            "",
            f"Mean PSNR in dB over {config['output']['n_validation']} scenes of a fixed seed, never trained on: at "
            "the noise levels 0.05, 0.1 and 0.2, and (`band`) on targets seen through random point-spread functions.",
            "",
            "| samples | minutes | " + " | ".join(name.removeprefix("psnr_") for name in names) + " |",
            "|---|---|" + "---|" * len(names),
        ]
        lines += [
            f"| {row['samples']:,} | {row['seconds'] / 60:.1f} | " + " | ".join(f"{row[n]:.2f}" for n in names) + " |"
            for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _runs(runs: dict[str, Any]) -> str:
    """Say what share of the steps learned from runs."""
    if not runs.get("share"):
        return ""
    return (
        f"; from step {runs['after']:,} on {100 * runs['share']:.0f} % of the steps learn from plug-and-play runs with "
        f"the network itself on {runs['geometries']} geometries (`recon/rehearsal.py`)"
    )
