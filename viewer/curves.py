"""What a solver recorded, as one curve a name for one scene, whatever the solver called it."""

from __future__ import annotations

import math
from typing import Any

MOST_CURVES = 12
Curves = dict[str, list[float | None]]


def curves_of_scene(history: Any, scene: int, n_scene: int) -> Curves:
    """Pick one scene's curves out of a reconstruction's ``history``.

    Parameters
    ----------
    history
        A list with one dict an iteration, whose values are numbers or lists with a number (or ``None``) a scene; a dict
        of such columns; or a list of those lists, one a batch of scenes. Anything else is left out.
    scene, n_scene
        Which scene, from 0, of how many.

    Returns
    -------
    dict
        Values over iterations by name, ``None`` where nothing finite was recorded; names without a value are left out.
    """
    if isinstance(history, dict):
        found = {str(name): [_number(v, scene, n_scene) for v in values] for name, values in _columns(history)}
    else:
        found = _from_entries(*_batch_of(history, scene, n_scene))
    filled = {name: values for name, values in found.items() if any(v is not None for v in values)}
    return dict(list(filled.items())[:MOST_CURVES])


def _columns(history: dict[Any, Any]) -> list[tuple[Any, list[Any]]]:
    return [(name, values) for name, values in history.items() if isinstance(values, list)]


def _batch_of(history: Any, scene: int, n_scene: int) -> tuple[list[Any], int, int]:
    """Entries of the batch that holds `scene`, with the scene's place in it and the batch's size."""
    if not isinstance(history, list) or not history or not all(isinstance(part, list) for part in history):
        return (history if isinstance(history, list) else []), scene, n_scene
    first = 0
    for part in history:
        size = _scenes_in(part)
        if scene < first + size:
            return part, scene - first, size
        first += size
    return [], scene, n_scene


def _scenes_in(entries: list[Any]) -> int:
    lengths = [len(v) for entry in entries if isinstance(entry, dict) for v in entry.values() if isinstance(v, list)]
    return max(lengths, default=1)


def _from_entries(entries: list[Any], scene: int, n_scene: int) -> Curves:
    steps = [entry for entry in entries if isinstance(entry, dict)]
    names = dict.fromkeys(str(name) for entry in steps for name in entry)
    return {name: [_number(entry.get(name), scene, n_scene) for entry in steps] for name in names}


def _number(value: Any, scene: int, n_scene: int) -> float | None:
    """Return a finite number; of a list with one value a scene, the scene's."""
    if isinstance(value, list):
        value = value[scene] if len(value) == n_scene and scene < len(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
