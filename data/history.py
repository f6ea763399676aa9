"""Hold what an iterative run recorded of its scenes: one record for solvers, files, tables and drawings.

A solver runs on a batch of scenes and makes one entry an iteration: ``{"residual": [0.5, None], "seconds": 0.1}``, a
figure of each scene by name, ``None`` once a scene has stopped, and the seconds since the start. A run over more
scenes, or the images of a file in shards, have one such list for each batch. Files hold this as JSON
(`mimo.data.Reconstruction.history`).
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
    """Holds the entries of scenes that were treated together, one entry an iteration."""

    entries: list[Entry]
    n_scene: int

    def rows(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield scene, iteration and figures; see `History.rows`."""
        for scene in range(self.n_scene):
            for i, entry in enumerate(self.entries, start=1):
                figures = {name: v[scene] for name, v in entry.items() if self._is_per_scene(v)}
                if all(value is None for value in figures.values()):
                    break
                yield scene, i, {name: entry[name] for name in ("seconds",) if name in entry} | figures

    def scenes(self, start: int, stop: int) -> Batch:
        """Return the batch of some of its scenes."""
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
    """Holds the record of a run over batches of scenes, in their order; empty for a method without iterations."""

    batches: list[Batch] = field(default_factory=list)

    @classmethod
    def from_json(cls, record: Any, n_scene: int | None = None) -> History:
        """Read what a file holds: the entries of one batch, or a list of such lists, or ``None``.

        A file may hold any JSON there. Columns instead of entries, ``{"residual": [2, 1]}``, are taken too; anything
        else is passed over.

        Parameters
        ----------
        record
            `mimo.data.Reconstruction.history`.
        n_scene
            Scenes of the file; by default those that the record shows.
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
        """Return what files hold: the entries of a single batch, a list of those of several, ``None`` when empty.

        A single batch of a run that has more scenes, `n_scene`, is told as the first of several.
        """
        whole = len(self.batches) == 1 and n_scene in (None, self.batches[0].n_scene)
        entries = [batch.entries for batch in self.batches]
        return entries[0] if whole else entries or None

    def texts(self) -> list[str]:
        """Return each batch as JSON: a tenth of the memory that its numbers take, for runs over many scenes."""
        return [json.dumps(batch.entries) for batch in self.batches]

    @staticmethod
    def join_texts(texts: Sequence[str]) -> str | None:
        """Return the JSON of one record over batches, given as their `texts`; ``None`` when there are none."""
        return f"[{', '.join(texts)}]" if texts else None

    @property
    def n_scene(self) -> int:
        """Number of scenes."""
        return sum(batch.n_scene for batch in self.batches)

    def scenes(self, start: int, stop: int) -> History:
        """Return the record of the scenes `start` to `stop` - 1; a part of a batch stays a batch."""
        parts = []
        for first, batch in self._placed():
            here, end = max(start - first, 0), min(stop - first, batch.n_scene)
            if here < end:
                parts.append(batch.scenes(here, end))
        return History(parts)

    def rows(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield scene (from 0), iteration (from 1) and figures: ``seconds`` and those recorded of the scene.

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
