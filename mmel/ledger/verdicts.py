"""From what the paper says of itself and what was measured to a verdict, by one rule for all claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..errors import MmelError
from .claims import BY_ITSELF, CONTRADICTED, NOT_RUN, OPEN, REPRODUCED, Claim
from .evidence import Measured, NotNoted, Results, measure
from .papers_own import CHECKS, Answer
from .tables import Tables


class Entry(NamedTuple):
    """A claim with all that was found about it."""

    claim: Claim
    paper: Answer
    bundled: Measured
    full: Measured  # the paper profile
    verdict: str
    problem: str = ""  # the value that it is wired to is not there

    @property
    def stale(self) -> bool:
        """A stored verdict that the numbers do not give. Where nothing has run, there is nothing to compare with."""
        return bool(self.problem) or self.verdict not in (self.claim.verdict, NOT_RUN)


def judge(claims: Sequence[Claim], tables: Tables, bundled: Results, paper: Results) -> list[Entry]:
    """Every claim with its verdict, in order."""
    return [entry(claim, tables, bundled, paper) for claim in claims]


def entry(claim: Claim, tables: Tables, bundled: Results, paper: Results) -> Entry:
    small = large = Measured()
    problem = ""
    try:
        answer = answered(claim, tables)
        if claim.measured:
            small, large = measure(claim.measured, bundled), measure(claim.measured, paper)
    except NotNoted as error:  # the rest of the ledger still stands
        problem = str(error)
    except (MmelError, TypeError, AttributeError) as error:
        raise MmelError(f"claim {claim.id}: {error}") from error
    return Entry(claim, answer, small, large, rule(claim, answer, small, large), problem)


def answered(claim: Claim, tables: Tables) -> Answer:
    """What the claim's own check says; without one, nothing."""
    if not claim.paper:
        return Answer(None, "")
    named = dict(claim.paper)
    name = str(named.pop("check", ""))
    if name not in CHECKS:
        raise MmelError(f"the check is one of {', '.join(CHECKS)}; got {name!r}.")
    return CHECKS[name](tables, **named)


def rule(claim: Claim, answer: Answer, small: Measured, large: Measured) -> str:
    """The paper against itself first; then the paper's own setting, then the bundled world; else what is missing.

    A measured interval that holds the claim's bound decides nothing. Then the claim is open, as if
    nothing but the paper spoke to it: it prints no uncertainty that could decide the sentence, and ours leaves both
    answers.
    """
    if answer.agrees is False:
        return BY_ITSELF if answer.itself else CONTRADICTED
    for measured in (large, small):
        if measured.undecided:
            return OPEN
        if measured.holds is not None:
            return REPRODUCED if measured.holds else CONTRADICTED
    if claim.measured:
        return NOT_RUN
    return REPRODUCED if answer.agrees and answer.settles else OPEN


def stale(entries: Sequence[Entry]) -> list[Entry]:
    """Entries whose stored verdict does not follow from the numbers."""
    return [each for each in entries if each.stale]


def research_answer(entries: Sequence[Entry], question: str) -> Mapping[str, int]:
    """How many claims about one research question are stored with which verdict."""
    return Counter(each.claim.verdict for each in entries if question in each.claim.answers)
