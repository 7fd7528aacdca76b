"""The page on adding a method, a metric and a chapter: its own examples, followed in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import nbref
import pytest
import yaml

import mmel.methods
from mmel.errors import UnfitMethod

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "extend.md").read_text()
TAKEN = ("mmel", "tests", "benchmarks", "tools", "notebooks", "profiles", "_toc.yml", "pyproject.toml", "book")
HEAVY = ("weights", "data", "_build", "__pycache__")  # of these folders nothing is changed: links will do


def examples(title: str) -> list[str]:
    """The Python of one section of the page."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def insert(path: Path, there: str, after: str = "", before: str = "") -> None:
    """A line before or after another one, which has to be there once."""
    text = path.read_text()
    assert text.count(there) == 1
    path.write_text(text.replace(there, f"{before}{there}{after}"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project in which the page has been followed."""
    root = tmp_path_factory.mktemp("copy")
    for name in TAKEN:
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, root / name)
            continue
        shutil.copytree(ROOT / name, root / name, ignore=lambda _, names: [each for each in names if each in HEAVY])
    (root / "mmel" / "weights").symlink_to(ROOT / "mmel" / "weights")
    shutil.copytree(ROOT / "mmel" / "data", root / "mmel" / "data")
    (root / "tests" / "data").symlink_to(ROOT / "tests" / "data")
    (root / "mmel" / "methods" / "my_method.py").write_text(examples("A method")[0])
    insert(root / "mmel" / "methods" / "__init__.py", '    "cci",\n', '    "my_method",\n')
    (root / "mmel" / "metrics" / "outside.py").write_text(examples("A metric")[0])
    insert(root / "mmel" / "metrics" / "protocols.py", '        "iou": True,\n', '        "share_outside": False,\n')
    chapter(root)
    return root


def chapter(root: Path) -> None:
    """The page's chapter as a notebook, and its line in the table of contents."""
    tags = [["parameters"], [], [nbref.TAG], []]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# My chapter")])
    for source, tag in zip(examples("A chapter"), tags, strict=True):
        made.cells.append(nbformat.v4.new_code_cell(source.strip(), metadata={"tags": tag}))
    (root / "notebooks" / "26_my_chapter.ipynb").write_text(nbformat.writes(made))
    last = "      - file: executed/25_with_a_kernel\n"
    insert(root / "_toc.yml", last, "      - file: executed/26_my_chapter\n")


def run(root: Path, *words: str) -> str:
    """A Python of the copy's own: what it printed, once it has ended well."""
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_method_keeps_the_contract_and_the_rules_of_the_house(copy):
    tests = ["tests/test_contract.py", "tests/test_catalogue.py", "tests/test_floors.py", "tests/test_bench.py"]
    rules = "my_method or whole_row or lower_floors or method_has_a_case or stay_small or in_order and chapter"
    said = run(copy, "-m", "pytest", "-p", "no:cacheprovider", *tests, "tests/test_house.py", "-k", rules)
    assert int(re.search(r"(\d+) passed", said)[1]) >= 25, said


def test_the_method_has_a_row_and_the_metric_a_column(copy):
    finding = copy / "mmel" / "evaluation" / "protocols" / "finding.py"
    line = '    found["share_outside"] = share_outside(maps, masks)\n'
    insert(finding, "from ...metrics import", before="from ...metrics.outside import share_outside\n")
    insert(finding, "    found |= {name: getattr(cut", before=line)
    words = ["--protocol", "localisation", "--dataset", "scenes/classes", "--count", "2", "--resamples", "50"]
    said = run(copy, "-m", "mmel.cli", "evaluate", "--out", str(copy / "run"), *words, "--methods", "my_method,edges")
    assert "my_method" in said and "share_outside" in (copy / "run" / "results.json").read_text()


def test_the_chapter_runs_and_its_checked_cell_can_be_stored(copy):
    path = copy / "notebooks" / "26_my_chapter.ipynb"
    notebook = nbformat.read(path, 4)
    assert "has no output" in nbref.faults(notebook)[0]
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    said = run(copy, "-c", code)
    assert "maps [4, 7, 7]  finite: True" in said and "of 50 allowed" in said
    listed = [
        file["file"] for part in yaml.safe_load((copy / "_toc.yml").read_text())["parts"] for file in part["chapters"]
    ]
    assert "executed/26_my_chapter" in listed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, r"no mmel/methods/mine\.py: write it"),
        ("explains = 1", "no function `explain`"),
        ("def explain(clip, images, texts): ...", "`modality`.*'nothing'"),
        ("def explain(clip, images, texts, modality='image'): ...", "write `def explain"),
        ("def explain(clip, images, texts, *, modality='text'): ...", "'text'"),
    ],
)
def test_what_a_file_lacks_is_said_by_name(tmp_path, monkeypatch, text, says):
    monkeypatch.setattr(mmel.methods, "__path__", [*mmel.methods.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mmel.methods.mine", raising=False)
    if text is not None:
        (tmp_path / "mine.py").write_text(text)
    with pytest.raises(UnfitMethod, match=says):
        mmel.methods.load("mine")


def test_a_file_that_imports_what_is_not_there_says_so_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(mmel.methods, "__path__", [*mmel.methods.__path__, str(tmp_path)])
    (tmp_path / "ours.py").write_text("import no_such_package")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        mmel.methods.load("ours")


def test_without_files_every_notebook_is_meant(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert nbref.main(["update"]) == 2 and "no notebooks here" in capsys.readouterr().err
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "03_embeddings.ipynb", tmp_path / "notebooks")
    assert nbref.main(["check"]) == 0
    assert nbref.main(["update"]) == 1 and "ONLY=03_embeddings" in capsys.readouterr().err
