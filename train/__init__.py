"""Train networks: choose the scenes that they learn from, run the training, and export weights that methods use."""

from mimo.train.acquisition_like import acquisition_like
from mimo.train.config import DenoiserConfig, ReconstructorConfig, load_config
from mimo.train.export import export_weights
from mimo.train.run import train_denoiser, train_reconstructor
from mimo.train.scenes import DatasetScenes, PresetScenes, ScenesInMemory, SceneSource

__all__ = [
    "DatasetScenes",
    "DenoiserConfig",
    "PresetScenes",
    "ReconstructorConfig",
    "SceneSource",
    "ScenesInMemory",
    "acquisition_like",
    "export_weights",
    "load_config",
    "train_denoiser",
    "train_reconstructor",
]
