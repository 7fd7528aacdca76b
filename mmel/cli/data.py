"""`mmel data check` and `mmel data fetch`: what one has of a dataset, and getting the rest."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from ..errors import BadSetting
from .messages import console, say

data = typer.Typer(no_args_is_help=True, help="Datasets: look at what is there, and fetch what can be fetched.")
FETCHED = "conceptual-captions"  # the only one that is a list of addresses


@data.command("check")
def check_command(
    dataset: Annotated[
        str,
        typer.Argument(
            help="imagenet, coco, coco-objects, conceptual-captions, masks, folder, or scenes/SPLIT.", metavar="DATASET"
        ),
    ],
    root: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the dataset is.")] = None,
    every: Annotated[bool, typer.Option("--every", help="Open every picture, not only some.")] = False,
) -> None:
    """Say what is there of a dataset, what is missing, where that comes from, and under which terms.

    Exits 1 when something is missing or cannot be read.
    """
    from ..data import check
    from ..data.sources import SOURCES

    findings = check(dataset, root, every=every)
    source = SOURCES.get(dataset)
    typer.echo(f"{source.title if source else dataset}")
    for each in findings:
        typer.echo(f"  {'ok     ' if each.good else 'MISSING'}  {each.what}: {each.found}")
        if each.source:
            typer.echo(f"           from {each.source}")
    if all(each.good or each.usable for each in findings):
        from ..data import open_dataset
        from ..evaluation.protocols.checking import protocols_for

        if fit := protocols_for(open_dataset(dataset, root=root)):
            typer.echo(f"  for      mmel evaluate --protocol {' or '.join(fit)}")
    if source:
        typer.echo(f"  terms    {source.terms}")
    if not all(each.good for each in findings):
        raise typer.Exit(1)


@data.command("fetch")
def fetch_command(
    dataset: Annotated[str, typer.Argument(help="conceptual-captions", metavar="DATASET")],
    tsv: Annotated[Path, typer.Option(metavar="FILE", help="The published list: a caption and an address a line.")],
    root: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the pictures go.")],
    count: Annotated[
        int | None, typer.Option(metavar="N", help="The first N lines; dead links are not replaced by later ones.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Downloads at a time.")] = 32,
    seconds: Annotated[float, typer.Option(metavar="S", help="What one download may take.")] = 20.0,
    megabytes: Annotated[float, typer.Option(metavar="M", help="The largest picture.")] = 20.0,
    again: Annotated[bool, typer.Option("--again", help="Try dead links again.")] = False,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="Fetch from addresses of your own network too (a mirror there, a test)."),
    ] = False,
) -> None:
    """Fetch the pictures of Conceptual Captions; the same command again goes on where it stopped.

    Dead links and their reasons are listed in FOLDER/dead.tsv.
    """
    if dataset != FETCHED:
        raise BadSetting(f"only {FETCHED} can be fetched, not {dataset!r}: `mmel data check {dataset}` says how.")
    from ..data import Limits, fetch

    limits = Limits(seconds=seconds, most_bytes=int(megabytes * 1e6), private=allow_private)
    shown = console()
    with shown.status("reading the list") if shown.is_terminal else nullcontext() as status:

        def progress(good: int, dead: int) -> None:
            if status is not None:
                status.update(f"{good:,} pictures, {dead:,} dead links")

        found = fetch(tsv, root, count=count, workers=workers, limits=limits, again=again, progress=progress)
    typer.echo(f"{found.good:,} pictures in {root}, {found.dead:,} dead links in {root / 'dead.tsv'}")
    for reason, times in found.reasons.most_common():
        say(f"  {times:,} x {reason}")
