"""What FIG names: a chapter, a figure of a page, a table of a page, or a figure or table of the paper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from collect import Stop, Task, name_of
from nbformat import NotebookNode

PAPER = {  # of the paper: the chapter, and the cells that show it, by figure or cell
    "figure2": ("15_figures", ("fig-figures-captions", "fig-figures-words")),
    "figure3": ("15_figures", ("fig-figures-captions",)),
    "figure4": ("15_figures", ("fig-figures-words-single",)),
    "figure5": ("15_figures", ("fig-figures-removal",)),
    "figure6": ("15_figures", ("fig-figures-removal", "fig-figures-entropy")),
    "table1": ("11_table1", ("table-image", "table-text")),
    "table2": ("12_table2", tuple(f"table-{kind}-{label}" for kind in ("deletion", "insertion")
                                  for label in ("true", "predicted"))),
    "table3": ("13_table3", ("table-deletion", "table-insertion")),
}  # fmt: skip
DRAWING = "figure1"  # boxes and arrows: book/figure1.svg
LINK = re.compile(r'href="(?:\.\./executed/(\w+)|reference)\.html(?:#([\w.]+))?"')


@dataclass(frozen=True)
class Named:
    """A chapter, and which of its cells are meant; none means all of it."""

    task: Task
    cells: tuple[str, ...] = ()


def of_paper(name: str) -> str:
    """The paper's own number as we name it, `figure5` or `table2`; anything else as it is."""
    found = re.fullmatch(r"(?:(fig(?:ure)?|table)[ ._-]?)?([1-9])", name.strip(), re.IGNORECASE)
    if not found:
        return name
    return ("table" if (found[1] or "").lower() == "table" else "figure") + found[2]


def find(name: str, tasks: list[Task]) -> Named:
    """What a name stands for."""
    chapter, _, cell = of_paper(name).partition("/")
    wanted = (cell,) if cell else ()
    if chapter in PAPER:
        chapter, wanted = PAPER[chapter]
    for task in tasks:
        cells = nbformat.read(task.source, 4).cells
        if chapter == task.name:
            ids = {name_of(cell): cell.id for cell in cells} | {cell.id: cell.id for cell in cells}
            if unknown := [each for each in wanted if each not in ids]:
                raise Stop(f"{task.source.name} has no cell and no figure {', '.join(unknown)}.")
            return Named(task, tuple(ids[each] for each in wanted))
        if found := [cell.id for cell in cells if name_of(cell) == chapter]:
            return Named(task, tuple(found))
    raise Stop(
        f"no chapter, figure or table is called {name!r}: a page names its own under each of them, and the paper's "
        f"are 1 to 6 and table1 to table3."
    )


def upto(cells: list[NotebookNode], wanted: tuple[str, ...]) -> list[NotebookNode]:
    """The cells that have to run: to the end of the section of the last that is wanted, for a section notes what it
    shows; all where none is named."""
    if not wanted:
        return cells
    last = max(place for place, cell in enumerate(cells) if cell.id in wanted)
    ends = (place for place in range(last + 1, len(cells))
            if cells[place].cell_type == "markdown" and cells[place].source.startswith("#"))  # fmt: skip
    return cells[: next(ends, len(cells))]


def boxes(root: Path) -> tuple[int, list[str]]:
    """How many places the drawing of Figure 1 leads to, and which of them are not there."""
    import pages_reference

    page, gone, count = pages_reference.page(root), [], 0
    for chapter, anchor in LINK.findall((root / "book" / "figure1.svg").read_text(encoding="utf-8")):
        there = (root / "notebooks" / f"{chapter}.ipynb").exists() if chapter else f'id="{anchor}"' in page
        count += 1
        gone += [] if there else [chapter or anchor]
    return count, gone
