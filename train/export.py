"""Turn the checkpoint of a training run into a file of weights and its model card."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from mimo.input_file import whole_input
from mimo.models.spread import join_states
from mimo.models.weight_files import save_weights
from mimo.train.card import denoiser_card, reconstructor_card, spread_card
from mimo.train.checkpoint import load_checkpoint

__all__ = ["export_weights"]


def export_weights(
    checkpoint: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    *,
    card: str | os.PathLike[str] | None = None,
    command: str = "",
) -> Path:
    """Write the averaged weights of a checkpoint as safetensors, and their model card.

    Those of a reconstructor's best validation, the last ones of a denoiser. They are stored in float16, half the size,
    at a rounding of 1e-3 of each weight; networks compute in float32.

    Parameters
    ----------
    checkpoint
        Written by `train_denoiser` or `train_reconstructor`; one of a run that goes on is fine.
    weights
        The ``.safetensors`` to write.
    card
        The ``.md`` to write; by default beside the weights, where `mimo info` looks for it.
    command
        What was typed to train, for the card; what the checkpoint says by default.

    Returns
    -------
    Path
        Of the weights: a method of `mimo.recon.reconstruct`, or a denoiser for `mimo.models.Denoiser.load`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `mimo.train.checkpoint.load_checkpoint`.
    """
    state, weights = load_checkpoint(Path(checkpoint)), Path(weights)
    with whole_input(checkpoint, "a checkpoint of `mimo train`"):
        return _export(state, weights, card=card, command=command)


def _export(state: dict[str, Any], weights: Path, *, card: str | os.PathLike[str] | None, command: str) -> Path:
    """Write what a checkpoint holds as weights."""
    run, steps = state["config"], state["step"]
    tensors, kind, kept = state["ema"], "denoiser", ["network", "data", "runs"]
    if "method" in run:
        kind, kept = "reconstructor", ["method", "network", "setting", "data"]
        if best := state.get("best"):
            tensors, steps = best["weights"], best["step"]
    samples, command = steps * run["optimizer"]["batch"], command or state.get("command", "")
    kept += [key for key in ("scenes", "validation") if key in run]
    info = {"kind": kind, **{key: run[key] for key in kept}, "samples": samples}
    info["precision"] = run.get("precision", "float32")  # not told by earlier versions
    if "spread" in run:
        return _export_spread(state, tensors, steps, weights, card=card, command=command)
    save_weights(weights, tensors, info, half=True)
    if kind == "reconstructor":
        text = reconstructor_card(weights, state, samples=samples, command=command)
    else:
        text = denoiser_card(weights, state, command=command)
    (weights.with_suffix(".md") if card is None else Path(card)).write_text(text)
    return weights


def _export_spread(
    state: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    step: int,
    weights: Path,
    *,
    card: str | os.PathLike[str] | None,
    command: str,
) -> Path:
    """Write an image network, as it was, and its spread into one file, described as the image network was."""
    run = state["config"]
    found = state.get("objective", {}).get("calibration")
    if not found:
        raise ValueError("the run has not been validated yet, so no interval is calibrated: train longer, then export")
    spread = {"network": run["spread"], "intervals": found["intervals"], "scale": found["scale"], "data": run["data"]}
    spread |= {"samples": step * run["optimizer"]["batch"], "precision": run["precision"]}
    image = {name: value for name, value in run["image"].items() if name != "card"}
    save_weights(weights, join_states(tensors), image | {"spread": spread}, half=True)
    samples = step * run["optimizer"]["batch"]
    text = spread_card(weights, state, found["figures"], samples=samples, command=command)
    (weights.with_suffix(".md") if card is None else Path(card)).write_text(text)
    return weights
