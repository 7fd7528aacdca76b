"""What a protocol is: it looks at one sample and one row of a table at a time, and says what it measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from ..clip import Clip
from ..errors import MmelError
from ..types import Example

FATAL = (MemoryError, torch.cuda.OutOfMemoryError)  # of no sample in particular: they stop a run


@dataclass(frozen=True)
class Row:
    """A row of a table: a name, a method, and the settings that differ from the method's defaults."""

    name: str
    method: str
    settings: Mapping[str, object] = field(default_factory=dict)


class Measurement(NamedTuple):
    """One number of one sample; `steps` are the points of its curve, or its runs.

    One without a modality describes the sample, or keeps what a page shows of it: it stays in the parts, and is no
    column of a table.
    """

    modality: str
    metric: str
    value: float
    steps: Sequence[float] = ()


class Batch(NamedTuple):
    """Samples that one row looks at together, with their places in the dataset and the row's seed for each."""

    row: Row
    examples: Sequence[Example]
    places: Sequence[int]
    seeds: Sequence[int]


Findings = list[Measurement | Exception]  # of one sample and row; an error is the last, and the reason for the rest


class EvaluationProtocol(Protocol):
    """`prepare` runs once for a model and its data, and its errors are of the whole run; `measure` once for each sample
    and row. What else a protocol may have is in `HOOKS`.
    """

    name: str

    def prepare(self, clip: Clip, data) -> object: ...

    def measure(self, clip: Clip, state, example: Example, row: Row, seed: int) -> Iterable[Measurement]: ...


HOOKS: dict[str, object] = {  # what a protocol may have besides, and what stands for it in one without it
    # ask(clip, state, example, row, seed) gives an `editing.Question`, so that several samples share their passes
    "ask": None,
    # measure_batches(clip, state, batches) instead of `measure`, where it pays to see many samples at once (the model
    # is changed for all of them, say): it gets all of a shard, each row with groups of samples that are the same in
    # every shard, and gives its `Findings` for each sample of each batch; it lets `FATAL` errors through
    "measure_batches": None,
    "wants_pixels": False,  # samples come with their `pixels`
    "wants_all": False,  # `prepare` gets all of a dataset, however few of its samples are evaluated
    # prepared(state) says what belongs into the results of what `prepare` made; its "notes" stand below the tables
    "prepared": None,
    "check_row": None,  # check_row(row) instead of `rows.check_row`, before anything runs
    "check_rows": None,  # check_rows(rows), of all of them together
}


def hook(protocol: EvaluationProtocol, name: str):
    """What a protocol has under one of the names of `HOOKS`, or its default."""
    return getattr(protocol, name, HOOKS[name])


def reason_of(error: Exception) -> str:
    """An error as one line; one that is not our own with its kind, which says more than its words."""
    name, text = type(error).__name__, " ".join(str(error).split())
    return text or name if isinstance(error, MmelError) else f"{name}: {text}".removesuffix(": ")


def findings_of(protocol, clip: Clip, state, batches: Sequence[Batch]) -> Iterator[tuple[int, str, Findings]]:
    """Place, row and findings of every sample of every batch, by `measure_batches`."""
    for batch, found in zip(batches, protocol.measure_batches(clip, state, batches), strict=True):
        for place, each in zip(batch.places, found, strict=True):
            yield place, batch.row.name, each


def opened(findings: Findings) -> Iterator[Measurement]:
    """The measurements, one by one; an error is raised in its place."""
    for each in findings:
        if isinstance(each, Exception):
            raise each
        yield each
