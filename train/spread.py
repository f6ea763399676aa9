"""Train the network that says how far the images of a reconstructor may be off, and calibrate its intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mimo import Acquisition
from mimo.data.intervals import Intervals
from mimo.models.network_config import MethodConfig, NetworkConfig
from mimo.models.reconstructor import prepare_input, run_prepared
from mimo.models.spread import LEVELS, Spread, WithSpread, conditions, image_unit
from mimo.options import build_table
from mimo.synth import Realism
from mimo.synth.measuring import streams
from mimo.train.config import ReconstructorConfig, SpreadConfig
from mimo.train.loop import Share
from mimo.train.randomness import Stream, fresh_network, step_rng
from mimo.train.reconstructor import (
    UNSEEN,
    VALIDATION_BATCH,
    MeasuredBatch,
    PreparedBatch,
    ReconstructionObjective,
    best_scale,
)
from mimo.train.scenes import SceneSource
from mimo.viewer.contact_sheets import draw_samples

__all__ = ["SpreadObjective", "calibrate", "coverage"]

Array = npt.NDArray[np.float32]
Scene = tuple[Array, Array, Array]
"""Image, truth and standard deviation, ``(n_x, n_y, n_z)``."""

VALIDATION_SNRS = (30.0, 10.0, 0.0)
"""dB; intervals are calibrated on scenes at each, alike."""
N_ELSEWHERE, ELSEWHERE_SNRS = 3, (30.0, 20.0, 10.0, 0.0)
"""Arrays of the validation besides the run's own, and the SNR of the scenes on each, dB."""
N_CELL = (8, 10)
"""Cells of the factors: by the standard deviation over the image's largest voxel, by the image over it."""
LEAST_RATIO = 1e-4
"""Image over its standard deviation from which on voxels count alike."""
TINY = 1e-30
LEAST_VOXELS = 200
"""Voxels for a factor of its own; where there are fewer it is that of the nearest cell."""


class SpreadObjective(ReconstructionObjective):
    """Trains the spread of a reconstructor whose weights stay as they are, by the likelihood of the true magnitudes.

    The loss is ``mean(log s + (image - truth)^2 / 2 s^2)``, least where s is the standard deviation of the error
    (Nix, Weigend, *Estimating the mean and variance of the target probability distribution*, 1994).

    Parameters
    ----------
    config
        The run.
    image
        The description of the image network's weights (`mimo.models.weight_files.load_description`), and under ``card``
        their model card; all of it goes into the file that is exported.
    acquisition, scenes, device, precision
        As in `ReconstructionObjective`.
    """

    def __init__(
        self,
        config: SpreadConfig,
        image: Mapping[str, Any],
        acquisition: Acquisition,
        scenes: SceneSource,
        device: torch.device | str = "cpu",
        precision: str = "auto",
    ) -> None:
        method = build_table(MethodConfig, image["method"], "method.")
        network = build_table(NetworkConfig, image["network"], "network.")
        whole = ReconstructorConfig(
            method=method, network=network, data=config.data, optimizer=config.optimizer, output=config.output
        )
        super().__init__(whole, acquisition, scenes, device, precision)
        self.spread_config = config
        self.calibration: dict[str, Any] = {}
        self.image_facts = {name: value for name, value in image.items() if name != "spread"}
        self.network = fresh_network(
            lambda: WithSpread(self.network, Spread(method, config.spread)), config.data.seed, self.device
        )

    def describe(self) -> dict[str, Any]:
        """See `Objective`."""
        return super().describe() | {"spread": self.spread_config.to_dict()["spread"], "image": self.image_facts}

    def same_network(self, description: Mapping[str, Any]) -> bool:
        """See `Objective`."""
        return super().same_network(description) and description.get("spread") == self.describe()["spread"]

    def start_from(self, weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """See `Objective`: the image network is that of the weights, and so is its spread where they have one."""
        own = {name: tensor for name, tensor in self.network.state_dict().items() if name.startswith("spread.")}
        given = {name if name.startswith("spread.") else f"image.{name}": tensor for name, tensor in weights.items()}
        return own | given

    def headline(self) -> str:
        """See `Objective`."""
        n = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        return f"standard deviation of images, {n:,} parameters, of {super().headline()}, frozen"

    def score(self, figures: Mapping[str, float]) -> float:
        """See `Objective`: the likelihood."""
        return -float(np.mean([value for name, value in figures.items() if name.startswith("nll")]))

    def prepare(self, step: int, share: Share) -> PreparedBatch:
        """See `Objective`: what the image network needs, and what its spread is told besides."""
        batch = self.batch(step)
        y, noise_std, truth = (values[share.slice] for values in (batch.y, batch.noise_std, batch.truth))
        given = prepare_input(self.config.method, batch.physics, y, noise_std)
        told = conditions(batch.physics, y, noise_std)
        return PreparedBatch(batch.physics.operator.acquisition.sweep.n_freq, batch.place, (*given, told), truth)

    def loss_of(
        self, network: nn.Module, prepared: PreparedBatch, step: int, averaged: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """See `Objective`: the negative logarithm of the likelihood, up to a constant."""
        n_freq, place, (*given, told), truth = prepared
        physics = self.physics(n_freq) if place is None else self.arrays.get(place)
        with torch.no_grad():
            method, stages = self.config.method, cast(nn.Module, network.image)
            images = run_prepared(stages, method, physics, tuple(given), precision=self.precision)
            image, expected = self._in_units(tuple(given), images[-1].clamp_min(0), truth)
        std = network.spread(tuple(given), told, image, self.precision)  # type: ignore[operator]
        return _negative_log_likelihood(image, expected, std)

    def _in_units(
        self, given: tuple[torch.Tensor, ...], image: torch.Tensor, truth: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return image and truth in the units of the networks.

        An unrolled network has the data's scale, which shrinks: the truth is brought to the scale of the image, as the
        loss of the image brings the image to that of the truth.
        """
        unit = image_unit(self.config.method, given)
        if self.config.method.kind == "unrolled":
            truth = truth / best_scale(image, truth).clamp_min(1e-3)
        return image / unit, truth / unit

    @torch.no_grad()
    def predict(self, network: nn.Module, batch: MeasuredBatch) -> tuple[Array, Array, Array]:
        """Return images, truths and standard deviations of a batch, ``(n_scene, n_x, n_y, n_z)`` each, in units of a 1.

        Images are those that users get, freed of their lattice.
        """
        given = prepare_input(self.config.method, batch.physics, batch.y, batch.noise_std)
        told = conditions(batch.physics, batch.y, batch.noise_std)
        images = run_prepared(
            network.image,  # type: ignore[arg-type]
            self.config.method,
            batch.physics,
            given,
            precision=self.precision,
            lattice_free=True,
        )
        image, truth = self._in_units(given, images[-1].clamp_min(0), batch.truth)
        std = network.spread(given, told, image, self.precision)  # type: ignore[operator]
        return image.cpu().numpy(), truth.cpu().numpy(), std.cpu().numpy()

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
                    self._validation.append(
                        self.measure(self.physics(n_freq), truth, np.full(len(truth), snr_db), rng, Realism())
                    )
        return self._validation

    def validation_elsewhere(self) -> list[MeasuredBatch]:
        """Return scenes on a few arrays that no step draws, one at each of `ELSEWHERE_SNRS`."""
        if not self._elsewhere and self.config.data.other_arrays:
            seed = self.config.data.seed
            for i in range(N_ELSEWHERE):
                rng, drawn = step_rng(seed, Stream.VALIDATION, i), streams(seed, Stream.VALIDATION, i)
                place = UNSEEN + i, -1 - i
                self._elsewhere.append(self.elsewhere(place, np.array(ELSEWHERE_SNRS), rng, drawn, Realism()))
        return self._elsewhere

    @torch.no_grad()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return the negative log-likelihood and the coverage at each SNR, and calibrate.

        The scale makes the mean square of the standard deviations that of the errors. The coverage of a half of the
        scenes is counted with the intervals of the other half; those that are kept are of all scenes.
        """
        batches = self.validation()
        each = len(batches) // len(VALIDATION_SNRS)
        sets = {f"{snr_db:g}": batches[k * each : (k + 1) * each] for k, snr_db in enumerate(VALIDATION_SNRS)}
        if elsewhere := self.validation_elsewhere():
            sets["elsewhere"] = elsewhere
        made = {name: [self.predict(network, batch) for batch in group] for name, group in sets.items()}
        scenes = {name: [one for batch in group for one in zip(*batch, strict=True)] for name, group in made.items()}
        figures = {}
        for name, group in scenes.items():
            nll = [_negative_log_likelihood(*(torch.from_numpy(a) for a in scene)) for scene in group]
            figures[f"nll_{name}"] = float(torch.stack(nll).mean())
        every = [scene for group in scenes.values() for scene in group]
        scale = _scale(every)
        scaled = {name: [(x, t, scale * s) for x, t, s in group] for name, group in scenes.items()}
        halves = [calibrate([one for group in scaled.values() for one in group[k::2] or group]) for k in (0, 1)]
        for name, group in scaled.items():
            counts = [coverage(group[1 - k :: 2] or group, half) for k, half in enumerate(halves)]
            figures |= {f"coverage{level}_{name}": (counts[0][level] + counts[1][level]) / 2 for level in counts[0]}
        if self.score(figures) > self.calibration.get("score", -np.inf):
            whole = calibrate([scene for group in scaled.values() for scene in group])
            told = {"scale": scale, "intervals": whole.to_dict()}
            self.calibration = {"score": self.score(figures), "figures": figures, **told}
        return figures

    def state(self) -> dict[str, Any]:
        """See `Objective`: scale and intervals of the best validation."""
        return {"calibration": self.calibration}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Objective`."""
        self.calibration = state.get("calibration", {})

    @torch.no_grad()
    def draw_samples(self, network: nn.Module, path: Path) -> None:
        """Draw the first scenes of the validation at the first SNR: rows of truths, images and standard deviations."""
        image, truth, std = self.predict(network, self.validation()[0])
        draw_samples(self.acquisition.grid, {"truth": truth, "image": image, "std": std}, path)


def _scale(scenes: list[Scene]) -> float:
    """Return the factor that makes the mean square of standard deviations that of the errors."""
    error = np.mean([np.square(x - t, dtype=np.float64).mean() for x, t, _ in scenes])
    return float(np.sqrt(error / np.mean([np.square(s, dtype=np.float64).mean() for _, _, s in scenes])))


def _negative_log_likelihood(image: torch.Tensor, truth: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    return (std.log() + 0.5 * ((image - truth) / std).square()).mean()


def calibrate(scenes: list[Scene]) -> Intervals:
    """Count how many standard deviations hold each of `LEVELS` of the errors; see `mimo.data.intervals`.

    Parameters
    ----------
    scenes
        Image, truth and standard deviation of each scene, ``(n_x, n_y, n_z)``, in units of one's own for each scene.
    """
    ratio = np.concatenate([(np.abs(x - t) / s).ravel() for x, t, s in scenes])
    logs = np.array(
        [
            np.concatenate([np.log(s / max(float(x.max()), TINY)).ravel() for x, _, s in scenes]),
            np.concatenate([np.log(np.maximum(x / s, LEAST_RATIO)).ravel() for x, _, s in scenes]),
        ]
    )
    # Even shares of the logarithms, not of the voxels: nearly all voxels are empty, with the least of all values.
    ends = [[float(end) for end in np.quantile(log, (0.001, 0.999))] for log in logs]
    borders = [np.linspace(end[0], end[1], n + 1)[1:-1] for end, n in zip(ends, N_CELL, strict=True)]
    place = [np.searchsorted(border, log, side="right") for border, log in zip(borders, logs, strict=True)]
    cells, filled = np.argwhere(np.ones(N_CELL)), list[int]()
    found = np.zeros((len(cells), len(LEVELS)))
    flat = place[0] * N_CELL[1] + place[1]
    for i in range(len(cells)):
        inside = ratio[flat == i]
        if len(inside) >= LEAST_VOXELS:
            found[i] = np.quantile(inside, LEVELS)
            filled.append(i)
    if not filled:
        found[:], filled = np.quantile(ratio, LEVELS), list(range(len(cells)))
    nearest = [min(filled, key=lambda j: int(np.square(cells[i] - cells[j]).sum())) for i in range(len(cells))]
    tables = found[nearest].reshape(*N_CELL, len(LEVELS))
    factors = {f"{100 * level:.0f}": tuple(map(tuple, tables[..., k].tolist())) for k, level in enumerate(LEVELS)}
    std, image = (tuple(np.exp(border).tolist()) for border in borders)
    return Intervals(std, image, factors)


def coverage(scenes: list[Scene], intervals: Intervals, *, above: float = 0.0) -> dict[str, float]:
    """Return the share of the voxels whose truth lies in each interval, by its percentage: ``{"50": ..., "90": ...}``.

    With `above` it counts those voxels alone whose image is above so much of its largest.
    """
    found = {}
    for level in intervals.factors:
        inside = [(np.abs(x - t) <= intervals.factor(level, x, s) * s)[x >= above * x.max()] for x, t, s in scenes]
        found[level] = float(np.concatenate(inside).mean())
    return found
