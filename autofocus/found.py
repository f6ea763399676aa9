"""Hold what was found of a radar's errors, and say in words whether it helps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo.autofocus.unknowns import RadarErrors, Unknowns

__all__ = ["Found"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Found:
    """Says what was found of a radar's errors.

    Attributes
    ----------
    unknowns
        What was solved for.
    errors
        The radar's errors; none where nothing was gained.
    theta, std, determined
        Value, standard deviation and share of the prior variance that the data take away, of each unknown.
    ambiguities
        Number of combinations that no data can tell and that were held at 0.
    held_out
        What was held out: ``channel``, ``frequency`` or ``nothing``.
    before, after
        Share of the energy held out that is predicted without and with the correction.
    gained
        Whether the data held out are predicted better beyond chance. Where they are not nothing is corrected.
    log
        An entry for each image: ``share``, ``misfit`` (1 where all is as modelled) and ``change``.
    """

    unknowns: Unknowns
    errors: RadarErrors
    theta: Floats
    std: Floats
    determined: Floats
    ambiguities: int
    held_out: str
    before: float
    after: float
    gained: bool
    log: list[dict[str, float]] = field(default_factory=list)

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each unknown: ``what``, ``of``, ``value``, ``std`` and ``determined``, in SI units.

        The last two are ``None`` where there are too many unknowns for the matrix that tells them.
        """
        columns = zip(self.unknowns.kind, self.unknowns.label, self.theta, self.std, self.determined, strict=True)
        return [
            {"what": kind, "of": label, "value": float(value), "std": _known(std), "determined": _known(share)}
            for kind, label, value, std, share in columns
        ]

    def summary(self) -> str:
        """Say in a sentence whether anything was gained."""
        if self.held_out == "nothing":
            return "too few channels and frequencies to hold any out: nothing is corrected, as nothing could be checked"
        many = {"channel": "channels", "frequency": "frequencies"}[self.held_out]
        kept = f"{100 * self.before:.1f} % of the data held out ({many}) without correction"
        if not self.gained:
            return f"nothing gained: the image predicts {kept}, {100 * self.after:.1f} % with it; nothing is corrected"
        return f"the image predicts {kept}, {100 * self.after:.1f} % with it"


def _known(number: float) -> float | None:
    return None if np.isnan(number) else float(number)
