"""What a reconstructor learns from: scenes, measured anew at every step, and their true magnitudes.

A step's scenes get fresh phases, a fresh noise level each and fresh noise, so no measurement is seen twice. A flipped
or shifted scene is measured as such, so flips suit any array. Errors of the radar, where the configuration asks for
them, are in the measurement alone: the physics stage knows the nominal array, as it will in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from mimo import FrequencySweep, ImagingOperator, born_operator
from mimo.models.layers import fold_batch_norm
from mimo.models.reconstructor import build_network, run_network
from mimo.models.setting import Setting
from mimo.models.stages import Physics
from mimo.models.unet import UNet3D
from mimo.models.unrolled import Unrolled
from mimo.models.weight_files import save_weights
from mimo.recon.metrics import psnr, ssim
from mimo.recon.physics import make_physics
from mimo.recon.registry import Problem
from mimo.train.card import reconstructor_card
from mimo.train.checkpoint import load_checkpoint
from mimo.train.config import ReconstructorConfig
from mimo.train.loop import Lesson, Share, fresh_network, step_seed
from mimo.train.scenes import DrawScene, ScenePool

__all__ = ["ReconstructionLesson", "export_reconstructor"]

BATCH, VALIDATION, ERRORS = 2, 3, 4  # streams of random numbers; scenes have the first
VALIDATION_SNRS = (30.0, 10.0)
"""dB; the validation's scenes are measured at each."""
VALIDATED = 4
"""Scenes of the validation treated together."""
LEAST_ERROR = 1e-5
"""Keeps the logarithm of a scene's error finite: 50 dB."""
EARLIER = 0.3
"""Weight of the images before the last of an unrolled network in its loss."""


class Exercise(NamedTuple):
    """Measurements and what should be made of them."""

    physics: Physics
    y: torch.Tensor
    """``(n_scene, *measurement_shape)``."""
    noise_std: torch.Tensor
    """``(n_scene,)``."""
    truth: torch.Tensor
    """Magnitudes with maximum 1, ``(n_scene, n_x, n_y, n_z)``."""


class ReconstructionLesson(Lesson):
    """Measurements of synthetic scenes, and their magnitudes.

    Parameters
    ----------
    config
        The run.
    setting
        Array, sweep and grid; the sweep's band is kept when the configuration names several numbers of frequencies.
    draw
        Draws a scene on the setting's grid.
    device
        Where the work is done.
    """

    def __init__(
        self, config: ReconstructorConfig, setting: Setting, draw: DrawScene, device: torch.device | str = "cpu"
    ) -> None:
        self.config, self.draw, self.device = config, draw, torch.device(device)
        self.optimizer, self.output = config.optimizer, config.output
        low, high = float(setting.sweep.freq[0]), float(setting.sweep.freq[-1])
        sweeps = {n: FrequencySweep.linear(low, high, n) for n in config.data.n_freq}
        sweeps = {n: setting.sweep if n == setting.sweep.n_freq else sweep for n, sweep in sweeps.items()}
        self.setting = replace(setting, sweep=sweeps[config.data.n_freq[0]])
        self.settings = {n: replace(setting, sweep=sweep) for n, sweep in sweeps.items()}
        self.problems: dict[int, Problem] = {}
        self.network = fresh_network(
            lambda: build_network(config.method, config.network, self.setting), config.data.seed, self.device
        )
        self.pool: ScenePool | None = None  # made at the first step
        self._validation: list[Exercise] = []

    def describe(self) -> dict[str, Any]:
        """See `Lesson`."""
        return self.config.to_dict() | {"setting": self.setting.to_dict()}

    def same_network(self, description: Mapping[str, Any]) -> bool:
        """See `Lesson`."""
        mine = self.describe()
        return all(description.get(key) == mine[key] for key in ("network", "method", "setting"))

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """See `Lesson`.

        Without normalisation from weights with it, folded; a U-Net from a narrower one; an unrolled network from a
        denoiser too.
        """
        if self.config.network.norm == "none":
            weights = fold_batch_norm(weights)
        if isinstance(self.network, UNet3D):
            return self.network.from_narrower(weights)
        return self.network.from_denoiser(weights) if isinstance(self.network, Unrolled) else weights

    def headline(self) -> str:
        """See `Lesson`."""
        method, shape = self.config.method, " x ".join(map(str, self.setting.shape))
        n = sum(p.numel() for p in self.network.parameters())
        return f"{method.kind} on {method.stage}, {n:,} parameters, {self.setting.n_measurement} measurements, {shape}"

    def loss(self, network: nn.Module, step: int, averaged: Mapping[str, torch.Tensor], share: Share) -> torch.Tensor:
        """See `Lesson`: mean square error; a negative value where the truth is 0 costs nothing, as it is clipped.

        With the weighting "relative" it is the mean logarithm of the scenes' errors, as in a mean PSNR. Images of an
        unrolled network have the data's scale, that of a regularised inverse, which shrinks: they are compared in the
        scale that suits each scene best.
        """
        exercise = self.exercise(step)
        part = Exercise(exercise.physics, *(values[share.slice] for values in exercise[1:]))
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

    def exercise(self, step: int) -> Exercise:
        """Return the whole batch of a step; steps go one by one."""
        data = self.config.data
        if self.pool is None:
            self.pool = ScenePool(self.draw, seed=data.seed, size=data.pool, refresh=data.refresh, step=step)
        rng = np.random.default_rng([data.seed, BATCH, step])
        n_freq = int(rng.choice(data.n_freq))
        scenes = self.pool.take(step, self.optimizer.batch, rng)
        flipped = [np.flip(scene, axis=tuple(np.flatnonzero(rng.random(3) < 0.5))) for scene in scenes]
        truth = torch.from_numpy(np.stack(flipped)).to(self.device)
        snr_db = torch.from_numpy(rng.uniform(*data.snr_db, size=len(scenes))).to(self.device)
        generator = torch.Generator(self.device).manual_seed(step_seed(data.seed, step, BATCH))
        return self._measure(n_freq, truth, snr_db, generator, np.random.default_rng([data.seed, ERRORS, step]))

    @torch.no_grad()
    def _measure(
        self,
        n_freq: int,
        truth: torch.Tensor,
        snr_db: torch.Tensor,
        generator: torch.Generator,
        errors: np.random.Generator | None,
    ) -> Exercise:
        """Give the scenes a random phase, measure them with errors and noise."""
        if n_freq not in self.problems:
            setting = self.settings[n_freq]
            A = born_operator(setting.array, setting.sweep, setting.grid, device=self.device)
            self.problems[n_freq] = Problem(A, torch.zeros(0, *A.measurement_shape, dtype=A.dtype, device=self.device))
        problem = self.problems[n_freq]
        truth = truth / truth.amax((1, 2, 3), keepdim=True).clamp_min(1e-30)
        turns = torch.rand(truth.shape, generator=generator, device=self.device)
        operator = problem.operator if errors is None else self._moved(problem.operator, errors)
        y = operator.forward(torch.polar(truth, 2 * torch.pi * turns))
        if errors is not None:
            y = y * self._gain(y, errors)
        shape = (-1, *[1] * (y.ndim - 1))
        power = y.abs().double().square().flatten(1).mean(1)
        noise_std = (power / 10 ** (snr_db / 10)).sqrt()
        noise = torch.randn(y.shape, dtype=y.dtype, generator=generator, device=self.device)
        return Exercise(
            make_physics(problem), y + noise * noise_std.to(power.dtype).reshape(shape).float(), noise_std, truth
        )

    def _moved(self, operator: ImagingOperator, rng: np.random.Generator) -> ImagingOperator:
        """The operator with antennas a little off their places, where the configuration asks for it."""
        spread = self.config.data.position_error
        if not spread:
            return operator
        array = operator.array
        tx_pos = array.tx_pos + spread * rng.standard_normal(array.tx_pos.shape)
        rx_pos = array.rx_pos + spread * rng.standard_normal(array.rx_pos.shape)
        moved = replace(array, tx_pos=tx_pos, rx_pos=rx_pos)
        return born_operator(moved, operator.sweep, operator.grid, device=self.device)

    def _gain(self, y: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Phase errors and gaps of the channels: a factor that broadcasts over scenes and frequencies."""
        data, shape = self.config.data, y.shape[2:]
        phase = np.deg2rad(data.phase_error) * rng.standard_normal(shape)
        there = rng.random(shape) >= data.missing * rng.random()
        return torch.from_numpy((there * np.exp(1j * phase)).astype(np.complex64)).to(self.device)

    def validation(self) -> list[Exercise]:
        """Return scenes that no step draws, of a fixed seed, at each SNR."""
        if not self._validation:
            seed, n = self.config.data.seed, self.output.n_validation
            scenes = [self.draw(np.random.default_rng([seed, VALIDATION, i])) for i in range(n)]
            for k, snr_db in enumerate(VALIDATION_SNRS):
                for first in range(0, n, VALIDATED):
                    truth = torch.from_numpy(np.stack(scenes[first : first + VALIDATED])).to(self.device)
                    generator = torch.Generator(self.device).manual_seed(step_seed(seed, first, VALIDATION + 10 * k))
                    snr = torch.full((len(truth),), snr_db, dtype=torch.float64, device=self.device)
                    self._validation.append(self._measure(self.config.data.n_freq[0], truth, snr, generator, None))
        return self._validation

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return mean PSNR (dB) and SSIM at each SNR."""
        exercises = self.validation()
        each = len(exercises) // len(VALIDATION_SNRS)
        figures = {}
        for k, snr_db in enumerate(VALIDATION_SNRS):
            pairs = [
                (image.cpu().numpy(), truth.cpu().numpy())
                for exercise in exercises[k * each : (k + 1) * each]
                for image, truth in zip(self._images(network, exercise), exercise.truth, strict=True)
            ]
            pairs = [(image if image.any() else image + 1e-9, truth) for image, truth in pairs]
            figures[f"psnr_{snr_db:g}"] = float(np.mean([psnr(*pair) for pair in pairs]))
            figures[f"ssim_{snr_db:g}"] = float(np.mean([ssim(*pair) for pair in pairs]))
        return figures

    @torch.no_grad()
    def samples(self, network: nn.Module) -> dict[str, torch.Tensor]:
        """Return the first scenes of the validation at the first SNR: truth and image."""
        exercise = self.validation()[0]
        return {"truth": exercise.truth.cpu(), "image": self._images(network, exercise).cpu()}

    def _images(self, network: nn.Module, exercise: Exercise) -> torch.Tensor:
        images = run_network(network, self.config.method, exercise.physics, exercise.y, exercise.noise_std)
        return images[-1].clamp_min(0)


def _best_scale(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The factor of each scene that brings an image nearest to its truth; 1 for an empty image."""
    power = image.square().sum((1, 2, 3), keepdim=True)
    return torch.where(power > 0, (image * truth).sum((1, 2, 3), keepdim=True) / power.clamp_min(1e-30), 1.0)


def export_reconstructor(
    checkpoint: Path, weights_path: Path, card_path: Path, *, command: str = "", half: bool = True
) -> None:
    """Write the best averaged weights of a checkpoint as safetensors, and their model card.

    Parameters
    ----------
    checkpoint
        Written by a run of `ReconstructionLesson`; one of a run that goes on is fine.
    weights_path, card_path
        The ``.safetensors`` and the ``.md`` to write.
    command
        What was typed to train, for the card.
    half
        Store in float16: half the size, at a rounding of 1e-3 of each weight. The network computes in float32.
    """
    state = load_checkpoint(checkpoint)
    run, best = state["config"], state.get("best") or {"weights": state["ema"], "step": state["step"]}
    info = {"kind": "reconstructor", **{key: run[key] for key in ("method", "network", "setting", "data")}}
    samples = best["step"] * run["optimizer"]["batch"]
    save_weights(weights_path, best["weights"], info | {"samples": samples}, half=half)
    card_path.write_text(reconstructor_card(weights_path, state, samples=samples, command=command))
