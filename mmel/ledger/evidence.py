"""What was measured: a value of `results.json` by notebook and name, and the comparison that decides a claim.

The comparisons are a closed list; a claim can name one and its bound, and nothing else is evaluated.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import MmelError

Results = Mapping[str, Mapping[str, object]]
COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "above": lambda value, bound: number(value) > bound,
    "below": lambda value, bound: number(value) < bound,
    "at_least": lambda value, bound: number(value) >= bound,
    "at_most": lambda value, bound: number(value) <= bound,
    "is": lambda value, bound: value == bound,
    "all_above": lambda value, bound: all(number(each) > bound for each in every(value)),
    "all_below": lambda value, bound: all(number(each) < bound for each in every(value)),
    "interval_above": lambda value, bound: interval(value)[0] > bound,
    "interval_below": lambda value, bound: interval(value)[1] < bound,
}
KEYS = {"notebook", "value", "field", "says", "minus", *COMPARISONS}


class NotNoted(MmelError):
    """A notebook has run and has no value of the name that a claim is wired to."""


class Measured(NamedTuple):
    """A value that a claim is held against, as text, and whether the claim holds; both None where nothing ran."""

    value: object | None = None
    holds: bool | None = None

    @property
    def shown(self) -> str:
        return "" if self.value is None else text(self.value)


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
    """The value that a claim's `measured` block names, and whether the claim holds for it."""
    if unknown := set(wanted) - KEYS:
        raise MmelError(f"a measured block knows {', '.join(sorted(KEYS))}; got {', '.join(sorted(unknown))}.")
    tests = [name for name in COMPARISONS if name in wanted]
    if len(tests) != 1:
        raise MmelError(f"a measured block has one comparison of {', '.join(COMPARISONS)}; got {wanted}.")
    value = found(wanted, wanted.get("field", ()), results)
    if value is None:
        return Measured()
    if "minus" in wanted:
        other = found(wanted, wanted["minus"], results)
        if other is None:
            return Measured()
        value = number(value) - number(other)
    return Measured(value, bool(COMPARISONS[tests[0]](value, wanted[tests[0]])))


def found(wanted: Mapping[str, object], path: object, results: Results) -> object | None:
    """One value by notebook, name and the path inside it; None where the notebook has not run."""
    notebook = results.get(str(wanted["notebook"]))
    if notebook is None:
        return None
    if wanted["value"] not in notebook:
        raise NotNoted(
            f"notebook {wanted['notebook']} notes no {wanted['value']!r}, but: {', '.join(sorted(notebook))}."
        )
    value = notebook[str(wanted["value"])]
    for step in [path] if isinstance(path, (str, int)) else path:
        if isinstance(value, Mapping):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            value = None
        if value is None:
            raise NotNoted(f"{wanted['value']!r} of notebook {wanted['notebook']} has no {step!r} in it.")
    return value


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise MmelError(f"a number was expected for this comparison; got {value!r}: name the field that holds it.")
    return float(value)


def every(value: object) -> list[object]:
    """All entries of a list or mapping."""
    return list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, list) else [value]


def interval(value: object) -> tuple[float, float]:
    """Low and high end: of {"low", "high"}, of [low, high], or of [mean, low, high, ...]."""
    if isinstance(value, Mapping) and {"low", "high"} <= set(value):
        return number(value["low"]), number(value["high"])
    if isinstance(value, list) and len(value) >= 2:
        low, high = value[:2] if len(value) == 2 else value[1:3]
        return number(low), number(high)
    raise MmelError(f"an interval was expected, as [mean, low, high] or low and high; got {value!r}.")


def text(value: object) -> str:
    """A value to read, four digits of each float; a list that begins with a mean and its ends as an interval."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text(item)}" for key, item in value.items())
    if isinstance(value, list):
        numbers = len(value) >= 3 and all(isinstance(each, (int, float)) for each in value)
        if numbers and value[1] <= value[0] <= value[2]:
            mean, low, high = map(text, value[:3])
            return f"{mean} [{low}, {high}]"
        return "[" + ", ".join(map(text, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
