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
from torch import nn

from mimo import Acquisition, FrequencySweep, operator_of
from mimo.models.layers import fold_batch_norm
from mimo.models.reconstructor import build_network, run_network
from mimo.models.stages import Physics
from mimo.models.trained_for import acquisition_table
from mimo.models.unet import UNet3D
from mimo.models.unrolled import Unrolled
from mimo.recon.metrics import psnr, ssim
from mimo.synth import Realism, random_phase
from mimo.synth.measuring import Radar, Streams, measure, streams
from mimo.synth.noise import chain_gains, draw_live
from mimo.train.config import ReconstructorConfig
from mimo.train.loop import Objective, Share
from mimo.train.randomness import Stream, fresh_network, step_rng
from mimo.train.scenes import ScenePool, SceneSource
from mimo.viewer.contact_sheets import draw_samples

__all__ = ["MeasuredBatch", "ReconstructionObjective"]

VALIDATION_SNRS = (30.0, 10.0)
"""dB; the validation's scenes are measured at each."""
VALIDATION_BATCH = 4
"""Scenes of the validation that go through the network at once."""
LEAST_ERROR = 1e-5
"""Keeps the logarithm of a scene's error finite: 50 dB."""
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
    """

    def __init__(
        self,
        config: ReconstructorConfig,
        acquisition: Acquisition,
        scenes: SceneSource,
        device: torch.device | str = "cpu",
    ) -> None:
        config = config.with_frequencies(acquisition.sweep.n_freq)
        self.config, self.scenes, self.device = config, scenes, torch.device(device)
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
        self._validation: list[MeasuredBatch] = []

    def describe(self) -> dict[str, Any]:
        """See `Objective`."""
        told = {"setting": acquisition_table(self.acquisition), "scenes": str(self.scenes)}
        told["validation"] = self.scenes.validated_on(self.output.n_validation)
        return self.config.to_dict() | told

    def same_network(self, description: Mapping[str, Any]) -> bool:
        """See `Objective`."""
        mine = self.describe()
        return all(description.get(key) == mine[key] for key in ("network", "method", "setting"))

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """See `Objective`.

        Without normalisation from weights with it, folded; a U-Net from a narrower one; an unrolled network from a
        denoiser too.
        """
        if self.config.network.norm == "none":
            weights = fold_batch_norm(weights)
        if isinstance(self.network, UNet3D):
            return self.network.from_narrower(weights)
        return self.network.from_denoiser(weights) if isinstance(self.network, Unrolled) else weights

    def headline(self) -> str:
        """See `Objective`."""
        method, shape = self.config.method, " x ".join(map(str, self.acquisition.grid.shape))
        n = sum(p.numel() for p in self.network.parameters())
        m = math.prod(self.acquisition.measurement_shape)
        return f"{method.kind} on {method.stage}, {n:,} parameters, {m} measurements, {shape}"

    def loss(self, network: nn.Module, step: int, averaged: Mapping[str, torch.Tensor], share: Share) -> torch.Tensor:
        """See `Objective`: mean square error; a negative value where the truth is 0 costs nothing, as it is clipped.

        With the weighting "relative" it is the mean logarithm of the scenes' errors, as in a mean PSNR. Images of an
        unrolled network have the data's scale, that of a regularised inverse, which shrinks: they are compared in the
        scale that suits each scene best.
        """
        batch = self.batch(step)
        part = MeasuredBatch(batch.physics, *(values[share.slice] for values in batch[1:]))
        images = run_network(network, self.config.method, part.physics, part.y, part.noise_std)
        if isinstance(self.network, Unrolled):
            images = [image * _best_scale(image.detach().clamp(min=0), part.truth) for image in images]
        errors = [self._error(image, part.truth) for image in images]
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
        realism = Realism(
            phase_error_deg=data.phase_error,
            position_error=data.position_error,
            missing_channels=data.missing * drawn["missing"].random(),
        )
        return self.measure(n_freq, np.stack(flipped), snr_db, drawn, realism)

    def measure(
        self,
        n_freq: int,
        truth: npt.NDArray[np.float32],
        snr_db: npt.NDArray[np.float64],
        rng: Streams,
        realism: Realism,
    ) -> MeasuredBatch:
        """Give scenes a random phase and measure them, with the errors of a radar and noise.

        The chains' gains are drawn for each scene, as the synthesizer does; displaced antennas and gaps, which cost an
        operator, once for the batch.
        """
        physics, n_scene = self.physics(n_freq), len(truth)
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
        return MeasuredBatch(physics, *(torch.from_numpy(values).to(self.device) for values in (*measured, truth)))

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
                    batch = self.measure(n_freq, truth, np.full(len(truth), snr_db), rng, Realism())
                    self._validation.append(batch)
        return self._validation

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean PSNR (dB) and SSIM at each SNR."""
        batches = self.validation()
        each = len(batches) // len(VALIDATION_SNRS)
        figures = {}
        for k, snr_db in enumerate(VALIDATION_SNRS):
            pairs = [
                (image.cpu().numpy(), truth.cpu().numpy())
                for batch in batches[k * each : (k + 1) * each]
                for image, truth in zip(self.images(network, batch), batch.truth, strict=True)
            ]
            pairs = [(image if image.any() else image + 1e-9, truth) for image, truth in pairs]
            figures[f"psnr_{snr_db:g}"] = float(np.mean([psnr(*pair) for pair in pairs]))
            figures[f"ssim_{snr_db:g}"] = float(np.mean([ssim(*pair) for pair in pairs]))
        return figures

    @torch.no_grad()
    def draw_samples(self, network: nn.Module, path: Path) -> None:
        """Draw the first scenes of the validation at the first SNR: a row of truths and a row of images."""
        batch = self.validation()[0]
        rows = {"truth": batch.truth.cpu().numpy(), "image": self.images(network, batch).cpu().numpy()}
        draw_samples(self.acquisition.grid, rows, path)

    def images(self, network: nn.Module, batch: MeasuredBatch) -> torch.Tensor:
        """Return what a network makes of measurements, at least 0, ``(n_scene, n_x, n_y, n_z)``."""
        made = run_network(network, self.config.method, batch.physics, batch.y, batch.noise_std)
        return made[-1].clamp_min(0)


def _own_mirror_images(inside: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_]:
    """Say along which axes a region is its own mirror image, so that a scene flipped there stays in it, bool (3,)."""
    return np.array([inside is None or bool((inside == np.flip(inside, axis)).all()) for axis in range(3)])


def _best_scale(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The factor of each scene that brings an image nearest to its truth; 1 for an empty image."""
    power = image.square().sum((1, 2, 3), keepdim=True)
    return torch.where(power > 0, (image * truth).sum((1, 2, 3), keepdim=True) / power.clamp_min(1e-30), 1.0)
