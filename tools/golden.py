"""Golden values of the chapters: what the notebooks note in their quick run, against tests/golden.yml.

    golden.py check     say what in runs/quick/results.json is not as tests/golden.yml has it, and fail
    golden.py update    take the values from there; names and tolerances stay as they are

A name is the way to a value, `05_grad_eclip / mass_removed_by_relu`, with ` / ` between its steps. Another value is one
more line of that file, with any number for `update` to replace, and a tolerance.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden.yml"
RESULTS = ROOT / "runs" / "quick" / "results.json"
STEP = " / "
LINE = re.compile(r'^("(?P<name>[^"]+)": \{value: ).*(, tolerance: [^}]+\})$')

Entries = Mapping[str, Mapping[str, object]]


def entries(*, chapters: bool) -> dict[str, dict[str, object]]:
    """Golden values by name: those of the chapters, or the others."""
    return {name: each for name, each in yaml.safe_load(GOLDEN.read_text()).items() if (STEP in name) == chapters}


def found(results: Mapping, name: str) -> object:
    """The value of that name; None where a step of its way is not there."""
    value: object = results
    for step in name.split(STEP):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def several(value: object) -> list[float]:
    """One number or several as a list, where all of them are numbers."""
    values = value if isinstance(value, list) else [value]
    return values if all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in values) else []


def close(entry: Mapping[str, object], value: object) -> bool:
    """Whether a value is the golden one within its tolerance, which is absolute."""
    wanted, got = several(entry["value"]), several(value)
    return len(wanted) == len(got) > 0 and all(
        math.isclose(one, other, rel_tol=0, abs_tol=entry["tolerance"]) for one, other in zip(wanted, got, strict=True)
    )


def faults(golden: Entries, results: Mapping) -> list[str]:
    """One sentence for each golden value that the results do not have."""
    said = {name: found(results, name) for name in golden}
    return [
        f"{name}: {each['value']} expected within {each['tolerance']}; got {said[name]}"
        for name, each in golden.items()
        if not close(each, said[name])
    ]


def written(value: float) -> str:
    """Six digits, without an exponent, which YAML would read as a text; whole numbers as they are."""
    return str(value) if isinstance(value, int) else f"{float(f'{value:.6g}'):.12f}".rstrip("0").rstrip(".")


def updated(text: str, results: Mapping) -> str:
    """The file with the chapters' values taken from the results."""
    lines = []
    for line in text.splitlines():
        named = LINE.match(line)
        if named and STEP in named["name"] and (values := several(found(results, named["name"]))):
            shown = ", ".join(map(written, values))
            shown = f"[{shown}]" if isinstance(found(results, named["name"]), list) else shown
            line = f"{named[1]}{shown}{named[3]}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    if arguments not in (["check"], ["update"]):
        print(__doc__)
        return 2
    if not RESULTS.exists():
        print("no quick run to compare with: make notebooks PROFILE=quick", file=sys.stderr)
        return 2
    results = json.loads(RESULTS.read_text())
    if arguments == ["update"]:
        GOLDEN.write_text(updated(GOLDEN.read_text(), results))
    wrong = faults(entries(chapters=True), results)
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
