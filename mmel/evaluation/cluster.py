"""Shards on many machines: Ray actors that hold the model. The parts are written here, so no disk is shared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa

from ..errors import BadSetting, EvaluationError, MissingExtra, MmelError
from .header import check_same
from .job import Job, Worker
from .measuring import Tick, measure_shard
from .parts import Shard

TRIES = 4  # of a shard, before what kills its workers is taken to be the shard itself


class Actor:
    """What Ray holds on each of its workers."""

    def __init__(self, job: Job):
        self.worker = Worker(job)

    def header(self) -> dict[str, object]:
        return self.worker.header

    def measure(self, shard: Shard) -> pa.Table:
        return measure_shard(self.worker, shard.indices)


class Cluster:
    """`count` actors on the cluster at `address` ("auto": the one of this machine; None: a new one, here only).

    Each takes a GPU where the cluster has any, else `cpus` cores. A lost actor is replaced, and its shard given out
    again.
    """

    def __init__(self, job: Job, count: int | None = None, address: str | None = None, cpus: int = 1):
        if not job.by_name:
            raise BadSetting("a model in memory stays in its process: for Ray name it (model=..., pretrained=...).")
        self.ray = imported()
        self.ours = not self.ray.is_initialized()
        self.job, self.count, self.address, self.cpus = job, count, address, cpus

    def __enter__(self) -> Cluster:
        try:
            if self.ours:
                quiet = {"log_to_driver": False, "include_dashboard": False} if self.address is None else {}
                local = {"num_cpus": (self.count or 1) * self.cpus} if self.address is None and self.count else {}
                self.ray.init(address=self.address, **quiet, **local)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise EvaluationError(
                f"no Ray cluster was found at {self.address!r} ({error}): start one with `ray start --head`, or leave "
                "--address out for one on this machine."
            ) from error
        there = self.ray.cluster_resources()
        self.each = {"num_gpus": 1} if there.get("GPU") else {"num_cpus": self.cpus}
        self.count = self.count or max(1, int(there.get("GPU") or there.get("CPU", 1) // self.cpus))
        self.actors = [self._actor() for _ in range(self.count)]
        try:
            headers = self._all([actor.header.remote() for actor in self.actors])
            self.header = headers[0]
            for each in headers[1:]:
                check_same(self.header, each, "a worker of the cluster")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for actor in self.actors:
            self.ray.kill(actor)
        if self.ours:
            self.ray.shutdown()

    def tables(self, shards: Iterable[Shard], tick: Tick) -> Iterator[tuple[Shard, pa.Table]]:
        """As they are finished, in any order; one shard at a time for each actor."""
        rest, lost, busy, free = iter(shards), Counter(), {}, list(self.actors)
        while True:
            for shard in islice(rest, len(free)):
                actor = free.pop()
                busy[actor.measure.remote(shard)] = (actor, shard, None)
            if not busy:
                return
            (done, *_), _ = self.ray.wait(list(busy), num_returns=1)
            actor, shard, header = busy.pop(done)
            try:
                table = self.ray.get(done)
            except self.ray.exceptions.RayActorError as error:
                lost[shard] += 1
                _give_up(shard, lost[shard], error)
                actor = self._replaced(actor)
                header = actor.header.remote()  # comes first, and is looked at when the shard is there
                busy[actor.measure.remote(shard)] = (actor, shard, header)
                continue
            except self.ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            if header is not None:
                check_same(self.header, self._all([header])[0], "a new worker of the cluster")
            free.append(actor)
            yield shard, table
            tick(len(shard))

    def _actor(self):
        return self.ray.remote(**self.each)(Actor).remote(self.job)

    def _replaced(self, actor):
        """A new actor in the place of one that was lost."""
        new = self._actor()
        self.actors = [new if each is actor else each for each in self.actors]
        return new

    def _all(self, asked: list) -> list:
        try:
            return self.ray.get(asked)
        except self.ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self.ray.exceptions.RayActorError as error:
            raise EvaluationError(f"a worker of the cluster could not begin: {error}") from error


def _cause(error) -> Exception:
    """The error that was raised on a worker, as it was raised there if it is one of ours."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, MmelError) else EvaluationError(f"a worker of the cluster stopped: {error}")


def _give_up(shard: Shard, times: int, error: Exception) -> None:
    if times == TRIES:
        raise EvaluationError(
            f"samples {shard.start} to {shard.stop - 1} lost {TRIES} workers one after the other ({error}): look what "
            "is wrong there (memory?), and give the same command again."
        ) from error


def imported():
    """Ray, or `MissingExtra` with the command that installs it."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtra(
            "the Ray engine needs the optional extra `cluster`, which is not installed here: "
            "pip install 'mmel[cluster]', or leave --engine out to work on this machine."
        ) from error
    return ray
