"""What is kept of executed notebooks: values, figures, provenance, and the pages' sources."""

from __future__ import annotations

import base64
import json
import os
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sources import package_hashes, versions

VALUE = "application/vnd.mmel.value+json"
PASSES = "forward_passes"
WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURES = {"image/svg+xml": "svg", "image/png": "png"}


class Stop(Exception):
    """Why the build ends here; printed without a traceback."""


@dataclass(frozen=True)
class Task:
    """One notebook and what it is run with."""

    source: Path
    target: Path
    parameters: dict[str, object]
    mark: str  # the fingerprint
    label: str = ""  # of the model, where a profile names several

    @property
    def name(self) -> str:
        return self.source.stem

    @property
    def shown(self) -> str:
        return f"{self.label} {self.name}".strip()


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, and leave it alone when it already has this content."""
    content = content.encode() if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(content)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def dump(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def outputs(notebook: NotebookNode) -> list[tuple[NotebookNode, dict]]:
    """(cell, data) of every output that is shown."""
    return [
        (cell, output.data)
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "data" in output
    ]


def parameter_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells with a notebook's settings; most have one, some two."""
    return [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]


def values(name: str, notebook: NotebookNode) -> dict[str, object]:
    """What a notebook noted, by name."""
    found = {}
    for _, data in outputs(notebook):
        if VALUE in data:
            entry = data[VALUE]
            if entry["name"] in found:
                raise Stop(f"notebooks/{name}.ipynb notes {entry['name']!r} twice: give each value its own name.")
            found[entry["name"]] = entry["value"]
    return found


def name_of(cell: NotebookNode) -> str | None:
    """A cell's figure by its name."""
    return cell.metadata.get("mystnb", {}).get("figure", {}).get("name")


def keep_figures(notebook: NotebookNode, folder: Path) -> None:
    """Every picture as a file, named after its figure (or its cell), in each format that was made."""
    kept = set()
    for number, (cell, data) in enumerate(outputs(notebook)):
        stem = name_of(cell) or cell.id
        for kind, suffix in PICTURES.items():
            if kind in data:
                path = folder / f"{stem}.{suffix}"
                path = path if path not in kept else folder / f"{stem}-{number}.{suffix}"
                write(path, data[kind] if suffix == "svg" else base64.b64decode(data[kind]))
                kept.add(path)
    if folder.exists():
        for path in set(folder.iterdir()) - kept:
            path.unlink()


def joined(found: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of printed text as one: a kernel may cut what a cell prints anywhere."""
    whole: list[NotebookNode] = []
    for output in found:
        if whole and output.output_type == whole[-1].output_type == "stream" and output.name == whole[-1].name:
            whole[-1].text += output.text
        else:
            whole.append(NotebookNode(output))
    return whole


def printed(output: NotebookNode) -> NotebookNode:
    """A noted value as printed text: a figure's name would go to everything that its cell displays."""
    if VALUE not in output.get("data", {}):
        return output
    return nbformat.v4.new_output("stream", name="stdout", text=output.data["text/plain"] + "\n")


def stage(task: Task, folder: Path) -> None:
    """The page's source: words and settings of cells as they are now, outputs as executed."""
    source, executed = nbformat.read(task.source, 4), nbformat.read(task.target, 4)
    done = {cell.id: cell for cell in executed.cells}
    cells = []
    for cell in source.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = joined(done[cell.id].outputs), done[cell.id].execution_count
        cells.append(cell)
        if cell in parameter_cells(source)[-1:]:
            cells += [c for c in executed.cells if "injected-parameters" in c.metadata.get("tags", [])]
    source.cells = cells
    for cell in cells:
        if cell.metadata.get("mystnb", {}).get("figure"):
            cell.outputs = joined([printed(output) for output in cell.outputs])
    for _, data in outputs(source):
        if "image/png" in data:  # one format a picture; the maps in an SVG are coarser
            data.pop("image/svg+xml", None)
            data.pop(WIDGET, None)  # a widget that is also a picture: a page has no kernel to play with
        data.pop(VALUE, None)
    if "widgets" in executed.metadata and any(WIDGET in data for _, data in outputs(source)):
        source.metadata["widgets"] = executed.metadata["widgets"]
    for cell in cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
    write(folder / task.source.name, nbformat.writes(source) + "\n")


def provenance(root: Path, profile: str, threads: int, tasks: list[Task]) -> dict[str, object]:
    """Commit, machine, versions, seconds: all that may differ between two runs with the same results."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    runs = {task.name: dict(nbformat.read(task.target, 4).metadata["mmel"]) for task in tasks}
    for task in tasks:
        runs[task.name]["parameters"] = task.parameters
    return {
        "profile": profile,
        "commit": git("rev-parse", "HEAD"),
        "changed_files": len(git("status", "--porcelain").splitlines()),
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "threads": threads,
        "versions": versions(root),
        "hashes": package_hashes(root),
        "notebooks": runs,
        "seconds": round(sum(run["seconds"] for run in runs.values()), 1),
    }


def collect(root: Path, profile: str, threads: int, tasks: list[Task]) -> dict[str, dict[str, object]]:
    """Write results, figures and provenance of the notebooks of one model, and stage their pages: those of the bundled
    models only, for no book is built from the others."""
    label = tasks[0].label if tasks else ""
    run, results = root / "runs" / profile / label, {}
    for task in tasks:
        notebook = nbformat.read(task.target, 4)
        results[task.name] = values(task.name, notebook)
        keep_figures(notebook, run / "figures" / task.name)
        if not label:
            stage(task, root / "executed")
    write(run / "results.json", dump(results))
    write(run / "provenance.json", dump(provenance(root, profile, threads, tasks)))
    if not label:  # for the pages that show what was measured
        write(root / "executed" / "run.json", dump({"profile": profile}))
    for folder in (run / "notebooks", *([] if label else [root / "executed"])):
        for stale in set(folder.glob("*.ipynb")) - {folder / task.source.name for task in tasks}:
            stale.unlink()
    return results


def check_budgets(results: dict[str, dict[str, object]]) -> None:
    """Print forward passes against budgets; stop where a notebook used more than it may."""
    over = []
    for name, found in results.items():
        passes = found.get(PASSES)
        if passes:
            print(f"{name:24} {passes['used']:8,} of {passes['budget']:8,} forward passes")
            over += [name] * (passes["used"] > passes["budget"])
    total = [found[PASSES] for found in results.values() if PASSES in found]
    if total:
        print(f"{'all':24} {sum(p['used'] for p in total):8,} of {sum(p['budget'] for p in total):8,}")
    if over:
        raise Stop(f"over the budget of forward passes: {', '.join(over)}. Use fewer samples, or state why more.")
