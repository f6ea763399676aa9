"""Synthetic scenes: extended targets, random phase, noise, and datasets of their measurements."""

from synth.generate import generate
from synth.noise import Realism, add_noise, noise_std
from synth.phase import random_phase
from synth.targets import PRESETS, draw, from_mesh
from synth.training import draw_training_scene

__all__ = [
    "PRESETS",
    "Realism",
    "add_noise",
    "draw",
    "draw_training_scene",
    "from_mesh",
    "generate",
    "noise_std",
    "random_phase",
]
