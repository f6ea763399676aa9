"""Tell what takes a moment to find out about a file's setup: the expected resolution, and where the scene is."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mimo.data import FileError, open_measurement
from mimo.data.calibration.scene_extent import scene_box
from mimo.sampling import expected_resolution

__all__ = ["distinct_names", "setup_facts"]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the files' names, those that are alike with as many of their folders as tell them apart.

    >>> distinct_names([Path("a/run/x.h5"), Path("b/run/x.h5"), Path("y.h5")])
    ['a/run/x.h5', 'b/run/x.h5', 'y.h5']
    """
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    names = []
    for own in parts:
        others = [other for other in parts if other != own]
        n = 1
        while n < len(own) and any(other[-n:] == own[-n:] for other in others):
            n += 1
        names.append("/".join(own[-n:]).replace("//", "/"))
    return names


def setup_facts(path: Path) -> dict[str, Any]:
    """Return ``resolution``, ``scene`` and ``whence`` of a file, ready for JSON; empty where it cannot be read.

    ``resolution`` are the -3 dB widths in metres along x, y, z that are expected at the scene's middle, ``None`` where
    nothing is resolved. ``scene`` is the scene's box, ``{"low": [x, y, z], "high": [x, y, z]}`` in metres, and
    ``whence`` says in words where it comes from, as `mimo.data.calibration.scene_extent.scene_box` does.
    """
    try:
        with open_measurement(path) as file:
            if not file.n_scene:
                return {}
            measurement = file.measurement([0])
        box, whence = scene_box(measurement)
        resolution = expected_resolution(
            measurement.array, measurement.sweep, box.center, permittivity=measurement.permittivity
        )
    except (FileError, ValueError):  # the panels and the note tell what is wrong with the file
        return {}
    axes = (box.x, box.y, box.z)
    return {
        "resolution": [float(width) if math.isfinite(width) else None for width in resolution],
        "scene": {"low": [float(axis[0]) for axis in axes], "high": [float(axis[-1]) for axis in axes]},
        "whence": whence,
    }
