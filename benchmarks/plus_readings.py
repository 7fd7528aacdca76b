"""The log of the readings of test scenes: a line before each reading, its outcome on that line once it is known.

`kind` is "test" (the splits `two_objects` and `crowded`) or "confirmation" (scenes that nothing has seen before). A
line without an outcome is a reading that broke off; it counts as one. A line with `backfilled` got its outcome later,
from the file and the commit that are named there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG = Path(__file__).parent / "plus_log.jsonl"
DECIDING = {"deletion_auc": -1, "insertion_auc": 1, "energy_pointing_game": 1}  # metric -> better side
WHAT = {"test": "test splits", "confirmation": "fresh scenes"}


def readings(path: Path = LOG) -> list[dict]:
    """Every reading, in order."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def begin(entry: dict, path: Path = LOG) -> None:
    """Write a reading down before it is made: one that breaks off counts."""
    with path.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def end(found: dict, path: Path = LOG) -> None:
    """Add its outcome to the last reading."""
    *before, last = readings(path)
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(each) + "\n" for each in [*before, last | {"outcome": found}]))
    temporary.replace(path)


def better(gap: Sequence[float], side: int) -> bool:
    """Whether a 95 % interval, [mean, low, high], lies on the better side of zero."""
    return min(side * gap[1], side * gap[2]) > 0


def outcome(test: Mapping) -> dict:
    """From model -> split -> differences of the chosen one: how many of how many comparisons are won, which are not."""
    rows = {
        f"{model}, {split}, {metric}": better(found["to_grad_eclip"]["chosen"][metric], side)
        for model, splits in test.items()
        for split, found in splits.items()
        for metric, side in DECIDING.items()
    }
    return {"won": sum(rows.values()), "of": len(rows), "missed": [name for name, won in rows.items() if not won]}


def beside_chefer(test: Mapping) -> str:
    """The chosen one against Chefer's method, which has no say: the same comparisons, counted in all three ways."""
    sides = {
        f"{model}, {split}, {metric}": [better(found["chosen_to_chefer"][metric], way * side) for way in (1, -1)]
        for model, splits in test.items()
        for split, found in splits.items()
        for metric, side in DECIDING.items()
    }
    up, down = (sum(each[way] for each in sides.values()) for way in (0, 1))
    worse = "; ".join(name for name, (_, lost) in sides.items() if lost)
    return (
        f"Against Chefer's method, beside the rule: better in {up}, worse in {down}, undecided in "
        f"{len(sides) - up - down} of {len(sides)}{'. Worse: ' + worse if worse else ''}."
    )


def refused(kind: str, weights: Mapping[str, str], again: str, path: Path = LOG) -> str:
    """Why a reading may not be made, or nothing. Fresh scenes belong to weights; the test splits stay the same."""
    before = [each for each in readings(path) if each["kind"] == kind]
    if kind == "confirmation":
        before = [each for each in before if each["weights"] == weights]
    if not before or again:
        return ""
    where = "on these weights " if kind == "confirmation" else ""
    return f"the {WHAT[kind]} were read {where}{len(before)} time(s) already ({path.name}): give --again REASON."


def told(entry: Mapping, weights: Mapping[str, str]) -> dict[str, str]:
    """A reading as a row of the chapter's table; `weights` are those that are shipped."""
    found = entry.get("outcome")
    hashes = ", ".join(value[:8] for value in entry["weights"].values())
    return {
        "date": entry["time"][:16].replace("T", " "),
        "read": f"{WHAT[entry['kind']]}, {entry['scenes']} each",
        "weights": f"{'shipped' if entry['weights'] == weights else 'earlier'} ({hashes})",
        "candidate": f"{entry['chosen']} (of {entry['candidates']})",
        "won": f"{found['won']} of {found['of']}" if found else f"broke off ({entry.get('broke_off', 'unfinished')})",
        "missed": "; ".join(found["missed"]) if found else "",
        "why again": entry["again"],
        "outcome entered": f"later, from {entry['backfilled']}" if "backfilled" in entry else "by the command",
    }


def verdict(log: Sequence[Mapping], weights: Mapping[str, str]) -> list[str]:
    """What the readings say, sentence by sentence: the first of the test splits, later ones, the first confirmation."""
    tests = [each for each in log if each["kind"] == "test"]
    if not tests:
        return ["The test splits have not been read yet."]
    lines = [f"First reading of the test splits: **{_count(tests[0])}**."]
    for number, each in enumerate(tests[1:], 2):
        same = "the same" if each["scenes_hash"] == tests[0]["scenes_hash"] else "other"
        weighed = "other" if each["weights"] != tests[0]["weights"] else "the same"
        of = "" if each["chosen"] == tests[0]["chosen"] else f", another candidate (*{each['chosen']}*)"
        found = _count(each, judged=False)
        lines.append(f"Reading {number}, {weighed} weights, {same} scenes{of}: {found}. The rule knows one reading.")
    own = [each for each in log if each["kind"] == "confirmation" and each["weights"] == weights]
    past = sum(each["kind"] == "confirmation" for each in log) - len(own)
    if past:
        lines.append(f"Confirmations of earlier weights, in the table above: {past}.")
    if not own:
        return [*lines, "The shipped weights have **not been confirmed** on fresh scenes."]
    again = f" It was read {len(own)} times; the first one counts." if len(own) > 1 else ""
    return [*lines, f"Confirmation of the shipped weights on fresh scenes: **{_count(own[0])}**.{again}"]


def _count(entry: Mapping, judged: bool = True) -> str:
    found = entry.get("outcome")
    if not found:
        return "broke off" + ", which is no win" * judged
    word = "a win" if found["won"] == found["of"] else "no win"
    return f"{found['won']} of {found['of']} comparisons" + f", {word} by the rule" * judged
