"""Learned methods: one pass of a network

The three networks that ship, on one scene: `deep2s` is given the adjoint's magnitude, `two-stage` the regularised
inverse besides, and `two-stage-any` is the same, trained on arrays of many kinds. None of them knows the array: a
stage of physics in front does.
"""

import numpy as np
import torch

from mimo import operator_of
from mimo.data import Measurement
from mimo.recon import reconstruct
from mimo.synth import add_noise, draw, paper_acquisition, random_phase
from mimo.viewer import figure, panels_from, save

rng = np.random.default_rng(12)
acquisition = paper_acquisition()
grid = acquisition.grid
truth = random_phase(draw("paper", grid, rng), rng)
values = add_noise(operator_of(acquisition).forward(torch.from_numpy(truth)).numpy()[None], 30, rng)
scan = Measurement(values, acquisition.array, acquisition.sweep, snr_db=np.array([30.0]))
images = [reconstruct(method, scan, grid) for method in ("deep2s", "two-stage", "two-stage-any")]

save(figure(panels_from(truth, images), grid), "networks.png")
