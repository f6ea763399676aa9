"""Kinds of motion: a raster, a turntable, a line, a table of poses; each a function that returns a `Track`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from mimo.data.files.schema import UnfitError
from mimo.data.importers.pose_tables import PoseTable, read_poses
from mimo.memory import check_memory

__all__ = ["Floats", "Numbers", "Poses", "Track", "line", "numbers_of", "poses", "raster", "three", "turntable"]

Floats = npt.NDArray[np.float64]
Poses = tuple[Floats, Floats]
"""Positions ``(n_frame, 3)``, metres, and rotations ``(n_frame, 3, 3)`` from the moving part's axes to ours."""

Numbers = str | tuple[float, ...]
"""Numbers as a list, as ``start:stop:count``, or by the name of an array in the measured file."""


@dataclass(frozen=True)
class Track:
    """Holds where the moving part was at each frame.

    Parameters
    ----------
    axes
        Names and lengths of the axes that frames are counted along, the slowest first: ``{"y": 100, "x": 403}``.
    at
        Function of a share of the time from one frame to the next; returns the poses that much later than each frame.
    look, up
        Where the radar looks, and which way is up for it, unless the mount says otherwise; in the moving part's axes.
    frames
        Number of the measured frame at each position, where the scanner also took frames between them.
    """

    axes: dict[str, int]
    at: Callable[[float], Poses]
    look: Floats
    up: Floats
    frames: npt.NDArray[np.int64] | None = None

    @property
    def n_frame(self) -> int:
        """Number of frames."""
        return int(np.prod(list(self.axes.values())))


def raster(
    *,
    counts: tuple[int, ...] = (),
    steps: tuple[float, ...] = (),
    x: Numbers = (),
    y: Numbers = (),
    start: tuple[float, ...] = (),
    axes: tuple[str, ...] = ("x", "y"),
    fast: str = "",
    serpentine: bool = False,
    slip: float = 0.0,
    drift: int = 0,
    unit: float = 1.0,
) -> Track:
    """Rows of a plane, one after another.

    Parameters
    ----------
    counts, steps
        Number of positions and their spacing along the two axes.
    x, y
        Instead of counts and steps: the coordinates along the first and the second axis.
    start
        Position x, y, z of the first frame; without it the raster is centred on the origin (with coordinates: where
        they say).
    axes
        The two directions: x, y or z, with a minus sign where the scanner runs the other way.
    fast
        Which of the two (without its sign) changes from frame to frame; the first when empty.
    serpentine
        Whether every second row runs back.
    slip
        Of rows that run back: frame i was taken where frame i + slip belongs.
    drift
        Frames that a scanner took too many, evenly over all rows: row i of n, from 1, begins ``floor(i drift / n)``
        frames late.
    unit
        Metres in one unit of length.

    Returns
    -------
    Track
        Without rotation, looking along +z.
    """
    names = [axis.lstrip("+-") for axis in axes]
    if len(axes) != 2 or len(set(names)) != 2 or not set(names) <= set("xyz"):
        raise UnfitError(f"motion.axes is {','.join(axes)}: expected two of x, y, z, such as x,-y")
    fast = fast or names[0]
    if fast not in names:
        raise UnfitError(f"motion.fast is {fast!r}: expected {' or '.join(names)}")
    if slip and not serpentine:
        raise UnfitError(f"motion.slip is {slip:g} without serpentine: expected it of rows that run back")
    ways = [-1.0 if axis.startswith("-") else 1.0 for axis in axes]
    named = [np.asarray(vector, np.float64) for vector in (x, y)]
    if all(len(vector) for vector in named) and not counts and not steps:
        lines: list[Floats] = [
            np.asarray(way * vector * unit, np.float64) for way, vector in zip(ways, named, strict=True)
        ]
    elif len(counts) == len(steps) == 2 and min(counts) > 0 and not any(len(vector) for vector in named):
        even: list[Floats] = [
            way * step * unit * np.arange(n, dtype=np.float64) for way, step, n in zip(ways, steps, counts, strict=True)
        ]
        lines = even if start else [np.asarray(line - line.mean(), np.float64) for line in even]
    else:
        raise UnfitError("motion raster: expected counts and steps, two numbers each, or the coordinates x and y")
    origin = np.zeros(3) if not start else three("motion.start", start) * unit
    quick = names.index(fast)
    n_quick, n_slow = len(lines[quick]), len(lines[1 - quick])
    back = (np.arange(n_slow) % 2 == 1) & serpentine

    def at(shift: float) -> Poses:
        places = np.tile(np.arange(n_quick, dtype=np.float64) + shift, (n_slow, 1))
        places[back] = n_quick - 1 - places[back] - slip
        position = np.tile(origin, (n_slow, n_quick, 1))
        position[..., "xyz".index(fast)] += _between(lines[quick], places)
        position[..., "xyz".index(names[1 - quick])] += lines[1 - quick][:, None]
        return position.reshape(-1, 3), np.broadcast_to(np.eye(3), (n_slow * n_quick, 3, 3))

    if drift < 0:
        raise UnfitError(f"motion.drift is {drift}: expected a number of frames, 0 or more")
    late = (np.arange(n_slow) + 1) * drift // n_slow
    frames = (np.arange(n_slow) * n_quick + late)[:, None] + np.arange(n_quick)
    return Track(
        {names[1 - quick]: n_slow, fast: n_quick},
        at,
        np.array([0.0, 0, 1]),
        np.array([0.0, 1, 0]),
        frames.ravel() if drift else None,
    )


def line(
    *,
    start: tuple[float, ...] = (),
    stop: tuple[float, ...] = (),
    count: int = 0,
    unit: float = 1.0,
) -> Track:
    """Evenly spaced places along a straight line.

    Parameters
    ----------
    start, stop
        Position x, y, z of the first and the last frame.
    count
        Number of frames.
    unit
        Metres in one unit of length.

    Returns
    -------
    Track
        Without rotation, looking along +z.
    """
    first, last = three("motion.start", start) * unit, three("motion.stop", stop) * unit
    if count < 2:
        raise UnfitError(f"motion.count is {count}: expected the number of frames, 2 or more")

    def at(shift: float) -> Poses:
        share = (np.arange(count) + shift) / (count - 1)
        return first + share[:, None] * (last - first), np.broadcast_to(np.eye(3), (count, 3, 3))

    return Track({"frame": count}, at, np.array([0.0, 0, 1]), np.array([0.0, 1, 0]))


def turntable(
    *,
    place: tuple[float, ...] = (),
    angles: Numbers = (),
    start: float = 0.0,
    stop: float = 360.0,
    count: int = 0,
    axis: tuple[float, ...] = (0.0, 0.0, 1.0),
    centre: tuple[float, ...] = (0.0, 0.0, 0.0),
    direction: int = 1,
    turns: str = "object",
    unit: float = 1.0,
) -> Track:
    """An object on a turntable before a radar, or a radar that turns about an object.

    Parameters
    ----------
    place
        Position x, y, z of the radar at the angle 0.
    angles
        The angle of each frame, degrees.
    start, stop, count
        Instead of them: the first, the last and how many; of a whole turn the last, which is the first again, is not
        counted.
    axis, centre
        Direction of the axis and a point of it.
    direction
        +1 when growing angles turn counter-clockwise, seen from the tip of the axis; else -1.
    turns
        object, or antenna.
    unit
        Metres in one unit of length.

    Returns
    -------
    Track
        In the object's coordinates: what turns about it is the radar. It looks at the centre, with the axis up.
    """
    if turns not in ("object", "antenna"):
        raise UnfitError(f"motion.turns is {turns!r}: expected object or antenna")
    if direction not in (-1, 1):
        raise UnfitError(f"motion.direction is {direction}: expected 1, counter-clockwise about the axis, or -1")
    if len(angles):
        turned: Floats = np.asarray(angles, np.float64)
    elif count > 0:
        turned = np.asarray(np.linspace(start, stop, count, endpoint=abs(stop - start) != 360), np.float64)
    else:
        raise UnfitError("motion turntable: expected angles, or start, stop and count")
    about, middle, at_zero = three("motion.axis", axis), three("motion.centre", centre) * unit, None
    at_zero = three("motion.place", place) * unit
    if not np.linalg.norm(about):
        raise UnfitError("motion.axis is 0,0,0: expected a direction")
    about = about / np.linalg.norm(about)
    sense = direction * (1 if turns == "antenna" else -1)
    if np.linalg.norm(np.cross(about, at_zero - middle)) == 0:
        raise UnfitError("motion.place lies on the axis: expected the radar beside it")

    def at(shift: float) -> Poses:
        now = _between(turned, np.arange(len(turned), dtype=np.float64) + shift)
        rotation = Rotation.from_rotvec(np.deg2rad(sense * now)[:, None] * about).as_matrix()
        return middle + rotation @ (at_zero - middle), rotation

    return Track({"angle": len(turned)}, at, middle - at_zero, about)


def poses(
    *,
    file: str = "",
    match: str = "number",
    times: Numbers = (),
    first_time: float = 0.0,
    frame_period: float = 0.0,
    unit: float = 1.0,
) -> Track:
    """Places and orientations that something else measured.

    Parameters
    ----------
    file
        CSV with a header, or .npz: columns x, y, z; optionally time (s), and qw, qx, qy, qz, the quaternion from the
        moving part's axes to ours, or r11 to r33, the rotation matrix by rows.
    match
        ``number``: one row a frame; ``time``: poses are interpolated at the time of each frame.
    times
        Time of each frame, s; or, instead,
    first_time, frame_period
        time of the first frame and from one to the next, s: then the frames are those that the poses cover.
    unit
        Metres in one unit of length.

    Returns
    -------
    Track
        With the table's rotations.
    """
    if match not in ("number", "time"):
        raise UnfitError(f"motion.match is {match!r}: expected number or time")
    if not file:
        raise UnfitError("motion.file is missing: expected the table of poses, .csv or .npz")
    table = read_poses(Path(file))
    table = PoseTable(table.position * unit, table.rotation, table.time)
    up, ahead = np.array([0.0, 1, 0]), np.array([0.0, 0, 1])
    if match == "number":
        numbers = np.arange(len(table.position), dtype=np.float64)
        return Track({"frame": len(numbers)}, lambda shift: table.at_rows(numbers + shift), ahead, up)
    if table.time is None:
        raise UnfitError(f"{file} has no column time: expected it to match frames by time")
    when = np.asarray(times, np.float64)
    if not len(when):
        if frame_period <= 0:
            raise UnfitError(f"motion.frame_period is {frame_period:g} s: expected it, or times, to match by time")
        when = np.arange(first_time, table.time[-1] + 1e-9 * frame_period, frame_period)
    if not len(when):
        raise UnfitError(f"motion.first_time is {first_time:g} s: expected a time before the last of {file}")
    table.check_times(when)
    gaps = np.diff(when, append=when[-1] + (when[-1] - when[-2] if len(when) > 1 else frame_period))
    return Track({"frame": len(when)}, lambda shift: table.at_times(when + shift * gaps), ahead, up)


def numbers_of(
    name: str, value: Numbers | npt.NDArray[Any], get: Callable[[str], npt.NDArray[Any]] | None = None
) -> Floats:
    """Return numbers that are given as a list, as ``start:stop:count``, or by the name of an array.

    Raises
    ------
    ValueError
        When a text is neither, or the named array is not a vector.
    """
    if not isinstance(value, str):
        return np.asarray(value, np.float64)
    parts = value.split(":")
    if len(parts) == 3:
        try:
            start, stop, count = float(parts[0]), float(parts[1]), int(parts[2])
        except ValueError as error:
            raise UnfitError(f"{name} is {value!r}: expected start:stop:count") from error
        if count < 1:
            raise UnfitError(f"{name} is {value!r}: expected start:stop:count with a count of 1 or more")
        check_memory(f"{name} with {count} numbers", 32.0 * count)
        return np.linspace(start, stop, count)
    if get is None:
        raise UnfitError(f"{name} is {value!r}: expected numbers, or start:stop:count")
    found = np.asarray(get(value))
    if found.dtype.kind not in "fiu" or found.size != max(found.shape, default=1) or not np.isfinite(found).all():
        raise UnfitError(f"{name} names {value}, {found.dtype} of shape {found.shape}: expected a vector of numbers")
    return found.astype(np.float64).ravel()


def three(name: str, value: tuple[float, ...]) -> Floats:
    """Return three finite numbers as an array; ``ValueError`` for others."""
    found = np.asarray(value, np.float64)
    if found.shape != (3,) or not np.isfinite(found).all():
        raise UnfitError(f"{name} is {value!r}: expected three numbers, x,y,z")
    return found


def _between(values: Floats, places: Floats) -> Floats:
    """Return values at fractional places, on straight lines between the numbers, beyond the ends as inside."""
    if len(values) == 1:
        return np.full(places.shape, values[0])
    below = np.clip(np.floor(places).astype(int), 0, len(values) - 2)
    return values[below] + (places - below) * (values[below + 1] - values[below])
