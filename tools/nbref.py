"""Keep source notebooks clean: outputs only in cells tagged `nbval-check-output`, and those plain text.

    nbref.py check [FILE...]    say what is not clean, and fail
    nbref.py clean [FILE...]    clean the files
    nbref.py update [FILE...]   take the outputs of the tagged cells from runs/quick/notebooks, then clean

Without a file, every notebook of the book: notebooks/*.ipynb.
nbval compares the tagged cells only. It passes a tagged cell without an execution count, so a cell that lost
its output would be checked no more: `check` refuses it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from collect import joined

TAG = "nbval-check-output"
EXECUTED = Path("runs/quick/notebooks")
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
TRACES = (
    "papermill",
    "execution",
    "collapsed",
    "scrolled",
    "ExecuteTime",
)  # what tools leave in a cell's metadata


def tagged(cell: nbformat.NotebookNode) -> bool:
    return cell.cell_type == "code" and TAG in cell.metadata.get("tags", [])


def is_text(output: nbformat.NotebookNode) -> bool:
    """Whether nbval can compare this output: printed text or a value's plain text, nothing else."""
    if output.output_type == "stream":
        return output.name == "stdout" and bool(output.text.strip())
    return output.output_type == "execute_result" and set(output.data) == {"text/plain"}


def clean(notebook: nbformat.NotebookNode) -> None:
    """Take away what a run leaves behind, in place."""
    notebook.metadata = nbformat.from_dict(KERNEL)
    for cell in notebook.cells:
        for key in TRACES:
            cell.metadata.pop(key, None)
        if cell.metadata.get("tags") == []:
            del cell.metadata["tags"]
        if cell.cell_type != "code":
            continue
        if not tagged(cell):
            cell.outputs, cell.execution_count = [], None
            continue
        cell.execution_count = 1
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = 1


def faults(notebook: nbformat.NotebookNode) -> list[str]:
    """Why a notebook guards nothing, or guards what cannot be compared."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if tagged(cell) and not cell.outputs:
            found.append(f"cell {index} is tagged {TAG} and has no output: run `nbref.py update`")
        elif tagged(cell) and not all(map(is_text, cell.outputs)):
            found.append(f"cell {index} is tagged {TAG} and shows more than text: print rounded values instead")
    if not any(map(tagged, notebook.cells)):
        found.append(f"no cell is tagged {TAG}: tag one that prints the notebook's main numbers")
    return found


def take_outputs(notebook: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> None:
    """Outputs of the tagged cells from an executed copy, matched by the cells' ids."""
    done = {cell.id: cell for cell in executed.cells}
    for cell in filter(tagged, notebook.cells):
        if cell.id in done:
            cell.outputs = joined(done[cell.id].outputs)


def visit(mode: str, path: Path) -> list[str]:
    """Do one file; returns what is wrong with it."""
    old = path.read_text()
    notebook = nbformat.reads(old, 4)
    if mode == "update" and not (EXECUTED / path.name).exists():
        return [f"not run yet, so that there is nothing to take: make notebooks PROFILE=quick ONLY={path.stem}"]
    if mode == "update":
        take_outputs(notebook, nbformat.read(EXECUTED / path.name, 4))
    clean(notebook)
    new = nbformat.writes(notebook).rstrip("\n") + "\n"
    wrong = faults(notebook)
    if mode == "check":
        return wrong + ["not clean: run `nbref.py clean`"] * (new != old)
    path.write_text(new)
    return wrong


def main(arguments: list[str]) -> int:
    mode, *files = arguments or [""]
    if mode not in ("check", "clean", "update"):
        print(__doc__)
        return 2
    files = files or sorted(map(str, Path("notebooks").glob("*.ipynb")))
    if not files:
        print("no notebooks here: run it from the folder of the project, or name files.", file=sys.stderr)
        return 2
    wrong = [f"{file}: {fault}" for file in files for fault in visit(mode, Path(file))]
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
