"""The shard function: some samples, all rows, as one table. A pure function of the job and the samples' numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from math import isfinite

import pyarrow as pa

from ..data.iterating import in_order, key_of
from ..errors import EvaluationError, MmelError
from ..loading.inputs import transformed
from ..types import Example
from .inline import seed_of
from .job import Worker
from .parts import PREPARED
from .protocol import FATAL, Batch, Measurement, Row, findings_of, hook, opened, reason_of
from .protocols.editing import embedded_together

UNDEFINED = ("UnsupportedModality",)  # a method that has no such map: a dash in the table, no failure
SCHEMA = pa.schema(
    [
        ("index", pa.int64()),  # the sample's place in the dataset
        ("sample", pa.string()),
        ("row", pa.string()),
        ("method", pa.string()),
        ("seed", pa.int64()),
        ("modality", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("steps", pa.list_(pa.float64())),
        ("seconds", pa.float64()),  # of all lines of this sample and row together
        ("error", pa.string()),
        ("kind", pa.string()),  # the name of the error
    ]
)
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Read:
    """A sample as a worker has it: its place, its name, and either the sample or why it cannot be read."""

    index: int
    key: str
    example: Example | None = None
    error: Exception | None = None


def measure_shard(
    worker: Worker,
    indices: Sequence[int],
    tick: Tick | None = None,
    begun: Callable[[str], object] | None = None,
) -> pa.Table:
    """Every measurement of these samples, a failure as a line with its reason.

    `begun(name)` before each sample, `tick(count)` after some. Groups of `job.together` samples share their passes;
    they are the same however samples are given out in multiples of a group. What the protocol says of its shared state
    goes along as the table's metadata.
    """
    said = prepared_by(worker)
    lines, size = [], worker.job.together
    several = size > 1 and hook(worker.job.protocol, "ask")
    read = _read(worker, indices, begun)
    if hook(worker.job.protocol, "measure_batches"):
        lines = list(_at_once(worker, list(read)))
        if tick:
            tick(len(indices))
        return pa.Table.from_pylist(lines, SCHEMA.with_metadata(said))
    for _, some in groupby(indices, key=lambda index: index // size):
        group = list(islice(read, len(list(some))))
        lines += _together(worker, group) if several else chain.from_iterable(_sample(worker, each) for each in group)
        if tick:
            tick(len(group))
    return pa.Table.from_pylist(lines, SCHEMA.with_metadata(said))


def prepared_by(worker: Worker) -> dict[bytes, bytes] | None:
    """Make what all samples share, whose errors are of the run; and what the protocol says of it, for the parts."""
    try:
        state, says = worker.state, hook(worker.job.protocol, "prepared")
    except Exception as error:
        _stop_if_of_no_sample(error)
        if isinstance(error, MmelError):
            raise
        raise EvaluationError(f"{worker.job.protocol.name} could not be prepared: {reason_of(error)}") from error
    return {PREPARED: json.dumps(says(state), ensure_ascii=False).encode()} if says else None


def _read(worker: Worker, indices: Sequence[int], begun: Callable | None) -> Iterator[Read]:
    """The samples in order, decoded ahead by threads where the worker has some."""
    if worker.readers:
        read = in_order(worker.readers, lambda index: _load(worker, index), indices)
    else:
        read = (_load(worker, index) for index in indices)
    for each in read:
        if begun:
            begun(each.key)
        yield each


def _load(worker: Worker, index: int) -> Read:
    """A sample, its picture as pixels too where the protocol looks at those: once, for all rows."""
    try:
        example = worker.data[index]
        if hook(worker.job.protocol, "wants_pixels"):
            pixels = transformed(worker.clip, [example.image])
            pinned = pixels.pin_memory() if worker.clip.device.type == "cuda" else pixels
            example = replace(example, pixels=pinned)
    except Exception as error:
        _stop_if_of_no_sample(error)
        return Read(index, key_of(worker.data, index), error=error)
    return Read(index, example.key, example)


def _rows(worker: Worker, index: int) -> list[Row]:
    """The rows that have this sample."""
    return [row for row in worker.job.rows if index < (worker.job.counts or {}).get(row.name, len(worker.data))]


def _sample(worker: Worker, read: Read) -> Iterator[dict]:
    for row in _rows(worker, read.index):
        seed = seed_of(worker.job.seed, read.key, row.method)
        began = time.perf_counter()
        lines = list(_row(lambda: _measured(worker, read, row, seed)))  # noqa: B023
        seconds = time.perf_counter() - began
        for line in lines:
            yield _line(read.index, read.key, row, seed) | line | {"seconds": seconds}


def _measured(worker: Worker, read: Read, row: Row, seed: int) -> Iterable[Measurement]:
    if read.error:
        raise read.error
    return worker.job.protocol.measure(worker.clip, worker.state, read.example, row, seed)


def _together(worker: Worker, group: Sequence[Read]) -> Iterator[dict]:
    """The lines of several samples, one after the other, from passes that they shared row by row."""
    found = {each.index: [] for each in group}
    for row in worker.job.rows:
        mine = [each for each in group if row in _rows(worker, each.index)]
        began = time.perf_counter()
        lines = _row_together(worker, mine, row)
        seconds = (time.perf_counter() - began) / max(1, len(mine))
        for each in mine:
            seed = seed_of(worker.job.seed, each.key, row.method)
            head = _line(each.index, each.key, row, seed)
            found[each.index] += [head | line | {"seconds": seconds} for line in lines[each.index]]
    yield from chain.from_iterable(found.values())


def _row_together(worker: Worker, mine: Sequence[Read], row: Row) -> dict[int, list[dict]]:
    """What one row gives for each of these samples."""
    protocol, asked, lines = worker.job.protocol, {}, {}
    for each in mine:
        try:
            if each.error:
                raise each.error
            seed = seed_of(worker.job.seed, each.key, row.method)
            asked[each.index] = protocol.ask(worker.clip, worker.state, each.example, row, seed)
        except Exception as error:
            _stop_if_of_no_sample(error)
            lines[each.index] = [_reason(error)]
    try:
        curves = embedded_together(worker.clip, list(asked.values()), path=protocol.path)
    except Exception as error:
        _stop_if_of_no_sample(error)
        return lines | {index: [_reason(error)] for index in asked}
    for (index, question), some in zip(asked.items(), curves, strict=True):
        lines[index] = list(_row(lambda: question.read(some)))  # noqa: B023
    return lines


def _at_once(worker: Worker, read: Sequence[Read]) -> Iterator[dict]:
    """The lines of a shard whose protocol looks at all of its samples at once, in groups of `job.together`."""
    batches, seed, began = [], worker.job.seed, time.perf_counter()
    for _, some in groupby(read, key=lambda each: each.index // worker.job.together):
        whole = [each for each in some if not each.error]
        for row in worker.job.rows:
            mine = [each for each in whole if row in _rows(worker, each.index)]
            seeds = [seed_of(seed, each.key, row.method) for each in mine]
            if mine:
                batches.append(Batch(row, [each.example for each in mine], [each.index for each in mine], seeds))
    try:
        found = findings_of(worker.job.protocol, worker.clip, worker.state, batches)
        found = {(place, row): each for place, row, each in found}
    except Exception as error:
        _stop_if_of_no_sample(error)
        raise
    seconds = (time.perf_counter() - began) / max(1, len(found))
    for each in read:
        for row in _rows(worker, each.index):
            own = [each.error] if each.error else found[each.index, row.name]
            head = _line(each.index, each.key, row, seed_of(seed, each.key, row.method)) | {"seconds": seconds}
            yield from (head | line for line in _row(lambda: opened(own)))  # noqa: B023


def _row(measured: Callable[[], Iterable[Measurement]]) -> Iterator[dict]:
    """What one row gives for one sample; whatever goes wrong is a line with the reason."""
    nothing = True
    try:
        for one in measured():
            nothing, value, steps = False, float(one.value), [float(step) for step in one.steps]
            line = {"modality": one.modality, "metric": one.metric}
            if isfinite(value) and all(map(isfinite, steps)):
                yield line | {"value": value, "steps": steps}
            else:
                yield line | {"error": f"{one.metric} is not a finite number ({value})", "kind": "NotANumber"}
    except Exception as error:
        _stop_if_of_no_sample(error)
        nothing = False
        yield _reason(error)
    if nothing:
        yield {"error": "the protocol measured nothing", "kind": "EvaluationError"}


def _stop_if_of_no_sample(error: Exception) -> None:
    """Errors that would befall every sample after this one as well stop the run instead."""
    if isinstance(error, FATAL):
        raise EvaluationError(
            "the memory is full: finished parts are kept. Take fewer workers, a smaller model or half precision, and "
            "give the same command again."
        ) from error


def _reason(error: Exception) -> dict[str, str]:
    return {"error": reason_of(error), "kind": type(error).__name__}


def _line(index: int, key: str, row: Row, seed: int) -> dict:
    empty = {"modality": "", "metric": "", "value": None, "steps": [], "seconds": 0.0, "error": "", "kind": ""}
    return {"index": index, "sample": key, "row": row.name, "method": row.method, "seed": seed} | empty
