"""Sanity checks and error analysis through the engine: numbers of `mmel.sanity`, resumed, and the model as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_toy import DEADLY, log
from reference_sanity import dissolve, measured, related
from test_evaluation_killed import children  # noqa: F401
from toy import toy_clip
from typer.testing import CliRunner

import mmel
from mmel import sanity
from mmel.cli import app
from mmel.data import open_dataset
from mmel.errors import BadSetting, EvaluationError, UnknownName
from mmel.evaluation import Plan, Row, inline, reporting, run
from mmel.evaluation.inline import seed_of
from mmel.evaluation.job import Job
from mmel.evaluation.protocols import Errors, Sanity, Swaps, Transform, falling, records_of
from mmel.types import Example

FEW = {"resamples": 100}
MEASURES = ("spearman", "hog", "top_overlap", "entropy_rise")  # four by four patches are too few for SSIM
ENDS = Sanity(every=12, measures=MEASURES, drawn=("noise",), pictures=1)
ROWS = {
    "grad_eclip": ("grad_eclip", {}),
    "saliency": ("saliency", {}),
    "noise": ("random", {}),
    "same noise": ("random", {"seed": 3}),
    "edges": ("edges", {}),
}
OURS = Row("ours", "mmel", dict(mmel.WORKING))
AS_ROWS = [Row(name, *how) for name, how in ROWS.items()]


class Logged(Sequence):
    """A dataset that says which sample is read, and may end the process there; sample `bare` has no caption."""

    name = "logged"

    def __init__(self, data, bare: int | None = None):
        self.data, self.bare, self.manifest = data, bare, f"{data.manifest} {bare}"
        self.keys, self.captions = data.keys, data.captions

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Example:
        log(self.data.keys[index])
        return replace(self.data[index], captions=()) if index == self.bare else self.data[index]


def scenes(count: int = 3):
    return open_dataset("scenes/two_objects", count=count)


def crowded(*numbers: int):
    """A scene of each number of objects."""
    data = open_dataset("scenes/crowded")
    return replace(data, records=tuple(data.records[len(data) // 16 * (number - 1)] for number in numbers))


def jobs(clip) -> dict[str, Job]:
    draws = [*AS_ROWS[:1], AS_ROWS[2]]
    few = Sanity(every=12, measures=("spearman",), drawn=())
    return {"sanity": Job(few, tuple(draws), clip, Logged(scenes())),
            "errors": Job(Errors(curves=2, steps=2), tuple(draws), clip, Logged(crowded(3, 9, 16))),
            "nearest": Job(replace(few, measures=("nearest",)), (AS_ROWS[4],), clip, Logged(scenes())),
            "transform": Job(Transform((1, 2)), (OURS,), clip, Logged(scenes()))}  # fmt: skip


def run_in_child(name: str, out: Path, deadly: str) -> None:
    """A run that ends its process when it comes to the sample `deadly`."""
    os.environ[DEADLY] = deadly
    run(jobs(toy_clip())[name], out, Plan(shard_size=1, **FEW))


def bits(clip) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in clip.model.state_dict().items()}


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def fallen(clip):
    before = bits(clip)
    frame = mmel.evaluate(ENDS, scenes(), clip=clip, rows=AS_ROWS, together=3, shard_size=3)
    assert bits(clip) == before
    return frame


@pytest.mark.parametrize("order", ENDS.orders)
def test_the_numbers_are_those_of_mmel_sanity(clip, fallen, order):
    examples = list(scenes())
    pixels = mmel.prepare(clip, [each.image for each in examples], ["a"]).images
    texts = mmel.embed_text(clip, [each.captions[0] for each in examples]).detach()
    names, own = [step.name for step in sanity.ladder(clip)], [seed_of(0, each.key, "random") for each in examples]
    steps = [names[0], names[12], names[-1]]
    there = dissolve(clip, pixels, texts, ROWS, order=order, steps=steps, drawn={"noise": own})
    here = falling(ENDS, fallen, clip, order)
    assert here.steps == there.steps and here.shares == there.shares and here.shares[-1].tower == 1
    for row in ROWS:
        usable = there.usable(row)
        assert (here.count(row), here.flat(row)) == (len(usable), 3 - len(usable))
        for name, measure in (("spearman", sanity.spearman), ("hog", sanity.hog_correlation)):
            assert torch.equal(here.likeness(row, name), there.likeness(row, measure)[:, :, usable]), row
        rise = sanity.entropy_rise(there.maps[row][0, 0], there.maps[row][0, -1], bins=20)
        assert torch.equal(here.likeness(row, "entropy_rise")[0, -1], rise[usable])
        assert torch.equal(here.maps(row)[0], there.maps[row][0, :, 0])
    assert here.band("saliency") == there.band("saliency", sanity.spearman)
    assert here.flat("grad_eclip") > 0 == here.flat("edges")  # of the toy's last block two maps are all zeros


def test_controls_stay_and_change(fallen):
    value = fallen.groupby(["row", "metric"]).value
    for order in ENDS.orders:
        assert (value.get_group(("edges", f"spearman {order} 0")) == 1).all()
        assert (value.get_group(("same noise", f"spearman {order} 1")) == 1).all()
        assert (value.get_group(("noise", f"spearman {order} 0")).abs() < 0.9).all()


def test_one_step_alone_and_the_text_tower(clip):
    """Each step by itself: the others are as trained; text maps between start and end of text."""
    how = Sanity(tower="text", orders=("independent",), states=(1,), every=12, modality="text")
    frame = mmel.evaluate(how, scenes(2), clip=clip, rows=[*AS_ROWS[:1], AS_ROWS[4]], together=2, shard_size=2)
    assert set(frame[frame.row == "edges"].kind) == {"UnsupportedModality"}
    examples, steps = list(scenes(2)), falling(how, frame, clip, "independent").steps[1:]
    pixels = mmel.prepare(clip, [each.image for each in examples], ["a"]).images
    texts = [each.captions[0] for each in examples]
    asked = dict(order="independent", tower="text", modality="text", seeds=(1,), steps=steps)
    there = dissolve(clip, pixels, texts, {"grad_eclip": ROWS["grad_eclip"]}, **asked)
    ends = mmel.clip.end_of_text(clip, mmel.prepare(clip, pixels, texts).tokens)
    here = falling(how, frame, clip, "independent").likeness("grad_eclip")
    assert torch.equal(here, there.likeness("grad_eclip", sanity.spearman, ends))


def test_noise_is_of_the_sample_and_not_of_its_company(clip):
    """Of a smoothed map and of a map of noise: alone and in a group, and another one for each sample."""
    check = Sanity(smooth=2, orders=("independent",), states=(1,), steps=("image embedding",), measures=("spearman",),
                   drawn=("noise",), pictures=2)  # fmt: skip
    rows = [AS_ROWS[1], AS_ROWS[2]]
    found = [mmel.evaluate(check, scenes(2), clip=clip, rows=rows, together=n, shard_size=2) for n in (1, 2)]
    one, two = (each.set_index(["row", "sample", "metric"]) for each in found)
    for key in one.index:
        np.testing.assert_allclose(list(one.steps[key]), list(two.steps[key]), atol=1e-5)
    first, second = (list(each) for each in one.xs("noise").xs("map independent 1", level="metric").steps)
    assert first != second


@pytest.mark.parametrize("tower", ["image", "text"])
def test_the_nearest_caption_is_that_of_the_model_as_it_is_on_each_rung(clip, tower):
    check = Sanity(tower=tower, orders=("bottom_up",), every=12, measures=("nearest",), states=(4,))
    frame = mmel.evaluate(check, scenes(5), clip=clip, rows=AS_ROWS[3:], together=2, shard_size=2)
    examples = list(scenes(5))
    pixels = mmel.prepare(clip, [each.image for each in examples], ["a"]).images
    texts = [each.captions[0] for each in examples]

    def right(clip) -> list[bool]:
        best = (mmel.embed_image(clip, pixels) @ mmel.embed_text(clip, texts).T).argmax(1).tolist()
        return [texts[place] == text for place, text in zip(best, texts, strict=True)]

    here = falling(check, frame, clip, "bottom_up")
    asked = dict(order="bottom_up", tower=tower, seed=4, steps=here.steps[1:])
    expected = torch.tensor([rung.seen for rung in sanity.cascade(clip, right, **asked)]).double()
    for row in ("same noise", "edges"):  # whatever the row
        assert torch.equal(here.likeness(row, "nearest")[0], expected)
    assert set(frame.metric) == {"nearest bottom_up 4"} and len({tuple(each) for each in expected.tolist()}) > 1


def test_another_network_and_none(clip):
    """Distances of one picture at a time, and what is left without a gate: Grad-ECLIP over the same blocks."""
    frame = mmel.evaluate(Transform((3, 5)), scenes(2), clip=clip, rows=[OURS], together=2, shard_size=2)
    for place, each in enumerate(scenes(2)):
        whole = {name: {**mmel.WORKING, **how} for name, how in {"own": {}, "3": {"seed": 3}, "5": {"seed": 5}}.items()}
        asked = (clip, each.image, each.captions[0], "mmel")
        shown = {name: mmel.explain(*asked, modality="image", **how).image for name, how in whole.items()}
        alike = {"layers": None, "projected_keys": False, "modality": "image"}
        shown["none"] = mmel.explain(clip, each.image, each.captions[0], "grad_eclip", **alike).image
        unit = {name: map / map.double().pow(2).mean().sqrt() for name, map in shown.items()}
        far = {name: float((unit["own"] - map).norm() / unit["own"].norm()) for name, map in unit.items()}
        found = frame[frame["index"] == place].set_index("metric")
        assert list(found.steps["distance another T"]) == pytest.approx([far["3"], far["5"]], rel=1e-3)
        assert found.value["distance another T"] == pytest.approx((far["3"] + far["5"]) / 2, rel=1e-3)
        assert found.value["distance no gate"] == pytest.approx(far["none"], rel=1e-3)
        assert 0 < found.value["spearman another T"] <= 1
    for row, draws, kind in ((AS_ROWS[0], (1,), BadSetting), (OURS, (0, 1), BadSetting)):
        with pytest.raises(kind):
            Job(Transform(draws), (row,), clip, scenes(2))
    for draws in ((), (1, 1)):
        with pytest.raises(BadSetting):
            Transform(draws)


class Interrupted(BaseException):
    """As Ctrl-C is."""


@pytest.mark.parametrize(
    ("error", "raised"), [(RuntimeError("no"), None), (MemoryError(), EvaluationError), (Interrupted(), Interrupted)]
)
def test_the_model_is_as_it_was_after_an_error(clip, monkeypatch, error, raised):
    before, calls, random = bits(clip), [], []

    def explain(clip, *args, **settings):
        calls.append(args)
        if len(calls) == 4:  # two trained maps, and one of the first rung, come before
            random.append(bits(clip) != before)
            raise error
        return mmel.explain(clip, *args, **settings)

    monkeypatch.setattr("mmel.evaluation.protocols.sanity.explain", explain)
    how = dict(clip=clip, rows=[AS_ROWS[1], AS_ROWS[4]], shard_size=1)
    check = replace(ENDS, states=(0,), measures=("spearman",), orders=("top_down",), drawn=())
    if raised:
        with pytest.raises(raised):
            mmel.evaluate(check, scenes(1), **how)
    else:
        frame = mmel.evaluate(check, scenes(1), **how)
        assert frame[frame.row == "edges"].error.tolist() == ["RuntimeError: no"]
        assert set(frame[frame.row == "saliency"].error) == {""}
    assert random == [True] and bits(clip) == before


@pytest.mark.parametrize("name", ["sanity", "errors", "nearest", "transform"])
def test_killed_it_goes_on_and_gives_the_same_bytes(clip, tmp_path, monkeypatch, children, name):  # noqa: F811
    job = jobs(clip)[name]
    child = children.Process(target=run_in_child, args=(name, tmp_path / "killed", job.data.data.keys[2]))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(list((tmp_path / "killed").glob("part-*"))) == 2
    read = []
    monkeypatch.setattr(f"{__name__}.log", read.append)
    run(job, tmp_path / "killed", Plan(shard_size=2, **FEW))
    assert read == [job.data.data.keys[2]]
    run(job, tmp_path / "whole", Plan(shard_size=3, **FEW))
    assert (tmp_path / "killed" / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()
    twin = inline.measured(job.protocol, clip, job.data, job.rows)
    frame = mmel.evaluate(job.protocol, job.data, clip=clip, rows=job.rows, shard_size=3)
    pd.testing.assert_series_equal(frame.value, twin.value)


def test_failures_are_rows_and_nothing_is_ranked(clip, tmp_path):
    data = Logged(scenes(), bare=1)
    flat = Row("flat", "rise", {"n_masks": 0})
    check = Sanity(every=12, measures=("spearman",), orders=("bottom_up",), states=(0,), pictures=2)
    outcome = run(Job(check, (AS_ROWS[0], AS_ROWS[4], flat), clip, data), tmp_path, Plan(**FEW))
    reasons = {(each["row"], each["count"]): each["reason"] for each in outcome.results["failures"]}
    assert "n_masks" in reasons["flat", 2] and "caption" in reasons["edges", 1]
    (column,) = outcome.results["columns"]  # the kept maps are none
    assert column["higher_is_better"] is None and not any(row["best"] for row in column["rows"].values())
    assert len(column["rows"]["edges"]["steps"]) == 4
    report = reporting.report_of(outcome.results)
    assert report.blocks[0].head[-1] == "spearman bottom_up 0" and "ranks nothing" in " ".join(report.notes)
    assert "Bold" not in " ".join(report.notes)


def test_swapped_captions_are_those_of_mmel_sanity(clip):
    frame = mmel.evaluate(Swaps(5), scenes(), clip=clip, rows=AS_ROWS[1:2], counts={"saliency": 2}, **FEW)
    examples = list(scenes())
    texts = mmel.embed_text(clip, [each.captions[0] for each in examples]).detach()
    pixels = mmel.prepare(clip, [each.image for each in examples[:2]], ["a"]).images
    others = texts[sanity.strangers([list(each.masks) for each in examples])]
    random = sanity.random_texts(3, texts.shape[1], seed=5)
    first = sanity.on_grid(mmel.explain(clip, pixels, texts[:2], "saliency").image, (4, 4))
    for name, swapped in (("another caption", others), ("a random vector", random)):
        made = sanity.on_grid(mmel.explain(clip, pixels, swapped[:2], "saliency").image, (4, 4))
        expected = sanity.spearman(first, made)
        assert frame[frame.metric == f"spearman {name}"].value.to_numpy() == pytest.approx(expected.numpy(), abs=0.02)


def test_errors_are_those_of_mmel_sanity(clip):
    data, some = crowded(2, 8, 16), {name: ROWS[name] for name in ("grad_eclip", "same noise")}
    how = dict(clip=clip, rows=[Row(name, *each) for name, each in some.items()], together=3, shard_size=3)
    here = records_of(mmel.evaluate(Errors(curves=2, steps=3), data, **how))
    asked = [sanity.question(each.scene) for each in data]
    there = pd.DataFrame(measured(clip, asked, some, curves=2, steps=3))
    stated = pd.DataFrame(related(clip, [each.scene for each in asked], some))
    for row in some:
        ours, theirs = here[here.row == row], there[there.row == row]
        for name in theirs.columns.drop(["scene", "row", "failure"]):
            np.testing.assert_array_equal(ours[name].astype(float), theirs[name].astype(float), err_msg=name)
        assert list(ours.failure) == list(theirs.failure) and list(ours["sample"]) == list(theirs.scene)
        assert list(ours.relation.dropna()) == list(stated[stated.row == row].failure)


@pytest.mark.parametrize(
    ("change", "at", "data"),
    [("objects", (1, 3), crowded(4)), ("size", (14, 40), scenes(1)), ("cover", (0.0, 0.5), scenes(1))],
)
def test_one_thing_changed_at_a_time(clip, change, at, data):
    check, asked = Errors(change=change, at=at), sanity.question(data[0].scene)
    here = records_of(mmel.evaluate(check, data, clip=clip, rows=AS_ROWS[:1]), at)
    there = measured(clip, check.variants(asked), {"grad_eclip": ROWS["grad_eclip"]})
    assert list(here["at"]) == list(at)
    for name in ("energy_pointing_game", "visible", "area", "objects"):
        assert list(here[name]) == [each[name] for each in there]


def test_pictures_without_masks_of_everything_are_failures(clip):
    class Bare(Logged):
        def __getitem__(self, index):
            return replace(self.data[index], scene=None) if index else self.data[index]

    frame = mmel.evaluate(Errors(), Bare(scenes(2)), clip=clip, rows=AS_ROWS[:1], together=2)
    assert frame[frame.error != ""].kind.tolist() == ["DatasetError"] and (frame["index"] == 0).sum() > 10


def test_settings_that_cannot_be():
    for settings, kind in (
        ({"orders": ("sideways",)}, UnknownName), ({"measures": ("ssim",), "modality": "text"}, UnknownName),
        ({"every": 0}, BadSetting), ({"states": ()}, BadSetting), ({"orders": ()}, BadSetting),
        ({"states": (0, 1, 0)}, BadSetting), ({"orders": ("top_down",) * 2}, BadSetting),
        ({"measures": ("hog", "hog")}, BadSetting), ({"modality": "sound"}, UnknownName),
    ):  # fmt: skip
        with pytest.raises(kind):
            Sanity(**settings)
    with pytest.raises(UnknownName):
        Errors(change="colour", at=(1,))
    with pytest.raises(BadSetting):
        Errors(change="size")


def test_what_a_run_does_not_hold_is_named(clip, fallen):
    with pytest.raises(UnknownName, match="'noise'"):  # no row of that name
        Job(ENDS, tuple(AS_ROWS[:2]), clip, scenes())
    Job(Sanity(), tuple(AS_ROWS[:2]), clip, scenes())  # the default may be missing
    with pytest.raises(UnknownName, match="independent"):
        falling(ENDS, fallen, clip, "independent")
    with pytest.raises(BadSetting, match=r"got \(\)"):
        Sanity(states=())


class Photographs(Sequence):
    """Samples of a dataset, some of them unreadable, perhaps without masks; `read` has those that were asked for."""

    name, manifest = "photographs", "photographs"

    def __init__(self, data, broken: Sequence[int] = (), masks: bool = True):
        self.data, self.broken, self.masks, self.read = data, broken, masks, []
        self.keys, self.captions, self.records = data.keys, data.captions, data.records

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Example:
        self.read.append(index)
        if index in self.broken:
            raise OSError("half a file")
        return self.data[index] if self.masks else replace(self.data[index], masks=None)


def test_strangers_come_from_all_that_can_be_read(clip):
    whole = scenes(6)
    texts = mmel.embed_text(clip, [each.captions[0] for each in whole]).detach()
    random = sanity.random_texts(6, texts.shape[1], seed=0)
    without = Photographs(whole, masks=False)
    state = Swaps().prepare(clip, without)
    assert without.read == [0] and list(state) == list(whole.keys)
    for place, key in enumerate(whole.keys):
        torch.testing.assert_close(state[key], torch.stack([texts[place], texts[(place + 1) % 6], random[place]]))
    masked = Swaps().prepare(clip, Photographs(whole, broken=[1]))
    rest = [0, 2, 3, 4, 5]
    assert list(masked) == [whole.keys[place] for place in rest]
    others = sanity.strangers([list(whole[place].masks) for place in rest])
    for place, other in zip(rest, others, strict=True):
        expected = torch.stack([texts[place], texts[rest[other]], random[place]])
        torch.testing.assert_close(masked[whole.keys[place]], expected)
    frame = mmel.evaluate(Swaps(), Photographs(scenes(4), broken=[1]), clip=clip, rows=AS_ROWS[1:2], **FEW)
    assert frame[frame.error != ""]["index"].tolist() == [1] and frame.kind[frame.error != ""].tolist() == ["OSError"]


def test_few_samples_have_strangers_from_the_whole_dataset(clip):
    """The last of two samples would have the first one as its stranger, were there no others."""
    how = dict(clip=clip, rows=AS_ROWS[1:2], **FEW)
    few = mmel.evaluate("swaps", "scenes/two_objects", count=2, **how)
    all_of_them = mmel.evaluate("swaps", open_dataset("scenes/two_objects"), counts={"saliency": 2}, **how)
    assert few.value.tolist() == all_of_them.value.tolist()


def test_the_command_line_makes_them(tmp_path):
    given = ["evaluate", "--protocol", "sanity", "--dataset", "scenes/two_objects", "--count", "2", "--methods",
             "mask_clip,edges", "--set", "every=13", "--set", "states=[0]", "--set", 'orders=["top_down"]',
             "--set", 'measures=["spearman"]', "--device", "cpu", "--resamples", "100"]  # fmt: skip
    first = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "run")])
    assert first.exit_code == 0 and "spearman top_down 0" in first.output, first.output
    again = CliRunner().invoke(app, [*given, "--out", str(tmp_path / "run")])
    assert again.output == first.output
