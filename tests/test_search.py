"""The search: maps from a trace are those of `explain`, scores are asked for once, a stopped search goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import mmel
from mmel import LITERAL, WORKING
from mmel.errors import BadSetting, ShapeMismatch, UnknownName
from mmel.evaluation.dials.readings import (
    confidence,
    gate_range,
    of_words,
    random_vit,
    rank_correlation,
    words_apart,
)
from mmel.evaluation.dials.search import BudgetSpent, Remembered, Traced, best, grid, search, theta_profiles
from mmel.evaluation.dials.standing import Standing, crossed, maximum, standing
from mmel.methods.mmel import layer_weight


@pytest.fixture(scope="module")
def clip():
    return mmel.load_clip(device="cpu")


@pytest.fixture(scope="module")
def traced(clip):
    return Traced(clip, list(mmel.scenes.split("validation", 3)), steps=7, by_patch=True)


@pytest.mark.parametrize(
    "change",
    [{}, dict(WORKING), {"head_wise": True, "gate": "each", "layers": 3}, {"similarity": "combined", "theta": 2.0}],
)
def test_a_map_is_that_of_explain(clip, traced, change):
    settings = replace(LITERAL, **(change | {"text": "none"}))
    ours = traced.map(settings)
    theirs = mmel.explain(clip, traced.pixels, traced.embeds, "mmel", modality="image", **settings).image
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6 * float(theirs.max()))
    bare = mmel.explain(
        clip, traced.pixels, traced.embeds, "mmel", modality="image", **replace(settings, alpha=0.0)
    ).image
    torch.testing.assert_close(traced.base(settings), bare, rtol=1e-5, atol=1e-6 * float(bare.max()))


def test_heads_ask_for_another_trace(traced):
    with pytest.raises(BadSetting, match="heads"):
        traced.map(replace(LITERAL, heads=1))


def test_measured_values_are_those_of_the_metrics(clip, traced):
    maps = traced.base(LITERAL)
    found = traced.measure(maps)
    how = {**mmel.metrics.PROTOCOLS["full"], "steps": 7}
    blocks = maps[0].repeat_interleave(16, 0).repeat_interleave(16, 1)

    def score(pictures):
        return mmel.embed_image(clip, pictures) @ traced.embeds[0]

    curve = mmel.metrics.deletion_curve(score, traced.pixels[0], blocks, **how)
    assert found["deletion_auc"][0] == pytest.approx(float(mmel.metrics.auc(*curve[:2])), abs=1e-6)
    named = traced.masks[0].any(0)[None]
    assert found["energy_pointing_game"][0] == float(mmel.metrics.energy_pointing_game(maps[:1], named)[0])


def test_a_picture_is_scored_once():
    asked = []
    score = Remembered(lambda pictures: asked.append(len(pictures)) or pictures.flatten(1).sum(1))
    pictures = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert score(pictures[[0, 1, 0]]).tolist() == [0, 12, 0] and asked == [2]
    assert score(pictures).tolist() == [0, 12, 24] and asked == [2, 1] and score.new == 3
    assert score(pictures).tolist() == [0, 12, 24] and asked == [2, 1]


def test_a_monotone_change_costs_no_pass(traced):
    maps = traced.base(LITERAL)
    first = traced.measure(maps)
    before = traced.passes
    again = traced.measure(maps**3)
    assert traced.passes == before
    assert np.array_equal(first["deletion_auc"], again["deletion_auc"])


def test_a_stopped_search_goes_on_where_it_ended(clip, tmp_path):
    scenes = list(mmel.scenes.split("validation", 2))
    settings = grid(WORKING, alpha=(0.0, 8.0), temperature=(0.05, 1.0))
    assert [(each.alpha, each.temperature) for each in settings] == [(0.0, 0.05), (0.0, 1.0), (8.0, 0.05), (8.0, 1.0)]
    how = {"steps": 7, "by_patch": True}
    whole = search(Traced(clip, scenes, **how), settings)
    store = tmp_path / "rows.jsonl"
    first = search(Traced(clip, scenes, budget=32, **how), settings, "faithfulness", store)
    assert 0 < len(first) < len(settings)
    with store.open("a") as file:
        file.write('\n{"key": "cut o')  # as a killed search leaves it
    later = Traced(clip, scenes, **how)
    rows = search(later, settings, "faithfulness", store)
    assert [row["value"] for row in rows] == pytest.approx([row["value"] for row in whole], abs=1e-6)
    assert best(rows)["value"] == max(row["value"] for row in rows)
    finished = Traced(clip, scenes, budget=0, **how)
    assert len(search(finished, settings[: len(first)], "deletion", store)) == len(first) and finished.passes == 0
    with pytest.raises(UnknownName, match="objective"):
        search(finished, settings, "beauty")
    with pytest.raises(BudgetSpent, match="budget"):
        finished.measure(finished.base(LITERAL))


def test_other_curves_or_weights_are_another_search(clip, tmp_path):
    scenes, store = list(mmel.scenes.split("validation", 2)), tmp_path / "rows.jsonl"
    search(Traced(clip, scenes, steps=7, by_patch=True), [LITERAL], store=store)
    other = Traced(clip, scenes, steps=7)
    search(other, [LITERAL], store=store)
    assert other.passes > 0 and store.read_text().count("key") == 2


def test_theta_profiles_have_one_mean_weight():
    for name, thetas in theta_profiles(12).items():
        assert sum(float(layer_weight(theta)) for theta in thetas) / 12 == pytest.approx(1.31326, rel=1e-4), name


def test_rank_correlation_by_hand():
    one = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert rank_correlation(one, one**3).tolist() == [pytest.approx(1.0)]
    assert rank_correlation(one, -one).tolist() == [pytest.approx(-1.0)]
    assert rank_correlation(one, torch.ones_like(one)).tolist() == [0.0]
    assert rank_correlation(torch.zeros_like(one), torch.ones_like(one)).tolist() == [1.0]
    with pytest.raises(ShapeMismatch, match="one shape"):
        rank_correlation(one, one[:, :1])


def test_gate_range_by_hand():
    base = torch.tensor([[[1.0, 2.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    gate = torch.tensor([[[2.0, 3.0], [9.0, 2.5]]])
    assert gate_range(base * gate, base).tolist() == [1.5, 1.0]


def test_words_are_neither_start_nor_end_nor_padding(clip):
    texts = ["a dog", "a dog above a car"]
    maps = torch.arange(77.0).expand(2, -1)
    assert [words.tolist() for words in of_words(clip, maps, texts)] == [[[[1, 2]]], [[[1, 2, 3, 4, 5]]]]
    with pytest.raises(ShapeMismatch, match="1 maps and 2 texts"):
        of_words(clip, maps[:1], texts)


def test_what_is_no_word_changes_neither_rank_nor_gate(clip):
    texts = ["a dog", "a dog above a car"]
    base = torch.rand(2, 77, generator=torch.Generator().manual_seed(0)) + 0.1
    over = 3 * base
    over[0, 2], over[1, 1:6] = 6 * base[0, 2], torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    for what in (1.0, 50.0):
        over[:, 0], over[0, 3:], over[1, 6:] = what, what, what
        found = words_apart(clip, over, base, texts)
        quotient = over[1, 1:6] / base[1, 1:6]
        by_hand = [2.0, float(quotient.max() / quotient.min())]
        assert found["gate range"].tolist() == pytest.approx(by_hand, rel=1e-5)
        whole = rank_correlation(over[1:, None, 1:6], base[1:, None, 1:6])
        assert found["rank"][1] == whole[0] < 1


def test_a_softmax_with_a_mean_is_no_gate_on_words(clip):
    scenes = list(mmel.scenes.split("two_objects", 2))
    texts = [scene.captions[0].text for scene in scenes]
    images = torch.stack([clip.preprocess(scene.image) for scene in scenes])
    settings = replace(LITERAL, text="words", temperature_place="softmax")
    over, under = (
        mmel.explain(clip, images, texts, "mmel", modality="text", **replace(settings, alpha=alpha)).text
        for alpha in (2.0, 0.0)
    )
    found = words_apart(clip, over, under, texts)
    assert float(found["gate range"].max()) < 1.0001 and float(found["rank"].min()) > 0.9999


def test_confidence_of_a_map_that_keeps_everything(traced):
    """A map with one dark patch leaves nearly the whole picture: a small drop at most."""
    maps = torch.ones_like(traced.base(LITERAL))
    maps[:, 0, 0] = 0
    found = confidence(traced, maps)
    nothing = confidence(traced, 1 - maps)
    assert float(found["confidence_drop"].mean()) < float(nothing["confidence_drop"].mean())


def test_an_untrained_vit_comes_from_its_seed():
    one = random_vit("ViT-S-32", 1)
    before = torch.get_rng_state()
    again = random_vit("ViT-S-32", 1)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), again.model.parameters(), strict=True))
    assert one.image_size == 224 and not any(p.requires_grad for p in one.model.parameters())


def rows_of(*values):
    """Rows of a search with these pointing games, a list for each."""
    return [{"settings": index, "samples": {"pointing_game": np.array(each)}} for index, each in enumerate(values)]


def test_a_maximum_knows_who_shares_it_and_who_is_near():
    low, high = [0.0, 0.1] * 8, [0.5, 0.6] * 8
    mixed = [1.0, 0.0, 0.1, 1.1] * 4  # the mean of `high`, nothing like it
    rows = rows_of(low, high, mixed, [each - (0.4 if index < 2 else 0) for index, each in enumerate(high)])
    found = maximum(rows, "pointing_game")
    assert found.value == pytest.approx(0.55)
    assert [row["settings"] for row in found.tied] == [1, 2]
    assert [row["settings"] for row in found.near] == [1, 2, 3]
    with pytest.raises(UnknownName, match="objective"):
        maximum(rows, "beauty")


def test_no_sample_judges_its_own_choice():
    rows = rows_of([1.0, 1, 0, 0, 1, 1, 0, 0], [0.0, 0, 0.9, 0.9, 0, 0, 0.9, 0.9], [0.4] * 8)
    assert crossed(rows, "pointing_game").tolist() == [0, 0, 0, 0, 0, 0, 0, 0]  # each half's best is the other's worst
    assert crossed(rows_of([0.5] * 8, [0.6] * 8), "pointing_game").tolist() == [0.6] * 8


def test_wins_losses_and_undecided_are_all_counted():
    gap = mmel.stats.Difference
    gaps = {
        ("crowded", "deletion_auc"): gap(-0.1, -0.2, -0.05, 1e-4, 9),  # lower is better
        ("crowded", "insertion_auc"): gap(-0.1, -0.2, -0.05, 1e-4, 9),
        ("crowded", "pointing_game"): gap(0.1, 0.01, 0.2, 0.04, 9),  # gone after the correction
        ("two", "multi_object_recall"): gap(-0.1, -0.2, -0.01, 0.04, 9),
        ("two", "energy_pointing_game"): gap(0.1, -0.01, 0.2, 0.2, 9),
    }
    assert standing(gaps) == Standing(2, 2, 1, 1, 1)
    assert standing({}) == Standing(0, 0, 0, 0, 0)
