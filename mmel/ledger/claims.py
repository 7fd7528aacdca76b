"""The claims, from `book/claims.yml`: each a quotation, its place, a check on paper, a measured value, a verdict."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from ..errors import MmelError

REPRODUCED, CONTRADICTED = "reproduced", "contradicted"
BY_ITSELF, OPEN, NOT_RUN = "contradicted by the paper itself", "not decidable from the paper", "not run yet"
VERDICTS = (REPRODUCED, CONTRADICTED, BY_ITSELF, OPEN, NOT_RUN)
QUESTIONS = ("RQ1", "RQ2", "RQ3")
LONGEST = 320  # characters of a quotation: a sentence


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper. `paper` names a check of `CHECKS`, `measured` a value of `results.json`."""

    id: str
    quote: str
    place: str
    verdict: str
    note: str = ""
    answers: tuple[str, ...] = ()  # research questions
    contradiction: int | None = None
    paper: Mapping[str, object] = field(default_factory=dict)
    measured: Mapping[str, object] = field(default_factory=dict)


def read_claims(path: str | os.PathLike) -> list[Claim]:
    """Every claim in the order of the file; a claim that cannot be judged is an error that names it."""
    try:
        lines = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise MmelError(f"the claims, as YAML, were expected at {path}: {error}.") from error
    chapters = lines["chapters"]
    claims = [checked(wired(line, chapters)) for line in lines["claims"]]
    twice = {claim.id for claim in claims if sum(other.id == claim.id for other in claims) > 1}
    if twice:
        raise MmelError(f"claims of the same id: {', '.join(sorted(twice))}. Give each its own.")
    return claims


def wired(line: Mapping[str, object], chapters: Mapping[str, str | None]) -> dict[str, object]:
    """A claim with its notebook's file name in place of the short name; one without a notebook yet measures nothing."""
    measured = line.get("measured")
    if not measured:
        return dict(line)
    if measured.get("chapter") not in chapters:
        known = ", ".join(chapters)
        raise MmelError(f"claim {line.get('id')}: chapter is one of {known}; got {measured.get('chapter')!r}.")
    rest = {key: value for key, value in measured.items() if key != "chapter"}
    return {**line, "measured": {"notebook": chapters[measured["chapter"]] or measured["chapter"], **rest}}


def checked(line: Mapping[str, object]) -> Claim:
    """One claim with all its fields in order."""
    name = line.get("id", "?")
    if unknown := set(line) - {each.name for each in fields(Claim)}:
        raise MmelError(f"claim {name} has unknown fields: {', '.join(sorted(unknown))}.")
    if missing := {"id", "quote", "place", "verdict"} - set(line):
        raise MmelError(f"claim {name} lacks {', '.join(sorted(missing))}.")
    claim = Claim(**{**line, "answers": tuple(line.get("answers", ()))})
    if claim.verdict not in VERDICTS:
        raise MmelError(f"claim {name}: the verdict is one of {'; '.join(VERDICTS)}; got {claim.verdict!r}.")
    if set(claim.answers) - set(QUESTIONS):
        raise MmelError(f"claim {name} answers one of {', '.join(QUESTIONS)}; got {', '.join(claim.answers)}.")
    if len(claim.quote) > LONGEST:
        raise MmelError(f"claim {name}: a quotation is a sentence at most; got {len(claim.quote)} characters.")
    return claim
