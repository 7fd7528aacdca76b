"""Options that several commands have: which model, and where it runs."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Option(metavar="NAME", help="bundled, bundled-1, or a model of open_clip.")]
Pretrained = Annotated[str | None, typer.Option(metavar="TAG|FILE", help="A tag of open_clip, or a file of weights.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]
Precision = Annotated[str, typer.Option(metavar="NAME", help="fp32, bf16 or fp16.")]
