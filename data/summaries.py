"""Say in a few lines, or in an HTML table, what a measurement or a reconstruction holds."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from mimo import ArrayGeometry, FrequencySweep, VoxelGrid

__all__ = ["as_html", "as_text", "facts_of_measurement", "facts_of_reconstruction"]


def facts_of_measurement(measurement: Any) -> dict[str, str]:
    """Return what a `mimo.data.Measurement` holds, by name, each fact in a line of words."""
    kept = [name for name in ("background", "gain", "delay", "reference_path", "truth") if _there(measurement, name)]
    facts = {
        "values": _shape(measurement.values, "scenes", "frequencies", *_channel_words(measurement.array)),
        "array": _array(measurement.array),
        "sweep": _sweep(measurement.sweep),
        "grid": _grid(measurement.grid),
        "medium": f"relative permittivity {measurement.permittivity:g}",
        "beside": ", ".join(kept) or "nothing",
        "source": measurement.source or "not stated",
        "steps": ", ".join(str(step["step"]) for step in measurement.steps) or "none",
    }
    if measurement.region:
        facts["region"] = measurement.region
    return facts


def facts_of_reconstruction(made: Any) -> dict[str, str]:
    """Return what a `mimo.data.Reconstruction` holds, by name, each fact in a line of words."""
    peak = np.unravel_index(int(np.abs(made.values[0]).argmax()), made.grid.shape)
    place = ", ".join(f"{axis[i]:.4g}" for axis, i in zip((made.grid.x, made.grid.y, made.grid.z), peak, strict=True))
    kind = "reflectivity" if np.iscomplexobj(made.values) else "magnitude"
    return {
        "method": made.method,
        "values": f"{kind}, {_shape(made.values, 'scenes', 'in x', 'in y', 'in z')}",
        "grid": _grid(made.grid),
        "scale": made.scale or "not stated",
        "peak": f"{np.abs(made.values[0]).max():.4g} at ({place}) m in the first scene",
        "time": f"{float(made.seconds.sum()):.3g} s, {made.iterations} iterations",
    }


def as_text(title: str, facts: dict[str, str]) -> str:
    """Return facts as lines below a title."""
    width = max(len(name) for name in facts)
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in facts.items())])


def as_html(title: str, facts: dict[str, str]) -> str:
    """Return facts as an HTML table, as notebooks show it; texts are escaped."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><caption style='text-align:left'>{html.escape(title)}</caption>{rows}</table>"


def _there(measurement: Any, name: str) -> bool:
    return getattr(measurement, name) is not None


def _channel_words(array: ArrayGeometry) -> tuple[str, ...]:
    return ("channels",) if array.paired else ("tx", "rx")


def _shape(values: np.ndarray, *words: str) -> str:
    return f"{' x '.join(f'{n} {word}' for n, word in zip(values.shape, words, strict=True))}, {values.dtype}"


def _array(array: ArrayGeometry) -> str:
    sides = np.ptp(np.concatenate([array.tx_pos, array.rx_pos]), axis=0)
    span = " x ".join(f"{side:.4g}" for side in sides)
    label = f"{array.name}: " if array.name else ""
    over = "infinitely far away" if any(array.far) else f"over {span} m"
    return f"{label}{array.n_tx} tx, {array.n_rx} rx, {array.n_channel} channels {over}"


def _sweep(sweep: FrequencySweep) -> str:
    if sweep.n_freq == 1:
        return f"{sweep.center / 1e9:.6g} GHz"
    return f"{sweep.n_freq} frequencies, {sweep.freq[0] / 1e9:.6g} to {sweep.freq[-1] / 1e9:.6g} GHz"


def _grid(grid: VoxelGrid | None) -> str:
    if grid is None:
        return "none"
    axes = (f"{n} {a[0]:.4g} to {a[-1]:.4g} m" for n, a in (("x", grid.x), ("y", grid.y), ("z", grid.z)))
    return f"{' x '.join(map(str, grid.shape))} voxels, {', '.join(axes)}"
