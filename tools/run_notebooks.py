"""Run the notebooks of a profile, each only when it, its parameters or a source it depends on has changed.

    run_notebooks.py --profile quick|bundled|full|paper|paper-smoke [--device auto|cpu|cuda] [--jobs 2] [--threads 1]
                     [--only 13_table3 ...]

Leaves in runs/<profile>: notebooks/ as executed, figures/<notebook>/ as SVG and PNG, results.json (what the
notebooks noted: the same bytes for the same sources, settings, threads and versions) and provenance.json
(when, where, how long). Then stages the executed notebooks in executed/, where the book takes them from.
A profile with `models` (see paper.py) leaves all of this in runs/<profile>/<model>, and runs/<profile>/results.json
with the values of all models; the book stays as it is.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import nbformat
import paper
import papermill
import yaml
from collect import Stop, Task, check_budgets, collect, dump, parameter_cells, write
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from sources import fingerprint, named_files

ROOT = Path(__file__).parents[1]


def read_profile(path: Path) -> dict:
    """A profile as it is written."""
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise Stop(f"no profile {path.stem!r}: choose one of {known}.")
    return yaml.safe_load(path.read_text()) or {}


def profile_parameters(path: Path, names: list[str], device: str) -> dict[str, dict[str, object]]:
    """Parameters of each notebook by its name: the profile's defaults, then its own."""
    profile = read_profile(path)
    defaults = {**profile.pop("defaults", {}), "device": device}
    if unknown := sorted(set(profile) - set(names)):
        raise Stop(f"{path.name} has parameters for {', '.join(unknown)}, and there is no such notebook.")
    return {name: {**defaults, **(profile.get(name) or {})} for name in names}


def check_parameters(name: str, notebook: NotebookNode, parameters: dict[str, object]) -> None:
    """Papermill injects any name; one that the notebook does not read would change nothing, silently."""
    if not parameter_cells(notebook):
        raise Stop(f"notebooks/{name}.ipynb has no cell tagged `parameters`.")
    if unknown := sorted(set(parameters) - set(paper.parameters_of(notebook))):
        raise Stop(f"notebooks/{name}.ipynb has no parameter {', '.join(unknown)} in its `parameters` cell.")


def plan(root: Path, profile: str, device: str, threads: int) -> list[Task]:
    """One task a notebook, in the order of their names; for a profile with models, one a notebook and model."""
    notebooks = {path.stem: nbformat.read(path, 4) for path in sorted((root / "notebooks").glob("*.ipynb"))}
    path = root / "profiles" / f"{profile}.yaml"
    if "models" in (settings := read_profile(path)):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:  # its models leave the memory with it
            jobs, marks = apart.submit(own_jobs, settings, notebooks, device, root).result()
    else:
        chosen = profile_parameters(path, list(notebooks), device)
        jobs, marks = [paper.Job("", name, parameters) for name, parameters in chosen.items()], {}
    tasks = []
    for job in jobs:
        notebook = notebooks[job.name]
        check_parameters(job.name, notebook, job.parameters)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        if profile != "full" and not job.label:  # those write what the others show
            marks = {"files": named_files(code, root / "notebooks")}
        mark = fingerprint(code, {"parameters": job.parameters, "threads": threads, **marks}, root)
        target = root / "runs" / profile / job.label / "notebooks" / f"{job.name}.ipynb"
        tasks.append(Task(root / "notebooks" / target.name, target, job.parameters, mark, job.label))
    return tasks


def own_jobs(settings: dict, notebooks: dict, device: str, root: Path) -> tuple[list[paper.Job], dict[str, str]]:
    """The notebooks of a profile with models, once all that they need is there."""
    if settings.get("made"):
        import smoke_world  # here, for it brings in torch

        smoke_world.make(root / settings["made"])
    wanted = paper.expand(settings, notebooks, device, root)
    for name, reason in wanted.left_out.items():
        print(f"{name:24} left out: {reason}", flush=True)
    return wanted.jobs, paper.ready(wanted, device, bool(settings.get("gpu")))


def is_done(task: Task) -> bool:
    """Whether the executed copy stands and was made from exactly this."""
    if not task.target.exists():
        return False
    return nbformat.read(task.target, 4).metadata.get("mmel", {}).get("fingerprint") == task.mark


def execute(task: Task, notebook: NotebookNode | None = None) -> float:
    """Run one notebook, or a part of it, and keep the executed copy; returns the seconds it took."""
    task.target.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it looks for parameters in one cell only; we have looked
    notebook = notebook or nbformat.read(task.source, 4)
    for cell in parameter_cells(notebook)[:-1]:  # papermill puts the profile's values below the first one
        cell.metadata["tags"].remove("parameters")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / task.target.name
        try:
            papermill.execute_notebook(
                notebook, str(draft), task.parameters, kernel_name="python3", progress_bar=False,
                log_output=False, cwd=str(task.source.parent),
            )  # fmt: skip
        except PapermillExecutionError as error:
            raise Stop(failure(task, error)) from None
        done = nbformat.read(draft, 4)
    seconds = round(time.monotonic() - start, 1)
    done.metadata["mmel"] = {
        "fingerprint": task.mark,
        "seconds": seconds,
        "finished": time.strftime("%FT%TZ", time.gmtime()),
    }
    write(task.target, nbformat.writes(done) + "\n")
    return seconds


def failure(task: Task, error: PapermillExecutionError) -> str:
    """The notebook, the cell and the error."""
    cells = nbformat.read(task.source, 4).cells
    number = next((i for i, cell in enumerate(cells) if cell.source == error.source), error.cell_index)
    return (
        f"notebooks/{task.source.name} failed in cell {number} (execution {error.exec_count}):\n\n"
        + "".join(f"    {line}\n" for line in error.source.splitlines())
        + f"\n{error.ename}: {error.evalue}"
    )


def settle(root: Path, threads: int, folder: str) -> None:
    """What every kernel starts from: fixed threads, both picture formats, nobody's own start-up files."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ |= {
        "IPYTHONDIR": folder, "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
        "PYTHONWARNINGS": "ignore::RuntimeWarning:zmq",
    }  # fmt: skip
    configuration = Path(folder) / "profile_default" / "ipython_kernel_config.py"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        "c.IPKernelApp.log_level = 40\n"
        'c.InlineBackend.figure_formats = {"svg", "png"}\n'
        'c.InlineBackend.rc = {"svg.hashsalt": "mmel", "figure.dpi": 110}\n'
    )


def run(root: Path, profile: str, device: str, jobs: int, threads: int, only: Sequence[str] = ()) -> None:
    """Execute what has changed, then collect; of `only` some chapters nothing is collected."""
    tasks = plan(root, profile, device, threads)
    if unknown := sorted(set(only) - {task.name for task in tasks}):
        raise Stop(f"no chapter is called {', '.join(unknown)}: name them as their files, such as {tasks[0].name}.")
    tasks = [task for task in tasks if not only or task.name in only]
    waiting = [task for task in tasks if not is_done(task)]
    for task in tasks:
        if task not in waiting:
            print(f"{task.shown:24} unchanged")
    with ProcessPoolExecutor(max(1, min(jobs, len(waiting))), mp_context=get_context("spawn")) as pool:
        running = {pool.submit(execute, task): task for task in waiting}
        for future in as_completed(running):
            try:
                print(f"{running[future].shown:24} {future.result():8.1f} s", flush=True)
            except Exception:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    if only:
        return
    labels = dict.fromkeys(task.label for task in tasks)
    found = {each: collect(root, profile, threads, [task for task in tasks if task.label == each]) for each in labels}
    if "" not in found:
        write(root / "runs" / profile / "results.json", dump(found))
        print(f"the values of {', '.join(found)} are in runs/{profile}/results.json")
    for results in found.values():
        check_budgets(results)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="bundled")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], metavar="CHAPTER", help="execute these, and collect nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    root = chosen.root.resolve()
    with tempfile.TemporaryDirectory() as folder:
        settle(root, chosen.threads, folder)
        try:
            run(root, chosen.profile, chosen.device, chosen.jobs, chosen.threads, chosen.only)
        except Stop as stop:
            print(f"\n{stop}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
