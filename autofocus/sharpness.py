"""Find a radar's errors that make a back-projection sharp: of least entropy, or of the largest fourth moment.

With ``I = w A^H (conj(g) y)``, w the inverse norms of the columns, a criterion F of the intensities ``|I|^2`` has the
gradient ``dF = Re <dA_g (w G), y>``, where ``G = 2 I dF/d|I|^2`` and ``A_g`` is the operator with the channels' gains:
one back-projection and one measurement give F and its derivatives by all phases and delays, and a few sums more those
by places and medium (`mimo.measure_with`). Criteria of this kind: Fienup, Miller, J. Opt. Soc. Am. A 20 (2003) 609.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize

from mimo import ImagingOperator, measure_with
from mimo.autofocus.search import Search
from mimo.autofocus.unknowns import Unknowns
from mimo.weighted_operator import column_norms

__all__ = ["CRITERIA", "entropy", "focus_of", "sharpen", "sharpness"]

PULL = 0.01
"""Weight of the mean square of the unknowns in units of their priors, beside a criterion of the order of 1. It holds
what moves the scene and what the image does not tell."""

ITERATIONS = 12
"""Steps of the quasi-Newton method from one image to the next."""

PRODUCTS = 2**30
"""Products of data and voxels at most: more voxels than that leaves are those around the brightest ones."""

THIN = 8
"""Frequencies of the first image."""

Floats = npt.NDArray[np.float64]


def entropy(power: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Return the entropy of the shares of an image's energy, and its derivatives by the powers, float64."""
    total = power.sum()
    share = power / total
    log = torch.log(share.clamp_min(torch.finfo(share.dtype).tiny))
    value = -(share * log).sum()
    return float(value), -(log + value) / total


def sharpness(power: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Return minus the logarithm of the sum of squared shares of an image's energy, and its derivatives."""
    total, squares = power.sum(), power.square().sum()
    return float(2 * torch.log(total) - torch.log(squares)), 2 / total - 2 * power / squares


CRITERIA: dict[str, Callable[[torch.Tensor], tuple[float, torch.Tensor]]] = {
    "entropy": entropy,
    "sharpness": sharpness,
}
"""What is made small, by name."""


def sharpen(
    search: Search, theta: Floats, freq: npt.NDArray[np.int64], *, criterion: str, thin: bool = False
) -> Floats:
    """Return unknowns, from `theta` on, whose back-projections are sharper.

    Parameters
    ----------
    search
        The scan.
    theta
        Where to start.
    freq
        Indices of the frequencies to use, less those that are held out; of them `THIN` at even steps with `thin`.
    criterion
        A name of `CRITERIA`.
    """
    fit = np.intersect1d(search.division.fit_freq, freq)
    if thin and len(fit) > THIN:
        fit = fit[np.linspace(0, len(fit) - 1, THIN).round().astype(int)]
    inside = _around_the_brightest(search, search.problem(*search.radar(theta), fit))
    std = search.unknowns.std
    made: Any = minimize(
        focus_of(search, fit, criterion, inside),
        theta / std,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS, "maxcor": 20},
    )
    return made.x * std


def focus_of(
    search: Search, freq: npt.NDArray[np.int64], criterion: str, inside: npt.NDArray[np.bool_] | None
) -> Callable[[Floats], tuple[float, Floats]]:
    """Return the function of the unknowns, in units of their priors, that is made small, with its derivatives.

    It is the criterion's mean over scenes, of a back-projection of the voxels `inside` from the frequencies `freq`, and
    `PULL`.
    """
    unknowns, of = search.unknowns, CRITERIA[criterion]
    weights: list[torch.Tensor] = []

    def value(z: Floats) -> tuple[float, Floats]:
        radar, response = search.radar(z * unknowns.std)
        problem = search.problem(radar, np.ones_like(response), freq, inside)
        A = problem.operator
        if not weights:
            norms = column_norms(A)
            weights.append(torch.where(norms > 0, 1 / norms.clamp_min(torch.finfo(norms.dtype).tiny), 0))
        gain = A.array.spread_channels(response[freq][:, search.division.kept])
        gains = torch.as_tensor(gain).to(A.dtype).to(A.device)
        total, slope = 0.0, np.zeros(len(z))
        for y in problem.measurement:
            image = weights[0] * A.adjoint(gains.conj() * y)
            found, by_power = of(image.abs().double().square())
            echo = (2 * weights[0] * by_power * image).to(A.dtype)
            total += found
            slope += _pulled_back(A, echo, gains, y, unknowns, search.division.kept)
        n = len(problem.measurement)
        return total / n + PULL * float(np.mean(z**2)), unknowns.std * slope / n + 2 * PULL * z / len(z)

    return value


def _around_the_brightest(search: Search, problem: Any) -> npt.NDArray[np.bool_] | None:
    """Return the voxels around the brightest ones that there is time for; ``None`` for all of them."""
    A = problem.operator
    most = max(64, PRODUCTS // A.n_measurement)
    if search.n_voxel <= most:
        return search.nominal.inside
    power = sum(A.adjoint(y).abs().square() for y in problem.measurement)
    size = [5 if n >= 5 else 1 for n in A.volume_shape]
    near = torch.nn.functional.max_pool3d(power[None, None].float(), size, 1, [n // 2 for n in size])[0, 0]
    voxels = search.nominal.voxels
    order = torch.argsort(voxels.pick(near.reshape(1, -1))[0], descending=True, stable=True)[:most]
    chosen = torch.zeros((1, search.n_voxel), dtype=torch.bool)
    chosen[0, order.cpu()] = True
    return voxels.put(chosen)[0].reshape(A.volume_shape).numpy()


def _pulled_back(
    A: ImagingOperator,
    echo: torch.Tensor,
    gain: torch.Tensor,
    y: torch.Tensor,
    unknowns: Unknowns,
    kept: npt.NDArray[np.bool_],
) -> Floats:
    """Return the derivatives of ``Re <A_g echo, y>`` by the unknowns, float64 ``(n,)``."""
    places: dict[str, torch.Tensor] = {}
    if {"position", "pose"} & set(unknowns.solve):
        for name in ("tx_pos", "rx_pos"):
            places[name] = torch.tensor(getattr(A.array, name), requires_grad=True)
    if "permittivity" in unknowns.solve:
        layers = A.acquisition.layers
        medium = torch.as_tensor(A.permittivity if layers is None else layers.permittivity.copy()).double()
        places["permittivity"] = medium.requires_grad_()
    model = gain * (measure_with(A, echo, **places) if places else A.forward(echo))
    if places:
        (model.conj() * y).real.double().sum().backward()
    turn = (model.detach().conj() * y).imag.double().cpu().numpy()  # d/dphase of Re(conj(exp(j phase) m) y)
    by_channel = A.array.list_channels(turn)
    omega = 2 * np.pi * A.sweep.freq[:, None]
    by_phase, by_delay = (np.zeros(len(kept)) for _ in range(2))
    by_phase[kept], by_delay[kept] = by_channel.sum(0), -(omega * by_channel).sum(0)
    grads = {name: value.grad.cpu().numpy() for name, value in places.items() if value.grad is not None}
    return unknowns.pull_back(by_phase, by_delay, **grads)
