"""The paper's own tables, from one CSV: cells, columns that some words pick, which row is the better one."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import MmelError

Tables = Mapping[int, Mapping[str, Mapping[str, float]]]  # table -> column -> row -> value
BEST_IS_LEAST = ("drop", "deletion")


def read_tables(path: str | os.PathLike) -> dict[int, dict[str, dict[str, float]]]:
    """Every value of the CSV by table, column and row, as printed."""
    try:
        lines = list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise MmelError(f"the paper's tables, a CSV, were expected at {path}: {error}.") from error
    found: dict[int, dict[str, dict[str, float]]] = {}
    for line in lines:
        try:
            column = found.setdefault(int(line["table"]), {}).setdefault(line["metric"], {})
            column[line["row"]] = float(line["value"])
        except (KeyError, TypeError, ValueError) as error:
            raise MmelError(f"{path}: a line needs table, row, metric and a number in value; got {line}.") from error
    return found


def named(table: int | list[int]) -> str:
    return ", ".join(map(str, table)) if isinstance(table, list) else str(table)


def columns(tables: Tables, table: int | list[int], words: str) -> dict[str, Mapping[str, float]]:
    """Columns of a table (or of several) whose name has all of these words; none is an error."""
    if isinstance(table, list):
        each = {one: columns(tables, one, words) for one in table}
        return {f"Table {one} {name}": rows for one, found in each.items() for name, rows in found.items()}
    if table not in tables:
        raise MmelError(f"the paper's tables are {sorted(tables)}; got {table}.")
    wanted = set(words.split())
    found = {name: rows for name, rows in tables[table].items() if wanted <= set(name.replace("_", " ").split())}
    if not found:
        raise MmelError(f"table {table} has no column with {words!r}; it has: {', '.join(tables[table])}.")
    return found


def cell(column: Mapping[str, float], row: str) -> float:
    if row not in column:
        raise MmelError(f"no row {row!r} in this column; it has: {', '.join(column)}.")
    return column[row]


def gain(name: str, one: float, other: float) -> float:
    """By how many per cent `one` is better than `other` in the column of this name; below 0 it is worse."""
    sign = -1 if any(word in name for word in BEST_IS_LEAST) else 1
    return sign * 100 * (one - other) / other


def rank(name: str, column: Mapping[str, float], row: str) -> int:
    """1 for the best row of the column."""
    return 1 + sum(gain(name, value, cell(column, row)) > 0 for value in column.values())
