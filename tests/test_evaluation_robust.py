"""What one sample cannot do to others, and what is said of a whole run before its first sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from evaluation_toy import tiny_job
from PIL import Image

import mmel
from mmel.cli import main
from mmel.data import open_dataset
from mmel.errors import DatasetError, EvaluationError, ImageError, MmelError
from mmel.evaluation import Plan, Row, reporting, run
from mmel.evaluation.crews import Alone
from mmel.evaluation.header import plain
from mmel.evaluation.job import DataName, Job, ModelName
from mmel.evaluation.measuring import measure_shard
from mmel.evaluation.parts import Folder, Shard
from mmel.evaluation.protocols import PROTOCOLS
from mmel.evaluation.protocols.checking import NEEDED, protocols_for
from mmel.evaluation.rows import CONTROLS, ROWS, TABLES, check_row, described, row_of
from mmel.methods import METHODS

FEW = {"resamples": 100}


@pytest.fixture(scope="module")
def clip():
    return mmel.load_clip(device="cpu")


class Holed(Sequence):
    """The first samples of a dataset, of which one cannot be read."""

    name, manifest = "holed", "holed"

    def __init__(self, data, hole: int):
        self.data, self.hole, self.records = data, hole, data.records
        self.asked = 0

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        self.asked += 1
        if index == self.hole:
            raise ImageError("half a file.")
        return self.data[index]


def test_one_unreadable_picture_fails_its_own_sample_alone(clip, tmp_path):
    data = Holed(open_dataset("scenes/retrieval", count=4), 2)
    how = dict(clip=clip, rows=["grad_eclip", "random"], settings={"captions": 1, "steps": 2}, **FEW)
    frame = mmel.evaluate("table3", data, out=tmp_path / "run", **how)
    assert data.asked == 2 * len(data)  # once for the gallery, once to be evaluated
    failed = frame[frame.error != ""]
    assert set(failed.kind) == {"ImageError"} and set(failed["index"]) == {2} and len(failed) == 2
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    key = data.data.keys[2]
    said = results["prepared"]
    assert {name: said[name] for name in said if name != "notes"} == {"gallery": 3, "unreadable": {key: "half a file."}}
    assert len(said["notes"]) == 2 and set(said["notes"]) <= set(reporting.notes_of(results, False))
    notes = " ".join(reporting.notes_of(results, False))
    assert "Gallery: 3 pictures" in notes and f"such as {key}: half a file." in notes


@pytest.mark.parametrize(
    ("raised", "error"), [(DatasetError("no captions"), DatasetError), (KeyError("x"), EvaluationError)]
)
def test_errors_of_prepare_are_of_the_run_and_come_once(clip, monkeypatch, raised, error):
    times = []

    def prepare(*_):
        times.append(1)
        raise raised

    monkeypatch.setattr(PROTOCOLS["table3"], "prepare", prepare)
    with pytest.raises(error):
        mmel.evaluate("table3", "scenes/retrieval", clip=clip, count=3, rows=["random"])
    assert len(times) == 1


def test_what_a_gallery_remembers_is_no_part_of_a_run(clip, tmp_path):
    data = open_dataset("scenes/retrieval", count=4)
    searched = PROTOCOLS["table3"](captions=1).prepare(clip, data)
    table3 = PROTOCOLS["table3"](captions=1, steps=2, gallery=searched)
    before = plain(table3)
    how = dict(clip=clip, rows=["random"], out=tmp_path, **FEW)
    first = mmel.evaluate(table3, data[:2], **how)
    assert searched.memo and plain(table3) == before and data.manifest in str(before)
    assert mmel.evaluate(table3, data[:2], **how).equals(first)
    other = PROTOCOLS["table3"](captions=1).prepare(clip, data[:3])
    with pytest.raises(EvaluationError, match=r"protocol\.gallery"):
        mmel.evaluate(replace(table3, gallery=other), data[:2], **how)
    assert not table3.wants_all and PROTOCOLS["table3"]().wants_all


@pytest.mark.parametrize(("error", "why"), [(KeyError(), "KeyError"), (OSError("no disk"), "OSError: no disk")])
def test_a_foreign_error_keeps_its_kind_in_the_gallery(clip, error, why):
    class Foreign(Holed):
        def __getitem__(self, index):
            if index == self.hole:
                raise error
            return self.data[index]

    whole = open_dataset("scenes/retrieval", count=3)
    table3 = PROTOCOLS["table3"](captions=1, steps=2)
    state = table3.prepare(clip, Foreign(whole, 1))
    assert state.unreadable == {whole.keys[1]: why}
    with pytest.raises(DatasetError, match=why):
        list(table3.measure(clip, state, whole[1], Row("random", "random"), 0))
    with pytest.raises(DatasetError, match="not in the gallery"):
        list(table3.measure(clip, state, replace(whole[1], key="another"), Row("random", "random"), 0))


def test_parts_of_another_gallery_are_refused(clip, tmp_path):
    whole = open_dataset("scenes/retrieval", count=4)
    job = Job(PROTOCOLS["table3"](captions=1, steps=2), (Row("random", "random"),), clip, Holed(whole, 3))
    plan = Plan(shard_size=2, share=(1, 2), **FEW)
    run(job, tmp_path, plan)
    assert len(list(tmp_path.glob("part-*"))) == 1
    with pytest.raises(EvaluationError, match=r"part-00000000(.|\n)*gallery: 3 there, 4 here(.|\n)*same files"):
        run(replace(job, data=Holed(whole, 9)), tmp_path, replace(plan, share=(2, 2)))
    assert len(list(tmp_path.glob("part-*"))) == 1
    assert run(job, tmp_path, replace(plan, share=(1, 1))).results


def test_a_count_shrinks_what_is_evaluated_not_the_gallery(clip, tmp_path):
    how = dict(clip=clip, rows=["random"], settings={"captions": 1, "steps": 2}, **FEW)
    size = len(open_dataset("scenes/retrieval"))
    few = mmel.evaluate("table3", "scenes/retrieval", count=2, out=tmp_path, **how)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["header"]["dataset"]["samples"] == 2 and set(few["index"]) == {0, 1}
    assert results["header"]["prepared from"]["samples"] == results["prepared"]["gallery"] == size > 2
    assert any(f"Gallery: {size} pictures" in note for note in reporting.report_of(results).notes)


@pytest.mark.parametrize(
    ("protocol", "settings", "says"),
    [
        ("table2", {"protocols": ("oficial",)}, "did you mean official"),
        ("table2", {"path": "exakt"}, "did you mean exact"),
        ("table2", {"targets": ()}, "at least one"),
        ("table2", {"own_size": ("grad_eclipp",)}, "did you mean grad_eclip"),
        ("table1", {"runs": 0}, "runs of table1 is from 1 on; got 0"),
        ("table1", {"runs": "x"}, "a whole number"),
        ("table3", {"gallery": 500}, "is a dataset"),
        ("table3", {"readings": ("atention",)}, "did you mean attention"),
        ("microscope", {"path": "exakt"}, "did you mean exact"),
        ("microscope", {"steps": 6}, "a multiple of 4 from 8 on.*got 6"),
        ("microscope", {"steps": 10}, "multiple of 4 from 8 on.*got 10"),
        ("words", {"roles": ("objekt",)}, "did you mean object"),
        ("sanity", {"tower": "txt"}, "did you mean text"),
        ("errors", {"curves": "x"}, "a whole number"),
        ("swaps", {"random": "x"}, "a whole number"),
    ],
)
def test_settings_are_looked_at_before_anything_runs(protocol, settings, says):
    with pytest.raises(MmelError, match=says):
        PROTOCOLS[protocol](**settings)


@pytest.mark.parametrize(
    ("method", "settings", "says"),
    [
        ("m2ib", {"betta": 1}, "unknown setting of m2ib 'betta': did you mean beta"),
        ("m2ib", {"modality": "image"}, "unknown setting"),
        ("m2ib", {"beta": "x"}, "a finite number"),
        ("m2ip", {}, "unknown method 'm2ip': did you mean m2ib"),
        ("mmel", {"gate": "some"}, "one of"),
    ],
)
def test_a_row_is_looked_at_when_the_job_is_made(method, settings, says):
    with pytest.raises(MmelError, match=says):
        Job(PROTOCOLS["table2"](), (Row("a", method, settings),), ModelName(), DataName("scenes/classes"))


def test_every_row_of_the_tables_passes():
    for name in {*ROWS, *METHODS}:
        check_row(row_of(name))
    said = [described(row_of(name)) for name in ("mmel", "mmel_literal", "mmel_working")]
    assert said == ["mmel()", "mmel(preset='LITERAL')", "mmel(preset='WORKING')"]
    assert set(CONTROLS) <= set(TABLES["microscope"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("table2", "--set", "path=exakt"),
        ("table1", "--set", "runs=0"),
        ("table1", "--threads", "0"),
        ("table1", "--samples", "0"),
        ("table2", "--set", "shorter_side=0"),
    ],
)
def test_the_command_line_ends_with_2(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(
            ["evaluate", "--protocol", *arguments, "--methods", "random", "--count", "2", "--out", str(tmp_path / "o")]
        )
    found = capsys.readouterr()
    assert end.value.code == 2 and "error: " in found.err and "Traceback" not in found.err


@pytest.mark.parametrize("protocol", ["table2", "microscope", "localisation"])
def test_a_dataset_without_classes_is_an_error_of_the_run(clip, protocol):
    data = Holed(open_dataset("scenes/classes", count=2), 5)
    with pytest.raises(DatasetError, match="classes"):
        mmel.evaluate(protocol, data, clip=clip, rows=["random"])


@pytest.mark.parametrize(
    ("protocol", "kind", "says"),
    [
        ("table2", "scenes/pairs", r"table2 judges by the true class.*scenes/pairs.*labels\.csv \(image,class\)"),
        ("microscope", "scenes/pairs", "microscope judges by the true class"),
        ("table2", "captions", "table2 judges by the true class.*folder"),
        ("table1", "labels", r"table1 judges by each picture's caption.*captions\.csv \(image,caption\)"),
        ("sanity", "labels", "sanity judges by each picture's caption"),
        ("localisation", "labels", "localisation judges by exact masks.*take scenes/pairs, coco-objects, or masks"),
        ("words", "captions", "words judges by the exact masks and words of the bundled world"),
        ("errors", "captions", "errors judges by the exact masks and words"),
    ],
)
def test_what_every_sample_lacks_is_one_error_at_the_start(clip, tmp_path, protocol, kind, says):
    if kind.startswith("scenes/"):
        data = {"dataset": kind, "count": 3}
    else:
        column = {"captions": "caption", "labels": "class"}[kind]
        (tmp_path / f"{kind}.csv").write_text(f"image,{column}\na.png,dog\nb.png,car\n")
        data = {"dataset": "folder", "root": str(tmp_path)}
    with pytest.raises(DatasetError, match=says):
        mmel.evaluate(protocol, clip=clip, rows=["random"], out=tmp_path / "run", **data)
    assert not list((tmp_path / "run").glob("part-*"))


@pytest.mark.parametrize(
    ("columns", "fit"),
    [
        ("caption", ["table1", "table3", "sanity", "swaps", "transform"]),
        ("class", ["table2", "microscope"]),
        ("caption,class", ["table1", "table2", "table3", "microscope", "sanity", "swaps", "transform"]),
    ],
)
def test_data_check_says_what_a_folder_is_for(tmp_path, capsys, columns, fit):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text(f"image,{columns}\na.png{',dog' * len(columns.split(','))}\n")
    assert protocols_for(open_dataset("folder", root=tmp_path)) == fit
    with pytest.raises(SystemExit):
        main(["data", "check", "folder", "--root", str(tmp_path)])
    assert f"  for      mmel evaluate --protocol {' or '.join(fit)}\n" in capsys.readouterr().out


def test_the_bundled_world_is_for_what_its_splits_hold():
    pairs, classes = (protocols_for(open_dataset(name, count=2)) for name in ("scenes/pairs", "scenes/classes"))
    assert set(classes) - set(pairs) == {"table2", "microscope"} and {"words", "errors", "localisation"} < set(pairs)
    assert set(NEEDED) == set(PROTOCOLS)


def test_a_run_that_stopped_before_its_first_part_makes_room_for_another(tmp_path):
    """Its header alone refuses nothing; a part does, and so does a header that came between."""
    run_of = {pause: tiny_job(3, pause=pause) for pause in (0.0, 0.001)}
    broken = tiny_job(3, pause=0.5, broken=(0,))
    folder = Folder(tmp_path)
    folder.open(Alone(broken).header)
    assert run(run_of[0.0], tmp_path, Plan(**FEW)).results
    with pytest.raises(EvaluationError, match="belongs to another run"):
        run(run_of[0.001], tmp_path, Plan(**FEW))
    other = Folder(tmp_path / "two")
    other.open(Alone(run_of[0.0]).header)
    other.open(Alone(broken).header)
    table = measure_shard(Alone(run_of[0.0]).worker, range(3))
    with pytest.raises(EvaluationError, match=r"belongs to another run(.|\n)*pause: 0.5 there, 0.0 here"):
        other.put(Shard(0, 3), table, Alone(run_of[0.0]).header)
    assert not other.parts()


def test_other_reducers_reduce_a_finished_run_again(tmp_path):
    run(tiny_job(3), tmp_path, Plan(**FEW))
    path = tmp_path / "results.json"
    whole = path.read_text()
    path.write_text(whole.replace('"count"', '"stale"'))
    run(tiny_job(3), tmp_path, Plan(**FEW))
    assert '"stale"' in path.read_text()  # read, not made again
    path.write_text(path.read_text().replace(json.loads(whole)["reducers"], "of another day"))
    run(tiny_job(3), tmp_path, Plan(**FEW))
    assert path.read_text() == whole
