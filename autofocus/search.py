"""Hold a scan while a radar's errors are looked for: its images, and how well a radar predicts what is held out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo import Acquisition, ImagingOperator, LayeredMedium, VoxelGrid
from mimo.autofocus.held_out import Score, divide
from mimo.autofocus.marginal import Evidence, Marginal, Step, solve_step
from mimo.autofocus.support import Support
from mimo.autofocus.unknowns import Unknowns
from mimo.data import Measurement, divide_gain
from mimo.data.calibration import channel_values
from mimo.memory import check_voxels
from mimo.pattern import Patterns
from mimo.recon.noise import estimate_noise_std
from mimo.recon.registry import Problem, find_method
from mimo.recon.run import build_problem, make_operator, region_of, run_method

__all__ = ["Search", "View"]

N_VOXEL, N_DATA, N_PRODUCT = 4000, 2500, 2**25
"""Voxels, and data, at most from which errors are found, and entries at most of the matrix between them. More change
nothing that was measured: errors are few, and data many."""

FEWEST_FREQUENCIES = 4

FLOOR = 10 ** (-25 / 10)
"""Power that any voxel may have, relative to the strongest one, so that no echo is ruled out by a first image."""

LEAST_NOISE = 1e-2
"""Noise that is assumed at least, relative to the data: what the model leaves out is no less."""

Floats = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class View:
    """Holds what one scene looks like to a radar: where echoes may come from, and their covariance.

    Attributes
    ----------
    support
        The strongest voxels, at the frequencies that errors are found from.
    gain
        Gain of each channel there, complex128 ``(n_freq, n_channel)``.
    rows
        Which of the data are not held out, bool ``(n_freq * n_channel,)``.
    marginal
        Their likelihood with the image integrated out.
    image
        The mean of the image given these data, complex ``(n_voxel,)``.
    """

    support: Support
    gain: torch.Tensor
    rows: npt.NDArray[np.bool_]
    marginal: Marginal
    image: torch.Tensor


class Search:
    """Holds what stays the same while a radar's errors are looked for; arguments are those of `mimo.autofocus`.

    Attributes
    ----------
    nominal
        The radar as the file states it.
    unknowns
        What is looked for.
    division
        What is held out.
    scenes
        Numbers of the scenes that errors are found from.
    """

    def __init__(
        self,
        measurement: Measurement,
        grid: VoxelGrid | None,
        solve: Sequence[str],
        per: str,
        priors: Mapping[str, float] | None,
        method: str,
        scenes: Sequence[int],
        pattern: Patterns,
        layers: LayeredMedium | None,
        region: str | None,
        device: str,
    ) -> None:
        find_method(method)
        self.scenes = list(scenes)
        some = measurement.scenes(self.scenes)
        if some.gain is not None:
            some = divide_gain(some)
        nominal = some.acquisition(grid, pattern=pattern, layers=layers)
        check_voxels(nominal.grid.shape, n_scene=some.n_scene)
        self._region = region_of(region, some)
        self.nominal = nominal.replace(inside=self._region.inside(nominal))
        if per == "auto":
            per = "pulse" if Unknowns(self.nominal, ("phase",)).n_pulse > 1 else "antenna"
        self.unknowns = Unknowns(self.nominal, solve, per=per, priors=priors)
        self.division = divide(self.unknowns, nominal.sweep.n_freq)
        self._measurement, self._method, self._device = some, method, device
        self._data = channel_values(some).astype(np.complex128)
        self._points = self.nominal.voxels.points(0, self.nominal.voxels.n_voxel, torch.device("cpu")).numpy()
        self._kept: tuple[Acquisition, ImagingOperator, dict[str, Any]] | None = None

    @property
    def n_voxel(self) -> int:
        """Number of voxels inside."""
        return len(self._points)

    def look(self, theta: Floats, freq: npt.NDArray[np.int64]) -> tuple[Score, float, list[View]]:
        """Return how the radar of `theta` predicts what is held out, its misfit, and what it sees of each scene.

        Images are made from the frequencies `freq`, indices, less those that are held out; so are the views.
        """
        radar, response = self.radar(theta)
        fit, test = (
            _thinned(np.intersect1d(all_, freq) if by == "fit" else all_, self._n_freq)
            for by, all_ in (("fit", self.division.fit_freq), ("test", self.division.test_freq))
        )
        energy, left, views = [], [], []
        envelopes, noises = self._envelopes(radar, response, np.intersect1d(self.division.fit_freq, freq))
        for data, envelope, noise in zip(self._data, envelopes, noises, strict=True):
            chosen = self._strongest(envelope, len(fit))
            view, columns = self._view(radar, response, fit, envelope, chosen, data, noise)
            views.append(view)
            judge = view
            if self.division.by == "channel" and not np.array_equal(fit, test):  # a band of them: all must be predicted
                judge, columns = self._view(radar, response, test, envelope, chosen, data, noise)
            part, rest = self._predicted(radar, response, test, judge, columns, data)
            energy.append(part)
            left.append(rest)
        misfit = float(np.mean([view.marginal.misfit / int(view.rows.sum()) for view in views]))
        return Score(np.concatenate(energy), np.concatenate(left)), misfit, views

    def step(self, theta: Floats, views: Sequence[View]) -> Step:
        """Return the Gauss-Newton step from `theta`, with the images of all scenes integrated out."""
        evidence = []
        for view in views:
            places = not any(self.nominal.array.far)  # their motion is an ambiguity, whatever is solved for
            medium = "permittivity" in self.unknowns.solve
            fields = view.support.fields(view.image, places=places, medium=medium).times(view.gain)
            jacobian, ambiguous = self.unknowns.jacobian(fields, theta), self.unknowns.ambiguous(fields)
            evidence.append(Evidence.of(view.marginal, jacobian[view.rows], ambiguous[view.rows]))
        total = evidence[0]
        for one in evidence[1:]:
            total = total + one
        return solve_step(total, theta, self.unknowns.std)

    def radar(self, theta: Floats) -> tuple[Acquisition, Complex]:
        """Return the radar that unknowns mean, and the gain of its channels, ``(n_freq, n_channel)``."""
        errors = self.unknowns.errors(theta)
        return errors.acquisition(self.nominal), errors.response(self.nominal.sweep.freq)

    def _view(
        self,
        radar: Acquisition,
        response: Complex,
        freq: npt.NDArray[np.int64],
        envelope: Floats,
        chosen: npt.NDArray[np.int64],
        data: Complex,
        noise: float,
    ) -> tuple[View, torch.Tensor]:
        """Return the view of one scene at some frequencies, and the columns of all its channels."""
        support = Support(radar, self._points[chosen], freq)
        gain = torch.as_tensor(response[freq])
        columns = support.columns() * gain.flatten().to(torch.complex64)[:, None]
        rows = np.broadcast_to(self.division.kept, gain.shape).flatten()
        values = torch.as_tensor(data[freq]).flatten()
        marginal = Marginal(columns[rows], torch.as_tensor(envelope[chosen]), values[rows], noise)
        return View(support, gain, rows, marginal, marginal.image()), columns

    def _predicted(
        self,
        radar: Acquisition,
        response: Complex,
        test: npt.NDArray[np.int64],
        view: View,
        columns: torch.Tensor,
        data: Complex,
    ) -> tuple[Floats, Floats]:
        """Return the energy of each channel held out, and of what the image leaves of it."""
        image = view.image.to(torch.complex64)
        if self.division.by == "channel":
            model = (columns[~view.rows] @ image).numpy().reshape(len(test), -1)
            wanted = data[test][:, ~self.division.kept]
        else:
            seen = Support(radar, view.support.points.numpy(), test).columns() @ image
            model = seen.numpy().reshape(len(test), -1) * response[test]
            wanted = data[test]
        return (np.abs(wanted) ** 2).sum(0), (np.abs(wanted - model) ** 2).sum(0)

    @property
    def _n_freq(self) -> int:
        return max(FEWEST_FREQUENCIES, N_DATA // len(self.division.kept))

    def _strongest(self, envelope: Floats, n_freq: int) -> npt.NDArray[np.int64]:
        """Return the strongest voxels, as many as there is room for."""
        most = min(N_VOXEL, max(64, N_PRODUCT // (n_freq * len(self.division.kept))))
        return np.sort(np.argsort(-envelope, kind="stable")[:most])

    def _envelopes(
        self, radar: Acquisition, response: Complex, freq: npt.NDArray[np.int64]
    ) -> tuple[list[Floats], list[float]]:
        """Return the power expected in each voxel inside, and the noise in the data, of each scene."""
        problem = self.problem(radar, response, freq)
        with warnings.catch_warnings():  # a band of the data may be far from what a network was trained on
            warnings.simplefilter("ignore", RuntimeWarning)
            image = run_method(self._method, problem).image
        for scene, made in enumerate(image):
            if not made.any():  # a radar in disorder explains so little that some methods leave nothing
                image[scene] = problem.operator.adjoint(problem.measurement[scene]).cpu().numpy()
        noise = problem.noise_std
        noise = estimate_noise_std(problem) if noise is None else noise
        level = problem.measurement.flatten(1).norm(dim=1).double() / problem.operator.n_measurement**0.5
        noise = torch.maximum(noise.double(), LEAST_NOISE * level)
        size = [3 if n >= 3 else 1 for n in image.shape[1:]]
        smooth = torch.nn.functional.avg_pool3d(
            torch.as_tensor(np.abs(image) ** 2)[:, None].double(),
            size,
            1,
            [n // 2 for n in size],
            count_include_pad=False,
        )[:, 0]
        inside = self.nominal.voxels.pick(smooth.flatten(1)).numpy()
        top = inside.max(1, keepdims=True)
        inside = np.where(top > 0, inside + FLOOR * top, 1.0)
        return list(inside), noise.tolist()

    def problem(
        self,
        radar: Acquisition,
        response: Complex,
        freq: npt.NDArray[np.int64],
        inside: npt.NDArray[np.bool_] | None = None,
    ) -> Problem:
        """Return the problem of the data at `freq` that are not held out, divided by the channels' gains.

        `inside` leaves only some of the grid's voxels.
        """
        measurement, kept = self._measurement, self.division.kept
        array, path = radar.array, radar.reference_path
        values = (self._data / response)[:, freq][..., kept]
        if array.paired:
            array = replace(array, channels=array.channels[kept])  # type: ignore[index]
            path = None if path is None else path[kept]
        else:
            array = array.with_mask(array.spread_channels(kept))
            values = array.spread_channels(values)
        part = radar.replace(array=array, sweep=type(radar.sweep)(radar.sweep.freq[freq]), reference_path=path)
        if inside is not None:
            part = part.replace(inside=inside)
        if self._kept is None or self._kept[0] != part:
            self._kept = (part, make_operator(part, device=self._device), {})
        some = replace(
            measurement,
            values=values.astype(np.complex64),
            array=array,
            sweep=part.sweep,
            reference_path=path,
            permittivity=part.permittivity,
            background=None,
            truth=None,
        )
        return build_problem(self._kept[1], some, self._kept[2], region=str(self._region))


def _thinned(indices: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return `most` of the indices at even steps."""
    if len(indices) <= most:
        return indices
    return indices[np.unique(np.linspace(0, len(indices) - 1, most).round().astype(int))]
