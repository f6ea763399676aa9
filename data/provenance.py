"""Record each processing step of a measurement in the measurement itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mimo.data.measurement import Measurement

__all__ = ["describe_steps", "recorded"]


def recorded(measurement: Measurement, step: str, /, **parameters: Any) -> Measurement:
    """Return the measurement with one more entry in its ``steps``.

    Parameters
    ----------
    measurement
        The measurement as the step left it.
    step
        Name of the step, in a word or two.
    **parameters
        Parameters of the step: numbers, text, lists and dicts. NumPy's numbers and arrays become Python's, ``None`` is
        left out.
    """
    entry = {"step": step, **{name: _plain(value) for name, value in parameters.items() if value is not None}}
    return replace(measurement, steps=(*measurement.steps, entry))


def describe_steps(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line for each step, such as ``gate: start=0.3, stop=0.7``."""
    lines = []
    for entry in steps:
        told = ", ".join(f"{name}={_short(value)}" for name, value in entry.items() if name != "step")
        lines.append(f"{entry['step']}: {told}" if told else str(entry["step"]))
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
