"""Hold the iteration history of a solver run, in one form for solvers, files, tables and drawings.

A solver runs on a batch of scenes and makes one entry an iteration, such as ``{"residual": [0.5, None], "seconds":
0.1}``: named values with a number for each scene, ``None`` once a scene has stopped, and the seconds since the start. A
run over more scenes than one batch, or a file joined from shards, has such a list of entries for each batch. Files hold
this as JSON (`mimo.data.Reconstruction.history`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Batch", "Curves", "Entry", "History"]

Entry = dict[str, Any]
"""One iteration: numbers, or lists of one number a scene."""

Curves = dict[str, list[float | None]]
"""Values over iterations by name, ``None`` where nothing finite was recorded."""


@dataclass(frozen=True)
class Batch:
    """Holds the entries of `n_scene` scenes that a solver treated together, one entry an iteration."""

    entries: list[Entry]
    n_scene: int

    def rows(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield scene, iteration and values; see `History.rows`."""
        for scene in range(self.n_scene):
            for i, entry in enumerate(self.entries, start=1):
                figures = {name: v[scene] for name, v in entry.items() if self._is_per_scene(v)}
                if all(value is None for value in figures.values()):
                    break
                yield scene, i, {name: entry[name] for name in ("seconds",) if name in entry} | figures

    def scenes(self, start: int, stop: int) -> Batch:
        """Return a batch of the scenes `start` to `stop` - 1."""
        entries = [
            {name: v[start:stop] if self._is_per_scene(v) else v for name, v in entry.items()} for entry in self.entries
        ]
        return Batch(entries, stop - start)

    def curves(self, scene: int) -> Curves:
        """Return the curves of one scene; see `History.curves`."""

        def number(value: Any) -> float | None:
            if isinstance(value, list):
                value = value[scene] if self._is_per_scene(value) else None
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            return float(value) if plain and math.isfinite(value) else None

        names = dict.fromkeys(name for entry in self.entries for name in entry)
        found = {name: [number(entry.get(name)) for entry in self.entries] for name in names}
        return {name: values for name, values in found.items() if any(value is not None for value in values)}

    def _is_per_scene(self, value: Any) -> bool:
        return isinstance(value, list) and len(value) == self.n_scene


@dataclass(frozen=True)
class History:
    """Holds the history of a run over batches of scenes, in their order; empty for a method without iterations."""

    batches: list[Batch] = field(default_factory=list)

    @classmethod
    def from_json(cls, record: Any, n_scene: int | None = None) -> History:
        """Build a history from a file's JSON: the entries of one batch, or a list of such lists, or ``None``.

        A file may hold any JSON there. Columns instead of entries, ``{"residual": [2, 1]}``, are read too; anything
        else is ignored.

        Parameters
        ----------
        record
            `mimo.data.Reconstruction.history`.
        n_scene
            Number of scenes of the file; by default the length of the lists in the record.
        """
        if isinstance(record, Mapping):
            columns = {name: values for name, values in record.items() if isinstance(values, list)}
            n = max((len(values) for values in columns.values()), default=0)
            record = [{name: values[i] for name, values in columns.items() if i < len(values)} for i in range(n)]
        if not isinstance(record, list) or not record:
            return cls()
        if not all(isinstance(each, list) for each in record):
            entries = _entries(record)
            return cls([Batch(entries, _n_scene(entries) if n_scene is None else n_scene)]) if entries else cls()
        batches = [_entries(each) for each in record]
        return cls([Batch(entries, _n_scene(entries)) for entries in batches])

    def to_json(self, n_scene: int | None = None) -> list[Any] | None:
        """Return the form that files hold: the entries of a single batch, a list of lists for several, or ``None``.

        `n_scene` is the number of scenes of the file; a single batch of fewer is written as the first of several.
        """
        whole = len(self.batches) == 1 and n_scene in (None, self.batches[0].n_scene)
        entries = [batch.entries for batch in self.batches]
        return entries[0] if whole else entries or None

    def texts(self) -> list[str]:
        """Return each batch as JSON text, which takes a tenth of the memory that its numbers take."""
        return [json.dumps(batch.entries) for batch in self.batches]

    @staticmethod
    def join_texts(texts: Sequence[str]) -> str | None:
        """Join the `texts` of batches to the JSON of one history; ``None`` when there are none."""
        return f"[{', '.join(texts)}]" if texts else None

    @property
    def n_scene(self) -> int:
        """Number of scenes."""
        return sum(batch.n_scene for batch in self.batches)

    def scenes(self, start: int, stop: int) -> History:
        """Return the history of the scenes `start` to `stop` - 1; a part of a batch stays a batch."""
        parts = []
        for first, batch in self._placed():
            here, end = max(start - first, 0), min(stop - first, batch.n_scene)
            if here < end:
                parts.append(batch.scenes(here, end))
        return History(parts)

    def of(self, scenes: Sequence[int]) -> History:
        """Return the history of chosen scenes, ascending; each run of numbers without a gap is a part of its own."""
        parts: list[Batch] = []
        start = 0
        for i in range(1, len(scenes) + 1):
            if i == len(scenes) or scenes[i] != scenes[i - 1] + 1:
                parts += self.scenes(scenes[start], scenes[i - 1] + 1).batches
                start = i
        return History(parts)

    def rows(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield scene (from 0), iteration (from 1) and values: ``seconds`` and those recorded for the scene.

        A scene's rows end when it has stopped.
        """
        for first, batch in self._placed():
            for scene, iteration, figures in batch.rows():
                yield first + scene, iteration, figures

    def curves(self, scene: int) -> Curves:
        """Return the values of one scene over the iterations, by name; names without a finite value are left out."""
        for first, batch in self._placed():
            if first <= scene < first + batch.n_scene:
                return batch.curves(scene - first)
        return {}

    def _placed(self) -> Iterator[tuple[int, Batch]]:
        """Yield each batch with its first scene's number."""
        first = 0
        for batch in self.batches:
            yield first, batch
            first += batch.n_scene


def _entries(record: Iterable[Any]) -> list[Entry]:
    return [{str(name): value for name, value in entry.items()} for entry in record if isinstance(entry, Mapping)]


def _n_scene(entries: Sequence[Entry]) -> int:
    """Number of scenes that entries are of: the longest list's length, 1 when there are numbers alone."""
    lengths = [len(value) for entry in entries for value in entry.values() if isinstance(value, list)]
    return max(lengths, default=min(1, len(entries)))
