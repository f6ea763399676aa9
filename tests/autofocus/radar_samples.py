"""Scans of a small radar with planted errors, for the tests of autofocus."""

import numpy as np
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo.data import Measurement
from mimo.synth import add_noise, draw, random_phase

GRID = VoxelGrid.from_extent(x=(-0.12, 0.12, 13), y=(-0.11, 0.12, 14), z=(0.42, 0.58, 15))
ARRAY = ArrayGeometry.random_planar(n_tx=7, n_rx=8, width=0.3, height=0.28, seed=5)
SCAN = ArrayGeometry.planar_scan(shape=(8, 9), width=0.3, height=0.28)
SWEEP = FrequencySweep.linear(5e9, 13e9, 9)
FAST = {"method": "tikhonov", "iterations": 5}


def measured(array, seed=1, *, gains=None, moved=None, snr_db=30.0, medium=1.0, points=False):
    """A scene, or some points, seen by a radar with errors, as a file that states none."""
    rng = np.random.default_rng(seed)
    scene = random_phase(draw("shapes", GRID, rng), rng)
    if points:
        scene = np.zeros_like(scene)
        scene[(2, 6, 10, 9), (3, 11, 7, 2), (4, 8, 12, 3)] = 1, 0.8j, -0.7, 0.5
    true = Acquisition(array if moved is None else moved, SWEEP, GRID, medium)
    y = operator_of(true).forward(torch.from_numpy(scene)).numpy()
    y = y if gains is None else y * gains
    y = add_noise(y, snr_db, rng)
    return Measurement(
        y[None].astype(np.complex64), array, SWEEP, GRID, snr_db=np.array([snr_db], np.float32), truth=scene[None]
    )


def drift_of(n, seed=0):
    """Gains of pulses whose phase drifts by 60 degrees, root mean square."""
    return np.exp(1j * np.deg2rad(60) * np.sqrt(2) * np.sin(np.linspace(seed, 25, n)))


def alike(gains, array):
    """How alike gains of pulses are but for what is the same for all or linear in their places."""
    places = np.c_[np.ones(len(gains)), array.tx_pos[:, :2]]
    angle = np.angle(gains / gains.mean())
    return abs(np.exp(1j * (angle - places @ np.linalg.lstsq(places, angle, rcond=None)[0])).mean())
