"""Flat bodies: total variation

Bodies of the preset `shapes`, each of one magnitude, measured at 30 dB. Total variation prefers images of few, flat
pieces: it starts from the image of least l1 norm and takes the specks out of it. What is faint there, such as most of
the rings, stays faint.
"""

import numpy as np
import torch

from mimo import operator_of
from mimo.data import Measurement
from mimo.recon import reconstruct
from mimo.synth import add_noise, draw, paper_acquisition, random_phase
from mimo.viewer import figure, panels_from, save

rng = np.random.default_rng(3)
acquisition = paper_acquisition()
grid = acquisition.grid
truth = random_phase(draw("shapes", grid, rng), rng)
values = add_noise(operator_of(acquisition).forward(torch.from_numpy(truth)).numpy()[None], 30, rng)
scan = Measurement(values, acquisition.array, acquisition.sweep, snr_db=np.array([30.0]))
images = [reconstruct(method, scan, grid) for method in ("l1", "tv")]

save(figure(panels_from(truth, images), grid), "flat_bodies.png")
