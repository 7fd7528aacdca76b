"""Two kinds of exercises: the answer is a number, or a function; known mistakes have hints of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor


class Result(NamedTuple):
    """What came of a check. A notebook shows it as a sentence."""

    right: bool
    hint: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"{'Right.' if self.right else 'Not yet.'} {self.hint}"


class Numeric(NamedTuple):
    """A number that is right within a tolerance, and mistakes that deserve a word."""

    value: float
    tolerance: float
    mistakes: tuple[tuple[float, str], ...]
    otherwise: str

    def check(self, answer: object) -> Result:
        """The page does the same in its script."""
        if answer is None or answer is ...:
            return Result(False, f"There is no answer yet. {self.otherwise}")
        try:
            number = float(answer)
        except (TypeError, ValueError):
            return Result(False, f"A number is asked for; this is {type(answer).__name__}.")
        if abs(number - self.value) <= self.tolerance:
            return Result(True, "")
        near = [(abs(number - value), hint) for value, hint in self.mistakes]
        near = [(far, hint) for far, hint in near if far <= max(self.tolerance, 1e-3 * abs(number))]
        return Result(False, min(near)[1] if near else self.otherwise)


@dataclass(frozen=True)
class Coded:
    """A function that has to do what the package's own does, on drawn inputs.

    `mistakes` are functions that are wrong in a known way: an answer that does the same gets the hint of that one.
    `otherwise` is the next step for everyone else, and the first one for who has not begun.
    """

    solution: Callable[..., object]
    inputs: Callable[[], Sequence[tuple]]
    mistakes: Mapping[str, Callable[..., object]] = field(default_factory=dict)
    otherwise: str = ""
    rtol: float = 1e-4

    def check(self, answer: object) -> Result:
        if not callable(answer):
            return Result(False, f"A function is asked for; this is {type(answer).__name__}.")
        for arguments in self.inputs():
            try:
                got = tensors(answer(*arguments))
            except Exception as error:
                return Result(False, f"It raises {type(error).__name__}: {str(error).rstrip('.')}. {self.otherwise}")
            if said := self.difference(got, arguments):
                return Result(False, said)
        return Result(True, "")

    def difference(self, got: list[Tensor] | None, arguments: tuple) -> str:
        """What is wrong with one outcome; an empty text where nothing is."""
        if got is None:
            return f"It returns nothing that holds numbers yet. A first step: {self.otherwise}"
        wanted = tensors(self.solution(*arguments))
        if self.same(got, wanted):
            return ""
        for hint, mistake in self.mistakes.items():
            if self.same(got, tensors(mistake(*arguments)) or []):
                return hint
        if len(got) != len(wanted):
            return f"It returns {len(got)} array{'s' * (len(got) != 1)}; {len(wanted)} expected. {self.otherwise}"
        shapes = [(tuple(one.shape), tuple(other.shape)) for one, other in zip(got, wanted, strict=True)]
        for shape, expected in shapes:
            if shape != expected:
                return f"The shape is {shape}; {expected} expected. {self.otherwise}"
        if not all(one.isfinite().all() for one in got):
            return f"The shape is right, and some numbers are not finite: is something divided by 0? {self.otherwise}"
        apart = max(float((one - other).abs().max()) for one, other in zip(got, wanted, strict=True))
        return f"The shape is right, a number is off by {apart:.3g}. {self.otherwise}"

    def same(self, one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
        """Whether two outcomes are equal, up to rounding."""
        if [a.shape for a in one] != [b.shape for b in other]:
            return False
        return all(torch.allclose(a, b, rtol=self.rtol, atol=1e-6) for a, b in zip(one, other, strict=True))


def tensors(value: object) -> list[Tensor] | None:
    """A number, an array or several of them as tensors in double precision; None where it is none of these."""
    several = isinstance(value, (tuple, list)) and value and not isinstance(value[0], (int, float))
    try:
        return [torch.as_tensor(each, dtype=torch.float64).detach() for each in (value if several else [value])]
    except (TypeError, ValueError, RuntimeError):
        return None


@dataclass(frozen=True)
class Exercise:
    """One exercise. `question` is MyST; `answer` knows how to check; `equations` are the paper's numbers."""

    name: str
    title: str
    minutes: int
    question: str
    answer: Numeric | Coded | object
    equations: tuple[str, ...] = ()
    praise: str = ""

    def check(self, answer: object) -> Result:
        result = self.answer.check(answer)
        return Result(True, self.praise) if result.right else result


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers in double precision, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
