"""What a protocol is: it looks at one sample and one row of a table at a time, and says what it measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..clip import Clip
from ..types import Example


@dataclass(frozen=True)
class Row:
    """A row of a table: a name, a method, and the settings that differ from the method's defaults."""

    name: str
    method: str
    settings: Mapping[str, object] = field(default_factory=dict)


class Measurement(NamedTuple):
    """One number of one sample; `steps` are the points of its curve, or its runs."""

    modality: str
    metric: str
    value: float
    steps: Sequence[float] = ()


class EvaluationProtocol(Protocol):
    """`prepare` runs once for a model and its data; `measure` once for each sample and row.

    A protocol that edits pictures may also have `ask`, which gives an `editing.Question` for a sample and a row, so
    that several samples share their passes. One with `wants_pixels` gets samples with `pixels`.
    """

    name: str

    def prepare(self, clip: Clip, data) -> object: ...

    def measure(self, clip: Clip, state, example: Example, row: Row, seed: int) -> Iterable[Measurement]: ...
