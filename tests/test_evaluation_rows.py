"""Rows by their names, and with settings in brackets: what is read, what is refused, what the report shows."""

from __future__ import annotations

import csv
import io

import pytest

import mmel
from mmel.cli import main
from mmel.errors import BadSetting, UnknownName
from mmel.evaluation.job import rows_of
from mmel.evaluation.rows import FULL, ROWS, TABLES, row_of, rows, value_of, why_no_text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("3", 3), ("-1", -1), ("0.5", 0.5), (".5", 0.5), ("1.", 1.0), ("1e-3", 0.001), ("true", True), ("False", False),
        ("none", None), ("mean", "mean"), ("grad_eclip", "grad_eclip"), ("1+0.5", (1, 0.5)), ("8+", (8,)),
        ("car+dog", ("car", "dog")),
    ],
)  # fmt: skip
def test_a_value_is_what_it_says(written, value):
    assert value_of(written) == value and type(value_of(written)) is type(value)


@pytest.mark.parametrize(
    "written", ["", "1,5", "__import__('os')", "(1, 2)", "++", "+1", "1 2", "0x1", "'a'", "\u0663"]
)
def test_what_is_no_value_is_refused(written):
    with pytest.raises(BadSetting, match=r"is no value: write NAME\[SETTING=VALUE,...\]"):
        value_of(written)


def test_a_comma_in_brackets_does_not_separate_names():
    m2ib, rise, eclip = rows("m2ib[ beta=1, n_samples=5 ],rise grad_eclip_one_head[layers=2]", samples=7)
    assert (m2ib.name, m2ib.settings) == ("m2ib[beta=1,n_samples=5]", {"beta": 1, "n_samples": 5})
    assert (rise.name, rise.settings) == ("rise", {"n_masks": 7})
    assert eclip.settings == {**ROWS["grad_eclip_one_head"].settings, "layers": 2} and eclip.method == "grad_eclip"


def test_the_name_is_the_same_however_it_is_written():
    """Settings in the method's own order; `samples` by its own name, and before the limit of `--samples`."""
    (one,), (other,) = (rows(name, samples=9) for name in ("rise[keep=0.50, samples=5]", "rise[ n_masks=5 ,keep=.5]"))
    assert one == other and one.name == "rise[n_masks=5,keep=0.5]" and FULL["rise"] != 5
    assert rows("mmel[scales=1+,bias=FALSE,layers=none]")[0].name == "mmel[scales=1+,bias=false,layers=none]"
    assert rows(rows("mmel[scales=1+0.5,gate=sum]")[0].name) == rows("mmel[gate=sum,scales=1+0.5]")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("m2ib[betta=1]", "did you mean beta"),
        ("m2ib[beta=x]", "a finite number; got 'x'"),
        ("m2ib[beta=inf]", "a finite number"),
        ("m2ib[beta=1+2]", "a finite number"),
        ("m2ib[beta=true]", "a finite number"),
        ("m2ib[n_samples=2.5]", "a whole number"),
        ("m2ib[beta]", "is no value"),
        ("m2ib[beta=1,beta=2]", "beta is there twice"),
        ("m2ib[n_samples=1,samples=2]", "n_samples is there twice"),
        ("m2ib[modality=image]", "unknown setting"),
        ("m2ib[noise=loud]", "cannot be written here"),
    ],
)
def test_a_wrong_setting_is_an_error_with_all_settings(name, says):
    with pytest.raises(BadSetting) as error:
        rows(name)
    assert says in str(error.value) and str(error.value).startswith(name)
    assert "The settings of m2ib: layer=9, beta=0.1, steps=10, lr=1.0, n_samples=10, noise=none" in str(error.value)


@pytest.mark.parametrize("name", ["m2ib[", "m2ib]", "m2ib[]", "m2ib[beta=1", "m2ib[beta=1]x", "[beta=1]", "m2ib[a[b]]"])
def test_brackets_that_do_not_close_are_no_name(name):
    with pytest.raises(BadSetting, match="names no row: write NAME"):
        rows(f"{name},rise")


def test_other_errors_of_names_and_settings():
    with pytest.raises(UnknownName, match="unknown row 'm2ibb': did you mean m2ib"):
        rows("rise,m2ibb[beta=1]")
    with pytest.raises(BadSetting, match=r"gate of mmel is one of.*The settings of mmel: alpha=2\.0, scales=1\.0\+0"):
        rows("mmel_literal[gate=some]")
    with pytest.raises(BadSetting, match="edges has no settings: write edges alone"):
        rows("edges[sigma=1]")


def test_every_name_in_one_text_is_a_row():
    assert [row.name for row in rows_of("rise, random", "table2")] == ["rise", "random"]
    assert [row.name for row in rows_of(["rise,random", row_of("edges")], "table2")] == ["rise", "random", "edges"]
    assert [row.name for row in rows_of("table3", "words")] == list(TABLES["table3"])
    assert [row.name for row in rows_of("all", "table3")] == list(TABLES["table3"])


def test_a_row_with_settings_has_a_text_map_where_it_had_one():
    assert why_no_text("mmel_literal[alpha=1]", "mmel") == why_no_text("mmel_literal", "mmel") != ""
    assert why_no_text("m2ib[beta=1]", "m2ib") == ""


def test_settings_are_in_the_report_and_change_the_numbers(tmp_path, capsys):
    names = ("m2ib[beta=0.1,n_samples=2,steps=2]", "m2ib[beta=9,n_samples=2,steps=2]")
    what = ("--protocol", "localisation", "--dataset", "scenes/pairs", "--count", "2", "--resamples", "50")
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *what, "--methods", ",".join(names), "--device", "cpu", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert not end.value.code and "m2ib[layer" not in out
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path), "--format", "csv"])
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    found = {line["row"]: line["mean"] for line in lines if line["metric"] == "energy_pointing_game"}
    shown = ["m2ib[beta=0.1,steps=2,n_samples=2]", "m2ib[beta=9,steps=2,n_samples=2]"]
    assert list(found) == shown and len(set(found.values())) == 2
    assert all(name in out for name in shown)
    frame = mmel.evaluate("localisation", "scenes/pairs", rows=names[0], count=2, device="cpu")
    assert set(frame.row) == {shown[0]} and set(frame.method) == {"m2ib"}
