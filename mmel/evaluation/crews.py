"""Who does the shards: this process, or several on this machine. A crew has a header, and turns shards into tables."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

import pyarrow as pa
import torch

from ..errors import BadSetting, EvaluationError, MmelError
from .header import check_same
from .job import Job, Worker
from .measuring import Tick, measure_shard
from .parts import Shard

TRIES = 4  # of a shard, before what kills its workers is taken to be the shard itself


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


@dataclass(eq=False)
class Hand:
    """A process with a model, the line to it, what it is doing, and the last sample that it said it had begun."""

    process: BaseProcess
    line: Connection
    shard: Shard | None = None
    sample: str = ""

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.line.close()


class Processes:
    """`count` new processes, each with a model of its own. A lost one is replaced, and its shard given out again."""

    def __init__(self, job: Job, count: int):
        if not job.by_name:
            raise BadSetting(
                "a model in memory stays in its process: for several workers name it (model=..., pretrained=...)."
            )
        self.count, self.hands = count, list[Hand]()
        self.job = replace(job, threads=job.threads or torch.get_num_threads())  # as one process would take
        self.lost: Counter[Shard | None] = Counter()  # None: before the worker had begun

    def __enter__(self) -> Processes:
        try:
            self.hands.append(self._new())
            while (header := self._heard(self.hands[0])) is None:
                pass
        except BaseException:
            self.__exit__()
            raise
        self.header = header
        return self

    def __exit__(self, *_) -> None:
        for hand in self.hands:
            hand.end()
        self.hands.clear()

    def tables(self, shards: Iterable[Shard], tick: Tick) -> Iterator[tuple[Shard, pa.Table]]:
        """As they are finished, in any order; one shard at a time for each process."""
        rest, free = iter(shards), list(self.hands)
        while True:
            for shard in islice(rest, len(free) + self.count - len(self.hands)):
                self._give(free.pop() if free else self._hired(), shard)
            busy = {hand.line: hand for hand in self.hands if hand.shard}
            if not busy:
                return
            for hand in map(busy.get, wait(list(busy))):
                said = self._heard(hand)
                if isinstance(said, str):
                    hand.sample = said
                elif isinstance(said, dict):
                    check_same(self.header, said, "a new worker")
                elif said is not None:
                    shard, hand.shard = hand.shard, None
                    free.append(hand)
                    yield shard, said
                    tick(len(shard))

    def _heard(self, hand: Hand):
        """What a worker says; None where it was lost and another one stands in its place. Its errors are raised."""
        try:
            said = hand.line.recv()
        except (EOFError, OSError):
            self._replace(hand)
            return None
        if isinstance(said, Exception):
            raise said
        return said

    def _replace(self, hand: Hand) -> None:
        """Another process in the place of a lost one, with the same shard; too many times are an error."""
        hand.end()
        self.lost[hand.shard] += 1
        check_tries(hand.shard, self.lost[hand.shard], hand.sample)
        new = self._new()
        hand.process, hand.line, hand.sample = new.process, new.line, ""
        if hand.shard:
            self._give(hand, hand.shard)

    def _hired(self) -> Hand:
        self.hands.append(self._new())
        return self.hands[-1]

    def _give(self, hand: Hand, shard: Shard) -> None:
        hand.shard = shard
        with suppress(OSError):  # lost already, which shows when it is heard
            hand.line.send(shard)

    def _new(self) -> Hand:
        context = multiprocessing.get_context("spawn")
        line, theirs = context.Pipe()
        process = context.Process(target=_work, args=(self.job, theirs), daemon=True)
        process.start()
        theirs.close()  # so that the line ends with the process
        return Hand(process, line)


def check_tries(shard: Shard | None, times: int, sample: str = "", says: str = "") -> None:
    """Raise `EvaluationError` where a shard has lost as many workers as may be; `says`: what is known of the reason."""
    if times >= TRIES:
        what = f"samples {shard.start} to {shard.stop - 1}" if shard else "a run that had not begun"
        last = f" (the last sample begun was {sample})" if sample else ""
        raise EvaluationError(
            f"{what} lost {TRIES} workers one after the other{last}: finished parts are kept. Look what is wrong there "
            f"(is the memory full?), and give the same command again. {says}".rstrip()
        )


def _work(job: Job, line: Connection) -> None:
    """The life of a process: its header, then for each shard the name of each sample as it is begun, and the table."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted is the parent, which ends its workers
    try:
        worker = Worker(job)
        line.send(worker.header)
        while True:
            line.send(measure_shard(worker, line.recv().indices, begun=line.send))
    except (EOFError, ConnectionError):  # nobody asks any more
        pass
    except MmelError as error:
        line.send(error)
    except Exception:
        line.send(RuntimeError(f"in a worker:\n{traceback.format_exc()}"))


def _end_with_parent() -> None:
    """A parent that is killed says nothing: its workers look for themselves."""
    multiprocessing.parent_process().join()
    os._exit(1)
