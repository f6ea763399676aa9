"""Train one network: a denoiser or a reconstructor, on synthetic scenes, those of a dataset or one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mimo import Acquisition
from mimo.models.spread import split_state
from mimo.models.trained_for import acquisition_from_table
from mimo.models.weight_files import find_weights, load_weights
from mimo.synth import paper_acquisition
from mimo.train.checkpoint import load_checkpoint
from mimo.train.config import DenoiserConfig, ReconstructorConfig, SpreadConfig
from mimo.train.denoiser import DenoisingObjective
from mimo.train.loop import CHECKPOINT, run_training
from mimo.train.reconstructor import ReconstructionObjective
from mimo.train.scenes import DatasetScenes, PresetScenes, SceneSource
from mimo.train.spread import SpreadObjective

__all__ = ["train_denoiser", "train_reconstructor", "train_spread"]

PathLike = str | os.PathLike[str]
Weights = Mapping[str, torch.Tensor] | PathLike
"""Tensors by name, the name of weights that ship, or a file of weights."""


def train_denoiser(
    config: DenoiserConfig,
    folder: PathLike,
    *,
    scenes: SceneSource | PathLike | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    start: Weights | None = None,
    resume: bool = False,
    time_limit: float | None = None,
    ahead: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Train a denoiser and keep its checkpoint.

    Parameters
    ----------
    config
        The run; see `load_config`.
    folder
        Receives checkpoint and log.
    scenes
        Clean scenes of any size, or the path of a dataset with true scenes; by default both presets on grids of several
        sizes (`PresetScenes`).
    device
        ``"cpu"`` or ``"cuda"``.
    precision
        In which the network computes: ``"float32"``, ``"bfloat16"`` (weights stay float32), or ``"auto"`` for the
        latter where the device has it in hardware. Recorded in the checkpoint.
    start
        Weights to start from: tensors, a file, or the name of those that ship; several by commas, one after another.
    resume, time_limit, ahead, report
        As in `mimo.train.loop.run_training`, which also says what is raised.

    Returns
    -------
    Path
        The checkpoint, for `export_weights`.
    """
    source = _source(scenes) or PresetScenes()
    objective = DenoisingObjective(config, source, device, precision)
    options: dict[str, Any] = {"resume": resume, "time_limit": time_limit, "ahead": ahead, "report": report}
    return run_training(objective, Path(folder), start=_weights(start), **options)


def train_reconstructor(
    config: ReconstructorConfig,
    folder: PathLike,
    *,
    acquisition: Acquisition | None = None,
    scenes: SceneSource | PathLike | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    start: Weights | None = None,
    resume: bool = False,
    time_limit: float | None = None,
    ahead: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Train a reconstructor and keep its checkpoint.

    Parameters
    ----------
    config
        The run; see `load_config`.
    folder
        Receives checkpoint, log and, where the configuration asks for them, sample pictures.
    acquisition
        Array, sweep and grid that scenes are measured with; by default those of the dataset, else the papers'.
    scenes
        Scenes on the acquisition's grid, or the path of a dataset with true scenes; by default the presets that the
        configuration names.
    device
        ``"cpu"`` or ``"cuda"``.
    precision
        In which the network computes: ``"float32"``, ``"bfloat16"`` (weights stay float32), or ``"auto"`` for the
        latter where the device has it in hardware. Recorded in the checkpoint.
    start
        Weights to start from: tensors, a file, or the name of those that ship; several by commas, one after another.
    resume, time_limit, ahead, report
        As in `mimo.train.loop.run_training`, which also says what is raised.

    Returns
    -------
    Path
        The checkpoint, for `export_weights`.
    """
    source = _source(scenes)
    if acquisition is None:
        if isinstance(source, DatasetScenes):
            acquisition = source.acquisition
        else:
            acquisition = paper_acquisition(config.data.n_freq[0])
    source = source or PresetScenes(config.data.preset, acquisition.grid)
    objective = ReconstructionObjective(config, acquisition, source, device, precision)
    options: dict[str, Any] = {"resume": resume, "time_limit": time_limit, "ahead": ahead, "report": report}
    return run_training(objective, Path(folder), start=_weights(start), **options)


def train_spread(
    config: SpreadConfig,
    folder: PathLike,
    *,
    start: PathLike | None = None,
    acquisition: Acquisition | None = None,
    scenes: SceneSource | PathLike | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    resume: bool = False,
    time_limit: float | None = None,
    ahead: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Train the standard deviation that a reconstructor gives beside its image, and keep its checkpoint.

    Parameters
    ----------
    config
        The run; see `load_config`.
    folder
        Receives checkpoint, log and, where the configuration asks for them, sample pictures.
    start
        Weights of the reconstructor, a file or the name of those that ship, which stay as they are; where they have a
        standard deviation already it is learned further. A resumed run has them in its checkpoint.
    acquisition
        Array, sweep and grid that scenes are measured with; by default those of the dataset, else of the weights.
    scenes, device, precision, resume, time_limit, ahead, report
        As in `train_reconstructor`.

    Returns
    -------
    Path
        The checkpoint, for `export_weights`, which writes image and standard deviation into one file.

    Raises
    ------
    ValueError
        When there are no weights to start from, they are not a reconstructor's, or of kind ``"dense"``.
    """
    weights, facts = None, dict[str, Any]()
    if resume:
        facts = load_checkpoint(Path(folder) / CHECKPOINT)["config"].get("image", {})
    elif start is None:
        raise ValueError("a standard deviation needs the reconstructor that it is of: start from its weights (--start)")
    else:
        path = find_weights(start)
        weights, facts = load_weights(path)
        if (card := path.with_suffix(".md")).is_file():
            facts["card"] = card.read_text()
    if "method" not in facts:
        raise ValueError(f"{folder if resume else start}: expected the weights of a reconstructor")
    source = _source(scenes)
    if acquisition is None:
        if isinstance(source, DatasetScenes):
            acquisition = source.acquisition
        else:
            acquisition = acquisition_from_table(facts["setting"])
    source = source or PresetScenes(config.data.preset, acquisition.grid)
    objective = SpreadObjective(config, facts, acquisition, source, device, precision)
    told: dict[str, Any] = {"resume": resume, "time_limit": time_limit, "ahead": ahead, "report": report}
    return run_training(objective, Path(folder), start=weights, **told)


def _source(scenes: SceneSource | PathLike | None) -> SceneSource | None:
    return scenes if scenes is None or isinstance(scenes, SceneSource) else DatasetScenes(scenes)


def _weights(start: Weights | None) -> list[Mapping[str, torch.Tensor]] | None:
    if start is None or isinstance(start, Mapping):
        return None if start is None else [start]
    return [split_state(load_weights(find_weights(name.strip()))[0])[0] for name in str(start).split(",")]
