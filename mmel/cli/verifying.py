"""`mmel verify`: is what is installed what was published, and do tables and verdicts still hold?"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import typer
from rich.progress import track

from ..errors import MmelError
from ..evaluation.larger import held, read_stored
from ..ledger import VERDICTS, Entry, judge, read_claims, read_results, read_tables, stale
from ..loading import BUNDLED, bundled
from ..scenes import SPLITS, split
from .messages import console

LARGER = {1: "11_table1", 2: "12_table2", 3: "13_table3"}  # tables whose larger run is published
SOURCES = Path(__file__).parents[2]  # of an installation from the sources; others have no ledger beside them


def verify(sources: Path = SOURCES) -> None:
    """Hashes first: what differs is one `MmelError`. Then the ledger; a stale verdict ends with exit code 1."""
    verify_hashes()
    for text in held_lines(sources):
        typer.echo(text)
    if verify_ledger(sources):
        raise typer.Exit(1)


def verify_hashes() -> None:
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


def verify_ledger(sources: Path) -> list[Entry]:
    """Print every claim with its verdict; returns those whose stored verdict no longer follows."""
    if not (sources / "book" / "claims.yml").exists():
        typer.echo("claims: no book/claims.yml beside this installation, so there is no ledger to check")
        return []
    entries = read_ledger(sources)
    for entry in entries:
        typer.echo(line(entry))
    count = Counter(entry.verdict for entry in entries)
    typer.echo(f"{len(entries)} claims: " + ", ".join(f"{count[verdict]} {verdict}" for verdict in VERDICTS))
    wrong = stale(entries)
    for entry in wrong:
        stored = f"is stored as {entry.claim.verdict!r}; from the numbers follows {entry.verdict!r}"
        typer.echo(f"stale: {entry.claim.id} {entry.problem or stored}", err=True)
    return wrong


def held_lines(sources: Path) -> list[str]:
    """How the tables of the last run lie to the intervals of the larger runs that are published beside them."""
    results, lines = read_results(sources / "runs" / "bundled" / "results.json"), []
    for number, notebook in LARGER.items():
        stored = read_stored(sources / "benchmarks" / "full" / f"table{number}-bundled.json")
        own = (results or {}).get(notebook, {}).get(f"Table {number}")
        if stored is None or own is None:
            missing = "the larger run (`make reproduce PROFILE=full`)" if own else "a run (`make reproduce`)"
            lines.append(f"table {number}: {missing} is not there, so there is nothing to compare")
            continue
        found = held(own, stored["columns"])
        lines.append(
            f"table {number}: {found.inside} of {found.total} means lie inside the intervals of the larger run "
            f"({stored['run']}); the intervals of {found.meet} meet" + (", not those of" if found.apart else "")
        )
        for column, cells in groupby(found.apart, itemgetter(0)):
            lines.append(f"    {column}: {', '.join(row for _, row in cells)}")
    return lines


def read_ledger(sources: Path, profile: str = "bundled") -> list[Entry]:
    """Every claim judged by the paper's tables and by what the profiles measured, where they have run."""
    tables = read_tables(sources / "book" / "paper_tables.csv")
    bundled_world, paper = (read_results(sources / "runs" / name / "results.json") for name in (profile, "paper"))
    return judge(read_claims(sources / "book" / "claims.yml"), tables, bundled_world, paper)


def line(entry: Entry) -> str:
    """One claim as a line: id, verdict, what shows it."""
    why = [entry.paper.shows, entry.bundled.shown and f"bundled world: {entry.bundled.shown}"]
    why += [entry.full.shown and f"paper profile: {entry.full.shown}"]
    return f"{entry.claim.id:34} {entry.verdict:32} {'; '.join(filter(None, why))}"
