"""Reading and writing files of the schema, under one name."""

from data.measurement import Measurement, Reconstruction
from data.reader import MeasurementFile, load, load_reconstructions, open_measurement, validate
from data.schema import FileError
from data.shards import join_shards
from data.writer import FileWriter, create_file, file_sha256, save, to_json

__all__ = [
    "FileError",
    "FileWriter",
    "Measurement",
    "MeasurementFile",
    "Reconstruction",
    "create_file",
    "file_sha256",
    "join_shards",
    "load",
    "load_reconstructions",
    "open_measurement",
    "save",
    "to_json",
    "validate",
]
