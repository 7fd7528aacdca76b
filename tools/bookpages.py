"""Pages that are made from the sources when the book is built: a local Sphinx extension of directives.

`claims-ledger`, `research-question`, `equation-table`, `api-reference`, `exercise-list`. What cannot be made whole is
a warning of Sphinx, which the strict build takes for an error.
"""

from __future__ import annotations

import json
from pathlib import Path

import equations
import pages_exercises
import pages_ledger
import pages_reference
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx

from mmel.errors import MmelError

ROOT = Path(__file__).parents[1]


def staged(root: Path) -> str:
    """The profile whose notebooks are the book's pages."""
    path = root / "executed" / "run.json"
    return json.loads(path.read_text())["profile"] if path.exists() else "bundled"


class Made(Directive):
    """A directive whose content is made from files, so that the page is built again when one of them changes."""

    optional_arguments = 1
    sources: tuple[str, ...] = ()

    def text(self) -> tuple[str, str]:
        """("html" or "myst", content)."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        for name in self.sources:
            for path in sorted(ROOT.glob(name.format(profile=staged(ROOT)))):
                env.note_dependency(str(path))
        try:
            kind, text = self.text()
        except (MmelError, equations.Missing) as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        if kind == "html":
            return [nodes.raw("", text, format="html")]
        holder = nodes.container()
        self.state.nested_parse(StringList(text.splitlines(), source=self.name), self.content_offset, holder)
        return holder.children


LEDGER = ("book/claims.yml", "book/paper_tables.csv", "runs/{profile}/results.json", "runs/paper/results.json",
          "executed/run.json", "mmel/ledger/*.py", "tools/pages_ledger.py")  # fmt: skip


class ClaimsLedger(Made):
    sources = LEDGER

    def text(self) -> tuple[str, str]:
        return "html", pages_ledger.ledger(ROOT, staged(ROOT))


class ResearchQuestion(Made):
    required_arguments, optional_arguments = 1, 0
    sources = LEDGER

    def text(self) -> tuple[str, str]:
        return "html", pages_ledger.question(ROOT, staged(ROOT), self.arguments[0])


class EquationTable(Made):
    sources = ("mmel/*.py", "mmel/*/*.py", "tests/test_*.py", "notebooks/*.ipynb", "tools/equations.py")

    def text(self) -> tuple[str, str]:
        return "myst", equations.page(ROOT)


class ApiReference(Made):
    sources = ("mmel/*.py", "mmel/*/*.py", "tools/pages_reference.py")

    def text(self) -> tuple[str, str]:
        return "html", pages_reference.page(ROOT)


class ExerciseList(Made):
    sources = ("mmel/exercises/*.py", "notebooks/exercises/*.ipynb", "notebooks/exercises/*/*.ipynb",
               "tools/pages_exercises.py")  # fmt: skip

    def text(self) -> tuple[str, str]:
        return "myst", pages_exercises.page(ROOT)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("claims-ledger", ClaimsLedger)
    app.add_directive("research-question", ResearchQuestion)
    app.add_directive("equation-table", EquationTable)
    app.add_directive("api-reference", ApiReference)
    app.add_directive("exercise-list", ExerciseList)
    app.connect("html-page-context", pages_reference.link_names, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
