"""The paired differences that answer a research question, judged together.

What is compared stands in book/effects.yml, what came out in results.json, what the paper prints in paper_tables.csv.
Each effect is one difference over the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mmel.errors import MmelError
from mmel.evaluation.beside import paper_name
from mmel.evaluation.cells import higher_is_better
from mmel.ledger import Tables, read_results, read_tables
from mmel.ledger.evidence import LEAST, side
from mmel.stats import LEVEL, holm

READINGS = {"mmel_literal": "as printed", "mmel_working": "WORKING"}
SAME, OFFICIAL = "grad_eclip_all", "grad_eclip_one_head"
BETTER, WORSE, ALIKE, OPEN, FEW, LATER = "better", "worse", "the same", "undecided", "too few", "not run yet"


@dataclass(frozen=True)
class Effect:
    """One difference: MMEL in a reading less another row, in one measure."""

    reading: str
    other: str
    gap: Mapping[str, float]  # mean, low, high, p, count; empty where nothing has run
    p: float | None  # after Holm's correction over its family: the same blocks, or the other rows
    says: str
    reported: float | None  # the paper's own difference

    @property
    def same(self) -> bool:
        return self.other == SAME


@dataclass(frozen=True)
class Group:
    """One measure, by the chapter and cell that measured it."""

    title: str
    digits: int  # behind the point
    higher: bool
    page: str
    effects: tuple[Effect, ...]


def groups_of(root: Path, profile: str, question: str) -> list[Group]:
    """Every effect of a question, each judged with its family."""
    wanted = yaml.safe_load((root / "book" / "effects.yml").read_text(encoding="utf-8"))[question]
    results = read_results(root / "runs" / profile / "results.json")
    tables = read_tables(root / "book" / "paper_tables.csv")
    found = [(each, list(differences(each, results))) for each in wanted]
    chances: dict[int, float] = {}
    for same in (True, False):  # the two statements of the sentence above the table, each corrected by itself
        family = [gap for _, gaps in found for (_, other), gap in gaps if (other == SAME) == same]
        enough = [gap for gap in family if gap.get("count", 0) >= LEAST]
        corrected = holm([gap["p"] for gap in enough]) if enough else []
        chances |= {id(gap): float(p) for gap, p in zip(enough, corrected, strict=True)}
    return [group(each, gaps, chances, tables) for each, gaps in found]


def differences(wanted: Mapping, results: Mapping) -> Iterator[tuple[tuple[str, str], dict]]:
    """(reading, other) -> the difference in the units that are shown; empty where a run has not noted it."""
    times = wanted.get("times", 1)
    for pair in wanted["pairs"]:
        reading, other = pair.split(" less ")
        for name, path in wanted["values"].items():
            gap = results.get(wanted["chapter"], {}).get(name, {})
            for step in [*path, pair]:
                gap = gap.get(step, {}) if isinstance(gap, Mapping) else {}
            if gap:
                break
        yield (reading, other), {k: v * (times if k in ("mean", "low", "high") else 1) for k, v in gap.items()}


def group(wanted: Mapping, gaps: Sequence, chances: Mapping[int, float], tables: Tables) -> Group:
    higher = higher_is_better(wanted["measure"])
    if higher is None:
        raise MmelError(f"effects.yml: of {wanted['measure']!r} neither more nor less is better.")
    effects = [
        Effect(reading, other, gap, chances.get(id(gap)), says(gap, chances.get(id(gap)), higher),
               printed(tables, wanted.get("paper"), other))
        for (reading, other), gap in gaps
    ]  # fmt: skip
    return Group(wanted["title"], wanted.get("digits", 4), higher, wanted["chapter"], tuple(effects))


def says(gap: Mapping[str, float], p: float | None, higher: bool) -> str:
    """What a difference says: decided only where its interval leaves 0 out and its corrected p is below the level.

    The same: no sample has a difference at all.
    """
    if not gap:
        return LATER
    if p is None:
        return FEW
    if gap["low"] == gap["mean"] == gap["high"] == 0:
        return ALIKE
    good = side(gap, higher, 0)
    if good is None or not p < LEVEL:
        return OPEN
    return BETTER if good else WORSE


def printed(tables: Tables, column: Sequence | None, other: str) -> float | None:
    """The paper's MMEL less the row of the paper that `other` stands beside."""
    values = tables[column[0]][column[1]] if column else {}
    row = paper_name(other)
    return values["MMEL"] - values[row] if row in values else None
