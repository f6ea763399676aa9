"""Collect training pairs from plug-and-play runs: what a denoiser is given in an iteration, what it should answer.

A denoiser that is good at noise drawn from a model may still take what a reconstruction holds, speckle and artefacts of
the array, for body, and a better one does so more surely. So the network in training is run as the prior on scenes of
known truth, on arrays of many kinds, and what it meets there joins its training: each magnitude that enters the
denoiser, with the level it is told, against the true magnitude (on-policy training with data aggregation, DAgger: Ross,
Gordon, Bagnell, AISTATS 2011).
"""

from __future__ import annotations

import numpy as np
import torch

from mimo import Acquisition, ArrayGeometry, FrequencySweep, VoxelGrid, operator_of
from mimo.least_squares import Weight
from mimo.models import Denoiser
from mimo.recon.admm import csalsa
from mimo.recon.pnp import CONSTRAINED_KAPPA, annealed, denoiser_prox
from mimo.recon.prox import Prox
from mimo.recon.registry import Problem
from mimo.recon.scaling import Scaled, scale
from mimo.synth import paper_acquisition, random_phase
from mimo.synth.measuring import Radar, measure
from mimo.train.corruption import Pair
from mimo.train.scenes import SceneSource, fit_scene

__all__ = ["OnPolicyPairs", "Recorder", "draw_geometry", "level_of"]

GEOMETRY, ROUND = 1, 2  # what random numbers are for
PAPER_FREQUENCIES = (15, 10, 5, 20)
"""Every second geometry is the papers' array and grid with the next of these numbers of frequencies."""
MAX_MEASUREMENTS = 1400
"""Of a random geometry: its factorisation takes seconds."""
SNR_DB = (0.0, 40.0)
SIGMA_START, SIGMA_END = (0.2, 0.4), (0.03, 0.08)
ITERATIONS = (8, 16)
MORE = 6
"""At most so many iterations at the last noise level."""
SPLITTINGS = {"admm": 0.7, "annealed": 0.15, "hqs": 0.15}
"""Chance of each splitting."""


def draw_geometry(seed: int, index: int) -> Acquisition:
    """Draw a geometry: the papers' for even numbers, any for odd ones."""
    rng = np.random.default_rng([seed, GEOMETRY, index])
    if index % 2 == 0:
        return paper_acquisition(PAPER_FREQUENCIES[index // 2 % len(PAPER_FREQUENCIES)])
    n_tx, n_rx = (int(n) for n in rng.integers(5, 15, size=2))
    width = float(rng.uniform(0.2, 0.5))
    kind = rng.integers(3)
    if kind == 0:
        array = ArrayGeometry.mills_cross(n_tx=n_tx, n_rx=n_rx, width=width)
    elif kind == 1:
        array = ArrayGeometry.random_planar(n_tx=n_tx, n_rx=n_rx, width=width, seed=int(rng.integers(2**31)))
    else:
        tx_shape, rx_shape = rng.integers(2, 5, size=(2, 2)).tolist()
        array = ArrayGeometry.uniform_planar(tx_shape=tx_shape, rx_shape=rx_shape, width=width)
    n_freq = min(int(rng.integers(4, 15)), MAX_MEASUREMENTS // array.n_channel)
    low = float(rng.uniform(2e9, 10e9))
    sweep = FrequencySweep.linear(low, low * float(rng.uniform(1.3, 4.0)), max(2, n_freq))
    n_x, n_y, n_z = (int(n) for n in rng.integers(20, 41, size=3))
    half = [float(h) for h in rng.uniform(0.1, 0.2, size=3)]
    middle = float(rng.uniform(0.45, 0.7))
    grid = VoxelGrid.from_extent(
        x=(-half[0], half[0], n_x), y=(-half[1], half[1], n_y), z=(middle - half[2], middle + half[2], n_z)
    )
    return Acquisition(array, sweep, grid)


def level_of(noisy: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """Return the level a of a target ``a shape`` in a magnitude: ``mean |noisy|^2 = a^2 shape^2 + noise^2``.

    Few measurements leave most of a field of random phase unseen, so an image has the target's shape at a lower level,
    which differs between scenes and iterations. The noise is what is seen where the shape is 0; the level is the least
    squares fit of powers, ``(n_scene,)``.
    """
    power, squares = noisy.square().flatten(1), shape.square().flatten(1)
    empty = (squares == 0).to(power.dtype)
    noise = (power * empty).sum(1) / empty.sum(1).clamp_min(1)
    excess = ((power - noise[:, None]) * squares).sum(1).clamp_min(0)
    return (excess / squares.square().sum(1).clamp_min(1e-30)).sqrt()


class Recorder:
    """A proximal map that keeps the magnitudes and noise levels that it is called with."""

    def __init__(self, prox: Prox) -> None:
        self.prox = prox
        self.magnitudes: list[torch.Tensor] = []
        self.levels: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor, weight: Weight) -> torch.Tensor:
        """Apply the map."""
        self.magnitudes.append(x.abs())
        self.levels.append(torch.as_tensor(weight, dtype=torch.float32, device=x.device).expand(len(x)))
        return self.prox(x, weight)


class OnPolicyPairs:
    """Collects training pairs of a denoiser from runs in which it is the prior.

    Parameters
    ----------
    scenes
        Clean scenes of any size; they are cut or padded to the grid of the round.
    n_geometry
        Geometries; one each round, in turn. Each is factorised once and kept.
    n_scene
        Scenes of a round.
    seed
        Of geometries and scenes.
    device
        Where runs are made.
    """

    def __init__(
        self, scenes: SceneSource, *, n_geometry: int, n_scene: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.scenes, self.n_geometry, self.n_scene, self.seed = scenes, n_geometry, n_scene, seed
        self.device = torch.device(device)
        self._problems: dict[int, Problem] = {}

    def collect(self, denoiser: Denoiser, round_: int) -> Pair:
        """Return all pairs of a round of runs: one for each scene and iteration, float32, on the device.

        They are a function of the seed, the number of the round and the network alone.
        """
        rng = np.random.default_rng([self.seed, ROUND, round_])
        problem = self._problem(round_ % self.n_geometry)
        A, n = problem.operator, self.n_scene
        clean = np.stack([fit_scene(self.scenes.draw(rng), A.volume_shape, rng) for _ in range(n)])
        snr_db = rng.uniform(*SNR_DB, size=n).tolist()
        measured = measure([Radar(A)] * n, random_phase(clean, rng), snr_db=snr_db, noise=[rng] * n)
        y, std = (torch.from_numpy(array).to(self.device) for array in measured)
        scaled = scale(Problem(A, y, std, _shared=problem._shared))
        recorder = Recorder(denoiser_prox(denoiser))
        self._run(scaled, recorder, rng)
        noisy = torch.cat(recorder.magnitudes)
        shape = torch.from_numpy(clean).to(self.device).repeat(len(recorder.levels), 1, 1, 1)
        return Pair(noisy, level_of(noisy, shape)[:, None, None, None] * shape, torch.cat(recorder.levels))

    def _run(self, scaled: Scaled, prox: Prox, rng: np.random.Generator) -> None:
        first = float(rng.uniform(*SIGMA_START))
        last = float(np.exp(rng.uniform(*np.log(SIGMA_END))))
        iterations = int(rng.integers(ITERATIONS[0], ITERATIONS[1] + 1))
        limit = iterations + int(rng.integers(MORE + 1))
        splitting = rng.choice(list(SPLITTINGS), p=list(SPLITTINGS.values()))
        if splitting == "admm":
            eps = scaled.bound("auto")
            csalsa(
                scaled.step,
                prox,
                scaled.data,
                eps,
                scaled.start,
                weight=last,
                kappa=CONSTRAINED_KAPPA,
                max_iterations=limit,
                tolerance=0.0,
            )
        else:
            annealed(
                scaled,
                prox,
                duals=splitting == "annealed",
                sigma=(first, last),
                iterations=iterations,
                max_iterations=limit,
                tolerance=0.0,
            )

    def _problem(self, index: int) -> Problem:
        if index not in self._problems:
            A = operator_of(draw_geometry(self.seed, index), device=self.device)
            problem = Problem(A, torch.zeros((1, *A.measurement_shape), dtype=A.dtype, device=self.device))
            problem.data_step()
            self._problems[index] = problem
        return self._problems[index]
