"""Write model cards, which say what weights are, from what they came, how good they are and how to make them again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mimo.models.trained_for import acquisition_from_table
from mimo.models.weight_files import find_weights, load_weights

__all__ = ["card_of", "denoiser_card", "reconstructor_card", "spread_card"]

N_ROW = 12
"""Rows of the table of the validation curve."""
SPREAD_TITLE = "## Standard deviation"
_COUNTERS = ("running_mean", "running_var", "num_batches_tracked", "mean", "covariance")
"""Ends of the names of what is not trained but counted along."""


def denoiser_card(weights: Path, checkpoint: dict[str, Any], *, command: str) -> str:
    """Return the model card of a checkpoint's averaged weights, in Markdown.

    Parameters
    ----------
    weights
        The file that it is about.
    checkpoint
        As read by `load_checkpoint`.
    command
        What was typed to train.
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
        f"{network['subpixel']}, {n_parameters:,} parameters",
        f"- scenes: {config.get('scenes', 'as the command says')}; batches of "
        + ", ".join(" x ".join(map(str, shape)) for shape in sorted(set(map(tuple, data["shapes"]))))
        + f" voxels; seed {data['seed']}",
        f"- corruption: `{data['corruption']}` (`train/corruption.py`){_runs(config.get('runs', {}))}",
        f"- samples seen: {checkpoint['step'] * steps['batch']:,} in {checkpoint['step']:,} steps of {steps['batch']}, "
        f"{checkpoint['seconds'] / 60:.0f} minutes",
        f"- loss: mean square error, weighting `{steps['weighting']}`; AdamW, rate {steps['learning_rate']:g}, "
        f"{steps['schedule']}; these are the averaged weights (decay {steps['ema']:g})",
        f"- torch {checkpoint.get('torch', 'of unknown version')}, trained in {config.get('precision', 'float32')}; "
        "licence MIT",
        "",
    ]
    note = (
        f"Mean PSNR in dB over {_validated_on(config)}: at the "
        "noise levels 0.05, 0.1 and 0.2, and (`band`) on targets seen through random point-spread functions."
    )
    return "\n".join([*lines, *_command(command), *_curve(history, "psnr_", note)])


def reconstructor_card(weights: Path, checkpoint: dict[str, Any], *, samples: int, command: str) -> str:
    """Return the model card of a reconstructor's best averaged weights, in Markdown.

    Parameters
    ----------
    weights
        The file that it is about.
    checkpoint
        As read by `load_checkpoint`.
    samples
        Scenes seen until then.
    command
        What was typed to train.
    """
    config, history = checkpoint["config"], checkpoint["history"]
    method, data, steps, setting = config["method"], config["data"], config["optimizer"], config["setting"]
    counted = [tensor for name, tensor in checkpoint["model"].items() if not name.endswith(_COUNTERS)]
    freq, (x, y, z) = setting["freq"], (setting[axis] for axis in "xyz")
    n_channel = acquisition_from_table(setting).array.n_channel
    wrong = [
        f"{name.replace('_', ' ')} {data[name]:g}"
        for name in ("position_error", "phase_error", "missing")
        if data[name]
    ]
    medium = {key: setting[key] for key in ("permittivity", "layers") if key in setting}
    lines = [
        f"# {weights.stem}",
        "",
        "A reconstructor of the magnitude of 3D radar reflectivity, without iterations: measurements in, image out.",
        "",
        f"- network: `{method['kind']}`, first stage `{method['stage']}`, {sum(t.numel() for t in counted):,} "
        "parameters, trained on simulated measurements alone",
        f"- array: {len(setting['tx_pos'])} transmitters, {len(setting['rx_pos'])} receivers, {n_channel} channels; "
        f"{' or '.join(map(str, sorted(set(data['n_freq']))))} frequencies from {freq[0] / 1e9:g} to "
        f"{freq[-1] / 1e9:g} GHz; "
        f"{len(x)} x {len(y)} x {len(z)} voxels, x {x[0]:g} to {x[-1]:g} m, y {y[0]:g} to {y[-1]:g} m, "
        f"z {z[0]:g} to {z[-1]:g} m" + "".join(f"; {name} {value}" for name, value in medium.items()),
        f"- scenes: {config.get('scenes', 'synthesized on the fly, preset ' + data['preset'])}, "
        f"SNR {data['snr_db'][0]:g} to {data['snr_db'][1]:g} dB"
        + (f", errors: {', '.join(wrong)}" if wrong else "")
        + f"; seed {data['seed']}",
        *_elsewhere(data),
        f"- scenes seen: {samples:,} in steps of {steps['batch']}, the best of the validations (the run: "
        f"{checkpoint['step'] * steps['batch']:,} scenes, {checkpoint['seconds'] / 60:.0f} minutes)",
        f"- loss: mean square error, weighting `{steps['weighting']}`; AdamW, rate {steps['learning_rate']:g}, "
        f"{steps['schedule']}; these are averaged weights (decay {steps['ema']:g}), stored in float16",
        f"- torch {checkpoint.get('torch', 'of unknown version')}, trained in {config.get('precision', 'float32')}; "
        "licence MIT",
        "",
    ]
    note = f"Means over {_validated_on(config)}, at the SNR in dB that the column names."
    return "\n".join([*lines, *_command(command), *_curve(history, ("psnr_", "ssim_"), note)])


def _elsewhere(data: dict[str, Any]) -> list[str]:
    """Say on which other arrays a reconstructor was trained, if on any."""
    if not data.get("other_arrays"):
        return []
    return [
        f"- other arrays: {100 * data['other_arrays']:g} % of the steps are on arrays, bands, media and grids drawn at "
        "random (`mimo.train.arrays`); *elsewhere* below are such that no step draws"
    ]


def spread_card(weights: Path, checkpoint: dict[str, Any], row: dict[str, float], *, samples: int, command: str) -> str:
    """Return the model card of a reconstructor with a standard deviation: its own card, and what was trained upon it.

    Parameters
    ----------
    weights, checkpoint, samples, command
        As in `reconstructor_card`.
    row
        Figures of the validation whose weights were kept.
    """
    config = checkpoint["config"]
    data, steps = config["data"], config["optimizer"]
    card = config["image"].get("card", f"# {weights.stem}\n\nA reconstructor.\n").partition(SPREAD_TITLE)[0].rstrip()
    spread = [tensor for name, tensor in checkpoint["model"].items() if name.startswith("spread.")]
    names = [name.removeprefix("nll_") for name in row if name.startswith("nll_")]
    table = ["| scenes | 50 % interval holds | 90 % interval holds |", "|---|---|---|"]
    for name in names:
        title = "on other arrays" if name == "elsewhere" else f"at {name} dB"
        table.append(f"| {title} | {row[f'coverage50_{name}']:.1%} | {row[f'coverage90_{name}']:.1%} |")
    lines = [
        card,
        "",
        SPREAD_TITLE,
        "",
        f"- network: 3D U-Net, {config['spread']['levels']} levels, width {config['spread']['width']}, sub-pixel "
        f"factor {config['spread']['subpixel']}, {sum(t.numel() for t in spread):,} parameters; the image's stayed as "
        "they were",
        f"- scenes: {config['scenes']}, SNR {data['snr_db'][0]:g} to {data['snr_db'][1]:g} dB; a share of "
        f"{data['other_arrays']:g} on other arrays; seed {data['seed']}",
        f"- scenes seen: {samples:,} in steps of {steps['batch']}, the best of the validations (the run: "
        f"{checkpoint['step'] * steps['batch']:,} scenes, {checkpoint['seconds'] / 60:.0f} minutes)",
        f"- loss: negative log-likelihood of a normal distribution; AdamW, rate {steps['learning_rate']:g}",
        f"- torch {checkpoint.get('torch', 'of unknown version')}, trained in {config.get('precision', 'float32')}",
        "",
        *_command(command),
        "Share of all voxels whose true magnitude lies in the interval, on validation scenes that the calibration of "
        "the intervals did not use.",
        "",
        *table,
        "",
    ]
    return "\n".join(lines)


def card_of(name_or_path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """Return the model card of weights, and what the file itself says; without a card beside it the latter is its text.

    Raises
    ------
    FileNotFoundError, ValueError
        As `mimo.models.weight_files.find_weights` and `load_weights`.
    """
    path = find_weights(name_or_path)
    facts = load_weights(path)[1]
    card = path.with_suffix(".md")
    return card.read_text("utf-8", "replace") if card.is_file() else json.dumps(facts, indent=2), facts


def _command(command: str) -> list[str]:
    return ["Trained by:", "", f"    {command}", ""] if command else []


def _curve(history: list[dict[str, float]], prefix: str | tuple[str, ...], note: str) -> list[str]:
    """The validation curve as a table of a few rows."""
    if not history:
        return []
    names = [name for name in history[-1] if name.startswith(prefix)]
    every = max(1, -(-(len(history) - 1) // (N_ROW - 1)))
    rows = [
        f"| {row['samples']:,} | {row['seconds'] / 60:.1f} | "
        + " | ".join(f"{row[n]:.3f}" if n.startswith("ssim") else f"{row[n]:.2f}" for n in names)
        + " |"
        for row in history[::-1][::every][::-1]
    ]
    titles = [name.removeprefix("psnr_") if prefix == "psnr_" else name.replace("_", " ") for name in names]
    head = ["| samples | minutes | " + " | ".join(titles) + " |", "|---|---|" + "---|" * len(names)]
    return ["## Validation", "", note, "", *head, *rows, ""]


def _validated_on(config: dict[str, Any]) -> str:
    """Say which scenes the figures are of."""
    seeded = f"{config['output']['n_validation']} scenes of a fixed seed"
    return str(config.get("validation", seeded + ("" if " of " in config.get("scenes", "") else ", never trained on")))


def _runs(runs: dict[str, Any]) -> str:
    """Say what share of the steps learned from runs."""
    if not runs.get("share"):
        return ""
    return (
        f"; from step {runs['after']:,} on {100 * runs['share']:.0f} % of the steps learn from plug-and-play runs with "
        f"the network itself on {runs['geometries']} geometries (`train/on_policy.py`)"
    )
