"""Error analysis: broken lines against slow twins and planted knees; kinds of failure from masks made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_sanity import broken_line_slow, fit_slow, half_mass_slow, measured, related

import mmel
from mmel import metrics, sanity
from mmel.errors import BadSetting, NotANumber, ShapeMismatch
from mmel.stats import paired_difference

COUNTS = np.repeat(np.arange(1.0, 17), 6)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(-1, 1), st.floats(-2, 2), st.sampled_from([4.0, 7.0, 10.0, 13.0]))
def test_lines_equal_their_slow_twins(seed, slope, change, at):
    y = 1 + slope * COUNTS + change * np.maximum(COUNTS - at, 0)
    y = y + np.random.default_rng(seed).normal(size=len(y))
    breaks = list(np.arange(2.0, 16))
    place, (height, first, bend), left = broken_line_slow(COUNTS.tolist(), y.tolist(), breaks)
    ours = sanity.broken_line(COUNTS, y)
    assert ours == pytest.approx((height, first, bend, place), abs=1e-6)
    assert float(((y - ours(COUNTS)) ** 2).sum()) == pytest.approx(left)
    (height, first), _ = fit_slow([[1.0, x] for x in COUNTS], y.tolist())
    assert sanity.straight_line(COUNTS, y)[:3] == pytest.approx((height, first, 0.0), abs=1e-9)


def test_a_planted_knee_is_found_and_its_interval_holds_it():
    inside, found = 0, []
    for trial in range(20):
        noise = np.random.default_rng(trial).normal(size=len(COUNTS)) * 0.4
        made = sanity.knee(COUNTS, 5 - 0.4 * np.maximum(COUNTS - 10, 0) + noise, resamples=300, seed=trial)
        inside += made.low <= 10 <= made.high
        found.append(made.p)
    assert inside >= 17 and np.median(found) < 0.01
    assert made.before == pytest.approx(0, abs=0.1) and made.after == pytest.approx(-0.4, abs=0.15)
    assert made.straight < 0 and made.count == len(COUNTS)


def test_a_straight_line_has_a_knee_as_often_as_the_level_says():
    """Also where the noise grows with x, and although the best of all breaks is looked for."""
    p = []
    for trial in range(120):
        noise = np.random.default_rng(trial).normal(size=len(COUNTS)) * (0.2 + COUNTS / 8)
        p.append(sanity.knee(COUNTS, 3 - 0.1 * COUNTS + noise, resamples=199, seed=trial).p)
    assert 0.0 <= np.mean(np.array(p) < 0.1) < 0.19 and 0.35 < np.mean(p) < 0.65


def test_the_same_seed_gives_the_same_knee():
    y = np.random.default_rng(0).normal(size=len(COUNTS))
    first, again, other = (sanity.knee(COUNTS, y, resamples=200, seed=seed) for seed in (1, 1, 2))
    assert first == again and (first.low, first.high, first.p) != (other.low, other.high, other.p)
    assert first[:1] + first[3:6] == other[:1] + other[3:6]


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([None, 7.0, 10.0]))
def test_slopes_equal_their_slow_twins(seed, at):
    y = 1 - 0.2 * COUNTS + np.random.default_rng(seed).normal(size=len(COUNTS)) * COUNTS
    design = [[1.0, x, *([] if at is None else [max(0.0, x - at)])] for x in COUNTS]
    made = sanity.slope(COUNTS, y, at=at, resamples=100)
    assert made.mean == pytest.approx(fit_slow(design, y.tolist())[0][-1], abs=1e-8)
    assert made.low < made.mean < made.high and made.count == len(COUNTS)


def test_a_slope_of_groups_is_the_mean_of_their_own_slopes():
    x, groups = np.tile(np.arange(1.0, 7), 8), np.repeat(np.arange(8), 6)
    y = 3 - 0.5 * x + np.random.default_rng(1).normal(size=8)[groups] * x
    own = [sanity.straight_line(x[groups == each], y[groups == each]).slope for each in range(8)]
    expected = paired_difference(own, np.zeros(8), resamples=300)
    assert sanity.slope(x, y, groups=list(groups), resamples=300) == pytest.approx(expected)


def test_intervals_of_slopes_hold_the_truth_as_often_as_they_say():
    """Of a straight line whose noise grows with x: its slope, and a change of none at ten."""
    truths = {None: -0.1, 10.0: 0.0}
    inside = {at: 0 for at in truths}
    for trial in range(60):
        noise = np.random.default_rng(trial).normal(size=len(COUNTS)) * (0.2 + COUNTS / 8)
        for at, truth in truths.items():
            made = sanity.slope(COUNTS, 3 - 0.1 * COUNTS + noise, at=at, resamples=200, seed=trial)
            inside[at] += made.low <= truth <= made.high
    assert all(51 <= count <= 60 for count in inside.values())


def test_slopes_that_cannot_be():
    with pytest.raises(BadSetting):
        sanity.slope(np.ones(8), np.arange(8.0))
    with pytest.raises(BadSetting):
        sanity.slope(COUNTS, COUNTS, at=16.0)
    with pytest.raises(ShapeMismatch):
        sanity.slope(COUNTS, COUNTS, groups=[1, 2])


def test_standardized_slopes_tell_two_tied_factors_apart():
    rng = np.random.default_rng(0)
    count = rng.integers(1, 17, 800).astype(float)
    size = -0.8 * (count - 8.5) / 4.6 + 0.6 * rng.normal(size=800)
    y = 2 * size + rng.normal(size=800)
    (own, low, high), (other, below, above) = sanity.standardized_slopes(np.stack([count, size], 1), y, resamples=300)
    assert low < 0 < high and below > 0.5 and below < other < above and low < own < high
    alone = sanity.standardized_slopes(count[:, None], y, resamples=200)[0]
    assert alone[2] < 0
    assert alone[0] == pytest.approx(float(np.corrcoef(count, y)[0, 1]))


def squares() -> torch.Tensor:
    """Three objects of 16 x 16 pixels in a picture of 64 x 64."""
    masks = torch.zeros(3, 64, 64, dtype=torch.bool)
    for index, (row, column) in enumerate([(0, 0), (0, 48), (48, 0)]):
        masks[index, row : row + 16, column : column + 16] = True
    return masks


def peaked(*places: tuple[int, int], height: float = 0.0) -> torch.Tensor:
    map = torch.full((4, 4), height)
    for rank, place in enumerate(places):
        map[place] = 1.0 - 0.1 * rank
    return map


@pytest.mark.parametrize(
    ("map", "named", "kind"),
    [
        (peaked((0, 0)), [0], "right"),
        (peaked((0, 3)), [0], "wrong object"),
        (peaked((3, 3)), [0], "background"),
        (peaked((0, 0), height=0.5), [0], "spread"),
        (peaked((0, 0)), [0, 1], "missed relation"),
        (peaked((0, 0), (0, 3)), [0, 1], "right"),
        (peaked((3, 0), (0, 0), (0, 3)), [0, 1], "wrong object"),
        (torch.ones(4, 4), [0], "spread"),
    ],
)
def test_failures_by_hand(map, named, kind):
    assert sanity.failure(map, squares(), named) == kind


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
def test_each_map_is_of_one_kind_and_the_kinds_mean_what_they_say(seed, named):
    map = torch.rand(4, 4, generator=torch.Generator().manual_seed(seed)).pow(3)
    masks, kind = squares(), sanity.failure(map, squares(), named)
    hit = [float(metrics.pointing_game(map, mask)) for mask in masks]
    assert kind in sanity.KINDS
    assert (kind in ("wrong object", "background")) == (sum(hit[i] for i in named) == 0)
    assert (kind == "wrong object") == (sum(hit) > 0 and sum(hit[i] for i in named) == 0)
    if kind in ("right", "spread"):
        assert float(metrics.multi_object_recall(map, masks[named])) == 1 or len(named) == 1
        assert (sanity.spread_of(map, (64, 64)) > 0.25) == (kind == "spread")
    assert sanity.failure(map * 1e-5, masks, named) == kind


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_spread_equals_its_slow_twin(seed):
    map = torch.randn(5, 5, generator=torch.Generator().manual_seed(seed))
    assert sanity.spread_of(map, (5, 5)) == pytest.approx(half_mass_slow(map.double().tolist()), abs=0.041)
    assert sanity.spread_of(torch.ones(5, 5), (10, 10)) == 0.5 and sanity.spread_of(-map.abs(), (5, 5)) == 1.0


@pytest.fixture(scope="module")
def crowd():
    clip, scenes = mmel.load_clip(device="cpu"), mmel.scenes.split("crowded")
    asked = [sanity.question(scenes[index]) for index in (3, 330, 639)]
    rows = {"eclip": ("grad_eclip", {"layers": None}), "random": ("random", {})}
    return clip, asked, measured(clip, asked, rows, curves=2, steps=4)


def test_questions_ask_for_an_object_that_is_seen():
    drawn = set()
    for scene in mmel.scenes.split("crowded")[600:640]:
        asked = sanity.question(scene)
        assert scene.masks[asked.target].sum() >= 40
        assert asked.text.split(" ", 1)[-1].endswith(scene.objects[asked.target].name)
        assert sanity.question(scene) == asked
        drawn.add(asked.target)
    assert len(drawn) > 8
    with pytest.raises(BadSetting, match="pixels"):
        sanity.question(scene, least=10_000)


def test_records_equal_the_metrics_one_by_one(crowd):
    clip, asked, records = crowd
    assert [r["row"] for r in records] == ["eclip"] * 3 + ["random"] * 3
    assert ["deletion_auc" in r for r in records] == [True, True, False] * 2
    for i, each in enumerate(asked):
        record, scene = records[i], each.scene
        how = {"method": "grad_eclip", "layers": None, "modality": "image"}
        map, whole = (mmel.explain(clip, scene.image, t, **how).image for t in (each.text, scene.captions[0].text))
        own = torch.as_tensor(scene.masks[each.target])
        assert record["objects"] == len(scene.objects) and record["area"] == pytest.approx(float(own.double().mean()))
        assert record["energy_pointing_game"] == pytest.approx(
            float(metrics.energy_pointing_game(map[0], own)), abs=1e-5
        )
        assert record["lift"] * record["area"] == pytest.approx(record["energy_pointing_game"])
        named = torch.as_tensor(scene.masks[sanity.named(scene)])
        assert record["multi_object_recall"] == pytest.approx(float(metrics.multi_object_recall(whole[0], named)))
        assert record["failure"] == sanity.failure(map[0], torch.as_tensor(scene.masks), [each.target])
        pixels = mmel.prepare(clip, scene.image, each.text).images
        text = mmel.embed_text(clip, each.text)
        kept = metrics.masked_image(pixels, mmel.maps.normalize(map))
        scores = [mmel.similarity(mmel.embed_image(clip, p), text).detach() for p in (pixels, kept)]
        assert record["confidence_drop"] == pytest.approx(float(metrics.confidence_drop(*scores)), abs=1e-5)
        assert record["confidence_increase"] == float(metrics.confidence_increase(*scores))
    first = records[0]
    assert 0 < first["insertion_auc"] < 1 and first["deletion_auc"] != records[3]["deletion_auc"]


def test_relations_are_asked_for_as_the_caption_states_them(crowd):
    scenes = list(mmel.scenes.split("crowded")[40:70])
    found = {scene.key: sanity.relation(scene) for scene in scenes}
    assert any(found.values()) and not all(found.values())
    for scene in scenes:
        words = [word for word in scene.captions[0].words if word.role == "relation"]
        assert bool(found[scene.key]) == bool(words)
        if words:
            text, pair = found[scene.key]
            first, second = (scene.objects[index].name for index in pair)
            assert text.index(first) < text.index(words[0].text) < text.rindex(second)
            assert tuple(pair) == words[0].objects and set(pair) <= set(sanity.named(scene))
    clip, rows = crowd[0], {"row": ("chefer", {"start_layer": 0})}
    records = related(clip, scenes, rows)
    assert [r["scene"] for r in records] == [key for key, each in found.items() if each]
    scene = next(scene for scene in scenes if found[scene.key])
    text, pair = found[scene.key]
    map = mmel.explain(clip, scene.image, text, "chefer", start_layer=0, modality="image").image[0]
    assert records[0]["failure"] == sanity.failure(map, torch.as_tensor(scene.masks), pair)
    assert related(clip, list(mmel.scenes.split("crowded")[:3]), rows) == []


def test_nested_scenes_keep_the_object_and_lose_the_others():
    asked = sanity.question(mmel.scenes.split("crowded")[620])
    made = sanity.nested(asked, [1, 5, 16])
    own = asked.scene.plan.objects[asked.target]
    assert [len(each.scene.objects) for each in made] == [1, 5, 16]
    for each in made:
        assert each.scene.plan.objects[each.target] == own and each.text == asked.text
        assert each.scene.background == asked.scene.background
        assert {p.name for p in each.scene.plan.objects} <= {p.name for p in asked.scene.plan.objects}
    assert np.array_equal(np.asarray(made[2].scene.image), np.asarray(asked.scene.image))
    seen = [each.scene.masks[each.target].sum() for each in made]
    assert seen[0] >= seen[1] >= seen[2] > 0
    with pytest.raises(BadSetting, match="16 objects"):
        sanity.nested(asked, [17])


def test_sizes_and_covers_are_what_was_asked_for():
    for scene in mmel.scenes.split("two_objects")[:6]:
        asked = sanity.question(scene)
        areas = []
        for size in (16, 32, 64):
            made = sanity.resized(asked, size)
            box = made.scene.objects[made.target]
            assert box.placement.size == size and box.name == asked.scene.objects[asked.target].name
            assert size / 2 <= box.placement.x <= 112 - size / 2
            areas.append(made.scene.without(*[i for i in range(2) if i != made.target]).masks[0].sum())
        assert areas[0] < areas[1] < areas[2]
        shares = []
        for share in (0.0, 0.25, 0.5):
            made = sanity.covered(asked, 1 - asked.target, share)
            assert made.scene.plan.objects[made.target] == scene.plan.objects[asked.target]
            assert made.target == 0 and made.scene.objects[1].visible > 0.9
            shares.append(1 - made.scene.objects[0].visible)
        assert shares[:2] == pytest.approx([0.0, 0.25], abs=0.12)
        assert shares[1] <= shares[2] <= 0.62  # a thin thing cannot cover half of a wide one
    for call in (
        lambda: sanity.resized(asked, 2),
        lambda: sanity.covered(asked, asked.target, 0.5),
        lambda: sanity.covered(asked, 1 - asked.target, 1.5),
    ):
        with pytest.raises(BadSetting):
            call()


def test_scenes_without_captions_are_measured_but_for_their_captions(crowd):
    clip, asked, records = crowd
    (same,) = sanity.nested(asked[0], [len(asked[0].scene.objects)])
    bare = measured(clip, [same], {"eclip": ("grad_eclip", {"layers": None})})[0]
    assert "multi_object_recall" not in bare and "deletion_auc" not in bare
    assert bare["energy_pointing_game"] == pytest.approx(records[0]["energy_pointing_game"], abs=1e-4)


def test_samples_of_one_group_are_drawn_together():
    """A height of its own for each group: noise that a knee within groups does not feel, and that no p value counts."""
    rng, x = np.random.default_rng(0), np.tile(np.arange(1.0, 13), 20)
    groups = np.repeat(np.arange(20), 12)
    y = rng.normal(size=20)[groups] - 0.3 * np.maximum(x - 7, 0) + 0.1 * rng.normal(size=len(x))
    together = sanity.knee(x, y, groups=groups, resamples=300)
    assert together.at == 7 and together.low <= 7 <= together.high and together.p < 0.02
    order = rng.permutation(len(x))
    again = sanity.knee(x[order], y[order], groups=groups[order], resamples=300)
    assert again == pytest.approx(together)
    with pytest.raises(BadSetting, match="every x"):
        sanity.knee(x, y, groups=np.arange(len(x)))
    with pytest.raises(ShapeMismatch):
        sanity.knee(x, y, groups=groups[1:])


def test_false_alarms_of_groups_keep_the_level():
    p, x, groups = [], np.tile(np.arange(1.0, 11), 12), np.repeat(np.arange(12), 10)
    for trial in range(100):
        rng = np.random.default_rng(trial)
        bends = rng.normal(size=12)[groups] * np.maximum(x - 5, 0)  # each group bends its own way, none on the whole
        p.append(sanity.knee(x, bends + rng.normal(size=len(x)), groups=groups, resamples=199, seed=trial).p)
    assert np.mean(np.array(p) < 0.1) < 0.22


def test_bad_input_says_what_to_do():
    x = COUNTS
    with pytest.raises(ShapeMismatch):
        sanity.knee(x, x[:-1])
    with pytest.raises(NotANumber):
        sanity.knee(x, x * math.nan)
    for breaks in ([1.0], [16.0], []):
        with pytest.raises(BadSetting, match="between 1 and 16"):
            sanity.knee(x, x, breaks=breaks)
    with pytest.raises(BadSetting, match="four"):
        sanity.broken_line([1, 1, 2, 2, 3, 3], [1, 2, 3, 4, 5, 6])
    with pytest.raises(BadSetting, match="slope"):
        sanity.standardized_slopes(np.ones((9, 1)), np.arange(9.0))
    with pytest.raises(ShapeMismatch):
        sanity.failure(torch.rand(4, 4), squares(), [])
    with pytest.raises(ShapeMismatch):
        sanity.failure(torch.rand(4, 4), squares(), [3])
    with pytest.raises(BadSetting):
        sanity.failure(torch.rand(4, 4), squares(), [0], spread=0)
