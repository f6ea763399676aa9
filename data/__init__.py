"""Measurements and images: what is in them, the file they are kept in, and other people's formats."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data.calibration import (
        divide_gain,
        restore_reference_path,
        select_frequencies,
        select_scenes,
        subtract_background,
    )
    from data.importers import IMPORTERS, read_measured
    from data.store import (
        FileError,
        Measurement,
        Reconstruction,
        create_file,
        file_sha256,
        join_shards,
        load,
        load_reconstructions,
        open_measurement,
        save,
        validate,
    )

__all__ = [
    "IMPORTERS",
    "FileError",
    "Measurement",
    "Reconstruction",
    "create_file",
    "divide_gain",
    "file_sha256",
    "join_shards",
    "load",
    "load_reconstructions",
    "open_measurement",
    "read_measured",
    "restore_reference_path",
    "save",
    "select_frequencies",
    "select_scenes",
    "subtract_background",
    "validate",
]

_CALIBRATION = {"divide_gain", "restore_reference_path", "select_frequencies", "select_scenes", "subtract_background"}
_IMPORTERS = {"IMPORTERS", "read_measured"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``python -m data.schema`` finds the module not yet loaded."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "calibration" if name in _CALIBRATION else "importers" if name in _IMPORTERS else "store"
    value = getattr(import_module(f"data.{home}"), name)
    globals()[name] = value
    return value
