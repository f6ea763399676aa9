"""Train one network: a denoiser or a reconstructor, on synthetic scenes, those of a dataset or one's own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mimo import Acquisition
from mimo.input_file import whole_input
from mimo.models.spread import split_state
from mimo.models.trained_for import acquisition_from_table
from mimo.models.weight_files import EXPECTED, find_weights, load_weights
from mimo.synth import paper_acquisition
from mimo.synth.paper import N_FREQ
from mimo.train.checkpoint import CHECKPOINT, load_checkpoint
from mimo.train.config import DenoiserConfig, ReconstructorConfig, SpreadConfig
from mimo.train.denoiser import DenoisingObjective
from mimo.train.loop import run_training
from mimo.train.reconstructor import ReconstructionObjective
from mimo.train.scenes import LEAST_VALIDATION, DatasetScenes, PresetScenes, SceneSource, ValidatedScenes, hold_out
from mimo.train.spread import SpreadObjective
from mimo.train.stop_request import StopRequest

__all__ = ["train_denoiser", "train_reconstructor", "train_spread"]

PathLike = str | os.PathLike[str]
Weights = Mapping[str, torch.Tensor] | PathLike
"""Tensors by name, the name of weights that ship, or a file of weights."""


def train_denoiser(
    config: DenoiserConfig,
    folder: PathLike,
    *,
    scenes: SceneSource | PathLike | None = None,
    validation: DatasetScenes | PathLike | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    start: Weights | None = None,
    resume: bool = False,
    time_limit: float | None = None,
    began: float | None = None,
    command: str = "",
    ahead: bool = False,
    report: Callable[[str], None] = print,
    stop: StopRequest | None = None,
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
    validation
        A dataset whose scenes the validation uses; by default further scenes of the presets, or the share
        ``data.validation_share`` of the dataset's, which no training step then draws.
    device
        ``"cpu"`` or ``"cuda"``.
    precision
        In which the network computes: ``"float32"``, ``"bfloat16"`` (weights stay float32), or ``"auto"`` for the
        latter where the device has it in hardware. Recorded in the checkpoint.
    start
        Weights to start from: tensors, a file, or the name of those that ship; several by commas, one after another.
    resume, time_limit, began, command, ahead, report, stop
        As in `mimo.train.loop.run_training`, which also says what is raised.

    Returns
    -------
    Path
        The checkpoint, for `export_weights`.
    """
    began = time.monotonic() if began is None else began
    source = _validated(_source(scenes) or PresetScenes(), validation, config.data.validation_share)
    objective = DenoisingObjective(config, source, device, precision)
    options: dict[str, Any] = {"resume": resume, "time_limit": time_limit, "began": began, "command": command}
    options |= {"ahead": ahead, "report": report, "stop": stop}
    return run_training(objective, Path(folder), start=_weights(start), **options)


def train_reconstructor(
    config: ReconstructorConfig,
    folder: PathLike,
    *,
    acquisition: Acquisition | None = None,
    scenes: SceneSource | PathLike | None = None,
    validation: DatasetScenes | PathLike | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    start: Weights | None = None,
    resume: bool = False,
    time_limit: float | None = None,
    began: float | None = None,
    command: str = "",
    ahead: bool = False,
    report: Callable[[str], None] = print,
    stop: StopRequest | None = None,
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
    validation
        A dataset whose scenes the validation uses; by default further scenes of the presets, or the share
        ``data.validation_share`` of the dataset's, which no training step then draws.
    device
        ``"cpu"`` or ``"cuda"``.
    precision
        In which the network computes: ``"float32"``, ``"bfloat16"`` (weights stay float32), or ``"auto"`` for the
        latter where the device has it in hardware. Recorded in the checkpoint.
    start
        Weights to start from: tensors, a file, or the name of those that ship; several by commas, one after another.
    resume, time_limit, began, command, ahead, report, stop
        As in `mimo.train.loop.run_training`, which also says what is raised.

    Returns
    -------
    Path
        The checkpoint, for `export_weights`.
    """
    began = time.monotonic() if began is None else began
    source = _source(scenes)
    if acquisition is None:
        if isinstance(source, DatasetScenes):
            acquisition = source.acquisition
        else:
            acquisition = paper_acquisition(config.data.n_freq[0] or N_FREQ)
    source = source or PresetScenes(config.data.preset, acquisition.grid, acquisition.inside)
    source = _validated(source, validation, config.data.validation_share)
    for each in (getattr(source, name, source) for name in ("training", "validation")):
        if isinstance(each, DatasetScenes) and each.acquisition.grid != acquisition.grid:
            raise ValueError(f"{each.path}: its grid is not that of the training: expected scenes on the same voxels")
    objective = ReconstructionObjective(config, acquisition, source, device, precision)
    options: dict[str, Any] = {"resume": resume, "time_limit": time_limit, "began": began, "command": command}
    options |= {"ahead": ahead, "report": report, "stop": stop}
    return run_training(objective, Path(folder), start=_weights(start), **options)


def train_spread(
    config: SpreadConfig,
    folder: PathLike,
    *,
    start: PathLike | None = None,
    acquisition: Acquisition | None = None,
    scenes: SceneSource | PathLike | None = None,
    validation: DatasetScenes | PathLike | None = None,
    device: torch.device | str = "cpu",
    precision: str = "auto",
    resume: bool = False,
    time_limit: float | None = None,
    began: float | None = None,
    command: str = "",
    ahead: bool = False,
    report: Callable[[str], None] = print,
    stop: StopRequest | None = None,
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
    scenes, validation, device, precision, resume, time_limit, began, command, ahead, report, stop
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
    began = time.monotonic() if began is None else began
    weights, facts = None, dict[str, Any]()
    if resume:
        facts = load_checkpoint(Path(folder) / CHECKPOINT)["config"].get("image") or {}
    elif start is None:
        raise ValueError("a standard deviation needs the reconstructor that it is of: start from its weights (--start)")
    else:
        path = find_weights(start)
        weights, facts = load_weights(path)
        if (card := path.with_suffix(".md")).is_file():
            facts["card"] = card.read_text("utf-8", "replace")
    if "method" not in facts:
        raise ValueError(f"{folder if resume else start}: expected the weights of a reconstructor")
    source = _source(scenes)
    if acquisition is None:
        if isinstance(source, DatasetScenes):
            acquisition = source.acquisition
        else:
            with whole_input(folder if resume else str(start), EXPECTED):
                acquisition = acquisition_from_table(facts.get("setting", {}))
    source = source or PresetScenes(config.data.preset, acquisition.grid, acquisition.inside)
    source = _validated(source, validation, config.data.validation_share)
    objective = SpreadObjective(config, facts, acquisition, source, device, precision)
    options: dict[str, Any] = {"resume": resume, "time_limit": time_limit, "began": began, "command": command}
    options |= {"ahead": ahead, "report": report, "stop": stop}
    return run_training(objective, Path(folder), start=weights, **options)


def _source(scenes: SceneSource | PathLike | None) -> SceneSource | None:
    return scenes if scenes is None or isinstance(scenes, SceneSource) else DatasetScenes(scenes)


def _weights(start: Weights | None) -> list[Mapping[str, torch.Tensor]] | None:
    if start is None or isinstance(start, Mapping):
        return None if start is None else [start]
    return [split_state(load_weights(find_weights(name.strip()))[0])[0] for name in str(start).split(",")]


def _validated(source: SceneSource, validation: DatasetScenes | PathLike | None, share: float) -> SceneSource:
    """Return scenes to train on with others to validate with: those that are named, else a share of a dataset's."""
    if validation is not None:
        held = validation if isinstance(validation, DatasetScenes) else DatasetScenes(validation)
        if held.n_scene < LEAST_VALIDATION:
            raise ValueError(
                f"{held.path} has {held.n_scene} scene for the validation: expected {LEAST_VALIDATION} at least"
            )
        if isinstance(source, DatasetScenes) and held.path.resolve() == source.path.resolve():
            common = sorted(set(held.numbers) & set(source.numbers))
            if common:
                raise ValueError(
                    f"{held.path}: scene {common[0]} of the validation is also trained on: expected other scenes"
                )
        return ValidatedScenes(source, held)
    return hold_out(source, share) if isinstance(source, DatasetScenes) else source
