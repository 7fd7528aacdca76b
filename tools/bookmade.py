"""Under every figure and table: how to make it again, and its numbers. Under every chapter: what it was made from."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

from bookpages import ROOT, staged
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

FIGURE = re.compile(r'(<figure\b[^>]*\bid="([\w-]+)".*?)(</figcaption>)', re.DOTALL)
TABLE = re.compile(r'(<table border="1" class="dataframe">.*?</table>)', re.DOTALL)


def records(root: Path) -> tuple[dict, dict]:
    """Provenance and results of the profile that the pages come from; empty where nothing has run."""
    folder = root / "runs" / staged(root)
    found = [folder / name for name in ("provenance.json", "results.json")]
    made, results = (json.loads(path.read_text()) if path.exists() else {} for path in found)
    return made, results


def line(what: str, numbers: str) -> str:
    """The short line under one figure or table."""
    return (
        f'<span class="made"><code>make verify FIG={escape(what)}</code> '
        f'<a href="{numbers}" download>numbers of this page</a> <a href="#made">how it was made</a></span>'
    )


def footer(name: str, made: dict, numbers: str) -> str:
    """What one chapter was made from, as a list of terms."""
    run = made["notebooks"][name]
    settings = ", ".join(f"{key} = {value}" for key, value in sorted(run.get("parameters", {}).items()))
    changed = f", {made['changed_files']} files changed since" if made.get("changed_files") else ""
    machine = made["machine"]
    rows = {
        "Command": f"<code>make reproduce PROFILE={escape(made['profile'])}</code>, or this page alone: "
        f"<code>make verify FIG={escape(name)}</code>",
        "Commit": f"<code>{escape(made['commit'][:12] or 'no repository')}</code>{changed}",
        "Settings": escape(settings) or "the notebook's own",
        "Data and weights": ", ".join(
            f"{escape(key)} <code>{value[:12]}</code>" for key, value in made.get("hashes", {}).items()
        ),
        "Hardware": escape(
            f"{machine['processor']}, {machine['cores']} cores, {made['threads']} thread(s), {machine['system']}"
        ),
        "Time": f"{run['seconds']} seconds, finished {escape(run['finished'])}",
        "Numbers": f'<a href="{numbers}" download>{escape(name)}.json</a>, every value that this page noted',
    }
    terms = "".join(f"<dt>{key}</dt><dd>{value}</dd>" for key, value in rows.items())
    return f'<section class="made-from" id="made"><h2>How this page was made</h2><dl>{terms}</dl></section>'


def add_footers(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Append the lines and the footer to a chapter's page."""
    name = page.removeprefix("executed/")
    made, _ = records(ROOT)
    if "body" not in context or name == page or name not in made.get("notebooks", {}):
        return
    numbers = f"../_static/numbers/{name}.json"
    body = FIGURE.sub(lambda found: f"{found[1]}{line(found[2], numbers)}{found[3]}", context["body"])
    body = TABLE.sub(lambda found: f"{found[1]}{line(name, numbers)}", body)
    context["body"] = body + footer(name, made, numbers)


def write_numbers(app: Sphinx, error: Exception | None) -> None:
    """The numbers of each chapter as a file beside the pages."""
    if error or app.builder.name not in ("html", "dirhtml"):
        return
    _, results = records(ROOT)
    folder = Path(app.outdir) / "_static" / "numbers"
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in results.items():
        (folder / f"{name}.json").write_text(json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def changed_runs(app: Sphinx, env: BuildEnvironment, *lists: set[str]) -> list[str]:
    """A chapter is built again when its run is another one, even where its source is the same."""
    made, _ = records(ROOT)
    marks = {f"executed/{name}": str(run) + made["commit"] for name, run in made.get("notebooks", {}).items()}
    old, env.mmel_runs = getattr(env, "mmel_runs", {}), marks
    return [page for page, mark in marks.items() if old.get(page) != mark and page in env.found_docs]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", changed_runs)
    app.connect("html-page-context", add_footers, priority=700)
    app.connect("build-finished", write_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
