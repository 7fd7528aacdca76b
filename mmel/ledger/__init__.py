"""What the paper claims, held against its own tables and against what was measured; no verdict is typed twice."""

from .claims import VERDICTS, Claim, read_claims
from .evidence import Measured, Results, read_results
from .papers_own import CHECKS, Answer
from .tables import Tables, read_tables
from .verdicts import Entry, judge, research_answer, stale

__all__ = [
    "CHECKS",
    "VERDICTS",
    "Answer",
    "Claim",
    "Entry",
    "Measured",
    "Results",
    "Tables",
    "judge",
    "read_claims",
    "read_results",
    "read_tables",
    "research_answer",
    "stale",
]
