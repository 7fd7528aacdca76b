"""The work of `mmel explain`: from a picture's file to the file of its explanation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..clip import Clip
from ..errors import BadSetting, MmelError, TextError, UnknownName, UnsupportedModality, UnsupportedModel
from ..figures import Explained, explanations, save
from ..figures.words import words_of_text
from ..loading.images import read_image, seen
from ..methods import explain
from ..types import Attribution
from .messages import console, say
from .plan import Ask, Job

EVERY_PICTURE = (BadSetting, TextError, UnknownName, UnsupportedModality, UnsupportedModel)  # errors of no one picture


class Question(NamedTuple):
    """What is asked of every picture: the text, and the methods with their settings."""

    text: str
    methods: Sequence[Ask]


def run_all(clip: Clip, jobs: Sequence[Job], question: Question) -> int:
    """Explain every picture, go on after a bad one, and return how many were bad. Results are listed at the end."""
    lines, failed, shown = [], 0, console()
    columns = TextColumn("{task.fields[name]}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(
        *columns, console=shown, redirect_stdout=False, transient=True, disable=not shown.is_terminal
    ) as progress:
        task = progress.add_task("", total=len(jobs), name="")
        for job in jobs:
            progress.update(task, name=job.source.name)
            try:
                lines.append(run(clip, job, question))
            except EVERY_PICTURE:
                raise
            except MmelError as error:
                failed += 1
                name = "" if job.source.name in str(error) else f"{job.source.name}: "
                say(f"error: {name}{error}", to=shown)
            progress.advance(task)
    for line in lines:
        typer.echo(line)
    return failed


def run(clip: Clip, job: Job, question: Question) -> str:
    """Explain one picture and write the result; returns the line that says so."""
    picture = read_image(job.source)
    panels = []
    for title, method, settings in question.methods:
        found = explain(clip, picture, question.text, method=method, **settings)
        panels.append(panel(clip, question.text, found)._replace(name=title))
    save(explanations(seen(clip, picture), panels, text=question.text), job.target)
    return f"{job.target}  score {panels[0].score:.3f}"


def panel(clip: Clip, text: str, attribution: Attribution) -> Explained:
    """One method's maps of one pair, ready for the figure."""
    image = None if attribution.image is None else attribution.image[0]
    words = None if attribution.text is None else words_of_text(clip.tokenizer, text, attribution.text[0])
    return Explained(attribution.method, image, words, float(attribution.score[0]))
