"""Take over how a measurement was made, so that a network is trained for its array, band, medium, region and grid.

A geometry file will do, an array whose first measurement is still to come.
"""

from __future__ import annotations

import os

import numpy as np

from mimo import Acquisition, VoxelGrid, operator_of
from mimo.data import Measurement, load
from mimo.data.calibration.scene_extent import guessed_grid
from mimo.data.files.geometry import array_alone
from mimo.recon.run import region_of
from mimo.solver_choice import choose_solver
from mimo.train.config import ReconstructorConfig

__all__ = ["acquisition_like", "check_time", "solves_least_squares"]

FACTORISED = 1500
"""Measurements whose factorisation takes a few seconds."""
SAID = 20.0
"""Seconds of preparation from which it is worth a line."""


def acquisition_like(path: str | os.PathLike[str], *, grid: VoxelGrid | None = None) -> tuple[Acquisition, str]:
    """Return the acquisition of a measurement's file or of a geometry file, as `mimo.recon.reconstruct` images it.

    Parameters
    ----------
    path
        A file that `mimo.data.load` reads, whose data are not looked at, or a geometry file with its sweep
        (`mimo.data.files.geometry.save_geometry`).
    grid
        Voxels instead of the file's.

    Returns
    -------
    Acquisition
        Array (with its list of channels and mask), sweep, medium, paths removed from the phase, and the voxels of the
        file's region, else of the region ``auto``. The grid is the file's, else the one that is guessed for its images.
    str
        Where the grid is from, in words.

    Raises
    ------
    ValueError
        When the file cannot be read, has no frequencies, or its region holds no voxel.
    """
    measurement = _measurement(path)
    words = "as asked"
    if grid is None:
        grid, words = (measurement.grid, "the file's grid") if measurement.grid else guessed_grid(measurement)
    acquisition = measurement.acquisition(grid)
    return acquisition.replace(inside=region_of(None, measurement).inside(acquisition)), words


def _measurement(path: str | os.PathLike[str]) -> Measurement:
    """Return a file's first scene, and of a geometry file one of zeros, which takes no memory."""
    geometry = array_alone(path)
    if geometry is None:
        return load(path, scenes=[0])
    array, sweep = geometry.array, geometry.sweep
    if sweep is None:
        raise ValueError(
            f"{path}: an array without frequencies: expected a geometry file with sweep/freq (`mimo array --freq`), "
            "or a measurement"
        )
    nothing = np.broadcast_to(np.complex64(0), (1, sweep.n_freq, *array.measurement_shape))
    return Measurement(nothing, array, sweep, geometry.grid)


def solves_least_squares(config: ReconstructorConfig) -> bool:
    """Whether every scene of a training goes through least squares with the operator."""
    return config.method.kind == "unrolled" or config.method.stage.startswith("inverse")


def check_time(config: ReconstructorConfig, acquisition: Acquisition, time_limit: float | None) -> str:
    """Say how long least squares with an array will take before the first step, where that is long.

    Returns
    -------
    str
        A line for the user; empty where there is nothing to say.

    Raises
    ------
    ValueError
        When the preparation alone is predicted to use up the time limit; the message says what is cheaper.
    """
    if not solves_least_squares(config):
        return ""
    n_freq = max(config.with_frequencies(acquisition.sweep.n_freq).data.n_freq)
    n_measurement = n_freq * acquisition.array.n_channel
    fewer = max(1, FACTORISED // acquisition.array.n_channel)
    cheaper = (
        f"--set data.n_freq=[{fewer}] trains with fewer frequencies of the band"
        if fewer < n_freq
        else "deep2s needs no least squares"
    )
    if n_freq != acquisition.sweep.n_freq:
        sweep = type(acquisition.sweep).linear(acquisition.sweep.freq[0], acquisition.sweep.freq[-1], n_freq)
        acquisition = acquisition.replace(sweep=sweep)
    choice = choose_solver(operator_of(acquisition), solves=1)
    if not choice.seconds.get("spectrum"):
        return f"{n_measurement} measurements a scene: least squares by conjugate gradients at every step; {cheaper}"
    seconds = choice.seconds["spectrum"]
    if time_limit is not None and seconds > time_limit / 2:
        raise ValueError(
            f"factorising {n_measurement} measurements takes about {seconds:.0f} s, more than half of the time limit "
            f"of {time_limit:.0f} s: expected more time, or less work: {cheaper}"
        )
    if seconds < SAID:
        return ""
    return (
        f"{n_measurement} measurements a scene are factorised before the first step, about {seconds:.0f} s; {cheaper}"
    )
