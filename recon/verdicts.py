"""Say in words what is stored about the credibility of images, which `mimo.recon.belief` finds out.

Nothing is computed here, so that whoever shows files needs no solver. Of a scene whose image was not checked, as in a
run that was interrupted, a list may hold ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["STORED", "explained_text", "outdone", "percent", "remarks", "summary"]

STORED = frozenset(
    (
        "explained",
        "explained_held_out",
        "explained_backprojection",
        "verdict",
        "suspicion",
        "held_out_unknown",
        "check_interrupted",
    )
)
"""Names of the parameters of an image that `mimo.recon.belief.check_images` gives."""

SHARES = {
    "the measurement": "explained",
    "data held out": "explained_held_out",
    "back-projection": "explained_backprojection",
}
"""Parameters that hold shares, by what they are shares of."""

OUTDONE = 3.0
"""An image that explains so many times less than the best one of the same data is marked."""


def summary(parameters: Mapping[str, Any], scene: int | None = None) -> str:
    """Return in one line what is stored about the credibility of images, empty where nothing is.

    Of several scenes the mean is told, and the worst; of `scene`, where it is given, its own.
    """
    shares = {name: _shares(parameters, key, scene) for name, key in SHARES.items()}
    own = shares["the measurement"]
    if not own:
        return ""
    told = [
        f"{percent(float(np.mean(list(values.values()))))} of {name}"
        for name, values in shares.items()
        if values and name != "back-projection"
    ]
    text = f"explains {' and '.join(told)}"
    if compared := shares["back-projection"]:
        text += f"; back-projection {percent(float(np.mean(list(compared.values()))))}"
    worst = min(own, key=lambda i: own[i])
    if len(own) > 1 and own[worst] < np.mean(list(own.values())) - 0.03:
        text += f"; worst scene {worst}: {percent(own[worst])}"
    iterations = [n for n in parameters.get("scene_iterations") or () if n is not None]
    if iterations and scene is None:
        converged = parameters.get("converged")
        text += f"; {'converged in ' if converged and all(converged) else ''}{max(iterations)} iterations"
    verdicts = [verdict or "" for verdict in _of_scene(parameters.get("verdict"), scene).values()]
    for part in dict.fromkeys(part for verdict in verdicts for part in verdict.split("; ") if part):
        count = sum(part in verdict.split("; ") for verdict in verdicts)
        text += f"; {part}" + (f" ({count} of {len(verdicts)} scenes)" if len(verdicts) > 1 else "")
    return text


def explained_text(parameters: Mapping[str, Any], scene: int) -> str:
    """Return the share of the measurement that the image of a scene explains, in two words; empty if not known."""
    return "".join(f"explains {percent(share)}" for share in _shares(parameters, "explained", scene).values())


def outdone(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return, of methods run on the same data, those whose images explain far less than another's, and a remark on it.

    `runs` has the parameters of each method by its name.
    """
    shares = {name: list(_shares(parameters, "explained").values()) for name, parameters in runs.items()}
    means = {name: float(np.mean(values)) for name, values in shares.items() if values}
    if not means:
        return {}
    best = max(means, key=lambda name: means[name])
    text = f"misses the data far more than {best}"
    return {name: text for name, mean in means.items() if mean * OUTDONE < means[best]}


def remarks(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return lines on images that miss the data far more than another's, and at most one on data that look wrong.

    `runs` has the parameters of each method by its name, all of the same data.
    """
    lines = [f"{name} {text}" for name, text in outdone(runs).items()]
    for parameters in runs.values():
        every = list(_of_scene(parameters.get("suspicion"), None).values())
        if told := [text for text in every if text]:
            lines.append(told[0] + (f" ({len(told)} of {len(every)} scenes)" if len(every) > 1 else ""))
            break
    return lines


def percent(share: float) -> str:
    """Return a share as text, such as ``6.0 %`` or ``46 %``."""
    return f"{100 * share:.1f} %" if share < 0.095 else f"{100 * share:.0f} %"


def _shares(parameters: Mapping[str, Any], name: str, scene: int | None = None) -> dict[int, float]:
    """Return the shares that are known, by scene: of all, or of `scene` alone."""
    found = _of_scene(parameters.get(name), scene)
    return {i: float(value) for i, value in found.items() if value is not None}


def _of_scene(values: Any, scene: int | None) -> dict[int, Any]:
    """Return a list's entries by scene, or that of one scene; a list of one entry belongs to whichever is asked for."""
    if not isinstance(values, list):
        return {}
    if scene is None:
        return dict(enumerate(values))
    place = scene if len(values) > 1 else 0
    return {scene: values[place]} if place < len(values) else {}
