"""Few bright points: least l1 norm

Twelve points of random phase before the papers' array, measured with noise at 20 dB. Back-projection spreads each
point into its main lobe and side lobes; in the image of least l1 norm that explains the data the points are sharp, and
what is left beside them is below -20 dB.
"""

import numpy as np
import torch

from mimo import operator_of
from mimo.data import Measurement
from mimo.recon import reconstruct
from mimo.synth import add_noise, paper_acquisition, random_phase
from mimo.viewer import figure, panels_from, save

rng = np.random.default_rng(7)
acquisition = paper_acquisition()
grid = acquisition.grid
magnitude = np.zeros(grid.shape)
magnitude[tuple(rng.integers(3, n - 3, 12) for n in grid.shape)] = 1
truth = random_phase(magnitude, rng)
values = add_noise(operator_of(acquisition).forward(torch.from_numpy(truth)).numpy()[None], 20, rng)
scan = Measurement(values, acquisition.array, acquisition.sweep, snr_db=np.array([20.0]))
images = [reconstruct(method, scan, grid) for method in ("backprojection", "l1")]

save(figure(panels_from(truth, images), grid), "few_points.png")
