"""Profiles for other models and datasets than the bundled ones: which notebooks run, with what, and is all of it there?

Such a profile has these keys beside `defaults` and the notebooks' own:

    models:    name -> {model, pretrained}: every notebook is run once with each
    datasets:  split of the bundled world -> {dataset, root}: what stands for it
    wherever:  parameters for each notebook that has one of that name
    skip:      notebooks that are left out
    made:      a folder that `smoke_world.py` fills first
    gpu:       true where a run without one would take days

A notebook takes part if its `parameters` cell has model, pretrained, dataset and root, and its dataset has a stand-in.
A value may hold ${MMEL_NAME} or ${MMEL_NAME:-default}: the variable of the environment, or else the entry `name` of
paper.toml beside the Makefile (profiles/paper.toml.example shows one).
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collect import Stop, parameter_cells
from nbformat import NotebookNode

KEYS = ("models", "datasets", "wherever", "skip", "made", "gpu")
NEEDED = ("model", "pretrained", "dataset", "root")
FILE = "paper.toml"
VARIABLE = re.compile(r"\$\{(MMEL_\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Job:
    """One notebook with one model."""

    label: str
    name: str
    parameters: dict[str, object]

    def data(self) -> Iterator[tuple[str, str]]:
        """Each dataset of the notebook with its root: `dataset` and `root`, `dataset_b` and `root_b`."""
        for key, value in self.parameters.items():
            if key.startswith("dataset"):
                yield value, self.parameters[key.replace("dataset", "root", 1)]


@dataclass(frozen=True)
class Plan:
    """What a profile asks for, and which variables it needs that nobody has set."""

    jobs: list[Job]
    left_out: dict[str, str]
    unset: dict[str, str]  # variable -> what it is for


def parameters_of(notebook: NotebookNode) -> dict[str, object]:
    """The names and default values in a notebook's `parameters` cell."""
    found = {}
    for cell in parameter_cells(notebook):
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                value = ast.literal_eval(node.value)
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    several = isinstance(target, ast.Tuple)  # a, b = 1, 2
                    names = [ast.unparse(each) for each in (target.elts if several else [target])]
                    found |= dict(zip(names, value if several else [value], strict=True))
    return found


class Variables:
    """Values with `${...}` in them, filled from the environment or `paper.toml`; remembers what nobody has set."""

    def __init__(self, root: Path):
        self.root, self.unset = root, {}
        try:
            self.file = tomllib.loads((root / FILE).read_text()) if (root / FILE).exists() else {}
        except tomllib.TOMLDecodeError as error:
            raise Stop(f"{FILE} cannot be read: {error}.") from None

    def fill(self, value: object, purpose: str) -> object:
        """A value with its variables filled in; `purpose` is told where one is missing."""

        def one(match: re.Match) -> str:
            name, default = match.groups()
            entry = name.removeprefix("MMEL_").lower()
            found = os.environ.get(name) or self.file.get(entry) or default
            if not found:
                self.unset.setdefault(name, purpose)
            return str(found or "")

        return VARIABLE.sub(one, value) if isinstance(value, str) else value

    def path(self, value: str) -> str:
        """An absolute path, from the repository's root: notebooks run elsewhere."""
        return str((self.root / Path(value).expanduser()).resolve()) if value else value

    def weights(self, value: str) -> str:
        """A tag as it is; a path, which has a suffix or a slash, made absolute."""
        return self.path(value) if "/" in value or Path(value).suffix in (".pt", ".safetensors", ".bin") else value


def expand(settings: dict, notebooks: dict[str, NotebookNode], device: str, root: Path) -> Plan:
    """Every notebook that takes part, with every model."""
    unknown = sorted(set(settings) - {"defaults", *KEYS, *notebooks})
    if unknown or (gone := sorted(set(settings.get("skip") or ()) - set(notebooks))):
        raise Stop(f"the profile names {', '.join(unknown or gone)}, and there is no such notebook.")
    variables, jobs, left_out = Variables(root), [], {}
    for name, notebook in notebooks.items():
        own = parameters_of(notebook)
        if name in (settings.get("skip") or ()):
            left_out[name] = "skipped by the profile"
        elif not set(NEEDED) <= set(own):
            left_out[name] = "about the bundled world"
        elif (stand_in := replaced(own, settings["datasets"], variables)) is None:
            left_out[name] = f"nothing stands for {own['dataset']}"
        else:
            wherever = {k: v for k, v in (settings.get("wherever") or {}).items() if k in own}
            given = (settings.get("defaults") or {}) | {"device": device} | wherever | stand_in
            for label, model in settings["models"].items():
                chosen = {"model": model["model"], "pretrained": weights_of(label, model, variables)}
                jobs.append(Job(label, name, given | chosen | (settings.get(name) or {})))
    if not jobs:
        raise Stop(f"no notebook has the parameters {', '.join(NEEDED)}, which this profile sets.")
    return Plan(jobs, left_out, variables.unset)


def replaced(own: dict[str, object], datasets: dict[str, dict], variables: Variables) -> dict[str, object] | None:
    """What stands for each of a notebook's datasets; None where something has no stand-in."""
    found = {}
    for key, split in own.items():
        if key.startswith("dataset"):
            if split not in datasets:
                return None
            stand_in = datasets[split]
            found[key] = stand_in["dataset"]
            root = variables.fill(stand_in["root"], f"the folder of {stand_in['dataset']}")
            found[key.replace("dataset", "root", 1)] = variables.path(root)
    return found


def weights_of(label: str, model: dict[str, str], variables: Variables) -> str:
    return variables.weights(variables.fill(model["pretrained"], f"the weights of {label}: a tag or a file"))


def ready(plan: Plan, device: str, gpu: bool) -> dict[str, str]:
    """A mark of every dataset and of every model's weights once all are there; else stops with all that is missing.

    Each model is loaded once here. What can be worked with all the same (half of a dataset) is printed.
    """
    missing = [
        f"{name} ({purpose}) is not set: export it, or put `{name.removeprefix('MMEL_').lower()} = ...` into {FILE}"
        for name, purpose in plan.unset.items()
    ]
    marks = {}
    for dataset, root in sorted({pair for job in plan.jobs for pair in job.data()}):
        marks[f"{dataset} in {root}"] = look_at(dataset, root, missing)
    for model, pretrained in sorted({(j.parameters["model"], j.parameters["pretrained"]) for j in plan.jobs}):
        if pretrained:
            marks[f"{model} of {pretrained}"] = load(model, pretrained, missing)
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        missing.append("a GPU: torch sees none here")
    if missing:
        raise Stop("what this profile needs and is not here:\n" + "\n".join(f"- {each}" for each in missing))
    if gpu and not torch.cuda.is_available():
        print("no GPU here: this profile takes days without one.", flush=True)
    return marks


def look_at(dataset: str, root: str, missing: list[str]) -> str:
    """The manifest of a dataset; what it lacks goes to `missing`, with where it comes from."""
    from mmel.data import check, open_dataset

    bad = [each for each in check(dataset, root) if not each.good and (root or each.source)]
    for each in bad:
        where = f"\n    from {each.source}" if each.source else ""
        if each.usable:
            print(f"{dataset}: {each.what}: {each.found}", flush=True)
        else:
            missing.append(f"{dataset}, {each.what}: {each.found}{where}")
    return "" if any(not each.usable for each in bad) else open_dataset(dataset, root=root).manifest


def load(model: str, pretrained: str, missing: list[str]) -> str:
    """A hash of the weights; that they cannot be had or do not fit goes to `missing`."""
    from mmel.clip import load_clip
    from mmel.errors import MmelError

    try:
        load_clip(model, pretrained=pretrained, device="cpu")
    except MmelError as error:
        missing.append(f"{model}: {error}")
        return ""
    path = Path(pretrained)
    if not path.is_file():
        return pretrained
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
