"""Every protocol on a few samples, and the way from its measurements to the cells of a page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mmel
from mmel.cli.verifying import LARGER, held_lines
from mmel.data import open_dataset
from mmel.errors import DatasetError, UnknownName, UnsupportedModality
from mmel.evaluation import beside, cells, inline, larger, paper, rows
from mmel.evaluation.protocols import PROTOCOLS, SHEETS, looking
from mmel.figures import forest, markdown_table

PAPER = Path(__file__).parents[1] / "book" / "paper_tables.csv"
CONFIDENCE = {"confidence_drop", "confidence_increase"}
EXPECTED = {
    "table1": ("scenes/pairs", {f"{m}{s}" for m in CONFIDENCE for s in ("", " first row", " id 0")}),
    "table2": (
        "scenes/classes",
        {f"{k} {t} {s}" for k in ("deletion", "insertion") for t in ("true", "predicted")
         for s in ("@1", "@5", "probability")},
    ),
    "table3": (
        "scenes/retrieval",
        {f"{k} {d}_retrieval @{n}" for k in ("deletion", "insertion") for d in ("image", "text") for n in (1, 5, 10)},
    ),
    "localisation": (
        "scenes/two_objects",
        {"pointing_game", "energy_pointing_game", "pixel_accuracy", "mean_iou", "average_precision",
         "multi_object_recall", "multi_object_recall related"},
    ),
    "words": (
        "scenes/retrieval", {"word_pointing_game", "word_energy_pointing_game", "word_average_precision"},
    ),
    "microscope": ("scenes/classes", {view.name for view in looking.VIEWS}),
}  # fmt: skip
SMALL = {"table1": {"runs": 2}, "table3": {"captions": 2}, "words": {"captions": 2}}


@pytest.fixture(scope="module")
def clip():
    return mmel.load_clip(device="cpu")


@pytest.fixture(scope="module")
def measured(clip):
    """Protocol -> its measurements of two rows on two samples."""
    chosen = rows.rows(("grad_eclip", "random"))
    return {
        name: inline.measured(PROTOCOLS[name](**SMALL.get(name, {})), clip, open_dataset(data, count=4)[2:], chosen)
        for name, (data, _) in EXPECTED.items()
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_a_protocol_measures_all_its_columns(measured, name):
    frame, metrics = measured[name], EXPECTED[name][1]
    assert set(frame.error) == {""}
    assert set(frame.metric) <= metrics and set(frame.metric) >= metrics - {"multi_object_recall related"}
    assert frame.value.between(0, 1).all() or name in ("table1", "microscope")
    assert set(frame.row) == {"grad_eclip", "random"}
    assert all(isinstance(cells.higher_is_better(metric), bool) for metric in metrics)


def test_another_order_and_company_change_no_number(clip, measured):
    """Rows the other way round, and one sample by itself: what a restart or another shard would do."""
    data = open_dataset("scenes/pairs", count=4)[3:]
    again = inline.measured(PROTOCOLS["table1"](runs=2), clip, data, rows.rows(("random", "grad_eclip")))
    keys = ["sample", "row", "modality", "metric"]
    both = measured["table1"].merge(again, on=keys)
    assert len(both) == len(again) > 0
    np.testing.assert_allclose(both.value_x, both.value_y, atol=1e-6)


def test_only_a_method_that_draws_has_runs(measured):
    frame = measured["table1"]
    runs = frame.groupby("row").steps.agg(lambda each: {len(steps) for steps in each})
    assert runs.to_dict() == {"grad_eclip": {1}, "random": {2}}
    spread = cells.spread_over_runs(frame, "image", "confidence_drop")
    assert spread["grad_eclip"] == 0 and spread["random"] > 0


def test_a_right_prediction_has_one_map_and_a_wrong_one_two(clip):
    data, row = open_dataset("scenes/classes", count=1), rows.row_of("edges")
    protocol = PROTOCOLS["table2"](protocols=("official",))
    state = protocol.prepare(clip, data)
    predicted = int((mmel.embed_image(clip, data[0].image)[0] @ state.embeds.T).argmax())
    passes = {}
    for label in (predicted, (predicted + 1) % 84):
        before = clip.passes.image
        found = list(protocol.measure(clip, state, replace(data[0], label=label), row, 0))
        passes[label == predicted] = clip.passes.image - before
        assert len(found) == 8
    assert passes[True] == 1 + 1 + 20 + 1  # prediction, map, curves, whole picture
    assert passes[False] == passes[True] + 1 + 20


def test_what_cannot_be_measured_is_a_dash_with_its_reason(clip):
    data = open_dataset("scenes/retrieval", count=2)
    frame = inline.measured(PROTOCOLS["words"](captions=1), clip, data, rows.rows(("mmel_literal", "chefer")))
    assert "no text map" in cells.reasons_of(frame)["mmel_literal"]
    assert set(cells.cells_of(frame, "text", "word_pointing_game", reference="chefer")) == {"chefer"}
    assert "`mmel_literal`" in beside.dashes_of(["mmel_literal", "chefer"])
    with pytest.raises(DatasetError, match="has no label"):
        list(PROTOCOLS["table2"]().measure(clip, None, data[0], rows.row_of("chefer"), 0))


@pytest.mark.parametrize("name", rows.ROWS)
def test_every_row_says_truly_whether_it_explains_texts(clip, name):
    row = rows.rows(name, samples={"rise": 2, "kernel_shap": 4, "m2ib": 1})[0]
    scene = mmel.scenes.split("pairs", 1)[0]
    make = lambda: mmel.explain(clip, scene.image, "a dog", row.method, modality="text", **row.settings)  # noqa: E731
    if rows.has_text_map(row):
        assert make().text is not None
    else:
        with pytest.raises(UnsupportedModality):
            make()


def test_tables_and_the_paper_name_rows_that_exist():
    named = {row for table in rows.TABLES.values() for row in table} | {
        row for all in rows.PAPER.values() for row in all
    }
    assert named <= set(rows.ROWS)
    for table in (1, 2, 3):
        assert {row for row, _ in paper.read_reported(PAPER, table)} <= set(rows.PAPER)
        ours = {name for row, _ in paper.read_reported(PAPER, table) for name in rows.PAPER[row]}
        assert ours - {"attention_rollout_last"} <= set(rows.TABLES[f"table{table}"]) | {"attention_rollout_last"}
    with pytest.raises(UnknownName, match="grad_eclip"):
        rows.rows("grad_eclipp")


def test_limits_are_settings_of_the_row():
    rise, eclip = rows.rows(("rise", "grad_eclip"), samples=12)
    assert rise.settings["n_masks"] == 12 and "n_masks=12" in rows.described(rise)
    assert rows.rows("rise")[0].settings["n_masks"] == rows.FULL["rise"]
    assert "n_masks" not in eclip.settings


def frame_of(**values):
    lines = [
        (f"s{place}", row, "image", "confidence_drop", value, [value], "")
        for row, column in values.items()
        for place, value in enumerate(column)
    ]
    return pd.DataFrame(lines, columns=inline.COLUMNS)


def test_cells_bold_and_star_need_certainty():
    draw = np.random.default_rng(0)
    base = draw.random(40)
    frame = frame_of(grad_eclip=base + 0.5, low=base, close=base + 0.5 + draw.normal(0, 0.3, 40))
    found = cells.cells_of(frame, "image", "confidence_drop", resamples=500)
    assert found["low"].best and found["low"].p < 0.05 and found["low"].versus.high < 0
    assert not found["close"].best and found["grad_eclip"].versus is None
    assert beside.cell_text(found["low"], 100, 1).startswith("**") and beside.cell_text(found["low"]).endswith("\\*")
    assert beside.cell_text(None) == "\N{EN DASH}"
    drawn = beside.panels_of({"confidence_drop": found}, {"confidence_drop": "Drop"})
    assert drawn["better"] == {"Drop": "left"} and "low" in drawn["certain"]["Drop"]
    (axes,) = forest(**drawn).axes
    neither = beside.panels_of({"ssim": found}, {"ssim": "Likeness"})
    assert neither["better"] == {"Likeness": ""}
    assert len(axes.patches) == 1 and not forest(**neither).axes[0].patches  # the side that is better


def test_differences_are_paired_named_and_marked_by_direction():
    draw = np.random.default_rng(0)
    base = draw.random(40)
    frame = frame_of(mine=base, worse=base + 0.5, better=base - 0.2, close=base + draw.normal(0, 0.3, 40))
    gaps = cells.differences_of(frame, "image", ["confidence_drop"], "mine", ["worse", "better", "close", "none"])
    assert set(gaps["image confidence_drop"]) == {f"mine less {name}" for name in ("worse", "better", "close")}
    gap = gaps["image confidence_drop"]["mine less worse"]
    assert gap["mean"] == pytest.approx(-0.5) and gap["count"] == 40 and gap["p"] < 0.001
    head, lines = beside.difference_lines(gaps, digits=1)
    assert head == ["rows", "samples", "confidence drop"]
    assert [line[:2] for line in lines] == [[f"`mine` less `{name}`", "40"] for name in ("worse", "better", "close")]
    worse, better, close = (line[2] for line in lines)
    assert worse.startswith("**\N{MINUS SIGN}0.5 [") and better.startswith("*0.2") and "*" not in close
    assert beside.difference_lines({"image confidence_drop": {}}) == (head, [])
    (line,) = beside.difference_lines({"image spearman a": {"mine less worse": gap}}, digits=1)[1]
    assert line[2] == worse.strip("*")  # neither more nor less of it is better


@pytest.mark.parametrize("table", [1, 2, 3])
def test_their_rows_are_the_papers_without_mmel(table):
    names = beside.theirs(paper.read_reported(PAPER, table))
    assert names[-1] == "grad_eclip_all" and not any(name.startswith("mmel") for name in names)
    assert set(names) <= set(rows.TABLES[f"table{table}"])


def test_reported_numbers_stand_in_a_column_of_their_own(tmp_path):
    frame = frame_of(grad_cam=[0.1, 0.2, 0.3], grad_eclip=[0.2, 0.2, 0.2])
    columns = beside.columns_of(frame, "image", ["confidence_drop"], resamples=100)
    reported = paper.read_reported(PAPER, 1)
    file = tmp_path / "deep" / "table1.json"
    larger.write_stored(file, "a larger run", beside.named_columns(columns, "image"))
    stored = {"full": larger.read_stored(file), "paper profile": larger.read_stored(tmp_path / "none.json")}
    head, lines = beside.lines_of(
        columns, {"confidence_drop": "Drop"}, "image", reported=reported, stored=stored,
        names={"confidence_drop": "image confidence_drop"}, order=["grad_cam", "grad_eclip", "edges"], times=100,
        digits=2,
    )  # fmt: skip
    assert head == ["row", "paper's row", "samples", "Drop: reported", "this run", "full", "paper profile"]
    assert lines[0][:4] == ["`grad_cam`", "GradCAM", "3", "4.96 ± 0.01"] and lines[0][4].startswith("20.00 [")
    assert lines[0][5].startswith("20.00 [") and lines[0][6] == beside.NOT_RUN
    assert lines[2] == ["`edges`", "", "0", "", "\N{EN DASH}", "\N{EN DASH}", beside.NOT_RUN]
    assert markdown_table(head, lines).count("\n") == 5
    file.write_text("{}")
    with pytest.raises(mmel.MmelError, match="run the notebook"):
        larger.read_stored(file)
    with pytest.raises(mmel.MmelError, match="cannot be read"):
        paper.read_reported(tmp_path / "none.csv", 1)


def test_a_larger_run_keeps_its_parts_and_leaves_values_and_provenance_apart(tmp_path):
    assert larger.kept("bundled", "table2") is None
    assert larger.kept("full", "table2").as_posix() == "../runs/full/evaluations/table2"
    (tmp_path / "provenance.json").write_text(json.dumps({"calls": [{"host": "mine", "cores": 2}], "seconds": {}}))
    larger.write_stored(tmp_path / "out" / "table2.json", "words", {}, tmp_path)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["table2.json", "table2_provenance.json"]
    origin = json.loads((tmp_path / "out" / "table2_provenance.json").read_text())
    assert origin["calls"] == [{"cores": 2}]


def test_cells_are_held_against_those_of_a_larger_run(tmp_path):
    def cell(mean, half):
        return {"mean": mean, "low": mean - half, "high": mean + half, "count": 4}

    many = {f"image {name}": {"a": cell(0.5, 0.1)} for name in "hcagbedf"}
    none = {column: {"a": cell(0.9, 0.1)} for column in many}
    assert larger.held(many, none).apart == tuple((f"image {name}", "a") for name in "abcdefgh")
    own = {"image drop": {"a": cell(0.5, 0.1), "b": cell(0.62, 0.1), "c": cell(0.9, 0.1), "only here": cell(0, 0)}}
    large = {"image drop": {name: cell(0.5, 0.05) for name in "abc"}, "text drop": {"a": cell(0, 0)}}
    assert larger.held(own, large) == larger.Held(1, 2, 3, (("image drop", "c"),))
    assert held_lines(tmp_path)[0].startswith("table 1: a run (`make reproduce`)")
    (tmp_path / "runs" / "bundled").mkdir(parents=True)
    results = {notebook: {f"Table {number}": own} for number, notebook in LARGER.items()}
    (tmp_path / "runs" / "bundled" / "results.json").write_text(json.dumps(results))
    larger.write_stored(tmp_path / "benchmarks" / "full" / "table2-bundled.json", "words", large)
    lines = held_lines(tmp_path)
    assert lines[0].startswith("table 1: the larger run") and "1 of 3 means" in lines[1]
    assert lines[1].endswith("the intervals of 2 meet, not those of") and lines[2] == "    image drop: c"
    assert lines[3].startswith("table 3: the larger run") and len(lines) == 4


def test_every_sheet_says_everything():
    assert all(all(sheet) for sheet in SHEETS.values())
    assert {name.split(",")[0].split(" ")[0] for name in SHEETS} == set(PROTOCOLS)
