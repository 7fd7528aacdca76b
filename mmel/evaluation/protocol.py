"""What a protocol is: it looks at one sample and one row of a table at a time, and says what it measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch

from ..clip import Clip
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
    """`prepare` runs once for a model and its data; `measure` once for each sample and row.

    A protocol that edits pictures may also have `ask`, which gives an `editing.Question` for a sample and a row, so
    that several samples share their passes. One with `wants_pixels` gets samples with `pixels`.

    A protocol for which it pays to see many samples at once (the model is changed for all of them, say) has
    `measure_batches` instead of `measure`. It gets all of a shard, each row with groups of samples that are the same
    in every shard, and gives its `Findings` for each sample of each batch; it lets `FATAL` errors through.

    Errors of `prepare` are of the whole run. One with `wants_all` is prepared from all of a dataset, however few of its
    samples are evaluated, and `prepared(state)` says of it what belongs into the results. A row is checked against
    the settings of its method before anything runs, or by the protocol's own `check_row`.
    """

    name: str

    def prepare(self, clip: Clip, data) -> object: ...

    def measure(self, clip: Clip, state, example: Example, row: Row, seed: int) -> Iterable[Measurement]: ...


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
