"""Plug-and-play: a trained denoiser as the prior

An extended body of the papers' kind, measured at 30 dB. In the place of a formula for what images look like stands a
network that takes noise out of magnitudes. It was trained without any array, so it serves every one; this is the
default method.
"""

import numpy as np
import torch

from mimo import operator_of
from mimo.data import Measurement
from mimo.recon import reconstruct
from mimo.synth import add_noise, draw, paper_acquisition, random_phase
from mimo.viewer import figure, panels_from, save

rng = np.random.default_rng(11)
acquisition = paper_acquisition()
grid = acquisition.grid
truth = random_phase(draw("paper", grid, rng), rng)
values = add_noise(operator_of(acquisition).forward(torch.from_numpy(truth)).numpy()[None], 30, rng)
scan = Measurement(values, acquisition.array, acquisition.sweep, snr_db=np.array([30.0]))
images = [reconstruct(method, scan, grid) for method in ("tikhonov", "pnp")]

save(figure(panels_from(truth, images), grid), "plug_and_play.png")
