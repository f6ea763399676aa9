"""Measurements and images: what is in them, the file they are kept in, and other people's formats."""

from data.calibration import (
    divide_gain,
    restore_reference_path,
    select_frequencies,
    select_scenes,
    subtract_background,
)
from data.describe import describe_file
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
    to_json,
    validate,
)

__all__ = [
    "IMPORTERS",
    "FileError",
    "Measurement",
    "Reconstruction",
    "create_file",
    "describe_file",
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
    "to_json",
    "validate",
]
