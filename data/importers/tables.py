"""Read tables of numbers from text files, checking every cell and naming the place of a bad one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from mimo.data.files.limits import read_text
from mimo.data.files.schema import FileError

__all__ = ["cell_number", "read_records", "read_table", "text_lines"]

Number = TypeVar("Number", int, float, complex)


def text_lines(path: Path, meaning: str) -> list[tuple[int, str]]:
    """Return the lines that are not empty with their numbers, from 1; FileError when there are none or no text."""
    lines = read_text(path, f"CSV, {meaning}").splitlines()
    kept = [(row, line) for row, line in enumerate(lines, 1) if line.strip()]
    if not kept:
        raise FileError(path, f"is empty: expected CSV, {meaning}")
    return kept


def read_table(
    path: Path, number: Callable[[str], Number], n_column: int, meaning: str, *, header: Sequence[str] = ()
) -> list[list[Number]]:
    """Read rows of `n_column` finite numbers each; empty lines are skipped.

    Parameters
    ----------
    path
        Comma-separated text.
    number
        Function that converts the text of one cell, such as ``float``.
    n_column
        Number of cells in a row.
    meaning
        What the columns are, for messages.
    header
        Names that the first line may hold instead of numbers.

    Raises
    ------
    FileError
        Naming the row and the column, counted from 1.
    """
    lines = text_lines(path, meaning)
    if header and [cell.strip().lower() for cell in lines[0][1].split(",")] == list(header):
        lines = lines[1:]
    rows = [[cell_number(path, row, column, cell, number, meaning) for column, cell in enumerate(cells, 1)]
            for row, cells in _split(path, lines, n_column, meaning)]  # fmt: skip
    if not rows:
        raise FileError(path, f"has a header and no rows: expected CSV, {meaning}")
    return rows


def read_records(path: Path, columns: Sequence[str], meaning: str) -> list[tuple[int, dict[str, str]]]:
    """Read rows as (line number, dict of texts by the header's names); every one of `columns` must be there.

    Raises
    ------
    FileError
        When a column is missing, or a row has another number of cells.
    """
    lines = text_lines(path, meaning)
    names = [cell.strip().lower() for cell in lines[0][1].split(",")]
    missing = [name for name in columns if name not in names]
    if missing:
        raise FileError(path, f"row 1 has no column {missing[0]}: expected a header with {', '.join(columns)}")
    if len(lines) == 1:
        raise FileError(path, f"has a header and no rows: expected CSV, {meaning}")
    split = _split(path, lines[1:], len(names), meaning)
    return [(row, dict(zip(names, (cell.strip() for cell in cells), strict=True))) for row, cells in split]


def cell_number(
    path: Path, row: int, column: int | str, cell: str, number: Callable[[str], Number], meaning: str
) -> Number:
    """Read one cell with `number`; FileError naming row and column when it is no finite number."""
    what = f"row {row}, column {column} is {cell.strip()[:40]!r}"
    try:
        value = number(cell.strip())
    except ValueError as error:
        raise FileError(path, f"{what}: expected a number, {meaning}") from error
    if not np.isfinite(value):
        raise FileError(path, f"{what}: expected a finite number")
    return value


def _split(path: Path, lines: list[tuple[int, str]], n_column: int, meaning: str) -> list[tuple[int, list[str]]]:
    rows = [(row, line.split(",")) for row, line in lines]
    for row, cells in rows:
        if len(cells) != n_column:
            raise FileError(path, f"row {row} has {len(cells)} columns: expected {n_column}, {meaning}")
    return rows
