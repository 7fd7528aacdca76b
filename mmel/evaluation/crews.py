"""Who does the shards: this process, or several on this machine. A crew has a header, and turns shards into tables."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from typing import Protocol

import pyarrow as pa
import torch

from ..errors import BadSetting, EvaluationError
from .job import Job, Worker
from .measuring import Tick, measure_shard
from .parts import Shard

AHEAD = 2  # shards given out for each worker, so that memory does not grow with their number
LOST = "a worker was lost (killed, or out of memory): finished parts are kept, give the same command again."


class Crew(Protocol):
    """Workers that hold the model. Used as a context, at whose end they are gone."""

    header: dict[str, object]

    def tables(self, shards: Iterable[Shard], tick: Tick) -> Iterator[tuple[Shard, pa.Table]]: ...


class Alone:
    """This process."""

    def __init__(self, job: Job):
        self.worker = Worker(job)
        self.header = self.worker.header

    def __enter__(self) -> Alone:
        return self

    def __exit__(self, *_) -> None:
        pass

    def tables(self, shards: Iterable[Shard], tick: Tick) -> Iterator[tuple[Shard, pa.Table]]:
        for shard in shards:
            yield shard, measure_shard(self.worker, shard.indices, tick)


class Processes:
    """`count` new processes, each with a model of its own."""

    def __init__(self, job: Job, count: int):
        if not job.by_name:
            raise BadSetting(
                "a model in memory stays in its process: for several workers name it (model=..., pretrained=...)."
            )
        self.count = count
        job = replace(job, threads=job.threads or torch.get_num_threads())  # as one process would take
        self.pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(job,)
        )

    def __enter__(self) -> Processes:
        try:
            self.header = self.pool.submit(_header).result()
        except BaseException as error:
            self.__exit__()
            raise EvaluationError(LOST) if isinstance(error, BrokenProcessPool) else error from None
        return self

    def __exit__(self, *_) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def tables(self, shards: Iterable[Shard], tick: Tick) -> Iterator[tuple[Shard, pa.Table]]:
        """As they are finished, in any order."""
        rest, begun = iter(shards), dict[Future, Shard]()
        try:
            while True:
                for shard in islice(rest, self.count * AHEAD - len(begun)):
                    begun[self.pool.submit(_measure, shard)] = shard
                if not begun:
                    return
                for future in wait(begun, return_when=FIRST_COMPLETED).done:
                    shard = begun.pop(future)
                    yield shard, future.result()
                    tick(len(shard))
        except BrokenProcessPool as error:
            raise EvaluationError(LOST) from error


_own: list[Worker | Exception] = []  # of a process of the pool: its one worker, or why it has none


def _begin(job: Job) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _own.append(Worker(job))
    except Exception as error:  # raised again for the first task, for an initializer's own errors are lost
        _own.append(error)


def _worker() -> Worker:
    if isinstance(_own[0], Exception):
        raise _own[0]
    return _own[0]


def _header() -> dict[str, object]:
    return _worker().header


def _measure(shard: Shard) -> pa.Table:
    return measure_shard(_worker(), shard.indices)


def _end_with_parent() -> None:
    """A parent that is killed says nothing: its workers look for themselves."""
    multiprocessing.parent_process().join()
    os._exit(1)
