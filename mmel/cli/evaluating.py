"""`mmel evaluate` and `mmel report`: tables of a model, a dataset and methods, and how they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import BadSetting, UnknownName
from .messages import loading, say
from .options import Device, Model, Precision, Pretrained

NAMES = "table1, table2, table3, localisation, words, microscope, sanity, swaps, transform or errors."
FORMATS = ("text", "markdown", "latex", "csv")
PAPER = Path("book/paper_tables.csv")  # taken where it is there, from the folder of the sources


def evaluate_command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; a run that is there goes on.")],
    protocol: Annotated[str, typer.Option(metavar="NAME", help=NAMES)] = "table2",
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="scenes/SPLIT, or one of `mmel data`.")
    ] = "scenes/classes",
    root: Annotated[str | None, typer.Option(metavar="FOLDER", help="Where the dataset is.")] = None,
    count: Annotated[int | None, typer.Option(metavar="N", help="The first N samples; else all.")] = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="all; or rows or methods with commas between, each with settings where wanted: "
            "'rise,m2ib[beta=1,n_samples=5]' (lists: 1+2+3).",
        ),
    ] = "all",
    model: Model = "bundled",
    pretrained: Pretrained = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    scoring: Annotated[
        str,
        typer.Option(metavar="NAME", help="Number type of passes that only score: fp32, or bf16, fp16 by autocast."),
    ] = "fp32",
    batch: Annotated[int, typer.Option(metavar="N", help="Pictures in one such pass.")] = 64,
    together: Annotated[int, typer.Option(metavar="N", help="Samples that share such passes; for a GPU.")] = 1,
    readers: Annotated[
        int | None, typer.Option(metavar="N", help="Threads that decode pictures ahead; 4 for a GPU, else none.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the protocol, such as runs=3; may be repeated."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Masks of RISE and coalitions of Kernel SHAP, for a cheaper run.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of all that is random.")] = 0,
    shard_size: Annotated[int, typer.Option(metavar="N", help="Samples in one part.")] = 8,
    shard: Annotated[str, typer.Option(metavar="I/N", help="Do the I-th of N shares only, I from 1 to N.")] = "1/1",
    engine: Annotated[str, typer.Option(metavar="NAME", help="local, or ray (the extra `cluster`).")] = "local",
    address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Ray cluster: auto, HOST:PORT; else one is started here.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes or actors with a model each.")] = None,
    cpus: Annotated[int, typer.Option(metavar="N", help="Cores of a Ray actor without a GPU, and its threads.")] = 1,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Of torch, in each worker.")] = None,
    resamples: Annotated[int, typer.Option(metavar="N", help="Of the bootstrap.")] = 2_000,
) -> None:
    """Measure methods by a protocol, and print the table with intervals. The same command again finishes a run.

    A folder holds parts, results.json (values) and provenance.json (where, when, how long). Exits 1 when a sample and
    method failed, with the reasons under the table; 2 for an error, where finished parts are kept.
    """
    from ..evaluation.job import DataName, Job, ModelName, protocol_named, rows_of, scoring_of
    from ..evaluation.running import Plan, bar, run, share_of

    plan = Plan(shard_size, share_of(shard), engine, workers, address, cpus, resamples)
    chosen = protocol_named(protocol, dict(map(setting, settings or ())))
    rows = rows_of(methods, protocol, samples)
    given = ModelName(model, pretrained, device, precision, scoring_of(scoring, batch))
    job = Job(chosen, rows, given, DataName(dataset, root, count), None, seed, threads, readers, together)
    with loading(model):
        outcome = run(job, out, plan, bar)
    if outcome.results is None:
        typer.echo(f"{outcome.done} of {outcome.total} samples are done: the others are for the other shares.")
    else:
        report_command(out)
    if failures := outcome.failures:
        where = "the report has the reasons" if outcome.results else "the report of all shares will have the reasons"
        say(f"{failures} times a method failed on a sample ({where}).")
        raise typer.Exit(1)


def report_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")],
    format: Annotated[str, typer.Option("--format", metavar="NAME", help=", ".join(FORMATS))] = "text",
    paper: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The paper's tables as a CSV, to stand beside ours.")
    ] = None,
) -> None:
    """Print the table of a run, or export it: `mmel report DIR --format latex > table.tex`."""
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    from rich.console import Console

    from ..evaluation import reporting, writing

    results = reporting.read_results(folder)
    reported = reporting.reported_of(results, paper or (PAPER if PAPER.is_file() else None))
    if format == "csv":
        typer.echo(writing.csv_text(results, reported), nl=False)
        return
    shown = Console(highlight=False)
    narrow = format == "text" and shown.is_terminal and shown.width < 140
    report = reporting.report_of(results, reported, 2 if narrow else reporting.WIDE)
    if format == "text" and shown.is_terminal:
        writing.show(report, shown)
    else:
        typer.echo(writing.FORMATS[format](report), nl=False)


def setting(written: str) -> tuple[str, object]:
    """A setting's name and value: what JSON reads (3, true, ["official"]), or else the text itself."""
    name, equals, value = written.partition("=")
    if not equals:
        raise BadSetting(f"a setting is written NAME=VALUE, such as runs=3; got {written!r}.")
    try:
        read = json.loads(value)
    except ValueError:
        read = value
    return name, tuple(read) if isinstance(read, list) else read
