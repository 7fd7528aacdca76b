"""The numbers that the paper prints, from a CSV, beside numbers that were measured: never mixed with them."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import MmelError
from .rows import PAPER


class Reported(NamedTuple):
    """One cell of one of the paper's tables, as printed; `deviation` is its +-, where it has one."""

    row: str
    metric: str
    value: float
    deviation: float | None
    decimals: int

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.{self.decimals}f}"
        return f"{self.value:.{self.decimals}f}{spread}"


def read_reported(path: str | os.PathLike, table: int) -> dict[tuple[str, str], Reported]:
    """Every cell of table 1, 2 or 3 by its row and metric, in the paper's own units (Table 1: times 100)."""
    try:
        lines = list(csv.DictReader(Path(path).read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise MmelError(
            f"the paper's tables, a CSV, were expected at {path}, which cannot be read ({error})."
        ) from error
    try:
        cells = [_reported(line) for line in lines if int(line["table"]) == table]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise MmelError(
            f"{path} is no CSV of the paper's tables: it should have the columns table, row, metric, value and "
            "deviation, numbers in the first and the last two."
        ) from error
    found = {(cell.row, cell.metric): cell for cell in cells}
    if not found:
        raise MmelError(f"{path} has no table {table}: the paper has tables 1, 2 and 3.")
    return found


def _reported(line: Mapping[str, str]) -> Reported:
    spread = float(line["deviation"]) if line["deviation"] else None
    decimals = len(line["value"].partition(".")[2])
    return Reported(line["row"], line["metric"], float(line["value"]), spread, decimals)


def reported_for(row: str, metric: str, cells: Mapping[tuple[str, str], Reported]) -> Reported | None:
    """What the paper reports for one of our rows, if it has that row and column."""
    for name, ours in PAPER.items():
        if row in ours and (name, metric) in cells:
            return cells[name, metric]
    return None
