"""What is to be evaluated, as plain names and settings that can be sent to any worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import torch

from ..clip import Clip, load_clip
from ..data import open_dataset
from ..errors import BadSetting, UnknownName
from ..loading import dtype_of
from ..types import PLAIN, Scoring
from .header import header_of
from .protocol import EvaluationProtocol, Row, hook
from .protocols import PROTOCOLS
from .rows import ROWS, TABLES, check_row
from .rows import rows as rows_named

READERS = 4  # threads that decode pictures for a GPU


def scoring_of(precision: str, batch: int) -> Scoring:
    """How passes score, checked."""
    dtype_of(precision)
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise BadSetting(f"batch is a whole number of pictures from 1 on; got {batch!r}.")
    return Scoring(precision, batch)


class ModelName(NamedTuple):
    """The arguments of `load_clip`, and how its passes score."""

    model: str = "bundled"
    pretrained: str | None = None
    device: str = "auto"
    precision: str = "fp32"
    scoring: Scoring = PLAIN

    def load(self) -> Clip:
        clip = load_clip(self.model, pretrained=self.pretrained, device=self.device, precision=self.precision)
        return replace(clip, scoring=self.scoring)


class DataName(NamedTuple):
    """The arguments of `open_dataset`."""

    name: str
    root: str | None = None
    count: int | None = None

    def load(self) -> Sequence:
        return open_dataset(self.name, root=self.root, count=self.count)


@dataclass(frozen=True)
class Job:
    """One evaluation. `model` and `data` are names to load by, or a `Clip` and a sequence already in memory."""

    protocol: EvaluationProtocol
    rows: tuple[Row, ...]
    model: ModelName | Clip
    data: DataName | Sequence
    counts: Mapping[str, int] | None = None  # how many of the first samples a row gets; others get all
    seed: int = 0
    threads: int | None = None  # of torch, in every worker; None: as many as torch takes
    readers: int | None = None  # threads that read samples ahead; None: some where there is a GPU, else none
    together: int = 1  # samples that share their passes, where the protocol's pictures are many

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if not names or len(names) != len(set(names)):
            raise BadSetting(f"an evaluation has one or more rows, each of its own name; got {names}.")
        for row in self.rows:
            (hook(self.protocol, "check_row") or check_row)(row)
        if check_rows := hook(self.protocol, "check_rows"):
            check_rows(self.rows)
        for name, least in {"readers": 0, "together": 1, "threads": 1}.items():
            value = getattr(self, name)
            if not (name != "together" and value is None) and (not isinstance(value, int) or value < least):
                raise BadSetting(f"{name} is a whole number from {least} on; got {value!r}.")
        for name in self.counts or {}:
            if name not in names:
                raise UnknownName("row of `counts`", name, names)

    @property
    def by_name(self) -> bool:
        """Can another process load all of it?"""
        return isinstance(self.model, ModelName)


class Worker:
    """A model, its data and the protocol's shared state, held for as long as shards come."""

    def __init__(self, job: Job):
        if job.threads:
            torch.set_num_threads(job.threads)
        self.job = job
        self.data = self.whole = job.data.load() if isinstance(job.data, DataName) else job.data
        if isinstance(job.data, DataName) and job.data.count and hook(job.protocol, "wants_all"):
            self.whole = job.data._replace(count=None).load()
        self.clip = job.model.load() if isinstance(job.model, ModelName) else job.model

    @property
    def readers(self) -> int:
        """Threads that read samples ahead."""
        if self.job.readers is not None:
            return self.job.readers
        return READERS if self.clip.device.type == "cuda" else 0

    @cached_property
    def header(self) -> dict[str, object]:
        return header_of(self.job, self.clip, self.data, self.whole)

    @cached_property
    def state(self) -> object:
        """Made for the first shard only: a run with nothing left to do makes none."""
        return self.job.protocol.prepare(self.clip, self.whole)


def protocol_named(protocol: str | EvaluationProtocol, settings: Mapping[str, object] | None = None):
    """The protocol of that name with these settings, or the one given."""
    if not isinstance(protocol, str):
        return protocol
    if protocol not in PROTOCOLS:
        raise UnknownName("protocol", protocol, PROTOCOLS)
    known = [name for name in getattr(PROTOCOLS[protocol], "__dataclass_fields__", {}) if name != "name"]
    for name in settings or {}:
        if name not in known:
            raise UnknownName(f"setting of {protocol}", name, known)
    return PROTOCOLS[protocol](**(settings or {}))


def rows_of(rows: str | Sequence[str | Row], protocol: str, samples=None) -> tuple[Row, ...]:
    """Rows as given, by their names, or "all": those of the protocol's table where it has one, else every one."""
    if rows == "all":
        rows = TABLES.get(protocol, tuple(ROWS))
    found = [rows] if isinstance(rows, str) else rows
    named = ((each,) if isinstance(each, Row) else rows_named(each, samples=samples) for each in found)
    return tuple(chain.from_iterable(named))
