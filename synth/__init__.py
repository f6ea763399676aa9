"""Make synthetic scenes: extended targets, random phase, the errors of a radar, noise, and datasets of measurements."""

from mimo.synth.generate import generate
from mimo.synth.mesh import from_mesh
from mimo.synth.noise import Realism, add_noise, noise_std
from mimo.synth.paper import paper_acquisition, paper_array, paper_grid, paper_sweep
from mimo.synth.phase import random_phase
from mimo.synth.targets import PRESETS, draw

__all__ = [
    "PRESETS",
    "Realism",
    "add_noise",
    "draw",
    "from_mesh",
    "generate",
    "noise_std",
    "paper_acquisition",
    "paper_array",
    "paper_grid",
    "paper_sweep",
    "random_phase",
]
