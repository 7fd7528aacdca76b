"""The tables of a run, from its `results.json`: cells with intervals beside what the paper reports, and their notes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ..errors import EvaluationError
from ..stats import LEVEL
from .beside import paper_name, written
from .paper import Reported, read_reported, reported_for
from .parts import Folder
from .rows import why_no_text

DASH = "\N{EN DASH}"
ARROWS = {True: " \N{UPWARDS ARROW}", False: " \N{DOWNWARDS ARROW}", None: ""}
WIDE = 4  # columns of numbers in one table
HUNDRED = ("table1",)  # shown times 100, as the paper prints them


class Entry(NamedTuple):
    """One field of a table."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Block:
    """One table: `lines` are as long as `head`, and the first `words` columns are no numbers."""

    title: str
    head: list[str]
    lines: list[list[Entry]]
    words: int = 1


@dataclass(frozen=True)
class Report:
    """Everything that is shown of a run."""

    title: str
    blocks: list[Block]
    notes: list[str]
    failures: list[str]


def read_results(folder: str | os.PathLike) -> dict:
    """The results of a complete run. Raises `EvaluationError` where there is none, or samples are missing."""
    there = Folder(folder)
    header, text = there.header(), there.read("results.json")
    if text is not None:
        try:
            return json.loads(text)
        except ValueError as error:
            raise EvaluationError(
                f"{there.path / 'results.json'} is damaged: delete it, and evaluate again."
            ) from error
    if header is None:
        raise EvaluationError(f"{str(there.path)!r} holds no run: `mmel evaluate --out {there.path}` makes one.")
    total, done = header["dataset"]["samples"], len(there.covered())
    raise EvaluationError(
        f"{str(there.path)!r} has {done} of {total} samples: give its `mmel evaluate` command again to finish it."
    )


def reported_of(results: Mapping, path: str | os.PathLike | None) -> dict[tuple[str, str], Reported]:
    """What the paper prints in the table of this protocol, from a CSV; nothing for a protocol without one."""
    name = results["header"]["protocol"]["name"]
    if path is None or not (name.startswith("table") and name[5:].isdigit()):
        return {}
    return read_reported(Path(path), int(name[5:]))


def report_of(results: Mapping, reported: Mapping[tuple[str, str], Reported] | None = None, wide: int = WIDE) -> Report:
    """The tables and notes of a run's results; `wide`: how many columns of numbers one table has."""
    header, blocks = results["header"], []
    for modality, group in groupby(results["columns"], key=lambda column: column["modality"]):
        columns = list(group)
        for start in range(0, len(columns), wide):
            blocks.append(_block(results, modality, columns[start : start + wide], reported or {}))
    data, model = header["dataset"], header["model"]
    title = f"{header['protocol']['name']}: {model['name']} on {data['name']}, {data['samples']:,} samples"
    return Report(title, blocks, notes_of(results, bool(reported)), failures_of(results))


def paper_cell(row: str, column: Mapping, reported: Mapping[tuple[str, str], Reported]) -> Reported | None:
    """The paper's number for a row and column: its Table 1 names the modality, its Table 3 no rank."""
    metric = column["metric"]
    names = [f"{column['modality']} {metric}", metric, *([metric.rsplit(" ", 1)[0]] if " @" in metric else [])]
    return next((found for name in names if (found := reported_for(row, name, reported))), None)


def scale_of(results: Mapping) -> int:
    """By what values are multiplied when they are shown."""
    return 100 if results["header"]["protocol"]["name"] in HUNDRED else 1


def why_dash(row: Mapping, modality: str, results: Mapping) -> str:
    """Why a row has no number in a modality: the method has no such map, or all of its samples failed."""
    if modality == "text" and (why := why_no_text(row["name"], row["method"])):
        return why
    for each in [*results["dashes"], *results["failures"]]:
        if each["row"] == row["name"]:
            return each["reason"]
    return "fewer than two samples have a number, which gives no interval"


def notes_of(results: Mapping, reported: bool) -> list[str]:
    """How to read a cell, and why some are dashes."""
    header, reference = results["header"], results["reference"]
    times = " All numbers times 100." if scale_of(results) == 100 else ""
    notes = [f"A cell: mean [95 % bootstrap interval over samples, {results['resamples']:,} draws].{times}"]
    if reference in (row["name"] for row in header["rows"]):
        notes.append(
            f"*: differs from {reference} on the same samples, p < {LEVEL} after Holm's correction within the column."
        )
    ways = {column["higher_is_better"] for column in results["columns"]}
    if ways != {None}:
        notes.append("Bold: the best row, where the interval of its difference from the next best leaves 0 out.")
    if None in ways:
        notes.append("A column without an arrow ranks nothing: neither more nor less of it is better.")
    notes += results.get("prepared", {}).get("notes", [])
    if reported:
        notes.append("Reported: as the paper prints it, for other data and another model.")
    for modality in dict.fromkeys(column["modality"] for column in results["columns"]):
        there = {row for column in results["columns"] if column["modality"] == modality for row in column["rows"]}
        notes += [
            f"{DASH} {row['name']}, {modality}: {why_dash(row, modality, results)}."
            for row in header["rows"]
            if row["name"] not in there
        ]
    if not results["columns"]:
        notes += [f"{DASH} {row['name']}: {why_dash(row, '', results)}." for row in header["rows"]]
    return notes


def reason_of(row: Mapping, modality: str, cell: Mapping | None, results: Mapping) -> str:
    """Why a row has no number in a column, or fewer than there are samples; an empty text where it has all."""
    if cell is None:
        return why_dash(row, modality, results)
    return next((each["reason"] for each in results["failures"] if each["row"] == row["name"]), "")


def failed_of(row: str, results: Mapping) -> int:
    """On how many samples a row failed, whether it has numbers of others or not."""
    return results.get("failed", {}).get(row, 0)


def failures_of(results: Mapping) -> list[str]:
    """One line for each reason and the samples that it befell, with the rows that had it."""
    told: dict[tuple, list[str]] = {}
    for each in results["failures"]:
        told.setdefault((each["count"], tuple(each["samples"]), each["reason"]), []).append(each["row"])
    every, lines = [row["name"] for row in results["header"]["rows"]], []
    for (count, samples, reason), rows in told.items():
        names = "every row" if rows == every and len(rows) > 1 else ", ".join(rows)
        lines.append(f"failed, {names}: {count} ({', '.join(samples)}{', ...' * (count > len(samples))}): {reason}")
    return lines


def _block(results: Mapping, modality: str, columns: Sequence[Mapping], reported: Mapping) -> Block:
    rows, times = [row["name"] for row in results["header"]["rows"]], scale_of(results)
    shown = {column["metric"]: any(paper_cell(row, column, reported) for row in rows) for column in columns}
    names = ["row", *["paper's row"] * any(shown.values())]
    head, lines = [*names, "samples", "failed"], []
    for column in columns:
        title = f"{column['metric']}{ARROWS[column['higher_is_better']]}"
        head += [f"{title} reported"] * shown[column["metric"]] + [title]
    for row in rows:
        count = max((column["rows"][row]["count"] for column in columns if row in column["rows"]), default=0)
        line = [row, paper_name(row)][: len(names)]
        line = [Entry(text) for text in [*line, str(count), str(failed_of(row, results))]]
        for column in columns:
            if shown[column["metric"]]:
                line.append(Entry(str(paper_cell(row, column, reported) or "")))
            line.append(_entry(column["rows"].get(row), times))
        lines.append(line)
    return Block(modality, head, lines, len(names))


def _entry(cell: Mapping | None, times: int) -> Entry:
    if cell is None:
        return Entry(DASH)
    text = written(cell["mean"], cell["low"], cell["high"], times, 2 if times == 100 else 3)
    star = " *" if cell["p_holm"] is not None and cell["p_holm"] < LEVEL else ""
    return Entry(text + star, cell["best"])
