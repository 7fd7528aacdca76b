"""Run an evaluation, or go on with one: shards to workers, parts to the folder, and when all are there the results."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..clip import Clip
from ..errors import BadSetting, UnknownName
from .crews import Alone, Crew, Processes
from .depends import reducers
from .job import DataName, Job, ModelName, protocol_named, rows_of, scoring_of
from .measuring import Tick
from .parts import Folder, shards_of
from .protocol import EvaluationProtocol, Row
from .provenance import now, provenance_text
from .reducing import results_text, troubles_of

ENGINES = ("local", "ray")
RESAMPLES = 2_000  # of each interval in results.json
SHARD = 8  # samples: what is lost at most, for each worker, when a run is killed


@dataclass(frozen=True)
class Plan:
    """How a job is done; none of it changes a value."""

    shard_size: int = SHARD
    share: tuple[int, int] = (1, 1)  # the i-th of n shares of the shards
    engine: str = "local"
    workers: int | None = None  # None: one process here, every GPU or core of a cluster
    address: str | None = None
    cpus: int = 1  # cores of each worker of a cluster without GPUs
    resamples: int = RESAMPLES

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UnknownName("engine", self.engine, ENGINES)
        for name in ("shard_size", "workers", "cpus", "resamples"):
            value = getattr(self, name)
            if not (name == "workers" and value is None) and (not isinstance(value, int) or value < 1):
                raise BadSetting(f"{name} is a whole number from 1 on; got {value!r}.")
        if self.address is not None and self.engine != "ray":
            raise BadSetting(f"the address {self.address!r} is of a Ray cluster: take engine ray, or leave it out.")
        if not 1 <= self.share[0] <= self.share[1]:
            raise BadSetting(f"a share is i/n with i from 1 to n, such as 1/4; got {self.share[0]}/{self.share[1]}.")

    def crew(self, job: Job) -> AbstractContextManager[Crew]:
        if self.engine == "ray":
            from .cluster import Cluster

            return Cluster(job, self.workers, self.address, self.cpus)
        return Alone(job) if (self.workers or 1) == 1 else Processes(job, self.workers)


@dataclass(frozen=True)
class Outcome:
    """What is there of a run: `results` only when every sample is."""

    folder: Folder
    total: int
    done: int
    results: dict | None

    @property
    def failures(self) -> int:
        """Samples and rows without a number, added up."""
        if self.results is None:  # of the parts that are there
            return sum(each.count for each in troubles_of(self.folder)[0])
        return sum(each["count"] for each in self.results["failures"])


class Rate(ProgressColumn):
    """Samples a second, or seconds a sample where they take long."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f} samples/s" if speed >= 1 else f"{1 / speed:.1f} s/sample")


@contextmanager
def bar(total: int, done: int) -> Iterator[Tick]:
    """A bar on standard error, where that is a terminal; gives what moves it on."""
    console = Console(stderr=True, highlight=False)
    columns = TextColumn("samples"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=total, completed=done)
        yield lambda count: shown.advance(task, count)


@contextmanager
def silent(total: int, done: int) -> Iterator[Tick]:
    """No bar."""
    yield lambda count: None


def share_of(text: str) -> tuple[int, int]:
    """The share that "i/n" means."""
    if not (found := re.fullmatch(r"(\d+)/(\d+)", text)):
        raise BadSetting(f"a share is written i/n with i from 1 to n, such as 1/4; got {text!r}.")
    return int(found[1]), int(found[2])


def run(
    job: Job,
    out: str | os.PathLike,
    plan: Plan = Plan(),
    progress: Callable = silent,
    reduce: bool = True,  # False: parts only
) -> Outcome:
    """Do what is left of a job in the folder `out`; with the last sample come `results.json` and `provenance.json`.

    Raises `EvaluationError` where the folder holds another run, and where the disk is full or a worker was lost:
    finished parts are kept, and the same call goes on behind them.
    """
    if plan.shard_size % job.together:
        raise BadSetting(f"a shard of {plan.shard_size} samples cannot hold groups of {job.together}: take a multiple.")
    folder, began = Folder(out), now()
    with plan.crew(job) as crew:
        folder.open(crew.header)
        total, covered = crew.header["dataset"]["samples"], folder.covered()
        number, of = plan.share
        left = [s for s in shards_of(total, plan.shard_size, covered) if s.start // plan.shard_size % of == number - 1]
        mine = sum(map(len, left))
        with progress(mine + len(covered), len(covered)) as tick:
            for shard, table in crew.tables(left, tick):
                folder.put(shard, table, crew.header)
        header = crew.header
    how = {"began": began, "engine": plan.engine, "workers": plan.workers or 1, "shard_size": plan.shard_size,
           "share": f"{number}/{of}", "samples": mine}  # fmt: skip
    done = len(folder.covered())
    results = _finish(folder, header, plan.resamples, how) if reduce and done >= total else None
    return Outcome(folder, total, done, results)


def _finish(folder: Folder, header: dict, resamples: int, how: dict) -> dict:
    """Reduce all parts, unless that has been done by the same sources and nothing came since."""
    if how["samples"] == 0 and (text := folder.read("results.json")) is not None:
        results = json.loads(text)
        if results["resamples"] == resamples and results.get("reducers") == reducers():
            return results
    text = results_text(folder, header, resamples)
    folder.write("results.json", text)
    folder.write("provenance.json", provenance_text(folder, how))
    return json.loads(text)


def evaluate(
    protocol: str | EvaluationProtocol,
    dataset: str | Sequence = "scenes/classes",
    *,
    rows: str | Sequence[str | Row] = "all",
    clip: Clip | None = None,
    model: str = "bundled",
    pretrained: str | None = None,
    device: str = "auto",
    precision: str = "fp32",
    root: str | None = None,
    count: int | None = None,  # samples of a dataset given by name; None: all
    counts: Mapping[str, int] | None = None,  # how many of them a row gets; others get all
    samples: Mapping[str, int] | int | None = None,  # what RISE, Kernel SHAP and M2IB may draw
    settings: Mapping[str, object] | None = None,  # of a protocol given by name
    seed: int = 0,
    threads: int | None = None,
    readers: int | None = None,
    scoring: str = "fp32",
    batch: int = 64,
    together: int = 1,
    out: str | os.PathLike | None = None,  # None: nothing is kept
    progress: bool = False,
    **plan,
) -> pd.DataFrame:
    """Every measurement of every row on every sample: one line each, failures as lines with their reason.

    `protocol`: a name of `mmel.evaluation.protocols.PROTOCOLS` ("table1", "localisation", "sanity", ...), or one of
    your own. `rows`: names of `mmel.evaluation.rows.ROWS`, with settings where wanted ("m2ib[beta=1,n_samples=5]"),
    `Row`s, or "all". The model is `clip`, or is loaded by its name. With a folder `out`, parts, `results.json` and
    `provenance.json` are written there, and the same call again reads what is done; another call with the same folder
    is refused, and the error says what differs. `plan`: shard_size, share (i, n), workers, engine ("local" or "ray"),
    address, cpus, resamples; none of them changes a value, nor does the number of `readers`, threads that decode
    pictures ahead of use.

    For a GPU: `scoring` ("bf16" or "fp16") is the number type of passes that only score, `batch` the pictures in one of
    them, and `together` the samples that share them. Gradients keep `precision`.

    Columns: index, sample, row, method, seed, modality, metric, value, steps, seconds, error, kind.
    """
    chosen, how = protocol_named(protocol, settings), scoring_of(scoring, batch)
    job = Job(
        chosen,
        rows_of(rows, chosen.name, samples),
        replace(clip, scoring=how) if clip else ModelName(model, pretrained, device, precision, how),
        DataName(dataset, root, count) if isinstance(dataset, str) else dataset,
        counts,
        seed,
        threads,
        readers,
        together,
    )
    with TemporaryDirectory() as passing:
        outcome = run(job, out or passing, Plan(**plan), bar if progress else silent, reduce=out is not None)
        return table_of(outcome.folder)


def table_of(folder: Folder) -> pd.DataFrame:
    """All lines of a run's parts, in the order of the samples."""
    tables = list(folder.tables())
    frame = pa.concat_tables(tables).replace_schema_metadata(None).to_pandas() if tables else pd.DataFrame()
    return frame.reset_index(drop=True)
