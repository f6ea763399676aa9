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
from mimo.solver_choice import CG_PAIRS, choose_solver, pair_seconds
from mimo.train.config import ReconstructorConfig

__all__ = ["acquisition_like", "check_time", "solves_least_squares"]

FACTORISED = 1500
"""Measurements whose factorisation takes a few seconds."""
SAID, SAID_STEP = 20.0, 2.0
"""Seconds of preparation, and of a step, from which they are worth a line."""
LEAST_STEPS = 20
"""Steps below which a training is not worth its start."""


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
    """Say how long the physics of a training with an array will take, where that is long.

    Returns
    -------
    str
        A line for the user; empty where there is nothing to say.

    Raises
    ------
    ValueError
        When the preparation, or the physics of two validations and `LEAST_STEPS` steps, is predicted to use up half of
        the time limit, the networks apart; the message says what is cheaper.
    """
    n_freq, n_channel = max(config.with_frequencies(acquisition.sweep.n_freq).data.n_freq), acquisition.array.n_channel
    if n_freq != acquisition.sweep.n_freq:
        sweep = type(acquisition.sweep).linear(acquisition.sweep.freq[0], acquisition.sweep.freq[-1], n_freq)
        acquisition = acquisition.replace(sweep=sweep)
    operator, squares = operator_of(acquisition), solves_least_squares(config)
    choice = choose_solver(operator, solves=1) if squares else None
    factorised = choice is not None and "spectrum" in choice.seconds
    before = choice.seconds["spectrum"] if choice is not None and factorised else 0.0
    pairs = 2 if choice is None or factorised else 1 + CG_PAIRS  # measured, then the first stage
    scene = pairs * pair_seconds(operator) * (config.method.steps if config.method.kind == "unrolled" else 1)
    step, validation = config.optimizer.batch * scene, 2 * config.output.n_validation * scene
    size = f"{n_freq * n_channel} measurements of {operator.n_voxel} voxels"
    way = "factorised before the first step" if factorised else "solved by conjugate gradients at every step"
    once = f"{before:.0f} s once, " if before else ""
    physics = (
        f"{size}{f', {way}' if squares else ''}: about {once}{step:.2g} s a step and {validation:.2g} s a validation"
    )
    fewer = max(1, FACTORISED // n_channel)
    cheaper = f"fewer frequencies of the band (--set data.n_freq=[{fewer}]) or " if fewer < n_freq else ""
    cheaper += "fewer voxels (--grid)" + (", or deep2s, which needs no least squares" if squares else "")
    if time_limit is not None and max(before, LEAST_STEPS * step + 2 * validation) > time_limit / 2:
        raise ValueError(
            f"{physics} for the physics alone, too much for a time limit of {time_limit:.0f} s: expected more time, or "
            f"less work: {cheaper}"
        )
    return f"{physics}; cheaper: {cheaper}" if before > SAID or step > SAID_STEP else ""
