"""Synthetic scenes: extended targets, random phase, noise, and datasets of their measurements."""

from mimo.synth.generate import generate
from mimo.synth.noise import Realism, add_noise, noise_std
from mimo.synth.phase import random_phase
from mimo.synth.targets import PRESETS, draw, from_mesh

__all__ = [
    "PRESETS",
    "Realism",
    "add_noise",
    "draw",
    "from_mesh",
    "generate",
    "noise_std",
    "random_phase",
]
