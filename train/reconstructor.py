"""Train a reconstructor on scenes that are measured anew at every step, to give their true magnitudes.

A step's scenes get fresh phases, a fresh noise level each and fresh noise, so no measurement is seen twice. A flipped
or shifted scene is measured as such, so flips suit any array. The errors of the radar that the configuration asks for
are those of the synthesizer (`mimo.synth.measuring`), and in the measurement alone: the first stage knows the nominal
array with all of its channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.constants import speed_of_light
from torch import nn

from mimo import Acquisition, FrequencySweep, operator_of
from mimo.models.dense import Dense
from mimo.models.layers import fold_batch_norm
from mimo.models.precision import resolve_precision
from mimo.models.reconstructor import build_network, prepare_input, run_network, run_prepared
from mimo.models.stages import Physics
from mimo.models.trained_for import acquisition_table
from mimo.models.unet import UNet3D
from mimo.models.unrolled import Unrolled
from mimo.recon.metrics import psnr, ssim
from mimo.synth import Realism, random_phase
from mimo.synth.measuring import Radar, Streams, measure, streams
from mimo.synth.noise import chain_gains, draw_live
from mimo.train.arrays import ArrayPool, Place
from mimo.train.config import ReconstructorConfig
from mimo.train.loop import Objective, Share
from mimo.train.randomness import Stream, fresh_network, step_rng
from mimo.train.scenes import Magnitude, PresetScenes, ScenePool, SceneSource
from mimo.viewer.contact_sheets import draw_samples

__all__ = ["MeasuredBatch", "PreparedBatch", "ReconstructionObjective"]

VALIDATION_SNRS = (30.0, 10.0)
"""dB; the validation's scenes are measured at each."""
VALIDATION_BATCH = 4
"""Scenes of the validation that go through the network at once."""
LEAST_ERROR = 1e-5
"""Keeps the logarithm of a scene's error finite: 50 dB."""
LEAST_PEAK = 0.2
"""A scene whose peak inside the region is lower is drawn again."""
OTHER_ARRAYS, UNSEEN = 12, 10**9
"""Arrays of the validation, and the number from which on they are counted: no step gets there."""
EARLIER = 0.3
"""Weight of the images before the last of an unrolled network in its loss."""


class MeasuredBatch(NamedTuple):
    """Measured scenes, and the images that should be made of them."""

    physics: Physics
    y: torch.Tensor
    """``(n_scene, *measurement_shape)``."""
    noise_std: torch.Tensor
    """``(n_scene,)``."""
    truth: torch.Tensor
    """Magnitudes with maximum 1, ``(n_scene, n_x, n_y, n_z)``."""
    place: Place | None = None
    """Where the pool of arrays has the measurement model; ``None`` for the run's own."""


class PreparedBatch(NamedTuple):
    """All of a step that no weight changes, so that it can be made ahead; each tensor's first axis is the scene."""

    n_freq: int
    """Names the measurement model, `ReconstructionObjective.physics`, which stays where it is."""
    place: Place | None
    """Names it where it is one of the pool of arrays."""
    given: tuple[torch.Tensor, ...]
    """What the network is given (`mimo.models.reconstructor.prepare_input`)."""
    truth: torch.Tensor


class ReconstructionObjective(Objective):
    """Trains a reconstructor to give the magnitudes of scenes from their measurements.

    Parameters
    ----------
    config
        The run.
    acquisition
        How scenes are measured; the sweep's band is kept when the configuration names several numbers of frequencies.
    scenes
        Scenes on the acquisition's grid.
    device
        Where the work is done.
    precision
        Of the network, one of `mimo.models.precision.PRECISIONS`.
    """

    def __init__(
        self,
        config: ReconstructorConfig,
        acquisition: Acquisition,
        scenes: SceneSource,
        device: torch.device | str = "cpu",
        precision: str = "auto",
    ) -> None:
        config = config.with_frequencies(acquisition.sweep.n_freq)
        self.config, self.scenes, self.device = config, scenes, torch.device(device)
        self.precision = resolve_precision(precision, self.device)
        self.optimizer, self.output = config.optimizer, config.output
        low, high = float(acquisition.sweep.freq[0]), float(acquisition.sweep.freq[-1])
        sweeps = {n: FrequencySweep.linear(low, high, n) for n in config.data.n_freq}
        sweeps = {n: acquisition.sweep if n == acquisition.sweep.n_freq else sweep for n, sweep in sweeps.items()}
        self.acquisition = replace(acquisition, sweep=sweeps[config.data.n_freq[0]])
        self.acquisitions = {n: replace(acquisition, sweep=sweep) for n, sweep in sweeps.items()}
        self.flips = _own_mirror_images(acquisition.inside)
        self._physics: dict[int, Physics] = {}
        self.network = fresh_network(
            lambda: build_network(config.method, config.network, self.acquisition), config.data.seed, self.device
        )
        self.pool: ScenePool | None = None  # made at the first step
        data = config.data
        self.arrays = ArrayPool(data.seed, size=data.arrays, steps=data.array_steps, device=self.device)
        self._validation: list[MeasuredBatch] = []
        self._elsewhere: list[MeasuredBatch] = []

    def describe(self) -> dict[str, Any]:
        """See `Objective`."""
        told = {"setting": acquisition_table(self.acquisition), "scenes": str(self.scenes), "precision": self.precision}
        told["validation"] = self.scenes.validated_on(self.output.n_validation)
        return self.config.to_dict() | told

    def same_network(self, description: Mapping[str, Any]) -> bool:
        """See `Objective`."""
        mine = self.describe()
        return all(description.get(key) == mine[key] for key in ("network", "method", "setting"))

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """See `Objective`.

        Without normalisation from weights with it, folded; a U-Net from a narrower one; an unrolled network from a
        denoiser or a two-stage network too; fully connected layers from those of another network.
        """
        if self.config.network.norm == "none":
            weights = fold_batch_norm(weights)
        if isinstance(self.network, UNet3D):
            return self.network.from_narrower(weights)
        return self.network.start_from(weights) if isinstance(self.network, Unrolled | Dense) else weights

    def headline(self) -> str:
        """See `Objective`."""
        method, shape = self.config.method, " x ".join(map(str, self.acquisition.grid.shape))
        n = sum(p.numel() for p in self.network.parameters())
        m = math.prod(self.acquisition.measurement_shape)
        return f"{method.kind} on {method.stage}, {n:,} parameters, {m} measurements, {shape}"

    def prepare(self, step: int, share: Share) -> PreparedBatch:
        """See `Objective`: scenes, measurements and first stage."""
        batch = self.batch(step)
        y, noise_std, truth = (values[share.slice] for values in (batch.y, batch.noise_std, batch.truth))
        given = prepare_input(self.config.method, batch.physics, y, noise_std)
        return PreparedBatch(batch.physics.operator.acquisition.sweep.n_freq, batch.place, given, truth)

    def loss_of(
        self, network: nn.Module, prepared: PreparedBatch, step: int, averaged: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """See `Objective`: mean square error; a negative value where the truth is 0 costs nothing, as it is clipped.

        With the weighting "relative" it is the mean logarithm of the scenes' errors, as in a mean PSNR. Images of an
        unrolled network have the data's scale, that of a regularised inverse, which shrinks: they are compared in the
        scale that suits each scene best.
        """
        n_freq, place, given, truth = prepared
        physics = self.physics(n_freq) if place is None else self.arrays.get(place)
        images = run_prepared(network, self.config.method, physics, given, precision=self.precision)
        if isinstance(self.network, Unrolled):
            images = [image * _best_scale(image.detach().clamp(min=0), truth) for image in images]
        errors = [self._error(image, truth) for image in images]
        return errors[-1] + EARLIER * sum(errors[:-1], torch.zeros((), device=self.device))

    def _error(self, image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        errors = torch.where(truth > 0, image - truth, image.clamp(min=0)).square().mean((1, 2, 3))
        if self.optimizer.weighting == "relative":
            errors = (errors + LEAST_ERROR).log()
        return errors.mean()

    def batch(self, step: int) -> MeasuredBatch:
        """Return the measured scenes of a step; steps go one by one."""
        data = self.config.data
        rng = step_rng(data.seed, Stream.STEP, step)
        if self.pool is None:
            self.pool = ScenePool(self.scenes, seed=data.seed, size=data.pool, refresh=data.refresh, step=step)
        n_freq = int(rng.choice(data.n_freq))
        scenes = self.pool.take(step, self.optimizer.batch, rng)
        flipped = [np.flip(scene, axis=tuple(np.flatnonzero((rng.random(3) < 0.5) & self.flips))) for scene in scenes]
        snr_db = rng.uniform(*data.snr_db, size=len(scenes))
        drawn = streams(data.seed, Stream.STEP, step)
        errors = 1.0 if data.faulty == 1 else float(rng.random() < data.faulty)
        realism = Realism(
            phase_error_deg=errors * data.phase_error,
            position_error=errors * data.position_error,
            missing_channels=errors * data.missing * drawn["missing"].random(),
        )
        if data.other_arrays and rng.random() < data.other_arrays:
            return self.elsewhere(self.arrays.choose(step, rng), snr_db, rng, drawn, realism)
        return self.measure(self.physics(n_freq), np.stack(flipped), snr_db, drawn, realism)

    def elsewhere(
        self,
        place: Place,
        snr_db: npt.NDArray[np.float64],
        rng: np.random.Generator,
        drawn: Streams,
        realism: Realism,
    ) -> MeasuredBatch:
        """Return fresh scenes on the grid of another radar, measured by it; a scene lies in its region alone."""
        physics = self.arrays.get(place)
        theirs = physics.operator.acquisition
        inside = np.float32(1) if theirs.inside is None else theirs.inside.astype(np.float32)
        scenes = PresetScenes(self.config.data.preset, theirs.grid)
        truth = list[Magnitude]()
        while len(truth) < len(snr_db):
            scene = scenes.draw(rng) * inside
            if scene.max() > LEAST_PEAK:
                truth.append(scene)
        waves = _wavelength(theirs) / _wavelength(self.acquisition)
        realism = replace(realism, position_error=realism.position_error * waves)
        if not theirs.array.paired:  # gaps are drawn among every pair
            realism = replace(realism, missing_channels=0.0)
        return self.measure(physics, np.stack(truth), snr_db, drawn, realism)._replace(place=place)

    def measure(
        self,
        physics: Physics,
        truth: npt.NDArray[np.float32],
        snr_db: npt.NDArray[np.float64],
        rng: Streams,
        realism: Realism,
    ) -> MeasuredBatch:
        """Give scenes a random phase and measure them, with the errors of a radar and noise.

        The chains' gains are drawn for each scene, as the synthesizer does; displaced antennas and gaps, which cost an
        operator, once for the batch.
        """
        n_scene = len(truth)
        truth = truth / truth.max(axis=(1, 2, 3), keepdims=True).clip(1e-30)
        array = physics.operator.array
        live = draw_live(array, realism.missing_channels, rng["missing"]) if realism.missing_channels else None
        placed = Radar.draw(physics.operator, replace(realism, gain_error_db=0.0, phase_error_deg=0.0), rng, live=live)
        uneven = realism.gain_error_db > 0 or realism.phase_error_deg > 0
        radars = [
            replace(placed, gains=chain_gains(array, realism, rng["gain"]) if uneven else None) for _ in range(n_scene)
        ]
        measured = measure(
            radars,
            random_phase(truth, rng["phase"]),
            snr_db=snr_db.tolist(),
            noise=[rng["noise"]] * n_scene,
        )
        y, noise_std, images = (torch.from_numpy(values).to(self.device) for values in (*measured, truth))
        return MeasuredBatch(physics, y, noise_std, images)

    def physics(self, n_freq: int) -> Physics:
        """Return the measurement model of the nominal radar with so many frequencies, made once."""
        if n_freq not in self._physics:
            self._physics[n_freq] = Physics(operator_of(self.acquisitions[n_freq], device=self.device))
        return self._physics[n_freq]

    def validation(self) -> list[MeasuredBatch]:
        """Return scenes that no step draws, of a fixed seed, at each SNR, measured without errors but noise."""
        if not self._validation:
            seed, n_freq = self.config.data.seed, self.config.data.n_freq[0]
            n = self.scenes.n_validation(self.output.n_validation)
            scenes = [self.scenes.draw_validation(i, step_rng(seed, Stream.VALIDATION, i)) for i in range(n)]
            for k, snr_db in enumerate(VALIDATION_SNRS):
                for first in range(0, n, VALIDATION_BATCH):
                    truth = np.stack(scenes[first : first + VALIDATION_BATCH])
                    rng = streams(seed, Stream.VALIDATION, k, first)
                    batch = self.measure(self.physics(n_freq), truth, np.full(len(truth), snr_db), rng, Realism())
                    self._validation.append(batch)
        return self._validation

    def validation_elsewhere(self) -> list[MeasuredBatch]:
        """Return scenes on arrays that no step draws, two on each, between 0 and 30 dB, without errors but noise."""
        if not self._elsewhere and self.config.data.other_arrays:
            seed = self.config.data.seed
            for i in range(OTHER_ARRAYS):
                rng = step_rng(seed, Stream.VALIDATION, i)
                drawn = streams(seed, Stream.VALIDATION, i)
                place = UNSEEN + i, -1 - i
                self._elsewhere.append(self.elsewhere(place, np.array([30.0, 10.0]), rng, drawn, Realism()))
        return self._elsewhere

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean PSNR (dB) and SSIM at each SNR, and the same on other arrays where there are such."""
        batches = self.validation()
        each = len(batches) // len(VALIDATION_SNRS)
        sets = {f"{snr_db:g}": batches[k * each : (k + 1) * each] for k, snr_db in enumerate(VALIDATION_SNRS)}
        if elsewhere := self.validation_elsewhere():
            sets["elsewhere"] = elsewhere
        figures = {}
        for name, group in sets.items():
            pairs = [
                (image.cpu().numpy(), truth.cpu().numpy())
                for batch in group
                for image, truth in zip(self.images(network, batch), batch.truth, strict=True)
            ]
            pairs = [(image if image.any() else image + 1e-9, truth) for image, truth in pairs]
            figures[f"psnr_{name}"] = float(np.mean([psnr(*pair) for pair in pairs]))
            figures[f"ssim_{name}"] = float(np.mean([ssim(*pair) for pair in pairs]))
        return figures

    @torch.no_grad()
    def draw_samples(self, network: nn.Module, path: Path) -> None:
        """Draw the first scenes of the validation at the first SNR: a row of truths and a row of images."""
        batch = self.validation()[0]
        rows = {"truth": batch.truth.cpu().numpy(), "image": self.images(network, batch).cpu().numpy()}
        draw_samples(self.acquisition.grid, rows, path)

    def images(self, network: nn.Module, batch: MeasuredBatch) -> torch.Tensor:
        """Return what a network makes of measurements, at least 0, ``(n_scene, n_x, n_y, n_z)``."""
        measured = batch.physics, batch.y, batch.noise_std
        made = run_network(network, self.config.method, *measured, precision=self.precision)
        return made[-1].clamp_min(0)


def _own_mirror_images(inside: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    """Say along which axes a region is its own mirror image, so that a scene flipped there stays in it, bool (3,)."""
    return np.array([inside is None or bool((inside == np.flip(inside, axis)).all()) for axis in range(3)])


def _wavelength(acquisition: Acquisition) -> float:
    """Wavelength in free space in the middle of the band, metres."""
    return float(speed_of_light / acquisition.sweep.freq.mean())


def _best_scale(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The factor of each scene that brings an image nearest to its truth; 1 for an empty image."""
    power = image.square().sum((1, 2, 3), keepdim=True)
    return torch.where(power > 0, (image * truth).sum((1, 2, 3), keepdim=True) / power.clamp_min(1e-30), 1.0)
