"""The book's exercises, and `check(name, answer)`, which says what is wrong with an answer and where to look."""

from __future__ import annotations

from ..errors import UnknownName
from .formulas import FORMULAS
from .kinds import Exercise, Numeric, Result
from .larger import LARGER
from .numbers import NUMBERS

__all__ = ["EXERCISES", "Exercise", "Numeric", "Result", "check"]

EXERCISES: dict[str, Exercise] = {each.name: each for each in (*NUMBERS, *FORMULAS, *LARGER)}


def check(name: str, answer: object) -> Result:
    """Whether the answer to an exercise is right, with a hint: `check("3.1", my_function)`, `check("tokens", 50)`."""
    if str(name) not in EXERCISES:
        raise UnknownName("exercise", name, EXERCISES, "The book's exercises page lists them.")
    return EXERCISES[str(name)].check(answer)
