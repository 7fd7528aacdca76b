"""Scoring for a GPU, as far as a CPU can tell: nothing waited for, one device, half precision, passes shared."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch
from PIL import Image

import mmel
from mmel import metrics
from mmel.data import open_dataset
from mmel.errors import BadSetting, UnknownName
from mmel.evaluation.job import scoring_of
from mmel.evaluation.protocols import editing, keeping, looking, retrieval
from mmel.evaluation.protocols.table2 import Table2

ROWS = ["grad_eclip", "random", "raw_attention"]


@pytest.fixture(scope="module")
def clip():
    return mmel.load_clip(device="cpu")


@pytest.fixture(scope="module")
def classes():
    return open_dataset("scenes/classes", count=5)


@pytest.fixture(scope="module")
def plain(clip, classes):
    return mmel.evaluate(Table2(), classes, clip=clip, rows=ROWS)


def asks(rows=7, columns=7):
    """A curve of each protocol and kind, and those of the microscope: every fill there is."""
    map = torch.rand(rows, columns, generator=torch.Generator().manual_seed(0))
    both = [metrics.PROTOCOLS[name] for name in ("official", "full")]
    made = [editing.Ask(kind, map, how, seed=3) for how in both for kind in editing.EDITS]
    return made + looking.asks_of(map, 3)


@pytest.fixture(scope="module")
def away():
    """On the device `meta` no value can be read, and tensors of two devices cannot be mixed: both would raise."""
    made = mmel.load_clip(device="cpu")
    return replace(made, model=made.model.to("meta"))


@pytest.mark.parametrize("size", [(112, 112), (130, 90)])
def test_between_the_map_and_the_result_nothing_is_read_from_the_device(away, size):
    picture = Image.new("RGB", size, (200, 10, 60))
    before = away.passes.image
    curves = editing.embedded_curves(away, picture, asks())
    assert away.passes.image > before
    assert {curve.embeds.device.type for curve in curves} == {"meta"}
    assert [len(curve.embeds) for curve in curves] == [len(curve.fractions) for curve in curves]
    with pytest.raises(Exception, match="meta"):  # so a value that is read would have been noticed
        float(curves[0].embeds.sum())


def test_table_1_reads_nothing_from_the_device_before_its_scores(away):
    embed = torch.empty(away.model.visual.proj.shape[1], device="meta")
    maps, values = [torch.rand(7, 7), torch.rand(112, 112)], [torch.rand(77)] * 2
    image = keeping.image_scores(away, torch.empty(1, 3, 112, 112, device="meta"), embed, maps)
    text = keeping.text_scores(away, "a cat to the left of a dog", embed, values)
    assert [(each.device.type, len(each)) for each in (image, text)] == [("meta", 1 + 2 * 2), ("meta", 2 + 2 * 2)]


@pytest.mark.parametrize("reading", retrieval.READINGS)
def test_table_3_reads_nothing_from_the_device_before_its_hits(away, reading):
    unit, width, memo = torch.empty, away.model.visual.proj.shape[1], {}
    gallery = retrieval.Gallery(
        unit(3, width, device="meta"), unit(6, width, device="meta"), torch.arange(3).repeat_interleave(2)
    )
    for _ in range(2):  # the second time the texts are remembered
        texts = [("a cat and a dog", torch.rand(77)), ("a tree", torch.rand(77))]
        edited = [retrieval.edited_texts(away, text, map, "deletion", reading=reading) for text, map in texts]
        found = retrieval.retrieved(gallery, 1, retrieval.embed_edited(away, edited, memo))
        assert {(hits.device.type, tuple(hits.shape)) for hits in found} == {("meta", (3, 11))}


def test_ranks_by_comparing_are_those_of_a_stable_sort():
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        scores = torch.randint(0, 6, (7, 30), generator=draw) / 5  # many are equal
        right = torch.randperm(30, generator=draw)[:3]
        order = scores.argsort(dim=1, descending=True, stable=True)
        rank = torch.isin(order, right).int().argmax(1)
        want = torch.stack([(rank < k).double() for k in retrieval.KS])
        assert torch.equal(retrieval._hits(scores, right), want)
        assert torch.equal(metrics.best_rank(scores, [right.tolist()] * 7), rank.double())
        scores[2, 4] = torch.nan
        assert retrieval._hits(scores, right)[:, 2].isnan().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="asks a GPU whether anything waited for it")
def test_nothing_waits_for_a_gpu():
    there = mmel.load_clip(device="cuda")
    scene = open_dataset("scenes/classes", count=1)[0]
    editing.embedded_curves(there, scene.image, asks())  # what is made once
    torch.cuda.set_sync_debug_mode("error")
    try:
        editing.embedded_curves(there, scene.image, asks())
    finally:
        torch.cuda.set_sync_debug_mode("default")


def means(frame):
    return frame.groupby(["row", "metric"]).value.mean().unstack()


def test_bf16_agrees_on_areas_and_ranking(clip, classes, plain):
    """Probabilities column by column; hits over all columns, and one by one.

    A hit is 0 or 1: one that flips moves its picture's area by 0.1 and, over these five pictures, its column by 0.02,
    ten times the limit. Only a column in which nothing flips could hold it here. At one flip in 200, which is what the
    last lines allow, flips of both signs leave a column's mean within 0.002 from some 600 pictures on: a run of `full`,
    not a test.
    """
    half = mmel.evaluate(Table2(), classes, clip=clip, rows=ROWS, scoring="bf16")
    assert not (half.value == plain.value).all()  # it is another arithmetic
    full, low = means(plain), means(half)
    sure = [metric for metric in full if "probability" in metric]
    assert (full[sure] - low[sure]).abs().to_numpy().max() <= 0.002
    hits = [metric for metric in full if "@" in metric]
    assert abs((full[hits] - low[hits]).to_numpy().mean()) <= 0.002
    chosen = plain.metric.isin(hits)
    pairs = zip(plain.steps[chosen], half.steps[chosen], strict=True)
    same = [a == b for one, two in pairs for a, b in zip(one, two, strict=True)]
    assert sum(same) / len(same) >= 0.995
    for metric in sure:
        gaps, other = (each[metric].to_numpy()[:, None] - each[metric].to_numpy() for each in (full, low))
        apart = abs(gaps) > 0.004  # rows that are nearer have no order to keep
        assert ((gaps > 0) == (other > 0))[apart].all()


def test_maps_keep_their_precision_whatever_scores(clip, classes):
    """Gradients are not made under autocast: the maps of both are the same bits."""
    made = []
    for how in ("fp32", "bf16"):
        asked = replace(clip, scoring=scoring_of(how, 64))
        protocol = Table2(protocols=("full",), targets=("true",))
        state = protocol.prepare(clip, classes)
        row = mmel.evaluation.rows.rows("grad_eclip")[0]
        made.append(protocol.ask(asked, state, classes[0], row, 0).asks[0].map)
    assert torch.equal(*made) and made[0].dtype == torch.float32


def test_shared_passes_give_the_same_numbers(clip, classes, plain):
    """Groups of four and one, in batches that end anywhere in them."""
    want = plain[plain.row == ROWS[0]].reset_index(drop=True)
    got = mmel.evaluate(Table2(), classes, clip=clip, rows=ROWS[:1], together=4, batch=37)
    assert list(got.metric) == list(want.metric) and list(got["sample"]) == list(want["sample"])
    assert (got.value - want.value).abs().max() < 1e-5


def test_groups_are_the_same_however_shards_are_cut(clip, classes, tmp_path):
    protocol, files = Table2(protocols=("official",), targets=("true",)), []
    for size in (2, 4):
        how = {"together": 2, "shard_size": size, "rows": ROWS[1:2], "out": tmp_path / str(size), "resamples": 50}
        mmel.evaluate(protocol, classes, clip=clip, **how)
        files.append((tmp_path / str(size) / "results.json").read_bytes())
    assert files[0] == files[1]
    with pytest.raises(BadSetting, match="groups of 3"):
        mmel.evaluate(protocol, classes, clip=clip, together=3, shard_size=4, rows=ROWS)


def test_pictures_of_several_sizes_share_a_pass(clip):
    pictures = [Image.new("RGB", size, (9, 90, 200)) for size in ((112, 112), (60, 150))]
    one = [editing.Ask("deletion", torch.rand(7, 7), metrics.PROTOCOLS["official"])]
    calls = []
    clip.model.visual.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    try:
        together = editing.embedded_together(clip, [editing.Question(each, one) for each in pictures])
    finally:
        clip.model.visual._forward_pre_hooks.clear()
    assert calls == [22]
    for picture, (curve,) in zip(pictures, together, strict=True):
        (alone,) = editing.embedded_curves(clip, picture, one)
        assert torch.allclose(alone.embeds, curve.embeds, atol=1e-5)


class Counted:
    """A dataset that says which threads read it; one sample cannot be read."""

    name, manifest, prompts, classes = "counted", "1", None, None

    def __init__(self, data):
        self.data, self.threads, self.read = data, set(), 0
        self.prompts = data.prompts

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        self.threads.add(threading.current_thread().name)
        self.read += 1
        if index == 2:
            raise mmel.MmelError("half a file")
        return self.data[index]


@pytest.mark.parametrize("together", [1, 2])
def test_readers_change_nothing_but_who_reads(clip, classes, together):
    frames, threads = [], []
    for readers in (0, 2):
        data = Counted(classes)
        how = {"rows": ROWS[1:2], "readers": readers, "together": together}
        protocol = Table2(protocols=("official",), targets=("true",))
        frames.append(mmel.evaluate(protocol, data, clip=clip, **how).drop(columns="seconds"))
        threads.append(data.threads)
        assert data.read == len(classes)  # each once, for all rows
    assert frames[0].fillna(-1).equals(frames[1].fillna(-1)) and (frames[0].error == "half a file").sum() == 1
    assert threads[0] == {threading.current_thread().name} and all("mmel-read" in name for name in threads[1])


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"scoring": "int8"}, UnknownName, "int8"),
        ({"batch": 0}, BadSetting, "batch is a whole number"),
        ({"readers": -1}, BadSetting, "readers is a whole number"),
        ({"together": 0}, BadSetting, "together is a whole number"),
    ],
)
def test_what_cannot_be_says_so(clip, classes, how, error, says):
    with pytest.raises(error, match=says):
        mmel.evaluate(Table2(), classes, clip=clip, rows=ROWS, **how)
