"""PROFILE=paper: which notebooks run with what, what is said when something is missing, the whole path, made small."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import nbref
import paper
import pytest
import smoke_world
from collect import Stop
from run_notebooks import check_parameters, plan, read_profile

ROOT = Path(__file__).parents[1]
OWN = 'profile = "quick"\ndevice = "auto"\nseed = 0\nmodel = ""\npretrained = ""\n{data}\ncount = 9\nbudget = 5'
DATA = 'dataset = "scenes/{split}"\nroot = ""'


def notebook(parameters: str, *code: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook()
    for number, source in enumerate((parameters, *code)):
        made.cells.append(nbformat.v4.new_code_cell(source, id=f"cell-{number}"))
    made.cells[0].metadata["tags"] = ["parameters"]
    nbref.clean(made)
    return made


def own(split: str, *code: str, more: str = "") -> nbformat.NotebookNode:
    return notebook(OWN.format(data=DATA.format(split=split) + more), *code)


SETTINGS = {
    "models": {"B32": {"model": "ViT-B-32", "pretrained": "${MMEL_WEIGHTS_B32:-openai}"},
               "B16": {"model": "ViT-B-16", "pretrained": "${MMEL_WEIGHTS_B16:-openai}"}},
    "datasets": {"scenes/classes": {"dataset": "imagenet", "root": "${MMEL_IMAGENET}"},
                 "scenes/pairs": {"dataset": "coco", "root": "${MMEL_COCO}"}},
    "wherever": {"count": 2, "masks": 16},
    "defaults": {"profile": "paper", "seed": 3},
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MMEL_")]:
        monkeypatch.delenv(name)


def test_notebooks_with_a_stand_in_run_with_every_model(tmp_path, monkeypatch):
    (tmp_path / "paper.toml").write_text('coco = "sets/coco"\nweights_b16 = "~/b16.pt"\nimagenet = "elsewhere"\n')
    monkeypatch.setenv("MMEL_IMAGENET", "/data/imagenet")
    notebooks = {
        "01_world": notebook('profile = "quick"\ndevice = "auto"\nseed = 0'),
        "02_one": own("classes"),
        "03_two": own("pairs", more='\ndataset_b = "scenes/classes"\nroot_b = ""'),
        "04_crowd": own("crowded"),
        "05_left": own("classes"),
    }
    made = paper.expand({**SETTINGS, "skip": ["05_left"], "02_one": {"count": 7}}, notebooks, "cuda", tmp_path)
    assert [(job.label, job.name) for job in made.jobs] == [
        (label, name) for name in ("02_one", "03_two") for label in ("B32", "B16")
    ]
    assert made.left_out == {
        "01_world": "about the bundled world", "04_crowd": "nothing stands for scenes/crowded",
        "05_left": "skipped by the profile",
    }  # fmt: skip
    assert made.unset == {}
    first, last = made.jobs[0].parameters, made.jobs[-1].parameters
    assert first == {
        "profile": "paper", "seed": 3, "device": "cuda", "model": "ViT-B-32", "pretrained": "openai", "count": 7,
        "dataset": "imagenet", "root": "/data/imagenet",
    }  # fmt: skip
    assert last["pretrained"] == str(Path("~/b16.pt").expanduser()) and last["count"] == 2
    assert list(made.jobs[-1].data()) == [("coco", f"{tmp_path}/sets/coco"), ("imagenet", "/data/imagenet")]
    for job in made.jobs:
        check_parameters(job.name, notebooks[job.name], job.parameters)


def test_all_that_is_missing_is_said_at_once(tmp_path, monkeypatch):
    """Variables, a broken dataset, weights: before any notebook runs."""
    monkeypatch.setenv("MMEL_COCO", str(smoke_world.coco(tmp_path / "coco")))
    (tmp_path / "coco/dataset_coco.json").write_text("{}")
    monkeypatch.setenv("MMEL_WEIGHTS_B32", "no/such/weights.pt")
    monkeypatch.setenv("MMEL_WEIGHTS_B16", "opinai")
    made = paper.expand(SETTINGS, {"a": own("classes"), "b": own("pairs")}, "auto", tmp_path)
    with pytest.raises(Stop) as stop:
        paper.ready(made, "auto", gpu=True)
    said = str(stop.value)
    assert "MMEL_IMAGENET (the folder of imagenet) is not set" in said and "paper.toml" in said
    assert "imagenet, pictures: needed\n    from https://image-net.org" in said
    assert "coco, samples: dataset_coco.json should be the Karpathy split" in said
    assert "no/such/weights.pt' does not exist" in said
    assert "did you mean openai" in said


def test_half_a_dataset_is_enough_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MMEL_IMAGENET", str(smoke_world.imagenet(tmp_path / "imagenet")))
    monkeypatch.setattr(paper, "load", lambda model, pretrained, missing: f"hash of {pretrained}")
    settings = {**SETTINGS, "models": {"B32": SETTINGS["models"]["B32"]}}
    made = paper.expand(settings, {"a": own("classes")}, "auto", tmp_path)
    marks = paper.ready(made, "auto", gpu=False)
    assert marks["ViT-B-32 of openai"] == "hash of openai" and len(marks) == 2
    assert "imagenet: samples: 4 of 50,000" in capsys.readouterr().out
    (tmp_path / "imagenet/val/ILSVRC2012_val_00000004.JPEG").unlink()
    assert paper.ready(made, "auto", gpu=False) != marks


def test_a_profile_that_names_what_is_not_there_stops(tmp_path):
    for wrong in ({"09_gone": {}}, {"skip": ["09_gone"]}):
        with pytest.raises(Stop, match="09_gone, and there is no such notebook"):
            paper.expand({**SETTINGS, **wrong}, {"a": own("classes")}, "auto", tmp_path)
    with pytest.raises(Stop, match="no notebook has the parameters model, pretrained"):
        paper.expand(SETTINGS, {"a": notebook("seed = 0")}, "auto", tmp_path)
    (tmp_path / "paper.toml").write_text("imagenet = here\n")
    with pytest.raises(Stop, match=r"paper\.toml cannot be read"):
        paper.expand(SETTINGS, {"a": own("classes")}, "auto", tmp_path)


@pytest.mark.parametrize("name", ["paper", "paper-smoke"])
def test_the_profiles_fit_the_notebooks(name, tmp_path):
    """Every parameter that a profile sets is one of the notebook's; the paper's datasets and backbones are there."""
    settings = read_profile(ROOT / "profiles" / f"{name}.yaml")
    notebooks = {path.stem: nbformat.read(path, 4) for path in (ROOT / "notebooks").glob("*.ipynb")}
    notebooks |= {"98_own": own("classes"), "99_own": own("retrieval")}
    made = paper.expand(settings, notebooks, "auto", ROOT if name == "paper-smoke" else tmp_path)
    for job in made.jobs:
        check_parameters(job.name, notebooks[job.name], job.parameters)
    assert {job.name for job in made.jobs} >= {"98_own", "99_own"}
    wanted = {each["dataset"] for each in settings["datasets"].values()}
    assert wanted == {"imagenet", "coco", "conceptual-captions"}
    if name == "paper":
        assert {job.parameters["model"] for job in made.jobs} == {"ViT-B-32", "ViT-B-16"}
        assert {job.parameters["pretrained"] for job in made.jobs} == {"openai"}
        assert set(made.unset) >= {"MMEL_IMAGENET", "MMEL_COCO"}


def test_the_example_names_every_variable_of_the_profile():
    example = tomllib.loads((ROOT / "profiles/paper.toml.example").read_text())
    used = {match[0] for match in paper.VARIABLE.findall((ROOT / "profiles/paper.yaml").read_text())}
    assert {f"MMEL_{key.upper()}" for key in example} == used
    assert "paper.toml" in (ROOT / ".gitignore").read_text().split()


MEASURE = """import mmel
from mmel.data import iterate, model_and_data
from mmel.results import finish, note
both = model_and_data(model, pretrained, dataset, root, count=count, device=device)
found = [each.example for each in iterate(both.data, workers=2)]
maps = mmel.explain(both.clip, [each.image for each in found], (found[0].captions or ("a dog",))[0], "grad_eclip").image
note("map", list(maps.shape))
note("keys", [each.key for each in found])
finish(both.clip, budget)"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The repository's package, profile and notebooks, with one of a test's own, and a folder for what they leave."""
    root = tmp_path_factory.mktemp("house")
    for name in ("mmel", "profiles", "pyproject.toml"):
        (root / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("_build"))
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    nbformat.write(own("classes", MEASURE), root / "notebooks/98_own.ipynb")
    nbformat.write(notebook("seed = 0", "1 / 0"), root / "notebooks/99_world.ipynb")
    (root / "executed").mkdir()
    (root / "executed/kept.ipynb").write_text("the book's page")
    yield root
    (root / "runs/smoke_world" / smoke_world.WEIGHTS).unlink(missing_ok=True)  # 290 MB


def run(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools/run_notebooks.py", "--profile", "paper-smoke", "--root", root]
    env = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    options = ["--device", "cpu", "--jobs", "1"]  # a chapter with a ViT-B/32 holds up to 3.3 GB
    return subprocess.run([*map(str, command), *options], cwd=ROOT, capture_output=True, text=True, env=env)


def test_the_path_of_the_profile_end_to_end(made):
    """Every chapter that takes part, on a ViT-B/32 from a file and tiny datasets in true layouts, in real kernels."""
    first = run(made)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "99_world                 left out: about the bundled world" in first.stdout
    assert "imagenet: samples: 4 of 50,000" in first.stdout
    folder = made / "runs/paper-smoke/ViT-B-32"
    results = json.loads((made / "runs/paper-smoke/results.json").read_text())
    assert results == {"ViT-B-32": json.loads((folder / "results.json").read_text())}
    found = results["ViT-B-32"]
    assert set(found) >= {"11_table1", "12_table2", "13_table3", "14_microscope", "16_sanity", "98_own"}
    assert all(found.values())
    failed = {row for values in found.values() for row in values.get("failures by row", {})}
    assert failed <= {"mmel_literal"}  # whose equations define no map of words: a dash, with its reason
    assert found["98_own"]["map"] == [2, 7, 7]
    assert found["98_own"]["keys"] == ["ILSVRC2012_val_00000001", "ILSVRC2012_val_00000002"]
    assert json.loads((folder / "provenance.json").read_text())["profile"] == "paper-smoke"
    assert [path.name for path in (made / "executed").iterdir()] == ["kept.ipynb"]
    assert run(made).stdout.count("unchanged") == len(found)


def test_a_profile_without_models_is_planned_as_ever(tmp_path):
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/quick.yaml").write_text("defaults: {profile: quick}\n")
    for name in ("mmel", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "notebooks").mkdir()
    nbformat.write(own("classes"), tmp_path / "notebooks/01_a.ipynb")
    (task,) = plan(tmp_path, "quick", "cpu", 1)
    assert task.target == tmp_path / "runs/quick/notebooks/01_a.ipynb" and task.shown == "01_a"
    assert task.parameters == {"profile": "quick", "device": "cpu"}
