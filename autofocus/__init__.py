"""Correct a radar's errors (phases, gains, delays, places, permittivity) from a scene that nobody knows."""

from mimo.autofocus.found import Found
from mimo.autofocus.run import OBJECTIVES, autofocus
from mimo.autofocus.unknowns import KINDS, PER, PRIORS, RadarErrors, Unknowns

__all__ = ["KINDS", "OBJECTIVES", "PER", "PRIORS", "Found", "RadarErrors", "Unknowns", "autofocus"]
