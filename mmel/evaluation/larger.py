"""Runs of hours (profiles `full` and `paper`): where they keep their parts, and what they leave for the book to show.

A table that they leave is two files in `benchmarks/<profile>/`: its values, and their provenance (machine, time,
seconds of each row), which is never compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import MmelError
from .parts import Folder

PROFILES = ("full", "paper")
PRIVATE = ("host",)  # of a machine's provenance: nobody's business in a repository


def kept(profile: str, name: str) -> Path | None:
    """The folder `out` of an evaluation in a notebook, so that a killed run goes on; None in profiles of minutes."""
    return Path("..", "runs", profile, "evaluations", name) if profile in PROFILES else None


def read_stored(path: str | os.PathLike) -> dict | None:
    """What a larger run left ({"run": words, "columns": ...}), or None where it has not been run yet."""
    path = Path(path)
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {"run": str(stored["run"]), "columns": dict(stored["columns"])}
    except (ValueError, KeyError, TypeError) as error:
        raise MmelError(
            f"{path} should hold a run and its columns ({error!r}): run the notebook of it again."
        ) from error


def write_stored(
    path: str | os.PathLike, run: str, columns: Mapping[str, object], parts: str | os.PathLike | None = None
) -> None:
    """Leave `named_columns` of a larger run beside the book, whole or not at all.

    `run` says in words what was run on what; from `parts`, the folder of its evaluation, comes the provenance.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside, values = Folder(path.parent), {"run": run, "columns": columns}
    beside.write(path.name, json.dumps(values, indent=1) + "\n")
    if parts is not None and (text := Folder(parts).read("provenance.json")) is not None:
        origin = json.loads(text)
        origin["calls"] = [{k: v for k, v in call.items() if k not in PRIVATE} for call in origin["calls"]]
        beside.write(f"{path.stem}_provenance.json", json.dumps(origin, indent=1) + "\n")


class Held(NamedTuple):
    """How the cells of a run of minutes lie to those of a larger run of the same table."""

    inside: int  # cells whose mean lies within the larger run's interval
    meet: int  # cells whose interval meets the larger run's: fewer samples have wider ones
    total: int  # cells that both have
    apart: tuple[tuple[str, str], ...]  # column and row of those that do not meet


def held(own: Mapping[str, Mapping], larger: Mapping[str, Mapping]) -> Held:
    """Compare two tables as `named_columns` writes them: column -> row -> mean, low, high, count."""
    inside, apart, pairs = 0, [], list(_shared(own, larger))
    for column, row, here, there in pairs:
        inside += there["low"] <= here["mean"] <= there["high"]
        if here["high"] < there["low"] or there["high"] < here["low"]:
            apart.append((column, row))
    return Held(inside, len(pairs) - len(apart), len(pairs), tuple(apart))


def _shared(own: Mapping[str, Mapping], larger: Mapping[str, Mapping]) -> Iterator[tuple[str, str, Mapping, Mapping]]:
    for column in sorted(own.keys() & larger.keys()):
        for row in sorted(own[column].keys() & larger[column].keys()):
            yield column, row, own[column][row], larger[column][row]
