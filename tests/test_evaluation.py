"""The engine: the same bytes however a run is cut, what fails and why, whose parts are refused, what a table says."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from evaluation_toy import LOG, METRICS, ROWS, Pictures, Tiny, tiny_clip, tiny_job

import mmel
from mmel.errors import BadSetting, EvaluationError, MissingExtra, MmelError, UnknownName
from mmel.evaluation import Plan, Row, cells, inline, parts, run
from mmel.evaluation.depends import closure, modules, sources_of
from mmel.evaluation.running import share_of, table_of
from mmel.stats import bootstrap_mean, paired_difference

FEW = {"resamples": 200}


def results(folder) -> bytes:
    return (folder / "results.json").read_bytes()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run of 20 samples, two of them broken."""
    out = tmp_path_factory.mktemp("run") / "deep" / "folder"
    return run(tiny_job(20, broken=(3, 17)), out, Plan(shard_size=4, **FEW))


@pytest.mark.parametrize("size", [1, 3, 20, 64])
def test_shard_size_changes_no_byte(done, tmp_path, size):
    run(tiny_job(20, broken=(3, 17)), tmp_path, Plan(shard_size=size, **FEW))
    assert results(tmp_path) == results(done.folder.path)
    assert len(list(tmp_path.glob("part-*"))) == -(-20 // size)


def test_shares_in_any_order_and_size_make_the_same_run(done, tmp_path):
    job = tiny_job(20, broken=(3, 17))
    for share in ((3, 3), (1, 3)):
        half = run(job, tmp_path, Plan(shard_size=2, share=share, **FEW))
        assert half.results is None and 0 < half.done < 20
        assert not (tmp_path / "results.json").exists()
    whole = run(job, tmp_path, Plan(shard_size=7, **FEW))  # what is left of larger shards
    assert results(tmp_path) == results(done.folder.path) and whole.done == 20
    run(job, tmp_path / "other", Plan(shard_size=5, **FEW))
    for part in (tmp_path / "other").glob("part-*"):  # parts that overlap those that are there
        (tmp_path / part.name).write_bytes(part.read_bytes())
    (tmp_path / "results.json").unlink()
    run(job, tmp_path, Plan(**FEW))
    assert results(tmp_path) == results(done.folder.path)


def test_results_hold_values_only(done):
    text = results(done.folder.path).decode()
    assert not {"seconds", "host", "workers", "shard"} & set(text.replace('"', " ").split())
    where = json.loads((done.folder.path / "provenance.json").read_text())
    assert where["calls"][0]["shard_size"] == 4 and set(where["seconds"]) == {row.name for row in ROWS}
    assert json.loads((done.folder.path / "header.json").read_text()) == done.results["header"]


def test_cells_are_those_of_the_statistics(done):
    frame = table_of(done.folder)
    column = done.results["columns"][0]
    assert (column["modality"], column["metric"], column["higher_is_better"]) == ("image", METRICS[0], True)
    assert list(column["rows"]) == ["grad_eclip", "better", "no_text", "sometimes"]
    values = {row: part.set_index("index").value for row, part in frame[frame.metric == METRICS[0]].groupby("row")}
    for row, cell in column["rows"].items():
        alone = bootstrap_mean(values[row].to_numpy(), resamples=200)
        assert (cell["mean"], cell["low"], cell["high"], cell["count"]) == pytest.approx(alone)
        assert cell["steps"] == pytest.approx([alone.mean, alone.mean / 2])
    apart = paired_difference(values["better"].to_numpy(), values["grad_eclip"].to_numpy(), resamples=200)
    assert column["rows"]["better"]["versus"] == pytest.approx(apart._asdict())
    assert column["rows"]["better"]["p_holm"] == pytest.approx(min(1, 3 * apart.p))
    assert [row for row, cell in column["rows"].items() if cell["best"]] == ["better"]
    assert column["rows"]["sometimes"]["count"] == 11  # 20, less two broken and seven more


def test_what_fails_is_a_line_with_its_reason(done):
    frame = table_of(done.folder)
    broken = frame[frame["index"] == 3]
    assert list(broken.row) == [row.name for row in ROWS]
    assert set(broken.kind) == {"ImageError"} and broken.error.str.contains("half a file").all()
    assert broken.value.isna().all()
    assert set(frame.row[frame.error == "RuntimeError: a tensor of another size"]) == {"sometimes"}
    reasons = {(each["row"], each["count"]): each for each in done.results["failures"]}
    assert len(reasons[("nan", 18)]["samples"]) == 5
    assert "not a finite number" in reasons[("nan", 18)]["reason"]
    assert [each["row"] for each in done.results["dashes"]] == ["no_text"]
    assert done.failures == sum(each["count"] for each in done.results["failures"]) == 5 * 2 + 7 + 18
    each = frame.groupby(["index", "row"]).size()
    assert len(each) == 20 * len(ROWS)  # nothing is skipped in silence


def test_a_protocol_that_measures_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(Tiny, "measure", lambda *_: iter(()))
    outcome = run(tiny_job(2, ROWS[:1]), tmp_path, Plan(**FEW))
    assert outcome.failures == 2 and "measured nothing" in outcome.results["failures"][0]["reason"]


def test_full_memory_stops_the_run(tmp_path, monkeypatch):
    def measure(*_):
        raise MemoryError

    monkeypatch.setattr(Tiny, "measure", measure)
    with pytest.raises(EvaluationError, match="memory is full"):
        run(tiny_job(2, ROWS[:1]), tmp_path, Plan(**FEW))


def test_the_same_lines_as_the_engine_of_the_notebooks():
    clip, data = tiny_clip(), Pictures(6)
    here = mmel.evaluate(Tiny(), data, clip=clip, rows=ROWS[:2], counts={"better": 4}, seed=7, **FEW)
    there = inline.measured(Tiny(), clip, data, ROWS[:2], counts={"better": 4}, seed=7)
    pd.testing.assert_frame_equal(
        here[["sample", "row", "metric", "value"]], there[["sample", "row", "metric", "value"]]
    )
    assert [list(steps) for steps in here.steps] == list(there.steps)
    assert list(cells.cells_of(here, "image", METRICS[0], resamples=50)) == ["grad_eclip", "better"]


def test_seeds_come_from_the_sample_and_the_method():
    frame = mmel.evaluate(
        Tiny(), Pictures(6), clip=tiny_clip(), rows=[*ROWS[:2], replace(ROWS[1], name="again")], **FEW
    )
    seeds = frame.groupby(["sample", "method"]).seed.unique()
    assert all(len(each) == 1 for each in seeds) and len({each[0] for each in seeds}) == 12
    other = mmel.evaluate(Tiny(), Pictures(6), clip=tiny_clip(), rows=ROWS[:2], seed=1, **FEW)
    assert not set(other.seed) & set(frame.seed)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"model": tiny_clip(0.25)}, "weights: "),
        ({"data": Pictures(5)}, "dataset.samples: 4 there, 5 here"),
        ({"data": Pictures(4, side=9)}, "manifest: "),
        ({"rows": ROWS[:1]}, "rows.better: .* nothing here"),
        (
            {"rows": (ROWS[0], Row("better", "random", {"shift": 0.5}))},
            "rows.better.settings.shift: 0.4 there, 0.5 here",
        ),
        ({"rows": ROWS[1::-1]}, "another order"),
        ({"protocol": Tiny(pause=0.001)}, "protocol.pause"),
        ({"counts": {"better": 2}}, "counts.better: nothing there, 2 here"),
    ],
)
def test_another_run_is_refused(tmp_path, change, says):
    job = tiny_job(4, ROWS[:2])
    run(job, tmp_path, Plan(**FEW))
    before = results(tmp_path)
    with pytest.raises(EvaluationError, match=says):
        run(replace(job, **change), tmp_path, Plan(**FEW))
    assert results(tmp_path) == before


def test_sources_and_foreign_parts_are_refused(tmp_path, monkeypatch):
    job = tiny_job(4, ROWS[:2])
    run(job, tmp_path / "a", Plan(**FEW))
    run(replace(job, seed=5), tmp_path / "b", Plan(**FEW))
    part = next((tmp_path / "b").glob("part-*"))
    (tmp_path / "a" / "part-00000004-00000008.parquet").write_bytes(part.read_bytes())
    with pytest.raises(EvaluationError, match=r"part-00000004-00000008(.|\n)*seed: 5 there, 0 here"):
        run(job, tmp_path / "a", Plan(**FEW))
    (tmp_path / "a" / "part-00000004-00000008.parquet").write_bytes(b"PAR1 half a file")
    with pytest.raises(EvaluationError, match=r"cannot be read.*delete it"):
        run(job, tmp_path / "a", Plan(**FEW))
    monkeypatch.setattr("mmel.evaluation.header.sources_of", lambda *_: "0" * 64)
    with pytest.raises(EvaluationError, match=r"sources: [0-9a-f]{12} there, 000000000000 here"):
        run(replace(job, seed=5), tmp_path / "b", Plan(**FEW))


def test_sources_follow_the_protocol_and_the_methods_asked_for():
    from mmel.data import open_dataset
    from mmel.evaluation.protocols import PROTOCOLS

    def names(*methods):
        files = closure(["mmel.evaluation.protocols.table2", *(f"mmel.methods.{each}" for each in methods)])
        return {name for name, path in modules().items() if path in files}

    found = names("grad_eclip")
    assert {"mmel.metrics.curves", "mmel.clip", "mmel.trace", "mmel.methods.grad_eclip"} <= found
    assert not {"mmel.methods.rise", "mmel.evaluation.protocols.table3", "mmel.cli", "mmel.figures"} & found
    data, protocol = open_dataset("scenes/classes", count=1), PROTOCOLS["table2"]()
    hashes = [sources_of(protocol, each, data) for each in (["saliency"], ["rise"], ["saliency", "rise"], ["edges"])]
    assert len(set(hashes)) == 4
    assert sources_of(protocol, ["saliency"], data) == hashes[0] != sources_of(Tiny(), ["saliency"], data)


def test_a_finished_run_is_read_and_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    how = {"clip": tiny_clip(), "rows": ROWS[:2], "out": tmp_path / "run", **FEW}
    first = mmel.evaluate(Tiny(), Pictures(5), **how)
    before = (tmp_path / "log").read_text(), (tmp_path / "run" / "results.json").stat().st_mtime_ns
    pd.testing.assert_frame_equal(mmel.evaluate(Tiny(), Pictures(5), **how), first)
    assert ((tmp_path / "log").read_text(), (tmp_path / "run" / "results.json").stat().st_mtime_ns) == before


def test_a_full_disk_stops_the_run_and_loses_no_part(tmp_path, done):
    job = tiny_job(20, broken=(3, 17))
    undone = tmp_path / f".part-00000008-00000012.parquet.{parts._host()}.{os.getpid()}.tmp"
    undone.symlink_to("/dev/full")  # a device that never has room
    with pytest.raises(EvaluationError, match=r"part-00000008-00000012.*disk is full.*Finished parts are kept"):
        run(job, tmp_path, Plan(shard_size=4, **FEW))
    assert [path.name[5:13] for path in sorted(tmp_path.glob("part-*"))] == ["00000000", "00000004"]
    assert not list(tmp_path.glob(".*"))
    assert run(job, tmp_path, Plan(shard_size=4, **FEW)).failures == done.failures
    assert results(tmp_path) == results(done.folder.path)


def test_parts_are_whole_or_absent(tmp_path):
    whole = tmp_path / "name"
    with pytest.raises(EvaluationError, match="the disk is full"), parts.written_whole(whole) as file:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(KeyboardInterrupt), parts.written_whole(whole) as file:
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path):
    gone, other = tmp_path / f".part-1.{parts._host()}.{2**22 + 1}.tmp", tmp_path / ".part-1.elsewhere.1.tmp"
    mine = tmp_path / f".part-2.{parts._host()}.{os.getpid()}.tmp"
    for path in (gone, other, mine):
        path.write_bytes(b"half")
    run(tiny_job(2, ROWS[:2]), tmp_path, Plan(**FEW))
    assert not gone.exists() and other.exists() and mine.exists()


def test_parts_are_tidy_parquet(done):
    table = pq.read_table(next(done.folder.path.glob("part-00000000*")))
    assert table.column_names == ["index", "sample", "row", "method", "seed", "modality", "metric", "value", "steps",
                                  "seconds", "error", "kind"]  # fmt: skip
    assert (np.array(table["seconds"]) >= 0).all()


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: mmel.evaluate("table9"), UnknownName, "unknown protocol 'table9'"),
        (lambda: mmel.evaluate("table2", settings={"stepps": 1}), UnknownName, "setting of table2"),
        (lambda: mmel.evaluate("table2", rows=["grad_eclipp"]), UnknownName, "unknown row 'grad_eclipp'"),
        (lambda: tiny_job(2, ()), BadSetting, "one or more rows"),
        (lambda: tiny_job(2, (ROWS[0], ROWS[0])), BadSetting, "each of its own name"),
        (lambda: tiny_job(2, counts={"nobody": 1}), UnknownName, "row of `counts`"),
        (lambda: Plan(shard_size=0), BadSetting, "shard_size is a whole number"),
        (lambda: Plan(engine="slurm"), UnknownName, "unknown engine"),
        (lambda: Plan(share=(3, 2)), BadSetting, "i from 1 to n"),
        (lambda: share_of("half"), BadSetting, "written i/n"),
        (lambda: run(tiny_job(2), "unused", Plan(workers=2)), BadSetting, "for several workers name it"),
        (lambda: mmel.evaluate(Tiny(), [1, 2], clip=tiny_clip(), rows=ROWS), EvaluationError, "has no manifest"),
    ],
)
def test_what_cannot_be_says_so(make, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        make()
    assert issubclass(error, MmelError) and issubclass(MissingExtra, MmelError)
