"""Find the errors of a radar from a scene that nobody knows, and correct the measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mimo import LayeredMedium, VoxelGrid
from mimo.autofocus.bands import bands
from mimo.autofocus.correction import corrected
from mimo.autofocus.found import Found
from mimo.autofocus.held_out import Score
from mimo.autofocus.marginal import Step
from mimo.autofocus.medium import find_medium
from mimo.autofocus.phase_gradient import phase_gradient
from mimo.autofocus.search import Search, View
from mimo.autofocus.sharpness import CRITERIA, sharpen
from mimo.data import Measurement
from mimo.options import unknown
from mimo.pattern import Patterns

__all__ = ["OBJECTIVES", "autofocus"]

OBJECTIVES = ("auto", "joint", *CRITERIA, "phase-gradient")
"""What errors are found by."""

ITERATIONS = 8
"""Images at most."""

JOINT_MOST = 1500
"""Unknowns up to which ``auto`` finds them together with the image: the matrix between them is dense."""

SETTLED = 0.05
"""Change of the unknowns, root mean square in units of their priors, below which the search ends."""

MEDIUM_AT = (2, 5)
"""Images after which a medium is looked for beside other errors."""

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
    objective: str = "auto",
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

    Images and errors are found in turn. With the objective ``joint`` the image of `method` says where echoes may come
    from and how strong; given that, errors are found with the image integrated out (`mimo.autofocus.marginal`), so that
    it cannot explain them away. The other objectives need no model of the image but its focus: they make a
    back-projection sharp, or align the pulses at its brightest points.

    Where errors may turn the phase by more than a radian at the highest frequency, low frequencies come first. A tenth
    of the channels is held out and decides which image was best, and whether to correct anything at all.

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
    objective
        ``joint``; ``entropy`` or ``sharpness`` of a back-projection; ``phase-gradient``, for phases of pulses alone;
        ``auto`` is ``joint`` up to `JOINT_MOST` unknowns, else ``phase-gradient`` for phases of pulses and ``entropy``
        for others.
    method
        Name of the method that makes the images, by which the data that are held out are predicted.
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
    if objective not in OBJECTIVES:
        raise ValueError(unknown("objective", objective, OBJECTIVES))
    search = Search(measurement, grid, solve, per, priors, method, scenes, pattern, layers, region, device)
    objective = _objective_of(search, objective)
    propose = _proposer(search, objective)
    band = bands(search.unknowns, search.nominal.sweep.freq)
    theta, best, log = np.zeros(len(search.unknowns)), None, []
    before: Score | None = None
    waited = 0
    for number in range(iterations if search.division.by != "nothing" else 0):
        freq = band[min(number, len(band) - 1)]
        score, misfit, step = propose(theta, freq, number)
        change = float(np.sqrt(np.mean(((step.theta - theta) / search.unknowns.std) ** 2)))
        log.append({"image": number, "share": score.share, "misfit": misfit, "change": change})
        if report is not None:
            report(log[-1])
        before = score if before is None else before
        waited += 1
        if best is None or score.share > best[0].share:
            best, waited = (score, theta, step), 0
        whole = number >= len(band) - 1
        if whole and (waited > PATIENCE or (number and change < SETTLED)):
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
    return corrected(measurement, found, objective=objective, method=method, scenes=search.scenes), found


Proposer = Callable[[Floats, npt.NDArray[np.int64], int], tuple[Score, float, Step]]
"""Returns how the radar of some unknowns predicts, its misfit, and where to go from there: of unknowns, frequencies,
and the number of the image."""


def _objective_of(search: Search, objective: str) -> str:
    """Return the name of an objective that fits what is looked for, in place of ``auto``."""
    many = len(search.unknowns) > JOINT_MOST
    phases = search.unknowns.solve == ("phase",) and search.unknowns.per == "pulse"
    if objective == "auto":
        return ("phase-gradient" if phases else "entropy") if many else "joint"
    if objective == "joint" and many:
        raise ValueError(
            f"{len(search.unknowns)} unknowns: expected {JOINT_MOST} or fewer for the objective joint; "
            "entropy and phase-gradient take more"
        )
    if objective == "phase-gradient" and not phases:
        raise ValueError(
            f"solve {','.join(search.unknowns.solve)} per {search.unknowns.per}: expected phase per pulse for the "
            "objective phase-gradient"
        )
    if objective in CRITERIA and "gain" in search.unknowns.solve:
        raise ValueError(f"gain by {objective}: expected joint, as an image is sharp without a channel, too")
    return objective


def _proposer(search: Search, objective: str) -> Proposer:
    """Return what takes the steps of an objective.

    A medium that alone is not known is found at once. Beside others it waits until these have begun to settle
    (`MEDIUM_AT`), as no image is sharp in any medium while pulses are in disorder.
    """
    media = np.array([kind == "permittivity" for kind in search.unknowns.kind])
    at = (0,) if media.all() else MEDIUM_AT
    found = Step(np.zeros(len(media)), search.unknowns.std, 0, np.zeros(len(media)))

    def propose(theta: Floats, freq: npt.NDArray[np.int64], number: int) -> tuple[Score, float, Step]:
        nonlocal found
        score, misfit, views = search.look(theta, freq)
        if media.any() and number in at:
            found = find_medium(search, theta, freq)
            theta = found.theta
            if not media.all():
                _, _, views = search.look(theta, freq)
        if media.all():
            return score, misfit, found
        step = _step(search, objective, theta, freq, number, views)
        if media.any():  # what a step says of a medium is too little: it holds the image where it was
            there, std, determined = (
                np.where(media, getattr(found, name), getattr(step, name)) for name in ("theta", "std", "determined")
            )
            step = Step(there, std, step.ambiguities, determined)
        return score, misfit, step

    return propose


def _step(
    search: Search, objective: str, theta: Floats, freq: npt.NDArray[np.int64], number: int, views: Sequence[View]
) -> Step:
    """Return where an objective leads from `theta`."""
    if objective == "joint":
        return search.step(theta, views)
    if objective == "phase-gradient":
        there = phase_gradient(search, theta, freq)
    else:
        there = sharpen(search, theta, freq, criterion=objective, thin=number == 0)
    if len(there) > JOINT_MOST:
        unsaid = np.full(len(there), np.nan)
        return Step(there, unsaid, 0, unsaid)
    known = search.step(theta, views)
    return Step(there, known.std, known.ambiguities, known.determined)
