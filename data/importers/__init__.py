"""Read other people's file formats and convert their units and conventions to ours; each format is a module.

To add a format, write a module with ``NAME``, ``DESCRIPTION``, ``EXPLANATION``, ``recognise(path)`` and ``read(path, *,
permittivity, ...)``, whose keyword-only arguments are its options, list it in `IMPORTERS`, and test it on a tiny file
in its layout.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, cast

from mimo.data.calibration.background import with_mean_background
from mimo.data.calibration.delay import delay_from_text, remove_delay, remove_video_phase
from mimo.data.files.schema import FileError, UnfitError
from mimo.data.importers import array, cphd, crsd, dataport, gotcha, merit, qar50, ti, touchstone
from mimo.data.importers.chirp import Chirp, parse_chirp
from mimo.data.importers.containers import SUFFIXES, named_arrays
from mimo.data.importers.frames import one_scene
from mimo.data.importers.motion import Motion, explain_motions, parse_motion
from mimo.data.importers.presets import PRESETS, preset_settings
from mimo.data.importers.settings import checked_settings, load_toml, nested, parse_settings
from mimo.data.measurement import Measurement
from mimo.data.provenance import recorded
from mimo.extras import MissingExtraError
from mimo.options import merge_tables, options_of

__all__ = ["IMPORTERS", "PRESETS", "Importer", "explain_formats", "load_toml", "parse_settings", "read_measured"]


class Importer(Protocol):
    """Describes what a format's module offers; `EXPLANATION` holds the lines of text for ``import --list``."""

    NAME: str
    DESCRIPTION: str
    EXPLANATION: tuple[str, ...]

    read: Callable[..., Measurement]
    """``read(path, *, permittivity, ...)`` returns our units and conventions; FileError when the file is unfit."""

    def recognise(self, path: Path) -> bool:
        """Whether `path` looks like this format; reads little, never raises for a path that exists."""
        ...


IMPORTERS: dict[str, Importer] = {
    module.NAME: cast(Importer, module)
    for module in (merit, dataport, gotcha, cphd, crsd, touchstone, qar50, ti, array)
}
"""Every format that can be imported, by name, in the order in which they are tried."""


TABLES = ("motion", "chirp")
"""Tables of options that are read here and not by the format: how the radar moved, and how it sent."""


def read_measured(
    path: str | PathLike[str],
    *,
    format: str | None = None,
    scan: str | None = None,
    background: str | Sequence[str] | None = None,
    permittivity: float = 1.0,
    settings: Mapping[str, Any] | None = None,
    preset: str | None = None,
) -> Measurement:
    """Read a measured file or folder in one of the formats of `IMPORTERS`.

    Parameters
    ----------
    path
        The file or folder.
    format
        Name of the format; ``None`` recognises it from the file.
    scan
        Name of the scan, where the format has several in a folder.
    background
        One or more scans without the target, whose mean is kept in the measurement's ``background`` and not
        subtracted: names as for `scan` where the format has them, else files of the same format.
    permittivity
        Relative permittivity of the medium.
    settings
        Other options of the format (`explain_formats` lists them), as text or as values; beside them ``motion``, the
        table that `parse_motion` reads, which makes one scene of the frames that a moving radar took, ``chirp``, that
        of `parse_chirp`, and ``delay`` as `delay_from_text` reads it.
    preset
        Name of the options of a public data set (`PRESETS`), which `settings` may change.

    Returns
    -------
    Measurement
        Its first step records the import.

    Raises
    ------
    FileError
        When the format is unknown or not recognised (the message lists the formats), it has no such option, or the
        data is unfit.
    """
    path = Path(path)
    given = nested(path, settings or {}, TABLES)
    if preset is not None:
        given = merge_tables(preset_settings(path, preset), given)
    stated = given.pop("format", None)
    format = format or stated
    delay = given.pop("delay", None)
    tables = {key: given.pop(key) for key in TABLES if key in given}
    name = _format_of(path, format, {**given, **tables})
    importer = IMPORTERS[name]
    known = {key: value for key, value in options_of(importer.read).items() if key not in TABLES}
    options = checked_settings(path, name, known, {**given, "permittivity": permittivity})
    if scan is not None:
        options |= checked_settings(path, name, known, {"scan": scan})
    told = {key: value for key, value in options.items() if value != known[key]} | tables
    told |= {} if preset is None else {"preset": preset}
    options |= {key: _parsed(path, name, importer, key, table) for key, table in tables.items()}
    measurement = _without(_read(importer, path, options), path, delay)
    measurement = recorded(measurement, "import", format=name, file=path.name, **told)
    backgrounds = [background] if isinstance(background, str) else list(background or ())
    if not backgrounds:
        return measurement
    if "scan" in known:
        scans = [_read(importer, path, {**options, "scan": each}) for each in backgrounds]
    else:
        scans = [_read(importer, _beside(path, each), options) for each in backgrounds]
    scans = [_without(each, path, delay) for each in scans]
    try:
        return with_mean_background(measurement, scans)
    except UnfitError as error:
        raise FileError(path, str(error)) from error


def explain_formats() -> str:
    """Return text that says what each format is, what its files hold and which options it has."""
    lines = []
    for name, importer in IMPORTERS.items():
        lines.append(f"{name:<12}{importer.DESCRIPTION}")
        lines += [f"{'':<12}  {line}" for line in importer.EXPLANATION]
        options = {
            key: value
            for key, value in options_of(importer.read).items()
            if key not in ("scan", "permittivity", *TABLES)
        }
        lines += [f"{'':<12}  --set {key}={_shown(value)}" for key, value in options.items()]
    lines += ["", "motion.KEY=VALUE (or a table [motion] in the TOML file) of every format, with motion.kind one of"]
    lines += [f"  {line}" for line in explain_motions().splitlines()]
    lines += ["", "--preset NAME, the options of a public data set, which --set may change:"]
    lines += [f"  {name:<12}{preset.summary}" for name, preset in PRESETS.items()]
    return "\n".join(lines)


def _format_of(path: Path, format: str | None, given: Mapping[str, Any]) -> str:
    """Return the name of the format, which options that no other format has may say."""
    known = f"{', '.join(IMPORTERS)} (mimo import --list explains them)"
    if format is not None and format not in IMPORTERS:
        near = difflib.get_close_matches(format, IMPORTERS, n=1, cutoff=0.4)
        hint = f", did you mean {near[0]}?" if near else ""
        raise FileError(path, f"format {format!r} is unknown{hint}: expected one of {known}")
    if not path.exists():
        raise FileError(path, f"no such file or folder: expected one of {known}")
    if not (path.is_file() or path.is_dir()):  # a pipe or a device would be waited for
        raise FileError(path, f"is neither a file nor a folder: expected one of {known}")
    if format is None and "values" in given:
        format = array.NAME
    if format is None:
        format = next((name for name, importer in IMPORTERS.items() if _recognised(name, importer, path)), None)
    if format is None and path.suffix.lower() in SUFFIXES and given and set(given) <= set(options_of(array.read)):
        format = array.NAME
    own = set(given) - set(TABLES)
    if format is None and own:  # options that one format alone has
        fitting = [name for name, importer in IMPORTERS.items() if own <= set(options_of(importer.read))]
        format = fitting[0] if len(fitting) == 1 else None
    if format is None:
        held = ""
        if path.is_file() and path.suffix.lower() in SUFFIXES:  # a damaged file raises its own error here
            with named_arrays(path) as (_, names):
                held = f"; it holds {', '.join(names[:12]) or 'nothing'}: is it format array with names of its own?"
        raise FileError(path, f"is in no format that can be recognised: expected one of {known}{held}")
    return format


def _parsed(path: Path, name: str, importer: Importer, key: str, table: Mapping[str, Any]) -> Motion | Chirp:
    """Return a table of options; FileError when it does not fit, or the format has no use for it."""
    if key == "chirp" and key not in options_of(importer.read):
        takes = ", ".join(each for each, other in IMPORTERS.items() if key in options_of(other.read))
        raise FileError(path, f"format {name} has no chirp: expected it of {takes}")
    try:
        return parse_motion(table) if key == "motion" else parse_chirp(table)
    except ValueError as error:
        raise FileError(path, str(error)) from error


def _read(importer: Importer, path: Path, options: Mapping[str, Any]) -> Measurement:
    """Read a file, and move its frames where a motion says; values that do not fit raise FileError too."""
    own = options_of(importer.read)
    motion: Motion | None = None if "motion" in own else options.get("motion")
    chirp: Chirp | None = options.get("chirp")
    try:
        with _whole(importer.NAME, path):
            measurement = importer.read(path, **{key: value for key, value in options.items() if key in own})
        if motion is not None:
            measurement = one_scene(measurement, motion.track(), motion.mount)
        if chirp is not None and chirp.video_phase:
            measurement = remove_video_phase(measurement, chirp.slope)
    except UnfitError as error:
        raise FileError(path, str(error)) from error
    return measurement


def _recognised(name: str, importer: Importer, path: Path) -> bool:
    with _whole(name, path):
        return importer.recognise(path)


@contextmanager
def _whole(format: str, path: Path) -> Iterator[None]:
    """Turn whatever a damaged file raises in a reader into a `FileError`: the one boundary that all formats share."""
    try:
        yield
    except (FileError, UnfitError, MissingExtraError):
        raise
    except MemoryError as error:
        raise FileError(
            path, f"does not fit in memory ({error}): expected less, select frequencies or frames"
        ) from error
    except Exception as error:  # a mangled file makes any library raise anything
        said = " ".join(str(error).split())[:200]
        what = f"{type(error).__name__}: {said}" if said else type(error).__name__
        raise FileError(
            path, f"cannot be read, it may be damaged ({what}): expected a whole file of {format}"
        ) from error


def _without(measurement: Measurement, path: Path, delay: Any) -> Measurement:
    """Take out the delay that the options state, if any."""
    if delay is None or delay == "":
        return measurement
    try:
        return remove_delay(measurement, delay_from_text(str(delay), measurement))
    except UnfitError as error:
        raise FileError(path, str(error)) from error


def _beside(path: Path, name: str) -> Path:
    """Return the path of a background, as given or beside the scan."""
    given, beside = Path(name), (path if path.is_dir() else path.parent) / name
    if not given.exists() and not beside.exists():
        raise FileError(given, "no such file or folder: expected a background in the scan's format")
    return given if given.exists() else beside


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "''" if value == "" else f"{value:g}" if isinstance(value, float) else str(value)
