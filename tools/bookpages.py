"""Pages that are made from the sources when the book is built: a local Sphinx extension.

A page asks for a made part by a comment of its own on a line: `<!-- made: claims-ledger -->`. What cannot be made
whole is a warning of Sphinx, which the strict build takes for an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import equations
import pages_effects
import pages_exercises
import pages_ledger
import pages_living
import pages_reference
from sphinx.application import Sphinx
from sphinx.util import logging

from mmel.errors import MmelError

ROOT = Path(__file__).parents[1]
MARK = re.compile(r"^<!-- made: ([\w-]+)(?: (\w+))? -->$", re.MULTILINE)
say = logging.getLogger(__name__)


def staged(root: Path) -> str:
    """The profile whose notebooks are the book's pages."""
    path = root / "executed" / "run.json"
    return json.loads(path.read_text())["profile"] if path.exists() else "bundled"


def raw(html: str) -> str:
    """HTML as MyST; empty lines would end the block."""
    return "````{raw} html\n" + re.sub(r"\n\s*\n", "\n", html) + "\n````"


PARTS: dict[str, Callable[[str | None], str]] = {
    "claims-ledger": lambda _: raw(pages_ledger.ledger(ROOT, staged(ROOT))),
    "answers": lambda _: raw(pages_effects.answers(ROOT, staged(ROOT))),
    "effects": lambda name: raw(pages_effects.page(ROOT, staged(ROOT), str(name))),
    "research-question": lambda name: raw(pages_ledger.question(ROOT, staged(ROOT), str(name))),
    "equation-table": lambda _: equations.page(ROOT),
    "api-reference": lambda _: raw(pages_reference.page(ROOT)),
    "living-figure": lambda _: raw(pages_living.figure(ROOT, staged(ROOT))),
    "exercise-list": lambda _: pages_exercises.page(ROOT),
}
SOURCES = (  # a page with a made part is built again when one of these changes
    "book/claims.yml", "book/effects.yml", "book/paper_tables.csv", "runs/*/results.json", "runs/*/provenance.json",
    "executed/run.json", "mmel/**/*.py",
    "mmel/widgets/page/*", "tests/test_*.py", "tools/*.py", "notebooks/**/*.ipynb",
)  # fmt: skip


def fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put each made part where the page asks for it."""

    def made(found: re.Match) -> str:
        try:
            return PARTS[found[1]](found[2])
        except (KeyError, MmelError, equations.Missing) as error:
            say.warning(f"made: {found[1]}: {error!r}", location=docname)
            return ""

    if not docname.startswith("book/") or not MARK.search(source[0]):
        return
    for pattern in SOURCES:
        for path in ROOT.glob(pattern):
            app.env.dependencies[docname].add(str(path))
    source[0] = MARK.sub(made, source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", fill)
    app.connect("html-page-context", pages_reference.link_names, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
