"""`mmel evaluate` and `mmel report`: exit codes, tables in each format, the paper's numbers beside ours."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from evaluation_toy import METRICS, ROWS, Pictures, Tiny, tiny_clip, tiny_job
from rich.console import Console

from mmel.cli import main
from mmel.errors import EvaluationError, MmelError
from mmel.evaluation import Plan, reporting, run, writing
from mmel.evaluation.paper import read_reported
from mmel.evaluation.protocols import PROTOCOLS

PAPER = Path(__file__).parents[1] / "book" / "paper_tables.csv"
FEW = {"resamples": 200}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    run(tiny_job(12), out, Plan(**FEW))
    return out


@pytest.fixture
def said(monkeypatch, tmp_path, capsys):
    """What a command line prints, and its exit code."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        try:
            main([*map(str, arguments)])
            code = 0
        except SystemExit as end:
            code = end.code or 0
        found = capsys.readouterr()
        return code, found.out, found.err

    return call


@pytest.fixture
def toys(monkeypatch):
    """The command line loads the toys by names."""
    monkeypatch.setitem(PROTOCOLS, "tiny", Tiny)
    monkeypatch.setattr("mmel.evaluation.job.open_dataset", lambda name, root, count: Pictures(count))
    monkeypatch.setattr("mmel.evaluation.job.load_clip", lambda *_, **__: tiny_clip())
    named = {row.name: row for row in ROWS}
    monkeypatch.setattr(
        "mmel.evaluation.job.rows_named", lambda names, samples: [named[name.strip()] for name in names.split(",")]
    )


def test_evaluate_prints_the_table_and_exits_by_failures(said, toys, tmp_path):
    base = ("evaluate", "--protocol", "tiny", "--count", 8, "--resamples", 100, "--out")
    code, out, _ = said(*base, tmp_path / "good", "--methods", "grad_eclip, better,no_text")
    assert code == 0 and "tiny: tiny on pictures, 8 samples" in out and "failed," not in out
    assert "no map of its words" in out  # a dash is no failure
    code, out, err = said(*base, tmp_path / "bad", "--methods", "grad_eclip,nan", "--set", "pause=0.001")
    assert (
        code == 1
        and "failed, nan: 8 (picture-0000, " in out
        and "8 times a method failed on a sample (the report has" in err
    )
    code, _, err = said(*base, tmp_path / "bad", "--methods", "grad_eclip")
    assert code == 2 and "rows.nan" in err and "another --out folder" in err and "Traceback" not in err
    code, out, _ = said(*base, tmp_path / "half", "--methods", "better", "--shard", "1/2", "--shard-size", 2)
    assert code == 0 and "4 of 8 samples are done" in out
    code, _, err = said(*base, tmp_path / "lost", "--methods", "nan", "--shard", "1/2", "--shard-size", 2)
    assert code == 1 and "4 times a method failed" in err and "of all shares will have the reasons" in err
    code, _, err = said("report", tmp_path / "half")
    assert code == 2 and "4 of 8 samples" in err


@pytest.mark.parametrize("format", ["text", "markdown", "latex", "csv"])
def test_report_in_each_format(said, folder, format):
    code, out, _ = said("report", folder, "--format", format)
    assert code == 0
    better = json.loads((folder / "results.json").read_text())["columns"][0]["rows"]["better"]
    if format == "csv":
        (line,) = [
            each for each in csv.DictReader(io.StringIO(out)) if (each["row"], each["metric"]) == ("better", METRICS[0])
        ]
        assert float(line["mean"]) == better["mean"] and float(line["difference"]) == better["versus"]["mean"]
        nan = [each for each in csv.DictReader(io.StringIO(out)) if each["row"] == "nan"]
        assert nan and all("not a finite number" in each["reason"] for each in nan if each["metric"] == METRICS[0])
        assert {(each["samples"], each["failures"], each["mean"]) for each in nan if each["metric"] == METRICS[0]} == {
            ("0", "12", "")
        }
        assert line["best"] == "True" and line["reason"] == "" and line["reported"] == "" and int(line["samples"]) == 12
        return
    cell = f"{better['mean']:.3f} [{better['low']:.3f}, {better['high']:.3f}]"
    bold = {"text": "**{}*", "markdown": "**{}", "latex": r"\textbf{{{}"}[format].format(cell)
    assert bold.rstrip("*") in out and out.count(cell) == 1
    for words in ("95 % bootstrap interval", "Holm", "failed, nan: 12"):
        assert (words.replace("%", r"\%") if format == "latex" else words) in out
    if format == "latex":
        assert all(line.startswith("% tiny") for line in out.splitlines() if line.startswith("%"))
        assert r"no\_text" in out and out.count(r"\begin{tabular}") == out.count(r"\end{tabular}") == 2
    if format == "markdown":
        tables = [line for line in out.splitlines() if line.startswith("|")]
        assert len(tables) == 2 * (2 + len(ROWS)) and {line.count("|") for line in tables} == {
            5
        }  # no row of the paper's


def test_the_papers_numbers_stand_beside_ours_marked(tmp_path, said):
    made = {"grad_eclip": 0.2, "mmel_literal": 0.3, "random": 0.1}
    results = fake_results("table1", {"confidence_drop": made})
    reported = reporting.reported_of(results, PAPER)
    report = reporting.report_of(results, reported)
    (block,) = report.blocks
    printed = read_reported(PAPER, 1)[("MMEL", "image confidence_drop")]
    line = dict(zip(block.head, block.lines[1], strict=True))
    down = "confidence_drop \N{DOWNWARDS ARROW}"
    assert line["row"].text == "mmel_literal" and line["paper's row"].text == "MMEL"
    assert line[f"{down} reported"].text == str(printed) and line[down].text == "30.00 [29.00, 31.00]"
    assert block.lines[2][block.head.index(f"{down} reported")].text == ""
    assert any("Reported: as the paper prints it" in note for note in report.notes)
    assert any("times 100" in note for note in report.notes)
    table = list(csv.DictReader(io.StringIO(writing.csv_text(results, reported))))
    assert float(table[1]["reported"]) == pytest.approx(printed.value / 100)


def test_table3_of_the_paper_has_no_rank():
    results = fake_results("table3", {"deletion image_retrieval @5": {"mmel_literal": 0.1}}, modality="text")
    cell = reporting.paper_cell("mmel_literal", results["columns"][0], reporting.reported_of(results, PAPER))
    assert cell.value == read_reported(PAPER, 3)[("MMEL", "deletion image_retrieval")].value


def fake_results(protocol, columns, modality="image"):
    rows = list(next(iter(columns.values())))
    return {
        "header": {
            "protocol": {"name": protocol}, "model": {"name": "m"}, "dataset": {"name": "d", "samples": 5},
            "rows": [{"name": row, "method": row} for row in rows],
        },
        "reference": "grad_eclip", "resamples": 100, "failures": [], "dashes": [],
        "columns": [
            {"modality": modality, "metric": metric, "higher_is_better": False, "rows": {
                row: {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "count": 5, "failures": 0, "versus": None,
                      "p_holm": None, "best": False, "steps": []} for row, mean in cells.items()}}
            for metric, cells in columns.items()
        ],
    }  # fmt: skip


def test_a_row_that_always_failed_says_so_in_every_format(folder):
    """In the column, not only below the table; a dash is no failure."""
    results = reporting.read_results(folder)
    for block in reporting.report_of(results).blocks:
        lines = {line[0].text: dict(zip(block.head, line, strict=True)) for line in block.lines}
        failed = {row: (line["samples"].text, line["failed"].text) for row, line in lines.items()}
        assert failed["nan"][1] == "12" and failed["sometimes"] == ("7", "5") and failed["no_text"][1] == "0"


def test_bold_and_star_only_where_the_intervals_say_so(folder):
    results = reporting.read_results(folder)
    best = [row for column in results["columns"] for row, cell in column["rows"].items() if cell["best"]]
    assert best == ["better", "better"]
    column = results["columns"][0]
    for cell in column["rows"].values():
        cell |= {"p_holm": 0.2, "best": False}
    (block, _) = reporting.report_of(results).blocks
    assert not any(entry.bold or "*" in entry.text for line in block.lines for entry in line)
    column["rows"]["better"] |= {"p_holm": 0.049}
    assert reporting.report_of(results).blocks[0].lines[1][-1].text.endswith(" *")


def test_a_terminal_gets_the_same_words(folder):
    results = reporting.read_results(folder)
    results["columns"][0]["metric"] = "[red]pointing_game"  # no markup is read
    console = Console(record=True, force_terminal=True, width=160, file=io.StringIO())
    writing.show(reporting.report_of(results), console)
    assert "[red]pointing_game" in console.export_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("report", "nowhere"), "holds no run"),
        (("report", "nowhere", "--format", "html"), "unknown format 'html'"),
        (("evaluate", "--out", "x", "--set", "runs"), "written NAME=VALUE"),
        (("evaluate", "--out", "x", "--shard", "0/4"), "i from 1 to n"),
        (("evaluate", "--out", "x", "--address", "auto"), "take engine ray"),
        (("evaluate", "--out", "x", "--protocol", "table22"), "did you mean table2"),
        (("evaluate", "--out", "x", "--dataset", "imagenet"), "say where it is with root"),
    ],
)
def test_what_cannot_be_is_one_message(said, arguments, says):
    code, _, err = said(*arguments)
    assert code == 2 and says in " ".join(err.split()) and "Traceback" not in err


@pytest.mark.parametrize(
    "text", ["image,caption\na.png,a dog\n", "table,row,metric,value,deviation\n1,MMEL,x,high,\n", "\x89PNG"]
)
def test_another_csv_is_not_the_papers(tmp_path, text):
    (tmp_path / "other.csv").write_text(text, encoding="latin-1")
    with pytest.raises(MmelError, match=r"no CSV of the paper's tables: .*columns table|cannot be read"):
        read_reported(tmp_path / "other.csv", 1)


def test_rows_that_failed_alike_share_a_line():
    results = fake_results("table1", {"confidence_drop": dict.fromkeys(("rise", "m2ib", "random"), 0.5)})
    one = {"reason": "half a file.", "count": 7, "samples": ["a", "b"]}
    other = {"row": "m2ib", "reason": "no map", "count": 1, "samples": ["c"]}
    results["failures"] = [*({"row": row} | one for row in ("rise", "m2ib", "random")), other]
    told = ["failed, every row: 7 (a, b, ...): half a file.", "failed, m2ib: 1 (c): no map"]
    assert reporting.failures_of(results) == told
    del results["failures"][1]
    assert reporting.failures_of(results)[0] == "failed, rise, random: 7 (a, b, ...): half a file."


def test_damaged_results_say_what_to_do(tmp_path):
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(EvaluationError, match=r"damaged: delete it"):
        reporting.read_results(tmp_path)


def test_a_run_of_dashes_alone_says_why(tmp_path, said):
    rows = (ROWS[2], ROWS[4])
    job = tiny_job(1, rows)  # one sample gives no interval, and the other row no number
    run(job, tmp_path / "one", Plan(**FEW))
    results = reporting.read_results(tmp_path / "one") | {"columns": []}
    notes = " ".join(reporting.notes_of(results, False))
    assert "no_text: compares patches" in notes and "nan: " in notes and "not a finite number" in notes
    lines = list(csv.DictReader(io.StringIO(writing.csv_text(results, {}))))
    assert [line["row"] for line in lines] == ["no_text", "nan"] and all(line["reason"] for line in lines)
    assert [(line["samples"], line["failures"]) for line in lines] == [("0", "0"), ("0", "1")]
    assert "compares patches" in writing.latex(reporting.report_of(results))
