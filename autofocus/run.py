"""Find the errors of a radar from a scene that nobody knows, and correct the measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mimo import Acquisition, ImagingOperator, LayeredMedium, VoxelGrid
from mimo.autofocus.correction import corrected
from mimo.autofocus.found import Found
from mimo.autofocus.held_out import Score, divide
from mimo.autofocus.marginal import Evidence, Marginal, Step, solve_step
from mimo.autofocus.support import Support
from mimo.autofocus.unknowns import Unknowns
from mimo.data import Measurement, divide_gain
from mimo.data.calibration import channel_values
from mimo.memory import check_voxels
from mimo.pattern import Patterns
from mimo.recon.noise import estimate_noise_std
from mimo.recon.registry import find_method
from mimo.recon.run import build_problem, make_operator, region_of, run_method

__all__ = ["autofocus"]

ITERATIONS = 8
"""Images at most."""

N_VOXEL, N_DATA, N_PRODUCT = 4000, 2500, 2**25
"""Voxels, and data, at most from which errors are found, and entries at most of the matrix between them. More change
nothing that was measured: errors are few, and data many."""

FEWEST_FREQUENCIES = 4

FLOOR = 10 ** (-25 / 10)
"""Power that any voxel may have, relative to the strongest one, so that no echo is ruled out by a first image."""

LEAST_NOISE = 1e-2
"""Noise that is assumed at least, relative to the data: what the model leaves out is no less."""

SETTLED = 0.05
"""Change of the unknowns, root mean square in units of their priors, below which the search ends."""

PATIENCE = 2
"""Images that may predict no better than the best one before the search ends."""

Floats = npt.NDArray[np.float64]


def autofocus(
    measurement: Measurement,
    grid: VoxelGrid | None = None,
    *,
    solve: Sequence[str] = ("phase",),
    per: str = "auto",
    priors: Mapping[str, float] | None = None,
    method: str = "pnp",
    scenes: Sequence[int] = (0,),
    iterations: int = ITERATIONS,
    pattern: Patterns = None,
    layers: LayeredMedium | None = None,
    region: str | None = None,
    device: str = "auto",
    report: Callable[[dict[str, float]], None] | None = None,
) -> tuple[Measurement, Found]:
    """Correct a radar's errors from the scene itself.

    Images and errors are found in turn. The image of `method` says where echoes may come from and how strong; given
    that, errors are found with the image integrated out (`mimo.autofocus.marginal`), so that it cannot explain them
    away. A tenth of the channels is held out and decides which image was best, and whether to correct anything at all.

    What no data can tell is held fixed: the array's motion as a whole, which moves the scene instead, and a common
    phase or gain. So is what the data know less of than the priors do.

    Parameters
    ----------
    measurement
        Data of one or more scenes taken with the same radar. A gain in it is divided out first.
    grid
        Voxels; the measurement's own by default.
    solve
        What to find, of `mimo.autofocus.KINDS`: ``phase``, ``gain``, ``delay``, ``position``, ``pose``,
        ``permittivity``.
    per
        ``antenna``, ``channel`` or ``pulse``; ``auto`` is ``pulse`` for a scan of several pulses, else ``antenna``.
    priors
        Standard deviations that are expected, in radians, nepers, seconds and metres; see `mimo.autofocus.PRIORS`.
    method
        Name of the method that makes the images.
    scenes
        Scenes that the errors are found from, together.
    iterations
        Images at most, 2 or more: the first one is without a correction.
    pattern, layers, region, device
        As in `mimo.recon.make_problem`.
    report
        Told of each image: the entry of `Found.log`.

    Returns
    -------
    tuple
        The measurement of all scenes with corrected places and medium, and with gain and delay of each channel, which
        `mimo.recon.reconstruct` divides out; and what was found.

    Raises
    ------
    ValueError
        When an option is not known or does not fit the array, or the scenes hold no echoes.
    """
    if iterations < 2:
        raise ValueError(f"iterations is {iterations}: expected 2 or more, an image before and one after a correction")
    search = _Search(measurement, grid, solve, per, priors, method, scenes, pattern, layers, region, device)
    theta, best, log = np.zeros(len(search.unknowns)), None, []
    before: Score | None = None
    waited = 0
    for number in range(iterations if search.division.by != "nothing" else 0):
        score, misfit, step = search.step(theta)
        change = float(np.sqrt(np.mean(((step.theta - theta) / search.unknowns.std) ** 2)))
        log.append({"image": number, "share": score.share, "misfit": misfit, "change": change})
        if report is not None:
            report(log[-1])
        before = score if before is None else before
        waited += 1
        if best is None or score.share > best[0].share:
            best, waited = (score, theta, step), 0
        if waited > PATIENCE or (number and change < SETTLED):
            break
        theta = step.theta
    if best is None or before is None:
        none = np.zeros(len(search.unknowns))
        errors, std = search.unknowns.errors(none), search.unknowns.std
        found = Found(search.unknowns, errors, none, std, none, 0, "nothing", 0.0, 0.0, False)
    else:
        score, theta, step = best
        gained = score.beats(before)
        errors = search.unknowns.errors(theta if gained else np.zeros_like(theta))
        found = Found(
            search.unknowns,
            errors,
            theta,
            step.std,
            step.determined,
            step.ambiguities,
            search.division.by,
            before.share,
            score.share,
            gained,
            log,
        )
    return corrected(measurement, found, method=method, scenes=search.scenes), found


class _Search:
    """Holds what stays the same while errors are looked for."""

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
        check_voxels(nominal.grid, n_scene=some.n_scene)
        self._region = region_of(region, some)
        self.nominal = nominal.replace(inside=self._region.inside(nominal))
        if per == "auto":
            per = "pulse" if Unknowns(self.nominal, ("phase",)).n_pulse > 1 else "antenna"
        self.unknowns = Unknowns(self.nominal, solve, per=per, priors=priors)
        self.division = divide(self.unknowns, nominal.sweep.n_freq)
        self._measurement, self._method, self._device = some, method, device
        self._data = channel_values(some).astype(np.complex128)
        self._points = self.nominal.voxels.points(0, self.nominal.voxels.n_voxel, torch.device("cpu")).numpy()
        n_channel = len(self.division.kept)
        n_freq = max(FEWEST_FREQUENCIES, N_DATA // n_channel)
        self._fit, self._test = (_thinned(f, n_freq) for f in (self.division.fit_freq, self.division.test_freq))
        self._kept: tuple[Acquisition, ImagingOperator, dict[str, Any]] | None = None

    def step(self, theta: Floats) -> tuple[Score, float, Step]:
        """Return how the radar of `theta` predicts, its misfit, and the Gauss-Newton step from it."""
        errors = self.unknowns.errors(theta)
        radar = errors.acquisition(self.nominal)
        response = errors.response(self.nominal.sweep.freq)
        envelopes, noises = self._envelopes(radar, response)
        energy, left, evidence, misfits = [], [], [], []
        for data, envelope, noise in zip(self._data, envelopes, noises, strict=True):
            chosen = self._strongest(envelope)
            support = Support(radar, self._points[chosen], self._fit)
            gain = torch.as_tensor(response[self._fit])
            columns = support.columns() * gain.flatten().to(torch.complex64)[:, None]
            rows = np.broadcast_to(self.division.kept, gain.shape).flatten()
            values = torch.as_tensor(data[self._fit]).flatten()
            marginal = Marginal(columns[rows], torch.as_tensor(envelope[chosen]), values[rows], noise)
            image = marginal.image()
            places = not any(radar.array.far)  # their motion as a whole is an ambiguity, whatever is solved for
            fields = support.fields(image, places=places, medium="permittivity" in self.unknowns.solve).times(gain)
            evidence.append(
                Evidence.of(
                    marginal, self.unknowns.jacobian(fields, theta)[rows], self.unknowns.ambiguous(fields)[rows]
                )
            )
            misfits.append(marginal.misfit / int(rows.sum()))
            part, rest = self._predicted(radar, response, chosen, data, columns, rows, image)
            energy.append(part)
            left.append(rest)
        total = evidence[0]
        for one in evidence[1:]:
            total = total + one
        score = Score(np.concatenate(energy), np.concatenate(left))
        return score, float(np.mean(misfits)), solve_step(total, theta, self.unknowns.std)

    def _predicted(
        self,
        radar: Acquisition,
        response: npt.NDArray[np.complex128],
        chosen: npt.NDArray[np.int64],
        data: npt.NDArray[np.complex128],
        columns: torch.Tensor,
        rows: npt.NDArray[np.bool_],
        image: torch.Tensor,
    ) -> tuple[Floats, Floats]:
        """Return the energy of each channel held out, and of what the image leaves of it."""
        image = image.to(torch.complex64)
        if self.division.by == "channel":
            model = (columns[~rows] @ image).numpy().reshape(len(self._fit), -1)
            wanted = data[self._fit][:, ~self.division.kept]
        else:
            seen = Support(radar, self._points[chosen], self._test).columns() @ image
            model = seen.numpy().reshape(len(self._test), -1) * response[self._test]
            wanted = data[self._test]
        return (np.abs(wanted) ** 2).sum(0), (np.abs(wanted - model) ** 2).sum(0)

    def _strongest(self, envelope: Floats) -> npt.NDArray[np.int64]:
        """Return the strongest voxels, as many as there is room for."""
        most = min(N_VOXEL, max(64, N_PRODUCT // (len(self._fit) * len(self.division.kept))))
        return np.sort(np.argsort(-envelope, kind="stable")[:most])

    def _envelopes(self, radar: Acquisition, response: npt.NDArray[np.complex128]) -> tuple[list[Floats], list[float]]:
        """Return the power expected in each voxel inside, and the noise in the data, of each scene."""
        problem = self._problem(radar, response)
        power = run_method(self._method, problem).image
        noise = problem.noise_std
        noise = estimate_noise_std(problem) if noise is None else noise
        size = problem.measurement.flatten(1).norm(dim=1).double() / problem.operator.n_measurement**0.5
        noise = torch.maximum(noise.double(), LEAST_NOISE * size)
        smooth = torch.nn.functional.avg_pool3d(
            torch.as_tensor(np.abs(power) ** 2)[:, None].double(), 3, 1, 1, count_include_pad=False
        )[:, 0]
        inside = self.nominal.voxels.pick(smooth.flatten(1)).numpy()
        top = inside.max(1, keepdims=True)
        inside = np.where(top > 0, inside + FLOOR * top, 1.0)
        return list(inside), noise.tolist()

    def _problem(self, radar: Acquisition, response: npt.NDArray[np.complex128]) -> Any:
        """Return the problem of the data that are not held out, corrected by the channels' gains."""
        measurement, freq = self._measurement, self.division.fit_freq
        data = self._data / response
        array = radar.array
        channels = array.channel_indices()[self.division.kept]
        sweep = type(radar.sweep)(radar.sweep.freq[freq])
        path = radar.reference_path
        if array.paired:
            values = data[:, freq][..., self.division.kept]
            array = replace(array, channels=channels)
            path = None if path is None else path[self.division.kept]
        else:
            mask = np.zeros((array.n_tx, array.n_rx), bool)
            mask[tuple(channels.T)] = True
            values = np.zeros((len(data), len(freq), array.n_tx, array.n_rx), complex)
            values[(..., *channels.T)] = data[:, freq][..., self.division.kept]
            array = array.with_mask(mask)
        kept = radar.replace(array=array, sweep=sweep, reference_path=path)
        if self._kept is None or self._kept[0] != kept:
            self._kept = (kept, make_operator(kept, device=self._device), {})
        part = replace(
            measurement,
            values=values.astype(np.complex64),
            array=array,
            sweep=sweep,
            reference_path=path,
            permittivity=kept.permittivity,
            background=None,
            truth=None,
        )
        return build_problem(self._kept[1], part, self._kept[2], region=str(self._region))


def _thinned(indices: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return `most` of the indices at even steps."""
    if len(indices) <= most:
        return indices
    return indices[np.unique(np.linspace(0, len(indices) - 1, most).round().astype(int))]
