"""From the parts of a run to `results.json`: one column of the table at a time, values only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa

from .cells import REFERENCE, Cell, cells_of, higher_is_better
from .depends import reducers
from .measuring import UNDEFINED
from .parts import Folder

SHOWN = 5  # samples named with a failure
NAMES = ("modality", "metric")


@dataclass
class Trouble:
    """One reason why a row has no number for some samples."""

    row: str
    reason: str
    kind: str
    count: int = 0
    samples: list[str] = field(default_factory=list)

    def add(self, sample: str) -> None:
        self.count += 1
        self.samples += [sample] * (len(self.samples) < SHOWN)


def results_text(folder: Folder, header: Mapping[str, object], resamples: int) -> str:
    """`results.json` of a complete run: equal bytes for equal parts, however they were cut and in whichever order."""
    failures, dashes, failed = troubles_of(folder)
    whole = {
        "header": header,
        "reference": REFERENCE,
        "resamples": resamples,
        "reducers": reducers(),
        **({"prepared": said} if (said := folder.prepared()) else {}),
        "columns": [
            dict(zip(NAMES, name, strict=True)) | _column(folder, name, header, failed, resamples)
            for name in columns_of(folder)
        ],
        "failures": [_plain(each) for each in failures],
        "failed": {row: int(count) for row, count in failed.groupby("row")["sample"].nunique().items()},
        "dashes": [_plain(each) for each in dashes],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def columns_of(folder: Folder) -> list[tuple[str, str]]:
    """Modality and metric of each column, in the order in which the protocol measures them."""
    found = {}
    for table in folder.tables([*NAMES, "index"], [("kind", "==", ""), ("modality", "!=", "")]):
        found |= dict.fromkeys(zip(*(table[name].to_pylist() for name in NAMES), strict=True))
    return list(found)


def troubles_of(folder: Folder) -> tuple[list[Trouble], list[Trouble], pd.DataFrame]:
    """Failures and dashes by row and reason; and each failure's row and sample, as `cells_of` counts them."""
    found, lines = {}, []
    for line in _lines(folder, ["index", "sample", "row", "error", "kind"], [("kind", "!=", "")]):
        key = (line["row"], line["error"])
        found.setdefault(key, Trouble(*key, line["kind"])).add(line["sample"])
        if line["kind"] not in UNDEFINED:
            lines.append({"sample": line["index"], "row": line["row"], "error": line["error"]})
    dashes = [each for each in found.values() if each.kind in UNDEFINED]
    failures = [each for each in found.values() if each.kind not in UNDEFINED]
    return failures, dashes, pd.DataFrame(lines, columns=["sample", "row", "error"])


def _column(folder: Folder, name: tuple[str, str], header: Mapping, failed: pd.DataFrame, resamples: int) -> dict:
    """The cells of one column, rows in the order of the header."""
    modality, metric = name
    filters = [("modality", "==", modality), ("metric", "==", metric), ("kind", "==", "")]
    curves: dict[str, Curve] = {}
    parts = []
    for table in folder.tables(["index", "row", "value", "steps"], filters):
        for row, steps in zip(table["row"].to_pylist(), table["steps"].to_pylist(), strict=True):
            curves.setdefault(row, Curve()).add(steps)
        parts.append(table.select(["index", "row", "value"]))
    frame = pa.concat_tables(parts).rename_columns(["sample", "row", "value"]).to_pandas()
    whole = pd.concat([frame.assign(modality=modality, metric=metric, error=""), failed.assign(modality="", metric="")])
    cells = cells_of(whole, modality, metric, resamples=resamples)
    order = [row["name"] for row in header["rows"] if row["name"] in cells]
    rows = {row: _cell(cells[row]) | {"steps": curves[row].mean()} for row in order}
    return {"higher_is_better": higher_is_better(metric), "rows": rows}


class Curve:
    """The mean of curves, point by point, without keeping any of them."""

    def __init__(self) -> None:
        self.total, self.count = np.zeros(0), np.zeros(0)

    def add(self, steps: list[float]) -> None:
        if (more := len(steps) - len(self.total)) > 0:
            self.total, self.count = (np.pad(each, (0, more)) for each in (self.total, self.count))
        self.total[: len(steps)] += steps
        self.count[: len(steps)] += 1

    def mean(self) -> list[float]:
        return (self.total / np.maximum(self.count, 1)).tolist()


def _cell(cell: Cell) -> dict:
    return {
        **cell.interval._asdict(),
        "failures": cell.failures,
        "versus": None if cell.versus is None else cell.versus._asdict(),
        "p_holm": None if cell.p is None else float(cell.p),
        "best": bool(cell.best),
    }


def _plain(trouble: Trouble) -> dict:
    return {"row": trouble.row, "reason": trouble.reason, "count": trouble.count, "samples": trouble.samples}


def _lines(folder: Folder, columns: list[str], filters: list) -> Iterator[dict]:
    for table in folder.tables(columns, filters):
        yield from table.to_pylist()
