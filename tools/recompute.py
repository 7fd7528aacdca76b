"""Make one figure, table or chapter again and compare: recompute.py FIG [--profile bundled] [--device auto].

FIG is a figure or table of the paper (5 or figure5; table2), a chapter (07_mmel), the name of a figure on its page
(fig-mmel-gate), or a chapter and one of its cells (11_table1/table-image). The notebook runs again in a folder of its
own with the profile's parameters, to the end of the section that shows what was asked for. Compared are the values that
these cells note with results.json, and the tables and pictures that were asked for with those of the run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import nbformat
from alike import differences, displayed, shown
from collect import Stop, values
from named import DRAWING, Named, boxes, find, of_paper, upto
from nbformat import NotebookNode
from run_notebooks import execute, plan, settle

ROOT = Path(__file__).parents[1]


def recompute(root: Path, figure: str, profile: str, device: str, threads: int) -> int:
    """Run it, compare, say; returns how many values, tables and pictures differ."""
    if of_paper(figure) == DRAWING:
        count, gone = boxes(root)
        print(f"Figure 1 is a drawing: {count} links to chapters and functions, not there: {', '.join(gone) or 'none'}")
        return len(gone)
    found = find(figure, plan(root, profile, device, threads))
    task, run = found.task, root / "runs" / profile
    stored = json.loads((run / "results.json").read_text()).get(task.name) if (run / "results.json").exists() else None
    if stored is None:
        raise Stop(f"runs/{profile} has no results of {task.name}: run `make reproduce PROFILE={profile}` first.")
    with tempfile.TemporaryDirectory() as folder:
        seconds, again = run_again(found, Path(folder))
    noted = values(task.name, again)
    if found.cells and not noted and not shown_by(found, again):
        raise Stop(f"{figure} shows no table and no picture, and notes no value: there is nothing to compare.")
    wrong = differences({key: value for key, value in stored.items() if not found.cells or key in noted}, noted)
    wrong += other_outputs(found, run, again)
    what = f"{task.name}: {figure}" if found.cells else task.name
    said = f"{len(noted)} values" + (f", {shown_by(found, again)} tables and pictures" if found.cells else "")
    print("\n".join(wrong) or f"{what}: all {said} are the same, in {seconds} seconds")
    return len(wrong)


def run_again(found: Named, folder: Path) -> tuple[float, NotebookNode]:
    """The seconds it took, and the cells as they ran."""
    part = nbformat.read(found.task.source, 4)
    part.cells = upto(part.cells, found.cells)
    seconds = execute(replace(found.task, target=folder / found.task.source.name), part)
    return seconds, nbformat.read(folder / found.task.source.name, 4)


def other_outputs(found: Named, run: Path, again: NotebookNode) -> list[str]:
    """Tables and pictures of the cells asked for that are not those of the run."""
    if not found.cells:
        return []
    kept = run / "notebooks" / found.task.source.name
    if not kept.exists():
        raise Stop(f"runs/{run.name}/notebooks/{kept.name} is gone, with its tables: run `make reproduce` first.")
    before = {cell.id: cell for cell in nbformat.read(kept, 4).cells}
    now = {cell.id: cell for cell in again.cells}
    if fresh := [each for each in found.cells if each not in before]:
        raise Stop(f"the run does not have the cell {', '.join(fresh)} yet: run `make reproduce` first.")
    return [line for each in found.cells for line in displayed(each, before[each], now[each])]


def shown_by(found: Named, again: NotebookNode) -> int:
    return sum(len(shown(cell)) for cell in again.cells if cell.id in found.cells)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure")
    parser.add_argument("--profile", default="bundled")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    root = chosen.root.resolve()
    with tempfile.TemporaryDirectory() as folder:
        settle(root, chosen.threads, folder)
        try:
            return int(bool(recompute(root, chosen.figure, chosen.profile, chosen.device, chosen.threads)))
        except Stop as stop:
            print(stop, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
