"""A tiny protocol, dataset and model, whose numbers are known, for the tests of the engine."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from mmel.clip import Clip
from mmel.errors import ImageError, UnsupportedModality
from mmel.evaluation import Measurement, Plan, Row, run
from mmel.evaluation.job import Job, ModelName
from mmel.types import Example

LOG = "MMEL_TEST_LOG"  # a file: a line for each sample that is begun
DEADLY = "MMEL_TEST_DEADLY"  # the sample that ends its process
METRICS = ("pointing_game", "energy_pointing_game")
ROWS = (
    Row("grad_eclip", "grad_eclip", {}),
    Row("better", "random", {"shift": 0.4}),
    Row("no_text", "mask_clip", {"trouble": "undefined"}),
    Row("sometimes", "rise", {"trouble": "error"}),
    Row("nan", "m2ib", {"trouble": "nan"}),
)


class Pictures(Sequence):
    """Plain pictures, made when they are asked for; those of `broken` cannot be read."""

    name = "pictures"

    def __init__(self, count: int, broken: Sequence[int] = (), side: int = 8):
        self.count, self.broken, self.side = count, tuple(broken), side

    @property
    def manifest(self) -> str:
        return f"{self.count} {self.broken} {self.side}"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if index >= self.count:
            raise IndexError(index)
        if index in self.broken:
            raise ImageError(f"picture {index} cannot be read: it is half a file.")
        return Example(f"picture-{index:04d}", Image.new("RGB", (self.side, self.side), (index % 256, 0, 0)))


@dataclass(frozen=True)
class Tiny:
    """A number from the seed, and what the settings of a row ask for beside it."""

    pause: float = 0.0
    name: str = "tiny"

    def check_row(self, row: Row) -> None:
        """Settings here are no method's."""

    def prepare(self, clip: Clip, data) -> float:
        return 0.5

    def measure(self, clip: Clip, state: float, example, row: Row, seed: int) -> Iterator[Measurement]:
        if row.name == "grad_eclip":
            log(example.key)
            time.sleep(self.pause)
        value = float(torch.rand((), generator=torch.Generator().manual_seed(seed))) * state
        value += row.settings.get("shift", 0) + example.image.getpixel((0, 0))[0] / 1000
        trouble = row.settings.get("trouble")
        if trouble == f"deadly {example.key}":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "error" and int(example.key[-1]) % 3 == 0:
            raise RuntimeError("a tensor of another size")
        yield Measurement("image", METRICS[0], float("nan") if trouble == "nan" else value, [value, value / 2])
        if trouble == "undefined":
            raise UnsupportedModality("compares patches with a text and has no map of its words")
        yield Measurement("text", METRICS[1], value / 2, [])


def log(key: str) -> None:
    if path := os.environ.get(LOG):
        with open(path, "a") as file:
            file.write(f"{key} {os.getpid()}\n")
    if key == os.environ.get(DEADLY):
        os.kill(os.getpid(), signal.SIGKILL)


class Towers(nn.Module):
    def __init__(self, fill: float):
        super().__init__()
        self.visual = nn.Linear(2, 2)
        nn.init.constant_(self.visual.weight, fill)
        nn.init.constant_(self.visual.bias, 0.0)


def tiny_clip(fill: float = 0.5) -> Clip:
    return Clip(Towers(fill), str, str, "tiny")


class TinyName(ModelName):
    """The tiny model, by a name that another process can load."""

    def load(self) -> Clip:
        return tiny_clip()


TINY = TinyName("tiny")


def tiny_job(count: int, rows: Sequence[Row] = ROWS, *, broken=(), pause: float = 0.0, side: int = 8, **more) -> Job:
    return Job(Tiny(pause), tuple(rows), more.pop("model", None) or tiny_clip(), Pictures(count, broken, side), **more)


def run_in_child(out: Path, log: Path, count: int, pause: float, shard_size: int) -> None:
    """A whole run, for a process that may be killed; its server keeps the environment of the first test that asked."""
    os.environ[LOG] = str(log)
    run(tiny_job(count, pause=pause), out, Plan(shard_size=shard_size, resamples=200))


def peak_in_child(out: Path, count: int, peak: Path) -> None:
    """Leave the largest size, in MiB, that a run with large pictures and one cheap row had."""
    run(tiny_job(count, ROWS[:2], side=512), out, Plan(resamples=200))
    peak.write_text(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def begun(log: Path) -> list[str]:
    """The samples that were begun, in order, with the process that did."""
    return log.read_text().splitlines() if log.exists() else []


def wait_for(lines: int, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while len(begun(log)) < lines:
        assert time.monotonic() < end, f"{len(begun(log))} of {lines} samples were begun"
        time.sleep(0.002)


def kill_one(log: Path, after: int, killed: list[int]) -> None:
    """SIGKILL to the process that began the sample of that number."""
    wait_for(after, log, 300)
    killed.append(int(begun(log)[after - 1].split()[1]))
    os.kill(killed[0], signal.SIGKILL)
