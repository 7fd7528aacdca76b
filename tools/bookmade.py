"""Under every figure and table: how to make it again, and its numbers. Under every chapter: what it was made from."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import effects
import equations
import nbformat
import pages_effects
import pages_ledger
from bookpages import ROOT, staged
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

FIGURE = re.compile(r'(<figure\b[^>]*\bid="([\w-]+)".*?)(</figcaption>)', re.DOTALL)
TABLE = re.compile(r'(<table\b[^>]*\bclass="dataframe".*?</table>)', re.DOTALL)
NUMBERS = "../_static/numbers"


class Made(NamedTuple):
    """A page without a notebook: a command that checks it and what that does, its file and what that holds."""

    command: str
    does: str
    file: str
    holds: str
    rows: Callable[[], list[list[str]]]


def of_question(name: str) -> Made:
    """The page of a research question."""
    return Made(
        "mmel verify", "which judges the sentences again", f"{name.lower()}.csv", "the differences of this page",
        lambda: pages_effects.rows(effects.groups_of(ROOT, staged(ROOT), name)),
    )  # fmt: skip


PAGES = {
    "book/claims": Made(
        "mmel verify", "which prints this ledger and fails when a verdict no longer follows", "claims.csv",
        "every sentence with its evidence and its verdict", lambda: pages_ledger.rows(ROOT, staged(ROOT)),
    ),
    **{f"book/{name.lower()}": of_question(name) for name in ("RQ1", "RQ2", "RQ3")},
    "book/equations": Made(
        "make test", "which fails where an equation lacks a function, a test or an exercise",
        "equations.csv", "every equation with its function, tests and exercises", lambda: equations.rows(ROOT),
    ),
}  # fmt: skip


def records(root: Path) -> tuple[dict, dict]:
    """Provenance and results of the profile that the pages come from; empty where nothing has run."""
    folder = root / "runs" / staged(root)
    found = [folder / name for name in ("provenance.json", "results.json")]
    made, results = (json.loads(path.read_text()) if path.exists() else {} for path in found)
    return made, results


def line(command: str, numbers: str, whose: str = "page") -> str:
    """The short line under one figure or table."""
    return (
        f'<span class="made"><code>{escape(command)}</code> '
        f'<a href="{numbers}" download>numbers of this {whose}</a> <a href="#made">how it was made</a></span>'
    )


class Rows(HTMLParser):
    """The rows of a table in HTML, as texts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def rows_of(table: nodes.table | str) -> list[list[str]]:
    """What a table says, line by line: one of Markdown as a tree, one of pandas as HTML."""
    if isinstance(table, str):
        reader = Rows()
        reader.feed(table)
        return [[" ".join(cell.split()) for cell in row] for row in reader.rows]
    return [
        [" ".join(entry.astext().split()) for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)
    ]


def as_csv(rows: list[list[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def mark_tables(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Below every table that a cell displays: its own line; and its numbers as a file."""
    name = page.removeprefix("executed/")
    made, _ = records(ROOT)
    if app.builder.format != "html" or name == page or name not in made.get("notebooks", {}):
        return
    cells = nbformat.read(ROOT / f"{page}.ipynb", 4).cells
    for cell in doctree.findall(lambda node: isinstance(node, nodes.container) and "cell_index" in node):
        for place, (node, table) in enumerate(shown_tables(cell)):
            what = f"{name}/{cells[cell['cell_index']].id}"
            file = f"{what.replace('/', '-')}{f'-{place + 1}' if place else ''}.csv"
            keep(Path(app.outdir), file, as_csv(rows_of(table)))
            text = line(f"make verify FIG={what}", f"../_static/numbers/{file}", "table")
            if isinstance(table, str):
                whole = node.astext().replace(table, table + text, 1)
                node.clear()
                node += nodes.Text(whole)
            else:
                node.parent.insert(node.parent.index(node) + 1, nodes.raw("", text, format="html"))


def shown_tables(cell: nodes.container) -> list[tuple[nodes.Node, nodes.table | str]]:
    """The tables among a cell's outputs, each with the node that holds it."""
    found: list[tuple[nodes.Node, nodes.table | str]] = []
    for output in cell.findall(lambda node: isinstance(node, nodes.container) and "cell_output" in node["classes"]):
        for node in output.findall(lambda node: isinstance(node, (nodes.table, nodes.raw))):
            tables = [node] if isinstance(node, nodes.table) else TABLE.findall(node.astext())
            found += [(node, table) for table in tables]
    return found


def keep(out: Path, file: str, text: str) -> None:
    """A file of numbers beside the pages."""
    folder = out / "_static" / "numbers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text, encoding="utf-8")


def footer(name: str, made: dict, numbers: str) -> str:
    """What one chapter was made from, as a list of terms."""
    run = made["notebooks"][name]
    settings = ", ".join(f"{key} = {value}" for key, value in sorted(run.get("parameters", {}).items()))
    return section({
        "Command": f"<code>make reproduce PROFILE={escape(made['profile'])}</code>, or this page alone: "
        f"<code>make verify FIG={escape(name)}</code>; one figure or table: the command under it, which runs this "
        "notebook to the end of that section",
        "Settings": escape(settings) or "the notebook's own",
        "Time": f"{run['seconds']} seconds, finished {escape(run['finished'])}",
        "Numbers": f'<a href="{numbers}" download>{escape(name)}.json</a>, every value that this page noted',
    }, made)  # fmt: skip


def section(terms: dict[str, str], made: dict) -> str:
    """A page's own terms and those of the run that it was made from, in one order for all pages."""
    machine, changed = made["machine"], made.get("changed_files")
    hardware = f"{machine['processor']}, {machine['cores']} cores, {made['threads']} thread(s), {machine['system']}"
    commit = f"<code>{escape(made['commit'][:12] or 'no repository')}</code>"
    hashes = (f"{escape(key)} <code>{value[:12]}</code>" for key, value in made.get("hashes", {}).items())
    rows = {
        "Command": terms["Command"],
        "Commit": commit + (f", {changed} files changed since" if changed else ""),
        "Settings": terms["Settings"],
        "Data and weights": ", ".join(hashes),
        "Hardware": escape(hardware),
        "Time": terms["Time"],
        "Numbers": terms["Numbers"],
    }
    listed = "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in rows.items())
    return f'<section class="made-from" id="made"><h2>How this page was made</h2><dl>{listed}</dl></section>'


def footer_of_made(page: Made, made: dict) -> str:
    """The same for a page that is put together when the book is built."""
    profile, runs = escape(made["profile"]), made["notebooks"].values()
    seconds = sum(run["seconds"] for run in runs)
    return section({
        "Command": f"<code>make book PROFILE={profile}</code> for this page; <code>{page.command}</code>, {page.does}",
        "Settings": f"profile <code>{profile}</code>, whose chapters have theirs at their ends",
        "Time": f"{seconds:.0f} seconds for all chapters, the last finished {max(run['finished'] for run in runs)}",
        "Numbers": f'<a href="{NUMBERS}/{page.file}" download>{page.file}</a>, {page.holds}',
    }, made)  # fmt: skip


def add_footers(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Append the lines and the footer to a chapter's page."""
    name = page.removeprefix("executed/")
    made, _ = records(ROOT)
    if page in PAGES and "body" in context and made.get("notebooks"):
        context["body"] += footer_of_made(PAGES[page], made)
    if "body" not in context or name == page or name not in made.get("notebooks", {}):
        return
    numbers = f"{NUMBERS}/{name}.json"
    body = FIGURE.sub(lambda found: found[1] + line(f"make verify FIG={found[2]}", numbers) + found[3], context["body"])
    context["body"] = body + footer(name, made, numbers)


def write_numbers(app: Sphinx, error: Exception | None) -> None:
    """The numbers of each chapter, and of each page that is made from them, as a file beside the pages."""
    if error or app.builder.name not in ("html", "dirhtml"):
        return
    _, results = records(ROOT)
    for page in PAGES.values():
        keep(Path(app.outdir), page.file, as_csv(page.rows()))
    for name, values in results.items():
        keep(Path(app.outdir), f"{name}.json", json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def changed_runs(app: Sphinx, env: BuildEnvironment, *lists: set[str]) -> list[str]:
    """A chapter is built again when its run is another one, even where its source is the same."""
    made, _ = records(ROOT)
    marks = {f"executed/{name}": str(run) + made["commit"] for name, run in made.get("notebooks", {}).items()}
    old, env.mmel_runs = getattr(env, "mmel_runs", {}), marks
    return [page for page, mark in marks.items() if old.get(page) != mark and page in env.found_docs]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", changed_runs)
    app.connect("doctree-resolved", mark_tables, priority=900)
    app.connect("html-page-context", add_footers, priority=700)
    app.connect("build-finished", write_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
