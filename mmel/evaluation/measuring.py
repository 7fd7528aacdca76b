"""The shard function: some samples, all rows, as one table. A pure function of the job and the samples' numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from math import isfinite

import pyarrow as pa
import torch

from ..errors import EvaluationError, MmelError
from .inline import seed_of
from .job import Worker
from .protocol import Row

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


def measure_shard(worker: Worker, indices: Sequence[int], tick: Tick | None = None) -> pa.Table:
    """Every measurement of these samples, a failure as a line with its reason; `tick(1)` after each sample."""
    lines = []
    for index in indices:
        lines += _sample(worker, index)
        if tick:
            tick(1)
    return pa.Table.from_pylist(lines, SCHEMA)


def _sample(worker: Worker, index: int) -> Iterator[dict]:
    job = worker.job
    rows = [row for row in job.rows if index < (job.counts or {}).get(row.name, len(worker.data))]
    state = worker.state
    try:
        example = worker.data[index]
    except Exception as error:
        _stop_if_of_no_sample(error)
        key = _key(worker.data, index)
        for row in rows:
            yield _line(index, key, row, seed_of(job.seed, key, row.method)) | _reason(error)
        return
    for row in rows:
        seed = seed_of(job.seed, example.key, row.method)
        began = time.perf_counter()
        lines = list(_row(worker, state, example, row, seed))
        seconds = time.perf_counter() - began
        for line in lines:
            yield _line(index, example.key, row, seed) | line | {"seconds": seconds}


def _row(worker: Worker, state: object, example, row: Row, seed: int) -> Iterator[dict]:
    """What one row gives for one sample; whatever goes wrong is a line with the reason."""
    nothing = True
    try:
        for one in worker.job.protocol.measure(worker.clip, state, example, row, seed):
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
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        raise EvaluationError(
            "the memory is full: finished parts are kept. Take fewer workers, a smaller model or half precision, and "
            "give the same command again."
        ) from error


def _reason(error: Exception) -> dict[str, str]:
    name = type(error).__name__
    text = " ".join(str(error).split()) or name
    return {"error": text if isinstance(error, MmelError) else f"{name}: {text}", "kind": name}


def _line(index: int, key: str, row: Row, seed: int) -> dict:
    empty = {"modality": "", "metric": "", "value": None, "steps": [], "seconds": 0.0, "error": "", "kind": ""}
    return {"index": index, "sample": key, "row": row.name, "method": row.method, "seed": seed} | empty


def _key(data, index: int) -> str:
    """The name of a sample that cannot be read."""
    records = getattr(data, "records", None)
    return str(records[index].key if records is not None else index)
