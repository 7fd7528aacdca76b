"""`make bench` writes what the chapter on costs reads; what was committed has the same form."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
import torch

from mmel.methods import METHODS

BENCH = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCH))

import cases  # noqa: E402
import run  # noqa: E402

ASKED = ["raw_attention", "grad_eclip, last block", "mmel, last block"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A short run of one model and three calls."""
    folder = tmp_path_factory.mktemp("results")
    patch, threads = pytest.MonkeyPatch(), torch.get_num_threads()
    patch.setattr(run, "RESULTS", folder)
    patch.setattr(sys, "argv", ["run.py", "--models", "bundled", "--rounds", "2", "--threads", "1", "--cases", *ASKED])
    try:
        run.main()
    finally:
        patch.undo()
        logging.disable(logging.NOTSET)
        torch.set_num_threads(threads)
    return {path.stem: json.loads(path.read_text())["bundled"] for path in folder.glob("*.json")}


def test_every_method_has_a_case():
    assert {case.method for case in cases.CASES} == set(METHODS)
    names = [case.name for case in cases.CASES]
    assert len(names) == len(set(names)) and all(case.over in ("", *names) for case in cases.CASES)


def test_a_run_writes_values_and_provenance_apart(results):
    assert set(results) == {"counts", "times", "seeds", "provenance"}
    assert set(results["times"]["cases"]) == {"encode_image", *ASKED}
    for row in results["times"]["cases"].values():
        assert row["lowest"] <= row["units"] <= row["highest"] and row["rounds"] == 2
    assert results["times"]["over"]["mmel, last block"]["base"] == "grad_eclip, last block"
    assert set(results["times"]["large_batch"]) == {"encode_image", *ASKED}
    assert results["provenance"]["threads"] == 1 and results["provenance"]["packages"]["torch"]
    assert "mmel" in results["seeds"] and -1 <= results["seeds"]["mmel"] <= 1


def test_operations_and_memory_are_counted(results):
    rows = results["counts"]["cases"]
    assert rows["raw_attention"]["gflop"] < rows["encode_image"]["gflop"] < rows["mmel, last block"]["gflop"]
    for name in ASKED:
        assert rows[name]["peak_mib"] < rows[name]["peak_mib_of_32_by_4"] < rows[name]["peak_mib_of_32"]


def test_what_was_committed_has_this_form():
    for name in ("counts", "times", "provenance"):
        made = json.loads((BENCH / "results" / f"{name}.json").read_text())
        assert "ViT-B-32" in made and set(made) <= set(cases.MODELS)
    rows = json.loads((BENCH / "results" / "times.json").read_text())["ViT-B-32"]["cases"]
    assert all(row["rounds"] >= 5 for row in rows.values())


def test_the_evaluation_is_measured_against_its_own_passes(tmp_path, monkeypatch, capsys):
    import evaluation

    monkeypatch.setattr(run, "RESULTS", tmp_path)
    ask = ["evaluation.py", "--models", "bundled", "--pictures", "1", "--rounds", "1", "--methods", "raw_attention"]
    monkeypatch.setattr(sys, "argv", ask)
    try:
        evaluation.main()
    finally:
        logging.disable(logging.NOTSET)
    (entry,) = json.loads((tmp_path / "evaluation.json").read_text()).values()
    ratio = entry["curve"]["ratio_to_its_passes"]
    assert ratio["its passes alone"] == 1 and set(ratio) == {"ours", "its passes alone", "one by one"}
    for share in (entry["curves_share_in_passes"], entry["table2"]["share_in_passes"]):
        assert 0 < share < 1
    assert entry["scoring"]["share_of_matrix_products"] > 0 and entry["table2"]["pictures"] == 1
    assert json.loads((tmp_path / "evaluation_provenance.json").read_text())["bundled"]["processor"]
    assert "in forward passes" in capsys.readouterr().out
