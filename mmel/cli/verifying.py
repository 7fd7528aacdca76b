"""`mmel verify`: is what is installed what was published? Weights against the card, scenes against their digests."""

from __future__ import annotations

import typer
from rich.progress import track

from ..errors import MmelError
from ..loading import BUNDLED, bundled
from ..scenes import SPLITS, split
from .messages import console


def verify() -> None:
    """Check every shipped file and every scene of every split; raises one `MmelError` with all that differs."""
    wrong = []
    for name in BUNDLED:
        try:
            bundled(name, None)
            typer.echo(f"{name}: the weights are those of the card")
        except MmelError as error:
            wrong.append(str(error))
    for name in track(SPLITS, "scenes", console=console(), transient=True):
        scenes = split(name)
        try:
            scenes.verify()
            typer.echo(f"{name}: {len(scenes)} scenes have their digests ({scenes.hash[:12]})")
        except MmelError as error:
            wrong.append(str(error))
    if wrong:
        raise MmelError("\n".join(wrong))
