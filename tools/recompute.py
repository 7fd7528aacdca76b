"""Make one figure's or chapter's numbers again and compare: recompute.py FIG [--profile bundled] [--device auto].

FIG is a chapter (07_mmel) or the name of a figure on its page (fig-mmel-gate): the notebook that makes it runs again,
in a folder of its own, with the profile's parameters, and each value that it notes is compared with results.json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import nbformat
from collect import Stop, Task, values
from run_notebooks import execute, plan, settle

ROOT = Path(__file__).parents[1]
CLOSE = 1e-5  # relative: batches and threads may round differently


def task_of(figure: str, tasks: list[Task]) -> Task:
    """The chapter of this name, or the one that has a figure of this name."""
    for task in tasks:
        cells = nbformat.read(task.source, 4).cells
        named = {cell.metadata.get("mystnb", {}).get("figure", {}).get("name") for cell in cells}
        if figure in {task.name, *named}:
            return task
    raise Stop(f"no chapter and no figure is called {figure!r}: a page names its figures under each of them.")


def differences(old: object, new: object, where: str = "") -> list[str]:
    """One line for each number or text that is not the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{where} / {key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{where}[{index}]")]
    numbers = [isinstance(each, (int, float)) and not isinstance(each, bool) for each in (old, new)]
    same = math.isclose(old, new, rel_tol=CLOSE, abs_tol=CLOSE) if all(numbers) else old == new
    return [] if same else [f"{where.removeprefix(' / ')}: was {old}, is {new}"]


def recompute(root: Path, figure: str, profile: str, device: str, threads: int) -> int:
    """Run it, compare, say; returns how many values differ."""
    task = task_of(figure, plan(root, profile, device, threads))
    path = root / "runs" / profile / "results.json"
    stored = json.loads(path.read_text()).get(task.name) if path.exists() else None
    if stored is None:
        raise Stop(f"runs/{profile} has no results of {task.name}: run `make reproduce PROFILE={profile}` first.")
    with tempfile.TemporaryDirectory() as folder:
        again = replace(task, target=Path(folder) / task.source.name)
        seconds = execute(again)
        found = values(task.name, nbformat.read(again.target, 4))
    wrong = differences(stored, found)
    print("\n".join(wrong) or f"{task.name}: all {len(stored)} values are the same, in {seconds} seconds")
    return len(wrong)


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
