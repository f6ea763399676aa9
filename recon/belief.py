"""Say how far an image can be believed: which share of the data it explains, and of data that it was not made from.

Images of many methods have no scale, and magnitudes no phase. So an image x (a magnitude with the phase of the
back-projected image) is given the complex level c that fits best. It then explains the share
``1 - min_c |y - c A x|^2 / |y|^2 = |<A x, y>|^2 / (|A x|^2 |y|^2)`` of the measurement's energy.

An image that has more freedom than the data explains even noise. What it says of data that it has not seen tells more:
the method is run without the data that `mimo.recon.held_out` holds out, and the same share is taken over these alone.
Their level is fitted too, one number against hundreds: a sum over the data answers the data in it more strongly than
others, so a level of the data used would say nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mimo import ImagingOperator
from mimo.least_squares import DataStep
from mimo.recon.costs import exact_seconds, former_seconds
from mimo.recon.held_out import Split, digest, part_of, split, values_of
from mimo.recon.registry import METHODS, Images, Method, Problem
from mimo.recon.suspicion import suspicion

__all__ = ["CHECKS", "TOO_FEW", "check_images"]

CHECKS = ("fast", "held-out", "none")
"""How images are checked: ``fast`` runs only methods that take little longer, ``held-out`` runs each method again."""

TOO_FEW = "too few channels"
"""Why nothing is held out of a small measurement."""

QUICK = 0.1
"""A view of all data is taken where the exact sum is predicted to take at most these seconds a scene."""

MOST_CHANNELS, MOST_FREQ = 48, 40
"""Channels and frequencies of the view otherwise: a random sample, on which shares are within a few per cent."""

PATIENCE = 2.0
"""Seconds a scene that an image former, or the back-projection to compare with, may by prediction take for a check."""

MOST_VOXELS = 100_000
"""Voxels of the grid up to which a network makes images for a check."""

LOW, LOW_HELD_OUT = 0.15, 0.02
"""Below these shares of the measurement, or of the data held out, little is to be expected of an image."""

LOUD = 0.75
"""Noise of this share of the data's norm, found from the data, is told of."""


@dataclass(frozen=True, eq=False)
class _View:
    """The data on which images are judged: all of them, or a random sample where one forward would take long."""

    operator: ImagingOperator
    take: Callable[[Problem], torch.Tensor]
    """Returns these data of a problem, ``(n_scene, n)``."""
    valid: torch.Tensor | None
    """Which of them carry data, bool ``(n,)``; ``None`` for all."""
    held: torch.Tensor | None
    """Which of them are held out, bool ``(n,)``, or ``None``."""

    def seen(self, image: torch.Tensor) -> torch.Tensor:
        """Return what images would measure, ``(n_scene, n)``."""
        return self._only(self.operator.forward(image.to(self.operator.dtype)).flatten(1))

    def data(self, problem: Problem) -> torch.Tensor:
        """Return the data of a problem, zero where there are none."""
        return self._only(self.take(problem))

    def _only(self, y: torch.Tensor) -> torch.Tensor:
        return y if self.valid is None else y * self.valid


class _Unfit(Exception):  # noqa: N818  caught here, never told
    """A method cannot be run on data that were set to zero."""


@dataclass
class _Zeroed(Problem):
    """A problem whose data held out are zero: to sums over the data they are absent, to least squares they are not."""

    def data_step(self, *args: Any, **options: Any) -> DataStep:
        """Refuse: see the class."""
        raise _Unfit


def check_images(
    method: Method, options: Mapping[str, Any], problem: Problem, images: Images, *, check: str
) -> dict[str, Any]:
    """Return what is known of the credibility of images, to be stored with them.

    Parameters
    ----------
    method, options
        What the images were made by.
    problem
        What they were made from.
    images
        The images, and whether they converged.
    check
        One of `CHECKS`, not ``none``.

    Returns
    -------
    dict
        Lists over scenes: ``explained``, ``explained_held_out`` and ``explained_backprojection`` (shares, or ``None``
        where not known), ``verdict`` and ``suspicion`` (texts, empty where there is nothing to say). Where nothing was
        held out, ``held_out_unknown`` is the reason, one text; after a keyboard interrupt in the second run of the
        method ``check_interrupted`` is true.
    """
    view, n_scene = _view(problem), len(problem.measurement)
    y = view.data(problem)
    backprojection = _Backprojection(problem, view)
    image = images.image if images.image.is_complex() else torch.polar(images.image, backprojection.phase())
    own = method.name == "backprojection" and not options
    explained = _explained(view.seen(image), y)
    compared = backprojection.explained(explained if own else None)
    cut = False
    try:
        held_out, reason = _held_out(method, options, problem, images, view, check)
    except KeyboardInterrupt:
        held_out, reason, cut = None, "interrupted", True
    known: dict[str, Any] = {
        "explained": explained,
        "explained_held_out": held_out or [None] * n_scene,
        "explained_backprojection": compared,
    }
    if reason:
        known["held_out_unknown"] = reason
    if cut:
        known["check_interrupted"] = True
    facts = {**images.found, **known, "residual": _last(images.history, "residual", n_scene)}
    known["verdict"] = [_verdict(facts, scene) for scene in range(n_scene)]
    known["suspicion"] = [""] * n_scene if cut else suspicion(problem)
    return known


def _verdict(facts: Mapping[str, Any], scene: int) -> str:
    """Return what a reader must know of the image of a scene, empty when there is nothing to warn of."""

    def of(name: str) -> Any:
        values = facts.get(name)
        return values[scene] if isinstance(values, list) and len(values) > scene else None

    parts = []
    held_out, explained = of("explained_held_out"), of("explained")
    if explained < LOW or (held_out is not None and held_out < LOW_HELD_OUT):
        parts.append("expect little from it")
    if of("converged") is False:
        parts.append("not converged")
    if (residual := of("residual")) is not None and residual > 1.1:
        parts.append("misses the data by more than the noise allows")
    if (noise := of("noise_std_relative")) is not None and noise >= LOUD:
        parts.append("the noise was found to be nearly all of the data")
    return "; ".join(parts)


def _held_out(
    method: Method,
    options: Mapping[str, Any],
    problem: Problem,
    images: Images,
    view: _View,
    check: str,
) -> tuple[list[float] | None, str]:
    """Return the share of data held out that each scene's image explains, or ``None`` and the reason.

    `KeyboardInterrupt` when there was one in the second run, also where the method itself would keep what it reached.
    """
    found = images.found.get("held_out_share")
    every = isinstance(found, list) and len(found) == len(problem.measurement)
    if found is not None and every and (check != "held-out" or None not in found):
        return found, ""
    held = split(problem.operator)
    if held is None or view.held is None or images.interrupted:
        return None, "interrupted" if images.interrupted else TOO_FEW
    if any(isinstance(value, torch.Tensor) for value in options.values()):
        return None, "an option was given as an array"
    if check == "held-out":
        kept = _kept(held, problem)
        made = _run_quietly(method, kept, options)
    elif images.iterations:
        return None, "needs a second run: --check held-out"
    elif _takes_long(method, problem, images):
        return None, "takes long: --check held-out"
    else:
        out = held.of_measurement(problem.operator)
        std = problem.noise_std if problem.noise_std is not None else torch.ones(len(problem.measurement))
        kept = _Zeroed(problem.operator, problem.measurement * ~out, std, _shared=problem._shared)
        try:
            made = _run_quietly(method, kept, options)
        except _Unfit:
            return None, "needs a second run: --check held-out"
    image = made.image
    if not image.is_complex():
        # the same sum, over the data kept: an operator of the kept part has the voxels of the whole
        image = torch.polar(image, METHODS["backprojection"].run(_bare(kept)).image.angle())
    return _explained(view.seen(image)[:, view.held], view.data(problem)[:, view.held]), ""


def _kept(held: Split, problem: Problem) -> Problem:
    """Return the problem of the data kept; its operator, and what is prepared for it, serve all scenes and methods."""
    shared, freq = problem._shared, np.arange(problem.operator.sweep.n_freq)
    if "kept" not in shared:
        first = held.kept(problem.scenes(0, 1))
        shared["kept"] = first.operator, first._shared
    operator, prepared = shared["kept"]
    values = values_of(problem, freq, np.flatnonzero(~held.channels))
    return Problem(operator, values, problem.noise_std, _shared=prepared)


def _takes_long(method: Method, problem: Problem, images: Images) -> bool:
    """Say, from sizes alone so that every run answers alike, whether making direct images again takes long."""
    if "weights" in images.found:
        return problem.operator.grid.n_voxel > MOST_VOXELS
    return _seconds(method.name, problem) > PATIENCE


def _seconds(former: str, problem: Problem) -> float:
    """Return the predicted seconds of an image former for a scene, found once."""
    shared, name = problem._shared, f"seconds of {former}"
    if name not in shared:
        shared[name] = former_seconds(former, problem.operator)
    return shared[name]


def _run_quietly(method: Method, problem: Problem, options: Mapping[str, Any]) -> Images:
    """Run a method again without repeating its warnings, and without its time in the set-up of the first run.

    `KeyboardInterrupt` also where the method keeps what it reached: no image of a check is worth that.
    """
    shared = problem._shared
    before, stopped = shared.get("seconds", 0.0), shared.get("interrupted", False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = method.run(problem, **options)
        if made.interrupted or bool(shared.get("interrupted")) > bool(stopped):
            raise KeyboardInterrupt
    finally:
        shared["seconds"], shared["interrupted"] = before, stopped
    return made


def _bare(problem: Problem) -> Problem:
    return Problem(problem.operator, problem.measurement, problem.noise_std, _shared=problem._shared)


class _Backprojection:
    """Makes the back-projected image of a problem when it is needed, and remembers what it explains."""

    def __init__(self, problem: Problem, view: _View) -> None:
        self.problem, self.view = _bare(problem), view
        self._image: torch.Tensor | None = None

    def explained(self, known: list[float] | None) -> list[float] | list[None]:
        """Return the share that the image of each scene explains, `known` where the image checked is this one.

        Whether it is told depends on predicted seconds alone, not on which images happen to be there already. The
        numbers are kept for the other methods.
        """
        if _seconds("auto-physics", self.problem) > PATIENCE:
            return [None] * len(self.problem.measurement)
        if known is not None:
            return known
        shared, name = self.problem._shared, f"explained by back-projection {digest(self.problem.measurement)}"
        if name not in shared:
            shared[name] = _explained(self.view.seen(self.image()), self.view.data(self.problem))
        return shared[name]

    def phase(self) -> torch.Tensor:
        """Return the phase of the image, ``(n_scene, n_x, n_y, n_z)``."""
        return self.image().angle()

    def image(self) -> torch.Tensor:
        """Return the image, made by the quickest way."""
        if self._image is None:
            self._image = _run_quietly(METHODS["auto-physics"], self.problem, {}).image
        return self._image


def _view(problem: Problem) -> _View:
    """Return the view of a problem's operator, chosen once."""
    shared = problem._shared
    if "view" not in shared:
        A = problem.operator
        held = split(A)
        shared["view"] = _whole(A, held) if exact_seconds(A) <= QUICK else _sampled(problem, held)
    return shared["view"]


def _whole(A: ImagingOperator, held: Split | None) -> _View:
    out = None if held is None else held.of_measurement(A).flatten()
    return _View(A, lambda problem: problem.measurement.flatten(1), A.mask_of_measurements(), out)


def _sampled(problem: Problem, held: Split | None) -> _View:
    """Take every n-th frequency and a random sample of channels, of which as large a share is held out as of all."""
    A, rng = problem.operator, np.random.default_rng(0)
    out = np.zeros(A.array.n_channel, bool) if held is None else held.channels
    share = min(1.0, MOST_CHANNELS / len(out))
    parts = [rng.permutation(np.flatnonzero(out == each)) for each in (True, False)]
    channels = np.sort(np.concatenate([part[: int(np.ceil(share * len(part)))] for part in parts]))
    freq = np.arange(0, A.sweep.n_freq, -(-A.sweep.n_freq // MOST_FREQ))
    operator = part_of(problem.scenes(0, 1), freq, channels).operator
    held_out = torch.from_numpy(np.tile(out[channels], len(freq))).to(A.device)

    def take(whole: Problem) -> torch.Tensor:
        return values_of(whole, freq, channels).flatten(1)

    return _View(operator, take, None, held_out if out.any() else None)


def _explained(seen: torch.Tensor, y: torch.Tensor) -> list[float]:
    """Return the share of ``|y|^2`` that `seen` explains at its best level, of each scene.

    Summed in double precision and rounded, so that it does not depend on the process that computes it.
    """
    seen, y = seen.to(torch.complex128), y.to(torch.complex128)
    fit = (seen.conj() * y).sum(1).abs().square()
    power = _power(seen) * _power(y)
    shares = torch.where(power > 0, fit / power, 0.0).clamp(0, 1).tolist()
    return [round(share, 6) for share in shares]


def _power(y: torch.Tensor) -> torch.Tensor:
    return y.abs().square().sum(1)


def _last(history: Sequence[Mapping[str, Any]] | None, name: str, n_scene: int) -> list[float | None]:
    """Return the last value that a history has of a figure, for each scene."""
    last: list[float | None] = [None] * n_scene
    for entry in history or ():
        values = entry.get(name)
        if isinstance(values, list):
            last = [old if new is None else new for old, new in zip(last, values, strict=True)]
    return last
