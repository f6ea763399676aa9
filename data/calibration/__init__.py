"""Prepare a measurement for imaging; every step is recorded in the measurement that it returns.

Background subtraction, channel gain and delay from a reference target, time gating, bad channels, choice of scenes and
frequencies, normalisation, and changes of convention. Each function takes a measurement and returns another.
"""

from mimo.data.calibration.background import subtract_background, with_mean_background
from mimo.data.calibration.channels import channel_values, channels_from_text, find_bad_channels, mask_channels
from mimo.data.calibration.conventions import (
    conjugate,
    normalise,
    restore_reference_path,
    with_permittivity,
    with_region,
)
from mimo.data.calibration.delay import find_delay, remove_delay, remove_video_phase
from mimo.data.calibration.gating import Gate, box_paths, gate_box, gate_range
from mimo.data.calibration.reference import (
    Plate,
    PointTarget,
    apply_calibration,
    divide_gain,
    estimate_gain,
    reference_echo,
)
from mimo.data.calibration.selection import select_frequencies, select_scenes

__all__ = [
    "Gate",
    "Plate",
    "PointTarget",
    "apply_calibration",
    "box_paths",
    "channel_values",
    "channels_from_text",
    "conjugate",
    "divide_gain",
    "estimate_gain",
    "find_bad_channels",
    "find_delay",
    "gate_box",
    "gate_range",
    "mask_channels",
    "normalise",
    "reference_echo",
    "remove_delay",
    "remove_video_phase",
    "restore_reference_path",
    "select_frequencies",
    "select_scenes",
    "subtract_background",
    "with_mean_background",
    "with_permittivity",
    "with_region",
]
