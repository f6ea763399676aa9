"""Training of the networks: what they learn from, the loop, and what a run leaves behind."""

from mimo.train.config import Config, ReconstructorConfig, load_config
from mimo.train.denoiser import export, train
from mimo.train.targets import draw_training_scene

__all__ = ["Config", "ReconstructorConfig", "draw_training_scene", "export", "load_config", "train"]
