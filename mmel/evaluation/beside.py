"""Tables of the book: what the paper reports, what was measured here, what a larger run gave, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ..stats import LEVEL, holm
from .cells import Cell, cells_of, higher_is_better, reasons_of
from .paper import Reported, reported_for
from .rows import NO_TEXT_MAP, PAPER, row_of, why_no_text

NOT_RUN = "not run yet"
DIFFERENCES = (
    "A cell: mean of the differences on the same samples [95 % bootstrap interval]. Bold where MMEL's row is better, "
    f"italic where the other one is, if the interval leaves 0 out and p < {LEVEL} after Holm's correction over the "
    "table."
)
SIDES = {True: "right", False: "left", None: ""}  # that are better
Columns = Mapping[str, Mapping[str, Cell]]  # metric -> row -> cell


def columns_of(frame: pd.DataFrame, modality: str, metrics: Sequence[str], **how) -> dict[str, dict[str, Cell]]:
    """The cells of several columns; `how` are the settings of `cells_of`."""
    return {metric: cells_of(frame, modality, metric, **how) for metric in metrics}


def panels_of(columns: Columns, titles: Mapping[str, str], times: float = 1.0) -> dict[str, dict]:
    """What `mmel.figures.forest` draws: paired differences from the reference, and which side is better, if one is."""
    panels, better, certain = {}, {}, {}
    for metric, title in titles.items():
        apart = {row: cell for row, cell in columns[metric].items() if cell.versus is not None}
        panels[title] = {
            row: tuple(times * end for end in (cell.versus.low, cell.versus.mean, cell.versus.high))
            for row, cell in apart.items()
        }
        better[title] = SIDES[higher_is_better(metric)]
        certain[title] = [row for row, cell in apart.items() if cell.p is not None and cell.p < LEVEL]
    return {"panels": panels, "better": better, "certain": certain}


def notes_of(frame: pd.DataFrame, resamples: int) -> list[str]:
    """What stands below every table: how to read a cell, and the reason of each dash."""
    notes = [
        f"A cell: mean [95 % bootstrap interval over samples, {resamples:,} draws]. \\*: differs from `grad_eclip` on "
        f"the same samples, p < {LEVEL} after Holm's correction within the column. Bold: the best row, where the "
        f"interval of its difference from the next best leaves 0 out and p < {LEVEL}. Reported: from the paper, on "
        "other data and another model."
    ]
    failed = frame[frame.error != ""].groupby("row")["sample"].nunique()
    reasons = reasons_of(frame)
    return notes + [
        f"Failures of `{row}`, {failed[row]} samples: {why}" for row, why in reasons.items() if row not in NO_TEXT_MAP
    ]


def dashes_of(order: Sequence[str]) -> str:
    """Why the text cells of some rows are dashes, as one note."""
    reasons = {row: why_no_text(row, row_of(row).method) for row in order}
    return "\N{EN DASH}: " + "; ".join(f"`{row}`: {why}" for row, why in reasons.items() if why) + "."


def named_columns(columns: Columns, modality: str) -> dict[str, dict[str, dict[str, float | int]]]:
    """Cells as plain numbers, for `mmel.results.note` and for a file that a larger run leaves."""
    return {
        f"{modality} {metric}": {
            row: dict(zip(("mean", "low", "high", "count"), cell.interval, strict=True)) for row, cell in cells.items()
        }
        for metric, cells in columns.items()
    }


def theirs(reported: Mapping[tuple[str, str], Reported]) -> list[str]:
    """Our rows that stand beside the paper's other rows of this table, and the map that MMEL's gate multiplies."""
    names = dict.fromkeys(row for row, _ in reported if row != "MMEL")
    return [*(ours for name in names for ours in PAPER[name]), "grad_eclip_all"]


def difference_lines(
    gaps: Mapping[str, Mapping[str, Mapping[str, float]]], times: float = 1.0, digits: int = 3
) -> tuple[list[str], list[list[str]]]:
    """Head and lines of a table of `differences_of`; bold where MMEL's row is certainly better, italic where worse.

    Where neither more nor less is better, neither.
    """
    pairs = list(dict.fromkeys(pair for gap in gaps.values() for pair in gap))
    chances = {(name, pair): gap["p"] for name, each in gaps.items() for pair, gap in each.items()}
    corrected = holm(list(chances.values())) if chances else []
    sure = {key for key, p in zip(chances, corrected, strict=True) if p < LEVEL}
    lines = []
    for pair in pairs:
        cells = [
            _difference_text(name, each.get(pair), (name, pair) in sure, times, digits) for name, each in gaps.items()
        ]
        count = max(each[pair]["count"] for each in gaps.values() if pair in each)
        lines.append([f"`{pair.replace(' less ', '` less `')}`", str(count), *cells])
    one = len({name.split()[0] for name in gaps}) == 1  # a modality that is the same in all need not be said
    heads = [(name.split(" ", 1)[1] if one else name).replace("_", " ") for name in gaps]
    return ["rows", "samples", *heads], lines


def _difference_text(name: str, gap: Mapping[str, float] | None, sure: bool, times: float, digits: int) -> str:
    if gap is None:
        return "\N{EN DASH}"
    text = written(gap["mean"], gap["low"], gap["high"], times, digits)
    higher = higher_is_better(name.split(" ", 1)[1])
    if not sure or higher is None or gap["low"] <= 0 <= gap["high"]:
        return text
    won = (gap["mean"] > 0) == higher
    return f"**{text}**" if won else f"*{text}*"


def lines_of(
    columns: Columns,
    titles: Mapping[str, str],  # metric -> its name in the head of the table
    modality: str,
    *,
    reported: Mapping[tuple[str, str], Reported],
    names: Mapping[str, str],  # metric -> that of the paper's CSV
    stored: Mapping[str, dict | None],  # column title -> what `larger.read_stored` gave
    order: Sequence[str],
    times: float = 1.0,
    digits: int = 3,
) -> tuple[list[str], list[list[str]]]:
    """Head and lines of a table: for each metric what is reported, what this run measured, and each stored run."""
    head, lines = ["row", "paper's row", "samples"], []
    for title in titles.values():
        head += [f"{title}: reported", "this run", *stored]
    for row in order:
        printed = {metric: reported_for(row, names[metric], reported) for metric in titles}
        cells = [columns[metric][row] for metric in titles if row in columns[metric]]
        line = [
            f"`{row}`",
            paper_name(row) if any(printed.values()) else "",
            str(max((c.interval.count for c in cells), default=0)),
        ]
        for metric, there in printed.items():
            line += [str(there) if there else "", cell_text(columns[metric].get(row), times, digits)]
            line += [_stored(run, f"{modality} {metric}", row, times, digits) for run in stored.values()]
        lines.append(line)
    return head, lines


def paper_name(row: str) -> str:
    """The paper's name of the row that ours stands beside, if it has one."""
    return next((name for name, ours in PAPER.items() if row in ours), "")


def written(mean: float, low: float, high: float, times: float = 1.0, digits: int = 3) -> str:
    """A mean and its interval: 0.123 [0.101, 0.145], with a true minus."""
    text = f"{mean * times:.{digits}f} [{low * times:.{digits}f}, {high * times:.{digits}f}]"
    return text.replace("-", "\N{MINUS SIGN}")


def change(pair: tuple[Cell | None, Cell | None], times: float = 1.0, digits: int = 3) -> str:
    """The means of two cells, from one to the other."""
    means = ("\N{EN DASH}" if cell is None else f"{cell.interval.mean * times:.{digits}f}" for cell in pair)
    return " \N{RIGHTWARDS ARROW} ".join(means)


def cell_text(cell: Cell | None, times: float = 1.0, digits: int = 3) -> str:
    """A cell as the tables show it: mean and interval, bold if best, a star if it differs from the reference."""
    if cell is None:
        return "\N{EN DASH}"
    text = written(*cell.interval[:3], times, digits)
    text = f"**{text}**" if cell.best else text
    return text + (" \\*" if cell.p is not None and cell.p < LEVEL else "")


def _stored(run: dict | None, metric: str, row: str, times: float, digits: int) -> str:
    if run is None:
        return NOT_RUN
    there = run["columns"].get(metric, {}).get(row)
    return "\N{EN DASH}" if there is None else written(there["mean"], there["low"], there["high"], times, digits)
