"""Tables of the book: what the paper reports, what was measured here, what a larger run gave, side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import MmelError
from .cells import Cell
from .paper import Reported, reported_for
from .rows import PAPER

NOT_RUN = "not run yet"
Columns = Mapping[str, Mapping[str, Cell]]  # metric -> row -> cell


def named_columns(columns: Columns) -> dict[str, dict[str, dict[str, float | int]]]:
    """Cells as plain numbers, for `mmel.results.note` and for a file that a larger run leaves."""
    return {
        metric: {
            row: dict(zip(("mean", "low", "high", "count"), cell.interval, strict=True)) for row, cell in cells.items()
        }
        for metric, cells in columns.items()
    }


def read_stored(path: str | os.PathLike) -> dict | None:
    """What a larger run left ({"run": words, "columns": ...}), or None where it has not been run yet."""
    path = Path(path)
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {"run": str(stored["run"]), "columns": dict(stored["columns"])}
    except (ValueError, KeyError, TypeError) as error:
        raise MmelError(f"{path} should hold a run and its columns ({error!r}): run the notebook of it again.") from error


def write_stored(path: str | os.PathLike, run: str, columns: Columns) -> None:
    """Leave the numbers of a larger run beside the book; `run` says in words what was run on what."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"run": run, "columns": named_columns(columns)}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")


def lines_of(
    columns: Columns,
    titles: Mapping[str, str],  # metric -> its name in the head of the table
    *,
    reported: Mapping[tuple[str, str], Reported],
    names: Mapping[str, str],  # metric -> that of the paper's CSV
    stored: Mapping[str, dict | None],  # column title -> what `read_stored` gave
    order: Sequence[str],
    times: float = 1.0,
    digits: int = 3,
) -> tuple[list[str], list[list[str]]]:
    """Head and lines of a table: for each metric what is reported, what this run measured, and each stored run."""
    head, lines = ["row", "paper's row"], []
    for metric, title in titles.items():
        head += [f"{title}: reported", "this run", *stored]
    for row in order:
        printed = {metric: reported_for(row, names[metric], reported) for metric in titles}
        line = [f"`{row}`", paper_name(row) if any(printed.values()) else ""]
        for metric, there in printed.items():
            line += [str(there) if there else "", _cell(columns[metric].get(row), times, digits)]
            line += [_stored(run, metric, row, times, digits) for run in stored.values()]
        lines.append(line)
    return head, lines


def paper_name(row: str) -> str:
    """The paper's name of the row that ours stands beside, if it has one."""
    return next((name for name, ours in PAPER.items() if row in ours), "")


def written(mean: float, low: float, high: float, times: float = 1.0, digits: int = 3) -> str:
    """A mean and its interval: 0.123 [0.101, 0.145], with a true minus."""
    text = f"{mean * times:.{digits}f} [{low * times:.{digits}f}, {high * times:.{digits}f}]"
    return text.replace("-", "\N{MINUS SIGN}")


def _cell(cell: Cell | None, times: float, digits: int) -> str:
    if cell is None:
        return "\N{EN DASH}"
    text = written(*cell.interval[:3], times, digits)
    text = f"**{text}**" if cell.best else text
    return text + (" \\*" if cell.p is not None and cell.p < 0.05 else "")


def _stored(run: dict | None, metric: str, row: str, times: float, digits: int) -> str:
    if run is None:
        return NOT_RUN
    there = run["columns"].get(metric, {}).get(row)
    return "\N{EN DASH}" if there is None else written(there["mean"], there["low"], there["high"], times, digits)
