"""Turn the checkpoint of a training run into a file of weights and its model card."""

from __future__ import annotations

import os
from pathlib import Path

from mimo.models.weight_files import save_weights
from mimo.train.card import denoiser_card, reconstructor_card
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
    save_weights(weights, tensors, info, half=True)
    if kind == "reconstructor":
        text = reconstructor_card(weights, state, samples=samples, command=command)
    else:
        text = denoiser_card(weights, state, command=command)
    (weights.with_suffix(".md") if card is None else Path(card)).write_text(text)
    return weights
