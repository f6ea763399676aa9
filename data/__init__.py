"""Read, write and prepare measurements and images, in the program's own files and in other people's formats."""

from mimo.data.calibration import (
    Gate,
    Plate,
    PointTarget,
    apply_calibration,
    conjugate,
    divide_gain,
    estimate_gain,
    find_bad_channels,
    find_delay,
    gate_box,
    gate_range,
    mask_channels,
    normalise,
    remove_delay,
    remove_video_phase,
    restore_reference_path,
    select_frequencies,
    select_scenes,
    subtract_background,
    with_mean_background,
    with_permittivity,
    with_region,
)
from mimo.data.calibration.phase_check import check_phase
from mimo.data.files.describe import describe_file
from mimo.data.files.geometry import Geometry, load_geometry, save_geometry
from mimo.data.files.reader import MeasurementFile, load, load_reconstructions, open_measurement, validate
from mimo.data.files.schema import FileError
from mimo.data.files.shards import join_shards
from mimo.data.files.soundness import damage_of
from mimo.data.files.writer import create_file, file_sha256, save, to_json
from mimo.data.history import History
from mimo.data.importers import IMPORTERS, explain_formats, read_measured
from mimo.data.intervals import QUANTILES, interval
from mimo.data.measurement import Measurement, Reconstruction
from mimo.data.provenance import describe_steps

__all__ = [
    "IMPORTERS",
    "QUANTILES",
    "FileError",
    "Gate",
    "Geometry",
    "History",
    "Measurement",
    "MeasurementFile",
    "Plate",
    "PointTarget",
    "Reconstruction",
    "apply_calibration",
    "check_phase",
    "conjugate",
    "create_file",
    "damage_of",
    "describe_file",
    "describe_steps",
    "divide_gain",
    "estimate_gain",
    "explain_formats",
    "file_sha256",
    "find_bad_channels",
    "find_delay",
    "gate_box",
    "gate_range",
    "interval",
    "join_shards",
    "load",
    "load_geometry",
    "load_reconstructions",
    "mask_channels",
    "normalise",
    "open_measurement",
    "read_measured",
    "remove_delay",
    "remove_video_phase",
    "restore_reference_path",
    "save",
    "save_geometry",
    "select_frequencies",
    "select_scenes",
    "subtract_background",
    "to_json",
    "validate",
    "with_mean_background",
    "with_permittivity",
    "with_region",
]
