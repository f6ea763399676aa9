"""Read how a radar moved during a scan: the table ``[motion]`` of a TOML file, or ``motion.KEY=VALUE`` texts.

The kinds of motion are the functions of `mimo.data.importers.tracks`. Every kind may also say how the radar is mounted
on what moves. All lengths are metres unless ``length_unit`` says otherwise, all angles degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mimo.data.files.schema import UnfitError
from mimo.data.importers.layout import LENGTH_UNITS, unit_factor
from mimo.data.importers.tracks import Floats, Track, line, numbers_of, poses, raster, three, turntable
from mimo.options import check_value, kinds_of, options_of, read_value, unknown

__all__ = ["MOTIONS", "Motion", "Mount", "explain_motions", "looking", "parse_motion"]

PARALLEL = 1e-6
"""Sine of the angle below which two directions count as parallel."""


@dataclass(frozen=True)
class Mount:
    """Says how the radar sits on the part that moves, and which frames belong to the scan.

    Parameters
    ----------
    lever_arm
        From the tracked point to the origin of the radar's own coordinates, metres, in the moving part's axes.
    look, up
        Directions of the radar's own z and y, in the moving part's axes; empty: as the motion has them.
    tx_shift
        For a radar that moves while its transmitters take turns: for each, when it transmits, as a share of the time
        from one frame to the next. Empty when the radar stands still, or all transmit at once. With `moving` it follows
        from the chirps.
    moving
        Whether the radar moves on while its transmitters take turns, as the times of the chirps say.
    skip
        Number of first frames that do not belong to the scan.
    far
        Whether the radar was so far away that its waves are plane: its places are directions from the origin, and the
        way from the origin and back is not in the phase.
    """

    lever_arm: tuple[float, ...] = (0.0, 0.0, 0.0)
    look: tuple[float, ...] = ()
    up: tuple[float, ...] = ()
    tx_shift: tuple[float, ...] = ()
    moving: bool = False
    skip: int = 0
    far: bool = False

    def rotation(self, track: Track) -> Floats:
        """Return the rotation ``(3, 3)`` from the radar's own axes to those of the moving part."""
        look = np.array(self.look) if self.look else track.look
        return looking(look, np.array(self.up) if self.up else track.up)


@dataclass(frozen=True)
class Motion:
    """Holds the table of a motion before names of arrays in it are replaced by their numbers.

    Parameters
    ----------
    kind
        One of `MOTIONS`.
    options
        Options of the kind, checked.
    mount
        How the radar is mounted.
    unit
        Metres in one unit of length of the options.
    """

    kind: str
    options: dict[str, Any]
    mount: Mount
    unit: float = 1.0

    def with_numbers(self, get: Callable[[str], npt.NDArray[Any]]) -> Motion:
        """Return the motion with names of arrays replaced by what ``get(name)`` returns."""
        found = {k: numbers_of(f"motion.{k}", v, get) if k in NAMED else v for k, v in self.options.items()}
        return replace(self, options=found)

    def track(self) -> Track:
        """Return where the moving part was; ``ValueError`` when the options do not fit together."""
        options = {k: numbers_of(f"motion.{k}", v) if k in NAMED else v for k, v in self.options.items()}
        return MOTIONS[self.kind](**options, unit=self.unit)


NAMED = ("x", "y", "angles", "times")
"""Options that may name an array of the measured file."""

MOTIONS: dict[str, Callable[..., Track]] = {
    "raster": raster,
    "turntable": turntable,
    "line": line,
    "poses": poses,
}
MOUNT = ("lever_arm", "look", "up", "tx_shift", "moving", "skip", "far")


def parse_motion(table: Mapping[str, Any]) -> Motion:
    """Read the table of a motion.

    Parameters
    ----------
    table
        ``kind``, one of `MOTIONS` (left out, it is seen from the other keys where they tell), the options of that kind,
        those of `Mount`, and ``length_unit``; values as text or as numbers.

    Raises
    ------
    ValueError
        When a key is not known (the nearest is named), or a value is of another kind.
    """
    given = dict(table)
    kind = str(given.pop("kind")) if "kind" in given else _seen_kind(given)
    if kind not in MOTIONS:
        raise UnfitError(f"motion.kind is {kind!r}: expected one of {', '.join(MOTIONS)}")
    unit = unit_factor("motion", "length_unit", str(given.pop("length_unit", "m")), LENGTH_UNITS)
    kinds = {k: v for k, v in kinds_of(MOTIONS[kind]).items() if k != "unit"}
    mounted: dict[str, Any] = dict.fromkeys(MOUNT[:-3], tuple[float, ...])
    mounted |= {"moving": bool, "skip": int, "far": bool}
    for name in given:
        if name not in kinds and name not in mounted:
            known = [f"motion.{each}" for each in ("kind", "length_unit", *kinds, *mounted)]
            raise UnfitError(unknown(f"option of motion {kind}", f"motion.{name}", known))
    read = {
        name: (read_value if isinstance(value, str) else check_value)(f"motion.{name}", value, every[name])
        for every in (kinds | mounted,)
        for name, value in given.items()
    }
    options = {name: value for name, value in read.items() if name in kinds}
    mount = {name: value for name, value in read.items() if name in mounted}
    if "lever_arm" in mount:
        mount["lever_arm"] = tuple(three("motion.lever_arm", mount["lever_arm"]) * unit)
    for name in ("look", "up"):
        if mount.get(name):
            three(f"motion.{name}", mount[name])
    if mount.get("skip", 0) < 0:
        raise UnfitError(f"motion.skip is {mount['skip']}: expected a number of frames, 0 or more")
    return Motion(kind, options, Mount(**mount), unit)


def explain_motions() -> str:
    """Return text that says what kinds of motion there are and which options each has."""
    lines = []
    for name, function in MOTIONS.items():
        shown = ", ".join(key for key in options_of(function) if key != "unit")
        lines += [f"{name:<12}{(function.__doc__ or '').splitlines()[0]}", f"{'':<12}  {shown}"]
    return "\n".join([*lines, f"{'all':<12}  length_unit, {', '.join(MOUNT)}"])


def looking(look: Floats, up: Floats) -> Floats:
    """Return the rotation ``(3, 3)`` that turns z to `look` and y towards `up`."""
    ahead = look / np.linalg.norm(look) if np.linalg.norm(look) else look
    side = np.cross(up, ahead)
    if np.linalg.norm(side) < PARALLEL * np.linalg.norm(up) or not side.any():
        raise UnfitError(f"motion.look is {look.tolist()}, up is {up.tolist()}: expected two directions, not parallel")
    side = side / np.linalg.norm(side)
    return np.column_stack([side, np.cross(ahead, side), ahead])


def _seen_kind(given: Mapping[str, Any]) -> str:
    """Return the one kind that has all these keys; ``ValueError`` when none has or several have."""
    keys = set(given) - set(MOUNT) - {"length_unit"}
    fits = [kind for kind, function in MOTIONS.items() if keys <= set(options_of(function))]
    if len(fits) != 1:
        raise UnfitError(f"motion.kind is missing: expected one of {', '.join(fits or MOTIONS)}")
    return fits[0]
