"""Does a claim agree with the paper's own tables, arithmetic and other sentences? One small function for each check.

Each takes the tables first and then what the claim's `paper` block names. `agrees` is None where the paper prints
nothing to hold the claim against; `settles` is true where agreement needs no run (arithmetic, a mark in a table).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import MmelError
from . import arithmetic
from .tables import Tables, cell, columns, gain, named, rank


class Answer(NamedTuple):
    """What the paper itself says to a claim: does it agree, and what shows that."""

    agrees: bool | None
    shows: str
    settles: bool = False
    itself: bool = True  # a disagreement is the paper's with itself, not with a record outside it


def equals(tables: Tables, table: int | list[int], row: str, column: str, value: float) -> Answer:
    """The number in the sentence is the one in the table."""
    printed = [cell(rows, row) for rows in columns(tables, table, column).values()]
    return Answer(printed == [value], f"Table {named(table)} prints {', '.join(f'{each:g}' for each in printed)}")


def best(tables: Tables, table: int | list[int], row: str, column: str) -> Answer:
    """The row is the best one in all of these columns."""
    places = {name: rank(name, rows, row) for name, rows in columns(tables, table, column).items()}
    first = sum(place == 1 for place in places.values())
    others = "; ".join(f"{name}: place {place}" for name, place in places.items() if place > 1)
    return Answer(
        first == len(places), f"best in {first} of {len(places)} columns" + (f" ({others})" if others else "")
    )


def placed(tables: Tables, table: int | list[int], row: str, column: str, place: int) -> Answer:
    """The row's place in a column is the one that a mark (bold: 1, underlined: 2) or a sentence gives it."""
    places = [rank(name, rows, row) for name, rows in columns(tables, table, column).items()]
    shown = f"place {', '.join(map(str, places))} by the numbers"
    return Answer(places == [place] * len(places), shown, settles=True)


def better(tables: Tables, table: int | list[int], row: str, than: str | Sequence[str], column: str) -> Answer:
    """The row is better than each of the others in all of these columns."""
    others = [than] if isinstance(than, str) else than
    gains = [
        gain(name, cell(rows, row), cell(rows, other))
        for name, rows in columns(tables, table, column).items()
        for other in others
    ]
    won = sum(each > 0 for each in gains)
    return Answer(
        won == len(gains),
        f"better in {won} of {len(gains)} comparisons, from {min(gains):+.1f} % to {max(gains):+.1f} %",
    )


def gains(tables: Tables, cells: Sequence[Sequence[object]], row: str, than: Sequence[str], percent: float) -> Answer:
    """Over these [table, column words] the row gains at least so many per cent on average; the largest is shown."""
    found = [
        gain(name, cell(rows, row), cell(rows, other))
        for table, words in cells
        for name, rows in columns(tables, table, words).items()
        for other in than
    ]
    mean = sum(found) / len(found)
    return Answer(
        mean >= percent, f"mean gain {mean:+.1f} %, largest of any cell {max(found):+.1f} %, claimed {percent:g} %"
    )


def has(tables: Tables, table: int | list[int], rows: Sequence[str]) -> Answer:
    """The table has these rows."""
    there = {row for column in columns(tables, table, "").values() for row in column}
    missing = [row for row in rows if row not in there | {name.rstrip("0123456789") for name in there}]
    shown = f"no row {', '.join(missing)} in Table {named(table)}" if missing else f"Table {named(table)} has them"
    return Answer(not missing, shown)


def near(tables: Tables, table: int | list[int], row: str, to: str, column: str, points: float) -> Answer:
    """Two rows are no more than so many points apart."""
    apart = [round(cell(rows, row) - cell(rows, to), 9) for rows in columns(tables, table, column).values()]
    shown = ", ".join(f"{each:+.4g}" for each in apart)
    return Answer(all(abs(each) <= points for each in apart), f"{shown} points from {to}")


def against(tables: Tables, quote: str, place: str) -> Answer:
    """Another sentence of the paper says otherwise."""
    return Answer(False, f"{place}: “{quote}”")


def measures(tables: Tables, table: int, column: str) -> Answer:
    """The table has a column of this kind."""
    there = any(set(column.split()) <= set(name.replace("_", " ").split()) for name in tables[table])
    return Answer(there, f"Table {table} has {'a' if there else 'no'} column of {column}")


def record(tables: Tables, printed: str, correct: str, source: str) -> Answer:
    """What is printed about others' work is what the record says."""
    return Answer(printed == correct, f"{source}: {correct}", settles=True, itself=False)


def nothing(tables: Tables, lacks: str) -> Answer:
    """The paper prints nothing that the claim could be held against."""
    return Answer(None, f"the paper gives no {lacks}")


def computed(tables: Tables, name: str, **numbers: object) -> Answer:
    """Arithmetic on the paper's own numbers, by a function of `arithmetic`."""
    if name not in arithmetic.FUNCTIONS:
        raise MmelError(f"the computation is one of {', '.join(arithmetic.FUNCTIONS)}; got {name!r}.")
    holds, shows = arithmetic.FUNCTIONS[name](**numbers)
    return Answer(holds, shows, settles=name != "setting", itself=name != "official")  # our own setting proves nothing


CHECKS: dict[str, Callable[..., Answer]] = {
    "equals": equals, "best": best, "placed": placed, "better": better, "gains": gains, "has": has, "near": near,
    "measures": measures, "record": record, "against": against, "nothing": nothing, "computed": computed,
}  # fmt: skip
