"""The work of `mmel explain`: from a picture's file to the file of its explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import typer
from PIL import Image, ImageOps
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ..clip import Clip
from ..errors import BadSetting, MmelError, TextError, UnknownName, UnsupportedModality, UnsupportedModel
from ..figures import Explained, Words, explanations, save, words_of
from ..loading.images import read_image
from ..methods import explain
from ..types import Attribution
from .messages import console, say
from .plan import Job

EVERY_PICTURE = (BadSetting, TextError, UnknownName, UnsupportedModality, UnsupportedModel)  # errors of no one picture
LARGEST = 896  # pixels of a side of the picture in a result


class Question(NamedTuple):
    """What is asked of every picture: the text, and the methods with their settings."""

    text: str
    methods: Mapping[str, Mapping[str, object]]


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
    found = [
        explain(clip, picture, question.text, method=name, **settings) for name, settings in question.methods.items()
    ]
    panels = [panel(clip, question.text, each) for each in found]
    save(explanations(seen(clip, picture), panels, text=question.text), job.target)
    return f"{job.target}  score {panels[0].score:.3f}"


def panel(clip: Clip, text: str, attribution: Attribution) -> Explained:
    """One method's maps of one pair, ready for the figure."""
    image = None if attribution.image is None else attribution.image[0]
    words = None if attribution.text is None else words_of_text(clip, text, attribution.text[0])
    return Explained(attribution.method, image, words, float(attribution.score[0]))


def words_of_text(clip: Clip, text: str, values: Tensor) -> Words | None:
    """The words of a text with their values; None where the tokenizer cannot tell which tokens make a word."""
    encode, decode = (getattr(clip.tokenizer, name, None) for name in ("encode", "decode"))
    if encode is None or decode is None:
        return None
    ids = encode(text)[: len(values) - 2]  # the start and the end of the text have positions of their own
    return words_of(ids, values[1:], decode)


def seen(clip: Clip, picture: Image.Image) -> Image.Image:
    """What the model saw of a picture: the same part of it, in as many pixels as the picture has there.

    The picture goes through those steps of the model's transform that make pictures of pictures. Where they cut a
    square from the middle of a larger picture, the same square is cut from the picture itself.
    """
    small, cut = picture, False
    for step in getattr(clip.preprocess, "transforms", ()):
        after = step(small)
        if not isinstance(after, Image.Image):
            break
        small, cut = after, cut or type(step).__name__ == "CenterCrop"
    if cut and min(picture.size) > max(small.size):
        return ImageOps.fit(picture, (min(*picture.size, LARGEST),) * 2, Image.Resampling.LANCZOS)
    return small
