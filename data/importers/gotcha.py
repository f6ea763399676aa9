"""Read AFRL Gotcha volumetric SAR phase history: monostatic and motion-compensated to the scene centre.

Each MATLAB file covers one degree of azimuth. Its structure ``data`` holds ``fp``, complex ``(n_freq, n_pulse)``,
``freq`` in hertz, the antenna's ``x, y, z`` in metres at each pulse, and ``r0``, the range to the scene centre whose
two-way phase has been removed: a point at range R carries exp(-j k 2 (R - r0)). The published files are in single
precision, positions too (about 1 mm at 10 km); frequencies are uniform within that rounding and are read as such.

``data.af`` may hold the set's autofocus solution: ``r_correct`` (metres) is added to ``r0``, and each pulse is turned
by ``ph_correct`` (radians), ``fp exp(+j ph_correct)``, as the code that came with the set does. Passes are joined with
it, so it is applied where files of several passes are read. It moves a scene by some decimetres; two degrees of one
pass are no sharper with it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from mimo import ArrayGeometry
from mimo.data.files.schema import FileError
from mimo.data.importers.layout import (
    arranged,
    ascending,
    checked_complex,
    checked_numbers,
    evened,
    in_our_sign,
    sweep_of,
)
from mimo.data.importers.matlab import MatFile
from mimo.data.measurement import Array, Measurement, check_permittivity

__all__ = ["read", "recognise"]

NAME = "gotcha"
DESCRIPTION = "AFRL Gotcha SAR phase history: one .mat file, or a folder of them that are joined"
EXPLANATION = (
    "data.fp, complex (n_freq, n_pulse); data.freq in Hz; data.x, data.y, data.z of the antenna at each pulse and",
    "data.r0, the range to the scene centre, in metres. Becomes a monostatic list of channels with the path 2 r0 as",
    "reference_path. Of a folder, every such file (sorted by name) or those whose name contains the option select. The",
    "autofocus of data.af is applied to files of several passes (pass1, pass2 in their names), or as autofocus says.",
)
AUTOFOCUS = ("r_correct", "ph_correct")
FIELDS = ("fp", "freq", "x", "y", "z", "r0")


def recognise(path: Path) -> bool:
    """Whether `path` is such a file or a folder of such files; of a folder the first is looked at."""
    files = sorted(path.glob("*.mat")) if path.is_dir() else [path]
    if not files or files[0].suffix.lower() != ".mat":
        return False
    try:
        with MatFile(files[0]) as file:
            return all(file.has(f"data.{name}") for name in FIELDS)
    except FileError:
        return False


def read(
    path: Path, *, select: str = "", autofocus: str = "auto", permittivity: float = 1.0, phase_sign: int = -1
) -> Measurement:
    """Read one or more files as one monostatic measurement in which every pulse is a channel.

    Parameters
    ----------
    path
        A file, or a folder of files with the same frequencies.
    select
        Of a folder, only the files whose name contains this.
    autofocus
        ``true``: ``data.af`` is applied where a file has it; ``false``; ``auto``: when there are several passes.
    permittivity
        Relative permittivity of the medium.
    phase_sign
        Sign of the files' phase: -1 for exp(-j k R); +1 conjugates.

    Returns
    -------
    Measurement
        complex64 values ``(1, n_freq, n_pulse)``, paired, with ``reference_path`` 2 r0.

    Raises
    ------
    FileError
        Naming the file and the variable.
    """
    files = sorted(f for f in path.glob("*.mat") if select in f.name) if path.is_dir() else [path]
    if not files:
        raise FileError(path, f"holds no .mat file with {select!r} in its name: expected at least one")
    if autofocus not in ("auto", "true", "false"):
        raise FileError(path, f"autofocus is {autofocus!r}: expected auto, true or false")
    passes = {found[0] for found in (re.search(r"pass\d+", each.name) for each in files) if found}
    corrected = autofocus == "true" or (autofocus == "auto" and len(passes) > 1)
    freq, parts = None, []
    for each in files:
        own, values, place, r0 = _read(each, corrected)
        if freq is None:
            freq = own
        elif len(own) != len(freq) or np.abs(own - freq).max() > 1e-6 * freq.max():
            raise FileError(each, f"data.freq differs from that of {files[0].name}: expected the same frequencies")
        parts.append((values, place, r0))
    assert freq is not None  # noqa: S101 - there is at least one file, for the type checker
    values, place, r0 = (np.concatenate([part[i] for part in parts], axis=axis) for i, axis in enumerate((1, 0, 0)))
    freq, values = ascending(freq, values, 0)
    index = np.arange(len(place))
    return Measurement(
        in_our_sign(path, values[None], phase_sign),
        ArrayGeometry(place, place, np.column_stack([index, index]), name="gotcha"),
        sweep_of(path, "data.freq", freq),
        permittivity=check_permittivity(permittivity),
        reference_path=2 * r0,
        source=f"gotcha {', '.join(f.name for f in files[:4])}{' and more' * (len(files) > 4)}",
    )


def _read(path: Path, autofocus: bool) -> tuple[Array, Array, Array, Array]:
    """Read frequencies, values (n_freq, n_pulse), positions (n_pulse, 3) and r0 (n_pulse,) of one file.

    The real ones are returned in float64.
    """
    with MatFile(path) as file:
        parts = {name: checked_numbers(path, f"data.{name}", file.vector(f"data.{name}")) for name in FIELDS[1:]}
        values = checked_complex(path, "data.fp", file.get("data.fp"))
        known = [name for name in AUTOFOCUS if autofocus and file.has(f"data.af.{name}")]
        corrections = {name: checked_numbers(path, f"data.af.{name}", file.vector(f"data.af.{name}")) for name in known}
    n_pulse = len(parts["x"])
    for name in ("y", "z", "r0"):
        if len(parts[name]) != n_pulse:
            raise FileError(path, f"data.{name} has {len(parts[name])} pulses: expected {n_pulse}, as data.x")
    sizes = {"freq": len(parts["freq"]), "channel": n_pulse}
    values = arranged(path, "data.fp", values, ("freq", "channel"), sizes, ("freq", "channel"))
    for name, correction in corrections.items():
        if len(correction) != n_pulse:
            raise FileError(path, f"data.af.{name} has {len(correction)} pulses: expected {n_pulse}, as data.x")
    r0 = parts["r0"].astype(np.float64) + corrections.get("r_correct", 0.0)
    if "ph_correct" in corrections:
        values = (values * np.exp(1j * corrections["ph_correct"].astype(np.float64))).astype(values.dtype)
    place = np.stack([parts[name].astype(np.float64) for name in "xyz"], axis=1)
    return evened(parts["freq"]), values, place, r0
