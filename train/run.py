"""What `mimo train` teaches: scenes made on the fly or those of a dataset, for denoisers and reconstructors."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo.data import load
from mimo.data.files.reader import open_measurement
from mimo.models.setting import Setting
from mimo.synth.paper import paper_array, paper_grid, paper_sweep
from mimo.train.config import Config, ReconstructorConfig
from mimo.train.denoiser import train
from mimo.train.loop import run_training
from mimo.train.on_policy import Rehearsal
from mimo.train.reconstructor import ReconstructionLesson
from mimo.train.scenes import DrawScene
from mimo.train.targets import draw_training_scene, preset_scenes
from mimo.viewer.contact_sheet import draw_samples


def train_denoiser(
    settings: Config, data: Path | None, folder: Path, device: torch.device, options: dict[str, Any]
) -> Path:
    """Train a denoiser on training scenes of both presets, or on those of a dataset; return its checkpoint."""
    draw = draw_training_scene if data is None else _stored_scenes(data)[1]
    runs, seed = settings.runs, settings.data.seed
    rehearse = Rehearsal(draw, n_geometry=runs.geometries, n_scene=runs.scenes, seed=seed, device=device)
    return train(settings, draw, folder, rehearse=rehearse, device=device, **options)


def train_reconstructor(
    settings: ReconstructorConfig, data: Path | None, folder: Path, device: torch.device, options: dict[str, Any]
) -> Path:
    """Train a reconstructor on the papers' array, or on the array, band and scenes of a dataset."""
    if data is None:
        setting = Setting(paper_array(), paper_sweep(settings.data.n_freq[0]), paper_grid())
        draw = preset_scenes(settings.data.preset, setting.grid)
    else:
        setting, draw = _stored_scenes(data)
    lesson = ReconstructionLesson(settings, setting, draw, device)
    return run_training(lesson, folder, draw=partial(draw_samples, setting.grid), **options)


def _stored_scenes(path: Path) -> tuple[Setting, DrawScene]:
    """Array, sweep and grid of a dataset, and what draws one of its true magnitudes at random."""
    first = load(path, scenes=[0])
    if first.truth is None or first.grid is None:
        raise ValueError(f"{path}: no /scene/reflectivity: expected a dataset with true scenes")
    with open_measurement(path) as file:
        n_scene = file.n_scene

    def draw(rng: np.random.Generator) -> npt.NDArray[np.float32]:
        truth = load(path, scenes=[int(rng.integers(n_scene))]).truth
        magnitude: npt.NDArray[np.float32] = np.abs(np.asarray(truth)[0]).astype(np.float32)
        return magnitude / max(float(magnitude.max()), 1e-30)

    return Setting(first.array, first.sweep, first.grid), draw
