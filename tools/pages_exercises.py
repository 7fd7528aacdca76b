"""The exercises as MyST: question, a check of numeric answers in the page, a solution behind an attempt.

python tools/pages_exercises.py    put the questions, as mmel/exercises/ has them, into the starters and solutions
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import nbformat

from mmel.exercises import EXERCISES, Exercise, Numeric


def slug(name: str) -> str:
    return re.sub(r"\W", "-", name)


def words(exercise: Exercise) -> str:
    """An exercise's title and question as a starter has them: where no book numbers the equations."""
    asked = re.sub(r"\{eq\}`eq-([^`]+)`", r"Eq. (\1)", exercise.question)
    return f"## {exercise.title} ({exercise.name})\n\nAbout {exercise.minutes} minutes. {asked}"


def asked(path: Path) -> dict[str, nbformat.NotebookNode]:
    """The cell of each exercise of a notebook that holds its question: the one before its code."""
    cells = nbformat.read(path, 4).cells
    return {cell.metadata["exercise"]: cells[i - 1] for i, cell in enumerate(cells) if "exercise" in cell.metadata}


def put_questions(root: Path) -> None:
    """Bring every starter and solution up to date."""
    for path in sorted((root / "notebooks" / "exercises").rglob("*.ipynb")):
        notebook, now = nbformat.read(path, 4), asked(path)
        said = {cell.id: words(EXERCISES[name]) for name, cell in now.items()}
        for cell in notebook.cells:
            cell.source = said.get(cell.id, cell.source)
        path.write_text(nbformat.writes(notebook).rstrip("\n") + "\n")


def solutions(root: Path) -> dict[str, tuple[str, str]]:
    """The cell that solves each exercise, and the notebook it stands in."""
    found = {}
    for path in sorted((root / "notebooks" / "exercises" / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            if "exercise" in cell.metadata:
                code = cell.source.rpartition("check(")[0].rstrip()
                found[cell.metadata["exercise"]] = (code, path.stem)
    return found


def sets(root: Path) -> dict[str, tuple[str, list[str]]]:
    """Title and exercises of each starter notebook, by its name."""
    found = {}
    for path in sorted((root / "notebooks" / "exercises").glob("*.ipynb")):
        notebook = nbformat.read(path, 4)
        title = notebook.cells[0].source.split("\n")[0].removeprefix("# Exercises: ")
        named = [cell.metadata["exercise"] for cell in notebook.cells if "exercise" in cell.metadata]
        found[path.stem] = (title, named)
    return found


def form(exercise: Exercise, answer: Numeric) -> str:
    """A field for a number; the script of the page does what `check` does."""
    data = {
        "value": answer.value, "tolerance": answer.tolerance, "mistakes": answer.mistakes,
        "otherwise": answer.otherwise, "praise": exercise.praise,
    }  # fmt: skip
    return (
        f'<form class="answer" data-answer=\'{escape(json.dumps(data))}\' data-for="{slug(exercise.name)}" hidden>'
        f'<label>Your answer <input name="number" inputmode="decimal" autocomplete="off"></label>'
        f'<button type="submit">Check</button><output aria-live="polite"></output></form>'
    )


def attempt(exercise: Exercise) -> str:
    """For code: a field for what was tried; it opens the solution and goes nowhere."""
    return (
        f'<form class="attempt" data-for="{slug(exercise.name)}" hidden>'
        "<label>What you tried, or where you are stuck (it stays in this page) "
        '<textarea name="tried" rows="2"></textarea></label>'
        '<button type="submit">Show a solution</button><output aria-live="polite"></output></form>'
    )


def block(exercise: Exercise, solved: tuple[str, str], notebook: str) -> list[str]:
    """One exercise: the question, how to check it, and one solution."""
    numeric = isinstance(exercise.answer, Numeric)
    call = f'check("{exercise.name}", {"answer" if numeric else "your_function"})'
    where = f"`{call}` in `notebooks/exercises/{notebook}.ipynb` gives a hint."
    code, _ = solved
    ticks = "```"
    return [
        f"(ex-{slug(exercise.name)})=",
        f"### {exercise.title}",
        "",
        f"````{{exercise}} {exercise.name}, about {exercise.minutes} minutes",
        f":label: exercise-{slug(exercise.name)}",
        ":nonumber:",
        "",
        exercise.question.replace("{eq}", "Eq. {eq}"),
        "",
        where,
        "````",
        "",
        f"{ticks}{{raw}} html",
        form(exercise, exercise.answer) if numeric else attempt(exercise),
        f'<details class="solution" id="solution-{slug(exercise.name)}">',
        f"<summary>One solution of {exercise.name}</summary>",
        ticks,
        "",
        f"{ticks}python",
        code,
        ticks,
        "",
        *([exercise.praise, ""] if exercise.praise else []),
        f"{ticks}{{raw}} html",
        "</details>",
        ticks,
        "",
    ]


def page(root: Path) -> str:
    """Every exercise under the title of its notebook."""
    solved, lines = solutions(root), []
    for notebook, (title, named) in sets(root).items():
        lines += [f"## {title}", "", f"Starter: `notebooks/exercises/{notebook}.ipynb`.", ""]
        for name in named:
            lines += block(EXERCISES[name], solved[name], notebook)
    lines += ["```{raw} html", '<script defer src="../_static/exercises.js"></script>', "```"]
    return "\n".join(lines)


if __name__ == "__main__":
    put_questions(Path(__file__).parents[1])
