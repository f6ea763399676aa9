"""Align the pulses of a moving radar at the brightest points of an image: phase gradient autofocus.

At the place of a bright point v each pulse p, matched to it, gives ``z_v(p) = sum_f conj(a_v(p, f)) y(p, f)``: the
point's echo, turned by the pulse's phase error, and what other echoes leave there. The image's other echoes are taken
out first, as a window around the point does in a focused strip. The phases that agree best at all points are those of
the first eigenvector of ``sum_v z_v z_v^H`` (Jakowatz, Wahl, J. Opt. Soc. Am. A 10 (1993) 2539; the gradient of the
phase from pulse to pulse, of Wahl, Eichel, Ghiglia, Jakowatz, IEEE Trans. Aerosp. Electron. Syst. 30 (1994) 827, uses
neighbours alone). Phases linear in the antennas' places move the scene: these are taken out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from mimo import ImagingOperator
from mimo.autofocus.search import Search
from mimo.autofocus.support import Support

__all__ = ["phase_gradient"]

POINTS = 64
"""Bright points at most, local maxima of the image."""

LEAST = 10 ** (-20 / 10)
"""Power of a point at least, relative to the brightest one."""

ROUNDS, SETTLED = 30, 1e-3
"""Rounds of alternation between the points' echoes and the pulses' phases at most, and the radians that end them."""

Floats = npt.NDArray[np.float64]


def phase_gradient(search: Search, theta: Floats, freq: npt.NDArray[np.int64]) -> Floats:
    """Return phases of the pulses, radians ``(n_pulse,)``, that align them at the brightest points of the image.

    Parameters
    ----------
    search
        A scan whose unknowns are phases of pulses.
    theta
        Phases with which the image is made.
    freq
        Indices of the frequencies to use, less those that are held out.
    """
    unknowns = search.unknowns
    (pulse,) = unknowns.channel_groups()
    pulse = pulse[search.division.kept]
    fit = np.intersect1d(search.division.fit_freq, freq)
    radar, response = search.radar(theta)
    problem = search.problem(radar, response, fit)
    A = problem.operator
    places = A.acquisition.voxels.points(0, A.n_voxel).numpy()
    scenes = []
    for y in problem.measurement:
        support = Support(
            A.acquisition, places[_bright_points(A.acquisition.voxels.pick(A.adjoint(y).reshape(1, -1)), A)]
        )
        scenes.append((support.columns(), torch.as_tensor(A.array.list_channels(y.cpu().numpy()))))
    turn = np.zeros(unknowns.n_pulse)
    for _ in range(ROUNDS):
        left = torch.as_tensor(np.exp(-1j * turn[pulse])).to(torch.complex64)
        echoes = np.concatenate([_echoes(columns, data * left, pulse, len(turn)) for columns, data in scenes], 1)
        step = np.angle(echoes @ (echoes.conj().sum(0)))
        turn = turn + step
        if np.sqrt(np.mean(step**2)) < SETTLED:
            break
    return _without_shift(theta + np.angle(np.exp(1j * turn)), search)


def _bright_points(image: torch.Tensor, A: ImagingOperator) -> npt.NDArray[np.int64]:
    """Return which of the voxels inside are the brightest local maxima of an image of these, ``(1, n_voxel)``."""
    voxels = A.acquisition.voxels
    power = image.abs().square().float()
    volume = voxels.put(power).reshape(1, 1, *A.volume_shape)
    near = voxels.pick(torch.nn.functional.max_pool3d(volume, 3, 1, 1).reshape(1, -1))
    peaks = torch.where(near == power, power, 0)[0]
    best, places = torch.topk(peaks, min(POINTS, len(peaks)))
    return places[best > LEAST * best[0]].cpu().numpy()


def _echoes(
    columns: torch.Tensor, data: torch.Tensor, pulse: npt.NDArray[np.int64], n_pulse: int
) -> npt.NDArray[np.complex128]:
    """Return each point's echo in each pulse without the others', ``(n_pulse, n_point)``, in units of its power.

    `columns` are the points' echoes of unit reflectivity, ``(n_freq * n_channel, n_point)``, `data` are aligned,
    ``(n_freq, n_channel)``.
    """
    gram = (columns.mH @ columns).to(torch.complex128)
    gram.diagonal().add_(LEAST * gram.diagonal().real.max())  # points side by side are told apart by little
    size = torch.linalg.solve(gram, (columns.mH @ data.reshape(-1)).to(torch.complex128)).to(torch.complex64)
    rest = data.reshape(-1) - columns @ size
    each = columns.conj() * rest[:, None] + columns.abs().square() * size
    by_channel = (each * size.conj()).reshape(*data.shape, -1).sum(0).to(torch.complex128)
    out = torch.zeros((n_pulse, by_channel.shape[1]), dtype=torch.complex128)
    return out.index_add(0, torch.from_numpy(pulse), by_channel).numpy()


def _without_shift(phase: Floats, search: Search) -> Floats:
    """Return phases less what is linear in the pulses' places, or the same for all: this moves the scene.

    The plane is found by the gradients between pulses that follow each other, which wrap less than the phases.
    """
    unknowns, array = search.unknowns, search.nominal.array
    (pulse,) = unknowns.channel_groups()
    count = np.bincount(pulse, minlength=unknowns.n_pulse)[:, None]
    middle = array.tx_pos[unknowns.tx] + array.rx_pos[unknowns.rx]
    places = np.stack([np.bincount(pulse, middle[:, i], unknowns.n_pulse) for i in range(3)], 1) / count
    turn = np.angle(np.exp(1j * np.diff(phase)))
    slope = np.linalg.lstsq(np.diff(places, axis=0), turn, rcond=None)[0]
    rest = np.exp(1j * (phase - (places - places.mean(0)) @ slope))
    return np.angle(rest * np.exp(-1j * np.angle(rest.mean())))
