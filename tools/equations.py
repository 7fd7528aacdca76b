"""The table of equations, made from the code: number, LaTeX, function, property test, exercise.

LaTeX stands in a notebook as a `math` block with the label `eq-NUMBER`; a function says `Eq. NUMBER` (or `Sec.`) at the
start of its first docstring line; a test uses the function by name; an exercise names the equation. A missing leg is an
error of the build.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import nbformat

MATH = re.compile(r"```\{math\}\n:label: eq-(\S+)\n(.*?)\n```", re.DOTALL)
SAID = re.compile(r"(?:Eq\.|Sec\.) ((?:\d+(?:\.\d+)?[a-z]?(?:, | and | to )?)+)")
SECTIONS = {"3.2": ("3.2a", "3.2b")}  # numbered equations of a section that has none of the paper's numbers
FILES = ("clip.py", "trace.py", "methods/mmel.py", "methods/grad_eclip.py")  # where the paper's equations are
WHOLE = {"explain", "record"}  # use all equations, compute none by themselves
PIN = re.compile(r"twin|loop|by_hand")  # names of tests that write a formula out
ALSO = re.compile(r"bounded|same_weight|in_order|factors|changes_nothing|written_out")


class Missing(Exception):
    """A leg of the table that is not there."""


class Function(NamedTuple):
    """A function or class that says which equation it is."""

    module: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.module}.{self.name}"


class Row(NamedTuple):
    """One equation with all its legs."""

    number: str
    latex: str
    chapter: str
    functions: list[Function]
    tests: list[str]  # "tests/test_x.py::test_y"
    exercises: list[str]


def formulas(root: Path) -> dict[str, tuple[str, str]]:
    """LaTeX and chapter of every equation that has a number of the paper, in the order of the book.

    Labels of our own (`eq-plus`, `eq-knee`) have no number there, and need no legs.
    """
    found = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "markdown":
                for number, latex in MATH.findall(cell.source):
                    if number[0].isdigit():
                        found[number] = (latex.strip(), path.stem)
    return found


def functions(root: Path) -> dict[str, list[Function]]:
    """Functions by the equation that their first docstring line begins with."""
    found: dict[str, list[Function]] = {}
    for path in (root / "mmel" / name for name in FILES):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name not in WHOLE:
                for number in numbers(ast.get_docstring(node) or ""):
                    found.setdefault(number, []).append(Function(module, node.name))
    return found


def numbers(docstring: str) -> list[str]:
    """Equations that a docstring's first line names at its start, unless they are another paper's."""
    first = docstring.split("\n")[0]
    said = SAID.match(first)
    if not said or " of " in first[said.end() : said.end() + 4]:
        return []
    return [each for each in re.split(r", | and | to ", said[1].rstrip(", ")) if each]


def tests(root: Path) -> dict[str, list[str]]:
    """Tests by every name that they use."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and (PIN.search(node.name) or ALSO.search(node.name)):
                for name in {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}:
                    found.setdefault(name, []).append(f"{path.relative_to(root)}::{node.name}")
    return found


def table(root: Path) -> list[Row]:
    """Every equation with all its legs; raises `Missing` with everything that is not there."""
    from mmel.exercises import EXERCISES

    made, used, rows, wrong = functions(root), tests(root), [], []
    for number, (latex, chapter) in formulas(root).items():
        section = next((key for key, parts in SECTIONS.items() if number in parts), None)
        mine = made.get(number) or (section and part(number, made.get(section, [])))
        pinned = {test for one in mine or [] for test in used.get(one.name, [])}
        pinned = sorted(pinned, key=lambda test: (not PIN.search(test), test))
        asked = [each.name for each in EXERCISES.values() if number in each.equations]
        for leg, there in (("function", mine), ("property test", pinned), ("exercise", asked)):
            wrong += [f"equation {number} has no {leg}"] * (not there)
        rows.append(Row(number, latex, chapter, mine or [], pinned, asked))
    if wrong or not rows:
        raise Missing("; ".join(wrong) or "no notebook has an equation")
    return rows


def part(number: str, of_section: list[Function]) -> list[Function]:
    """Sec. 3.2 has two: the projections in trace, and the score in clip."""
    return [one for one in of_section if one.module.endswith("trace" if number.endswith("a") else "clip")]


def page(root: Path) -> str:
    """The table as MyST: one block an equation, so that a formula never runs out of a narrow page."""
    lines = []
    for row in table(root):
        names = ", ".join(f"`{one.path}`" for one in row.functions)
        pinned = ", ".join(f"`{test.split('::')[1]}` in `{test.split('::')[0]}`" for test in row.tests[:3])
        tasks = ", ".join(f"{{ref}}`{name} <ex-{slug(name)}>`" for name in row.exercises)
        lines += [
            f"(equation-row-{slug(row.number)})=",
            f"## {'Eq. ' if '.' not in row.number else 'Sec. '}{row.number}",
            "",
            f"$$\n{row.latex}\n$$",
            "",
            f"Chapter\n: {{doc}}`/executed/{row.chapter}`, {{eq}}`eq-{row.number}`",
            "",
            f"Function\n: {names}",
            "",
            f"Test\n: {pinned}",
            "",
            f"Exercise\n: {tasks}",
            "",
        ]
    return "\n".join(lines)


def rows(root: Path) -> list[list[str]]:
    """The table as texts, for the file beside the page."""
    return [["number", "chapter", "functions", "tests", "exercises", "LaTeX"]] + [
        [row.number, row.chapter, " ".join(one.path for one in row.functions), " ".join(row.tests),
         "; ".join(row.exercises), row.latex]
        for row in table(root)
    ]  # fmt: skip


def slug(name: str) -> str:
    return re.sub(r"\W", "-", name)
