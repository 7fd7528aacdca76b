"""What was measured: a value of `results.json` by notebook and name, and the comparison that decides a claim.

The comparisons are a closed list; a claim can name one and its bound, and nothing else is evaluated. A mean over
samples is judged by its interval, and where the interval holds the bound it decides nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import NamedTuple

from ..errors import MmelError
from ..stats import LEVEL, holm

Results = Mapping[str, Mapping[str, object]]
EXACT: dict[str, Callable[[object, object], bool]] = {  # of what is counted or computed, never of a mean over samples
    "above": lambda value, bound: number(value) > bound,
    "below": lambda value, bound: number(value) < bound,
    "at_least": lambda value, bound: number(value) >= bound,
    "at_most": lambda value, bound: number(value) <= bound,
    "is": lambda value, bound: value == bound,
}
INTERVALS = ("interval_above", "interval_below")
COMPARISONS = (*EXACT, *INTERVALS)
KEYS = {"notebook", "value", "field", "exact", *COMPARISONS}
LEAST = 6  # samples: with fewer no flips of signs give p below 0.05


class NotNoted(MmelError):
    """A notebook has run and noted no value, or none with an interval, where a claim is wired to one."""


class Measured(NamedTuple):
    """What a claim is held against. `holds` is None where it decides nothing, `shown` empty where nothing ran."""

    holds: bool | None = None
    shown: str = ""

    @property
    def undecided(self) -> bool:
        return bool(self.shown) and self.holds is None


def read_results(path: str | os.PathLike) -> dict[str, dict[str, object]]:
    """`results.json` of a profile; nothing where it was never run."""
    path = Path(path)
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MmelError(f"{path} is no JSON ({error}): run the profile again.") from error


def measure(wanted: Mapping[str, object], results: Results) -> Measured:
    """What a claim's `measured` block names, and whether the claim holds for it."""
    if unknown := set(wanted) - KEYS:
        raise MmelError(f"a measured block knows {', '.join(sorted(KEYS))}; got {', '.join(sorted(unknown))}.")
    tests = [name for name in COMPARISONS if name in wanted]
    if len(tests) != 1:
        raise MmelError(f"a measured block has one comparison of {', '.join(COMPARISONS)}; got {wanted}.")
    test, bound = tests[0], wanted[tests[0]]
    if (test in EXACT) != ("exact" in wanted):
        raise MmelError(
            f"{test}: a mean over samples is compared by interval_above or interval_below; what is counted or computed "
            "by the others, and `exact` says what it is."
        )
    if str(wanted["notebook"]) not in results:
        return Measured()
    values = found(wanted, results)
    if test in INTERVALS:
        return judged(values, test == "interval_above", bound)
    if len(values) > 1:
        raise MmelError(f"{test} compares one value; {len(values)} came.")
    return Measured(bool(EXACT[test](values[0], bound)), f"{text(values[0])}, {wanted['exact']}")


def judged(values: Sequence[object], above: bool, bound: float) -> Measured:
    """Intervals against a bound: the claim holds where all lie on its side, fails where one lies on the other side."""
    sides, chances = [side(value, above, bound) for value in values], [p_of(value, bound) for value in values]
    if len(values) == 1:
        why = doubt(values[0], sides[0], chances[0], bound)
        return Measured(None if why else sides[0], text(values[0]) + why)
    if None in chances:
        raise MmelError(
            "several intervals are judged together by Holm's correction: note each with its p value; that of a mean is "
            f"of the bound 0, and the bound is {bound:g}."
        )
    sides = [each if p < LEVEL else None for each, p in zip(sides, holm(chances), strict=True)]
    won, lost = sides.count(True), sides.count(False)
    shown = f"of {len(sides)} differences {won} as claimed, {lost} the other way, {len(sides) - won - lost} undecided"
    return Measured(False if lost else True if won == len(sides) else None, f"{shown} (after Holm's correction)")


def doubt(value: object, on: bool | None, p: float | None, bound: float) -> str:
    """Why one interval decides nothing; empty where it decides."""
    if isinstance(value, Mapping) and value.get("count", LEAST) < LEAST:
        return ": too few"
    if on is None and any(map(isnan, interval(value))):
        return ": the interval has an end that is no number"
    if on is None:
        return f": the interval holds {bound:g}"
    return f": p is not below {LEVEL:g}" if p is not None and not p < LEVEL else ""


def side(value: object, above: bool, bound: float) -> bool | None:
    """Does the interval lie on the claimed side of the bound, on the other one, or (None) on both?"""
    low, high = interval(value)
    if low > bound or high < bound:
        return (low > bound) == above
    return None


def p_of(value: object, bound: float) -> float | None:
    """The p value noted with an interval; that of a mean is of "no difference", and says nothing of another bound."""
    if not isinstance(value, Mapping) or "p" not in value or ("mean" in value and bound != 0):
        return None
    return number(value["p"])


def found(wanted: Mapping[str, object], results: Results) -> list[object]:
    """The values by notebook, name and the path inside. A step that is a list takes each of them, "*" all there are."""
    notebook = results[str(wanted["notebook"])]
    if wanted["value"] not in notebook:
        raise NotNoted(
            f"notebook {wanted['notebook']} notes no {wanted['value']!r}, but: {', '.join(sorted(notebook))}."
        )
    field = wanted.get("field", ())
    values = [notebook[str(wanted["value"])]]
    for step in [field] if isinstance(field, (str, int)) else field:
        values = [inner for value in values for inner in inside(value, step, wanted)]
    return values


def inside(value: object, step: object, wanted: Mapping[str, object]) -> list[object]:
    """One step into a value."""
    if step == "*" and isinstance(value, Mapping):
        return list(value.values())
    if isinstance(step, list):
        return [inner for each in step for inner in inside(value, each, wanted)]
    if isinstance(value, Mapping) and str(step) in value:
        return [value[str(step)]]
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return [value[step]]
    raise NotNoted(f"{wanted['value']!r} of notebook {wanted['notebook']} has no {step!r} in it.")


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise MmelError(f"a number was expected for this comparison; got {value!r}: name the field that holds it.")
    return float(value)


def interval(value: object) -> tuple[float, float]:
    """Low and high end: of {"low", "high"}, of [low, high], or of [mean, low, high, ...]."""
    if isinstance(value, Mapping) and {"low", "high"} <= set(value):
        return number(value["low"]), number(value["high"])
    if isinstance(value, list) and len(value) >= 2:
        low, high = value[:2] if len(value) == 2 else value[1:3]
        return number(low), number(high)
    raise NotNoted(f"an interval was expected, as [mean, low, high] or low and high; got {value!r}.")


def text(value: object) -> str:
    """A value to read, four digits of each float; a mean and the ends of its interval as such."""
    if isinstance(value, Mapping) and {"mean", "low", "high"} <= set(value):
        samples = f" of {value['count']} samples" if "count" in value else ""
        return text([value["mean"], value["low"], value["high"]]) + samples
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text(item)}" for key, item in value.items())
    if isinstance(value, list):
        numbers = len(value) >= 3 and all(isinstance(each, (int, float)) for each in value)
        if numbers and value[1] <= value[0] <= value[2]:
            mean, low, high = map(text, value[:3])
            return f"{mean} [{low}, {high}]"
        return "[" + ", ".join(map(text, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
