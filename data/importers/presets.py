"""Options that bring public data sets in: which array is which, how the radar moved, and what it sent.

Each is what one would write into a TOML file for ``--mapping``; the numbers are from the sets' own code and documents.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mimo.data.files.schema import FileError
from mimo.options import unknown

__all__ = ["PRESETS", "Preset", "preset_settings"]


@dataclass(frozen=True)
class Preset:
    """Holds the options of a data set, and a line on it."""

    summary: str
    settings: dict[str, Any]


PRESETS = {
    # M. E. Yanik, M. Torlak, MATLAB code of 2018 beside the file (Simplified-2D-mmWave-Imaging): 77 GHz, 63.343 MHz/us,
    # 9.121 Msps, a delay of 0.45225 ns, positions 200/406 mm and 2 mm apart, one antenna for both ways
    "simple2d": Preset(
        "rawData3D_simple2D.mat: 512 samples x 100 x 403 positions of a TI radar at 77 GHz",
        {
            "format": "array",
            "values": "rawData3D_simple2D",
            "axes": ["freq", "y", "x"],
            "phase_sign": 1,
            "delay": "0.45225ns",
            "chirp": {"start_freq": 77e9, "slope": 63.343e12, "sample_rate": 9.121e6},
            "motion": {
                "kind": "raster",
                "counts": [403, 100],
                "steps": [200 / 406, 2.0],
                "length_unit": "mm",
            },
        },
    ),
    # github.com/qingshu-hui/3DRIED, Demo_Hemo3D_Imaging001.m: cells of 4 receivers x 256 samples, of which it images
    # the first as one antenna for both ways; 407 x 200 positions, 1 mm and 2 mm apart, every second row the other way,
    # the first from right to left; 43 frames too many; 78.8 GHz, 70.295 MHz/us, 5 Msps, a delay of 0.62516 ns
    "3dried": Preset(
        "3DRIED output_rawdata.mat: 407 x 200 positions of a TI radar at 79 GHz, serpentine; its first receiver",
        {
            "format": "array",
            "values": "adcRawData.data",
            "axes": ["frame", "rx", "freq"],
            "pick": "rx=0",
            "phase_sign": 1,
            "delay": "0.62516ns",
            "chirp": {"start_freq": 78.8e9, "slope": 70.295e12, "sample_rate": 5e6},
            "motion": {
                "kind": "raster",
                "counts": [407, 200],
                "steps": [1.0, 2.0],
                "axes": ["-x", "y"],
                "serpentine": True,
                "drift": 43,
                "length_unit": "mm",
            },
        },
    ),
    # github.com/UManitoba-BMS/UM-BMID, run/ and docs/: fd_data (scan, frequency, angle) of S11 at 1001 even
    # frequencies from 1 to 8 GHz (equipment.md); the antenna turns clockwise to 72 angles from -130 degrees (second
    # generation, scan_geometry.md), at a radius that the metadata say
    "um-bmid": Preset(
        "UM-BMID fd_data_gen_two_s11.mat: S11 at 72 angles; --set pick=scene=N, --set motion.place=RADIUS,0,0",
        {
            "format": "array",
            "values": "fd_data",
            "axes": ["scene", "freq", "angle"],
            "pick": "scene=0",
            "freq": "1e9:8e9:1001",
            "motion": {
                "kind": "turntable",
                "turns": "antenna",
                "direction": -1,
                "start": 130.0,
                "stop": 485.0,
                "count": 72,
            },
        },
    ),
    # IEEE DataPort 10.21227/bvsa-ts38, ReadMe_MIMOScatteredField.txt: S21 of every position of a waveguide on one rail
    # with every one on the other, 201 frequencies from 55 to 60 GHz. The readme names neither the variables nor the
    # rails' positions, so the only complex array is taken and the positions must be said.
    "oviedo-l": Preset(
        "targets_plane1.mat of Oviedo's V-band L: S21 at 55 to 60 GHz; --set tx_pos=x=NAME --set rx_pos=y=NAME",
        {"format": "array", "freq": "55e9:60e9:201"},
    ),
}


def preset_settings(path: Path, name: str) -> dict[str, Any]:
    """Return the options of a preset; FileError when there is none of that name (the nearest is named)."""
    if name not in PRESETS:
        raise FileError(path, unknown("preset", name, PRESETS))
    return copy.deepcopy(PRESETS[name].settings)
