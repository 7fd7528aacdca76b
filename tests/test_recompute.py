"""`make verify FIG=...`: what a name stands for, how much runs again, and what counts as the same."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import alike
import bookmade
import named
import nbformat
import nbref
import numpy as np
import pytest
from collect import Stop, Task
from docutils import nodes
from PIL import Image

ROOT = Path(__file__).parents[1]
TASKS = [Task(path, path, {}, "") for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
TOOL = ROOT / "tools" / "recompute.py"


@pytest.mark.parametrize(
    ("asked", "chapter", "cells"),
    [
        ("5", "15_figures", 1), ("figure5", "15_figures", 1), ("fig-2", "15_figures", 2), ("3", "15_figures", 1),
        ("4", "15_figures", 1), ("6", "15_figures", 2), ("table1", "11_table1", 2), ("table2", "12_table2", 4),
        ("Table 3", "13_table3", 2), ("07_mmel", "07_mmel", 0), ("fig-mmel-gate", "07_mmel", 1),
        ("11_table1/table-image", "11_table1", 1),
    ],
)  # fmt: skip
def test_what_a_name_stands_for(asked, chapter, cells):
    found = named.find(asked, TASKS)
    assert (found.task.name, len(found.cells)) == (chapter, cells)


def test_the_papers_figures_and_tables_all_have_a_place():
    numbers = [named.of_paper(each) for each in ("1", "2", "3", "4", "5", "6", "table1", "table2", "table3")]
    assert numbers[0] == named.DRAWING and numbers[1:] == list(named.PAPER)
    for chapter, cells in named.PAPER.values():
        task = next(task for task in TASKS if task.name == chapter)
        sources = {cell.id: cell.source for cell in nbformat.read(task.source, 4).cells}
        found = named.find(chapter + "/" + cells[0], TASKS).cells
        assert all("figures." in sources[each] for each in found)


@pytest.mark.parametrize("name", ["7", "table4", "fig-gone", "07_mmel/gone", "nothing"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(Stop, match=r"no (chapter, figure or table|cell and no figure)"):
        named.find(name, TASKS)


def test_the_run_ends_with_the_section():
    kinds = [("# A", 0), ("a = 1", 1), ("## B", 0), ("b = 1", 1), ("words", 0), ("b = 2", 1), ("## C", 0), ("c = 1", 1)]
    make = (nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell)
    cells = [make[code](text, id=f"cell-{place}") for place, (text, code) in enumerate(kinds)]
    assert [cell.id for cell in named.upto(cells, ("cell-3",))][-1] == "cell-5"
    assert len(named.upto(cells, ("cell-7", "cell-1"))) == len(named.upto(cells, ())) == len(cells)


def test_figure_1_leads_to_what_is_there(monkeypatch):
    count, gone = named.boxes(ROOT)
    assert count >= 8 and gone == []
    monkeypatch.setattr("pages_reference.page", lambda root: "")
    assert named.boxes(ROOT)[1]


def test_what_differs_after_a_second_run_is_named():
    old = {"a": 1.0, "b": {"c": [1.0, 2.0]}, "d": "x"}
    assert alike.differences(old, {"a": 1.0 + 1e-8, "b": {"c": [1.0, 2.0]}, "d": "x"}) == []
    said = alike.differences(old, {"a": 1.1, "b": {"c": [1.0, 3.0]}})
    assert said == ["a: was 1.0, is 1.1", "b / c[1]: was 2.0, is 3.0", "d: was x, is None"]


def test_tables_are_the_same_as_far_as_they_are_printed():
    assert alike.same_text("| a | 0.823 | 5,000 |", "| a | 0.824 | 5,000 |")  # one unit of the last digit: rounding
    assert alike.same_text("\N{MINUS SIGN}0.10 to 0.20", "\N{MINUS SIGN}0.11 to 0.20")
    for other in ("| a | 0.825 | 5,000 |", "| a | 0.823 | 5,001 |", "| b | 0.823 | 5,000 |", "| a | 0.823 |"):
        assert not alike.same_text("| a | 0.823 | 5,000 |", other)
    assert alike.table_lines("t", "| a |\n| 0.1 |", "| a |\n| 0.9 |") == ["t: was | 0.1 |, is | 0.9 |"]


def test_pictures_are_the_same_but_for_a_few_pixels():
    picture = np.zeros((100, 100, 3))
    few, many = picture.copy(), picture.copy()
    few[0, :10], many[:5] = 255, 255
    assert alike.other_picture(picture, few) == "" and alike.other_picture(picture, picture + 10) == ""
    assert alike.other_picture(picture, many) == "5.0% of the pixels are others"
    assert "is 50 by 100" in alike.other_picture(picture, picture[:, :50])


def test_a_picture_that_became_a_table_is_not_the_same():
    file = io.BytesIO()
    Image.new("RGB", (4, 3), "red").save(file, "PNG")
    picture = {"image/png": base64.b64encode(file.getvalue()).decode(), "text/html": "<p>a</p>"}
    was, now = (
        nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])
        for data in (picture, {"text/html": "<table><tr><td>a</td></tr></table>"})
    )
    assert alike.displayed("fig", was, was) == [] and alike.displayed("fig", was, now) == ["fig: is no picture now"]


CELLS = """import base64, io
from IPython.display import Markdown, display
from PIL import Image
def note(name, value):
    display({"application/vnd.mmel.value+json": {"name": name, "value": value}, "text/plain": name}, raw=True)
"""


def project(folder: Path) -> Path:
    """A notebook with a table, a figure and a section after them that cannot run."""
    made = nbformat.v4.new_notebook(metadata=nbref.KERNEL)
    code, words = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    settings = code('profile = "quick"\ndevice = "auto"', id="settings", metadata={"tags": ["parameters"]})
    shown = code('display(Image.new("RGB", (40, 30), "red"))', id="shown")
    shown.metadata["mystnb"] = {"figure": {"name": "fig-red", "caption": "Red."}}
    made.cells = [settings, code(CELLS, id="imports"), words("## One", id="one"),
                  code('Markdown("| a | b |\\n|---|---|\\n| x | 0.25 |")', id="table"), shown,
                  code('note("answer", 0.5)', id="noted"), words("## Two", id="two"),
                  code('raise SystemExit("not wanted")', id="late")]  # fmt: skip
    versions = '[project]\nname = "small"\nversion = "0"\ndependencies = []\n'
    files = {"pyproject.toml": versions, "profiles/quick.yaml": "defaults: {}\n"}
    for name, text in (files | {"notebooks/01_x.ipynb": nbformat.writes(made)}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    kept = nbformat.from_dict(json.loads(json.dumps(made)))
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "PNG")
    data = {"table": {"text/markdown": "| a | b |\n|---|---|\n| x | 0.25 |"},
            "shown": {"image/png": base64.b64encode(file.getvalue()).decode()}}  # fmt: skip
    for cell in kept.cells:
        if cell.id in data:
            cell.outputs = [nbformat.v4.new_output("display_data", data[cell.id])]
    run = folder / "runs" / "quick" / "notebooks"
    run.mkdir(parents=True)
    (run / "01_x.ipynb").write_text(nbformat.writes(kept))
    (run.parent / "results.json").write_text(json.dumps({"01_x": {"answer": 0.5, "later": 1}}))
    return folder


def call(root: Path, name: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, TOOL, name, "--profile", "quick", "--root", root]
    return subprocess.run([str(each) for each in words], capture_output=True, text=True, check=False)


def test_only_what_is_asked_for_runs_and_is_compared(tmp_path):
    root = project(tmp_path)
    done = call(root, "fig-red")  # the last section would stop it
    assert done.returncode == 0, done.stderr + done.stdout
    assert "01_x: fig-red: all 1 values, 1 tables and pictures are the same" in done.stdout
    kept = root / "runs" / "quick" / "notebooks" / "01_x.ipynb"
    kept.write_text(kept.read_text().replace('0.25 |"', '0.35 |"'))
    results = root / "runs" / "quick" / "results.json"
    results.write_text(results.read_text().replace("0.5", "0.6"))
    done = call(root, "01_x/table")
    assert done.returncode == 1
    assert "answer: was 0.6, is 0.5" in done.stdout and "table: was | x | 0.35 |, is | x | 0.25 |" in done.stdout


def test_a_table_is_downloaded_as_it_is_shown(tmp_path, monkeypatch):
    html = (
        '<style>p {}</style><table border="1" class="dataframe"><tr><th></th><th>b, c</th></tr>'
        "<tr><td>x</td><td>\n1</td></tr></table>"
    )
    assert bookmade.as_csv(bookmade.rows_of(html)) == ',"b, c"\nx,1\n'
    row = nodes.row("", *(nodes.entry("", nodes.paragraph("", text)) for text in ("x", "1, 2")))
    table = nodes.table("", nodes.tgroup("", nodes.tbody("", row)))
    assert bookmade.rows_of(table) == [["x", "1, 2"]]
    output = nodes.container("", nodes.raw("", html, format="html"), table, classes=["cell_output"])
    cell = nodes.container("", output, cell_index=0)
    words = nodes.container("", nodes.table("", nodes.tgroup("", nodes.tbody("", row.deepcopy()))))  # of no cell
    tree = nodes.section("", cell, words)
    source = tmp_path / "executed" / "01_x.ipynb"
    source.parent.mkdir()
    source.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(id="some")])))
    monkeypatch.setattr(bookmade, "ROOT", tmp_path)
    monkeypatch.setattr(bookmade, "records", lambda root: ({"notebooks": {"01_x": {}}}, {}))

    class App:
        outdir = tmp_path / "html"
        builder = type("Builder", (), {"format": "html"})

    bookmade.mark_tables(App, tree, "executed/01_x")
    lines = [raw.astext() for raw in tree.findall(nodes.raw) if "make verify" in raw.astext()]
    assert len(lines) == 2 and all("FIG=01_x/some" in line and "numbers of this table" in line for line in lines)
    folder = tmp_path / "html" / "_static" / "numbers"
    assert (folder / "01_x-some.csv").read_text() == ',"b, c"\nx,1\n'
    assert (folder / "01_x-some-2.csv").read_text() == 'x,"1, 2"\n'
