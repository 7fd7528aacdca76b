"""The tools around the notebooks: what guards them, what runs them, and when they run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
sys.path.insert(0, str(TOOLS))

import nbref  # noqa: E402
import sources  # noqa: E402
from collect import VALUE, Stop, check_budgets, printed, values, write  # noqa: E402
from run_notebooks import check_parameters, profile_parameters  # noqa: E402

NOTE = """from IPython.display import display
bundle = {"name": "answer", "value": {"b": [size, 0.1], "a": profile}}
display({"application/vnd.mmel.value+json": bundle, "text/plain": "answer"}, raw=True)"""
PASSES = """bundle = {"name": "forward_passes", "value": {"used": size, "budget": budget}}
display({"application/vnd.mmel.value+json": bundle, "text/plain": "passes"}, raw=True)"""
PLOT = """import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()"""


def notebook(*cells: tuple[str, tuple[str, ...]]) -> nbformat.NotebookNode:
    """A clean notebook of code cells with tags."""
    made = nbformat.v4.new_notebook()
    for number, (code, tags) in enumerate(cells):
        cell = nbformat.v4.new_code_cell(code, id=f"cell-{number}")
        if tags:
            cell.metadata["tags"] = list(tags)
        made.cells.append(cell)
    nbref.clean(made)
    return made


def checked(value: str = "4") -> nbformat.NotebookNode:
    """A notebook with one checked cell that prints 4, and what is stored as its output."""
    made = notebook(("x = 2 + 2", ()), ("print(x)", (nbref.TAG,)))
    made.cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{value}\n")]
    return made


def save(made: nbformat.NotebookNode, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(made).rstrip("\n") + "\n")
    return path


def call(*words: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"}
    return subprocess.run([sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, env=env)


def test_a_clean_notebook_passes_check(tmp_path):
    assert nbref.visit("check", save(checked(), tmp_path / "a.ipynb")) == []


def test_an_emptied_checked_cell_fails(tmp_path):
    made = checked()
    made.cells[1].outputs = []
    path = save(made, tmp_path / "a.ipynb")
    assert "has no output" in nbref.visit("check", path)[0]
    done = call(TOOLS / "nbref.py", "check", path)
    assert done.returncode == 1 and "a.ipynb: cell 1" in done.stderr


def test_other_ways_to_guard_nothing_fail(tmp_path):
    untagged = notebook(("x = 1", ()))
    assert "no cell is tagged" in nbref.visit("check", save(untagged, tmp_path / "a.ipynb"))[0]
    picture = checked()
    picture.cells[1].outputs = [nbformat.v4.new_output("display_data", data={"image/png": "aGk="})]
    assert "more than text" in nbref.visit("check", save(picture, tmp_path / "b.ipynb"))[0]
    warned = checked()
    warned.cells[1].outputs[0].name = "stderr"
    assert "more than text" in nbref.visit("check", save(warned, tmp_path / "c.ipynb"))[0]


def test_leftovers_of_a_run_fail_until_cleaned(tmp_path):
    made = checked()
    made.cells[0].outputs = [nbformat.v4.new_output("stream", text="left")]
    made.cells[1].execution_count = 7
    path = save(made, tmp_path / "a.ipynb")
    assert nbref.visit("check", path) == ["not clean: run `nbref.py clean`"]
    assert nbref.visit("clean", path) == []
    assert nbref.visit("check", path) == []
    assert nbformat.read(path, 4).cells[1].outputs[0].text == "4\n"


def test_update_takes_outputs_by_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(checked("5"), tmp_path / nbref.EXECUTED / "a.ipynb")
    path = save(checked(), tmp_path / "a.ipynb")
    assert nbref.visit("update", path) == []
    assert nbformat.read(path, 4).cells[1].outputs[0].text == "5\n"


def test_update_joins_what_a_kernel_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = checked("5")
    cut = [nbformat.v4.new_output("stream", text=text) for text in ("4\n", "and ", "more\n")]
    made.cells[1].outputs = cut
    save(made, tmp_path / nbref.EXECUTED / "a.ipynb")
    path = save(checked(), tmp_path / "a.ipynb")
    assert nbref.visit("update", path) == []
    assert [output.text for output in nbformat.read(path, 4).cells[1].outputs] == ["4\nand more\n"]


def test_nbval_fails_on_a_changed_value(tmp_path):
    good, bad = save(checked(), tmp_path / "good.ipynb"), save(checked("5"), tmp_path / "bad.ipynb")
    done = call("-m", "pytest", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider", good, bad)
    assert done.returncode == 1
    assert "1 failed, 3 passed" in done.stdout
    assert "bad.ipynb::Cell 1" in done.stdout


@pytest.fixture
def house(tmp_path):
    """A small repository with two notebooks, a package and a profile."""
    files = {
        "mmel/__init__.py": "from .inner import one\n",
        "mmel/inner.py": "one = 1\n",
        "mmel/other.py": "two = 2\n",
        "mmel/table.json": "{}",
        "pyproject.toml": '[project]\ndependencies = ["numpy"]\n',
        "profiles/bundled.yaml": "defaults: {profile: bundled, size: 3}\n02_second: {size: 30, budget: 40, late: 2}\n",
    }
    for name, text in files.items():
        write(tmp_path / name, text)
    setting = 'profile = "quick"\ndevice = "auto"\nsize = 1\nbudget = 9'
    for name in ("01_first", "02_second"):
        cells = [
            (setting, ("parameters",)),
            ("import mmel; mmel.one", ()),
            (NOTE, ()),
            (PASSES, ()),
            (PLOT, ()),
        ]
        cells = cells if name == "01_first" else [*cells[:1], ("late = 1", ("parameters",)), *cells[1:-1]]
        save(notebook(*cells), tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def run(house: Path) -> subprocess.CompletedProcess[str]:
    return call(TOOLS / "run_notebooks.py", "--profile", "bundled", "--root", house, "--device", "cpu")


def test_a_run_keeps_values_figures_and_pages_and_repeats_only_what_changed(house):
    first = run(house)
    assert first.returncode == 0, first.stderr
    folder = house / "runs" / "bundled"
    results = (folder / "results.json").read_text()
    assert json.loads(results) == {
        "01_first": {"answer": {"a": "bundled", "b": [3, 0.1]}, "forward_passes": {"budget": 9, "used": 3}},
        "02_second": {
            "answer": {"a": "bundled", "b": [30, 0.1]},
            "forward_passes": {"budget": 40, "used": 30},
        },
    }
    assert "33 of       49" in first.stdout
    assert {p.name for p in (folder / "figures" / "01_first").iterdir()} == {"cell-4.png", "cell-4.svg"}
    assert json.loads((folder / "provenance.json").read_text())["notebooks"]["01_first"]["seconds"] > 0
    second = nbformat.read(house / "executed" / "02_second.ipynb", 4)
    assert [c.metadata.get("tags") == ["injected-parameters"] for c in second.cells[:4]] == [False, False, True, False]
    assert {"size = 30", "late = 2"} <= set(second.cells[2].source.splitlines())
    page = nbformat.read(house / "executed" / "01_first.ipynb", 4)
    assert [set(o.data) for o in page.cells[-1].outputs] == [{"image/png", "text/plain"}]
    assert not list(folder.rglob(".*"))

    stamps = {path: path.stat().st_mtime_ns for path in (house / "executed").iterdir()}
    assert run(house).stdout.count("unchanged") == 2
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps

    words = nbformat.read(house / "notebooks" / "01_first.ipynb", 4)
    words.cells.insert(0, nbformat.v4.new_markdown_cell("# New words", id="words"))
    save(words, house / "notebooks" / "01_first.ipynb")
    write(house / "mmel" / "other.py", "two = 3\n")
    profile = house / "profiles" / "bundled.yaml"
    write(profile, profile.read_text().replace("size: 30", "size: 31"))
    third = run(house)
    assert "01_first                 unchanged" in third.stdout
    assert third.stdout.count("unchanged") == 1
    assert nbformat.read(house / "executed" / "01_first.ipynb", 4).cells[0].source == "# New words"
    write(profile, profile.read_text().replace("size: 31", "size: 30"))
    write(house / "mmel" / "inner.py", "one = 1  # again\n")
    assert "unchanged" not in run(house).stdout
    assert (folder / "results.json").read_text() == results


def test_a_chapter_alone_is_executed_and_nothing_collected(house):
    command = [TOOLS / "run_notebooks.py", "--profile", "bundled", "--root", house, "--device", "cpu", "--only"]
    alone = call(*command, "02_second")
    assert alone.returncode == 0 and "01_first" not in alone.stdout, alone.stderr
    assert [path.name for path in (house / "runs" / "bundled" / "notebooks").iterdir()] == ["02_second.ipynb"]
    assert not (house / "executed").exists() and not (house / "runs" / "bundled" / "results.json").exists()
    wrong = call(*command, "03_third")
    assert wrong.returncode == 1 and "no chapter is called 03_third" in wrong.stderr


def test_a_failing_notebook_stops_with_its_name_cell_and_error(house):
    bad = notebook(('profile = device = size = budget = ""', ("parameters",)), ("y = 1\n1 / 0", ()))
    bad.cells[0].source = "late = 0\nprofile = device = None\nsize = 1\nbudget = 1\nprofile = 1\ndevice = 1"
    save(bad, house / "notebooks" / "02_second.ipynb")
    done = run(house)
    assert done.returncode == 1
    assert "notebooks/02_second.ipynb failed in cell 1" in done.stderr
    assert "    1 / 0\n" in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (house / "executed" / "02_second.ipynb").exists()


def test_over_budget_stops(capsys):
    fine = {"a": {"forward_passes": {"used": 9, "budget": 9}}, "b": {}}
    check_budgets(fine)
    assert "9 of" in capsys.readouterr().out
    with pytest.raises(Stop, match="over the budget of forward passes: c"):
        check_budgets({**fine, "c": {"forward_passes": {"used": 10, "budget": 9}}})


def test_a_name_noted_twice_stops():
    made = notebook(("", ()))
    bundle = {"application/vnd.mmel.value+json": {"name": "x", "value": 1}, "text/plain": "x"}
    made.cells[0].outputs = [nbformat.v4.new_output("display_data", data=bundle)] * 2
    with pytest.raises(Stop, match="notes 'x' twice"):
        values("a", made)


def test_parameters_that_nothing_reads_stop(tmp_path):
    made = notebook(("size = 1  # images\nseed: int = 0", ("parameters",)))
    check_parameters("a", made, {"size": 2, "seed": 1})
    with pytest.raises(Stop, match="no parameter sizes"):
        check_parameters("a", made, {"sizes": 2})
    with pytest.raises(Stop, match="no cell tagged"):
        check_parameters("a", notebook(("size = 1", ())), {})
    write(tmp_path / "quick.yaml", "defaults: {size: 1}\n03_gone: {size: 2}\n")
    with pytest.raises(Stop, match="03_gone"):
        profile_parameters(tmp_path / "quick.yaml", ["01_here"], "cpu")
    with pytest.raises(Stop, match="choose one of quick"):
        profile_parameters(tmp_path / "quik.yaml", [], "cpu")


@pytest.mark.parametrize(
    ("code", "files"),
    [
        ("import mmel\nmmel.one", {"inner.py"}),
        ("from mmel import one", {"inner.py"}),
        ("import mmel as m\nm.other.two", {"other.py"}),
        ("from mmel.deep.low import f", {"low.py", "deep/__init__.py", "inner.py"}),
        ("import numpy", set()),
        (
            "import mmel\nprint(mmel)",
            {"__init__.py", "inner.py", "other.py", "deep/__init__.py", "deep/low.py"},
        ),
        ("!ls", {"__init__.py", "inner.py", "other.py", "deep/__init__.py", "deep/low.py"}),
    ],
)
def test_closure(house, code, files):
    write(house / "mmel" / "deep" / "__init__.py", "")
    write(house / "mmel" / "deep" / "low.py", "from ..inner import one\n")
    files = {name if "/" in name else ("deep/low.py" if name == "low.py" else name) for name in files}
    assert {str(p.relative_to(house / "mmel")) for p in sources.closure(code, house)} == files


def test_every_part_of_the_fingerprint_counts(house):
    def mark(cells=("import mmel; mmel.one",), settings=None):
        return sources.fingerprint(list(cells), settings or {"size": 1}, house)

    base = mark()
    assert mark() == base
    assert mark(cells=("import mmel; mmel.one ",)) != base
    assert mark(settings={"size": 2}) != base
    write(house / "mmel" / "other.py", "two = 4\n")
    assert mark() == base
    write(house / "mmel" / "table.json", "[]")
    changed = mark()
    assert changed != base
    write(house / "mmel" / "inner.py", "one = 2\n")
    assert mark() != changed


def test_files_that_a_notebook_reads_count_too(house):
    (house / "notebooks").mkdir(exist_ok=True)
    code = ["read('../book/paper.csv')", 'read("../runs/no.json"); write(f"../book/{profile}.csv")']
    assert sources.named_files(code, house / "notebooks") == {}
    write(house / "book/paper.csv", "1,2")
    first = sources.named_files(code, house / "notebooks")
    assert list(first) == ["../book/paper.csv"]
    write(house / "book/paper.csv", "1,3")
    assert sources.named_files(code, house / "notebooks") != first


def test_notes_reach_the_notebook():
    """`note` and `finish` in a real kernel make the outputs that the build reads."""
    code = """
import numpy, torch
from types import SimpleNamespace
from mmel.results import finish, note
note("drop", {"mean": torch.tensor(0.123456), "count": numpy.int64(3), "names": ("a", "b")})
finish(SimpleNamespace(passes=SimpleNamespace(total=12)), budget=4000)"""
    made = notebook((code, ()))
    from nbclient import NotebookClient

    NotebookClient(made, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    found = values("a", made)
    assert found["drop"] == {"mean": pytest.approx(0.123456, abs=1e-7), "count": 3, "names": ["a", "b"]}
    assert found["forward_passes"] == {"used": 12, "budget": 4000}
    assert made.cells[0].outputs[1].data["text/plain"] == "forward passes: 12 of 4,000 allowed"


def test_notes_outside_a_notebook_are_printed_and_bad_ones_refused(capsys):
    from mmel.errors import BadSetting, NotANumber
    from mmel.results import note

    note("drop", [0.123456, "x"])
    assert capsys.readouterr().out == 'drop = [0.1235, "x"]\n'
    with pytest.raises(NotANumber, match="finite"):
        note("drop", float("nan"))
    with pytest.raises(BadSetting, match="not object"):
        note("drop", object())


def test_lazy_names_are_followed_home(house):
    """Of the package itself too: a notebook that explains does not depend on the command line."""
    write(house / "mmel" / "__init__.py", '_HOMES = {"inner": ("one",)}\n')
    assert {path.name for path in sources.closure("import mmel\nmmel.one", house)} == {"inner.py"}
    used = {path.relative_to(ROOT / "mmel").parts[0] for path in sources.closure("from mmel import explain", ROOT)}
    assert {"methods", "clip.py", "trace.py", "types.py"} <= used
    assert not {"cli", "figures", "training"} & used


def test_a_figure_stands_alone_beside_what_its_cell_notes():
    noted = nbformat.v4.new_output("display_data", {"text/plain": "a = 1", VALUE: {"name": "a", "value": 1}})
    drawn = nbformat.v4.new_output("display_data", {"text/plain": "<Figure>", "image/png": ""})
    assert printed(drawn) == drawn
    assert printed(noted) == {"output_type": "stream", "name": "stdout", "text": "a = 1\n"}
