"""Apply the matrix that mmWave Studio's example for the cascade calibrates its channels with.

Its ``.mat`` holds for every transmitter and receiver the place of a corner reflector's echo in a range transform of
five times as many points as samples (``calibResult.RangeMat``), the echo itself (``calibResult.PeakValMat``), and the
chirp (``params.Slope_MHzperus``, ``params.Sampling_Rate_sps``). Delay and phase are made those of the first channel,
the amplitudes are left. This makes the reflector's echo the same in every channel, as from infinitely far away in
front. Of a reflector at a known range the phases that its ways differ by are put back.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.constants import speed_of_light

from mimo import ArrayGeometry
from mimo.data.files.schema import FileError
from mimo.data.importers.chirp import Chirp
from mimo.data.importers.layout import Array, checked_numbers
from mimo.data.importers.matlab import MatFile

__all__ = ["calibration_factor"]

INTERPOLATION = 5
"""Points of the range transform of the calibration for each sample."""


def calibration_factor(
    path: Path,
    chirp: Chirp,
    n_sample: int,
    tx: list[int],
    rx: list[int],
    first: int,
    array: ArrayGeometry,
    reach: float,
) -> Array:
    """Return the factor ``(n_tx, n_rx, n_sample)`` of beat signals exp(+j k R), complex64.

    Parameters
    ----------
    path
        The ``.mat`` file.
    chirp, n_sample
        Those of the capture; the calibration had as many samples.
    tx, rx
        Numbers of the antennas on the board, as the rows and columns of the matrices.
    first
        Which of `tx` had the first turn: its channel with receiver 0 is the reference.
    array
        Their positions.
    reach
        Range of the reflector along z, metres; 0: infinite.

    Raises
    ------
    FileError
        When a matrix is missing, of another shape, or zero.
    """
    with MatFile(path) as file:
        places, peaks = file.get("calibResult.RangeMat"), file.get("calibResult.PeakValMat")
        slope = 1e12 * float(file.vector("params.Slope_MHzperus")[0])
        rate = float(file.vector("params.Sampling_Rate_sps")[0])
    for name, matrix in (("RangeMat", places), ("PeakValMat", peaks)):
        checked_numbers(path, f"calibResult.{name}", matrix)
        if matrix.shape[0] <= max(tx) or matrix.shape[1] <= max(rx):
            raise FileError(
                path,
                f"calibResult.{name} has shape {matrix.shape}, the capture has tx to {max(tx)} and rx to {max(rx)}, "
                "from 0: expected a row a transmitter, a column a receiver",
            )
    if not (slope > 0 and rate > 0 and np.abs(peaks[np.ix_(tx, rx)]).min() > 0 and abs(peaks[tx[first], 0]) > 0):
        raise FileError(path, "has a slope, a rate or a peak of 0: expected those of every channel in use")
    late = (places[np.ix_(tx, rx)] - places[tx[first], 0]) / (INTERPOLATION * n_sample)  # cycles a sample
    late = late * (rate / chirp.sample_rate) * (chirp.slope / slope)
    turned = peaks[tx[first], 0] / peaks[np.ix_(tx, rx)]
    factor = np.exp(-2j * np.pi * late[..., None] * np.arange(n_sample)) * (turned / np.abs(turned))[..., None]
    if reach > 0:
        at = np.array([0.0, 0.0, reach])
        way = np.linalg.norm(array.tx_pos - at, axis=1)[:, None] + np.linalg.norm(array.rx_pos - at, axis=1)
        k = 2 * np.pi * chirp.freq(n_sample) / speed_of_light
        factor = factor * np.exp(1j * (way - way[first, 0])[..., None] * k)
    return np.asarray(factor, np.complex64)
