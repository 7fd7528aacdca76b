"""A bar with the rate and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from .measuring import Tick


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
