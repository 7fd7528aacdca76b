"""The claims ledger: every check by hand, the rule of verdicts, and that a stale verdict is noticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mmel.cli.verifying import read_ledger, verify_ledger
from mmel.errors import MmelError
from mmel.ledger import CHECKS, VERDICTS, Claim, judge, read_claims, read_tables, research_answer, stale
from mmel.ledger.arithmetic import overhead, spread_possible, token_count
from mmel.ledger.evidence import COMPARISONS, EXACT, measure
from mmel.ledger.tables import columns, gain, rank

NAN = float("nan")
ROOT = Path(__file__).parents[1]
TABLES = {
    9: {
        "deletion true": {"A": 0.2, "B": 0.4, "C1": 0.3},
        "insertion true": {"A": 0.5, "B": 0.6, "C1": 0.4},
        "insertion other": {"A": 0.9, "B": 0.6, "C1": 0.4},
    }
}


@pytest.fixture
def copy(tmp_path):
    """The sources of the ledger, to change."""
    (tmp_path / "book").mkdir()
    for name in ("claims.yml", "paper_tables.csv"):
        shutil.copy(ROOT / "book" / name, tmp_path / "book" / name)
    return tmp_path


def of(**fields) -> Claim:
    return Claim(**{"id": "x", "quote": "q", "place": "p", "verdict": "not run yet", **fields})


def verdict(results=None, full=None, **fields) -> str:
    return judge([of(**fields)], TABLES, results or {}, full or {})[0].verdict


def test_the_shipped_ledger_is_whole_and_follows_from_the_paper():
    entries = read_ledger(ROOT, profile="no profile of this name")
    assert len(entries) >= 60
    assert stale(entries) == []
    assert {entry.claim.contradiction for entry in entries} - {None} == set(range(1, 22))
    assert {entry.verdict for entry in entries} == set(VERDICTS)
    for question in ("RQ1", "RQ2", "RQ3"):
        assert sum(research_answer(entries, question).values()) >= 10
    quotes = [entry.claim.quote for entry in entries]
    assert len(set(quotes)) == len(quotes)


def test_every_number_of_the_papers_tables_is_there_once():
    lines = (ROOT / "book" / "paper_tables.csv").read_text().splitlines()[1:]
    assert len({tuple(line.split(",")[:3]) for line in lines}) == len(lines) == 7 * 4 + 5 * 8 + 6 * 4


def test_notebooks_of_the_ledger_exist_or_are_not_named():
    chapters = yaml.safe_load((ROOT / "book" / "claims.yml").read_text())["chapters"]
    assert set(chapters) >= {"mmel", "metrics", "table1", "table2", "table3"}
    assert (ROOT / "notebooks" / f"{chapters['mmel']}.ipynb").exists()


def test_gains_and_ranks_know_the_direction():
    assert gain("deletion true", 0.2, 0.4) == pytest.approx(50)
    assert gain("insertion true", 0.6, 0.4) == pytest.approx(50)
    assert gain("text confidence_drop", 3.0, 2.0) == pytest.approx(-50)
    assert rank("deletion true", TABLES[9]["deletion true"], "A") == 1
    assert rank("insertion true", TABLES[9]["insertion true"], "A") == 2
    assert list(columns(TABLES, 9, "insertion")) == ["insertion true", "insertion other"]


@pytest.mark.parametrize(
    ("block", "agrees"),
    [
        ({"check": "best", "table": 9, "row": "A", "column": "deletion"}, True),
        ({"check": "best", "table": [9], "row": "A", "column": ""}, False),
        ({"check": "placed", "table": 9, "row": "B", "column": "insertion true", "place": 1}, True),
        ({"check": "placed", "table": 9, "row": "A", "column": "insertion true", "place": 1}, False),
        ({"check": "better", "table": 9, "row": "A", "than": ["C1"], "column": ""}, True),
        ({"check": "better", "table": 9, "row": "A", "than": "B", "column": ""}, False),
        ({"check": "gains", "cells": [[9, "deletion"]], "row": "A", "than": ["B"], "percent": 50}, True),
        ({"check": "gains", "cells": [[9, "deletion"]], "row": "A", "than": ["B"], "percent": 51}, False),
        ({"check": "equals", "table": 9, "row": "A", "column": "deletion", "value": 0.2}, True),
        ({"check": "equals", "table": 9, "row": "A", "column": "deletion", "value": 0.21}, False),
        ({"check": "near", "table": 9, "row": "A", "to": "B", "column": "deletion", "points": 0.3}, True),
        ({"check": "near", "table": 9, "row": "A", "to": "B", "column": "deletion", "points": 0.1}, False),
        ({"check": "has", "table": 9, "rows": ["C"]}, True),
        ({"check": "has", "table": 9, "rows": ["D"]}, False),
        ({"check": "measures", "table": 9, "column": "insertion other"}, True),
        ({"check": "measures", "table": 9, "column": "confidence"}, False),
        ({"check": "record", "printed": "a", "correct": "a", "source": "s"}, True),
        ({"check": "nothing", "lacks": "number"}, None),
        ({"check": "against", "quote": "other", "place": "there"}, False),
        ({"check": "computed", "name": "product", "factors": [3, 4], "claimed": 12}, True),
        ({"check": "computed", "name": "numbered", "numbers": [1, 3]}, False),
        ({"check": "computed", "name": "weights_differ", "thetas": [1.0, 2.0]}, True),
        ({"check": "computed", "name": "gate_factor", "width": 768, "scales": 3, "theta": 1.0, "alpha": 2.0,
          "needed": 1.08}, False),
    ],
)  # fmt: skip
def test_checks_by_hand(block, agrees):
    answer = CHECKS[block.pop("check")](TABLES, **block)
    assert answer.agrees is agrees
    assert answer.shows


def test_arithmetic_by_hand():
    assert token_count(224, 16, 197).holds and "50" in token_count(224, 32, 197).shows
    assert not overhead(768, 12, 3, 15).holds and overhead(768, 12, 3, 100).holds
    assert not overhead(768, 12, 2, 15).holds, "four products of six, the first layer shared"
    assert "108,358" in spread_possible(42.13, 0.15, 15840).shows


def test_the_rule_of_verdicts():
    wired = {"measured": {"notebook": "n", "value": "v", "interval_above": 0}}
    low, high, wide = ({"n": {"v": [mean, mean - 0.5, mean + 0.5]}} for mean in (-1.0, 1.0, 0.4))
    against = {"check": "against", "quote": "other", "place": "there"}
    assert verdict(**wired) == "not run yet"
    assert verdict(high, **wired) == "reproduced"
    assert verdict(low, **wired) == "contradicted"
    assert verdict(low, high, **wired) == "reproduced", "the paper's own setting outranks the bundled world"
    assert verdict(wide, **wired) == "not decidable from the paper", "an interval that holds the bound decides nothing"
    assert verdict(high, wide, **wired) == "not decidable from the paper", "nor does the bundled world in its place"
    assert verdict(high, **wired, paper=against) == "contradicted by the paper itself"
    assert verdict(paper={"check": "nothing", "lacks": "number"}) == "not decidable from the paper"
    assert verdict(paper={"check": "has", "table": 9, "rows": ["A"]}) == "not decidable from the paper"
    assert verdict(paper={"check": "computed", "name": "product", "factors": [2, 2], "claimed": 4}) == "reproduced"
    mark = {"check": "placed", "table": 9, "row": "B", "column": "insertion true", "place": 1}
    assert verdict(paper=mark) == "reproduced", "a mark is right or wrong by the numbers beside it"
    ours = {"check": "computed", "name": "setting", "setting": "alpha", "value": 2.0}
    assert verdict(paper=ours) == "not decidable from the paper", "our own default is no evidence"
    record = {"check": "record", "printed": "a", "correct": "b", "source": "s"}
    assert verdict(paper=record) == "contradicted"


@pytest.mark.parametrize(
    ("value", "comparison", "bound", "holds"),
    [
        (1.0, "above", 0, True), (0.0, "above", 0, False), (0.0, "at_least", 0, True), (1, "below", 2, True),
        (2, "at_most", 1, False), (True, "is", True, True),
        ([0.5, 0.1, 0.9, 12], "interval_above", 0, True), ({"low": -0.1, "high": 1}, "interval_above", 0, None),
        ([0.1, 0.4], "interval_below", 0.5, True), ([0.6, 0.8], "interval_below", 0.5, False),
        ([0.4, 0.8], "interval_below", 0.5, None), ([0.0, 0.0, 0.0], "interval_above", 0, None),
        ({"mean": 1, "low": 0.1, "high": 2, "p": 0.2}, "interval_above", 0, None),
        ({"mean": 1, "low": 0.1, "high": 2, "p": 0.2}, "interval_above", -1, True),
        ({"mean": 1, "low": 0.1, "high": 2, "p": 0.01}, "interval_above", 0, True),
        ({"mean": 1, "low": 0.1, "high": 2, "count": 5}, "interval_above", 0, None),
        ({"mean": 1, "low": 0.1, "high": 2, "count": 6}, "interval_above", 0, True),
        ({"at": 4, "low": 2, "high": 6, "p": 0.2}, "interval_above", 9, None),
        ([NAN, NAN], "interval_below", 0, None), ([NAN, NAN], "interval_above", 0, None),
        ([NAN, -1.0], "interval_below", 0, True),
        ({"mean": 1, "low": 0.1, "high": 2, "p": NAN}, "interval_above", 0, None),
        ({"at": 4, "low": 2, "high": 6, "p": 0.01}, "interval_above", 9, False),
    ],
)  # fmt: skip
def test_comparisons_by_hand(value, comparison, bound, holds):
    wanted = {"notebook": "n", "value": "v", comparison: bound, **({"exact": "counted"} if comparison in EXACT else {})}
    found = measure(wanted, {"n": {"v": value}})
    assert found.holds is holds
    assert found.undecided is (holds is None) and found.shown
    assert comparison in COMPARISONS


def difference(mean: float, p: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "p": p, "count": 9}


@pytest.mark.parametrize(
    ("second", "third", "holds", "says"),
    [
        (difference(0.5, 0.001), difference(0.5, 0.001), True, "of 3 differences 3 as claimed"),
        (difference(0.5, 0.04), difference(0.5, 0.04), None, "1 as claimed, 0 the other way, 2 undecided"),
        (difference(0.05, 0.001), difference(0.5, 0.001), None, "2 as claimed, 0 the other way, 1 undecided"),
        (difference(-0.5, 0.001), difference(0.05, 0.001), False, "1 as claimed, 1 the other way, 1 undecided"),
    ],
)
def test_a_claim_about_several_is_judged_after_holm(second, third, holds, says):
    """0.04 would decide alone; two of them beside a third one do not."""
    noted = {"n": {"v": {"x": {"a": difference(0.5, 0.001), "b": second}, "y": {"a": third}}}}
    found = measure({"notebook": "n", "value": "v", "field": [["x", "y"], "*"], "interval_above": 0}, noted)
    assert found.holds is holds and says in found.shown


def test_several_means_are_judged_of_no_difference_only():
    noted = {"n": {"v": {"a": difference(0.5, 0.001), "b": difference(0.5, 0.001)}}}
    with pytest.raises(MmelError, match=r"the bound 0, and the bound is 0\.2"):
        measure({"notebook": "n", "value": "v", "field": "*", "interval_above": 0.2}, noted)
    shown = measure({"notebook": "n", "value": "v", "interval_below": 0}, {"n": {"v": [NAN, NAN]}}).shown
    assert "no number" in shown and "holds" not in shown


def test_the_ledger_compares_no_mean_without_its_interval():
    chosen = [claim.measured for claim in read_claims(ROOT / "book" / "claims.yml") if claim.measured]
    exact = {wanted["exact"] for wanted in chosen if set(wanted) & set(EXACT)}
    assert exact == {"counted from the shapes", "the largest of all images"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"measured": {"notebook": "n", "value": "v", "eval": "1"}}, "eval"),
        ({"measured": {"notebook": "n", "value": "v"}}, "one comparison"),
        ({"measured": {"notebook": "n", "value": "v", "above": 0}}, "a mean over samples"),
        ({"measured": {"notebook": "n", "value": "v", "interval_above": 0, "exact": "counted"}}, "a mean over samples"),
        ({"paper": {"check": "exec"}}, "the check is one of"),
        ({"paper": {"check": "best", "table": 4, "row": "A", "column": ""}}, "got 4"),
        ({"paper": {"check": "best", "table": 9, "row": "Z", "column": ""}}, "no row 'Z'"),
        ({"paper": {"check": "best", "table": 9, "rows": "Z", "column": ""}}, "rows"),
        ({"paper": {"check": "computed", "name": "system"}}, "the computation is one of"),
    ],
)
def test_a_claim_that_cannot_be_judged_says_why(fields, says):
    with pytest.raises(MmelError, match=says):
        verdict({"n": {"v": 1.0}}, **fields)


@pytest.mark.parametrize(
    ("wired", "says"),
    [({"value": "gone"}, "notes no 'gone'"), ({"field": "gone"}, "no 'gone' in"), ({}, "an interval was expected")],
)
def test_a_claim_wired_to_nothing_is_stale_and_says_why(wired, says):
    wanted = {"notebook": "n", "value": "v", "interval_above": 0, **wired}
    entry = judge([of(measured=wanted)], TABLES, {"n": {"v": 1.0}}, {})[0]
    assert entry.stale and says in entry.problem and entry.verdict == "not run yet"


def test_a_changed_cell_of_the_papers_tables_makes_verdicts_stale(copy):
    assert stale(read_ledger(copy)) == []
    table = copy / "book" / "paper_tables.csv"
    table.write_text(
        table.read_text().replace("1,MMEL,text confidence_increase,36.72", "1,MMEL,text confidence_increase,46.88")
    )
    wrong = {entry.claim.id for entry in stale(read_ledger(copy))}
    assert {"table1-consistently", "discussion-rq1", "table1-text-increase"} <= wrong


def test_verify_prints_the_ledger_and_sees_a_stale_verdict(copy, capsys):
    assert verify_ledger(copy) == []
    said = capsys.readouterr()
    assert "discussion-rq2" in said.out and "claims: " in said.out and not said.err
    run = copy / "runs" / "bundled" / "results.json"
    run.parent.mkdir(parents=True)
    run.write_text(json.dumps({"07_mmel": {
        "rank correlation with Grad-ECLIP over the same blocks": {"mean": 0.5, "low": 0.4, "high": 0.6},
        "largest over smallest gate of an image": {"highest": 1.01},
        "MMEL on Sec. 3.5's base less MMEL on Eq. 8's": {name: difference(-0.5, 0.001) for name in "ab"},
    }}))  # fmt: skip
    assert "comparison-relational" in [entry.claim.id for entry in verify_ledger(copy)]
    said = capsys.readouterr()
    assert "comparison-relational is stored as 'contradicted'; from the numbers follows 'reproduced'" in said.err
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "claims.py", "accept", "--root", copy], capture_output=True, text=True
    )
    assert "comparison-relational: contradicted -> reproduced" in done.stdout.splitlines(), done.stderr
    assert verify_ledger(copy) == []
    assert [c.verdict for c in read_claims(copy / "book" / "claims.yml") if c.id == "comparison-relational"] == [
        "reproduced"
    ]


def test_no_ledger_beside_an_installation(tmp_path, capsys):
    assert verify_ledger(tmp_path) == []
    assert "no ledger" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("verdict: reproduced", "verdict: true enough", "the verdict is one of"),
        ("    place: Abstract\n", "    places: Abstract\n", "unknown fields: places"),
        ("    place: Abstract\n", "", "lacks place"),
        ("chapter: table2", "chapter: table7", "chapter is one of"),
        ("answers: [RQ3]", "answers: [RQ4]", "RQ4"),
        ("id: discussion-rq2", "id: discussion-rq1", "same id"),
        ("The MMEL framework generalizes", "The " + 300 * "x" + " framework", "a sentence at most"),
    ],
)
def test_a_claim_that_is_written_wrongly_is_named(copy, old, new, says):
    path = copy / "book" / "claims.yml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(MmelError, match=says):
        read_claims(path)


def test_tables_that_are_missing_or_broken(tmp_path):
    with pytest.raises(MmelError, match="expected at"):
        read_tables(tmp_path / "gone.csv")
    (tmp_path / "t.csv").write_text("table,row,metric,value\n1,A,m,x\n")
    with pytest.raises(MmelError, match="a number in value"):
        read_tables(tmp_path / "t.csv")
