"""Shards on many machines: Ray actors that hold the model. The parts are written here, so no disk is shared."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from functools import cached_property
from textwrap import shorten

import pyarrow as pa

from ..errors import BadSetting, EvaluationError, MissingExtra, MmelError
from .crews import check_tries
from .header import check_same
from .job import Job, Worker
from .measuring import Tick, measure_shard
from .parts import Shard

HERE = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}  # of a cluster that is nobody else's
SILENT = {"RAY_USAGE_STATS_ENABLED": "0"}  # Ray would report its use to its makers


class Actor:
    """What Ray holds on each of its workers. The model is loaded by the first call, whose errors come as they are."""

    def __init__(self, job: Job):
        self.job = job

    @cached_property
    def worker(self) -> Worker:
        return Worker(self.job)

    def header(self) -> dict[str, object]:
        return self.worker.header

    def measure(self, shard: Shard) -> pa.Table:
        return measure_shard(self.worker, shard.indices)


class Cluster:
    """`count` actors on the cluster at `address` ("auto": the one of this machine; None: a new one, here only).

    Each takes a GPU where the cluster has any, else `cpus` cores, and as many threads of torch: no number depends on
    how many cores a machine has. A lost actor is replaced, and its shard given out again.
    """

    def __init__(self, job: Job, count: int | None = None, address: str | None = None, cpus: int = 1):
        if not job.by_name:
            raise BadSetting("a model in memory stays in its process: for Ray name it (model=..., pretrained=...).")
        self.ray = imported()
        self.job = replace(job, threads=job.threads or cpus)
        self.count, self.address, self.cpus = count, address, cpus
        self.asked: dict = {}  # what an actor was asked for -> the actor, and the shard; None: its header
        self.free: list = []
        self.lost: Counter[Shard | None] = Counter()
        self.header: dict[str, object] | None = None

    def __enter__(self) -> Cluster:
        with ExitStack() as undone:
            undone.enter_context(redirect_stdout(sys.stderr))  # what Ray says of lost workers belongs in no table
            if not self.ray.is_initialized():
                undone.callback(self.ray.shutdown)
                self._connect()
            undone.callback(self._dismiss)
            need = self._need()
            self.kind = self.ray.remote(**need)(Actor)
            for _ in range(self._number(need)):
                self._hire()
            while self.header is None:
                self._heard()
            self.ends = undone.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.ends.close()

    def tables(self, shards: Iterable[Shard], tick: Tick) -> Iterator[tuple[Shard, pa.Table]]:
        """As they are finished, in any order; one shard at a time for each actor."""
        left = deque(shards)
        while left or any(shard for _, shard in self.asked.values()):
            while left and self.free:
                actor, shard = self.free.pop(), left.popleft()
                self.asked[actor.measure.remote(shard)] = (actor, shard)
            shard, table = self._heard()
            if shard and table is None:
                left.appendleft(shard)
            elif shard:
                yield shard, table
                tick(len(shard))

    def _heard(self) -> tuple[Shard | None, pa.Table | None]:
        """The next shard that is done with its table, or that was lost without one; no shard where a worker began."""
        (done, *_), _ = self.ray.wait(list(self.asked), num_returns=1)
        actor, shard = self.asked.pop(done)
        gone = (self.ray.exceptions.RayActorError, self.ray.exceptions.ObjectLostError)
        try:
            answer = self.ray.get(done)
        except gone as error:
            self.lost[shard] += 1
            check_tries(shard, self.lost[shard], says=f"Ray says: {said(error)}")
            self.ray.kill(actor)  # its machine may be out of reach, and come back
            self._hire()
            return shard, None
        except self.ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        self.free.append(actor)
        if shard:
            return shard, answer
        if self.header is None:
            self.header = answer
        check_same(self.header, answer, "a worker of the cluster")
        return None, None

    def _hire(self) -> None:
        actor = self.kind.remote(self.job)
        self.asked[actor.header.remote()] = (actor, None)

    def _dismiss(self) -> None:
        for actor in [*self.free, *(actor for actor, _ in self.asked.values())]:
            self.ray.kill(actor)

    def _connect(self) -> None:
        here = HERE | ({"num_cpus": self.count * self.cpus} if self.count else {}) if self.address is None else {}
        try:
            with environment(SILENT):
                self.ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR, **here)
        except (ConnectionError, ValueError, RuntimeError) as error:
            wrong = f"Ray cannot begin here ({said(error)}): leave --engine out to work without it."
            if self.address is not None:
                wrong = f"no Ray cluster was found at {self.address!r} ({said(error)}): start one with `ray start "
                wrong += "--head`, or leave --address out for one on this machine."
            raise EvaluationError(wrong) from error

    def _need(self) -> dict[str, int]:
        """What each actor takes of the cluster."""
        gpus = self.ray.cluster_resources().get("GPU") and self.job.model.device != "cpu"
        return {"num_gpus": 1} if gpus else {"num_cpus": self.cpus}

    def _number(self, need: dict[str, int]) -> int:
        """How many actors there are to be. Raises `EvaluationError` where they would wait for room for ever."""
        (name, each), = need.items()  # fmt: skip
        kind = {"num_gpus": "GPU", "num_cpus": "CPU"}[name]
        nodes = [node["Resources"].get(kind, 0) for node in self.ray.nodes() if node["Alive"]]
        room = sum(int(there // each) for there in nodes)
        if not 1 <= (self.count or room) <= room:
            raise EvaluationError(
                f"the Ray cluster has room for {room} workers ({kind}s of its machines: "
                f"{', '.join(f'{there:g}' for there in nodes)}), and {self.count or 'at least 1'} with {each} each "
                "were asked for: take fewer --workers, or fewer --cpus."
            )
        return self.count or room


def _cause(error) -> Exception:
    """The error that was raised on a worker, as it was raised there if it is one of ours."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, MmelError) else EvaluationError(f"a worker of the cluster stopped: {error}")


def said(error: Exception) -> str:
    """The beginning of one of Ray's long errors, as one line."""
    return shorten(str(error), 300, placeholder=" ...")


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """These variables of the environment, as long as nobody has set them otherwise."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


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
